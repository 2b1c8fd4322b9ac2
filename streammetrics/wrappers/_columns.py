"""How a column of a batch tells the slices apart."""

from abc import abstractmethod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks
from streammetrics._spec import spec


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


def _index(entry: Array, known: int) -> Array:
    """Ids as they are; those that name no slice as the number of slices."""
    ids = entry.astype(jnp.int32) if entry.dtype.itemsize < 4 or entry.dtype == bool else entry
    none = (ids == -1) if jnp.issubdtype(ids.dtype, jnp.signedinteger) else jnp.zeros(ids.shape, bool)
    fits = (ids >= 0) & (ids < known)
    return jnp.where(none, -1, jnp.where(fits, ids, ids.dtype.type(known)).astype(jnp.int32))


def _integers(column: Column, entry: Array) -> None:
    if entry.dtype != bool and not jnp.issubdtype(entry.dtype, jnp.integer):
        _checks.refuse(TypeError, f"{column.name} has dtype {entry.dtype}, but slices are told by integers")


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
        _integers(self, entry)
        return _index(entry, self.count)


@spec
class Names(Column):
    """Slices by name: the entry holds the places of the names, or in numpy and lists the names themselves."""

    names: tuple[str, ...]
    other: bool = False

    def __post_init__(self) -> None:
        _distinct(self.name, self.names)

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
        _integers(self, entry)
        return _index(entry, len(self.names))


@spec
class Values(Column):
    """Slices by the integers that the entry holds, such as years."""

    values: tuple[int, ...]
    other: bool = False

    def __post_init__(self) -> None:
        _distinct(self.name, self.values)

    @property
    def labels(self) -> tuple[str, ...]:
        return (*map(str, self.values), *OTHER[: self.other])

    def found(self, entry: Array) -> Array:
        _integers(self, entry)
        wide = entry.astype(jnp.int32) if entry.dtype.itemsize < 4 or entry.dtype == bool else entry
        order = np.argsort(self.values)
        ranked = np.asarray(self.values)[order]
        known = jnp.asarray(ranked.astype(np.int32)).astype(wide.dtype)
        place = jnp.minimum(jnp.searchsorted(known, wide), len(ranked) - 1)
        hit = known[place] == wide
        missing = (
            jnp.where(wide == -1, -1, len(ranked)) if jnp.issubdtype(wide.dtype, jnp.signedinteger) else len(ranked)
        )
        return jnp.where(hit, jnp.asarray(order.astype(np.int32))[place], missing).astype(jnp.int32)


@spec
class Edges(Column):
    """Slices of a number between edges: each holds its lower edge, the last one its upper edge too."""

    edges: tuple[float, ...]
    other: bool = False

    def __post_init__(self) -> None:
        ascending = all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False))
        if len(self.edges) < 2 or not ascending:
            raise ValueError(f"Sliced: the edges of {self.name} are {self.edges}, but must be two or more that ascend")

    @property
    def labels(self) -> tuple[str, ...]:
        pairs = zip(self.edges, self.edges[1:], strict=False)
        return (*(f"{low:g} – {high:g}" for low, high in pairs), *OTHER[: self.other])

    def found(self, entry: Array) -> Array:
        number, edges = entry.astype(jnp.float32), jnp.asarray(self.edges, jnp.float32)
        size = len(self.edges) - 1
        index = jnp.searchsorted(edges, number, side="right").astype(jnp.int32) - 1
        index = jnp.where(number == edges[-1], size - 1, index)
        known = (number >= edges[0]) & (number <= edges[-1])
        return jnp.where(known, index, size)


OTHER = ("other",)


def _distinct(name: str, values: tuple[Any, ...]) -> None:
    if not values or len(set(values)) < len(values):
        raise ValueError(f"Sliced: the slices of {name} are {values}, but must be one or more that differ")


def column_of(name: Any, slices: Any, other: bool) -> Column:
    """The column of what a user writes: names, integers, or edges as `sm.edges` marks them."""
    if isinstance(slices, Column):
        return slices
    values = tuple(slices)
    if all(isinstance(value, str) for value in values):
        return Names(name, values, other)
    if all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in values):
        return Values(name, values, other)
    if all(isinstance(value, int | float | np.number) for value in values):
        return Edges(name, values, other)
    raise TypeError(f"Sliced: the slices of {name!r} are {slices!r}, but must be names, integers, or edges (floats)")
