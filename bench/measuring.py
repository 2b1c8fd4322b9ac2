"""How the benchmarks measure: both sides in turn in one process, medians of paired ratios, and the table."""

import argparse
import dataclasses
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

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


def options(description: str | None) -> tuple[int, int]:
    """How often to repeat, and by how much to divide the work, from the command line; prints where it runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few repetitions: only to see that it runs")
    parser.add_argument("--repeats", type=int, help="timed repetitions of each side (default: 51, or 5 with --quick)")
    given = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    repeats = given.repeats or (5 if given.quick else 51)
    print(f"JAX {jax.__version__} on {jax.default_backend()}, streammetrics {sm.__version__}")
    print(f"Python {platform.python_version()}, {threads()} threads, load {load()}, {repeats} repetitions\n")
    return repeats, 10 if given.quick else 1


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


def update(metric: sm.Metric, scores: jax.Array, targets: jax.Array) -> Run:
    """One update after the other of a state that is donated."""
    step = jax.jit(lambda state, x, y: metric.update(state, predictions=x, targets=y), donate_argnums=0)
    states = [metric.init()]

    def run() -> Any:
        states[0] = step(states[0], scores, targets)
        return states[0]

    return run


def ratio(ours: Any, theirs: Any) -> tuple[tuple[float, float, float], float]:
    return quartiles(ours / theirs), float(ours.min() / theirs.min())


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
