"""`Count`: exact 64-bit counts."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._jax import at_once
from streammetrics._spec import spec
from streammetrics._uint64 import UInt64
from streammetrics.accumulators._base import count_rows, scatter, split_shape, spread
from streammetrics.accumulators._integers import Integers

ROOM = 8  # how many cells there must be for each row, so that rows are added where they belong
LONG, MASKS = 2048, 10  # from how many rows, and up to how many places, a mask for each place is the fastest


class Ones(NamedTuple):
    """One more in each of some cells, which may come again: flat indices of low words, past both words for none."""

    cell: Array


@spec
class Count(Integers):
    """Σ weight · amount of whole numbers, exact up to 2^64.

    Amounts are bool, or integers up to 65,535; weights are bool, or integers up to 65,535. Decodes to a `UInt64`.

    >>> Count((2,)).init().shape
    (2, 2)
    """

    limbs = 2
    rows_limit = 2**24  # sums of 8-bit parts of so many rows stay below 2^32

    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        value, parts = _value(amount, weight)
        cells, _ = split_shape(self.shape, amount) if cell is not None else (0, ())

        def total(part: Array) -> Array:
            summed = jnp.sum(part, 0, jnp.uint32) if cell is None else scatter(part.astype(np.uint32), cell, cells)
            return jnp.broadcast_to(summed.reshape(summed.shape if cell is None else self.shape), self.shape)

        if parts == 1:
            masks = _masks(value, cell, cells)
            low = jnp.stack(count_rows(masks), -1).reshape(self.shape) if masks else total(value)
            return jnp.stack([low, jnp.zeros_like(low)])
        low = high = np.uint32(0)
        for part in range(parts):
            summed = total((value >> (8 * part)) & 0xFF)
            shifted = summed << (8 * part)
            low = low + shifted
            high = high + (low < shifted).astype(np.uint32)
            if part:
                high = high + (summed >> (32 - 8 * part))
        return jnp.stack([jnp.asarray(low), jnp.asarray(high)])

    def part(self, amount: Array, weight: Array | None, cell: Array | None) -> Any:
        cells = math.prod(self.shape)
        bits = amount.dtype == bool and (weight is None or weight.dtype == bool)
        if cell is None or not bits or amount.ndim > 1 or not ROOM * len(amount) <= cells < 2**30:
            return self.reduce(amount, weight, cell)
        present = amount if weight is None else amount & weight
        return Ones(jnp.where(present & (cell >= 0) & (cell < cells), cell, 2 * cells))

    def placed(self, part: Any) -> Array:
        return self.added(self.init(), part) if isinstance(part, Ones) else part

    def added(self, data: Array, part: Any) -> Array:
        return _with_ones(data, part.cell) if isinstance(part, Ones) else self.merge(data, part)

    def merge(self, a: Array, b: Array) -> Array:
        low = a[0] + b[0]  # two words need no loop: every step of a training merges
        return jnp.stack([low, a[1] + b[1] + (low < a[0]).astype(np.uint32)])

    def decode(self, data: Array) -> UInt64:
        return UInt64(data[1], data[0])


def _with_ones(data: Array, low: Array) -> Array:
    """The data with one more in each cell, in a time that depends on these alone where the data may be overwritten."""
    words = data.reshape(-1)
    high = jnp.where(low < words.size, low + words.size // 2, low)

    def read(words: Array, at: Array) -> Array:
        return words.at[at].get(mode="clip", wrap_negative_indices=False)

    # Ones that come with what was read are added after it was: else XLA would copy all, to read the copy.
    before, ones = at_once(lambda words: (read(words, low), jnp.ones(low.shape, np.uint32)))(words)
    words = words.at[low].add(ones, mode="drop", wrap_negative_indices=False)
    # Fewer than 2^32 rows make a word wrap once at most, and all rows of a cell see the same words.
    carried = read(words, high) + (read(words, low) < before).astype(np.uint32)
    return words.at[high].set(carried, mode="drop", wrap_negative_indices=False).reshape(data.shape)


def _masks(present: Array, cell: Array | None, cells: int) -> list[Array]:
    """Of many rows which are in each of few cells or columns; none where there are more of these, or fewer rows.

    A scatter waits for itself where one row's cell is the next one's, and sums of one array are written in between.
    """
    if len(present) < LONG:
        return []
    if cell is not None:
        return [present & (cell == one) for one in range(cells)] if present.ndim == 1 and cells <= MASKS else []
    kept = present.ndim
    while kept > 1 and math.prod(present.shape[kept - 1 :]) <= MASKS:
        kept -= 1
    columns = present.reshape(*present.shape[:kept], math.prod(present.shape[kept:]))
    return [columns[..., one] for one in range(columns.shape[-1])]


def _value(amount: Array, weight: Array | None) -> tuple[Array, int]:
    """Weight times amount, and of how many 8-bit parts it may consist (bits alone are one part)."""
    if weight is not None:
        weight = spread(weight, amount)
    if amount.dtype == bool:
        if weight is None:
            return amount, 1
        if weight.dtype == bool:
            return amount & weight, 1
        return jnp.where(amount, weight, 0), 2
    amount = amount.astype(np.uint32)
    if weight is None or weight.dtype == bool:
        return amount if weight is None else jnp.where(weight, amount, 0), 2
    return amount * weight, 4
