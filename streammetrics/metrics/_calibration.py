"""Calibration: whether what is said to have a probability happens as often."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._double import DoubleFloat
from streammetrics._jax import float_dtype
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Binary, Multiclass, Multilabel, check_task, ranked
from streammetrics.metrics._averages import divided, picked
from streammetrics.metrics._histograms import ratio
from streammetrics.statistics._calibration import BINNINGS, POINT, check_bin_count
from streammetrics.statistics._histograms import check_bins_size


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
    high, low = (DoubleFloat.of(held[..., k]) for k in (0, 1))
    return high * 2.0 ** (16 - POINT) + low * 2.0**-POINT


@spec
class Calibration(Metric):
    """What is read off the calibration counts of a task, of all or with `class_id` of one class or label."""

    task: Any
    bins: int = 15
    class_id: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities")
        _checks.one_reading(self, getattr(self, "average", None) is not None, isinstance(self.task, Binary))
        check_bin_count(self)


@spec
class OfConfidences(Calibration):
    """What is read off confidences: of `Multiclass` in the predicted class, of `Multilabel` of all elements."""

    binning: str = dataclasses.field(default="width", kw_only=True)

    def __post_init__(self) -> None:
        _checks.choice(self, "binning", BINNINGS)
        check_bins_size(self)

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
            before = sums.after_zero()[first]
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

    higher_is_better = False

    def __post_init__(self) -> None:
        _checks.choice(self, "norm", ("l1", "l2", "max"))

    def read(self, counts: Mapping[str, Any]) -> Array:
        bins, _ = self.contents(counts)
        size, every = bins.size.to_float(), bins.size.sum().to_float()
        gaps = divided(jnp.abs(bins.gap), size).number  # 0 where a bin is empty
        share = divided(size, every).number
        sums = {"l1": gaps, "l2": gaps * gaps}
        value = jnp.max(gaps) if self.norm == "max" else jnp.sum(share * sums[self.norm])
        return jnp.where(every > 0, jnp.sqrt(value) if self.norm == "l2" else value, jnp.nan)


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
class OfClassConfidences(Calibration):
    """What is read off the confidences of each class against the rest.

    One value per class, of one class with `class_id`, of all together with `average="micro"`; `Binary` reads its
    positive class and takes neither.
    """

    average: str | None = dataclasses.field(default=None, kw_only=True)

    squares: ClassVar[bool] = False
    """Whether squares of confidences are read too."""

    def __post_init__(self) -> None:
        _checks.choice(self, "average", (None, "micro"))
        check_bins_size(self)

    @property
    def statistic(self) -> statistics.CalibrationCounts:
        return statistics.CalibrationCounts(ranked(self.task), self.bins, squares=self.squares)


@spec
class CalibrationRatio(OfClassConfidences):
    """Σ p / Σ y: how many were expected for each that happened; above 1 the probabilities are too great.

    One value per class, `(C,)`; further fields as for `ROC`; `bins` only says whose counts are shared, those of
    `CalibrationError` by default. Each p is summed to 2^-32. NaN without positives.

    >>> from streammetrics import Binary
    >>> round(float(CalibrationRatio(Binary("probabilities"))([0.1, 0.4, 0.7], [0, 0, 1])), 4)
    1.2
    """

    def read(self, counts: Mapping[str, Any]) -> Array:
        expected = picked(self, sums_of(self.task, counts["confidence"])).sum((-2, -1)).to_float()
        return ratio(expected, picked(self, counts["cells"])[..., 1, :].sum(-1).to_float())


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

    squares = True

    def read(self, counts: Mapping[str, Any]) -> dict[str, Array]:
        cells = picked(self, counts["cells"])
        sums, squares = (picked(self, sums_of(self.task, counts[name])) for name in ("confidence", "squares"))
        bins = Bins(cells[..., 0, :], cells[..., 1, :], sums.sum(-2))
        n, y, p, sure = (DoubleFloat.of(x) for x in (bins.size, bins.right, bins.confidence, sums[..., 1, :]))
        size, every = n.to_float(), n.sum(-1).to_float()
        events = ratio(y.sum(-1).to_float(), every)
        share = divided(size, every[..., None]).number
        gap = divided(bins.gap, size).number
        beyond = jnp.where(size > 0, divided(y.to_float(), size).number - events[..., None], 0)
        # Within the bins: squares less what their means explain, in as many digits as the sums have.
        variance = jnp.maximum((squares.sum(-2) - (p * p).quotient(n)).sum(-1).to_float(), 0)
        covariance = ((sure - (p * y).quotient(n)).sum(-1) * 2.0).to_float()
        errors = squares.sum((-2, -1)) + y.sum(-1) - sure.sum(-1) * 2.0
        values = {
            "brier": divided(errors.to_float(), every).number,
            "reliability": jnp.sum(share * gap * gap, -1),
            "resolution": jnp.sum(share * beyond * beyond, -1),
            "uncertainty": events * ratio((n - y).sum(-1).to_float(), every),
            "variance": divided(variance, every).number,
            "covariance": divided(covariance, every).number,
        }
        return {name: jnp.where(every > 0, value, jnp.nan) for name, value in values.items()}
