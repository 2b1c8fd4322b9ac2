"""Histograms of scores by target, and what all that is read off them has in common."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._double import DoubleFloat
from streammetrics._layouts import Cuts
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Binary, check_task, ranked
from streammetrics.metrics._averages import AVERAGES, DEFAULT, Events, divided, picked, total
from streammetrics.statistics._histograms import check_bins, check_bins_size


class Estimate(NamedTuple):
    """A value read off a histogram, and the least and the greatest that the scores themselves may have."""

    value: Array
    lower: Array
    upper: Array

    def within(self, least: float = 0.0, greatest: float = 1.0, scale: float = 1.0) -> "Estimate":
        """The bounds rounded outward, but no further than values go; both are the value where it is known.

        `scale` is by how much the roundings of a sum of shares were magnified.
        """
        value, lower, upper = self
        value = jnp.clip(value, least, greatest)
        slack = scale * (2.0**-20 if value.dtype.itemsize == 4 else 2.0**-40)  # some 16 roundings
        settled = (lower == upper) | jnp.isnan(value)
        lower, upper = jnp.maximum(lower - slack, least), jnp.minimum(upper + slack, greatest)
        return Estimate(value, jnp.where(settled, value, lower), jnp.where(settled, value, upper))


class Histogram(NamedTuple):
    """How many scores are in each bin, from the highest bin down, and above each cut between bins.

    Numbers are floats; the last axis has the B bins, or the B + 1 cuts.
    """

    positive: Array
    negative: Array
    above: Events
    """Of the cuts, when what lies above each is predicted positive."""
    tied: Array
    """Whether all scores of a bin are one number."""
    ahead: Array
    """Whether the positives of a bin all have greater scores than its negatives."""
    behind: Array
    """Whether they all have lesser ones."""
    unit: Array | float
    """The mean weight of an example."""

    @property
    def positives(self) -> Array:
        return self.above.tp[..., -1]

    @property
    def negatives(self) -> Array:
        return self.above.fp[..., -1]

    @property
    def tpr(self) -> Array:
        return ratio(self.above.tp, self.above.tp + self.above.fn)

    @property
    def fpr(self) -> Array:
        return ratio(self.above.fp, self.above.fp + self.above.tn)

    @property
    def fnr(self) -> Array:
        return ratio(self.above.fn, self.above.tp + self.above.fn)


def ratio(above: Array, below: Array) -> Array:
    """The ratio, NaN where it is one by 0."""
    value = divided(above, below)
    return jnp.where(value.defined, value.number, jnp.nan)


def largest(values: Array) -> Array:
    """The greatest along the last axis; NaN where there is any, which `jnp.max` overlooks on CPU."""
    unknown = jnp.isnan(values)
    return jnp.where(jnp.any(unknown, -1), jnp.nan, jnp.max(jnp.where(unknown, -jnp.inf, values), -1))


def integral(parts: Array) -> Array:
    """The sum over the last axis, of so many parts that plain float32 would lose digits."""
    return DoubleFloat.of(parts).sum(-1).to_float()


def histogram(
    negative: Any, positive: Any, extrema: list[tuple[Array, Array]] | None, exact: bool, unit: Array | float
) -> Histogram:
    """The histogram of two arrays of counts by bin in ascending order.

    `extrema` are the least and the greatest scores, of the negatives and of the positives each.
    """
    down = [counts[..., ::-1] for counts in (negative, positive)]
    sums = [counts.cumsum() for counts in down]
    fp, tp = (counts.after_zero() for counts in sums)
    above = Events(tp, fp, tp[..., -1:] - tp, fp[..., -1:] - fp)
    never = jnp.zeros(down[0].shape, bool)
    tied, ahead, behind = jnp.full(never.shape, exact), never, never
    if extrema is not None:
        (low_negative, high_negative), (low_positive, high_positive) = (
            (least[..., ::-1], greatest[..., ::-1]) for least, greatest in extrema
        )
        # What has no scores is NaN: it is neither ahead nor behind, and of no weight either.
        ahead, behind = low_positive > high_negative, high_positive < low_negative
        tied = jnp.fmin(low_negative, low_positive) == jnp.fmax(high_negative, high_positive)
    negative, positive = (counts.to_float() for counts in down)
    return Histogram(positive, negative, above.to_floats(), tied, ahead, behind, unit)


@spec
class Binned(Metric):
    """What is read off histograms of a task's scores.

    `bins` is a power of two, about the number of bins of a class; or `"bfloat16"` or `"float16"` for scores of that
    dtype, each value of which has a bin, so that nothing is estimated. `ties=True` also keeps the least and the
    greatest score of each bin, so that bins of a single value are exact. `score_range=(low, high)` declares where
    `inputs="scores"` lie.
    """

    task: Any
    bins: int | str = dataclasses.field(default=4096, kw_only=True)
    ties: bool = dataclasses.field(default=False, kw_only=True)
    score_range: tuple[float, float] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_bins(self)


@spec
class OfScores(Binned):
    """What is read off the histogram of each class, of one class, or of all classes' scores together."""

    average: str | None = dataclasses.field(default=None, kw_only=True)
    class_id: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_bins_size(self)

    @property
    def statistic(self) -> statistics.ScoreCounts:
        return statistics.ScoreCounts(ranked(self.task), self.bins, self.score_range, self.ties)

    def histogram(self, counts: Mapping[str, Any]) -> Histogram:
        """What is read, of all that is counted."""
        cells = picked(self, counts["cells"])
        extrema = None
        if "least" in counts:
            least = picked(self, counts["least"], lambda scores: jnp.nanmin(scores, 0))
            greatest = picked(self, counts["greatest"], lambda scores: jnp.nanmax(scores, 0))
            extrema = [(least[..., target, :], greatest[..., target, :]) for target in (0, 1)]
        exact = self.statistic.layout.exact
        return histogram(cells[..., 0, :], cells[..., 1, :], extrema, exact, unit_of(self.task, counts))

    @property
    def cuts(self) -> Cuts:
        return self.statistic.layout.cuts(self.task.inputs)

    @property
    def thresholds(self) -> DoubleFloat:
        return DoubleFloat.of(self.cuts.thresholds)


def unit_of(task: Any, counts: Mapping[str, Any]) -> Array | float:
    """The mean weight of an example: 1 where weights are repetitions."""
    if not task.weighted:
        return 1.0
    each = 1 if isinstance(task, Binary) else task.classes
    return counts["cells"].sum().to_float() / (each * jnp.maximum(counts["examples"].to_float(), 1))


@spec
class Area(OfScores):
    """A number read off a histogram, with bounds; and how those of the classes become one.

    `average` is None (one value per class), `"micro"` (of all classes' scores together), `"macro"` (the mean over the
    classes where it is defined) or `"weighted"` (the mean by support); or `class_id` picks one class. `Binary` reads
    its positive class and takes neither.
    """

    average: str | None = dataclasses.field(default=DEFAULT, kw_only=True)

    def __post_init__(self) -> None:
        _checks.choice(self, "average", AVERAGES, DEFAULT)
        _checks.one_reading(self, self.average != DEFAULT, isinstance(self.task, Binary))
        if self.average == "macro":  # what is said and what is meant by default are one value
            object.__setattr__(self, "average", DEFAULT)

    @abstractmethod
    def measured(self, histogram: Histogram) -> Estimate:
        """The value of each class, and its bounds."""

    def estimate(self, counts: Mapping[str, Any]) -> Estimate:
        """The value and its bounds; those of an average are the averages of the bounds."""
        histogram = self.histogram(counts)
        each = self.measured(histogram)
        if self.class_id is not None or self.average in (None, "micro") or isinstance(self.task, Binary):
            return each
        share = histogram.positives if self.average == "weighted" else jnp.ones_like(each.value)
        return mean_where_defined(each, share)

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.estimate(counts).value


def mean_where_defined(each: Estimate, share: Array) -> Estimate:
    """The mean over the leading axis of what is no NaN."""
    share = jnp.where(jnp.isnan(each.value), 0, share)
    return Estimate(*(ratio(total(jnp.where(share > 0, share * x, 0)), total(share)) for x in each))


@spec
class Cut(OfScores):
    """What is read off the cuts between the bins of a histogram, as a dict.

    One value per class, of one class with `class_id`, of all classes' scores together with `average="micro"`; `Binary`
    reads its positive class and takes neither.
    """

    def __post_init__(self) -> None:
        _checks.choice(self, "average", (None, "micro"))
        _checks.one_reading(self, self.average is not None, isinstance(self.task, Binary))
