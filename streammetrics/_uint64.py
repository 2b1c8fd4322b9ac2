"""`UInt64`: exact 64-bit counts without x64."""

from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._jax import float_dtype, is_traced
from streammetrics._wide import Pair, Wide


class UInt64(Wide):
    """An array of exact unsigned 64-bit integers, held in two uint32 words.

    It adds, subtracts (modulo 2^64), sums and compares exactly; `/` gives a float; `int()` and `numpy.asarray` read
    it exactly on the host.

    >>> count = UInt64.of(2**40) + 2
    >>> int(count), float(count / 2**40)
    (1099511627778, 1.0)
    """

    @classmethod
    def of(cls, value: Any) -> Self:
        """The exact value: of a `UInt64`, a Python integer below 2^64, or an array of non-negative integers."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Array):
            value = np.asarray(value)
            if value.dtype.kind not in "bui" or (value < 0).any():
                raise TypeError(f"UInt64 takes non-negative integers, but got {value.dtype} {value!r}")
            wide = value.astype(np.uint64)
            return cls(jnp.asarray((wide >> 32).astype(np.uint32)), jnp.asarray(wide.astype(np.uint32)))
        if not jnp.issubdtype(value.dtype, jnp.integer) and value.dtype != bool:
            raise TypeError(f"UInt64 takes non-negative integers, but got {value.dtype}")
        if not is_traced(value) and value.dtype.kind == "i" and (value < 0).any():
            raise TypeError(f"UInt64 takes non-negative integers, but got {value.dtype} {value}")
        if value.dtype.itemsize == 8:
            return cls((value >> 32).astype(jnp.uint32), value.astype(jnp.uint32))
        return cls(jnp.zeros(value.shape, jnp.uint32), value.astype(jnp.uint32))

    @staticmethod
    def _add(x: Pair, y: Pair) -> Pair:
        low = x[1] + y[1]
        return x[0] + y[0] + (low < x[1]).astype(jnp.uint32), low

    @staticmethod
    def _negate(x: Pair) -> Pair:
        low = ~x[1] + np.uint32(1)
        return ~x[0] + (low == 0).astype(jnp.uint32), low

    def to_float(self) -> Array:
        dtype = float_dtype()
        return self.high.astype(dtype) * dtype.type(2.0**32) + self.low.astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = (np.asarray(self.high).astype(np.uint64) << np.uint64(32)) | np.asarray(self.low)
        return np.asarray(value, dtype or np.uint64)

    def __int__(self) -> int:
        return int(np.asarray(self))

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))
