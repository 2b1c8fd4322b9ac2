"""What Keras' metrics measured, version by version, as metrics of this library. Keras itself is not imported."""

from streammetrics.keras._batchwise import BatchRatios, BatchwisePrecision, BatchwiseRecall
from streammetrics.keras._binary import (
    binary_average_recall,
    binary_f1_score,
    binary_false_negative,
    binary_false_positive,
    binary_precision,
    binary_recall,
    binary_true_negative,
    binary_true_positive,
)
from streammetrics.keras._categorical import (
    categorical_average_recall,
    categorical_f1_score,
    categorical_false_negative,
    categorical_false_positive,
    categorical_precision,
    categorical_recall,
    categorical_true_negative,
    categorical_true_positive,
)
from streammetrics.keras._columns import Column
from streammetrics.keras._resolve import resolve_accuracy
from streammetrics.keras._rounded import RoundedAccuracy, RoundedHits

# Targets may be class ids or one-hot here, so that what were two functions is one.
sparse_categorical_average_recall = categorical_average_recall
sparse_categorical_f1_score = categorical_f1_score
sparse_categorical_false_negative = categorical_false_negative
sparse_categorical_false_positive = categorical_false_positive
sparse_categorical_precision = categorical_precision
sparse_categorical_recall = categorical_recall
sparse_categorical_true_negative = categorical_true_negative
sparse_categorical_true_positive = categorical_true_positive

__all__ = [
    "BatchRatios",
    "BatchwisePrecision",
    "BatchwiseRecall",
    "Column",
    "RoundedAccuracy",
    "RoundedHits",
    "binary_average_recall",
    "binary_f1_score",
    "binary_false_negative",
    "binary_false_positive",
    "binary_precision",
    "binary_recall",
    "binary_true_negative",
    "binary_true_positive",
    "categorical_average_recall",
    "categorical_f1_score",
    "categorical_false_negative",
    "categorical_false_positive",
    "categorical_precision",
    "categorical_recall",
    "categorical_true_negative",
    "categorical_true_positive",
    "resolve_accuracy",
    "sparse_categorical_average_recall",
    "sparse_categorical_f1_score",
    "sparse_categorical_false_negative",
    "sparse_categorical_false_positive",
    "sparse_categorical_precision",
    "sparse_categorical_recall",
    "sparse_categorical_true_negative",
    "sparse_categorical_true_positive",
]
