"""Monoids of states that belong to a step: windows, in which the newer wins, and decay, which the older suffers."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._spec import spec
from streammetrics.accumulators._base import Slotted, merge_all


class Keyed(NamedTuple):
    """Data of an accumulator, and the key of its step: the step + 1, or 0 for nothing.

    Or along one more axis, the first of the data's shape, of several steps.
    """

    data: Array
    key: Array


class Words(Slotted):
    """A monoid whose data are words of 32 bits: keys, and the data of another accumulator."""

    inner: Any

    dtype = np.uint32
    limbs = 1

    @property
    def words(self) -> int:
        """How many words one state of the inner accumulator takes."""
        return self.inner.limbs * math.prod(self.inner.shape)

    def _packed(self, keyed: Keyed) -> Array:
        """Keys `(*K,)` and data `(limbs, *K, *shape)` as words `(*K, 1 + words)`."""
        key, data = keyed.key, lax.bitcast_convert_type(keyed.data, jnp.uint32)
        words = jnp.moveaxis(data, 0, key.ndim).reshape(*key.shape, self.words)
        return jnp.concatenate([key[..., None], words], -1)

    def _unpacked(self, words: Array) -> Keyed:
        data = words[..., 1:].reshape(*words.shape[:-1], self.inner.limbs, *self.inner.shape)
        return Keyed(lax.bitcast_convert_type(jnp.moveaxis(data, words.ndim - 1, 0), self.inner.dtype), words[..., 0])


def spread_over(key: Array, data: Array) -> Array:
    """Something of each key over the shape that follows the limbs of data."""
    return key.reshape(key.shape + (1,) * (data.ndim - 1 - key.ndim))


@spec
class Windowed(Words):
    """The data of the last `size` steps: the slot `step % size` holds that of the newest of its steps.

    Decodes to what the inner accumulator reads of all slots within `size` steps of the newest. With `stepless` one
    more slot holds all that has no step, which is never forgotten; without it such data must be nothing.

    >>> from streammetrics.accumulators import Count
    >>> Windowed(Count((3,)), 10).init().shape
    (1, 10, 7)
    """

    inner: Any
    size: int
    stepless: bool = False

    @property
    def slots(self) -> int:
        return self.size + self.stepless

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only in both
        return (self.slots, 1 + self.words)

    def placed(self, part: Keyed) -> Array:
        return self._packed(part)[None] if part.key.ndim else self.added(self.init(), part)

    def added(self, data: Array, part: Keyed) -> Array:
        if part.key.ndim:
            return self.merge(data, self._packed(part)[None])
        # One slot is read and written, however long the window is.
        slot = jnp.where(part.key == 0, self.slots - 1, (part.key - 1) % np.uint32(self.size)).astype(jnp.int32)
        old = self._unpacked(lax.dynamic_index_in_dim(data[0], slot, 0, keepdims=False))
        new = self._packed(self._newer(old, part))
        return lax.dynamic_update_index_in_dim(data, new[None], slot, 1)

    def merge(self, a: Array, b: Array) -> Array:
        return self._packed(self._newer(self._unpacked(a[0]), self._unpacked(b[0])))[None]

    def _newer(self, a: Keyed, b: Keyed) -> Keyed:
        """The newer of each pair; both together where they are of one step."""
        older, newer = (spread_over(mask, a.data) for mask in (a.key < b.key, a.key > b.key))
        data = jnp.where(newer, a.data, jnp.where(older, b.data, self.inner.merge(a.data, b.data)))
        return Keyed(data, jnp.maximum(a.key, b.key))

    def live(self, data: Array) -> Array:
        """The inner data of all steps of the window that ends with the newest, and of what has no step."""
        keyed = self._unpacked(data[0])
        newest = jnp.max(keyed.key, initial=np.uint32(0))
        alive = (keyed.key == 0) | (keyed.key + np.uint32(self.size) > newest)
        kept = jnp.where(spread_over(alive, keyed.data), keyed.data, keyed.data.dtype.type(0))
        return merge_all(self.inner.merge, jnp.moveaxis(kept, 1, 0))

    def decode(self, data: Array) -> Any:
        return self.inner.decode(self.live(data))


@spec
class Decayed(Words):
    """The data of all steps, whose weights halve with every `half_life` steps that they are behind the newest.

    The inner accumulator is a `Sum`, `Moments` or `CoMoments`; decodes to what it reads as of the newest step.

    >>> from streammetrics.accumulators import Sum
    >>> Decayed(Sum((3,)), 10.0).init().shape
    (1, 7)
    """

    inner: Any
    half_life: float

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only in both
        return (1 + self.words,)

    def placed(self, part: Keyed) -> Array:
        return self._packed(part)[None]

    def added(self, data: Array, part: Keyed) -> Array:
        return self.merge(data, self.placed(part))

    def merge(self, a: Array, b: Array) -> Array:
        one, other = self._unpacked(a[0]), self._unpacked(b[0])
        newest = jnp.maximum(one.key, other.key)
        left, right = (self.inner.scaled(k.data, decay(newest - k.key, self.half_life)) for k in (one, other))
        return self._packed(Keyed(self.inner.merge(left, right), newest))[None]

    def decode(self, data: Array) -> Any:
        return self.inner.decode(self._unpacked(data[0]).data)


def decay(steps: Array, half_life: float) -> Array:
    """2^(−steps / half_life)."""
    return jnp.exp2(-steps.astype(jnp.float32) / np.float32(half_life))
