"""Intervals of shares: of some independent examples those that are something."""

import functools
import operator
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Multiclass, Multilabel
from streammetrics.intervals._cells import average_of, by_class, class_events
from streammetrics.intervals._methods import Found, Method
from streammetrics.intervals._quantiles import least_share
from streammetrics.metrics import Accuracy, ConfusionMatrix, ExactMatch, TopKAccuracy
from streammetrics.metrics._averages import Averaged, Rate

SUCCESS, FAILURE = (1, 1), (0, 1)
"""Whether an event counts in the numerator and in the denominator."""


class Share(NamedTuple):
    """The numbers of examples that are something, and of those that might have been, but are not."""

    successes: Array
    failures: Array


@spec
class OfShares(Method):
    """An interval of a share, of as many examples as its denominator has."""

    fewest = 1
    few = "is a share of {examples:g} examples, but at least {fewest} is due"
    unsettled = None

    @classmethod
    def fits(cls, metric: Metric) -> bool:
        if isinstance(metric, ConfusionMatrix):
            return metric.normalize is not None
        return isinstance(metric, ExactMatch) or kinds(metric) is not None

    def read(self, counts: Mapping[str, Any]) -> Found:
        share = share_of(self.metric, counts)
        trials = share.successes + share.failures
        part, rest = (number / jnp.maximum(trials, 1) for number in share)
        error = jnp.sqrt(part * (rest / jnp.maximum(trials, 1)))
        return self.around(self.metric.read(counts), *self.ends(share), error, trials)

    @abstractmethod
    def ends(self, share: Share) -> tuple[Array, Array]:
        """The ends of the interval, where there are any examples."""


@spec
class Wilson(OfShares):
    """Where a share would lie z of its own standard errors from the one seen (Wilson, 1927)."""

    def ends(self, share: Share) -> tuple[Array, Array]:
        part, rest = share
        trials = jnp.maximum(part + rest, 1)
        spread = jnp.sqrt(part * (rest / trials) + self.z**2 / 4)
        high = (part + self.z**2 / 2 + self.z * spread) / (trials + self.z**2)
        # The ends are the roots of one equation: the product has the digits that a difference would lose.
        return part / (trials + self.z**2) * (part / trials) / high, jnp.minimum(high, 1)


@spec
class ClopperPearson(OfShares):
    """The shares at which so many successes or more, or so many or less, have a probability of (1 − level) / 2.

    It holds the share at least as often as it says, mostly oftener (Clopper and Pearson, 1934).
    """

    def ends(self, share: Share) -> tuple[Array, Array]:
        low, _ = least_share(*share, self.z)
        _, high = least_share(share.failures, share.successes, self.z)
        return low, high


def share_of(metric: Metric, counts: Mapping[str, Any]) -> Share:
    """The share that the value of a metric is."""
    if isinstance(metric, ConfusionMatrix):
        cells = counts["cells"]
        if metric.normalize == "all":
            total = cells.sum((-2, -1))[..., None, None]
        else:
            total = cells.sum(-1)[..., None] if metric.normalize == "true" else cells.sum(-2)[..., None, :]
        return Share(cells.to_float(), (total - cells).to_float())
    if isinstance(metric, ExactMatch):
        if isinstance(metric.task, Multilabel):
            missed, matched = counts["matches"]
            return Share(matched.to_float(), missed.to_float())
        metric = Accuracy(metric.task)
    assert isinstance(metric, Averaged)
    events = class_events(metric, counts)
    cells = events if by_class(metric) else (events.tp.sum(), events.fn.sum())
    found = list(zip(cells, kinds(metric) or (), strict=True))
    return Share(*(sum_of(cell for cell, kind in found if kind == one).to_float() for one in (SUCCESS, FAILURE)))


def sum_of(numbers: Iterable[Any]) -> Any:
    return functools.reduce(operator.add, numbers)


def kinds(metric: Metric) -> list[tuple[int, int]] | None:
    """For each disjoint event whether it counts in the numerator and in the denominator; None if it is no share.

    The events are tp, fp, fn and tn of a class, or right and wrong predictions of all classes (`average="micro"`).
    """
    if not isinstance(metric, Rate | TopKAccuracy):
        return None
    if by_class(metric):
        events = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    elif isinstance(metric.task, Multiclass) and average_of(metric) == "micro":
        classes = metric.task.num_classes
        events = [(1, 0, 0, classes - 1), (0, 1, 1, classes - 2)]
    else:
        return None
    ratio: Any = metric.ratio if isinstance(metric, Rate) else lambda tp, fp, fn, tn: (tp, tp + fn)
    parts = [ratio(*map(float, event)) for event in events]
    unit = max(below for _, below in parts)
    found = [(round(above / unit, 9), round(below / unit, 9)) for above, below in parts]
    return found if {SUCCESS, FAILURE} <= set(found) <= {SUCCESS, FAILURE, (0, 0)} else None
