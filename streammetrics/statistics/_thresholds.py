"""What is counted at given thresholds."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks
from streammetrics._rows import greatest, widened
from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, Multiclass, check_thresholds, cut
from streammetrics.accumulators import Accumulator
from streammetrics.statistics._classes import in_table, table
from streammetrics.statistics._predictions import Predictions


@spec
class ThresholdCounts(Predictions):
    """Between which thresholds the scores lie, by target: `cells` is (2, T + 1), rows are what is false and true.

    The cell of a score is how many of the T thresholds, in ascending order, are strictly below it. Of `Multiclass`
    (C, 2, T + 1), the score of each class against the rest, of logits the probability in their softmax; of `Multilabel`
    (L, 2, T + 1).
    """

    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_thresholds(self, self.task, self.thresholds)
        object.__setattr__(self, "thresholds", tuple(sorted(set(self.thresholds))))

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"cells": table(self.task, (*self.class_axis, 2, len(self.thresholds) + 1))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        task = self.task
        read = task.read(*(batch[name] for name in self.reads))
        scores, true, faults = widened(read.predictions), read.targets, read.faults
        inputs = task.inputs
        if isinstance(task, Multiclass):
            best = greatest(read.predictions)[1][..., None]
            faults = {NAN: jnp.isnan(best[..., 0]), **faults}
            true = read.is_target().astype(jnp.int32)
            if inputs == "logits":
                share = jnp.exp(jnp.where(scores == best, 0, scores - best))
                scores, inputs = share / jnp.sum(share, -1, keepdims=True), "probabilities"
        cuts = np.array([cut(inputs, threshold) for threshold in self.thresholds]).astype(scores.dtype)
        cell = jnp.searchsorted(cuts, scores, side="left", method="scan_unrolled").astype(jnp.int32)
        return {"cells": Add(cell=in_table(true, cell, self.accumulators["cells"].shape))}, faults
