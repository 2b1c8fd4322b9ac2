"""Metrics of predicted classes."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Binary, Multiclass, Multilabel, check_task, counted
from streammetrics.metrics._averages import ClassMetric, Picked, Rate, divided, events_of
from streammetrics.statistics._classes import check_table


@spec
class Accuracy(Rate):
    """(tp + tn) / n: the share of right predictions; of a class of `Multiclass`, tp / (tp + fn), the share of its own.

    Over all examples by default; over elements for `Multilabel`, whose labels each have (tp + tn) / n. Further fields
    are those of every average: see `Recall`. NaN without examples. The definition is scikit-learn's `accuracy_score`.

    >>> from streammetrics import Multiclass
    >>> float(Accuracy(Multiclass(3, "labels"))([0, 2, 1, 1], [0, 1, 1, 1]))
    0.75
    """

    default_average = "micro"
    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        if isinstance(self.task, Multiclass):
            return tp, tp + fn
        return tp + tn, tp + tn + fp + fn


@spec
class Precision(Rate):
    """tp / (tp + fp): of what was predicted as a class, the share that was of it.

    The mean over classes by default; `average=None` gives one value per class, `class_id` that of one: see `Recall`
    for the fields. 0/0 is `undefined`, NaN without examples. The definition is scikit-learn's `precision_score`.

    >>> from streammetrics import Multiclass
    >>> Precision(Multiclass(3, "labels"), average=None)([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
    [1.0, 0.5, 1.0]
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp


@spec
class Recall(Rate):
    """tp / (tp + fn): of what there was of a class, the share that was found.

    `average` is None (one value per class, `(C,)`), `"micro"` (of all classes' events), `"macro"` (the mean over
    classes, the default) or `"weighted"` (the mean by support); `class_id` picks one class; `Binary` reads the
    positive class and takes neither. `over` says which classes enter a macro average: `"present"` (in predictions or
    targets, the default of `Multiclass`), `"all"` (the default of `Multilabel`) or `"support"`. `undefined` is the
    value of 0/0 once any example was counted: 0.0, 1.0, or `"nan"`, which averages leave out. Without examples NaN.
    Raises `ValueError` for `average` with `class_id`. The definition is scikit-learn's `recall_score`.

    >>> from streammetrics import Multiclass
    >>> float(Recall(Multiclass(3, "labels"), class_id=2)([0, 1, 1, 2], [0, 1, 2, 2]))
    0.5
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fn


@spec
class Specificity(Rate):
    """tn / (tn + fp): of what was not of a class, the share that was not predicted as it.

    Fields as for `Recall`. Also called the true negative rate.

    >>> from streammetrics import Binary
    >>> float(Specificity(Binary("labels"))([0, 1, 0, 1], [0, 0, 0, 1]))
    0.6666666865348816
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fp


@spec
class FBeta(Rate):
    """(1 + β²) tp / ((1 + β²) tp + β² fn + fp): the harmonic mean of precision and recall, recall weighing β times.

    Fields as for `Recall`. The definition is scikit-learn's `fbeta_score`. Raises `ValueError` for a negative β.

    >>> from streammetrics import Binary
    >>> round(float(FBeta(Binary("labels"), beta=2.0)([0, 1, 1, 1], [0, 0, 1, 1])), 4)
    0.9091
    """

    beta: float = 1.0

    higher_is_better = True

    def __post_init__(self) -> None:
        if not 0 <= self.beta < float("inf"):
            raise ValueError(f"FBeta: beta is {self.beta}, but must be finite and not negative")

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        share = 1 / (1 + self.beta * self.beta)  # divided by 1 + β², which may overflow
        return tp, tp + (1 - share) * fn + share * fp


@spec
class F1(Rate):
    """2 tp / (2 tp + fn + fp): the harmonic mean of precision and recall.

    Fields as for `Recall`. The definition is scikit-learn's `f1_score`.

    >>> from streammetrics import Binary
    >>> float(F1(Binary("labels"))([0, 1, 1, 1], [0, 0, 1, 1]))
    0.800000011920929
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return 2 * tp, 2 * tp + fn + fp


@spec
class StatScores(Picked, ClassMetric):
    """tp, fp, tn, fn and support (tp + fn): the numbers of events, as a dict.

    Each is a `UInt64` of shape `(C,)`, of one class with `class_id` or for `Binary`, of all classes together with
    `average="micro"`; with `weighted=True` sums in float32 (float64 under x64).

    >>> import streammetrics as sm
    >>> sm.plain(StatScores(sm.Binary("labels"))([0, 1, 1], [0, 0, 1]))
    {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0, 'support': 1}
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        return self.picked(events_of(self.task, counts)).scores(self.task)


@spec
class ExactMatch(Metric):
    """n right / n: the share of examples of which everything is predicted right, the subset accuracy of `Multilabel`.

    Labels that are ignored are not judged; an example is invalid where any other label is, and absent where all are
    ignored. Of `Binary` and `Multiclass` it is the accuracy. Weights are one per example. NaN without examples. The
    definition is scikit-learn's `accuracy_score`.

    >>> from streammetrics import Multilabel
    >>> float(ExactMatch(Multilabel(2, "labels"))([[0, 1], [1, 1]], [[0, 1], [0, 1]]))
    0.5
    """

    task: Any

    higher_is_better = True

    def __post_init__(self) -> None:
        check_task(self)

    @property
    def statistic(self) -> Statistic:
        kind = statistics.ExactMatches if isinstance(self.task, Multilabel) else statistics.ClassCounts
        return kind(counted(self.task))

    def read(self, counts: Mapping[str, Any]) -> Array:
        if isinstance(self.task, Multilabel):
            wrong, right = counts["matches"]
        else:
            events = events_of(self.task, counts)
            pairs = isinstance(self.task, Binary)
            right, wrong = (
                (events.tp + events.tn, events.fp + events.fn) if pairs else (events.tp.sum(), events.fn.sum())
            )
        return divided(right.to_float(), (right + wrong).to_float()).settled("nan", counts)


def whole_table(task: Any) -> Statistic:
    """The statistic that holds every pair of classes, the one of other metrics where that does."""
    counts = statistics.ClassCounts(counted(task))
    return counts if "cells" in counts.accumulators else statistics.Confusion(counts.task)


@spec
class ConfusionMatrix(Metric):
    """n[i, j]: how many examples of class i were predicted as class j; rows are true classes.

    `Multiclass` (C, C), `Binary` (2, 2), `Multilabel` (L, 2, 2), as `UInt64`. With `normalize` a share, floating:
    `"true"` of the row, `"predicted"` of the column, `"all"` of everything; 0/0 is 0, NaN without examples. With
    `weighted=True` sums in float32 (float64 under x64). Refuses more than 8,192 classes. The definition is
    scikit-learn's `confusion_matrix` and `multilabel_confusion_matrix`.

    >>> from streammetrics import Multiclass
    >>> ConfusionMatrix(Multiclass(2, "labels"))([0, 1, 1], [0, 0, 1])
    UInt64([[1, 1], [0, 1]])
    """

    task: Any
    normalize: str | None = None

    def __post_init__(self) -> None:
        check_task(self)
        _checks.choice(self, "normalize", (None, "true", "predicted", "all"))
        check_table(self)

    @property
    def statistic(self) -> Statistic:
        return whole_table(self.task)

    def read(self, counts: Mapping[str, Any]) -> Any:
        cells = counts["cells"]
        if self.normalize is None:
            return cells.to_float() if self.task.weighted else cells
        value = cells.to_float()
        axes = {"true": (-1,), "predicted": (-2,), "all": (-2, -1)}[self.normalize]
        total = jnp.sum(value, axes, keepdims=True)
        empty = jnp.where(counts["examples"] > 0, 0, jnp.nan).astype(value.dtype)
        return jnp.where(total == 0, empty, value / jnp.where(total == 0, 1, total))
