"""Numbers of two words: what `UInt64` and `DoubleFloat` have in common."""

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._jax import is_traced

Pair = tuple[Array, Array]
RADIX = 4  # of the reduction tree: XLA vectorises short reductions, and long ones with much arithmetic not
FEW = 1024  # numbers that are summed as slices rather than in reductions
CHAIN = 32  # additions of slices, one after the other, before their sums are cut into slices again


def tree_sum(add: Callable[[Any, Any], Any], *words: Array, radix: int = RADIX) -> tuple[Array, ...]:
    """The sum over the leading axis under an addition of tuples of words, as a tree of reductions over `radix` rows."""
    zeros = tuple(word.dtype.type(0) for word in words)
    while (rows := words[0].shape[0]) != 1:
        words = tuple(_grouped(word, min(radix, rows) or 1) for word in words)
        words = tuple(jax.lax.reduce(words, zeros, add, (0,)))
    return tuple(word[0] for word in words)


def sum_of_slices(add: Callable[[Any, Any], Any], *words: Array) -> tuple[Array, ...]:
    """The sum over the leading axis under an addition of tuples of words, by additions of whole slices.

    XLA for CPU fuses these into a few kernels. Every operation inside of a reduction is a buffer to it, which each call
    of a program sets up anew, in a quarter of a microsecond; a step of a training may take longer for that than for
    its sums. But additions take longer to compile, and read many rows slower.
    """
    rows = 1 << (max(words[0].shape[0], 1) - 1).bit_length()  # filled up at once: a later filling is a kernel more
    words = tuple(_filled(word, rows) for word in words)
    while rows != 1:
        parts = min(CHAIN, rows)
        rows //= parts
        slices = ([word[i * rows : (i + 1) * rows] for i in range(parts)] for word in words)
        words = functools.reduce(add, zip(*slices, strict=True))
    return tuple(word[0] for word in words)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def smooth_sum(add: Callable[[Pair, Pair], Pair], high: Array, low: Array) -> Pair:
    """The same sum, which varies as its words do: to differentiate its steps would take long to compile."""
    high, low = tree_sum(add, high, low)
    return high, low


@smooth_sum.defjvp
def _of_tangents(add: Any, words: Pair, tangents: Pair) -> tuple[Pair, Pair]:
    return smooth_sum(add, *words), (jnp.sum(tangents[0], 0), jnp.sum(tangents[1], 0))


def cumulated(add: Callable[[Pair, Pair], Pair], words: Pair) -> Pair:
    """The sums up to each entry along the last axis: of blocks at once, then of the blocks' ends.

    Two short loops; a tree of additions would take many times as long to compile.
    """
    *leading, size = words[0].shape
    width = math.isqrt(max(size - 1, 0)) + 1
    count = -(-size // width)

    def split(word: Array) -> Array:
        padded = jnp.pad(word, [(0, 0)] * len(leading) + [(0, width * count - size)])
        return jnp.moveaxis(padded.reshape(*leading, count, width), -1, 0)

    def before(end: Array) -> Array:
        ends = jnp.moveaxis(jnp.concatenate([jnp.zeros_like(end[:1]), end[:-1]]), 0, -1)
        return jnp.broadcast_to(ends, (width, *leading, count))

    high, low = _scanned(add, (split(words[0]), split(words[1])))
    ends = _scanned(add, (jnp.moveaxis(high[-1], -1, 0), jnp.moveaxis(low[-1], -1, 0)))
    high, low = (
        jnp.moveaxis(word, 0, -1).reshape(*leading, -1)[..., :size]
        for word in add((before(ends[0]), before(ends[1])), (high, low))
    )
    return high, low


def _scanned(add: Callable[[Pair, Pair], Pair], words: Pair) -> Pair:
    """The sums up to each entry along the leading axis."""

    def step(total: Pair, entry: Pair) -> tuple[Pair, Pair]:
        total = add(total, entry)
        return total, total

    high, low = words
    _, rest = jax.lax.scan(step, (high[0], low[0]), (high[1:], low[1:]))
    return jnp.concatenate([high[:1], rest[0]]), jnp.concatenate([low[:1], rest[1]])


def _grouped(word: Array, parts: int) -> Array:
    """The leading axis as two: so many parts of one size, the last filled up with zeros."""
    size = -(-word.shape[0] // parts) or 1
    return _filled(word, parts * size).reshape(parts, size, *word.shape[1:])


def _filled(word: Array, rows: int) -> Array:
    """The array with rows of zeros behind it, so many in all."""
    missing = rows - word.shape[0]
    return jnp.pad(word, [(0, missing)] + [(0, 0)] * (word.ndim - 1)) if missing else word


class Wide:
    """An array of numbers, each held in two words `high` and `low` of one shape."""

    high: Array
    low: Array
    __array_ufunc__ = None  # so that numpy leaves `array + number` to us

    def __init__(self, high: Array, low: Array) -> None:
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "low", low)

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda x: (((jax.tree_util.GetAttrKey("high"), x.high), (jax.tree_util.GetAttrKey("low"), x.low)), None),
            lambda _, children: cls(*children),
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    # Each kind says how a pair is added and negated, how a number enters, and what it reads as.
    @classmethod
    @abstractmethod
    def of(cls, value: Any) -> Self:
        """The exact value of a number or array."""

    @staticmethod
    @abstractmethod
    def _add(x: Pair, y: Pair) -> Pair: ...

    @staticmethod
    @abstractmethod
    def _negate(x: Pair) -> Pair: ...

    @abstractmethod
    def to_float(self) -> Array:
        """The nearest float32 (float64 under x64), to an ulp or two."""

    @abstractmethod
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray: ...

    @property
    def shape(self) -> tuple[int, ...]:
        return self.high.shape

    @property
    def ndim(self) -> int:
        return self.high.ndim

    def __len__(self) -> int:
        return self.high.shape[0]

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.high[index], self.low[index])

    def reshape(self, *shape: int) -> Self:
        return type(self)(self.high.reshape(*shape), self.low.reshape(*shape))

    def where(self, mask: Array) -> Self:
        """The numbers where the mask is true, else 0."""
        return type(self)(jnp.where(mask, self.high, 0), jnp.where(mask, self.low, 0))

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Self:
        """The sum over the axes (over all by default), as exact as the addition."""
        axes = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        total = self
        for one in sorted((a % self.ndim for a in axes), reverse=True):
            words = (jnp.moveaxis(word, one, 0) for word in (total.high, total.low))
            total = type(self)(*smooth_sum(self._add, *words))
        return total

    def cumsum(self) -> Self:
        """The sums up to each entry along the last axis, as exact as the addition."""
        return type(self)(*cumulated(self._add, (self.high, self.low)))

    def after_zero(self) -> Self:
        """The entries along the last axis after a 0: before the first of their sums there is nothing."""
        zero = [(0, 0)] * (self.ndim - 1) + [(1, 0)]
        return type(self)(jnp.pad(self.high, zero), jnp.pad(self.low, zero))

    def __add__(self, other: Any) -> Self:
        other = self.of(other)
        return type(self)(*self._add((self.high, self.low), (other.high, other.low)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Self:
        other = self.of(other)
        return type(self)(*self._add((self.high, self.low), self._negate((other.high, other.low))))

    def __rsub__(self, other: Any) -> Self:
        return self.of(other) - self

    def __truediv__(self, other: Any) -> Array:
        return self.to_float() / self.of(other).to_float()

    def __rtruediv__(self, other: Any) -> Array:
        return self.of(other).to_float() / self.to_float()

    def __eq__(self, other: Any) -> Any:
        other = self.of(other)
        return (self.high == other.high) & (self.low == other.low)

    def __ne__(self, other: Any) -> Any:
        return ~(self == other)

    def __lt__(self, other: Any) -> Array:
        other = self.of(other)
        return (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))

    def __gt__(self, other: Any) -> Array:
        return self.of(other) < self

    def __le__(self, other: Any) -> Array:
        return ~(self > other)

    def __ge__(self, other: Any) -> Array:
        return ~(self < other)

    def __hash__(self) -> int:
        raise TypeError(f"unhashable type: '{type(self).__name__}'")  # as arrays: they compare elementwise

    def __repr__(self) -> str:
        words = (self.high, self.low)
        shown = self.shape if is_traced(words) else np.asarray(self).tolist()
        return f"{type(self).__name__}({shown})"
