"""How values of classes become one: averages, the classes that enter them, and undefined ratios."""

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._double import DoubleFloat
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Binary, Multiclass, Multilabel, check_task, counted

DEFAULT = "default"
TOGETHER = "together"
"""The default average of a metric that has a value of all classes together."""
AVERAGES = (None, "micro", "macro", "weighted")
OVER = ("present", "all", "support")


class Events(NamedTuple):
    """The numbers of events of each class: `UInt64`s, or `DoubleFloat`s where weights are fractions; or floats."""

    tp: Any
    fp: Any
    fn: Any
    tn: Any

    def to_floats(self) -> "Events":
        return Events(*(event.to_float() for event in self))

    def scores(self, task: Any) -> dict[str, Any]:
        """The events and the support by name: exact counts, or floats where weights are fractions."""
        values = {"tp": self.tp, "fp": self.fp, "tn": self.tn, "fn": self.fn, "support": self.tp + self.fn}
        return {name: value.to_float() if task.weighted else value for name, value in values.items()}

    def both(self) -> "Events":
        """Of floats: a class and its rest, as two classes along a new leading axis."""
        pairs = ((self.tp, self.tn), (self.fp, self.fn), (self.fn, self.fp), (self.tn, self.tp))
        return Events(*(jnp.stack(pair) for pair in pairs))


class Value(NamedTuple):
    """A value that may be undefined."""

    number: Array
    defined: Array
    """Where the number is one; elsewhere it may be anything."""

    def settled(self, undefined: float | str, counts: Mapping[str, Any]) -> Array:
        """The number; where it is not defined `undefined`, and NaN without examples."""
        instead = jnp.where(counts["examples"] > 0, float(undefined), jnp.nan).astype(self.number.dtype)
        return jnp.where(self.defined, self.number, instead)


@functools.partial(jax.jit, static_argnums=0)  # traced once for all readings of one task's counts
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
    # The examples that are neither of the class nor predicted as it: exact of counts, of sums up to a residue.
    size = (tp + fn).sum()
    tn = size - tp - fp - fn
    return Events(tp, fp, fn, tn.where(tn > DoubleFloat.of(size.to_float() * 2.0**-40)) if task.weighted else tn)


def picked(metric: Any, values: Any, together: Callable[[Any], Any] = lambda counts: counts.sum(0)) -> Any:
    """Of values of each class: those of one class (`class_id`), of all together (`average="micro"`), or of each."""
    if metric.class_id is not None:
        return values[metric.class_id]
    return together(values) if metric.average == "micro" else values


class ClassMetric(Metric):
    """A metric read off the events of each class."""

    task: Any

    @property
    def statistic(self) -> Statistic:
        return statistics.ClassCounts(counted(self.task))


@spec
class Picked(Metric):
    """What is read off the events of each class, of one class (`class_id`), or of all together (`average="micro"`)."""

    task: Any
    average: str | None = dataclasses.field(default=None, kw_only=True)
    class_id: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_task(self)
        _checks.choice(self, "average", (None, "micro"))
        _checks.one_reading(self, self.average is not None, isinstance(self.task, Binary))

    def picked(self, events: Events) -> Events:
        """The events that are read, of those of each class."""
        return Events(*(picked(self, event) for event in events))


@spec
class Averaged(Metric):
    """A value of the events of each class, and how the values of the classes become one.

    `average` is None (one value per class), `"micro"` (the value of all classes' events), `"macro"` (the mean over
    classes) or `"weighted"` (the mean by support); or `class_id` picks one class. `Binary` reads its positive class
    and takes neither. `over` says which classes enter a macro average: `"present"` (in predictions or targets),
    `"support"` (in targets) or `"all"`. `undefined` is the value of what is not defined (mostly 0/0) once any example
    was counted: 0.0, 1.0 or `"nan"`, which is left out of averages.
    """

    task: Any
    average: str | None = dataclasses.field(default=DEFAULT, kw_only=True)
    class_id: int | None = dataclasses.field(default=None, kw_only=True)
    over: str = dataclasses.field(default=DEFAULT, kw_only=True)
    undefined: float | str = dataclasses.field(default=0.0, kw_only=True)

    default_average: ClassVar[str | None] = "macro"

    def __post_init__(self) -> None:
        check_task(self)
        binary = isinstance(self.task, Binary)
        _checks.choice(self, "average", AVERAGES, DEFAULT)
        _checks.choice(self, "over", OVER, DEFAULT)
        _checks.choice(self, "undefined", (0.0, 1.0, "nan"))
        _checks.one_reading(self, self.average != DEFAULT or (binary and self.over != DEFAULT), binary)
        # What is said and what is meant by default are one value.
        if self.average == self.meant():
            object.__setattr__(self, "average", DEFAULT)
        if self.over == default_over(self.task):
            object.__setattr__(self, "over", DEFAULT)

    def meant(self) -> str | None:
        """What the default average stands for: with `TOGETHER`, labels have no value together and are averaged."""
        alone = self.default_average == TOGETHER and isinstance(self.task, Multilabel)
        return "macro" if alone else self.default_average

    def averaged(self, events: Events, counts: Mapping[str, Any], value_of: Callable[[Events], Value]) -> Array:
        """The average of the values of classes; `value_of` gives that of each class from its events as floats."""
        binary = isinstance(self.task, Binary)
        average = self.meant() if self.average == DEFAULT else self.average
        if self.class_id is not None:
            events = Events(*(event[self.class_id] for event in events))
        elif average == "micro" and not binary:
            events = Events(*(event.sum() for event in events))
        floats = events.to_floats()
        value = value_of(floats)
        if self.class_id is None and average in ("macro", "weighted") and not binary:
            over = default_over(self.task) if self.over == DEFAULT else self.over
            value = mean_over_classes(floats, value, average, over, self.undefined)
        return value.settled(self.undefined, counts)


class Rate(Averaged, ClassMetric):
    """A ratio of the events of each class."""

    @abstractmethod
    def ratio(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        """Numerator and denominator, linear in the events, so that sums of events have a ratio too."""

    def read(self, counts: Mapping[str, Any]) -> Array:
        return self.averaged(events_of(self.task, counts), counts, lambda events: divided(*self.ratio(*events)))


def default_over(task: Any) -> str:
    """The classes that enter a macro average where nothing else is said."""
    return "all" if isinstance(task, Multilabel) else "present"


def mean_over_classes(events: Events, value: Value, average: str, over: str, undefined: float | str) -> Value:
    """The mean of the values of classes; it is not defined where no class enters it."""
    tp, fp, fn, _ = events
    if average == "weighted":
        share = tp + fn
    else:
        share = {"all": jnp.ones_like(tp), "support": tp + fn, "present": tp + fp + fn}[over]
        share = (share > 0).astype(tp.dtype)  # ones, of which a plain sum is exact
    if undefined != "nan":
        value = Value(jnp.where(value.defined, value.number, float(undefined)), jnp.ones_like(value.defined))
    share = jnp.where(value.defined, share, 0)
    if average == "weighted":  # where nothing has support scikit-learn weighs all classes alike
        share = jnp.where(jnp.sum(share) > 0, share, value.defined.astype(share.dtype))
    below = total(share) if average == "weighted" else jnp.sum(share)
    return divided(total(jnp.where(share > 0, share * value.number, 0)), below)


def divided(above: Array, below: Array) -> Value:
    """The ratio, which is not defined where it is one by 0."""
    return Value(above / jnp.where(below == 0, 1, below), below != 0)


def total(x: Array) -> Array:
    """The sum over classes (the leading axis), of which there may be so many that plain float32 would lose digits."""
    return jnp.sum(x, 0) if x.shape[0] <= 64 else DoubleFloat.of(x).sum(0).to_float()
