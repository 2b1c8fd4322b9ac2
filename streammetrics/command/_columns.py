"""Columns as they come from a file, made what a metric takes."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from streammetrics.command._errors import Refused, quoted

LIMITS = np.iinfo(np.int32)
NO_CLASS = LIMITS.min
"""What stands for a missing label, and for one that is no whole number: a metric counts it among what is no class."""

MISSING = ("", "NA", "N/A", "null", "NULL", "None", "nan", "NaN")
TRUTH = {"false": 0, "true": 1}


class Texts(NamedTuple):
    """A column of text: of each row the place of its text in `values`, −1 where it is missing."""

    codes: np.ndarray
    values: list[str]


Raw = np.ndarray | Texts
"""A column: numbers, missing ones NaN, a row of them for each row of the file where the column holds lists; or text."""


class Place(NamedTuple):
    """Where rows begin in a file; the first of the file is row 1."""

    path: str
    row: int

    def at(self, index: int) -> str:
        """A row from here, in words."""
        return f"row {self.row + index:,} of {self.path}"


class Entry(NamedTuple):
    """An entry of the batch: which columns it is made of, and what they hold."""

    option: str
    columns: tuple[str, ...]
    width: int | None
    """How many values a row has; None where it is one value by itself."""
    dtype: Any
    """Of scores and weights; int32 says that they are labels."""
    names: tuple[str, ...] = ()
    """Of the classes, where labels may be text."""

    @property
    def labels(self) -> bool:
        """Whether the columns hold labels."""
        return self.dtype == np.int32

    def of(self, columns: Mapping[str, Raw], place: Place) -> np.ndarray:
        """The entry of rows that begin at a place."""
        convert = _labels if self.labels else _numbers
        arrays = [self._shaped(name, convert(self, name, columns[name], place), place) for name in self.columns]
        return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)

    def _shaped(self, name: str, array: np.ndarray, place: Place) -> np.ndarray:
        lists = len(self.columns) == 1 and self.width is not None
        if not lists and array.shape == (len(array), 1):
            return array[:, 0]
        due = (len(array), self.width) if lists else (len(array),)
        if array.shape != due:
            has = f"{array.shape[1]} values" if array.ndim == 2 else "one value"
            takes = f"{self.width}, in one column of lists or in a column each" if lists else "one"
            raise Refused(f"{place.path}: column {name!r} has {has} a row, but {self.option} takes {takes}")
        return array


def check_names(path: str, names: Iterable[str], wanted: Iterable[str]) -> None:
    """The columns that are wanted must be there."""
    names = list(names)
    if missing := [name for name in wanted if name not in names]:
        raise Refused(f"{path}: there is no column {missing[0]!r}; it has {quoted(names)}")


def _numbers(entry: Entry, name: str, raw: Raw, place: Place) -> np.ndarray:
    if isinstance(raw, Texts):
        raise Refused(f"{place.path}: column {name!r} holds text, but {entry.option} takes numbers")
    with np.errstate(over="ignore"):
        numbers = raw.astype(entry.dtype)
    if entry.dtype == np.float32:  # rounding is meant, infinity is not
        changed, kind = np.isinf(numbers) & np.isfinite(raw), "beyond the range of float32"
    else:
        changed, kind = (numbers.astype(np.float64) != raw) & ~np.isnan(raw), f"no value of --bins {entry.dtype}"
    if changed.any():
        first = int(np.argwhere(changed)[0][0])
        value = np.atleast_1d(raw[first])[np.atleast_1d(changed[first])][0]
        raise Refused(f"column {name!r} has {value} in {place.at(first)}, which is {kind}")
    return numbers


def _labels(entry: Entry, name: str, raw: Raw, place: Place) -> np.ndarray:
    if isinstance(raw, Texts):
        return _named(entry, name, raw, place)
    if raw.dtype.kind == "f":
        raw = raw.astype(np.float64)
        known = (raw == np.trunc(raw)) & (np.abs(raw) <= LIMITS.max)
    else:
        known = (raw >= LIMITS.min) & (raw <= LIMITS.max)
    return np.where(known, raw, NO_CLASS).astype(np.int32)


def _named(entry: Entry, name: str, texts: Texts, place: Place) -> np.ndarray:
    ids = [_id(entry, value) for value in texts.values]
    for code, known in enumerate(ids):
        if known is None and len(rows := np.argwhere(texts.codes == code)):
            due = f"--class-names has {quoted(entry.names)}" if entry.names else "text needs --class-names"
            value = texts.values[code]
            raise Refused(f"column {name!r} has {value!r} in {place.at(int(rows[0][0]))}, but {due}")
    return np.array([*(0 if known is None else known for known in ids), NO_CLASS], np.int32)[texts.codes]


def _id(entry: Entry, text: str) -> int | None:
    """The class of a text: by its number, else by its name; None where it is neither."""
    try:
        number = float(text)
    except ValueError:
        if text in entry.names:
            return entry.names.index(text)
        return NO_CLASS if text in MISSING else TRUTH.get(text.lower())
    return int(number) if number.is_integer() and abs(number) <= LIMITS.max else NO_CLASS
