"""How values of classes become one: averages, the classes that enter them, and undefined ratios."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Binary, Multiclass, Multilabel, check_task, counted

DEFAULT = "default"
AVERAGES = (None, "micro", "macro", "weighted")
OVER = ("present", "all", "support")


class Events(NamedTuple):
    """The numbers of events of each class: `UInt64`s, or `DoubleFloat`s where weights are fractions."""

    tp: Any
    fp: Any
    fn: Any
    tn: Any


def events_of(task: Any, counts: Mapping[str, Any]) -> Events:
    """The events of each class, (C,); of `Binary`, of its positive class, ()."""
    if isinstance(task, Multiclass) and "cells" in counts:
        cells = counts["cells"]
        right = jnp.eye(task.classes, dtype=bool)
        tp, wrong = cells.where(right), cells.where(~right)
        tp, fp, fn = tp.sum(0), wrong.sum(0), wrong.sum(1)
    elif isinstance(task, Multiclass):
        tp, fp, fn = counts["events"]
    else:
        cells = counts["cells"]
        return Events(tp=cells[..., 1, 1], fp=cells[..., 0, 1], fn=cells[..., 1, 0], tn=cells[..., 0, 0])
    # Exact: the examples that are neither of the class nor predicted as it.
    return Events(tp, fp, fn, (tp + fn).sum() - tp - fp - fn)


class ClassMetric(Metric):
    """A metric read off the events of each class."""

    task: Any

    @property
    def statistic(self) -> Statistic:
        return statistics.ClassCounts(counted(self.task))


@spec
class Averaged(ClassMetric):
    """A ratio of the events of each class, and how the values of the classes become one.

    `average` is None (one value per class), `"micro"` (the ratio of all classes' events), `"macro"` (the mean over
    classes) or `"weighted"` (the mean by support); or `class_id` picks one class. `Binary` reads its positive class
    and takes neither. `over` says which classes enter a macro average: `"present"` (in predictions or targets),
    `"support"` (in targets) or `"all"`. `undefined` is the value of 0/0 once any example was counted: 0.0, 1.0 or
    `"nan"`, which is left out of averages.
    """

    task: Any
    average: str | None = dataclasses.field(default=DEFAULT, kw_only=True)
    class_id: int | None = dataclasses.field(default=None, kw_only=True)
    over: str = dataclasses.field(default=DEFAULT, kw_only=True)
    undefined: float | str = dataclasses.field(default=0.0, kw_only=True)

    default_average: ClassVar[str] = "macro"

    def __post_init__(self) -> None:
        check_task(self)
        binary = isinstance(self.task, Binary)
        _checks.choice(self, "average", AVERAGES, DEFAULT)
        _checks.choice(self, "over", OVER, DEFAULT)
        _checks.choice(self, "undefined", (0.0, 1.0, "nan"))
        _checks.one_reading(self, self.average != DEFAULT or (binary and self.over != DEFAULT), binary)
        # What is said and what is meant by default are one value.
        if self.average == self.default_average:
            object.__setattr__(self, "average", DEFAULT)
        if self.over == self._default_over:
            object.__setattr__(self, "over", DEFAULT)

    @property
    def _default_over(self) -> str:
        return "all" if isinstance(self.task, Multilabel) else "present"

    @abstractmethod
    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        """Numerator and denominator, linear in the events, so that sums of events have a ratio too."""

    def read(self, counts: Mapping[str, Any]) -> Array:
        events = events_of(self.task, counts)
        some = counts["examples"] > 0
        average = self.default_average if self.average == DEFAULT else self.average
        if self.class_id is not None:
            return self._divided(Events(*(event[self.class_id] for event in events)), some)[0]
        if average is None or isinstance(self.task, Binary):
            return self._divided(events, some)[0]
        if average == "micro":
            return self._divided(Events(*(event.sum() for event in events)), some)[0]
        value, defined = self._divided(events, some)
        tp, fp, fn, _ = (event.to_float() for event in events)
        if average == "weighted":
            share = tp + fn
        else:
            over = self._default_over if self.over == DEFAULT else self.over
            share = {"all": jnp.ones_like(tp), "support": tp + fn, "present": tp + fp + fn}[over]
            share = (share > 0).astype(tp.dtype)
        defined = defined | (self.undefined != "nan")
        share = jnp.where(defined, share, 0)
        if average == "weighted":  # where nothing has support scikit-learn weighs all classes alike
            share = jnp.where(jnp.sum(share) > 0, share, defined.astype(share.dtype))
        return self._or_undefined(jnp.sum(jnp.where(share > 0, share * value, 0)), jnp.sum(share), some)

    def _divided(self, events: Events, some: Array) -> tuple[Array, Array]:
        """The ratio, and where it is defined."""
        above, below = self.ratio(*(event.to_float() for event in events))
        return self._or_undefined(above, below, some), below != 0

    def _or_undefined(self, above: Array, below: Array, some: Array) -> Array:
        zero = below == 0
        undefined = jnp.where(some, float(self.undefined), jnp.nan).astype(above.dtype)
        return jnp.where(zero, undefined, above / jnp.where(zero, 1, below))
