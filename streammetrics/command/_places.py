"""Where a state counts the same again: for each model, and in each wrapper, such as slices or a bootstrap."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import streammetrics as sm
from streammetrics._metric import Metric
from streammetrics._spec import contents
from streammetrics._state import State
from streammetrics._statistic import Statistic, members
from streammetrics.command._errors import Refused
from streammetrics.command._metrics import Asked, Task, made
from streammetrics.command._models import ALONE, tasks_of
from streammetrics.wrappers import Resamples, Slices
from streammetrics.wrappers._base import Wrapped
from streammetrics.wrappers._columns import Ids

Around = tuple[Wrapped, ...]
"""What stands around a statistic, the outermost first."""


class Place(NamedTuple):
    """A task that a state counts, the options of its histograms, and what stands around its statistics."""

    task: Task
    binned: Mapping[str, Any]
    around: Around

    def metrics(self, asked: list[Asked]) -> dict[str, Metric]:
        """The metrics that are asked for, as they are counted here."""
        return {name: _wrapped(metric, self.around) for name, metric in made(asked, self.task, self.binned).items()}


def places_of(state: State) -> dict[str, Place]:
    """The places of a state by name, such as `small`, `by_country` and `bootstrapped.by_country.small`.

    Models have names as in a report, and wrappers where some metrics stand in others or in none; "" is the name of what
    has no other. Slices and the bootstrap are known; what stands in other wrappers is left out.
    """
    held: dict[Any, tuple[Around, list[Statistic]]] = {}
    for member in members(state.statistic):
        *around, core = _chain(member)
        if all(isinstance(each, Slices | Resamples) for each in around):
            held.setdefault(tuple(map(_kind, around)), (tuple(around), []))[1].append(core)
    found = [Place(task, binned, around) for around, cores in held.values() for task, binned in tasks_of(cores)]
    named = {place.task.predictions for place in found} != {ALONE}
    wrapped = len({tuple(map(_kind, place.around)) for place in found}) > 1
    places: dict[str, Place] = {}
    for place in found:
        names = [*(_names(place.around) if wrapped else ()), *((place.task.predictions,) if named else ())]
        if (name := ".".join(names)) in places:
            raise Refused(f"the state counts {name} in two ways; sm.judge judges it in Python")
        places[name] = place
    return places


def _chain(statistic: Any) -> Iterator[Any]:
    """A statistic with all that it stands in, the outermost first."""
    yield statistic
    if isinstance(statistic, Wrapped):
        yield from _chain(statistic.inner)


def _kind(around: Wrapped) -> Any:
    """What a wrapper is, whatever stands inside."""
    return type(around), tuple((name, value) for name, value in contents(around).items() if name != "inner")


def _names(around: Around) -> Iterator[str]:
    """What wrappers are called: all columns of slices together."""
    if any(isinstance(each, Resamples) for each in around):
        yield "bootstrapped"
    if columns := [each.column.name for each in around if isinstance(each, Slices)]:
        yield "_".join(["by", *columns])


def _wrapped(metric: Metric, around: Around) -> Metric:
    """A metric in what stands around its statistics."""
    for each in reversed(around):
        if isinstance(each, Resamples):
            metric = sm.Bootstrapped(metric, each.replicates, ids=each.ids, seed=each.seed)
        elif isinstance(each, Slices) and isinstance(each.column, Ids):
            metric = sm.Sliced(metric, each.column.name, each.column.count, other=each.column.other)
        elif isinstance(each, Slices):
            name, slices, other = contents(each.column).values()
            metric = sm.Sliced(metric, slices={name: slices}, other=other)
    return metric
