"""Operating points: the best threshold under a condition, and what it gives."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._double import DoubleFloat
from streammetrics._spec import spec
from streammetrics.metrics._averages import Events
from streammetrics.metrics._classification import FBeta
from streammetrics.metrics._histograms import Cut, Estimate, Histogram, ratio


def precision(events: Events) -> Array:
    return ratio(events.tp, events.tp + events.fp)


def recall(events: Events) -> Array:
    return ratio(events.tp, events.tp + events.fn)


def specificity(events: Events) -> Array:
    return ratio(events.tn, events.tn + events.fp)


class Best(Cut):
    """The greatest value that a threshold gives, as a dict of `value` and `threshold`."""

    @abstractmethod
    def objective(self, events: Events) -> Array:
        """What is to be greatest."""

    def rank(self, events: Events) -> tuple[Array, Array]:
        """The objective where a cut may be chosen, else −inf; and what decides between equal ones."""
        value = self.objective(events)
        return jnp.where(jnp.isnan(value), -jnp.inf, value), jnp.zeros_like(value)

    def reported(self, value: Array) -> Array:
        """The value, of the objective."""
        return value

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        cuts = self.cuts
        value, second = self.rank(self.histogram(counts).above)
        value = jnp.where(cuts.reachable, value, -jnp.inf)
        best = jnp.max(value, -1, keepdims=True)
        # Of equal cuts the first: its threshold is just below the last score that is predicted positive.
        chosen = jnp.argmax(jnp.where(value == best, second, -jnp.inf), -1)
        found = best[..., 0] > -jnp.inf
        threshold = DoubleFloat.of(cuts.thresholds)[chosen]
        words = (jnp.where(found, word, jnp.nan) for word in (threshold.high, threshold.low))
        return {
            "value": self.reported(jnp.where(found, best[..., 0], jnp.nan)),
            "threshold": DoubleFloat(*words),
        }


@spec
class Constrained(Best):
    """The greatest value of one rate under a least value of another, which the field of its name says."""

    reach: ClassVar[str]

    @property
    def least(self) -> float:
        return getattr(self, self.reach)

    @abstractmethod
    def constraint(self, events: Events) -> Array:
        """The other rate."""

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ValueError(f"{type(self).__name__}: {self.reach} is {self.least}, but must be from 0 to 1")

    def rank(self, events: Events, slack: float = 0.0) -> tuple[Array, Array]:
        value, other = self.objective(events), self.constraint(events)
        allowed = ~jnp.isnan(value) & (other >= self.least - slack)
        return jnp.where(allowed, value, -jnp.inf), other

    def estimate(self, counts: Mapping[str, Any]) -> Estimate:
        """The value, and how much greater it may be at a threshold inside of a bin."""
        value = self.read(counts)["value"]
        histogram = self.histogram(counts)
        corners, _ = self.rank(inside(histogram), slack=2.0**-20)
        corners = jnp.where(histogram.tied, -jnp.inf, corners)
        cuts, _ = self.rank(histogram.above)
        greatest = jnp.maximum(jnp.max(corners, -1), jnp.max(cuts, -1))
        unknown = jnp.isnan(value) & (greatest > -jnp.inf)
        bounds = Estimate(value, value, jnp.maximum(value, greatest)).within()
        # Where no cut between bins reaches the rate, one inside of a bin may.
        lower, upper = jnp.where(unknown, 0, bounds.lower), jnp.where(unknown, jnp.minimum(greatest, 1), bounds.upper)
        return Estimate(value, lower, upper)


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

    def objective(self, events: Events) -> Array:
        return precision(events)

    def constraint(self, events: Events) -> Array:
        return recall(events)


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

    def objective(self, events: Events) -> Array:
        return recall(events)

    def constraint(self, events: Events) -> Array:
        return precision(events)


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

    def objective(self, events: Events) -> Array:
        return recall(events)

    def constraint(self, events: Events) -> Array:
        return specificity(events)


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

    def objective(self, events: Events) -> Array:
        return specificity(events)

    def constraint(self, events: Events) -> Array:
        return recall(events)


@spec
class BestThreshold(Best):
    """The threshold of the greatest F-beta, the greatest Youden's J, or the least cost, as a dict with its `value`.

    `by="f_beta"` is `FBeta` with `beta`; `"youden"` is `Informedness`, TPR − FPR; `"cost"` is the mean cost of an
    example, (a fp + b fn) / n with `costs=(a, b)`. Of several thresholds the greatest. Everything else is as for
    `PrecisionAtRecall`. Raises `ValueError` for a negative β and for negative costs.

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
