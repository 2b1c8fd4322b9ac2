"""What the engine costs on CPU: eager updates in microseconds, updates in a scan beside what one writes by hand.

Every comparison runs in one process on the same device arrays. Both sides are compiled, warmed up and checked to give
the same answers; then they are timed in turn (ours, by hand, ours, …), each time until the device is done.
"""

import argparse
import dataclasses
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

import streammetrics as sm

Run = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: microseconds, or a ratio of paired times, by quartiles."""

    name: str
    quartiles: tuple[float, float, float]
    best: float
    """The least time, or the ratio of the least times: what is left when the machine is not disturbed."""
    unit: str
    target: float | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        low, median, high = (f"{value:.2f}" for value in self.quartiles)
        target = "" if self.target is None else f"≤ {self.target:g}"
        verdict = "" if self.target is None else "met" if self.quartiles[1] <= self.target else "missed"
        return self.name, median, f"{low} – {high}", f"{self.best:.2f}", self.unit, target, verdict, self.note


HEAD = ("", "median", "quartiles", "of minima", "unit", "target", "", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, short scans: only to see that it runs")
    parser.add_argument("--repeats", type=int, help="timed repetitions of each side (default: 51, or 5 with --quick)")
    options = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    repeats = options.repeats or (5 if options.quick else 51)
    share = 10 if options.quick else 1

    print(f"JAX {jax.__version__} on {jax.default_backend()}, streammetrics {sm.__version__}")
    print(f"Python {platform.python_version()}, {threads()} threads, load {load()}, {repeats} repetitions")
    print()
    rows = eager(repeats, calls=200 // share)
    for batch, classes, steps, target in ((256, 10, 400, 3), (4096, 10, 100, 2), (256, 1000, 50, None)):
        rows += scanned(repeats, batch, classes, max(steps // share, 1), target)
    show(rows)


# a. Eager updates


def eager(repeats: int, calls: int) -> list[Row]:
    """A collection of four metrics, beside the least that JAX takes for a call."""
    task = sm.Multiclass(10, "logits")
    metrics = sm.Collection(
        accuracy=sm.Accuracy(task), precision=sm.Precision(task), recall=sm.Recall(task), f1=sm.F1(task)
    )
    predictions, targets, _ = (array[0] for array in batches(1, 256, 10))
    state = metrics.init()
    arrays = jax.tree.leaves(state)
    label = jax.jit(lambda x: jnp.argmax(x, -1))
    # As many arrays in and out as the update has. It adds to each, because JAX returns what it is given uncomputed.
    nothing = jax.jit(lambda state, x, y: jax.tree.map(lambda array: array + 1, state), keep_unused=True)

    updated = metrics.update(state, predictions=predictions, targets=targets)
    same(metrics.compute(updated)["accuracy"], jnp.mean(label(predictions) == targets))

    sides = {
        "update of {accuracy, precision, recall, F1}": lambda: metrics.update(
            state, predictions=predictions, targets=targets
        ),
        "jitted argmax": lambda: label(predictions),
        "jitted no-op on the same arrays": lambda: nothing(arrays, predictions, targets),
    }
    times = interleaved(list(sides.values()), repeats, calls)
    limits = (60.0, None, None)
    return [
        Row(f"eager {name}, 256 × 10", quartiles(each), float(each.min()), "µs", target)
        for name, each, target in zip(sides, times, limits, strict=True)
    ]


# b. Inside jit and scan


def scanned(repeats: int, batch: int, classes: int, steps: int, target: float | None) -> list[Row]:
    """A collection of accuracy and mean loss as the carry of a scan, beside the same written by hand."""
    metrics = sm.Collection(accuracy=sm.Accuracy(sm.Multiclass(classes, "logits")), loss=sm.Mean("loss"))
    data = batches(steps, batch, classes)
    ours, by_hand = compiled(_ours(metrics)), compiled(_by_hand)
    state, zero = metrics.init(), (jnp.int32(0), jnp.float32(0), jnp.int32(0))

    values = metrics.compute(ours(state, data))
    right, loss, count = by_hand(zero, data)
    same(values["accuracy"], right / count)
    same(values["loss"], loss / count, rtol=1e-4)  # a float32 sum

    mine, theirs = interleaved([lambda: ours(state, data), lambda: by_hand(zero, data)], repeats, calls=1)
    each = f"{np.median(mine) / steps:.1f} against {np.median(theirs) / steps:.1f} µs a step"
    name = f"{{accuracy, mean loss}} in a scan / by hand, {batch} × {classes:,}"
    return [Row(name, quartiles(mine / theirs), float(mine.min() / theirs.min()), "×", target, each)]


def compiled(step: Callable[..., Any]) -> Callable[..., Any]:
    """A jitted scan of a step over stacked batches."""
    return jax.jit(lambda carry, data: lax.scan(lambda carry, batch: (step(carry, *batch), None), carry, data)[0])


def _ours(metrics: sm.Collection) -> Callable[..., sm.State]:
    return lambda state, x, y, loss: metrics.update(state, predictions=x, targets=y, loss=loss)


def _by_hand(carry: tuple[Array, Array, Array], x: Array, y: Array, loss: Array) -> tuple[Array, Array, Array]:
    right, total, count = carry
    return right + jnp.sum(jnp.argmax(x, -1) == y), total + jnp.sum(loss), count + x.shape[0]


# Measuring


def batches(steps: int, batch: int, classes: int) -> tuple[Array, Array, Array]:
    """Stacked logits, class ids and losses, on the device."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (steps, batch, classes))
    y = jax.random.randint(keys[1], (steps, batch), 0, classes)
    loss = jax.random.uniform(keys[2], (steps, batch))
    return jax.block_until_ready((x, y, loss))


def interleaved(sides: list[Run], repeats: int, calls: int) -> list[np.ndarray]:
    """Microseconds a call of each side, one after the other in every repetition."""
    for side in sides:
        for _ in range(3):
            jax.block_until_ready(side())
    times = np.empty((len(sides), repeats))
    for repeat in range(repeats):
        for number, side in enumerate(sides):
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(side())
            times[number, repeat] = (time.perf_counter() - start) / calls * 1e6
    return list(times)


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    low, median, high = np.percentile(values, (25, 50, 75))
    return float(low), float(median), float(high)


def same(ours: Any, by_hand: Any, rtol: float = 1e-6) -> None:
    """Both sides must have counted the same before they are timed."""
    np.testing.assert_allclose(np.asarray(ours), np.asarray(by_hand), rtol=rtol)


def threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> str:
    """How busy the machine was in the last minute: timings on a busy machine mean little."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def show(rows: list[Row]) -> None:
    table = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    for line in table:
        first, *rest = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first, *rest]).rstrip())


if __name__ == "__main__":
    main()
