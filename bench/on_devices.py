"""What growth.py starts: metrics over 1, 2, 4 and 8 host devices, ours with `Sharded`, CLU's with `pmap`.

Prints a row as JSON on each line. The collectives are those in the programs that XLA compiled. CLU gathers in every
step, as its documentation has it; ours in the readout alone. Host devices share the cores of one machine: more of them
do not make a step faster, and should not make it slower.
"""

import dataclasses
import functools
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from clu import metrics as clu  # pyright: ignore[reportMissingImports]
from jax.sharding import NamedSharding, PartitionSpec
from measuring import Options, Row, Run, amount, at, interleaved, made, ratio, same, size_of

import streammetrics as sm

COLLECTIVE = re.compile(r"\b(?:all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")
NUMBERS = (1, 2, 4, 8)
CLASSES = 10
TASK = sm.Multiclass(CLASSES, "logits")
OURS = sm.Collection(accuracy=sm.Accuracy(TASK), loss=sm.Mean("loss"), norm=sm.Mean("norm"))
THEIRS = clu.Collection.create(
    accuracy=clu.Accuracy, loss=clu.Average.from_output("loss"), norm=clu.Average.from_output("norm")
)
CLU_TOLERANCE = 1e-5
"""Plain sums of float32."""
UPDATE_TARGET = 0
READOUT_TARGET = 1


class Side(NamedTuple):
    """Compiled functions, and what they take."""

    update: Any
    state: Any
    rows: Any


def measure(options: Options) -> Iterator[Row]:
    batch = made(options.size(65_536, 4096), CLASSES)
    numbers = (8,) if options.quick else NUMBERS
    runs: dict[str, Run] = {}
    for number in numbers:
        (ours, read), theirs = sharded(batch, number), mapped(batch, number)
        yield from counted(number, ours, read, theirs)
        runs |= {f"ours {number}": carried(ours), f"theirs {number}": carried(theirs)}
        runs[f"read {number}"] = functools.partial(read, copied(ours.state))
    times = interleaved(runs, options)
    for number in numbers:
        mine, others, reading = (times[f"{name} {number}"] for name in ("ours", "theirs", "read"))
        work = f"update of 3 metrics on {devices(number)}, {size_of(batch)}"
        yield at(number, ratio(work, mine, "clu", others, note="CLU's gathers in every step"))
        yield at(number, amount(f"compute of 3 metrics on {devices(number)}", reading, "µs"))


def counted(number: int, ours: Side, read: Any, theirs: Side) -> Iterator[Row]:
    """The collectives in the compiled programs, which give the same values."""
    updated, gathered = (side.update(copied(side.state), side.rows) for side in (ours, theirs))
    others = jax.tree.map(lambda array: array[0], gathered).compute()
    for name, value in read(updated).items():
        same(value, others[name], CLU_TOLERANCE, who=f"CLU's {name}")
    mine, reading, program = (
        function.lower(*arguments).compile().as_text()
        for function, *arguments in (
            (ours.update, ours.state, ours.rows),
            (read, ours.state),
            (theirs.update, theirs.state, theirs.rows),
        )
    )
    where, note = f"3 metrics on {devices(number)}", f"CLU's: {collectives(program)}, and {loops(program)} loops"
    yield at(number, amount(f"collectives of an update of {where}", collectives(mine), "", UPDATE_TARGET, note))
    yield at(number, amount(f"collectives of a compute of {where}", collectives(reading), "", READOUT_TARGET))


def sharded(batch: dict[str, Any], number: int) -> tuple[Side, Any]:
    """Ours: a step, with the rows of the batch over the devices; and the readout."""
    mesh = jax.make_mesh((number,), ("data",), devices=jax.devices()[:number])
    metrics = sm.Sharded(OURS, mesh)
    rows = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    step = jax.jit(lambda state, rows: metrics.update(state, **rows), donate_argnums=0)
    return Side(step, metrics.init(), rows), jax.jit(lambda state: metrics.compute(state, "nan"))


def mapped(batch: dict[str, Any], number: int) -> Side:
    """CLU's: a step, with an axis of devices in the batch and in the metrics."""

    def step(state: Any, rows: dict[str, Any]) -> Any:
        gathered = THEIRS.gather_from_model_output(
            axis_name="data", logits=rows["predictions"], labels=rows["targets"], loss=rows["loss"], norm=rows["norm"]
        )
        return state.merge(gathered)

    mapping = functools.partial(jax.pmap, axis_name="data", devices=jax.devices()[:number])
    place = mapping(lambda tree: tree)  # as they lie from then on
    rows = place(jax.tree.map(lambda array: array.reshape(number, -1, *array.shape[1:]), batch))
    empty = place(jax.tree.map(lambda array: jnp.stack([array] * number), THEIRS.empty()))
    return Side(mapping(step, donate_argnums=0), empty, rows)


def carried(side: Side) -> Run:
    """One step after the other."""
    states = [copied(side.state)]

    def run() -> Any:
        states[0] = side.update(states[0], side.rows)
        return states[0]

    return run


def copied(state: Any) -> Any:
    """Another state of the same numbers: a step takes what it is given."""
    return jax.tree.map(jnp.copy, state)


def collectives(program: str) -> int:
    return len(COLLECTIVE.findall(program))


def loops(program: str) -> int:
    return len(re.findall(r"\bwhile\(", program))


def devices(number: int) -> str:
    return "1 host device" if number == 1 else f"{number} host devices"


if __name__ == "__main__":
    for row in measure(Options(**json.loads(sys.argv[1]))):
        print(json.dumps(dataclasses.asdict(row)), flush=True)
