"""`DoubleFloat`: sums of about 48 bits held in two float32 words, and its arithmetic.

The error-free transformations follow Knuth (two sums) and Dekker (products). XLA contracts `a * b - p` to a fused
operation, so products are built from halves of at most 12 bits, whose products are exact however they are compiled;
and it makes `a / n` a product where `n` is one number for many, so that quotients end in bits that were masked.
"""

import functools
import warnings
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._jax import float_dtype
from streammetrics._wide import Pair, Wide


def two_sum(a: Array, b: Array) -> Pair:
    """The rounded sum and its exact error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def renormalised(high: Array, low: Array) -> Pair:
    """The pair of the same sum whose low word is at most half an ulp of the high one; |low| ≤ |high| is given."""
    total = high + low
    return total, low - (total - high)


def two_product(a: Array, b: Array) -> Pair:
    """The product as a pair, to 2^-46: all but the rounding of its error."""
    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    high, error = two_sum(a_high * b_high, a_high * b_low)
    high, more = two_sum(high, a_low * b_high)
    return renormalised(high, (error + more) + a_low * b_low)


def halves(x: Array) -> Pair:
    """A float as the exact sum of two of at most 12 bits."""
    high = _masked(x, 0xFFFFF000)
    return high, x - high


def _masked(x: Array, mask: int) -> Array:
    """The float of fewer bits: a value that no compiler takes for a product or a quotient still to be rounded."""
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint32) & np.uint32(mask), jnp.float32)


def add(x: Pair, y: Pair) -> Pair:
    """The sum, to 2^-47 of |x| + |y|."""
    high, error = two_sum(x[0], y[0])
    return renormalised(high, error + (x[1] + y[1]))


def compensated(x: Pair, y: Pair) -> Pair:
    """The sum without renormalising, which is what a compiler vectorises: errors stay small in short sums."""
    high, error = two_sum(x[0], y[0])
    return high, error + (x[1] + y[1])


def saturated(x: Pair, plain: Array) -> Pair:
    """The pair, or the plain result where that is infinite: the error of an infinite sum is inf − inf."""
    finite = jnp.isfinite(plain)
    return jnp.where(finite, x[0], plain), jnp.where(finite, x[1], 0)


def saturating_add(x: Pair, y: Pair) -> Pair:
    """The sum as `add` gives it; past the greatest float32 it is infinite, not NaN."""
    return saturated(add(x, y), x[0] + y[0])


def negate(x: Pair) -> Pair:
    return -x[0], -x[1]


def multiply(x: Pair, y: Pair) -> Pair:
    """The product, to 2^-45."""
    high, error = two_product(x[0], y[0])
    return renormalised(high, error + (x[0] * y[1] + x[1] * y[0]))


def divide(x: Pair, y: Pair) -> Pair:
    """The quotient, to 2^-44; 0 where the divisor is 0."""
    nonzero = jnp.where(y[0] == 0, 1, y[0])
    first = _masked(x[0] / nonzero, 0xFFFFFFFE)
    rest = add(x, negate(multiply((first, jnp.zeros_like(first)), y)))
    quotient = renormalised(first, (rest[0] + rest[1]) / nonzero)
    return jnp.where(y[0] == 0, 0, quotient[0]), jnp.where(y[0] == 0, 0, quotient[1])


def from_integer(value: Array) -> Pair:
    """A 32-bit integer, exactly."""
    high = value & ~value.dtype.type(0xFFF)
    return renormalised(high.astype(jnp.float32), (value & value.dtype.type(0xFFF)).astype(jnp.float32))


def terms(amount: Array) -> tuple[Array, ...]:
    """The float32 arrays, largest first, whose sum is a real array (of float64 and 64-bit integers, to 2^-72)."""
    if amount.dtype.itemsize == 8:
        rest, parts = amount.astype(jnp.float64), []
        for _ in range(3):
            part = rest.astype(jnp.float32)
            rest = jnp.where(jnp.isfinite(part), rest - part.astype(jnp.float64), 0)
            parts.append(part)
        return tuple(parts)
    if jnp.issubdtype(amount.dtype, jnp.integer) and amount.dtype.itemsize == 4:
        return from_integer(amount)
    return (amount.astype(jnp.float32),)


def value_of(amount: Array) -> Pair:
    """A real array as a pair: exact but for float64 and 64-bit integers, of which it keeps 48 bits."""
    high, *rest = terms(amount)
    return (high, rest[0]) if rest else (high, jnp.zeros_like(high))


class DoubleFloat(Wide):
    """An array of numbers of about 48 bits, held in two float32 words.

    It adds, subtracts, multiplies, sums and compares; `/` gives a float; `float()` and `numpy.asarray` read it as
    float64 on the host.

    >>> total = DoubleFloat.of(2.0**30) + 0.25
    >>> float(total)
    1073741824.25
    """

    @classmethod
    def of(cls, value: Any) -> Self:
        """The value of a `DoubleFloat`, a `UInt64`, or a real number or array."""
        if isinstance(value, cls):
            return value
        if isinstance(value, Wide):  # 16 bits of the 64 at a time are exact floats
            halves = (value.high >> 16, value.high & 0xFFFF, value.low >> 16, value.low & 0xFFFF)
            total = jnp.zeros(value.shape, jnp.float32), jnp.zeros(value.shape, jnp.float32)
            for half, exponent in zip(halves, (48, 32, 16, 0), strict=True):
                scaled = half.astype(jnp.float32) * np.float32(2.0**exponent)
                total = add(total, (scaled, jnp.zeros_like(scaled)))
            return cls(*total)
        if not isinstance(value, Array):
            value = np.asarray(value, np.float64)
            high = value.astype(np.float32)
            rest = np.subtract(value, high, out=np.zeros_like(value), where=np.isfinite(high))
            return cls(jnp.asarray(high), jnp.asarray(rest.astype(np.float32)))
        return cls(*value_of(value))

    def __mul__(self, other: Any) -> Self:
        other = self.of(other)
        return type(self)(*multiply((self.high, self.low), (other.high, other.low)))

    def quotient(self, other: Self) -> Self:
        """The quotient with as many digits as the sums have, where `/` gives a float; 0 where the divisor is 0."""
        return type(self)(*divide((self.high, self.low), (other.high, other.low)))

    _add = staticmethod(saturating_add)
    _negate = staticmethod(negate)

    def to_float(self) -> Array:
        dtype = float_dtype()
        return self.high.astype(dtype) + self.low.astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = np.asarray(self.high).astype(np.float64) + np.asarray(self.low)
        return np.asarray(value, dtype or np.float64)

    def __float__(self) -> float:
        return float(np.asarray(self))


@functools.cache
def warn_of_fast_math() -> None:
    """Warns, once, where the compiler rewrites floating-point arithmetic and so breaks compensated sums."""
    # A sum and a product of known errors: some compilers rewrite only one of them.
    with jax.ensure_compile_time_eval():
        _, of_sum = jax.jit(two_sum)(np.float32(1), np.float32(2.0**-30))
        _, of_product = jax.jit(two_product)(*(np.float32(1 + 2.0**-12),) * 2)
    if (float(of_sum), float(of_product)) != (2.0**-30, 2.0**-24):
        warnings.warn(
            "streammetrics: this compiler breaks compensated sums, so that sums and means are rounded as plain "
            "float32; is --xla_cpu_enable_fast_math set? (exact=True is not affected)",
            stacklevel=2,
        )
