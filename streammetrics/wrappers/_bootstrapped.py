"""`Bootstrapped`: values with their standard errors and intervals, from one pass, by resampling examples."""

import dataclasses
import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._hash import threefry, words_of
from streammetrics._metric import Metric, leaves
from streammetrics._reduction import Add, Observation, with_axis
from streammetrics._spec import contents, is_spec, rebuild, spec
from streammetrics._statistic import Statistic, members
from streammetrics._wide import Wide
from streammetrics.accumulators import Count
from streammetrics.statistics import DistinctHashes, Extrema
from streammetrics.wrappers._base import Counted, Wrapped, Wrapper, along, check_parts_size

WORD = 32
PERCENTILE_REPLICATES = 400
BEYOND = 5
"""How many replicates must be due beyond each end of a percentile interval: of fewer it is moved by chance alone."""
IDS = (0x6964, 0x73)
"""The key under which ids are hashed for the checksum: no seed of replicates has it."""


class Resampled(NamedTuple):
    """A value, its standard error, and its interval: each of the value's structure and shape."""

    value: Any
    standard_error: Any
    low: Any
    high: Any


@spec
class Resamples(Wrapped):
    """What a statistic counts of the examples, and of replicates, each of which has half of them twice.

    Also the examples of each replicate, and a checksum of the ids: the sums of the four digits of 16 bits of their
    hashes, which any order gives.
    """

    replicates: int
    ids: str
    seed: int

    @property
    def own(self) -> tuple[str, ...]:
        return (self.ids,)

    @property
    def accumulators(self) -> dict[str, Any]:
        counted = {**self.inner.accumulators, "examples": Count(self.inner.axes)}
        return {name: with_axis(each, 1 + self.replicates) for name, each in counted.items()} | {"ids": Count((4,))}

    def prepared(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.inner.prepared({**batch, self.ids: two_words(self.ids, batch[self.ids])})

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        observation = super().arranged(
            observation._replace(
                accumulators={**observation.accumulators, "examples": Count(())},
                adds={**observation.adds, "examples": Add(1)},
            ),
            **batch,
        )
        low, high = self._words(batch)
        return observation._replace(
            accumulators={**observation.accumulators, "ids": Count((4,))},
            adds={**observation.adds, "ids": Add(digits(*threefry(IDS, low, high)))},
            bits=self._bits(low, high),
            once=("ids",),
            rows=("examples", "ids") if self.weighted else (),
        )

    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        return self.inner, {name: data[name][:, 0] for name in self.inner.accumulators}, seen

    def _words(self, batch: Mapping[str, Array]) -> tuple[Array, Array]:
        """The two words of the id of each example."""
        ids = batch[self.ids]
        pairs = ids.dtype == jnp.uint32 and ids.shape[-1:] == (2,)
        low, high = words_of(self.ids, ids, 2 if pairs else 1)
        return self.of_examples(self.ids, low, batch), self.of_examples(self.ids, high, batch)

    def _bits(self, low: Array, high: Array) -> Array:
        """Which examples each replicate has: a bit of a hash of the seed, the replicate and the id."""
        blocks = range(-(-self.replicates // (2 * WORD)))
        words = [word for block in blocks for word in threefry((self.seed, block), low, high)]
        # A compiler would hash again for every bit, where it may.
        hashed = lax.optimization_barrier(jnp.stack(words, -1))
        shift = jnp.arange(WORD, dtype=jnp.uint32)
        bits = (hashed[..., None] >> shift.reshape((1,) * (low.ndim + 1) + (WORD,))) & np.uint32(1)
        return bits.reshape(*low.shape, len(words) * WORD)[..., : self.replicates].astype(bool)


def _innermost(member: Statistic) -> Statistic:
    """What stands in slices or outputs."""
    return _innermost(member.inner) if isinstance(member, Wrapped) else member


def digits(low: Array, high: Array) -> Array:
    """The two words as four digits of 16 bits."""
    return jnp.stack([low & 0xFFFF, low >> 16, high & 0xFFFF, high >> 16], -1)


def two_words(name: str, ids: Any) -> Any:
    """Host integers that 32 bits do not hold as pairs of uint32, low word first; others as they are."""
    if isinstance(ids, Array):
        return ids
    array = _checks.host_array(name, ids)
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or (array == array.astype(np.int32)).all():
        return array
    return np.stack([array.astype(np.uint32), (array >> array.dtype.type(WORD)).astype(np.uint32)], -1)


@spec
class Bootstrapped(Wrapper):
    """The value of a metric with its standard error and interval, by resampling the examples in the same pass.

    Every replicate has each example twice or not at all, by one bit of a hash of the seed, the replicate and the
    example's id (an entry `ids`, one per example or leading index): weights of mean 1 and variance 1. So replicates do
    not depend on order, batches or devices, and two models that were evaluated apart on the same examples are compared
    in pairs (`sm.compare`). `cluster` names an entry of groups to be resampled in place of examples, where those of a
    group are not independent. Ids are integers, those of 64 bits numpy's or `(*B, 2)` uint32, low word first (so ids
    of 32 bits are signed where the examples have two per row).

    Ids must be global: where every process numbers its rows from 0, rows of one number share their bit in all
    replicates as if they were a group, and standard errors are wrong without any sign of it.

    The value is `Resampled(value, standard_error, low, high)`. The interval is normal about the value, or with
    `method="percentile"` holds the middle `level` of 400 or more replicates: so many that 5 are due beyond each end,
    1,000 at a level of .99. Standard errors are too large by about 9 % of 100 examples, .8 % of 1,000. The state holds
    1 + `replicates` states of the metric, of which at most 1 GiB is allowed. The bootstrap is Efron's (1979), the
    weights those of a half-sample (Præstgaard and Wellner 1993). Raises `TypeError` for extrema and distinct values,
    of which half of the examples tell nothing.

    >>> import numpy as np, streammetrics as sm
    >>> metric = Bootstrapped(sm.Mean("loss"), replicates=200)
    >>> found = metric(loss=np.arange(1000) % 10, ids=np.arange(1000))
    >>> float(found.value), round(float(found.standard_error), 2)
    (4.5, 0.09)
    """

    replicates: int = 200
    level: float = 0.95
    ids: str = "ids"
    cluster: str | None = None
    method: str = dataclasses.field(default="normal", kw_only=True)
    seed: int = dataclasses.field(default=0, kw_only=True)

    holds = ("Sliced", "PerOutput")

    def __post_init__(self) -> None:
        _checks.choice(self, "method", ("normal", "percentile"))
        if not 0 < self.level < 1:
            raise ValueError(f"Bootstrapped: level is {self.level!r}, but must be above 0 and below 1")
        if self.replicates < self._fewest:
            raise ValueError(
                f"Bootstrapped: replicates is {self.replicates:,}, but must be {self._fewest:,} or more with "
                f"method={self.method!r} and level={self.level}"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"Bootstrapped: seed is {self.seed}, but must be from 0 to 2^32 − 1")
        check_parts_size(self, self.replicates, "replicates")
        for _, leaf in leaves(self.metric):
            if any(isinstance(_innermost(member), Extrema | DistinctHashes) for member in members(leaf.statistic)):
                raise TypeError(
                    f"Bootstrapped: {leaf!r} is read off extreme or distinct values, of which replicates, that have "
                    "half of the examples twice, do not tell how they vary"
                )

    @property
    def _fewest(self) -> int:
        """How many replicates are due at least."""
        if self.method == "normal":
            return 2
        beyond = (1 - self.level) / 2  # which is rounded: no replicate more is due for a last digit
        return max(PERCENTILE_REPLICATES, math.ceil(BEYOND / beyond * (1 - 1e-9)))

    def over(self, statistic: Statistic) -> Statistic:
        return Resamples(statistic, self.replicates, self.cluster or self.ids, self.seed)

    def replicated(self, counts: Mapping[Any, Any]) -> tuple[Any, Any]:
        """The value, and as floats those of all replicates, along a leading axis."""
        counts = without_ids(counts)
        value = self.metric.read(_at(counts, 0))
        return value, _floats(along(unhidden(self.metric).read, _at(counts, slice(1, None))))

    def read_single(self, counts: Mapping[Any, Any]) -> Resampled:
        return self.summary(*self.replicated(counts))

    def summary(self, value: Any, every: Any) -> Resampled:
        """A value with its standard error and interval, from what replicates have in its place."""
        centre = _floats(value)
        # Where the value is NaN nothing is known of it; the replicates may have numbers.
        error = jax.tree.map(lambda each, at: jnp.where(jnp.isnan(at), at, deviation(each)), every, centre)
        low, high = (self._end(every, centre, error, share) for share in (0.5 - self.level / 2, 0.5 + self.level / 2))
        return Resampled(value, error, low, high)

    def _end(self, every: Any, centre: Any, error: Any, share: float) -> Any:
        """The end of the interval below which a share of values lies."""
        if self.method == "normal":
            z = NormalDist().inv_cdf(share)
            return jax.tree.map(lambda at, by: at + z * by, centre, error)
        return jax.tree.map(
            lambda each, by: jnp.where(jnp.isnan(by), by, jnp.nanquantile(each, share, 0)), every, error
        )


def deviation(replicates: Array) -> Array:
    """The standard deviation along the leading axis of what is no NaN."""
    return jnp.nanstd(replicates, 0, ddof=1)


def _floats(value: Any) -> Any:
    """Everything in a value as floats."""

    def number(leaf: Any) -> Array:
        leaf = leaf.to_float() if isinstance(leaf, Wide) else jnp.asarray(leaf)
        return leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.astype(jnp.float32)

    return jax.tree.map(number, value, is_leaf=lambda leaf: isinstance(leaf, Wide))


def unhidden(metric: Metric) -> Metric:
    """The metric without slices that are hidden: what a replicate counts says nothing of how many there are."""
    if not is_spec(metric):
        return metric
    fields = {name: unhidden(field) if isinstance(field, Metric) else field for name, field in contents(metric).items()}
    return rebuild(type(metric), fields | ({"min_examples": 0} if "min_examples" in fields else {}))


def without_ids(counts: Mapping[Any, Any]) -> dict[Any, Any]:
    """What was counted, of one statistic or of several, without the checksums."""
    return {
        name: without_ids(each) if isinstance(each, Mapping) else each for name, each in counts.items() if name != "ids"
    }


def _at(counts: Any, index: Any) -> Any:
    if isinstance(counts, dict):
        return {name: _at(each, index) for name, each in counts.items()}
    return jax.tree.map(lambda array: array[index], counts)
