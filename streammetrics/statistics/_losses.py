"""What is counted of the losses of predictions."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._rows import greatest, sums, total, widened
from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, REASONS, Multiclass, Multilabel, Read
from streammetrics.accumulators import Accumulator, Moments
from streammetrics.statistics._predictions import Predictions

UNNORMALISED = "probabilities that do not sum to 1"
INFINITE = "infinite loss"

Losses = tuple[Array, dict[str, Array]]
"""The loss of each example (of `Multilabel` of each element), and the faults found on the way."""


class PredictionLosses(Predictions):
    """Moments of a loss of each example, and of each element of `Multilabel`."""

    @property
    def weighted(self) -> bool:
        return True

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*REASONS, UNNORMALISED, INFINITE)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"loss": Moments(self.shape)}

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of the loss that are kept."""
        return ()

    @abstractmethod
    def losses(self, read: Read, eps: float) -> Losses:
        """The losses of a batch; `eps` is that of the predictions' dtype as they came."""

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        predictions, targets = (batch[name] for name in self.reads)
        read = self.task.read(predictions, targets)
        loss, faults = self.losses(read, float(jnp.finfo(predictions.dtype).eps))
        finite = jnp.isfinite(loss)
        if self.shape and isinstance(self.task, Multiclass):
            finite = jnp.all(finite, -1)
        # A certain prediction may be wrong, and infinities alone have no distribution: both give no finite loss.
        return {"loss": Add(loss)}, {**read.faults, **faults, INFINITE: ~finite}


@spec
class LogLosses(PredictionLosses):
    """Moments of −log p(target)."""

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities")

    def losses(self, read: Read, eps: float) -> Losses:
        if not isinstance(self.task, Multiclass):
            if self.task.inputs == "logits":
                return jax.nn.softplus(_against(read)), {}
            share = jnp.clip(read.predictions, eps, 1 - eps)
            return -jnp.where(read.targets == 1, jnp.log(share), jnp.log1p(-share)), {}
        scores, best, faults = _of_rows(read)
        mine = widened(read.of_target())
        if self.task.inputs == "logits":
            high, low = total(jnp.exp(scores - best[..., None]))
            # Where the target leads the loss may be far smaller than the 1 that it leads with.
            return jnp.log1p((high - 1) + low) + (best - mine), faults
        return -jnp.log(jnp.clip(mine, eps, 1 - eps)), faults | _unnormalised(scores, eps)


@spec
class BrierLosses(PredictionLosses):
    """Moments of (p − y)², of `Multiclass` summed over the classes."""

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities")

    def losses(self, read: Read, eps: float) -> Losses:
        logits = self.task.inputs == "logits"
        if not isinstance(self.task, Multiclass):
            share = read.predictions
            wrong = jax.nn.sigmoid(_against(read)) if logits else jnp.where(read.targets == 1, 1 - share, share)
            return jnp.square(wrong), {}
        scores, best, faults = _of_rows(read)
        if not logits:
            faults |= _unnormalised(scores, eps)
        mine = widened(read.of_target())
        share, mine = (jnp.exp(scores - best[..., None]), jnp.exp(mine - best)) if logits else (scores, mine)
        others = jnp.where(read.is_target(), 0, share)
        wrong, squares = sums(others, others * others)
        # What the others have is what the target lacks: 1 − p would have lost the digits of a small loss.
        whole, missing = (wrong + mine, wrong) if logits else (jnp.ones_like(wrong), 1 - mine)
        return (squares + missing * missing) / (whole * whole), faults


@spec
class HingeLosses(PredictionLosses):
    """Moments of max(0, 1 − margin): of each class with `one_against_all`, of each label of `Multilabel`."""

    one_against_all: bool = False

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "scores")
        if not isinstance(self.task, Multiclass):
            object.__setattr__(self, "one_against_all", False)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.task.classes,) if self.one_against_all or isinstance(self.task, Multilabel) else ()

    def losses(self, read: Read, eps: float) -> Losses:
        if not isinstance(self.task, Multiclass):
            return jnp.maximum(0, 1 + _against(read)), {}
        scores, _, faults = _of_rows(read)
        mine = read.is_target()
        if self.one_against_all:
            return jnp.maximum(0, 1 + jnp.where(mine, -scores, scores)), faults
        other = greatest(jnp.where(mine, -jnp.inf, scores))[1]
        return jnp.maximum(0, 1 - widened(read.of_target()) + other), faults


def _against(read: Read) -> Array:
    """Scores of `Binary` and `Multilabel`, turned so that less is right."""
    return jnp.where(read.targets == 1, -read.predictions, read.predictions)


def _of_rows(read: Read) -> tuple[Array, Array, dict[str, Array]]:
    """Scores of `Multiclass`, the greatest of each row, and which rows have NaN."""
    _, best = greatest(read.predictions)
    return widened(read.predictions), best, {NAN: jnp.isnan(best)}


def _unnormalised(probabilities: Array, eps: float) -> dict[str, Array]:
    return {UNNORMALISED: jnp.abs(total(probabilities)[0] - 1) > eps**0.5}
