"""Layouts: a fixed number of bins that hold any score in the order of the scores, and which scores lie in each."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from streammetrics._tasks import cut

EXACT = ("bfloat16", "float16")
OCTAVES = 16
"""How many powers of two a side has: of logits 2^-8 to 2^8, of probabilities 2^-17 to 2^-1 from either end."""
FEWEST, MOST = 4 * OCTAVES, 2**20
TINY = np.finfo(np.float32).tiny


class Cuts(NamedTuple):
    """The thresholds that cut between bins, from the highest down: above the k-th lie the k highest bins."""

    thresholds: np.ndarray
    """float64 (size + 1,), on the scale of a task's threshold; the last, −inf, has every bin above it."""
    reachable: np.ndarray
    """bool (size + 1,): whether a task with that threshold cuts just there."""


class Layout(ABC):
    """Bins in ascending order."""

    size: int
    domain: tuple[float, float] = (-math.inf, math.inf)
    exact = False
    """Whether every bin holds one number."""

    @abstractmethod
    def cell(self, scores: Any) -> Any:
        """The bin of each score, int32. Scores are float32, of JAX or of numpy, within the domain."""

    @functools.cached_property
    def tops(self) -> np.ndarray:
        """The greatest float32 of each bin, or of those below where it holds no float; −inf where there is none."""
        lowest, highest = (int(_key(np.float32(end))) for end in self.domain)
        wanted = np.arange(self.size)
        low, high = np.full(self.size, lowest - 1), np.full(self.size, highest)
        while (low < high).any():
            middle = (low + high + 1) // 2
            with np.errstate(over="ignore"):
                fits = self.cell(_number(middle)) <= wanted
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
        return _normal(np.where(low < lowest, np.float32(-math.inf), _number(np.maximum(low, lowest))), np.floor)

    @functools.cached_property
    def bottoms(self) -> np.ndarray:
        """The least float32 above the bins below each."""
        with np.errstate(over="ignore"):
            above = np.nextafter(self.tops[:-1], np.float32(math.inf))
        return np.append(np.float32(self.domain[0]), _normal(above, np.ceil))

    @functools.cache  # noqa: B019  # there are few layouts, and they are kept anyway
    def cuts(self, inputs: str) -> Cuts:
        """The thresholds of a task with such inputs that cut between bins.

        A probability may be unable to cut where a logit can: between logits beyond about 23, say.
        """
        tops, bottoms = self.tops[::-1], np.append(math.inf, self.bottoms[:0:-1])
        numbers = tops.astype(np.float64)
        if inputs == "logits":
            numbers = _as_pair(np.array([_probability(number) for number in numbers.tolist()]))
        elif inputs == "probabilities":
            numbers = np.where(numbers < 0, -math.inf, np.minimum(numbers, 1))
        valid = (numbers >= 0) & (numbers <= 1) if inputs != "scores" else np.ones(self.size, bool)
        known = zip(numbers.tolist(), valid, strict=True)
        at = np.array([cut(inputs, number) if ok else math.nan for number, ok in known])
        with np.errstate(over="ignore"):
            at = at.astype(np.float32)
        below = (at < bottoms) | (np.arange(self.size) == 0)
        return Cuts(np.append(numbers, -math.inf), np.append(valid & (at >= tops) & below, False))


class TwoSided(Layout):
    """Probabilities: bins as fine near 1 as near 0, by the bits of the distance from the nearer end."""

    domain = (0.0, 1.0)

    def __init__(self, bins: int) -> None:
        self.half = bins // 2
        self.size = bins + 4  # on either side what is nearer to the end than 2^-17, and the end itself

    def cell(self, scores: Any) -> Any:
        xp = scores.__array_namespace__()
        upper = scores > 0.5
        distance = xp.where(upper, 1 - scores, scores)
        near = xp.clip(_octave(distance, -17, self.half), 0, self.half) + (distance > 0).astype(np.int32)
        return xp.where(upper, self.size - 1 - near, near)


class Signed(Layout):
    """Logits: bins by the bits of the magnitude on either side of a bin of 0; infinities have bins of their own."""

    def __init__(self, bins: int) -> None:
        self.half = bins // 2
        self.size = bins + 5  # the bin of 0, and on either side what is beyond 2^8, and infinity

    def cell(self, scores: Any) -> Any:
        xp = scores.__array_namespace__()
        magnitude = abs(scores)
        away = xp.clip(_octave(magnitude, -8, self.half), 0, self.half + 1) + (magnitude == math.inf).astype(np.int32)
        return self.half + 2 + xp.where(scores < 0, -away, away)


class Linear(Layout):
    """Scores of a declared range: bins of one width; what is below, above and infinite has bins of its own."""

    def __init__(self, bins: int, low: float, high: float) -> None:
        self.bins, self.low, self.high = bins, np.float32(low), np.float32(high)
        self.scale = np.float32(bins / (float(self.high) - float(self.low)))
        self.size = bins + 4

    def cell(self, scores: Any) -> Any:
        xp = scores.__array_namespace__()
        within = 2 + xp.clip(xp.floor((scores - self.low) * self.scale), 0, self.bins - 1).astype(np.int32)
        finite = xp.where(scores < self.low, 1, xp.where(scores > self.high, self.bins + 2, within))
        return xp.where(abs(scores) == math.inf, xp.where(scores < 0, 0, self.bins + 3), finite).astype(np.int32)


class Patterns(Layout):
    """Every value of a floating dtype of 16 bits, each in a bin of its own."""

    size = 2**16
    exact = True

    def __init__(self, dtype: str) -> None:
        self.dtype = jnp.dtype(dtype)

    def cell(self, scores: Any) -> Any:
        bits = scores.astype(self.dtype).view(np.uint16).astype(np.int32)
        return scores.__array_namespace__().where(bits >= 2**15, 2**16 - 1 - bits, bits + 2**15)

    @functools.cached_property
    def tops(self) -> np.ndarray:
        keys = np.arange(self.size)
        bits = np.where(keys >= 2**15, keys - 2**15, 2**16 - 1 - keys).astype(np.uint16)
        values = bits.view(self.dtype).astype(np.float32)
        values = np.where(np.isnan(values), np.where(keys >= 2**15, math.inf, -math.inf), values)
        return _normal(values.astype(np.float32), np.floor)

    @functools.cached_property
    def bottoms(self) -> np.ndarray:
        return self.tops


@functools.cache
def layout_of(inputs: str, bins: int | str, score_range: tuple[float, float] | None) -> Layout:
    """The layout of scores that are read as a task's inputs say."""
    if isinstance(bins, str):
        return Patterns(bins)
    if score_range is not None:
        return Linear(bins, *score_range)
    return TwoSided(bins) if inputs == "probabilities" else Signed(bins)


def _octave(magnitude: Any, lowest: int, half: int) -> Any:
    """Which part of its octave a magnitude is in, counted from 1 at 2^lowest; 0 or less below."""
    shift = 23 - int(math.log2(half // OCTAVES))
    return (magnitude.view(np.int32) >> shift) - (((127 + lowest) << 23 >> shift) - 1)


def _key(number: Any) -> np.ndarray:
    """An integer in the order of float32."""
    bits = np.asarray(number, np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _number(key: np.ndarray) -> np.ndarray:
    """The float32 of a key."""
    bits = np.where(key < 0, -key | 0x80000000, key)
    return bits.astype(np.uint32).view(np.float32)


def _normal(numbers: np.ndarray, rounded: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Numbers with those that hardware flushes to 0 rounded down or up to what is not: 0 or the least normal one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(np.abs(numbers) < TINY, rounded(numbers / TINY) * TINY + np.float32(0), numbers)


def _probability(logit: float) -> float:
    """The sigmoid, to the last digits of a float64 at either end."""
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0 if logit < -745 else math.exp(logit)


def _as_pair(numbers: np.ndarray) -> np.ndarray:
    """Numbers as two float32 words hold them; without words that hardware flushes to 0."""
    words = [numbers.astype(np.float32)]
    words.append((numbers - words[0]).astype(np.float32))
    high, low = (np.where(np.abs(word) < TINY, 0, word.astype(np.float64)) for word in words)
    return high + low
