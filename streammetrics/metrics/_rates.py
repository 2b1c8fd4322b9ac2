"""Further ratios of the events of each class: error rates, predictive values, overlaps and shares."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jax import Array

from streammetrics import _checks
from streammetrics._spec import spec
from streammetrics._tasks import Binary, Multiclass, check_task
from streammetrics.metrics._averages import (
    DEFAULT,
    OVER,
    ClassMetric,
    Rate,
    default_over,
    divided,
    events_of,
    mean_over_classes,
)


@spec
class NegativePredictiveValue(Rate):
    """tn / (tn + fn): of what was not predicted as a class, the share that was not of it.

    Fields as for `Recall`.

    >>> from streammetrics import Binary
    >>> float(NegativePredictiveValue(Binary("labels"))([0, 0, 1, 0], [0, 1, 1, 0]))
    0.6666666865348816
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fn


@spec
class FalsePositiveRate(Rate):
    """fp / (fp + tn): of what was not of a class, the share that was predicted as it (1 − specificity, the fall-out).

    Fields as for `Recall`.

    >>> from streammetrics import Binary
    >>> float(FalsePositiveRate(Binary("labels"))([1, 0, 1, 0], [0, 0, 1, 0]))
    0.3333333432674408
    """

    higher_is_better = False

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return fp, fp + tn


@spec
class FalseNegativeRate(Rate):
    """fn / (fn + tp): of what there was of a class, the share that was missed (1 − recall, the miss rate).

    Fields as for `Recall`.

    >>> from streammetrics import Binary
    >>> float(FalseNegativeRate(Binary("labels"))([1, 0, 0, 0], [1, 1, 1, 0]))
    0.6666666865348816
    """

    higher_is_better = False

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return fn, fn + tp


@spec
class FalseDiscoveryRate(Rate):
    """fp / (fp + tp): of what was predicted as a class, the share that was not of it (1 − precision).

    Fields as for `Recall`.

    >>> from streammetrics import Binary
    >>> float(FalseDiscoveryRate(Binary("labels"))([1, 1, 1, 0], [1, 0, 0, 0]))
    0.6666666865348816
    """

    higher_is_better = False

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return fp, fp + tp


@spec
class Prevalence(Rate):
    """(tp + fn) / n: the share of examples that are of a class.

    One value per class by default, because their mean is 1 / C whatever the data; further fields as for `Recall`.

    >>> from streammetrics import Multiclass
    >>> Prevalence(Multiclass(3, "labels"))([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
    [0.25, 0.25, 0.5]
    """

    default_average = None

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp + fn, tp + fp + fn + tn


@spec
class PredictedPositiveRate(Rate):
    """(tp + fp) / n: the share of examples that are predicted as a class.

    One value per class by default, because their mean is 1 / C whatever is predicted; further fields as for `Recall`.

    >>> from streammetrics import Multiclass
    >>> PredictedPositiveRate(Multiclass(3, "labels"))([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
    [0.25, 0.5, 0.25]
    """

    default_average = None

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp + fp, tp + fp + fn + tn


@spec
class HammingLoss(Rate):
    """(fp + fn) / n: the share of wrong predictions; of a class of `Multiclass`, fn / (tp + fn), the share of its own.

    It is 1 − `Accuracy`, over all examples by default, over elements for `Multilabel`. Fields as for `Recall`. The
    definition is scikit-learn's `hamming_loss`.

    >>> from streammetrics import Multilabel
    >>> float(HammingLoss(Multilabel(2, "labels"))([[0, 1], [1, 1]], [[0, 1], [0, 1]]))
    0.25
    """

    default_average = "micro"
    higher_is_better = False

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        if isinstance(self.task, Multiclass):
            return fn, tp + fn
        return fp + fn, tp + fp + fn + tn


@spec
class Jaccard(Rate):
    """tp / (tp + fp + fn): the intersection over the union of what is of a class and what is predicted as it.

    Fields as for `Recall`. The definition is scikit-learn's `jaccard_score`; pixels are examples.

    >>> from streammetrics import Multiclass
    >>> Jaccard(Multiclass(3, "labels"), average=None)([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
    [1.0, 0.5, 0.5]
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp + fn


@spec
class Dice(Rate):
    """2 tp / (2 tp + fp + fn): twice the intersection over the sizes of what is of a class and what is predicted as it.

    `F1` by the name that segmentation uses, from the counts of the whole data set: pixels are examples, and an image
    weighs as many as it has. Fields as for `Recall`.

    >>> from streammetrics import Binary
    >>> float(Dice(Binary("labels"))([[0, 1], [1, 1]], [[0, 0], [1, 1]]))
    0.800000011920929
    """

    higher_is_better = True

    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return 2 * tp, 2 * tp + fp + fn


@spec
class MeanIoU(ClassMetric):
    """mean over classes of tp / (tp + fp + fn): the mean intersection over union, from the whole data set's counts.

    Pixels are examples; `ignore` leaves out those of a void class. Classes as for `Recall`: those that occur in
    predictions or targets (`over="present"`), or all labels of `Multilabel`; of `Binary` both, background and
    foreground. `Jaccard` reads each class, or the foreground alone. NaN without examples. The definition is Everingham
    et al.'s (2015, PASCAL VOC) of a class, and Long, Shelhamer and Darrell's (2015) of the mean.

    >>> from streammetrics import Multiclass
    >>> round(float(MeanIoU(Multiclass(4, "labels"))([[0, 1], [1, 2]], [[0, 1], [2, 2]])), 4)
    0.6667
    """

    task: Any
    over: str = dataclasses.field(default=DEFAULT, kw_only=True)

    higher_is_better = True

    def __post_init__(self) -> None:
        check_task(self)
        _checks.choice(self, "over", OVER, DEFAULT)
        if self.over == default_over(self.task):
            object.__setattr__(self, "over", DEFAULT)

    def read(self, counts: Mapping[str, Any]) -> Array:
        events = events_of(self.task, counts).to_floats()
        if isinstance(self.task, Binary):
            events = events.both()
        over = default_over(self.task) if self.over == DEFAULT else self.over
        each = divided(events.tp, events.tp + events.fp + events.fn)
        return mean_over_classes(events, each, "macro", over, 0.0).settled(0.0, counts)
