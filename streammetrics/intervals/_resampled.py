"""What is read off replicates: intervals, and the values themselves, which two states compare in pairs."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Beside, joined_axes
from streammetrics._spec import spec
from streammetrics._uint64 import UInt64
from streammetrics._wide import Wide
from streammetrics.intervals._methods import Found, Interval

FEWEST = 10
"""Of how many examples an interval is given."""


@spec
class Resampling(Beside):
    """What is read off the replicates of a bootstrapped metric."""

    few: ClassVar[str] = "has {examples:g} examples, but at least {fewest} are due"
    unsettled: ClassVar[str]
    fewest: ClassVar[int] = FEWEST

    def examples(self, counts: Mapping[Any, Any]) -> Array:
        """How many examples each value is of."""
        examples = _least(counts)
        return jnp.sum(examples, joined_axes(self.metric, examples.ndim))


@spec
class Replicated(Resampling):
    """The interval of a bootstrapped value; without ends where its examples are few, or all replicates are one."""

    unsettled = "is {value} in every replicate, which does not tell how far others may lie"

    def read(self, counts: Mapping[Any, Any]) -> Found:
        value, error, low, high = self.metric.read(counts)
        examples = self.examples(self.metric.inner_counts(counts))
        known = jax.tree.map(lambda error: error > 0, error)
        low, high = (_ends(examples, known, ends) for ends in (low, high))
        return Found(Interval(low, value, high), error, examples)


class Replicates(NamedTuple):
    """A value, those of all replicates along a trailing axis, the checksum of the ids, and how many examples."""

    value: Any
    every: Any
    ids: UInt64
    examples: Array


@spec
class Values(Resampling):
    """A bootstrapped value with the values of its replicates."""

    unsettled = "differs by {value} in every replicate, which does not tell how far others may lie"

    def read(self, counts: Mapping[Any, Any]) -> Replicates:
        counts = self.metric.inner_counts(counts)
        value, every = self.metric.replicated(counts)
        every = jax.tree.map(lambda each: jnp.moveaxis(each, 0, -1), every)  # slices lead
        ids = counts["ids"] if "ids" in counts else next(iter(counts.values()))["ids"]
        return Replicates(value, every, ids, self.examples(counts))


def paired(metric: Any, a: Replicates, b: Replicates) -> Found:
    """The difference b − a, and how it varies: in each replicate both have the same examples.

    Without ends where examples are few, or all replicates are one; but of 0 in all, where nothing tells a and b apart.
    """
    difference = jax.tree.map(_less, b.value, a.value, is_leaf=_is_wide)
    every = jax.tree.map(lambda b, a: jnp.moveaxis(b - a, -1, 0), b.every, a.every)
    _, error, low, high = metric.summary(difference, every)
    known = jax.tree.map(
        lambda error, at, each: (error > 0) | ((at == 0) & jnp.all((each == 0) | jnp.isnan(each), 0)),
        error, difference, every,
    )  # fmt: skip
    examples = jnp.minimum(a.examples, b.examples)
    low, high = (_ends(examples, known, ends) for ends in (low, high))
    return Found(Interval(low, difference, high), error, examples)


def _less(b: Any, a: Any) -> Array:
    """The difference b − a as a float: of counts, which have no sign, the smaller from the greater."""
    if _is_wide(b):
        return jnp.where(b < a, -(a - b).to_float(), (b - a).to_float())
    return 0.0 + b - a


def _is_wide(leaf: Any) -> bool:
    return isinstance(leaf, Wide)


def _ends(examples: Array, known: Any, ends: Any) -> Any:
    """The ends of what is known of enough examples."""

    def end(known: Array, at: Array) -> Array:
        enough = examples.reshape(examples.shape + (1,) * (at.ndim - examples.ndim)) >= FEWEST
        return jnp.where(enough & known, at, jnp.nan)

    return jax.tree.map(end, known, ends)


def _least(counts: Mapping[Any, Any]) -> Array:
    """How many examples there are, of which there may be several kinds: the least."""
    if "examples" not in counts:
        return jnp.min(jnp.stack([_least(each) for each in counts.values()]), 0)
    return counts["examples"][0].to_float()
