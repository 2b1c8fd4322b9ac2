"""What is counted of the losses of predictions."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, REASONS, Multiclass, Read
from streammetrics.accumulators import Accumulator, Moments
from streammetrics.statistics._predictions import Predictions

UNNORMALISED = "probabilities that do not sum to 1"
INFINITE = "infinite loss"


@spec
class LogLosses(Predictions):
    """Moments of −log p(target) of each example, and of each label of `Multilabel`."""

    def __post_init__(self) -> None:
        if self.task.inputs not in ("logits", "probabilities"):
            raise ValueError(f"LogLosses: inputs are {self.task.inputs!r}, but must be 'logits' or 'probabilities'")

    @property
    def weighted(self) -> bool:
        return True

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*REASONS, UNNORMALISED, INFINITE)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"loss": Moments()}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        predictions, targets = (batch[name] for name in self.reads)
        read = self.task.read(predictions, targets)
        eps = float(jnp.finfo(predictions.dtype).eps)
        of_task = _of_classes if isinstance(self.task, Multiclass) else _of_elements
        loss, faults = of_task(read, self.task.inputs, eps)
        # A certain prediction may be wrong, and infinities alone have no distribution: both give no finite loss.
        return {"loss": Add(loss)}, {**read.faults, **faults, INFINITE: ~jnp.isfinite(loss)}


def _of_classes(read: Read, inputs: str, eps: float) -> tuple[Array, dict[str, Array]]:
    scores = read.predictions
    own = jnp.clip(read.targets, 0, scores.shape[-1] - 1)[..., None]
    mine = jnp.take_along_axis(scores, own, -1, mode="promise_in_bounds")[..., 0]
    if inputs == "logits":
        total = jax.nn.logsumexp(scores, -1)
        return total - mine, {NAN: jnp.any(jnp.isnan(scores), -1)}
    total = jnp.sum(scores, -1)
    return _clipped_loss(mine, eps), {NAN: jnp.isnan(total), UNNORMALISED: jnp.abs(total - 1) > eps**0.5}


def _of_elements(read: Read, inputs: str, eps: float) -> tuple[Array, dict[str, Array]]:
    right = read.targets == 1
    if inputs == "logits":
        return jax.nn.softplus(jnp.where(right, -read.predictions, read.predictions)), {}
    return _clipped_loss(jnp.where(right, read.predictions, 1 - read.predictions), eps), {}


def _clipped_loss(probability: Array, eps: float) -> Array:
    return -jnp.log(jnp.clip(probability, eps, 1 - eps))
