"""Specifications: frozen values that configure, compare by content and cross `jit` without leaves."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

T = TypeVar("T")

_PLAIN = re.compile(r"\b(bool|int|float|str|tuple|None)\b")
_ENTRIES = re.compile(r"tuple\[(.*)\]")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def spec(cls: type[T]) -> type[T]:
    """A class decorator: a frozen dataclass, equal by content, hashable, a pytree without leaves.

    Fields hold `bool`, `int`, `float`, `str`, `None`, tuples of these, and other specifications; nothing else.
    They are brought to one form before `__post_init__` runs (`1` becomes `1.0` where the annotation says `float`,
    lists become tuples, mappings tuples of their items, numpy scalars Python's), so that equal contents are equal, hash
    equal and print equal.
    The `repr` is the constructor, without the fields that have their default.

    Raises `TypeError` for a field of another kind and `ValueError` for NaN.
    """
    if "__post_init__" in cls.__dict__:
        cls._spec_check = cls.__dict__["__post_init__"]  # pyright: ignore[reportAttributeAccessIssue]  # ours alone

    def __post_init__(self: Any) -> None:
        for field in dataclasses.fields(self):
            value = _canonical(getattr(self, field.name), str(field.type), self, field.name)
            object.__setattr__(self, field.name, value)
        for base in reversed(type(self).__mro__):  # the checks of base classes hold for their subclasses
            if "_spec_check" in base.__dict__:
                base.__dict__["_spec_check"](self)
        object.__setattr__(self, "_made", True)

    methods = {
        "__post_init__": __post_init__,
        "__repr__": _repr,
        "__eq__": _eq,
        "__hash__": _hash,
        "__reduce__": _reduce,
        "__setattr__": _set,
        "__delattr__": _set,
        "__spec__": True,
    }
    for name, method in methods.items():
        # What a class or its base gives of its own stays.
        if name == "__post_init__" or getattr(cls, name, None) in (getattr(object, name, None), method):
            setattr(cls, name, method)
    # Every class that `dataclass` makes takes its part of our import: it is spared where all is inherited, and so are
    # the two methods that `frozen=True` would compile for each.
    if inspect.get_annotations(cls) or not dataclasses.is_dataclass(cls):
        cls = dataclasses.dataclass(repr=False, eq=False)(cls)
    return jax.tree_util.register_static(cls)


def is_spec(value: object) -> bool:
    """Whether a value is an instance of a specification."""
    return getattr(type(value), "__spec__", False)


def contents(value: Any) -> dict[str, Any]:
    """The fields of a specification by name."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def rebuild(cls: type[T], fields: dict[str, Any]) -> T:
    """The specification with the given contents: the inverse of `contents`."""
    return cls(**fields)


def _canonical(value: Any, annotation: str, owner: Any, name: str) -> Any:
    """The one form of a value of a field that is annotated so."""
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    entries = _ENTRIES.search(annotation)
    if isinstance(value, Mapping):
        value = tuple(value.items())
    kinds = set(_PLAIN.findall(_ENTRIES.sub("tuple", annotation)))  # none of `Any` and of specifications
    if isinstance(value, list | tuple) and (not kinds or "tuple" in kinds):
        return tuple(_canonical(entry, entries[1] if entries else "", owner, name) for entry in value)
    due = sorted(kinds - {"None"})
    wrong = TypeError(
        f"{type(owner).__name__}: {name} is {value!r} of type {type(value).__name__}, "
        f"but must be {' or '.join(due) or 'a specification'}"
    )
    if value is None and kinds and "None" not in kinds:
        raise wrong
    if value is None or is_spec(value):
        return value
    if isinstance(value, bool | str):
        if kinds and type(value).__name__ not in kinds:
            raise wrong
        return value
    if isinstance(value, int):
        if kinds and not kinds & {"int", "float"}:
            raise wrong
        return value if "int" in kinds or not kinds else float(value)
    if isinstance(value, float):
        if kinds and "float" not in kinds:
            raise wrong
        if value != value:
            raise ValueError(f"{type(owner).__name__}: {name} is NaN, but must be a number")
        return value + 0.0  # -0.0 equals 0.0, so it must print alike
    raise wrong


def _set(self: Any, name: str, *value: Any) -> None:
    """Sets a field while the specification is made; afterwards nothing can be set or deleted."""
    if "_made" in self.__dict__:
        raise dataclasses.FrozenInstanceError(f"{self!r}: cannot change {name!r}: specifications are values")
    object.__setattr__(self, name, *value)


def _key(self: Any) -> tuple[Any, ...]:
    return _remembered(self, "_key", lambda: tuple(contents(self).values()))


def _eq(self: Any, other: object) -> bool:
    if self is other:
        return True
    if type(self) is not type(other):
        return NotImplemented
    mine, others = _key(self), _key(other)
    if mine is not others:
        if hash(self) != hash(other) or mine != others:
            return False
        object.__setattr__(other, "_key", mine)  # from now on they are found equal at once
    return True


def _hash(self: Any) -> int:
    return _remembered(self, "_hash", lambda: hash((type(self).__name__, _key(self))))


def _remembered(self: Any, name: str, compute: Callable[[], Any]) -> Any:
    # Eager calls hash and compare their specifications every time, so each instance remembers. Strings hash anew in
    # every process: what is remembered is not part of the contents and never travels with a pickle.
    try:
        return self.__dict__[name]
    except KeyError:
        value = compute()
        object.__setattr__(self, name, value)
        return value


def _repr(self: Any) -> str:
    shown = []
    for field in sorted(dataclasses.fields(self), key=lambda field: bool(field.kw_only)):  # positional ones first
        value = getattr(self, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            shown.append(f"{field.name}={value!r}")
    return f"{type(self).__name__}({', '.join(shown)})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return rebuild, (type(self), contents(self))
