"""What tests share: how states are compared, how batches are cut, and meshes."""

import re
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

import streammetrics as sm
from streammetrics._state import arrays
from streammetrics._statistic import OWN, accumulators_of
from tests.catalogue import CATALOGUE, Case

_FIRST = {case.metric.statistic: case for case in reversed(CATALOGUE)}
EXACT = (sm.accumulators.Count, sm.accumulators.ExactSum, sm.accumulators.Maximum, sm.accumulators.Minimum)


def assert_same(a: sm.State, b: sm.State, exact: bool = False, but: tuple[str, ...] = ()) -> None:
    """The states are equal but for some arrays: integers bit for bit, floats to what double-floats promise."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    keys = [*accumulators_of(a.statistic), OWN]
    for key, (accumulator, left), (_, right) in zip(keys, arrays(a), arrays(b), strict=True):
        if key.split(".")[-1] in but:
            continue
        assert left.dtype == right.dtype
        if exact or isinstance(getattr(accumulator, "inner", accumulator), EXACT):
            np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
        else:
            decoded = (jax.tree.leaves(accumulator.decode(x), is_leaf=_is_wide) for x in (left, right))
            for x, y in zip(*decoded, strict=True):
                # Centred products are held to about 1e-10; sums of the catalogue's values are of size 100.
                loose = 1e-6 if isinstance(accumulator, sm.accumulators.Decayed) else 1e-9
                np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=loose, atol=loose / 10)


each_mesh = pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])


def mesh_of(kind: AxisType, **axes: int) -> Mesh:
    """A mesh of the first host devices."""
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes))


def collectives(compiled: Any) -> list[str]:
    """The collective operations of a compiled program."""
    kinds = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\("
    return [match[0] for match in re.findall(kinds, compiled.as_text())]


def _is_wide(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "to_float")


def each(cases: list[Case]) -> pytest.MarkDecorator:
    """Parametrises over cases; all tests of one statistic run in one process, which compiles what they share once."""
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.name, marks=pytest.mark.xdist_group(counted(case).name)) for case in cases]
    )


def counted(case: Case) -> Case:
    """The first case that counts the same: its states can be read by all of them."""
    return _FIRST[case.metric.statistic]


def rows(batch: dict[str, Any], index: Any) -> dict[str, Any]:
    """Some rows of a batch."""
    return {name: value[index] for name, value in batch.items()}


def assert_values_equal(a: Any, b: Any, rtol: float = 1e-6) -> None:
    """The values are equal, of the same structure, and of the same dtypes."""
    a, b = (sm.plain(jax.tree.map(lambda x: x, value)) for value in (a, b))
    assert _flat(a).keys() == _flat(b).keys()
    for key, left in _flat(a).items():
        np.testing.assert_allclose(left, _flat(b)[key], rtol=rtol, atol=1e-7, err_msg=key)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{path}.{name}").items()}
    return {path: value}
