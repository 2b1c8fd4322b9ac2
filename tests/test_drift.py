"""Drift between two states: by hand, and against SciPy and numpy on the values themselves."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
import scipy.stats

import streammetrics as sm

AGE = sm.Histogram("age", (0, 30, 60, 90))
FINE = sm.Quantile("x", mantissa_bits=1)
ROWS = 500


def refused(kind, text):
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def of_shares(*shares):
    """A state of `AGE` with so many below, in each bin, and above."""
    return AGE.tally(np.array([-1, 15, 45, 75, 99]), weights=np.array(shares))


def psi(p, q, least=1e-4):
    p, q = np.maximum(p / np.sum(p), least), np.maximum(q / np.sum(q), least)
    return float(((p - q) * np.log(p / q)).sum())


def test_the_index_by_hand():
    found = sm.population_stability_index(AGE, of_shares(0, 2, 1, 1, 0), of_shares(0, 1, 2, 1, 0))
    assert float(found) == pytest.approx(0.25 * math.log(2) * 2, rel=1e-6)
    # A bin without examples has the share 0.0001, and what is below and above is a bin too.
    found = sm.population_stability_index(AGE, of_shares(0, 1, 1, 0, 0), of_shares(1, 0, 1, 0, 0))
    assert float(found) == pytest.approx(2 * (0.5 - 1e-4) * math.log(0.5 / 1e-4), rel=1e-6)
    assert found.shape == ()
    assert found.dtype == np.float32


@pytest.mark.parametrize("least", [0.0, 1e-4, 0.01])
def test_the_index_of_declared_bins_is_numpys(least):
    for seed in range(5):
        p, q = np.random.default_rng(seed).integers(1 if least == 0 else 0, 50, (2, 5))
        found = sm.population_stability_index(AGE, of_shares(*p), of_shares(*q), least=least)
        assert float(found) == pytest.approx(psi(p, q, least), rel=1e-5, abs=1e-7)


def test_an_empty_bin_without_a_least_share_is_infinitely_far():
    empty, other = of_shares(0, 1, 0, 0, 0), of_shares(0, 1, 1, 0, 0)
    assert float(sm.population_stability_index(AGE, empty, other, least=0)) == math.inf
    assert float(sm.population_stability_index(AGE, other, other, least=0)) == 0


def halves(seed, size=ROWS):
    """Two samples of bfloat16, with ties, a little apart."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=size), 1.2 * rng.normal(size=size) + 0.3
    return (np.asarray(jnp.asarray(np.round(z, 2), jnp.bfloat16)).astype(np.float32) for z in (x, y))


SCORES = sm.Binary("scores")
EXACT = sm.AUROC(SCORES, bins="bfloat16")


def scored(metric, x, seed=0):
    targets = np.random.default_rng(seed).integers(0, 2, len(x))
    return metric.tally(jnp.asarray(x, jnp.bfloat16) if metric is EXACT else x, targets)


def test_bins_are_merged_by_the_quantiles_of_the_reference():
    for seed in range(4):
        x, y = halves(seed)
        states = scored(EXACT, x, 1), scored(EXACT, y, 2)
        p, q = in_groups(x, y, 10)
        assert float(sm.population_stability_index(EXACT, *states)) == pytest.approx(psi(p, q), rel=1e-5)
        p, q = in_groups(x, y, 4)
        due = scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2
        assert float(sm.jensen_shannon(EXACT, *states, bins=4)) == pytest.approx(due, rel=1e-5)


def in_groups(x, y, number):
    """How many of both are between the quantiles of the first."""
    ends = np.unique(np.quantile(x, np.arange(1, number) / number, method="inverted_cdf"))
    return (np.bincount(np.searchsorted(ends, z), minlength=len(ends) + 1) for z in (x, y))


def test_one_value_for_most_is_one_bin():
    metric = sm.Quantile("x")
    reference, current = metric.tally([5.0] * 8 + [1.0, 9.0]), metric.tally([5.0] * 2 + [1.0] * 4 + [9.0] * 4)
    found = sm.population_stability_index(metric, reference, current)  # up to 1, up to 5, and beyond
    assert float(found) == pytest.approx(psi([1, 8, 1], [4, 2, 4]), rel=1e-5)


def test_the_divergence_is_scipys():
    for seed in range(5):
        p, q = np.random.default_rng(seed).integers(0, 20, (2, 5)) + np.eye(5, dtype=int)[0]
        due = scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2
        for a, b in ((p, q), (q, p)):
            found = sm.jensen_shannon(AGE, of_shares(*a), of_shares(*b))
            assert float(found) == pytest.approx(due, rel=1e-5, abs=1e-7)
    apart = of_shares(1, 1, 0, 0, 0), of_shares(0, 0, 1, 1, 3)
    assert float(sm.jensen_shannon(AGE, *apart)) == 1
    assert sm.kolmogorov_smirnov_distance(AGE, *apart)[:2] == (1, 1)


def samples(seed):
    rng = np.random.default_rng(seed)
    kinds = (rng.normal, rng.standard_cauchy, rng.exponential, lambda size: np.round(rng.normal(size=size)))
    first, second = (kinds[i] for i in rng.integers(0, 4, 2))
    return (first(size=ROWS)).astype(np.float32), (second(size=ROWS) * rng.choice([1, -1, 3])).astype(np.float32)


def distance(x, y):
    found: Any = scipy.stats.ks_2samp(x, y)
    return found.statistic


@pytest.mark.parametrize(
    "metric",
    [
        sm.Histogram("x", (-2, -1, 0, 0.5, 1, 3)),
        FINE,
        sm.ScoreDistribution(SCORES, bins=64),
        sm.KolmogorovSmirnov(SCORES, bins=64, ties=True),
    ],
    ids=["edges", "magnitudes", "scores", "ties"],
)
def test_the_distance_of_the_values_is_within_its_bounds(metric):
    widths = []
    for seed in range(12):
        x, y = samples(seed)
        count = (lambda z: scored(metric, z)) if hasattr(metric, "task") else metric.tally
        value, lower, upper = map(float, sm.kolmogorov_smirnov_distance(metric, count(x), count(y)))
        slack = 1e-6 if lower == upper else 0  # both are the value as it is rounded
        assert lower - slack <= distance(x, y) <= upper + slack
        assert lower <= value <= upper
        widths.append(upper - lower)
    assert 0.001 < np.mean(widths) < 0.5


def test_the_distance_is_exact_where_bins_are():
    for seed in range(4):
        x, y = halves(seed)
        found = sm.kolmogorov_smirnov_distance(EXACT, scored(EXACT, x, 3), scored(EXACT, y, 4))
        assert found.lower == found.value == found.upper
        assert float(found.value) == pytest.approx(distance(x, y), abs=1e-6)
    # Zero and the infinities have bins of their own, and with ties every single score.
    zeros = [FINE.tally([0.0, 0.0, math.inf]), FINE.tally([0.0, -math.inf, math.inf])]
    np.testing.assert_allclose(sm.kolmogorov_smirnov_distance(FINE, *zeros), [1 / 3] * 3, rtol=1e-6)
    ties = sm.AUROC(SCORES, bins=64, ties=True)
    for a, b, due in ((1.001, 1.001, 0.0), (1.001, 1.002, 1.0), (1.002, 1.001, 1.0)):
        found = sm.kolmogorov_smirnov_distance(ties, ties.tally([a, a], [0, 1]), ties.tally([b, b], [1, 1]))
        assert tuple(map(float, found)) == (due,) * 3


@pytest.mark.parametrize("name", ["population_stability_index", "kolmogorov_smirnov_distance"])
def test_scores_are_told_by_class_and_of_both_targets(name):
    task, rng, drift = sm.Multiclass(3, "scores"), np.random.default_rng(0), getattr(sm, name)
    scores = rng.normal(size=(2, ROWS, 3)).astype(np.float32)
    scores[1, :, 2] += 2
    targets = rng.integers(0, 3, (2, ROWS))
    each = sm.AUROC(task, bins=64)
    states = [each.tally(*pair) for pair in zip(scores, targets, strict=True)]
    found = np.asarray(jax.tree.leaves(drift(each, *states))[0])
    assert found.shape == (3,)
    assert found[2] > 5 * found[:2].max()
    one = drift(sm.ROC(task, bins=64, class_id=2), *states)
    np.testing.assert_allclose(jax.tree.leaves(one)[0], found[2], rtol=1e-6)
    micro = jax.tree.leaves(drift(sm.ROC(task, bins=64, average="micro"), *states))[0]
    assert found.min() < float(micro) < found.max()
    same = [each.tally(scores[0], each_targets) for each_targets in targets]
    assert (np.abs(jax.tree.leaves(drift(each, *same))[0]) < 1e-6).all()


def test_fractions_weigh():
    metric = sm.Histogram("age", AGE.edges, weighted=True)
    state = metric.tally([15, 45, 75], weights=[0.5, 0.25, 0.25])
    other = metric.tally([15, 45, 75], weights=[0.125, 0.25, 0.125])
    assert float(sm.population_stability_index(metric, state, other)) == pytest.approx(0.25 * math.log(2) * 2, rel=1e-5)


def test_fractions_are_divided_into_groups():
    fine = sm.Quantile("age", mantissa_bits=1, weighted=True)
    tenths = [fine.tally([1.0, 10.0], weights=weights) for weights in ([0.1, 0.9], [0.9, 0.1])]
    assert float(sm.population_stability_index(fine, *tenths)) == pytest.approx(psi([1, 9], [9, 1]), rel=1e-4)


def test_counts_of_any_size_and_collections_and_jit():
    small = of_shares(0, 3, 1, 1, 0), of_shares(0, 1, 3, 1, 0)
    due = sm.jensen_shannon(AGE, *small)
    large = small
    for _ in range(40):
        large = [sm.merge(state, state) for state in large]
    np.testing.assert_allclose(sm.jensen_shannon(AGE, *large), due, rtol=1e-6)
    both = sm.Collection(age=AGE, mean=sm.Mean("age"))
    of_both = [both.tally(age=np.array(ages)) for ages in ([15, 45], [45, 45])]
    assert float(sm.kolmogorov_smirnov_distance(AGE, *of_both).value) == 0.5
    traced = jax.jit(lambda a, b: sm.jensen_shannon(AGE, a, b))(*small)
    np.testing.assert_allclose(traced, due, rtol=1e-6)


def test_states_without_examples_are_nan():
    for pair in ((AGE.init(), of_shares(0, 1, 1, 1, 0)), (of_shares(0, 1, 1, 1, 0), AGE.init()), (AGE.init(),) * 2):
        assert np.isnan(sm.population_stability_index(AGE, *pair))
        assert np.isnan(sm.jensen_shannon(AGE, *pair))
        assert np.isnan(sm.kolmogorov_smirnov_distance(AGE, *pair)).all()


def test_invalid_examples_are_told_with_the_state_that_has_them():
    good, bad = AGE.tally([15.0]), AGE.tally([15.0, math.nan])
    for name in ("population_stability_index", "jensen_shannon", "kolmogorov_smirnov_distance"):
        drift = getattr(sm, name)
        for which, pair in (("current", (good, bad)), ("reference", (bad, good))):
            with refused(
                sm.InvalidExamples,
                f"{name}: {which}: 1 of 2 examples could not be counted, 1 with NaN value (in Histogram); "
                "compute(state, on_invalid='ignore') reads the others",
            ) as caught:
                drift(AGE, *pair)
            assert caught.value.counts == {"Histogram": {"NaN value": 1}}
            assert np.isnan(drift(AGE, *pair, on_invalid="nan")).all()
            assert (np.asarray(drift(AGE, *pair, on_invalid="ignore")) == 0).any()


def test_what_cannot_be_compared_is_refused():
    state = AGE.init()
    for name in ("population_stability_index", "jensen_shannon", "kolmogorov_smirnov_distance"):
        drift = getattr(sm, name)
        for metric in (sm.Mean("loss"), sm.OneVsOneAUROC(sm.Multiclass(3, "scores")), "age"):
            due = "has no histogram, but a Histogram, a Quantile or a metric of scores is due"
            with refused(TypeError, f"{name}: {metric!r} {due}"):
                drift(metric, state, state)
        other = sm.Histogram("age", (0, 1)).init()
        due = f"the state is of {other.statistic!r}, but must be of {AGE.statistic!r}"
        with refused(ValueError, f"{name}: current: {due}"):
            drift(AGE, state, other)
        with refused(ValueError, f"{name}: reference: {due}"):
            drift(AGE, other, state)
    for bins in (1, 2.5, True):
        for name in ("population_stability_index", "jensen_shannon"):
            with refused(ValueError, f"{name}: bins is {bins!r}, but must be a number of bins, 2 or more"):
                getattr(sm, name)(AGE, state, state, bins=bins)
    for least in (-0.1, 1.0, math.nan):
        with refused(
            ValueError, f"population_stability_index: least is {least}, but must be a share, from 0 to below 1"
        ):
            sm.population_stability_index(AGE, state, state, least=least)
