"""`interval`: between what a value lies with some confidence, had other examples been drawn."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._jax import is_traced
from streammetrics._metric import Beside, InvalidExamples, Metric
from streammetrics._spec import spec
from streammetrics._state import State, part
from streammetrics._tasks import Binary
from streammetrics.metrics import AUROC
from streammetrics.metrics._histograms import Histogram, integral, ratio

FEWEST_EXAMPLES = 10
"""Of how many examples of a class an interval is given."""


class Interval(NamedTuple):
    """A value and the ends of its interval, each of the value's shape."""

    low: Any
    value: Any
    high: Any


class Found(NamedTuple):
    """An interval, NaN at its ends where there is none; and how many examples the rarer of the two sides has."""

    interval: Interval
    fewest: Array


@spec
class DeLong(Beside):
    """The interval of an area, symmetric on the scale of its logit, by DeLong's standard error."""

    level: float

    def read(self, counts: Mapping[str, Any]) -> Found:
        histogram = self.metric.histogram(counts)
        fewest = jnp.minimum(histogram.positives, histogram.negatives)
        value, error = area_and_error(histogram)
        centre, spread = jnp.log(value) - jnp.log1p(-value), error / (value * (1 - value))
        z = NormalDist().inv_cdf(0.5 + self.level / 2)
        known = (fewest >= FEWEST_EXAMPLES) & (error > 0)
        low, high = (jnp.where(known, jax.nn.sigmoid(centre + sign * z * spread), jnp.nan) for sign in (-1, 1))
        return Found(Interval(low, self.metric.read(counts), high), fewest)


def area_and_error(histogram: Histogram) -> tuple[Array, Array]:
    """The AUROC and its standard error by DeLong, DeLong and Clarke-Pearson (1988), from bins in place of scores.

    The error is 0 where the scores separate the classes.
    """
    h = histogram
    below = jnp.where(h.tied, 0.5, jnp.where(h.ahead, 1.0, jnp.where(h.behind, 0.0, 0.5)))
    positives, negatives = h.positives[..., None], h.negatives[..., None]
    # For a positive the share of negatives below it, and for a negative the share of positives above it.
    outranked = h.above.tn[..., 1:] + below * h.negative
    of_positive = ratio(outranked, negatives)
    of_negative = ratio(h.above.tp[..., :-1] + below * h.positive, positives)
    value = integral(ratio(h.positive, positives) * of_positive)

    def variance(count: Array, placed: Array, every: Array) -> Array:
        spread = integral(ratio(count, every) * jnp.square(placed - value[..., None]))
        return ratio(spread, every[..., 0] - 1)

    total = variance(h.positive, of_positive, positives) + variance(h.negative, of_negative, negatives)
    ends = (jnp.zeros_like(negatives), negatives)
    none, every = (jnp.all((h.positive == 0) | (outranked == end), -1) for end in ends)
    return value, jnp.where(none | every, 0, jnp.sqrt(total))


def interval(metric: Metric, state: State, level: float = 0.95, on_invalid: str = "raise") -> Interval:
    """`Interval(low, value, high)`: holds the value of the population with probability `level`, from the state alone.

    Of `AUROC` so far: of `Binary`, of one class or label (`class_id`), or of each (`average=None`), by DeLong's
    standard error, symmetric on the scale of the logit, so that it stays within [0, 1]. Examples are taken as
    independent. The state may be one of a collection that counts the metric's statistic, too; `on_invalid` is as in
    `compute`. Raises `TypeError` for other metrics, and for averages, whose classes are not independent; `ValueError`
    below 10 examples of a class, and where the area is 0 or 1, whose error the counts do not tell. Under a trace these
    are NaN. The definition is DeLong, DeLong and Clarke-Pearson's (1988).

    >>> import numpy as np, streammetrics as sm
    >>> metric = sm.AUROC(sm.Binary("logits"))
    >>> state = metric.tally(np.linspace(-3, 3, 40), np.arange(40) % 4 // 2)
    >>> low, value, high = sm.interval(metric, state)
    >>> round(float(low), 3), round(float(value), 3), round(float(high), 3)
    (0.369, 0.55, 0.719)
    """
    _check(metric, level)
    state = part(state, metric.statistic)
    try:
        found, fewest = DeLong(metric, level).compute(state, on_invalid)
    except InvalidExamples as error:
        error.values = error.values.interval
        raise
    if not is_traced(state):
        if (few := np.asarray(fewest).min()) < FEWEST_EXAMPLES:
            raise ValueError(
                f"interval: {metric!r} has {few:g} examples on one side, but at least {FEWEST_EXAMPLES} are due on each"
            )
        if (np.isnan(found.low) & ~np.isnan(found.value)).any():
            raise ValueError(
                f"interval: {metric!r} is {np.asarray(found.value)}, but scores that separate the classes do not tell "
                "how far an area may be from 0 or 1"
            )
    return found


def _check(metric: Metric, level: float) -> None:
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise ValueError(f"interval: level is {level!r}, but must be above 0 and below 1")
    if not isinstance(metric, AUROC) or metric.max_fpr is not None:
        raise TypeError(f"interval: got {metric!r}, but so far only the whole area of AUROC has an interval")
    if metric.task.weighted:
        raise TypeError(f"interval: {metric!r} has fractional weights, which are no numbers of examples")
    if not (isinstance(metric.task, Binary) or metric.class_id is not None or metric.average is None):
        raise TypeError(
            f"interval: {metric!r} joins classes, which are not independent; class_id or average=None have intervals"
        )
