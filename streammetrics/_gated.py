"""What gates judge: the values of a metric by slice, their intervals, and what is missing."""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from streammetrics._checks import listed, refuse
from streammetrics._metric import InvalidExamples, Metric, joined_axes, leaves
from streammetrics._state import State, part
from streammetrics._statistic import layout, members
from streammetrics._tasks import TASKS, Multilabel
from streammetrics.comparison import compare
from streammetrics.intervals import interval
from streammetrics.wrappers import Resampled
from streammetrics.wrappers._bootstrapped import unhidden

Choices = tuple[str | tuple[str, tuple[str, ...]], ...]
"""The slices that a gate names: labels along any axis, or for axes by name their labels."""
Cell = tuple[tuple[str, str], ...]
"""Where a value stands: the name and the label of each axis."""

MOST_NAMES = 10


class Missing(Exception):
    """What is not there to be judged, in a sentence."""


class Gated(NamedTuple):
    """A single metric by its path, and the entry of its value that is judged, "" for all of it."""

    path: str
    metric: Metric
    entry: str

    @property
    def higher_is_better(self) -> bool | None:
        """Which way is better, where the metric knows it of this entry."""
        return self.metric.higher_is_better if self.entry in ("", "value") else None


class Values(NamedTuple):
    """The values of a state, of which name, where there were no examples, and where a value is hidden."""

    array: np.ndarray
    empty: np.ndarray
    hidden: np.ndarray
    whose: str

    @property
    def counted(self) -> bool:
        """Whether they are counts."""
        return self.array.dtype.kind in "iu"

    def at(self, place: int) -> Any:
        """A value, in the order of all."""
        return self.array.reshape(-1)[place]

    def lacking(self, place: int) -> str:
        """Why there is no value."""
        if self.empty.reshape(-1)[place]:
            return f"{self.whose} has no examples"
        if self.hidden.reshape(-1)[place]:
            return f"{self.whose} hides it by min_examples, for it or another slice has too few"
        return f"{self.whose} has NaN" if np.isnan(self.at(place)) else ""


class Ends(NamedTuple):
    """The ends of the intervals of all values, NaN where there are none, and why."""

    low: np.ndarray
    high: np.ndarray
    reason: str = ""

    @classmethod
    def unknown(cls, shape: tuple[int, ...], reason: str = "") -> Self:
        """No ends at all."""
        return cls(np.full(shape, np.nan), np.full(shape, np.nan), reason)

    def at(self, place: int) -> tuple[Any, Any]:
        """The ends of an interval, in the order of all."""
        return self.low.reshape(-1)[place], self.high.reshape(-1)[place]


def find(path: str, metrics: Metric) -> Gated:
    """The metric of a path in a collection; what follows its own path is the entry of its value."""
    known = dict(leaves(metrics))
    for name in [path, *(path[:at] for at in reversed(range(len(path))) if path[at] == ".")]:
        if name in known:
            return Gated(name, known[name], path[len(name) + 1 :])
    raise Missing(f"there is no metric {path!r} among {_named(known)}")


def values(gated: Gated, state: State, whose: str, ignore: bool) -> Values:
    """The values of a state; `Missing` where it has none."""
    metric, statistic = gated.metric, gated.metric.statistic
    if lacking := [each for each in members(statistic) if each not in layout(state.statistic)]:
        raise Missing(f"{whose} does not count what it is read off, {lacking[0]!r}")
    state = part(state, statistic)
    try:
        value = metric.compute(state)
    except InvalidExamples as error:
        value = error.values
        if not ignore:
            (reasons,) = error.counts.values()
            told = listed(f"{count:,} with {reason}" for reason, count in reasons.items())
            raise Missing(f"{whose} has examples that could not be counted, {told}") from error
    array, counts = _picked(gated, value), state.examples
    each = map(np.asarray, counts.values() if isinstance(counts, dict) else [counts])
    examples = functools.reduce(np.minimum, (one.sum(joined_axes(metric, one.ndim)) for one in each))
    empty = examples.reshape(examples.shape + (1,) * (array.ndim - examples.ndim)) == 0
    hidden, shown = np.zeros(array.shape, bool), unhidden(metric)
    if shown != metric:
        hidden = np.isnan(array) & ~np.isnan(_picked(gated, shown.compute(state, "ignore")))
    return Values(array, np.broadcast_to(empty, array.shape), hidden, whose)


def cells(gated: Gated, shape: tuple[int, ...]) -> list[Cell]:
    """Where each value of an array stands, in its order."""
    every, metric = [], gated.metric
    while isinstance(inner := getattr(metric, "metric", None), Metric):
        every += getattr(metric, "labels", {}).items()
        metric = inner
    axes, task = [every[axis] for axis in gated.metric.slice_axes], getattr(metric, "task", None)
    for size in shape[len(axes) :]:
        if isinstance(task, TASKS) and task.classes == size:
            kind = "label" if isinstance(task, Multilabel) else "class"
            axes.append((kind, task.class_names or tuple(map(str, range(size)))))
        else:
            axes.append(("place", tuple(map(str, range(size)))))
    return list(itertools.product(*([(name, label) for label in labels] for name, labels in axes)))


def interval_of(gated: Gated, read: Values, state: State, level: float) -> Ends:
    """The intervals of the values."""
    return _ends(gated, read, lambda one: interval(gated.metric, one, level=level, on_invalid="ignore"), state)


def difference_of(gated: Gated, read: Values, baseline: State, state: State, level: float) -> Ends:
    """The intervals of how much the values are above those of a baseline."""
    return _ends(
        gated, read, lambda a, b: compare(gated.metric, a, b, level=level, on_invalid="ignore"), baseline, state
    )


def _ends(gated: Gated, read: Values, found: Callable[..., Any], *states: State) -> Ends:
    try:
        ends = found(*(part(each, gated.metric.statistic) for each in states))
    except (TypeError, ValueError) as error:
        _, _, told = str(error).replace(repr(gated.metric), gated.path).partition(": ")
        if read.counted and isinstance(error, TypeError):
            told = "it is a count, which has no interval; exact=True judges it as it is"
        return Ends.unknown(read.array.shape, told)
    return Ends(_picked(gated, ends.low), _picked(gated, ends.high))


def _picked(gated: Gated, value: Any) -> np.ndarray:
    """Of a metric's value the entry, of a bootstrap without its errors."""
    value, entry = value.value if isinstance(value, Resampled) else value, gated.entry
    if isinstance(value, Mapping):
        if (entry or "value") not in value:
            none = f"no entry {entry!r}, but " if entry else "several entries, of which a gate names one: "
            raise Missing(f"its value has {none}{_named(value)}")
        entry, value = "", value[entry or "value"]
    if entry:
        raise Missing(f"its value has no entries, hence no {entry!r}")
    return np.asarray(value)


def chosen(slices: Any) -> Choices | None:
    """The one form of the slices that a gate names."""
    if slices is None:
        return None
    found = tuple(map(_choice, slices if isinstance(slices, tuple) else (slices,)))
    if not found:
        refuse(ValueError, "slices are none; without slices= all are judged")
    return found


def _choice(each: Any) -> str | tuple[str, tuple[str, ...]]:
    if not isinstance(each, tuple):
        return str(each)
    name, labels = each if len(each) == 2 else ("", ())
    found = tuple(map(str, labels if isinstance(labels, tuple) else (labels,)))
    if not name or not found:
        refuse(ValueError, f"slices hold {each!r}, but must be labels, or the labels of columns by name")
    return name, found


def selected(every: list[Cell], choices: Choices | None) -> tuple[list[int], dict[str, str]]:
    """The values that are judged, and by name the slices that are named but not there, with why."""
    criteria: dict[str, tuple[str, ...]] = {}  # the labels of each column, or of any, of which a slice has one
    for each in choices or ():
        name, labels = ("", (each,)) if isinstance(each, str) else each
        criteria[name] = (*criteria.get(name, ()), *labels)

    def matches(cell: Cell, name: str, labels: tuple[str, ...]) -> bool:
        return any(label in labels and name in ("", axis) for axis, label in cell)

    def unmatched(cells: list[Cell]) -> list[tuple[str, str]]:
        named = [(name, label) for name, labels in criteria.items() for label in labels]
        return [(name, label) for name, label in named if not any(matches(cell, name, (label,)) for cell in cells)]

    places = [at for at, cell in enumerate(every) if all(matches(cell, *each) for each in criteria.items())]
    if lacking := unmatched(every):
        return places, {_criterion(name, label): _told(every) for name, label in lacking}
    told = {}
    for name, label in unmatched([every[at] for at in places]):
        others = [_criterion(other, *labels) for other, labels in criteria.items() if other != name]
        told[_criterion(name, label)] = f"there is no such slice together with {listed(others)}"
    return places, told


def _criterion(name: str, *labels: str) -> str:
    """What a gate names, for a sentence."""
    return f"{name}={','.join(labels)}" if name else ",".join(labels)


def _told(every: list[Cell]) -> str:
    """What slices there are."""
    axes: dict[str, dict[str, None]] = {}
    for cell in every:
        for axis, label in cell:
            axes.setdefault(axis, {})[label] = None
    told = "; ".join(f"{axis} has {_named(labels)}" for axis, labels in axes.items())
    return f"there is no such slice: {told}" if told else "it has no slices"


def name_of(cell: Cell) -> str:
    """Where a value stands, for a sentence."""
    return ", ".join(f"{axis}={label}" for axis, label in cell)


def _named(names: Any) -> str:
    names = list(names)
    more = [f"{len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else []
    return listed([*names[:MOST_NAMES], *more])
