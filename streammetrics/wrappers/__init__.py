"""Metrics of metrics: slices, outputs, windows, decay, resampling."""

from streammetrics.wrappers._bootstrapped import Bootstrapped, Resampled, Resamples
from streammetrics.wrappers._columns import Edges, Ids, Names, Values
from streammetrics.wrappers._gaps import Contrast, Gap, contrast, demographic_parity, equal_opportunity
from streammetrics.wrappers._outputs import Outputs, PerOutput
from streammetrics.wrappers._sliced import Sliced, Slices
from streammetrics.wrappers._steps import Decayed, Decays, Windowed, Windows
from streammetrics.wrappers._total import one_slice, total

__all__ = [
    "Bootstrapped",
    "Contrast",
    "Decayed",
    "Gap",
    "PerOutput",
    "Resampled",
    "Sliced",
    "Windowed",
    "contrast",
    "demographic_parity",
    "equal_opportunity",
    "one_slice",
    "total",
]

STATISTICS = (Decays, Outputs, Resamples, Slices, Windows)
"""What the wrappers count."""
COLUMNS = (Edges, Ids, Names, Values)
"""How slices are told apart."""
