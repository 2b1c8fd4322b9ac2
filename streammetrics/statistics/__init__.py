"""What is counted: statistics that metrics share."""

from streammetrics.statistics._classes import ClassCounts, Confusion
from streammetrics.statistics._losses import LogLosses
from streammetrics.statistics._values import Extrema, Moments, Sums

__all__ = ["ClassCounts", "Confusion", "Extrema", "LogLosses", "Moments", "Sums"]
