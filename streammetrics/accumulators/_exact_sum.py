"""`ExactSum`: an integer superaccumulator, one result for any order, split or number of devices."""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._double import DoubleFloat, add, terms
from streammetrics._spec import spec
from streammetrics.accumulators._base import scatter, spread
from streammetrics.accumulators._integers import Integers, carried, digits

LOWEST = 298  # bit 0 stands for 2^-298, the least product of two float32
EXPONENTS = 254  # of a finite float32
DIGIT = 12  # bits of a mantissa that one integer sum takes


@spec
class ExactSum(Integers):
    """Σ weight · amount without any rounding: a fixed-point number that holds every product of two float32.

    640 bits in uint32 words, two's complement. Amounts are finite and real, weights finite and non-negative.
    Decodes to the nearest `DoubleFloat`.

    >>> ExactSum().init().shape
    (20,)
    """

    limbs = 20
    rows_limit = 2**16  # 12-bit digits of three terms in two places of a row: their int32 sums do not wrap

    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        sizes = amount.shape[1:]  # every further element of a row is a cell of its own
        rest = math.prod(sizes)
        size = rest if cell is None else math.prod(self.shape)
        start = jnp.zeros(amount.shape[:1], jnp.int32) if cell is None else jnp.where(cell < 0, size, cell * rest)
        place = (start[:, None] + jnp.arange(rest, dtype=jnp.int32)[None]).reshape(-1)
        place = jnp.where(place < size, place, -1)
        if weight is not None:
            weight = jnp.broadcast_to(spread(weight, amount), amount.shape).reshape(-1)
        first, *more = [_digit_sums(term.reshape(-1), weight, place, size) for term in terms(amount)]
        data = carried(sum(more, start=first))
        shape = sizes if cell is None else self.shape
        return jnp.broadcast_to(data.reshape(self.limbs, *shape), (self.limbs, *self.shape))

    def decode(self, data: Array) -> DoubleFloat:
        negative = (data[-1] >> 31) == 1
        # Two's complement: the magnitude is the complement plus one, the one entering as the first carry.
        magnitude = digits(jnp.where(negative, ~data, data))
        words = digits(carried(magnitude.at[0].add(negative.astype(np.uint32))))
        positions = jnp.arange(len(words), dtype=jnp.int32).reshape(-1, *(1,) * (words.ndim - 1))
        top = jnp.maximum(jnp.max(jnp.where(words > 0, positions, 0), axis=0), 4)
        total = jnp.zeros(self.shape, jnp.float32), jnp.zeros(self.shape, jnp.float32)
        for k in range(5):  # 80 bits from the first digit that is not 0
            digit = jnp.take_along_axis(words, (top - k)[None], axis=0)[0].astype(jnp.float32)
            total = add(total, (digit * np.float32(2.0 ** (-16 * k)), jnp.zeros_like(digit)))
        sign = jnp.where(negative, -1.0, 1.0).astype(jnp.float32)
        return DoubleFloat(*(sign * _power_scaled(word, 16 * top - LOWEST) for word in total))


def _digit_sums(term: Array, weight: Array | None, place: Array, size: int) -> Array:
    """The sums of a batch as signed digits of 16 bits, `(40, size)`, each far from wrapping."""
    sign, exponent, mantissa = _parts(term)
    if weight is None or weight.dtype == bool:
        places, offset = (mantissa & 0xFFF, mantissa >> DIGIT), LOWEST // 2
        if weight is not None:
            places = tuple(jnp.where(weight, digit, 0) for digit in places)
        bins = EXPONENTS
    else:
        _, weight_exponent, factor = _parts(weight.astype(jnp.float32))
        places, offset, bins = _product(mantissa, factor), 0, 2 * EXPONENTS - 1
        exponent = exponent + weight_exponent
    index = jnp.where(place < 0, -1, exponent * size + place)
    total = jnp.zeros((2 * ExactSum.limbs, size), jnp.int32)
    for k, digit in enumerate(places):
        sums = scatter(sign * digit.astype(jnp.int32), index, bins * size).reshape(bins, size)
        shifted, first = _aligned(sums, offset + DIGIT * k)
        total = total.at[first : first + len(shifted)].add(shifted)
    return total


def _parts(x: Array) -> tuple[Array, Array, Array]:
    """Sign, exponent and integer mantissa of finite floats: x = sign · mantissa · 2^(exponent − 149)."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    field = (bits >> 23) & 0xFF
    # What is not finite has weight 0; its exponent must still name a bin.
    exponent = jnp.clip(field, 1, EXPONENTS) - 1
    mantissa = (bits & 0x7FFFFF) | jnp.where(field > 0, 0x800000, 0)
    return jnp.where(bits < 0, -1, 1), exponent, mantissa.astype(jnp.uint32)


def _product(a: Array, b: Array) -> tuple[Array, ...]:
    """The product of two mantissas of 24 bits, as four digits of 12 bits, lowest first."""
    a_high, a_low, b_high, b_low = a >> DIGIT, a & 0xFFF, b >> DIGIT, b & 0xFFF
    low = a_low * b_low
    middle = (low >> DIGIT) + a_high * b_low + a_low * b_high
    high = (middle >> DIGIT) + a_high * b_high
    return low & 0xFFF, middle & 0xFFF, high & 0xFFF, high >> DIGIT


def _aligned(sums: Array, offset: int) -> tuple[Array, int]:
    """Signed sums, the k-th at bit `offset + k`, as digits of 16 bits, and the place of the first of these."""
    first, lead = divmod(offset, 16)
    groups = -(-(lead + len(sums)) // 16)
    padded = jnp.pad(sums, [(lead, 16 * groups - lead - len(sums)), (0, 0)]).reshape(groups, 16, -1)
    shift = jnp.arange(16, dtype=jnp.int32)[None, :, None]
    low = (padded & 0xFFFF).astype(jnp.uint32) << shift.astype(jnp.uint32)
    high = (padded >> 16) << shift
    parts = [(low & 0xFFFF).astype(jnp.int32), (low >> 16).astype(jnp.int32) + (high & 0xFFFF), high >> 16]
    lowest, middle, highest = (
        jnp.pad(jnp.sum(part, 1, jnp.int32), [(k, 2 - k), (0, 0)]) for k, part in enumerate(parts)
    )
    return lowest + middle + highest, first


def _power_scaled(word: Array, exponent: Array) -> Array:
    """`word · 2^exponent`; beyond the range of float32 infinite or 0."""
    for _ in range(4):
        step = jnp.clip(exponent, -126, 126)
        word = word * lax.bitcast_convert_type((step + 127) << 23, jnp.float32)
        exponent = exponent - step
    return word
