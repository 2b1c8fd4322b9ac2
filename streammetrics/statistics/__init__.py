"""What is counted: statistics that metrics share."""

from streammetrics.statistics._calibration import CalibrationCounts
from streammetrics.statistics._classes import ClassCounts, Confusion, ExactMatches
from streammetrics.statistics._distributions import DistinctHashes, MagnitudeCounts, ValueCounts
from streammetrics.statistics._histograms import PairScoreCounts, ScoreCounts
from streammetrics.statistics._losses import BrierLosses, HingeLosses, LogLosses
from streammetrics.statistics._ranks import LabelRankings, TopHits
from streammetrics.statistics._regression import AbsoluteErrors, NumberPairs, Residuals, SquaredErrors
from streammetrics.statistics._thresholds import ThresholdCounts
from streammetrics.statistics._values import Extrema, Moments, Sums

__all__ = [
    "AbsoluteErrors",
    "BrierLosses",
    "CalibrationCounts",
    "ClassCounts",
    "Confusion",
    "DistinctHashes",
    "ExactMatches",
    "Extrema",
    "HingeLosses",
    "LabelRankings",
    "LogLosses",
    "MagnitudeCounts",
    "Moments",
    "NumberPairs",
    "PairScoreCounts",
    "Residuals",
    "ScoreCounts",
    "SquaredErrors",
    "Sums",
    "ThresholdCounts",
    "TopHits",
    "ValueCounts",
]
