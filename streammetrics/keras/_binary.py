"""The names of the package keras-metrics for one score per example.

All take predictions `(*B,)` or `(*B, 1)`, read as they come (0.5 lies in the middle of probabilities), and targets of 0
and 1; `threshold` is strictly to be exceeded, and `label` is 0, the only column. Counts are exact `UInt64`s, ratios
floats: 0/0 reads 0 (the package added 1e-7 to what divides), and without examples they are NaN.
"""

from streammetrics._metric import Metric
from streammetrics._report import OfTwoClasses
from streammetrics._tasks import Binary, Multiclass
from streammetrics.keras._columns import Column
from streammetrics.metrics import Recall


def binary_true_positive(*, label: int = 0, threshold: float = 0.5) -> Column:
    """tp: how many positive examples have a score above the threshold.

    An exact `UInt64`. Scores are read as they come; `label` is 0.

    >>> int(binary_true_positive()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0]))
    2
    """
    return Column(Binary("scores"), "true_positive", label=label, threshold=threshold)


def binary_true_negative(*, label: int = 0, threshold: float = 0.5) -> Column:
    """tn: how many negative examples do not have a score above the threshold.

    An exact `UInt64`. Scores are read as they come; `label` is 0.

    >>> int(binary_true_negative()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0]))
    1
    """
    return Column(Binary("scores"), "true_negative", label=label, threshold=threshold)


def binary_false_positive(*, label: int = 0, threshold: float = 0.5) -> Column:
    """fp: how many negative examples have a score above the threshold.

    An exact `UInt64`. Scores are read as they come; `label` is 0.

    >>> int(binary_false_positive()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0]))
    1
    """
    return Column(Binary("scores"), "false_positive", label=label, threshold=threshold)


def binary_false_negative(*, label: int = 0, threshold: float = 0.5) -> Column:
    """fn: how many positive examples do not have a score above the threshold.

    An exact `UInt64`. Scores are read as they come; `label` is 0.

    >>> int(binary_false_negative()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0]))
    1
    """
    return Column(Binary("scores"), "false_negative", label=label, threshold=threshold)


def binary_precision(*, label: int = 0, threshold: float = 0.5) -> Column:
    """Precision, tp / (tp + fp): of what is above the threshold, the share that is positive.

    A float; 0/0 reads 0, NaN without examples. Scores are read as they come; `label` is 0.

    >>> round(float(binary_precision()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0])), 3)
    0.667
    """
    return Column(Binary("scores"), "precision", label=label, threshold=threshold)


def binary_recall(*, label: int = 0, threshold: float = 0.5) -> Column:
    """Recall, tp / (tp + fn): of what is positive, the share above the threshold.

    A float; 0/0 reads 0, NaN without examples. Scores are read as they come; `label` is 0.

    >>> round(float(binary_recall()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0])), 3)
    0.667
    """
    return Column(Binary("scores"), "recall", label=label, threshold=threshold)


def binary_f1_score(*, label: int = 0, threshold: float = 0.5) -> Column:
    """2 tp / (2 tp + fp + fn): the harmonic mean of precision and recall at the threshold.

    A float; 0/0 reads 0, NaN without examples. Scores are read as they come; `label` is 0.

    >>> round(float(binary_f1_score()([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0])), 3)
    0.667
    """
    return Column(Binary("scores"), "f1_score", label=label, threshold=threshold)


def binary_average_recall(*, threshold: float = 0.5) -> Metric:
    """(tp / (tp + fn) + tn / (tn + fp)) / 2: the mean of the recalls of both classes.

    A float; a class without examples reads 0, NaN without any. Scores are read as they come, positive strictly above
    the threshold. (Version 1.1 of the package gave the recall of the positive class alone; `sm.BalancedAccuracy` leaves
    out a class without examples.)

    >>> float(binary_average_recall()([0.9, 0.8, 0.7, 0.2], [1, 1, 0, 0]))
    0.75
    """
    return OfTwoClasses(Binary("scores", threshold), Recall(Multiclass(2, "labels"), over="all"))
