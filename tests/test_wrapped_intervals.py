"""Intervals and comparisons of wrapped metrics: of slices, of windows, and in pairs of replicates."""

import re
from typing import Any

import jax
import numpy as np
import pytest

import streammetrics as sm
from tests.catalogue import THREE

TASK = sm.Binary("labels")
RNG = np.random.default_rng(5)
ROWS = 900
TRUE = RNG.integers(0, 2, ROWS)
ONE = np.where(RNG.random(ROWS) < 0.85, TRUE, 1 - TRUE)
OTHER = np.where(RNG.random(ROWS) < 0.3, TRUE, ONE)  # mends some of its errors
GROUP, IDS = RNG.integers(0, 3, ROWS), RNG.permutation(ROWS)
ACCURACY = sm.Accuracy(TASK)
THREE_LABELS = sm.Multiclass(3, "labels")


@pytest.mark.parametrize("method", ["auto", "delta", "clopper-pearson"])
def test_the_intervals_of_slices_are_those_of_the_metric_on_their_rows(method: str) -> None:
    metric = sm.Sliced(ACCURACY, "group", 3)
    found = sm.interval(metric, metric.tally(ONE, TRUE, group=GROUP), method=method)
    for index in range(3):
        rows = index == GROUP
        alone = sm.interval(ACCURACY, ACCURACY.tally(ONE, TRUE, weights=rows), method=method)
        np.testing.assert_allclose([end[index] for end in found], alone, rtol=1e-5)


def test_a_sliced_collection_has_intervals_by_name_and_empty_slices_none() -> None:
    scored = sm.Binary("scores")
    metric = sm.Sliced(sm.Collection(right=sm.Accuracy(scored), auroc=sm.AUROC(scored, bins=64)), "group", 4)
    scores = (ONE + RNG.normal(size=ROWS)).astype(np.float32)
    found = sm.interval(metric, metric.tally(predictions=scores, targets=TRUE, group=GROUP))
    assert list(found) == ["right", "auroc"]
    for each in found.values():
        assert np.isnan(each.low).tolist() == [False, False, False, True]


def test_windows_and_outputs_have_intervals() -> None:
    window = sm.Windowed(ACCURACY, 2)
    state = sm.merge(window.tally(1 - TRUE, TRUE, step=0), window.tally(ONE, TRUE, step=5))
    np.testing.assert_allclose(sm.interval(window, state), sm.interval(ACCURACY, ACCURACY.tally(ONE, TRUE)), rtol=1e-6)
    heads = sm.PerOutput(ACCURACY, ("a", "b"))
    both = heads.tally(np.stack([ONE, OTHER], 1), np.stack([TRUE, TRUE], 1))
    np.testing.assert_allclose(
        sm.interval(heads, both).low[1], sm.interval(ACCURACY, ACCURACY.tally(OTHER, TRUE)).low, rtol=1e-6
    )


def test_a_bootstrapped_metric_has_its_interval_at_any_level() -> None:
    metric = sm.Bootstrapped(ACCURACY, 100, level=0.5)
    state = metric.tally(ONE, TRUE, ids=IDS)
    value, error, _, _ = metric.compute(state)
    low, middle, high = sm.interval(metric, state, level=0.99)
    np.testing.assert_allclose([low, middle, high], value + np.array([-2.5758, 0, 2.5758]) * error, rtol=1e-5)
    sliced = sm.Bootstrapped(sm.Gap(sm.Sliced(ACCURACY, "group", 3)), 100)
    found = sm.interval(sliced, sliced.tally(ONE, TRUE, ids=IDS, group=GROUP))
    assert found.low["difference"] < found.value["difference"] < found.high["difference"]


def test_where_all_replicates_are_one_there_is_no_interval() -> None:
    metric = sm.Bootstrapped(ACCURACY, 20)
    state = metric.tally(TRUE, TRUE, ids=IDS)
    with pytest.raises(ValueError, match=r"is 1\.0 in every replicate, which does not tell how far others may lie"):
        sm.interval(metric, state)
    few = metric.tally(ONE[:9], TRUE[:9], ids=IDS[:9])
    with pytest.raises(ValueError, match="has 9 examples, but at least 10 are due"):
        sm.interval(metric, few)
    assert np.isnan(jax.jit(lambda state: sm.interval(metric, state))(state).low)


def test_two_models_on_the_same_examples_are_compared_in_pairs_in_any_order() -> None:
    metric = sm.Bootstrapped(sm.Collection(right=ACCURACY, f1=sm.F1(TASK)), 400)
    one = metric.tally(predictions=ONE, targets=TRUE, ids=IDS)
    order = RNG.permutation(ROWS)
    other = metric.tally(predictions=OTHER[order], targets=TRUE[order], ids=IDS[order])
    found = sm.compare(metric, one, other)["right"]
    gain = (OTHER == TRUE).astype(float) - (ONE == TRUE)
    np.testing.assert_allclose(found.difference, gain.mean(), rtol=1e-4)
    error = gain.std(ddof=1) / np.sqrt(ROWS)
    reach = float(found.high - found.difference)
    np.testing.assert_allclose(reach, 1.96 * error, rtol=0.12)
    np.testing.assert_allclose(found.difference - found.low, reach, rtol=1e-4)
    assert found.p_value < 1e-4
    inner = sm.Collection(right=ACCURACY, f1=sm.F1(TASK))
    apart = sm.compare(inner, sm.total(one), sm.total(other))["right"]
    assert apart.high - apart.low > 2 * (found.high - found.low)  # what pairs gain
    same = sm.compare(metric, one, one)["f1"]
    assert [float(each) for each in same] == [0, 0, 0, 1]


def test_pairs_that_tell_nothing_are_refused() -> None:
    metric, ones = sm.Bootstrapped(ACCURACY, 20), np.ones(50, int)
    right, wrong = (metric.tally(predictions, ones, ids=IDS[:50]) for predictions in (ones, 0 * ones))
    message = f"compare: {metric!r} differs by -1.0 in every replicate, which does not tell how far others may lie"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sm.compare(metric, right, wrong)
    few = metric.tally(ONE[:9], TRUE[:9], ids=IDS[:9])
    for state, count in ((few, 9), (metric.init(), 0)):
        with pytest.raises(ValueError, match=f"has {count} examples, but at least 10 are due$"):
            sm.compare(metric, state, state)
    traced = jax.jit(lambda a, b: sm.compare(metric, a, b))(right, wrong)
    assert np.isnan(traced).tolist() == [False, True, True, True]
    assert np.isnan(jax.jit(lambda b: sm.compare(metric, right, b))(wrong).low)
    sliced = sm.Bootstrapped(sm.Sliced(ACCURACY, "group", 2), 20)
    a, b = (sliced.tally(each[:60], TRUE[:60], ids=IDS[:60], group=np.arange(60) < 5) for each in (ONE, OTHER))
    found = sm.compare(sliced, a, b)
    assert np.isnan([found.low, found.p_value]).tolist() == [[False, True], [False, True]]


def test_counts_are_compared_in_pairs_as_numbers_with_a_sign() -> None:
    metric = sm.Bootstrapped(sm.ConfusionMatrix(TASK), 100)
    a, b = (metric.tally(each, TRUE, ids=IDS) for each in (ONE, OTHER))
    found = sm.compare(metric, a, b)
    due = np.asarray(metric.metric(OTHER, TRUE)).astype(int) - np.asarray(metric.metric(ONE, TRUE)).astype(int)
    np.testing.assert_array_equal(found.difference, due)
    assert (due < 0).any()
    assert (np.asarray(found.low) < due).all()
    assert (due < np.asarray(found.high)).all()


def test_what_could_not_be_counted_spoils_its_own_slice_in_pairs() -> None:
    metric = sm.Bootstrapped(sm.Sliced(ACCURACY, "group", 3), 20)
    true = np.where((GROUP == 1) & (IDS % 50 == 0), 7, TRUE)
    a, b = (metric.tally(each, true, ids=IDS, group=GROUP) for each in (ONE, OTHER))
    found = sm.compare(metric, a, b, on_invalid="nan")
    assert np.isnan(found).tolist() == [[False, True, False]] * 4


def test_a_gap_per_class_is_of_all_slices_where_these_are_as_many() -> None:
    gap = sm.Gap(sm.Sliced(sm.Recall(THREE_LABELS, average=None), "group", 3))
    classes = RNG.integers(0, 3, ROWS)
    batch = {"predictions": np.where(RNG.random(ROWS) < 0.8, classes, (classes + 1) % 3), "targets": classes}
    spoilt = gap.tally(**batch | {"targets": np.where(IDS == 4, 7, classes)}, group=GROUP)
    assert np.isnan(gap.compute(spoilt, "nan")["difference"]).all()
    resampled = sm.Bootstrapped(gap, 50)
    two = sm.interval(resampled, resampled.tally(**batch, ids=IDS, group=np.minimum(GROUP, 1)))  # none in slice 2
    assert not np.isnan(two.low["difference"]).any()
    outputs = sm.Gap(sm.Sliced(sm.PerOutput(ACCURACY, ("a", "b", "c")), "group", 3))
    true = np.stack([TRUE, TRUE, np.where(IDS == 4, 7, TRUE)], 1)
    found = outputs.compute(outputs.tally(np.stack([ONE] * 3, 1), true, group=GROUP), "nan")
    assert np.isnan(found["difference"]).tolist() == [False, False, True]


def test_pairs_in_slices_and_in_windows() -> None:
    metric = sm.Windowed(sm.Bootstrapped(sm.Sliced(ACCURACY, "group", 3), 100), 2)
    one, other = (metric.tally(each, TRUE, ids=IDS, group=GROUP, step=3) for each in (ONE, OTHER))
    found = sm.compare(metric, one, other)
    gain = (OTHER == TRUE).astype(float) - (ONE == TRUE)
    np.testing.assert_allclose(found.difference, [gain[i == GROUP].mean() for i in range(3)], rtol=1e-4)
    percentile = sm.Bootstrapped(ACCURACY, 400, method="percentile")
    one, other = (percentile.tally(each, TRUE, ids=IDS) for each in (ONE, OTHER))
    found = sm.compare(percentile, one, other, level=0.9)
    assert 0 < found.low < found.difference < found.high


def test_pairs_of_different_examples_are_refused() -> None:
    metric = sm.Bootstrapped(ACCURACY, 20)
    one, other = metric.tally(ONE, TRUE, ids=IDS), metric.tally(ONE, TRUE, ids=IDS + 1)
    message = r"of their ids, so that they are not of the same examples and cannot be paired; compare the metric inside"
    with pytest.raises(ValueError, match=message):
        sm.compare(metric, one, other)
    missing = metric.tally(ONE, TRUE, ids=IDS, weights=np.arange(ROWS) > 0)
    with pytest.raises(ValueError, match=message):
        sm.compare(metric, one, missing)
    traced = jax.jit(lambda a, b: sm.compare(metric, a, b))(one, other)
    assert np.isnan(traced).all()


DECAYED = sm.Decayed(ACCURACY, 2)
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: sm.interval(DECAYED, DECAYED.init()), TypeError,
     f"interval: {DECAYED!r} has sums that decayed, which are no numbers of examples"),
    (lambda: sm.compare(sm.Collection(a=DECAYED), DECAYED.init(), DECAYED.init()), TypeError,
     f"compare: a={DECAYED!r} has sums that decayed, which are no numbers of examples"),
    (lambda: sm.interval(sm.Bootstrapped(ACCURACY), sm.Bootstrapped(ACCURACY).init(), method="wilson"), ValueError,
     f"interval: method is 'wilson', but {sm.Bootstrapped(ACCURACY)!r} has 'auto', its own"),
    (lambda: sm.interval(sm.Gap(sm.Sliced(ACCURACY, "g", 2)), sm.Sliced(ACCURACY, "g", 2).init()), TypeError,
     f"interval: the counts of {sm.Gap(sm.Sliced(ACCURACY, 'g', 2))!r} do not tell how its value varies; Bootstrapped "
     "does"),
    (lambda: sm.interval(sm.Sliced(ACCURACY, "g", 2), sm.Sliced(ACCURACY, "g", 2).tally(
        ONE, TRUE, g=ONE, weights=np.full(ROWS, 2))), ValueError,
     f"interval: {sm.Sliced(ACCURACY, 'g', 2)!r} counted 900 of 1,800 examples that do not stand for a row of their "
     "own (weights other than 1, or several elements of one row), so that an interval would be too narrow; "
     "Bootstrapped with the rows as its cluster has one"),
    (lambda: sm.interval(sm.Accuracy(THREE), sm.Accuracy(THREE).tally(np.zeros((4, 5, 3)), np.zeros((4, 5), int))),
     ValueError,
     f"interval: {sm.Accuracy(THREE)!r} counted 20 of 20 examples that do not stand for a row of their own (weights "
     "other than 1, or several elements of one row), so that an interval would be too narrow; Bootstrapped with the "
     "rows as its cluster has one"),
    (lambda: sm.compare(sm.Bootstrapped(ACCURACY), sm.Bootstrapped(ACCURACY).init(), ACCURACY.init()), ValueError,
     f"{sm.Bootstrapped(ACCURACY)!r}: the state is of"),
    (lambda: sm.compare(sm.Bootstrapped(ACCURACY), sm.Bootstrapped(ACCURACY).init(),
                        sm.Bootstrapped(ACCURACY).init(), level=2), ValueError,
     "compare: level is 2, but must be above 0 and below 1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_where_there_is_none_it_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        make()
