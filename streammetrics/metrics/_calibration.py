"""Calibration: whether what is said to have a probability happens as often."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._double import DoubleFloat, divide, multiply
from streammetrics._jax import float_dtype
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Binary, Multiclass, Multilabel, check_task, ranked
from streammetrics.metrics._histograms import ratio
from streammetrics.statistics._calibration import BINNINGS, POINT, check_bins
from streammetrics.statistics._histograms import check_size


class Bins(NamedTuple):
    """What is in each bin, along the last axis."""

    wrong: Any
    """Their number: `UInt64`, or with fractional weights `DoubleFloat`, as is `right`."""
    right: Any
    confidence: DoubleFloat
    """The sum of their confidences."""

    @property
    def size(self) -> Any:
        return self.wrong + self.right

    @property
    def gap(self) -> Array:
        """How many more were right than the confidences say."""
        return (DoubleFloat.of(self.right) - self.confidence).to_float()


def sums_of(task: Any, held: Any) -> DoubleFloat:
    """The sums of what is in [0, 1], from their two words of fixed point."""
    if task.weighted:
        return held
    words = (DoubleFloat.of(held[..., k]) for k in (0, 1))
    high, low = (_scaled(word, 2.0**exponent) for word, exponent in zip(words, (16 - POINT, -POINT), strict=True))
    return high + low


def _scaled(number: DoubleFloat, power: float) -> DoubleFloat:
    return DoubleFloat(number.high * np.float32(power), number.low * np.float32(power))


@spec
class OfConfidences(Metric):
    """What is read off the calibration counts of a task.

    `Multiclass` reads the confidence in the predicted class, or in one class with `class_id`; `Multilabel` all elements
    together, or one label.
    """

    task: Any
    bins: int = 15
    class_id: int | None = dataclasses.field(default=None, kw_only=True)
    binning: str = dataclasses.field(default="width", kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities")
        _checks.one_reading(self, False, isinstance(self.task, Binary))
        _checks.choice(self, "binning", BINNINGS)
        check_bins(self)
        check_size(self, self.statistic)

    @property
    def statistic(self) -> statistics.CalibrationCounts:
        top = isinstance(self.task, Multiclass) and self.class_id is None
        return statistics.CalibrationCounts(ranked(self.task), self.bins, self.binning, top)

    def contents(self, counts: Mapping[str, Any]) -> tuple[Bins, Array]:
        """What is in the bins, and the edges between them, `(bins + 1,)`."""
        cells, confidence = counts["cells"], counts["confidence"]
        if self.class_id is not None:
            cells, confidence = cells[self.class_id], confidence[self.class_id]
        elif isinstance(self.task, Multilabel):
            cells, confidence = cells.sum(0), confidence.sum(0)
        held = Bins(cells[0], cells[1], sums_of(self.task, confidence).sum(0))
        if self.binning == "width":
            return held, jnp.asarray(np.linspace(0, 1, self.bins + 1), float_dtype())
        return self._of_one_mass(held)

    def _of_one_mass(self, fine: Bins) -> tuple[Bins, Array]:
        """Fine bins joined to bins of as many examples each, to within a fine bin."""
        sums = Bins(*(each.cumsum() for each in (fine.wrong, fine.right, fine.confidence)))
        size, upto = fine.size.to_float(), sums.size.to_float()
        middle = ratio(upto - 0.5 * size, upto[-1:])
        joined = jnp.clip(jnp.floor(middle * self.bins), 0, self.bins - 1)  # NaN without examples: all in one
        first = jnp.searchsorted(joined, jnp.arange(self.bins + 1).astype(joined.dtype), side="left")
        first = first.at[-1].set(len(size))

        def between(sums: Any) -> Any:
            before = type(sums)(*(jnp.pad(word, (1, 0)) for word in (sums.high, sums.low)))[first]
            return before[1:] - before[:-1]

        lows = np.append(self.statistic.layout.bottoms, np.float32(1))
        return Bins(*map(between, sums)), jnp.asarray(lows, float_dtype())[first]


@spec
class CalibrationError(OfConfidences):
    """Σ n_k / n · |accuracy_k − confidence_k| over bins k of the confidence: the expected calibration error.

    `norm="l1"` is that mean, `"l2"` the root of the mean square, `"max"` the greatest. Of `Binary` the confidence is
    the probability of the positive class, and accuracy how often that was true; of `Multiclass` both are of the
    predicted class, or of one class against the rest with `class_id`; of `Multilabel` of all elements, or of one label.
    `binning="width"` has `bins` bins of one width, the last closed; `"mass"` bins of as many examples each, to within a
    bin of a histogram of 4,096. Confidences are summed in fixed point: any split has the same counts. Logits are taken
    to probabilities. NaN without examples. Raises `ValueError` for scores and labels. The definition is Naeini, Cooper
    and Hauskrecht's (2015).

    >>> from streammetrics import Binary
    >>> round(float(CalibrationError(Binary("probabilities"), bins=2)([0.1, 0.3, 0.8, 0.9], [0, 1, 1, 1])), 4)
    0.225
    """

    norm: str = "l1"

    def __post_init__(self) -> None:
        _checks.choice(self, "norm", ("l1", "l2", "max"))

    def read(self, counts: Mapping[str, Any]) -> Array:
        bins, _ = self.contents(counts)
        size = bins.size.to_float()
        gaps, share = ratio(jnp.abs(bins.gap), size), ratio(size, bins.size.sum().to_float())
        gaps = jnp.where(size > 0, gaps, 0) + 0 * share  # NaN without examples
        if self.norm == "max":
            return jnp.max(gaps)
        return jnp.sum(share * gaps) if self.norm == "l1" else jnp.sqrt(jnp.sum(share * gaps * gaps))


@spec
class ReliabilityDiagram(OfConfidences):
    """In each bin of the confidence how many examples, the mean confidence, and the share that was right: as a dict.

    `counts` are exact `UInt64`s (sums with `weighted=True`), `confidence` and `accuracy` are NaN where there are none,
    each `(bins,)`; `edges`, `(bins + 1,)`, are those of the bins. Fields as for `CalibrationError`.

    >>> from streammetrics import Binary, plain
    >>> plain(ReliabilityDiagram(Binary("probabilities"), bins=2)([0.25, 0.25, 0.5, 1.0], [0, 1, 1, 1]))
    {'counts': [2, 2], 'confidence': [0.25, 0.75], 'accuracy': [0.5, 1.0], 'edges': [0.0, 0.5, 1.0]}
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        bins, edges = self.contents(counts)
        size = bins.size.to_float()
        return {
            "counts": size if self.task.weighted else bins.size,
            "confidence": ratio(bins.confidence.to_float(), size),
            "accuracy": ratio(bins.right.to_float(), size),
            "edges": edges,
        }


@spec
class OfClassConfidences(Metric):
    """What is read off the calibration counts of each class against the rest.

    One value per class, of one class with `class_id`, of all together with `average="micro"`; `Binary` reads its
    positive class and takes neither.
    """

    task: Any
    bins: int = 15
    average: str | None = dataclasses.field(default=None, kw_only=True)
    class_id: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities")
        _checks.choice(self, "average", (None, "micro"))
        _checks.one_reading(self, self.average is not None, isinstance(self.task, Binary))
        check_bins(self)
        check_size(self, self.statistic)

    def picked(self, counts: Any) -> Any:
        if self.class_id is not None:
            return counts[self.class_id]
        return counts.sum(0) if self.average == "micro" else counts


@spec
class CalibrationRatio(OfClassConfidences):
    """Σ p / Σ y: how many were expected for each that happened; above 1 the probabilities are too great.

    One value per class, `(C,)`; further fields as for `ROC`; `bins` only says whose counts are shared, those of
    `CalibrationError` by default. NaN without positives.

    >>> from streammetrics import Binary
    >>> round(float(CalibrationRatio(Binary("probabilities"))([0.1, 0.4, 0.7], [0, 0, 1])), 4)
    1.2
    """

    @property
    def statistic(self) -> statistics.CalibrationCounts:
        return statistics.CalibrationCounts(ranked(self.task), self.bins)

    def read(self, counts: Mapping[str, Any]) -> Array:
        expected = self.picked(sums_of(self.task, counts["confidence"])).sum((-2, -1)).to_float()
        return ratio(expected, self.picked(counts["cells"])[..., 1, :].sum(-1).to_float())


@spec
class BrierDecomposition(OfClassConfidences):
    """reliability − resolution + uncertainty + variance − covariance: the Brier score, by what makes it, as a dict.

    Over `bins` bins of one width k of the probability p, of mean p_k and share of positives y_k: `reliability` is
    Σ n_k / n (p_k − y_k)², `resolution` Σ n_k / n (y_k − y)², `uncertainty` y (1 − y); `variance` Σ (p − p_k)² / n and
    `covariance` 2 Σ (p − p_k)(y − y_k) / n are within the bins, and make the sum exact; `brier` is Σ (p − y)² / n. One
    value each per class against the rest, `(C,)`; further fields as for `ROC`. NaN without examples. The definition is
    Murphy's (1973), with Stephenson, Coelho and Jolliffe's two terms (2008).

    >>> from streammetrics import Binary, plain
    >>> found = plain(BrierDecomposition(Binary("probabilities"), bins=2)([0.25, 0.25, 0.5, 1.0], [0, 1, 1, 1]))
    >>> {name: round(value, 4) for name, value in found.items()}
    {'brier': 0.2188, 'reliability': 0.0625, 'resolution': 0.0625, 'uncertainty': 0.1875, 'variance': 0.0312, \
'covariance': 0.0}
    """

    @property
    def statistic(self) -> statistics.CalibrationCounts:
        return statistics.CalibrationCounts(ranked(self.task), self.bins, squares=True)

    def read(self, counts: Mapping[str, Any]) -> dict[str, Array]:
        cells = self.picked(counts["cells"])
        sums, squares = (self.picked(sums_of(self.task, counts[name])) for name in ("confidence", "squares"))
        bins = Bins(cells[..., 0, :], cells[..., 1, :], sums.sum(-2))
        size, positive = bins.size, bins.right
        every, events = size.sum(-1).to_float(), positive.sum(-1).to_float()
        share, event_share = size.to_float() / jnp.where(every > 0, every, 1)[..., None], ratio(events, every)
        rest = (size - positive).sum(-1).to_float()
        # Products and quotients of sums, in as many digits as the sums have.
        n, y, p = (_pair(DoubleFloat.of(x)) for x in (size, positive, bins.confidence))
        around = squares.sum(-2) - DoubleFloat(*divide(multiply(p, p), n))
        together = sums[..., 1, :] - DoubleFloat(*divide(multiply(p, y), n))
        errors = squares.sum((-2, -1)) + DoubleFloat.of(positive.sum(-1))
        errors = errors - _scaled(sums[..., 1, :].sum(-1), 2.0)
        gap = jnp.where(share > 0, ratio(bins.gap, size.to_float()), 0)
        beyond = jnp.where(share > 0, ratio(positive.to_float(), size.to_float()) - event_share[..., None], 0)
        return {
            "brier": ratio(errors.to_float(), every),
            "reliability": ratio(jnp.sum(share * gap * gap, -1), (every > 0).astype(every.dtype)),
            "resolution": ratio(jnp.sum(share * beyond * beyond, -1), (every > 0).astype(every.dtype)),
            "uncertainty": event_share * ratio(rest, every),
            "variance": ratio(around.sum(-1).to_float(), every),
            "covariance": ratio(_scaled(together.sum(-1), 2.0).to_float(), every),
        }


def _pair(number: DoubleFloat) -> tuple[Array, Array]:
    return number.high, number.low
