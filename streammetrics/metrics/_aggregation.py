"""Metrics of values that come one per example."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import TASKS, counted


@spec
class Mean(Metric):
    """Σ w x / Σ w: the weighted mean of an entry.

    The entry has one value per example, of any shape; weights may be fractions. NaN and infinite values are invalid;
    without examples the value is NaN. `exact=True` holds both sums without any rounding, so that no order or split of
    the batches can change a bit.

    >>> float(Mean("loss")([1.0, 2.0, 6.0], weights=[1, 1, 0]))
    1.5
    """

    entry: str
    exact: bool = False
    weights: str = dataclasses.field(default="weights", kw_only=True)

    @property
    def statistic(self) -> Statistic:
        if self.exact:
            return statistics.Sums((self.entry,), self.weights, exact=True)
        return statistics.Moments(self.entry, self.weights)

    def read(self, counts: Mapping[str, Any]) -> Array:
        if self.exact:
            return counts[f"sum_{self.entry}"] / counts["weight"]
        return counts["moments"].average()


@spec
class Sum(Metric):
    """Σ w x: the weighted sum of an entry; 0 without examples.

    Integers are summed exactly; `exact=True` sums floats without any rounding too.

    >>> float(Sum("tokens")([3, 4, 5]))
    12.0
    """

    entry: str
    exact: bool = False
    weights: str = dataclasses.field(default="weights", kw_only=True)

    @property
    def statistic(self) -> Statistic:
        return statistics.Sums((self.entry,), self.weights, self.exact)

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts[f"sum_{self.entry}"].to_float()


@spec
class Ratio(Metric):
    """Σ w a / Σ w b: a sum over a sum, such as errors by words; NaN where the second sum is 0.

    >>> float(Ratio("errors", "words")(errors=[1, 0], words=[4, 6]))
    0.10000000149011612
    """

    numerator: str
    denominator: str
    exact: bool = False
    weights: str = dataclasses.field(default="weights", kw_only=True)

    @property
    def statistic(self) -> Statistic:
        return statistics.Sums((self.numerator, self.denominator), self.weights, self.exact)

    def read(self, counts: Mapping[str, Any]) -> Array:
        above, below = (counts[f"sum_{name}"].to_float() for name in (self.numerator, self.denominator))
        return jnp.where(below == 0, jnp.nan, above / below)


@spec
class Extremum(Metric):
    """What is read off the extrema of an entry."""

    entry: str
    weights: str = dataclasses.field(default="weights", kw_only=True)

    @property
    def statistic(self) -> Statistic:
        return statistics.Extrema(self.entry, self.weights)


@spec
class Minimum(Extremum):
    """min x: the least value of an entry among examples of positive weight; NaN without any. −∞ is a value.

    >>> float(Minimum("norm")([3.0, -1.0, 2.0]))
    -1.0
    """

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["minimum"]


@spec
class Maximum(Extremum):
    """max x: the greatest value of an entry among examples of positive weight; NaN without any. ∞ is a value.

    >>> float(Maximum("norm")([3.0, -1.0, 2.0]))
    3.0
    """

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["maximum"]


@spec
class Spread(Metric):
    """What is read off the second moment of an entry."""

    entry: str
    ddof: int = 0
    weights: str = dataclasses.field(default="weights", kw_only=True)

    @property
    def statistic(self) -> Statistic:
        return statistics.Moments(self.entry, self.weights)

    def variance(self, counts: Mapping[str, Any]) -> Array:
        """Σ w (x − mean)² / (Σ w − ddof); NaN where that is not positive."""
        moments = counts["moments"]
        freedom = moments.weight - self.ddof
        return jnp.where(freedom > 0, moments.m2 / freedom, jnp.nan)


@spec
class Variance(Spread):
    """Σ w (x − mean)² / (Σ w − ddof): the variance of an entry; NaN where Σ w ≤ ddof.

    With `ddof=1` and weights that count repetitions it is the unbiased estimate.

    >>> float(Variance("x", ddof=1)([1.0, 2.0, 3.0]))
    1.0
    """

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.variance(counts)


@spec
class Std(Spread):
    """√(Σ w (x − mean)² / (Σ w − ddof)): the standard deviation of an entry; NaN where Σ w ≤ ddof.

    >>> float(Std("x")([1.0, 3.0]))
    1.0
    """

    def read(self, counts: Mapping[str, Any]) -> Array:
        return jnp.sqrt(self.variance(counts))


@spec
class Examples(Metric):
    """n: how many valid examples were counted, as an exact `UInt64`, of a task or of an entry.

    Whole weights count as so many examples; where fractions are admitted, rows of positive weight are counted.

    >>> int(Examples("loss")([1.0, 2.0]))
    2
    """

    of: Any

    def __post_init__(self) -> None:
        if not isinstance(self.of, (str, *TASKS)):
            raise TypeError(f"Examples: of is {self.of!r}, but must be a task or the name of an entry")

    @property
    def statistic(self) -> Statistic:
        return statistics.Moments(self.of) if isinstance(self.of, str) else statistics.ClassCounts(counted(self.of))

    def read(self, counts: Mapping[str, Any]) -> Any:
        return counts["examples"]
