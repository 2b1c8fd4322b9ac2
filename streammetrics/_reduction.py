"""The one reduction: from what each example of a batch adds to the data of that batch alone."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics.accumulators import Accumulator, Count

Shape = tuple[int, ...]


class Add(NamedTuple):
    """What every example adds to one accumulator: `amount[i]` at `cell[i]`, or to the whole without a cell.

    With *B the axes of the examples: `cell` is `(*B, *K)`, flat indices into the accumulator's cells, K further
    axes where an example adds to several; an index outside adds nothing. `amount` is `(*B, *K, *rest)`, `rest` being
    the axes of the accumulator that follow the cells, or a number for every example. Without a cell, `rest` is the
    accumulator's whole shape.
    """

    amount: Any = 1
    cell: Any = None


Adds = Mapping[str, Add | list[Add]]


class Observation(NamedTuple):
    """A batch as a statistic sees it, on its way to counts; wrappers change it before it is reduced."""

    accumulators: Mapping[str, Any]
    adds: Adds
    examples: Shape
    """The axes that number the examples."""
    weight: Array | None
    """How often each example (or element of one) came: bool, uint32 or float32; 0 for absence, None for 1."""
    share: Array | None
    """How often each enters the sums: as it came, or not at all where it is at fault."""
    factor: Array | None = None
    """By what each example's share is multiplied: what has decayed."""
    axes: Shape = ()
    """Of the slices, the outermost first; along each of them one more place is that of no known slice."""
    place: Array | None = None
    """Where each example belongs along these axes, as a flat index."""
    bits: Array | None = None
    """Which examples each replicate has twice: bool (*B, replicates)."""
    once: tuple[str, ...] = ()
    """The accumulators that are the same for all replicates."""
    rows: tuple[str, ...] = ()
    """The accumulators that count rows, whatever fraction weighs them."""


def reduced(seen: Observation) -> dict[str, Any]:
    """What the batch adds to every accumulator, as its `added` and `placed` take it."""
    unread = set(seen.adds) ^ set(seen.accumulators)
    if unread:
        _checks.refuse(ValueError, f"observe and accumulators disagree about {_checks.listed(sorted(unread))}")
    data = {}
    for name, accumulator in seen.accumulators.items():
        adds = seen.adds[name]
        share = seen.share
        if name in seen.rows:
            share = None if share is None else share.astype(bool)
        elif seen.factor is not None:
            share = seen.factor if share is None else share.astype(jnp.float32) * broadcast(seen.factor, share.shape)
        bits = None if name in seen.once else seen.bits
        several = _several(adds)
        take = accumulator.part if len(several) == 1 else accumulator.reduce
        parts = (_reduced(accumulator, add, share, bits, seen.examples, take) for add in several)
        data[name] = functools.reduce(accumulator.merge, parts)
    return data


def sliced(seen: Observation, index: Array, size: int) -> Observation:
    """The observation with one more axis, the outermost: of `size` slices, and an index for each example."""
    accumulators = {name: with_axis(accumulator, size) for name, accumulator in seen.accumulators.items()}
    adds = {
        name: [_at(seen.accumulators[name], add, index, size, seen.examples) for add in _several(seen.adds[name])]
        for name in seen.adds
    }
    place, inner = jnp.where((index < 0) | (index > size), size, index), math.prod(n + 1 for n in seen.axes)
    if seen.place is not None:
        place = place * inner + seen.place
    return seen._replace(accumulators=accumulators, adds=adds, axes=(size, *seen.axes), place=place)


def with_axis(accumulator: Any, size: int) -> Any:
    """The accumulator with one more leading axis."""
    return dataclasses.replace(accumulator, shape=(size, *accumulator.shape))


def broadcast(array: Array, shape: Shape) -> Array:
    """The array over a shape that its own leads."""
    return jnp.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)


def masked(weight: Array | None, mask: Array | None) -> Array | None:
    """The weight where the mask is true, else 0."""
    if mask is None or weight is None:
        return weight if mask is None else mask
    return jnp.where(mask, weight, weight.dtype.type(0))


def _several(adds: Add | list[Add]) -> list[Add]:
    return [adds] if isinstance(adds, Add) else adds


def _at(accumulator: Accumulator, add: Add, index: Array, size: int, examples: Shape) -> Add:
    """What is added to the slice of each example."""
    amount, cell = add
    if cell is None:
        rows = _rows(accumulator, add, examples)
        if isinstance(amount, int | float) and accumulator.shape:
            amount = jnp.broadcast_to(_numbers(accumulator, amount, ()), (*rows, *accumulator.shape))
        place, known = broadcast(index, rows), (index >= 0) & (index < size)
        return Add(amount, jnp.where(broadcast(known, rows), place, -1))
    rest = 0 if isinstance(amount, int | float) else max(amount.ndim - cell.ndim - accumulator.amount_axes, 0)
    cells = math.prod(accumulator.shape[: len(accumulator.shape) - rest])
    place = broadcast(index, cell.shape)
    known = (place >= 0) & (place < size) & (cell >= 0) & (cell < cells)
    return Add(amount, jnp.where(known, place * cells + cell, -1))


def _rows(accumulator: Accumulator, add: Add, examples: Shape) -> Shape:
    """The axes that number what is added."""
    if add.cell is not None:
        return add.cell.shape
    if isinstance(add.amount, int | float):
        return examples
    return add.amount.shape[: add.amount.ndim - len(accumulator.shape) - accumulator.amount_axes]


def _numbers(accumulator: Accumulator, amount: float, shape: Shape) -> Array:
    """A number for every row, in the dtype in which the accumulator takes it."""
    kind = bool if isinstance(accumulator, Count) and amount == 1 else type(amount)
    return jnp.full(shape, amount, {bool: bool, int: jnp.int32, float: jnp.float32}[kind])


def _reduced(
    accumulator: Accumulator,
    add: Add,
    share: Array | None,
    bits: Array | None,
    examples: Shape,
    take: Callable[[Array, Array | None, Array | None], Any],
) -> Any:
    """What the accumulator takes of the batch: the axes of examples and elements become rows."""
    rows, (amount, cell) = _rows(accumulator, add, examples), add
    if isinstance(amount, int | float):
        amount = _numbers(accumulator, amount, rows)
    elif amount.ndim < len(rows):
        amount = broadcast(amount, rows)
    if amount.shape[: len(rows)] != rows:
        _checks.refuse(ValueError, f"an amount has shape {amount.shape}, but its cells have shape {rows}")
    count = math.prod(rows)
    if share is not None:
        if share.ndim < len(rows):
            share = broadcast(share, rows)
        share = share.reshape(count, *share.shape[len(rows) :])
    amount = amount.reshape(count, *amount.shape[len(rows) :])
    cell = None if cell is None else cell.reshape(count).astype(jnp.int32)
    if bits is None:
        return take(amount, share, cell)
    once = accumulator.reduce(amount, share, cell)
    number = bits.shape[-1]
    bits = broadcast(bits.reshape(*bits.shape[:-1], *(1,) * (len(rows) - bits.ndim + 1), number), (*rows, number))
    resampled = _resampled(accumulator, amount, share, cell, bits.reshape(count, number))
    return jnp.concatenate([once[:, None], accumulator.merge(resampled, resampled)], 1)


def _resampled(accumulator: Accumulator, amount: Array, share: Array | None, cell: Array | None, bits: Array) -> Array:
    """The data of replicates, `(limbs, replicates, *shape)`, each of the examples that its bits choose."""
    number = bits.shape[1]
    rest = amount.ndim - 1 - accumulator.amount_axes
    if share is not None:
        bits = bits.reshape(*bits.shape, *(1,) * (share.ndim - 1))
        share = masked(share[:, None], bits)
    else:
        share = bits
    amount = jnp.broadcast_to(amount[:, None], (len(amount), number, *amount.shape[1:]))
    cells = len(accumulator.shape) - (len(accumulator.shape) if cell is None else rest)
    shape = (*accumulator.shape[:cells], number, *accumulator.shape[cells:])
    data = dataclasses.replace(accumulator, shape=shape).reduce(amount, share, cell)
    return jnp.moveaxis(data, 1 + cells, 1)
