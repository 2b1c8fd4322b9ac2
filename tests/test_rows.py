"""The greatest score of each row equals numpy's, at any width, of any dtype, wherever it is traced, and sees NaN."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from streammetrics._rows import greatest

# Around the widths where a row is cut, at round and prime ones, and where it is cut more than once.
WIDTHS = (1, 2, 24, 25, 39, 40, 41, 49, 64, 65, 67, 100, 101, 128, 399, 1000, 1009, 5003)
FEW_WIDTHS = (2, 25, 40, 41, 64, 101, 1009)
NEGATIVE_NAN = np.array([0xFFC00000], np.uint32).view(np.float32)[0]


def panel(width: int) -> np.ndarray:
    """Rows of every kind: random ones, ties, infinities, zeros of both signs, and NaN at every kind of place."""
    rng = np.random.default_rng(width)
    first, middle, last = 0, width // 2, width - 1
    random = rng.normal(size=(8, width)).astype(np.float32)
    few = rng.integers(-1, 2, (8, width)).astype(np.float32)
    ends = np.stack([np.linspace(0, 1, width), np.linspace(1, 0, width), np.zeros(width), np.full(width, -3)])
    infinite = np.full((5, width), -np.inf)
    infinite[1, last] = -1e38
    infinite[2, middle] = np.inf
    infinite[3, [first, last]] = np.inf
    infinite[4] = np.where(rng.random(width) < 0.5, np.inf, 0)
    zeros = np.where(rng.random((4, width)) < 0.5, -0.0, 0.0)
    zeros[0, 0], zeros[1, 0] = 0.0, -0.0
    nan = rng.normal(size=(9, width)).astype(np.float32)
    for row, place in zip(nan, (first, middle, last) * 3, strict=True):
        row[place] = np.nan
    nan[3:6] = np.where(np.isnan(nan[3:6]), nan[3:6], np.inf)
    nan[6:] = np.where(np.isnan(nan[6:]), NEGATIVE_NAN, -np.inf)
    nan = np.concatenate([nan, np.full((1, width), np.nan, np.float32)])
    return np.concatenate([random, few, *(part.astype(np.float32) for part in (ends, infinite, zeros)), nan])


def agrees(scores: Any, found: Any) -> None:
    """Scores as they were given, and what `greatest` says of them, are as numpy has it."""
    place, best = (np.asarray(array) for array in found)
    wide = np.asarray(scores).astype(np.float64)
    assert place.shape == best.shape == wide.shape[:-1]
    assert place.dtype == np.int32
    assert best.dtype == (np.float64 if scores.dtype == np.float64 else np.float32)
    np.testing.assert_array_equal(best, wide.max(-1))
    valid = ~np.isnan(wide).any(-1)
    np.testing.assert_array_equal(place[valid], wide.argmax(-1)[valid])
    np.testing.assert_array_equal(np.isnan(best), ~valid)
    assert ((place >= 0) & (place < wide.shape[-1])).all()


@jax.jit
def greatest_of_all(arrays: list[Any]) -> list[Any]:
    """One program for many shapes."""
    return [greatest(array) for array in arrays]


@pytest.mark.parametrize(
    ("dtype", "widths"), [("float32", WIDTHS), ("bfloat16", FEW_WIDTHS), ("float16", FEW_WIDTHS)], ids=lambda x: str(x)
)
def test_the_greatest_score_and_its_first_place_are_numpys(dtype: str, widths: tuple[int, ...]) -> None:
    arrays = [jnp.asarray(panel(width)).astype(dtype) for width in widths]
    for array, found in zip(arrays, greatest_of_all(arrays), strict=True):
        agrees(array, found)


def test_in_float64_no_digit_is_lost() -> None:
    with jax.enable_x64(True):
        arrays = [panel(width).astype(np.float64) for width in (40, 101, 1009)]
        for array in arrays:
            array[0] = 1 + np.arange(array.shape[1])[::-1] * 1e-15  # one value in float32
        for array, found in zip(arrays, greatest_of_all([jnp.asarray(array) for array in arrays]), strict=True):
            agrees(array, found)


def test_any_number_of_rows_along_any_leading_axes() -> None:
    shapes = [(rows, width) for rows in (0, 1, 5, 64) for width in (40, 1000)]
    shapes += [(3, 4, 101), (1, 1, 41), (4, 0, 67), (2, 2, 2, 64), (1000,), (7,)]
    arrays = [np.random.default_rng(i).integers(-9, 9, shape).astype(np.float32) for i, shape in enumerate(shapes)]
    for array, found in zip(arrays, greatest_of_all(arrays), strict=True):
        agrees(array, found)


def test_batching_scanning_and_running_eagerly_change_nothing() -> None:
    scores = panel(101)[:36].reshape(4, 9, 101)

    @jax.jit
    def both_ways(x: jax.Array) -> Any:
        scanned = jax.lax.scan(lambda carry, rows: (carry, greatest(rows)), 0, x)[1]
        return jax.vmap(greatest)(x), jax.vmap(jax.vmap(greatest))(x), jax.vmap(greatest, 1, 1)(x), scanned

    for found in (*both_ways(jnp.asarray(scores)), greatest(jnp.asarray(scores))):
        agrees(scores, found)


def test_all_cells_being_one_value_the_first_place_wins() -> None:
    """A constant model, whatever it says, predicts the class 0."""
    arrays = [np.full((3, width), value, np.float32) for width in (64, 399, 1000) for value in (-np.inf, 0, np.inf)]
    for array, (place, best) in zip(arrays, greatest_of_all(arrays), strict=True):
        assert np.asarray(place).tolist() == [0, 0, 0]
        np.testing.assert_array_equal(np.asarray(best), array[:, 0])


# --- Through the public names ---


def collection(classes: int, inputs: str) -> sm.Collection:
    """Every metric that must see a NaN, on one task: one program."""
    task = sm.Multiclass(classes, inputs)
    metrics = {"accuracy": sm.Accuracy(task), "loss": sm.LogLoss(task), "top": sm.TopKAccuracy(task, 2)}
    if inputs == "logits":
        metrics["hinge"] = sm.HingeLoss(task)
    return sm.Collection(metrics, brier=sm.Brier(task))


@pytest.mark.parametrize(("classes", "inputs"), [(1000, "logits"), (101, "probabilities")])
def test_one_nan_among_many_scores_makes_the_row_invalid(classes: int, inputs: str) -> None:
    rows, metrics = 48, collection(classes, inputs)
    scores = np.full((rows, classes), 1 / classes, np.float32)
    places = np.random.default_rng(0).permutation(classes)[:rows]
    places[:3] = 0, classes // 2, classes - 1
    bad = np.arange(rows) % 3 != 2  # 32 of 48
    scores[bad, places[bad]] = np.where(np.arange(rows) % 2, np.nan, NEGATIVE_NAN)[bad]
    targets = np.random.default_rng(1).integers(0, classes, rows)  # seldom where the NaN is
    targets[:2] = places[:2]  # and there
    state = metrics.tally(predictions=scores, targets=targets)
    for name, reasons in sm.plain(state.invalid).items():
        assert {reason: n for reason, n in reasons.items() if n} == {"NaN score": 32}, name
    values = metrics.compute(state, "ignore")
    # All alike: of the first classes alone anything is right, the loss is that of a uniform guess.
    left = targets[~bad]
    due = {"accuracy": (left == 0).mean(), "loss": math.log(classes), "top": (left < 2).mean(), "hinge": 1.0}
    share = 1 / classes
    due["brier"] = (1 - share) ** 2 + (classes - 1) * share**2
    for name, value in due.items():
        if name in values:
            np.testing.assert_allclose(np.asarray(values[name]), value, rtol=1e-6, atol=1e-7, err_msg=name)
    assert set(sm.plain(state.examples).values()) == {16}
