"""How labels are ranked equals scikit-learn's, with ties, and an ignored label is as if it were not there."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm

ROWS, LABELS, GONE = 48, 6, -1
NAN, INF = math.nan, math.inf
REFERENCES = {
    "precision": sk.label_ranking_average_precision_score,
    "loss": sk.label_ranking_loss,
    "coverage": sk.coverage_error,
}


def rankings(labels: int = LABELS, inputs: str = "scores") -> sm.Collection:
    """All three, which share their counts; and hence one program."""
    task = sm.Multilabel(labels, inputs, ignore=GONE)
    return sm.Collection(
        precision=sm.LabelRankingAveragePrecision(task),
        loss=sm.LabelRankingLoss(task),
        coverage=sm.CoverageError(task),
    )


def finite(scores: np.ndarray) -> np.ndarray:
    """Scores in the same order, without infinities, which scikit-learn refuses."""
    return np.nan_to_num(scores.astype(float), posinf=1e300, neginf=-1e300)


def reference(scores: np.ndarray, true: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """What scikit-learn says of rows whose labels all count."""
    scores = finite(scores)
    if scores.shape[1] == 1:  # which it does not take; by its definition
        right, weights = true[:, 0], np.ones(len(true)) if weights is None else weights
        return {"precision": 1.0, "loss": 0.0, "coverage": float(np.average(right, weights=weights))}
    return {name: float(score(true, scores, sample_weight=weights)) for name, score in REFERENCES.items()}


def by_rows(scores: np.ndarray, true: np.ndarray, present: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The mean of what scikit-learn says of each row by itself, its absent labels deleted."""
    each, of = [], []
    for score, row, keep, weight in zip(scores, true, present, weights, strict=True):
        if weight and keep.any():
            each.append(reference(score[None, keep], row[None, keep]))
            of.append(weight)
    return {name: float(np.average([row[name] for row in each], weights=of)) for name in REFERENCES}


def told(values: dict[str, Any], due: dict[str, float], what: object = "") -> None:
    assert list(values) == list(due)
    for name in due:
        np.testing.assert_allclose(np.asarray(values[name]), due[name], rtol=1e-6, atol=1e-6, err_msg=f"{name} {what}")


def seen(state: sm.State) -> tuple[int, dict[str, int]]:
    """How many examples there are, and how many invalid ones by reason."""
    invalid = sm.plain(state.invalid)["LabelRankings"]
    return sm.plain(state.examples)["LabelRankings"], {reason: n for reason, n in invalid.items() if n}


def tables(labels: int = LABELS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores and targets: at random, with many ties, all or no labels true, infinities and zeros of both signs."""
    rng = np.random.default_rng(labels)
    scores = rng.normal(size=(ROWS, labels)).astype(np.float32)
    few = rng.integers(-1, 2, (ROWS, labels)).astype(np.float32)
    true = (rng.random((ROWS, labels)) < rng.random((ROWS, 1))).astype(np.int32)
    signs = np.where(rng.random((ROWS, labels)) < 0.5, np.float32(-0.0), np.float32(0.0))
    ends = rng.choice(np.array([-INF, INF, 0.0, 1.0], np.float32), (ROWS, labels))
    return {
        "random": (scores, true),
        "ties": (few, true),
        "all tied": (0 * scores, true),
        "all true": (few, true | 1),
        "none true": (few, true & 0),
        "one true": (few, np.eye(labels, dtype=np.int32)[rng.integers(0, labels, ROWS)]),
        "all but one true": (few, 1 - np.eye(labels, dtype=np.int32)[rng.integers(0, labels, ROWS)]),
        "zeros of both signs": (signs, true),
        "zeros among others": (np.where(few == 0, signs, few), true),
        "infinities": (ends, true),
        "the best order": (true * 2 + scores / 100, true),
        "the worst order": (scores / 100 - true * 2, true),
    }


def weightings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    one = np.zeros(ROWS)
    one[17] = 1
    whole = {"1": one**0, "whole": rng.integers(0, 4, ROWS), "fractional": rng.random(ROWS), "one example": one}
    return {name: weights.astype(np.float32) for name, weights in whole.items()}


@pytest.mark.parametrize("labels", [1, 2, LABELS, 50])
def test_rankings_equal_scikit_learns(labels: int) -> None:
    metrics = rankings(labels)
    for name, (scores, true) in tables(labels).items():
        for weighting, weights in weightings().items() if labels == LABELS else [("1", np.ones(ROWS, np.float32))]:
            hidden = np.where(weights[:, None] > 0, scores, NAN)  # what has no weight is not there
            values = metrics(predictions=hidden, targets=true, weights=weights)
            keep = weights > 0
            told(values, reference(scores[keep], true[keep], weights[keep]), (name, weighting))


def test_an_ignored_label_is_as_if_it_were_deleted() -> None:
    metrics, rng = rankings(), np.random.default_rng(1)
    for name, (scores, true) in tables().items():
        present = rng.random((ROWS, LABELS)) < rng.choice([0.2, 0.6, 0.9], (ROWS, 1))
        trash = rng.choice(np.array([NAN, INF, -INF, 0], np.float32), scores.shape)  # whatever it says
        batch = {"predictions": np.where(present, scores, trash), "targets": np.where(present, true, GONE)}
        weights = weightings()["fractional"]
        told(metrics(**batch, weights=weights), by_rows(scores, true, present, weights), name)


def test_an_example_of_ignored_labels_alone_is_absent() -> None:
    state = rankings(3).tally(
        predictions=np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3]], np.float32), targets=[[0, 1, 0], [GONE] * 3]
    )
    assert seen(state) == (1, {})
    told(rankings(3).compute(state), {"precision": 0.5, "loss": 0.5, "coverage": 2.0})


def test_a_row_is_invalid_where_any_label_that_counts_is() -> None:
    good = [0.9, 0.5, 0.1]
    rows = [good, [NAN, 0, 0], [0, 0, -NAN], [NAN, 0, 0], good, [NAN, NAN, NAN], [INF, -INF, 0]]
    targets = [[0, 1, 0], [0, 1, 0], [1, 1, 1], [GONE, 1, 0], [0, 1, 2], [GONE] * 3, [0, 1, 0]]
    state = rankings(3).tally(predictions=np.array(rows, np.float32), targets=targets)
    assert seen(state) == (3, {"NaN score": 2, "target that is no class": 1})
    # The fourth, of two tied labels: 1/2, 1, 2. The last: 1/3, 1, 3.
    due = {"precision": (1 / 2 + 1 / 2 + 1 / 3) / 3, "loss": (1 / 2 + 1 + 1) / 3, "coverage": 7 / 3}
    told(rankings(3).compute(state, "ignore"), due)
    assert all(math.isnan(value) for value in rankings(3).compute(state, "nan").values())


def test_probabilities_outside_their_range_have_no_rank() -> None:
    state = rankings(3, "probabilities").tally(
        predictions=np.array([[1.2, 0.5, 0.1], [0.9, 0.5, 0.1], [1 + 1e-6, 1, 0]], np.float32), targets=[[0, 1, 0]] * 3
    )
    assert seen(state) == (2, {"probability outside [0, 1]": 1})
    # Within rounding all that is above 1 is 1: the third row is a tie of two.
    told(rankings(3, "probabilities").compute(state, "ignore"), {"precision": 0.5, "loss": 0.5, "coverage": 2.0})


def test_no_examples_have_no_ranking() -> None:
    metrics = rankings()
    scores, true = tables()["random"]
    nothing = metrics.tally(predictions=scores, targets=true, weights=np.zeros(ROWS, np.float32))
    for state in (metrics.init(), nothing):
        assert all(math.isnan(value) for value in metrics.compute(state).values())


def test_batches_of_any_leading_axes_and_dtype_merge() -> None:
    metrics, (scores, true) = rankings(), tables()["ties"]
    due = reference(scores, true)
    halves = jnp.asarray(scores).astype(jnp.bfloat16).reshape(2, 3, 8, LABELS)  # −1, 0 and 1, of which none is lost
    targets = true.reshape(halves.shape).astype(bool)
    state = metrics.init()
    for half, target in zip(halves, targets, strict=True):
        state = metrics.update(state, predictions=half, targets=target)
    assert len(state.data) == 1  # three metrics, counted once
    assert seen(state) == (ROWS, {})
    told(metrics.compute(state), due)
