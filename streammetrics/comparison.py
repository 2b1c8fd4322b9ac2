"""`compare`: how far apart the values of two states are, and how easily chance would have put them there."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from streammetrics._batches import plain
from streammetrics._jax import is_traced
from streammetrics._metric import Metric, leaves
from streammetrics._state import State, part
from streammetrics.intervals._interval import AUTO, check_level, find, innermost, method_of, settled
from streammetrics.intervals._means import Student
from streammetrics.intervals._methods import Found, Method
from streammetrics.intervals._proportions import Wilson
from streammetrics.intervals._quantiles import student, student_tail
from streammetrics.intervals._resampled import Values, paired
from streammetrics.wrappers import Bootstrapped
from streammetrics.wrappers._base import Wrapper


class Comparison(NamedTuple):
    """A difference, the ends of its interval, and the probability of one as great were there none."""

    difference: Any
    low: Any
    high: Any
    p_value: Any


def compare(metric: Metric, state_a: State, state_b: State, level: float = 0.95, on_invalid: str = "raise") -> Any:
    """`Comparison(difference, low, high, p_value)`: the value of state b less that of state a.

    States of a `Bootstrapped` metric are compared in pairs, replicate by replicate: they must be of the same examples,
    counted by two models, say, in any order; their checksums of the ids tell. All others are taken as states of two
    independent samples, such as two days: of the same examples, whose values vary together, the interval would be too
    wide. `low` and `high` hold the difference with probability `level`; the `p_value` is that of a difference as great
    or greater, of either sign, where there is none. Pairs that do not differ in any replicate, as those of one model,
    have a difference of exactly 0, with both ends 0 and a p-value of 1: nothing tells them apart. What has an
    `interval` can be compared, by the standard errors of both states:

    - shares: Newcombe's (1998) hybrid of both Wilson intervals, his method 10, and the pooled test of two proportions;
    - means, losses and errors: Welch's (1947) t interval and test;
    - all others: the normal interval and test.

    Arrays are compared entry by entry; a collection gives a dict. `on_invalid` is as in `compute`. Raises what
    `interval` does, of either state, and `ValueError` for pairs of different examples.

    >>> import numpy as np, streammetrics as sm
    >>> metric, ones = sm.Accuracy(sm.Binary("labels")), np.ones(400, int)
    >>> before, after = (metric.tally(np.arange(400) < right, ones) for right in (300, 340))
    >>> {name: round(float(x), 4) for name, x in sm.compare(metric, before, after)._asdict().items()}
    {'difference': 0.1, 'low': 0.0447, 'high': 0.1548, 'p_value': 0.0004}
    """
    if isinstance(metric, Metric) and any(_resampled(leaf) for _, leaf in leaves(metric)):
        return _in_pairs(metric, state_a, state_b, level, on_invalid)
    a, b = (find("compare", metric, state, level, AUTO, on_invalid) for state in (state_a, state_b))
    return _compared(metric, a, b, level)


def _compared(metric: Metric, a: Any, b: Any, level: float) -> Any:
    if metric.parts:
        return {name: _compared(part, a[name], b[name], level) for name, part in metric.parts}
    single: Any = innermost(metric)
    return _of_samples(method_of("compare", single, AUTO)(single, level), a, b)


def _resampled(metric: Any) -> bool:
    """Whether a single metric is bootstrapped, in a window or not."""
    return isinstance(innermost(metric, Bootstrapped), Bootstrapped)


def _in_pairs(metric: Metric, state_a: State, state_b: State, level: float, on_invalid: str) -> Any:
    """The comparison of two states of the same examples, replicate by replicate."""
    if metric.parts:
        return {name: compare(each, state_a, state_b, level, on_invalid) for name, each in metric.parts}
    check_level("compare", level)
    if not _resampled(metric):
        return compare(metric, state_a, state_b, level, on_invalid)
    single: Any = innermost(metric, Bootstrapped)
    reader: Any = Values(single)
    if isinstance(metric, Wrapper) and metric is not single:
        reader = metric.around(reader)
    a, b = (reader.compute(part(state, metric.statistic), on_invalid) for state in (state_a, state_b))
    same = jnp.all(a.ids == b.ids)
    if not is_traced((a, b)) and not same:
        raise ValueError(
            f"compare: the states of {metric!r} have the checksums {plain(a.ids)} and {plain(b.ids)} of their ids, so "
            "that they are not of the same examples and cannot be paired; compare the metric inside by total(state) of "
            "each, as of independent samples"
        )
    found = settled("compare", reader, state_a, paired(dataclasses.replace(single, level=level), a, b))
    low, difference, high = found.interval
    p_value = jax.tree.map(
        lambda at, error, end: jnp.where(jnp.isnan(end), jnp.nan, _normal_tail(at, error)), difference, found.error, low
    )
    return Comparison(
        *(jax.tree.map(lambda x: jnp.where(same, x, jnp.nan), x) for x in (difference, low, high, p_value))
    )


@functools.partial(jax.jit, inline=True)
def _of_samples(method: Method, a: Found, b: Found) -> Comparison:
    """The comparison of two independent samples."""
    difference, error = b.interval.value - a.interval.value, jnp.hypot(a.error, b.error)
    if isinstance(method, Wilson):
        low, high = _newcombe(a, b)
        p_value = _normal_tail(difference, _pooled_error(a, b))
    elif isinstance(method, Student):
        freedom = _welch(a, b)
        reach = student(method.level, freedom) * error
        low, high = difference - reach, difference + reach
        p_value = student_tail(jnp.abs(difference) / error, freedom)
    else:
        low, high = difference - method.z * error, difference + method.z * error
        p_value = _normal_tail(difference, error)
    unknown = jnp.isnan(a.interval.low) | jnp.isnan(b.interval.low)
    low, high, p_value = (jnp.where(unknown, jnp.nan, x).astype(difference.dtype) for x in (low, high, p_value))
    return Comparison(difference, low, high, p_value)


def _normal_tail(difference: Array, error: Array) -> Array:
    """P(|z| ≥ that of a difference): 1 of none, however small the error."""
    return jnp.where(difference == 0, 1, lax.erfc(jnp.abs(difference) / error * 0.5**0.5))


def _newcombe(a: Found, b: Found) -> tuple[Array, Array]:
    """The ends of a difference of shares: each as far from it as the nearer ends of both are from theirs."""
    difference = b.interval.value - a.interval.value

    def reach(up: Found, down: Found) -> Array:
        return jnp.hypot(up.interval.high - up.interval.value, down.interval.value - down.interval.low)

    return difference - reach(a, b), difference + reach(b, a)


def _pooled_error(a: Found, b: Found) -> Array:
    """The standard error of a difference of shares if both are one."""
    every = a.examples + b.examples
    share = a.interval.value * (a.examples / every) + b.interval.value * (b.examples / every)
    return jnp.sqrt(share * (1 - share)) * jnp.sqrt(1 / a.examples + 1 / b.examples)


def _welch(a: Found, b: Found) -> Array:
    """The degrees of freedom of two samples of unequal variances, by Welch and Satterthwaite."""
    share = jnp.square(a.error / jnp.hypot(a.error, b.error))
    return 1 / (jnp.square(share) / (a.examples - 1) + jnp.square(1 - share) / (b.examples - 1))
