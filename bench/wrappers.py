"""What slices, replicates and windows cost on CPU, beside the plain update of the same collection.

All sides run in one process on the same device arrays, in turn; states are donated, as a training donates them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measuring import Row, Run, interleaved, options, ratio, same, show

import streammetrics as sm

TASK = sm.Multiclass(10, "logits")
COUNTS = sm.Collection(accuracy=sm.Accuracy(TASK), precision=sm.Precision(TASK), recall=sm.Recall(TASK), f1=sm.F1(TASK))


def main() -> None:
    repeats, share = options(__doc__)
    show([*sliced(repeats), *resampled(repeats, calls=max(10 // share, 1)), *windowed(repeats)])


def sliced(repeats: int, rows: int = 65_536, slices: int = 1000) -> list[Row]:
    batch = rows_of(rows) | {"group": jax.random.randint(jax.random.key(2), (rows,), 0, slices)}
    metric = sm.Sliced(COUNTS, "group", slices)
    same(metric(**batch)["accuracy"][7], by_hand(batch, 7))
    plain, wrapped = interleaved([updated(COUNTS, batch), updated(metric, batch)], repeats, calls=3)
    return [row(f"{slices:,} slices / plain, {rows:,} × 10", wrapped, plain, 1.3)]


def by_hand(batch: dict[str, Any], group: int) -> float:
    """The accuracy of one group, by hand."""
    x, y, g = (np.asarray(batch[name]) for name in ("predictions", "targets", "group"))
    return float((x.argmax(-1) == y)[g == group].mean())


def resampled(repeats: int, calls: int, rows: int = 4096, replicates: int = 100) -> list[Row]:
    batch = rows_of(rows) | {"ids": jnp.arange(rows)}
    metric = sm.Bootstrapped(COUNTS, replicates)
    same(metric(**batch)["accuracy"].value, COUNTS(**rows_of(rows))["accuracy"])
    plain, wrapped = interleaved([updated(COUNTS, batch), updated(metric, batch)], repeats, calls)
    return [row(f"{replicates} replicates / plain, {rows:,} × 10", wrapped, plain, 5.0)]


def windowed(repeats: int) -> list[Row]:
    """An AUROC over windows of 10 and of 1,000 steps: a donated update writes one slot of either."""
    auroc = sm.AUROC(sm.Binary("logits"))
    batch = {"predictions": jax.random.normal(jax.random.key(0), (256,)), "targets": jnp.zeros(256, jnp.int32)}
    sides = [updated(sm.Windowed(auroc, size), batch | {"step": jnp.int32(5)}) for size in (10, 1000)]
    short, long = interleaved(sides, repeats, calls=10)
    return [row("a window of 1,000 steps / of 10, AUROC of 256 scores", long, short, None)]


def row(name: str, ours: np.ndarray, theirs: np.ndarray, target: float | None) -> Row:
    each = f"{np.median(ours):,.0f} against {np.median(theirs):,.0f} µs"
    return Row(name, *ratio(ours, theirs), "×", target, each)


def rows_of(rows: int) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0))
    return {
        "predictions": jax.random.normal(keys[0], (rows, 10)),
        "targets": jax.random.randint(keys[1], (rows,), 0, 10),
    }


def updated(metric: sm.Metric, batch: dict[str, Any]) -> Run:
    """One update after the other of a state that is donated."""
    step = jax.jit(lambda state, batch: metric.update(state, **batch), donate_argnums=0)
    states, batch = [metric.init()], {name: batch[name] for name in metric.reads}

    def run() -> Any:
        states[0] = step(states[0], batch)
        return states[0]

    return run


if __name__ == "__main__":
    main()
