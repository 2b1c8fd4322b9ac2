"""How the benchmarks measure: all sides in turn in one process, medians of paired ratios, answers checked first."""

import dataclasses
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import streammetrics as sm

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras asks when it is imported, which the parts do after this
# Otherwise threads of torch go on waiting for work at full speed, in the way of whoever is timed next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Run = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """How long to measure."""

    quick: bool = False
    """Little data and few repetitions: only to see that everything runs and agrees."""
    seconds: float = 3.0
    """For the repetitions of one comparison, where these do not need more to be any."""

    def size(self, full: int, quick: int) -> int:
        """One number in earnest, another for a quick run."""
        return quick if self.quick else full


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: ours over theirs as the quartiles of paired ratios, or an amount of ours alone."""

    work: str
    """What is done, on how much: the same text in all rows that compare the same work."""
    against: str = ""
    """Who else does it: a peer, a floor, code written by hand; nobody for an amount."""
    low: float = 0.0
    median: float = 0.0
    high: float = 0.0
    unit: str = "×"
    target: float | None = None
    """The most that the median may be."""
    ours: float | None = None
    """The median of our times in µs, of a ratio."""
    theirs: float | None = None
    note: str = ""
    at: float | None = None
    """How much there was of what grows, for the pictures."""

    @property
    def verdict(self) -> str:
        return "" if self.target is None else "met" if self.median <= self.target else "missed"


def interleaved(
    sides: Mapping[str, Run], options: Options, least: int = 7, most: int = 301, window: float = 100e-6
) -> dict[str, np.ndarray]:
    """Microseconds a call of each side, in turn within every repetition, each until its result is there.

    The order is drawn anew for every repetition, so that no side always comes after the same one. As many repetitions
    as fit in the time, but `least` in earnest and 3 in a quick run; each repeats a fast call for about `window`
    seconds, so that the clock's own cost is small.
    """
    names, drawn = list(sides), random.Random(0)
    calls = {}
    for name, run in sides.items():
        finished(run())  # compiles
        fastest = min(_seconds(run, 1), _seconds(run, 1))
        calls[name] = max(1, min(50, int(window / max(fastest, 1e-7))))
    once = sum(_seconds(run, calls[name]) for name, run in sides.items())
    fit = int((0.2 if options.quick else options.seconds) / once)
    repeats = max(3 if options.quick else least, min(fit, most))
    times = {name: np.empty(repeats) for name in sides}
    for repeat in range(repeats):
        for name in drawn.sample(names, len(names)):
            times[name][repeat] = _seconds(sides[name], calls[name]) / calls[name] * 1e6
    return times


def _seconds(run: Run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        finished(run())
    return time.perf_counter() - start


def finished(result: Any) -> Any:
    """The result when it is there: JAX's calls return before. What is no array of JAX's is there already."""
    return jax.block_until_ready(result)


def ratio(
    work: str, ours: np.ndarray, against: str, theirs: np.ndarray, target: float | None = None, note: str = ""
) -> Row:
    """The row of paired times: ours over theirs."""
    low, median, high = (float(value) for value in np.percentile(ours / theirs, (25, 50, 75)))
    return Row(work, against, low, median, high, "×", target, float(np.median(ours)), float(np.median(theirs)), note)


def amount(work: str, values: Any, unit: str, target: float | None = None, note: str = "") -> Row:
    """The row of an amount of ours: microseconds, bytes, or a number of things."""
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Row(work, "", low, median, high, unit, target, note=note)


def made(rows: int, classes: int) -> dict[str, Any]:
    """A batch of logits, targets, losses and norms."""
    rng = np.random.default_rng(0)
    return {
        "predictions": jnp.asarray(rng.normal(size=(rows, classes)), jnp.float32),
        "targets": jnp.asarray(rng.integers(0, classes, rows, np.int32)),
        "loss": jnp.asarray(rng.exponential(size=rows), jnp.float32),
        "norm": jnp.asarray(rng.exponential(size=rows), jnp.float32),
    }


def at(size: float, row: Row) -> Row:
    """The row with where it stands in a picture of growth."""
    return dataclasses.replace(row, at=size)


def size_of(batch: Mapping[str, Any]) -> str:
    """The size of a batch's predictions, to be read."""
    return " × ".join(f"{size:,}" for size in batch["predictions"].shape)


def same(ours: Any, theirs: Any, rtol: float = 1e-6, atol: float = 0.0, who: str = "") -> None:
    """Both sides must have counted the same before they are timed."""
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=atol, err_msg=who)


def donated(step: Callable[..., Any], state: Any, *batch: Any) -> Run:
    """One jitted step after the other, `step(state, *batch)`, of a state that is donated."""
    jitted, states = jax.jit(step, donate_argnums=0), [jax.tree.map(lambda x: x.copy(), state)]

    def run() -> Any:
        states[0] = jitted(states[0], *batch)
        return states[0]

    return run


def update(metric: sm.Metric, **batch: Any) -> Run:
    """One update after the other of a state that is donated; of the batch, what the metric reads."""
    entries = {name: batch[name] for name in metric.reads}
    return donated(lambda state, entries: metric.update(state, **entries), metric.init(), entries)
