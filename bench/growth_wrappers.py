"""Growth with slices, replicates of a bootstrap, and steps of a window, beside the same collection without them."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from growth_shared import TASK, grown, logits, of_torch, pair, torch_update
from measuring import Options, Row, at, interleaved, ratio, same, size_of, update
from torchmetrics.wrappers import BootStrapper  # pyright: ignore[reportMissingImports]

import streammetrics as sm

COUNTS = sm.Collection(accuracy=sm.Accuracy(TASK), precision=sm.Precision(TASK), recall=sm.Recall(TASK), f1=sm.F1(TASK))
DEVIATIONS = 4
"""The mean of torchmetrics' replicates is drawn: so many of its standard deviations it may be off."""
SLICES_TARGET = 1.3
REPLICATES_TARGET = 5.0


def measure(options: Options) -> Iterator[Row]:
    yield from sliced(options)
    yield from resampled(options)
    yield from windowed(options)


def sliced(options: Options) -> Iterator[Row]:
    """More and more slices of as many rows."""
    batch = logits(options.size(65_536, 4096))
    rows = len(batch["targets"])
    sides = {"plain": update(COUNTS, **batch)}
    numbers = grown(options, (1, 10, 100, 1000, 10_000), 1000)
    for number in numbers:
        groups = jnp.asarray(np.random.default_rng(1).integers(0, number, rows, np.int32))
        metric = sm.Sliced(COUNTS, "group", number)
        sides[str(number)] = update(metric, **batch, group=groups)
        right = (batch["predictions"].argmax(-1) == batch["targets"])[groups == 0]
        same(metric.compute(sides[str(number)]())["accuracy"][0], right.mean(), who="by hand, of one slice")
    times = interleaved(sides, options)
    for number in numbers:
        target = SLICES_TARGET if number == 1000 else None
        work = f"update of 4 metrics in {number:,} slice{'s' * (number > 1)}, {size_of(batch)}"
        yield at(number, ratio(work, times[str(number)], "ours without slices", times["plain"], target))


def resampled(options: Options) -> Iterator[Row]:
    """A bootstrap of 100 replicates; torchmetrics draws a batch and updates a metric for each of them."""
    batch, replicates = logits(options.size(4096, 256)), options.size(100, 10)
    rows = len(batch["targets"])
    metric = sm.Bootstrapped(COUNTS, replicates)
    theirs = BootStrapper(of_torch("Accuracy", average="micro"), num_bootstraps=replicates)
    torch.manual_seed(0)
    sides = {
        "ours": update(metric, **batch, ids=jnp.arange(rows)),
        "plain": update(COUNTS, **batch),
        "theirs": torch_update(theirs, batch),
    }
    plain = COUNTS.compute(sides["plain"]())["accuracy"]
    same(COUNTS.compute(sm.total(sides["ours"]()))["accuracy"], plain)
    deviation = float(np.sqrt(plain * (1 - plain) / rows / replicates))
    same(plain, theirs.compute()["mean"], atol=DEVIATIONS * deviation, who="torchmetrics")
    work = f"update of 4 metrics in {replicates} replicates, {size_of(batch)}"
    yield pair(work, options, sides["ours"], "ours without replicates", sides["plain"], REPLICATES_TARGET)
    yield pair(work, options, sides["ours"], "torchmetrics", sides["theirs"], note="accuracy alone")


def windowed(options: Options) -> Iterator[Row]:
    """A table of 100 classes over windows of 10 and of 1,000 steps: a donated update writes one slot of either."""
    rng = np.random.default_rng(0)
    names, sizes = ("predictions", "targets"), (10, options.size(1000, 100))
    batch = {name: jnp.asarray(rng.integers(0, 100, 256, np.int32)) for name in names}
    table, step = sm.ConfusionMatrix(sm.Multiclass(100, "labels")), jnp.int32(5)
    short, long = (update(sm.Windowed(table, size), **batch, step=step) for size in sizes)
    for size, run in zip(sizes, (short, long), strict=True):
        same(sm.Windowed(table, size).compute(run()), table(**batch))
    work = f"update of a table of 100 classes in a window of {sizes[1]:,} steps, 256 labels"
    yield at(sizes[1], pair(work, options, long, f"ours in a window of {sizes[0]}", short))
