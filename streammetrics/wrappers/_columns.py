"""How a column of a batch tells the slices apart."""

import itertools
import math
from abc import abstractmethod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks
from streammetrics._spec import spec
from streammetrics.statistics._distributions import ascending, floored, narrow
from streammetrics.wrappers._base import widened


@spec
class Column:
    """An entry that says in which slice an example is; with `other`, what is in none of those declared has its own."""

    name: str

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """What the slices are called, "other" last."""

    @property
    def size(self) -> int:
        return len(self.labels)

    @abstractmethod
    def found(self, entry: Array) -> Array:
        """The slice of each example, int32; −1 for none, and the number of slices where it is not known."""

    def prepared(self, entry: Any) -> Any:
        """The entry as an array that JAX can hold."""
        return entry


def _integers(column: Column, entry: Array) -> Array:
    """The integers of an entry, wide enough for the number of slices."""
    if entry.dtype != bool and not jnp.issubdtype(entry.dtype, jnp.integer):
        _checks.refuse(TypeError, f"{column.name} has dtype {entry.dtype}, but slices are told by integers")
    return widened(entry)


def _placed(ids: Array, declared: Array, place: Array, size: int) -> Array:
    """The places of ids that are declared; of the others −1 is in no slice, and the rest is not known."""
    none = (ids == -1) if jnp.issubdtype(ids.dtype, jnp.signedinteger) else jnp.zeros(ids.shape, bool)
    return jnp.where(declared, place.astype(jnp.int32), jnp.where(none, -1, size).astype(jnp.int32))


def _index(ids: Array, size: int) -> Array:
    """The slices of ids that are their places."""
    return _placed(ids, (ids >= 0) & (ids < size), ids, size)


@spec
class Ids(Column):
    """Slices 0 … count − 1."""

    count: int
    other: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"Sliced: num_slices is {self.count}, but must be 1 or more")

    @property
    def labels(self) -> tuple[str, ...]:
        return (*map(str, range(self.count)), *OTHER[: self.other])

    def found(self, entry: Array) -> Array:
        return _index(_integers(self, entry), self.count)


@spec
class Names(Column):
    """Slices by name: the entry holds the places of the names, or in numpy and lists the names themselves."""

    names: tuple[str, ...]
    other: bool = False

    def __post_init__(self) -> None:
        _distinct(self)

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.names, *OTHER[: self.other])

    def prepared(self, entry: Any) -> Any:
        if isinstance(entry, Array) or _checks.host_kind(entry) not in "UO":
            return entry
        order = np.argsort(self.names)
        ranked, given = np.asarray(self.names)[order], np.asarray(entry).astype(str)
        place = np.minimum(np.searchsorted(ranked, given), len(ranked) - 1)
        return np.where(ranked[place] == given, order[place], len(ranked)).astype(np.int32)

    def found(self, entry: Array) -> Array:
        return _index(_integers(self, entry), len(self.names))


@spec
class Values(Column):
    """Slices by the integers that the entry holds, such as years."""

    values: tuple[int, ...]
    other: bool = False

    def __post_init__(self) -> None:
        _distinct(self)

    @property
    def labels(self) -> tuple[str, ...]:
        return (*map(str, self.values), *OTHER[: self.other])

    def found(self, entry: Array) -> Array:
        ids = _integers(self, entry)
        kind, size = jnp.iinfo(ids.dtype), len(self.values)
        # What the dtype cannot hold is in no entry; behind the others stands one whose place is not known.
        order = [i for i in sorted(range(size), key=self.values.__getitem__) if kind.min <= self.values[i] <= kind.max]
        known = jnp.asarray(np.array([*(self.values[i] for i in order), 0], ids.dtype))
        found = jnp.searchsorted(known[:-1], ids)
        return _placed(ids, known[found] == ids, jnp.asarray([*order, size], jnp.int32)[found], size)


@spec
class Edges(Column):
    """Slices of a number between edges: each holds its lower edge, the last one its upper edge too.

    Floats are compared in float32, to which the edges are rounded; integers with the edges as they are.
    """

    edges: tuple[float, ...]
    other: bool = False

    def __post_init__(self) -> None:
        if not ascending(self.edges):
            raise ValueError(
                f"Sliced: the edges of {self.name} are {self.edges}, but must be two or more that ascend, in float32 "
                "too"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        # As few digits as tell them apart; 17 tell any two numbers.
        every = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(6, 18))
        texts = next(each for each in every if len(set(each)) == len(each))
        return (*(f"{low} – {high}" for low, high in itertools.pairwise(texts)), *OTHER[: self.other])

    def found(self, entry: Array) -> Array:
        passed = self._passed(widened(entry)) if jnp.issubdtype(entry.dtype, jnp.integer) else self._rounded(entry)
        # What has passed no edge is in no slice, nor is NaN and what has passed all.
        return jnp.where(passed == 0, len(self.edges) - 1, passed - 1).astype(jnp.int32)

    def _rounded(self, numbers: Array) -> Array:
        """How many edges each number has passed; the last one when it is above it."""
        edges, (numbers, _) = narrow(self.edges), floored(numbers)
        return jnp.searchsorted(edges, numbers, side="right") - (numbers == edges[-1]).astype(jnp.int32)

    def _passed(self, integers: Array) -> Array:
        """The same of integers: these have passed an edge from the next integer on."""
        finite = np.clip(self.edges, -(2.0**64), 2.0**64).tolist()
        cuts, kind = [*map(math.ceil, finite[:-1]), math.floor(finite[-1]) + 1], jnp.iinfo(integers.dtype)
        always = sum(cut <= kind.min for cut in cuts)
        within = np.array([cut for cut in cuts if kind.min < cut <= kind.max], integers.dtype)
        return always + jnp.searchsorted(within, integers, side="right")


OTHER = ("other",)


def _distinct(column: Names | Values) -> None:
    """Slices must be there, and have labels of their own."""
    labels = column.labels
    if column.size == column.other or len(set(labels)) < len(labels):
        raise ValueError(f"Sliced: the slices of {column.name} are {labels}, but must be one or more that differ")


def column_of(name: Any, slices: Any, other: bool) -> Column:
    """The column of what a user writes: names, integers, or floats, which are edges."""
    if isinstance(slices, Column):
        return slices
    values = tuple(slices)
    if all(isinstance(value, str) for value in values):
        return Names(name, values, other)
    if any(isinstance(value, bool) for value in values):
        raise TypeError(
            f"Sliced: the slices of {name!r} are {slices!r}, but must be names, integers, or edges (floats); (0, 1) "
            "are those of a boolean entry"
        )
    if all(isinstance(value, int) for value in values):
        return Values(name, values, other)
    if all(isinstance(value, int | float) for value in values):
        return Edges(name, values, other)
    raise TypeError(f"Sliced: the slices of {name!r} are {slices!r}, but must be names, integers, or edges (floats)")
