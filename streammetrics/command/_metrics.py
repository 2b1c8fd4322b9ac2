"""Metrics by name: `accuracy,auroc,per_class=Recall(average=None)`."""

import ast
import dataclasses
import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from streammetrics import metrics
from streammetrics._checks import listed
from streammetrics._metric import Metric
from streammetrics._report import classification_report
from streammetrics._tasks import Binary, Multiclass, Multilabel, counted
from streammetrics.command._errors import Refused, quoted
from streammetrics.metrics._histograms import Binned

Task = Binary | Multiclass | Multilabel

REPORT = "report"
"""The name of all metrics of `classification_report` together."""


class Asked(NamedTuple):
    """A metric that was asked for: what its value is called, what it is, and the options of its constructor."""

    name: str
    kind: str
    options: Mapping[str, Any] = {}


def snake(name: str) -> str:
    """The name of a class in snake case: `MeanIoU` is `mean_iou`."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z]{2})", "_", name).lower()


def known() -> dict[str, type]:
    """The metrics of a task by name."""
    classes = (getattr(metrics, name) for name in metrics.__all__)
    of_tasks = (cls for cls in classes if "task" in {field.name for field in dataclasses.fields(cls)})
    return {snake(cls.__name__): cls for cls in of_tasks}


def asked_by(text: str) -> list[Asked]:
    """What a list of metrics asks for."""
    return [_asked(piece.strip()) for piece in _pieces(text)]


def default(task: Task) -> list[Asked]:
    """What is read unless something else is asked for: the report, and where there are scores how they rank."""
    names = [REPORT]
    if task.inputs != "labels":
        names += ["auroc", "average_precision"]
    if task.inputs in ("logits", "probabilities"):
        names += ["calibration_error"]
    return [Asked(name, name) for name in names]


def made(asked: list[Asked], task: Task, binned: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics by name; those read off a histogram have its options unless they say others."""
    task = counted(task)  # whatever classes are called, the same programs count and read them
    found: dict[str, Metric] = {}
    for each in asked:
        parts = dict(_parts(each, task, binned))
        if twice := [name for name in parts if name in found]:
            raise Refused(f"--metrics: two values would be called {twice[0]!r}; other={twice[0]} names one of them")
        found |= parts
    return found


def _parts(each: Asked, task: Task, binned: Mapping[str, Any]) -> tuple[tuple[str, Metric], ...]:
    return classification_report(task).parts if each.kind == REPORT else ((each.name, _made(each, task, binned)),)


def _made(each: Asked, task: Task, binned: Mapping[str, Any]) -> Metric:
    kind = known()[each.kind]
    fields = [field.name for field in dataclasses.fields(kind) if field.name != "task"]
    if unknown := [name for name in each.options if name not in fields]:
        raise Refused(f"--metrics: {kind.__name__} has no option {unknown[0]!r}; it has {quoted(fields)}")
    required = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    if lacking := [name for name in required if name not in ("task", *each.options)]:
        raise Refused(f"--metrics: {kind.__name__} needs {lacking[0]!r}, as in {kind.__name__}({lacking[0]}=…)")
    options = {**(binned if issubclass(kind, Binned) else {}), **each.options}
    try:
        return kind(task, **options)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error


def _pieces(text: str) -> list[str]:
    """The text cut at its commas outside of brackets."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces


def _asked(piece: str) -> Asked:
    """What a piece asks for: `kind`, `Kind(option=value, …)`, or either with `name=` before."""
    wrong = Refused(f"--metrics: {piece!r} is none of name, Name(option=value) and other=Name(option=value)")
    try:
        (statement,) = ast.parse(piece).body
        match statement:
            case ast.Assign(targets=[ast.Name(id=own)], value=value):
                pass
            case ast.Expr(value=value):
                own = None
            case _:
                raise wrong
        match value:
            case ast.Name(id=kind):
                options = {}
            case ast.Call(func=ast.Name(id=kind), args=[], keywords=keywords) if all(word.arg for word in keywords):
                options = {str(word.arg): ast.literal_eval(word.value) for word in keywords}
            case _:
                raise wrong
    except (SyntaxError, ValueError) as error:
        raise wrong from error
    kind = _kind(kind)
    return Asked(own or kind, kind, options)


def _kind(name: str) -> str:
    """The name in snake case of a metric that is called so, or by the name of its class."""
    names = known()
    if name in names or name == REPORT:
        return name
    if snake(name) in names and names[snake(name)].__name__ == name:
        return snake(name)
    close = difflib.get_close_matches(snake(name), [REPORT, *names], 3)
    told = f"did you mean {listed(close, 'or')}?" if close else "evaluate --help lists them"
    raise Refused(f"--metrics: there is no metric {name!r}; {told}")
