"""Losses of probabilities, logits and margins equal scikit-learn's, keep small digits, and tell what has no loss."""

import math
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import expit, log_softmax, softmax

import streammetrics as sm

ROWS = 64
NAN, INF = math.nan, math.inf
TRASH = (NAN, INF, -INF, 1e30)


def close(found: Any, due: Any, told: object = "") -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(due), rtol=1e-6, atol=1e-6, err_msg=str(told))


def all_close(found: dict[str, Any], due: dict[str, Any], told: object = "") -> None:
    assert list(found) == list(due)
    for name in due:
        close(found[name], due[name], (name, told))


def weightings(rows: int = ROWS) -> dict[str, np.ndarray]:
    """Weights of rows; where they are 0, nothing is there."""
    rng = np.random.default_rng(rows)
    whole, fractional = rng.integers(0, 5, rows), rng.random(rows) + 0.01
    whole[0], fractional[1::4] = 3, 0
    return {name: w.astype(np.float32) for name, w in (("1", whole**0), ("whole", whole), ("fractional", fractional))}


def spoilt(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The batch with trash in the rows of weight 0, which must not be seen."""
    predictions, targets = predictions.copy(), targets.copy()
    for i, row in enumerate(np.flatnonzero(weights == 0)):
        predictions[row], targets[row] = TRASH[i % len(TRASH)], 99
    return predictions, targets


def given(values: np.ndarray, dtype: Any) -> tuple[Any, np.ndarray]:
    """Predictions in a dtype, and exactly these in float64."""
    array = jnp.asarray(values.astype(np.float32)).astype(dtype)
    return array, np.asarray(array.astype(jnp.float32)).astype(np.float64)


def clipped(probabilities: np.ndarray, dtype: Any) -> np.ndarray:
    """As scikit-learn clips what it takes a logarithm of, by the epsilon of the dtype."""
    eps = float(jnp.finfo(dtype).eps)
    return np.clip(probabilities, eps, 1 - eps)


# --- References ---


def one_hot(true: np.ndarray, classes: int) -> np.ndarray:
    return (true[:, None] == np.arange(classes)).astype(float)


def crammer_singer(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> float:
    mine = np.take_along_axis(scores, true[:, None], 1)[:, 0]
    others = np.where(one_hot(true, scores.shape[1]) == 1, -INF, scores).max(1)
    return float(np.average(np.maximum(0, 1 - mine + others), weights=weights))


def against_all(scores: np.ndarray, hot: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of each column the hinge loss as of a binary task."""
    return np.average(np.maximum(0, 1 - (2 * hot - 1) * scores), axis=0, weights=weights)


def of_classes(shares: np.ndarray, logs: np.ndarray, true: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Log loss, perplexity and Brier score by their definitions."""
    loss = -np.average(logs[np.arange(len(true)), true], weights=weights)
    brier = np.average(((shares - one_hot(true, shares.shape[1])) ** 2).sum(1), weights=weights)
    return {"loss": loss, "perplexity": math.exp(loss), "brier": brier}


# --- Multiclass ---


def multiclass(classes: int, inputs: str) -> sm.Collection:
    """Every loss of a multiclass task; of many classes not of each, whose hinge loss is no other computation there."""
    task = sm.Multiclass(classes, inputs, ignore=-100)
    metrics = {"loss": sm.LogLoss(task), "perplexity": sm.Perplexity(task), "brier": sm.Brier(task)}
    if inputs == "logits":
        metrics |= {
            "hinge": sm.HingeLoss(task),
            "each": sm.HingeLoss(task, "one-against-all", average=None),
            "mean of each": sm.HingeLoss(task, "one-against-all"),
        }
    return sm.Collection({name: metric for name, metric in metrics.items() if classes <= 3 or "each" not in name})


def margins(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    each = against_all(scores, one_hot(true, scores.shape[1]), weights)
    margin = {"hinge": crammer_singer(scores, true, weights)}
    return margin | ({"each": each, "mean of each": each.mean()} if scores.shape[1] <= 3 else {})


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
@pytest.mark.parametrize("classes", [2, 3])
def test_losses_of_classes_equal_scikit_learns(classes: int, inputs: str) -> None:
    rng, metrics = np.random.default_rng(classes), multiclass(classes, inputs)
    whole: Any = False  # the sum over classes, even of two
    logits = rng.normal(size=(ROWS, classes)).astype(np.float32) * 3
    predictions = logits if inputs == "logits" else softmax(logits, -1)
    wide, labels = predictions.astype(float), range(classes)
    shares = softmax(wide, -1) if inputs == "logits" else wide
    true = rng.integers(0, classes, ROWS)
    for name, weights in weightings().items():
        for targets in (true, np.full(ROWS, classes - 1)):  # of every class, and of one alone
            scores, ids = spoilt(predictions, targets, weights)
            found = metrics(predictions=scores, targets=ids, weights=weights)
            loss = sk.log_loss(targets, shares / shares.sum(1, keepdims=True), sample_weight=weights, labels=labels)
            with warnings.catch_warnings():  # of sums that are 1 in float32 only
                warnings.simplefilter("ignore", UserWarning)
                brier = sk.brier_score_loss(targets, shares, sample_weight=weights, labels=labels, scale_by_half=whole)
            due: dict[str, Any] = {"loss": loss, "perplexity": math.exp(loss), "brier": brier}
            if inputs == "logits":
                due |= margins(wide, targets, weights)
                if classes > 2:
                    close(due["hinge"], sk.hinge_loss(targets, wide, labels=labels, sample_weight=weights))
            all_close(found, due, (name, targets[:3]))


@pytest.mark.parametrize(
    ("classes", "inputs", "dtype"),
    [
        (3, "probabilities", "float16"),
        (1000, "probabilities", "bfloat16"),
        (1000, "logits", "float16"),
        (50_000, "logits", "float32"),
    ],
)
def test_losses_of_any_dtype_and_number_of_classes_are_those_of_exactly_these_values(
    classes: int, inputs: str, dtype: str
) -> None:
    rng, rows = np.random.default_rng(classes), 16
    logits = rng.normal(size=(rows, classes)) * 3
    predictions, wide = given(logits if inputs == "logits" else softmax(logits, -1), dtype)
    true, weights = rng.integers(0, classes, rows), weightings(rows)["fractional"]
    if inputs == "logits":
        due = of_classes(softmax(wide, -1), log_softmax(wide, -1), true, weights) | margins(wide, true, weights)
    else:
        due = of_classes(wide, np.log(clipped(wide, dtype)), true, weights)
    all_close(multiclass(classes, inputs)(predictions=predictions, targets=true, weights=weights), due)


def test_targets_may_be_one_hot_and_ignored() -> None:
    rng, task = np.random.default_rng(0), sm.Multiclass(3, "logits")
    scores, true = rng.normal(size=(ROWS, 3)).astype(np.float32), rng.integers(0, 3, ROWS)
    wide, gone = scores.astype(float), rng.random(ROWS) < 0.4
    shares, logs = softmax(wide, -1), log_softmax(wide, -1)
    found = multiclass(3, "logits")(
        predictions=np.where(gone[:, None], NAN, scores),
        targets=np.where(gone, -100, true),
        weights=np.ones(ROWS, np.float32),
    )
    all_close(found, of_classes(shares, logs, true, ~gone) | margins(wide, true, ~gone))
    ones, metrics = np.ones(ROWS), sm.Collection(brier=sm.Brier(task), hinge=sm.HingeLoss(task))
    due = {"brier": of_classes(shares, logs, true, ones)["brier"], "hinge": crammer_singer(wide, true, ones)}
    all_close(metrics(predictions=scores, targets=one_hot(true, 3).astype(np.int32)), due)


# --- Perplexity ---


def test_perplexity_is_that_of_the_tokens_that_count() -> None:
    rng, batch, length, words = np.random.default_rng(0), 4, 16, 50
    task = sm.Multiclass(words, "logits", ignore=-100)
    metrics = sm.Collection(perplexity=sm.Perplexity(task), loss=sm.LogLoss(task))
    logits = (rng.normal(size=(batch, length, words)) * 2).astype(np.float32)
    true = rng.integers(0, words, (batch, length))
    losses = -np.take_along_axis(log_softmax(logits.astype(float), -1), true[..., None], -1)[..., 0]
    real = np.arange(length) < np.array([16, 3, 1, 0])[:, None]  # sentences of different lengths, one of no words
    gone = rng.random((batch, length)) < 0.2
    share = rng.random((batch, length)).astype(np.float32)
    for weights in (real.astype(np.float32), real * share):
        for ignored in (gone, ~gone & False):
            predictions = np.where((real & ~ignored)[..., None], logits, NAN)
            targets = np.where(ignored, -100, np.where(real, true, words + 5))
            state = metrics.tally(predictions=predictions, targets=targets, weights=weights)
            loss = np.average(losses, weights=weights * ~ignored)
            all_close(metrics.compute(state), {"perplexity": math.exp(loss), "loss": loss})
            assert len(state.data) == 1  # counted once
    assert sm.Perplexity(task).statistic == sm.LogLoss(task).statistic
    by_sentence = metrics(predictions=logits, targets=true, weights=np.array([2, 0, 1, 0], np.float32))
    close(by_sentence["loss"], (2 * losses[0].mean() + losses[2].mean()) / 3)


def test_the_perplexity_of_a_uniform_guess_is_the_number_of_words_and_of_none_nan() -> None:
    metric = sm.Perplexity(sm.Multiclass(50, "probabilities"))
    predictions, targets = np.full((2, 3, 50), 0.02, np.float32), np.arange(6).reshape(2, 3)
    close(metric(predictions, targets, weights=np.ones((2, 3), np.float32)), 50.0)
    assert math.isnan(metric(predictions, targets, weights=np.zeros((2, 3), np.float32)))


# --- Binary and Multilabel ---


def binary(inputs: str) -> sm.Collection:
    """Every loss of a binary task."""
    task = sm.Binary(inputs)
    metrics = {"loss": sm.LogLoss(task), "perplexity": sm.Perplexity(task), "brier": sm.Brier(task)}
    return sm.Collection(metrics | ({"hinge": sm.HingeLoss(task)} if inputs == "logits" else {}))


@pytest.mark.parametrize(("inputs", "dtype"), [("logits", "bfloat16"), ("probabilities", "float32")])
def test_losses_of_yes_and_no_equal_scikit_learns(inputs: str, dtype: str) -> None:
    rng, metrics = np.random.default_rng(7), binary(inputs)
    logits = rng.normal(size=ROWS) * 3
    predictions, wide = given(logits if inputs == "logits" else expit(logits), dtype)
    sure = expit(wide) if inputs == "logits" else wide
    true = rng.integers(0, 2, ROWS)
    for weights in weightings().values():
        for targets in (true, 0 * true, 0 * true + 1):
            _, ids = spoilt(wide, targets, weights)
            ids = ids.astype(np.float32) if inputs == "probabilities" else ids  # of any dtype
            found = metrics(predictions=predictions[:, None], targets=ids, weights=weights)
            eps = clipped(sure, dtype) if inputs == "probabilities" else sure
            loss = sk.log_loss(targets, eps, sample_weight=weights, labels=[0, 1])
            due = {"loss": loss, "perplexity": math.exp(loss)}
            due["brier"] = sk.brier_score_loss(targets, sure, sample_weight=weights, labels=[0, 1], pos_label=1)
            if inputs == "logits":
                due["hinge"] = against_all(wide[:, None], targets[:, None], weights)[0]
                if targets is true:  # of one class alone scikit-learn does not know which
                    close(due["hinge"], sk.hinge_loss(true, wide, sample_weight=weights))
            all_close(found, due)


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_losses_of_labels_are_those_of_their_elements(inputs: str) -> None:
    rng, labels, gone = np.random.default_rng(8), 3, 7
    task = sm.Multilabel(labels, inputs, ignore=gone)
    metrics = {"loss": sm.LogLoss(task), "brier": sm.Brier(task)}
    if inputs == "logits":
        metrics |= {"hinge": sm.HingeLoss(task, average=None), "mean hinge": sm.HingeLoss(task)}
    metrics = sm.Collection(metrics)
    logits = (rng.normal(size=(ROWS, labels)) * 2).astype(np.float32)
    predictions = logits if inputs == "logits" else expit(logits)
    wide, true = predictions.astype(float), rng.integers(0, 2, (ROWS, labels))
    sure = (expit(wide) if inputs == "logits" else wide).ravel()
    ignored = rng.random((ROWS, labels)) < 0.2
    elements = (rng.random((ROWS, labels)) * (rng.random((ROWS, labels)) < 0.7)).astype(np.float32)
    rows = np.broadcast_to(weightings()["fractional"][:, None], elements.shape)
    for weights in (np.ones_like(elements), elements, rows):
        present = weights * ~ignored
        scores = np.where(present > 0, predictions, NAN)  # no element of weight 0 may be seen
        found = metrics(predictions=scores, targets=np.where(ignored, gone, true), weights=weights)
        due: dict[str, Any] = {
            "loss": sk.log_loss(true.ravel(), sure, sample_weight=present.ravel()),
            "brier": sk.brier_score_loss(true.ravel(), sure, sample_weight=present.ravel()),
        }
        if inputs == "logits":
            columns = [against_all(wide[:, [k]], true[:, [k]], present[:, k])[0] for k in range(labels)]
            due |= {"hinge": columns, "mean hinge": np.mean(columns)}
        all_close(found, due)


def test_a_label_without_elements_has_no_hinge_loss_and_leaves_the_mean() -> None:
    task = sm.Multilabel(2, "scores", ignore=-1)
    metrics = sm.Collection(each=sm.HingeLoss(task, average=None), mean=sm.HingeLoss(task))
    state = metrics.tally(predictions=np.array([[0.25, 5.0], [0.5, 5.0]], np.float32), targets=[[1, -1], [0, -1]])
    values = metrics.compute(state)
    close(values["each"], [(0.75 + 1.5) / 2, NAN])
    close(values["mean"], 1.125)
    assert np.isnan([np.asarray(value).min() for value in metrics.compute(metrics.init()).values()]).all()


# --- Small losses, and great ones ---


def test_the_brier_score_of_a_confident_model_keeps_its_digits() -> None:
    """1 − p would have none of them left: of a logit of 20 it is 0 in float32."""
    for logit in (10.0, 13.8155, 20.0, 40.0):  # the second: p = 1 − 1e-6
        rest = expit(-float(np.float32(logit)))
        found = binary("logits")(predictions=np.array([logit, -logit], np.float32), targets=[1, 0])
        np.testing.assert_allclose(np.asarray(found["brier"]), rest**2, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(found["loss"]), -math.log1p(-rest), rtol=1e-6)
        scores = np.array([[logit, 0, -1], [0, logit, -1]], np.float32)
        shares = softmax(scores.astype(float), -1)[0]
        due = shares[1] ** 2 + shares[2] ** 2 + (shares[1] + shares[2]) ** 2
        found = multiclass(3, "logits")(predictions=scores, targets=[0, 1])
        np.testing.assert_allclose(np.asarray(found["brier"]), due, rtol=1e-6)


def test_a_small_brier_score_of_probabilities_is_exact() -> None:
    probability = np.float32(1 - 1e-6)
    rest = 1 - float(probability)
    found = sm.Brier(sm.Binary("probabilities"))(np.array([probability, probability]), [1, 1])
    np.testing.assert_allclose(np.asarray(found), rest**2, rtol=1e-6)
    rows = np.array([[probability, rest / 2, rest / 2]] * 2, np.float32)
    found = sm.Brier(sm.Multiclass(3, "probabilities"))(rows, [0, 0])
    np.testing.assert_allclose(np.asarray(found), 1.5 * rest**2, rtol=1e-6)


def test_small_log_losses_keep_their_digits() -> None:
    classes, binary = sm.Multiclass(3, "logits"), sm.Binary("probabilities")
    for lead in (14.0, 20.0):
        due = math.log1p(2 * math.exp(-lead))
        np.testing.assert_allclose(float(sm.LogLoss(classes)([[lead, 0.0, 0.0]], [0])), due, rtol=1e-5)
        wide = np.zeros((1, 1000), np.float32)
        wide[0, 7] = lead
        found = float(sm.LogLoss(sm.Multiclass(1000, "logits"))(wide, [7]))
        np.testing.assert_allclose(found, math.log1p(999 * math.exp(-lead)), rtol=1e-5)
    p = float(np.float32(1e-6))
    np.testing.assert_allclose(float(sm.LogLoss(binary)([p], [0])), -math.log1p(-p), rtol=1e-6)
    np.testing.assert_allclose(float(sm.Brier(binary)([p], [0])), p * p, rtol=1e-6)


def test_yes_and_no_have_one_margin_whatever_is_said_of_classes() -> None:
    task = sm.Binary("logits")
    assert sm.HingeLoss(task, "one-against-all") == sm.HingeLoss(task)


def test_great_logits_have_great_losses_and_no_faults() -> None:
    found = binary("logits")(predictions=np.array([1e4, -1e4], np.float32), targets=[0, 0])
    assert sm.plain(found) == {"loss": 5e3, "perplexity": INF, "brier": 0.5, "hinge": (1 + 1e4) / 2}
    found = multiclass(3, "logits")(predictions=np.array([[1e4, -1e4, 0], [0, 0, 200]], np.float32), targets=[1, 2])
    assert sm.plain(found) == {
        "loss": 1e4,
        "perplexity": INF,
        "brier": 1.0,
        "hinge": (1 + 2e4) / 2,
        # Of the class 0: 1 + 1e4 and 1; of 1, which is true of the first: 1 + 1e4 and 1; of 2: 1 and 0.
        "each": [(2 + 1e4) / 2, (2 + 1e4) / 2, 0.5],
        "mean of each": pytest.approx((2 * (2 + 1e4) / 2 + 0.5) / 3),
    }


# --- What has no loss ---


NO_SCORE, NO_SUM, NO_LOSS = "NaN score", "probabilities that do not sum to 1", "infinite loss"
OUTSIDE, NO_CLASS = "probability outside [0, 1]", "target that is no class"
LOGITS = ("LogLosses", "BrierLosses", "HingeLosses_1", "HingeLosses_2")
"""Of which the last are of all classes together, and of each against the rest."""
SHARES = ("LogLosses", "BrierLosses")

# A row, its target, and why each statistic cannot count it (None: it can).
ROWS_OF_LOGITS: list[tuple[list[float], int, tuple[str | None, ...]]] = [
    ([0, NAN, 1], 0, (NO_SCORE,) * 4),
    ([NAN, INF, 1], 1, (NO_SCORE,) * 4),
    ([0, 0, 0], 3, (NO_CLASS,) * 4),
    ([0, 0, 0], -1, (NO_CLASS,) * 4),
    # Infinity above all else is certain, but no softmax says so; the margin does.
    ([INF, 0, 0], 0, (NO_LOSS, NO_LOSS, None, None)),
    ([INF, 0, 0], 1, (NO_LOSS,) * 4),
    ([INF, INF, 0], 0, (NO_LOSS,) * 4),
    ([-INF, -INF, -INF], 0, (NO_LOSS,) * 4),
    # A class of no chance is no fault, as of a mask; if it is the true one, it has a Brier score, but no log loss.
    ([-INF, 0, 0], 1, (None, None, None, None)),
    ([-INF, 0, 0], 0, (NO_LOSS, None, NO_LOSS, NO_LOSS)),
    ([-INF, -INF, 5], 2, (None, None, None, None)),
    ([3e38, -3e38, 0], 0, (None, None, None, None)),
    ([3e38, -3e38, 0], 1, (NO_LOSS, None, NO_LOSS, None)),  # a difference beyond float32
]
ROWS_OF_SHARES: list[tuple[list[float], int, tuple[str | None, ...]]] = [
    ([0.5, NAN, 0.5], 0, (NO_SCORE,) * 2),
    ([0.5, 0.5, 0.0], 7, (NO_CLASS,) * 2),
    ([1.1, 0, 0], 0, (OUTSIDE,) * 2),
    ([INF, 0, 0], 0, (OUTSIDE,) * 2),
    ([-0.1, 0.6, 0.5], 0, (OUTSIDE,) * 2),
    ([0.5, 0.5, 0.001], 0, (NO_SUM,) * 2),
    ([0.5, 0.499, 0], 0, (NO_SUM,) * 2),
    ([0, 0, 0], 0, (NO_SUM,) * 2),
    ([0.5, 0.5001, 0], 0, (None,) * 2),  # within √ε = 3.5e-4
    ([1 + 1e-6, 0, 0], 0, (None,) * 2),  # within 16 ε
    ([0, 1, 0], 0, (None,) * 2),  # wrong and certain: clipped, not infinite
]


@pytest.mark.parametrize(
    ("inputs", "names", "table"), [("logits", LOGITS, ROWS_OF_LOGITS), ("probabilities", SHARES, ROWS_OF_SHARES)]
)
def test_rows_without_a_loss_are_kept_out_and_told(inputs: str, names: tuple[str, ...], table: list[Any]) -> None:
    metrics = multiclass(3, inputs)
    rows, targets, reasons = (list(column) for column in zip(*table, strict=True))
    weights = (np.arange(ROWS) < len(rows)) * np.float32(0.5)
    predictions = np.zeros((ROWS, 3), np.float32)
    predictions[: len(rows)] = rows
    state = metrics.tally(predictions=predictions, targets=np.resize(targets, ROWS), weights=weights)
    for name, column in zip(names, zip(*reasons, strict=True), strict=True):
        due = {reason: column.count(reason) for reason in column if reason}  # rows, as weights may be fractions
        assert {reason: n for reason, n in sm.plain(state.invalid[name]).items() if n} == due, name
    assert all(np.isnan(np.asarray(value)).all() for value in metrics.compute(state, "nan").values())
    assert all(np.isfinite(np.asarray(value)).all() for value in metrics.compute(state, "ignore").values())


def test_probabilities_of_fewer_digits_may_miss_the_sum_by_more() -> None:
    """√ε: 0.031 of float16, 0.088 of bfloat16."""
    for dtype, right, wrong in (("float16", 0.02, 0.04), ("bfloat16", 0.0625, 0.125)):
        rows = jnp.array([[0.5, 0.5 + right], [0.5, 0.5 - right], [0.5, 0.5 + wrong], [0.5, 0.5 - wrong]], dtype)
        state = sm.Brier(sm.Multiclass(2, "probabilities")).tally(rows, np.zeros(4, int))
        assert {reason: n for reason, n in sm.plain(state.invalid).items() if n} == {NO_SUM: 2}


def test_infinite_logits_of_yes_and_no_are_certain() -> None:
    metrics = binary("logits")
    right = metrics(predictions=np.array([INF, -INF], np.float32), targets=[1, 0])
    assert sm.plain(right) == {"loss": 0.0, "perplexity": 1.0, "brier": 0.0, "hinge": 0.0}
    state = metrics.tally(predictions=np.array([INF, -INF], np.float32), targets=[0, 1])
    counts = {name: sum(reasons.values()) for name, reasons in sm.plain(state.invalid).items()}
    assert counts == {"LogLosses": 2, "BrierLosses": 0, "HingeLosses": 2}
    assert float(metrics.compute(state, "nan")["brier"]) == 1.0


def test_elements_of_labels_fail_alone() -> None:
    task = sm.Multilabel(2, "logits")
    metrics = sm.Collection(hinge=sm.HingeLoss(task, average=None), loss=sm.LogLoss(task))
    state = metrics.tally(
        predictions=np.array([[NAN, 0.5], [0.5, INF], [2.0, 0.0]], np.float32), targets=[[1, 1], [1, 0], [1, 5]]
    )
    counts = {name: {k: n for k, n in reasons.items() if n} for name, reasons in sm.plain(state.invalid).items()}
    due = {NO_SCORE: 1, NO_LOSS: 1, NO_CLASS: 1}
    assert counts == {"HingeLosses": due, "LogLosses": due}
    values = metrics.compute(state, "ignore")
    close(values["hinge"], [0.25, 0.5])
    close(values["loss"], np.mean([math.log1p(math.exp(-x)) for x in (0.5, 0.5, 2.0)]))
