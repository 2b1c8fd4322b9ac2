"""Integers of many words: what `Count` and `ExactSum` store, merge and send."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics.accumulators._base import Accumulator


class Integers(Accumulator):
    """Integers modulo 2^(32 limbs) in uint32 words, lowest first: one result for any order and split."""

    dtype = np.uint32

    def merge(self, a: Array, b: Array) -> Array:
        words, carry = [], None
        for left, right in zip(a, b, strict=True):
            word = left + right
            over = word < left
            if carry is not None:
                word = word + carry
                over = over | (word < carry)
            words.append(word)
            carry = over.astype(np.uint32)
        return jnp.stack(words)

    def pack(self, data: Array, index: Array, devices: int) -> Array:
        # Halves of 16 bits: their sums over up to 65,536 devices do not wrap.
        return jnp.stack([data & 0xFFFF, data >> 16])

    def unpack(self, words: Array, devices: int) -> Array:
        halves = words.reshape(2, self.limbs, *self.shape)
        return carried([half for pair in zip(halves[0], halves[1], strict=True) for half in pair])


def carried(digits: list[Array]) -> Array:
    """The words of the integer Σ digits[k] 2^(16 k); digits are uint32 or int32 of any size, two a word."""
    halves, carry = [], jnp.zeros_like(digits[0])
    for digit in digits:
        total = (digit & 0xFFFF) + carry  # a carry is below 2^17, so nothing wraps
        carry = (digit >> 16) + (total >> 16)
        halves.append((total & 0xFFFF).astype(np.uint32))
    return jnp.stack([low | (high << 16) for low, high in zip(halves[::2], halves[1::2], strict=True)])
