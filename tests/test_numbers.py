"""`UInt64` is exact to the last of its 64 bits, and `DoubleFloat` as precise as it says."""

import operator
from collections.abc import Iterator
from fractions import Fraction

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammetrics import UInt64
from streammetrics._double import DoubleFloat, add, divide, from_integer, multiply, two_product, two_sum

TOP = 2**64
WIDTH = 8  # of every array that hypothesis draws: one shape compiles once
EDGES = [0, 1, 2, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**53 + 1, 2**63, TOP - 2, TOP - 1]
LENGTHS = [0, 1, 2, 7, 8, 9, 17, 64, 65, 1000, 100_000]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


def arithmetic(x, y):
    """Everything that two counts are asked in the tests of the laws."""
    return x + y, x - y, [compare(x, y) for compare in COMPARISONS]


TRANSFORMED = {"eager": arithmetic, "jit": jax.jit(arithmetic), "vmap": jax.jit(jax.vmap(arithmetic))}


@pytest.fixture(autouse=True)
def optimized() -> Iterator[None]:
    """All is compiled as users have it: what optimizations do to roundings is what these tests are about."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


integers = st.lists(st.integers(0, TOP - 1) | st.sampled_from(EDGES), min_size=WIDTH, max_size=WIDTH)
examples = settings(deadline=None, derandomize=True, max_examples=25)


def wide(values):
    """A `UInt64` of Python integers, which numpy alone might take for floats."""
    return UInt64.of(np.array(values, np.uint64))


def exactly(value):
    """The Python integers of a `UInt64`."""
    return np.asarray(value).tolist()


# --- UInt64 ---


@examples
@given(integers, integers)
@pytest.mark.parametrize("transform", TRANSFORMED)
def test_sums_differences_and_comparisons_are_those_of_integers_modulo_2_to_the_64(transform, x, y):
    y = [*x[:2], *y[2:]]  # equal numbers are not left to chance
    total, difference, compared = TRANSFORMED[transform](wide(x), wide(y))
    assert exactly(total) == [(a + b) % TOP for a, b in zip(x, y, strict=True)]
    assert exactly(difference) == [(a - b) % TOP for a, b in zip(x, y, strict=True)]
    for compare, found in zip(COMPARISONS, compared, strict=True):
        assert found.tolist() == [compare(a, b) for a, b in zip(x, y, strict=True)], compare


@examples
@given(integers, integers)
def test_quotients_are_those_of_integers_to_a_few_ulps(x, y):
    y = [max(b, 1) for b in y]
    quotient = wide(x) / wide(y)
    assert quotient.dtype == jnp.float32
    np.testing.assert_allclose(quotient, [a / b for a, b in zip(x, y, strict=True)], rtol=4e-7)


@examples
@given(integers)
def test_a_sum_over_an_array_is_that_of_integers(x):
    assert int(wide(x).sum()) == sum(x) % TOP


@examples
@given(integers)
def test_reading_gives_back_what_entered(x):
    assert exactly(wide(x)) == x
    assert [int(one) for one in wide(x)] == x
    assert [float(one) for one in wide(x)] == [float(a) for a in x]


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_of_any_length_are_exact(length):
    values = np.random.default_rng(length).integers(0, TOP - 1, length, np.uint64, endpoint=True)
    assert int(wide(values).sum()) == sum(values.tolist()) % TOP


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -3, (), (0,), (0, 2), (-1, 0), (0, 1, 2)])
def test_sums_over_axes_are_exact(axis):
    values = np.random.default_rng(0).integers(0, TOP - 1, (3, 5, 2), np.uint64, endpoint=True)
    found = wide(values).sum(axis)
    np.testing.assert_array_equal(np.asarray(found), values.sum(axis))  # numpy's wraps modulo 2^64
    assert found.shape == values.sum(axis).shape


def test_a_sum_carries_out_of_the_low_word():
    assert int(wide([2**32 - 1] * 3).sum()) == 3 * (2**32 - 1)
    assert int(jax.jit(lambda x: x.sum(0))(wide(np.full(100_000, 2**40 - 1)))) == 100_000 * (2**40 - 1)


def test_a_difference_is_taken_before_anything_is_a_float():
    predicted, right = wide(10**15 + 5), wide(10**15)
    assert float((predicted - right).to_float()) == 5.0  # in float32 both are the same number


def test_python_integers_and_arrays_take_part_on_either_side():
    count = wide([2**40, 7])
    assert exactly(count + 1) == exactly(1 + count) == [2**40 + 1, 8]
    assert exactly(2**41 - count) == [2**40, 2**41 - 7]
    assert (
        exactly(count + jnp.array([1, 2], jnp.int32)) == exactly(jnp.array([1, 2], jnp.int32) + count) == [2**40 + 1, 9]
    )
    assert (count > 7).tolist() == [True, False]
    assert (count >= 7).tolist() == [True, True]
    assert (count == jnp.array([0, 7], jnp.uint32)).tolist() == [False, True]
    assert (count / 2).tolist() == [2.0**39, 3.5]
    np.testing.assert_allclose(14 / count, [14 / 2**40, 2.0])


def test_a_numpy_array_on_the_left_does_not_make_it_a_float():
    found = np.array([1, 2]) + wide([2**60, 2**60])
    assert np.asarray(found).tolist() == [2**60 + 1, 2**60 + 2]


def test_division_by_zero_is_that_of_floats():
    np.testing.assert_array_equal(wide([0, 3, 0]) / wide([0, 0, 5]), np.array([np.nan, np.inf, 0], np.float32))


def test_the_greatest_count_is_read_as_a_float():
    assert float(wide(TOP - 1).to_float()) == 2.0**64
    assert float(wide(TOP - 1) / wide(TOP - 1)) == 1.0


def test_under_x64_quotients_are_float64():
    with jax.enable_x64(True):
        quotient = wide(10**15 + 1) / wide(10**15)
        assert quotient.dtype == jnp.float64
        assert float(quotient) == (10**15 + 1) / 10**15
        assert int(UInt64.of(jnp.uint64(TOP - 1))) == TOP - 1


@pytest.mark.parametrize(
    "index",
    [1, -1, slice(1, None), (slice(None), 0), (..., 1), None, np.array([2, 0, 0]), np.array([True, False, True])],
)
def test_indexing_is_that_of_arrays(index):
    values = np.array([[1, 2**40], [2**63, 4], [2**32, TOP - 1]], np.uint64)
    np.testing.assert_array_equal(np.asarray(wide(values)[index]), values[index])


def test_shapes_are_those_of_arrays():
    values = np.arange(6, dtype=np.uint64).reshape(2, 3) + 2**40
    count = wide(values)
    assert (count.shape, count.ndim, len(count)) == ((2, 3), 2, 2)
    np.testing.assert_array_equal(np.asarray(count.reshape(3, 2)), values.reshape(3, 2))
    np.testing.assert_array_equal(np.asarray(count.reshape(-1)), values.reshape(-1))
    assert [exactly(row) for row in count] == values.tolist()


def test_numpy_reads_it_exactly_and_in_the_dtype_that_is_asked_for():
    assert np.asarray(wide([TOP - 1])).dtype == np.uint64
    assert np.asarray(wide([5]), np.float64).dtype == np.float64
    assert range(10)[wide(3)] == 3  # it is an index


def test_its_repr_is_exact_and_a_traced_one_tells_its_shape():
    assert repr(wide([[TOP - 1, 0]])) == f"UInt64([[{TOP - 1}, 0]])"
    told = []
    jax.jit(lambda x: told.append(repr(x)))(wide([1, 2, 3]))
    assert told == ["UInt64((3,))"]


def test_it_is_immutable_and_as_arrays_not_hashable():
    with pytest.raises(AttributeError, match="immutable"):
        wide(1).high = jnp.uint32(0)
    with pytest.raises(TypeError, match="unhashable"):
        hash(wide(1))


def test_it_is_a_pytree_that_scans():
    count, _ = jax.lax.scan(lambda total, x: (total + x, None), wide(2**32 - 2), wide([1, 2, 3]))
    assert int(count) == 2**32 + 4
    chex.assert_trees_all_equal(jax.tree.map(lambda word: word, wide([3])), wide([3]))


@pytest.mark.parametrize(
    "value",
    [-1, TOP, [1, -1], 1.0, "3", None, np.float32(2), jnp.float32(2.5), jnp.array([1, -1], jnp.int32), np.array([-1])],
    ids=repr,
)
def test_what_is_no_count_is_refused(value):
    with pytest.raises(TypeError, match="UInt64 takes non-negative integers"):
        UInt64.of(value)


def test_traced_floats_are_refused():
    with pytest.raises(TypeError, match="UInt64 takes non-negative integers"):
        jax.jit(lambda x: wide(6) / x)(np.float32(2.5))


def test_booleans_and_every_unsigned_dtype_enter():
    for dtype in (bool, np.uint8, np.uint16, np.uint32, np.int8, np.int32, np.int64):
        assert exactly(UInt64.of(np.array([0, 1], dtype))) == [0, 1]
    for dtype in (bool, jnp.uint8, jnp.uint32, jnp.int16):
        assert exactly(UInt64.of(jnp.array([0, 1], dtype))) == [0, 1]
    assert int(UInt64.of(jnp.uint32(2**32 - 1))) == 2**32 - 1


# --- DoubleFloat: every function jitted as a whole, as the compiler may fuse its steps ---


def drawn(seed, size, spread=20):
    """Normalised pairs of many magnitudes, some of them whole or zero."""
    rng = np.random.default_rng(seed)
    high = (rng.normal(size=size) * 2.0 ** rng.integers(-spread, spread + 1, size)).astype(np.float32)
    high[::7] = np.round(high[::7])
    low = (rng.uniform(-0.5, 0.5, size) * np.spacing(high)).astype(np.float32)
    low[::5] = 0
    total = high + low
    return total, (low.astype(np.float64) - (total.astype(np.float64) - high)).astype(np.float32)


def mantissas_near_one(seed, size):
    """Pairs a little above powers of two, where a rounding weighs most."""
    rng = np.random.default_rng(seed)
    high = ((1 + rng.uniform(0, 0.01, size)) * 2.0 ** rng.integers(-20, 21, size)).astype(np.float32)
    return high, (rng.uniform(-0.5, 0.5, size) * np.spacing(high)).astype(np.float32)


def fractions(pair):
    """The exact values of pairs."""
    return [Fraction(float(high)) + Fraction(float(low)) for high, low in zip(*map(np.ravel, pair), strict=True)]


def is_normalised(pair):
    """Whether the low word adds nothing to the high one."""
    high, low = (np.asarray(word) for word in pair)
    return bool((high + low == high).all())


@pytest.mark.parametrize("size", [1, 3, 1000])  # scalar code and vector code are compiled apart
def test_two_sum_is_exact(size):
    (a, _), (b, _) = drawn(1, size), drawn(2, size)
    found = fractions(jax.jit(two_sum)(a, b))
    assert found == [Fraction(float(x)) + Fraction(float(y)) for x, y in zip(a, b, strict=True)]


STATED = {
    add: (-47, lambda x, y: (x + y, abs(x) + abs(y))),
    multiply: (-45, lambda x, y: (x * y, abs(x * y))),
    divide: (-44, lambda x, y: (x / y if y else Fraction(0),) * 2),
    two_product: (-46, lambda x, y: (x * y, abs(x * y))),
}


@pytest.mark.parametrize("operands", [drawn, mantissas_near_one])
@pytest.mark.parametrize("others", ["each", "one"])  # a quotient by one number for many is compiled as a product
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("function", STATED, ids=lambda function: function.__name__)
def test_arithmetic_errs_by_no_more_than_it_says(function, size, others, operands):
    x, y = operands(3, size), operands(4, size if others == "each" else 1)
    if function is two_product:
        x, y = ((high, 0 * high) for high, _ in (x, y))

    @jax.jit
    def apply(x, y):
        y = tuple(jnp.broadcast_to(word, (size,)) for word in y)
        return two_product(x[0], y[0]) if function is two_product else function(x, y)

    found = apply(x, y)
    assert is_normalised(found)
    bits, law = STATED[function]
    for a, b, value in zip(fractions(x), fractions(y) * (size // len(y[0])), fractions(found), strict=True):
        true, scale = law(a, b)
        assert abs(value - true) <= abs(scale) * Fraction(2) ** bits, (float(a), float(b))


def test_arithmetic_that_is_fused_with_other_arithmetic_stays_precise():
    x, y, z = drawn(7, 1000), drawn(8, 1000), drawn(9, 1000)
    found = jax.jit(lambda x, y, z: add(multiply(x, y), multiply(add(x, z), y)))(x, y, z)
    for a, b, c, value in zip(fractions(x), fractions(y), fractions(z), fractions(found), strict=True):
        scale = (2 * abs(a) + abs(c)) * abs(b)
        assert abs(value - (a * b + (a + c) * b)) <= scale * Fraction(2) ** -44


def test_what_cancels_leaves_the_low_words():
    x = (np.float32(1), np.float32(2.0**-30))
    assert fractions(jax.jit(add)(x, (np.float32(-1), np.float32(0)))) == [Fraction(2) ** -30]


def test_a_quotient_by_zero_is_zero():
    zero, one = (np.float32(0),) * 2, (np.float32(1), np.float32(0))
    assert fractions(jax.jit(divide)(one, zero)) == [0]
    assert fractions(jax.jit(divide)(zero, zero)) == [0]


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_32_bit_integers_enter_exactly(dtype):
    limits = np.iinfo(dtype)
    edges = [0, 1, limits.min, limits.max, limits.max - 1, 2**24 + 1, 2**25 - 1, 2**31 - 129, 4095, 4096, 4097]
    drawn_ones = np.random.default_rng(0).integers(limits.min, limits.max, 1000, endpoint=True)
    values = np.array([*edges, *drawn_ones], dtype)
    assert fractions(jax.jit(from_integer)(values)) == values.tolist()


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_an_integer_array_becomes_a_double_float_exactly(dtype):
    limits = np.iinfo(dtype)
    values = np.array([0, 1, limits.min, limits.max, 2**25 - 1, 2**24 + 1, 2**31 - 129], dtype)
    assert np.asarray(DoubleFloat.of(jnp.asarray(values))).tolist() == values.tolist()


@examples
@given(integers)
def test_a_count_becomes_a_double_float_to_2_to_the_minus_47(x):
    found = DoubleFloat.of(wide(x))
    for value, true in zip(fractions((found.high, found.low)), x, strict=True):
        assert abs(value - true) <= Fraction(2) ** -47 * true


@examples
@given(st.lists(st.floats(-1e15, 1e15, allow_subnormal=False), min_size=WIDTH, max_size=WIDTH))
def test_a_double_float_keeps_48_bits_of_a_float64(x):
    x = [0.0 if abs(a) < 1e-20 else a for a in x]  # whose low word would be a denormal
    found = np.asarray(DoubleFloat.of(np.array(x)))
    np.testing.assert_allclose(found, x, rtol=2.0**-48, atol=0)


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_of_any_length_err_by_1e_13_of_their_absolute_values(length):
    x = drawn(10, length)
    total = jax.jit(lambda high, low: DoubleFloat(high, low).sum())(*x)
    terms = fractions(x)
    (found,) = fractions((total.high, total.low))
    assert abs(found - sum(terms)) <= Fraction(1e-13) * sum(map(abs, terms))


def test_a_sum_of_tenths_does_not_stall():
    tenth = DoubleFloat.of(np.float32(0.1))
    total, _ = jax.lax.scan(lambda total, _: (total + tenth, None), DoubleFloat.of(0.0), None, length=2**21)
    assert float(total) == pytest.approx(2**21 * float(np.float32(0.1)), rel=1e-13)


def test_double_floats_compare_by_both_words():
    x = DoubleFloat.of(np.array([1.0, 1.0 + 2.0**-40, 2.0]))
    y = DoubleFloat.of(np.array([1.0 + 2.0**-40, 1.0 + 2.0**-40, -3.0]))
    for compare in COMPARISONS:
        assert compare(x, y).tolist() == compare(np.asarray(x), np.asarray(y)).tolist()


def test_double_floats_subtract_and_divide_to_a_float():
    x, y = DoubleFloat.of(2.0**30 + 0.25), DoubleFloat.of(2.0**30)
    assert float(x - y) == 0.25
    assert float(1.0 - y) == 1 - 2.0**30
    assert (x / y).dtype == jnp.float32
    assert float(x / 2.0**30) == 1.0
    assert np.isnan(float(DoubleFloat.of(0.0) / 0.0))
    with jax.enable_x64(True):
        assert float(x / y) == (2.0**30 + 0.25) / 2.0**30


def test_past_the_greatest_float_a_sum_is_infinite_and_not_nan():
    total = jax.jit(lambda x, y: x + y)(DoubleFloat.of(3e38), DoubleFloat.of(3e38))
    assert float(total) == np.inf
