"""Quantiles that have no closed form: of Student's t, and of the beta distribution of a share."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

FEW = 40
"""Up to how many successes, or failures, binomial probabilities are summed one by one."""


def bisected(rises: Callable[[Array], Array], low: Array, high: Array, steps: int = 48) -> Array:
    """Where what is true becomes false, between two ends."""

    def halved(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        below = rises(middle)
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    low, high = lax.fori_loop(0, steps, halved, (low, high))
    return 0.5 * (low + high)


def student_tail(t: Array, freedom: Array) -> Array:
    """P(|T| > t) of Student's t with so many degrees of freedom, at least 1, to 1e-6 of itself.

    The share of ∫ sin^(ν − 1) beyond the angle of t, by Gauss and Legendre; from 15 degrees Hill's (1970) deviate.
    """
    few = jnp.clip(freedom, 1, 15)
    beyond, every = jnp.arctan2(jnp.sqrt(few), t), jnp.full_like(few, 0.5 * np.pi)
    exact = _powers_of_sine(beyond, few - 1) / _powers_of_sine(every, few - 1)
    a = jnp.maximum(freedom, 15) - 0.5
    y, b = a * jnp.log1p(t * t / (a + 0.5)), 48 * a * a
    bend = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b)
    deviate = ((bend + y + 3) / b + 1) * jnp.sqrt(y)
    return jnp.where(freedom < 15, exact, lax.erfc(deviate * 0.5**0.5))


def _powers_of_sine(end: Array, power: Array) -> Array:
    """The integral of sin^power from 0 to the end, up to a factor, for powers of 0 and more."""
    nodes, weights = (
        jnp.asarray(each, end.dtype).reshape(-1, *(1,) * end.ndim) for each in np.polynomial.legendre.leggauss(24)
    )
    nodes = 0.5 * (nodes + 1)  # cubed, any power is smooth at 0
    return end * jnp.sum(weights * jnp.square(nodes) * jnp.power(jnp.sin(end[None] * nodes**3), power[None]), 0)


def student(level: float, freedom: Array) -> Array:
    """The t such that P(|T| ≤ t) is the level."""
    zero = jnp.zeros_like(freedom)
    return bisected(lambda t: student_tail(t, freedom) > 1 - level, zero, zero + 2.0**24)


def least_share(successes: Array, failures: Array, z: float) -> tuple[Array, Array]:
    """The share p at which so many successes or more have the probability Φ(−z), and 1 − p: 0 and 1 of no successes.

    Beyond 40 of both by the first terms of Temme's (1982) expansion of the incomplete beta function, to 1e-5.
    """
    k, f, level = successes, failures, 0.5 * lax.erfc(jnp.asarray(z * 0.5**0.5, successes.dtype))
    few_successes = _summed(k, k + f, level, upper=True)
    few_failures = _summed(f, k + f, level, upper=False)
    many = _expanded(jnp.maximum(k, FEW), jnp.maximum(f + 1, FEW), -z)
    low, rest = (
        jnp.where(k <= FEW, of_successes, jnp.where(f <= FEW, of_failures, of_many))
        for of_successes, of_failures, of_many in (
            (few_successes, 1 - few_failures, many[0]),
            (1 - few_successes, few_failures, many[1]),
        )
    )
    return jnp.where(k == 0, 0, low), jnp.where(k == 0, 1, rest)


def _summed(count: Array, trials: Array, level: Array, upper: bool) -> Array:
    """The p where so many of the trials or more (`upper`), or so many or less, have a probability; up to `FEW`."""
    number = jnp.arange(3 * FEW).astype(count.dtype).reshape(-1, *(1,) * count.ndim)
    trials = jnp.maximum(trials, 1)[None]
    wanted = number >= count[None] if upper else number <= count[None]

    def below(mean: Array) -> Array:
        share = jnp.minimum(mean[None] / trials, 1 - jnp.finfo(count.dtype).eps)
        steps = jnp.where(number == 0, 1, jnp.maximum(trials - number + 1, 0) / jnp.maximum(number, 1))
        none = jnp.exp(0.5 * trials * jnp.log1p(-share))  # half of its logarithm, as all of it leaves float32
        odds = jnp.where(number == 0, none, share / (1 - share))
        probability = none[0] * jnp.sum(jnp.where(wanted, jnp.cumprod(steps * odds, 0), 0), 0)
        return probability < level if upper else probability > level

    return bisected(below, jnp.zeros_like(count), jnp.minimum(trials[0], 3 * FEW)) / trials[0]


def _expanded(a: Array, b: Array, z: float) -> tuple[Array, Array]:
    """The x where I_x(a, b) is Φ(z), and 1 − x."""
    size = a + b
    middle, rest = a / size, b / size
    unit = jnp.sqrt(middle * (rest / size))

    def bent(share: Array) -> Array:
        """Of t, t − log(1 + t), of whose digits a difference would leave none where t is small."""
        series = share * share * (0.5 - share * (1 / 3 - share * (0.25 - share * (0.2 - share / 6))))
        return jnp.where(jnp.abs(share) < 0.05, series, share - jnp.log1p(share))

    def below(u: Array) -> Array:
        u = jnp.where(u < 0, -1, 1) * jnp.maximum(jnp.abs(u), 1e-3)  # at the middle itself there is but a limit
        distance = u * unit
        root = jnp.sign(u) * jnp.sqrt(2 * (a * bent(distance / middle) + b * bent(-distance / rest)))
        return root + jnp.log(u / root) / root < z

    u = bisected(below, jnp.maximum(-middle / unit, -32), jnp.minimum(rest / unit, 32))
    return middle + u * unit, rest - u * unit
