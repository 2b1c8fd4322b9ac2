"""How the values of an entry are distributed: histograms, quantiles, and how many are distinct."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._double import DoubleFloat
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._uint64 import UInt64
from streammetrics.accumulators._integers import carried
from streammetrics.metrics._histograms import Estimate
from streammetrics.statistics._distributions import REGISTERS, check_edges, check_range, narrow


@spec
class Histogram(Metric):
    """How many values of an entry lie in each bin between edges, as a dict.

    `edges` are k + 1 numbers in ascending order, of k bins; a bin holds its lower edge and not its upper one, but for
    the last, which holds both (as in `numpy.histogram`). `counts` (k,), `below` and `above` () are exact `UInt64`s, or
    sums with `weighted=True`; `edges` (k + 1,) are float32. Values are compared in float32, integers exactly; subnormal
    numbers are 0. Infinities are values like others, NaN is invalid. Raises `ValueError` for edges that are not
    ascending.

    >>> from streammetrics import plain
    >>> plain(Histogram("loss", (0, 1, 2))([0.5, 1.0, 2.0, 7.0]))
    {'counts': [1, 2], 'edges': [0.0, 1.0, 2.0], 'below': 0, 'above': 1}
    """

    entry: str
    edges: tuple[float, ...]
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    weights: str = dataclasses.field(default="weights", kw_only=True)

    def __post_init__(self) -> None:
        check_edges(self)

    @property
    def statistic(self) -> statistics.ValueCounts:
        return statistics.ValueCounts(self.entry, self.weights, self.weighted, self.edges)

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        cells = counts["cells"]
        if not isinstance(cells, UInt64):  # weights are fractions, or counts decay
            cells = cells.to_float()
        edges = jnp.asarray(narrow(self.edges))
        return {"counts": cells[1:-1], "edges": edges, "below": cells[0], "above": cells[-1]}


@spec
class Quantile(Metric):
    """min x with F(x) ≥ q: the least value of an entry that a share q of the values does not exceed.

    `q` is from 0 to 1; a tuple gives an array. Values are counted in bins of their sign, exponent and `mantissa_bits`
    leading bits, so that the value read, the middle of a bin, is within 2^−(mantissa_bits + 1) of the quantile, as a
    share of it, where `low` ≤ |quantile| ≤ `high`: 0.4 % by default. A quantile of 0 or of an infinity is exact; nearer
    to 0 than `low` it is within `low` / 2; farther than `high` it reads as an infinity, and only the bounds are
    promised. `sm.bounds` gives the ends of the bin, which hold the quantile of the values in float32.

    By default the range has nine decades and the state 60 KiB; each bit more doubles it. Raises `ValueError` for a
    share or a range that is none, and for more than 4 million bins. Weights count as repetitions, and with
    `weighted=True` may be fractions. NaN is invalid; without examples the value is NaN. The definition is numpy's
    `quantile(method="inverted_cdf")`; `q` is taken as the simplest fraction that has its float, 0.1 as a tenth.

    >>> round(float(Quantile("latency", 0.75)([1.0, 2.0, 3.0, 100.0])), 2)
    3.01
    """

    entry: str
    q: float | tuple[float, ...] = 0.5
    low: float = 1e-4
    high: float = 1e5
    mantissa_bits: int = 7
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    weights: str = dataclasses.field(default="weights", kw_only=True)

    def __post_init__(self) -> None:
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"Quantile: q is {self.q}, but must be from 0 to 1, or several such numbers")
        check_range(self)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares, of one quantile or several."""
        return self.q if isinstance(self.q, tuple) else (self.q,)

    @property
    def statistic(self) -> statistics.MagnitudeCounts:
        fields = (self.low, self.high, self.mantissa_bits)
        return statistics.MagnitudeCounts(self.entry, self.weights, self.weighted, *fields)

    def estimate(self, counts: Mapping[str, Any]) -> Estimate:
        """The value and its bounds."""
        cumulated = counts["cells"].cumsum()
        place = places(cumulated, [simplest(share) for share in self.shares])
        lower, middle, upper = (jnp.asarray(ends)[place] for ends in self.statistic.layout.ends)
        found = Estimate(*(jnp.where(cumulated[-1] > 0, end, jnp.nan) for end in (middle, lower, upper)))
        return found if isinstance(self.q, tuple) else Estimate(*(end[0] for end in found))

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.estimate(counts).value


def simplest(share: float) -> Fraction:
    """The simplest fraction that is this float, so that a tenth is one: of two with small denominators only one is."""
    simple = Fraction(share).limit_denominator(2**26)
    return simple if float(simple) == share else Fraction(share)


def places(cumulated: Any, shares: Sequence[Fraction]) -> Array:
    """Of cumulated counts `(*K, B)` the first that are positive and at least each share of all: `(S, *K)`, int32.

    Exact as long as the number of all times a share's denominator is below 2^64; of sums, to 1e-12 of all.
    """
    total = cumulated[None, ..., -1:]
    if isinstance(total, DoubleFloat):
        parts = np.array([float(share) * (1 - 1e-12) for share in shares])
        due = total * parts.reshape(-1, *(1,) * cumulated.ndim)
    else:
        due = rounded_up(total, shares)
    short = (cumulated <= 0)[None] | (cumulated[None] < due)
    return jnp.minimum(jnp.sum(short, -1, dtype=np.int32), cumulated.shape[-1] - 1)


def rounded_up(total: UInt64, shares: Sequence[Fraction]) -> UInt64:
    """⌈total · share⌉ for each share along the leading axis, where `total` has one entry: of the product's 128 bits.

    A share has its 64 binary digits; that 1 has 1 − 2^−64 changes nothing once rounded up.
    """
    scaled = [min((share.numerator << 64) // share.denominator, 2**64 - 1) for share in shares]
    factors = np.array([[number >> 16 * j & 0xFFFF for number in scaled] for j in range(4)], np.uint32)
    factors = factors.reshape(4, -1, *(1,) * (total.ndim - 1))
    digits = jnp.zeros((8, len(shares), *total.shape[1:]), jnp.uint32)
    for i, digit in enumerate((total.low & 0xFFFF, total.low >> 16, total.high & 0xFFFF, total.high >> 16)):
        parts = digit[None] * factors
        digits = digits.at[i : i + 4].add(parts & 0xFFFF).at[i + 1 : i + 5].add(parts >> 16)
    words = carried(digits)
    return UInt64(words[3], words[2]) + ((words[0] | words[1]) > 0)


@spec
class DistinctCount(Metric):
    """About how many distinct values an entry has, with a standard error of 1.6 %.

    Values are integers or bool, equal ones alike in any dtype, or floats, taken as float32 (subnormal numbers and −0.0
    are 0, NaN is invalid). Identities of 64 bits come as `(*B, 2)` uint32, the low word first, with `words=2`: of
    numpy's, `ids.view(numpy.uint32).reshape(-1, 2)` on a little-endian machine; under x64 they may come as they are.
    Weights say whether a row is there: 0 is absence, all others are alike. Without examples the value is 0.

    The state is 16 KiB: 4,096 registers of the greatest rank of a 64-bit hash (Threefry), which any split and order
    fill alike. HyperLogLog is Flajolet, Fusy, Gandouet and Meunier's (2007), the estimator for all sizes Ertl's (2017).

    >>> round(float(DistinctCount("user")([3, 1, 3, 3, 2])), 2)
    3.0
    """

    entry: str
    words: int = 1
    weights: str = dataclasses.field(default="weights", kw_only=True)

    def __post_init__(self) -> None:
        _checks.choice(self, "words", (1, 2))

    @property
    def statistic(self) -> statistics.DistinctHashes:
        return statistics.DistinctHashes(self.entry, self.weights, self.words)

    def read(self, counts: Mapping[str, Any]) -> Array:
        ranks = counts["registers"]
        empty = jnp.isnan(ranks)
        # Of all hashes the share that would change a register.
        shares = jnp.sum(jnp.where(empty, 0, jnp.exp2(-ranks)))
        left = jnp.sum(empty, dtype=np.int32).astype(shares.dtype)
        estimate = REGISTERS**2 / (2 * math.log(2)) / (shares + REGISTERS * _sigma(left))
        return jnp.where(left == REGISTERS, 0, estimate)


def _sigma(left: Array) -> Array:
    """Ertl's σ: x + Σ_{k ≥ 1} x^(2^k) 2^(k − 1), x being the share of registers that are empty."""
    powers = np.exp2(np.arange(1, 20)).astype(np.float32)  # the next term is below e^−230, with one register filled
    logarithm = jnp.log1p(-(REGISTERS - left) / REGISTERS)
    terms = jnp.exp(powers.astype(left.dtype) * logarithm) * (powers / 2).astype(left.dtype)
    return left / REGISTERS + jnp.sum(terms)
