"""Values that are read off scores, at ranks and at thresholds, equal scikit-learn's, jax.lax.top_k's and numpy's."""

import math

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm
from tests.references import ROWS, Data, close, compare_pairs, events, stacked, weightings

# --- Ranks ---


def top_k(k):
    """From data what scikit-learn gives of scores without ties."""
    return lambda data: sk.top_k_accuracy_score(
        data.true, data.scores, k=k, labels=range(data.classes), sample_weight=data.weights
    )


def of_each_class(k):
    """The same of the rows of each class, 0 where there are none."""

    def reference(data):
        values = np.zeros(data.classes)
        for label in np.unique(data.true):
            rows = data.true == label
            weights = None if data.weights is None else data.weights[rows]
            values[label] = top_k(k)(data._replace(true=data.true[rows], scores=data.scores[rows], weights=weights))
        return values

    return reference


def mean_of_classes(k, over):
    return lambda data: of_each_class(k)(data).sum() / (data.classes if over == "all" else len(np.unique(data.true)))


@pytest.mark.parametrize("weighting", ["unweighted", "whole", "fractional"])
def test_top_k_accuracy_equals_scikit_learns(weighting):
    task = sm.Multiclass(10, "logits", weighted=weighting == "fractional")
    pairs = [(sm.TopKAccuracy(task, k=k), top_k(k)) for k in (1, 3, 9)]
    pairs += [
        (sm.TopKAccuracy(task, k=10), lambda data: 1.0),
        (sm.Accuracy(task), top_k(1)),
        (sm.TopKAccuracy(task, k=3, average=None), of_each_class(3)),
        (sm.TopKAccuracy(task, k=3, class_id=1), lambda data: of_each_class(3)(data)[1]),
        (sm.TopKAccuracy(task, k=3, average="weighted"), top_k(3)),
        (sm.TopKAccuracy(task, k=3, average="macro"), mean_of_classes(3, "present")),
        (sm.TopKAccuracy(task, k=3, average="macro", over="all"), mean_of_classes(3, "all")),
    ]
    metrics, rng = sm.Collection({repr(metric): metric for metric, _ in pairs}), np.random.default_rng(0)
    scores, true = rng.normal(size=(ROWS, 10)).astype(np.float32), rng.integers(0, 10, ROWS)
    for rows, targets in ((ROWS, true), (ROWS, true % 4), (ROWS, 0 * true + 1), (1, true[:1])):
        weights = weightings(rows)[weighting]
        compare_pairs(pairs, metrics, task, scores[:rows], scores[:rows].argmax(1), targets, weights)


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (1000, 5)])
def test_of_tied_scores_the_lowest_index_comes_first_as_in_jax(classes, k):
    rng = np.random.default_rng(classes)
    scores = rng.integers(-1, 2, (ROWS, classes)).astype(np.float32)
    scores[::7] = -np.inf  # infinities are tied too
    true = np.where(rng.random(ROWS) < 0.5, rng.integers(0, min(3 * k, classes), ROWS), classes - 1)
    true[::5] = -1
    metric = sm.TopKAccuracy(sm.Multiclass(classes, "scores", ignore=-1), k=k)
    keep = true >= 0
    best = np.asarray(jax.lax.top_k(scores, k)[1])
    hits = (best == true[:, None]).any(1)[keep]
    assert 0 < hits.sum() < keep.sum()
    state = metric.tally(scores, true)
    assert int(state.examples) == keep.sum()
    close(metric.compute(state), hits.mean())


# --- Thresholds ---


@pytest.mark.parametrize("inputs", ["logits", "probabilities", "scores"])
def test_the_events_at_thresholds_are_those_of_a_task_with_that_threshold(inputs):
    rng = np.random.default_rng(0)
    scores = (rng.integers(-8, 9, ROWS) / 8).astype(np.float32)  # many exactly at a threshold
    scores[:4] = [-np.inf, np.inf, -0.0, 0.0]
    thresholds = (0.5, 0.25, 1.0, 0.0, 0.875)
    if inputs == "probabilities":
        scores = np.clip(scores, 0, 1)
    cuts = thresholds
    if inputs == "logits":  # the last at which there are scores is the logit of .875
        cuts = [0.0, math.log(0.25 / 0.75), math.inf, -math.inf, math.log(7)]
        scores[4:9] = np.float32(math.log(7)), np.float32(math.log(0.25 / 0.75)), 2, -2, math.log(7)
    tables = scores.reshape(-1, 2)
    true = rng.integers(0, 2, ROWS)
    weights = rng.integers(0, 4, ROWS).astype(np.float32)
    binary = [sm.Binary(inputs, threshold, weights="mass") for threshold in thresholds[:2]]
    labels = [sm.Multilabel(2, inputs, 0.25, predictions="tables", targets="trues", weights="masses")]
    at = {name: sm.StatScoresAt(tasks[0], thresholds) for name, tasks in (("one", binary), ("each", labels))}
    single = {f"{task!r}": sm.StatScores(task) for task in binary + labels}
    values = sm.Collection({**at, **single})(
        predictions=scores,
        targets=true,
        mass=weights,
        tables=tables,
        trues=true.reshape(-1, 2),
        masses=weights.reshape(-1, 2),  # one for each element
    )
    for i, cut in enumerate(cuts):
        above = scores > np.float32(cut)
        due = np.array([[weights @ ((true == row) & (above == column)) for column in (0, 1)] for row in (0, 1)])
        due = {name: int(value) for name, value in events(due).items()}
        if i < len(binary):
            assert sm.plain(values[repr(binary[i])]) == due, cut
        for name, value in values["one"].items():
            assert int(value[i]) == np.asarray(values["each"][name])[:, i].sum() == due[name], (name, cut)
    for name, value in values[repr(labels[0])].items():
        np.testing.assert_array_equal(np.asarray(values["each"][name])[:, 1], np.asarray(value), err_msg=name)


@pytest.mark.parametrize("weighted", [False, True], ids=["whole", "fractional"])
def test_the_events_of_classes_at_thresholds_equal_numpys(weighted):
    rng, thresholds = np.random.default_rng(0), (0.25, 0.75, 0.5, 0.0)
    table = rng.integers(0, 5, (ROWS, 3)).astype(np.float32) / 4
    true, weights = rng.integers(0, 3, ROWS), weightings(ROWS)["fractional" if weighted else "whole"]
    true[::5] = 7
    task = sm.Multiclass(3, "probabilities", ignore=7, weighted=weighted)
    metrics = sm.Collection(
        each=sm.StatScoresAt(task, thresholds),
        together=sm.StatScoresAt(task, thresholds, average="micro"),
    )
    values = metrics(predictions=table, targets=true, weights=weights)
    keep = true != 7
    data = Data(table[keep], true[keep], None, weights[keep].astype(float), 3)
    cells = stacked(data, thresholds)
    due = {"each": events(cells), "together": events(cells.sum(0))}
    for name, reading in due.items():
        assert list(values[name]) == list(reading)
        for key in reading:
            assert isinstance(values[name][key], sm.UInt64) != weighted
            close(values[name][key], reading[key], (name, key))


def test_counts_at_thresholds_go_on_past_float32():
    metric = sm.StatScoresAt(sm.Binary("scores"), (2.0, 1.0))
    state = metric.tally([1.5, 2.5], [1, 0], weights=[65_535, 1])
    for _ in range(40):
        state = sm.merge(state, state)
    n = 2**40
    assert sm.plain(metric.compute(state)) == {
        "tp": [0, 65_535 * n],
        "fp": [n, n],
        "tn": [0, 0],
        "fn": [65_535 * n, 0],
        "support": [65_535 * n] * 2,
    }
