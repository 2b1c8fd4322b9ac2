"""What reading rows of logits costs on CPU, beside `jnp.max` and `jnp.argmax` of the same logits.

All sides run in one process on the same device arrays, in turn; states are donated, as a training donates them.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from measuring import Row, Run, interleaved, options, ratio, same, show, update

import streammetrics as sm

SHAPES = (
    # rows, classes, what it is compared with, and how many times that it may take in float32 and bfloat16
    (4096, 1000, "max", 3.0),
    (256, 50_000, "max", 1.6),
    (65_536, 10, "argmax", 2.5),
    (1024, 30_522, "max", None),
    (16_384, 100, "max", None),
)


def main() -> None:
    repeats, _ = options(__doc__)
    rows = []
    for count, classes, beside, target in SHAPES:
        for dtype in (jnp.float32, jnp.bfloat16):
            rows += measured(repeats, count, classes, jnp.dtype(dtype), beside, target)
    show(rows)


def measured(repeats: int, count: int, classes: int, dtype: Any, beside: str, target: float | None) -> list[Row]:
    """The usual four metrics beside one read of the scores; and with a loss and top 5, beside without."""
    keys = jax.random.split(jax.random.key(0))
    scores = jax.random.normal(keys[0], (count, classes)).astype(dtype)
    targets = jax.random.randint(keys[1], (count,), 0, classes)
    task = sm.Multiclass(classes, "logits")
    four = {
        "accuracy": sm.Accuracy(task),
        "precision": sm.Precision(task),
        "recall": sm.Recall(task),
        "f1": sm.F1(task),
    }
    more = {**four, "loss": sm.LogLoss(task), "top": sm.TopKAccuracy(task, k=5)}
    reduce = jax.jit(functools.partial({"max": jnp.max, "argmax": jnp.argmax}[beside], axis=-1))

    right = jnp.mean(jnp.argmax(scores, -1) == targets)
    same(sm.Collection(more)(predictions=scores, targets=targets)["accuracy"], right)

    sides: list[Run] = [
        lambda: reduce(scores),
        update(sm.Collection(four), scores, targets),
        update(sm.Collection(more), scores, targets),
    ]
    least, of_four, of_more = interleaved(sides, repeats, calls=1)
    name = f"{count:,} × {classes:,} {dtype.name}"
    each = " / ".join(f"{times.min() / 1000:.2f}" for times in (least, of_four, of_more)) + " ms"
    return [
        Row(f"{name}: {{accuracy, precision, recall, F1}} / {beside}", *ratio(of_four, least), "×", target, each),
        Row(f"{name}: with log loss and top 5 / without", *ratio(of_more, of_four), "×", target and 2.0),
    ]


if __name__ == "__main__":
    main()
