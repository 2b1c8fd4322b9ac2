"""The state: the only thing that changes, and how states become one, here and over devices."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._jax import Axes, bound, is_traced, sliceable, tracks_varying, varying
from streammetrics._statistic import (
    DEPENDENT,
    FAULTS,
    OWN,
    AnyStatistic,
    Joint,
    Place,
    Statistic,
    accumulators_of,
    layout,
    members,
    seen_of,
)
from streammetrics._uint64 import UInt64
from streammetrics.accumulators import Count
from streammetrics.accumulators._base import SLOTS_LIMIT, Monoid, Slotted, merge_all


@functools.partial(jax.tree_util.register_dataclass, data_fields=["data", "seen"], meta_fields=["statistic"])
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class State:
    """What was counted: the accumulators' arrays by name, and the statistic that says what they mean.

    A pytree whose leaves are `data`, one array for each accumulator, and `seen`, the exact counts of examples and of
    invalid ones that all statistics of a collection share. Its structure, shapes and dtypes never change.
    """

    statistic: AnyStatistic
    data: dict[str, Array]
    seen: Array

    @property
    def examples(self) -> Any:
        """How many valid examples were counted: a `UInt64`, of slices an array; for a collection by statistic."""
        return self._seen("examples", lambda counts, place: _known(counts, place)[..., 0])

    @property
    def dependent(self) -> Any:
        """How many of these do not stand for a row of their own: their weight is not 1, or rows hold several."""
        return self._seen("dependent", lambda counts, place: _known(counts, place)[..., DEPENDENT])

    @property
    def invalid(self) -> Any:
        """How many examples could not be counted: a `UInt64` by reason; for a collection, such a dict by statistic."""

        def by_reason(counts: UInt64, place: Place) -> dict[str, UInt64]:
            every = counts.reshape(-1, place.shape[-1]).sum(0)
            return {reason: every[FAULTS + i] for i, reason in enumerate(place.reasons)}

        return self._seen("invalid", by_reason)

    def _seen(self, name: str, read: Callable[[UInt64, Place], Any]) -> Any:
        check(self, f"State.{name}", self.statistic)
        return self._by_member({m: read(seen_by(self, m), place) for m, place in layout(self.statistic).items()})

    def _by_member(self, values: dict[Any, Any]) -> Any:
        if not isinstance(self.statistic, Joint):
            return values[self.statistic]
        return {place.name: values[member] for member, place in layout(self.statistic).items()}

    def __repr__(self) -> str:
        concrete = isinstance(self.seen, Array | np.ndarray) and not is_traced(self.seen)
        if not concrete or extra_axes(self) != 0:
            return f"State({self.statistic!r}, shapes={ {key: np.shape(array) for key, array in self.data.items()} })"
        rows = []
        for member, counts in seen_counts(self).items():
            examples, _, *invalid = counts.tolist()
            rows.append(f"{member!r}: n={examples:,}, invalid={sum(invalid):,}")
        return rows[0] if not isinstance(self.statistic, Joint) else f"State({'; '.join(rows)})"


def seen_by(state: State, member: Statistic) -> UInt64:
    """What a statistic has seen, of the shape of its place."""
    place = layout(state.statistic)[member]
    if OWN in place.keys:
        counts = member.accumulators[OWN].decode(state.data[place.keys[OWN]])
    else:
        counts = Count(()).decode(state.seen[:, place.seen])
    return counts.reshape(*place.shape)


def seen_counts(state: State) -> dict[Statistic, np.ndarray]:
    """The same over all slices, of all members on the host: one wait, and mostly nothing to compile."""
    low, high = np.asarray(state.seen).astype(np.uint64)
    shared, found = low | (high << np.uint64(32)), {}
    for member, place in layout(state.statistic).items():
        counts = np.asarray(seen_by(state, member)) if OWN in place.keys else shared[place.seen]
        found[member] = counts.reshape(-1, place.shape[-1]).sum(0)
    return found


def _known(counts: UInt64, place: Place) -> UInt64:
    """Of what was seen, what is in some slice along every axis."""
    return counts[(slice(-1),) * (len(place.shape) - 1)]


def arrays(state: State) -> list[tuple[Monoid, Array]]:
    """Every array of a state beside its accumulator, `seen` last."""
    known = accumulators_of(state.statistic)
    return [*((known[key], state.data[key]) for key in known), (seen_of(state.statistic), state.seen)]


def with_arrays(statistic: AnyStatistic, data: list[Array]) -> State:
    """The state of arrays in the order of `arrays`."""
    return State(statistic, dict(zip(accumulators_of(statistic), data, strict=False)), data[-1])


def extra_axes(state: State) -> int | None:
    """How many axes lead those of the layout: 0 for a state to read; None where the shapes are no state's at all."""
    if set(state.data) != set(accumulators_of(state.statistic)):
        return None
    found = set()
    for accumulator, array in arrays(state):
        shape, due = np.shape(array), (accumulator.limbs, *accumulator.shape)
        found.add(len(shape) - len(due) if shape[len(shape) - len(due) :] == due else None)
    return found.pop() if len(found) == 1 else None


def merge(state: State, *states: State) -> State:
    """The state of all: the sum of the monoid, in any order and any tree the same.

    Raises `ValueError` for states of different statistics, naming both, and under `shard_map` for states that vary
    over different mesh axes.

    >>> import streammetrics as sm
    >>> metric = sm.Mean("loss")
    >>> a, b = metric.tally(loss=[1.0, 2.0]), metric.tally(loss=[6.0])
    >>> float(metric.compute(sm.merge(a, b)))
    3.0
    """
    for other in states:
        for one in (state, other):
            if not isinstance(one, State):
                raise TypeError(f"merge: got {one!r}, but states are due")
        if state.statistic != other.statistic:
            raise ValueError(
                f"merge: the states are of different statistics, {state.statistic!r} and {other.statistic!r}"
            )
        if _varying(state) != _varying(other):
            raise ValueError(
                f"merge: one state varies over the mesh axes {sorted(_varying(state))}, the other over "
                f"{sorted(_varying(other))}; merging would count one of them once per device: all_merge the tally "
                "first, or begin with init(axis_name=…)"
            )
        state = _merge(state, other)
    return state


@functools.partial(jax.jit, inline=True)
def _merge(a: State, b: State) -> State:
    pairs = zip(arrays(a), arrays(b), strict=True)
    return with_arrays(a.statistic, [accumulator.merge(x, y) for (accumulator, x), (_, y) in pairs])


def _varying(state: State) -> frozenset[str]:
    return frozenset().union(*(varying(array) for _, array in arrays(state)))


@functools.partial(jax.jit, inline=True)
def _fold(state: State) -> State:
    return with_arrays(state.statistic, [merge_all(accumulator.merge, array) for accumulator, array in arrays(state)])


def fold(state: State) -> State:
    """The merge of the states along an extra leading axis: what `pmap` returns, or states stacked by `vmap`.

    Raises `ValueError` for a state without such an axis.
    """
    extra = extra_axes(state)
    if extra is None or extra < 1:
        raise ValueError(f"fold: the state {state!r} has no extra leading axis to merge along")
    return _fold(sliceable(state))


def all_merge(state: State, axis_name: Axes) -> State:
    """The state of every device along mesh axes, inside `pmap` or `shard_map`: one all-reduce of one array.

    Integers are summed in halves of 16 bits, exact on up to 65,536 devices. Floats travel in a slot for each device
    and are merged in the order of the devices, so that all read the same; states above 1 MiB fold by permutation.

    Raises `ValueError` for a state that does not vary along an axis: it was merged already, and would be counted once
    per device (JAX can tell in a checked `shard_map` only); `NameError` for an axis that is not bound.
    """
    axes = bound(axis_name, "all_merge")
    for axis in axes:
        if tracks_varying(axis) and any(axis not in varying(array) for _, array in arrays(state)):
            raise ValueError(
                f"all_merge: the state does not vary along {axis!r}: it has been merged already, and merging again "
                "would count it once per device; merge(state, all_merge(tally)) adds to a replicated state"
            )
    index, devices = lax.axis_index(axes), math.prod(lax.axis_size(axis) for axis in axes)
    words, readers = [], []
    for accumulator, array in arrays(state):
        slots = devices
        if isinstance(accumulator, Slotted) and array.nbytes > SLOTS_LIMIT:
            array, slots = _gathered(accumulator.merge, array, axes, devices), 1
        packed = accumulator.pack(array, index, slots)
        words.append(packed.reshape(-1))
        readers.append(functools.partial(accumulator.unpack, devices=slots))
    summed = lax.psum(jnp.concatenate(words), axes)
    parts = jnp.split(summed, np.cumsum([len(part) for part in words])[:-1].tolist())
    return with_arrays(state.statistic, [reader(part) for reader, part in zip(readers, parts, strict=True)])


def _gathered(merge: Callable[[Array, Array], Array], data: Array, axes: Axes, devices: int) -> Array:
    """On device 0 the merge of all devices' data, in the pairs of a tree; on the others something."""
    step = 1
    while step < devices:
        pairs = [(source, source - step) for source in range(step, devices, 2 * step)]
        data = merge(data, lax.ppermute(data, axes, pairs))  # zeros, the identity, where nothing arrives
        step *= 2
    return data


def part(state: Any, statistic: AnyStatistic) -> Any:
    """Of a state that counts more, as that of a collection does, what a statistic counts; others as they are."""
    if not isinstance(state, State) or state.statistic == statistic:
        return state
    places = layout(state.statistic)
    if not all(member in places for member in members(statistic)):
        return state
    data, seen = {}, []
    for member, place in layout(statistic).items():
        data |= {key: state.data[places[member].keys[name]] for name, key in place.keys.items()}
        seen.append(state.seen[..., places[member].seen])
    return State(statistic, data, together(seen, state.seen))


def together(seen: list[Array | None], like: Array | None = None) -> Array:
    """What the members have seen in one array, which is never empty."""
    found = [part for part in seen if part is not None and part.shape[-1]]
    if found:
        return jnp.concatenate(found, -1) if len(found) > 1 else found[0]
    return jnp.zeros((2, 1), jnp.uint32) if like is None else jnp.zeros_like(like[..., :1])


def check(state: Any, who: object, statistic: AnyStatistic) -> None:
    """A state must be of this statistic and have the layout to be read or added to."""
    if not isinstance(state, State):
        raise TypeError(f"{who}: got {type(state).__name__} as state, but a State is due, as init() returns")
    if state.statistic != statistic:
        raise ValueError(f"{who}: the state is of {state.statistic!r}, but must be of {statistic!r}")
    extra = extra_axes(state)
    if extra is None:
        shapes = {key: np.shape(array) for key, array in {**state.data, "seen": state.seen}.items()}
        raise ValueError(f"{who}: the state's arrays have the shapes {shapes}, which are not those of its statistic")
    if extra:
        raise ValueError(
            f"{who}: the state has {extra} extra leading axis, of {np.shape(state.seen)[0]} states; merge them first "
            "with fold(state), with merged(state) of a Sharded, or inside pmap with all_merge(state, axis_name)"
        )
    if any(
        isinstance(array, Array)
        and not is_traced(array)
        and not array.is_fully_addressable
        and not array.is_fully_replicated
        for _, array in arrays(state)
    ):
        raise ValueError(f"{who}: the state is spread over processes; merge it first with merged(state) of its Sharded")
