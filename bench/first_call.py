"""What outside.py starts: the first `init`, `update` and `compute` of 4 metrics in this process, by one side.

Prints the seconds and the values by name as JSON. What is not the metrics' own comes before: imports, JAX's start, and
the batch.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, CLASSES = 256, 10


def ours(predictions: np.ndarray, targets: np.ndarray) -> Callable[[], dict[str, Any]]:
    import streammetrics as sm

    task, (x, y) = sm.Multiclass(CLASSES, "logits"), on_device(predictions, targets)

    def run() -> dict[str, Any]:
        metrics = sm.Collection(
            accuracy=sm.Accuracy(task), precision=sm.Precision(task), recall=sm.Recall(task), f1=sm.F1(task)
        )
        return metrics.compute(metrics.update(metrics.init(), predictions=x, targets=y))

    return run


def by_hand(predictions: np.ndarray, targets: np.ndarray) -> Callable[[], dict[str, Any]]:
    import jax
    import jax.numpy as jnp

    x, y = on_device(predictions, targets)

    @jax.jit
    def update(table: Any, x: Any, y: Any) -> Any:
        return table.at[y, jnp.argmax(x, -1)].add(1)

    @jax.jit
    def compute(table: Any) -> dict[str, Any]:
        tp, predicted, true = jnp.diag(table), table.sum(0), table.sum(1)
        return {
            "accuracy": tp.sum() / table.sum(),
            "precision": jnp.mean(tp / jnp.maximum(predicted, 1)),
            "recall": jnp.mean(tp / jnp.maximum(true, 1)),
            "f1": jnp.mean(2 * tp / jnp.maximum(predicted + true, 1)),
        }

    return lambda: compute(update(jnp.zeros((CLASSES, CLASSES), jnp.int32), x, y))


def of_torchmetrics(predictions: np.ndarray, targets: np.ndarray) -> Callable[[], dict[str, Any]]:
    import torch  # pyright: ignore[reportMissingImports]
    import torchmetrics.classification as classes  # pyright: ignore[reportMissingImports]
    from torchmetrics import MetricCollection  # pyright: ignore[reportMissingImports]

    x, y = torch.from_numpy(predictions), torch.from_numpy(targets).long()

    def run() -> dict[str, Any]:
        metrics = MetricCollection(
            {
                "accuracy": classes.MulticlassAccuracy(CLASSES, average="micro"),
                "precision": classes.MulticlassPrecision(CLASSES),
                "recall": classes.MulticlassRecall(CLASSES),
                "f1": classes.MulticlassF1Score(CLASSES),
            }
        )
        metrics.update(x, y)
        return metrics.compute()

    return run


def on_device(*arrays: np.ndarray) -> Any:
    """As JAX has them, which has then started, and compiled and run something."""
    import jax
    import jax.numpy as jnp

    jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.zeros(1)))
    return jax.block_until_ready([jnp.asarray(array) for array in arrays])


SIDES = {"ours": ours, "by hand": by_hand, "torchmetrics": of_torchmetrics}


def main() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, ROWS, np.int32)
    scores = rng.normal(size=(ROWS, CLASSES)) + 2 * (np.arange(CLASSES) == targets[:, None])
    run = SIDES[sys.argv[1]](scores.astype(np.float32), targets)
    start = time.perf_counter()
    values = {name: float(value) for name, value in run().items()}
    print(json.dumps([time.perf_counter() - start, sorted(values.items())]))


if __name__ == "__main__":
    main()
