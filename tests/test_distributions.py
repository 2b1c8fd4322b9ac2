"""Histograms and quantiles of values: against numpy, and ranks against Python's integers."""

import math
import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from streammetrics.metrics._distributions import places, rounded_up

Q = (0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)
ROWS = 1000


def refused(kind, text):
    return pytest.raises(kind, match=rf"^{re.escape(text)}(\n|$)")  # JAX may add a line of its own


@pytest.mark.parametrize("bins", [1, 7, 300])
def test_a_histogram_is_numpys(bins):
    rng = np.random.default_rng(bins)
    edges = np.unique(rng.normal(size=bins + 1)).astype(np.float32)
    x = np.concatenate([rng.normal(size=4000).astype(np.float32), edges, np.nextafter(edges, -np.float32(9)), [np.inf]])
    found = sm.Histogram("x", tuple(edges.tolist()))(np.append(x, -np.float32(np.inf)).reshape(-1, 1))
    np.testing.assert_array_equal(np.asarray(found["counts"]), np.histogram(x, edges)[0])
    np.testing.assert_array_equal(found["edges"], edges)
    assert int(found["below"]) == (x < edges[0]).sum() + 1
    assert int(found["above"]) == (x > edges[-1]).sum()
    assert isinstance(found["counts"], sm.UInt64)
    assert found["edges"].dtype == np.float32


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64"])
def test_integers_are_compared_exactly_where_float32_rounds_them(kind):
    base = {"int32": 2**30, "uint32": 2**31 + 2**30, "int64": 2**61, "uint64": 2**63 + 2**62}[kind]
    step = {"int32": 2**7, "uint32": 2**8, "int64": 2**38, "uint64": 2**40}[kind]  # a float32 holds multiples of it
    above = [base, base + step, base + 2 * step]
    edges = above if kind.startswith("u") else [*(-edge for edge in above[::-1]), *above]
    values = np.array([*(edge + more for edge in edges for more in (-1, 0, 1)), *ends(kind)], kind)
    with jax.enable_x64(kind.endswith("64")):
        found = sm.Histogram("x", tuple(map(float, edges)))(values)
    assert sm.plain(found["counts"]) == ([3, 4] if kind.startswith("u") else [3, 3, 3, 3, 4])
    assert (int(found["below"]), int(found["above"])) == (2, 2)


def ends(kind):
    return np.iinfo(kind).min, np.iinfo(kind).max


def test_any_dtype_and_any_edges():
    for dtype in ("uint8", "bool", "bfloat16"):
        found = sm.Histogram("x", (-0.5, 0.5, 1.5))(jnp.array([0, 1, 1], dtype))
        assert sm.plain(found["counts"]) == [1, 2], dtype
    tiny = sm.Histogram("x", (-1, 0, 1))(np.array([-1e-40, 1e-40, -0.0], np.float32))
    assert sm.plain(tiny["counts"]) == [0, 3]
    all_of_them = sm.Histogram("x", (-math.inf, 0, math.inf))([-math.inf, -1.0, 0.0, 3e38, math.inf])
    assert sm.plain(all_of_them) == {"counts": [2, 3], "edges": [-math.inf, 0, math.inf], "below": 0, "above": 0}
    assert sm.plain(sm.Histogram("x", (0, 0.7, 1))(np.array([0.7], np.float32))["counts"]) == [
        0,
        1,
    ]  # an edge as its float32


def test_cells_are_searched_not_compared_with_every_edge():
    metric = sm.Histogram("x", tuple(float(edge) for edge in range(3000)))
    text = str(jax.make_jaxpr(lambda x: metric.tally(x))(np.zeros(4096, np.float32)))
    assert "4096,300" not in text
    assert "300,4096" not in re.sub(r"300[0-9]", "300", text)


def test_weights_count_exactly_or_are_summed():
    edges = (0, 1, 2)
    whole = sm.Histogram("x", edges)([0.5, 1.5, 5.0, 0.5], weights=[3, 0, 65535, 1])
    assert sm.plain(whole) == {"counts": [4, 0], "edges": [0.0, 1.0, 2.0], "below": 0, "above": 65535}
    parts = sm.Histogram("x", edges, weighted=True)([0.5, 1.5, -5.0, 0.5], weights=[0.25, 0, 1.5, 0.5])
    assert sm.plain(parts) == {"counts": [0.75, 0], "edges": [0.0, 1.0, 2.0], "below": 1.5, "above": 0}


def test_nan_is_told_and_edges_are_checked():
    metric = sm.Histogram("x", (0, 1))
    with refused(
        sm.InvalidExamples,
        "1 of 2 examples could not be counted, 1 with NaN value (in Histogram); "
        "compute(state, on_invalid='ignore') reads the others",
    ):
        metric([0.5, math.nan])
    due = "must be two numbers or more, strictly ascending in float32"
    for edges in ((), (1.0,), (0.0, 0.0), (2.0, 1.0), (1.0, 1 + 1e-9)):
        with refused(ValueError, f"Histogram: edges is {edges}, but {due}"):
            sm.Histogram("x", edges)
    with refused(ValueError, f"Histogram: edges is 1,000 numbers, but {due}"):
        sm.Histogram("x", (0.0,) * 1000)
    with refused(ValueError, "ValueCounts: 'x' names both an entry and the weights"):
        sm.Histogram("x", (0, 1), weights="x").init()


def drawn(kind, seed):
    """Values of a distribution, as float32."""
    rng = np.random.default_rng(seed)
    values = {
        "normal": lambda: rng.normal(size=ROWS),
        "heavy": lambda: rng.standard_cauchy(ROWS) * 100,  # some are beyond the range
        "lognormal": lambda: rng.lognormal(sigma=4, size=ROWS),
        "sparse": lambda: np.where(rng.random(ROWS) < 0.6, 0, rng.normal(size=ROWS)),
        "lumps": lambda: rng.integers(-3, 4, ROWS) * 1.25,
        "tiny": lambda: rng.normal(size=ROWS) * 10.0 ** rng.integers(-44, -2, ROWS),
        "infinite": lambda: rng.choice([-math.inf, math.inf, 1.0, -1e9, 1e9, 3e-5], ROWS),
    }[kind]()
    values = values.astype(np.float32)
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, 0, values)


@pytest.mark.parametrize("kind", ["normal", "heavy", "lognormal", "sparse", "lumps", "tiny", "infinite"])
def test_quantiles_are_as_near_as_promised_and_within_their_bounds(kind):
    metric = sm.Quantile("x", Q)
    for seed in range(12):
        x = drawn(kind, seed)
        state = metric.tally(x)
        value, (lower, upper) = np.asarray(metric.compute(state), np.float64), sm.bounds(metric, state)
        due = np.quantile(x, Q, method="inverted_cdf").astype(np.float64)
        assert (lower <= due).all()
        assert (due <= upper).all()
        assert (lower <= value).all()
        assert (value <= upper).all()
        size = np.abs(due)
        inside = (size >= 1e-4) & (size <= 1e5)
        assert (np.abs(value[inside] - due[inside]) <= 2.0**-8 * size[inside]).all()
        small = size < 1e-4
        assert (np.abs(value)[small] <= 1e-4).all()
        assert (np.abs(value[small] - due[small]) <= 0.5001e-4).all()
        exact = (due == 0) | np.isinf(due)
        np.testing.assert_array_equal(value[exact], due[exact])
        np.testing.assert_array_equal(lower[exact], due[exact])
        np.testing.assert_array_equal(upper[exact], due[exact])
        beyond = (size > 1.01e5) & np.isfinite(due)
        np.testing.assert_array_equal(value[beyond], np.copysign(np.inf, due[beyond]))


@pytest.mark.parametrize("bits", [0, 12])
def test_more_bits_are_nearer(bits):
    metric = sm.Quantile("x", Q, low=0.01, high=100, mantissa_bits=bits)
    x = drawn("normal", 1) * 3
    x = x[np.abs(x) >= 0.01]
    due = np.quantile(x, Q, method="inverted_cdf").astype(np.float64)
    error = np.abs(np.asarray(metric(x), np.float64) / due - 1).max()
    assert 2.0 ** -(bits + 4) < error <= 2.0 ** -(bits + 1)


def test_bins_begin_where_their_bits_do():
    metric = sm.Quantile("x", 0.5, low=1, high=4, mantissa_bits=1)  # bins from 1, 1.5, 2, 3, and 4 to 6
    for x, lower, upper in ((1.0, 1, 1.5), (1.5, 1.5, 2), (2.9, 2, 3), (3.0, 3, 4), (4.0, 4, 6), (5.9, 4, 6)):
        for sign in (1, -1):
            ends = np.sort(np.array([lower, np.nextafter(np.float32(upper), np.float32(0))], np.float32) * sign)
            state = metric.tally([sign * x])
            np.testing.assert_array_equal(sm.bounds(metric, state), ends)
            assert abs(float(metric.compute(state)) - sign * (lower + upper) / 2) < 1e-6
    below, above = np.nextafter(np.float32(1), np.float32(0)), np.float32(6)
    np.testing.assert_array_equal(sm.bounds(metric, metric.tally([0.3])), (np.finfo(np.float32).tiny, below))
    np.testing.assert_array_equal(sm.bounds(metric, metric.tally([-0.3])), (-below, -np.finfo(np.float32).tiny))
    np.testing.assert_array_equal(sm.bounds(metric, metric.tally([-7.0])), (-np.inf, -above))
    np.testing.assert_array_equal(sm.bounds(metric, metric.tally([7.0])), (above, np.inf))


def test_a_share_is_the_simplest_fraction_of_its_float():
    sizes = (1, 3, 7, 9, 10, 100)
    metric = sm.Quantile("x", tuple(i / n for n in sizes for i in range(1, n + 1)), low=0.5, high=200)
    for n in sizes:
        found = np.floor(metric(np.arange(1, 101), weights=np.arange(1, 101) <= n))
        start = sum(size for size in sizes if size < n)
        np.testing.assert_array_equal(found[start : start + n], np.arange(1, n + 1))  # floats give 0.07 · 100 > 7


def test_ranks_are_exact_at_any_size():
    rng = np.random.default_rng(0)
    totals = [
        0,
        1,
        2**32 - 1,
        2**32,
        2**63 + 1,
        2**64 - 1,
        *(int(n) >> int(rng.integers(60)) for n in rng.integers(2**62, size=40)),
    ]
    shares = [Fraction(1), Fraction(1, 2), Fraction(1, 10), Fraction(2**64 - 1, 2**64), Fraction(3, 1000), Fraction(0)]
    found = np.asarray(jax.jit(lambda totals: rounded_up(totals, shares))(sm.UInt64.of(np.array([totals], np.uint64))))
    for share, row in zip(shares, found.tolist(), strict=True):
        if share.denominator in (1, 2, 2**64):
            assert row == [math.ceil(total * share) for total in totals]
        for total, rank in zip(totals, row, strict=True):
            if total * share.denominator < 2**64:
                assert rank == math.ceil(total * share)
    metric = sm.Quantile("x", (0.5, 0.500001))
    state = metric.tally([1.0, 2.0])
    for _ in range(50):  # 2^50 of each
        state = sm.merge(state, state)
    assert np.floor(metric.compute(state)).tolist() == [1, 2]
    assert np.floor(metric.compute(metric.update(state, [1.5]))).tolist() == [1, 2]
    assert np.floor(metric.compute(metric.update(state, [2.0]))).tolist() == [2, 2]


def test_whole_weights_are_repetitions():
    x, metric = drawn("normal", 3), sm.Quantile("x", Q)
    weights = np.random.default_rng(4).permutation(np.repeat([0, 1, 2], [ROWS // 4, ROWS // 2, ROWS // 4]))
    np.testing.assert_array_equal(metric(x, weights=weights), metric(np.repeat(x, weights)))


def test_weights_may_be_fractions():
    x, q = drawn("normal", 3), tuple(i / 10 for i in range(11))
    metric = sm.Quantile("x", q, low=0.01, high=2000, mantissa_bits=5, weighted=True)
    weights = (np.random.default_rng(4).integers(0, 1024, ROWS) / 1024).astype(np.float32)
    lower, upper = sm.bounds(metric, metric.tally(x, weights=weights))
    due = np.quantile(x[weights > 0], q, method="inverted_cdf", weights=weights[weights > 0])
    assert (lower <= due).all()
    assert (due <= upper).all()
    assert (upper - lower <= np.maximum(2.0**-5 * np.abs(due), 0.01)).all()
    row = np.arange(ROWS)
    tenths = sm.bounds(metric, metric.tally(2.0 ** np.minimum(row, 9), weights=np.float32(0.1) * (row < 10)))
    np.testing.assert_array_equal(tenths.lower, 2.0 ** np.array([0, *range(10)]))


def test_the_form_of_the_value_and_what_is_small():
    one, several = sm.Quantile("x"), sm.Quantile("x", (0.5,))
    assert jax.eval_shape(several, np.array([1.0], np.float32)) == jax.ShapeDtypeStruct((1,), np.float32)
    assert np.isnan(one.compute(one.init()))
    assert np.isnan(sm.bounds(one, one.init())).all()
    assert sum(array.nbytes for array in one.init().data.values()) <= 2**16
    assert float(jax.jit(lambda x: one(x))(jnp.array([7, 7], jnp.int8))) == float(one([7.0, 9.0]))
    with refused(
        sm.InvalidExamples,
        "1 of 2 examples could not be counted, 1 with NaN value (in Quantile); "
        "compute(state, on_invalid='ignore') reads the others",
    ):
        one([0.5, math.nan])


def test_quantiles_with_other_shares_share_their_counts():
    assert sm.Quantile("x", 0.5).statistic == sm.Quantile("x", (0.1, 0.9)).statistic


def test_fields_of_quantiles_are_checked():
    due = "but must be from 0 to 1, or several such numbers"
    for q in (-0.1, 1.5, (0.5, 2.0), ()):
        with refused(ValueError, f"Quantile: q is {q}, {due}"):
            sm.Quantile("x", q)
    due = "but must be magnitudes of float32, 1.2e-38 ≤ low < high ≤ 3.4e+38"
    for low, high in ((0.0, 1.0), (2.0, 1.0), (1.0, math.inf), (1e-40, 1.0), (-1.0, 1.0), (1.0, 1.0)):
        with refused(ValueError, f"Quantile: low and high are {low} and {high}, {due}"):
            sm.Quantile("x", low=low, high=high)
    for bits in (-1, 24):
        with refused(ValueError, f"Quantile: mantissa_bits is {bits}, but must be from 0 to 23"):
            sm.Quantile("x", mantissa_bits=bits)
    with refused(
        ValueError,
        "Quantile: the range from 0.0001 to 100000.0 has 501,428,699 bins of mantissa_bits=23, but at most 4,194,304 "
        "are allowed; a narrower range or fewer bits are due",
    ):
        sm.Quantile("x", mantissa_bits=23)


def test_places_do_not_depend_on_the_number_of_axes():
    counts = sm.UInt64.of(np.array([[0, 1, 1, 0], [5, 0, 0, 5], [0, 0, 0, 0]]))
    found = jax.jit(lambda counts: places(counts.cumsum(), [Fraction(0), Fraction(1, 2), Fraction(1)]))(counts)
    np.testing.assert_array_equal(found, [[1, 0, 3], [1, 0, 3], [2, 3, 3]])
