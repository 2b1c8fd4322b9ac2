"""Which interval a metric has, and where it has none."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from streammetrics import _checks
from streammetrics._collection import Collection
from streammetrics._jax import is_traced
from streammetrics._metric import InvalidExamples, Metric
from streammetrics._state import State, part
from streammetrics.intervals._areas import DeLong
from streammetrics.intervals._delta import Delta
from streammetrics.intervals._means import Normal, Student
from streammetrics.intervals._methods import Found, Interval, Method
from streammetrics.intervals._proportions import ClopperPearson, Wilson
from streammetrics.intervals._resampled import Replicated, Resampling
from streammetrics.wrappers import Bootstrapped, Decayed
from streammetrics.wrappers._base import Wrapper

AUTO = "auto"
METHODS: dict[str, type[Method]] = {
    "wilson": Wilson,
    "clopper-pearson": ClopperPearson,
    "delong": DeLong,
    "t": Student,
    "normal": Normal,
    "delta": Delta,
}
"""By name; the first that fits a metric is the automatic one."""


def interval(metric: Metric, state: State, level: float = 0.95, method: str = AUTO, on_invalid: str = "raise") -> Any:
    """`Interval(low, value, high)`: holds the value of the population with probability `level`, from the state alone.

    The methods, and what has them, the first that fits being the automatic one:

    - `"wilson"` (1927) and `"clopper-pearson"` (1934, never too narrow): shares of examples, such as accuracy, or
      precision and recall of `Binary`, of a class (`class_id`) or of each (`average=None`), top-k accuracy, exact
      matches and a normalised `ConfusionMatrix`. Numerator and denominator are counted; the denominator is taken as it
      is.
    - `"delong"` (DeLong, DeLong and Clarke-Pearson, 1988): `AUROC` and `Gini` of `Binary`, of a class or label, or
      of each; symmetric on the scale of the area's logit, so that it stays within [0, 1].
    - `"t"` (Student, 1908) and `"normal"`: `Mean`, and losses and errors of predictions; ends of `Perplexity` and of
      the root of squared errors are those of their mean.
    - `"delta"`: whatever is read off disjoint cells, through the derivative of `read`: any rate, F score or correlation
      of `Binary` or of a class, and the averages and agreements of up to 32 classes. Symmetric: worse near 0 and 1.

    A `Bootstrapped` metric has its own interval, at the `level` that is asked for here. `Sliced`, `PerOutput` and
    `Windowed` metrics have an interval for each slice, output, or for the window.

    Examples are taken as independent. Arrays have an interval for each entry, NaN where that has none; a collection
    gives a dict. The state may be one of a collection that counts the metric's statistic, too; `on_invalid` is as in
    `compute`. Raises `TypeError` for other metrics, whose counts do not tell how they vary (averages over labels, or
    over more classes, whose events are not disjoint), and for fractional weights; `ValueError` for a method that does
    not fit, for examples that repeat others, which would make it too narrow, below 10 examples (of each side for
    `"delong"`; 2 for means, 1 for shares), and where the standard error is 0 and so tells nothing. Under a trace the
    last three are NaN.

    >>> import numpy as np, streammetrics as sm
    >>> metric = sm.Accuracy(sm.Binary("labels"))
    >>> low, value, high = sm.interval(metric, metric.tally(np.arange(100) < 90, np.ones(100, int)))
    >>> round(float(low), 3), round(float(value), 3), round(float(high), 3)
    (0.826, 0.9, 0.945)
    """
    return _intervals(find("interval", metric, state, level, method, on_invalid))


def find(who: str, metric: Metric, state: State, level: float, method: str, on_invalid: str) -> Any:
    """The interval with its standard error: a `Found`, or for a collection a dict. It is refused where it has none."""
    if not isinstance(metric, Metric):
        raise TypeError(f"{who}: got {metric!r}, but a metric is due")
    check_level(who, level)
    reader = _reader(who, metric, level, method)
    state = part(state, metric.statistic)
    try:
        found = reader.compute(state, on_invalid)
    except InvalidExamples as error:
        error.values = _intervals(error.values)
        raise
    return settled(who, reader, state, found)


def check_level(who: str, level: Any) -> None:
    """A level must be a probability."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise ValueError(f"{who}: level is {level!r}, but must be above 0 and below 1")


def method_of(who: str, metric: Metric, method: str, name: str = "") -> type[Method]:
    """How the interval of a metric is found; `name` is that in a collection."""
    shown = f"{name}={metric!r}" if name else repr(metric)
    if getattr(getattr(metric, "task", None), "weighted", False):
        raise TypeError(f"{who}: {shown} has fractional weights, which are no numbers of examples")
    fitting = _fitting(metric)
    if not fitting and _has_values_apart(metric):
        raise TypeError(
            f"{who}: {shown} joins values that are not independent; average=None has an interval of each, "
            "Bootstrapped one of all"
        )
    if not fitting:
        raise TypeError(f"{who}: the counts of {shown} do not tell how its value varies; Bootstrapped does")
    if method != AUTO and method not in fitting:
        due = _checks.listed(map(repr, (AUTO, *fitting)))
        raise ValueError(f"{who}: method is {method!r}, but {shown} has {due}")
    return METHODS[fitting[0] if method == AUTO else method]


@functools.lru_cache(maxsize=4096)
def _fitting(metric: Metric) -> tuple[str, ...]:
    return tuple(name for name, kind in METHODS.items() if kind.fits(metric))


def _has_values_apart(metric: Any) -> bool:
    try:
        return bool(_fitting(dataclasses.replace(metric, average=None)))
    except (TypeError, ValueError):  # there is no such average
        return False


def _reader(who: str, metric: Metric, level: float, method: str, name: str = "") -> Metric:
    """What reads the intervals of a metric, or of a collection's."""
    if metric.parts:
        return Collection(
            {key: _reader(who, each, level, method, f"{name}.{key}" if name else key) for key, each in metric.parts}
        )
    if isinstance(metric, Decayed):
        shown = f"{name}={metric!r}" if name else repr(metric)
        raise TypeError(f"{who}: {shown} has sums that decayed, which are no numbers of examples")
    if isinstance(metric, Bootstrapped):
        if method != AUTO:
            raise ValueError(f"{who}: method is {method!r}, but {metric!r} has 'auto', its own")
        return Replicated(dataclasses.replace(metric, level=level))
    if isinstance(metric, Wrapper):
        return metric.around(_reader(who, metric.metric, level, method, name))
    return method_of(who, metric, method, name)(metric, level)


def innermost(metric: Any, kind: type = Wrapper) -> Any:
    """What stands in slices or in a window; the outermost of a kind of wrapper, where it is asked for."""
    while isinstance(metric, Wrapper) and (kind is Wrapper or not isinstance(metric, kind)):
        metric = metric.metric
    return metric


def settled(who: str, reader: Any, state: State, found: Any, name: str = "") -> Any:
    """What was found; where it says nothing it is refused on the host, NaN under a trace."""
    if reader.parts:
        return {
            key: settled(who, each, state, found[key], f"{name}.{key}" if name else key) for key, each in reader.parts
        }
    shown, whole, reader = f"{name}={reader!r}" if name else repr(reader), reader, innermost(reader)
    if not isinstance(reader, Resampling):
        found = _independent(who, shown, part(state, whole.statistic), found)
    (low, value, _), examples = found.interval, found.examples
    if is_traced(found) or isinstance(low, dict):
        return found
    if np.isnan(low).all():
        if (examples := np.asarray(examples)).min() < reader.fewest:
            told = reader.few.format(examples=examples.min(), fewest=reader.fewest)
            raise ValueError(f"{who}: {shown} {told}")
        if not np.isnan(value).all():
            raise ValueError(f"{who}: {shown} {reader.unsettled.format(value=np.asarray(value))}")
    return found


def _independent(who: str, shown: str, state: State, found: Found) -> Found:
    """What was found where every example that was counted stands for a row of its own."""
    dependent = state.dependent
    if is_traced(state):
        low, value, high = found.interval
        low, high = (jnp.where(_over(dependent > 0, end), jnp.nan, end) for end in (low, high))
        return found._replace(interval=Interval(low, value, high))
    if total := int(dependent.sum()):
        raise ValueError(
            f"{who}: {shown} counted {total:,} of {int(state.examples.sum()):,} examples that do not stand for a "
            "row of their own (weights other than 1, or several elements of one row), so that an interval would be "
            "too narrow; Bootstrapped with the rows as its cluster has one"
        )
    return found


def _over(mask: Any, array: Any) -> Any:
    """What is true of slices over all that is read of each."""
    return mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))


def _intervals(found: Any) -> Any:
    return {key: _intervals(each) for key, each in found.items()} if isinstance(found, dict) else found.interval
