"""What Keras measured, by version: against its rules worked by hand, and against NumPy."""

import inspect
import math
import pickle
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import streammetrics as sm
from streammetrics import keras
from streammetrics._statistic import OWN
from tests.support import assert_same

SCORE = sm.Binary("scores")
LOGIT = sm.Binary("logits")
PRINTED = np.loadtxt(Path(__file__).parent / "data" / "printed_predictions.txt", dtype=np.float32).T


def whole(message: str) -> str:
    return f"^{re.escape(message)}$"


# Three rules for one output. Of each prediction: whether it is right for the targets 0 and 1.

RULES = {
    "round": keras.RoundedAccuracy(SCORE),
    "above a half": sm.Accuracy(SCORE),
    "logit": sm.Accuracy(LOGIT),
}
RIGHT = {
    -3.0: ("neither", 0, 0),
    -0.6: ("neither", 0, 0),
    -0.5: (0, 0, 0),
    0.0: (0, 0, 0),
    0.3: (0, 0, 1),
    0.5: (0, 0, 1),
    0.50001: (1, 1, 1),
    1.0: (1, 1, 1),
    1.49: (1, 1, 1),
    1.5: ("neither", 1, 1),
    2.5: ("neither", 1, 1),
    3.0: ("neither", 1, 1),
}


@pytest.mark.parametrize("place", range(3), ids=list(RULES))
def test_each_rule_is_right_for_the_targets_that_its_table_says(place: int) -> None:
    metric = list(RULES.values())[place]
    for prediction, called in RIGHT.items():
        for target in (0, 1):
            assert float(metric([prediction], [target])) == float(called[place] == target), (prediction, target)


def test_rounding_goes_half_to_even_in_every_dtype() -> None:
    for dtype in ("float16", "bfloat16", "float32"):
        predictions = jax.numpy.array([-0.5, 0.5, 1.5, 2.5], dtype)
        assert float(RULES["round"](predictions, np.array([0, 0, 1, 1]))) == 0.5


@pytest.mark.parametrize(
    ("margin", "true", "rounded", "above"),
    [
        (0.5, 0.691, 0.342, 0.670),
        (1, 0.839, 0.311, 0.810),
        (2, 0.978, 0.151, 0.963),
        (4, 1.0, 0.003, 0.9999),
        (8, 1.0, 0, 1.0),
    ],
)
def test_the_better_a_logit_head_the_worse_rounding_reads_it(
    margin: float, true: float, rounded: float, above: float
) -> None:
    rng = np.random.default_rng(7)
    targets = rng.integers(0, 2, 50_000)
    logits = rng.normal(np.where(targets == 1, margin, -margin)).astype(np.float32)
    batch = {"predictions": logits, "targets": targets}
    values = sm.plain(sm.Collection(RULES)(**batch))
    for name, due in (("logit", true), ("round", rounded), ("above a half", above)):
        # The measured numbers have an error of sampling too, and were rounded to three digits.
        assert values[name] == pytest.approx(due, abs=0.0006 + 4 * math.sqrt(due * (1 - due) / 50_000 * 2)), name

    def phi(x: float) -> float:
        return (1 + math.erf(x / math.sqrt(2))) / 2

    exact = {
        "logit": phi(margin),
        # A positive must lie between 0.5 and 1.5, a negative between −0.5 and 0.5.
        "round": (phi(1.5 - margin) - phi(0.5 - margin) + phi(0.5 + margin) - phi(-0.5 + margin)) / 2,
        "above a half": (phi(margin - 0.5) + phi(margin + 0.5)) / 2,
    }
    for name, due in exact.items():
        assert values[name] == pytest.approx(due, abs=1e-9 + 4 * math.sqrt(due * (1 - due) / 50_000)), name
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    sigmoid = keras.RoundedAccuracy(sm.Binary("probabilities"))(probability, targets)
    assert float(sigmoid) == values["logit"]  # behind a sigmoid all rules agree


@pytest.mark.parametrize(
    ("head", "due"),
    [
        # Of a head without an activation: 13 lie up to 0.5, 14 from 1.5 (12 round to 2, two to 3), none below 0.
        ("raw", {"zero": 13, "one": 69, "above": 83, "logit": 96}),
        ("sigmoid", {"zero": 45, "one": 51, "above": 51, "logit": 96}),
    ],
)
def test_what_the_rules_call_the_96_printed_predictions(head: str, due: dict[str, int]) -> None:
    predictions = PRINTED[["raw", "sigmoid"].index(head)]
    assert predictions.shape == (96,)
    ones = np.ones(96, np.int32)
    rounded = np.round(predictions)
    expected = {
        "zero": (rounded == 0).sum(),
        "one": (rounded == 1).sum(),
        "above": (predictions > 0.5).sum(),
        "logit": (predictions > 0).sum(),
    }
    assert expected == due
    # Where every target is of a class, the accuracy is the share that is called it.
    assert round(96 * float(RULES["round"](predictions, 0 * ones))) == due["zero"]
    assert round(96 * float(RULES["round"](predictions, ones))) == due["one"]
    assert int(sm.StatScores(SCORE)(predictions, ones)["tp"]) == due["above"]
    assert int(sm.StatScores(LOGIT)(predictions, ones)["tp"]) == due["logit"]


# RoundedAccuracy

LABELS = sm.Multilabel(3, "scores", ignore=-1)


def rounded_batch(seed: int, rows: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    predictions = (rng.integers(-8, 13, (rows, 3)) / 4).astype(np.float32)
    predictions[rng.random((rows, 3)) < 0.05] = np.nan
    return {"predictions": predictions, "targets": rng.integers(-1, 3, (rows, 3)), "weights": rng.integers(0, 4, rows)}


def test_rounded_accuracy_of_labels_counts_elements() -> None:
    batch = rounded_batch(0)
    predictions, targets, weights = batch["predictions"], batch["targets"], batch["weights"][:, None]
    counted = weights * (~np.isnan(predictions) & ((targets == 0) | (targets == 1)))
    metric = keras.RoundedAccuracy(LABELS)
    state = metric.tally(**batch)
    with pytest.raises(sm.InvalidExamples) as error:
        metric.compute(state)
    assert float(error.value.values) == pytest.approx(
        (counted * (np.round(predictions) == targets)).sum() / counted.sum()
    )
    faults = {
        "NaN score": (weights * (np.isnan(predictions) & (targets != -1))).sum(),
        "target that is no class": (weights * (~np.isnan(predictions) & (targets == 2))).sum(),
    }
    assert error.value.counts == {"RoundedAccuracy": faults}


@pytest.mark.parametrize(
    "metric", [keras.RoundedAccuracy(LABELS), keras.Column(LABELS, "recall", label=2)], ids=["rounded", "column"]
)
def test_the_laws_hold(metric: sm.Metric) -> None:
    batch = rounded_batch(1)
    parts = [{name: entry[part] for name, entry in batch.items()} for part in (slice(0, 13), slice(13, None))]
    state = metric.tally(**batch)
    assert_same(sm.merge(*(metric.tally(**part) for part in parts)), state)
    assert_same(sm.merge(metric.init(), state), state)
    order = np.random.default_rng(2).permutation(40)
    assert_same(metric.tally(**{name: entry[order] for name, entry in batch.items()}), state)
    repeated = {name: np.repeat(batch[name], batch["weights"], 0) for name in ("predictions", "targets")}
    again = metric.tally(**repeated)
    assert_same(again, state, but=(OWN,))
    assert sm.plain(again.examples) == sm.plain(state.examples)
    assert_same(jax.jit(lambda batch: metric.update(metric.init(), **batch))(batch), state)
    assert_same(sm.from_bytes(sm.to_bytes(state), known=(keras.RoundedHits,)), state)


def test_rounded_accuracy_shares_its_counts_whatever_the_threshold() -> None:
    one, other = (keras.RoundedAccuracy(sm.Binary("probabilities", threshold)) for threshold in (0.2, 0.7))
    assert one.statistic == other.statistic
    assert math.isnan(one.compute(one.init()))
    weighted = keras.RoundedAccuracy(sm.Binary("scores", weighted=True))
    assert float(weighted([0.9, 3.0], [1, 1], weights=[0.5, 0.25])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: keras.RoundedAccuracy(sm.Multiclass(3, "scores")),
            TypeError,
            "RoundedAccuracy: task is Multiclass(num_classes=3, inputs='scores'), but must be Binary or Multilabel; of "
            "classes Keras takes the argmax, as Accuracy does",
        ),
        (
            lambda: keras.RoundedAccuracy(sm.Binary("labels")),
            ValueError,
            "RoundedAccuracy: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'",
        ),
        (
            lambda: keras.BatchwiseRecall(predictions="y", targets="y"),
            ValueError,
            "BatchwiseRecall: predictions, targets and weights are named ('y', 'y', 'batch_weights'), but must be "
            "three",
        ),
        (
            lambda: keras.categorical_recall(3, label=3),
            ValueError,
            "Column: label is 3, but must be from 0 to 2",
        ),
        (
            lambda: keras.binary_precision(label=1),
            ValueError,
            "Column: label is 1, but must be 0, the only column",
        ),
        (
            lambda: keras.Column(SCORE, "accuracy"),
            ValueError,
            "Column: quantity is 'accuracy', but must be 'true_positive', 'true_negative', 'false_positive', "
            "'false_negative', 'precision', 'recall' or 'f1_score'",
        ),
        (
            lambda: keras.Column(LOGIT, "recall", threshold=2),
            ValueError,
            "Column: threshold is 2.0, but must be a probability from 0 to 1",
        ),
        (
            lambda: keras.categorical_recall(1),
            ValueError,
            "Multiclass: num_classes is 1, but must be at least 2",
        ),
    ],
)
def test_what_a_metric_refuses(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=whole(message)):
        make()


# What metrics=["accuracy"] meant


def argmax(classes: int) -> sm.Metric:
    return sm.Accuracy(sm.Multiclass(classes, "scores"))


N = None
ABOVE, ROUNDED = sm.Accuracy(SCORE), keras.RoundedAccuracy(SCORE)
BINARY, SPARSE, MSE = "binary_crossentropy", "sparse_categorical_crossentropy", "mse"


@pytest.mark.parametrize("loss", [None, BINARY, SPARSE, "BinaryCrossentropy", MSE])
@pytest.mark.parametrize(
    ("target", "output", "due"),
    [
        ((N,), (N, 1), ABOVE),
        ((N, 1), (N, 1), ABOVE),
        ((N,), (N, 3), argmax(3)),
        ((N, 1), (N, 3), argmax(3)),
        ((N, 3), (N, 3), argmax(3)),
        ((N, 10), (N, 10), argmax(10)),
        ((N, 7), (N, 7, 3), argmax(3)),
        ((N, 7, 1), (N, 7, 3), argmax(3)),
        ((N, 7), (N, 7, 1), ABOVE),
        ((N, 7, 3), (N, N, 3), argmax(3)),
        ((32, 1), (32, 1), ABOVE),
        ((1,), (1, 3), argmax(3)),
    ],
)
def test_keras_3_asks_the_shapes_alone(loss: str | None, target: Any, output: Any, due: sm.Metric) -> None:
    assert keras.resolve_accuracy(loss, output, target) == due
    assert keras.resolve_accuracy(loss, list(output), list(target), version="3") == due


@pytest.mark.parametrize(
    ("loss", "target", "output", "tf", "old"),
    [
        (BINARY, (N, 1), (N, 1), ABOVE, ROUNDED),
        (MSE, (N,), (N, 1), ABOVE, ROUNDED),  # the last axis is asked before the loss
        (SPARSE, (N, 1), (N, 1), ABOVE, ROUNDED),
        (None, (N, 7), (N, 7, 1), ABOVE, ROUNDED),
        (BINARY, (N,), (N,), ABOVE, ROUNDED),
        *(
            (
                name,
                (N, 3),
                (N, 3),
                sm.Accuracy(sm.Multilabel(3, "scores")),
                keras.RoundedAccuracy(sm.Multilabel(3, "scores")),
            )
            for name in (BINARY, "BinaryCrossentropy")
        ),
        *((name, (N,), (N, 3), argmax(3), argmax(3)) for name in (SPARSE, "SparseCategoricalCrossentropy")),
        (SPARSE, (N, 1), (N, 3), argmax(3), argmax(3)),
        (SPARSE, (N, 7), (N, 7, 3), argmax(3), argmax(3)),
        ("categorical_crossentropy", (N, 3), (N, 3), argmax(3), argmax(3)),
        ("CategoricalCrossentropy", (N, 7, 3), (N, 7, 3), argmax(3), argmax(3)),
        (MSE, (N, 3), (N, 3), argmax(3), argmax(3)),
        (None, (N, 3), (N, 3), argmax(3), argmax(3)),
    ],
)
def test_the_older_versions_ask_the_last_axis_then_the_loss(
    loss: str | None, target: Any, output: Any, tf: sm.Metric, old: sm.Metric
) -> None:
    assert keras.resolve_accuracy(loss, output, target, version="tf1.13") == tf
    assert keras.resolve_accuracy(loss, output, target, version="2.3") == old


def test_what_is_resolved_reads_as_that_version_did() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(500, 3)) * 2
    softmax = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)
    ids = np.where(rng.random(500) < 0.6, softmax.argmax(-1), rng.integers(0, 3, 500))
    hot = np.eye(3)[ids]
    # A softmax of three classes trained with binary_crossentropy: one report, two numbers.
    due = {"3": (softmax.argmax(-1) == ids).mean(), "tf1.13": ((softmax > 0.5) == hot).mean()}
    due["2.3"] = (np.round(softmax) == hot).mean()
    assert due["tf1.13"] > due["3"] + 0.05
    for version, value in due.items():
        metric = keras.resolve_accuracy(BINARY, softmax.shape, hot.shape, version)
        assert float(metric(softmax, hot)) == pytest.approx(value), version
    raw = (4 * logits[:, :1]).astype(np.float32)
    for version, value in (("3", (raw > 0.5) == hot[:, :1]), ("2.3", np.round(raw) == hot[:, :1])):
        metric = keras.resolve_accuracy("mse", raw.shape, ids.shape, version)
        assert float(metric(raw, hot[:, 0])) == pytest.approx(value.mean()), version


def test_targets_of_which_keras_takes_an_argmax_are_loud() -> None:
    metric = keras.resolve_accuracy(BINARY, (N, 3), (N, 3))
    with pytest.raises(sm.InvalidExamples) as error:
        metric(np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.1]]), np.array([[1, 1, 0], [0, 1, 0]]))
    assert error.value.counts == {"Accuracy": {"target that is no class": 1}}
    assert float(error.value.values) == 1.0


BATCH = "an argmax over the batch, which has no meaning over batches"
UNFIT = "for outputs of shape (None, 3), but targets have shape"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            (None, (N,), (N,)),
            ValueError,
            f"resolve_accuracy: Keras 3 takes categorical_accuracy for outputs of shape (None,), {BATCH}; one score "
            "per example is read by sm.Accuracy(sm.Binary('scores'))",
        ),
        (
            (BINARY, (32,), (32, 1)),
            ValueError,
            f"resolve_accuracy: Keras 3 takes sparse_categorical_accuracy for outputs of shape (32,), {BATCH}; one "
            "score per example is read by sm.Accuracy(sm.Binary('scores'))",
        ),
        (
            (MSE, (N, 3), (N,), "2.3"),
            ValueError,
            "resolve_accuracy: Keras 2.3 takes categorical_accuracy for outputs of shape (None, 3) and targets of "
            "shape (None,), of which the argmax is one over the batch and has no meaning over batches; class ids "
            "are read by sm.Accuracy(sm.Multiclass(3, 'scores'))",
        ),
        (
            (None, (N, 3), (N, 1), "tf1.13"),
            ValueError,
            f"resolve_accuracy: Keras tf1.13 takes categorical_accuracy {UNFIT} (None, 1) where (None, 3) is due",
        ),
        (
            (SPARSE, (N, 3), (N, 3), "2.3"),
            ValueError,
            f"resolve_accuracy: Keras 2.3 takes sparse_categorical_accuracy {UNFIT} (None, 3) where (None,) or "
            "(None, 1) is due",
        ),
        (
            (BINARY, (N, 3), (N,), "2.3"),
            ValueError,
            f"resolve_accuracy: Keras 2.3 takes binary_accuracy {UNFIT} (None,) where (None, 3) is due",
        ),
        (
            (None, (N, 3), (N, 4)),
            ValueError,
            f"resolve_accuracy: Keras 3 takes categorical_accuracy {UNFIT} (None, 4) where (None, 3) is due",
        ),
        (
            (None, (N, N), (N,)),
            ValueError,
            "resolve_accuracy: Keras 3 takes sparse_categorical_accuracy for outputs of shape (None, None), but the "
            "last axis must have a known size",
        ),
        (
            (None, (N, 1), (N,), "2"),
            ValueError,
            "resolve_accuracy: version is '2', but must be '3', 'tf1.13' or '2.3'",
        ),
        (
            (3, (N, 1), (N,)),
            TypeError,
            "resolve_accuracy: loss is 3, but must be its name in Keras, as 'binary_crossentropy', or None",
        ),
        *(
            (
                (None, shape, (N,)),
                TypeError,
                f"resolve_accuracy: output_shape is {shape!r}, but must be a tuple of sizes, the batch axis first",
            )
            for shape in (3, (), (N, 2.0), "N3")
        ),
    ],
)
def test_what_resolve_accuracy_refuses(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=whole(message)):
        keras.resolve_accuracy(*arguments)


# The batch-wise precision and recall

BATCHWISE = sm.Collection(precision=keras.BatchwisePrecision(), recall=keras.BatchwiseRecall())


def batchwise(predictions: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The means over batches of Keras 1.2.2's formulas, by NumPy."""
    hits = np.round(np.clip(targets * predictions, 0, 1)).sum(-1)
    called, true = (np.round(np.clip(x, 0, 1)).sum(-1) for x in (predictions, targets))
    return {"precision": (hits / (called + 1e-7)).mean(), "recall": (hits / (true + 1e-7)).mean()}


def test_means_over_batches_are_keras_1s_and_not_the_true_values() -> None:
    rng = np.random.default_rng(11)
    targets = np.zeros(320, np.int32)
    targets[rng.choice(np.arange(32, 320), 16, replace=False)] = 1  # 5 %, and a batch without any
    predictions = np.where(targets == 1, 0.8, rng.random(320) * 0.54).astype(np.float32).reshape(10, 32)
    targets = targets.reshape(10, 32)
    state = BATCHWISE.init()
    for batch in zip(predictions, targets, strict=True):
        state = BATCHWISE.update(state, **dict(zip(("predictions", "targets"), batch, strict=True)))
    values, due = sm.plain(BATCHWISE.compute(state)), batchwise(predictions, targets)
    assert values == pytest.approx(due, abs=1e-6)
    true = sm.Collection(precision=sm.Precision(SCORE), recall=sm.Recall(SCORE))
    truth = sm.plain(true(predictions=predictions.ravel(), targets=targets.ravel()))
    assert truth["recall"] == 1.0
    # No positive was missed, and every batch without one still counts as a miss.
    assert values["recall"] == pytest.approx((targets.sum(-1) > 0).mean(), abs=1e-6)
    assert values["recall"] <= 0.9
    assert abs(values["precision"] - truth["precision"]) > 0.03
    assert_same(
        BATCHWISE.tally(predictions=predictions[0], targets=targets[0]),
        BATCHWISE.tally(predictions=np.pad(predictions[0], (0, 8)), targets=np.pad(targets[0], (0, 8))),
    )  # rows of zeros change nothing


def test_a_batch_is_one_example_of_any_shape() -> None:
    rng = np.random.default_rng(5)
    raw = (rng.normal(size=(6, 4, 3)) * 2).astype(np.float32)  # unclipped, as Keras took them
    hot = rng.integers(0, 2, (6, 4, 3))
    state = BATCHWISE.init()
    for predictions, targets in zip(raw, hot, strict=True):
        state = BATCHWISE.update(state, predictions=predictions, targets=targets.astype(np.float32))
    assert sm.plain(BATCHWISE.compute(state)) == pytest.approx(
        batchwise(raw.reshape(6, 12), hot.reshape(6, 12)), abs=1e-6
    )
    assert int(state.examples["BatchRatios"]) == 6
    assert len(state.data) == 1  # precision and recall share their counts
    halves = sm.merge(
        BATCHWISE.tally(predictions=raw[:3], targets=hot[:3]), BATCHWISE.tally(predictions=raw[3:], targets=hot[3:])
    )
    assert float(BATCHWISE.compute(halves)["precision"]) != float(BATCHWISE.compute(state)["precision"])


def test_batches_that_cannot_be_counted_and_their_weights() -> None:
    metric = keras.BatchwisePrecision()
    assert math.isnan(metric.compute(metric.init()))
    state = metric.tally([0.9, 0.9], [1, 0])
    with pytest.raises(sm.InvalidExamples) as error:
        metric.compute(metric.update(metric.update(state, [0.9, np.nan], [1, 1]), [0.9, 0.8], [1, 2]))
    assert error.value.counts == {"BatchwisePrecision": {"NaN score": 1, "target that is no class": 1}}
    assert float(error.value.values) == pytest.approx(0.5)
    empty = metric.update(state, np.zeros(0, np.float32), np.zeros(0, np.int32))
    assert_same(empty, state)
    assert float(metric([np.inf, -np.inf], [1, 0])) == pytest.approx(1)  # where Keras reads NaN
    # The weight is the batch's, by a name of its own: rows may have weights beside.
    both = sm.Collection(batchwise=metric, true=sm.Precision(SCORE))
    rows = {"targets": [1, 0], "weights": [1, 0]}
    state = both.tally(predictions=[0.9, 0.9], batch_weights=0.5, **rows)
    state = both.update(state, predictions=[0.9, 0.1], batch_weights=1.5, **rows)
    assert sm.plain(both.compute(state)) == pytest.approx({"batchwise": (0.5 * 0.5 + 1.5) / 2, "true": 1.0}, abs=1e-6)
    with pytest.raises(ValueError, match="one weight per example"):
        metric([0.9, 0.1], [1, 0], batch_weights=[1, 0])


# The names of keras-metrics

RNG = np.random.default_rng(13)
IDS = RNG.integers(0, 3, 400)
SOFTMAX = RNG.dirichlet(np.ones(3), 400).astype(np.float32)
SOFTMAX[np.arange(400), IDS] += (RNG.random(400) < 0.5) * 1.0
SOFTMAX /= SOFTMAX.sum(-1, keepdims=True)
QUANTITIES = (
    *(f"{a}_{b}" for a in ("true", "false") for b in ("positive", "negative")),
    "precision",
    "recall",
    "f1_score",
)


def quantities(called: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Every quantity of one column, by NumPy."""
    tp, fp, fn, tn = (
        int((a & b).sum()) for a, b in ((called, true), (called, ~true), (~called, true), (~called, ~true))
    )
    counts = {"true_positive": tp, "true_negative": tn, "false_positive": fp, "false_negative": fn}
    return {**counts, "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1_score": 2 * tp / (2 * tp + fp + fn)}


@pytest.mark.parametrize("label", range(3))
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_a_column_is_read_at_its_threshold_and_not_by_the_argmax(label: int, threshold: float) -> None:
    due = quantities(SOFTMAX[:, label] > threshold, np.equal(IDS, label))
    metrics = {name: getattr(keras, f"categorical_{name}")(3, label=label, threshold=threshold) for name in QUANTITIES}
    collection = sm.Collection(metrics)
    state = collection.tally(predictions=SOFTMAX, targets=IDS)
    values = collection.compute(state)
    assert sm.plain(values) == pytest.approx(due)
    assert [isinstance(value, sm.UInt64) for value in values.values()] == [True] * 4 + [False] * 3
    assert len(state.data) == 1
    assert_same(
        collection.tally(predictions=SOFTMAX, targets=np.eye(3)[IDS]), state
    )  # one-hot, as `categorical_` had it
    by_argmax = float(sm.Recall(sm.Multiclass(3, "scores"), class_id=label)(SOFTMAX, IDS))
    assert by_argmax == pytest.approx(quantities(SOFTMAX.argmax(-1) == label, np.equal(IDS, label))["recall"])
    assert abs(by_argmax - due["recall"]) > 0.01
    for name in QUANTITIES:  # the sparse names mind their label
        assert getattr(keras, f"sparse_categorical_{name}")(3, label=label, threshold=threshold) == metrics[name]


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_binary_names(name: str) -> None:
    scores, targets = SOFTMAX[:, :1], (IDS == 0).astype(np.int32)
    value = getattr(keras, f"binary_{name}")(label=0, threshold=0.4)(scores, targets)
    assert float(value) == pytest.approx(quantities(scores[:, 0] > 0.4, IDS == 0)[name])
    labels = keras.Column(sm.Multilabel(3, "scores"), name, label=1)(SOFTMAX, np.eye(3)[IDS])
    assert float(labels) == pytest.approx(quantities(SOFTMAX[:, 1] > 0.5, IDS == 1)[name])


def test_the_average_recalls() -> None:
    called = SOFTMAX.argmax(-1)
    recalls = [(called[c == IDS] == c).mean() for c in range(3)]
    metric = keras.sparse_categorical_average_recall(4)
    wide = np.pad(SOFTMAX, ((0, 0), (0, 1)))
    assert float(metric(wide, IDS)) == pytest.approx(sum(recalls) / 4)  # a class without examples reads 0
    above, true = SOFTMAX[:, 0] > 0.4, IDS == 0
    value = keras.binary_average_recall(threshold=0.4)(SOFTMAX[:, 0], true)
    assert float(value) == pytest.approx((above[true].mean() + (~above[~true]).mean()) / 2)
    assert float(keras.binary_average_recall()([0.9, 0.9], [1, 1])) == 0.5


def test_undefined_ratios_and_fractional_weights_of_a_column() -> None:
    for name in ("precision", "recall", "f1_score"):
        metric = getattr(keras, f"binary_{name}")()
        assert float(metric([0.1, 0.2], [0, 0])) == 0.0
        assert math.isnan(metric.compute(metric.init()))
    weighted = keras.Column(sm.Binary("scores", weighted=True), "true_positive")
    value = weighted([0.9, 0.9], [1, 1], weights=[0.5, 0.25])
    assert (float(value), value.dtype) == (0.75, jax.numpy.zeros(()).dtype)


# Precision(thresholds=[…]) and the like


def test_several_thresholds_are_read_off_stat_scores_at() -> None:
    thresholds = (0.6, 0.2, 0.4)
    scores = sm.StatScoresAt(SCORE, thresholds)(SOFTMAX[:, 0], IDS == 0)
    tp, fp, fn = (scores[name] for name in ("tp", "fp", "fn"))
    for name, values in (("precision", tp / (tp + fp)), ("recall", tp / (tp + fn))):
        due = [quantities(SOFTMAX[:, 0] > threshold, IDS == 0)[name] for threshold in thresholds]
        np.testing.assert_allclose(np.asarray(values), due, rtol=1e-6)


# The package


def test_keras_is_not_imported_and_nothing_imports_this_package() -> None:
    code = (
        "import sys, streammetrics; assert 'streammetrics.keras' not in sys.modules\n"
        "import streammetrics.keras\n"
        "assert not {'keras', 'tensorflow', 'flax', 'optax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_the_migration_page_names_what_exists() -> None:
    page = (Path(__file__).parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")
    named = [re.findall(rf"\b{module}\.([A-Za-z]\w*)", page) for module in ("sm", r"streammetrics\.keras")]
    assert [len(set(names)) > 3 for names in named] == [True, True]  # the pattern still finds them
    for names, module in zip(named, (sm, keras), strict=True):
        assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", keras.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(keras, name)
    text = inspect.getdoc(value) or ""
    statistic = inspect.isclass(value) and issubclass(value, sm.Statistic)
    assert text
    assert statistic or ">>> " in text
    assert name.removeprefix("sparse_") in pydoc.render_doc(value)


@pytest.mark.parametrize(
    "metric",
    [
        keras.RoundedAccuracy(LABELS),
        keras.BatchwisePrecision(predictions="p", targets="y", weights="w"),
        keras.BatchwiseRecall(),
        keras.categorical_f1_score(3, label=2, threshold=0.25),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_a_metric_is_a_value(metric: sm.Metric) -> None:
    assert eval(repr(metric), vars(sm) | vars(keras)) == metric
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert jax.tree.leaves(metric) == []
