"""`Collection`: a metric whose value is a dict."""

from collections.abc import Mapping
from typing import Any

from streammetrics._metric import Metric, view
from streammetrics._spec import spec
from streammetrics._statistic import Joint, members


@spec
class Collection(Metric):
    """The values of several metrics by name, from one state in which equal statistics are counted once.

    Takes a mapping, or the metrics by keyword; collections nest, and so do their values. The state does not depend on
    the names, nor on the order of declaration.

    Raises `TypeError` for what is no metric and `ValueError` for an empty collection.

    >>> import streammetrics as sm
    >>> task = sm.Binary("logits")
    >>> both = sm.Collection(accuracy=sm.Accuracy(task), recall=sm.Recall(task))
    >>> len(both.init().data)
    1
    >>> sm.plain(both.compute(both.tally(predictions=[2.0, -1.0, 0.5], targets=[1, 1, 0])))
    {'accuracy': 0.3333333432674408, 'recall': 0.5}
    """

    metrics: tuple[tuple[str, Metric], ...]

    def __init__(self, metrics: Mapping[str, Metric] | None = None, /, **named: Metric) -> None:
        parts = {**(metrics or {}), **named}
        if not parts:
            raise ValueError("Collection: got no metrics, but at least one is due")
        for name, metric in parts.items():
            if not isinstance(name, str) or not isinstance(metric, Metric):
                raise TypeError(f"Collection: {name!r} is {metric!r}, but must be a name and a metric")
        object.__setattr__(self, "metrics", tuple(parts.items()))

    @property
    def parts(self) -> tuple[tuple[str, Metric], ...]:
        return self.metrics

    @property
    def statistic(self) -> Joint:
        return Joint(tuple(member for _, part in self.metrics for member in members(part.statistic)))

    def read(self, counts: Mapping[Any, Any]) -> dict[str, Any]:
        return {name: part.read(view(counts, part.statistic)) for name, part in self.metrics}

    def __repr__(self) -> str:
        names = [name for name, _ in self.metrics]
        if all(name.isidentifier() for name in names):
            return f"Collection({', '.join(f'{name}={part!r}' for name, part in self.metrics)})"
        return f"Collection({dict(self.metrics)!r})"

    def __reduce__(self) -> Any:
        return Collection, (dict(self.metrics),)
