"""`total`: what was counted over all slices, or in all of a window."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks, _state
from streammetrics._jax import is_traced
from streammetrics._state import State
from streammetrics._statistic import DEPENDENT, FAULTS, Joint, Statistic, layout
from streammetrics.wrappers._base import Counted, Wrapped
from streammetrics.wrappers._sliced import Sliced, Slices


def total(state: State, over: str | None = None, on_invalid: str = "raise") -> State:
    """The state of the metric inside: over all slices, all outputs, a window, or of a bootstrap without resampling.

    It is the merge of the slices' states. `over` names one column of several, over which slices are joined; without
    it the outermost wrapper is dropped, all its columns (and those of slices right inside of it: they are counted
    alike, so that a state does not tell them apart). Examples of unknown slices or steps are in none, hence not in
    the total: `ValueError` then, or with `on_invalid="ignore"` the others. Raises `TypeError` for states of what is
    no wrapper, and of decayed ones, whose counts are none any more.

    >>> import streammetrics as sm
    >>> metric = sm.Sliced(sm.Mean("loss"), slices={"country": ("de", "fr"), "year": (2025, 2026)})
    >>> state = metric.tally(loss=[1.0, 2.0, 6.0], country=["fr", "de", "fr"], year=[2025, 2025, 2026])
    >>> by_year = sm.Sliced(sm.Mean("loss"), slices={"year": (2025, 2026)})
    >>> by_year.compute(sm.total(state, "country")).tolist()
    [1.5, 6.0]
    """
    if not isinstance(state, State):
        raise TypeError(f"total: got {type(state).__name__}, but a State is due")
    _state.check(state, "total", state.statistic)
    inner = _total(state, over)
    if on_invalid == "raise" and not is_traced(state):
        lost = sum(_counted(state)) - sum(_counted(inner))
        if lost:
            raise ValueError(
                f"total: {lost:,} examples are of unknown slices or steps, so that the total lacks them; "
                "total(state, on_invalid='ignore') is of the others"
            )
    return inner


def _counted(state: State) -> list[int]:
    """How many examples, valid or not, each statistic has seen."""
    return [int(counts.sum() - counts[DEPENDENT]) for counts in _state.seen_counts(state).values()]


def one_slice(metric: Sliced, state: State, *labels: str) -> State:
    """The state of one slice, as the metric inside counts it; by its label, or by a label for each column.

    Raises `TypeError` for what is no `Sliced` metric and `ValueError` for a label that is none, and for a state that
    is not the metric's.

    >>> import streammetrics as sm
    >>> metric = sm.Sliced(sm.Mean("loss"), slices={"country": ("de", "fr")})
    >>> state = metric.tally(loss=[1.0, 2.0, 6.0], country=["fr", "de", "fr"])
    >>> float(sm.Mean("loss").compute(sm.one_slice(metric, state, "fr")))
    3.5
    """
    if not isinstance(metric, Sliced):
        raise TypeError(f"one_slice: got {metric!r}, but a Sliced metric is due")
    state = _state.part(state, metric.statistic)
    _state.check(state, "one_slice", metric.statistic)
    return _without(state, None, metric.place("one_slice", labels))


def _total(state: State, over: str | None) -> State:
    for member in layout(state.statistic):
        if not isinstance(member, Wrapped):
            raise TypeError(f"total: {member!r} is no statistic of a wrapper, but states of wrappers are due")
        names = _columns(member)
        if over is not None and over not in names:
            told = f"slices by {_checks.listed(names)}" if names else "has no slices"
            raise ValueError(f"total: over is {over!r}, but the state {told}")
    return _without(state, over, None)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _without(state: State, over: str | None, at: tuple[int, ...] | None) -> State:
    """The state without the outermost wrapper, or without the slices by one column; or of one slice."""
    found: dict[Statistic, tuple[Counted, Array]] = {}
    for member, place in layout(state.statistic).items():
        data = {name: state.data[key] for name, key in place.keys.items()}
        counts = _state.seen_by(state, member)
        inner, data, seen = _dropped(member, over, at, data, jnp.stack([counts.low, counts.high]))
        if inner in found:
            raise ValueError(f"total: {inner!r} is counted several times, in slices of different kinds")
        reasons = layout(inner)[inner].reasons
        columns = [*range(FAULTS), *(FAULTS + place.reasons.index(reason) for reason in reasons)]
        found[inner] = data, seen[..., np.array(columns)]
    statistic = Joint(tuple(found)) if isinstance(state.statistic, Joint) else next(iter(found))
    data, seen = {}, []
    for member, place in layout(statistic).items():
        values, counts = found[member]
        data |= {key: values[name] for name, key in place.keys.items()}
        seen.append(counts.reshape(2, -1))
    return State(statistic, data, _state.together(seen))


def _dropped(
    member: Any, over: str | None, at: tuple[int, ...] | None, data: Counted, seen: Array
) -> tuple[Statistic, Counted, Array]:
    """The statistic inside, and what it has counted."""
    if over is not None:
        return member.without(over, data, seen)
    if at is not None:
        for index in at:
            member, data, seen = member.inner, {name: each[:, index] for name, each in data.items()}, seen[:, index]
        return member, data, seen
    inner, data, seen = member.total(data, seen)
    while isinstance(member, Slices) and isinstance(inner, Slices):
        inner, data, seen = inner.total(data, seen)
    return inner, data, seen


def _columns(member: Any) -> list[str]:
    """By what a statistic slices."""
    return [member.column.name, *_columns(member.inner)] if isinstance(member, Slices) else []
