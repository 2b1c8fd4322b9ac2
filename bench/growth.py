"""Growth: what more rows, metrics, slices, replicates, steps of a window, classes and devices cost, in time and memory.

- Rows: growth_rows.py.
- Metrics: readings of one task's class counts, and a mix as people log it, beside a `MetricCollection` of as many, with
  its compute groups and without its checks of every batch.
- Slices, replicates and windows: growth_wrappers.py.
- Classes: rows of labels, beside scatters by hand. torchmetrics makes a table of the classes' square in each update.
- Devices: on_devices.py, a process of its own, because a process has as many devices as it begins with.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import growth_rows
import growth_wrappers
import jax
import jax.numpy as jnp
import numpy as np
import torchmetrics.classification as torchclasses  # pyright: ignore[reportMissingImports]
from growth_shared import CLASSES, TASK, grown, human, logits, of_torch, pair, torch_update
from measuring import Options, Row, Run, at, donated, interleaved, ratio, same, size_of, update
from torchmetrics import MetricCollection  # pyright: ignore[reportMissingImports]

import streammetrics as sm

# Ours, theirs, and what both take. Ours are of `Multiclass`, and so are theirs.
RATES: dict[str, tuple[Callable[..., sm.Metric], str, dict[str, Any]]] = {
    "accuracy": (sm.Accuracy, "Accuracy", {}),
    "precision": (sm.Precision, "Precision", {}),
    "recall": (sm.Recall, "Recall", {}),
    "f1": (sm.F1, "F1Score", {}),
    "f2": (sm.FBeta, "FBetaScore", {"beta": 2.0}),
    "f_half": (sm.FBeta, "FBetaScore", {"beta": 0.5}),
    "specificity": (sm.Specificity, "Specificity", {}),
    "jaccard": (sm.Jaccard, "JaccardIndex", {}),
    "hamming": (sm.HammingLoss, "HammingDistance", {}),
    "negative": (sm.NegativePredictiveValue, "NegativePredictiveValue", {}),
}
AVERAGES = ("macro", "weighted", None, "micro")
NUMBERS = (1, 2, 5, 10, 20, 40)

TORCH_TOLERANCE = 1e-5
"""Float32: torchmetrics' averages are sums of rounded ratios."""
MIX_TOLERANCE = 1e-4
"""A probability that float32 rounds across an edge of the 15 bins moves the calibration error."""
TABLE_LIMIT = 10**8
"""Bytes of a table that torchmetrics may make here."""

READINGS_TARGET = 1.3


def measure(options: Options) -> Iterator[Row]:
    yield from growth_rows.measure(options)
    yield from readings(options)
    yield from mixed(options)
    yield from growth_wrappers.measure(options)
    yield from classes(options)
    yield from devices(options)


# Metrics


def readings(options: Options) -> Iterator[Row]:
    """More and more readings of the same counts, whose update should not cost more: an update, and a readout."""
    batch = logits(options.size(4096, 256))
    collections = {number: several(number) for number in grown(options, NUMBERS, 1, 5)}
    updates, computes = {}, {}
    for number, (ours, theirs) in collections.items():
        run, torch_run = update(ours, **batch), torch_update(theirs, batch)
        read, values = readout(ours, jax.tree.map(jnp.copy, run())), theirs.compute()
        for name, value in read().items():
            same(value, values[name], TORCH_TOLERANCE, who=f"torchmetrics' {name}")
        updates[number], computes[number] = (run, torch_run), (read, theirs.compute)
    yield from among(options, f"update of {{}}, {size_of(batch)}", updates, READINGS_TARGET)
    yield from among(options, f"compute of {{}}, {CLASSES} classes", computes)


def among(
    options: Options, work: str, sides: Mapping[int, tuple[Run, Run]], target: float | None = None
) -> Iterator[Row]:
    """Ours of many beside ours of the fewest, and beside theirs of as many."""
    fewest, *more = sides
    times = interleaved({str(number): ours for number, (ours, _) in sides.items()}, options)
    for number, (ours, theirs) in sides.items():
        title = work.format("1 reading" if number == 1 else f"{number} readings")
        yield at(number, pair(title, options, ours, "torchmetrics", theirs))
        if number in more:
            yield at(number, ratio(title, times[str(number)], f"ours of {fewest}", times[str(fewest)], target))


def several(number: int) -> tuple[sm.Collection, Any]:
    """The first so many readings: ours, and theirs."""
    pairs = {f"{rate}_{average}": (rate, average) for average in AVERAGES for rate in RATES}
    ours, theirs = {}, {}
    for name, (rate, average) in list(pairs.items())[:number]:
        kind, other, more = RATES[rate]
        ours[name] = kind(TASK, **more, average=average)
        theirs[name] = of_torch(other, **more, average=average or "none")
    return sm.Collection(ours), MetricCollection(theirs)


def readout(metric: sm.Metric, state: sm.State) -> Run:
    read = jax.jit(lambda state: metric.compute(state, "nan"))
    return lambda: read(state)


def mixed(options: Options) -> Iterator[Row]:
    """Twelve metrics as people log them together, of four statistics."""
    batch = logits(options.size(4096, 256))
    ours = sm.Collection(
        accuracy=sm.Accuracy(TASK),
        balanced=sm.BalancedAccuracy(TASK),
        precision=sm.Precision(TASK),
        recall=sm.Recall(TASK, average=None),
        f1=sm.F1(TASK),
        matthews=sm.MatthewsCorrelation(TASK),
        kappa=sm.CohenKappa(TASK),
        confusion=sm.ConfusionMatrix(TASK),
        top_3=sm.TopKAccuracy(TASK, 3),
        calibration=sm.CalibrationError(TASK),
        AUROC=sm.AUROC(TASK),
        AP=sm.AveragePrecision(TASK),
    )
    theirs = MetricCollection(
        {
            "accuracy": of_torch("Accuracy", average="micro"),
            "balanced": of_torch("Accuracy", average="macro"),
            "precision": of_torch("Precision"),
            "recall": of_torch("Recall", average="none"),
            "f1": of_torch("F1Score"),
            "matthews": of_torch("MatthewsCorrCoef"),
            "kappa": of_torch("CohenKappa"),
            "confusion": of_torch("ConfusionMatrix"),
            "top_3": of_torch("Accuracy", average="micro", top_k=3),
            "calibration": of_torch("CalibrationError"),
            "AUROC": of_torch("AUROC", thresholds=200),
            "AP": of_torch("AveragePrecision", thresholds=200),
        }
    )
    run, torch_run, one = update(ours, **batch), torch_update(theirs, batch), update(sm.Accuracy(TASK), **batch)
    others, off = theirs.compute(), {}
    for name, value in ours.compute(run()).items():
        if name in ("AUROC", "AP"):
            off[name] = abs(float(value) - float(others[name]))
        else:
            same(value, others[name], MIX_TOLERANCE, who=f"torchmetrics' {name}")
    work = f"update of a mix of 12 metrics, {size_of(batch)}"
    errors = ", ".join(f"{name} off by {error:.0e}" for name, error in off.items())
    note = f"200 thresholds ({errors}); for the calibration it keeps every row"
    yield pair(work, options, run, "torchmetrics", torch_run, note=note)
    yield pair(work, options, run, "ours, accuracy alone", one)


# Classes


def classes(options: Options) -> Iterator[Row]:
    """More and more classes, of labels: only counting, without reading logits."""
    rows = options.size(65_536, 4096)
    for number in grown(options, (10, 100, 1000, 10_000, 100_000), 10, 1000):
        batch = labels(rows, number)
        task, square = sm.Multiclass(number, "labels"), 8 * number**2
        rates = {"precision": sm.Precision(task, average=None), "recall": sm.Recall(task, average=None)}
        metrics = sm.Collection(accuracy=sm.Accuracy(task), **rates)
        run, hand = update(metrics, **batch), donated(by_hand, jnp.zeros((3, number), jnp.int32), batch)
        recall, (hits, _, true) = metrics.compute(run())["recall"], hand()
        same(recall, hits / jnp.maximum(true, 1), who="by hand")
        work = f"update of accuracy, precision and recall, {rows:,} labels of {number:,} classes"
        state = sum(array.nbytes for array in jax.tree.leaves(metrics.init()))
        note = f"state of {human(state)}; the table that torchmetrics makes: {human(square)}"
        yield at(number, pair(work, options, run, "by hand", hand, note=note))
        if square <= TABLE_LIMIT:
            theirs = torchclasses.MulticlassStatScores(number, average="none", validate_args=False)
            torch_run = torch_update(theirs, batch)
            hits, _, _, _, true = theirs.compute().T
            same(recall, hits / true.clamp(1), who="torchmetrics")
            yield at(number, pair(work, options, run, "torchmetrics", torch_run))


def labels(rows: int, number: int) -> dict[str, Any]:
    """Predicted classes, most of them right, and targets."""
    rng = np.random.default_rng(0)
    targets, others = rng.integers(0, number, (2, rows), np.int32)
    return {
        "predictions": jnp.asarray(np.where(rng.random(rows) < 0.8, targets, others)),
        "targets": jnp.asarray(targets),
    }


def by_hand(counts: jax.Array, batch: Mapping[str, Any]) -> jax.Array:
    """How many were right, predicted, and true, of each class."""
    predicted, targets = batch["predictions"], batch["targets"]
    counts = counts.at[0, targets].add(predicted == targets)
    return counts.at[1, predicted].add(1).at[2, targets].add(1)


# Devices


def devices(options: Options) -> Iterator[Row]:
    """The rows of on_devices.py, as they come."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    command = [sys.executable, str(Path(__file__).with_name("on_devices.py")), json.dumps(dataclasses.asdict(options))]
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield Row(**json.loads(line))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
