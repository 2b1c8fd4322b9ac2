"""`interval`: between what a value lies with some confidence, had other examples been drawn."""

from streammetrics.intervals._interval import interval
from streammetrics.intervals._methods import Interval

__all__ = ["Interval", "interval"]
