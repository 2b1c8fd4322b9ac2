"""The laws that every metric's state obeys, over the catalogue."""

import pickle

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np

import streammetrics as sm
from streammetrics._statistic import OWN
from tests.catalogue import CATALOGUE, COUNTED, KNOWN, ROWS, Case, MeanProduct
from tests.support import assert_same, assert_values_equal, counted, each, rows

each_statistic, each_metric = each(COUNTED), each(CATALOGUE)
seeds = st.integers(0, 2**32 - 1)
law = hypothesis.settings(max_examples=8, deadline=None, derandomize=True, database=None)
CUT = ROWS // 2  # every split is at one place, so that each tally compiles for two shapes


@each_statistic
@law
@hypothesis.given(seed=seeds)
def test_states_form_a_commutative_monoid(case: Case, seed: int) -> None:
    a, b, c = (case.metric.tally(**case.batch(seed ^ k)) for k in range(3))
    assert_same(sm.merge(case.metric.init(), a), a, exact=True)
    assert_same(sm.merge(a, case.metric.init()), a, exact=True)
    assert_same(sm.merge(a, b), sm.merge(b, a))
    assert_same(sm.merge(sm.merge(a, b), c), sm.merge(a, sm.merge(b, c)))
    assert_same(sm.merge(a, b, c), case.metric.merge(a, b, c), exact=True)


@each_statistic
@law
@hypothesis.given(seed=seeds)
def test_any_split_and_any_order_give_the_same_state(case: Case, seed: int) -> None:
    batch, order = case.batch(seed), np.random.default_rng(seed).permutation(ROWS)
    whole = case.metric.tally(**batch)
    first, second = case.metric.tally(**rows(batch, order[:CUT])), case.metric.tally(**rows(batch, order[CUT:]))
    assert_same(whole, sm.merge(first, second))
    assert_same(whole, case.metric.update(first, **rows(batch, order[CUT:])))
    assert_same(whole, case.metric.tally(**rows(batch, order)))


@each_statistic
@law
@hypothesis.given(seed=seeds)
def test_weight_0_is_absence_even_where_nothing_could_be_read(case: Case, seed: int) -> None:
    batch = case.batch(seed)
    mask = np.arange(ROWS) < CUT
    kept = case.metric.tally(**rows(batch, slice(CUT)))
    spoiled = {}
    for name, value in batch.items():
        bad = np.nan if value.dtype.kind == "f" else 99
        spoiled[name] = np.where(mask.reshape(-1, *(1,) * (value.ndim - 1)), value, np.asarray(bad, value.dtype))
    for name in _weights(case.metric):
        spoiled[name] = np.where(mask, batch[name], 0).astype(batch[name].dtype)
    assert_same(kept, case.metric.tally(**spoiled))


@each_statistic
@law
@hypothesis.given(seed=seeds)
def test_an_integer_weight_is_so_many_repetitions(case: Case, seed: int) -> None:
    batch = case.batch(seed)
    counts = np.array([0, 1, 3, 0, 2, 1, 0, 1])  # their sum is ROWS, so that both tallies have one shape
    assert counts.sum() == ROWS
    names = _weights(case.metric)
    repeated = rows(batch, np.repeat(np.arange(ROWS), counts)) | {name: np.ones(ROWS, np.int32) for name in names}
    weighted = batch | {name: counts.astype(np.int32) for name in names}
    # Where weights may be fractions, `examples` counts rows instead.
    whole = not any(member.weighted for member in _members(case.metric))
    a, b = case.metric.tally(**weighted), case.metric.tally(**repeated)
    assert_same(a, b, but=(OWN,) if whole else (OWN, "examples"))
    if whole:  # that rows were repeated is all that the states tell apart
        assert sm.plain(a.examples) == sm.plain(b.examples)
        assert sm.plain(a.invalid) == sm.plain(b.invalid)


@each_statistic
def test_a_batch_of_no_rows_is_the_identity(case: Case) -> None:
    assert_same(case.metric.tally(**rows(case.batch(0), slice(0))), case.metric.init(), exact=True)


@each_statistic
def test_a_state_is_a_scan_carry_and_vmaps(case: Case) -> None:
    batches = [case.batch(seed) for seed in range(8)]
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    one_by_one = sm.merge(*(case.metric.tally(**batch) for batch in batches))

    @jax.jit
    def both(state: sm.State, stacked: dict) -> tuple[sm.State, sm.State]:
        scanned, _ = jax.lax.scan(lambda s, batch: (case.metric.update(s, **batch), None), state, stacked)
        return scanned, jax.vmap(lambda batch: case.metric.tally(**batch))(stacked)

    scanned, apart = both(case.metric.init(), stacked)
    assert_same(scanned, one_by_one)
    assert_same(sm.fold(apart), one_by_one)


@each_metric
def test_jit_changes_nothing(case: Case) -> None:
    state = counted(case).metric.tally(**counted(case).batch(1))
    eager = case.metric.compute(state, on_invalid="ignore")
    jitted = jax.jit(lambda state: case.metric.compute(state, on_invalid="ignore"))(state)
    assert_values_equal(eager, jitted)
    dtypes = lambda value: sorted(str(leaf.dtype) for leaf in jax.tree.leaves(value))  # noqa: E731
    assert dtypes(eager) == dtypes(jitted)


@each_metric
def test_specifications_are_their_repr_pickle_and_cross_jit_without_recompiling(case: Case) -> None:
    names = {name: getattr(sm, name) for name in sm.__all__} | {"MeanProduct": MeanProduct}
    again = eval(repr(case.metric), names)
    copied = pickle.loads(pickle.dumps(case.metric))
    for other in (again, copied):
        assert other == case.metric
        assert hash(other) == hash(case.metric)
        assert repr(other) == repr(case.metric)
    assert jax.tree.leaves(case.metric) == []
    traces = []
    traced = jax.jit(lambda metric, x: (traces.append(metric), x)[1])
    for metric in (case.metric, again, copied):
        traced(metric, 1.0)
    assert len(traces) == 1


@each_statistic
def test_states_survive_bytes_and_pickles(case: Case) -> None:
    state = case.metric.tally(**case.batch(2))
    assert_same(sm.from_bytes(sm.to_bytes(state), known=KNOWN), state, exact=True)
    assert_same(pickle.loads(pickle.dumps(state)), state, exact=True)
    assert sm.to_bytes(sm.from_bytes(sm.to_bytes(state), known=KNOWN)) == sm.to_bytes(state)


@each_statistic
def test_states_and_bytes_do_not_depend_on_x64(case: Case) -> None:
    narrow = case.metric.tally(**case.batch(3))
    with jax.enable_x64(True):
        wide = case.metric.tally(**case.batch(3))
        assert [leaf.dtype for leaf in jax.tree.leaves(wide)] == [leaf.dtype for leaf in jax.tree.leaves(narrow)]
        values = case.metric.compute(wide, on_invalid="ignore")
        floating = [leaf.dtype for leaf in jax.tree.leaves(values) if leaf.dtype.kind == "f"]
        assert set(floating) <= {np.dtype("float64"), np.dtype("float32")}
    assert_same(wide, narrow)
    assert_values_equal(values, case.metric.compute(narrow, on_invalid="ignore"), rtol=1e-5)


def _members(metric: sm.Metric) -> tuple:
    return getattr(metric.statistic, "members", (metric.statistic,))


def _weights(metric: sm.Metric) -> set[str]:
    return {member.weights for member in _members(metric)}
