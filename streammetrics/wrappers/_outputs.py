"""`PerOutput`: the values of each of several outputs of a model."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from streammetrics import _checks
from streammetrics._reduction import Observation, sliced, with_axis
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics.wrappers._base import Counted, Wrapped, Wrapper, added_up, along


@spec
class Outputs(Wrapped):
    """What a statistic counts of each place along the last axis of the examples."""

    number: int

    @property
    def accumulators(self) -> dict[str, Any]:
        return {name: with_axis(each, self.number) for name, each in self.inner.accumulators.items()}

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.number, *self.inner.axes)

    def elements(self, examples: tuple[int, ...]) -> int:
        return self.inner.elements(examples[:-1])

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        examples = observation.examples
        if len(examples) < 2 or examples[-1] != self.number:
            name = self.reads[0]
            _checks.refuse(
                ValueError,
                f"{name} have shape {batch[name].shape}, of examples of shape {examples}, but the last axis of these "
                f"must have {self.number} entries, one per output, after an axis of rows",
            )
        place = lax.broadcasted_iota(jnp.int32, examples, len(examples) - 1)
        return sliced(super().arranged(observation, **batch), place, self.number)

    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        return self.inner, *added_up(self.inner.accumulators, data, seen)


@spec
class PerOutput(Wrapper):
    """The values of each of several outputs: an array with an axis of the outputs first.

    The outputs lie along the last axis of the examples: predictions and targets `(*B, outputs)`, or class scores
    `(*B, outputs, C)`. `names` say what they are called. Weights have a shape that leads `(*B, outputs)`.

    >>> import streammetrics as sm
    >>> metric = PerOutput(sm.MeanAbsoluteError(), ("width", "height"))
    >>> metric([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [3.0, 6.0]]).tolist()
    [0.0, 1.5]
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"PerOutput: names are {self.names}, but must be one or more that differ")

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What the outputs are called."""
        return {"output": self.names}

    def over(self, statistic: Statistic) -> Statistic:
        return Outputs(statistic, len(self.names))

    def read_single(self, counts: Mapping[Any, Any]) -> Any:
        return along(self.metric.read, counts)
