"""Values equal scikit-learn's and numpy's, on random and adversarial data."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm
from tests.references import ROWS, close, compare, padded, quietly, together, weightings, zero_division

# --- Multiclass ---

PAIRS = [
    "random",
    "right",
    "wrong",
    "one predicted",
    "one true",
    "one class",
    "last class absent",
    "one right example",
    "one wrong example",
]


def class_pair(name, classes):
    """Predicted and true ids."""
    rng, last = np.random.default_rng(classes), classes - 1
    true = rng.integers(0, classes, ROWS)
    noisy = np.where(rng.random(ROWS) < 0.6, true, rng.integers(0, classes, ROWS))
    return {
        "random": (noisy, true),
        "right": (true, true),
        "wrong": ((true + 1) % classes, true),
        "one predicted": (np.full(ROWS, last), true),
        "one true": (noisy, np.full(ROWS, last)),
        "one class": (np.zeros(20, int), np.zeros(20, int)),
        "last class absent": (noisy % last, true % last),
        "one right example": (np.array([last]), np.array([last])),
        "one wrong example": (np.array([0]), np.array([last])),
    }[name]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("classes", "weighting", "thorough"),
    [
        together("3 classes", 3, "unweighted", True),
        together("3 classes", 3, "whole", True),
        together("2 classes", 2, "whole", False),
        together("10 classes", 10, "fractional", False),
    ],
)
def test_multiclass_values_equal_scikit_learns(classes, weighting, thorough, name):
    predicted, true = class_pair(name, classes)
    task = sm.Multiclass(classes, "labels", weighted=weighting == "fractional")
    compare(task, thorough, predicted, predicted, true, weightings(len(true))[weighting])


def test_a_thousand_classes_equal_scikit_learns():
    classes, rng = 1000, np.random.default_rng(0)
    logits = rng.normal(size=(ROWS, classes)).astype(np.float32)
    predicted = logits.argmax(1)
    true = np.where(rng.random(ROWS) < 0.5, predicted, rng.integers(0, classes, ROWS))
    compare(sm.Multiclass(classes, "logits"), False, logits, predicted, true, None)


def test_ties_are_read_as_the_lowest_class_and_ignored_targets_are_absent():
    rng, cases = np.random.default_rng(0), {"logits": 255, "probabilities": 1, "scores": -1}
    scores = rng.integers(0, 3, (ROWS, 4)).astype(np.float32) / 2  # of few values: nearly every row has a tie
    true = {inputs: np.where(rng.random(ROWS) < 0.3, gone, rng.integers(0, 4, ROWS)) for inputs, gone in cases.items()}
    tasks = {inputs: sm.Multiclass(4, inputs, ignore=gone, targets=inputs) for inputs, gone in cases.items()}
    values = sm.Collection({inputs: sm.ConfusionMatrix(task) for inputs, task in tasks.items()})(
        predictions=scores, **true
    )
    for inputs, gone in cases.items():
        keep = true[inputs] != gone
        due = sk.confusion_matrix(true[inputs][keep], scores[keep].argmax(1), labels=range(4))
        np.testing.assert_array_equal(np.asarray(values[inputs]), due)


# --- Binary ---

SCORES = ["random", "no positives", "all positives", "none predicted", "all predicted", "nothing at all", "one example"]


def binary_scores(name):
    """Probabilities on both sides of one half, some at it, and targets."""
    rng = np.random.default_rng(3)
    true, scores = rng.integers(0, 2, ROWS), rng.integers(0, 9, ROWS).astype(np.float32) / 8
    return {
        "random": (scores, true),
        "no positives": (scores, 0 * true),
        "all positives": (scores, 0 * true + 1),
        "none predicted": (scores / 2, true),
        "all predicted": ((scores + 1.5) / 2.5, true),
        "nothing at all": (0 * scores, 0 * true),
        "one example": (scores[:1], true[:1]),
    }[name]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    "weighting",
    [together("binary", "unweighted"), together("binary", "whole"), together("binary fractions", "fractional")],
)
def test_binary_values_equal_scikit_learns(weighting, name):
    scores, true = binary_scores(name)
    task = sm.Binary("probabilities", weighted=weighting == "fractional")
    compare(task, True, scores, (scores > 0.5).astype(int), true, weightings(len(true))[weighting])


def test_the_threshold_is_on_the_scale_that_the_inputs_say():
    rng = np.random.default_rng(0)
    scores = (rng.integers(-8, 9, ROWS) / 4).astype(np.float32)  # many of them exactly at a threshold
    shares, true = np.clip(scores, 0, 1), rng.integers(0, 2, ROWS)
    cuts = {
        ("logits", 0.5): 0.0,
        ("logits", 0.25): math.log(0.25 / 0.75),
        ("logits", 0.0): -math.inf,
        ("logits", 1.0): math.inf,
        ("probabilities", 0.25): 0.25,
        ("probabilities", 1.0): 1.0,
        ("scores", 1.5): 1.5,
        ("scores", -2.0): -2.0,
    }
    tasks = {case: sm.Binary(*case, predictions=case[0]) for case in cuts}
    metrics = sm.Collection({str(case): sm.ConfusionMatrix(task) for case, task in tasks.items()})
    values = metrics(logits=scores, scores=scores, probabilities=shares, targets=true)
    for case, cut in cuts.items():
        predicted = (shares if case[0] == "probabilities" else scores) > cut
        due = sk.confusion_matrix(true, predicted, labels=[0, 1])
        np.testing.assert_array_equal(np.asarray(values[str(case)]), due, err_msg=str(case))


# --- Multilabel ---

TABLES = ["random", "a label absent", "a label never predicted", "a label never true", "one example"]


def label_tables(name):
    """Probabilities and targets of four labels, some of them rare."""
    rng = np.random.default_rng(5)
    true = rng.random((ROWS, 4)) < [0.1, 0.3, 0.5, 0.9]
    scores = np.where(rng.random((ROWS, 4)) < 0.7, true, ~true) * 0.6 + rng.integers(0, 5, (ROWS, 4)) / 10
    absent = np.array([1, 1, 1, 0])
    return {
        "random": (scores, true),
        "a label absent": (scores * absent, true * absent),
        "a label never predicted": (scores * absent, true),
        "a label never true": (scores, true * absent),
        "one example": (scores[:1], true[:1]),
    }[name]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("weighting", "thorough"),
    [
        together("multilabel", "unweighted", True),
        together("multilabel", "whole", True),
        together("multilabel fractions", "fractional", False),
    ],
)
def test_multilabel_values_equal_scikit_learns(weighting, thorough, name):
    scores, true = (array.astype(np.float32) for array in label_tables(name))
    cuts = (0.5, 0.25, 0.5, 0.75)
    task = sm.Multilabel(4, "probabilities", cuts, weighted=weighting == "fractional")
    predicted = (scores > np.array(cuts, np.float32)).astype(int)
    compare(task, thorough, scores, predicted, true.astype(int), weightings(len(true))[weighting])


@pytest.mark.parametrize("undefined", [0.0, 1.0, "nan"])
def test_a_weighted_average_without_any_support_equals_scikit_learns(undefined):
    predicted, true = np.array([[1, 0], [1, 0]]), np.zeros((2, 2), int)
    found = sm.Precision(sm.Multilabel(2, "labels"), average="weighted", undefined=undefined)(predicted, true)
    zero = zero_division(undefined)
    close(found, quietly(sk.precision_score, true, predicted, average="weighted", zero_division=zero))


def test_a_weighted_average_of_classes_without_support_equals_scikit_learns():
    # Class 0 has no support but a precision, 0; class 2 has support but no precision.
    found = sm.Precision(sm.Multiclass(3, "labels"), average="weighted", undefined="nan")([0], [2])
    close(found, quietly(sk.precision_score, [2], [0], average="weighted", zero_division=math.nan))


def test_elements_of_multilabel_may_be_weighted_and_ignored():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 2, (ROWS, 3)), rng.integers(0, 2, (ROWS, 3))
    weights, gone = rng.integers(0, 4, (ROWS, 3)), rng.random((ROWS, 3)) < 0.2
    task = sm.Multilabel(3, "labels", ignore=7)
    metrics = sm.Collection(f1=sm.F1(task, average=None), accuracy=sm.Accuracy(task))
    batch = {"predictions": predicted, "targets": np.where(gone, 7, true), "weights": weights.astype(np.float32)}
    values, shares = metrics(**batch), weights * ~gone
    close(values["f1"], [sk.f1_score(true[:, k], predicted[:, k], sample_weight=shares[:, k]) for k in range(3)])
    flat = sk.accuracy_score(true.ravel(), predicted.ravel(), sample_weight=shares.ravel())
    close(values["accuracy"], flat)


# --- Log loss ---


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def log_loss(task, predictions, true, weights=None):
    """Our value, always weighted: one shape, one program."""
    weights = np.ones(ROWS, np.float32) if weights is None else weights
    return sm.LogLoss(task)(predictions.astype(np.float32), true, weights=weights)


@pytest.mark.parametrize(("classes", "inputs"), [(3, "logits"), (3, "probabilities")])
def test_multiclass_log_loss_equals_scikit_learns(classes, inputs):
    rng = np.random.default_rng(classes)
    logits, true = rng.normal(size=(ROWS, classes)) * 3, rng.integers(0, classes, ROWS)
    predictions = logits if inputs == "logits" else softmax(logits)
    for targets in (true, 0 * true):  # of every class, and of one alone
        for weights in weightings(ROWS).values():
            due = sk.log_loss(targets, softmax(logits), labels=range(classes), sample_weight=weights)
            close(log_loss(sm.Multiclass(classes, inputs), predictions, targets, weights), due)


@pytest.mark.parametrize(("labels", "inputs"), [(1, "logits"), (1, "probabilities"), (3, "logits")])
def test_log_loss_of_yes_and_no_equals_scikit_learns(labels, inputs):
    rng = np.random.default_rng(labels)
    logits, true = rng.normal(size=(ROWS, labels)) * 3, rng.integers(0, 2, (ROWS, labels))
    sure, weights = 1 / (1 + np.exp(-logits)), weightings(ROWS)["fractional"]
    task = sm.Multilabel(labels, inputs) if labels > 1 else sm.Binary(inputs)
    found = log_loss(task, logits if inputs == "logits" else sure, true if labels > 1 else true[:, 0], weights)
    close(found, sk.log_loss(true.ravel(), sure.ravel(), sample_weight=np.repeat(weights, labels)))


def test_certain_probabilities_are_clipped_by_the_epsilon_of_their_dtype():
    sure = np.array([0, 1, 1, 0] * (ROWS // 4), np.float32)
    true = np.array([1, 0, 1, 0] * (ROWS // 4))
    found = log_loss(sm.Binary("probabilities"), sure, true)
    close(found, sk.log_loss(true, sure))
    close(found, -math.log(np.finfo(np.float32).eps) / 2)
    table, true = np.eye(3, dtype=np.float32)[np.arange(ROWS) % 3], np.arange(ROWS) % 2
    close(log_loss(sm.Multiclass(3, "probabilities"), table, true), sk.log_loss(true, table, labels=range(3)))


def test_the_loss_of_great_logits_does_not_leave_their_range():
    logits, true = np.array([300.0, -300.0, 300.0, 0.0] * (ROWS // 4)), np.array([0, 1, 1, 1] * (ROWS // 4))
    close(log_loss(sm.Binary("logits"), logits, true), (600 + math.log(2)) / 4)
    table = np.stack([logits, 0 * logits, 0 * logits - 900], 1)  # the losses: 300, 0 + 300, 300, log 2
    true = np.array([1, 0, 1, 0] * (ROWS // 4))
    close(log_loss(sm.Multiclass(3, "logits"), table, true), (900 + math.log(2)) / 4)


# --- Values ---

AGGREGATES = sm.Collection(
    mean=sm.Mean("x"),
    exact_mean=sm.Mean("x", exact=True),
    total=sm.Sum("x"),
    exact_total=sm.Sum("x", exact=True),
    ratio=sm.Ratio("x", "y"),
    variance=sm.Variance("x"),
    unbiased=sm.Variance("x", ddof=1),
    deviation=sm.Std("x"),
    wide_deviation=sm.Std("x", ddof=2),
    maximum=sm.Maximum("x"),
    minimum=sm.Minimum("x"),
    n=sm.Examples("x"),
)


@pytest.mark.parametrize("weighting", ["unweighted", "whole", "fractional"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_aggregates_equal_numpys(offset, weighting):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=ROWS).astype(np.float32) + np.float32(offset) for _ in range(2))
    weights = weightings(ROWS)[weighting]
    weights = np.ones(ROWS, np.float32) if weights is None else weights
    values = AGGREGATES(x=x, y=y, weights=weights)
    x, y, w = (array.astype(float) for array in (x, y, weights))
    mean = np.average(x, weights=w)
    squares = (w * (x - mean) ** 2).sum()
    due = {
        "mean": mean,
        "exact_mean": mean,
        "total": (w * x).sum(),
        "exact_total": (w * x).sum(),
        "ratio": (w * x).sum() / (w * y).sum(),
        "variance": squares / w.sum(),
        "unbiased": squares / (w.sum() - 1),
        "deviation": math.sqrt(squares / w.sum()),
        "wide_deviation": math.sqrt(squares / (w.sum() - 2)),
        "maximum": x[w > 0].max(),
        "minimum": x[w > 0].min(),
        "n": (w > 0).sum(),
    }
    assert list(values) == list(due)
    for name, value in due.items():
        np.testing.assert_allclose(np.asarray(values[name]), value, rtol=1e-6, atol=1e-7, err_msg=name)
    if weighting == "unweighted":
        close(values["unbiased"], x.var(ddof=1))
        close(values["wide_deviation"], x.std(ddof=2))


def test_a_variance_without_freedom_is_nan():
    one = padded(np.array([3.0], np.float32))
    values = AGGREGATES(x=one, y=one, weights=(one > 0).astype(np.float32))
    assert float(values["variance"]) == float(values["deviation"]) == 0.0
    assert math.isnan(values["unbiased"])
    assert math.isnan(values["wide_deviation"])
