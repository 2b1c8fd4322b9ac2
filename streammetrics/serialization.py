"""States as bytes and files: versioned, checksummed, self-describing, read without importing or unpickling anything.

The header holds the statistic as nested specifications, and the name, dtype and shape of each array; the arrays follow
one after another, little-endian.
"""

import dataclasses
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _state, _statistic, _tasks, accumulators, statistics, wrappers
from streammetrics._container import Kind, seal, unseal, write
from streammetrics._spec import contents, is_spec, rebuild
from streammetrics._state import State

STATE = Kind(b"SMET", 2, "a state")
"""Version 1 did not count which examples are not independent."""


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
    header = {"statistic": _described(state.statistic), "arrays": described}
    return seal(STATE, header, [array.tobytes() for array in arrays.values()])


def from_bytes(data: bytes, known: Iterable[type] = ()) -> State:
    """The state that `to_bytes` wrote.

    Names of specifications resolve among the library's own and `known`, the statistics of your own. Nothing is imported
    or unpickled. Raises `ValueError` for bytes that are truncated, altered, foreign, of a newer version, or of a
    specification that is not known.
    """
    return _read(data, known, "from_bytes")


def save(path: str | os.PathLike[str], state: State) -> None:
    """A state in a file, as `to_bytes` writes it: the file is there whole, or as it was before.

    Of several processes each saves its own file. Raises as `to_bytes` does, and `OSError` where the file cannot be
    written.

    >>> import tempfile
    >>> import streammetrics as sm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sm.save(f"{folder}/loss.sm", sm.Mean("loss").tally(loss=[1.0, 2.0]))
    ...     int(sm.load(f"{folder}/loss.sm").examples)
    2
    """
    write(path, to_bytes(state))


def load(path: str | os.PathLike[str], known: Iterable[type] = ()) -> State:
    """The state that `save` wrote; raises as `from_bytes` does, naming the file."""
    return _read(Path(path).read_bytes(), known, f"load: {os.fspath(path)}")


def specifications(value: Any) -> set[type]:
    """The classes of all specifications in a value: what `known` must hold to read it back."""
    if isinstance(value, tuple):
        return set().union(*map(specifications, value))
    return {type(value)}.union(*map(specifications, contents(value).values())) if is_spec(value) else set()


def _read(data: bytes, known: Iterable[type], who: str) -> State:
    version, header, body = unseal(STATE, data, who)
    statistic = _specified(header["statistic"], _known(known, who), who)
    arrays = _arrays(header["arrays"], body)
    if version == 1:
        arrays["seen"] = _completed(arrays["seen"], statistic)
    state = State(statistic, {key: arrays[key] for key in arrays if key != "seen"}, arrays["seen"])
    _state.check(state, who, statistic)
    dtypes = {array.dtype == accumulator.dtype for accumulator, array in _state.arrays(state)}
    if dtypes != {True}:
        raise ValueError(f"{who}: the arrays of {statistic!r} have other dtypes than it says")
    return state


def _completed(seen: Array, statistic: Any) -> Array:
    """What version 1 had seen, with all examples as if they were not independent: which are is not known."""
    parts, start = [], 0
    for place in _statistic.layout(statistic).values():
        stop = start + 1 + len(place.reasons)
        parts += [seen[:, start : start + 1], seen[:, start:stop]]
        start = stop
    return jnp.concatenate(parts, 1)


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


def _specified(value: Any, known: dict[str, type], who: str) -> Any:
    if isinstance(value, list):
        return tuple(_specified(entry, known, who) for entry in value)
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    name, fields = value["spec"], value["fields"]
    if name not in known:
        raise ValueError(
            f"{who}: the state is of {name!r}, which is no specification of this library; "
            f"pass its class as known=({name},)"
        )
    cls = known[name]
    if unknown := sorted(set(fields) - {field.name for field in dataclasses.fields(cls)}):
        raise ValueError(f"{who}: {name} has no field {unknown[0]!r} here; the bytes are of another version of it")
    return rebuild(cls, {field: _specified(entry, known, who) for field, entry in fields.items()})


def _known(more: Iterable[type], who: str) -> dict[str, type]:
    own = [getattr(module, name) for module in (accumulators, statistics) for name in module.__all__]
    own += [*wrappers.STATISTICS, *wrappers.COLUMNS, *_tasks.TASKS, _statistic.Joint]
    classes = {cls.__name__: cls for cls in own}
    for cls in more:
        if classes.setdefault(cls.__name__, cls) is not cls:
            raise ValueError(f"{who}: {cls.__name__} is also the name of another specification")
    return classes
