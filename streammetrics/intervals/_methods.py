"""What every method of an interval has: what it finds, and where it finds nothing."""

from abc import abstractmethod
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Beside, Metric
from streammetrics._spec import spec


class Interval(NamedTuple):
    """A value and the ends of its interval, each of the value's shape."""

    low: Any
    value: Any
    high: Any


class Found(NamedTuple):
    """An interval, NaN at its ends where there is none, the value's standard error, and of how many examples it is."""

    interval: Interval
    error: Array
    examples: Array


@spec
class Method(Beside):
    """How an interval is found in the counts of a metric."""

    level: float

    fewest: ClassVar[int] = 10
    """Of how many examples an interval is given."""
    few: ClassVar[str] = "has {examples:g} examples, but at least {fewest} are due"
    unsettled: ClassVar[str | None] = (
        "is {value} with a standard error of 0, which does not tell how far others may lie"
    )
    """What is said of a standard error of 0; None where there are ends nevertheless."""

    @classmethod
    @abstractmethod
    def fits(cls, metric: Metric) -> bool:
        """Whether the counts of the metric tell this interval."""

    @abstractmethod
    def read(self, counts: Mapping[str, Any]) -> Found: ...

    @property
    def z(self) -> float:
        """How many standard errors are on each side of a normal value."""
        return -NormalDist().inv_cdf((1 - self.level) / 2)

    def around(self, value: Array, low: Array, high: Array, error: Array, examples: Array) -> Found:
        """What is found; without ends where examples are too few, or their error tells nothing."""
        known = examples >= self.fewest
        if self.unsettled:
            known &= error > 0
        low, high = (jnp.where(known, end, jnp.nan).astype(value.dtype) for end in (low, high))
        return Found(Interval(low, value, high), error, examples)
