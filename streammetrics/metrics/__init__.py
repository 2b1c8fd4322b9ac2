"""What is read off the counts: one file a subject."""

from streammetrics.metrics._aggregation import Examples, Maximum, Mean, Minimum, Ratio, Std, Sum, Variance
from streammetrics.metrics._classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    FBeta,
    Precision,
    Recall,
    Specificity,
    StatScores,
)
from streammetrics.metrics._probabilities import LogLoss

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionMatrix",
    "Examples",
    "FBeta",
    "LogLoss",
    "Maximum",
    "Mean",
    "Minimum",
    "Precision",
    "Ratio",
    "Recall",
    "Specificity",
    "StatScores",
    "Std",
    "Sum",
    "Variance",
]
