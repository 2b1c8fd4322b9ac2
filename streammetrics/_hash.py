"""A hash of 64 bits in two words of 32: the Threefry permutation, and the two words of an identity."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._wide import Pair

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


def threefry(key: tuple[Any, Any], low: Array, high: Array) -> Pair:
    """Threefry-2x32 of 20 rounds: under a key a permutation of the pairs of uint32, bit for bit Random123's and JAX's.

    The two words of the key are integers from 0 to 2^32 − 1, or uint32 that broadcast with `low` and `high`. The
    definition is Salmon, Moraes, Dror and Shaw's (2011).

    >>> [hex(int(word)) for word in threefry((0, 0), jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32))]
    ['0x6b200159', '0x99ba4efe']
    """
    first, second = (jnp.asarray(word, jnp.uint32) for word in key)
    keys = jnp.stack(jnp.broadcast_arrays(first, second, first ^ second ^ PARITY))

    def mixed(words: Pair, group: Any, distances: tuple[int, ...]) -> Pair:
        """The words after four rounds and the key."""
        low, high = words
        for distance in distances:
            low = low + high
            high = low ^ ((high << distance) | (high >> (32 - distance)))
        return low + keys[(group + 1) % 3], high + keys[(group + 2) % 3] + (group + np.uint32(1))

    def mixed_twice(step: Array, words: Pair) -> Pair:
        return mixed(mixed(words, 2 * step, ROTATIONS[0]), 2 * step + 1, ROTATIONS[1])

    # A loop, which XLA fuses with nothing: 20 rounds in one expression may take it 2^20 steps to compile.
    start = low + first, high + second
    words = lax.fori_loop(np.uint32(0), np.uint32(2), mixed_twice, tuple(jnp.broadcast_arrays(*start)))
    return mixed(words, np.uint32(4), ROTATIONS[0])


def words_of(name: str, array: Array, words: int = 1) -> Pair:
    """The low and the high uint32 of the integers of an entry, the same for equal numbers of any dtype.

    Negative numbers are extended by their sign, as in int64; a uint64 of 2^63 or more has the words of the int64 that
    it wraps to. With `words=2` the entry is `(*B, 2)` uint32, the low word first. Refuses floats, and anything else
    when two words are declared.
    """
    if words == 2:
        if array.dtype != jnp.uint32 or array.shape[-1:] != (2,):
            _checks.refuse(
                TypeError if array.dtype != jnp.uint32 else ValueError,
                f"{name} has dtype {array.dtype} and shape {array.shape}, but words=2 takes uint32 whose last axis is "
                "(low, high)",
            )
        return array[..., 0], array[..., 1]
    if array.dtype != bool and not jnp.issubdtype(array.dtype, jnp.integer):
        _checks.refuse(
            TypeError,
            f"{name} has dtype {array.dtype}, but must be integers or bool; or uint32 (low, high) on a last axis, "
            "with words=2",
        )
    if array.dtype.itemsize == 8:
        return array.astype(jnp.uint32), (array >> 32).astype(jnp.uint32)
    if array.dtype == bool or jnp.issubdtype(array.dtype, jnp.unsignedinteger):
        low = array.astype(jnp.uint32)
        return low, jnp.zeros_like(low)
    signed = array.astype(jnp.int32)
    return signed.astype(jnp.uint32), (signed >> 31).astype(jnp.uint32)
