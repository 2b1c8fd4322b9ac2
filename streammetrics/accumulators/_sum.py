"""`Sum`: a compensated sum."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._double import DoubleFloat, saturating_add, value_of
from streammetrics._spec import spec
from streammetrics.accumulators._base import Accumulator, Slotted, split_shape
from streammetrics.accumulators._floats import ROWS_LIMIT, sum_by_cell, sum_rows, weighted


@spec
class Sum(Slotted, Accumulator):
    """Σ weight · amount, to about 1e-13 of Σ |weight · amount|.

    Amounts are real (16-bit floats are widened, integers taken exactly), weights non-negative. Decodes to a
    `DoubleFloat`.

    >>> Sum((3,)).init().shape
    (2, 3)
    """

    dtype = np.float32
    limbs = 2
    rows_limit = ROWS_LIMIT

    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        value = weighted(value_of(amount), weight)
        if cell is None:
            return jnp.broadcast_to(jnp.stack(sum_rows(value)), (2, *self.shape))
        cells, _ = split_shape(self.shape, amount)
        return jnp.stack(sum_by_cell(value, cell, cells)).reshape(2, *self.shape)

    def merge(self, a: Array, b: Array) -> Array:
        return jnp.stack(saturating_add((a[0], a[1]), (b[0], b[1])))

    def scaled(self, data: Array, factor: Array) -> Array:
        """The data of as many examples, each of whose weights was multiplied by a factor."""
        return jnp.stack(weighted((data[0], data[1]), jnp.broadcast_to(factor, data.shape[1:])))

    def decode(self, data: Array) -> DoubleFloat:
        return DoubleFloat(data[0], data[1])
