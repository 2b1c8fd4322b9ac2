"""`Count`: exact 64-bit counts."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._spec import spec
from streammetrics._uint64 import UInt64
from streammetrics.accumulators._base import scatter, split_shape, spread
from streammetrics.accumulators._integers import Integers


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
            low = total(value)
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

    def merge(self, a: Array, b: Array) -> Array:
        low = a[0] + b[0]  # two words need no loop: every step of a training merges
        return jnp.stack([low, a[1] + b[1] + (low < a[0]).astype(np.uint32)])

    def decode(self, data: Array) -> UInt64:
        return UInt64(data[1], data[0])


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
