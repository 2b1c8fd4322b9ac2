"""Differences of two independent samples: by hand, against scipy, and where they are refused."""

import re
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats

import streammetrics as sm

B = sm.Binary("labels")
RIGHT = sm.Accuracy(B)
MEAN = sm.Mean("x")


def right(successes, trials):
    return RIGHT.tally(np.arange(trials) < successes, np.ones(trials, np.int32))


@pytest.mark.parametrize(
    ("b", "a", "ends"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ],
)
def test_differences_of_shares_are_newcombes(a, b, ends):
    """The examples of his article (1998, table II, method 10)."""
    found = sm.compare(RIGHT, right(*a), right(*b))
    assert isinstance(found, sm.Comparison)
    np.testing.assert_allclose(found.difference, b[0] / b[1] - a[0] / a[1], rtol=1e-6)
    np.testing.assert_allclose([found.low, found.high], ends, atol=6e-5)


def test_the_test_of_shares_is_the_pooled_one():
    for a, b in (((30, 100), (45, 120)), ((90, 100), (900, 1200))):
        table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
        due: Any = scipy.stats.chi2_contingency(table, correction=False)
        np.testing.assert_allclose(sm.compare(RIGHT, right(*a), right(*b)).p_value, due.pvalue, rtol=1e-4)
    assert sm.compare(RIGHT, right(10, 10), right(20, 20)).p_value == 1


@pytest.mark.parametrize("sizes", [(4, 7), (20, 90)])
def test_differences_of_means_are_welchs(sizes):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(k, 1 + k, 90).astype(np.float32) for k in (0, 1))
    states = [MEAN.tally(values, weights=np.arange(90) < size) for values, size in zip((x, y), sizes, strict=True)]
    found = sm.compare(MEAN, *states, level=0.9)
    x, y = (values[:size].astype(float) for values, size in zip((x, y), sizes, strict=True))
    due: Any = scipy.stats.ttest_ind(y, x, equal_var=False)
    np.testing.assert_allclose(found.p_value, due.pvalue, rtol=1e-4)
    np.testing.assert_allclose([found.low, found.high], due.confidence_interval(0.9), rtol=1e-4)
    np.testing.assert_allclose(found.difference, y.mean() - x.mean(), rtol=1e-5)


def test_others_are_normal_with_both_standard_errors():
    metric, rng = sm.F1(B), np.random.default_rng(0)
    a, b = (metric.tally(rng.integers(0, 2, size), rng.integers(0, 2, size)) for size in (300, 500))
    one, other = (sm.interval(metric, state) for state in (a, b))
    error = np.hypot(float(one.high - one.low) / 2, float(other.high - other.low) / 2)
    found = sm.compare(metric, a, b)
    np.testing.assert_allclose(found.difference, other.value - one.value, rtol=1e-6)
    np.testing.assert_allclose([found.low, found.high], found.difference + error * np.array([-1, 1]), rtol=1e-4)
    z = abs(float(found.difference)) / (error / scipy.stats.norm.ppf(0.975))
    np.testing.assert_allclose(found.p_value, 2 * scipy.stats.norm.sf(z), rtol=1e-4)
    back = sm.compare(metric, b, a)
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low], rtol=1e-6)


def test_classes_and_collections_are_compared_one_by_one():
    each = sm.Recall(sm.Multiclass(3, "labels"), average=None)
    both = sm.Collection(each=each, inner=sm.Collection(all=sm.Accuracy(each.task)))
    rng = np.random.default_rng(1)
    a, b = (both.tally(predictions=rng.integers(0, 3, 90), targets=rng.integers(0, top, 90)) for top in (2, 3))
    found = sm.compare(both, a, b)
    assert list(found) == ["each", "inner"]
    one = found["each"]
    assert all(np.shape(part) == (3,) for part in one)
    np.testing.assert_array_equal(np.isnan(one.low), [False, False, True])  # a has no example of class 2
    np.testing.assert_array_equal(np.isnan(one.p_value), [False, False, True])
    assert found["inner"]["all"].low < found["inner"]["all"].difference < found["inner"]["all"].high
    traced = jax.jit(lambda a, b: sm.compare(each, a, b))(a, b)
    np.testing.assert_allclose(one, traced, rtol=1e-6)


REFUSALS = [
    (sm.Maximum("x"), (MEAN.init(), MEAN.init()), {}, TypeError,
     "compare: the counts of Maximum(entry='x') do not tell how its value varies; Bootstrapped does"),
    (RIGHT, (right(3, 4), RIGHT.init()), {}, ValueError,
     "compare: Accuracy(task=Binary(inputs='labels')) is a share of 0 examples, but at least 1 is due"),
    (RIGHT, (right(3, 4), MEAN.init()), {}, ValueError,
     "Accuracy(task=Binary(inputs='labels')): the state is of Moments(entry='x'), but must be of "
     "ClassCounts(task=Binary(inputs='labels'))"),
    (MEAN, (MEAN.tally([1.0, 2.0]), MEAN.tally([1.0])), {}, ValueError,
     "compare: Mean(entry='x') has 1 examples, but at least 2 are due"),
    (RIGHT, (right(3, 4), right(3, 4)), {"level": 1}, ValueError,
     "compare: level is 1, but must be above 0 and below 1"),
    (3, (right(3, 4), right(3, 4)), {}, TypeError, "compare: got 3, but a metric is due"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "states", "options", "kind", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_has_no_interval_is_not_compared(metric, states, options, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        sm.compare(metric, *states, **options)


def test_invalid_examples_are_told():
    state = MEAN.tally([1.0, 2.0, 4.0, np.nan])
    with pytest.raises(sm.InvalidExamples, match="1 with NaN value"):
        sm.compare(MEAN, MEAN.tally([1.0, 2.0]), state)
    assert not np.isnan(sm.compare(MEAN, MEAN.tally([1.0, 2.0]), state, on_invalid="ignore")).any()
