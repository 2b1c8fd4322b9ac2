"""Files as one stream of batches in constant memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from streammetrics.command._arrow import Csv, JsonLines, Parquet
from streammetrics.command._columns import Entry, Place, Raw, check_names
from streammetrics.command._errors import Refused, quoted
from streammetrics.command._npz import Npz

Batch = dict[str, np.ndarray]

VALUES, MOST_ROWS, LEAST_ROWS = 2**21, 2**16, 2**5
"""How many values, and rows, a batch has at most, and how many rows at least."""


class Format(Protocol):
    """How files of a kind are read."""

    def names(self, path: str) -> list[str] | None:
        """The names of the columns; None where they cannot be known, without rows."""
        ...

    def blocks(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[tuple[Place, dict[str, Raw]]]:
        """The wanted columns, at most so many rows at a time, and where these begin."""
        ...


def format_of(path: str) -> Format:
    """How a file is read, by the end of its name."""
    formats: dict[str, Format] = {
        ".parquet": Parquet(),
        ".pq": Parquet(),
        ".csv": Csv(","),
        ".tsv": Csv("\t"),
        ".jsonl": JsonLines(),
        ".ndjson": JsonLines(),
        ".json": JsonLines(),
        ".npz": Npz(),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise Refused(f"{path}: the name ends in {suffix!r}, but files of {quoted(formats)} are read")
    return formats[suffix]


class Source:
    """The batches of all files, as often as they are iterated over.

    Only the columns of the entries are read. Every batch but the last has `rows` rows, however the files are cut into
    blocks and row groups. Raises `Refused` at once for a file that is not there or lacks a column.
    """

    def __init__(self, paths: Sequence[str], entries: Mapping[str, Entry]) -> None:
        self.paths, self.entries = paths, entries
        self.wanted = {name: entry for entry in entries.values() for name in entry.columns}
        width = sum(entry.width or 1 for entry in entries.values())
        # A power of two, so that devices share it evenly.
        self.rows = max(LEAST_ROWS, min(MOST_ROWS, 1 << (VALUES // width).bit_length() - 1))
        for path in paths:
            names = format_of(path).names(path)
            if names is not None:
                check_names(path, names, self.wanted)

    def placed(self) -> Iterator[tuple[Place, Batch]]:
        """The batches as they lie in the files, of at most `rows` rows, and where each begins."""
        for path in self.paths:
            for place, columns in format_of(path).blocks(path, self.wanted, self.rows):
                yield place, {name: entry.of(columns, place) for name, entry in self.entries.items()}

    def __iter__(self) -> Iterator[Batch]:
        return _cut((batch for _, batch in self.placed()), self.rows)


def rows_of(batch: Batch) -> int:
    """The number of rows."""
    return len(next(iter(batch.values())))


def _cut(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The same rows in batches of one size, but for the last."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(rows_of, held)) >= rows:
            whole = _joined(held)
            yield {name: array[:rows] for name, array in whole.items()}
            held = [{name: array[rows:] for name, array in whole.items()}]
    if held and rows_of(last := _joined(held)):
        yield last


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
