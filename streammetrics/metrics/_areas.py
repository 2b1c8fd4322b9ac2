"""Numbers read off a histogram of scores: areas under curves, and what else measures a ranking."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._spec import spec
from streammetrics._tasks import Multiclass, ranked
from streammetrics.metrics._histograms import (
    Area,
    Binned,
    Estimate,
    Histogram,
    histogram,
    integral,
    largest,
    mean_where_defined,
    ratio,
    unit_of,
)
from streammetrics.statistics._histograms import check_bins_size

LEAST_RATE = 1e-12
"""What a false positive rate is bounded by is no less: float32 has room for what is made of it."""


def area_under_roc(histogram: Histogram, widths: Array, shares: Array) -> Estimate:
    """The integral of the true positive rate over some measure of the false positive rate.

    `widths` is how much of the measure each bin has. Between the ends of a bin the curve rises from one rate to the
    next, in a straight line where the scores are tied; `shares` is the mean of such a line over the bin, as a share of
    the rise.
    """
    start, rise = histogram.tpr[..., :-1], ratio(histogram.positive, histogram.positives[..., None])
    least, middle, most = widths * start, widths * (start + shares * rise), widths * (start + rise)
    known = histogram.tied | histogram.ahead | histogram.behind
    settled = jnp.where(histogram.tied, middle, jnp.where(histogram.ahead, most, least))
    return Estimate(*(integral(jnp.where(known, settled, part)) for part in (middle, least, most)))


def area_below(histogram: Histogram, greatest: float = 1.0) -> Estimate:
    """The area under the ROC curve up to a false positive rate."""
    runs = ratio(histogram.negative, histogram.negatives[..., None])
    widths = runs if greatest == 1 else jnp.clip(greatest - histogram.fpr[..., :-1], 0, runs)
    return area_under_roc(histogram, widths, 0.5 * widths / jnp.where(runs > 0, runs, 1))


@spec
class AUROC(Area):
    """P(score of a positive > score of a negative) + ½ P(equal): the area under the ROC curve.

    Scores come as logits, probabilities or `"scores"`, `(*B,)` for `Binary`, `(*B, C)` for `Multiclass` (each class
    against the rest; logits by their log-odds, in the order of the softmax) and `(*B, L)` for `Multilabel`. They are
    held in a histogram of about `bins` bins, a power of two: the value is estimated to about 1e-5, and `sm.bounds`
    gives proven bounds. Scores of float64 are rounded to float32. With `bins="bfloat16"` or `"float16"`, which takes
    scores of that dtype alone, the value is exact; `ties=True` makes bins of a single score exact;
    `score_range=(low, high)` declares where `"scores"` lie, without which only the bounds are promised.

    `average` is None (one value per class), `"micro"` (of all classes' scores together), `"macro"` (the mean over the
    classes where it is defined, the default) or `"weighted"` (the mean by support); `class_id` picks one class;
    `Binary` takes neither. `max_fpr` reads the area up to that false positive rate, standardised so that chance reads
    ½ (McClish, 1989). NaN where there are only positives or only negatives. Raises `ValueError` for predicted labels,
    and for a state above 1 GiB. The definition is scikit-learn's `roc_auc_score`.

    >>> from streammetrics import Binary
    >>> float(AUROC(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
    0.75
    """

    max_fpr: float | None = None

    higher_is_better = True

    def __post_init__(self) -> None:
        if self.max_fpr is not None and not LEAST_RATE <= self.max_fpr <= 1:
            raise ValueError(f"AUROC: max_fpr is {self.max_fpr}, but must be from {LEAST_RATE} to 1")
        if self.max_fpr == 1:
            object.__setattr__(self, "max_fpr", None)

    def measured(self, histogram: Histogram) -> Estimate:
        if self.max_fpr is None:
            return area_below(histogram).within()
        half = 0.5 * self.max_fpr  # the mean height of chance; its distance from the greatest, 1, is stretched to 1/2
        heights = (area / self.max_fpr for area in area_below(histogram, self.max_fpr))
        return Estimate(*(0.5 + 0.5 * (height - half) / (1 - half) for height in heights)).within()


@spec
class Gini(Area):
    """2 AUROC − 1: how much oftener a positive outranks a negative than the reverse.

    Also called Somers' D, and of credit scores the accuracy ratio. Fields as for `AUROC`.

    >>> from streammetrics import Binary
    >>> float(Gini(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
    0.5
    """

    higher_is_better = True

    def measured(self, histogram: Histogram) -> Estimate:
        return Estimate(*(2 * area - 1 for area in area_below(histogram))).within(-1.0, scale=2.0)


@spec
class LogAUC(Area):
    """∫ TPR d log FPR / log (high / low), over `fpr_range`: the area under the ROC curve, the earliest weighing most.

    Between points the curve is a straight line of the rates, not of their logarithms. Further fields as for `AUROC`.
    Raises `ValueError` for a range that is not within (0, 1], or too narrow. The definition is Mysinger and Shoichet's
    (2010), whose range is (0.001, 0.1) by default, without taking off the 0.14 of chance.

    >>> from streammetrics import Binary
    >>> round(float(LogAUC(Binary("probabilities"), fpr_range=(0.1, 1.0))([0.1, 0.2, 0.7, 0.8], [0, 0, 1, 1])), 4)
    1.0
    """

    fpr_range: tuple[float, float] = (0.001, 0.1)

    higher_is_better = True

    def __post_init__(self) -> None:
        low, high = self.fpr_range if len(self.fpr_range) == 2 else (1.0, 0.0)
        if not (low >= LEAST_RATE and 1.1 * low <= high <= 1):  # float32 does not resolve narrower ones
            raise ValueError(
                f"LogAUC: fpr_range is {self.fpr_range}, but must be (low, high), {LEAST_RATE} ≤ low and "
                "1.1 low ≤ high ≤ 1"
            )

    def measured(self, histogram: Histogram) -> Estimate:
        low, high = self.fpr_range
        start, stop = histogram.fpr[..., :-1], jnp.clip(histogram.fpr, low, high)
        runs = ratio(histogram.negative, histogram.negatives[..., None])
        logs = jnp.log1p((stop[..., 1:] - stop[..., :-1]) / stop[..., :-1])
        shares = (stop[..., 1:] - stop[..., :-1] - start * logs) / jnp.where(logs > 0, runs * logs, 1)
        areas = area_under_roc(histogram, logs, jnp.clip(shares, 0, 1))
        whole = math.log(high / low)
        return Estimate(*(area / whole for area in areas)).within(scale=max(1.0, 1 / whole))


@spec
class AveragePrecision(Area):
    """Σ (R_k − R_{k−1}) P_k over the scores from the greatest down: the mean precision where the positives are found.

    Equal scores are found together. Fields as for `AUROC`; the estimate errs by about 1e-4. NaN without positives, 1
    without negatives; a macro average is over the classes that have positives. The definition is scikit-learn's
    `average_precision_score`, a step and no trapezoid; `PRAUC` interpolates.

    >>> from streammetrics import Binary
    >>> round(float(AveragePrecision(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])), 4)
    0.8333
    """

    higher_is_better = True

    def measured(self, histogram: Histogram) -> Estimate:
        h, p, n = histogram, histogram.positive, histogram.negative
        tp, fp = h.above.tp[..., :-1], h.above.fp[..., :-1]

        def at(found: Array, passed: Array) -> Array:
            """P times the precision once so many of the bin's positives and negatives are passed."""
            return p * (tp + found) / jnp.where(p > 0, tp + found + fp + passed, 1)

        before = jnp.where(h.ahead, 0, jnp.where(h.behind, n, 0.5 * n))
        together = at(p, n)
        # The k-th of the bin's positives has found k: half of them and half a one, on average.
        middle = at(jnp.minimum(p, 0.5 * (p + h.unit)), before)
        most = at(p, jnp.where(h.behind, n, 0))
        # The negatives first, and the positives one by one, however many a weight stands for.
        passed = fp + jnp.where(h.ahead, 0, n)
        least = p - passed * jnp.log1p(p / jnp.where(p > 0, tp + passed, 1))
        least = jnp.where(tp + passed > 0, least, p)
        parts = (jnp.where(h.tied, together, part) for part in (middle, jnp.minimum(least, most), most))
        return Estimate(*(ratio(integral(part), h.positives) for part in parts)).within()


@spec
class PRAUC(Area):
    """∫ precision d recall, interpolated by numbers of events: the area under the precision-recall curve.

    Between the ends of a bin true and false positives grow in proportion (Davis and Goadrich, 2006), as in Keras'
    `AUC(curve="PR")`; `AveragePrecision` is scikit-learn's step instead. Fields as for `AUROC`; there are no proven
    bounds. NaN without positives.

    >>> from streammetrics import Binary
    >>> round(float(PRAUC(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])), 4)
    0.7973
    """

    higher_is_better = True

    def measured(self, histogram: Histogram) -> Estimate:
        p, n = histogram.positive, histogram.negative
        tp, above = histogram.above.tp[..., :-1], (histogram.above.tp + histogram.above.fp)[..., :-1]
        slope = p / jnp.where(p > 0, p + n, 1)
        intercept = tp - slope * above
        bent = jnp.where(above > 0, intercept * jnp.log1p((p + n) / jnp.where(above > 0, above, 1)), 0)
        value = ratio(integral(slope * (p + bent)), histogram.positives)
        unknown = jnp.full_like(value, jnp.nan)
        return Estimate(value, unknown, unknown)


@spec
class KolmogorovSmirnov(Area):
    """max |TPR − FPR| over all thresholds: the greatest distance of the distributions of positives and negatives.

    Fields as for `AUROC`. The value is that of a threshold between bins, the lower of its bounds. NaN where there are
    only positives or only negatives. The definition is that of the two-sample test (`scipy.stats.ks_2samp`).

    >>> from streammetrics import Binary
    >>> float(KolmogorovSmirnov(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
    0.5
    """

    higher_is_better = True

    def measured(self, histogram: Histogram) -> Estimate:
        tpr, fpr = histogram.tpr, histogram.fpr
        value = largest(jnp.abs(tpr - fpr))
        # Inside of a bin one rate may rise before the other does.
        inside = jnp.maximum(tpr[..., 1:] - fpr[..., :-1], fpr[..., 1:] - tpr[..., :-1])
        inside = largest(jnp.where(histogram.tied, 0, inside))
        return Estimate(value, value, jnp.maximum(value, inside)).within()


@spec
class EqualErrorRate(Area):
    """The false positive rate where it equals the false negative rate, on the straight lines of the ROC curve.

    Fields as for `AUROC`. NaN where there are only positives or only negatives.

    >>> from streammetrics import Binary
    >>> float(EqualErrorRate(Binary("probabilities"))([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
    0.5
    """

    higher_is_better = False

    def measured(self, histogram: Histogram) -> Estimate:
        fpr, fnr = histogram.fpr, histogram.fnr
        after = jnp.maximum(jnp.argmax(fpr >= fnr, -1, keepdims=True), 1)

        def at(rates: Array, place: Array) -> Array:
            return jnp.take_along_axis(rates, place, -1)[..., 0]

        fpr_0, fpr_1, fnr_0, fnr_1 = (at(x, place) for x in (fpr, fnr) for place in (after - 1, after))
        share = ratio(fnr_0 - fpr_0, (fnr_0 - fpr_0) + (fpr_1 - fnr_1))
        value = fpr_0 + share * (fpr_1 - fpr_0)
        tied = at(histogram.tied, after - 1)
        lower, upper = jnp.maximum(fpr_0, fnr_1), jnp.minimum(fpr_1, fnr_0)
        return Estimate(value, *(jnp.where(tied, value, bound) for bound in (lower, upper))).within()


@spec
class OneVsOneAUROC(Binned):
    """mean over pairs of classes of (A(i|j) + A(j|i)) / 2: how well the classes are told from each other.

    A(i|j) is the AUROC of the scores for class i among the examples of the classes i and j. `Multiclass` only. The
    mean is over pairs that both occur, alike (`average="macro"`) or by their number of examples (`"weighted"`). Further
    fields as for `AUROC`; the histograms are of every class by every class, so that the state grows with their square.
    NaN where fewer than two classes occur. The definition is Hand and Till's (2001), scikit-learn's
    `roc_auc_score(multi_class="ovo")`; it cannot be had from one-against-rest counts.

    >>> from streammetrics import Multiclass
    >>> task = Multiclass(3, "probabilities")
    >>> scores = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]]
    >>> round(float(OneVsOneAUROC(task)(scores, [0, 1, 2, 0])), 4)
    0.9167
    """

    average: str | None = dataclasses.field(default="macro", kw_only=True)

    higher_is_better = True

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multiclass, "the others have no pairs of classes")
        _checks.choice(self, "average", ("macro", "weighted"), "macro")
        check_bins_size(self)

    @property
    def statistic(self) -> statistics.PairScoreCounts:
        return statistics.PairScoreCounts(ranked(self.task), self.bins, self.score_range, self.ties)

    def estimate(self, counts: Mapping[str, Any]) -> Estimate:
        """The value and its bounds."""
        pairs = of_pairs(self, counts)
        own = jnp.diagonal(pairs.negatives)
        areas = area_below(pairs)
        values = Estimate(*(0.5 * (area + area.T) for area in areas))
        upper = jnp.triu(jnp.ones_like(values.value), 1)
        share = upper * (own[:, None] + own[None, :]) if self.average == "weighted" else upper
        flat = Estimate(*(value.reshape(-1) for value in values))
        return mean_where_defined(flat, share.reshape(-1)).within()

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.estimate(counts).value


def of_pairs(metric: OneVsOneAUROC, counts: Mapping[str, Any]) -> Histogram:
    """The histograms (C, C, B) of the scores for class i: of its own examples against those of class j."""
    classes = jnp.arange(metric.task.classes)

    def sides(values: Any) -> tuple[Any, Any]:
        return values, values[classes, classes][:, None]

    negative, positive = sides(counts["cells"])
    extrema = None
    if "least" in counts:
        extrema = list(zip(sides(counts["least"]), sides(counts["greatest"]), strict=True))
    return histogram(negative, positive, extrema, metric.statistic.layout.exact, unit_of(metric.task, counts))
