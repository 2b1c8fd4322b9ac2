"""Bytes with a checksum, and files that are whole or not there.

The layout: four letters, the version (uint16), the length of the header (uint32), the header as JSON, what it
describes, and the SHA-256 of all that. Numbers are little-endian.
"""

import hashlib
import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = struct.Struct("<4sHI")
_DIGEST = hashlib.sha256().digest_size


class Kind(NamedTuple):
    """What such bytes hold."""

    letters: bytes
    version: int
    what: str


def seal(kind: Kind, header: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """The bytes of a header and of what follows it."""
    text = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join([_HEAD.pack(kind.letters, kind.version, len(text)), text, *parts])
    return body + hashlib.sha256(body).digest()


def unseal(kind: Kind, data: bytes, who: str) -> tuple[int, dict[str, Any], bytes]:
    """The version, the header, and what follows it.

    Raises `ValueError` for bytes that are truncated, altered, foreign or of a later version.
    """
    if len(data) < _HEAD.size or data[:4] != kind.letters:
        raise ValueError(
            f"{who}: the bytes begin with {data[:4]!r}, but those of {kind.what} begin with {kind.letters!r}"
        )
    _, version, length = _HEAD.unpack_from(data)
    if version > kind.version:
        raise ValueError(
            f"{who}: the bytes are of version {version}, but this library reads up to version {kind.version}"
        )
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(data) < _HEAD.size + length + _DIGEST or hashlib.sha256(body).digest() != digest:
        raise ValueError(f"{who}: the bytes are truncated or altered; their checksum does not match")
    return version, json.loads(body[_HEAD.size : _HEAD.size + length]), body[_HEAD.size + length :]


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """A file with these bytes: it is the old one or the new one whole, also where the process is killed meanwhile."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
