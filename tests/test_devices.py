"""States over 8 devices: `pmap` and `shard_map`, Auto and Explicit meshes, one all-reduce and none before it."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import streammetrics as sm
from streammetrics.accumulators import _base
from tests.catalogue import COUNTED, ROWS, Case
from tests.support import assert_same, collectives, each, each_mesh, mesh_of

DEVICES = 8

each_statistic = each(COUNTED)
COLLECTION = next(case for case in COUNTED if case.name == "collection")


def batches(case: Case) -> tuple[dict[str, Any], sm.State]:
    """One batch for each device, stacked, and the state of all of them from one device."""
    each = [case.batch(seed) for seed in range(DEVICES)]
    state = sm.merge(*(case.metric.tally(**batch) for batch in each))
    return {name: np.stack([batch[name] for batch in each]) for name in each[0]}, state


@each_statistic
def test_pmap_updates_apart_and_merges_once(case: Case) -> None:
    stacked, whole = batches(case)
    apart = [case.metric.tally(**{name: value[d] for name, value in stacked.items()}) for d in range(DEVICES)]
    apart = jax.tree.map(lambda *arrays: np.stack(arrays), *apart)
    if case is COLLECTION:  # what one device compiles for a statistic is what it compiles under pmap
        updated = jax.pmap(lambda batch: case.metric.update(case.metric.init(), **batch))(stacked)
        assert_same(jax.device_get(updated), apart)
    assert_same(sm.fold(apart), whole)
    merged = jax.device_get(jax.pmap(lambda state: sm.all_merge(state, "devices"), axis_name="devices")(apart))
    for device in range(DEVICES):
        assert_same(jax.tree.map(lambda x, d=device: x[d], merged), whole)


@each_mesh
def test_a_mixed_collection_scans_inside_shard_map_and_is_merged_by_one_all_reduce(kind: AxisType) -> None:
    case, mesh = COLLECTION, mesh_of(kind, data=DEVICES)
    stacked, whole = batches(case)
    split = {name: value.reshape(DEVICES, 2, ROWS // 2, *value.shape[2:]) for name, value in stacked.items()}

    def readout(batch: dict[str, Any]) -> sm.State:
        steps = {name: value[0] for name, value in batch.items()}
        init = case.metric.init(axis_name="data")
        state, _ = jax.lax.scan(lambda s, rows: (case.metric.update(s, **rows), None), init, steps)
        return sm.all_merge(state, "data")

    with jax.set_mesh(mesh):
        sharded = jax.shard_map(readout, mesh=mesh, in_specs=P("data"), out_specs=P())
        placed = jax.device_put(split, jax.NamedSharding(mesh, P("data")))
        compiled = jax.jit(sharded).lower(placed).compile()
        state = compiled(placed)
    assert collectives(compiled) == ["all-reduce"]
    assert_same(jax.device_get(state), jax.device_get(whole))


@each_mesh
def test_an_update_has_no_collective(kind: AxisType) -> None:
    case, mesh = COLLECTION, mesh_of(kind, data=DEVICES)
    stacked, whole = batches(case)

    def update(batch: dict[str, Any]) -> sm.State:
        state = case.metric.update(case.metric.init("data"), **{name: value[0] for name, value in batch.items()})
        return jax.tree.map(lambda x: x[None], state)

    with jax.set_mesh(mesh):
        sharded = jax.shard_map(update, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
        placed = jax.device_put(stacked, jax.NamedSharding(mesh, P("data")))
        compiled = jax.jit(sharded).lower(placed).compile()
        apart = compiled(placed)
    assert collectives(compiled) == []
    assert_same(sm.fold(jax.device_get(apart)), jax.device_get(whole))


def in_shard_map(function: Any, batch: Any, **options: Any) -> Any:
    mesh = mesh_of(AxisType.Auto, data=DEVICES)
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=P("data"), out_specs=P(), **options))(batch)


LOSS = sm.Mean("loss")
LOSSES = np.arange(16, dtype=np.float32)


def test_a_replicated_running_state_adds_merged_tallies() -> None:
    def two_steps(loss: Any) -> sm.State:
        state = LOSS.init()
        for _ in range(2):
            state = sm.merge(state, sm.all_merge(LOSS.tally(loss=loss), "data"))
        return state

    state = in_shard_map(two_steps, LOSSES)
    assert int(state.examples) == 32
    assert float(LOSS.compute(state)) == 7.5


def test_merging_twice_is_refused_where_jax_can_tell() -> None:
    message = (
        "all_merge: the state does not vary along 'data': it has been merged already, and merging again would count it "
        "once per device; merge(state, all_merge(tally)) adds to a replicated state"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        in_shard_map(lambda loss: sm.all_merge(sm.all_merge(LOSS.tally(loss=loss), "data"), "data"), LOSSES)
    in_shard_map(lambda loss: sm.all_merge(LOSS.tally(loss=loss), "data"), LOSSES, check_vma=False)


def test_an_update_of_an_invariant_state_with_a_varying_batch_is_refused() -> None:
    message = (
        "Mean(entry='loss'): the batch varies over the mesh axes ['data'] but the state does not, so that the state "
        "would be counted once per device; begin with init(axis_name=…), or add all_merge(tally(…)) to a merged state"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        in_shard_map(lambda loss: LOSS.update(LOSS.init(), loss=loss), LOSSES)


def test_an_update_with_rows_that_all_devices_have_is_refused() -> None:
    message = (
        "Mean(entry='loss'): the state varies over the mesh axes ['data'] but the batch does not, so that its rows "
        "would be counted once per device; begin with init(axis_name=…) of the axes over which the rows differ"
    )

    def replicated(loss: Any) -> sm.State:
        return sm.all_merge(LOSS.update(LOSS.init("data"), loss=loss), "data")

    mesh = mesh_of(AxisType.Auto, data=DEVICES)
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.jit(jax.shard_map(replicated, mesh=mesh, in_specs=P(), out_specs=P()))(LOSSES)


def test_an_axis_that_is_not_bound_is_told_by_its_name() -> None:
    message = "the axis 'rows' is not bound here, but must be one of the pmap or shard_map around"
    with pytest.raises(NameError, match=re.escape(f"all_merge: {message}")):
        in_shard_map(lambda loss: sm.all_merge(LOSS.tally(loss=loss), ("data", "rows")), LOSSES)
    with pytest.raises(NameError, match=re.escape(f"Mean(entry='loss'): {message}")):
        LOSS.init("rows")


def test_merging_a_varying_state_with_an_invariant_one_is_refused() -> None:
    with pytest.raises(ValueError, match="merge: one state varies over the mesh axes"):
        in_shard_map(lambda loss: sm.merge(LOSS.init(), LOSS.tally(loss=loss)), LOSSES)


def test_the_merge_of_invariant_states_is_invariant() -> None:
    def both(loss: Any) -> sm.State:
        state = sm.all_merge(LOSS.tally(loss=loss), "data")
        return LOSS.merge(state, LOSS.init())  # out_specs=P() would refuse a varying result

    assert int(in_shard_map(both, LOSSES).examples) == 16


def test_values_are_read_inside_shard_map() -> None:
    value = in_shard_map(lambda loss: LOSS.compute(sm.all_merge(LOSS.tally(loss=loss), "data")), LOSSES)
    assert float(value) == 7.5


@each_mesh
def test_a_histogram_is_read_inside_shard_map_after_one_all_reduce(kind: AxisType) -> None:
    metric, mesh = sm.AUROC(sm.Binary("probabilities"), ties=True), mesh_of(kind, data=DEVICES)
    rng = np.random.default_rng(0)
    scores, true = rng.random(64).astype(np.float32), rng.integers(0, 2, 64, np.int32)

    def read(scores: Any, true: Any) -> Any:
        state, _ = jax.lax.scan(
            lambda state, batch: (metric.update(state, *batch), None),
            metric.init("data"),
            (scores.reshape(2, -1), true.reshape(2, -1)),
        )
        state = sm.all_merge(state, "data")
        return metric.compute(state), sm.bounds(metric, state)

    with jax.set_mesh(mesh):
        sharded = jax.shard_map(read, mesh=mesh, in_specs=P("data"), out_specs=P())
        placed = jax.device_put((scores, true), jax.NamedSharding(mesh, P("data")))
        compiled = jax.jit(sharded).lower(*placed).compile()
        value, bounds = jax.device_get(compiled(*placed))
    assert collectives(compiled) == ["all-reduce"]
    state = metric.tally(scores, true)
    assert float(value) == float(metric.compute(state))
    assert tuple(map(float, bounds)) == tuple(map(float, sm.bounds(metric, state)))


def test_a_mesh_of_two_axes_merges_over_either_or_both() -> None:
    mesh = mesh_of(AxisType.Auto, data=4, model=2)

    def both(loss: Any) -> sm.State:
        return sm.all_merge(LOSS.tally(loss=loss), ("data", "model"))

    def data_only(loss: Any) -> sm.State:
        return sm.all_merge(LOSS.tally(loss=loss), "data")

    run = functools.partial(jax.shard_map, mesh=mesh, out_specs=P())
    assert int(jax.jit(run(both, in_specs=P(("data", "model"))))(LOSSES).examples) == 16
    # Replicated over the model axis, the rows are counted once.
    assert int(jax.jit(run(data_only, in_specs=P("data")))(LOSSES).examples) == 16


def test_large_float_states_fold_by_permutation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_base, "SLOTS_LIMIT", 0)
    monkeypatch.setattr("streammetrics._state.SLOTS_LIMIT", 0)
    losses = np.random.default_rng(0).normal(size=16).astype(np.float32)
    state = in_shard_map(lambda loss: sm.all_merge(LOSS.tally(loss=loss), "data"), losses)
    assert_same(jax.device_get(state), jax.device_get(LOSS.tally(loss=losses)))


def test_explicitly_sharded_rows_are_refused_by_a_plain_update() -> None:
    mesh = mesh_of(AxisType.Explicit, data=DEVICES)
    placed = jax.device_put(LOSSES, jax.NamedSharding(mesh, P("data")))
    with pytest.raises(
        ValueError, match="loss is sharded over the mesh axes data, but a plain update takes the rows of"
    ):
        LOSS.tally(loss=placed)


def test_a_state_that_was_not_merged_is_refused_by_compute() -> None:
    apart = jax.pmap(lambda loss: LOSS.tally(loss=loss))(jnp.asarray(LOSSES.reshape(8, 2)))
    message = (
        "Mean(entry='loss'): the state has 1 extra leading axis, of 8 states; merge them first with fold(state), "
        "with merged(state) of a Sharded, or inside pmap with all_merge(state, axis_name)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        LOSS.compute(apart)
    assert float(LOSS.compute(sm.fold(apart))) == 7.5
