"""Values by name as plain Python: taken from what `compute` gives, compared, and written as JSON."""

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streammetrics._checks import refuse

Record = dict[str, Any]  # Python's numbers, and nested lists of them, by name
_NO_NUMBERS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}  # what JSON has no number for


def integer(epoch: Any) -> int:
    """An epoch as Python's integer: of numpy or of a device too, but no float and no bool, and of 64 bits."""
    try:
        found = None if isinstance(epoch, bool) else operator.index(epoch)
    except TypeError:
        found = None
    if found is None:
        refuse(TypeError, f"epoch is {brief(epoch)}, but must be an integer")
    if not -(2**63) <= found < 2**63:
        refuse(ValueError, f"epoch is {brief(epoch)}, but must be an integer of 64 bits")
    return found


def record(values: Mapping[Any, Any]) -> Record:
    """The entries of nested dicts by their paths, each checked."""
    found: Record = {}
    for name, value in _flat(values):
        if name in found:
            refuse(ValueError, f"{name!r} is the name of two values")
        found[name] = number(name, value)
    return found


def number(name: str, value: Any) -> Any:
    """A value, which must be a number or lists as of an array of numbers."""
    try:
        kind = np.asarray(value).dtype.kind
    except ValueError:  # lists of different lengths
        kind = "O"
    if kind not in "buif":
        refuse(TypeError, f"{name} is {brief(value)}, but must be a number or an array of numbers")
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, NaN equal to NaN."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def worded(value: Any) -> Any:
    """The value as JSON can hold it."""
    if isinstance(value, list):
        return [worded(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return next(word for word, number in _NO_NUMBERS.items() if same(number, value))
    return value


def unworded(value: Any) -> Any:
    """The inverse of `worded`."""
    if isinstance(value, list):
        return [unworded(entry) for entry in value]
    return _NO_NUMBERS.get(value, value) if isinstance(value, str) else value


def brief(value: Any) -> str:
    """What came, for an error."""
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _flat(values: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if not isinstance(key, str):
            refuse(TypeError, f"{key!r} is the name of a value, but must be a str")
        name = f"{path}.{key}" if path else key
        yield from _flat(value, name) if isinstance(value, Mapping) else [(name, value)]
