"""npz files, of which rows are read one block after another."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from streammetrics._checks import listed
from streammetrics.command._columns import Entry, Place, Raw, Texts
from streammetrics.command._errors import Refused, told_of

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError)


class Npz:
    """Arrays with the rows as leading axis, as `numpy.savez` and `numpy.savez_compressed` write them."""

    def names(self, path: str) -> list[str]:
        """The names of the arrays."""
        with told_of(path, *BROKEN), zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]

    def blocks(self, path: str, wanted: Mapping[str, Entry], rows: int) -> Iterator[tuple[Place, dict[str, Raw]]]:
        """The wanted arrays, so many rows at a time."""
        with told_of(path, *BROKEN), contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(path))
            members = {name: Member(stack.enter_context(archive.open(f"{name}.npy")), name, path) for name in wanted}
            lengths = {name: member.shape[0] for name, member in members.items()}
            if len(set(lengths.values())) != 1:
                told = listed(f"{length:,} in {name!r}" for name, length in lengths.items())
                raise Refused(f"{path}: the arrays must have the same number of rows, but there are {told}")
            (length,) = set(lengths.values())
            for start in range(0, length, rows):
                count = min(rows, length - start)
                yield Place(path, start + 1), {name: member.read(count) for name, member in members.items()}


class Member:
    """One array of an archive, read from its first row to its last."""

    def __init__(self, file: IO[bytes], name: str, path: str) -> None:
        self.file, self.name, self.path = file, name, path
        version = npy.read_magic(file)
        if version not in HEADERS:
            raise Refused(f"{path}: array {name!r} is in version {version} of numpy's format, which is not known")
        self.shape, fortran, self.dtype = HEADERS[version](file)
        if self.dtype.kind not in "biufU":
            kind = "Python objects" if self.dtype.hasobject else f"values of dtype {self.dtype}"
            raise Refused(f"{path}: array {name!r} holds {kind}, but numbers or text are due")
        if len(self.shape) not in (1, 2):
            raise Refused(f"{path}: array {name!r} has shape {self.shape}, but rows of one or several values are due")
        if fortran:
            raise Refused(
                f"{path}: array {name!r} is in Fortran order, of which no rows can be streamed; "
                f"save numpy.ascontiguousarray({name})"
            )

    def read(self, rows: int) -> Raw:
        """The next rows."""
        shape = (rows, *self.shape[1:])
        size = int(np.prod(shape)) * self.dtype.itemsize
        data = self.file.read(size)
        if len(data) != size:
            raise Refused(f"{self.path}: array {self.name!r} ends before its last row")
        array: Any = np.frombuffer(data, self.dtype).reshape(shape)
        if self.dtype.kind != "U":
            return array
        values, codes = np.unique(array, return_inverse=True)
        return Texts(codes.reshape(shape), values.tolist())
