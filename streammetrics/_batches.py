"""`pad` for batches, and `plain` for values."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics import _checks
from streammetrics._wide import Wide


def pad(batch: Mapping[str, Any], size: int, weights: str | Sequence[str] = "weights") -> dict[str, Any]:
    """The batch padded with zeros to `size` rows, with weights that say which rows are real.

    Every entry has the rows as its leading axis; existing weights are kept and padded with 0. numpy stays numpy. So a
    last, smaller batch has the shape of the others: nothing recompiles, and no row is dropped. A collection whose
    metrics read their weights under several names takes all of them as `weights`.

    Raises `ValueError` for entries of different numbers of rows, or of more than `size`.

    >>> padded = pad({"loss": np.array([1.0, 2.0])}, 4)
    >>> padded["loss"].tolist(), padded["weights"].tolist()
    ([1.0, 2.0, 0.0, 0.0], [True, True, False, False])
    """
    with _checks.told_by("pad"):
        arrays = {n: value if isinstance(value, Array) else _checks.host_array(n, value) for n, value in batch.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    rows = {shape[0] if shape else None for shape in shapes.values()}
    if len(rows) != 1 or None in rows:
        raise ValueError(f"pad: the entries have the shapes {shapes}, but must have the same number of rows")
    (count,) = rows
    if count is None or count > size:
        raise ValueError(f"pad: the batch has {count} rows, but must have at most {size}")
    for name in [weights] if isinstance(weights, str) else weights:
        arrays.setdefault(name, np.ones(count, bool))

    return {name: padded(array, size) for name, array in arrays.items()}


def padded(array: Any, size: int) -> Any:
    """The array with zeros after its rows, so that it has `size`; numpy stays numpy."""
    library = jnp if isinstance(array, Array) else np
    return library.pad(array, [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1))


def plain(values: Any) -> Any:
    """Values as plain Python, for loggers and JSON: dicts of numbers and nested lists; named tuples are dicts too.

    >>> import streammetrics as sm
    >>> sm.plain({"n": sm.UInt64.of(3), "x": jnp.float32(0.5), "of": sm.Interval(0, 1, 2)})
    {'n': 3, 'x': 0.5, 'of': {'low': 0, 'value': 1, 'high': 2}}
    """
    if isinstance(values, tuple) and (names := getattr(values, "_fields", ())):
        values = dict(zip(names, values, strict=True))
    if isinstance(values, Mapping):
        return {name: plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    return np.asarray(values).tolist() if isinstance(values, Wide | Array | np.ndarray | np.generic) else values
