"""What an accumulator is: a commutative monoid whose data is one array."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._spec import spec
from streammetrics._wide import sum_of_slices, tree_sum

FEW_BITS = 128  # in a mask, that are summed as slices, several masks in a word, rather than in one reduction
SLOTS_LIMIT = 2**20  # bytes of a float state up to which every device sends its state in a slot of its own


class Monoid(ABC):
    """A commutative monoid over arrays: how states are stored, merged, sent over devices and decoded.

    Its data is one array `(limbs, *shape)` of `dtype`; all zeros is the identity.
    """

    dtype: ClassVar[Any]
    limbs: ClassVar[int]
    shape: tuple[int, ...]

    def init(self) -> Array:
        """The identity."""
        return jnp.zeros((self.limbs, *self.shape), self.dtype)

    def placed(self, part: Any) -> Array:
        """The data of what a batch adds."""
        return part

    def added(self, data: Array, part: Any) -> Array:
        """The data with what a batch adds."""
        return self.merge(data, part)

    @abstractmethod
    def merge(self, a: Array, b: Array) -> Array:
        """The data of both; of several at once, where there are more axes."""

    @abstractmethod
    def pack(self, data: Array, index: Array, devices: int) -> Array:
        """Words of uint32 whose sum over the devices `unpack` can read."""

    @abstractmethod
    def unpack(self, words: Array, devices: int) -> Array:
        """The data of all devices from the summed words of `pack`."""

    @abstractmethod
    def decode(self, data: Array) -> Any:
        """The value to read."""


@spec
class Accumulator(Monoid):
    """A monoid that holds what examples add to it: how additions are reduced.

    What is added may be NaN or infinite only where its weight is 0: there it is absent.
    """

    shape: tuple[int, ...] = ()

    amount_axes: ClassVar[int] = 0
    """How many axes an amount has beyond the accumulator's."""
    rows_limit: ClassVar[int]
    """How many rows one pass of `_reduce` takes; more are reduced in several passes and merged."""

    def __post_init__(self) -> None:
        if any(not isinstance(size, int) or size < 0 for size in self.shape):
            raise ValueError(f"{type(self).__name__}: shape is {self.shape}, but must hold sizes of 0 or more")

    def reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        """The data of a batch of R rows.

        `cell` is `(R,)` int32, and the rest of the shape that follows the cells is `amount`'s, `(R, *rest)`; a cell
        outside adds nothing. Without cells `amount` is `(R, *shape)`. `weight` multiplies, with axes that lead
        `amount`'s: None for 1, bool, uint32 up to 65,535, or float32.
        """
        rows = amount.shape[0]
        if rows <= self.rows_limit:
            return self._reduce(amount, weight, cell)
        passes = -(-rows // self.rows_limit)
        missing = passes * self.rows_limit - rows
        if weight is None:
            weight = jnp.ones((rows,), bool)

        def chunks(array: Array) -> Array:
            padded = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
            return padded.reshape(passes, self.rows_limit, *array.shape[1:])

        parts = jax.tree.map(chunks, (amount, weight, cell))
        data, _ = lax.scan(lambda data, part: (self.merge(data, self._reduce(*part)), None), self.init(), parts)
        return data

    def part(self, amount: Array, weight: Array | None, cell: Array | None) -> Any:
        """What such a batch adds, as `added` and `placed` take it: its data, where there is nothing better."""
        return self.reduce(amount, weight, cell)

    @abstractmethod
    def _reduce(self, amount: Array, weight: Array | None, cell: Array | None) -> Array:
        """`reduce` of at most `rows_limit` rows."""


class Slotted(Monoid):
    """A monoid whose merge is no addition of words: each device sends its data in a slot of its own."""

    def pack(self, data: Array, index: Array, devices: int) -> Array:
        words = lax.bitcast_convert_type(data, jnp.uint32)
        mine = lax.broadcasted_iota(jnp.int32, (devices,) + (1,) * words.ndim, 0) == index
        return jnp.where(mine, words[None], 0)

    def unpack(self, words: Array, devices: int) -> Array:
        data = lax.bitcast_convert_type(words.reshape(devices, self.limbs, *self.shape), self.dtype)
        return merge_all(self.merge, data)


def merge_all(merge: Callable[[Array, Array], Array], data: Array) -> Array:
    """The merge of the states along a leading axis in turn: one merge to compile, however many there are."""
    merged, _ = lax.scan(lambda merged, state: (merge(merged, state), None), jnp.zeros_like(data[0]), data)
    return merged


def split_shape(shape: tuple[int, ...], amount: Array) -> tuple[int, tuple[int, ...]]:
    """The number of cells, and the axes of an accumulator that follow them: those of the amount of one row."""
    rest = amount.shape[1:]
    return math.prod(shape[: len(shape) - len(rest)]), rest


def spread(weight: Array, amount: Array) -> Array:
    """The weight with axes appended, so that it broadcasts against the amount."""
    return weight.reshape(weight.shape + (1,) * (amount.ndim - weight.ndim))


def count_rows(masks: Sequence[Array]) -> tuple[Array, ...]:
    """Of how many rows, along the leading axis, each mask is true, uint32."""
    if masks[0].size <= FEW_BITS:
        return _packed_counts(masks)
    ones = tuple(mask.astype(jnp.uint32) for mask in masks)
    if ones[0].ndim > 1:  # so that what lies in a line is added at once
        return tree_sum(_sums, *ones, radix=32)
    zero = np.uint32(0)
    return tuple(lax.reduce(ones, (zero,) * len(ones), _sums, (0,)))


def _packed_counts(masks: Sequence[Array]) -> tuple[Array, ...]:
    """The counts of short masks, four in a word: none reaches 2^8."""
    words = [
        functools.reduce(jnp.add, (mask.astype(jnp.uint32) << np.uint32(8 * i) for i, mask in enumerate(group)))
        for group in (masks[i : i + 4] for i in range(0, len(masks), 4))
    ]
    sums = sum_of_slices(_sums, *words)
    return tuple((sums[i // 4] >> np.uint32(8 * (i % 4))) & np.uint32(0xFF) for i in range(len(masks)))


def _sums(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def scatter(values: Array, cell: Array, cells: int) -> Array:
    """The sum of the rows `(R, *rest)` of each cell, `(cells, *rest)`; rows of other cells are left out."""
    zeros = jnp.zeros((cells, *values.shape[1:]), values.dtype)
    return zeros.at[cell].add(values, mode="drop", wrap_negative_indices=False)
