"""`Sharded`: one partial state a device, on Auto and Explicit meshes, however the rows lie."""

import re
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import streammetrics as sm
from streammetrics import sharding
from tests.support import assert_same, collectives, each_mesh, mesh_of

TASK = sm.Multiclass(3, "logits")
MIXED = sm.Collection(
    recall=sm.Recall(TASK, average=None),
    loss=sm.Mean("loss"),
    products=sm.Sum("loss"),
    spread=sm.Std("loss"),
    largest=sm.Maximum("loss"),
    exact=sm.Mean("loss", exact=True),
    auroc=sm.AUROC(TASK, bins=64),
)
LOSS = sm.Mean("loss", exact=True)
AXES = {"data": (8,), "data and model": (4, 2)}


def batch(count: int) -> dict[str, Any]:
    rng = np.random.default_rng(count)
    return {
        "predictions": rng.normal(size=(count, 3)).astype(np.float32),
        "targets": rng.integers(0, 4, count).astype(np.int32),  # 3 is out of range
        "loss": rng.exponential(size=count).astype(np.float32),
    }


@each_mesh
def test_an_update_has_no_collective_and_a_readout_one_all_reduce(kind: AxisType) -> None:
    mesh = mesh_of(kind, data=8)
    run, rows = sm.Sharded(MIXED, mesh), jax.device_put(batch(16), NamedSharding(mesh, P("data")))
    state = run.init()
    update = jax.jit(lambda state, rows: run.update(state, **rows)).lower(state, rows).compile()
    assert collectives(update) == []
    state = update(state, rows)
    readout = jax.jit(lambda state: run.compute(state, "ignore")).lower(state).compile()
    assert collectives(readout) == ["all-reduce"]
    whole = MIXED.tally(**batch(16))
    assert_same(jax.device_get(run.merged(state)), jax.device_get(whole))
    assert sm.plain(readout(state))["recall"] == sm.plain(MIXED.compute(whole, "ignore"))["recall"]


@each_mesh
@pytest.mark.parametrize("axes", [None, "data", ("model", "data")])
def test_no_row_is_counted_twice_on_a_mesh_of_two_axes(kind: AxisType, axes: Any) -> None:
    mesh = mesh_of(kind, data=4, model=2)
    run, rows = sm.Sharded(LOSS, mesh, axes), {"loss": batch(16)["loss"]}
    whole = jax.device_get(LOSS.tally(**rows))
    for spec in (P(), P("data"), P("model"), P(("data", "model"))):  # replicated over the axes that are not named
        state = run.tally(**jax.device_put(rows, NamedSharding(mesh, spec)))
        assert_same(jax.device_get(run.merged(state)), whole, exact=True)
    inside = jax.jit(lambda rows: run.merged(run.tally(**rows)))(jax.device_put(rows, NamedSharding(mesh, P("model"))))
    assert_same(jax.device_get(inside), whole, exact=True)


@each_mesh
@pytest.mark.parametrize("count", [0, 1, 9])
def test_rows_that_do_not_fill_the_devices_are_all_counted(kind: AxisType, count: int) -> None:
    run, loss = sm.Sharded(LOSS, mesh_of(kind, data=8)), batch(count)["loss"]
    state, whole = run.init(), LOSS.init()
    for values, weights in (
        (loss, {}),
        (jnp.asarray(loss), {"weights": np.full(count, 2)}),
        (loss.tolist(), {"weights": np.int32(3)}),  # one weight for all rows
    ):
        state = run.update(state, np.asarray(values, np.float32), **weights)
        whole = LOSS.update(whole, loss, **weights)
    assert_same(jax.device_get(run.merged(state)), jax.device_get(whole), exact=True)


@each_mesh
def test_states_are_carried_through_scan_and_merged_where_they_lie(kind: AxisType) -> None:
    run, loss = sm.Sharded(LOSS, mesh_of(kind, data=8)), batch(32)["loss"]

    @jax.jit
    def counted(loss: Any) -> sm.State:
        return jax.lax.scan(lambda state, rows: (run.update(state, rows), None), run.init(), loss.reshape(2, 16))[0]

    state = counted(loss)
    assert_same(jax.device_get(run.merged(state)), jax.device_get(LOSS.tally(loss)), exact=True)
    both = run.merge(state, run.tally(loss), run.init())
    assert_same(jax.device_get(run.merged(both)), jax.device_get(LOSS.tally(np.concatenate([loss, loss]))), exact=True)
    assert float(run(loss)) == float(LOSS(loss))


def test_weights_under_several_names_are_padded_each() -> None:
    metric = sm.Collection(a=sm.Mean("loss"), b=sm.Mean("loss", weights="mask"))
    run = sm.Sharded(metric, mesh_of(AxisType.Auto, data=8))
    assert (run.reads, run.accepts) == (("loss",), metric.accepts)
    values = run(loss=[1.0, 2.0, 6.0], mask=[True, False, True])
    assert sm.plain(values) == {"a": 3.0, "b": 3.5}
    assert sm.plain(run(loss=[1.0, 2.0, 6.0])) == {"a": 3.0, "b": 3.0}


def test_1e12_examples_over_8_devices_count_exactly() -> None:
    """125e9 examples on each device, all but 1 to 8 of them right."""
    metric = sm.Accuracy(sm.Binary("labels"))
    run = sm.Sharded(metric, mesh_of(AxisType.Auto, data=8))
    one = [metric.tally(*pair) for pair in (([1], [1]), ([0], [0]), ([0], [1]))]
    low, high = (n & 0xFFFFFFFF for n in (10**12 // 16, (10**12 // 16) >> 32))

    def many(state: sm.State) -> sm.State:
        return jax.tree.map(lambda x: x.at[0].multiply(low).at[1].set(x[0] * high), state)

    def device(wrong: int) -> sm.State:
        return sm.merge(many(one[0]), many(one[1]), *[one[2]] * wrong)

    state = jax.tree.map(lambda *x: jnp.stack(x), *map(device, range(1, 9)))
    merged = run.merged(state)
    assert int(merged.examples) == 10**12 + 36
    scores = sm.plain(sm.StatScores(sm.Binary("labels")).compute(merged))
    assert scores == {"tp": 10**12 // 2, "fp": 0, "tn": 10**12 // 2, "fn": 36, "support": 10**12 // 2 + 36}
    pmapped = jax.pmap(lambda state: sm.all_merge(state, "d"), axis_name="d")(state)
    assert int(jax.tree.map(lambda x: x[0], jax.device_get(pmapped)).examples) == 10**12 + 36
    assert float(run.compute(state)) == np.float32(Fraction(10**12, 10**12 + 36))


def test_a_thousand_splits_give_one_digest() -> None:
    """Any number of devices, any batches, any order of merging."""
    rng = np.random.default_rng(0)
    loss = (rng.normal(size=160) * 10.0 ** rng.integers(-6, 6, 160)).astype(np.float32)
    scores, targets = rng.normal(size=160).astype(np.float32), rng.integers(0, 2, 160, np.int32)
    metric = sm.Collection(
        sum=sm.Sum("loss"), exact=sm.Sum("loss", exact=True), accuracy=sm.Accuracy(sm.Binary("logits"))
    )
    rows = {"loss": loss, "predictions": scores, "targets": targets}
    total, scale = sum(map(Fraction, loss.tolist())), sum(map(abs, map(Fraction, loss.tolist())))
    meshes = [jax.sharding.Mesh(np.array(jax.devices()[:n]), ("data",)) for n in (1, 2, 3, 8)]
    runs = [sm.Sharded(metric, mesh) for mesh in meshes]
    digests, worst, state = set(), 0.0, metric.init()
    for _ in range(1000):
        run, states = runs[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))], []  # eight host devices take long
        for chosen in np.split(rng.permutation(160), np.sort(rng.integers(0, 161, 2))):
            states.append(run.tally(**sm.pad({name: value[chosen] for name, value in rows.items()}, 168)))
        state = jax.device_get(run.merged(run.merge(*(states[i] for i in rng.permutation(3)))))
        found = sum(map(Fraction, np.asarray(state.data["Sums_1.sum_loss"]).tolist()))  # two floats, one number
        worst = max(worst, float(abs(found - total) / scale))
        digests.add(b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(state) if x.dtype == np.uint32))
    assert len(digests) == 1
    assert worst < 1e-13
    values = metric.compute(state)
    assert float(values["exact"]) == np.float32(float(total))
    assert float(values["accuracy"]) == np.float32(((scores > 0) == targets).mean())


def test_equal_objects_run_the_same_programs() -> None:
    programs = [sm.Sharded(LOSS, mesh_of(AxisType.Auto, data=8))._programs for _ in range(2)]
    assert programs[0] is programs[1]
    sharding._programs.cache_clear()


def test_what_does_not_fit_is_refused() -> None:
    mesh = mesh_of(AxisType.Auto, data=4, model=2)
    run = sm.Sharded(LOSS, mesh)
    for build, kind, message in (
        (lambda: sm.Sharded(LOSS, mesh, "rows"), ValueError, "the mesh has no axis 'rows'; it has data and model"),
        (lambda: sm.Sharded(LOSS, mesh, ()), ValueError, "axes is (), but must name axes of the mesh, each once"),
        (lambda: sm.Sharded(TASK, mesh), TypeError, "inputs='logits'), but a metric is due"),  # pyright: ignore[reportArgumentType]
        (lambda: sm.Sharded(LOSS, 8), TypeError, "mesh is 8, but must be a jax.sharding.Mesh, as jax.make_mesh"),  # pyright: ignore[reportArgumentType]
        (lambda: run.compute(LOSS.init()), ValueError, "no leading axis of partial states, but must have 8, one a"),
        (lambda: run.compute(sm.Sharded(LOSS, mesh, "data").init()), ValueError, "has 4 partial states, but must have"),
        (lambda: run.compute(sm.Sharded(sm.Sum("loss"), mesh).init()), ValueError, "the state is of Sums"),
        (
            lambda: run.tally(loss=1.0),
            ValueError,
            "entries have the shapes {'loss': ()}, but must have the same number",
        ),
        (lambda: run.tally([1.0, 2.0], weights=[1, 2, 3]), ValueError, "but must have the same number of rows"),
        (lambda: run.tally(los=[1.0]), TypeError, "got los, which nothing reads; it reads loss"),
        (lambda: run.init().examples, ValueError, "State.examples: the state has 1 extra leading axis, of 8 states"),
        (lambda: run.init().invalid, ValueError, "State.invalid: the state has 1 extra leading axis, of 8 states"),
    ):
        with pytest.raises(kind, match=re.escape(message)):
            build()


@each_mesh
def test_fold_reads_what_sharded_left_apart(kind: AxisType) -> None:
    run = sm.Sharded(LOSS, mesh_of(kind, data=8))
    assert float(LOSS.compute(sm.fold(run.tally([1.0, 2.0, 6.0])))) == 3.0
