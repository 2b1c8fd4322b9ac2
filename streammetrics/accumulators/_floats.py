"""Sums of floats, over rows and by cell: the order and the split of the rows move them by about 1e-13 of Σ|x|."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._double import Pair, add, compensated, from_integer, renormalised, saturated, two_product, two_sum
from streammetrics._wide import FEW, sum_of_slices, tree_sum
from streammetrics.accumulators._base import scatter, spread

CHUNK_BITS = 14  # bits of a value that one integer sum takes: 2^16 of them stay below 2^31
CHUNKS = 5  # so that what is cut off, on 2^16 rows beside one great one, is below 2^-54 of it
ROWS_LIMIT = 2**16


def weighted(value: Pair, weight: Array | None) -> Pair:
    """Weight times value; 0 where the weight is 0, whatever the value."""
    if weight is None:
        return value
    weight = spread(weight, value[0])
    present = weight.astype(bool)
    high, low = (jnp.where(present, word, 0) for word in value)
    if weight.dtype == bool:
        return high, low
    factor = weight.astype(jnp.float32)
    product, error = two_product(high, jnp.broadcast_to(factor, high.shape))
    return renormalised(product, error + low * factor)


def sum_rows(value: Pair) -> Pair:
    """The sum over the leading axis."""
    high, low = (sum_of_slices if value[0].size <= FEW else tree_sum)(compensated, *value)
    # The low words alone may be greater than what is left of high ones that cancel.
    return saturated(two_sum(high, low), high)


def sum_by_cell(value: Pair, cell: Array, cells: int) -> Pair:
    """The sum of the rows of each cell, `(cells, *rest)`.

    A scatter of floats would round after every row. Instead every value is cut into integers of `CHUNK_BITS` bits
    relative to the largest of its cell; their sums are exact, so that the order of the rows plays no part at all.
    """
    where = jnp.where(cell < 0, cells, cell)
    size = jnp.zeros((cells, *value[0].shape[1:]), jnp.float32).at[where].max(jnp.abs(value[0]), mode="drop")
    exponent = jnp.maximum((lax.bitcast_convert_type(size, jnp.int32) >> 23) - 126, -100)  # size < 2^exponent
    mine = exponent.at[where].get(mode="fill", fill_value=0)
    words = [_scaled(word, -mine) for word in value]
    total = (jnp.zeros_like(size), jnp.zeros_like(size))
    for chunk in range(1, CHUNKS + 1):
        parts = []
        for i, word in enumerate(words):
            word = word * np.float32(2.0**CHUNK_BITS)
            part = jnp.trunc(word)
            words[i] = word - part
            parts.append(part.astype(jnp.int32))
        summed = from_integer(scatter(parts[0] + parts[1], cell, cells))
        scale = np.float32(2.0 ** (-CHUNK_BITS * chunk))
        total = add(total, (summed[0] * scale, summed[1] * scale))
    return _scaled(total[0], exponent), _scaled(total[1], exponent)


def _scaled(word: Array, exponent: Array) -> Array:
    """`word · 2^exponent` in two exact steps, because 2^exponent alone may overflow."""
    half = exponent // 2
    for step in (half, exponent - half):
        word = word * lax.bitcast_convert_type((step + 127) << 23, jnp.float32)
    return word
