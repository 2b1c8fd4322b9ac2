"""Operating points: the best threshold under a condition, and what it gives."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._double import DoubleFloat
from streammetrics._spec import spec
from streammetrics.metrics._averages import Events
from streammetrics.metrics._classification import FBeta
from streammetrics.metrics._histograms import Cut, Estimate, Histogram, ratio

SLACK = 2.0**-20
"""By how much rounding may have moved a share of events."""


class Share(NamedTuple):
    """A rate, as the events that are of it, and those that it lacks."""

    reached: Array
    missed: Array

    @property
    def rate(self) -> Array:
        return ratio(self.reached, self.reached + self.missed)

    def reaches(self, least: float, slack: float = 0.0) -> Array:
        """Whether the rate is so great; told by the lesser share, of which rounding loses the lesser part."""
        whole = self.reached + self.missed
        if least > 0.5:
            return ratio(self.missed, whole) <= (1 - least) * (1 + slack)
        return ratio(self.reached, whole) >= least * (1 - slack)


def precision(events: Events) -> Share:
    return Share(events.tp, events.fp)


def recall(events: Events) -> Share:
    return Share(events.tp, events.fn)


def specificity(events: Events) -> Share:
    return Share(events.tn, events.fp)


class Best(Cut):
    """The greatest value that a threshold gives, as a dict of `value` and `threshold`."""

    @abstractmethod
    def rank(self, events: Events) -> tuple[Array, Array]:
        """What is to be greatest, −inf where it may not be chosen; and what decides between equal ones."""

    def reported(self, value: Array) -> Array:
        """The value, of what is to be greatest."""
        return value

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        return self.best(self.histogram(counts))

    def best(self, histogram: Histogram) -> dict[str, Any]:
        """The value and its threshold."""
        value, second = self.rank(histogram.above)
        value = jnp.where(self.cuts.reachable, value, -jnp.inf)
        best = jnp.max(value, -1, keepdims=True)
        # Of equal cuts the first: its threshold is just below the last score that is predicted positive.
        chosen = jnp.argmax(jnp.where(value == best, second, -jnp.inf), -1)
        threshold, found = self.thresholds[chosen], best[..., 0] > -jnp.inf
        words = (jnp.where(found, word, jnp.nan) for word in (threshold.high, threshold.low))
        return {"value": self.reported(jnp.where(found, best[..., 0], jnp.nan)), "threshold": DoubleFloat(*words)}


@spec
class Constrained(Best):
    """The greatest value of one rate under a least value of another, which the field of its name says."""

    reach: ClassVar[str]

    higher_is_better = True

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ValueError(f"{type(self).__name__}: {self.reach} is {self.least}, but must be from 0 to 1")

    @property
    def least(self) -> float:
        return getattr(self, self.reach)

    @abstractmethod
    def shares(self, events: Events) -> tuple[Share, Share]:
        """The rate that is to be greatest, and the one that is to be reached."""

    def rank(self, events: Events, slack: float = 0.0) -> tuple[Array, Array]:
        value, other = self.shares(events)
        allowed = ~jnp.isnan(value.rate) & other.reaches(self.least, slack)
        return jnp.where(allowed, value.rate, -jnp.inf), other.rate

    def estimate(self, counts: Mapping[str, Any]) -> Estimate:
        """The value; at least what is beyond doubt, at most what thresholds inside of the bins may give."""
        histogram = self.histogram(counts)
        sure, _ = self.rank(histogram.above, -SLACK)
        sure = jnp.max(jnp.where(self.cuts.reachable, sure, -jnp.inf), -1)
        corners = jnp.where(histogram.tied, -jnp.inf, self.rank(inside(histogram), SLACK)[0])
        most = jnp.maximum(jnp.max(corners, -1), jnp.max(self.rank(histogram.above, SLACK)[0], -1))
        lower, upper = jnp.where(sure > -jnp.inf, sure, 0), jnp.where(most > -jnp.inf, most, jnp.nan)
        # Where no cut between bins reaches the rate, one inside of a bin may: only the upper bound is known.
        bounds = Estimate(jnp.where(jnp.isnan(upper), jnp.nan, lower), lower, upper).within()
        return Estimate(self.best(histogram)["value"], bounds.lower, bounds.upper)


def inside(histogram: Histogram) -> Events:
    """The best that may be inside of each bin: all its positives found, none of its negatives."""
    tp, fp, fn, tn = histogram.above
    return Events(tp[..., 1:], fp[..., :-1], fn[..., 1:], tn[..., :-1])


@spec
class PrecisionAtRecall(Constrained):
    """max of tp / (tp + fp) over thresholds where tp / (tp + fn) ≥ `recall`, as a dict of `value` and `threshold`.

    Thresholds lie between the bins of the histogram; the `threshold` is a `DoubleFloat` on the scale of a task's, and
    `Binary(…, threshold=float(threshold))` gives exactly the value. Of several the one of the greatest recall, and of
    these the greatest. One each per class, `(C,)`; of one with `class_id`, of all scores together with
    `average="micro"`; further fields as for `AUROC`. Both are NaN where no threshold will do. Raises `ValueError` for a
    rate outside [0, 1].

    >>> from streammetrics import Binary, plain
    >>> task, scores, targets = Binary("probabilities"), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> float(PrecisionAtRecall(task, recall=0.9)(scores, targets)["value"])
    0.6666666865348816
    """

    recall: float

    reach = "recall"

    def shares(self, events: Events) -> tuple[Share, Share]:
        return precision(events), recall(events)


@spec
class RecallAtPrecision(Constrained):
    """max of tp / (tp + fn) over thresholds where tp / (tp + fp) ≥ `precision`, as a dict of `value` and `threshold`.

    Everything else is as for `PrecisionAtRecall`.

    >>> from streammetrics import Binary
    >>> task, scores, targets = Binary("probabilities"), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> float(RecallAtPrecision(task, precision=0.9)(scores, targets)["value"])
    0.5
    """

    precision: float

    reach = "precision"

    def shares(self, events: Events) -> tuple[Share, Share]:
        return recall(events), precision(events)


@spec
class SensitivityAtSpecificity(Constrained):
    """max of tp / (tp + fn) over thresholds where tn / (tn + fp) ≥ `specificity`, as a dict of `value` and `threshold`.

    Everything else is as for `PrecisionAtRecall`.

    >>> from streammetrics import Binary
    >>> task, scores, targets = Binary("probabilities"), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> float(SensitivityAtSpecificity(task, specificity=0.5)(scores, targets)["value"])
    1.0
    """

    specificity: float

    reach = "specificity"

    def shares(self, events: Events) -> tuple[Share, Share]:
        return recall(events), specificity(events)


@spec
class SpecificityAtSensitivity(Constrained):
    """max of tn / (tn + fp) over thresholds where tp / (tp + fn) ≥ `sensitivity`, as a dict of `value` and `threshold`.

    Everything else is as for `PrecisionAtRecall`.

    >>> from streammetrics import Binary
    >>> task, scores, targets = Binary("probabilities"), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> float(SpecificityAtSensitivity(task, sensitivity=0.9)(scores, targets)["value"])
    0.5
    """

    sensitivity: float

    reach = "sensitivity"

    def shares(self, events: Events) -> tuple[Share, Share]:
        return specificity(events), recall(events)


@spec
class BestThreshold(Best):
    """The threshold of the greatest F-beta, the greatest Youden's J, or the least cost, as a dict with its `value`.

    `by="f_beta"` is `FBeta` with `beta`, 0 without positives; `"youden"` is `Informedness`, TPR − FPR; `"cost"` is the
    mean cost of an example, (a fp + b fn) / n with `costs=(a, b)`. Of several thresholds the greatest. Everything else
    is as for `PrecisionAtRecall`. Raises `ValueError` for a negative β and for negative costs.

    >>> from streammetrics import Binary
    >>> task, scores, targets = Binary("probabilities"), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> best = BestThreshold(task)(scores, targets)
    >>> round(float(best["value"]), 4), round(float(best["threshold"]), 3)
    (0.8, 0.35)
    """

    by: str = "f_beta"
    beta: float = 1.0
    costs: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        _checks.choice(self, "by", ("f_beta", "youden", "cost"))
        if not 0 <= self.beta < float("inf"):
            raise ValueError(f"BestThreshold: beta is {self.beta}, but must be finite and not negative")
        if len(self.costs) != 2 or not all(0 <= cost < float("inf") for cost in self.costs):
            raise ValueError(f"BestThreshold: costs are {self.costs}, but must be two finite numbers, not negative")
        # What the criterion does not read keeps nothing apart.
        if self.by != "f_beta":
            object.__setattr__(self, "beta", 1.0)
        if self.by != "cost":
            object.__setattr__(self, "costs", (1.0, 1.0))

    @property
    def higher_is_better(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # the criterion says
        return self.by != "cost"

    def rank(self, events: Events) -> tuple[Array, Array]:
        value = self.objective(events)
        return jnp.where(jnp.isnan(value), -jnp.inf, value), jnp.zeros_like(value)

    def objective(self, events: Events) -> Array:
        tp, fp, fn, tn = events
        if self.by == "f_beta":
            return ratio(*FBeta(self.task, self.beta).ratio(*events))
        if self.by == "youden":
            return ratio(tp, tp + fn) - ratio(fp, fp + tn)
        of_fp, of_fn = self.costs
        return -ratio(of_fp * fp + of_fn * fn, tp + fp + fn + tn)

    def reported(self, value: Array) -> Array:
        return -value if self.by == "cost" else value
