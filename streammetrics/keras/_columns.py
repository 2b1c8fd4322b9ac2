"""One column of the outputs at a threshold, as the package keras-metrics read it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from streammetrics import _checks
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Binary, check_task, check_thresholds, ranked
from streammetrics.metrics._averages import Events, divided
from streammetrics.statistics import ThresholdCounts

COUNTS = ("true_positive", "true_negative", "false_positive", "false_negative")
RATIOS = ("precision", "recall", "f1_score")


@spec
class Column(Metric):
    """A count or ratio of the events of one class, which is predicted where its own column is above a threshold.

    `quantity` is `"true_positive"`, `"true_negative"`, `"false_positive"` or `"false_negative"`, an exact `UInt64` (a
    float where the task is weighted); or `"precision"`, tp / (tp + fp), `"recall"`, tp / (tp + fn), or `"f1_score"`,
    2 tp / (2 tp + fp + fn): floats, 0/0 reads 0, NaN without examples. `label` is the column, and the class, of
    `Multiclass` and `Multilabel`; `Binary` has column 0 alone. The threshold is one of the task's scale, strictly to be
    exceeded; that of the task is not read. An example may so be predicted as several classes or none, where
    `sm.Precision` and its kin take the argmax. Raises `ValueError` for predicted labels and for a label that is no
    column.

    >>> import streammetrics as sm
    >>> task = sm.Multiclass(3, "probabilities")
    >>> predictions, targets = [[0.4, 0.3, 0.3], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]], [0, 0, 2]
    >>> float(Column(task, "recall", label=0)(predictions, targets))  # the argmax finds both
    0.5
    """

    task: Any
    quantity: str
    label: int = dataclasses.field(default=0, kw_only=True)
    threshold: float = dataclasses.field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities", "scores")
        _checks.choice(self, "quantity", COUNTS + RATIOS)
        check_thresholds(self, self.task, (self.threshold,))
        columns = 1 if isinstance(self.task, Binary) else self.task.classes
        if not 0 <= self.label < columns:
            due = f"from 0 to {columns - 1}" if columns > 1 else "0, the only column"
            raise ValueError(f"Column: label is {self.label}, but must be {due}")

    @property
    def higher_is_better(self) -> bool | None:  # pyright: ignore[reportIncompatibleVariableOverride]  # of a ratio
        return True if self.quantity in RATIOS else None

    @property
    def statistic(self) -> Statistic:
        return ThresholdCounts(ranked(self.task), (self.threshold,))

    def read(self, counts: Mapping[str, Any]) -> Any:
        cells = counts["cells"] if isinstance(self.task, Binary) else counts["cells"][self.label]
        events = Events(tp=cells[1, 1], fp=cells[0, 1], fn=cells[1, 0], tn=cells[0, 0])
        if self.quantity in COUNTS:
            ordered = (events.tp, events.tn, events.fp, events.fn)
            count = ordered[COUNTS.index(self.quantity)]
            return count.to_float() if self.task.weighted else count
        tp, fp, fn, _ = events.to_floats()
        wrong = {"precision": fp, "recall": fn, "f1_score": (fp + fn) / 2}[self.quantity]
        return divided(tp, tp + wrong).settled(0.0, counts)
