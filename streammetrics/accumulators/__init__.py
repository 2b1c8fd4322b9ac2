"""The monoids that hold what is counted: one array each, its limbs a leading axis."""

from streammetrics.accumulators._base import Accumulator, Monoid
from streammetrics.accumulators._count import Count
from streammetrics.accumulators._exact_sum import ExactSum
from streammetrics.accumulators._extrema import Maximum, Minimum
from streammetrics.accumulators._keyed import Decayed, Windowed
from streammetrics.accumulators._moments import CoMoments, Moments
from streammetrics.accumulators._sum import Sum

__all__ = [
    "Accumulator",
    "CoMoments",
    "Count",
    "Decayed",
    "ExactSum",
    "Maximum",
    "Minimum",
    "Moments",
    "Monoid",
    "Sum",
    "Windowed",
]
