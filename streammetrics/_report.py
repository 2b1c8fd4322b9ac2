"""The usual metrics of a classification at once, and the table in which people know them."""

from collections.abc import Mapping
from typing import Any

from streammetrics._batches import plain
from streammetrics._collection import Collection
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Binary, Multiclass, Multilabel, counted
from streammetrics.metrics import F1, Accuracy, Precision, Recall, StatScores
from streammetrics.statistics import ClassCounts

SCORES = {"precision": Precision, "recall": Recall, "f1": F1}
AVERAGES = ("micro", "macro", "weighted")
HEAD = ("precision", "recall", "f1-score", "support")


@spec
class OfTwoClasses(Metric):
    """A metric of two classes, read off the counts of `Binary`: those of its negative and its positive class."""

    task: Any
    metric: Any

    @property
    def statistic(self) -> Statistic:
        return ClassCounts(counted(self.task))

    def read(self, counts: Mapping[str, Any]) -> Any:
        return self.metric.read(counts)


def classification_report(task: Binary | Multiclass | Multilabel) -> Collection:
    """The collection of the usual metrics of predicted classes, all read off the same counts.

    Its value has `precision`, `recall` and `f1` of each class (of `Binary` of both), the `counts` of `StatScores`,
    `accuracy`, and of the three the averages `macro` and `weighted`, of `Multilabel` also `micro`. A macro average is
    over the classes that occur, of labels over all, as in scikit-learn. `format_report` prints it.

    >>> import streammetrics as sm
    >>> report = sm.classification_report(sm.Binary("labels"))
    >>> sm.plain(report(predictions=[0, 1, 1, 1], targets=[0, 0, 1, 1]))["recall"]
    [0.5, 1.0]
    """
    classes = Multiclass(2, "labels", weighted=task.weighted) if isinstance(task, Binary) else task
    averages = ("micro", "macro", "weighted") if isinstance(task, Multilabel) else ("macro", "weighted")

    def of_classes(metric: Metric) -> Metric:
        return OfTwoClasses(task, metric) if isinstance(task, Binary) else metric

    def scores(average: str | None) -> dict[str, Metric]:
        return {name: of_classes(metric(classes, average=average)) for name, metric in SCORES.items()}

    each = {**scores(None), "counts": of_classes(StatScores(classes)), "accuracy": Accuracy(task)}
    return Collection({**each, **{average: Collection(scores(average)) for average in averages}})


def format_report(values: Mapping[str, Any], task: Binary | Multiclass | Multilabel, digits: int = 2) -> str:
    """The values of `classification_report` as a table: a line for each class, then accuracy and averages.

    Classes have the task's `class_names`, or their numbers. Raises `ValueError` for values that are not those of the
    task's report. The layout is that of scikit-learn's `classification_report`.

    >>> import streammetrics as sm
    >>> task = sm.Multiclass(3, "labels", class_names=("cat", "dog", "owl"))
    >>> values = sm.classification_report(task)(predictions=[0, 1, 1, 2], targets=[0, 1, 2, 2])
    >>> print(sm.format_report(values, task))
                  precision    recall  f1-score   support
    <BLANKLINE>
             cat       1.00      1.00      1.00         1
             dog       0.50      1.00      0.67         1
             owl       1.00      0.50      0.67         2
    <BLANKLINE>
        accuracy                           0.75         4
       macro avg       0.83      0.83      0.78         4
    weighted avg       0.88      0.75      0.75         4
    <BLANKLINE>
    """
    due = [name for name, _ in classification_report(task).parts]
    if list(values) != due:
        raise ValueError(f"format_report: the values are {list(values)}, but those of the report of {task!r} are {due}")
    values = plain(values)
    support = values["counts"]["support"]
    lines = list(zip(*(values[name] for name in SCORES), support, strict=True))
    labels = task.class_names or tuple(map(str, range(len(lines))))
    averages = {name: tuple(value.values()) for name, value in values.items() if name in AVERAGES}
    width = max(len("weighted avg"), digits, *map(len, labels))

    def line(name: str, cells: tuple[Any, ...]) -> str:
        texts = (cell if isinstance(cell, str | int) else f"{cell:.{digits}f}" for cell in cells)
        return f"{name:>{width}} " + "".join(f" {text:>9}" for text in texts)

    # Labels have an accuracy of elements, which is no average of these scores.
    accuracy = [] if "micro" in averages else [line("accuracy", ("", "", values["accuracy"], sum(support)))]
    summary = accuracy + [line(f"{name} avg", (*cells, sum(support))) for name, cells in averages.items()]
    return "\n".join((line("", HEAD), "", *map(line, labels, lines), "", *summary, ""))
