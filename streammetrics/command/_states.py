"""`merge` and `show`: states that were saved, wherever they were counted."""

import argparse

import streammetrics as sm
from streammetrics._state import State, seen_counts
from streammetrics._statistic import members
from streammetrics.command import _output
from streammetrics.command._errors import Refused, sentence, told_of
from streammetrics.command._metrics import asked_by
from streammetrics.command._models import Models, recovered
from streammetrics.command._report import many


def merge(options: argparse.Namespace) -> None:
    """Joins states of the same statistics, and presents the values as if all had been counted at once."""
    _output.check(options)
    first, *others = options.files
    state = loaded(first)
    for path in others:
        other = loaded(path)
        if other.statistic != state.statistic:
            one, two = members(state.statistic), members(other.statistic)
            ours, theirs = (next((repr(m) for m in a if m not in b), "no more") for a, b in ((one, two), (two, one)))
            raise Refused(f"{first} and {path} do not count the same: the first counts {ours}, the second {theirs}")
        state = sm.merge(state, other)
    _output.save(options, state)
    models = _models(options, state)
    if options.on_invalid == "raise" and models.invalid(state):
        _output.refuse_invalid(options, models, state, {})
    if not models.each:
        print(_counted(state))
    _output.present(options, models, state)


def show(options: argparse.Namespace) -> None:
    """Says what a state counts, and presents the values that can be read off it."""
    _output.check(options)
    state = loaded(options.file)
    models = _models(options, state)
    if options.json != "-":
        print(f"{_counted(state)}\n")
    _output.present(options, models, state)


def loaded(path: str) -> State:
    """A state that was saved."""
    try:
        with told_of(path):
            return sm.load(path)
    except ValueError as error:
        raise Refused(sentence(error).removeprefix("load: ")) from error


def _models(options: argparse.Namespace, state: State) -> Models:
    asked = None if options.metrics is None else asked_by(options.metrics)
    models = recovered(state, asked, options.class_names, options.plots is not None)
    if not models.each and (options.json is not None or options.metrics is not None):
        raise Refused(
            "the state counts nothing of which this command knows the values; sm.load(path) reads it in Python"
        )
    return models


def _counted(state: State) -> str:
    """Every statistic with its numbers of examples, counted and not."""
    lines = []
    for member, counts in seen_counts(state).items():
        examples, _, *invalid = counts.tolist()
        others = f", {sum(invalid):,} not counted" if any(invalid) else ""
        lines.append(f"{member!r}: {many(examples, 'example')}{others}")
    return "\n".join(lines)
