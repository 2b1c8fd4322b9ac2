"""What is counted of values that come one per example: losses, norms, numbers of words."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, accumulators
from streammetrics._spec import spec
from streammetrics._statistic import Add, Statistic

NAN = "NaN value"
INFINITE = "infinite value"
BEYOND = "value beyond the range of float32"


@spec
class Values(Statistic):
    """A statistic of entries with one value per example."""

    weighted = True

    def __post_init__(self) -> None:
        if self.weights in self.reads:
            raise ValueError(f"{type(self).__name__}: {self.weights!r} names both an entry and the weights")

    def leading_axes(self, **batch: Array) -> int:
        shapes = {name: value.shape for name, value in batch.items()}
        for name, shape in shapes.items():
            if shape == ():
                _checks.refuse(
                    ValueError,
                    f"{name} is a scalar, but must have one value per example (a mean of batch means is wrong); "
                    f"pass {name}[None] if it truly is one observation",
                )
        if len(set(shapes.values())) > 1:
            told = _checks.listed(f"{name} {shape}" for name, shape in shapes.items())
            _checks.refuse(ValueError, f"the values have the shapes {told}, but must have one shape")
        return batch[self.reads[0]].ndim

    @staticmethod
    def _faults(values: list[Array], infinite: bool) -> dict[str, Array]:
        """Where a value cannot be counted; integers always can."""
        faults: dict[str, Array] = {}
        for value in values:
            if jnp.issubdtype(value.dtype, jnp.floating):
                found = {NAN: jnp.isnan(value)} | ({INFINITE: jnp.isinf(value)} if infinite else {})
                if value.dtype.itemsize == 8:
                    found[BEYOND] = jnp.isinf(value.astype(jnp.float32)) & ~jnp.isinf(value)
                for reason, mask in found.items():
                    faults[reason] = faults[reason] | mask if reason in faults else mask
        return faults


@spec
class OneEntry(Values):
    """A statistic of one entry."""

    entry: str
    weights: str = "weights"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.entry,)


@spec
class Moments(OneEntry):
    """Weight, mean and centred second moment of an entry."""

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, INFINITE, BEYOND)

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"moments": accumulators.Moments()}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        value = batch[self.entry]
        return {"moments": Add(value)}, self._faults([value], infinite=True)


@spec
class Sums(Values):
    """Σ of each of some entries, and of the weights."""

    entries: tuple[str, ...]
    weights: str = "weights"
    exact: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return self.entries

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, INFINITE, BEYOND)

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        kind = accumulators.ExactSum if self.exact else accumulators.Sum
        return {name: kind() for name in (*(f"sum_{entry}" for entry in self.entries), "weight")}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        adds = {f"sum_{name}": Add(batch[name]) for name in self.entries} | {"weight": Add(1)}
        return adds, self._faults([batch[name] for name in self.entries], infinite=True)


@spec
class Extrema(OneEntry):
    """The least and the greatest value of an entry."""

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, BEYOND)

    @property
    def accumulators(self) -> dict[str, accumulators.Accumulator]:
        return {"minimum": accumulators.Minimum(), "maximum": accumulators.Maximum()}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        value = batch[self.entry]
        return {"minimum": Add(value), "maximum": Add(value)}, self._faults([value], infinite=False)
