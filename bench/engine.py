"""What the engine costs on CPU: eager updates in microseconds, updates in a scan beside what one writes by hand.

Every comparison runs in one process on the same device arrays. Both sides are compiled, warmed up and checked to give
the same answers; then they are timed in turn (ours, by hand, ours, …), each time until the device is done.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from measuring import Row, interleaved, options, quartiles, same, show

import streammetrics as sm


def main() -> None:
    repeats, share = options(__doc__)
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


def batches(steps: int, batch: int, classes: int) -> tuple[Array, Array, Array]:
    """Stacked logits, class ids and losses, on the device."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (steps, batch, classes))
    y = jax.random.randint(keys[1], (steps, batch), 0, classes)
    loss = jax.random.uniform(keys[2], (steps, batch))
    return jax.block_until_ready((x, y, loss))


if __name__ == "__main__":
    main()
