"""The names of the package keras-metrics for one score per class; `sparse_categorical_*` are the same functions.

All take predictions `(*B, C)`, read as they come (0.5 lies in the middle of probabilities), and targets that are class
ids `(*B,)` or one-hot; a column of ids `(*B, 1)` is passed as `targets[..., 0]`. The number of classes is said, not
guessed; `threshold` is strictly to be exceeded. The package's sparse functions ignored `label`; these do not. Counts
are exact `UInt64`s, ratios floats: 0/0 reads 0 (the package added 1e-7 to what divides), and without examples NaN.
"""

from streammetrics._tasks import Multiclass
from streammetrics.keras._columns import Column
from streammetrics.metrics import Recall


def categorical_true_positive(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """tp: how many examples of class `label` have its column above the threshold.

    An exact `UInt64`. Columns are read as they come, without an argmax.

    >>> int(categorical_true_positive(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    1
    """
    return Column(Multiclass(num_classes, "scores"), "true_positive", label=label, threshold=threshold)


def categorical_true_negative(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """tn: how many examples of other classes do not have its column above the threshold.

    An exact `UInt64`. Columns are read as they come, without an argmax.

    >>> int(categorical_true_negative(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    1
    """
    return Column(Multiclass(num_classes, "scores"), "true_negative", label=label, threshold=threshold)


def categorical_false_positive(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """fp: how many examples of other classes have its column above the threshold.

    An exact `UInt64`. Columns are read as they come, without an argmax.

    >>> int(categorical_false_positive(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    1
    """
    return Column(Multiclass(num_classes, "scores"), "false_positive", label=label, threshold=threshold)


def categorical_false_negative(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """fn: how many examples of class `label` do not have its column above the threshold.

    An exact `UInt64`. Columns are read as they come, without an argmax.

    >>> int(categorical_false_negative(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    1
    """
    return Column(Multiclass(num_classes, "scores"), "false_negative", label=label, threshold=threshold)


def categorical_precision(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """Precision, tp / (tp + fp): of what is above the threshold, the share that is of class `label`.

    A float; 0/0 reads 0, NaN without examples. Columns are read as they come, without an argmax.

    >>> float(categorical_precision(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    0.5
    """
    return Column(Multiclass(num_classes, "scores"), "precision", label=label, threshold=threshold)


def categorical_recall(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """Recall, tp / (tp + fn): of what is of class `label`, the share above the threshold.

    A float; 0/0 reads 0, NaN without examples. Columns are read as they come, without an argmax.

    >>> float(categorical_recall(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    0.5
    """
    return Column(Multiclass(num_classes, "scores"), "recall", label=label, threshold=threshold)


def categorical_f1_score(num_classes: int, *, label: int = 0, threshold: float = 0.5) -> Column:
    """2 tp / (2 tp + fp + fn): the harmonic mean of precision and recall at the threshold.

    A float; 0/0 reads 0, NaN without examples. Columns are read as they come, without an argmax.

    >>> float(categorical_f1_score(2, label=1)([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.7, 0.3]], [1, 0, 1, 0]))
    0.5
    """
    return Column(Multiclass(num_classes, "scores"), "f1_score", label=label, threshold=threshold)


def categorical_average_recall(num_classes: int) -> Recall:
    """Σ_c tp_c / (tp_c + fn_c) / C: the mean of the recalls of all classes, of predictions by the argmax.

    A float; a class without examples reads 0, NaN without any. (Version 1.1 of the package took every column above 0.5
    instead of the argmax.)

    >>> float(categorical_average_recall(2)([[0.4, 0.3], [0.9, 0.1], [0.8, 0.2], [0.3, 0.6]], [0, 0, 1, 1]))
    0.75
    """
    return Recall(Multiclass(num_classes, "scores"), over="all")
