"""What is counted of confidences: how often, how sure and how right."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks
from streammetrics._layouts import Layout, layout_of
from streammetrics._rows import greatest, total, widened
from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, Multiclass, Read
from streammetrics.accumulators import Accumulator, Count, Sum
from streammetrics.statistics._classes import in_table, table
from streammetrics.statistics._predictions import Predictions

BINNINGS = ("width", "mass")
FINE_BINS = 4096
POINT = 31
"""Confidences are summed as integers of this many binary places, so that no order or split can change a bit."""


@spec
class CalibrationCounts(Predictions):
    """How many confidences lie in each bin, by whether they were right, and their sums.

    `cells` and `confidence` are (2, bins): of `Binary` the probability of the positive class, rows are what is false
    and true; of `Multiclass` (C, 2, bins), each class against the rest, or with `top` (2, bins) of the predicted class,
    rows are wrong and right; of `Multilabel` (L, 2, bins). Unless weights are fractions, confidences are in fixed
    point, as two words along a last axis, exact to 2^49 examples. `squares` also holds their squares. Bins are of one
    width, or with `binning="mass"` those of a fine histogram, from which bins of one mass are joined.
    """

    bins: int = 15
    binning: str = "width"
    top: bool = False
    squares: bool = False

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities")
        _checks.choice(self, "binning", BINNINGS)
        check_bin_count(self)
        if self.top and not isinstance(self.task, Multiclass):
            raise ValueError(f"CalibrationCounts: top is of a predicted class, but the task is {self.task!r}")
        if self.binning == "mass":
            object.__setattr__(self, "bins", FINE_BINS)  # how many are read off them is for the metric to say

    @property
    def layout(self) -> Layout:
        """Of the fine histogram."""
        return layout_of("probabilities", FINE_BINS, None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the cells: of each class or label, by outcome, in bins."""
        classes = () if self.top else self.class_axis
        return (*classes, 2, self.layout.size if self.binning == "mass" else self.bins)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        sums: Accumulator = Sum(self.shape) if self.task.weighted else Count((*self.shape, 2))
        held = {"cells": table(self.task, self.shape), "confidence": sums}
        if self.squares:
            held["squares"] = sums
        return held

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        share, right, faults = self.confidences(read)
        share = jnp.clip(share.astype(jnp.float32), 0, 1)
        if self.binning == "mass":
            column = self.layout.cell(share)
        else:
            edges = np.linspace(0, 1, self.bins + 1)[1:-1].astype(np.float32)
            column = jnp.searchsorted(edges, share, side="right", method="scan_unrolled").astype(jnp.int32)
        cell = in_table(right, column, self.shape)
        adds = {"cells": Add(cell=cell), "confidence": Add(self._amount(share), cell)}
        return adds | ({"squares": Add(self._amount(share * share), cell)} if self.squares else {}), faults

    def confidences(self, read: Read) -> tuple[Array, Array, dict[str, Array]]:
        """The confidence of each example or element, whether it was right, and the faults."""
        logits = self.task.inputs == "logits"
        if not isinstance(self.task, Multiclass):
            share = jax.nn.sigmoid(read.predictions) if logits else read.predictions
            return share, read.targets, read.faults
        place, best = greatest(read.predictions)
        scores, nan = widened(read.predictions), jnp.isnan(best)
        if logits:
            share = jnp.exp(scores - best[..., None])
            whole, error = total(share)
            nan = nan | jnp.isnan(whole)  # infinite logits have no share
            best, scores = 1 / (whole + error), share / (whole + error)[..., None]
        faults = {NAN: nan, **read.faults}
        if self.top:
            return best, (place == read.targets).astype(jnp.int32), faults
        return scores, read.is_target().astype(jnp.int32), faults

    def _amount(self, share: Array) -> Array:
        if self.task.weighted:
            return share
        whole = jnp.round(share * 2.0**POINT).astype(jnp.uint32)
        return jnp.stack([whole >> 16, whole & 0xFFFF], -1)


def check_bin_count(owner: Any) -> None:
    """There are so many bins at most that a histogram holds them."""
    if not 1 <= owner.bins <= FINE_BINS:
        raise ValueError(f"{type(owner).__name__}: bins is {owner.bins}, but must be from 1 to {FINE_BINS:,}")
