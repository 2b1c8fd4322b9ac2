"""Parquet, CSV and JSON lines, read by pyarrow one block after another."""

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streammetrics.command._columns import Entry, Place, Raw, Texts, check_names
from streammetrics.command._errors import Refused, needed, told_of

BLOCK = 2**22
"""How many bytes of a file are read at once."""


def arrow(module: str = "pyarrow") -> Any:
    """A module of pyarrow."""
    return needed(module, "files", "reading Parquet, CSV and JSON lines")


class Arrow(ABC):
    """A format that pyarrow reads."""

    @abstractmethod
    def names(self, path: str) -> list[str] | None:
        """The names of the columns; None where they cannot be known, without rows."""

    @abstractmethod
    def tables(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[Any]:
        """Record batches that hold the wanted columns."""

    def blocks(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[tuple[Place, dict[str, Raw]]]:
        """The wanted columns, at most so many rows at a time."""
        place, broken = Place(path, 1), arrow().ArrowException
        with told_of(path, broken):
            for table in self.tables(path, wanted, rows):
                for start in range(0, table.num_rows, rows):
                    part = table.slice(start, rows)
                    yield place, {name: raw(name, part.column(name), entry, place) for name, entry in wanted.items()}
                    place = place._replace(row=place.row + part.num_rows)


class Parquet(Arrow):
    """Parquet files, whose pages are decoded as they are needed."""

    def names(self, path: str) -> list[str]:
        with self._open(path) as file:
            return file.schema_arrow.names

    def tables(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[Any]:
        with self._open(path) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(wanted))

    def _open(self, path: str) -> Any:
        # Without these a whole row group would be held.
        with told_of(path, arrow().ArrowException):
            return arrow("pyarrow.parquet").ParquetFile(path, buffer_size=BLOCK // 4, pre_buffer=False)


class Csv(Arrow):
    """Text with a delimiter and a header."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter

    def names(self, path: str) -> list[str]:
        arrow()
        with told_of(path, UnicodeDecodeError):
            return next(self._lines(path), [])

    def tables(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[Any]:
        pa, reader = arrow(), arrow("pyarrow.csv")
        # Labels may be text or numbers, and what the first block holds would not decide it for the others.
        kinds = {True: pa.dictionary(pa.int32(), pa.string()), False: pa.float64()}
        types = {name: kinds[entry.labels] for name, entry in wanted.items()}
        try:
            yield from reader.open_csv(
                path,
                reader.ReadOptions(block_size=BLOCK),
                reader.ParseOptions(delimiter=self.delimiter),
                reader.ConvertOptions(include_columns=list(wanted), column_types=types),
            )
        except pa.ArrowInvalid as error:
            self._find(path, str(error))
            raise

    def _find(self, path: str, message: str) -> None:
        """Says where the value is that is no number: pyarrow names neither the row nor the column."""
        found = re.search(r"CSV column #(\d+): .*conversion error to \w+: invalid value '(.*)'", message)
        if found is None:
            return
        column, value = int(found[1]), found[2].strip()
        lines = self._lines(path)
        name = next(lines)[column]
        for index, line in enumerate(lines):
            if line and line[column].strip() == value:
                raise Refused(f"column {name!r} has {value!r} in {Place(path, 1).at(index)}, but must hold numbers")

    def _lines(self, path: str) -> Iterator[list[str]]:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, delimiter=self.delimiter)


class JsonLines(Arrow):
    """An object on each line."""

    def names(self, path: str) -> list[str] | None:
        with told_of(path, arrow().ArrowException):
            return next((table.schema.names for table in self.tables(path, {}, 0)), None)

    def tables(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[Any]:
        pa, reader = arrow(), arrow("pyarrow.json")
        place = Place(path, 1)
        with open(path, "rb") as file:
            while lines := file.readlines(BLOCK):
                data = b"".join(line for line in lines if not line.isspace())
                if not data:
                    continue
                try:
                    options = reader.ReadOptions(use_threads=False, block_size=len(data) + 1)
                    table = reader.read_json(pa.BufferReader(data), options)
                except pa.ArrowInvalid as error:
                    found = re.fullmatch(r"(.*) in row (\d+)", str(error))
                    raise Refused(f"{found[1]} in {place.at(int(found[2]))}") if found else error from error
                check_names(path, table.schema.names, wanted)
                yield from table.to_batches()
                place = place._replace(row=place.row + table.num_rows)


def raw(name: str, array: Any, entry: Entry, place: Place) -> Raw:
    """A column of pyarrow's in numpy: what is missing among numbers is NaN, so that integers become floats."""
    pa = arrow()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind, of = array.type, pa.types
    if of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind):
        return _lists(name, array, entry, place)
    if of.is_dictionary(kind) and not _is_text(kind.value_type):
        return raw(name, array.dictionary_decode(), entry, place)
    if _is_text(kind) or of.is_dictionary(kind):
        encoded = array.dictionary_encode()
        return Texts(encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist())
    if of.is_null(kind):
        return np.full(len(array), np.nan)
    if of.is_boolean(kind):
        array = array.cast(pa.int8())
    elif of.is_decimal(kind):
        array = array.cast(pa.float64())
    elif not (of.is_integer(kind) or of.is_floating(kind)):
        raise Refused(f"{place.path}: column {name!r} holds {kind}, but {entry.option} takes numbers")
    return array.to_numpy(zero_copy_only=False)


def _is_text(kind: Any) -> bool:
    of = arrow().types
    return of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)


def _lists(name: str, array: Any, entry: Entry, place: Place) -> np.ndarray:
    """Lists of one length as rows of a table; a missing one is a row of NaN."""
    lengths = arrow("pyarrow.compute").list_value_length(array).to_numpy(zero_copy_only=False)
    there = np.asarray(array.is_valid())
    width = entry.width or 1
    if (wrong := there & (lengths != width)).any():
        first = int(np.argmax(wrong))
        raise Refused(f"column {name!r} has a list of {int(lengths[first])} in {place.at(first)}, but {width} are due")
    values = raw(name, array.flatten(), entry, place)
    if isinstance(values, Texts):
        raise Refused(f"{place.path}: column {name!r} holds lists of text, but {entry.option} takes numbers")
    if there.all():
        return values.reshape(-1, width)
    rows = np.full((len(array), width), np.nan)
    rows[there] = values.reshape(-1, width)
    return rows
