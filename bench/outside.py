"""What is paid outside the step: imports, tracing and compiling, and the first call.

- Imports: in new processes, each module in turn; the time of the import statement alone, without starting Python, with
  the bytecode that an installation has. A first round writes it and warms the disk, and is not counted.
- Tracing (into a jaxpr) and compiling (lowering that, and XLA) of one metric, of readings of one statistic, and of a
  mix of several statistics. All that JAX keeps is cleared before, and nothing is kept on disk.
- The first call: in new processes, `init`, `update` and `compute` of 4 metrics, after the imports and JAX's own start.
"""

import functools
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from measuring import Options, Row, made, ratio, same

import streammetrics as sm

MODULES = (
    "streammetrics",
    "jax",
    "clu.metrics",
    "metrax",
    "flax.nnx",
    "keras",
    "torchmetrics",
    "torcheval.metrics",
    "sklearn.metrics",
)
IMPORT_TARGET = 1.15
COMPILE_TARGET = 3.0

CLASSES = 10
TASK = sm.Multiclass(CLASSES, "logits")
TABLE = np.zeros((CLASSES, CLASSES), jnp.int32)
TOLERANCE = 1e-5
"""Float32: by hand, and in torchmetrics, the ratios are rounded and then averaged by a plain sum."""

Ratio = Callable[[Array, Array, Array, Array], tuple[Array, Array]]
# Ours; by hand the numerator and the denominator, of true and false positives, false and true negatives.
RATES: dict[str, tuple[Callable[..., sm.Metric], Ratio]] = {
    "precision": (sm.Precision, lambda tp, fp, fn, tn: (tp, tp + fp)),
    "recall": (sm.Recall, lambda tp, fp, fn, tn: (tp, tp + fn)),
    "f1": (sm.F1, lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn)),
    "specificity": (sm.Specificity, lambda tp, fp, fn, tn: (tn, tn + fp)),
    "jaccard": (sm.Jaccard, lambda tp, fp, fn, tn: (tp, tp + fp + fn)),
    "hamming": (sm.HammingLoss, lambda tp, fp, fn, tn: (fn, tp + fn)),
    "negative": (sm.NegativePredictiveValue, lambda tp, fp, fn, tn: (tn, tn + fn)),
    "fall_out": (sm.FalsePositiveRate, lambda tp, fp, fn, tn: (fp, fp + tn)),
    "miss": (sm.FalseNegativeRate, lambda tp, fp, fn, tn: (fn, fn + tp)),
    "discovery": (sm.FalseDiscoveryRate, lambda tp, fp, fn, tn: (fp, fp + tp)),
}
Readings = Sequence[tuple[str, str]]
READINGS = [(rate, average) for average in ("macro", "weighted") for rate in RATES]
MIX: dict[str, sm.Metric] = {
    "accuracy": sm.Accuracy(TASK),
    "auroc": sm.AUROC(TASK),
    "loss": sm.Mean("loss"),
    "top_3": sm.TopKAccuracy(TASK, 3),
    "f1": sm.F1(TASK),
    "average_precision": sm.AveragePrecision(TASK),
    "calibration": sm.CalibrationError(TASK),
    "brier": sm.Brier(TASK),
    "log_loss": sm.LogLoss(TASK),
    "deviation": sm.Std("loss"),
    "largest": sm.Maximum("loss"),
    "precision": sm.Precision(TASK),
    "recall": sm.Recall(TASK, average=None),
    "balanced": sm.BalancedAccuracy(TASK),
    "specificity": sm.Specificity(TASK),
    "matthews": sm.MatthewsCorrelation(TASK),
    "kappa": sm.CohenKappa(TASK),
    "jaccard": sm.Jaccard(TASK),
    "confusion": sm.ConfusionMatrix(TASK),
    "examples": sm.Examples(TASK),
}


def measure(options: Options) -> Iterator[Row]:
    yield from imports(options)
    yield from programs(options)
    yield from first_calls(options)


# New processes


def fresh(*arguments: str) -> str:
    """What a new process of Python prints. It is isolated: no variable forbids it to keep bytecode, as some do."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, "-I", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def imports(options: Options) -> Iterator[Row]:
    """Ours beside JAX, which it needs anyway, and beside the peers."""
    modules, rounds = MODULES[: options.size(len(MODULES), 3)], options.size(12, 1)
    times: dict[str, list[float]] = {module: [] for module in modules}
    for number in range(rounds + 1):
        for module in modules:
            code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
            seconds = float(fresh("-c", code))
            if number > 0:
                times[module].append(seconds)
    for module in modules[1:]:
        target = IMPORT_TARGET if module == "jax" else None
        yield of_processes("import", times, modules[0], module, target)


def first_calls(options: Options) -> Iterator[Row]:
    """Beside jitted code by hand, and beside torchmetrics, which compiles nothing."""
    script = str(Path(__file__).with_name("first_call.py"))
    sides = ("ours", "by hand", "torchmetrics")[: options.size(3, 2)]
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.size(8, 1)):
        found = {side: json.loads(fresh(script, side)) for side in sides}
        for side, (seconds, told) in found.items():
            agree(dict(found["ours"][1]), dict(told), side)
            times[side].append(seconds)
    for side in sides[1:]:
        yield of_processes("first update and compute of 4 metrics", times, "ours", side)


def of_processes(
    work: str, times: Mapping[str, list[float]], ours: str, theirs: str, target: float | None = None
) -> Row:
    """The row of seconds that new processes told."""
    mine, others = (1e6 * np.array(times[side]) for side in (ours, theirs))
    return ratio(work, mine, theirs, others, target, f"{len(mine)} new processes each")


# Programs


Phases = Mapping[tuple[str, ...], np.ndarray]
"""Times by who, how many, what, and the phase."""


class Programs(NamedTuple):
    """What is compiled, and what it is compiled for."""

    update: Callable[[Any, Any], Any]
    compute: Callable[[Any], Any]
    state: Any
    batch: Any


def programs(options: Options) -> Iterator[Row]:
    """Tracing and compiling of many metrics, beside one, and beside code by hand."""
    number, batch = options.size(20, 4), made(256, CLASSES)
    one, many, mix = "1 metric", f"{number} readings of one statistic", f"a mix of {number} metrics"
    readings = READINGS[:number]
    metrics = {one: sm.Accuracy(TASK), many: collected(readings), mix: sm.Collection(dict(list(MIX.items())[:number]))}
    sides = {("ours", name): of_metric(metric, batch) for name, metric in metrics.items()}
    sides["by hand", one] = Programs(add_by_hand, accuracy_by_hand, TABLE, batch)
    sides["by hand", many] = Programs(add_by_hand, functools.partial(rates_by_hand, readings), TABLE, batch)
    for name in (one, many):
        ours, hand = (values(sides[side, name]) for side in ("ours", "by hand"))
        agree(ours, hand, "by hand")

    times = compiled(options, sides)
    for what in ("update", "compute"):
        for name in (many, mix):
            for phase, target in (("trace", None), ("compile", COMPILE_TARGET)):
                mine, single = (times["ours", which, what, phase] for which in (name, one))
                note = grown_by_hand(times, name, one, what, phase)
                yield ratio(f"{phase} {what} of {name}", mine, f"ours of {one}", single, target, note)
        for name in (one, many):
            mine, hand = (whole(times, side, name, what) for side in ("ours", "by hand"))
            yield ratio(f"trace and compile {what} of {name}", mine, "by hand", hand)


def agree(ours: Any, theirs: Any, who: str) -> None:
    """Both have the same values, of the same names."""
    jax.tree.map(functools.partial(same, rtol=TOLERANCE, who=who), ours, theirs)


def grown_by_hand(times: Phases, many: str, one: str, what: str, phase: str) -> str:
    """What as many take by hand beside one, where somebody has written them."""
    if ("by hand", many, what, phase) not in times:
        return ""
    grown = times["by hand", many, what, phase] / times["by hand", one, what, phase]
    return f"by hand: {np.median(grown):.2g} × its one"


def whole(times: Phases, *key: str) -> np.ndarray:
    """The time of both phases."""
    return times[*key, "trace"] + times[*key, "compile"]


def compiled(options: Options, sides: Mapping[tuple[str, str], Programs]) -> Phases:
    """Microseconds of each phase of each side's functions, in turn within every repetition."""
    times: dict[tuple[str, ...], list[float]] = {}
    for _ in range(options.size(9, 1)):
        for key, side in sides.items():
            for what, function, arguments in (
                ("update", side.update, (side.state, side.batch)),
                ("compute", side.compute, (side.state,)),
            ):
                for phase, seconds in phases(function, *arguments).items():
                    times.setdefault((*key, what, phase), []).append(seconds * 1e6)
    return {key: np.array(each) for key, each in times.items()}


def phases(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Seconds of tracing, and of lowering and XLA, when nothing is kept of any before."""
    jax.clear_caches()
    gc.collect()
    gc.disable()  # a collection takes as long as a small compile, and may come in any
    try:
        start = time.perf_counter()
        traced = jax.jit(function).trace(*arguments)
        middle = time.perf_counter()
        traced.lower().compile()
        return {"trace": middle - start, "compile": time.perf_counter() - middle}
    finally:
        gc.enable()


def values(side: Programs) -> Any:
    """What is read of one batch."""
    return jax.jit(side.compute)(jax.jit(side.update)(side.state, side.batch))


def of_metric(metric: sm.Metric, batch: Mapping[str, Any]) -> Programs:
    def update(state: sm.State, batch: Mapping[str, Any]) -> sm.State:
        return metric.update(state, **batch)

    def compute(state: sm.State) -> Any:
        return metric.compute(state, "nan")

    return Programs(update, compute, metric.init(), {name: batch[name] for name in metric.reads})


def collected(readings: Readings) -> sm.Collection:
    return sm.Collection({f"{rate} {average}": RATES[rate][0](TASK, average=average) for rate, average in readings})


def add_by_hand(table: Array, batch: Mapping[str, Any]) -> Array:
    """How often each class was taken for each, rows being true ones."""
    return table.at[batch["targets"], jnp.argmax(batch["predictions"], -1)].add(1)


def accuracy_by_hand(table: Array) -> Array:
    return jnp.trace(table) / jnp.sum(table)


def rates_by_hand(readings: Readings, table: Array) -> dict[str, Array]:
    """Ratios of the events of each class, averaged over the classes that occur, or by how often they do."""
    tp, predicted, true = jnp.diag(table), table.sum(0), table.sum(1)
    fp, fn, tn = predicted - tp, true - tp, table.sum() - predicted - true + tp
    found = {}
    for rate, average in readings:
        above, below = RATES[rate][1](tp, fp, fn, tn)
        share = true if average == "weighted" else (predicted + true > 0).astype(jnp.int32)
        found[f"{rate} {average}"] = jnp.sum(share * (above / jnp.maximum(below, 1))) / jnp.sum(share)
    return found
