"""`evaluate`: files of predictions are counted in one pass and in constant memory."""

import argparse
import bisect
from collections.abc import Set
from typing import Any

import jax.numpy as jnp
import numpy as np

import streammetrics as sm
from streammetrics._metric import weights_of
from streammetrics._state import State
from streammetrics.command import _output
from streammetrics.command._columns import Entry
from streammetrics.command._errors import Refused
from streammetrics.command._metrics import Task, asked_by, default, made
from streammetrics.command._models import ALONE, Model, Models, pictures_of
from streammetrics.command._source import Batch, Source, rows_of

TAKEN = ("predictions", "targets", "weights")
HALVES = ("bfloat16", "float16")


def evaluate(options: argparse.Namespace) -> None:
    """Counts the files, saves the state, and presents the values."""
    columns = _columns(options.predictions)
    models = Models({name: _model(options, name) for name in columns})
    _output.check(options)
    source = Source(options.files, _entries(options, columns))
    metric = models.collection
    state = sm.accumulate(metric, source, size=source.rows, progress=None if options.progress else False)
    _output.save(options, state)
    if options.on_invalid == "raise" and models.invalid(state):
        _output.refuse_invalid(options, models, state, _first_rows(models, metric, source, state))
    _output.present(options, models, state)


def _columns(given: list[str]) -> dict[str, tuple[str, ...]]:
    """The columns of each model's predictions by its name, from `columns` or several `NAME=columns`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, named, columns = text.partition("=")
        if not named:
            name, columns = ALONE, text
        elif not name or name in TAKEN:
            raise Refused(f"--predictions {text}: a model cannot be called {name!r}")
        if name in found or (found and ALONE in (name, *found)):
            raise Refused("--predictions: several models must have names of their own, as in NAME=columns")
        found[name] = tuple(columns.split(","))
    return found


def _model(options: argparse.Namespace, name: str) -> Model:
    task = _task(options, name)
    binned = {} if options.bins is None else {"bins": options.bins}
    asked = default(task) if options.metrics is None else asked_by(options.metrics)
    metrics = made(asked, task, binned)
    return Model(task, metrics, pictures_of(task, binned) if options.plots is not None else {})


def _task(options: argparse.Namespace, name: str) -> Task:
    """The task that the options say."""
    kinds: dict[str, Any] = {"binary": sm.Binary, "multiclass": sm.Multiclass, "multilabel": sm.Multilabel}
    takes = {
        "num_classes": options.task == "multiclass",
        "num_labels": options.task == "multilabel",
        "threshold": options.task != "multiclass",
    }
    fields = {field: getattr(options, field) for field in takes if getattr(options, field) is not None}
    for field, taken in takes.items():
        option = f"--{field.replace('_', '-')}"
        if field in fields and not taken:
            raise Refused(f"{option} says nothing of --task {options.task}")
        if field.startswith("num") and field not in fields and taken:
            raise Refused(f"--task {options.task} needs {option}")
    more = {"inputs": options.inputs, "ignore": options.ignore, "weighted": options.weighted, "predictions": name}
    try:
        return kinds[options.task](**fields, **more, class_names=options.class_names)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error


def _entries(options: argparse.Namespace, columns: dict[str, tuple[str, ...]]) -> dict[str, Entry]:
    """What the entries of a batch are made of."""
    names, several = options.class_names or (), options.num_classes or options.num_labels
    targets = tuple(options.targets.split(","))
    scores = jnp.dtype(options.bins) if options.bins in HALVES else np.dtype(np.float32)
    labels = options.inputs == "labels"
    width = several if options.num_labels or not labels else None
    entries = {
        name: Entry("--predictions", each, width, np.dtype(np.int32) if labels else scores, names)
        for name, each in columns.items()
    }
    entries["targets"] = Entry("--targets", targets, options.num_labels, np.dtype(np.int32), names)
    if options.weights is not None:
        entries["weights"] = Entry("--weights", (options.weights,), None, np.dtype(np.float32))
    for entry in entries.values():
        if len(entry.columns) not in (1, entry.width or 1):
            due = f"{entry.width} columns, or one of lists, are" if entry.width else "one is"
            raise Refused(f"{entry.option} names {len(entry.columns)} columns, but {due} due")
    return entries


def _first_rows(models: Models, metric: sm.Metric, source: Source, state: State) -> dict[tuple[str, str], str]:
    """Where there is the first row of each kind that could not be counted: the files are read once more until there."""
    due, found = models.invalid(state).keys(), {}

    def kinds(batch: Batch, rows: int) -> Set[tuple[str, str]]:
        """What is wrong among the first rows, always in the same shape, so that there is one program."""
        head = sm.pad({name: array[:rows] for name, array in batch.items()}, source.rows, weights_of(metric))
        return models.invalid(metric.tally(**head)).keys()

    for place, batch in source.placed():
        count = rows_of(batch)
        for kind in kinds(batch, count) - found.keys():
            first = bisect.bisect_left(range(1, count + 1), True, key=lambda rows: kind in kinds(batch, rows))
            found[kind] = place.at(first)
        if due <= found.keys():
            break
    return found
