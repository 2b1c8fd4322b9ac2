"""The laws of every accumulator against exact arithmetic, and the numbers that each is there for."""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streammetrics import accumulators
from streammetrics.accumulators import CoMoments, Count, ExactSum, Maximum, Minimum, Moments, Sum
from streammetrics.accumulators._base import count_rows
from streammetrics.accumulators._count import LONG, Ones

ROWS = 24
UNIT = Fraction(2) ** -298  # of an ExactSum
LAYOUTS = {"whole": ((), False), "vector": ((3,), False), "scalar cells": ((5,), True), "cells": ((5, 3), True)}
KINDS = [
    kind
    for name, kind in ((name, getattr(accumulators, name)) for name in accumulators.__all__)
    if issubclass(kind, accumulators.Accumulator) and kind is not accumulators.Accumulator
]
EXACT = (Count, ExactSum, Maximum, Minimum)
# Compiling is what these tests cost, so that each kind has two layouts: a whole, and cells.
CELLS = {kind: "scalar cells" if kind is CoMoments else "cells" for kind in KINDS}
CASES = [(kind, layout) for kind in KINDS for layout in ("whole", CELLS[kind])]

draws = settings(deadline=None, derandomize=True, max_examples=40)
eight = functools.partial(st.lists, min_size=8, max_size=8)  # one shape compiles once
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
each_case = pytest.mark.parametrize(("kind", "layout"), CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)


# --- What the rows add, in exact arithmetic ---


def exactly(number):
    return Fraction(number.item() if isinstance(number, np.generic) else number)


def exact_sum(terms):
    return sum((Fraction(x) for x in terms), Fraction(0))


def truth(kind, x, w):
    """The numbers that an accumulator holds of rows x with positive weights w, and how far it may be from each."""
    if kind in (Count, ExactSum):
        return [(exact_sum(a * b for a, b in zip(x, w, strict=True)), 0)]
    if kind is Sum:
        terms = [a * b for a, b in zip(x, w, strict=True)]
        return [(exact_sum(terms), 1e-13 * exact_sum(map(abs, terms)))]
    if kind in (Maximum, Minimum):
        return [((max if kind is Maximum else min)(x, default=math.nan), 0)]
    size = exact_sum(w)
    columns = [x] if kind is Moments else [[a[0] for a in x], [a[1] for a in x]]
    means = [exact_sum(a * b for a, b in zip(column, w, strict=True)) / size if size else 0 for column in columns]
    products = [
        exact_sum(b * (p - means[i]) * (q - means[j]) for p, q, b in zip(columns[i], columns[j], w, strict=True))
        for i in range(len(columns))
        for j in range(i, len(columns))
    ]
    spread = max(products[0], products[-1])
    return [
        (size, 1e-13 * size),
        *((mean, 1e-12 * max(map(abs, column), default=0)) for mean, column in zip(means, columns, strict=True)),
        *((product, 1e-10 * spread) for product in products),
    ]


def expected(accumulator, amount, weight=None, cell=None):
    """The true numbers of an accumulator and their tolerances, each an object array `(numbers, *shape)`."""
    weight = np.ones(len(amount), int) if weight is None else np.asarray(weight)
    numbers = []
    for place in np.ndindex(accumulator.shape):
        rows = (weight != 0) & (True if cell is None else cell == place[0])
        column = amount[(rows, *(place if cell is None else place[1:]))]
        values = np.vectorize(exactly, otypes=[object])(column.astype(float)) if column.size else column
        numbers.append(truth(type(accumulator), values.tolist(), [exactly(w) for w in weight[rows]]))
    table = np.array(numbers, object).reshape(*accumulator.shape, -1, 2)
    return np.moveaxis(table[..., 0], -1, 0), np.moveaxis(table[..., 1], -1, 0)


def fraction_of(words):
    """The number of 640 bits in two's complement, in words of 32, lowest first."""
    integer = sum(int(word) << (32 * k) for k, word in enumerate(words))
    return (integer - (1 << 640) if integer >> 639 else integer) * UNIT


def numbers_of(accumulator, data):
    """The numbers that data stands for, read without any code of the library."""
    data = np.asarray(data)
    assert data.shape == (accumulator.limbs, *accumulator.shape)
    assert data.dtype == accumulator.dtype
    if isinstance(accumulator, Count):
        return (data[0].astype(np.uint64) + (data[1].astype(np.uint64) << np.uint64(32)))[None]
    if isinstance(accumulator, ExactSum):
        flat = data.reshape(accumulator.limbs, -1)
        return np.array([fraction_of(column) for column in flat.T], object).reshape(1, *accumulator.shape)
    if isinstance(accumulator, Maximum | Minimum):
        return np.asarray(accumulator.decode(jnp.asarray(data)))[None]
    return data[0::2].astype(float) + data[1::2]


def assert_holds(accumulator, data, true):
    for found, due, tolerance in zip(*(np.ravel(x) for x in (numbers_of(accumulator, data), *true)), strict=True):
        if due != due:
            assert math.isnan(found)
        else:
            assert abs(exactly(found) - due) <= tolerance, (float(found), float(due))


# --- Batches, and the compiled functions of an accumulator ---


@functools.cache
def reduce_of(accumulator):
    return jax.jit(accumulator.reduce)


@functools.cache
def merge_of(accumulator):
    return jax.jit(accumulator.merge)


def drawn(accumulator, cells, seed=0, rows=ROWS):
    """Amounts, weights (some 0) and cells (some outside) that an accumulator takes."""
    rng, kind = np.random.default_rng(seed), type(accumulator)
    rest = accumulator.shape[1:] if cells else accumulator.shape
    cell = rng.integers(-1, accumulator.shape[0] + 1, rows).astype(np.int32) if cells else None
    if kind is Count:
        weight = rng.integers(0, 65_536, rows).astype(np.uint32) * (rng.random(rows) < 0.8).astype(np.uint32)
        return rng.integers(0, 65_536, (rows, *rest)).astype(np.int32), weight, cell
    amount = rng.normal(size=(rows, *rest, *(2,) * accumulator.amount_axes)) + 10
    if kind in (Sum, ExactSum):
        amount *= 2.0 ** rng.integers(-12, 12, amount.shape) * rng.choice([-1, 1], amount.shape)
    weight = rng.random(rows) * (rng.random(rows) < 0.8)
    return amount.astype(np.float32), weight.astype(np.float32), cell


def hidden(amount, weight):
    """The amounts with what must not be seen where the weight is 0."""
    spoiled = amount.copy()
    poison = [np.nan, np.inf, -np.inf] if amount.dtype.kind == "f" else [65_535]
    for k, row in enumerate(np.flatnonzero(np.asarray(weight) == 0)):
        spoiled[row] = poison[k % len(poison)]
    return spoiled


@functools.cache
def case(kind, layout):
    shape, cells = LAYOUTS[layout]
    accumulator = kind(shape)
    batch = drawn(accumulator, cells)
    return accumulator, batch, expected(accumulator, *batch)


def parts_of(accumulator, batch, seed, count=3):
    """A batch split at random and in another order: the reductions of each part among rows of weight 0."""
    amount, weight, cell = batch
    rng = np.random.default_rng(seed)
    order, owner = rng.permutation(len(amount)), rng.integers(0, count, len(amount))
    amount, weight, cell = amount[order], weight[order], None if cell is None else cell[order]
    shares = [np.where(owner == k, weight, weight.dtype.type(0)) for k in range(count)]
    return [reduce_of(accumulator)(hidden(amount, share), share, cell) for share in shares]


# --- The laws ---


def test_every_accumulator_of_the_library_is_under_these_laws():
    assert set(KINDS) == {CoMoments, Count, ExactSum, Maximum, Minimum, Moments, Sum}
    abstract = {accumulators.Accumulator, accumulators.Monoid}
    others = {getattr(accumulators, name) for name in accumulators.__all__} - abstract - set(KINDS)
    assert others == {
        accumulators.Windowed,
        accumulators.Decayed,
    }  # of states, which the catalogue's laws are tested on


@each_case
def test_a_batch_adds_what_exact_arithmetic_says(kind, layout):
    accumulator, (amount, weight, cell), true = case(kind, layout)
    assert_holds(accumulator, reduce_of(accumulator)(amount, weight, cell), true)


@each_case
def test_weight_zero_is_absence_even_of_nan_and_infinity(kind, layout):
    accumulator, (amount, weight, cell), true = case(kind, layout)
    reduce = reduce_of(accumulator)
    found = reduce(hidden(amount, weight), weight, cell)
    np.testing.assert_array_equal(found, reduce(amount, weight, cell))
    nothing = np.zeros_like(weight)
    np.testing.assert_array_equal(reduce(hidden(amount, nothing), nothing, cell), accumulator.init())
    assert_holds(accumulator, found, true)


@each_case
def test_init_is_the_identity_to_the_last_bit(kind, layout):
    accumulator, batch, _ = case(kind, layout)
    data, empty = reduce_of(accumulator)(*batch), accumulator.init()
    for merged in (merge_of(accumulator)(data, empty), merge_of(accumulator)(empty, data)):
        np.testing.assert_array_equal(merged, data)
        assert (merged.shape, merged.dtype) == (data.shape, data.dtype)
    np.testing.assert_array_equal(merge_of(accumulator)(empty, empty), empty)


@pytest.mark.parametrize("seed", range(4))
@each_case
def test_any_split_order_and_tree_of_merges_gives_what_the_whole_batch_gives(kind, layout, seed):
    accumulator, batch, true = case(kind, layout)
    merge, (a, b, c) = merge_of(accumulator), parts_of(accumulator, batch, seed)
    trees = [merge(merge(a, b), c), merge(a, merge(b, c)), merge(c, merge(b, a)), merge(merge(c, a), b)]
    for data in trees:
        assert_holds(accumulator, data, true)
        if isinstance(accumulator, EXACT):
            np.testing.assert_array_equal(data, trees[0])


@pytest.mark.parametrize("kind", [Count, Sum, Maximum, Moments], ids=lambda kind: kind.__name__)
def test_batches_of_uneven_sizes_merge_to_the_whole(kind):
    accumulator, batch, true = case(kind, "whole")
    data = accumulator.init()
    for rows in (slice(0, 1), slice(1, 1), slice(1, ROWS)):
        part = reduce_of(accumulator)(*(None if x is None else x[rows] for x in batch))
        data = merge_of(accumulator)(data, part)
    assert_holds(accumulator, data, true)


@each_kind
def test_a_batch_without_rows_is_the_identity(kind):
    accumulator, batch, _ = case(kind, "whole" if kind in (CoMoments, ExactSum) else CELLS[kind])
    found = reduce_of(accumulator)(*(None if x is None else x[:0] for x in batch))
    np.testing.assert_array_equal(found, accumulator.init())


@pytest.mark.parametrize(  # the other cases weigh with fractions
    ("kind", "dtype"),
    [(kind, dtype) for kind in KINDS for dtype in (None, bool, np.uint32) if kind is not CoMoments or not dtype],
    ids=lambda x: x.__name__ if isinstance(x, type) else str(x),
)
def test_weights_may_be_missing_boolean_or_whole(kind, dtype):
    accumulator, (amount, _, _), _ = case(kind, "whole")
    weight = None
    if dtype is not None:
        weight = np.random.default_rng(1).integers(0, 2 if dtype is bool else 65_536, ROWS).astype(dtype)
        weight[::3] = 0
        amount = hidden(amount, weight)
    found = reduce_of(accumulator)(amount, weight, None)
    assert_holds(accumulator, found, expected(accumulator, amount, weight))


@pytest.mark.parametrize("kind", [Count, Sum, Maximum, Moments], ids=lambda kind: kind.__name__)
def test_weights_may_be_given_for_every_element(kind):
    accumulator, (amount, _, _), _ = case(kind, "vector")
    weight = np.random.default_rng(2).integers(0, 3, amount.shape).astype(np.uint32)
    found = numbers_of(accumulator, reduce_of(accumulator)(hidden(amount, weight.sum(1)), weight, None))
    alone = kind()
    for element in range(3):
        column = expected(alone, amount[:, element], weight[:, element])
        assert_holds(alone, np.asarray(accumulator_data(alone, found[:, element])), column)


def accumulator_data(accumulator, numbers):
    """Data that holds numbers: the inverse of `numbers_of` up to the precision of a test."""
    if isinstance(accumulator, Count):
        return np.array([int(numbers[0]) & 0xFFFFFFFF, int(numbers[0]) >> 32], np.uint32)
    if isinstance(accumulator, Maximum | Minimum):
        return accumulator.reduce(jnp.asarray(numbers, jnp.float32), ~np.isnan(numbers), None)
    high = numbers.astype(np.float32)
    return np.stack([high, (numbers - high).astype(np.float32)], 1).reshape(-1)


@pytest.mark.parametrize("kind", [Count, Sum, Moments], ids=lambda kind: kind.__name__)
def test_more_rows_than_one_pass_takes_are_reduced_in_several(kind, monkeypatch):
    monkeypatch.setattr(kind, "rows_limit", 7)  # 24 rows are four passes, the last one padded
    accumulator, (amount, weight, cell), true = case(kind, "cells" if kind in (Count, Sum) else "whole")
    assert_holds(accumulator, jax.jit(lambda *batch: accumulator.reduce(*batch))(amount, weight, cell), true)


def test_several_passes_of_rows_without_weights_do_not_count_their_padding(monkeypatch):
    monkeypatch.setattr(Count, "rows_limit", 7)
    assert np.asarray(jax.jit(lambda x: Count().reduce(x, None, None))(np.ones(ROWS, bool))).tolist() == [ROWS, 0]


@pytest.mark.parametrize(
    ("kind", "layout"),
    [(kind, layout) for kind, layout in CASES if kind is not CoMoments and (kind is not Moments or layout == "whole")],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_the_sum_of_what_devices_pack_unpacks_to_the_merge_of_all(kind, layout):
    accumulator, batch, true = case(kind, layout)
    parts = parts_of(accumulator, batch, seed=5)

    @jax.jit
    def over_devices(parts):
        packed = [accumulator.pack(part, jnp.int32(index), len(parts)) for index, part in enumerate(parts)]
        assert all(words.dtype == jnp.uint32 for words in packed)
        return accumulator.unpack(sum(words.reshape(-1) for words in packed), len(parts))

    assert_holds(accumulator, over_devices(parts), true)


# --- Count ---


def count_data(numbers):
    numbers = np.array(numbers, np.uint64)
    return np.stack([numbers.astype(np.uint32), (numbers >> np.uint64(32)).astype(np.uint32)])


@draws
@given(st.lists(st.tuples(*[st.integers(0, 2**64 - 1)] * 2), min_size=4, max_size=4))
def test_counts_merge_as_64_bit_integers(pairs):
    accumulator, (x, y) = Count((4,)), zip(*pairs, strict=True)
    merged = merge_of(accumulator)(count_data(x), count_data(y))
    assert numbers_of(accumulator, merged)[0].tolist() == [sum(pair) % 2**64 for pair in pairs]


@pytest.mark.parametrize("by_cell", [False, True])
def test_the_heaviest_rows_carry_past_2_to_the_32(by_cell):
    rows = 65_793  # of the weight 65,535: the halves of their sum carry into each other
    weight, cell = np.full(rows, 65_535, np.uint32), np.zeros(rows, np.int32) if by_cell else None
    accumulator = Count((2,) if by_cell else ())
    hits = reduce_of(accumulator)(np.ones(rows, bool), weight, cell)
    assert numbers_of(accumulator, hits).ravel()[0] == rows * 65_535  # 4.3e9
    amounts = reduce_of(accumulator)(np.full(rows, 65_535, np.int32), weight, cell)
    assert numbers_of(accumulator, amounts).ravel()[0] == rows * 65_535**2  # 2.8e14


many = Count((3, 40))
absent_too = st.integers(-2, 123)


@jax.jit
def with_few(data, cell, present):
    """What eight rows add to data, where they belong and as the data of a batch."""
    rows = jnp.ones(8, bool), present, cell
    part = many.part(*rows)
    assert isinstance(part, Ones)
    return many.added(data, part), many.placed(part), many.reduce(*rows)


@draws
@example([7] * 8, [True] * 8)
@example([0] * 6 + [-1, 120], [True] * 8)
@given(eight(absent_too | st.sampled_from([0, 7, 119, 120, 2**31 - 1, -(2**31)])), eight(st.booleans()))
def test_few_rows_are_added_to_many_cells_as_their_data_would_be(cell, present):
    held = count_data(np.full(many.shape, 2**32 - 4))  # the fifth row of a cell carries
    added, alone, data = with_few(held, np.array(cell, np.int32), np.array(present))
    np.testing.assert_array_equal(added, merge_of(many)(held, data))
    np.testing.assert_array_equal(alone, data)


def test_few_rows_added_to_many_cells_need_no_memory_for_these():
    many, rows = Count((100_000,)), (np.ones(32, bool), None, np.zeros(32, np.int32))
    add = jax.jit(lambda data, *rows: many.added(data, many.part(*rows)), donate_argnums=0)
    with jax.default_device(jax.devices("cpu")[0]):  # XLA for others may copy what is read and written
        memory = add.lower(many.init(), *rows).compile().memory_analysis()
    assert memory is not None
    assert memory.alias_size_in_bytes == many.init().nbytes
    assert memory.temp_size_in_bytes < 10_000


@pytest.mark.parametrize("rest", [(), (3,)])
@pytest.mark.parametrize("rows", [0, 1, 31, 33, 128, 129, 3000])  # each way to add bits, and its ends
def test_the_rows_of_several_masks_are_counted(rows, rest):
    shares = np.arange(1, 7).reshape(6, *(1,) * (1 + len(rest))) / 6  # of the last mask all
    drawn = np.random.default_rng(rows).random((6, rows, *rest)) < shares
    found = jax.jit(lambda masks: count_rows(list(masks)))(drawn)
    np.testing.assert_array_equal(found, drawn.sum(1))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("shape", "by_cell"), [((9,), True), ((2, 2), False), ((3, 2, 2), False), ((12,), False)])
def test_bits_of_many_rows_are_counted(shape, by_cell, weighted):
    rng, rows = np.random.default_rng(0), LONG + 5
    weight = rng.random(rows) < 0.8 if weighted else np.ones(rows, bool)
    amount = rng.random((rows, *(() if by_cell else shape))) < 0.5
    cell = rng.integers(-1, 10, rows, np.int32) if by_cell else None
    data = reduce_of(Count(shape))(amount, weight if weighted else None, cell)
    true = [(amount & weight & (cell == one)).sum() for one in range(9)] if by_cell else amount[weight].sum(0)
    np.testing.assert_array_equal(numbers_of(Count(shape), data)[0], true)


sixteen_bits = st.integers(0, 65_535) | st.sampled_from([255, 256, 512, 65_280, 65_535])


@draws
@example(([65_535, 65_535, 0, 0, 0, 0, 0, 0], [65_280, 512, 0, 0, 0, 0, 0, 0]))  # 0xFEFF0100 + 0x01FFFE00
@given(st.tuples(eight(sixteen_bits), eight(sixteen_bits)))
def test_counts_of_weighted_amounts_are_exact(batch):
    amount, weight = (np.array(column) for column in batch)
    data = reduce_of(Count())(amount.astype(np.int32), weight.astype(np.uint32), None)
    assert numbers_of(Count(), data)[0] == (amount * weight).sum()


def test_the_packs_of_65536_devices_do_not_wrap():
    accumulator = Count((3,))
    data = jnp.asarray(count_data([2**32 - 1, 2**47 + 12_345, 1]))
    words = accumulator.pack(data, jnp.int32(0), 65_536)
    summed = (np.asarray(words).astype(np.uint64) * 65_536).astype(np.uint32).ravel()
    assert (np.asarray(words).astype(np.uint64) * 65_536 < 2**32).all()
    found = numbers_of(accumulator, accumulator.unpack(jnp.asarray(summed), 65_536))[0]
    assert found.tolist() == [65_536 * n for n in (2**32 - 1, 2**47 + 12_345, 1)]


def test_counts_decode_exactly():
    assert np.asarray(Count((2,)).decode(jnp.asarray(count_data([2**64 - 1, 2**32])))).tolist() == [2**64 - 1, 2**32]


# --- ExactSum ---

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
ends = [1e38, -1e38, 3.4028234663852886e38, 1.401298464324817e-45, -1e-40, 1.17549435e-38, 0.1]
extreme = finite | st.sampled_from([float(np.float32(end)) for end in ends])
ORDERS = 6


@draws
@given(eight(extreme))
def test_exact_sums_equal_sums_of_fractions(values):
    data = reduce_of(ExactSum())(np.array(values, np.float32), None, None)
    assert fraction_of(np.asarray(data)) == exact_sum(values)


@draws
@given(eight(extreme), eight(extreme.map(abs).filter(lambda weight: weight == 0 or weight > 1.2e-38)))
def test_exact_sums_of_products_equal_sums_of_fractions(values, weights):
    data = reduce_of(ExactSum())(np.array(values, np.float32), np.array(weights, np.float32), None)
    assert fraction_of(np.asarray(data)) == exact_sum(
        Fraction(x) * Fraction(w) for x, w in zip(values, weights, strict=True)
    )


def test_exact_sums_of_products_with_denormal_weights_equal_sums_of_fractions():
    weights = np.array([1.401298464324817e-45, 1e-40, 1e-38, 1, 0, 0, 0, 0], np.float32)
    values = np.array([1, 3e38, 1e-45, 1e-45, np.nan, 0, 0, 0], np.float32)
    data = reduce_of(ExactSum())(values, weights, None)
    true = exact_sum(exactly(x) * exactly(w) for x, w in zip(values[:4], weights[:4], strict=True))
    assert fraction_of(np.asarray(data)) == true


@draws
@given(eight(extreme), eight(extreme))
def test_exact_sums_merge_exactly(x, y):
    parts = [reduce_of(ExactSum())(np.array(values, np.float32), None, None) for values in (x, y)]
    assert fraction_of(np.asarray(merge_of(ExactSum())(*parts))) == exact_sum([*x, *y])


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float16, jnp.bfloat16], ids=lambda d: np.dtype(d).name)
def test_exact_sums_take_integers_and_short_floats_exactly(dtype):
    whole = np.dtype(dtype).kind in "iu"
    ends = np.iinfo(dtype) if whole else jnp.finfo(dtype)
    extremes = [float(ends.min), float(ends.max), float(ends.max) - 1 if whole else 0.1, 1.0]
    values = np.array(extremes * 2).astype(dtype)
    data = reduce_of(ExactSum())(values, None, None)
    assert fraction_of(np.asarray(data)) == exact_sum(float(x) for x in values)


def test_exact_sums_of_what_cancels_leave_the_rest():
    values = np.array([3e38, 1e-38, -3e38, 1e-45, 3e38, -3e38, 1.0, -1.0], np.float32)
    data = np.asarray(reduce_of(ExactSum())(values, None, None))
    assert fraction_of(data) == Fraction(float(values[1])) + Fraction(float(values[3]))


def test_exact_sums_are_one_number_for_every_order_and_split():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=4096) * 10.0 ** rng.integers(-30, 30, 4096)).astype(np.float32)
    reduce, merge = reduce_of(ExactSum()), merge_of(ExactSum())
    whole = np.asarray(reduce(values, None, None))
    assert fraction_of(whole) == exact_sum(values.astype(float))
    for _ in range(ORDERS):
        values = rng.permutation(values)
        np.testing.assert_array_equal(reduce(values, None, None), whole)
    data = ExactSum().init()
    for part in values.reshape(-1, 8):
        data = merge(data, reduce(part, None, None))
    np.testing.assert_array_equal(data, whole)


def test_exact_sums_of_the_most_rows_of_one_pass_do_not_wrap():
    rows, greatest = ExactSum.rows_limit, np.float32(3.4028234663852886e38)
    values = np.full(rows, greatest)
    data = reduce_of(ExactSum())(values, np.full(rows, greatest), None)
    assert fraction_of(np.asarray(data)) == rows * Fraction(float(greatest)) ** 2
    data = reduce_of(ExactSum())(np.full(rows, -(2**31), np.int32), None, None)
    assert fraction_of(np.asarray(data)) == -rows * 2**31


def words_of(number):
    """The data of an ExactSum that holds a Fraction."""
    integer = int(number / UNIT) % (1 << 640)
    return np.array([(integer >> (32 * k)) & 0xFFFFFFFF for k in range(20)], np.uint32)


@functools.cache
def decode_of(accumulator):
    return jax.jit(accumulator.decode)


def test_exact_sums_decode_to_48_bits():
    rng = np.random.default_rng(0)
    numbers = [Fraction(float(x)) for x in rng.normal(size=40) * 10.0 ** rng.integers(-25, 38, 40)]
    numbers += [Fraction(n) for n in (0, 1, -1, 2**16, 2**32 - 1, -(2**47) - 1, 2**64 - 1)]
    numbers += [Fraction(1) + Fraction(2) ** -40, Fraction(-1) - Fraction(2) ** -40, Fraction(2) ** -80]
    decoded = decode_of(ExactSum((50,)))(np.stack([words_of(number) for number in numbers], 1))
    for found, number in zip(np.asarray(decoded).tolist(), numbers, strict=True):
        assert abs(Fraction(found) - number) <= Fraction(2) ** -47 * abs(number), (found, float(number))


def test_exact_sums_beyond_the_floats_decode_to_infinity_and_zero():
    numbers = [Fraction(2) ** 130, -(Fraction(2) ** 200), Fraction(2) ** 300, UNIT, -UNIT]
    decoded = decode_of(ExactSum((50,)))(np.stack([words_of(number) for number in numbers * 10], 1))
    assert np.asarray(decoded.to_float())[:5].tolist() == [math.inf, -math.inf, math.inf, 0, 0]


# --- Sum ---


def test_a_sum_of_20_million_tenths_is_right():
    merge, tenths = Sum().merge, reduce_of(Sum())(np.full(ROWS, 0.1, np.float32), None, None)
    total = jax.jit(lambda one: jax.lax.scan(lambda data, _: (merge(data, one), None), Sum().init(), None, 2**20)[0])(
        tenths
    )
    true = 2**20 * ROWS * Fraction(float(np.float32(0.1)))
    assert abs(Fraction(numbers_of(Sum(), total)[0].item()) / true - 1) <= 1e-13


@pytest.mark.parametrize("rows", [1, 33, 1000, 1024, 1025, 100_000])  # as slices, by reductions, in two passes
def test_a_batch_is_summed_to_1e_13_of_the_absolute_values(rows):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=rows) * 10.0 ** rng.integers(-10, 10, rows)).astype(np.float32)
    found = numbers_of(Sum(), reduce_of(Sum())(values, None, None))[0].item()
    assert abs(found - math.fsum(values.tolist())) <= 1e-13 * math.fsum(np.abs(values).tolist())


def test_integers_are_summed_exactly():
    values = np.array([2**31 - 1, -(2**31), 2**31 - 1, 2**31 - 1, 2**24 + 1, -1, 2**30 + 1, 3] * 3, np.int32)
    found = reduce_of(Sum())(values, None, None)
    assert numbers_of(Sum(), found)[0] == sum(values.tolist())


def test_what_cancels_leaves_the_rest():
    values = np.array([1e8, 1.5, -1e8, 2.0**-20] * 6, np.float32)
    assert numbers_of(Sum(), reduce_of(Sum())(values, None, None))[0] == 6 * (1.5 + 2.0**-20)


@pytest.mark.parametrize("kind", [Sum, Moments], ids=lambda kind: kind.__name__)
def test_a_small_cell_beside_a_great_one_keeps_its_own_precision(kind):
    rng, rows = np.random.default_rng(0), 1000
    sizes = np.array([1e15, 1e-12, 1.0, 1e-3, 1e6])
    cell = rng.integers(0, 5, rows).astype(np.int32)
    amount = (rng.normal(size=rows) * sizes[cell]).astype(np.float32)
    accumulator = kind((5,))
    data = reduce_of(accumulator)(amount, None, cell)
    assert_holds(accumulator, data, expected(accumulator, amount, None, cell))


def test_within_a_cell_the_order_of_the_rows_does_not_change_a_bit():
    rng, accumulator = np.random.default_rng(0), Sum((5,))
    cell = rng.integers(0, 5, 1000).astype(np.int32)
    amount = (rng.normal(size=1000) * 10.0 ** rng.integers(-5, 5, 1000)).astype(np.float32)
    order = rng.permutation(1000)
    reduce = reduce_of(accumulator)
    np.testing.assert_array_equal(reduce(amount, None, cell), reduce(amount[order], None, cell[order]))


def test_sums_past_the_floats_are_infinite_and_not_nan():
    values = np.full(ROWS, 3e38, np.float32)
    total = reduce_of(Sum())(values, None, None)
    assert float(Sum().decode(total)) == math.inf
    assert float(Sum().decode(merge_of(Sum())(total, total))) == math.inf


@pytest.mark.parametrize("kind", [Sum, ExactSum], ids=lambda kind: kind.__name__)
def test_under_x64_float64_amounts_keep_48_bits_and_states_their_dtype(kind):
    accumulator = kind()
    values = np.random.default_rng(0).normal(size=ROWS) + 1e6
    with jax.enable_x64(True):
        data = jax.jit(lambda x: accumulator.reduce(x, None, None))(values)
        assert data.dtype == accumulator.dtype
    true = math.fsum(values)
    assert abs(float(numbers_of(accumulator, data)[0]) - true) <= 2.0**-45 * true


# --- Moments and CoMoments ---


def scanned(accumulator, parts, state=None):
    """The merge of the data along the leading axis of `parts`, one after the other."""
    start = accumulator.init() if state is None else state
    return jax.lax.scan(lambda data, part: (accumulator.merge(data, part), None), start, parts)[0]


def test_the_variance_about_a_far_mean_is_right():
    accumulator = Moments()
    reduce = jax.vmap(lambda part: accumulator.reduce(part, None, None))
    merged = jax.jit(lambda parts: scanned(accumulator, reduce(parts)))
    for offset in (1e4, 1e5):  # E[x²] − E[x]² in float32 gives 448 for 1
        values = (np.random.default_rng(0).normal(size=(200, 500)) + offset).astype(np.float32)
        weight, mean, m2 = numbers_of(accumulator, merged(values))
        exact = values.astype(float)
        assert weight == values.size
        assert mean == pytest.approx(exact.mean(), rel=1e-12)
        assert m2 == pytest.approx(((exact - exact.mean()) ** 2).sum(), rel=1e-10)


@pytest.mark.parametrize(("dtype", "cells"), [(np.int32, False), (np.uint32, True)], ids=["int32", "uint32 by cell"])
def test_moments_of_integers_past_float32_are_those_of_the_integers(dtype, cells):
    # Neighbours near the end of their range are the same float32.
    values = np.iinfo(dtype).max - np.random.default_rng(0).integers(0, 9, ROWS).astype(dtype)
    accumulator, cell = Moments((1,) if cells else ()), np.zeros(ROWS, np.int32) if cells else None
    _, mean, m2 = (float(x.item()) for x in numbers_of(accumulator, reduce_of(accumulator)(values, None, cell)))
    exact = values.astype(float)
    assert mean == pytest.approx(exact.mean(), rel=2**-46)
    # The mean is held to 2^-46 of itself, and enters m2 times its low word, which is below 2^-24 of it.
    assert m2 == pytest.approx(ROWS * exact.var(), rel=1e-10, abs=2 * ROWS * exact.mean() ** 2 * 2.0**-70)


def test_under_x64_moments_of_float64_amounts_see_what_float32_does_not():
    values = 1e4 + np.random.default_rng(0).normal(size=ROWS) * 1e-3  # as float32 they are one or two numbers
    with jax.enable_x64(True):
        data = jax.jit(lambda x: Moments().reduce(x, None, None))(values)
    assert numbers_of(Moments(), data)[2] == pytest.approx(ROWS * values.var(), rel=1e-6)


def test_the_mean_of_two_halves_is_right_after_50_million_examples():
    accumulator = Moments()
    low, high = (reduce_of(accumulator)(np.full(256, x, np.float32), None, None) for x in (1.00, 1.01))
    repeat = lambda state, part: jax.lax.scan(lambda s, _: (accumulator.merge(s, part), None), state, None, 100_000)[0]  # noqa: E731
    data = jax.jit(lambda: repeat(repeat(accumulator.init(), low), high))()
    weight, mean, m2 = numbers_of(accumulator, data)
    x, y = 1.0, float(np.float32(1.01))
    assert weight == 200_000 * 256
    assert mean == pytest.approx((x + y) / 2, rel=1e-11)  # float32 reads 1.0027
    assert m2 == pytest.approx(weight * ((y - x) / 2) ** 2, rel=1e-9)


def test_the_weight_does_not_stop_at_2_to_the_24():
    accumulator = Moments()
    data = one = reduce_of(accumulator)(np.ones(ROWS, np.float32), np.eye(ROWS, dtype=np.uint32)[0], None)
    for _ in range(24):
        data = merge_of(accumulator)(data, data)
    data = jax.jit(lambda data, one: jax.lax.fori_loop(0, 1000, lambda _, d: accumulator.merge(d, one), data))(
        data, one
    )
    assert numbers_of(accumulator, data).tolist() == [2**24 + 1000, 1.0, 0.0]


def test_moments_decode_by_name():
    read = Moments().decode(reduce_of(Moments())(np.arange(ROWS, dtype=np.float32), None, None))
    assert [float(x) for x in (read.weight, read.mean, read.m2)] == pytest.approx([24, 11.5, 1150])
    x = np.arange(ROWS, dtype=np.float32)
    read = CoMoments().decode(reduce_of(CoMoments())(np.stack([x, 3 - 2 * x], 1), None, None))
    found = {name: float(getattr(read, name)) for name in read._fields}
    true = {"weight": 24, "mean_x": 11.5, "mean_y": -20, "xx": 1150, "xy": -2300, "yy": 4600}
    assert found == pytest.approx(true)


# --- Maximum and Minimum ---


@pytest.mark.parametrize(("kind", "end"), [(Maximum, -math.inf), (Minimum, math.inf)], ids=["Maximum", "Minimum"])
def test_an_infinite_extremum_is_a_value_and_nothing_is_nan(kind, end):
    weight = np.zeros(ROWS, np.float32)
    amount = np.full(ROWS, end, np.float32)
    assert math.isnan(numbers_of(kind(), reduce_of(kind())(amount, weight, None))[0])
    weight[3] = 1
    data = reduce_of(kind())(amount, weight, None)
    assert numbers_of(kind(), data)[0] == end
    assert numbers_of(kind(), merge_of(kind())(kind().init(), data))[0] == end


@draws
@given(eight(st.floats(width=32, allow_nan=False, allow_subnormal=False)))
def test_extrema_are_those_of_python(values):
    for kind, due in ((Maximum, max), (Minimum, min)):
        data = reduce_of(kind())(np.array(values, np.float32), None, None)
        assert numbers_of(kind(), data)[0] == due(values)


def test_minus_zero_and_zero_are_one_number():
    for kind in (Maximum, Minimum):
        first = reduce_of(kind())(np.array([0.0, -0.0] * 4, np.float32), None, None)
        second = reduce_of(kind())(np.array([-0.0] * 8, np.float32), None, None)
        np.testing.assert_array_equal(first, second)
