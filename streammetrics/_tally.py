"""From a batch, and what a statistic observes in it, to the counts of that batch alone."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._reduction import Observation, Shape, broadcast, masked, reduced
from streammetrics._statistic import ABSENT, DEPENDENT, FAULTS, OWN, WEIGHT_REASONS, WHOLE_REASONS, Place, Statistic
from streammetrics.accumulators import Count
from streammetrics.accumulators._base import count_rows

NEVER = -1  # the number of what cannot be


def tally(statistic: Statistic, place: Place, batch: Mapping[str, Array]) -> tuple[dict[str, Any], Array | None]:
    """What a batch adds, by its keys in the state, and the member's part of `seen` (None where it holds its own)."""
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
    weight = masked(weight, ~broadcast(faults[ABSENT], elements) if ABSENT in faults else None)
    share = masked(weight, None if code is None else code == 0)

    observation = statistic.arranged(Observation(statistic.observed, adds, examples, weight, share), **entries)
    data = reduced(observation)
    seen = _seen(statistic, place.reasons, tuple(possible), code, observation)
    if OWN in statistic.accumulators:
        data, seen = data | {OWN: seen}, None
    data = statistic.settled(data, observation, **entries)
    return {place.keys[name]: part for name, part in data.items()}, seen


def _weight(statistic: Statistic, batch: Mapping[str, Array], elements: Shape) -> tuple[Array | None, dict[str, Array]]:
    """The weight of each element (bool, uint32, or float32 if weighted; 1 for all is None), and what is wrong."""
    if statistic.weights not in batch:
        return None, {}
    raw = batch[statistic.weights]
    _checks.prefix(statistic.weights, raw, elements)
    raw = broadcast(raw, elements)
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
        code = jnp.where(broadcast(faults[reason], elements), reasons.index(reason) + 1, code)
    return code


def _seen(
    statistic: Statistic, reasons: tuple[str, ...], possible: tuple[str, ...], code: Array | None, seen: Observation
) -> Array:
    """The counts of examples, of those that are not independent, and of faults by reason, of every place.

    Only faults that are possible here are looked for.
    """
    columns = FAULTS + len(reasons)
    weight, share = seen.weight, seen.share
    dependent = None if share is None or share.dtype == bool else (share != 0) & (share != 1)
    if statistic.weighted:  # weights are no numbers of examples then: rows of positive weight are counted
        weight, share = (None if w is None else w.astype(bool) for w in (weight, share))
    each = code if code is not None and code.shape == seen.examples else None
    # An example counts with the weight of its heaviest element that does.
    heaviest = None if each is not None or share is None else _of_examples(share, seen.examples)
    several = statistic.elements(seen.examples) > 1
    rows = None if several or dependent is None else _of_examples(dependent, seen.examples)
    if seen.place is None:
        faults = [number if reason in possible else NEVER for number, reason in enumerate(reasons, 1)]
        if each is not None:
            data = _counted(each, [0, 0 if several else NEVER, *faults], weight)
            first = data[:, :FAULTS]
        else:
            data = _counted(code, [NEVER] * FAULTS + faults, weight)
            whole = _ones(seen.examples, heaviest)
            first = jnp.stack([whole, whole if several else jnp.zeros_like(whole)], 1)
        if rows is not None:
            first = jnp.stack([first[:, 0], _ones(seen.examples, rows)], 1)
        return jnp.concatenate([first, data[:, FAULTS:]], 1)

    counts = Count((math.prod(size + 1 for size in seen.axes) * columns,))
    at = seen.place * columns

    def scattered(cell: Array, weight: Array | None) -> Array:
        weight = None if weight is None else weight.reshape(-1)
        return counts.reduce(jnp.ones((cell.size,), bool), weight, cell.reshape(-1))

    if each is not None:
        data = scattered(at + jnp.where(each == 0, 0, each + (FAULTS - 1)), weight)
    else:
        data = scattered(at, heaviest)
        if code is not None:
            cell = broadcast(at, code.shape) + code + (FAULTS - 1)
            data = counts.merge(data, scattered(jnp.where(code == 0, -1, cell), weight))
    if several:
        data = data.reshape(2, -1, columns)
        data = data.at[..., DEPENDENT].set(data[..., 0]).reshape(2, -1)
    elif rows is not None:
        data = counts.merge(data, scattered(at + DEPENDENT, rows))
    return data


def _of_examples(share: Array, examples: Shape) -> Array:
    """The greatest share of any element of each example, in one row."""
    elements = math.prod(share.shape[len(examples) :])
    return jnp.max(share.reshape(math.prod(examples), elements), 1, initial=share.dtype.type(0))


def _ones(examples: Shape, weight: Array | None) -> Array:
    return Count(()).reduce(jnp.ones((math.prod(examples),), bool), weight, None)


def _counted(code: Array | None, numbers: list[int], weight: Array | None) -> Array:
    """How often each number occurs, `(2, numbers)`: of what counts once all in one pass."""
    if code is None:
        return jnp.zeros((2, len(numbers)), jnp.uint32)
    code, weight = code.reshape(-1), None if weight is None else weight.reshape(-1)
    found = sorted({*numbers} - {NEVER})
    masks = [code == number for number in found]
    if weight is not None and weight.dtype != bool:
        sums = dict(zip(found, (Count(()).reduce(mask, weight, None) for mask in masks), strict=True))
        return jnp.stack([sums.get(number, jnp.zeros((2,), jnp.uint32)) for number in numbers], 1)
    sums = dict(zip(found, count_rows([m if weight is None else m & weight for m in masks]), strict=True))
    low = jnp.stack([sums.get(number, jnp.zeros((), jnp.uint32)) for number in numbers])
    return jnp.stack([low, jnp.zeros_like(low)])
