"""`gate`: a saved state is judged by what is due, for continuous integration."""

import argparse
import re
from typing import NamedTuple

import streammetrics as sm
from streammetrics._checks import listed
from streammetrics._gated import find
from streammetrics._metric import Metric
from streammetrics._verdicts import FAIL, PASS, UNDECIDED
from streammetrics.command import _output
from streammetrics.command._errors import Refused
from streammetrics.command._metrics import asked_by
from streammetrics.command._places import Place, places_of
from streammetrics.command._states import loaded

STATUS = {PASS: 0, FAIL: 1, UNDECIDED: 3}
"""The exit status of each outcome; 2 is that of what is refused."""

AT_LEAST, AT_MOST, NOT_WORSE = "--at-least", "--at-most", "--not-worse"
FIELDS = {AT_LEAST: "at_least", AT_MOST: "at_most", NOT_WORSE: "not_worse_than"}
BASELINE = "baseline"
"""What the state of --baseline is called."""

METRIC = re.compile(r"[^.(]+(\(.*\))?")
"""The metric with which a name begins; the name of an entry of its value may follow."""


class Bound(NamedTuple):
    """What is due of a metric: a number, or the name of a baseline."""

    option: str
    metric: str
    due: float | str


def gate(options: argparse.Namespace) -> None:
    """Judges a state by what is due, and presents the verdict; the exit status is its outcome."""
    bounds = _bounds(options)
    _output.check(options)
    state = loaded(options.file)
    baselines = {} if options.baseline is None else {BASELINE: loaded(options.baseline)}
    places = places_of(state)
    if not places:
        raise Refused("the state counts nothing of which this command knows the values; sm.judge judges it in Python")
    metrics = sm.Collection(dict(_metric(bound, places, options) for bound in bounds))
    try:
        gates = [_gate(bound, metrics, options) for bound in bounds]
        verdict = sm.judge(gates, metrics, state, on_invalid=options.on_invalid, **baselines)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error
    options.status = STATUS[verdict.outcome]
    if options.json is not None:
        _output.write(options.json, verdict.to_json())
    if options.json != "-":
        print(verdict.report(options.digits))


def _bounds(options: argparse.Namespace) -> list[Bound]:
    """What is due, by the options."""
    bounds = [Bound(AT_LEAST, *_named(AT_LEAST, text)) for text in options.at_least]
    bounds += [Bound(AT_MOST, *_named(AT_MOST, text)) for text in options.at_most]
    bounds += [Bound(NOT_WORSE, *_named(NOT_WORSE, text)) for text in options.not_worse]
    if not bounds:
        raise Refused(f"nothing is due; {AT_LEAST}, {AT_MOST} or {NOT_WORSE} says what is")
    if any(bound.due == BASELINE for bound in bounds) != (options.baseline is not None):
        raise Refused(f"{NOT_WORSE} NAME and --baseline STATE need each other; {NOT_WORSE} NAME=NUMBER needs none")
    if not options.not_worse and (options.margin or options.relative):
        raise Refused(f"--margin and --relative say nothing without {NOT_WORSE}")
    return bounds


def _named(option: str, text: str) -> tuple[str, float | str]:
    """The metric and the number of `NAME=NUMBER`; a metric that is not to be worse may come alone."""
    name, _, number = text.rpartition("=")
    try:
        due = float(number)
    except ValueError:
        name, due = text if option == NOT_WORSE else "", BASELINE
    if not name:
        raise Refused(f"{option} {text}: NAME=NUMBER is due, as in accuracy=0.9")
    return name, due


def _metric(bound: Bound, places: dict[str, Place], options: argparse.Namespace) -> tuple[str, Metric]:
    """The name of the metric of a bound, without that of an entry, and the metric."""
    names = sorted(places, key=len, reverse=True)
    name = next((name for name in names if name == "" or bound.metric.startswith(f"{name}.")), None)
    if name is None:
        raise Refused(
            f"{bound.option} {bound.metric}: the state counts {listed(places)}; name one, as in "
            f"{next(iter(places))}.{bound.metric}"
        )
    before = f"{name}." if name else ""
    found = METRIC.match(rest := bound.metric.removeprefix(before))
    head = found[0] if found else rest
    named = {} if options.metrics is None else places[name].metrics(asked_by(options.metrics))
    if head in named:
        return before + head, named[head]
    try:
        asked = asked_by(head)
        metrics = places[name].metrics(asked)
    except Refused as error:
        raise Refused(str(error).replace("--metrics", bound.option)) from error
    if len(metrics) > 1:
        raise Refused(f"{bound.option} {bound.metric}: that is several metrics; --metrics {head} has them by name")
    return before + head, metrics[asked[0].name]


def _gate(bound: Bound, metrics: Metric, options: argparse.Namespace) -> sm.Gate:
    more = {"level": options.level, "exact": options.exact, "slices": _slices(options.slices)}
    if bound.option == NOT_WORSE:
        more |= {"margin": options.margin, "relative": options.relative}
        if find(bound.metric, metrics).higher_is_better is None:
            raise Refused(
                f"{NOT_WORSE} {bound.metric}: whether it is better higher or lower is not known; {AT_LEAST} or "
                f"{AT_MOST} says what is due"
            )
    return sm.Gate(bound.metric, **{FIELDS[bound.option]: bound.due}, **more)


def _slices(texts: list[str]) -> tuple[str | tuple[str, tuple[str, ...]], ...] | None:
    """The slices that are judged: of a column by `COLUMN=LABEL,LABEL`, of any by labels alone."""
    found = []
    for text in texts:
        column, named, labels = text.partition("=")
        found += [(column, tuple(labels.split(",")))] if named else text.split(",")
    return tuple(found) or None
