"""What is counted of how values are distributed: histograms of two kinds, and the hashes of distinct values."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._hash import threefry, words_of
from streammetrics._layouts import TINY, Layout
from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._wide import Pair
from streammetrics.accumulators import Accumulator, Maximum
from streammetrics.statistics._classes import table
from streammetrics.statistics._values import BEYOND, NAN, OneEntry

REGISTERS = 4096
"""So many that the standard error is 1.6 %: a power of two."""
MOST_CELLS = 2**22


@spec
class ValueCounts(OneEntry):
    """How many values of an entry lie between edges: `cells` is (k + 2,), below, in each of the k bins, and above."""

    weighted: bool = False
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_edges(self)
        object.__setattr__(self, "edges", tuple(narrow(self.edges).tolist()))

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, BEYOND)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"cells": table(self, (len(self.edges) + 1,))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        value = batch[self.entry]
        edges = narrow(self.edges)
        number, exact = floored(value)
        passed = jnp.searchsorted(edges, number, side="right", method="scan_unrolled").astype(jnp.int32)
        last = exact & (number == edges[-1])  # the last bin holds its upper edge
        return {"cells": Add(cell=passed - last.astype(jnp.int32))}, self._faults([value], infinite=False)


@spec
class MagnitudeCounts(OneEntry):
    """How many values of an entry have each sign, exponent and leading bits: `cells` is (B,), in ascending order."""

    weighted: bool = False
    low: float = 1e-4
    high: float = 1e5
    mantissa_bits: int = 7

    def __post_init__(self) -> None:
        check_range(self)

    @property
    def layout(self) -> "Magnitudes":
        return _magnitudes(self.low, self.high, self.mantissa_bits)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, BEYOND)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"cells": table(self, (self.layout.size,))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        value = batch[self.entry]
        cell = self.layout.cell(flushed(value.astype(jnp.float32)))
        return {"cells": Add(cell=cell)}, self._faults([value], infinite=False)


class Magnitudes(Layout):
    """Bins by the bits of the magnitude, from that of `low` to that of `high`, on either side of a bin of 0.

    On either side there are three more: what is nearer to 0 than the range, what is farther, and infinity.
    """

    def __init__(self, low: float, high: float, mantissa_bits: int) -> None:
        self.shift = 23 - mantissa_bits
        first, last = (int(np.float32(end).view(np.int32)) >> self.shift for end in (low, high))
        self.before, self.half = first - 1, last - first + 1
        self.size = 2 * self.half + 7

    def cell(self, scores: Any) -> Any:
        xp = scores.__array_namespace__()
        magnitude = abs(scores)
        within = xp.clip((magnitude.view(np.int32) >> self.shift) - self.before, 0, self.half + 1)
        away = within + (magnitude > 0).astype(np.int32) + (magnitude == math.inf).astype(np.int32)
        return self.half + 3 + xp.where(scores < 0, -away, away)

    @functools.cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The least number of each bin, its middle, and its greatest; beyond the range everything up to infinity."""
        lower, upper = self.bottoms.copy(), self.tops.copy()
        lower[1], upper[-2] = -math.inf, math.inf
        middle = lower.copy()
        middle[-2] = math.inf
        middle[2:-2] += np.float32(0.5) * (upper[2:-2] - lower[2:-2])
        return lower, middle, upper


_magnitudes = functools.cache(Magnitudes)


@spec
class DistinctHashes(OneEntry):
    """Of the hashes of an entry's values, in each register the most leading zeros and one: `registers` is (4096,).

    Twelve bits of the hash say which register, the other 52 what enters it: from 1 to 53.
    """

    words: int = 1

    def __post_init__(self) -> None:
        _checks.choice(self, "words", (1, 2))

    @property
    def reasons(self) -> tuple[str, ...]:
        return (NAN, BEYOND)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"registers": Maximum((REGISTERS,))}

    def leading_axes(self, **batch: Array) -> int:
        return super().leading_axes(**batch) - (self.words - 1)

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        value = batch[self.entry]
        faults = self._faults([value], infinite=False)
        if self.words == 1 and jnp.issubdtype(value.dtype, jnp.floating):
            number = flushed(value.astype(jnp.float32)) + np.float32(0)  # −0.0 and 0.0 are one number
            bits = lax.bitcast_convert_type(number, jnp.uint32)
            first, second = threefry((0, 1), bits, jnp.zeros_like(bits))
        else:
            first, second = threefry((0, 0), *words_of(self.entry, value, self.words))
        # The 52 bits are those of the second word, then the 20 upper ones of the first.
        rest = jnp.minimum(lax.clz(first & np.uint32(0xFFFFF000)), np.uint32(20)) + np.uint32(32)
        zeros = jnp.where(second > 0, lax.clz(second), rest)
        cell = (first & np.uint32(REGISTERS - 1)).astype(jnp.int32)
        return {"registers": Add(zeros.astype(jnp.float32) + 1, cell)}, faults


def flushed(number: Array) -> Array:
    """Numbers without subnormal ones: what hardware flushes to 0 must be 0 everywhere."""
    return jnp.where(jnp.abs(number) < float(TINY), 0, number)


def floored(value: Array) -> Pair:
    """The greatest float32 that is not above a number, and whether it is that number; floats are rounded instead."""
    if value.dtype == bool or jnp.issubdtype(value.dtype, jnp.floating):
        number = flushed(value.astype(jnp.float32))
        return number, jnp.ones(number.shape, bool)
    if value.dtype.itemsize < 4:
        value = value.astype(jnp.int32)
    one = value.dtype.type(1)
    size = 8 * value.dtype.itemsize - lax.clz(jnp.where(value < 0, -value, value)).astype(jnp.int32)
    unit = jnp.left_shift(one, jnp.maximum(size - 24, 0).astype(value.dtype))  # a float32 has 24 bits
    floor = value & ~(unit - one)
    return floor.astype(jnp.float32), floor == value


def narrow(edges: tuple[float, ...]) -> np.ndarray:
    """Edges as float32, in which they are compared; without subnormal ones."""
    with np.errstate(over="ignore"):
        numbers = np.array(edges, np.float64).astype(np.float32)
    return np.where(np.abs(numbers) < TINY, np.float32(0), numbers)


def ascending(edges: tuple[float, ...]) -> bool:
    """Whether edges make bins: two or more, strictly ascending in float32."""
    numbers = narrow(edges)
    return len(numbers) > 1 and bool((numbers[1:] > numbers[:-1]).all())


def check_edges(owner: Any) -> None:
    """Edges must make bins."""
    if not ascending(owner.edges):
        shown = owner.edges if len(owner.edges) <= 8 else f"{len(owner.edges):,} numbers"
        raise ValueError(
            f"{type(owner).__name__}: edges is {shown}, but must be two numbers or more, strictly ascending in float32"
        )


def check_range(owner: Any) -> None:
    """A range of magnitudes must have bins, and not too many."""
    name, low, high, bits = type(owner).__name__, owner.low, owner.high, owner.mantissa_bits
    if not TINY <= low < high <= np.finfo(np.float32).max:
        raise ValueError(
            f"{name}: low and high are {low} and {high}, but must be magnitudes of float32, {float(TINY):.2g} ≤ low < "
            f"high ≤ {np.finfo(np.float32).max:.2g}"
        )
    if not 0 <= bits <= 23:
        raise ValueError(f"{name}: mantissa_bits is {bits}, but must be from 0 to 23")
    size = _magnitudes(low, high, bits).size
    if size > MOST_CELLS:
        raise ValueError(
            f"{name}: the range from {low} to {high} has {size:,} bins of mantissa_bits={bits}, but at most "
            f"{MOST_CELLS:,} are allowed; a narrower range or fewer bits are due"
        )
