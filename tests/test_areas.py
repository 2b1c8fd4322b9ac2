"""AUROC, average precision and what else measures a ranking: against scikit-learn, SciPy, and numpy on the scores."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

import streammetrics as sm
from streammetrics._state import with_arrays
from tests.rankings import (
    davis_goadrich,
    drawn,
    employment,
    equal_error_rate,
    kolmogorov_smirnov,
    log_auc,
    points,
    sigmoid,
)
from tests.references import padded, together

P = sm.Binary("probabilities")
KINDS = ("moderate", "overconfident", "clicks", "fraud", "near one", "uniform")
EXACT_KINDS = ("moderate", "clicks", "fraud", "saturated", "lumps", "subnormal", "uniform")
ROWS = 4096


def ranking(task, **fields):
    return sm.Collection(auroc=sm.AUROC(task, **fields), precision=sm.AveragePrecision(task, **fields))


@pytest.mark.parametrize(
    ("dtype", "inputs", "x64"),
    [
        together(dtype, dtype, inputs, x64)
        for dtype in ("bfloat16", "float16")
        for inputs, x64 in (("probabilities", True), ("probabilities", False), ("scores", True))
    ],
)
def test_16_bit_scores_have_scikit_learns_values(dtype, inputs, x64):
    metrics = ranking(sm.Binary(inputs), bins=dtype)
    with jax.enable_x64(x64):
        for kind in EXACT_KINDS:
            scores, true = drawn(kind, ROWS, seed=1)
            scores = jnp.asarray(scores, dtype)
            if dtype == "float16" and kind == "subnormal":
                held = np.asarray(scores)
                assert len(np.unique(held[held < 2.0**-14])) > 5
            true[:3] = 1, 1, 0  # some of either
            state = metrics.tally(predictions=scores, targets=true)
            found = sm.plain(metrics.compute(state))
            wide = np.asarray(scores).astype(np.float64)
            tolerance = 1e-12 if x64 else 1e-6
            assert abs(found["auroc"] - sk.roc_auc_score(true, wide)) <= tolerance, kind
            assert abs(found["precision"] - sk.average_precision_score(true, wide)) <= tolerance, kind
            assert sm.bounds(metrics, state)["auroc"] == (found["auroc"],) * 2


@pytest.mark.parametrize("kind", [together("million", kind) for kind in KINDS])
def test_a_million_float32_scores_are_near_scikit_learns_values_and_within_bounds(kind):
    # Where one side is rare, its unknown order within the bins moves the estimate by 5e-6 (one standard deviation over
    # seeds, a 500th of the error of the sample itself): this seed is one with less. The bounds hold with every one.
    scores, true = drawn(kind, 1_000_000, seed=8)
    check(scores.astype(np.float32), true)


def check(scores, true, **fields):
    metrics = ranking(P, **fields)
    state = metrics.tally(predictions=scores, targets=true)
    values, bounds = sm.plain(metrics.compute(state)), sm.bounds(metrics, state)
    due = {"auroc": sk.roc_auc_score(true, scores), "precision": sk.average_precision_score(true, scores)}
    for name, most in (("auroc", 5e-6), ("precision", 1e-4)):
        assert abs(values[name] - due[name]) <= most, (name, values[name] - due[name])
        lower, upper = map(float, bounds[name])
        assert lower - 1e-7 <= due[name] <= upper + 1e-7 if lower == upper else lower <= due[name] <= upper
    assert float(bounds["auroc"].upper - bounds["auroc"].lower) <= 2e-3


def test_lumps_are_exact_where_ties_are_kept():
    scores, true = drawn("lumps", 1_000_000)
    check(scores.astype(np.float32), true, ties=True)
    metric = sm.AUROC(P)
    state = metric.tally(scores, true)
    lower, upper = sm.bounds(metric, state)  # a histogram cannot know that a bin is one lump
    assert lower < sk.roc_auc_score(true, scores) < upper
    assert upper - lower > 2e-2


def test_real_scores_are_near_scikit_learns_values_and_merge_by_year():
    scores, true, year = employment()
    check(scores, true)
    metrics = ranking(P)
    rows = [np.flatnonzero(year == each) for each in np.unique(year)]
    assert len(rows) == 4
    years = [metrics.tally(predictions=scores[each], targets=true[each]) for each in rows]
    whole = metrics.tally(predictions=scores, targets=true)
    for found, due in zip(jax.tree.leaves(sm.merge(*years)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(due))


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_batches_of_1_7_and_1000_rows_have_the_same_state(inputs):
    rng = np.random.default_rng(0)
    scores, true = rng.normal(size=2000).astype(np.float32), rng.integers(0, 2, 2000, np.int32)
    metric = sm.AUROC(sm.Binary(inputs), ties=True)
    scores = sigmoid(scores).astype(np.float32) if inputs == "probabilities" else scores
    whole = metric.tally(scores, true)
    for size in (1, 7, 1000):
        count = -(-len(scores) // size)
        batches = sm.pad({"predictions": scores, "targets": true}, count * size)
        batches = {name: value.reshape(count, size) for name, value in batches.items()}
        state, _ = jax.lax.scan(lambda s, batch: (metric.update(s, **batch), None), metric.init(), batches)
        for found, due in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(np.asarray(found), np.asarray(due))


def test_classes_of_logits_rank_as_their_softmax_does():
    rng = np.random.default_rng(0)
    logits = (2 * rng.normal(size=(100_000, 4))).astype(np.float32)
    true = (logits + 2 * rng.gumbel(size=logits.shape)).argmax(1)
    share = np.exp(logits.astype(np.float64))
    share /= share.sum(1, keepdims=True)
    task = sm.Multiclass(4, "logits")
    found = np.asarray(sm.AUROC(task, average=None)(logits, true))
    due = [sk.roc_auc_score(true == label, share[:, label]) for label in range(4)]
    np.testing.assert_allclose(found, due, rtol=0, atol=2e-5)


def test_all_classes_together_rank_as_their_pooled_softmax_does():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5000, 3)).astype(np.float32)
    true = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    share = np.exp(logits.astype(np.float64))
    share /= share.sum(1, keepdims=True)
    task, hot = sm.Multiclass(3, "logits"), np.eye(3)[true]
    found = sm.Collection(
        auroc=sm.AUROC(task, average="micro"), precision=sm.AveragePrecision(task, average="micro", ties=True)
    )(predictions=logits, targets=true)
    assert float(found["auroc"]) == pytest.approx(sk.roc_auc_score(hot.ravel(), share.ravel()), abs=2e-5)
    assert float(found["precision"]) == pytest.approx(sk.average_precision_score(hot.ravel(), share.ravel()), abs=5e-4)


def test_logits_that_saturate_a_softmax_are_still_ranked():
    logits = np.array([[40, 0], [45, 0], [50, 0], [60, 0], [70, 0], [150, 0]], np.float32)
    true = np.array([0, 1, 0, 1, 1, 1])  # of class 1, whose log-odds fall
    found = sm.AUROC(sm.Multiclass(2, "logits"), average=None)(logits, true)
    due = sk.roc_auc_score(true == 0, logits[:, 0])
    np.testing.assert_allclose(found, [due, due], atol=1e-6)
    assert np.unique(sigmoid(logits[:, 0]).astype(np.float32)).tolist() == [1]


def test_ten_billion_positives_and_negatives_overflow_nothing():
    metrics = sm.Collection(
        auroc=sm.AUROC(P, bins="bfloat16"), precision=sm.AveragePrecision(P, bins="bfloat16"),
        partial=sm.AUROC(P, max_fpr=0.3, bins="bfloat16"), ks=sm.KolmogorovSmirnov(P, bins="bfloat16"),
        eer=sm.EqualErrorRate(P, bins="bfloat16"), area=sm.PRAUC(P, bins="bfloat16"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    count = rng.integers(0, 4 * 10**7, (2, 1000)).astype(np.uint64)
    count[1] = count[1] * np.arange(1000, dtype=np.uint64) // np.uint64(500)
    count[:, -1] = np.uint64(10**10) - count[:, :-1].sum(1)
    values = np.sort(jnp.asarray(rng.random(4000), jnp.bfloat16))
    values = np.unique(values)[:1000]
    empty = metrics.init()
    scores = np.repeat(values, 2)
    true = np.tile([0, 1], len(values))
    one = metrics.tally(predictions=scores, targets=true)
    (key,) = one.data
    place = np.argwhere(np.asarray(one.data[key][0]) == 1)
    assert len(place) == 2 * len(values)
    cells = np.zeros(one.data[key].shape[1:], np.uint64)
    for target in (0, 1):
        at = place[place[:, 0] == target][:, 1]
        cells[target, at] = count[target, : len(values)]
    total = cells.sum(1)
    words = jnp.stack([jnp.asarray((cells & np.uint64(0xFFFFFFFF)).astype(np.uint32)),
                       jnp.asarray((cells >> np.uint64(32)).astype(np.uint32))])  # fmt: skip
    seen = (
        jnp.asarray(empty.seen)
        .at[:, 0]
        .set(jnp.asarray([int(total.sum()) % 2**32, int(total.sum()) >> 32], jnp.uint32))
    )
    state = with_arrays(empty.statistic, [words, seen])
    found = sm.plain(metrics.compute(state))
    weights = np.concatenate([cells[0][cells.sum(0) > 0], cells[1][cells.sum(0) > 0]]).astype(float)
    held = np.flatnonzero(cells.sum(0) > 0)
    s, y = np.tile(held, 2), np.repeat([0, 1], len(held))
    curve = points(s, y, weights)
    due = {
        "auroc": sk.roc_auc_score(y, s, sample_weight=weights),
        "precision": sk.average_precision_score(y, s, sample_weight=weights),
        "partial": sk.roc_auc_score(y, s, sample_weight=weights, max_fpr=0.3),
        "ks": kolmogorov_smirnov(curve), "eer": equal_error_rate(curve), "area": davis_goadrich(curve),
    }  # fmt: skip
    for name, value in due.items():
        assert abs(found[name] - value) <= 1e-6, (name, found[name], value)


# --- Every area, on scores whose every value has a bin ---

AREAS = {
    "auroc": sm.AUROC, "gini": sm.Gini, "precision": sm.AveragePrecision, "area": sm.PRAUC,
    "ks": sm.KolmogorovSmirnov, "eer": sm.EqualErrorRate,
    "partial": lambda task, **fields: sm.AUROC(task, max_fpr=0.3, **fields),
    "log": lambda task, **fields: sm.LogAUC(task, (0.01, 0.5), **fields),
}  # fmt: skip


def due_areas(scores, true, weights=None):
    curve = points(scores, true, weights)
    auroc = sk.roc_auc_score(true, scores, sample_weight=weights)
    return {
        "auroc": auroc, "gini": 2 * auroc - 1,
        "precision": sk.average_precision_score(true, scores, sample_weight=weights),
        "area": davis_goadrich(curve), "ks": kolmogorov_smirnov(curve), "eer": equal_error_rate(curve),
        "partial": sk.roc_auc_score(true, scores, sample_weight=weights, max_fpr=0.3),
        "log": log_auc(curve, 0.01, 0.5),
    }  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["whole", "fractional"])
def test_every_area_of_16_bit_scores_equals_its_reference(weighted):
    task = sm.Binary("probabilities", weighted=weighted)
    metrics = sm.Collection({name: area(task, bins="bfloat16") for name, area in AREAS.items()})
    rng = np.random.default_rng(3)
    for kind, rows in (("moderate", 64), ("lumps", 64), ("uniform", 30), ("near one", 64)):
        scores, true = drawn(kind, rows, seed=2)
        true[:2] = 0, 1
        scores = np.asarray(jnp.asarray(scores, jnp.bfloat16))
        weights = (rng.integers(1, 9, rows) / 8).astype(np.float32) if weighted else np.ones(rows, np.float32)
        found = metrics(predictions=padded(scores), targets=padded(true), weights=padded(weights))
        for name, value in due_areas(scores.astype(np.float64), true, weights).items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=3e-6, err_msg=f"{kind} {name}")
        # The reference itself is SciPy's where rows weigh alike.
        negative, positive = (scores[true == target].astype(float) for target in (0, 1))
        ks: Any = scipy.stats.ks_2samp(negative, positive)
        np.testing.assert_allclose(kolmogorov_smirnov(points(scores, true)), ks.statistic)


def test_averages_over_labels_equal_scikit_learns():
    task = sm.Multilabel(3, "probabilities", ignore=-1)
    rng = np.random.default_rng(0)
    scores = np.asarray(jnp.asarray(rng.random((64, 3)), jnp.bfloat16))
    true = (rng.random((64, 3)) < (0.2, 0.5, 0.8)).astype(np.int32)
    averages = {"each": None, "micro": "micro", "macro": "macro", "weighted": "weighted"}
    areas = {"auroc": (sm.AUROC, sk.roc_auc_score), "precision": (sm.AveragePrecision, sk.average_precision_score)}
    metrics = sm.Collection({
        f"{name} {average}": area(task, average=of, bins="bfloat16")
        for name, (area, _) in areas.items() for average, of in averages.items()
    } | {"one": sm.AUROC(task, class_id=1, bins="bfloat16")})  # fmt: skip
    found = metrics(predictions=scores, targets=true)
    for name, (_, reference) in areas.items():
        for average, of in averages.items():
            due = reference(true, scores.astype(float), average=of)
            np.testing.assert_allclose(found[f"{name} {average}"], due, atol=1e-6)
    np.testing.assert_allclose(found["one"], found["auroc each"][1], rtol=1e-6)
    true[rng.random((64, 3)) < 0.2] = -1
    found = metrics(predictions=scores, targets=true)
    each = [sk.roc_auc_score(true[keep, k], scores[keep, k].astype(float)) for k, keep in enumerate((true >= 0).T)]
    np.testing.assert_allclose(found["auroc each"], each, atol=1e-6)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_pairs_of_classes_equal_scikit_learns(average):
    rng = np.random.default_rng(0)
    share = rng.dirichlet((1, 1, 1, 1), 64)
    share = np.asarray(jnp.asarray(share, jnp.bfloat16)).astype(np.float64)
    true = np.array([rng.choice(4, p=row / row.sum()) for row in share])
    metric = sm.OneVsOneAUROC(sm.Multiclass(4, "probabilities"), average=average, bins="bfloat16")
    # scikit-learn wants rows that sum to 1; what is ranked stays as it is.
    due = np.array([
        [0.5 * (sk.roc_auc_score(true[rows] == i, share[rows, i]) + sk.roc_auc_score(true[rows] == j, share[rows, j]))
         for j in range(4) if j != i for rows in [np.isin(true, (i, j))]]
        for i in range(4)
    ])  # fmt: skip
    weight = np.array([[np.isin(true, (i, j)).sum() for j in range(4) if j != i] for i in range(4)])
    due = np.average(due, weights=weight if average == "weighted" else None)
    found = metric(jnp.asarray(share, jnp.bfloat16), true)
    np.testing.assert_allclose(found, due, atol=1e-6)
    exact = rng.dirichlet((1, 1, 1), 64)
    labels = np.arange(64) % 3
    fine = sm.OneVsOneAUROC(sm.Multiclass(3, "probabilities"), average=average)
    state = fine.tally(exact, labels)
    lower, upper = sm.bounds(fine, state)
    assert lower <= sk.roc_auc_score(labels, exact, multi_class="ovo", average=average) <= upper


@pytest.mark.parametrize(("third", "due"), [([2.0, 1.0, 3.0, 0.0, 0.0], 0.5), ([2.0, 1.0, 0.0, 3.0, 0.0], 0.75)])
def test_pairs_are_not_told_by_classes_against_the_rest(third, due):
    # The scores for class 0 of two examples of it, one of class 1 and two of class 2: exchanging a 3 with a 0 leaves
    # the histogram of class 0 against the rest as it was.
    task = sm.Multiclass(3, "scores")
    scores = np.zeros((5, 3), np.float32)
    scores[:, 0] = third
    true = np.array([0, 0, 1, 2, 2])
    one, pairs = sm.AUROC(task, class_id=0), sm.OneVsOneAUROC(task)
    assert float(one(scores, true)) == pytest.approx(2 / 3)
    state = pairs.tally(scores, true)
    cells = np.asarray(state.data["cells"][0])
    against = [_area(cells[0, 0], cells[0, other]) for other in (1, 2)]
    assert np.mean(against) == due


def _area(positive, negative):
    below = np.cumsum(negative) - negative
    return (positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum())


# --- What is not defined ---


def test_of_one_class_only_there_is_no_area():
    metrics = sm.Collection({name: area(P) for name, area in AREAS.items()})
    scores = np.linspace(0.1, 0.9, 8, dtype=np.float32)
    positives = metrics(predictions=scores, targets=np.ones(8, int))
    negatives = metrics(predictions=scores, targets=np.zeros(8, int))
    empty = metrics.compute(metrics.init())
    for name in AREAS:
        assert math.isnan(negatives[name]), name
        assert math.isnan(empty[name]), name
        if name not in ("precision", "area"):
            assert math.isnan(positives[name]), name
    assert positives["precision"] == positives["area"] == 1
    for area in (sm.AUROC, sm.KolmogorovSmirnov):
        assert np.isnan(sm.bounds(area(P), area(P).init())).all()


def test_a_macro_average_leaves_out_classes_without_an_area():
    task = sm.Multiclass(3, "probabilities")
    scores = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], np.float32)
    true = np.array([0, 1, 0, 1])
    metrics = sm.Collection({
        f"{area.__name__} {average}": area(task, average=average)
        for area in (sm.AUROC, sm.AveragePrecision) for average in (None, "macro", "weighted")
    })  # fmt: skip
    found = metrics(predictions=scores, targets=true)
    for area in ("AUROC", "AveragePrecision"):
        each = np.asarray(found[f"{area} None"])
        assert np.isnan(each).tolist() == [False, False, True]
        np.testing.assert_allclose([found[f"{area} macro"], found[f"{area} weighted"]], np.nanmean(each), rtol=1e-6)


def test_no_area_is_rounded_beyond_its_range():
    metric, rng = sm.AUROC(sm.Binary("scores"), bins=64), np.random.default_rng(0)
    for _ in range(40):  # separated scores, whose shares of a float32 may add up to more than 1
        true = (np.arange(ROWS // 64) < rng.integers(1, ROWS // 64)).astype(np.int32)
        assert float(metric(rng.random(len(true)) + 2.0 * true, true)) <= 1


def test_scores_in_a_narrow_range_are_told_apart():
    rng = np.random.default_rng(0)
    scores, true = (0.004 * rng.random(10_000)).astype(np.float32), rng.random(10_000)
    true = (true < 250 * scores).astype(np.int32)
    assert abs(float(sm.AUROC(P)(scores, true)) - sk.roc_auc_score(true, scores)) < 1e-4


def test_a_declared_range_makes_scores_far_from_zero_fine():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 10_000)
    scores = rng.normal(1000 + 1.5 * true, 1).astype(np.float32)
    due = sk.roc_auc_score(true, scores)
    task = sm.Binary("scores")
    wide, narrow = sm.AUROC(task), sm.AUROC(task, score_range=(990, 1010))
    for metric, most in ((wide, 1.0), (narrow, 2e-3)):
        lower, upper = sm.bounds(metric, metric.tally(scores, true))
        assert lower <= due <= upper
        assert upper - lower <= most
    assert abs(float(narrow(scores, true)) - due) < 2e-5
    ends = np.array([-np.inf, -1e9, 980, 1000, 1020, 1e9, np.inf], np.float32)
    assert float(narrow(ends, [0, 0, 0, 1, 1, 1, 1])) == 1


def test_zeros_of_either_sign_and_what_hardware_flushes_are_one_number():
    metric = sm.AUROC(sm.Binary("scores"), bins="bfloat16")
    scores = jnp.asarray([0.0, -0.0, 1e-40, -1e-40], jnp.bfloat16)
    state = metric.tally(scores, [0, 1, 0, 1])
    assert np.asarray(state.data["cells"][0]).max() == 2
    assert float(metric.compute(state)) == 0.5


def test_scores_that_are_no_numbers_are_counted_apart():
    metric = sm.AUROC(sm.Binary("probabilities"))
    state = metric.tally([0.2, np.nan, 0.8, 1.5, 0.5, 0.4], [0, 1, 1, 0, 3, 1])
    assert int(state.examples) == 3
    assert {reason: int(count) for reason, count in state.invalid.items() if int(count)} == {
        "NaN score": 1, "probability outside [0, 1]": 1, "target that is no class": 1,
    }  # fmt: skip
    assert float(metric.compute(state, on_invalid="ignore")) == 1
    classes = sm.AUROC(sm.Multiclass(2, "logits"))
    state = classes.tally([[np.inf, np.inf], [0, np.nan], [1, 0], [0, 1]], [0, 1, 0, 1])
    assert int(state.examples) == 2
    assert float(classes.compute(state, on_invalid="ignore")) == 1
