"""Agreement of predictions and targets beyond chance, and what a diagnosis is worth."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Multiclass, counted
from streammetrics.metrics._averages import (
    DEFAULT,
    TOGETHER,
    Averaged,
    ClassMetric,
    Events,
    Picked,
    Value,
    divided,
    events_of,
    total,
)
from streammetrics.metrics._classification import whole_table
from streammetrics.statistics import ClassCounts
from streammetrics.statistics._classes import check_table


class Agreement(Averaged):
    """One value of all classes together, or that of a class against the rest: of `Binary` and of labels.

    `Multiclass` has the value of all its classes by default; `class_id`, or any `average`, reads classes against the
    rest.
    """

    default_average = TOGETHER

    @abstractmethod
    def of_classes(self, events: Events) -> Value:
        """The value of the classes along the leading axis: all there are, so that every example is of one of them."""

    @property
    def is_together(self) -> bool:
        return isinstance(self.task, Multiclass) and self.average == DEFAULT and self.class_id is None

    def agreement(self, counts: Mapping[str, Any]) -> Array:
        """The value of all classes, or of classes against the rest."""
        if self.is_together:
            return self.of_classes(events_of(self.task, counts).to_floats()).settled(self.undefined, counts)
        return self.averaged(events_of(self.task, counts), counts, lambda events: self.of_classes(events.both()))


@spec
class BalancedAccuracy(Agreement, ClassMetric):
    """mean of the recalls of the classes that occur in targets: accuracy as if all classes had as many examples.

    Of `Multiclass` over all classes, of `Binary` the mean of recall and specificity, of `Multilabel` the mean over
    labels of that. `adjusted=True` rescales so that chance, 1 over the number of classes that occur, reads 0. Further
    fields as for `Recall`; `class_id`, or an explicit `average`, reads classes against the rest. The definition is
    scikit-learn's `balanced_accuracy_score`.

    >>> from streammetrics import Multiclass
    >>> float(BalancedAccuracy(Multiclass(3, "labels"))([0, 0, 0, 1], [0, 0, 0, 2]))
    0.5
    """

    adjusted: bool = False

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.agreement(counts)

    def of_classes(self, events: Events) -> Value:
        recalls = divided(events.tp, events.tp + events.fn)
        occurring = total(recalls.defined.astype(events.tp.dtype))
        mean = divided(total(jnp.where(recalls.defined, recalls.number, 0)), occurring)
        if not self.adjusted:
            return mean
        return divided(mean.number * occurring - 1, jnp.maximum(occurring - 1, 0))


@spec
class MatthewsCorrelation(Agreement, ClassMetric):
    """(tp tn − fp fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn)): the correlation of predicted and true classes.

    Of `Multiclass` Gorodkin's R_K (2004), the same of all classes together; of `Multilabel` the mean over labels.
    Further fields as for `Recall`; `class_id`, or an explicit `average`, reads classes against the rest. `undefined`
    where predictions or targets are all of one class: 0, as in scikit-learn's `matthews_corrcoef`.

    >>> from streammetrics import Binary
    >>> round(float(MatthewsCorrelation(Binary("labels"))([1, 1, 0, 0, 1], [1, 0, 0, 0, 1])), 4)
    0.6667
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.agreement(counts)

    def of_classes(self, events: Events) -> Value:
        shares = Shares.of(events)
        predicted, true = (total(share * rest) for share, rest in (shares.predicted, shares.true))
        # Of rare classes the product of the variances would be no float, that of their roots is.
        return divided(total(shares.covariance), jnp.sqrt(predicted) * jnp.sqrt(true))


@spec
class CohenKappa(Agreement):
    """(p_o − p_e) / (1 − p_e): the agreement of predictions and targets, less what chance would give.

    p_o is the accuracy, p_e that of a prediction drawn independently with the same shares. `weighting` counts a
    confusion of classes i and j by their distance, for ordered classes: `"linear"` |i − j|, `"quadratic"` (i − j)²;
    that needs the whole confusion matrix, of at most 8,192 classes. Of `Multilabel` the mean over labels. Further
    fields as for `Recall`; `class_id`, or an explicit `average`, reads classes against the rest, and excludes a
    weighting. `undefined` where chance alone agrees: NaN, as in scikit-learn's `cohen_kappa_score`.

    >>> from streammetrics import Multiclass
    >>> task = Multiclass(3, "labels")
    >>> round(float(CohenKappa(task, "quadratic")([0, 1, 2, 2], [0, 1, 1, 2])), 4)
    0.8
    """

    weighting: str | None = None
    undefined: float | str = dataclasses.field(default="nan", kw_only=True)

    higher_is_better = True

    def __post_init__(self) -> None:
        _checks.choice(self, "weighting", (None, "linear", "quadratic"))
        if self.weighting is None or not isinstance(self.task, Multiclass):
            object.__setattr__(self, "weighting", None)  # of two classes there is one distance
            return
        if not self.is_together:
            raise ValueError(
                f"CohenKappa: weighting={self.weighting!r} weighs the distances of all classes, which average and "
                "class_id do not see"
            )
        check_table(self)

    @property
    def statistic(self) -> Statistic:
        return whole_table(self.task) if self.weighting else ClassCounts(counted(self.task))

    def read(self, counts: Mapping[str, Any]) -> Array:
        if self.weighting is None:
            return self.agreement(counts)
        cells = counts["cells"]
        true, predicted = (cells.sum(axis).to_float() for axis in (1, 0))
        size = cells.sum().to_float()
        size = jnp.where(size == 0, 1, size)
        ids = jnp.arange(self.task.num_classes)
        distance = jnp.abs(ids[:, None] - ids[None]).astype(true.dtype) / (self.task.num_classes - 1)
        if self.weighting == "quadratic":
            distance = distance * distance
        observed = total((distance * (cells.to_float() / size)).reshape(-1))
        expected = total((distance * (true / size)[:, None] * (predicted / size)[None]).reshape(-1))
        chance = divided(observed, expected)
        return Value(1 - chance.number, chance.defined).settled(self.undefined, counts)

    def of_classes(self, events: Events) -> Value:
        shares = Shares.of(events)
        return divided(total(shares.covariance), total(shares.predicted[0] * shares.true[1]))


class Shares(NamedTuple):
    """Of each class against its rest, in shares of all examples: what is predicted, what is true, and how they vary."""

    predicted: tuple[Array, Array]
    """As the class, and as another: 1 minus a share close to 1 would have lost its digits."""
    true: tuple[Array, Array]
    covariance: Array

    @classmethod
    def of(cls, events: Events) -> "Shares":
        size = events.tp + events.fp + events.fn + events.tn
        tp, fp, fn, tn = (event / jnp.where(size == 0, 1, size) for event in events)
        return cls((tp + fp, fn + tn), (tp + fn, fp + tn), tp * tn - fp * fn)


@spec
class Informedness(Averaged, ClassMetric):
    """tp / (tp + fn) − fp / (fp + tn): recall plus specificity minus 1, how far a prediction knows of the class.

    Also called Youden's J and, of forecasts, the Peirce score. Fields as for `Recall`; `undefined` where either ratio
    is. The definition is Powers' (2011).

    >>> from streammetrics import Binary
    >>> float(Informedness(Binary("labels"))([1, 1, 0, 0], [1, 1, 1, 0]))
    0.6666666865348816
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(
            events_of(self.task, counts),
            counts,
            lambda e: difference(divided(e.tp, e.tp + e.fn), divided(e.fp, e.fp + e.tn)),
        )


@spec
class Markedness(Averaged, ClassMetric):
    """tp / (tp + fp) − fn / (fn + tn): precision plus negative predictive value minus 1, how far the class marks it.

    Fields as for `Recall`; `undefined` where either ratio is. The definition is Powers' (2011).

    >>> from streammetrics import Binary
    >>> float(Markedness(Binary("labels"))([1, 1, 0, 0], [1, 1, 1, 0]))
    0.5
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(
            events_of(self.task, counts),
            counts,
            lambda e: difference(divided(e.tp, e.tp + e.fp), divided(e.fn, e.fn + e.tn)),
        )


def difference(a: Value, b: Value) -> Value:
    return Value(a.number - b.number, a.defined & b.defined)


@spec
class LikelihoodRatios(Picked, ClassMetric):
    """Recall / fall-out and miss rate / specificity: by how much a prediction changes the odds, as a dict.

    Of the shares tp / (tp + fn), fp / (fp + tn), fn / (tp + fn) and tn / (fp + tn). `positive` is the factor by which
    a positive prediction raises the odds of the class, `negative` that by which a negative one lowers them. One value
    per class, `(C,)`; of one with `class_id` or for `Binary`, of all classes together with `average="micro"`. NaN where
    it is not defined, as in scikit-learn's `class_likelihood_ratios`.

    >>> from streammetrics import Binary, plain
    >>> plain(LikelihoodRatios(Binary("labels"))([1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0]))
    {'positive': 2.0, 'negative': 0.5}
    """

    def read(self, counts: Mapping[str, Any]) -> dict[str, Array]:
        tp, fp, fn, tn = self.picked(events_of(self.task, counts)).to_floats()
        ratios = {"positive": (tp, fp), "negative": (fn, tn)}
        values = {}
        for name, (of_class, of_rest) in ratios.items():
            above, below = divided(of_class, tp + fn), divided(of_rest, fp + tn)
            ratio = divided(above.number, below.number)
            defined = ratio.defined & above.defined & below.defined
            values[name] = Value(ratio.number, defined).settled("nan", counts)
        return values
