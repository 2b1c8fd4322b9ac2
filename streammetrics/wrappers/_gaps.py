"""How far slices are apart: `Gap`, `contrast`, and the gaps that go by the names of fairness."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._state import State, part
from streammetrics._tasks import Binary
from streammetrics.metrics import PredictedPositiveRate, Recall
from streammetrics.wrappers._base import Wrapper
from streammetrics.wrappers._sliced import Sliced
from streammetrics.wrappers._total import total


@spec
class Gap(Metric):
    """The least and the greatest value of all slices, their difference, and the ratio of the least to the greatest.

    Takes a `Sliced` metric whose value is a number, or one per class. Slices without a value are left out; NaN where
    no slice has one, and where the greatest is 0 for the ratio. Of a rate: 0 and 1 are what is fair. It is read off
    the slices' own counts and may itself be bootstrapped.

    >>> import streammetrics as sm
    >>> gap = Gap(sm.Sliced(sm.Mean("loss"), "group", 3))
    >>> {name: float(value) for name, value in gap(loss=[1.0, 4.0], group=[0, 2]).items()}
    {'least': 1.0, 'greatest': 4.0, 'difference': 3.0, 'ratio': 0.25}
    """

    metric: Any

    def __post_init__(self) -> None:
        if not isinstance(self.metric, Sliced):
            raise TypeError(f"Gap: metric is {self.metric!r}, but must be Sliced")

    @property
    def statistic(self) -> Any:
        return self.metric.statistic

    @property
    def parts(self) -> tuple[tuple[str, Metric], ...]:
        return tuple((name, Gap(part)) for name, part in self.metric.parts)

    @property
    def slice_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis in self.metric.slice_axes if axis >= len(self.metric.columns))

    def read(self, counts: Mapping[Any, Any]) -> dict[str, Array]:
        value = self.metric.read(counts)
        if not isinstance(value, Array) or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(f"Gap: {self.metric!r} has no floating value for each slice, but one is due")
        slices = tuple(range(len(self.metric.columns)))
        known = ~jnp.isnan(value)
        least = jnp.min(jnp.where(known, value, jnp.inf), slices)
        greatest = jnp.max(jnp.where(known, value, -jnp.inf), slices)
        least, greatest = (jnp.where(jnp.any(known, slices), end, jnp.nan) for end in (least, greatest))
        ratio = jnp.where(greatest == 0, jnp.nan, least / greatest)
        return {"least": least, "greatest": greatest, "difference": greatest - least, "ratio": ratio}


def equal_opportunity(task: Binary, by: str, num_slices: int) -> Gap:
    """The gap of the recall (true positive rate) between groups: Hardt, Price and Srebro's equal opportunity (2016).

    >>> import streammetrics as sm
    >>> gap = equal_opportunity(sm.Binary("labels"), "group", 2)
    >>> float(gap(predictions=[1, 0, 1], targets=[1, 1, 1], group=[0, 0, 1])["difference"])
    0.5
    """
    return Gap(Sliced(Recall(task), by, num_slices))


def demographic_parity(task: Binary, by: str, num_slices: int) -> Gap:
    """The gap of the rate of predicted positives between groups, whatever the targets are.

    >>> import streammetrics as sm
    >>> gap = demographic_parity(sm.Binary("labels"), "group", 2)
    >>> float(gap(predictions=[1, 0, 1], targets=[1, 1, 1], group=[0, 0, 1])["ratio"])
    0.5
    """
    return Gap(Sliced(PredictedPositiveRate(task), by, num_slices))


class Contrast(NamedTuple):
    """The values of all slices, what they are compared with, and how far they are from it."""

    value: Any
    reference: Any
    difference: Any
    ratio: Any


def contrast(
    metric: Sliced, state: State, baseline: str | tuple[str, ...] | None = None, on_invalid: str = "raise"
) -> Any:
    """The differences and ratios of every slice to the whole, or to a baseline: a slice by its label.

    With several columns a baseline is a label of each. A `Sliced` collection gives a dict. Ratios by 0 are NaN. The
    state may be one of a collection that counts the metric's statistic, too. Raises `TypeError` for what is no `Sliced`
    metric, `ValueError` for a label that is none, and as `compute` and `total` do.

    >>> import streammetrics as sm
    >>> metric = sm.Sliced(sm.Mean("loss"), slices={"country": ("de", "fr")})
    >>> state = metric.tally(loss=[1.0, 2.0, 6.0], country=["fr", "de", "fr"])
    >>> contrast(metric, state, "de").ratio.tolist(), contrast(metric, state).difference.tolist()
    ([1.0, 1.75], [-1.0, 0.5])
    """
    if not isinstance(metric, Sliced):
        raise TypeError(f"contrast: got {metric!r}, but a Sliced metric is due")
    state = part(state, metric.statistic)
    values = metric.compute(state, on_invalid)
    whole = None
    if baseline is None:
        joined = functools.reduce(lambda each, name: total(each, name, on_invalid), metric.labels, state)
        whole = metric.metric.compute(joined, on_invalid)
    place = None if baseline is None else metric.place("contrast", baseline)
    return _contrasts(metric, values, whole, place)


def _contrasts(metric: Wrapper, value: Any, whole: Any, place: tuple[int, ...] | None) -> Any:
    if isinstance(value, dict):
        return {name: _contrasts(metric, each, whole and whole[name], place) for name, each in value.items()}
    if not isinstance(value, Array) or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"contrast: {metric!r} has a value that is no floating number, but such are due")
    reference = whole if place is None else value[place]
    reference = jnp.broadcast_to(reference, value.shape)
    return Contrast(value, reference, value - reference, jnp.where(reference == 0, jnp.nan, value / reference))
