"""Streaming metrics for JAX: exact counts in pure functional states, with the same numbers on any split."""

from streammetrics import accumulators, statistics
from streammetrics._batches import pad, plain
from streammetrics._collection import Collection
from streammetrics._metric import InvalidExamples, Metric
from streammetrics._spec import spec
from streammetrics._state import State, all_merge, fold, merge
from streammetrics._statistic import Add, Statistic
from streammetrics._tasks import Binary, Multiclass, Multilabel
from streammetrics._uint64 import UInt64
from streammetrics.metrics import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Examples,
    FBeta,
    LogLoss,
    Maximum,
    Mean,
    Minimum,
    Precision,
    Ratio,
    Recall,
    Specificity,
    StatScores,
    Std,
    Sum,
    Variance,
)
from streammetrics.serialization import from_bytes, to_bytes

__version__ = "0.1.0"

__all__ = [
    "F1",
    "Accuracy",
    "Add",
    "Binary",
    "Collection",
    "ConfusionMatrix",
    "Examples",
    "FBeta",
    "InvalidExamples",
    "LogLoss",
    "Maximum",
    "Mean",
    "Metric",
    "Minimum",
    "Multiclass",
    "Multilabel",
    "Precision",
    "Ratio",
    "Recall",
    "Specificity",
    "StatScores",
    "State",
    "Statistic",
    "Std",
    "Sum",
    "UInt64",
    "Variance",
    "accumulators",
    "all_merge",
    "fold",
    "from_bytes",
    "merge",
    "pad",
    "plain",
    "spec",
    "statistics",
    "to_bytes",
]
