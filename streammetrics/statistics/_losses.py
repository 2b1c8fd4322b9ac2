"""What is counted of the losses of predictions."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, REASONS, Multiclass
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
        many = isinstance(self.task, Multiclass)
        faults = dict(read.faults)
        if many:
            faults[NAN] = jnp.any(jnp.isnan(read.predictions), -1)
            own = jnp.clip(read.targets, 0, self.task.num_classes - 1)[..., None]
        if self.task.inputs == "logits":
            if many:
                mine = jnp.take_along_axis(read.predictions, own, -1)[..., 0]
                loss = jax.nn.logsumexp(read.predictions, -1) - mine
            else:
                loss = jax.nn.softplus(jnp.where(read.targets == 1, -read.predictions, read.predictions))
            # +inf for the right class is a certain and right prediction; a NaN here comes from infinities alone.
        else:
            if many:
                faults[UNNORMALISED] = jnp.abs(jnp.sum(read.predictions, -1) - 1) > eps**0.5
                probability = jnp.take_along_axis(read.predictions, own, -1)[..., 0]
            else:
                probability = jnp.where(read.targets == 1, read.predictions, 1 - read.predictions)
            loss = -jnp.log(jnp.clip(probability, eps, 1 - eps))
        faults[INFINITE] = ~jnp.isfinite(loss)
        return {"loss": Add(loss)}, faults
