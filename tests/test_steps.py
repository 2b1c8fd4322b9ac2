"""`Windowed` and `Decayed`: what they read of steps in any order, against the same written in numpy."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from tests.catalogue import THREE
from tests.support import assert_same

MEAN, EXACT = sm.Mean("loss"), sm.Sum("loss", exact=True)
RNG = np.random.default_rng(3)
LOSS = RNG.integers(-99, 99, 80).astype(np.float32)  # whole, so that sums are exact
STEP = RNG.integers(0, 12, 80)


@pytest.mark.parametrize("size", [1, 3, 5, 12, 100])
def test_a_window_holds_the_examples_of_the_last_steps_however_they_come(size: int) -> None:
    metric = sm.Windowed(sm.Sum("loss"), size)
    kept = STEP.max() - size < STEP
    rowwise = metric.tally(loss=LOSS, step=STEP)
    np.testing.assert_allclose(metric.compute(rowwise), LOSS[kept].astype(np.float64).sum(), rtol=1e-6)
    assert int(rowwise.examples) == kept.sum()
    for order in (np.arange(12), np.arange(12)[::-1], RNG.permutation(12)):
        state = metric.init()
        for step in order:
            state = metric.update(state, loss=LOSS, weights=step == STEP, step=int(step))
        assert_same(state, rowwise, exact=True)
    halves = [metric.tally(loss=LOSS[part], step=STEP[part]) for part in (slice(40), slice(40, None))]
    assert_same(sm.merge(*halves), rowwise, exact=True)
    assert_same(sm.merge(*halves[::-1]), rowwise, exact=True)


def test_gaps_between_steps_empty_a_window() -> None:
    metric = sm.Windowed(MEAN, 3)
    state = metric.init()
    assert np.isnan(metric.compute(state))
    for step, loss, due in ((0, 1.0, 1.0), (1, 3.0, 2.0), (7, 9.0, 9.0), (6, 5.0, 7.0), (2, 99.0, 7.0), (9, 1.0, 5.0)):
        state = metric.update(state, loss=[loss], step=step)
        assert float(metric.compute(state)) == due
    assert float(MEAN.compute(sm.total(state))) == 5.0


def test_what_could_not_be_counted_is_forgotten_with_its_step() -> None:
    metric = sm.Windowed(MEAN, 2)
    state = metric.tally(loss=[np.nan, 1.0], step=0)
    with pytest.raises(sm.InvalidExamples, match="1 of 2 examples could not be counted"):
        metric.compute(state)
    assert int(state.invalid["NaN value"]) == 1
    state = metric.update(state, loss=[4.0], step=5)
    assert float(metric.compute(state)) == 4
    assert int(state.invalid["NaN value"]) == 0


def test_absent_rows_do_not_move_the_window() -> None:
    metric = sm.Windowed(MEAN, 2)
    state = metric.tally(loss=[1.0], step=0)
    for step, weights in ((9, [0]), (np.array([9]), [0])):
        assert_same(metric.update(state, loss=[5.0], weights=weights, step=step), state, exact=True)
    assert_same(metric.update(state, loss=np.zeros(0, np.float32), step=9), state, exact=True)
    assert_same(metric.tally(loss=[1.0, 2.0], weights=[1, 0], step=[0, 9]), state, exact=True)


@pytest.mark.parametrize("dtype", [int, np.int8, np.uint32, jnp.int32])
@pytest.mark.parametrize("x64", [False, True])
def test_steps_are_the_same_in_any_dtype(dtype: Any, x64: bool) -> None:
    window, decay = sm.Windowed(MEAN, 2), sm.Decayed(MEAN, 1.0)
    states = [metric.tally(loss=[4.0], step=3) for metric in (window, decay)]
    with jax.enable_x64(x64):
        for metric, due in zip((window, decay), states, strict=True):
            assert_same(metric.tally(loss=[4.0], step=dtype(3)), due, exact=True)
            assert_same(metric.update(metric.init(), loss=[4.0], step=dtype(3)), due, exact=True)
            assert_same(metric.tally(loss=[4.0], step=jnp.stack([jnp.asarray(dtype(3))])), due, exact=True)
        state = decay.update(decay.tally(loss=[0.0], step=dtype(0)), loss=[1.0], step=dtype(100))
        assert float(decay.compute(state)) == 1.0
        scanned, _ = jax.lax.scan(
            lambda state, step: (window.update(state, loss=step[None].astype(jnp.float32), step=step), None),
            window.init(),
            jnp.stack([jnp.asarray(dtype(i)) for i in range(5)]),
        )
        assert float(window.compute(scanned)) == 3.5


def test_steps_that_cannot_be_are_counted_and_never_forgotten() -> None:
    last, first = 2**31 - 2, np.uint32(3_000_000_000)
    for metric in (sm.Windowed(MEAN, 2), sm.Decayed(MEAN, 2.0)):
        good = metric.tally(loss=[1.0], step=1000)
        found = metric.update(good, loss=[5.0], step=-1)
        assert int(found.invalid["negative step"]) == 1
        assert_same(sm.merge(metric.tally(loss=[5.0], step=-1), good), found, exact=True)
        assert_same(metric.tally(loss=[1.0, 5.0], step=[1000, -1]), found, exact=True)
        found = metric.update(found, loss=[5.0, 6.0], step=[last, last])
        assert int(found.invalid["negative step"]) == 1
        with pytest.raises(sm.InvalidExamples, match=r"1 of . examples could not be counted, 1 with negative step"):
            metric.compute(found)
        for step in (first, np.array([first]), np.uint32(last + 1)):
            assert int(metric.tally(loss=[1.0], step=step).invalid["step above 2,147,483,646"]) == 1
        assert float(metric(loss=[1.0], step=last)) == 1
    with jax.enable_x64(True):
        assert int(sm.Windowed(MEAN, 2).tally(loss=[1.0], step=10**12).invalid["step above 2,147,483,646"]) == 1


@pytest.mark.parametrize("seed", range(3))
def test_any_tree_of_good_steps_and_bad_ones_gives_the_same_state(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = sm.Windowed(sm.Bootstrapped(sm.Sliced(EXACT, "group", 2), 3), 3)
    batch = {"loss": LOSS, "step": STEP - 3, "group": rng.integers(0, 2, 80), "ids": np.arange(80)}
    whole, order = metric.tally(**batch), rng.permutation(80)
    assert int(whole.invalid["negative step"]) == (STEP < 3).sum()
    parts = [metric.tally(**{name: each[rows] for name, each in batch.items()}) for rows in np.split(order, 4)]
    assert_same(sm.merge(sm.merge(*parts[:2]), sm.merge(*parts[2:])), whole, exact=True)
    assert_same(sm.merge(*parts[::-1]), whole, exact=True)
    state = metric.init()
    for step in rng.permutation(np.unique(batch["step"])):
        rows = batch["step"] == step
        state = metric.update(state, **{name: each[rows] for name, each in batch.items()} | {"step": int(step)})
    assert_same(state, whole, exact=True)


def test_slices_and_replicates_in_a_window_by_rows_and_by_batches() -> None:
    inner = sm.Bootstrapped(sm.Sliced(sm.Accuracy(THREE), "group", 2), 6)
    metric = sm.Windowed(inner, 3)
    rng, rows = np.random.default_rng(0), 40
    batch = {
        "predictions": rng.normal(size=(rows, 3)).astype(np.float32),
        "targets": rng.integers(0, 3, rows),
        "group": rng.integers(0, 2, rows),
        "ids": np.arange(rows),
    }
    step = rng.integers(0, 4, rows)
    rowwise = metric.tally(**batch, step=step)
    stepwise = sm.merge(
        *(metric.tally(**{name: each[step == s] for name, each in batch.items()}, step=int(s)) for s in range(4))
    )
    assert_same(rowwise, stepwise, exact=True)
    kept = {name: each[step > 0] for name, each in batch.items()}
    assert_same(sm.total(rowwise), inner.tally(**kept))
    value, due = metric.compute(rowwise), inner(**kept)
    np.testing.assert_array_equal(value.value, due.value)
    np.testing.assert_array_equal(value.standard_error, due.standard_error)


def test_a_long_window_costs_no_more_to_update_than_a_short_one() -> None:
    auroc = sm.AUROC(sm.Binary("logits"), bins=64)

    def step_of(size: int) -> tuple[float, Any]:
        """The bytes that a donated update reads and writes, and its memory."""
        metric = sm.Windowed(auroc, size)
        update = jax.jit(metric.update, donate_argnums=0).lower(
            metric.init(), predictions=jnp.zeros(8), targets=jnp.zeros(8, jnp.int32), step=jnp.int32(0)
        )
        compiled = update.compile()
        return dict(compiled.cost_analysis() or {})["bytes accessed"], compiled.memory_analysis()

    (short, one), (long, other) = step_of(2), step_of(2000)
    state = sum(each.nbytes for each in jax.tree.leaves(sm.Windowed(auroc, 2000).init()))
    assert other.alias_size_in_bytes >= state  # the donated arrays are written in place
    assert other.temp_size_in_bytes <= 1.1 * one.temp_size_in_bytes
    assert long < 3 * short or long < state / 50


@pytest.mark.parametrize("half_life", [0.5, 3.0, 100.0])
def test_decay_halves_weights_by_half_life(half_life: float) -> None:
    metric = sm.Decayed(sm.Collection(mean=MEAN, sum=sm.Sum("loss"), std=sm.Std("loss")), half_life)
    weight = 2.0 ** -((STEP.max() - STEP) / half_life)
    mean = (weight * LOSS).sum() / weight.sum()
    due = {
        "mean": mean,
        "sum": (weight * LOSS).sum(),
        "std": np.sqrt((weight * (LOSS - mean) ** 2).sum() / weight.sum()),
    }
    state = metric.tally(loss=LOSS, step=STEP)
    stepwise = sm.merge(*(metric.tally(loss=LOSS, weights=step == STEP, step=step) for step in reversed(range(12))))
    for found in (metric.compute(state), metric.compute(stepwise)):
        for name, value in due.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-6)


def test_decayed_counts_are_weighted_metrics() -> None:
    scores, true, step = RNG.normal(size=(50, 3)).astype(np.float32), RNG.integers(0, 3, 50), RNG.integers(0, 9, 50)
    weighted = sm.Multiclass(3, "logits", weighted=True)
    for metric, other in (
        (sm.F1(THREE), sm.F1(weighted)),
        (sm.ConfusionMatrix(THREE), sm.ConfusionMatrix(weighted)),
        (sm.AUROC(THREE, bins=64, class_id=0), sm.AUROC(weighted, bins=64, class_id=0)),
    ):
        decayed = sm.Decayed(metric, 4.0)
        value = decayed(scores, true, step=step)
        due = other(scores, true, weights=2.0 ** -((step.max() - step) / 4.0))
        np.testing.assert_allclose(value, due, rtol=1e-5)


def test_much_time_leaves_nothing_of_what_was_before() -> None:
    metric = sm.Decayed(sm.Collection(mean=MEAN, sum=sm.Sum("loss")), 1.0)
    state = metric.update(metric.tally(loss=[1e30], step=0), loss=[2.0], step=2**31 - 2)
    assert sm.plain(metric.compute(state)) == {"mean": 2.0, "sum": 2.0}


def test_steps_shard_and_scan() -> None:
    metric = sm.Collection(window=sm.Windowed(EXACT, 4), decay=sm.Decayed(sm.Sum("loss"), 2.0))
    mesh = jax.make_mesh((8,), ("data",))
    sharded, state = sm.Sharded(metric, mesh), None
    for step in range(6):
        batch = {"loss": LOSS[step * 11 : step * 11 + 11], "step": step}
        state = sharded.update(sharded.init() if state is None else state, **batch)
    assert state is not None
    alone = sm.merge(*(metric.tally(loss=LOSS[s * 11 : s * 11 + 11], step=s) for s in range(6)))
    assert_same(jax.device_get(sharded.merged(state)), alone)
    scanned, _ = jax.lax.scan(
        lambda state, row: (metric.update(state, loss=row[0], step=row[1]), None),
        metric.init(),
        (LOSS[:66].reshape(6, 11), np.arange(6, dtype=np.int32)),
    )
    assert_same(scanned, alone)
    accumulated = sm.accumulate(metric, ({"loss": LOSS[s * 11 : s * 11 + 11], "step": s} for s in range(6)))
    assert_same(accumulated, alone)


W = "Windowed(metric=Mean(entry='loss'), size=2)"
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: sm.Windowed(MEAN, 0), ValueError, "Windowed: size is 0, but must be a number of steps above 0"),
    (lambda: sm.Windowed(sm.AUROC(sm.Binary("logits")), 10**5), ValueError,
     "Windowed: a state of 100,000 steps would take 6.1 GiB, but at most 1 GiB is allowed; declare fewer steps, or "
     "fewer bins="),
    (lambda: sm.total(sm.Windowed(MEAN, 2).tally(loss=[1.0], step=-1)), ValueError,
     "total: 1 examples are of unknown slices or steps, so that the total lacks them"),
    (lambda: sm.Decayed(MEAN, 0), ValueError, "Decayed: half_life is 0.0, but must be a number of steps above 0"),
    (lambda: sm.Windowed(sm.Windowed(MEAN, 2), 2), TypeError,
     "Windowed: Windowed stands inside, but must not; from the outside in the order is Windowed or Decayed, "
     "Bootstrapped, Sliced, PerOutput"),
    (lambda: sm.Decayed(sm.Bootstrapped(MEAN), 2), TypeError,
     "Decayed: Bootstrapped stands inside, but must not; from the outside in the order is Windowed or Decayed, "
     "Bootstrapped, Sliced, PerOutput"),
    (lambda: sm.Decayed(sm.Maximum("loss"), 2), TypeError,
     "Decayed: Maximum(entry='loss') holds Maximum and Minimum, but only sums and moments decay"),
    (lambda: sm.Decayed(sm.DistinctCount("loss"), 2), TypeError,
     "Decayed: DistinctCount(entry='loss') holds Maximum, but only sums and moments decay"),
    (lambda: sm.Decayed(EXACT, 2), TypeError,
     "Decayed: Sum(entry='loss', exact=True) holds ExactSum, but only sums and moments decay"),
    (lambda: sm.Windowed(MEAN, 2)(loss=[1.0], step=0.5), TypeError,
     f"{W}: step has dtype float32, but steps are integers"),
    (lambda: sm.Windowed(MEAN, 2)(loss=[1.0, 2.0], step=[1]), ValueError,
     f"{W}: step has shape (1,), but the examples have shape (2,): one value per example, or per leading index, is"),
    (lambda: sm.Windowed(MEAN, 2)(loss=[1.0]), TypeError,
     f"{W}: step did not come; it reads loss and step (and weights, optional)"),
    (lambda: sm.Windowed(MEAN, 2)(loss=[1.0], step=-1), sm.InvalidExamples,
     "1 of 1 examples could not be counted, 1 with negative step (in Windowed)"),
    (lambda: sm.Windowed(MEAN, 2)(loss=[1.0, 2.0], step=[-1, 0]), sm.InvalidExamples,
     "1 of 2 examples could not be counted, 1 with negative step (in Windowed)"),
    (lambda: sm.total(sm.Decayed(MEAN, 2).init()), TypeError,
     "total: Decays(inner=Moments(entry='loss'), step='step', half_life=2.0) holds sums that have decayed, which are "
     "no counts any more"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_makes_no_sense_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        make()
