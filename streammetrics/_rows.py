"""The greatest score of each row and its place: the one function that decides how, by static shape and platform.

On CPU `jnp.argmax` takes many times as long as `jnp.max`, because it reduces the axis that lies in a line, which does
not vectorise for pairs of score and place; and `jnp.max` overlooks NaN there. Wide rows are therefore cut into parts,
and the same places of all parts are compared at once, which does: a tournament, in which NaN wins.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics._wide import Pair

NARROW = 40
"""Rows of so few scores are reduced as they are."""
PARTS = {2: 10, 4: 20, 8: 20}
"""Into how many parts a row is cut at most, by the bytes of a score as it comes, and"""
LANES = 16
"""of how many scores each must be: more parts, or shorter ones, are not vectorised."""


def greatest(scores: Array) -> tuple[Array, Array]:
    """Of each row (the last axis) the first place of the greatest score, int32, and that score: NaN if any is.

    The score comes in at least 32 bits.
    """
    if scores.shape[-1] <= NARROW:
        return _plain(scores)
    return lax.platform_dependent(scores, cpu=_tournament, default=_plain)


def _plain(scores: Array) -> tuple[Array, Array]:
    scores = widened(scores)
    place = jnp.argmax(scores, -1).astype(jnp.int32)
    return place, jnp.take_along_axis(scores, place[..., None], -1, mode="promise_in_bounds")[..., 0]


def _tournament(scores: Array) -> tuple[Array, Array]:
    examples, width = scores.shape[:-1], scores.shape[-1]
    count = math.prod(examples)
    value = widened(scores).reshape(count, width)
    pair = value, lax.broadcasted_iota(jnp.int32, value.shape, 1)
    left = []
    most = PARTS[scores.dtype.itemsize]
    while width > NARROW:
        most = min(most, width // LANES)
        parts = next((parts for parts in range(most, 3 * most // 4, -1) if width % parts == 0), most)
        width = width // parts
        left.append(tuple(x[:, width * parts :] for x in pair))
        pair = _winners(tuple(x[:, : width * parts].reshape(count, parts, width) for x in pair))
    value, place = _winners(tuple(jnp.concatenate(parts, 1) for parts in zip(pair, *left, strict=True)))
    return place.reshape(examples), value.reshape(examples)


def _winners(pair: tuple[Array, ...]) -> Pair:
    """Along the axis after the first, the greatest score and its first place."""
    lowest = pair[0].dtype.type(-math.inf), np.int32(2**31 - 1)
    return lax.reduce(pair, lowest, _winner, (1,))


def _winner(a: Pair, b: Pair) -> Pair:
    (score, place), (other, there) = a, b
    wins = (other > score) | jnp.isnan(other) | ((other == score) & (there < place))
    return jnp.where(wins, other, score), jnp.where(wins, there, place)


def widened(scores: Array) -> Array:
    """Scores in at least 32 bits."""
    return scores.astype(jnp.float32) if scores.dtype.itemsize < 4 else scores
