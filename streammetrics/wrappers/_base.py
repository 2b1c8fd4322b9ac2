"""What wrappers have in common: metrics of metrics, over statistics whose observations they change."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._metric import Metric, frozen, leaves, thawed, view
from streammetrics._reduction import Adds, Observation, broadcast
from streammetrics._spec import spec
from streammetrics._statistic import AnyStatistic, Joint, Statistic, check_size
from streammetrics.accumulators import Accumulator, Count
from streammetrics.accumulators._base import merge_all

Counted = dict[str, Array]
ORDER = "Windowed or Decayed, Bootstrapped, Sliced, PerOutput"


@spec
class Wrapped(Statistic):
    """A statistic that counts what another one observes in another way."""

    inner: Any

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the entries it reads beside those of the inner statistic."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.inner.reads, *self.own)))

    @property
    def kind(self) -> str:
        return f"{type(self).__name__}({self.inner.kind})"

    @property
    def weights(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only in both
        return self.inner.weights

    @property
    def weighted(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise
        return self.inner.weighted

    @property
    def accumulators(self) -> Mapping[str, Any]:
        return self.inner.accumulators

    @property
    def observed(self) -> Mapping[str, Accumulator]:
        return self.inner.observed

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.inner.reasons

    @property
    def axes(self) -> tuple[int, ...]:
        return self.inner.axes

    @property
    def scalars(self) -> tuple[str, ...]:
        return self.inner.scalars

    def leading_axes(self, **batch: Array) -> int:
        return self.inner.leading_axes(**self.inner_entries(batch))

    def elements(self, examples: tuple[int, ...]) -> int:
        return self.inner.elements(examples)

    def prepared(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.inner.prepared(batch)

    def observe(self, **batch: Array) -> tuple[Adds, Mapping[str, Array]]:
        return self.inner.observe(**self.inner_entries(batch))

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        return self.inner.arranged(observation, **self.inner_entries(batch))

    @abstractmethod
    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        """The inner statistic and what it has counted in all: data by name, and `seen` of the shape of its place."""

    def inner_entries(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Of a batch what the inner statistic reads."""
        return {name: batch[name] for name in self.inner.reads}

    def examples(self, batch: Mapping[str, Array]) -> tuple[int, ...]:
        """The axes of a batch that number the examples."""
        return batch[self.reads[0]].shape[: self.leading_axes(**batch)]

    def of_examples(self, name: str, entry: Array, batch: Mapping[str, Array]) -> Array:
        """An entry with one value per example, or per leading index, for every example."""
        examples = self.examples(batch)
        if entry.shape != examples[: entry.ndim]:
            _checks.refuse(
                ValueError,
                f"{name} has shape {entry.shape}, but the examples have shape {examples}: one value per example, or "
                "per leading index, is due",
            )
        return broadcast(entry, examples)


@spec
class Wrapper(Metric):
    """A metric of a metric. Of a collection it is the collection of its members, each wrapped."""

    metric: Any

    holds: ClassVar[tuple[str, ...]] = ()
    """The names of the wrappers that may stand inside."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.metric, Metric):
            raise TypeError(f"{name}: metric is {self.metric!r}, but must be a metric")
        for _, leaf in leaves(self.metric):
            while isinstance(leaf, Metric):
                if isinstance(leaf, Wrapper) and type(leaf).__name__ not in self.holds:
                    raise TypeError(
                        f"{name}: {type(leaf).__name__} stands inside, but must not; from the outside in the order is "
                        f"{ORDER}"
                    )
                leaf = getattr(leaf, "metric", None)

    @abstractmethod
    def over(self, statistic: Statistic) -> Statistic:
        """What is counted in place of a statistic."""

    @abstractmethod
    def read_single(self, counts: Mapping[Any, Any]) -> Any:
        """The value, from what the statistic of the single metric inside counted, as wrapped."""

    @property
    def inner(self) -> Metric:
        """The metric as it is counted and read."""
        return self.metric

    def around(self, metric: Metric) -> Self:
        """The wrapper of another metric."""
        return dataclasses.replace(self, metric=metric)

    @property
    def higher_is_better(self) -> bool | None:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only in both
        return self.metric.higher_is_better

    @property
    def parts(self) -> tuple[tuple[str, Metric], ...]:
        return tuple((name, self.around(part)) for name, part in self.metric.parts)

    @property
    def statistic(self) -> AnyStatistic:
        inner = self.inner.statistic
        return Joint(tuple(map(self.over, inner.members))) if isinstance(inner, Joint) else self.over(inner)

    def read(self, counts: Mapping[Any, Any]) -> Any:
        if self.parts:
            return {name: part.read(view(counts, part.statistic)) for name, part in self.parts}
        return self.read_single(self.inner_counts(counts))

    def inner_counts(self, counts: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """What was counted, by the statistics of the single metric inside where it has several."""
        inner = self.inner.statistic
        return {m: counts[self.over(m)] for m in inner.members} if isinstance(inner, Joint) else counts


def check_parts_size(owner: Wrapper, number: int, parts: str) -> None:
    """So many parts that would fill the memory are refused before they do."""
    what, remedy = f"a state of {number:,} {parts}", f"declare fewer {parts}, or fewer bins="
    check_size(owner, owner.statistic, what, remedy)


def widened(integers: Array) -> Array:
    """Integers or bool as integers of 32 bits or more, in which every slice and step has a number."""
    return integers.astype(jnp.int32) if integers.dtype.itemsize < 4 else integers


def added_up(accumulators: Mapping[str, Any], data: Counted, seen: Array) -> tuple[Counted, Array]:
    """What is counted along the leading axis in all; of `seen` but what is in no known slice."""
    totals = {name: merge_all(each.merge, jnp.moveaxis(data[name], 1, 0)) for name, each in accumulators.items()}
    known = jnp.moveaxis(seen[:, :-1], 1, 0)
    return totals, merge_all(Count(seen.shape[2:]).merge, known)


def along(read: Callable[[Any], Any], counts: Mapping[Any, Any]) -> Any:
    """What is read of each place along the leading axis of all that is counted."""
    return thawed(jax.vmap(lambda each: frozen(read(thawed(each))))(frozen(counts)))
