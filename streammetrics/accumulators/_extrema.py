"""`Maximum` and `Minimum`: the greatest and the least amount."""

from abc import abstractmethod

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._spec import spec
from streammetrics.accumulators._base import Accumulator, Slotted, split_shape, spread

SIGN = np.uint32(0x80000000)


class Extremum(Slotted, Accumulator):
    """The greatest key: an integer in the order of the floats that is 0 for nothing, so that −∞ is a value."""

    dtype = np.uint32
    limbs = 1
    rows_limit = 2**30

    @staticmethod
    @abstractmethod
    def _turned(key: Array) -> Array:
        """The key in the direction in which the greatest is wanted (its own inverse)."""

    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        bits = lax.bitcast_convert_type(amount.astype(jnp.float32), jnp.uint32)
        bits = jnp.where(bits == SIGN, 0, bits)  # −0.0 and 0.0 are one number
        key = self._turned(jnp.where(bits >= SIGN, ~bits, bits | SIGN))
        if weight is not None:
            key = jnp.where(spread(weight, amount).astype(bool), key, 0)
        if cell is None:
            return jnp.broadcast_to(jnp.max(key, 0, initial=np.uint32(0))[None], (1, *self.shape))
        cells, rest = split_shape(self.shape, amount)
        where = jnp.where(cell < 0, cells, cell)
        return jnp.zeros((cells, *rest), jnp.uint32).at[where].max(key, mode="drop").reshape(1, *self.shape)

    def merge(self, a: Array, b: Array) -> Array:
        return jnp.maximum(a, b)

    def decode(self, data: Array) -> Array:
        key = self._turned(data[0])
        bits = jnp.where(key >= SIGN, key & ~SIGN, ~key)
        return jnp.where(data[0] == 0, jnp.nan, lax.bitcast_convert_type(bits, jnp.float32))


@spec
class Maximum(Extremum):
    """max of the amounts of positive weight, in float32; NaN where there are none.

    >>> Maximum().init().shape
    (1,)
    """

    @staticmethod
    def _turned(key: Array) -> Array:
        return key


@spec
class Minimum(Extremum):
    """min of the amounts of positive weight, in float32; NaN where there are none.

    >>> Minimum().init().shape
    (1,)
    """

    @staticmethod
    def _turned(key: Array) -> Array:
        return ~key
