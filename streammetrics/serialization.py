"""States as bytes: versioned, checksummed, self-describing, and read without importing or unpickling anything.

The layout: `SMET`, the version (uint16), the length of the header (uint32), the header, the arrays one after another,
and the SHA-256 of all that. Numbers are little-endian. The header is JSON: the statistic as nested specifications, and
the name, dtype and shape of each array.
"""

import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _state, _statistic, _tasks, accumulators, statistics
from streammetrics._spec import contents, is_spec, rebuild
from streammetrics._state import State

MAGIC = b"SMET"
VERSION = 1
_HEAD = struct.Struct("<4sHI")
_DIGEST = hashlib.sha256().digest_size


def to_bytes(state: State) -> bytes:
    """A state as bytes: versioned, checksummed, self-describing, the same on every machine, with and without x64.

    Waits for the state's arrays. Raises `ValueError` for a state with an extra leading axis, or spread over processes.

    >>> import streammetrics as sm
    >>> metric = sm.Mean("loss")
    >>> state = sm.from_bytes(sm.to_bytes(metric.tally(loss=[1.0, 2.0])))
    >>> float(metric.compute(state))
    1.5
    """
    if not isinstance(state, State):
        raise TypeError(f"to_bytes: got {type(state).__name__}, but a State is due")
    _state.check(state, "to_bytes", state.statistic)
    arrays = {key: _little(array) for key, array in sorted(state.data.items())} | {"seen": _little(state.seen)}
    described = [{"name": key, "dtype": array.dtype.str, "shape": array.shape} for key, array in arrays.items()]
    header = json.dumps({"statistic": _described(state.statistic), "arrays": described}, separators=(",", ":")).encode()
    body = b"".join([_HEAD.pack(MAGIC, VERSION, len(header)), header, *(array.tobytes() for array in arrays.values())])
    return body + hashlib.sha256(body).digest()


def from_bytes(data: bytes, known: Iterable[type] = ()) -> State:
    """The state that `to_bytes` wrote.

    Names of specifications resolve among the library's own and `known`, the statistics of your own. Nothing is imported
    or unpickled. Raises `ValueError` for bytes that are truncated, altered, foreign, of a newer version, or of a
    specification that is not known.
    """
    if len(data) < _HEAD.size or data[:4] != MAGIC:
        raise ValueError("from_bytes: the bytes do not begin as those of to_bytes do; they are not a state's")
    _, version, length = _HEAD.unpack_from(data)
    if version > VERSION:
        raise ValueError(
            f"from_bytes: the bytes are of version {version}, but this library reads up to version {VERSION}"
        )
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(data) < _HEAD.size + length + _DIGEST or hashlib.sha256(body).digest() != digest:
        raise ValueError("from_bytes: the bytes are truncated or altered; their checksum does not match")
    header = json.loads(body[_HEAD.size : _HEAD.size + length])
    statistic = _specified(header["statistic"], _known(known))
    arrays = _arrays(header["arrays"], body[_HEAD.size + length :])
    state = State(statistic, {key: arrays[key] for key in arrays if key != "seen"}, arrays["seen"])
    _state.check(state, "from_bytes", statistic)
    dtypes = {array.dtype == accumulator.dtype for accumulator, array in _state.arrays(state)}
    if dtypes != {True}:
        raise ValueError(f"from_bytes: the arrays of {statistic!r} have other dtypes than it says")
    return state


def _little(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _arrays(described: list[dict[str, Any]], data: bytes) -> dict[str, Array]:
    arrays, start = {}, 0
    for each in described:
        dtype, shape = np.dtype(each["dtype"]), tuple(each["shape"])
        count = math.prod(shape)
        values = np.frombuffer(data, dtype, count, start).reshape(shape)
        arrays[each["name"]] = jnp.asarray(values.astype(dtype.newbyteorder("=")))
        start += count * dtype.itemsize
    return arrays


def _described(value: Any) -> Any:
    if is_spec(value):
        fields = {name: _described(entry) for name, entry in contents(value).items()}
        return {"spec": type(value).__name__, "fields": fields}
    if isinstance(value, tuple):
        return [_described(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return {"float": str(value)}  # JSON has no infinity
    return value


def _specified(value: Any, known: dict[str, type]) -> Any:
    if isinstance(value, list):
        return tuple(_specified(entry, known) for entry in value)
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    name, fields = value["spec"], value["fields"]
    if name not in known:
        raise ValueError(
            f"from_bytes: the state is of {name!r}, which is no specification of this library; "
            f"pass its class as from_bytes(data, known=({name},))"
        )
    cls = known[name]
    if unknown := sorted(set(fields) - {field.name for field in dataclasses.fields(cls)}):
        raise ValueError(f"from_bytes: {name} has no field {unknown[0]!r} here; the bytes are of another version of it")
    return rebuild(cls, {field: _specified(entry, known) for field, entry in fields.items()})


def _known(more: Iterable[type]) -> dict[str, type]:
    own = [getattr(module, name) for module in (accumulators, statistics) for name in module.__all__]
    classes = {cls.__name__: cls for cls in (*own, *_tasks.TASKS, _statistic.Joint)}
    for cls in more:
        if classes.setdefault(cls.__name__, cls) is not cls:
            raise ValueError(f"from_bytes: {cls.__name__} is also the name of another specification")
    return classes
