"""`Bootstrapped`: the same replicates on any device and in any order, and standard errors that are right."""

import re
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

import streammetrics as sm
from streammetrics.wrappers._bootstrapped import digits
from tests.catalogue import THREE
from tests.support import assert_same

RNG = np.random.default_rng(7)
ROWS = 240
BATCH = {
    "predictions": RNG.normal(size=(ROWS, 3)).astype(np.float32),
    "targets": RNG.integers(0, 3, ROWS).astype(np.int32),
    "ids": RNG.permutation(ROWS).astype(np.int32),
}
METRIC = sm.Bootstrapped(sm.Collection(f1=sm.F1(THREE), recall=sm.Recall(THREE)), 70)
STATE = METRIC.tally(**BATCH)


def test_replicates_are_the_same_bits_over_1_2_and_8_devices_and_in_3_orders() -> None:
    for seed, devices in enumerate((1, 2, 8)):
        order = np.random.default_rng(seed).permutation(ROWS)
        sharded = sm.Sharded(METRIC, jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices]))
        state = sharded.init()
        for part in np.split(order, 3):
            state = sharded.update(state, **{name: each[part] for name, each in BATCH.items()})
        assert_same(jax.device_get(sharded.merged(state)), STATE, exact=True)


def test_every_replicate_is_the_metric_of_the_examples_twice_that_a_bit_chooses() -> None:
    """The bits are found again from a count of each example by itself."""
    alone = sm.Bootstrapped(sm.Sliced(sm.Sum("one"), "ids", ROWS), 70)
    rows = {"one": np.ones(ROWS, np.float32), "ids": BATCH["ids"]}
    _, replicates = alone.replicated(_counts(alone, alone.tally(**rows)))
    assert set(np.unique(replicates)) == {0, 2}
    _, found = _part(METRIC, "f1").replicated(_counts(_part(METRIC, "f1"), STATE))
    for index in (0, 1, 31, 32, 63, 64, 69):
        weights = np.asarray(replicates)[index][BATCH["ids"]].astype(np.int32)
        due = sm.F1(THREE)(BATCH["predictions"], BATCH["targets"], weights=weights)
        np.testing.assert_allclose(found[index], due, rtol=1e-6)


def test_replicates_of_two_words_compile_at_once() -> None:
    """XLA made 2^20 steps of the 20 rounds of a hash; in a process of its own, which can be ended."""
    code = """if True:
        import jax, numpy as np, streammetrics as sm
        metric = sm.Bootstrapped(sm.Sliced(sm.Accuracy(sm.Multiclass(3, "labels")), "g", 3), 50)
        batch = {name: np.zeros(600, np.int32) for name in metric.reads}
        jax.jit(metric.tally).lower(**batch).compile()
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_bits_are_fair_and_independent() -> None:
    ids, replicates = np.arange(2000), 128
    metric = sm.Bootstrapped(sm.Sliced(sm.Sum("one"), "ids", 2000), replicates)
    _, weights = metric.replicated(_counts(metric, metric.tally(one=np.ones(2000, np.float32), ids=ids)))
    bits = np.asarray(weights) / 2
    assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)
    correlations = np.asarray(np.corrcoef(bits))[np.triu_indices(replicates, 1)]
    assert np.abs(correlations).max() < 5.5 / np.sqrt(2000)  # of 8,128 pairs
    between_ids = np.asarray(np.corrcoef(bits[:, :300].T))[np.triu_indices(300, 1)]
    assert abs(between_ids.std() * np.sqrt(replicates) - 1) < 0.05


def test_standard_errors_and_intervals_of_a_mean() -> None:
    rows = 4000
    values = RNG.exponential(size=rows).astype(np.float32)
    due = values.std(ddof=1) / np.sqrt(rows)
    metric = sm.Bootstrapped(sm.Mean("loss"), 800, level=0.9)
    state = metric.tally(loss=values, ids=np.arange(rows))
    found = metric.compute(state)
    np.testing.assert_allclose(found.value, values.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.standard_error, due, rtol=4 / np.sqrt(2 * 800))
    np.testing.assert_allclose(
        [found.low, found.high], found.value + np.array([-1.6449, 1.6449]) * found.standard_error, rtol=1e-5
    )
    middle = sm.Bootstrapped(sm.Mean("loss"), 800, level=0.9, method="percentile").compute(state)
    np.testing.assert_allclose([middle.low, middle.high], [found.low, found.high], atol=0.35 * float(due))


@pytest.mark.parametrize(("replicates", "level"), [(400, 0.95), (400, 0.975), (1000, 0.99), (4000, 0.9975)])
def test_five_replicates_beyond_each_end_are_enough(replicates: int, level: float) -> None:
    assert sm.Bootstrapped(sm.Mean("loss"), replicates, level, method="percentile").replicates == replicates


def test_the_ids_alone_decide() -> None:
    ids = np.array([5, -7, 2**31 - 1, 0] * 10)
    loss = np.arange(40, dtype=np.float32)
    metric = sm.Bootstrapped(sm.Sum("loss"), 8)
    state = metric.tally(loss=loss, ids=ids)
    high = np.where(ids < 0, 2**32 - 1, 0).astype(np.uint32)
    pairs = np.stack([ids.astype(np.int64).astype(np.uint32), high], -1)
    for same in (ids.astype(np.int64), ids.astype(np.int32), pairs, ids.tolist()):
        assert_same(metric.tally(loss=loss, ids=same), state, exact=True)
    wide = ids.astype(np.int64) + (1 << 40)
    other = metric.tally(loss=loss, ids=wide)
    pairs = np.stack([wide.astype(np.uint32), (wide >> 32).astype(np.uint32)], -1)
    assert_same(metric.tally(loss=loss, ids=pairs), other, exact=True)
    assert (np.asarray(other.data["ids"]) != np.asarray(state.data["ids"])).any()
    seeded = sm.Bootstrapped(sm.Sum("loss"), 8, seed=1)
    assert (np.asarray(seeded.tally(loss=loss, ids=ids).data["sum_loss"]) != np.asarray(state.data["sum_loss"])).any()


def test_the_checksum_is_the_sum_of_the_hashes_of_the_ids() -> None:
    state = sm.Bootstrapped(sm.Sum("loss"), 8).tally(loss=[1.0, 1.0], ids=[3, 4], weights=[2, 1])
    apart = [sm.Bootstrapped(sm.Sum("loss"), 8).tally(loss=[1.0], ids=[i]).data["ids"] for i in (3, 4)]
    assert (np.asarray(state.data["ids"])[0] == np.asarray(apart[0])[0] + np.asarray(apart[1])[0]).all()  # of rows
    low, high = np.uint32(0x12345678), np.uint32(0x9ABCDEF0)
    assert np.asarray(digits(low, high)).tolist() == [0x5678, 0x1234, 0xDEF0, 0x9ABC]  # pyright: ignore[reportArgumentType]


def test_groups_are_resampled_together() -> None:
    users, each = 100, 20
    effect = RNG.normal(size=users).astype(np.float32)
    effect -= effect.mean()
    user = np.repeat(np.arange(users), each)
    loss = effect[user] + 0.1 * RNG.normal(size=users * each).astype(np.float32)
    grouped = sm.Bootstrapped(sm.Sum("loss"), 300, cluster="user")(loss=loss, user=user)
    apart = sm.Bootstrapped(sm.Sum("loss"), 300)(loss=loss, ids=np.arange(len(loss)))
    due = loss.reshape(users, each).sum(1).std(ddof=1) * np.sqrt(users)  # of the sums about their mean
    np.testing.assert_allclose(grouped.standard_error, due, rtol=0.2)
    assert apart.standard_error < 0.35 * grouped.standard_error
    # An id for a row of tokens is the same: all tokens of a row go together.
    rows = sm.Bootstrapped(sm.Sum("loss"), 300)(loss=loss.reshape(users, each), ids=np.arange(users))
    np.testing.assert_allclose(rows.standard_error, grouped.standard_error, rtol=1e-4)


def test_slices_and_gaps_have_errors_and_what_is_hidden_has_none() -> None:
    group = RNG.integers(0, 3, ROWS)
    metric = sm.Bootstrapped(sm.Sliced(sm.Accuracy(THREE), "group", 4, min_examples=5), 100)
    batch = {name: BATCH[name] for name in ("predictions", "targets", "ids")}
    found = metric(**batch, group=group)
    right = BATCH["predictions"].argmax(-1) == BATCH["targets"]
    for index in range(3):
        rows = right[group == index]
        np.testing.assert_allclose(found.value[index], rows.mean(), rtol=1e-6)
        np.testing.assert_allclose(found.standard_error[index], rows.std() / np.sqrt(len(rows)), rtol=0.3)
    assert np.isnan([each[3] for each in found]).all()
    gap = sm.Bootstrapped(sm.Gap(sm.Sliced(sm.Accuracy(THREE), "group", 3)), 100)(**batch, group=group)
    np.testing.assert_allclose(gap.value["difference"], np.ptp(found.value[:3]), rtol=1e-6)
    assert (gap.standard_error["difference"] > 0).all()
    few = np.where(np.arange(ROWS) < 3, 3, group)
    hidden = metric(**batch, group=few)
    assert np.isnan([each[3] for each in hidden]).all()


def test_counts_are_resampled_as_counts() -> None:
    found = sm.Bootstrapped(sm.ConfusionMatrix(THREE), 50)(BATCH["predictions"], BATCH["targets"], ids=BATCH["ids"])
    assert isinstance(found.value, sm.UInt64)
    assert found.standard_error.shape == (3, 3)
    np.testing.assert_allclose(np.asarray(found.low + found.high) / 2, np.asarray(found.value), rtol=1e-5)


def _part(metric: sm.Bootstrapped, name: str) -> Any:
    return dict(metric.parts)[name]


def _counts(metric: sm.Metric, state: sm.State) -> Any:
    """What the statistic of a single metric has counted, decoded."""
    from streammetrics._state import part

    state = part(state, metric.statistic)
    known = metric.statistic.accumulators
    return {name: known[name].decode(state.data[name]) for name in known}


PERCENTILE = sm.Bootstrapped(sm.Mean("loss"), 400, method="percentile")
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: sm.Bootstrapped(sm.Mean("loss"), 1), ValueError,
     "Bootstrapped: replicates is 1, but must be 2 or more with method='normal'"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), 399, method="percentile"), ValueError,
     "Bootstrapped: replicates is 399, but must be 400 or more with method='percentile'"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), 999, level=0.99, method="percentile"), ValueError,
     "Bootstrapped: replicates is 999, but must be 1,000 or more with method='percentile' and level=0.99"),
    (lambda: sm.interval(PERCENTILE, PERCENTILE.init(), level=0.9999), ValueError,
     "Bootstrapped: replicates is 400, but must be 100,000 or more with method='percentile' and level=0.9999"),
    (lambda: sm.Bootstrapped(sm.Maximum("loss")), TypeError,
     "Bootstrapped: Maximum(entry='loss') is read off extreme or distinct values, of which replicates, that have half "
     "of the examples twice, do not tell how they vary"),
    (lambda: sm.Bootstrapped(sm.Sliced(sm.DistinctCount("loss"), "g", 2)), TypeError,
     "Bootstrapped: Sliced(metric=DistinctCount(entry='loss'), by='g', num_slices=2) is read off extreme or distinct"),
    (lambda: sm.Bootstrapped(sm.AUROC(sm.Binary("logits")), 10**5), ValueError,
     "Bootstrapped: a state of 100,000 replicates would take 6.1 GiB, but at most 1 GiB is allowed; declare fewer "
     "replicates, or fewer bins="),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), cluster="user")(loss=[1.0, 2.0], user=["a", "b"]), TypeError,
     "Bootstrapped(metric=Mean(entry='loss'), cluster='user'): user has dtype <U1, but must be boolean, integer or"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), method="bca"), ValueError,
     "Bootstrapped: method is 'bca', but must be 'normal' or 'percentile'"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), level=95), ValueError,
     "Bootstrapped: level is 95.0, but must be above 0 and below 1"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"), seed=-1), ValueError,
     "Bootstrapped: seed is -1, but must be from 0 to 2^32 − 1"),
    (lambda: sm.Bootstrapped(sm.Bootstrapped(sm.Mean("loss"))), TypeError,
     "Bootstrapped: Bootstrapped stands inside, but must not; from the outside in the order is Windowed or Decayed, "
     "Bootstrapped, Sliced, PerOutput"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"))(loss=[1.0], ids=[0.5]), TypeError,
     "Bootstrapped(metric=Mean(entry='loss')): ids has dtype float32, but must be integers"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"))(loss=[1.0, 2.0], ids=[1]), ValueError,
     "Bootstrapped(metric=Mean(entry='loss')): ids has shape (1,), but the examples have shape (2,)"),
    (lambda: sm.Bootstrapped(sm.Mean("loss"))(loss=[1.0]), TypeError,
     "Bootstrapped(metric=Mean(entry='loss')): ids did not come; it reads loss and ids (and weights, optional)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_makes_no_sense_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        make()
