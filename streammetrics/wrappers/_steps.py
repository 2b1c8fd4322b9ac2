"""`Windowed` and `Decayed`: values of the last steps, by an entry that says to which step the examples belong."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, accumulators
from streammetrics._collection import Collection
from streammetrics._metric import Metric, leaves
from streammetrics._reduction import Add, Adds, Observation, broadcast, masked, sliced
from streammetrics._spec import contents, is_spec, rebuild, spec
from streammetrics._statistic import OWN, Statistic, accumulators_of, seen_shape
from streammetrics._wide import Wide
from streammetrics.accumulators import CoMoments, Count, Moments, Sum
from streammetrics.accumulators._keyed import Keyed, decay
from streammetrics.wrappers._base import Counted, Wrapped, Wrapper, check_parts_size, widened

LAST = 2**31 - 2
NEGATIVE, TOO_GREAT = "negative step", f"step above {LAST:,}"


@spec
class Stepped(Wrapped):
    """What a statistic counts of steps: one integer for the batch, or one per example or leading index."""

    step: str

    @property
    def own(self) -> tuple[str, ...]:
        return (self.step,)

    @property
    def scalars(self) -> tuple[str, ...]:
        return (self.step, *self.inner.scalars)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NEGATIVE, TOO_GREAT, *self.inner.reasons)

    def observe(self, **batch: Array) -> tuple[Adds, Mapping[str, Array]]:
        if not jnp.issubdtype(batch[self.step].dtype, jnp.integer):
            _checks.refuse(TypeError, f"{self.step} has dtype {batch[self.step].dtype}, but steps are integers")
        adds, faults = super().observe(**batch)
        step = self._steps(batch)
        return adds, {NEGATIVE: step < 0, TOO_GREAT: step > LAST, **faults}

    def keys(self, observation: Observation, batch: Mapping[str, Array]) -> Array:
        """The key of each example, or of the batch: 0 where there is none, or no step that can be."""
        step, weight, examples = self._steps(batch), observation.weight, observation.examples
        known = (step >= 0) & (step <= LAST)
        if weight is None:
            known &= math.prod(examples) > 0
        else:
            within = tuple(range(len(examples) if step.ndim else 0, weight.ndim))
            known &= jnp.any(weight.astype(bool), within)
        return jnp.where(known, step.astype(jnp.uint32) + np.uint32(1), np.uint32(0))

    def _steps(self, batch: Mapping[str, Array]) -> Array:
        """The step of the batch, or of each example."""
        step = widened(batch[self.step])
        return self.of_examples(self.step, step, batch) if step.ndim else step


@spec
class Windows(Stepped):
    """What a statistic counts of each of the last `size` steps."""

    size: int

    @property
    def accumulators(self) -> dict[str, Any]:
        counted = {**self.inner.accumulators, OWN: Count((math.prod(seen_shape(self)),))}
        return {name: accumulators.Windowed(each, self.size, name == OWN) for name, each in counted.items()}

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        arranged, keys = super().arranged(observation, **batch), self.keys(observation, batch)
        if not keys.ndim:
            return arranged
        live, slot = self._newest(keys)[1:]
        weight, share = (masked_by_examples(each, live) for each in (arranged.weight, arranged.share))
        return sliced(arranged._replace(weight=weight, share=share), slot, self.size)

    def settled(self, data: Counted, observation: Observation, **batch: Array) -> dict[str, Any]:
        keys, known = self.keys(observation, batch), observation.accumulators
        data = {name: known[name].placed(each) if name in known else each for name, each in data.items()}
        if not keys.ndim:
            return {name: Keyed(each, keys) for name, each in data.items()}
        newest = self._newest(keys)[0]
        # Replicates lead the slots where they are.
        resampled = 0 if observation.bits is None else 1
        placed = {}
        for name, each in data.items():
            if name == OWN:  # what was seen without a step is at the last place, as all that is of no slice
                placed[name] = Keyed(each.reshape(2, self.size + 1, -1), newest)
                continue
            if name not in observation.once:
                each = jnp.moveaxis(each, 1 + resampled, 1)
            placed[name] = Keyed(each, newest[:-1])
        return placed

    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        known = self.accumulators
        return self.inner, {name: known[name].live(data[name]) for name in self.inner.accumulators}, seen

    def _newest(self, keys: Array) -> tuple[Array, Array, Array]:
        """The newest key of each slot and of what has none, which examples are of these, and the slot of each."""
        slot = jnp.where(keys > 0, (keys - 1) % np.uint32(self.size), np.uint32(self.size)).astype(jnp.int32)
        newest = jnp.zeros((self.size + 1,), jnp.uint32).at[slot.reshape(-1)].max(keys.reshape(-1))
        return newest, newest[slot] == keys, slot


def masked_by_examples(weight: Array | None, live: Array) -> Array | None:
    """The weight of what is live, by example or by element."""
    return masked(weight, live if weight is None else broadcast(live, weight.shape))


@spec
class Decays(Stepped):
    """What a statistic counts of all steps, the older the less."""

    half_life: float

    @property
    def accumulators(self) -> dict[str, Any]:
        counted = {**self.inner.accumulators, "examples": Sum(self.inner.axes)}
        return {name: accumulators.Decayed(each, self.half_life) for name, each in counted.items()}

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        keys, factor = self.keys(observation, batch), None
        if keys.ndim:
            factor = decay(jnp.max(keys, initial=np.uint32(0)) - keys, self.half_life)
        observation = observation._replace(
            accumulators={**observation.accumulators, "examples": Sum(())},
            adds={**observation.adds, "examples": Add(1 if factor is None else factor)},
            rows=("examples",),
            factor=factor,
        )
        return super().arranged(observation, **batch)

    def settled(self, data: Counted, observation: Observation, **batch: Array) -> dict[str, Any]:
        key = jnp.max(self.keys(observation, batch), initial=np.uint32(0))
        return {name: Keyed(each, key) for name, each in data.items()}

    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        raise TypeError(f"total: {self!r} holds sums that have decayed, which are no counts any more")


@spec
class Windowed(Wrapper):
    """The value of the examples of the last `size` steps, by an entry `step`.

    The window ends with the newest step, wherever it was counted: steps may come in any order, on any device, split
    and merged in any way. `step` is one integer from 0 to 2^31 − 2 for the batch, or one per example or leading index,
    such as a bucket of time. An update of one step writes one slot, so that with a donated state its time does not
    depend on `size`; one step per example costs as much as a merge of the whole window. Examples that could not be
    counted are forgotten with their step; those of a step below 0 or above 2^31 − 2 never are. It takes `size` times
    the memory of the metric, of which at most 1 GiB is allowed.

    >>> import streammetrics as sm
    >>> metric = Windowed(sm.Mean("loss"), 2)
    >>> state = metric.init()
    >>> for step, loss in enumerate([9.0, 1.0, 2.0]):
    ...     state = metric.update(state, loss=[loss], step=step)
    >>> float(metric.compute(state))
    1.5
    """

    size: int
    step: str = "step"

    holds = ("Bootstrapped", "Sliced", "PerOutput")

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"Windowed: size is {self.size}, but must be a number of steps above 0")
        check_parts_size(self, self.size, "steps")

    def over(self, statistic: Statistic) -> Statistic:
        return Windows(statistic, self.step, self.size)

    def read_single(self, counts: Mapping[Any, Any]) -> Any:
        return self.metric.read(counts)


@spec
class Decayed(Wrapper):
    """The value of all examples, whose weights halve with every `half_life` steps, by an entry `step`.

    Weights are as of the newest step, wherever it was counted: any order, split and merge gives the same to 1e-6.
    `step` is one integer from 0 to 2^31 − 2 for the batch, or one per example or leading index. Counts become sums, as
    with `weighted=True`: fractional weights are taken, values that are counts are floats, and the number of examples
    (`Examples`, `min_examples`) is that of rows of positive weight, as decayed, whatever their weights. Raises
    `TypeError` for what does not decay: extrema, exact sums, distinct values.

    >>> import streammetrics as sm
    >>> metric = Decayed(sm.Mean("loss"), half_life=1.0)
    >>> state = sm.merge(metric.tally([2.0], step=1), metric.tally([8.0], step=0))
    >>> float(metric.compute(state))
    4.0
    """

    half_life: float
    step: str = "step"

    holds = ("Sliced", "PerOutput")

    def __post_init__(self) -> None:
        if not 0 < self.half_life < math.inf:
            raise ValueError(f"Decayed: half_life is {self.half_life}, but must be a number of steps above 0")
        for _, leaf in leaves(self.metric):
            kinds = {type(each).__name__ for each in accumulators_of(fractional(leaf).statistic).values()}
            if rigid := sorted(kinds - {kind.__name__ for kind in (Sum, Moments, CoMoments)}):
                raise TypeError(f"Decayed: {leaf!r} holds {_checks.listed(rigid)}, but only sums and moments decay")

    @property
    def inner(self) -> Metric:
        return fractional(self.metric)

    def over(self, statistic: Statistic) -> Statistic:
        return Decays(statistic, self.step, self.half_life)

    def read_single(self, counts: Mapping[Any, Any]) -> Any:
        value = self.inner.read(counts)
        return jax.tree.map(
            lambda leaf: leaf.to_float() if isinstance(leaf, Wide) else leaf,
            value,
            is_leaf=lambda x: isinstance(x, Wide),
        )


def fractional(value: Any) -> Any:
    """The specification with `weighted=True` in all of it that has such a field: what it counts become sums."""
    if isinstance(value, tuple):
        return tuple(map(fractional, value))
    if isinstance(value, Collection):
        return Collection({name: fractional(part) for name, part in value.parts})
    if not is_spec(value):
        return value
    fields = {name: fractional(field) for name, field in contents(value).items()}
    return rebuild(type(value), fields | ({"weighted": True} if "weighted" in fields else {}))
