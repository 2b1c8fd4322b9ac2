"""What is counted: of one or several models a task, its metrics, and what its pictures need."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from streammetrics import statistics
from streammetrics._collection import Collection
from streammetrics._metric import Metric
from streammetrics._state import State, seen_counts
from streammetrics._statistic import FAULTS, Statistic, layout, members
from streammetrics._tasks import TASKS, Multilabel
from streammetrics.command._errors import Refused
from streammetrics.command._metrics import Asked, Task, default, made
from streammetrics.metrics import ROC, ConfusionMatrix, PrecisionRecallCurve, ReliabilityDiagram

ALONE = "predictions"
"""The batch entry of a model without a name, as a task calls it by default; one with a name has it as its entry."""

JUDGING = (statistics.ClassCounts, statistics.Confusion, statistics.ExactMatches)

MOST_CURVES, MOST_CLASSES = 10, 100
"""Of more classes curves are of all classes' scores together; of more than that there is no table of confusion."""


class Model(NamedTuple):
    """The predictions of a model: what they mean, what is read, and what is drawn."""

    task: Task
    metrics: dict[str, Metric]
    pictures: dict[str, Metric]

    @property
    def collection(self) -> Collection:
        """Everything that it needs to have counted."""
        parts = {"values": self.metrics, "pictures": self.pictures}
        return Collection({name: Collection(part) for name, part in parts.items() if part})


class Models(NamedTuple):
    """Models by name, which share their targets; one that is alone has none."""

    each: dict[str, Model]

    @property
    def named(self) -> bool:
        """Whether values go by the name of their model."""
        return list(self.each) != [ALONE]

    @property
    def collection(self) -> Collection:
        """One metric of all, so that there is one state."""
        return Collection({name: model.collection for name, model in self.each.items()})

    def invalid(self, state: State) -> dict[tuple[str, str], int]:
        """How many examples could not be counted, by model and reason; only what is not 0."""
        return {(name, reason): n for name, m in self.each.items() for reason, n in seen(m, state).invalid.items()}


class Seen(NamedTuple):
    """How many examples were counted, and how many could not be, by reason; of `Multilabel` how many labels.

    Metrics may differ in what they can count: each is the greatest number of any.
    """

    examples: int
    invalid: dict[str, int]


def seen(model: Model, state: State) -> Seen:
    """What the metrics of a model have seen."""
    counts, examples = seen_counts(state), 0
    invalid: dict[str, int] = {}
    for member in members(model.collection.statistic):
        numbers = counts[member].tolist()
        examples = max(examples, numbers[0])
        for reason, number in zip(layout(state.statistic)[member].reasons, numbers[FAULTS:], strict=True):
            if number:
                invalid[reason] = max(number, invalid.get(reason, 0))
    return Seen(examples, invalid)


def pictures_of(task: Task, binned: dict[str, Any]) -> dict[str, Metric]:
    """What is drawn of a task, by the name of its file."""
    found: dict[str, Metric] = {}
    if task.inputs != "labels":
        average = "micro" if task.classes > MOST_CURVES else None
        found["roc"] = ROC(task, average=average, **binned)
        found["precision_recall"] = PrecisionRecallCurve(task, average=average, **binned)
    if task.inputs in ("logits", "probabilities"):
        found["reliability"] = ReliabilityDiagram(task)
    if not isinstance(task, Multilabel) and task.classes <= MOST_CLASSES:
        found["confusion_matrix"] = ConfusionMatrix(task)
    return found


def recovered(state: State, asked: list[Asked] | None, names: tuple[str, ...] | None, drawn: bool) -> Models:
    """The models whose counts a state holds, and of what was asked for, or is usual, what can be read off these."""
    held = members(state.statistic)

    def readable(metric: Metric) -> bool:
        return all(member in held for member in members(metric.statistic))

    models = {}
    for task, binned in tasks_of(held, names):
        metrics = made(asked or default(task), task, binned)
        if asked and (lacking := [name for name, metric in metrics.items() if not readable(metric)]):
            raise Refused(
                f"--metrics: the state does not hold what {lacking[0]!r} is read off, {metrics[lacking[0]]!r}"
            )
        pictures = pictures_of(task, binned) if drawn else {}
        kept = [{name: m for name, m in part.items() if readable(m)} for part in (metrics, pictures)]
        if any(kept):
            models[task.predictions] = Model(task, *kept)
    return Models(models)


def tasks_of(
    counted: Iterable[Statistic], names: tuple[str, ...] | None = None
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """The tasks of statistics, one for each name of predictions, and the options of their histograms."""
    found: dict[str, list[tuple[Task, Any]]] = {}
    # Those that judge classes come first: they have the threshold, of which others know nothing.
    for member in sorted(counted, key=lambda member: not isinstance(member, JUDGING)):
        task = getattr(member, "task", None)
        if isinstance(task, TASKS):
            found.setdefault(task.predictions, []).append((task, member))
    for held in found.values():
        task = held[0][0]
        scores = next((member for _, member in held if isinstance(member, statistics.ScoreCounts)), None)
        binned = {name: getattr(scores, name) for name in ("bins", "ties", "score_range")} if scores else {}
        try:
            yield dataclasses.replace(task, class_names=names), binned
        except ValueError as error:
            raise Refused(f"--class-names: {error}") from error
