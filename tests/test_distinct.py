"""Numbers of distinct values: the hash against JAX's, the registers and the estimate against the papers."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

import streammetrics as sm
from streammetrics._hash import threefry, words_of
from streammetrics._state import with_arrays


def refused(kind, text):
    return pytest.raises(kind, match=rf"^{re.escape(text)}(\n|$)")  # JAX may add a line of its own


def test_the_hash_is_jaxs_threefry():
    rng = np.random.default_rng(0)
    for key in ((0, 0), (2**32 - 1, 5), tuple(rng.integers(2**32, size=2).tolist())):
        x = rng.integers(2**32, size=2000, dtype=np.uint32)
        due = threefry_2x32(jnp.asarray(np.array(key, np.uint32)), jnp.asarray(x))
        low, high = threefry(key, jnp.asarray(x[:1000]), jnp.asarray(x[1000:]))
        np.testing.assert_array_equal(np.concatenate([low, high]), due)
        assert low.dtype == high.dtype == np.uint32
    again = threefry(tuple(map(jnp.uint32, key)), jnp.asarray(x[:1000]), jnp.asarray(x[1000:]))
    np.testing.assert_array_equal(again, (low, high))


def test_the_words_of_a_number_are_those_of_its_64_bits():
    numbers = np.array([-128, -1, 0, 1, 127], np.int64)
    due = numbers.view(np.uint32).reshape(-1, 2).T
    for dtype in ("int8", "int16", "int32"):
        np.testing.assert_array_equal(words_of("x", jnp.asarray(numbers.astype(dtype))), due)
    for dtype in ("uint8", "uint16", "uint32"):
        np.testing.assert_array_equal(words_of("x", jnp.asarray(numbers[2:].astype(dtype))), due[:, 2:])
    np.testing.assert_array_equal(words_of("x", jnp.array([False, True])), due[:, 2:4])
    ends = np.array([-(2**31), -(2**30) - 1, 2**30, 2**31 - 1])
    np.testing.assert_array_equal(words_of("x", jnp.asarray(ends, jnp.int32)), ends.view(np.uint32).reshape(-1, 2).T)
    np.testing.assert_array_equal(words_of("x", jnp.asarray(due.T), words=2), due)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(words_of("x", jnp.asarray(numbers)), due)
        great = np.array([2**63 - 1, 2**40 + 3, 2**64 - 1], np.uint64)
        np.testing.assert_array_equal(words_of("x", jnp.asarray(great)), great.view(np.uint32).reshape(-1, 2).T)


def registers(pairs, key=(0, 0)):
    """The greatest rank in each register, in Python's integers, of (low, high) words."""
    hashed = np.asarray(
        threefry_2x32(jnp.array(key, jnp.uint32), jnp.asarray(np.concatenate([pairs[:, 0], pairs[:, 1]])))
    )
    found = np.zeros(4096, int)
    for first, second in hashed.reshape(2, -1).T.tolist():
        rest = second << 20 | first >> 12
        found[first % 4096] = max(found[first % 4096], 53 - rest.bit_length())
    return found


def ertl(ranks):
    """Algorithm 6 of Ertl (2017), with σ and τ of its algorithms 4 and 5, for q = 52."""
    m, counts = len(ranks), np.bincount(ranks, minlength=54)
    if counts[0] == m:
        return 0.0
    x = 1 - counts[53] / m
    y, tau = 1.0, 1 - x
    while 0 < x < 1:
        x, y, before = math.sqrt(x), y / 2, tau
        tau -= (1 - x) ** 2 * y
        if tau == before:
            break
    z = m * (tau / 3 if 0 < 1 - counts[53] / m < 1 else 0)
    for k in range(52, 0, -1):
        z = 0.5 * (z + counts[k])
    x, y = counts[0] / m, 1.0
    sigma = x
    while True:
        x, before = x * x, sigma
        sigma, y = sigma + x * y, y + y
        if sigma == before:
            break
    return m * m / (2 * math.log(2)) / (z + m * sigma)


@pytest.mark.parametrize("n", [0, 1, 5, 100, 3000, 20_000])
def test_registers_and_estimate_are_those_of_the_papers(n):
    metric = sm.DistinctCount("x", words=2)
    pairs = np.random.default_rng(n).integers(2**32, size=(n, 2), dtype=np.uint32)
    state = metric.tally(pairs)
    found = np.nan_to_num(sm.accumulators.Maximum((4096,)).decode(state.data["registers"]))
    np.testing.assert_array_equal(found, registers(pairs))
    np.testing.assert_allclose(metric.compute(state), ertl(registers(pairs)), rtol=3e-6)


def unhashed(first, second):
    """The words whose hash under the key (0, 0) is that: the rounds of Threefry backwards, in Python's integers."""
    keys, rotations = (0, 0, 0x1BD11BDA), ((13, 15, 26, 6), (17, 29, 16, 24))
    for group in reversed(range(5)):
        first, second = first - keys[(group + 1) % 3], second - keys[(group + 2) % 3] - group - 1
        for distance in reversed(rotations[group % 2]):
            turned = (second ^ first) % 2**32
            second = (turned >> distance | turned << (32 - distance)) % 2**32
            first = (first - second) % 2**32
    return first, second


def test_the_rarest_hashes_have_their_ranks():
    hashes = [(7, 0), (0x1008, 0), (0x80000009, 0), (0x7FFFF00A, 0), (11, 1), (12, 2**31), (0xFFFFFFFD, 2**30)]
    pairs = np.array([unhashed(*words) for words in hashes], np.uint32)
    metric = sm.DistinctCount("x", words=2)
    found = sm.accumulators.Maximum((4096,)).decode(metric.tally(pairs).data["registers"])
    np.testing.assert_array_equal(np.nan_to_num(found), registers(pairs))
    assert np.nan_to_num(found)[[7, 8, 9, 10, 11, 12, 4093]].tolist() == [53, 52, 33, 34, 32, 1, 2]


def test_every_rank_is_read():
    rng = np.random.default_rng(0)
    metric, registers = sm.DistinctCount("x"), sm.accumulators.Maximum((4096,))
    reduce = jax.jit(lambda ranks: registers.reduce(ranks, ranks > 0, jnp.arange(4096, dtype=jnp.int32)))
    for top in (3, 20, 31, 32, 33, 45, 52):
        ranks = np.clip(rng.geometric(0.5, 4096) + top - 8, 0, 52)
        state = with_arrays(metric.statistic, [reduce(ranks.astype(np.float32)), metric.init().seen])
        np.testing.assert_allclose(metric.compute(state), ertl(ranks), rtol=1e-5)


@pytest.mark.parametrize("n", [10**2, 10**4, 10**6])
def test_the_number_is_within_four_standard_errors(n):
    rng = np.random.default_rng(n)
    in_a_row, some = np.arange(n, dtype=np.int32) - n // 3, rng.integers(-(2**31), 2**31, n, np.int32)
    for x in (in_a_row, some, rng.normal(size=n).astype(np.float32), in_a_row // 3):
        assert abs(float(sm.DistinctCount("x")(x)) / len(np.unique(x)) - 1) <= 4 * 1.04 / 64


def test_numbers_in_a_row_are_spread_over_all_registers():
    low, high = threefry((0, 0), jnp.arange(2**18, dtype=jnp.uint32), jnp.zeros(2**18, jnp.uint32))
    for word in (low & 4095, high >> 20):
        counts = np.bincount(np.asarray(word), minlength=4096)
        chi2 = ((counts - 64) ** 2 / 64).sum()
        assert abs(chi2 - 4095) < 5 * math.sqrt(2 * 4095)


def test_few_are_told_almost_exactly():
    rows = np.arange(20)
    for n in range(1, 20):
        assert abs(float(sm.DistinctCount("x")(rows * 1000, weights=rows < n)) - n) < 0.1, n


def test_a_number_is_one_in_any_dtype():
    def data(x, **fields):
        return np.asarray(sm.DistinctCount("x", **fields).tally(x).data["registers"])

    numbers = [0, 1, 1, 0]
    due = data(np.array(numbers, np.int32))
    for dtype in ("bool", "int8", "uint16", "uint32", "int64"):
        np.testing.assert_array_equal(data(np.array(numbers, dtype)), due)
    np.testing.assert_array_equal(data(np.array([[0, 0], [1, 0]], np.uint32), words=2), due)
    ids = np.array([-5, 2**40, 2**40 + 1, 7])
    pairs = ids.view(np.uint32).reshape(-1, 2)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(data(ids), data(pairs, words=2))
    assert round(float(sm.DistinctCount("x", words=2)(pairs))) == 4
    assert round(float(sm.DistinctCount("x", words=2)(pairs.reshape(2, 2, 2), weights=[[1, 1], [0, 1]]))) == 3
    zeros = np.array([-0.0, 1e-40], np.float32)
    np.testing.assert_array_equal(data(zeros), data(np.array([0.0], np.float32)))
    np.testing.assert_array_equal(
        data(jnp.array([0.3], jnp.bfloat16)), data(jnp.array([0.3], jnp.bfloat16).astype(jnp.float32))
    )


def test_weights_say_whether_a_row_is_there():
    metric = sm.DistinctCount("x")
    found = metric([1.0, 2.0, math.nan, 3.0], weights=[7, 0, 0, 0.5])
    assert round(float(found)) == 2
    assert float(metric.compute(metric.init())) == 0
    with refused(
        sm.InvalidExamples,
        "1 of 2 examples could not be counted, 1 with NaN value (in DistinctCount); "
        "compute(state, on_invalid='ignore') reads the others",
    ):
        metric([0.5, math.nan])


def test_identities_of_other_forms_are_refused():
    two = "DistinctCount(entry='x', words=2): "
    with refused(
        TypeError, f"{two}x has dtype int32 and shape (3,), but words=2 takes uint32 whose last axis is (low, high)"
    ):
        sm.DistinctCount("x", words=2)(np.array([1, 2, 3], np.int32))
    with refused(
        ValueError, f"{two}x has dtype uint32 and shape (4, 3), but words=2 takes uint32 whose last axis is (low, high)"
    ):
        sm.DistinctCount("x", words=2)(np.zeros((4, 3), np.uint32))
    with refused(ValueError, "DistinctCount: words is 3, but must be 1 or 2"):
        sm.DistinctCount("x", words=3)
    with refused(ValueError, "DistinctCount(entry='x'): x holds int64 values that do not fit int32"):
        sm.DistinctCount("x")(np.array([2**40]))
    with refused(TypeError, "bounds: DistinctCount(entry='x') is an estimate without proven bounds"):
        sm.bounds(sm.DistinctCount("x"), sm.DistinctCount("x").init())
