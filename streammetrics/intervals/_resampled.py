"""What is read off replicates: intervals, and the values themselves, which two states compare in pairs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Beside
from streammetrics._spec import spec
from streammetrics._uint64 import UInt64
from streammetrics.intervals._methods import Found, Interval
from streammetrics.wrappers import Resampled

FEWEST = 10
"""Of how many examples an interval is given."""


@spec
class Replicated(Beside):
    """The interval of a bootstrapped value; without ends where its examples are few, or all replicates are one."""

    few = "has {examples:g} examples, but at least {fewest} are due"
    unsettled = "is {value} in every replicate, which does not tell how far others may lie"
    fewest = FEWEST

    def read(self, counts: Mapping[Any, Any]) -> Found:
        value, error, low, high = self.metric.read(counts)
        examples = _examples(self.metric.inner_counts(counts))

        def end(at: Array, error: Array) -> Array:
            each = examples if error.shape[: examples.ndim] == examples.shape else jnp.sum(examples)
            known = each.reshape(each.shape + (1,) * (error.ndim - each.ndim)) >= FEWEST
            return jnp.where(known & (error > 0), at, jnp.nan)

        low, high = (jax.tree.map(end, ends, error) for ends in (low, high))
        return Found(Interval(low, value, high), error, examples)


class Replicates(NamedTuple):
    """A value, those of all replicates along a leading axis, and the checksum of the ids."""

    value: Any
    every: Any
    ids: UInt64


@spec
class Values(Beside):
    """A bootstrapped value with the values of its replicates."""

    def read(self, counts: Mapping[Any, Any]) -> Replicates:
        counts = self.metric.inner_counts(counts)
        value, every = self.metric.replicated(counts)
        ids = counts["ids"] if "ids" in counts else next(iter(counts.values()))["ids"]
        return Replicates(value, every, ids)


def paired(metric: Any, a: Replicates, b: Replicates) -> Resampled:
    """The difference b − a, and how it varies: in each replicate both have the same examples."""
    difference, every = (jax.tree.map(jnp.subtract, *pair) for pair in ((b.value, a.value), (b.every, a.every)))
    return metric.summary(difference, every)


def _examples(counts: Mapping[Any, Any]) -> Array:
    """How many examples there are, of which there may be several kinds: the least."""
    if "examples" not in counts:
        return jnp.min(jnp.stack([_examples(each) for each in counts.values()]), 0)
    return counts["examples"][0].to_float()
