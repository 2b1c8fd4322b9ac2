"""AUROC and average precision: histograms of the scores' bits, 200 thresholds, sorting, and what cannot be saved.

`update` adds a batch to a state that is carried on, and donated where that is possible. It is compared with Keras and
with the floors: a bincount or scatter of as many indices, a copy of scores and targets. `update + compute` goes from
the scores to the value. There everybody is compared: exact peers only keep the scores until then, and peers that
compare every score with every threshold take so long that their `compute` makes no difference.

Two kinds of data: moderate, and clicks, most of whose probabilities lie below the second of 200 thresholds. How far
each side is off the exact value stands beside the times, and is compared over several samples at the end.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras  # pyright: ignore[reportMissingImports]
import metrax  # pyright: ignore[reportMissingImports]
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torcheval.metrics as torcheval  # pyright: ignore[reportMissingImports]
import torchmetrics.classification as torchmetrics  # pyright: ignore[reportMissingImports]
from jax import lax
from measuring import Options, Row, Run, donated, interleaved, ratio, same, update
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics import MetricCollection  # pyright: ignore[reportMissingImports]

import streammetrics as sm

KINDS = {
    # The share of positives, the mean logit of the negatives, and how much greater that of the positives is.
    "moderate": (0.5, -1.0, 2.0),
    "clicks": (0.01, -6.0, 0.82),
}
ROC, PR = "AUROC", "AP"
CELLS = 2 * 4100
"""About as many as the default bins have, by target."""
THRESHOLDS = 200
MUCH = 1_000_000
BATCHES = 10
"""In as many metrax takes a million scores faster than at once: it holds 3.2 KB a score."""

# At a million scores: with few, a call costs as much as what it counts, and errors are large whoever makes them.
TARGETS = {"keras": 1 / 2, "torchmetrics": 1 / 200, "metrax": 1 / 500, "jnp.bincount": 1.5}
SCATTER_TARGET = 2.0
ERROR_TARGET = 1 / 100

EXACT, IN_BATCHES = "scikit-learn (exact)", f"metrax, in {BATCHES} batches"
EXACT_TOLERANCE = 2e-6
"""Of exact peers: they, and what is written by hand, sum in float32."""
OUR_TOLERANCE = 1e-6
"""Of rounding alone: the exact value must be no further from ours than `sm.bounds` are apart."""
MODERATE_TOLERANCE = 5e-4
"""Of 200 thresholds on moderate scores; of clicks they are wrong by more, which the rows say."""
CLASSES_TOLERANCE = 1e-2
"""Of 200 thresholds on the probabilities of 100 classes, most of which lie below the second threshold."""
TYPE_TOLERANCE = 1e-3
"""Of scores that were rounded to the 8 bits of bfloat16."""


def measure(options: Options) -> Iterator[Row]:
    many, shape = options.size(MUCH, 5_000), (options.size(4096, 256), options.size(100, 10))
    if options.quick:  # the rest is more of the same
        yield from binary(options, drawn("moderate", "logits", many), everybody=True)
    else:
        for inputs in ("probabilities", "logits"):
            yield from binary(options, drawn("moderate", inputs, MUCH), everybody=True)
            for kind, count in ("clicks", MUCH), ("moderate", MUCH // 100), ("moderate", 10 * MUCH):
                yield from binary(options, drawn(kind, inputs, count), everybody=inputs == "probabilities")
    yield from binary(options, drawn("clicks", "probabilities", many), (ROC, PR), everybody=True)
    yield from other_bins(options, drawn("moderate", "logits", many))
    for inputs in ("probabilities", "logits"):
        yield from multiclass(options, of_classes(inputs, *shape))
    for kind in KINDS:
        # An error may be small by chance: it is taken of several samples.
        yield from errors([drawn(kind, "probabilities", many, seed) for seed in range(options.size(5, 2))])


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores (N,) and whether each is of a positive; or (N, C) and the class of each row."""

    kind: str
    inputs: str
    scores: np.ndarray
    targets: np.ndarray

    @property
    def of_numpy(self) -> tuple[np.ndarray, np.ndarray]:
        return self.scores, self.targets

    @functools.cached_property
    def of_jax(self) -> tuple[jax.Array, jax.Array]:
        return jnp.asarray(self.scores), jnp.asarray(self.targets)

    @functools.cached_property
    def one_hot(self) -> tuple[jax.Array, jax.Array]:
        scores, targets = self.of_jax
        return scores, jax.nn.one_hot(targets, scores.shape[1])

    @functools.cached_property
    def of_torch(self) -> tuple[Any, Any]:
        return torch.from_numpy(self.scores), torch.from_numpy(self.targets).long()

    @property
    def task(self) -> Any:
        return sm.Binary(self.inputs) if self.scores.ndim == 1 else sm.Multiclass(self.scores.shape[1], self.inputs)

    def __str__(self) -> str:
        size = " × ".join(f"{size:,}" for size in self.scores.shape)
        return f"{size} {self.inputs}{' of clicks' if self.kind == 'clicks' else ''}"


def drawn(kind: str, inputs: str, count: int, seed: int = 0) -> Scores:
    share, low, further = KINDS[kind]
    rng = np.random.default_rng(seed)
    targets = (rng.random(count) < share).astype(np.int32)
    logits = rng.normal(low + further * targets)
    scores = logits if inputs == "logits" else 1 / (1 + np.exp(-logits))
    return Scores(kind, inputs, scores.astype(np.float32), targets)


def of_classes(inputs: str, count: int, classes: int) -> Scores:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, count, dtype=np.int32)
    logits = (rng.normal(size=(count, classes)) + 2 * np.eye(classes)[targets]).astype(np.float32)
    return Scores("moderate", inputs, logits if inputs == "logits" else np.array(jax.nn.softmax(logits)), targets)


class Side(NamedTuple):
    """Somebody who reads areas off scores."""

    arrays: str
    """Which arrays of the scores it takes."""
    values: Callable[[Any, Any], Any]
    """From scores and targets to the areas."""
    update: Callable[[Any, Any], Run] | None = None
    """One batch after the other added to a state that is carried on."""

    def taken(self, data: Scores) -> Any:
        return getattr(data, self.arrays)

    def whole(self, data: Scores) -> Run:
        return functools.partial(self.values, *self.taken(data))


Sides = dict[str, Side]


def binary(options: Options, data: Scores, curves: tuple[str, ...] = (ROC,), everybody: bool = False) -> Iterator[Row]:
    """Ours and Keras' on scores of two classes, and everybody else who is not too slow for as many."""
    fast = {"ours": ours(data.task, curves), "keras": by_keras(data.task, curves)}
    slow = {EXACT: by_sklearn(data.task, curves)}
    if everybody:
        slow |= {"torchmetrics": by_torchmetrics(data.task, curves, THRESHOLDS), **exactly(data.task, curves)}
        if len(data.scores) <= MUCH:
            slow |= {"metrax": by_metrax(data.task, curves), IN_BATCHES: by_metrax(data.task, curves, BATCHES)}
    off = errors_of(fast | slow, data)
    check(data, curves, off, MODERATE_TOLERANCE if data.kind == "moderate" else None)
    targeted = len(data.scores) == MUCH and curves == (ROC,)
    least = {"jnp.bincount": bincount(data), "a copy of scores and targets": copy(data)}
    work = f"{' and '.join(curves)} of {data}"
    yield from compared(options, work, data, fast, slow, least, TARGETS if targeted else {}, off)


def multiclass(options: Options, data: Scores) -> Iterator[Row]:
    """A histogram for each class against the rest, and the mean of their areas."""
    fast = {"ours": ours(data.task, (ROC,)), "keras": by_keras(data.task, (ROC,))}
    slow = {"torchmetrics": by_torchmetrics(data.task, (ROC,), THRESHOLDS), **exactly(data.task, (ROC,))}
    off = errors_of(fast | slow, data)
    check(data, (ROC,), off, CLASSES_TOLERANCE)
    least = {"a scatter": scatter(data), "a copy of scores and targets": copy(data)}
    targets = {} if options.quick else {"a scatter": SCATTER_TARGET}
    yield from compared(options, f"{ROC} of {data}", data, fast, slow, least, targets, off)


def compared(
    options: Options,
    work: str,
    data: Scores,
    fast: Sides,
    slow: Sides,
    least: Mapping[str, Run],
    targets: Mapping[str, float],
    off: Mapping[str, np.ndarray],
) -> Iterator[Row]:
    """The rows of one comparison. Who is slow is timed apart, so that who is fast is timed often."""
    notes = {name: f"off by {told(error)}, ours by {told(off['ours'])}" for name, error in off.items()}
    if "metrax" in notes and len(data.scores) == MUCH:
        notes["metrax"] += "; in 3.2 GB of memory, so not tried with more"
    updates = {name: side.update(*side.taken(data)) for name, side in fast.items() if side.update}
    yield from against(f"update, {work}", interleaved({**updates, **least}, options), targets, notes)
    for sides, fewest in (fast, 7), ({"ours": fast["ours"], **slow}, 5 if len(data.scores) <= MUCH else 3):
        times = interleaved({name: side.whole(data) for name, side in sides.items()}, options, fewest)
        yield from against(f"update + compute, {work}", times, targets, notes)


def against(
    work: str, times: Mapping[str, np.ndarray], targets: Mapping[str, float], notes: Mapping[str, str]
) -> Iterator[Row]:
    for name, theirs in times.items():
        if name != "ours":
            yield ratio(work, times["ours"], name, theirs, targets.get(name), notes.get(name, ""))


def errors_of(sides: Sides, data: Scores) -> dict[str, np.ndarray]:
    """How far the areas of each side are off the exact ones."""
    values = {name: np.array([float(area) for area in side.whole(data)()]) for name, side in sides.items()}
    return {name: np.abs(areas - values[EXACT]) for name, areas in values.items()}


def told(error: np.ndarray) -> str:
    return " and ".join(f"{each:.0e}" if each else "0" for each in error)


def check(data: Scores, curves: tuple[str, ...], off: Mapping[str, np.ndarray], tolerance: float | None) -> None:
    """Exact peers agree with scikit-learn, ours within what is proven, 200 thresholds where they do not fail."""
    for name, error in off.items():
        if name == "ours":
            metric = areas(data.task, curves)
            bounds = sm.bounds(metric, metric.tally(**batch(*data.of_jax)))
            apart = np.array([float(bounds[curve].upper - bounds[curve].lower) for curve in curves])
            same(np.maximum(error - apart, 0), 0, atol=OUR_TOLERANCE, who=f"ours, {data}")
        elif "exact" in name:
            same(error, 0, atol=EXACT_TOLERANCE, who=f"{name}, {data}")
        elif tolerance is not None:
            same(error, 0, atol=tolerance, who=f"{name}, {data}")


def areas(task: Any, curves: tuple[str, ...]) -> sm.Collection:
    each = {ROC: sm.AUROC(task), PR: sm.AveragePrecision(task)}
    return sm.Collection({curve: each[curve] for curve in curves})


def batch(scores: jax.Array, targets: jax.Array) -> dict[str, jax.Array]:
    return {"predictions": scores, "targets": targets}


@functools.cache
def ours(task: Any, curves: tuple[str, ...]) -> Side:
    metric = areas(task, curves)

    def values(scores: jax.Array, targets: jax.Array) -> list[jax.Array]:
        return list(metric.compute(metric.tally(**batch(scores, targets)), on_invalid="nan").values())

    return Side("of_jax", jax.jit(values), lambda *arrays: update(metric, **batch(*arrays)))


@functools.cache
def by_keras(task: Any, curves: tuple[str, ...]) -> Side:
    """A metric for each curve, in `jit` by its stateless functions. The curve of precision is interpolated.

    Of classes it takes one-hot targets, and of their logits the softmax, which is taken within.
    """
    several, logits = isinstance(task, sm.Multiclass), task.inputs == "logits"
    more = {"multi_label": True, "num_labels": task.num_classes} if several else {"from_logits": logits}
    metrics = [keras.metrics.AUC(THRESHOLDS, curve={ROC: "ROC", PR: "PR"}[curve], **more) for curve in curves]
    empty = [[variable.value for variable in metric.variables] for metric in metrics]

    def step(states: list[Any], scores: jax.Array, targets: jax.Array) -> list[Any]:
        scores = jax.nn.softmax(scores) if several and logits else scores
        known = zip(metrics, states, strict=True)
        return [metric.stateless_update_state(state, targets, scores) for metric, state in known]

    def values(scores: jax.Array, targets: jax.Array) -> list[jax.Array]:
        known = zip(metrics, step(empty, scores, targets), strict=True)
        return [metric.stateless_result(state) for metric, state in known]

    return Side("one_hot" if several else "of_jax", jax.jit(values), lambda *arrays: donated(step, empty, *arrays))


@functools.cache
def by_metrax(task: Any, curves: tuple[str, ...], batches: int = 1) -> Side:
    """All scores at once, or in batches. It reads probabilities, and interpolates the curve of precision."""
    kinds = {ROC: metrax.AUCROC, PR: metrax.AUCPR}

    def counted(scores: jax.Array, targets: jax.Array) -> list[Any]:
        scores = jax.nn.sigmoid(scores) if task.inputs == "logits" else scores
        return [kinds[curve].from_model_output(scores, targets) for curve in curves]

    at_once, count = jax.jit(lambda *arrays: [state.compute() for state in counted(*arrays)]), jax.jit(counted)

    def values(scores: jax.Array, targets: jax.Array) -> list[jax.Array]:
        if batches == 1:
            return at_once(scores, targets)
        found = map(count, *(array.reshape(batches, -1) for array in (scores, targets)))
        return [functools.reduce(lambda a, b: a.merge(b), states).compute() for states in zip(*found, strict=True)]

    return Side("of_jax", values)


@functools.cache
def by_torchmetrics(task: Any, curves: tuple[str, ...], thresholds: int | None) -> Side:
    """A collection, which counts once what all need; without the checks of values, as its documentation advises."""
    kinds, more = {ROC: torchmetrics.BinaryAUROC, PR: torchmetrics.BinaryAveragePrecision}, {}
    if isinstance(task, sm.Multiclass):
        kinds, more = {ROC: torchmetrics.MulticlassAUROC}, {"num_classes": task.num_classes}
    more |= {"thresholds": thresholds, "validate_args": False, "compute_with_cache": False}
    metric = MetricCollection({curve: kinds[curve](**more) for curve in curves})

    def values(scores: Any, targets: Any) -> list[Any]:
        metric.reset()
        metric.update(scores, targets)
        found = metric.compute()
        return [found[curve] for curve in curves]

    return Side("of_torch", values)


@functools.cache
def by_torcheval(task: Any, curves: tuple[str, ...]) -> Side:
    if isinstance(task, sm.Multiclass):
        metrics: list[Any] = [torcheval.MulticlassAUROC(num_classes=task.num_classes)]
    else:
        kinds = {ROC: torcheval.BinaryAUROC, PR: torcheval.BinaryAUPRC}
        metrics = [kinds[curve]() for curve in curves]
    return Side("of_torch", lambda *arrays: [metric.reset().update(*arrays).compute() for metric in metrics])


@functools.cache
def by_sklearn(task: Any, curves: tuple[str, ...]) -> Side:
    """The reference. Of the logits of classes it is given the softmax in float64, which has the order of the odds."""

    def values(scores: np.ndarray, targets: np.ndarray) -> list[float]:
        if scores.ndim == 2 and task.inputs == "logits":
            shares = np.exp(scores.astype(np.float64))
            scores = shares / shares.sum(1, keepdims=True)
        kinds = {ROC: functools.partial(roc_auc_score, multi_class="ovr"), PR: average_precision_score}
        return [kinds[curve](targets, scores) for curve in curves]

    return Side("of_numpy", values)


@functools.cache
def by_hand(task: Any) -> Side:
    """What one writes with `jnp`: a sort, and the ranks of the positives; of classes by `vmap`."""

    def values(scores: jax.Array, targets: jax.Array) -> list[jax.Array]:
        if scores.ndim == 1:
            return [area_by_ranks(scores, targets)]
        scores = jax.nn.softmax(scores) if task.inputs == "logits" else scores
        return [jnp.mean(jax.vmap(area_by_ranks)(scores.T, targets == jnp.arange(task.num_classes)[:, None]))]

    return Side("of_jax", jax.jit(values))


def area_by_ranks(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean rank of the positives, ties sharing theirs, less what it would be among the positives alone."""
    scores, targets = lax.sort((scores, targets.astype(jnp.int32)), num_keys=1)
    place, other = jnp.arange(len(scores)), scores[1:] != scores[:-1]
    first = lax.cummax(jnp.where(jnp.append(True, other), place, 0))
    last = lax.cummin(jnp.where(jnp.append(other, True), place, len(scores)), reverse=True)
    positives = jnp.sum(targets)
    rank = jnp.sum(jnp.where(targets == 1, (first + last) / 2, 0)) / positives
    return (rank - (positives - 1) / 2) / (len(scores) - positives)


def exactly(task: Any, curves: tuple[str, ...]) -> Sides:
    """Those who keep all scores and sort them."""
    sides = {"torchmetrics (exact)": by_torchmetrics(task, curves, None), EXACT: by_sklearn(task, curves)}
    if isinstance(task, sm.Binary) or task.inputs != "logits":  # of classes torcheval ranks the logits: another value
        sides["torcheval (exact)"] = by_torcheval(task, curves)
    if curves == (ROC,):
        sides["jnp by hand (exact)"] = by_hand(task)
    return sides


def bincount(data: Scores) -> Run:
    """As many indices into as many cells as the default bins have."""
    cells = jax.random.randint(jax.random.key(0), data.scores.shape, 0, CELLS)
    return functools.partial(jax.jit(lambda cells: jnp.bincount(cells, length=CELLS)), cells)


def scatter(data: Scores) -> Run:
    """As many ones as there are scores, into a table of as many cells as the histograms of all classes have."""
    table = jnp.zeros(data.scores.shape[1] * CELLS, jnp.uint32)
    cells = jax.random.randint(jax.random.key(0), (data.scores.size,), 0, table.size)
    return donated(lambda table, cells: table.at[cells].add(np.uint32(1)), table, cells)


def copy(data: Scores) -> Run:
    return functools.partial(jax.jit(lambda *arrays: [jnp.copy(array) for array in arrays]), *data.of_jax)


def other_bins(options: Options, data: Scores) -> Iterator[Row]:
    """What it costs to have less estimated: a bin for every bfloat16, or the extreme scores of each bin."""
    scores, targets = data.of_jax
    rounded, task = scores.astype(jnp.bfloat16), sm.Binary(data.inputs)
    exact, ties = sm.AUROC(task, bins="bfloat16"), sm.AUROC(task, ties=True)
    same(exact(rounded, targets), ties(scores, targets), atol=TYPE_TOLERANCE, who="other bins")
    sides = {
        "a bin for each bfloat16": update(exact, predictions=rounded, targets=targets),
        "ties=True": update(ties, predictions=scores, targets=targets),
    }
    times = interleaved({**sides, "jnp.bincount": bincount(data)}, options)
    for name in sides:
        yield ratio(f"update, {ROC} of {data}, {name}", times[name], "jnp.bincount", times["jnp.bincount"])


def errors(samples: list[Scores]) -> Iterator[Row]:
    """How far ours are off the exact values, beside how far 200 thresholds are; quartiles over samples."""
    data, curves = samples[0], (ROC, PR)
    others = {
        "keras": by_keras(data.task, curves),
        "torchmetrics": by_torchmetrics(data.task, curves, THRESHOLDS),
        "metrax": by_metrax(data.task, curves),
    }
    sides = {"ours": ours(data.task, curves), EXACT: by_sklearn(data.task, curves), **others}
    off = [errors_of(sides, sample) for sample in samples]
    for i, curve in enumerate(curves):
        own = np.array([error["ours"][i] for error in off])
        for name in others:
            theirs = np.array([error[name][i] for error in off])
            low, median, high = (float(part) for part in np.percentile(own / theirs, (25, 50, 75)))
            note = f"off by {np.median(theirs):.0e}, ours by {np.median(own):.0e}"
            target = ERROR_TARGET if data.kind == "clicks" and len(data.scores) == MUCH else None
            yield Row(f"error of {curve}, {data}", name, low, median, high, "× error", target, note=note)
