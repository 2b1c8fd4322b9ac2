"""What scikit-learn and numpy give for the metrics of counted classes, beside the metrics that must give the same."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

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


def together(program, *values):
    """Parameters of a test that one process takes with all that share a program, which is compiled once."""
    return pytest.param(*values, marks=pytest.mark.xdist_group(program))


def zero_division(undefined):
    return math.nan if undefined == "nan" else undefined


class Data(NamedTuple):
    """What counts of a batch, as scikit-learn takes it."""

    scores: Any
    true: Any
    predicted: Any
    weights: Any
    classes: int


# --- References that scikit-learn has not, with the arguments of its own ---


def of_classes(values_of):
    """A score from what a function reads off matrices [[tn, fp], [fn, tp]]: NaN where it is not defined."""

    def score(true, predicted, *, labels, average, sample_weight, zero_division):
        each = sk.multilabel_confusion_matrix(true, predicted, labels=labels, sample_weight=sample_weight)
        each = each.sum(0, keepdims=True) if average == "micro" else each
        values = np.asarray(values_of(each), float)
        values = np.where(np.isnan(values), zero_division, values)
        support = each[:, 1].sum(1) if average == "weighted" else np.ones(len(each))
        if average is None:
            return values
        defined = ~np.isnan(values)
        return np.average(values[defined], weights=support[defined]) if support[defined].any() else math.nan

    return score


def share(each, numerator, denominator):
    """A ratio of cells of matrices, NaN where there is nothing below."""
    above, below = (sum(each[..., i, j].astype(float) for i, j in cells) for cells in (numerator, denominator))
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def rate(numerator, denominator):
    return of_classes(lambda each: share(each, numerator, denominator))


def against_the_rest(function):
    """A score of scikit-learn's of two classes, of each class against the rest."""

    def value_of(matrix):
        rows = matrix.reshape(-1) > 0
        return quietly(
            function, *np.array([[0, 0, 1, 1], [0, 1, 0, 1]])[:, rows], sample_weight=matrix.reshape(-1)[rows]
        )

    return of_classes(lambda each: [value_of(matrix) for matrix in each])


TN, FP, FN, TP = (0, 0), (0, 1), (1, 0), (1, 1)
EVERY = [TN, FP, FN, TP]
specificity = rate([TN], [TN, FP])
accuracy_of_labels = rate([TN, TP], EVERY)
informedness = of_classes(lambda each: share(each, [TP], [TP, FN]) - share(each, [FP], [FP, TN]))
markedness = of_classes(lambda each: share(each, [TP], [TP, FP]) - share(each, [FN], [FN, TN]))
RATIOS = [
    (sm.Precision, sk.precision_score),
    (sm.Recall, sk.recall_score),
    (sm.Specificity, specificity),
    (sm.F1, sk.f1_score),
    (functools.partial(sm.FBeta, beta=2.0), functools.partial(sk.fbeta_score, beta=2.0)),
]
FURTHER = [
    (sm.NegativePredictiveValue, rate([TN], [TN, FN])),
    (sm.FalsePositiveRate, rate([FP], [FP, TN])),
    (sm.FalseNegativeRate, rate([FN], [FN, TP])),
    (sm.FalseDiscoveryRate, rate([FP], [FP, TP])),
    (sm.Jaccard, rate([TP], [TP, FP, FN])),
    (sm.Dice, sk.f1_score),
    (sm.Informedness, informedness),
    (sm.Markedness, markedness),
    (sm.Prevalence, rate([TP, FN], EVERY)),
    (sm.PredictedPositiveRate, rate([TP, FP], EVERY)),
]


def adjusted_accuracy(true, predicted, sample_weight):
    """Of one class alone scikit-learn divides by 0, which is our `undefined`: 0."""
    value = sk.balanced_accuracy_score(true, predicted, sample_weight=sample_weight, adjusted=True)
    return value if math.isfinite(value) else 0.0


AGREEMENTS: list[tuple[Any, Callable[..., Any]]] = [
    (sm.BalancedAccuracy, sk.balanced_accuracy_score),
    (functools.partial(sm.BalancedAccuracy, adjusted=True), adjusted_accuracy),
    (sm.MatthewsCorrelation, sk.matthews_corrcoef),
    (sm.CohenKappa, sk.cohen_kappa_score),
]


# --- All readings of a task, each beside its reference ---


def occurring(ids):
    """The classes among ids, or the labels that are ever 1."""
    return np.unique(ids) if ids.ndim == 1 else np.flatnonzero(ids.any(0))


LABELS = {
    "all": lambda data: np.arange(data.classes),
    "present": lambda data: np.union1d(occurring(data.true), occurring(data.predicted)),
    "support": lambda data: occurring(data.true),
}


def over_of(task):
    """The classes that enter a macro average by default."""
    return "all" if isinstance(task, sm.Multilabel) else "present"


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


def direct(function, **arguments):
    """From data what scikit-learn's function gives that knows no averages."""
    return lambda data: quietly(function, data.true, data.predicted, sample_weight=data.weights, **arguments)


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
    yield reading(), scored(function, undefined, "macro", over_of(task))
    if every_average:
        yield reading(class_id=1), second(scored(function, undefined, None))
        for average in ("micro", "weighted"):
            yield reading(average=average), scored(function, undefined, average)
        for over in LABELS:
            yield reading(average="macro", over=over), scored(function, undefined, "macro", over)


def further_readings(task, thorough):
    """Of further ratios the value of each class; thorough: also their defaults, and every average of one."""
    for metric, function in FURTHER:
        yield metric(task, average=None, undefined="nan"), scored(function, "nan", None)
        if thorough:
            average = None if metric in (sm.Prevalence, sm.PredictedPositiveRate) else "macro"
            yield metric(task), scored(function, 0.0, average, over_of(task) if average else "all")
    if thorough:
        for average in ("micro", "weighted"):
            yield sm.Informedness(task, average=average), scored(informedness, 0.0, average)
        for metric, cells in ((sm.Prevalence, [TP, FN]), (sm.PredictedPositiveRate, [TP, FP])):
            yield metric(task, average="macro"), scored(rate(cells, EVERY), 0.0, "macro", over_of(task))
    yield sm.Jaccard(task, undefined=1.0), scored(sk.jaccard_score, 1.0, "macro", over_of(task))
    yield sm.MeanIoU(task), scored(sk.jaccard_score, 0.0, "macro", over_of(task))
    yield sm.HammingLoss(task), direct(sk.hamming_loss)
    yield sm.ExactMatch(task), direct(sk.accuracy_score)
    yield sm.LikelihoodRatios(task), of_matrices(likelihood_ratios)
    if thorough:
        wrong = rate([FP, FN], EVERY) if isinstance(task, sm.Multilabel) else rate([FN], [TP, FN])
        yield sm.HammingLoss(task, average=None), scored(wrong, 0.0, None)
        yield sm.LikelihoodRatios(task, class_id=1), of_matrices(lambda each: likelihood_ratios(each[1]))
        yield sm.LikelihoodRatios(task, average="micro"), of_matrices(lambda each: likelihood_ratios(each.sum(0)))
        for over in ("all", "support"):
            yield sm.MeanIoU(task, over=over), scored(sk.jaccard_score, 0.0, "macro", over)


def likelihood_ratios(each):
    """As `sk.class_likelihood_ratios`, of many classes."""
    of_class, of_rest = ([share(each, [cell], row) for cell in row] for row in ([TP, FN], [FP, TN]))
    ratios = [
        np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
        for above, below in zip(of_class, of_rest, strict=True)
    ]
    return dict(zip(("positive", "negative"), ratios, strict=True))


def agreement_readings(task, thorough):
    """Agreement beyond chance, of all classes together and of each against the rest."""
    for metric, function in AGREEMENTS:
        undefined, each = metric(task).undefined, against_the_rest(function)
        together = direct(function) if isinstance(task, sm.Multiclass) else scored(each, undefined, "macro")
        yield metric(task), together
        if thorough:
            yield metric(task, average=None), scored(each, undefined, None)
        if thorough and metric is sm.MatthewsCorrelation:
            yield metric(task, class_id=1), second(scored(each, undefined, None))
            for average in ("micro", "weighted", "macro"):
                over = over_of(task) if average == "macro" else "all"
                yield metric(task, average=average), scored(each, undefined, average, over)
    if isinstance(task, sm.Multiclass):
        for weighting in ("linear", "quadratic"):
            yield sm.CohenKappa(task, weighting), weighted_kappa(weighting)


def weighted_kappa(weighting):
    return lambda data: direct(sk.cohen_kappa_score, weights=weighting, labels=range(data.classes))(data)


def readings(task, thorough):
    """Every reading of a task with its reference; not thorough: every metric, but fewer of its averages."""
    for metric, function in RATIOS:
        full = thorough and metric is sm.Precision
        yield from ratio_readings(task, metric, function, "nan", full)
        if full:
            yield from ratio_readings(task, metric, function, 0.0, True)
            yield from ratio_readings(task, metric, function, 1.0, False)
    yield from further_readings(task, thorough)
    yield from agreement_readings(task, thorough)
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
    if isinstance(task, sm.Multilabel):
        yield from threshold_readings(task, thorough)


def binary_readings(task):
    """Every reading of a binary task with its reference."""
    for metric, function in RATIOS + FURTHER:
        for undefined in (0.0, 1.0, "nan") if metric in (sm.Precision, sm.Informedness) else ("nan",):
            yield metric(task, undefined=undefined), second(scored(function, undefined, None))
    for metric, function in AGREEMENTS:
        yield metric(task), direct(function)
    for metric, function in {sm.HammingLoss: sk.hamming_loss, sm.ExactMatch: sk.accuracy_score}.items():
        yield metric(task), direct(function)
    yield sm.Jaccard(task), direct(sk.jaccard_score, zero_division=0.0)
    for over in LABELS:
        yield sm.MeanIoU(task, over=over), scored(sk.jaccard_score, 0.0, "macro", over)
    ratios = direct(sk.class_likelihood_ratios, labels=[0, 1])
    yield sm.LikelihoodRatios(task), lambda data: dict(zip(("positive", "negative"), ratios(data), strict=True))
    yield sm.Accuracy(task), lambda data: sk.accuracy_score(data.true, data.predicted, sample_weight=data.weights)
    yield sm.StatScores(task), of_matrices(lambda each: events(each[1]))
    for normalize, theirs in {None: None, "true": "true", "predicted": "pred", "all": "all"}.items():
        yield sm.ConfusionMatrix(task, normalize), confusion(theirs)
    yield from threshold_readings(task)


THRESHOLDS = (0.5, 0.25, 1.0, 0.0, 0.8, 0.25)  # in no order, one of them twice; scores lie at some of them


def threshold_readings(task, thorough=True):
    """The events at thresholds, of probabilities."""
    yield sm.StatScoresAt(task, THRESHOLDS), at_thresholds
    if thorough and not isinstance(task, sm.Binary):
        yield sm.StatScoresAt(task, THRESHOLDS, class_id=1), lambda data: pick(at_thresholds(data), 1)
        yield sm.StatScoresAt(task, THRESHOLDS, average="micro"), lambda data: events(stacked(data).sum(0))


def at_thresholds(data):
    return events(stacked(data))


def stacked(data, thresholds=THRESHOLDS):
    """Matrices by class (but of `Binary`) and threshold; of classes against the rest where targets are ids."""
    ids = data.true.ndim == 1 and data.scores.ndim == 2
    true = data.true[:, None] == np.arange(data.classes) if ids else data.true
    weights = np.ones(len(true)) if data.weights is None else data.weights
    return np.stack(
        [
            [[weights @ ((true == row) & (above == column)) for column in (0, 1)] for row in (0, 1)]
            for above in (data.scores > np.float32(threshold) for threshold in thresholds)
        ]
    ).transpose((3, 0, 1, 2) if data.scores.ndim == 2 else (0, 1, 2))


def pick(values, index):
    return {name: value[index] for name, value in values.items()}


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


@functools.cache
def table(task, thorough):
    """The readings of a task with their references, and the collection of them all: one program for each task."""
    pairs = list(binary_readings(task) if isinstance(task, sm.Binary) else readings(task, thorough))
    return pairs, sm.Collection({repr(metric): metric for metric, _ in pairs})


def compare(task, thorough, predictions, predicted, true, weights):
    """Every reading of a batch against its reference."""
    compare_pairs(*table(task, thorough), task, predictions, predicted, true, weights)


def compare_pairs(pairs, metrics, task, predictions, predicted, true, weights):
    given = np.ones(len(true), np.float32) if weights is None else weights
    batch = {"predictions": predictions, "targets": true, "weights": given}
    values = metrics(**{name: padded(array) for name, array in batch.items()})
    keep = given > 0  # scikit-learn reads classes even off rows of weight 0
    classes = 2 if isinstance(task, sm.Binary) else task.classes
    weights = None if weights is None else weights[keep].astype(float)
    data = Data(predictions[keep], true[keep], predicted[keep], weights, classes)
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
