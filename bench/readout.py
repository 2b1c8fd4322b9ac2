"""Readouts: `compute` of twenty metrics and of curves, merges of two states and of a thousand, bytes, sizes of states.

The twenty are metrics that torchmetrics has too, with the same values; Keras has eight of them. torchmetrics computes
anew each time (`compute_with_cache=False`), as ours does, and merges metric by metric, since its collections do not.
Who merges in place merges the same state again and again, which takes no longer as the numbers grow.
"""

import copy
import functools
import io
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
from flax import serialization
from measuring import Options, Row, Run, amount, interleaved, ratio, same
from torchmetrics import MaxMetric, MeanMetric, MetricCollection  # pyright: ignore[reportMissingImports]

import streammetrics as sm

CLASSES = 10
TASK = sm.Multiclass(CLASSES, "probabilities")
ALIKE = {"num_classes": CLASSES, "validate_args": False, "compute_with_cache": False}
MACRO, MICRO = ALIKE | {"average": "macro"}, ALIKE | {"average": "micro"}
BINNED = ALIKE | {"thresholds": 200}
CURVE_TARGET = 1000.0
"""Microseconds."""

COUNTS_TOLERANCE = 1e-5
"""Of readings of the same counts: float32."""
THRESHOLDS_TOLERANCE = 2e-2
"""Of what peers read off 200 thresholds, or interpolate: of average precision 1e-2 of 256 rows."""
AREA_TOLERANCE = 1e-3
"""Of 200 thresholds, of an AUROC of moderate scores."""


def measure(options: Options) -> Iterator[Row]:
    yield from computes(options)
    yield from curves(options)
    yield from merges_of_counts(options)
    yield from merges_of_histograms(options)
    yield from in_bytes(options)
    yield from sizes()


def twenty() -> tuple[sm.Collection, Any]:
    """Ours and torchmetrics'."""
    pairs = {
        "accuracy": (sm.Accuracy(TASK), torchmetrics.MulticlassAccuracy(**MICRO)),
        "balanced": (sm.BalancedAccuracy(TASK), torchmetrics.MulticlassAccuracy(**MACRO)),
        "precision": (sm.Precision(TASK), torchmetrics.MulticlassPrecision(**MACRO)),
        "recall": (sm.Recall(TASK, average=None), torchmetrics.MulticlassRecall(**ALIKE, average="none")),
        "f1": (sm.F1(TASK), torchmetrics.MulticlassF1Score(**MACRO)),
        "f2": (sm.FBeta(TASK, 2.0), torchmetrics.MulticlassFBetaScore(2.0, **MACRO)),
        "specificity": (sm.Specificity(TASK), torchmetrics.MulticlassSpecificity(**MACRO)),
        "npv": (sm.NegativePredictiveValue(TASK), torchmetrics.MulticlassNegativePredictiveValue(**MACRO)),
        "jaccard": (sm.Jaccard(TASK), torchmetrics.MulticlassJaccardIndex(**MACRO)),
        "hamming": (sm.HammingLoss(TASK), torchmetrics.MulticlassHammingDistance(**MICRO)),
        "mcc": (sm.MatthewsCorrelation(TASK), torchmetrics.MulticlassMatthewsCorrCoef(**ALIKE)),
        "kappa": (sm.CohenKappa(TASK), torchmetrics.MulticlassCohenKappa(**ALIKE)),
        "confusion": (sm.ConfusionMatrix(TASK), torchmetrics.MulticlassConfusionMatrix(**ALIKE)),
        "top 3": (sm.TopKAccuracy(TASK, 3), torchmetrics.MulticlassAccuracy(**MICRO, top_k=3)),
        "auroc": (sm.AUROC(TASK), torchmetrics.MulticlassAUROC(**BINNED)),
        "ap": (sm.AveragePrecision(TASK), torchmetrics.MulticlassAveragePrecision(**BINNED)),
        "eer": (sm.EqualErrorRate(TASK), torchmetrics.MulticlassEER(**BINNED, average="macro")),
        "calibration": (sm.CalibrationError(TASK), torchmetrics.MulticlassCalibrationError(**ALIKE)),
        "loss": (sm.Mean("loss"), MeanMetric(compute_with_cache=False)),
        "worst": (sm.Maximum("loss"), MaxMetric(compute_with_cache=False)),
    }
    ours, theirs = ({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
    return sm.Collection(ours), MetricCollection(theirs)


def keras_eight() -> dict[str, Any]:
    """Those of the twenty that Keras has, and what targets each reads, or the loss."""
    labels = {"multi_label": True, "num_labels": CLASSES}
    return {
        "accuracy": (keras.metrics.SparseCategoricalAccuracy(), "ids"),
        "f1": (keras.metrics.F1Score(average="macro"), "one-hot"),
        "f2": (keras.metrics.FBetaScore(average="macro", beta=2.0), "one-hot"),
        "jaccard": (keras.metrics.MeanIoU(CLASSES, sparse_y_pred=False), "ids"),
        "top 3": (keras.metrics.SparseTopKCategoricalAccuracy(3), "ids"),
        "auroc": (keras.metrics.AUC(**labels), "one-hot"),
        "ap": (keras.metrics.AUC(curve="PR", **labels), "one-hot"),
        "loss": (keras.metrics.Mean(), "loss"),
    }


def drawn(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and the classes of which they are: all occur, for libraries disagree on means where some do not."""
    rng = np.random.default_rng(0)
    targets = rng.permutation(np.arange(rows, dtype=np.int32) % classes)
    logits = rng.normal(size=(rows, classes)).astype(np.float32) + 2 * np.eye(classes, dtype=np.float32)[targets]
    return np.array(jax.nn.softmax(logits)), targets


@functools.cache
def filled(rows: int) -> tuple[sm.Collection, sm.State, Any, dict[str, Any]]:
    """The same rows in our state, in torchmetrics' collection and in Keras' metrics; read, and not added to."""
    probabilities, targets = drawn(rows, CLASSES)
    losses = -np.log(probabilities[np.arange(rows), targets])
    metrics, collection = twenty()
    state = metrics.tally(predictions=probabilities, targets=targets, loss=losses)
    known = (torch.from_numpy(array) for array in (probabilities, targets.astype(np.int64), losses))
    collection.update(**dict(zip(("preds", "target", "value"), known, strict=True)))
    eight = keras_eight()
    one_hot = np.eye(CLASSES, dtype=np.float32)[targets]
    batches = {"ids": (targets, probabilities), "one-hot": (one_hot, probabilities), "loss": (losses,)}
    for metric, reads in eight.values():
        metric.update_state(*batches[reads])
    return metrics, state, collection, {name: metric for name, (metric, _) in eight.items()}


def computes(options: Options) -> Iterator[Row]:
    """All values of the twenty, as one calls for them, and within `jit`."""
    metrics, state, collection, eight = filled(options.size(4096, 256))
    agreed(metrics.compute(state), collection.compute(), "torchmetrics")
    agreed(metrics.compute(state), {name: metric.result() for name, metric in eight.items()}, "keras")

    sides: dict[str, Run] = {
        "ours": lambda: metrics.compute(state),
        "torchmetrics": collection.compute,
        "keras": lambda: [metric.result() for metric in eight.values()],
    }
    work, note = f"compute, 20 metrics of {CLASSES} classes", f"{len(eight)} of the 20"
    times = interleaved(sides, options)
    yield ratio(work, times["ours"], "torchmetrics", times["torchmetrics"])
    yield ratio(work, times["ours"], "keras", times["keras"], note=note)

    known = {name: [variable.value for variable in metric.variables] for name, metric in eight.items()}
    read = jax.jit(lambda state: metrics.compute(state, on_invalid="nan"))
    theirs = jax.jit(lambda known: {name: eight[name].stateless_result(each) for name, each in known.items()})
    times = interleaved({"ours": lambda: read(state), "keras": lambda: theirs(known)}, options)
    yield ratio(f"{work}, in jit", times["ours"], "keras", times["keras"], note=note)


def agreed(ours: Mapping[str, Any], theirs: Mapping[str, Any], who: str) -> None:
    for name, value in theirs.items():
        tolerance = THRESHOLDS_TOLERANCE if name in ("auroc", "ap", "eer") else COUNTS_TOLERANCE
        same(ours[name], value, rtol=COUNTS_TOLERANCE, atol=tolerance, who=f"{name} of {who}")


def curves(options: Options) -> Iterator[Row]:
    """`compute` within `jit`, of one curve in the default bins."""
    task = sm.Binary("logits")
    metrics = {
        "AUROC": sm.AUROC(task),
        "AveragePrecision": sm.AveragePrecision(task),
        "ROC": sm.ROC(task),
        "PrecisionRecallCurve": sm.PrecisionRecallCurve(task),
        "BestThreshold": sm.BestThreshold(task),
        "CalibrationError by mass": sm.CalibrationError(task, binning="mass"),
    }
    scores, targets = np.linspace(-4, 4, 1000, dtype=np.float32), np.arange(1000) % 2
    counted = {metric.statistic: metric for metric in metrics.values()}
    states = {statistic: metric.tally(scores, targets) for statistic, metric in counted.items()}
    sides: dict[str, Run] = {}
    for name, metric in metrics.items():
        read = jax.jit(functools.partial(metric.compute, on_invalid="nan"))
        sides[name] = functools.partial(read, states[metric.statistic])
    for name, times in interleaved(sides, options).items():
        yield amount(f"compute in jit, {name}", times, "µs", CURVE_TARGET)


class Peer(NamedTuple):
    """Somebody who merges."""

    two: Run
    apart: Run | None = None
    """Of as many states as there are, each an object of its own."""
    stacked: Run | None = None
    """Of the same along an axis of arrays."""
    values: Callable[[], Any] = list
    """What the merged state reads; nothing where it is only counts."""


def merges_of_counts(options: Options) -> Iterator[Row]:
    """States of class counts."""
    classes, many = options.size(1000, 100), options.size(1000, 20)
    task = sm.Multiclass(classes, "probabilities")
    metrics = sm.Collection(
        accuracy=sm.BalancedAccuracy(task), precision=sm.Precision(task), recall=sm.Recall(task), f1=sm.F1(task)
    )
    kinds = ("MulticlassAccuracy", "MulticlassPrecision", "MulticlassRecall", "MulticlassF1Score")
    probabilities, targets = drawn(4 * classes, classes)
    peers = {"jnp by hand": by_hand([jnp.ones(classes, jnp.int32)] * 3, many)}
    for name, library in ("torchmetrics", torchmetrics), ("torcheval", torcheval):
        four = [getattr(library, kind)(num_classes=classes, average="macro") for kind in kinds]
        peers[name] = of_torch(four, probabilities, targets, many)
    state = metrics.tally(predictions=probabilities, targets=targets)
    work = f"accuracy, precision, recall, F1 of {classes:,} classes"
    yield from merged(options, work, metrics, state, many, peers, COUNTS_TOLERANCE)


def merges_of_histograms(options: Options) -> Iterator[Row]:
    """States of an AUROC."""
    many, metrics = options.size(1000, 20), sm.Collection(auroc=sm.AUROC(sm.Binary("probabilities")))
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 4096, dtype=np.int32)
    scores = rng.beta(1 + targets, 2 - targets).astype(np.float32)
    peers = {
        "jnp by hand": by_hand([jnp.ones((2, 4100), jnp.int32)], many),
        "torchmetrics": of_torch([torchmetrics.BinaryAUROC(thresholds=200)], scores, targets, many),
        "metrax": of_metrax(scores, targets, many),
    }
    state = metrics.tally(predictions=scores, targets=targets)
    yield from merged(options, "AUROC", metrics, state, many, peers, AREA_TOLERANCE)


def of_torch(metrics: list[Any], scores: np.ndarray, targets: np.ndarray, many: int) -> Peer:
    """Metrics that merge in place: torchmetrics' one other at a time, torcheval's a list of them."""
    for metric in metrics:
        metric.update(torch.from_numpy(scores), torch.from_numpy(targets).long())
    pairs = list(zip(metrics, copy.deepcopy(metrics), strict=True))

    def merge(others: int) -> None:
        for metric, other in pairs:
            if isinstance(metric, torcheval.Metric):
                metric.merge_state([other] * others)
            else:
                for _ in range(others):
                    metric.merge_state(other)

    return Peer(lambda: merge(1), lambda: merge(many - 1), None, lambda: [metric.compute() for metric in metrics])


def of_metrax(scores: np.ndarray, targets: np.ndarray, many: int) -> Peer:
    state = jax.jit(metrax.AUCROC.from_model_output)(scores, targets)
    stacked = stack(state, many)
    merge, reduce = jax.jit(lambda a, b: a.merge(b)), jax.jit(lambda states: states.reduce())
    return Peer(lambda: merge(state, state), None, lambda: reduce(stacked), lambda: [reduce(stacked).compute()])


def by_hand(counts: list[jax.Array], many: int) -> Peer:
    """As many counts in int32, and no more than their sums."""
    stacked = stack(counts, many)
    add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))
    total = jax.jit(lambda stacked: [jnp.sum(count, 0) for count in stacked])
    return Peer(lambda: add(counts, counts), None, lambda: total(stacked))


def stack(state: Any, many: int) -> Any:
    return jax.tree.map(lambda array: jnp.stack([array] * many), state)


def merged(
    options: Options,
    work: str,
    metrics: sm.Collection,
    state: sm.State,
    many: int,
    peers: Mapping[str, Peer],
    tolerance: float,
) -> Iterator[Row]:
    """Merges of two states, of many, and of as many along an axis. All hold the same rows, so that values stay."""
    stacked, apart = stack(state, many), [state] * many
    for found in sm.fold(stacked), sm.merge(*apart):
        same(found.seen[0], many * state.seen[0], rtol=0, who="merges")
        same([*metrics.compute(found).values()], [*metrics.compute(state).values()], who="merges")
    for name, peer in peers.items():
        peer.two()
        if found := peer.values():
            same([*metrics.compute(state).values()], found, rtol=tolerance, who=f"merges by {name}")
    yield from against(f"merge of 2 states, {work}", lambda: sm.merge(state, state), options, peers, "two")
    yield from against(f"merge of {many:,} states, {work}", lambda: sm.merge(*apart), options, peers, "apart")
    yield from against(f"fold of {many:,} states, {work}", lambda: sm.fold(stacked), options, peers, "stacked")


def against(work: str, ours: Run, options: Options, peers: Mapping[str, Peer], how: str) -> Iterator[Row]:
    """Ours beside the peers who merge in that way."""
    runs = {name: run for name, peer in peers.items() if (run := getattr(peer, how))}
    times = interleaved({"ours": ours, **runs}, options)
    for name in runs:
        yield ratio(work, times["ours"], name, times[name])


def in_bytes(options: Options) -> Iterator[Row]:
    """States of the twenty as bytes, and back."""
    _, state, collection, _ = filled(options.size(4096, 256))
    collection.persistent(True)
    arrays = {**state.data, "seen": state.seen}

    def saved() -> bytes:
        file = io.BytesIO()
        torch.save(collection.state_dict(), file)
        return file.getvalue()

    data, theirs, plain = sm.to_bytes(state), saved(), serialization.to_bytes(arrays)
    for back in sm.from_bytes(data).data, serialization.from_bytes(arrays, plain):
        for name in state.data:
            same(back[name], state.data[name], rtol=0, who="bytes")

    def loaded() -> None:
        collection.load_state_dict(torch.load(io.BytesIO(theirs)))

    sizes = {"ours": len(data), "torchmetrics": len(theirs), "flax.serialization": len(plain)}
    both: dict[str, dict[str, Run]] = {
        "to bytes": {
            "ours": lambda: sm.to_bytes(state),
            "torchmetrics": saved,
            "flax.serialization": lambda: serialization.to_bytes(arrays),
        },
        "from bytes": {
            "ours": lambda: sm.from_bytes(data),
            "torchmetrics": loaded,
            "flax.serialization": lambda: serialization.from_bytes(arrays, plain),
        },
    }
    for way, sides in both.items():
        times = interleaved(sides, options)
        for name in ("torchmetrics", "flax.serialization"):
            note = f"{sizes[name]:,} bytes, ours {sizes['ours']:,} with a checksum"
            yield ratio(f"{way}, state of 20 metrics", times["ours"], name, times[name], note=note)


def sizes() -> Iterator[Row]:
    """Bytes of the states of usual metrics, which stay as they are however many examples come."""
    ids, hundred = sm.Multiclass(1000, "labels"), sm.Multiclass(100, "probabilities")
    four = sm.Collection(accuracy=sm.Accuracy(ids), precision=sm.Precision(ids), recall=sm.Recall(ids), f1=sm.F1(ids))
    # Of four that share a state torchmetrics' collection holds one, and Keras, which has no collection, F1 alone.
    f1 = keras.metrics.F1Score()
    f1.update_state(np.zeros((1, 1000)), np.zeros((1, 1000)))
    labels = keras.metrics.AUC(multi_label=True, num_labels=100)
    states: dict[str, tuple[sm.Metric, Any, Any]] = {
        "a mean": (sm.Mean("loss"), MeanMetric(), keras.metrics.Mean()),
        "accuracy, precision, recall, F1 of 1,000 classes": (four, torchmetrics.MulticlassF1Score(1000), f1),
        "a confusion matrix of 100 classes": (
            sm.ConfusionMatrix(hundred),
            torchmetrics.MulticlassConfusionMatrix(100),
            keras.metrics.MeanIoU(100),
        ),
        "AUROC": (sm.AUROC(sm.Binary("probabilities")), torchmetrics.BinaryAUROC(thresholds=200), keras.metrics.AUC()),
        "AUROC of 100 classes": (sm.AUROC(hundred), torchmetrics.MulticlassAUROC(100, thresholds=200), labels),
    }
    for name, (metric, theirs, kept) in states.items():
        own = sum(array.nbytes for array in jax.tree.leaves(metric.init()))
        of_torch = sum(tensor.nbytes for tensor in theirs.metric_state.values())
        of_keras = sum(variable.value.nbytes for variable in kept.variables)
        yield amount(f"state of {name}", own, "bytes", note=f"torchmetrics {of_torch:,}, keras {of_keras:,}")
