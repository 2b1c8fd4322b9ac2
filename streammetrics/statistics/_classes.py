"""What is counted of predicted classes: right and wrong by class, and the confusion of each with each."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import Binary, Multiclass
from streammetrics.accumulators import Accumulator, Count, Sum
from streammetrics.statistics._predictions import Predictions

CONFUSION_LIMIT = 8192


def events(task: Any, shape: tuple[int, ...]) -> Accumulator:
    """What holds numbers of events: exact, or where weights are fractions a compensated sum."""
    return Sum(shape) if task.weighted else Count(shape)


@spec
class ClassCounts(Predictions):
    """The disjoint events of each class.

    `Multiclass`: `events` is (3, C), true positives, false positives (predicted as c, of another class) and false
    negatives (of c, predicted as another). `Binary` and `Multilabel`: (4,) and (L, 4), true negatives, false positives,
    false negatives and true positives.
    """

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        if isinstance(self.task, Multiclass):
            return {"events": events(self.task, (3, self.task.num_classes))}
        return {"events": events(self.task, (4,) if isinstance(self.task, Binary) else (self.task.num_labels, 4))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        task = self.task
        read = task.read(*(batch[name] for name in self.reads))
        if not isinstance(task, Multiclass):
            event = 2 * read.targets + task.positive(read.predictions).astype(jnp.int32)
            return {"events": Add(event[..., None] == lax.broadcasted_iota(jnp.int32, (*event.shape, 4), event.ndim))}, read.faults
        label, faults = task.label(read)
        hit = label == read.targets
        first = jnp.where(hit, label, task.num_classes + label)
        second = jnp.where(hit, -1, 2 * task.num_classes + read.targets)
        return {"events": Add(cell=jnp.stack([first, second], -1))}, faults


@spec
class Confusion(Predictions):
    """How often each class was predicted as each: `cells` is (C, C), rows are true classes. `Multiclass` only."""

    def __post_init__(self) -> None:
        if not isinstance(self.task, Multiclass):
            raise TypeError(f"Confusion: task is {self.task!r}, but must be Multiclass; ClassCounts holds the others")
        if self.task.num_classes > CONFUSION_LIMIT:
            raise ValueError(
                f"Confusion: {self.task.num_classes:,} classes would need a table of their square, but at most "
                f"{CONFUSION_LIMIT:,} are allowed; StatScores, Precision and Recall count each class alone"
            )

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"cells": events(self.task, (self.task.num_classes,) * 2)}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        label, faults = self.task.label(read)
        return {"cells": Add(cell=read.targets * self.task.num_classes + label)}, faults
