"""The precision and recall that Keras removed in 2.0: means of what each batch gave."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics._jax import float_dtype
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import ABSENT, Add, Statistic
from streammetrics._tasks import Binary
from streammetrics.accumulators import Accumulator, Moments
from streammetrics.statistics._predictions import Predictions

EPSILON = 1e-7


@spec
class BatchRatios(Predictions):
    """Moments of the precision and the recall of each batch: `ratios` is (2,). A whole batch is one example."""

    @property
    def weighted(self) -> bool:
        return True

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"ratios": Moments((2,))}

    def leading_axes(self, **batch: Array) -> int:
        return 0

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        true, called = read.targets == 1, jnp.round(jnp.clip(read.predictions, 0, 1)) == 1
        # Of targets 0 and 1 this is round(clip(y p, 0, 1)), without its 0 times infinity.
        hits, called, true = (
            jnp.sum(mask, dtype=jnp.int32).astype(float_dtype()) for mask in (true & called, called, true)
        )
        ratios = jnp.stack([hits / (called + EPSILON), hits / (true + EPSILON)])
        faults = {reason: jnp.any(mask) for reason, mask in read.faults.items()}
        return {"ratios": Add(ratios)}, faults | {ABSENT: jnp.array(read.targets.size == 0)}


@spec
class Batchwise(Metric):
    """What is read off the ratios of each batch; the fields are the names of the batch's entries."""

    predictions: str = dataclasses.field(default="predictions", kw_only=True)
    targets: str = dataclasses.field(default="targets", kw_only=True)
    weights: str = dataclasses.field(default="batch_weights", kw_only=True)

    def __post_init__(self) -> None:
        entries = (self.predictions, self.targets, self.weights)
        if len(set(entries)) < 3:
            raise ValueError(
                f"{type(self).__name__}: predictions, targets and weights are named {entries}, but must be three"
            )

    @property
    def statistic(self) -> Statistic:
        return BatchRatios(Binary("scores", predictions=self.predictions, targets=self.targets, weights=self.weights))


@spec
class BatchwisePrecision(Batchwise):
    """mean over batches of TP / (Σ round(clip(p, 0, 1)) + 1e-7), with TP = Σ round(clip(y p, 0, 1)).

    The `precision` of Keras 1.2.2, for reading its old reports. It breaks the law of splits on purpose: a whole batch
    is one example, so that the value depends on how the rows were split into batches, and a batch without a predicted
    positive pulls it down as a 0. Keras removed it in 2.0 for that reason; `sm.Precision` is the precision.

    Predictions and targets have one shape, or predictions a further axis of size 1; predictions are read as they come,
    targets are 0 and 1. A batch with NaN or another target is invalid as a whole; one of no rows is absent. Weights of
    rows are not read, but rows of zeros change nothing: `sm.pad` is harmless where its zeros are the predictions.
    `batch_weights` is a scalar, the weight of the batch. A scalar in float32 (float64 under x64), NaN without batches.

    >>> metric = BatchwisePrecision()
    >>> state = metric.tally([0.9, 0.8, 0.2], [1, 0, 0])  # one of two
    >>> round(float(metric.compute(metric.update(state, [0.1, 0.3], [1, 0]))), 4)  # none: the mean of 1/2 and 0
    0.25
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["ratios"].average()[0]


@spec
class BatchwiseRecall(Batchwise):
    """mean over batches of TP / (Σ round(clip(y, 0, 1)) + 1e-7), with TP = Σ round(clip(y p, 0, 1)).

    The `recall` of Keras 1.2.2, where a batch without positives pulls the mean down as a 0: of a model without any
    error it is the share of batches that have one. All else as for `BatchwisePrecision`; `sm.Recall` is the recall.

    >>> metric = BatchwiseRecall()
    >>> state = metric.tally([0.9, 0.8], [1, 1])
    >>> round(float(metric.compute(metric.update(state, [0.1, 0.3], [0, 0]))), 4)  # right, and still half
    0.5
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["ratios"].average()[1]
