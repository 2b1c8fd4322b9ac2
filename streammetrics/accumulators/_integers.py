"""Integers of many words: what `Count` and `ExactSum` store, merge and send."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics.accumulators._base import Accumulator


class Integers(Accumulator):
    """Integers modulo 2^(32 limbs) in uint32 words, lowest first: one result for any order and split."""

    dtype = np.uint32

    def merge(self, a: Array, b: Array) -> Array:
        return carried(digits(a) + digits(b))

    def pack(self, data: Array, index: Array, devices: int) -> Array:
        return digits(data)  # their sums over up to 65,536 devices do not wrap

    def unpack(self, words: Array, devices: int) -> Array:
        return carried(words.reshape(2 * self.limbs, *self.shape))


def digits(words: Array) -> Array:
    """The words as twice as many digits of 16 bits, lowest first."""
    return jnp.stack([words & 0xFFFF, words >> 16], 1).reshape(2 * words.shape[0], *words.shape[1:])


def carried(digits: Array) -> Array:
    """The words of the integer Σ digits[k] 2^(16 k), whose digits are uint32 or int32 of any size."""

    def step(carry: Array, digit: Array) -> tuple[Array, Array]:
        total = (digit & 0xFFFF) + carry  # a carry is below 2^17, so nothing wraps
        return (digit >> 16) + (total >> 16), (total & 0xFFFF).astype(np.uint32)

    _, halves = lax.scan(step, jnp.zeros_like(digits[0]), digits)
    return halves[::2] | (halves[1::2] << 16)
