"""Bounds hold the value of the scores themselves, however coarse the bins; and are equal where nothing is unknown."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm
from streammetrics._state import part
from tests.rankings import equal_error_rate, kolmogorov_smirnov, log_auc, points
from tests.references import padded, together
from tests.support import assert_same

ROWS = 64
P = sm.Binary("probabilities")
FIELDS: dict[str, dict] = {"coarse": {"bins": 64}, "ties": {"bins": 64, "ties": True}}


def metrics(task, **fields):
    return sm.Collection(
        auroc=sm.AUROC(task, **fields),
        gini=sm.Gini(task, **fields),
        precision=sm.AveragePrecision(task, **fields),
        partial=sm.AUROC(task, max_fpr=0.3, **fields),
        log=sm.LogAUC(task, (0.05, 0.6), **fields),
        ks=sm.KolmogorovSmirnov(task, **fields),
        eer=sm.EqualErrorRate(task, **fields),
        at_recall=sm.PrecisionAtRecall(task, recall=0.6, **fields),
        at_precision=sm.RecallAtPrecision(task, precision=0.6, **fields),
        at_specificity=sm.SensitivityAtSpecificity(task, specificity=0.6, **fields),
        at_sensitivity=sm.SpecificityAtSensitivity(task, sensitivity=0.6, **fields),
    )


def best(value, other, least):
    """The greatest value where the other rate is reached, NaN where it is not."""
    return max(value[other >= least - 1e-12], default=np.nan)


def due(scores, true):
    p = points(scores, true)
    auroc = sk.roc_auc_score(true, scores)
    found = np.where(p.tp + p.fp > 0, p.tp / np.maximum(p.tp + p.fp, 1), np.nan)
    with np.errstate(invalid="ignore"):
        return {
            "auroc": auroc, "gini": 2 * auroc - 1, "precision": sk.average_precision_score(true, scores),
            "partial": sk.roc_auc_score(true, scores, max_fpr=0.3), "log": log_auc(p, 0.05, 0.6, 20_000),
            "ks": kolmogorov_smirnov(p), "eer": equal_error_rate(p),
            "at_recall": best(found[1:], p.tpr[1:], 0.6), "at_precision": best(p.tpr[1:], found[1:], 0.6),
            "at_specificity": best(p.tpr, 1 - p.fpr, 0.6), "at_sensitivity": best(1 - p.fpr, p.tpr, 0.6),
        }  # fmt: skip


@pytest.mark.parametrize("kind", [together(f"bounds {kind}", kind) for kind in FIELDS])
@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, ROWS), lumps=st.sampled_from([3, 10, 40, 10**6]))
def test_the_values_of_the_scores_lie_within_the_bounds(kind, seed, rows, lumps):
    rng = np.random.default_rng(seed)
    true = np.append([0, 1], rng.integers(0, 2, rows - 2))
    # Many in one bin, in lumps of equal ones; none at 0, which no threshold is below.
    scores = (0.3 + 0.2 * np.round(rng.random(rows) * lumps + 0.3 * true) / lumps).astype(np.float32)
    each = metrics(P, **FIELDS[kind])
    batch = {"predictions": padded(scores), "targets": padded(true), "weights": padded(np.ones(rows, int))}
    state = each.tally(**batch)
    values, bounds = each.compute(state), sm.bounds(each, state)
    assert list(bounds) == list(values)
    for name, value in due(scores, true).items():
        lower, upper = (float(bound) for bound in bounds[name])
        slack = 2e-4 if name == "log" else 2e-6  # of the reference, and of float32 where a bound is the value
        if np.isnan(value):
            assert np.isnan(lower) or lower <= 0
            continue
        assert lower - slack <= value <= upper + slack, (name, lower, value, upper)
        read = values[name]["value"] if name.startswith("at_") else values[name]
        if not np.isnan(float(read)):
            assert lower <= float(read) <= upper, name


@pytest.mark.xdist_group("bounds ties")
def test_bounds_of_bins_of_single_scores_are_the_value():
    scores = np.repeat(np.array([0.1, 0.3, 0.4, 0.8], np.float32), ROWS // 4)
    true = np.random.default_rng(0).integers(0, 2, ROWS)
    each = metrics(P, **FIELDS["ties"])
    state = each.tally(predictions=scores, targets=true, weights=np.ones(ROWS, int))
    values = each.compute(state)
    for name, (lower, upper) in sm.bounds(each, state).items():
        value = values[name]["value"] if name.startswith("at_") else values[name]
        assert float(lower) == float(value) == float(upper), name


def test_bounds_of_averages_are_averages_of_bounds():
    task = sm.Multiclass(3, "logits")
    rng = np.random.default_rng(0)
    logits, true = rng.normal(size=(60, 3)).astype(np.float32), rng.integers(0, 3, 60)
    each, macro = (sm.AUROC(task, average=average, bins=64) for average in (None, "macro"))
    state = each.tally(logits, true)
    lower, upper = sm.bounds(each, state)
    assert lower.shape == upper.shape == (3,)
    np.testing.assert_allclose(sm.bounds(macro, state), (lower.mean(), upper.mean()), rtol=1e-6)
    assert (lower < upper).all()


def test_what_is_no_estimate_has_equal_bounds_and_a_collections_state_will_do():
    both = sm.Collection(accuracy=sm.Accuracy(P), auroc=sm.AUROC(P), inner=sm.Collection(roc=sm.ROC(P)))
    state = both.tally(predictions=[0.2, 0.4, 0.6, 0.601], targets=[0, 1, 1, 0])
    found = sm.bounds(both, state)
    assert found["accuracy"] == (0.5, 0.5)
    np.testing.assert_array_equal(found["inner"]["roc"].lower["fpr"], found["inner"]["roc"].upper["fpr"])
    assert sm.bounds(sm.AUROC(P), state) == found["auroc"]
    assert isinstance(found["auroc"], sm.Bounds)
    jitted = jax.jit(lambda state: sm.bounds(sm.AUROC(P), state))(state)
    assert tuple(map(float, jitted)) == tuple(map(float, found["auroc"]))


def test_the_part_of_a_collections_state_is_what_the_metric_alone_counts():
    metric = sm.AUROC(P, ties=True)
    both = sm.Collection(loss=sm.Mean("loss"), auroc=metric)
    scores, true = np.array([0.2, np.nan, 0.6], np.float32), np.array([0, 1, 1])
    whole = both.tally(predictions=scores, targets=true, loss=np.array([np.inf, np.nan, np.nan], np.float32))
    assert_same(part(whole, metric.statistic), metric.tally(scores, true), exact=True)


def test_estimates_without_bounds_are_refused():
    for metric in (
        sm.PRAUC(P),
        sm.BestThreshold(P),
        sm.CalibrationError(P, binning="mass"),
        sm.Collection(inner=sm.Collection(area=sm.PRAUC(P))),
    ):
        with pytest.raises(TypeError, match=r"bounds: (PRAUC|BestThreshold|CalibrationError)\(.*\) is an estimate"):
            sm.bounds(metric, metric.init())


def test_invalid_examples_are_as_loud_as_in_compute():
    metric = sm.AUROC(P)
    state = metric.tally([0.2, 0.9, np.nan], [0, 1, 1])
    with pytest.raises(sm.InvalidExamples, match="1 of 3 examples could not be counted, 1 with NaN score"):
        sm.bounds(metric, state)
    assert np.isnan(sm.bounds(metric, state, on_invalid="nan")).all()
    assert sm.bounds(metric, state, on_invalid="ignore") == (1, 1)
    with pytest.raises(ValueError, match="the state is of Moments"):
        sm.bounds(metric, sm.Mean("loss").init())
