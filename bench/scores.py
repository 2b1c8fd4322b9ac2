"""What histograms of scores cost on CPU: updates beside the scatter that they cannot do without, and readouts.

All sides run in one process on the same device arrays, in turn; states are donated, as a training donates them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measuring import Row, Run, interleaved, options, quartiles, ratio, same, show, update

import streammetrics as sm

SCORES = 1_000_000
EXAMPLES, CLASSES = 4096, 100


def main() -> None:
    repeats, _ = options(__doc__)
    show([*binary(repeats), *multiclass(repeats), *readouts(repeats)])


def binary(repeats: int) -> list[Row]:
    """A million scores beside `jnp.bincount` of as many indices into as many cells."""
    keys = jax.random.split(jax.random.key(0), 3)
    logits = jax.random.normal(keys[0], (SCORES,))
    share, targets = jax.nn.sigmoid(logits), jax.random.bernoulli(keys[1], 0.5, (SCORES,)).astype(jnp.int32)
    cells = jax.random.randint(keys[2], (SCORES,), 0, 2 * 4100)
    count = jax.jit(lambda x: jnp.bincount(x, length=2 * 4100))
    metrics = {
        "probabilities": (sm.AUROC(sm.Binary("probabilities")), share, 1.5),
        "logits": (sm.AUROC(sm.Binary("logits")), logits, 1.5),
        "bfloat16 scores, a bin for each": (
            sm.AUROC(sm.Binary("scores"), bins="bfloat16"),
            logits.astype(jnp.bfloat16),
            None,
        ),
        "probabilities with ties=True": (sm.AUROC(sm.Binary("probabilities"), ties=True), share, None),
    }
    same(metrics["probabilities"][0](share, targets), metrics["logits"][0](logits, targets), rtol=1e-3)
    sides: list[Run] = [lambda: count(cells)]
    sides += [update(metric, scores, targets) for metric, scores, _ in metrics.values()]
    least, *each = interleaved(sides, repeats, calls=1)
    return [
        Row(f"{SCORES:,} {name} / bincount", *ratio(times, least), "×", target, _times(least, times))
        for (name, (*_, target)), times in zip(metrics.items(), each, strict=True)
    ]


def multiclass(repeats: int) -> list[Row]:
    """A histogram for each class, beside one scatter of as many elements into the same table."""
    keys = jax.random.split(jax.random.key(1), 3)
    logits = jax.random.normal(keys[0], (EXAMPLES, CLASSES))
    targets = jax.random.randint(keys[1], (EXAMPLES,), 0, CLASSES)
    metrics = {inputs: sm.AUROC(sm.Multiclass(CLASSES, inputs)) for inputs in ("logits", "probabilities")}
    table = metrics["logits"].init().data["cells"][0].reshape(-1)
    cells = jax.random.randint(keys[2], (EXAMPLES * CLASSES,), 0, table.size)
    scatter = jax.jit(lambda table, cells: table.at[cells].add(np.uint32(1)), donate_argnums=0)
    tables = [table]

    def scattered() -> Any:
        tables[0] = scatter(tables[0], cells)
        return tables[0]

    batches = {"logits": logits, "probabilities": jax.nn.softmax(logits)}
    same(*(metric(batches[inputs], targets) for inputs, metric in metrics.items()), rtol=1e-3)
    sides: list[Run] = [scattered, *(update(metric, batches[inputs], targets) for inputs, metric in metrics.items())]
    least, *each = interleaved(sides, repeats, calls=1)
    return [
        Row(f"{EXAMPLES:,} × {CLASSES} {inputs} / scatter", *ratio(times, least), "×", 2.0, _times(least, times))
        for inputs, times in zip(metrics, each, strict=True)
    ]


def readouts(repeats: int) -> list[Row]:
    """`compute` in `jit`, of one curve in the default bins."""
    task = sm.Binary("logits")
    metrics = [
        sm.AUROC(task), sm.AveragePrecision(task), sm.ROC(task), sm.PrecisionRecallCurve(task), sm.BestThreshold(task),
        sm.CalibrationError(task, binning="mass"),
    ]  # fmt: skip
    sides: list[Run] = []
    for metric in metrics:
        state = metric.tally(np.linspace(-4, 4, 1000, dtype=np.float32), np.arange(1000) % 2)
        read = jax.jit(lambda state, metric=metric: metric.compute(state, on_invalid="nan"))
        sides.append(lambda read=read, state=state: read(state))
    times = [each / 1000 for each in interleaved(sides, repeats, calls=5)]
    return [
        Row(f"compute of {type(metric).__name__}", quartiles(each), each.min(), "ms", 1.0)
        for metric, each in zip(metrics, times, strict=True)
    ]


def _times(*sides: np.ndarray) -> str:
    return " / ".join(f"{times.min() / 1000:.2f}" for times in sides) + " ms"


if __name__ == "__main__":
    main()
