"""Reductions of rows of scores: the one place that decides how they are read, by static shape and platform.

On CPU `jnp.argmax` takes many times as long as `jnp.max`, because reducing the axis that lies in a line does not
vectorise for pairs of score and place; `jnp.max` overlooks NaN there; and a sum of what is computed from wide rows
first writes all of it. Wide rows are therefore cut into parts, and the same places of all parts are joined at once,
which vectorises. So the greatest is found by a tournament, in which NaN wins; of rows that are not so wide, in blocks.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._double import compensated
from streammetrics._wide import Pair

QUICK, BLOCKS = 24, 64
"""Up to how many scores `jnp.argmax` is fast, and up to how many it is best taken of blocks of so few."""
NARROW = 40
"""Rows of so few scores are reduced as they are."""
PARTS, PARTS_OF_16_BITS = 20, 10
"""Into how many parts a row is cut at most: more are not vectorised."""
LANES = 16
"""Of how many scores a part is at least."""


def greatest(scores: Array) -> tuple[Array, Array]:
    """Of each row (the last axis) the first place of the greatest score, int32, and that score: NaN if any is.

    The score comes in at least 32 bits.
    """
    width = scores.shape[-1]
    if width <= QUICK:
        return _plain(scores)
    return lax.platform_dependent(scores, cpu=_by_blocks if width <= BLOCKS else _tournament, default=_plain)


def _plain(scores: Array) -> tuple[Array, Array]:
    scores = widened(scores)
    place = jnp.argmax(scores, -1).astype(jnp.int32)
    return place, jnp.take_along_axis(scores, place[..., None], -1, mode="promise_in_bounds")[..., 0]


def ahead(scores: Array, score: Array, place: Array) -> tuple[Array, Array]:
    """Of each row how many scores come before a given one of it, int32, and whether it has NaN.

    Greater ones do, and equal ones of lower places: its rank from 0, by comparisons alone.
    """
    places = lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
    before = (scores > score[..., None]) | ((scores == score[..., None]) & (places < place[..., None]))
    return _reduced((before.astype(jnp.int32), jnp.isnan(scores)), (np.int32(0), np.bool_(False)), _count_and_any)


def total(terms: Array) -> Pair:
    """The sum of each row and its error: rounding does not grow with the width."""
    zero = terms.dtype.type(0)
    return _reduced((terms, jnp.zeros_like(terms)), (zero, zero), compensated)


def sums(a: Array, b: Array) -> Pair:
    """The sums of each row of two arrays."""
    return _reduced((a, b), (a.dtype.type(0), b.dtype.type(0)), lambda x, y: (x[0] + y[0], x[1] + y[1]))


def _by_blocks(scores: Array) -> tuple[Array, Array]:
    width = scores.shape[-1]
    size = -(-width // -(-width // QUICK))
    found = ((start, *_plain(scores[..., start : start + size])) for start in range(0, width, size))
    value, place = functools.reduce(_winner, ((value, place + start) for start, place, value in found))
    return place, value


def _tournament(scores: Array) -> tuple[Array, Array]:
    value = widened(scores)
    places = lax.broadcasted_iota(jnp.int32, value.shape, value.ndim - 1)
    lowest = value.dtype.type(-math.inf), np.int32(2**31 - 1)
    value, place = _by_parts((value, places), lowest, _winner, PARTS if value is scores else PARTS_OF_16_BITS)
    return place, value


def _reduced(rows: Pair, start: Any, join: Callable[[Pair, Pair], Pair]) -> Pair:
    """The reduction of each row of a pair of arrays by an associative and commutative function."""
    axis = rows[0].ndim - 1
    if rows[0].shape[axis] <= NARROW:
        return lax.reduce(rows, start, join, (axis,))
    return lax.platform_dependent(
        *rows,
        cpu=lambda *rows: _by_parts(rows, start, join, PARTS),
        default=lambda *rows: lax.reduce(rows, start, join, (axis,)),
    )


def _by_parts(rows: Any, start: Any, join: Callable[[Any, Any], Any], most: int) -> Any:
    """The reduction of each row, so that the same places of all parts are joined at once."""
    examples, width = rows[0].shape[:-1], rows[0].shape[-1]
    count = math.prod(examples)
    rows = tuple(x.reshape(count, width) for x in rows)
    left = []
    while width > NARROW:
        most = min(most, width // LANES)
        parts = next((parts for parts in range(most, 3 * most // 4, -1) if width % parts == 0), most)
        width = width // parts
        left.append(tuple(x[:, width * parts :] for x in rows))
        rows = tuple(x[:, : width * parts].reshape(count, parts, width) for x in rows)
        rows = lax.reduce(rows, start, join, (1,))
    rows = tuple(jnp.concatenate(parts, 1) for parts in zip(rows, *left, strict=True))
    return tuple(x.reshape(examples) for x in lax.reduce(rows, start, join, (1,)))


def _count_and_any(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] | b[1]


def _winner(a: Pair, b: Pair) -> Pair:
    (score, place), (other, there) = a, b
    wins = (other > score) | jnp.isnan(other) | ((other == score) & (there < place))
    return jnp.where(wins, other, score), jnp.where(wins, there, place)


def widened(scores: Array) -> Array:
    """Scores in at least 32 bits."""
    return scores.astype(jnp.float32) if scores.dtype.itemsize < 4 else scores
