"""Curves over all thresholds, read off a histogram of scores."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from streammetrics._spec import spec
from streammetrics.metrics._averages import picked
from streammetrics.metrics._histograms import Cut, ratio


@spec
class ROC(Cut):
    """fp / (fp + tn) against tp / (tp + fn), over thresholds from the highest down: the ROC curve, as a dict.

    `fpr`, `tpr` are `(bins + 1,)`, a little more for the bins at the ends, `(C, bins + 1)` for the classes of
    `Multiclass` and the labels of `Multilabel`; of one of them with `class_id`, of all together with
    `average="micro"`. `thresholds`, `(bins + 1,)`, are `DoubleFloat`s on the scale of a task's threshold, so that
    `float(…)` is one: what is strictly above is predicted positive. The first has nothing above it; the last, −inf, has
    everything, which no threshold of a task can say. Fields as for `AUROC`. NaN without positives, or negatives.

    >>> from streammetrics import Binary
    >>> curve = ROC(Binary("probabilities"), bins=64)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> sorted(set(zip(curve["fpr"].tolist(), curve["tpr"].tolist())))
    [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        h = self.histogram(counts)
        return {"fpr": h.fpr, "tpr": h.tpr, "thresholds": self.thresholds}


@spec
class PrecisionRecallCurve(Cut):
    """tp / (tp + fp) against tp / (tp + fn), over thresholds from the highest down, as a dict.

    `precision`, `recall` and `thresholds` as for `ROC`. Where nothing is predicted precision reads 1, as in
    scikit-learn. Recall is NaN without positives.

    >>> from streammetrics import Binary
    >>> curve = PrecisionRecallCurve(Binary("probabilities"), bins=64)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> sorted(set(zip(curve["recall"].tolist(), curve["precision"].tolist())))[:3]
    [(0.0, 1.0), (0.5, 0.5), (0.5, 1.0)]
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        h = self.histogram(counts)
        precision = ratio(h.above.tp, h.above.tp + h.above.fp)
        seen = h.positives + h.negatives > 0
        precision = jnp.where(jnp.isnan(precision) & seen[..., None], 1, precision)
        return {"precision": precision, "recall": h.tpr, "thresholds": self.thresholds}


@spec
class DetCurve(Cut):
    """fp / (fp + tn) against fn / (fn + tp), over thresholds from the highest down: both errors, as a dict.

    `fpr`, `fnr` and `thresholds` as for `ROC`.

    >>> from streammetrics import Binary
    >>> curve = DetCurve(Binary("probabilities"), bins=64)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> sorted(set(zip(curve["fpr"].tolist(), curve["fnr"].tolist())))
    [(0.0, 0.5), (0.0, 1.0), (0.5, 0.0), (0.5, 0.5), (1.0, 0.0)]
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        h = self.histogram(counts)
        return {"fpr": h.fpr, "fnr": h.fnr, "thresholds": self.thresholds}


@spec
class CumulativeGains(Cut):
    """tp / (tp + fn) against (tp + fp) / n: which share of the positives the highest scores hold, as a dict.

    `share`, of all examples, `gain`, of the positives, and `thresholds` as for `ROC`.

    >>> from streammetrics import Binary
    >>> curve = CumulativeGains(Binary("probabilities"), bins=64)([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> sorted(set(zip(curve["share"].tolist(), curve["gain"].tolist())))
    [(0.0, 0.0), (0.25, 0.5), (0.5, 0.5), (0.75, 1.0), (1.0, 1.0)]
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        h = self.histogram(counts)
        share = ratio(h.above.tp + h.above.fp, (h.positives + h.negatives)[..., None])
        return {"share": share, "gain": h.tpr, "thresholds": self.thresholds}


@spec
class Lift(Cut):
    """precision / prevalence against (tp + fp) / n: by how much the highest scores hold more positives, as a dict.

    `share`, of all examples, `lift` and `thresholds` as for `ROC`; NaN where nothing is predicted.

    >>> from streammetrics import Binary
    >>> curve = Lift(Binary("probabilities"), bins=64)([0.1, 0.4, 0.35, 0.8], [0, 0, 0, 1])
    >>> dict(zip(curve["share"].tolist(), curve["lift"].tolist()))[0.25]
    4.0
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        h = self.histogram(counts)
        every = (h.positives + h.negatives)[..., None]
        share = ratio(h.above.tp + h.above.fp, every)
        lift = ratio(ratio(h.above.tp, h.above.tp + h.above.fp), ratio(h.positives[..., None], every))
        return {"share": share, "lift": lift, "thresholds": self.thresholds}


@spec
class ScoreDistribution(Cut):
    """How many negatives and positives have scores in each bin, as a dict.

    `negative` and `positive` are exact `UInt64`s (sums with `weighted=True`) of about `bins` bins in ascending order,
    `(C, bins)` for several classes; `low` and `high` are the least and the greatest score of each bin: probabilities,
    logits (log-odds of `Multiclass`) or scores. Fields as for `ROC`.

    >>> from streammetrics import Binary, plain
    >>> found = plain(ScoreDistribution(Binary("probabilities"), bins=64)([0.1, 0.1, 0.8], [0, 0, 1]))
    >>> [(n, p) for n, p in zip(found["negative"], found["positive"]) if n + p]
    [(2, 0), (0, 1)]
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        cells, layout = picked(self, counts["cells"]), self.statistic.layout
        negative, positive = (cells[..., target, :] for target in (0, 1))
        if self.task.weighted:
            negative, positive = negative.to_float(), positive.to_float()
        low, high = (jnp.asarray(ends) for ends in (layout.bottoms, layout.tops))
        return {"negative": negative, "positive": positive, "low": low, "high": high}
