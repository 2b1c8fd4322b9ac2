"""One of several processes of `jax.distributed`: `python -m tests.worker TASK INDEX COUNT PORT FOLDER`.

Each task is a function that prints what it found as one line of JSON; `test_processes` starts the processes.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import streammetrics as sm

TASK = sm.Multiclass(3, "logits")
METRICS = sm.Collection(
    loss=sm.Mean("loss"),
    exact=sm.Mean("loss", exact=True),
    largest=sm.Maximum("loss"),
    recall=sm.Recall(TASK, average=None),
)
ROWS = 210


def rows(count: int) -> dict[str, Any]:
    """The rows that all processes know, of which each counts a part."""
    rng = np.random.default_rng(0)
    return {
        "predictions": rng.normal(size=(count, 3)).astype(np.float32),
        "targets": rng.integers(0, 3, count).astype(np.int32),
        "loss": rng.exponential(size=count).astype(np.float32),
    }


def share(index: int, count: int) -> list[dict[str, Any]]:
    """What a process counts: the first has nothing, the others different numbers of batches of different sizes."""
    bounds = np.linspace(0, ROWS, count).astype(int)
    first, last = (bounds[index - 1], bounds[index]) if index else (0, 0)
    size = 7 + 3 * index
    return [{n: v[i : min(i + size, last)] for n, v in rows(ROWS).items()} for i in range(first, last, size)]


def uneven(index: int, count: int, folder: Path) -> Any:
    """The processes have different numbers of batches, and one has none."""
    mine = share(index, count)
    state = sm.accumulate(METRICS, mine)
    sm.save(folder / f"{index}.sm", state)
    return {"batches": len(mine), "values": sm.plain(METRICS.compute(state))}


def invalid(index: int, count: int, folder: Path) -> Any:
    """Only the last process meets a NaN, but all of them are told."""
    metric = sm.Mean("loss")
    loss = [1.0, float("nan") if index == count - 1 else 2.0]
    try:
        sm.evaluate(metric, [{"loss": loss}])
    except sm.InvalidExamples as error:
        return {"error": str(error), "value": sm.plain(error.values)}
    return {"error": None}


def different(index: int, count: int, folder: Path) -> Any:
    """The processes count different metrics; then, all the same, the same one."""
    metric: sm.Metric = sm.Mean("loss") if index < count - 1 else sm.Maximum("another loss")
    try:
        sm.merge_processes(metric.init())
    except ValueError as error:
        state = sm.merge_processes(sm.Mean("loss").tally([1.0]))
        return {"error": str(error), "examples": int(state.examples)}
    return {"error": None}


def spread(index: int, count: int, folder: Path) -> Any:
    """A global mesh: each process holds a part of each array."""
    mesh = jax.make_mesh((len(jax.devices()),), ("data",))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    batch = {
        name: jax.make_array_from_callback(value.shape, sharding, lambda place, value=value: value[place])
        for name, value in rows(ROWS - ROWS % 8).items()
    }
    run = sm.Sharded(METRICS, mesh)
    state = run.update(run.init(), **batch)
    refused = []
    for function in (
        lambda: METRICS.compute(state),
        lambda: sm.merge_processes(state),
        lambda: sm.merge_processes(run.merged(state)),
        lambda: sm.accumulate(run, []),
    ):
        try:
            function()
        except ValueError as error:
            refused.append(str(error))
    return {"values": sm.plain(run.compute(state)), "refused": refused}


def dying(index: int, count: int, folder: Path) -> Any:
    """The last process dies before the merge, for which the others wait; every one had saved its state."""
    state = sm.Mean("loss").tally(loss=[float(index), 2.0])
    sm.save(folder / f"{index}.sm", state)
    if index == count - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    sm.merge_processes(state)
    return "merged, which cannot be"


def main() -> None:
    """Joins the others, does the task, and prints the result."""
    task, index, count, port, folder = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(index), heartbeat_timeout_seconds=5)
    print(json.dumps({name: globals()[name](int(index), int(count), Path(folder)) for name in task.split(",")}))


if __name__ == "__main__":
    main()
