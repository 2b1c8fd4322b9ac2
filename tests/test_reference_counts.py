"""Values of counts beyond any batch, and of more classes than a table holds, equal references in exact arithmetic."""

import dataclasses
import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from tests.references import ROWS, close, table, together


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
        together("3 classes", sm.Multiclass(3, "labels"), True),
        together("1000 classes", sm.Multiclass(1000, "logits"), False),
        together("binary", sm.Binary("probabilities"), True),
        together("multilabel", sm.Multilabel(4, "probabilities", (0.5, 0.25, 0.5, 0.75)), True),
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
        if isinstance(metric, sm.StatScores | sm.StatScoresAt):
            assert sm.plain(value) == {key: (np.asarray(due[key]) * np.uint64(MANY)).tolist() for key in due}
        elif isinstance(value, sm.UInt64):
            assert np.asarray(value).tolist() == (np.asarray(due) * np.uint64(MANY)).tolist()
        elif isinstance(value, dict):
            assert list(value) == list(due)
            for key in due:
                close(value[key], due[key], (metric, key))
        else:
            close(value, due, metric)


def of_cells(metrics, cells):
    """The values of a table of pairs, rows are true classes: its state is built pair by pair."""
    pairs = [(true, predicted, number) for (true, predicted), number in np.ndenumerate(cells) if number]
    states = [
        multiplied(metrics.tally(predictions=np.array([predicted]), targets=np.array([true])), int(number))
        for true, predicted, number in pairs
    ]
    return metrics.compute(sm.merge(*states))


def exactly(found, due, told: object = ""):
    """To 1e-6 of the value however small it is, not of 1."""
    np.testing.assert_allclose(np.asarray(found), float(due), rtol=1e-6, atol=0, err_msg=str(told))


BINARY = sm.Binary("labels")
DIAGNOSIS = sm.Collection(
    scores=sm.StatScores(BINARY),
    n=sm.Examples(BINARY),
    accuracy=sm.Accuracy(BINARY),
    hamming=sm.HammingLoss(BINARY),
    fall_out=sm.FalsePositiveRate(BINARY),
    miss=sm.FalseNegativeRate(BINARY),
    discovery=sm.FalseDiscoveryRate(BINARY),
    npv=sm.NegativePredictiveValue(BINARY),
    prevalence=sm.Prevalence(BINARY),
    predicted=sm.PredictedPositiveRate(BINARY),
    informedness=sm.Informedness(BINARY),
    markedness=sm.Markedness(BINARY),
    ratios=sm.LikelihoodRatios(BINARY),
    jaccard=sm.Jaccard(BINARY),
    iou=sm.MeanIoU(BINARY),
    dice=sm.Dice(BINARY),
    match=sm.ExactMatch(BINARY),
    balanced=sm.BalancedAccuracy(BINARY),
    adjusted=sm.BalancedAccuracy(BINARY, adjusted=True),
    correlation=sm.MatthewsCorrelation(BINARY),
    kappa=sm.CohenKappa(BINARY),
)
COUNTS = {
    "five errors among a million million": (5 * 10**11, 5, 0, 5 * 10**11),
    "correlation of .8": (4500, 500, 500, 4500),  # times 10^6 are 10^10
    "a rare class": (900, 100, 200, 10**12),
    "a rare rest": (10**12, 100, 200, 900),
    "one in 10^14": (1, 1, 1, 10**14),
    "2^60": (2**60, 2**59 + 1, 3, 2**60),
    "found by chance": (10**4, 10**8, 10**8, 10**12),
}


@pytest.mark.parametrize("name", COUNTS)
def test_what_is_rare_among_a_million_million_examples_is_seen(name):
    tp, fp, fn, tn = COUNTS[name]
    factor = 10**6 if "correlation" in name else 1
    values = of_cells(DIAGNOSIS, np.array([[tn, fp], [fn, tp]], object) * factor)
    names = ("tp", "fp", "tn", "fn", "support")
    scores = dict(zip(names, (factor * x for x in (tp, fp, tn, fn, tp + fn)), strict=True))
    assert sm.plain(values.pop("scores")) == scores
    assert int(values.pop("n")) == sum(scores.values()) - scores["support"]
    tp, fp, fn, tn = map(Fraction, (tp, fp, fn, tn))
    n = tp + fp + fn + tn
    recall, rest = tp / (tp + fn), tn / (tn + fp)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    chance = ((tp + fp) * (tp + fn) + (tn + fp) * (tn + fn)) / n**2
    ratios = values.pop("ratios")
    exactly(ratios["positive"], recall / (1 - rest))
    exactly(ratios["negative"], (1 - recall) / rest)
    due = {
        "accuracy": (tp + tn) / n,
        "hamming": (fp + fn) / n,
        "fall_out": fp / (fp + tn),
        "miss": fn / (fn + tp),
        "discovery": fp / (fp + tp),
        "npv": tn / (tn + fn),
        "prevalence": (tp + fn) / n,
        "predicted": (tp + fp) / n,
        "jaccard": tp / (tp + fp + fn),
        "iou": (tp / (tp + fp + fn) + tn / (tn + fp + fn)) / 2,
        "dice": 2 * tp / (2 * tp + fp + fn),
        "match": (tp + tn) / n,
        "balanced": (recall + rest) / 2,
    }
    beyond_chance = {
        "informedness": recall + rest - 1,
        "markedness": tp / (tp + fp) + tn / (tn + fn) - 1,
        "adjusted": recall + rest - 1,
        "correlation": float(tp * tn - fp * fn) / math.sqrt(margins),
        "kappa": ((tp + tn) / n - chance) / (1 - chance),
    }
    assert due.keys() | beyond_chance.keys() == values.keys()
    for key, value in due.items():
        exactly(values[key], value, key)
    for key, value in beyond_chance.items():  # differences, of size 1
        close(values[key], float(value), key)


def test_the_correlation_of_many_examples_is_that_of_few():
    assert float(sm.MatthewsCorrelation(BINARY)([0] * 5 + [1] * 5, [0] * 4 + [1] * 5 + [0])) == pytest.approx(0.6)
    for power in (0, 6, 8, 12):  # others read 0 from 10^10 examples on
        values = of_cells(DIAGNOSIS, np.array([[45, 5], [5, 45]], object) * 10**power)
        exactly(values["correlation"], 0.8, power)
        exactly(values["kappa"], 0.8, power)


THREE = sm.Multiclass(3, "labels")
ORDERED = sm.Collection(
    balanced=sm.BalancedAccuracy(THREE),
    correlation=sm.MatthewsCorrelation(THREE),
    kappa=sm.CohenKappa(THREE),
    linear=sm.CohenKappa(THREE, "linear"),
    quadratic=sm.CohenKappa(THREE, "quadratic"),
    iou=sm.MeanIoU(THREE),
    hamming=sm.HammingLoss(THREE),
)


@pytest.mark.parametrize(
    "cells",
    [
        [[10**12, 20, 10], [30, 900, 50], [5, 60, 700]],
        [[10**12, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[10**4, 10**6, 10**8], [10**6, 10**8, 10**10], [10**8, 10**10, 10**12]],
        [[0, 10**11, 10**12], [10**12, 0, 10**11], [10**11, 10**12, 0]],
    ],
    ids=["two rare classes", "all right", "chance", "all wrong"],
)
def test_rare_classes_among_a_million_million_examples_agree_as_they_should(cells):
    values = of_cells(ORDERED, np.array(cells, object))
    n = Fraction(sum(map(sum, cells)))
    share = [[number / n for number in row] for row in cells]
    true = [sum(row) for row in share]
    predicted = [sum(column) for column in zip(*share, strict=True)]
    agreed = sum(share[k][k] for k in range(3))
    chance = sum(p * t for p, t in zip(predicted, true, strict=True))
    variances = (1 - sum(p * p for p in shares) for shares in (predicted, true))
    due = {
        "balanced": sum(share[k][k] / true[k] for k in range(3)) / 3,
        "correlation": float(agreed - chance) / math.prod(map(math.sqrt, variances)),
        "kappa": (agreed - chance) / (1 - chance),
        "linear": 1 - distance(share, abs) / distance(outer(true, predicted), abs),
        "quadratic": 1 - distance(share, square) / distance(outer(true, predicted), square),
        "iou": sum(share[k][k] / (true[k] + predicted[k] - share[k][k]) for k in range(3)) / 3,
    }
    exactly(values.pop("hamming"), sum(share[i][j] for i in range(3) for j in range(3) if i != j))
    assert due.keys() == values.keys()
    for key, value in due.items():
        close(values[key], float(value), key)


def square(x):
    return x * x


def outer(true, predicted):
    return [[t * p for p in predicted] for t in true]


def distance(share, of):
    return sum(share[i][j] * of(i - j) for i in range(3) for j in range(3))


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


# --- More classes than a table holds ---


@pytest.mark.parametrize("factor", [1, 10**7])
def test_fifty_thousand_classes_equal_numpys(factor):
    classes, rng = 50_000, np.random.default_rng(0)
    task = sm.Multiclass(classes, "labels")
    rows = 100_000
    true = np.minimum(rng.geometric(2e-4, rows), classes - 1)  # most of the classes are rare, many are absent
    predicted = np.where(rng.random(rows) < 0.7, true, rng.integers(0, classes // 2, rows))
    tp, of_true, of_predicted = (
        np.bincount(ids, minlength=classes).astype(float) for ids in (true[true == predicted], true, predicted)
    )
    fp, fn = of_predicted - tp, of_true - tp
    tn = rows - tp - fp - fn
    present, support = of_true + of_predicted > 0, of_true > 0

    def ratio(above, below):
        return np.divide(above, below, out=np.zeros(classes), where=below > 0)

    recall, union = ratio(tp, of_true), ratio(tp, tp + fp + fn)
    chosen = int(np.flatnonzero((tp > 0) & (fp > 0) & (fn > 0))[0])
    right, chance = tp.sum() / rows, of_true @ of_predicted / rows**2
    spread = math.sqrt((1 - (of_true / rows) @ (of_true / rows)) * (1 - (of_predicted / rows) @ (of_predicted / rows)))
    pairs = {
        sm.Accuracy(task): right,
        sm.HammingLoss(task): 1 - right,
        sm.ExactMatch(task): right,
        sm.Precision(task): ratio(tp, of_predicted)[present].mean(),
        sm.Recall(task, average="weighted"): right,
        sm.Recall(task, average="macro", over="all"): recall.mean(),
        sm.BalancedAccuracy(task): recall[support].mean(),
        sm.BalancedAccuracy(task, adjusted=True): (recall[support].mean() - 1 / support.sum())
        / (1 - 1 / support.sum()),
        sm.MeanIoU(task): union[present].mean(),
        sm.Jaccard(task, average=None): union,
        sm.Dice(task): ratio(2 * tp, 2 * tp + fp + fn)[present].mean(),
        sm.Specificity(task, average="micro"): 1 - fp.sum() / (fp + tn).sum(),
        sm.Prevalence(task, class_id=1): of_true[1] / rows,
        sm.MatthewsCorrelation(task): (right - chance) / spread,
        sm.CohenKappa(task): (right - chance) / (1 - chance),
        sm.LikelihoodRatios(task, class_id=chosen): {
            "positive": ratio(recall, ratio(fp, fp + tn))[chosen],
            "negative": ratio(ratio(fn, of_true), ratio(tn, fp + tn))[chosen],
        },
    }
    metrics = sm.Collection({repr(metric): metric for metric in pairs})
    values = metrics.compute(multiplied(metrics.tally(predictions=predicted, targets=true), factor))
    for metric, due in pairs.items():
        if isinstance(due, dict):
            assert list(due) == ["positive", "negative"]
            for key, value in due.items():
                close(values[repr(metric)][key], value, (metric, key))
        else:
            close(values[repr(metric)], due, metric)


@pytest.mark.parametrize(
    "metric", [sm.ConfusionMatrix, lambda task: sm.CohenKappa(task, "linear"), sm.statistics.Confusion]
)
def test_a_table_of_more_than_8192_classes_is_refused(metric):
    metric(sm.Multiclass(8192, "labels"))
    with pytest.raises(ValueError, match="8,193 classes would need a table of their square, but at most 8,192"):
        metric(sm.Multiclass(8193, "labels"))
