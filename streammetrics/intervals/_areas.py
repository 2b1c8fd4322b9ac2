"""DeLong's interval of an area under the ROC curve."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Binary
from streammetrics.intervals._methods import Found, Method
from streammetrics.metrics import AUROC, Gini
from streammetrics.metrics._histograms import Histogram, integral, ratio


@spec
class DeLong(Method):
    """The interval of an area, symmetric on the scale of its logit, by DeLong's standard error."""

    few = "has {examples:g} examples on one side, but at least {fewest} are due on each"
    unsettled = "is {value}, but scores that separate the classes do not tell how far an area may be from 0 or 1"

    @classmethod
    def fits(cls, metric: Metric) -> bool:
        if not isinstance(metric, AUROC | Gini) or getattr(metric, "max_fpr", None) is not None:
            return False
        return isinstance(metric.task, Binary) or metric.class_id is not None or metric.average is None

    def read(self, counts: Mapping[str, Any]) -> Found:
        histogram = self.metric.histogram(counts)
        fewest = jnp.minimum(histogram.positives, histogram.negatives)
        value, error = area_and_error(histogram)
        centre, spread = jnp.log(value) - jnp.log1p(-value), error / (value * (1 - value))
        low, high = (jax.nn.sigmoid(centre + sign * self.z * spread) for sign in (-1, 1))
        if isinstance(self.metric, Gini):
            low, high, error = 2 * low - 1, 2 * high - 1, 2 * error
        return self.around(self.metric.read(counts), low, high, error, fewest)


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
