"""What is counted of predicted numbers: their errors, and how they vary with the targets."""

import functools
from abc import abstractmethod
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, accumulators
from streammetrics._jax import float_dtype
from streammetrics._rows import widened
from streammetrics._spec import spec
from streammetrics._statistic import Add, Statistic

NAN = "NaN value"
INFINITE = "infinite value or error"
SQUARED = 2.0**60
"""The greatest number whose squares can be summed in float32."""


@spec
class Numbers(Statistic):
    """A statistic of predicted numbers and targets: one of each for every example, or `outputs` along the last axis.

    An example is invalid where any of its outputs is.
    """

    outputs: int | None = None
    predictions: str = "predictions"
    targets: str = "targets"
    weights: str = "weights"

    weighted = True
    limit: ClassVar[float] = float(np.finfo(np.float32).max)
    """The greatest amount that is summed."""

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.predictions, self.targets)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, INFINITE)

    @property
    def shape(self) -> tuple[int, ...]:
        return () if self.outputs is None else (self.outputs,)

    def leading_axes(self, **batch: Array) -> int:
        predictions, targets = (batch[name] for name in self.reads)
        if predictions.ndim <= len(self.shape) or predictions.shape[predictions.ndim - len(self.shape) :] != self.shape:
            due = "one value per example" if self.outputs is None else f"rows of {self.outputs} values, one per output"
            _checks.refuse(ValueError, f"{self.predictions} have shape {predictions.shape}, but must hold {due}")
        _checks.same_shape(self.targets, targets, predictions.shape, "that of the predictions")
        return predictions.ndim - len(self.shape)

    @abstractmethod
    def amounts(self, predictions: Array, targets: Array) -> dict[str, Array]:
        """What each example adds to each accumulator."""

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        predictions, targets = (_floating(batch[name]) for name in self.reads)
        dtype = np.promote_types(predictions.dtype, targets.dtype)
        predictions, targets = predictions.astype(dtype), targets.astype(dtype)
        examples = predictions.ndim - len(self.shape)

        def of_example(mask: Array) -> Array:
            return jnp.any(mask, tuple(range(examples, mask.ndim)))

        amounts = self.amounts(predictions, targets)
        # Numbers may be finite, and what is summed of them, or its square, beyond the range of what holds it.
        wide = [
            jnp.abs(amount.astype(jnp.float32)) > self.limit for amount in (predictions, targets, *amounts.values())
        ]
        faults = {
            NAN: of_example(jnp.isnan(predictions) | jnp.isnan(targets)),
            INFINITE: functools.reduce(jnp.logical_or, map(of_example, wide)),
        }
        return {name: Add(amount) for name, amount in amounts.items()}, faults


@spec
class SquaredErrors(Numbers):
    """Moments of (prediction − target)²."""

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"errors": accumulators.Moments(self.shape)}

    def amounts(self, predictions: Array, targets: Array) -> dict[str, Array]:
        return {"errors": jnp.square(predictions - targets)}


@spec
class AbsoluteErrors(Numbers):
    """Moments of |prediction − target|."""

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"errors": accumulators.Moments(self.shape)}

    def amounts(self, predictions: Array, targets: Array) -> dict[str, Array]:
        return {"errors": jnp.abs(predictions - targets)}


@spec
class Residuals(Numbers):
    """Moments of the residuals, target − prediction, and of the targets."""

    limit = SQUARED

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"residuals": accumulators.Moments(self.shape), "targets": accumulators.Moments(self.shape)}

    def amounts(self, predictions: Array, targets: Array) -> dict[str, Array]:
        return {"residuals": targets - predictions, "targets": targets}


@spec
class NumberPairs(Numbers):
    """Co-moments of predictions (x) and targets (y)."""

    limit = SQUARED

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"pairs": accumulators.CoMoments(self.shape)}

    def amounts(self, predictions: Array, targets: Array) -> dict[str, Array]:
        return {"pairs": jnp.stack([predictions, targets], -1)}


def check_numbers(owner: Any) -> None:
    """The outputs and the names of the entries, of a statistic or a metric of numbers."""
    name = type(owner).__name__
    if owner.outputs is not None and owner.outputs < 1:
        raise ValueError(f"{name}: outputs is {owner.outputs}, but must be at least 1")
    entries = (owner.predictions, owner.targets, owner.weights)
    if len(set(entries)) < 3:
        raise ValueError(f"{name}: predictions, targets and weights are named {entries}, but must be three entries")


def _floating(numbers: Array) -> Array:
    """Numbers in at least 32 bits, integers as floats of the default size."""
    return widened(numbers if jnp.issubdtype(numbers.dtype, jnp.floating) else numbers.astype(float_dtype()))
