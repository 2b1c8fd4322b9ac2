"""The values of a model as a text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import streammetrics as sm
from streammetrics._tasks import Multilabel, counted
from streammetrics.command._models import Model
from streammetrics.command._values import Reading

MOST_LINES, MOST_COLUMNS, MOST_VALUES = 100, 20, 10
"""How many classes have lines, how many a table of confusion, and how many values are printed in a row."""


def many(number: int, what: str) -> str:
    """A number of things in words."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def faulty(model: Model, reason: str, number: int) -> str:
    """What could not be counted, with the option of the command where the reason tells of a field."""
    unit = "label" if isinstance(model.task, Multilabel) else "example"
    return f"{many(number, unit)} with {reason.replace('weighted=True', '--weighted')}"


def as_text(model: Model, reading: Reading, digits: int) -> str:
    """The values as tables."""
    lines = [many(reading.seen.examples, "example")]
    lines += [f"not counted: {faulty(model, reason, number)}" for reason, number in reading.seen.invalid.items()]
    blocks = ["\n".join(lines)]
    report = dict(sm.classification_report(counted(model.task)).parts)
    rest = dict(reading.values)
    if all(model.metrics.get(name) == metric for name, metric in report.items()):
        table = {name: rest.pop(name) for name in report}
        blocks.append(_report(table, model, digits))
        if isinstance(model.task, Multilabel):  # the accuracy of elements is no line of that table
            rest = {"accuracy": table["accuracy"], **rest}
    return "\n\n".join([*blocks, *_rest(rest, reading.bounds, model, digits)])


def _report(values: dict[str, Any], model: Model, digits: int) -> str:
    """The table of `format_report`; of very many classes its averages alone."""
    lines = sm.format_report(values, model.task, digits).rstrip("\n").splitlines()
    classes = len(values["precision"])
    if classes > MOST_LINES:
        lines[1 : classes + 3] = ["", f"({classes:,} classes: --json has the values of each)", ""]
    return "\n".join(lines)


def _rest(values: dict[str, Any], bounds: dict[str, Any], model: Model, digits: int) -> Iterator[str]:
    """Single numbers, then what there is of each class, then tables, then rows of values."""
    single, of_classes, tables, others = [], {}, {}, []
    names = model.task.class_names or tuple(map(str, range(model.task.classes)))

    def cells(row: Sequence[Any]) -> list[str]:
        return [_number(value, digits) for value in row]

    for name, metric, value in _flat(values, model):
        if not isinstance(value, list):
            single.append([name, *cells([value]), _between(bounds.get(name), digits)])
        elif _is_table(metric) and len(names) <= MOST_COLUMNS:
            tables[name] = value
        elif _each_class(metric) and np.shape(value) == (len(names),) and len(names) <= MOST_LINES:
            of_classes[name] = value
        elif np.ndim(value) == 1 and len(value) <= MOST_VALUES:
            others.append(f"{name}: {', '.join(cells(value))}")
        else:
            others.append(f"{name}: {' × '.join(f'{size:,}' for size in np.shape(value))} values, which --json has")
    if single:
        yield _aligned(single, left=(0, 2))
    if of_classes:
        rows = [[name, *cells(row)] for name, *row in zip(names, *of_classes.values(), strict=True)]
        yield _aligned([["", *of_classes], *rows])
    for name, table in tables.items():
        rows = [[each, *cells(row)] for each, row in zip(names, table, strict=True)]
        yield f"{name} (rows are true, columns predicted)\n{_aligned([['', *names], *rows])}"
    if others:
        yield "\n".join(others)


def _flat(values: Mapping[str, Any], model: Model) -> Iterator[tuple[str, Any, Any]]:
    """The parts of all values by name, with their metrics."""
    for name, value in values.items():
        parts = {f"{name}.{part}": inner for part, inner in value.items()} if isinstance(value, dict) else {name: value}
        yield from ((path, model.metrics[name], part) for path, part in parts.items())


def _is_table(metric: Any) -> bool:
    """Whether the value is one table of classes by classes."""
    return isinstance(metric, sm.ConfusionMatrix) and not isinstance(metric.task, Multilabel)


def _each_class(metric: Any) -> bool:
    """Whether an axis of the value is of the classes."""
    whole = getattr(metric, "average", "none") is None and metric.class_id is None
    return whole and not isinstance(metric, sm.StatScoresAt)  # which has one of thresholds


def _number(value: Any, digits: int) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}{'g' if 0 < abs(value) < 10**-digits else 'f'}}"


def _between(bounds: Any, digits: int) -> str:
    """The bounds, rounded outward."""
    if not bounds or np.shape(bounds) != (2,) or not all(map(math.isfinite, bounds)):
        return ""
    lower, upper = bounds
    if lower == upper:
        return "exact"
    scale = 10**digits
    return f"in [{math.floor(lower * scale) / scale:.{digits}f}, {math.ceil(upper * scale) / scale:.{digits}f}]"


def _aligned(rows: list[list[str]], left: tuple[int, ...] = ()) -> str:
    """Rows of cells as columns, flush right but for those that are named."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = enumerate(zip(row, widths, strict=True))
        return "  ".join(f"{cell:{'<' if place in left else '>'}{width}}" for place, (cell, width) in cells).rstrip()

    return "\n".join(map(line, rows))
