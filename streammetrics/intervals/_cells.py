"""Disjoint cells: what every example adds to at most once, so that the numbers of examples vary as multinomial ones."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics._double import DoubleFloat
from streammetrics._metric import Metric
from streammetrics._tasks import Binary, Multiclass, Multilabel
from streammetrics.metrics import TopKAccuracy
from streammetrics.metrics._averages import DEFAULT, Averaged, Events, events_of
from streammetrics.statistics import ClassCounts, Confusion, ExactMatches, TopHits


def average_of(metric: Averaged) -> str | None:
    """The average that is read."""
    return metric.meant() if metric.average == DEFAULT else metric.average


def by_class(metric: Metric) -> bool:
    """Whether each value is one of a class or label alone: of its four events an example is one."""
    if not isinstance(metric, Averaged):
        return False
    return isinstance(metric.task, Binary) or metric.class_id is not None or average_of(metric) is None


def table_of(metric: Metric) -> str | None:
    """The accumulator that holds all the metric reads, where an example adds to one of its cells."""
    statistic = metric.statistic
    whole = isinstance(statistic, ClassCounts) and not isinstance(statistic.task, Multilabel)
    if not whole and not isinstance(statistic, Confusion | ExactMatches | TopHits):
        return None
    (name,) = statistic.accumulators
    return None if name == "events" else name  # of which a wrong prediction adds to two


def class_events(metric: Averaged, counts: Mapping[str, Any]) -> Events:
    """The events of each class, or of the one that is read."""
    if isinstance(metric, TopKAccuracy):
        hit, missed = counts["hits"][:, 1], counts["hits"][:, 0]
        events = Events(hit, hit - hit, missed, hit - hit)
    else:
        events = events_of(metric.task, counts)
    return events if metric.class_id is None else Events(*(event[metric.class_id] for event in events))


def alone(metric: Averaged) -> Averaged:
    """The metric that reads the first class as this one reads each."""
    if isinstance(metric.task, Binary):
        return metric
    return dataclasses.replace(metric, average=DEFAULT, class_id=0)


def counts_of_class(metric: Averaged, events: Array) -> dict[str, Any]:
    """What `alone(metric)` reads the value of one class off: its events, as floats, and those of its rest."""
    tp, fp, fn, tn = events
    if isinstance(metric, TopKAccuracy):
        return {"hits": wide(jnp.stack([fn, tp])[None])}
    if isinstance(metric.task, Multiclass):
        return {"events": wide(jnp.stack([jnp.stack([tp, tn]), jnp.stack([fp, fn]), jnp.stack([fn, fp])]))}
    cells = wide(jnp.stack([jnp.stack([tn, fp]), jnp.stack([fn, tp])]))
    return {"cells": cells if isinstance(metric.task, Binary) else cells[None]}


def wide(numbers: Array) -> DoubleFloat:
    """Floats as counts are read, but differentiable."""
    high = numbers.astype(jnp.float32)
    return DoubleFloat(high, jnp.zeros_like(high))
