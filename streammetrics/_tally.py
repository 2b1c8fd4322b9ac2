"""The one reduction: from a batch, and what a statistic observes in it, to the counts of that batch alone."""

import functools
import math
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._statistic import ABSENT, WEIGHT_REASONS, WHOLE_REASONS, Add, Place, Statistic
from streammetrics.accumulators import Accumulator, Count

Shape = tuple[int, ...]


def tally(statistic: Statistic, place: Place, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
    """The data of a batch by its keys in the state, and the member's part of `seen`."""
    entries = {name: batch[name] for name in statistic.reads}
    examples = entries[statistic.reads[0]].shape[: statistic.leading_axes(**entries)]
    adds, faults = statistic.observe(**entries)
    # Faults and weights act on examples, or on the elements of an example where the masks say so.
    elements = max((examples, *(mask.shape for mask in faults.values())), key=len)

    weight, weight_faults = _weight(statistic, batch, elements)
    possible = weight_faults | {reason: mask for reason, mask in faults.items() if reason != ABSENT}
    code = _code(place.reasons, possible, elements)
    if weight is not None and weight_faults:  # the weight cannot say how much such an example counts: it counts once
        weight = jnp.where(_any(weight_faults.values()), 1, weight)
    weight = _masked(weight, ~faults[ABSENT] if ABSENT in faults else None)
    share = _masked(weight, None if code is None else code == 0)

    unread = set(adds) ^ set(statistic.accumulators)
    if unread:
        _checks.refuse(ValueError, f"observe and accumulators disagree about {_checks.listed(sorted(unread))}")
    data = {
        place.keys[name]: functools.reduce(
            accumulator.merge,
            (_reduced(accumulator, add, share, examples) for add in _several(adds[name])),
        )
        for name, accumulator in statistic.accumulators.items()
    }
    if statistic.weighted:  # weights are no numbers of examples then: rows of positive weight are counted
        weight, share = (None if w is None else w.astype(bool) for w in (weight, share))
    return data, _seen(place.reasons, tuple(possible), code, weight, share, examples)


def _weight(statistic: Statistic, batch: Mapping[str, Array], elements: Shape) -> tuple[Array | None, dict[str, Array]]:
    """The weight of each element (bool, uint32, or float32 if weighted; 1 for all is None), and what is wrong."""
    if statistic.weights not in batch:
        return None, {}
    raw = batch[statistic.weights]
    _checks.prefix(statistic.weights, raw, elements)
    raw = _broadcast(raw, elements)
    if raw.dtype == bool:
        return raw, {}
    floating = jnp.issubdtype(raw.dtype, jnp.floating)
    if raw.dtype.itemsize < 4:
        raw = raw.astype(jnp.float32 if floating else jnp.int32)
    finite, negative, fractional, above = WEIGHT_REASONS + WHOLE_REASONS
    faults = {finite: ~jnp.isfinite(raw)} if floating else {}
    faults[negative] = raw < 0
    if not statistic.weighted:
        faults |= {fractional: raw != jnp.trunc(raw)} if floating else {}
        faults[above] = raw > 65_535
    dtype = jnp.float32 if statistic.weighted else jnp.uint32
    return jnp.where(_any(faults.values()), 0, raw).astype(dtype), faults


def _broadcast(array: Array, shape: Shape) -> Array:
    """The array over a shape that its own leads."""
    return jnp.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)


def _any(masks: Iterable[Array]) -> Array:
    return functools.reduce(jnp.logical_or, masks)


def _code(reasons: tuple[str, ...], faults: Mapping[str, Array], elements: Shape) -> Array | None:
    """Which reason applies first to each element, counted from 1; 0 where none does, None where none can."""
    if not faults:
        return None
    if unknown := [reason for reason in faults if reason not in reasons]:
        _checks.refuse(
            ValueError, f"observe returned the fault {unknown[0]!r}, but reasons are {_checks.listed(reasons)}"
        )
    code = jnp.zeros(elements, jnp.int32)
    for reason in sorted(faults, key=reasons.index, reverse=True):
        code = jnp.where(_broadcast(faults[reason], elements), reasons.index(reason) + 1, code)
    return code


def _masked(weight: Array | None, mask: Array | None) -> Array | None:
    """The weight where the mask is true, else 0."""
    if mask is None:
        return weight
    return mask if weight is None else jnp.where(mask, weight, weight.dtype.type(0))


def _several(adds: Add | list[Add]) -> list[Add]:
    return [adds] if isinstance(adds, Add) else adds


def _reduced(accumulator: Accumulator, add: Add, share: Array | None, examples: Shape) -> Array:
    """An accumulator's data of the batch: the axes of examples and elements become rows."""
    amount, cell = add
    if cell is not None:
        rows = cell.shape
    elif isinstance(amount, int | float):
        rows = examples
    else:
        rows = amount.shape[: amount.ndim - len(accumulator.shape) - accumulator.amount_axes]
    if isinstance(amount, int | float):
        kind = bool if isinstance(accumulator, Count) and amount == 1 else type(amount)
        amount = jnp.full(rows, amount, {bool: bool, int: jnp.int32, float: jnp.float32}[kind])
    elif amount.ndim < len(rows):
        amount = _broadcast(amount, rows)
    if amount.shape[: len(rows)] != rows:
        _checks.refuse(ValueError, f"an amount has shape {amount.shape}, but its cells have shape {rows}")
    count = math.prod(rows)
    if share is not None:
        if share.ndim < len(rows):
            share = _broadcast(share, rows)
        share = share.reshape(count, *share.shape[len(rows) :])
    amount = amount.reshape(count, *amount.shape[len(rows) :])
    return accumulator.reduce(amount, share, None if cell is None else cell.reshape(count).astype(jnp.int32))


def _seen(
    reasons: tuple[str, ...],
    possible: tuple[str, ...],
    code: Array | None,
    weight: Array | None,
    share: Array | None,
    examples: Shape,
) -> Array:
    """The counts of examples and of faults by reason; only those that are possible here are looked for."""
    rows, numbers = math.prod(examples), [reasons.index(reason) + 1 for reason in possible]
    if code is not None and code.shape == examples:
        columns = _counted(code, [0, *numbers], weight)
    else:  # an example counts with the weight of its heaviest element that does
        columns = {} if code is None else _counted(code, numbers, weight)
        heaviest = None
        if share is not None:
            inner = math.prod(share.shape[len(examples) :])
            heaviest = jnp.max(share.reshape(rows, inner), 1, initial=share.dtype.type(0))
        columns[0] = Count(()).reduce(jnp.ones((rows,), bool), heaviest, None)
    none = jnp.zeros((2,), jnp.uint32)
    return jnp.stack([columns.get(number, none) for number in range(1 + len(reasons))], 1)


def _counted(code: Array, numbers: list[int], weight: Array | None) -> dict[int, Array]:
    """How often each number occurs: of what counts once all in one pass, which vectorises."""
    weight = None if weight is None else weight.reshape(-1)
    masks = [(code == number).reshape(-1) for number in numbers]
    if weight is not None and weight.dtype != bool:
        return {number: Count(()).reduce(mask, weight, None) for number, mask in zip(numbers, masks, strict=True)}
    ones = tuple((mask if weight is None else mask & weight).astype(jnp.uint32) for mask in masks)
    zero = np.uint32(0)
    sums = lax.reduce(ones, (zero,) * len(ones), lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True)), (0,))
    return {number: jnp.stack([sum_, jnp.zeros_like(sum_)]) for number, sum_ in zip(numbers, sums, strict=True)}
