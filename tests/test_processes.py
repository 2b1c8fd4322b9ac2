"""Several processes of `jax.distributed`: what they count together, and what happens when one is missing."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

import streammetrics as sm
from tests.support import assert_same, assert_values_equal
from tests.worker import METRICS, ROWS, rows

pytestmark = pytest.mark.xdist_group("processes")
ROOT = Path(__file__).parent.parent


def run(tasks: str, count: int, folder: Path) -> list[tuple[int, Any]]:
    """The exit status of each process, and what it printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.worker", tasks]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    processes = [
        subprocess.Popen(
            [*command, str(index), str(count), str(port), str(folder)],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for index in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    found = []
    for process, (printed, errors) in zip(processes, outputs, strict=True):
        lines = [line for line in printed.splitlines() if line.startswith("{")]
        assert lines or process.returncode, errors
        found.append((process.returncode, json.loads(lines[-1]) if lines else errors))
    return found


def whole() -> sm.State:
    return METRICS.tally(**rows(ROWS))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    folder = tmp_path_factory.mktemp("two")
    found = run("uneven,invalid,different,spread", 2, folder)
    assert [status for status, _ in found] == [0, 0]
    return [values for _, values in found], folder


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    folder = tmp_path_factory.mktemp("four")
    found = run("uneven,different", 4, folder)
    assert [status for status, _ in found] == [0, 0, 0, 0]
    return [values for _, values in found], folder


@pytest.mark.parametrize("processes", ["two", "four"])
def test_uneven_processes_count_what_one_counts(processes: str, request: pytest.FixtureRequest) -> None:
    found, folder = request.getfixturevalue(processes)
    batches = [values["uneven"]["batches"] for values in found]
    assert batches[0] == 0
    assert len(set(batches)) == len(batches)
    expected = METRICS.compute(whole())
    for index, values in enumerate(found):
        assert_values_equal(values["uneven"]["values"], expected)
        assert_same(sm.load(folder / f"{index}.sm"), jax.device_get(whole()))
    assert len({path.read_bytes() for path in folder.glob("*.sm")}) == 1


def test_errors_are_decided_from_what_all_have_counted(two: tuple[list[Any], Path]) -> None:
    for values in two[0]:
        assert values["invalid"] == {
            "error": "1 of 4 examples could not be counted, 1 with NaN value (in Mean); "
            "compute(state, on_invalid='ignore') reads the others",
            "value": pytest.approx(4 / 3),
        }


@pytest.mark.parametrize("processes", ["two", "four"])
def test_processes_with_different_metrics_are_all_told_both(processes: str, request: pytest.FixtureRequest) -> None:
    found, _ = request.getfixturevalue(processes)
    message = (
        "merge_processes: process 0 holds a state of Moments(entry='loss'), but process "
        f"{len(found) - 1} one of Extrema(entry='another loss'); all must hold states of one metric"
    )
    for values in found:
        assert values["different"] == {"error": message, "examples": len(found)}  # and they can go on


def test_a_mesh_over_processes_is_read_by_its_sharded(two: tuple[list[Any], Path]) -> None:
    expected = METRICS(**rows(ROWS - ROWS % 8))
    for values in two[0]:
        assert_values_equal(values["spread"]["values"], expected)
        compute, partial, merged, loop = values["spread"]["refused"]
        assert "merge them first with fold(state), with merged(state) of a Sharded" in compute
        assert "merge them first with fold(state), with merged(state) of a Sharded" in partial
        assert merged == (
            "merge_processes: the state's arrays lie in several processes, so that it is one of all of them already, "
            "but must be a state of this process alone"
        )
        assert "has devices of other processes, but must have those of this one only" in loop


def test_when_a_process_dies_the_others_end_and_saved_states_are_merged(tmp_path: Path) -> None:
    survivor, dead = run("dying", 2, tmp_path)
    assert dead[0] == -9
    assert survivor[0] != 0
    states = [sm.load(tmp_path / f"{index}.sm") for index in range(2)]
    assert float(sm.Mean("loss").compute(sm.merge(*states))) == pytest.approx((0 + 2 + 1 + 2) / 4)


def test_one_process_has_its_own_state() -> None:
    state = sm.Mean("loss").tally([1.0, 2.0])
    assert sm.merge_processes(state) is state
    with pytest.raises(ValueError, match="merge_processes: the state has 1 extra leading axis, of 3 states"):
        sm.merge_processes(jax.vmap(sm.Mean("loss").tally)(jax.numpy.ones((3, 2))))
    with pytest.raises(TypeError, match="merge_processes: got dict, but a State is due"):
        sm.merge_processes({})  # pyright: ignore[reportArgumentType]  # what is tested
