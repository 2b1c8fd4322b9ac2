"""`Sliced` and `PerOutput`: every slice is the metric of its rows, from one pass; totals, gaps and contrasts."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from streammetrics._state import arrays, part
from streammetrics.wrappers._base import Wrapper
from tests.catalogue import COUNTED, ROWS, THREE, Case
from tests.support import assert_same, assert_values_equal, collectives, each

PLAIN = [case for case in COUNTED if not isinstance(case.metric, Wrapper) and case.name != "collection"]
RNG = np.random.default_rng(0)
SCORES, TRUE = RNG.normal(size=(60, 3)).astype(np.float32), RNG.integers(0, 3, 60)
COUNTRY, AGE = RNG.integers(0, 2, 60), (RNG.random(60) * 90).astype(np.float32)
CROSSED = {"country": ("de", "fr"), "age": (0.0, 18.0, 65.0, 90.0)}
RIGHT = SCORES.argmax(-1) == TRUE


@each(PLAIN)
def test_a_slice_is_the_metric_of_its_rows_and_the_slices_together_that_of_all(case: Case) -> None:
    batch, group = case.batch(5), np.arange(ROWS) % 3 - 1  # −1 is in no slice
    sliced = sm.Sliced(case.metric, "its slice", 2)
    state = sliced.tally(**batch, **{"its slice": group})
    weights = case.metric.statistic.weights
    for index in range(2):
        masked = {**batch, weights: np.where(group == index, batch[weights], 0).astype(batch[weights].dtype)}
        alone = case.metric.tally(**masked)
        for (accumulator, found), (_, due) in zip(arrays(state)[:-1], arrays(alone)[:-1], strict=True):
            kind: Any = type(accumulator)
            one, other = (kind(due.shape[1:]).decode(each) for each in (found[:, index], due))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), one, other)
        assert sm.plain(state.examples)[index] == sm.plain(alone.examples)
    masked = {**batch, weights: np.where(group >= 0, batch[weights], 0).astype(batch[weights].dtype)}
    assert_same(sm.total(state), case.metric.tally(**masked))


def test_crossed_columns_have_an_axis_each() -> None:
    metric = sm.Sliced(sm.Accuracy(THREE), slices=CROSSED)
    state = metric.tally(SCORES, TRUE, country=COUNTRY, age=AGE)
    bins = np.digitize(AGE, [18, 65])
    due = [[RIGHT[(c == COUNTRY) & (bins == a)].mean() for a in range(3)] for c in range(2)]
    np.testing.assert_allclose(metric.compute(state), due, rtol=1e-6)
    assert sm.plain(state.examples) == [[int(((c == COUNTRY) & (bins == a)).sum()) for a in range(3)] for c in range(2)]
    assert metric.labels == {"country": ("de", "fr"), "age": ("0 – 18", "18 – 65", "65 – 90")}
    by_age = sm.Sliced(sm.Accuracy(THREE), slices={"age": CROSSED["age"]})
    assert_same(sm.total(state, "country"), by_age.tally(SCORES, TRUE, age=AGE))
    by_country = sm.Sliced(sm.Accuracy(THREE), slices={"country": CROSSED["country"]})
    assert_same(sm.total(state, "age"), by_country.tally(SCORES, TRUE, country=COUNTRY))
    assert_same(sm.total(state), sm.Accuracy(THREE).tally(SCORES, TRUE))


@pytest.mark.parametrize(
    ("slices", "entry", "due"),
    [
        (("de", "fr"), np.array(["fr", "de", "xx", "fr"]), [1, 0, 2, 1]),
        (("de", "fr"), ["fr", "de", "xx", "fr"], [1, 0, 2, 1]),
        (("fr", "de"), np.array(["fr", "de"], object), [0, 1]),
        (("de", "fr"), np.array([1, 0, -1, 5]), [1, 0, -1, 2]),
        (("de", "fr"), np.array([1, 0, 200], np.uint8), [1, 0, 2]),
        (("no", "yes"), np.array([True, False]), [1, 0]),
        ((2026, 2024, 2025), np.array([2024, 2025, 2026, 2023, -1]), [1, 2, 0, 3, -1]),
        ((-1, 3), np.array([-1, 3, 4]), [0, 1, 2]),
        ((0.0, 1.0, 2.0), np.array([-0.1, 0.0, 0.99, 1.0, 2.0, 2.1, np.nan]), [2, 0, 0, 1, 1, 2, 2]),
        ((-np.inf, 0.0, np.inf), np.array([-np.inf, -1.0, 0.0, np.inf]), [0, 0, 1, 1]),
        ((0.0, 10.0), np.array([0, 9, 11]), [0, 0, 1]),
        # Integers are compared with edges as they are, also those that float32 or the dtype does not hold.
        ((0.0, 16777217.0, 2e7), np.array([16777216, 16777217, 16777218, 20_000_000, 20_000_001]), [0, 1, 1, 1, 2]),
        ((-1e12, 0.5, 1.0, 1e12), np.array([-1, 0, 1], np.int8), [0, 0, 2]),
        ((-1.0, 1e12), np.array([0, 255], np.uint8), [0, 0]),
        ((-np.inf, 1.5, np.inf), np.array([-(2**31), 1, 2, 2**31 - 1]), [0, 0, 1, 1]),
        ((-1.0, 1.0), np.array([-1.0, -1.5]), [0, 1]),
        ((2**32 + 7, 2**32 + 8), np.array([7, 8, -1]), [2, 2, -1]),
        ((-5, 3), np.array([3, 2**32 - 5], np.uint32), [1, 2]),
        ((-5, 300), np.array([251, 44], np.uint8), [2, 2]),
    ],
)
def test_columns_tell_slices_apart(slices: Any, entry: Any, due: list[int]) -> None:
    """Of the slices given, −1 is none, and the number of slices is not known."""
    due_index, size = np.array(due), len(slices) - isinstance(slices[0], float)
    loss = np.ones(len(due), np.float32)
    metric = sm.Sliced(sm.Sum("loss"), slices={"x": slices})
    state = metric.tally(loss=loss, x=entry)
    assert sm.plain(state.examples) == [int((due_index == i).sum()) for i in range(size)]
    assert int(state.invalid["unknown slice in x"]) == (due_index == size).sum()
    if (due_index == size).any():
        with pytest.raises(sm.InvalidExamples, match="with unknown slice in x"):
            metric.compute(state)
        assert np.isnan(metric.compute(state, on_invalid="nan")).all()  # what is of no known slice may be of any
    other = sm.Sliced(sm.Sum("loss"), slices={"x": slices}, other=True)
    counts = [int((due_index == i).sum()) for i in range(size + 1)]
    assert other.compute(other.tally(loss=loss, x=entry)).tolist() == counts
    assert other.labels["x"][-1] == "other"


def test_integers_of_64_bits_tell_slices_apart() -> None:
    with jax.enable_x64(True):
        ids = np.array([3_000_000_000, 1, 2**32 + 1])
        assert sm.Sliced(sm.Sum("one"), slices={"x": (3_000_000_000, 1, 2**32 + 1)})(
            one=[1.0, 2.0, 4.0], x=ids
        ).tolist() == [1.0, 2.0, 4.0]
        assert sm.Sliced(sm.Sum("one"), slices={"x": (1.0, 2.0, 2.0**40)})(one=[1.0, 2.0, 4.0], x=ids).tolist() == [
            2,
            5,
        ]


def test_labels_of_edges_tell_them_apart() -> None:
    metric = sm.Sliced(MEAN, slices={"t": (16777216.0, 16777218.0, 16777220.0), "p": (0.1, 0.25, 1.0)})
    assert metric.labels == {
        "t": ("16777216 – 16777218", "16777218 – 16777220"),
        "p": ("0.1 – 0.25", "0.25 – 1"),
    }


def test_invalid_examples_spoil_their_own_slice_alone() -> None:
    metric = sm.Sliced(sm.Mean("loss"), "group", 3)
    state = metric.tally(loss=np.array([1.0, np.nan, 3.0]), group=np.array([0, 1, 2]))
    np.testing.assert_array_equal(metric.compute(state, on_invalid="nan"), [1, np.nan, 3])
    with pytest.raises(sm.InvalidExamples, match=r"1 of 3 examples could not be counted, 1 with NaN value \(in Sliced"):
        metric.compute(state)
    gap = sm.Gap(metric)
    assert all(np.isnan(value) for value in gap.compute(state, on_invalid="nan").values())
    assert float(gap.compute(state, on_invalid="ignore")["difference"]) == 2


def test_a_sliced_collection_is_a_collection_of_sliced_metrics() -> None:
    task = THREE
    inner = sm.Collection(accuracy=sm.Accuracy(task), more=sm.Collection(recall=sm.Recall(task), loss=sm.Mean("loss")))
    outside = sm.Sliced(inner, "group", 2)
    inside = sm.Collection(
        accuracy=sm.Sliced(sm.Accuracy(task), "group", 2),
        more=sm.Collection(recall=sm.Sliced(sm.Recall(task), "group", 2), loss=sm.Sliced(sm.Mean("loss"), "group", 2)),
    )
    batch = {"predictions": SCORES, "targets": TRUE, "loss": AGE, "group": COUNTRY}
    state = outside.tally(**batch)
    assert_same(state, inside.tally(**batch))
    assert len(state.data) == 2  # accuracy and recall share their counts
    assert_values_equal(outside.compute(state), inside.compute(state))
    assert list(outside.compute(state)) == ["accuracy", "more"]
    whole = inner.tally(predictions=SCORES, targets=TRUE, loss=AGE)
    assert_same(sm.total(state), whole)


@pytest.mark.parametrize(
    ("examples", "fewest", "shown"),
    [
        ([5, 0, 7], 3, [0, 2]),
        ([5, 2, 7], 3, [2]),  # the total would tell what the 2 have: 5 are hidden with them
        ([5, 2, 2, 7], 3, [0, 3]),  # two together have enough to hide each other
        ([1, 1, 9, 9], 3, [3]),
        ([1, 0, 9], 3, []),
        ([2, 1], 3, []),
    ],
)
def test_small_slices_are_hidden_and_what_would_reveal_them(examples: list, fewest: int, shown: list) -> None:
    group = np.repeat(np.arange(len(examples)), examples)
    metric = sm.Sliced(sm.Mean("loss"), "group", len(examples), min_examples=fewest)
    value = metric(loss=group.astype(np.float32), group=group)
    assert [int(i) for i in np.flatnonzero(~np.isnan(value))] == shown
    counts = sm.Sliced(sm.Examples("loss"), "group", len(examples), min_examples=fewest)
    value = counts(loss=group.astype(np.float32), group=group)
    empty = [i for i, n in enumerate(examples) if n == 0]
    assert [int(i) for i in np.flatnonzero(~np.isnan(value))] == sorted(shown + empty)


def test_crossed_slices_hide_what_is_small() -> None:
    metric = sm.Sliced(sm.Mean("loss"), slices={"a": (0, 1), "b": (0, 1)}, min_examples=2)
    value = metric(loss=[1.0, 2.0, 3.0, 4.0], a=[0, 0, 0, 1], b=[0, 0, 1, 1])
    np.testing.assert_array_equal(value, [[1.5, np.nan], [np.nan, np.nan]])


def test_contrasts_and_gaps() -> None:
    metric = sm.Sliced(sm.Collection(loss=sm.Mean("loss"), squares=sm.Mean("square")), slices={"c": ("a", "b", "d")})
    state = metric.tally(loss=[1.0, 2.0, 6.0], square=[1.0, 4.0, 36.0], c=["a", "b", "b"])
    found = sm.contrast(metric, state)["loss"]
    np.testing.assert_allclose(found.difference, [-2, 1, np.nan])
    np.testing.assert_allclose(found.ratio, [1 / 3, 4 / 3, np.nan])
    found = sm.contrast(metric, state, "a")["squares"]
    np.testing.assert_allclose(found.ratio, [1, 20, np.nan])
    gap = sm.Gap(metric).compute(state)["loss"]
    assert sm.plain(gap) == {"least": 1.0, "greatest": 4.0, "difference": 3.0, "ratio": 0.25}
    empty = sm.Gap(sm.Sliced(sm.Mean("loss"), "g", 2))
    assert all(np.isnan(value) for value in empty.compute(empty.init()).values())


def test_a_contrast_of_slices_within_slices_is_with_the_slices_inside() -> None:
    inner, batch = sm.Sliced(MEAN, "a", 2), {"loss": [1.0, 2.0, 3.0], "a": [0, 1, 1], "b": [0, 1, 2]}
    nested = sm.Sliced(inner, "b", 3)
    state = nested.tally(**batch)
    found = sm.contrast(nested, state)
    np.testing.assert_array_equal(found.difference, [[0, np.nan], [np.nan, -0.5], [np.nan, 0.5]])
    np.testing.assert_array_equal(found.reference[0], inner(loss=batch["loss"], a=batch["a"]))
    assert_same(sm.total(state, "b"), inner.tally(loss=batch["loss"], a=batch["a"]))
    assert_same(sm.total(state), MEAN.tally(loss=batch["loss"]))  # both levels: they are counted as columns are
    both = sm.Collection(nested=nested, mean=MEAN)
    assert_values_equal(sm.contrast(nested, both.tally(**batch))._asdict(), found._asdict())


def test_fairness_by_its_names() -> None:
    task = sm.Binary("labels")
    predicted, true, group = np.array([1, 1, 0, 1, 0, 0]), np.array([1, 0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
    batch = {"predictions": predicted, "targets": true, "group": group}
    recall = sm.equal_opportunity(task, "group", 2)(**batch)
    assert sm.plain(recall["difference"]) == 0.0  # 1 of 2 each
    positives = sm.demographic_parity(task, "group", 2)(**batch)
    np.testing.assert_allclose([positives["difference"], positives["ratio"]], [1 / 3, 0.5], rtol=1e-6)


def test_outputs_are_counted_each_by_itself() -> None:
    metric = sm.PerOutput(sm.Collection(error=sm.MeanAbsoluteError(), square=sm.MeanSquaredError()), ("x", "y"))
    predictions, targets = RNG.normal(size=(2, 9, 2)).astype(np.float32)
    weights = np.arange(9) % 2
    state = metric.tally(predictions=predictions, targets=targets, weights=weights)
    due = np.abs(predictions - targets)[weights == 1].mean(0)
    np.testing.assert_allclose(metric.compute(state)["error"], due, rtol=1e-6)
    assert sm.plain(state.dependent)["Outputs(AbsoluteErrors)"] == [0, 0]  # an output has one example a row
    heads = sm.PerOutput(sm.Accuracy(THREE), ("head", "tail"))
    logits, labels = RNG.normal(size=(9, 2, 3)).astype(np.float32), RNG.integers(0, 3, (9, 2))
    np.testing.assert_allclose(heads(logits, labels), (logits.argmax(-1) == labels).mean(0), rtol=1e-6)
    both = sm.Sliced(heads, "group", 2)
    group = np.arange(9) % 2
    found = both(logits, labels, group=group)
    np.testing.assert_allclose(found[1], (logits.argmax(-1) == labels)[group == 1].mean(0), rtol=1e-6)


def test_a_thousand_slices_are_one_scatter_without_a_mask_of_rows_by_slices() -> None:
    metric, rows = sm.Sliced(sm.Accuracy(THREE), "group", 1000), 512
    batch = {
        "predictions": jnp.zeros((rows, 3)),
        "targets": jnp.zeros(rows, jnp.int32),
        "group": jnp.zeros(rows, jnp.int32),
    }
    compiled = jax.jit(metric.tally).lower(**batch).compile()
    text, memory = compiled.as_text(), compiled.memory_analysis()
    assert text
    assert memory
    assert not re.search(rf"\[{rows},100[01]", text)
    assert not re.search(rf"\[100[01],{rows}", text)
    assert collectives(compiled) == []
    assert memory.temp_size_in_bytes < 40 * 1000 * 20


def test_the_slice_may_be_told_by_a_leading_index_or_by_the_targets() -> None:
    tokens, true = RNG.normal(size=(4, 5, 3)).astype(np.float32), RNG.integers(0, 3, (4, 5))
    metric = sm.Sliced(sm.Accuracy(THREE), "group", 2)
    group = np.array([0, 1, 1, 0])
    right = tokens.argmax(-1) == true
    np.testing.assert_allclose(
        metric(tokens, true, group=group), [right[group == g].mean() for g in range(2)], rtol=1e-6
    )
    by_target = sm.Sliced(sm.Accuracy(THREE), "targets", 3)
    np.testing.assert_allclose(by_target(SCORES, TRUE), [RIGHT[c == TRUE].mean() for c in range(3)], rtol=1e-6)


def test_the_state_of_one_slice_is_that_of_its_rows() -> None:
    metric = sm.Sliced(sm.Collection(right=sm.Accuracy(THREE), age=sm.Sum("age")), slices=CROSSED)
    batch = {"predictions": SCORES, "targets": TRUE, "age": AGE, "country": COUNTRY}
    rows = (COUNTRY == 1) & (AGE < 18)
    inner = metric.metric.tally(predictions=SCORES, targets=TRUE, age=AGE, weights=rows)
    assert_same(sm.one_slice(metric, metric.tally(**batch), "fr", "0 – 18"), inner)


MEAN = sm.Mean("loss")
S = "Sliced(metric=Mean(entry='loss'), by='group', num_slices=2)"
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: sm.Sliced(MEAN), TypeError,
     "Sliced: takes by and num_slices, or slices, a mapping of the names of entries to slices"),
    (lambda: sm.Sliced(MEAN, "group", slices={"a": (1,)}), TypeError,
     "Sliced: takes by and num_slices, or slices, a mapping of the names of entries to slices"),
    (lambda: sm.Sliced(MEAN, slices=("a", "b")), TypeError,
     "Sliced: takes by and num_slices, or slices, a mapping of the names of entries to slices"),
    (lambda: sm.Sliced(MEAN, "group", 0), ValueError, "Sliced: num_slices is 0, but must be 1 or more"),
    (lambda: sm.Sliced(MEAN, "group", 2, min_examples=-1), ValueError,
     "Sliced: min_examples is -1, but must be a number of examples"),
    (lambda: sm.Sliced(MEAN, slices={"a": ("x", "x")}), ValueError,
     "Sliced: the slices of a are ('x', 'x'), but must be one or more that differ"),
    (lambda: sm.Sliced(MEAN, slices={"a": (1.0, 0.5)}), ValueError,
     "Sliced: the edges of a are (1.0, 0.5), but must be two or more that ascend"),
    (lambda: sm.Sliced(MEAN, slices={"a": (1.0, 1.00000001)}), ValueError,
     "Sliced: the edges of a are (1.0, 1.00000001), but must be two or more that ascend, in float32 too"),
    (lambda: sm.Sliced(MEAN, slices={"a": ("x", "other")}, other=True), ValueError,
     "Sliced: the slices of a are ('x', 'other', 'other'), but must be one or more that differ"),
    (lambda: sm.Sliced(MEAN, slices={"a": ()}, other=True), ValueError,
     "Sliced: the slices of a are ('other',), but must be one or more that differ"),
    (lambda: sm.Sliced(MEAN, slices={"a": (True, False)}), TypeError,
     "Sliced: the slices of 'a' are (True, False), but must be names, integers, or edges (floats); (0, 1) are those of "
     "a boolean entry"),
    (lambda: sm.Sliced(MEAN, slices={"a": (1, "x")}), TypeError,
     "Sliced: the slices of 'a' are (1, 'x'), but must be names, integers, or edges (floats)"),
    (lambda: sm.Sliced(sm.Sliced(MEAN, "group", 2), "group", 2), ValueError, "Sliced: slices by 'group' twice"),
    (lambda: sm.Sliced(sm.Windowed(MEAN, 2), "group", 2), TypeError,
     "Sliced: Windowed stands inside, but must not; from the outside in the order is Windowed or Decayed, "
     "Bootstrapped, Sliced, PerOutput"),
    (lambda: sm.Sliced("loss", "group", 2), TypeError, "Sliced: metric is 'loss', but must be a metric"),
    (lambda: sm.Sliced(sm.AUROC(sm.Binary("logits")), "group", 10**5), ValueError,
     "Sliced: a state of 100,000 slices would take 6.1 GiB, but at most 1 GiB is allowed; declare fewer slices, or "
     "fewer bins="),
    (lambda: sm.Sliced(MEAN, "group", 2)(loss=[1.0], group=[0.5]), TypeError,
     f"{S}: group has dtype float32, but slices are told by integers"),
    (lambda: sm.Sliced(MEAN, "group", 2)(loss=[1.0, 2.0], group=[0]), ValueError,
     f"{S}: group has shape (1,), but the examples have shape (2,): one value per example, or per leading index, is"),
    (lambda: sm.Sliced(MEAN, "group", 2)(loss=[1.0]), TypeError,
     f"{S}: group did not come; it reads loss and group (and weights, optional)"),
    (lambda: sm.PerOutput(MEAN, ()), ValueError, "PerOutput: names are (), but must be one or more that differ"),
    (lambda: sm.PerOutput(MEAN, ("x", "y"))(loss=[1.0, 2.0]), ValueError,
     "PerOutput(metric=Mean(entry='loss'), names=('x', 'y')): loss have shape (2,), of examples of shape (2,), but the "
     "last axis of these must have 2 entries, one per output, after an axis of rows"),
    (lambda: sm.PerOutput(sm.Sliced(MEAN, "g", 2), ("x",)), TypeError,
     "PerOutput: Sliced stands inside, but must not; from the outside in the order is Windowed or Decayed, "
     "Bootstrapped, Sliced, PerOutput"),
    (lambda: sm.total(MEAN.init()), TypeError,
     "total: Moments(entry='loss') is no statistic of a wrapper, but states of wrappers are due"),
    (lambda: sm.total(3), TypeError, "total: got int, but a State is due"),  # pyright: ignore[reportArgumentType]
    (lambda: sm.total(sm.Sliced(MEAN, "group", 2).init(), "age"), ValueError,
     "total: over is 'age', but the state slices by group"),
    (lambda: sm.total(sm.Sliced(MEAN, "group", 2).tally(loss=[1.0, 2.0], group=[0, 7])), ValueError,
     "total: 1 examples are of unknown slices or steps, so that the total lacks them; total(state, "
     "on_invalid='ignore') is of the others"),
    (lambda: sm.total(sm.Collection(a=sm.Sliced(MEAN, "g", 2), b=sm.Sliced(MEAN, "h", 2)).init()), ValueError,
     "total: Moments(entry='loss') is counted several times, in slices of different kinds"),
    (lambda: sm.Gap(MEAN), TypeError, "Gap: metric is Mean(entry='loss'), but must be Sliced"),
    (lambda: sm.Gap(sm.Sliced(sm.Examples("loss"), "g", 2))(loss=[1.0], g=[0]), TypeError,
     "Gap: Sliced(metric=Examples(of='loss'), by='g', num_slices=2) has no floating value for each slice, but one is "
     "due"),
    (lambda: sm.one_slice(MEAN, MEAN.init(), "0"), TypeError,  # pyright: ignore[reportArgumentType]
     "one_slice: got Mean(entry='loss'), but a Sliced metric is due"),
    (lambda: sm.one_slice(sm.Sliced(MEAN, "group", 2), MEAN.init(), "0"), ValueError,
     "one_slice: the state is of Moments(entry='loss'), but must be of Slices("),
    (lambda: sm.one_slice(sm.Sliced(MEAN, "group", 2), sm.Sliced(MEAN, "group", 2).init()), ValueError,
     "one_slice: got the labels (), but one is due for each of group"),
    (lambda: sm.contrast(MEAN, MEAN.init()), TypeError,  # pyright: ignore[reportArgumentType]
     "contrast: got Mean(entry='loss'), but a Sliced metric is due"),
    (lambda: sm.contrast(sm.Sliced(MEAN, "group", 2), sm.Sliced(MEAN, "group", 2).init(), "9"), ValueError,
     "contrast: '9' is no slice of 'group'; there are 0 and 1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_makes_no_sense_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        make()


def test_the_part_of_a_collection_is_read_as_the_metric_alone() -> None:
    metric = sm.Collection(a=sm.Sliced(sm.Accuracy(THREE), "group", 2), b=sm.Accuracy(THREE))
    state = metric.tally(predictions=SCORES, targets=TRUE, group=COUNTRY)
    alone = sm.Sliced(sm.Accuracy(THREE), "group", 2)
    np.testing.assert_array_equal(alone.compute(part(state, alone.statistic)), metric.compute(state)["a"])
    with pytest.raises(TypeError, match="is no statistic of a wrapper"):
        sm.total(state)
