"""Metrics of predicted probabilities."""

from collections.abc import Mapping
from typing import Any

from jax import Array

from streammetrics import statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import check_task, ranked


@spec
class LogLoss(Metric):
    """mean of −log p(target): the cross-entropy in nats of predicted probabilities against the targets.

    The task's inputs are logits, from which the logarithm is taken without leaving their range, or probabilities,
    clipped to [ε, 1 − ε] of their dtype; rows of `Multiclass` that do not sum to 1 (within √ε) are invalid, and so is
    an infinite loss of infinite logits. `Multilabel` is the mean over elements. Weights may be fractions. NaN without
    examples. The definition is scikit-learn's `log_loss`. Raises `ValueError` for scores and labels.

    >>> from streammetrics import Binary
    >>> round(float(LogLoss(Binary("probabilities"))([0.8, 0.4], [1, 0])), 4)
    0.367
    """

    task: Any

    def __post_init__(self) -> None:
        check_task(self)
        if self.task.inputs not in ("logits", "probabilities"):
            raise ValueError(
                f"LogLoss: the task's inputs are {self.task.inputs!r}, but must be 'logits' or 'probabilities'"
            )

    @property
    def statistic(self) -> Statistic:
        return statistics.LogLosses(ranked(self.task))

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["loss"].average()
