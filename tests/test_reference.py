"""Values equal scikit-learn's and numpy's, on random and adversarial data and on counts beyond any batch."""

import dataclasses
import functools
import math
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm

ROWS = 64  # of every batch, padded with weights of 0: one shape compiles once


def close(found, due, told: object = ""):
    np.testing.assert_allclose(np.asarray(found), np.asarray(due), rtol=1e-6, atol=1e-6, err_msg=str(told))


def padded(array):
    """The rows, followed by rows that do not count."""
    return np.pad(array, [(0, ROWS - len(array))] + [(0, 0)] * (array.ndim - 1))


def quietly(function, *args, **kwargs):
    """What scikit-learn says, without its warnings of what is undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def zero_division(undefined):
    return math.nan if undefined == "nan" else undefined


# --- References that scikit-learn has not, with the arguments of its own ---


def rate(numerator, denominator):
    """A score that is a ratio of the cells of matrices [[tn, fp], [fn, tp]]."""

    def score(true, predicted, *, labels, average, sample_weight, zero_division):
        each = sk.multilabel_confusion_matrix(true, predicted, labels=labels, sample_weight=sample_weight)
        each = each.sum(0, keepdims=True) if average == "micro" else each
        above, below = (sum(each[:, i, j] for i, j in cells) for cells in (numerator, denominator))
        with np.errstate(invalid="ignore"):
            values = np.where(below > 0, above / below, zero_division)
        support = each[:, 1].sum(1) if average == "weighted" else np.ones(len(each))
        if average is None:
            return values
        defined = ~np.isnan(values)
        return np.average(values[defined], weights=support[defined]) if support[defined].any() else math.nan

    return score


TN, FP, FN, TP = (0, 0), (0, 1), (1, 0), (1, 1)
specificity = rate([TN], [TN, FP])
accuracy_of_labels = rate([TN, TP], [TN, TP, FN, FP])
RATIOS = [
    (sm.Precision, sk.precision_score),
    (sm.Recall, sk.recall_score),
    (sm.Specificity, specificity),
    (sm.F1, sk.f1_score),
    (functools.partial(sm.FBeta, beta=2.0), functools.partial(sk.fbeta_score, beta=2.0)),
]


# --- All readings of a task, each beside its reference ---


class Data(NamedTuple):
    """What counts of a batch, as scikit-learn takes it."""

    true: Any
    predicted: Any
    weights: Any
    classes: int


def occurring(ids):
    """The classes among ids, or the labels that are ever 1."""
    return np.unique(ids) if ids.ndim == 1 else np.flatnonzero(ids.any(0))


LABELS = {
    "all": lambda data: np.arange(data.classes),
    "present": lambda data: np.union1d(occurring(data.true), occurring(data.predicted)),
    "support": lambda data: occurring(data.true),
}


def scored(function, undefined, average, over="all"):
    """From data what scikit-learn's function gives; None where there is nothing to compare."""

    def reference(data):
        score = functools.partial(
            quietly,
            function,
            data.true,
            data.predicted,
            sample_weight=data.weights,
            zero_division=zero_division(undefined),
        )
        if average == "weighted":  # of no support: has a test of its own
            every = score(labels=LABELS["all"](data), average=None)
            true = data.true if data.true.ndim == 2 else data.true[:, None] == LABELS["all"](data)
            if not (np.average(true, axis=0, weights=data.weights) * ~np.isnan(every)).any():
                return None
        labels = LABELS[over](data)
        return score(labels=labels, average=average) if len(labels) else zero_division(undefined)

    return reference


def second(reference):
    """From data what a reference gives of the class 1."""
    return lambda data: np.asarray(reference(data))[1]


def of_matrices(reference):
    """From data what a function reads off matrices [[tn, fp], [fn, tp]] of every class."""
    return lambda data: reference(
        sk.multilabel_confusion_matrix(
            data.true, data.predicted, labels=range(data.classes), sample_weight=data.weights
        )
    )


def ratio_readings(task, metric, function, undefined, every_average):
    """Values of one metric, with their references."""
    reading = functools.partial(metric, task, undefined=undefined)
    yield reading(average=None), scored(function, undefined, None)
    yield reading(), scored(function, undefined, "macro", "all" if isinstance(task, sm.Multilabel) else "present")
    if every_average:
        yield reading(class_id=1), second(scored(function, undefined, None))
        for average in ("micro", "weighted"):
            yield reading(average=average), scored(function, undefined, average)
        for over in LABELS:
            yield reading(average="macro", over=over), scored(function, undefined, "macro", over)


def readings(task, thorough):
    """Every reading of a task with its reference; not thorough: every metric, but fewer of its averages."""
    for metric, function in RATIOS:
        full = thorough and metric is sm.Precision
        yield from ratio_readings(task, metric, function, "nan", full)
        if full:
            yield from ratio_readings(task, metric, function, 0.0, True)
            yield from ratio_readings(task, metric, function, 1.0, False)
    accuracy = accuracy_of_labels if isinstance(task, sm.Multilabel) else sk.recall_score
    yield sm.Accuracy(task), scored(accuracy, 0.0, "micro")
    yield sm.StatScores(task), of_matrices(lambda each: events(each))
    yield (
        sm.ConfusionMatrix(task),
        of_matrices(lambda each: each) if isinstance(task, sm.Multilabel) else confusion(None),
    )
    if thorough:
        yield sm.Accuracy(task, average=None), scored(accuracy, 0.0, None)
        yield sm.Accuracy(task, average="macro", over="support"), scored(accuracy, 0.0, "macro", "support")
        yield sm.StatScores(task, average="micro"), of_matrices(lambda each: events(each.sum(0)))
        yield sm.StatScores(task, class_id=1), of_matrices(lambda each: events(each[1]))
    if thorough and not isinstance(task, sm.Multilabel):
        for normalize, theirs in {"true": "true", "predicted": "pred", "all": "all"}.items():
            yield sm.ConfusionMatrix(task, normalize), confusion(theirs)


def events(each):
    (tn, fp), (fn, tp) = np.moveaxis(each, (-2, -1), (0, 1))
    return {"tp": tp, "fp": fp, "tn": tn, "fn": fn, "support": tp + fn}


def confusion(normalize):
    return lambda data: quietly(
        sk.confusion_matrix,
        data.true,
        data.predicted,
        labels=range(data.classes),
        sample_weight=data.weights,
        normalize=normalize,
    )


def table(task, thorough):
    """The readings of a task with their references, and the collection of them all: one program for each task."""
    pairs = list(binary_readings(task) if isinstance(task, sm.Binary) else readings(task, thorough))
    return pairs, sm.Collection({repr(metric): metric for metric, _ in pairs})


def compare(task, thorough, predictions, predicted, true, weights):
    """Every reading of a batch against its reference."""
    pairs, metrics = table(task, thorough)
    given = np.ones(len(true), np.float32) if weights is None else weights
    batch = {"predictions": predictions, "targets": true, "weights": given}
    values = metrics(**{name: padded(array) for name, array in batch.items()})
    keep = given > 0  # scikit-learn reads classes even off rows of weight 0
    classes = 2 if isinstance(task, sm.Binary) else task.classes
    data = Data(true[keep], predicted[keep], None if weights is None else weights[keep].astype(float), classes)
    for metric, reference in pairs:
        value, due = values[repr(metric)], reference(data)
        if isinstance(due, dict):
            assert list(value) == list(due)
            for key in due:
                close(value[key], due[key], (metric, key))
        elif due is not None:
            close(value, due, metric)


def weightings(rows):
    """Whole weights, with 0; and fractions, which need `weighted=True`."""
    rng = np.random.default_rng(rows)
    whole = rng.integers(0, 5, rows).astype(np.float32)
    whole[0] = 3
    fractions = (rng.random(rows) + 0.1).astype(np.float32)
    fractions[1::4] = 0
    return {"unweighted": None, "whole": whole, "fractional": fractions}


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
    [(3, "unweighted", True), (3, "whole", True), (2, "whole", False), (10, "fractional", False)],
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


def binary_readings(task):
    """Every reading of a binary task with its reference."""
    for metric, function in RATIOS:
        for undefined in (0.0, 1.0, "nan") if metric is sm.Precision else ("nan",):
            yield metric(task, undefined=undefined), second(scored(function, undefined, None))
    yield sm.Accuracy(task), lambda data: sk.accuracy_score(data.true, data.predicted, sample_weight=data.weights)
    yield sm.StatScores(task), of_matrices(lambda each: events(each[1]))
    for normalize, theirs in {None: None, "true": "true", "predicted": "pred", "all": "all"}.items():
        yield sm.ConfusionMatrix(task, normalize), confusion(theirs)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("weighting", ["unweighted", "whole", "fractional"])
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
@pytest.mark.parametrize(("weighting", "thorough"), [("unweighted", True), ("whole", True), ("fractional", False)])
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


# --- Counts beyond any batch ---


def multiplied(state, factor):
    """The state of so many repetitions of what a state of `Count`s has seen."""

    def times(data):
        low, high = np.asarray(data).astype(np.uint64)
        counts = (low + (high << np.uint64(32))) * np.uint64(factor)
        return jnp.asarray(np.stack([counts.astype(np.uint32), (counts >> np.uint64(32)).astype(np.uint32)]))

    data = {key: times(array) for key, array in state.data.items()}
    return dataclasses.replace(state, data=data, seen=times(state.seen))


MANY = 10**12 // ROWS  # times 64 rows are 10^12 examples


@pytest.mark.parametrize(
    ("task", "thorough"),
    [
        (sm.Multiclass(3, "labels"), True),
        (sm.Multiclass(1000, "logits"), False),
        (sm.Binary("probabilities"), True),
        (sm.Multilabel(4, "probabilities", (0.5, 0.25, 0.5, 0.75)), True),
    ],
    ids=["3 classes", "1000 classes", "binary", "multilabel"],
)
def test_ratios_do_not_depend_on_how_often_the_data_was_seen(task, thorough):
    rng, (pairs, metrics) = np.random.default_rng(0), table(task, thorough)
    classes = task.classes if isinstance(task, sm.Multiclass) else 2
    shape = (ROWS, 4) if isinstance(task, sm.Multilabel) else (ROWS,)
    predictions, targets = (rng.integers(0, classes, shape) for _ in range(2))
    if task.inputs == "logits":
        predictions = np.eye(classes)[predictions]
    predictions = predictions if task.inputs == "labels" else predictions.astype(np.float32)
    state = metrics.tally(predictions=predictions, targets=targets, weights=np.ones(ROWS, np.float32))
    once, often = metrics.compute(state), metrics.compute(multiplied(state, MANY))
    for metric, _ in pairs:
        value, due = often[repr(metric)], once[repr(metric)]
        if isinstance(metric, sm.StatScores):
            assert sm.plain(value) == {key: (np.asarray(due[key]) * np.uint64(MANY)).tolist() for key in due}
        elif isinstance(value, sm.UInt64):
            assert np.asarray(value).tolist() == (np.asarray(due) * np.uint64(MANY)).tolist()
        else:
            close(value, due, metric)


def test_five_errors_among_a_million_million_examples_are_seen():
    task = sm.Binary("labels")
    metrics = sm.Collection(scores=sm.StatScores(task), accuracy=sm.Accuracy(task), n=sm.Examples(task))
    right = metrics.tally(predictions=np.array([0, 1] * (ROWS // 2)), targets=np.array([0, 1] * (ROWS // 2)))
    wrong = metrics.tally(predictions=np.ones(5, int), targets=np.zeros(5, int))
    values = metrics.compute(metrics.merge(multiplied(right, MANY), wrong))
    half = 5 * 10**11
    assert sm.plain(values["scores"]) == {"tp": half, "fp": 5, "tn": half, "fn": 0, "support": half}
    assert int(values["n"]) == 10**12 + 5
    close(values["accuracy"], 1.0)


@pytest.mark.parametrize("classes", [3, 40])  # a table of all pairs, and counts of each class
def test_counts_beyond_float32_stay_exact(classes):
    task, many = sm.Multiclass(classes, "labels"), 2**60 + 1
    metrics = sm.Collection(
        matrix=sm.ConfusionMatrix(task), shares=sm.ConfusionMatrix(task, "true"), scores=sm.StatScores(task)
    )
    state = multiplied(metrics.tally(predictions=[0, 1, 2, 2], targets=[0, 1, 2, 1]), many)
    values = metrics.compute(state)
    assert np.asarray(values["matrix"])[:3, :3].tolist() == [[many, 0, 0], [0, many, many], [0, 0, many]]
    close(values["shares"][:3, :3], [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]])
    assert np.asarray(values["scores"]["tn"])[:3].tolist() == [3 * many, 2 * many, 2 * many]
    assert np.asarray(values["scores"]["support"])[:3].tolist() == [many, 2 * many, many]
