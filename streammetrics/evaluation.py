"""`accumulate` and `evaluate`: one loop over batches for one device, many devices and many processes."""

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.tree_util import keystr, tree_map_with_path

from streammetrics import _checks, _state
from streammetrics._batches import padded
from streammetrics._checkpoint import Log
from streammetrics._jax import local
from streammetrics._metric import Metric, check_mode, prepared, weights_of
from streammetrics._state import State
from streammetrics.processes import merge_processes
from streammetrics.sharding import Sharded

Forward = Callable[[Any], Mapping[str, Any]]


class Options(TypedDict, total=False):
    """What else `accumulate` takes; see there."""

    size: int | None
    prefetch: int
    progress: bool | None
    checkpoint: str | os.PathLike[str] | None
    every: int


def evaluate(
    metric: Metric | Sharded,
    batches: Iterable[Any],
    forward: Forward | None = None,
    state: State | None = None,
    on_invalid: str = "raise",
    **options: Unpack[Options],
) -> Any:
    """The value of all rows of all batches: `compute` of what `accumulate` returns, with the same options.

    >>> import streammetrics as sm
    >>> batches = [{"image": np.array([1.0, 2.0])}, {"image": np.array([6.0])}]
    >>> float(evaluate(sm.Mean("loss"), batches, lambda batch: {"loss": 2 * batch["image"]}))
    6.0
    """
    check_mode(metric, on_invalid)
    state = accumulate(metric, batches, forward, state, **options)
    return (metric.metric if isinstance(metric, Sharded) else metric).compute(state, on_invalid)


def accumulate(
    metric: Metric | Sharded,
    batches: Iterable[Any],
    forward: Forward | None = None,
    state: State | None = None,
    *,
    size: int | None = None,
    prefetch: int = 2,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 100,
) -> State:
    """The state of all rows of all batches of all processes, and of `state`, where one is given.

    A batch is a mapping of names to arrays, as `update` takes it, or with `forward` any pytree of arrays, of which
    `forward(batch)` makes such a mapping (jit it yourself). Rows are the leading axis of every array.

    Every batch is cut into and padded to `size` rows (those of the first batch by default; filled up to a multiple of
    the devices), so that nothing recompiles and no row is dropped. `forward` sees the padding, whose weight is 0
    whatever weights it returns. Rows are spread over all devices of this process, or over those of a `Sharded` metric;
    where there are several, the arrays that `forward` holds must not be committed to one. Several processes each bring
    batches of their own, as many as they have, and are merged at the end: all of them must call. `state` is what had
    been counted before, in all processes the same.

    `prefetch` pieces are made ready by a thread. `progress` shows a bar; by default where tqdm is installed and there
    is a terminal.

    `checkpoint` names a file, written after every `every` batches and where the loop is broken off by an error or an
    interrupt. Called again in the same way, it goes on from there: the batches must come again in the same order, and
    those that had been counted are drawn, and skipped without `forward`. The fingerprints of the first 16 are compared,
    so that another source is refused; another model is not noticed. The file is removed at the end. With several
    processes each has its own, named by its index.

    Raises as `update` does, and `ValueError` for batches without one number of rows, for a state or a checkpoint of
    another metric, for another source, and for a mesh with devices of other processes.

    >>> import streammetrics as sm
    >>> state = accumulate(sm.Mean("loss"), [{"loss": [1.0, 2.0]}, {"loss": [6.0]}])
    >>> int(state.examples), float(sm.Mean("loss").compute(state))
    (3, 3.0)
    """
    run = _spread(metric)
    if state is not None:
        _state.check(state, "accumulate", run.statistic)
    if size is not None and size < 1:
        raise ValueError(f"accumulate: size is {size}, but must be a number of rows above 0")
    log = Log(None if checkpoint is None else Path(checkpoint), every, run)
    current, before = log.state, deque[State](maxlen=2)
    with _bar(progress, batches, log.batches) as bar, log:
        for piece in _ahead(_pieces(batches, run, size, forward is None, log), prefetch):
            if piece.real is not None:
                current = run.update(current, **_entries(run.metric, piece.batch, piece.real, forward))
                before.append(current)
                jax.block_until_ready(before[0])  # so that batches do not pile up on the device
            if piece.ends:
                log.count(current)
                if bar is not None:
                    bar.update()
        whole = merge_processes(local(run.merged(current)))
    log.remove()
    return whole if state is None else _state.merge(state, whole)


def _spread(metric: Metric | Sharded) -> Sharded:
    """The metric over this process's devices."""
    if not isinstance(metric, Metric | Sharded):
        raise TypeError(f"accumulate: got {metric!r}, but a metric is due")
    run = metric if isinstance(metric, Sharded) else Sharded(metric, Mesh(np.array(jax.local_devices()), ("rows",)))
    if any(device.process_index != jax.process_index() for device in run.mesh.devices.flat):
        raise ValueError(f"accumulate: {run!r} has devices of other processes, but must have those of this one only")
    return run


class Piece(NamedTuple):
    """Rows on the devices, and which of them are real (None where there are none at all)."""

    batch: Any
    real: Array | None
    ends: bool
    """Whether it is the last one of its batch."""


def _pieces(batches: Iterable[Any], run: Sharded, size: int | None, named: bool, log: Log) -> Iterator[Piece]:
    """The batches that had not been counted, cut and padded to one size."""
    skipped, number = log.batches, -1
    for number, batch in enumerate(batches):
        if number < skipped and size is not None and not log.remembers(number):
            continue
        with _checks.told_by(f"accumulate: batch {number}"):
            arrays, rows = _arrays(batch, run.metric if named else None)
        log.meet(number, arrays)
        size = size or rows or None
        if number < skipped:
            continue
        if not size or not rows:
            yield Piece(None, None, ends=True)
            continue
        full = -(-size // run.devices) * run.devices
        for start in range(0, rows, full):
            real = np.arange(start, start + full) < rows
            cut = jax.tree.map(functools.partial(_cut, start=start, size=full), arrays)
            yield Piece(*run.placed((cut, real)), ends=start + full >= rows)
    if number + 1 < skipped:
        log.refuse(f"it has counted {skipped} batches, but the source has only {number + 1}")


def _cut(array: Any, start: int, size: int) -> Any:
    """Rows of an array, padded to `size`; what has no rows as it is."""
    if not array.ndim:
        return array
    cut = array[start : start + size]
    return cut if len(cut) == size else padded(cut, size)


def _arrays(batch: Any, metric: Metric | None) -> tuple[Any, int]:
    """The batch as arrays, and its number of rows; entries of a metric, where it is given, else of any tree."""
    if metric is not None:
        if not isinstance(batch, Mapping):
            _checks.refuse(TypeError, f"got {type(batch).__name__}, but without forward a mapping of names is due")
        arrays: Any = _checks.entries(prepared(metric, dict(batch)))
    else:
        arrays = tree_map_with_path(lambda path, x: _checks.entry(f"entry{keystr(path)}", x), batch)
    shapes = [leaf.shape for leaf in jax.tree.leaves(arrays)]
    counts = {shape[0] for shape in shapes if shape}
    if len(counts) != 1:
        _checks.refuse(ValueError, f"the arrays have the shapes {shapes}, but must have one number of rows")
    return arrays, counts.pop()


def _ahead(pieces: Iterator[Piece], count: int) -> Iterator[Piece]:
    """The same pieces, of which so many are made by a thread before they are asked for."""
    if count < 1:
        yield from pieces
        return
    thread = ThreadPoolExecutor(1, "streammetrics")
    try:
        waiting = deque(thread.submit(next, pieces, None) for _ in range(count))
        while (piece := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, pieces, None))
            yield piece
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def _entries(metric: Metric, batch: Any, real: Array, forward: Forward | None) -> dict[str, Any]:
    """What the metric is given: of padding the weight is 0, whatever comes."""
    entries = dict(batch if forward is None else _mapped(forward(batch)))
    for name in weights_of(metric):
        weight = jnp.asarray(entries.get(name, True))
        if weight.ndim and len(weight) != len(real):
            raise ValueError(
                f"accumulate: forward returned {name} of shape {weight.shape}, but of a batch of {len(real)} rows"
            )
        entries[name] = _masked(weight, real)
    return entries


def _mapped(entries: Any) -> Mapping[str, Any]:
    if not isinstance(entries, Mapping):
        raise TypeError(f"accumulate: forward returned {type(entries).__name__}, but a mapping of names is due")
    return entries


@jax.jit
def _masked(weight: Array, real: Array) -> Array:
    """The weight, a value for each row or one for all, of the rows that are real."""
    return jnp.where(real.reshape(-1, *(1,) * (weight.ndim - 1)), weight, weight.dtype.type(0))


def _bar(progress: bool | None, batches: Iterable[Any], done: int) -> Any:
    """A bar of batches, where one is wanted; a context, like none."""
    if progress is False or jax.process_index() > 0:
        return contextlib.nullcontext()
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        if progress is None:
            return contextlib.nullcontext()
        raise ModuleNotFoundError(
            "accumulate: progress=True needs tqdm, which is not installed: pip install 'streammetrics[files]'"
        ) from None
    total = len(batches) if isinstance(batches, Sized) else None
    return tqdm(total=total, initial=done, unit="batch", disable=None if progress is None else False)
