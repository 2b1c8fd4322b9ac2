"""What is counted of predicted classes: right and wrong by class, and the confusion of each with each."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from streammetrics import _checks
from streammetrics._spec import spec
from streammetrics._statistic import ABSENT, Add
from streammetrics._tasks import Multiclass, Multilabel
from streammetrics.accumulators import Accumulator, Count, Sum
from streammetrics.statistics._predictions import Predictions

CONFUSION_LIMIT = 8192
TABLE_LIMIT = 32
"""The most classes of which `ClassCounts` keeps the whole table: one scatter of the examples instead of two."""


def table(task: Any, shape: tuple[int, ...]) -> Accumulator:
    """What holds numbers of events: exact, or where weights are fractions a compensated sum."""
    return Sum(shape) if task.weighted else Count(shape)


def in_table(row: Array, column: Array, shape: tuple[int, ...]) -> Array:
    """Flat indices into a table (rows, columns), or into one for each class, the last axis of the scores."""
    *classes, rows, columns = shape
    cell = row * columns + column
    if classes:
        cell = cell + rows * columns * lax.broadcasted_iota(jnp.int32, cell.shape, cell.ndim - 1)
    return cell


def check_table(owner: Any) -> None:
    """What needs a table of the classes' square needs a bound on their number."""
    if isinstance(owner.task, Multiclass) and owner.task.num_classes > CONFUSION_LIMIT:
        raise ValueError(
            f"{type(owner).__name__}: {owner.task.num_classes:,} classes would need a table of their square, but at "
            f"most {CONFUSION_LIMIT:,} are allowed; StatScores, Precision and Recall count each class alone"
        )


@spec
class ClassCounts(Predictions):
    """The disjoint events of each class.

    `cells` is a table of true by predicted class: (C, C) for `Multiclass` up to 32 classes, (2, 2) for `Binary` and
    (L, 2, 2) for `Multilabel`. Beyond 32 classes `events` is (3, C): of each class the true positives, the false
    positives (predicted as it, of another) and the false negatives (of it, predicted as another).
    """

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        task = self.task
        if isinstance(task, Multilabel):
            return {"cells": table(task, (task.num_labels, 2, 2))}
        if task.classes <= TABLE_LIMIT:
            return {"cells": table(task, (task.classes, task.classes))}
        return {"events": table(task, (3, task.classes))}

    def observe(self, **batch: Any) -> tuple[dict[str, Any], dict[str, Array]]:
        task = self.task
        read = task.read(*(batch[name] for name in self.reads))
        if not isinstance(task, Multiclass):
            event = 2 * read.targets + task.positive(read.predictions).astype(jnp.int32)
            each = lax.broadcasted_iota(jnp.int32, (*event.shape, 4), event.ndim)
            return {"cells": Add((event[..., None] == each).reshape(*event.shape, 2, 2))}, read.faults
        label, faults = task.label(read)
        if task.classes <= TABLE_LIMIT:
            return {"cells": Add(cell=read.targets * task.classes + label)}, faults
        hit = label == read.targets
        predicted = jnp.where(hit, label, task.classes + label)
        missed = jnp.where(hit, -1, 2 * task.classes + read.targets)
        return {"events": [Add(cell=predicted), Add(cell=missed)]}, faults


@spec
class Confusion(Predictions):
    """How often each class was predicted as each: `cells` is (C, C), rows are true classes. `Multiclass` only."""

    def __post_init__(self) -> None:
        if not isinstance(self.task, Multiclass):
            raise TypeError(f"Confusion: task is {self.task!r}, but must be Multiclass; ClassCounts holds the others")
        check_table(self)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"cells": table(self.task, (self.task.num_classes,) * 2)}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        label, faults = self.task.label(read)
        return {"cells": Add(cell=read.targets * self.task.num_classes + label)}, faults


@spec
class ExactMatches(Predictions):
    """Whether all labels of an example that are not ignored are right: `matches` is (2,), of misses and of matches.

    `Multilabel` only.
    """

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multilabel, "ClassCounts holds the others")

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"matches": table(self.task, (2,))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        faults, absent = of_rows(read.faults, read.targets.shape)
        right = self.task.positive(read.predictions) == (read.targets == 1)
        return {"matches": Add(cell=jnp.all(right | absent, -1).astype(jnp.int32))}, faults


def of_rows(faults: dict[str, Array], shape: tuple[int, ...]) -> tuple[dict[str, Array], Array]:
    """The faults of elements as faults of their rows, and which elements are absent: those fault no row."""
    absent = faults.get(ABSENT, jnp.zeros(shape, bool))
    of_row = {reason: jnp.any(mask & ~absent, -1) for reason, mask in faults.items() if reason != ABSENT}
    return of_row | {ABSENT: jnp.all(absent, -1)}, absent
