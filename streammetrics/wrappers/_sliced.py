"""`Sliced`: the values of every slice of the examples, in one pass."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._jax import float_dtype
from streammetrics._metric import Metric, leaves
from streammetrics._reduction import Adds, Observation, sliced, with_axis
from streammetrics._spec import spec
from streammetrics._statistic import ABSENT, Statistic
from streammetrics._wide import Wide
from streammetrics.wrappers._base import Counted, Wrapped, Wrapper, added_up, along, check_parts_size
from streammetrics.wrappers._columns import Column, Ids, column_of


@spec
class Slices(Wrapped):
    """What a statistic counts of each slice that a column tells."""

    column: Any

    @property
    def own(self) -> tuple[str, ...]:
        return (self.column.name,)

    @property
    def accumulators(self) -> dict[str, Any]:
        return {name: with_axis(each, self.column.size) for name, each in self.inner.accumulators.items()}

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.column.size, *self.inner.axes)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*(() if self.column.other else (self.unknown,)), *self.inner.reasons)

    @property
    def unknown(self) -> str:
        """The fault of an example whose slice was not declared."""
        return f"unknown slice in {self.column.name}"

    def prepared(self, batch: dict[str, Any]) -> dict[str, Any]:
        name = self.column.name
        return self.inner.prepared({**batch, name: self.column.prepared(batch[name])})

    def observe(self, **batch: Array) -> tuple[Adds, Mapping[str, Array]]:
        adds, faults = super().observe(**batch)
        place = self._place(batch)
        missing = place == -1
        if ABSENT in faults:
            absent = faults[ABSENT]
            missing = absent | missing.reshape(missing.shape + (1,) * (absent.ndim - missing.ndim))
        own = {} if self.column.other else {self.unknown: place == self.column.size}
        return adds, {**own, **faults, ABSENT: missing}

    def arranged(self, observation: Observation, **batch: Array) -> Observation:
        return sliced(super().arranged(observation, **batch), self._place(batch), self.column.size)

    def total(self, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        return self.inner, *added_up(self.inner.accumulators, data, seen)

    def without(self, name: str, data: Counted, seen: Array) -> tuple[Statistic, Counted, Array]:
        """The slices by the other columns, and what is counted of them."""
        if name == self.column.name:
            return self.total(data, seen)
        # One axis has a place more in `seen` than in the data, so that each is mapped over by itself.
        one_data, one_seen = jax.tree.map(lambda array: array[:, 0], (data, seen))
        inner, *_ = self.inner.without(name, one_data, one_seen)
        data = jax.vmap(lambda each: self.inner.without(name, each, one_seen)[1], 1, 1)(data)
        seen = jax.vmap(lambda each: self.inner.without(name, one_data, each)[2], 1, 1)(seen)
        return Slices(inner, self.column), data, seen

    def _place(self, batch: Mapping[str, Array]) -> Array:
        """The slice of each example; −1 for none."""
        column = self.column
        place = self.of_examples(column.name, column.found(batch[column.name]), batch)
        return jnp.minimum(place, column.size - 1) if column.other else place


@spec
class Sliced(Wrapper):
    """The values of every slice of the examples: an array with the axes of the slices first, from one pass.

    `by` names an entry of `num_slices` ids from 0; or `slices` maps each of several entries to its slices, and every
    combination is a slice: names (the entry holds their places, or in numpy the names themselves), integers (it holds
    these), or floats, which are edges that cut numbers (a slice holds its lower edge, the last one its upper edge
    too; integers are compared as they are, floats in float32). An id, place or integer of −1 that is not declared is
    in no slice: such examples are absent. What is not known otherwise cannot be counted, or with `other=True` has a
    last slice "other". An entry has one value per example, or per leading index.

    A count is added in its slice at once: the state grows with the slices, time only where that is large. Examples that
    cannot be counted spoil their slice alone, those of unknown slices all. `min_examples` hides slices with fewer
    (but any) examples as NaN, counts then being floats; with one column also the least of the others, until what is
    hidden holds as many together, so that the total does not reveal it. Crosses of columns may be revealed by
    subtracting slices from marginals: that is not prevented. Of the totals see `sm.total`.

    Raises `TypeError` for wrappers inside other than `Sliced` and `PerOutput`, and `ValueError` for states above
    1 GiB.

    >>> import streammetrics as sm
    >>> metric = Sliced(sm.Mean("loss"), slices={"country": ("de", "fr")})
    >>> state = metric.tally(loss=[1.0, 2.0, 6.0], country=["fr", "de", "fr"])
    >>> metric.compute(state).tolist(), float(sm.Mean("loss").compute(sm.total(state)))
    ([2.0, 3.5], 3.0)
    """

    by: str | None = None
    num_slices: int | None = None
    slices: Any = dataclasses.field(default=None, kw_only=True)
    other: bool = dataclasses.field(default=False, kw_only=True)
    min_examples: int = dataclasses.field(default=0, kw_only=True)

    holds = ("Sliced", "PerOutput")

    def __post_init__(self) -> None:
        named = (self.by is not None, self.num_slices is not None, self.slices is not None)
        pairs = self.slices is None or (isinstance(self.slices, tuple) and all(map(_is_pair, self.slices)))
        if named not in ((True, True, False), (False, False, True)) or self.slices == () or not pairs:
            raise TypeError("Sliced: takes by and num_slices, or slices, a mapping of the names of entries to slices")
        if self.min_examples < 0:
            raise ValueError(f"Sliced: min_examples is {self.min_examples}, but must be a number of examples")
        names = [column.name for column in (*self.columns, *_columns(self.metric))]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"Sliced: slices by {twice[0]!r} twice")
        check_parts_size(self, math.prod(column.size for column in self.columns), "slices")

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """How the examples are told apart: the axes of the value."""
        if self.slices is None:
            return (Ids(str(self.by), self.num_slices or 0, self.other),)
        return tuple(column_of(name, slices, self.other) for name, slices in self.slices)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What the slices along each axis are called."""
        return {column.name: column.labels for column in self.columns}

    def place(self, who: str, labels: str | tuple[str, ...]) -> tuple[int, ...]:
        """Where a slice stands along each axis, by its label or by a label for each column."""
        labels = (labels,) if isinstance(labels, str) else tuple(labels)
        if len(labels) != len(self.columns):
            raise ValueError(
                f"{who}: got the labels {labels}, but one is due for each of {_checks.listed(self.labels)}"
            )
        for label, column in zip(labels, self.columns, strict=True):
            if label not in column.labels:
                raise ValueError(
                    f"{who}: {label!r} is no slice of {column.name!r}; there are {_checks.listed(column.labels)}"
                )
        return tuple(column.labels.index(label) for label, column in zip(labels, self.columns, strict=True))

    def over(self, statistic: Statistic) -> Statistic:
        return functools.reduce(Slices, reversed(self.columns), statistic)

    def read_single(self, counts: Mapping[Any, Any]) -> Any:
        read = self.metric.read
        for _ in self.columns:
            read = functools.partial(along, read)
        value = read(counts)
        return value if not self.min_examples else shown(value, self.hidden(examples_of(counts)))

    def hidden(self, examples: Array) -> Array:
        """Which slices have too few examples to be shown, or would reveal one that has."""
        few = (examples > 0) & (examples < self.min_examples)
        if examples.ndim > 1:
            return few
        order = jnp.argsort(jnp.where(examples > 0, examples, jnp.inf))
        ascending = examples[order]
        before = jnp.cumsum(ascending) - ascending
        first = jnp.arange(examples.size) == 1
        more = few[order[0]] & (ascending > 0) & (first | (before < self.min_examples))
        return few | jnp.zeros_like(few).at[order].set(more)


def _is_pair(item: Any) -> bool:
    """Whether this is a name, and slices of it."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], tuple)


def examples_of(counts: Mapping[Any, Any]) -> Array:
    """The numbers of examples of what is counted, as floats; of several statistics the least."""
    if "examples" in counts:
        return counts["examples"].to_float()
    return functools.reduce(jnp.minimum, (each["examples"].to_float() for each in counts.values()))


def shown(value: Any, hidden: Array) -> Any:
    """The value with NaN in slices that are hidden; counts become floats."""

    def blank(leaf: Any) -> Array:
        number = leaf.to_float() if isinstance(leaf, Wide) else jnp.asarray(leaf)
        number = number if jnp.issubdtype(number.dtype, jnp.floating) else number.astype(float_dtype())
        return jnp.where(hidden.reshape(hidden.shape + (1,) * (number.ndim - hidden.ndim)), jnp.nan, number)

    return jax.tree.map(blank, value, is_leaf=lambda leaf: isinstance(leaf, Wide))


def _columns(metric: Metric) -> list[Column]:
    """The columns by which a metric slices already."""
    return [column for _, leaf in leaves(metric) if isinstance(leaf, Sliced) for column in leaf.columns]
