"""Metrics at given thresholds."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from streammetrics import _checks, statistics
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import check_thresholds, ranked
from streammetrics.metrics._averages import Events, Picked


@spec
class StatScoresAt(Picked):
    """tp, fp, tn, fn and support at each of some thresholds: the numbers of events, as a dict.

    Each is an exact `UInt64` of shape `(T,)`, in the order of `thresholds`; `(C, T)` for the classes of `Multiclass`,
    each against the rest by its own score (of logits its probability), and for the labels of `Multilabel`; `(T,)` of
    one of them with `class_id` and of all together with `average="micro"`. A score is positive strictly above a
    threshold, which is a probability where the inputs are logits or probabilities, as `Binary` has it. With
    `weighted=True` sums in float32 (float64 under x64). Raises `ValueError` for predicted labels and for no thresholds.

    >>> from streammetrics import Binary
    >>> scores = StatScoresAt(Binary("probabilities"), (0.3, 0.5))([0.4, 0.9, 0.2], [0, 1, 1])
    >>> (scores["tp"] / (scores["tp"] + scores["fp"])).tolist()  # the precision at each
    [0.5, 1.0]
    """

    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_thresholds(self, self.task, self.thresholds)

    @property
    def statistic(self) -> Statistic:
        return statistics.ThresholdCounts(ranked(self.task), self.thresholds)

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        cells = counts["cells"]
        # What is in the cells from each on: the scores above the threshold before it.
        above = cells[..., ::-1].cumsum()[..., ::-1]
        ascending = sorted(set(self.thresholds))
        at = jnp.array([ascending.index(threshold) + 1 for threshold in self.thresholds])
        fp, tp = (above[..., target, at] for target in (0, 1))
        negatives, positives = (above[..., target, :1] for target in (0, 1))
        return self.picked(Events(tp, fp, positives - tp, negatives - fp)).scores(self.task)
