"""`bounds`: between what a value lies that is read off a histogram."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from streammetrics._collection import Collection
from streammetrics._metric import Beside, Metric
from streammetrics._spec import spec
from streammetrics._state import State, part
from streammetrics.metrics import PRAUC, BestThreshold, DistinctCount, OneVsOneAUROC, Quantile
from streammetrics.metrics._histograms import Area
from streammetrics.metrics._operating import Constrained


class Bounds(NamedTuple):
    """The least and the greatest value that the scores may have, of the value's shape."""

    lower: Any
    upper: Any


@spec
class Bounded(Beside):
    """The bounds of a metric's value."""

    def read(self, counts: Mapping[str, Any]) -> Bounds:
        if isinstance(self.metric, Area | OneVsOneAUROC | Constrained | Quantile):
            estimate = self.metric.estimate(counts)
            return Bounds(estimate.lower, estimate.upper)
        value = self.metric.read(counts)
        return Bounds(value, value)


def bounds(metric: Metric, state: State, on_invalid: str = "raise") -> Any:
    """The proven bounds of a metric's value, `Bounds(lower, upper)`, rounded outward; equal where the value is exact.

    A histogram does not know the order of the scores within a bin: the bounds are the values of the worst and of the
    best order; where there is one order only, both are the value, as it is rounded. Of `AUROC`, `Gini`, `LogAUC`,
    `AveragePrecision`, `KolmogorovSmirnov`, `EqualErrorRate` and `OneVsOneAUROC` they hold the value that the scores
    themselves (in float32) have; of `PrecisionAtRecall` and its kin the value at the best of all thresholds, those
    within a bin too; of `Quantile` the quantile of the values (in float32). Bounds of an average are the averages of
    bounds. Metrics that are no estimates, curves among them, have equal ones. A collection gives a dict. The state may
    be one of a collection that counts the metric's statistic, too; `on_invalid` is as in `compute`. Raises `TypeError`
    for estimates without proven bounds.

    >>> import streammetrics as sm
    >>> metric = sm.AUROC(sm.Binary("probabilities"))
    >>> state = metric.tally([0.2, 0.3, 0.3, 0.4], [0, 0, 1, 1])
    >>> lower, upper = sm.bounds(metric, state)
    >>> round(float(lower), 4), float(metric.compute(state)), round(float(upper), 4)
    (0.75, 0.875, 1.0)
    """
    if not isinstance(metric, Metric):
        raise TypeError(f"bounds: got {metric!r}, but a metric is due")
    return _bounded(metric).compute(part(state, metric.statistic), on_invalid)


def _bounded(metric: Metric) -> Metric:
    if metric.parts:
        return Collection({name: _bounded(each) for name, each in metric.parts})
    if isinstance(metric, PRAUC | BestThreshold | DistinctCount) or getattr(metric, "binning", None) == "mass":
        raise TypeError(f"bounds: {metric!r} is an estimate without proven bounds")
    return Bounded(metric)
