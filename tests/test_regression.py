"""Errors of numbers and their shares of variance equal scikit-learn's, at any offset and on any split."""

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm

ROWS, NAN, INF = 64, math.nan, math.inf
METRICS = {
    "mse": sm.MeanSquaredError,
    "rmse": sm.RootMeanSquaredError,
    "mae": sm.MeanAbsoluteError,
    "r2": sm.R2,
    "explained": sm.ExplainedVariance,
    "pearson": sm.PearsonCorrelation,
}
SHARES = ("r2", "explained")
REFERENCES = {
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "explained": sk.explained_variance_score,
}
ONE = sm.Collection({name: metric() for name, metric in METRICS.items()})
THREE = sm.Collection(
    {
        f"{name} {average}": metric(3, average=average)
        for name, metric in METRICS.items()
        for average in (None, "uniform")
    }
    | {f"{name} variance": METRICS[name](3, average="variance") for name in SHARES}
)


def pearson(targets: np.ndarray, predictions: np.ndarray, sample_weight: Any, multioutput: str) -> Any:
    """Of each output, of two passes in float64; NaN where either does not vary."""
    x, y = (np.atleast_2d(values.T) for values in (predictions, targets))
    x, y = (values - np.average(values, axis=1, weights=sample_weight)[:, None] for values in (x, y))
    weights = np.ones(x.shape[1]) if sample_weight is None else sample_weight
    scale = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
    each = (weights * x * y).sum(1) / np.where(scale > 0, scale, NAN)
    return each if multioutput == "raw_values" else each.mean()


def due(predictions: Any, targets: Any, weights: Any = None) -> dict[str, Any]:
    """What scikit-learn says of exactly these numbers, in float64, with the names of `ONE` or `THREE`."""
    predictions, targets = (np.asarray(values).astype(np.float64) for values in (predictions, targets))
    keep = np.ones(len(targets), bool) if weights is None else np.asarray(weights) > 0
    weights = None if weights is None else np.asarray(weights).astype(np.float64)[keep]
    averages = {None: "raw_values", "uniform": "uniform_average", "variance": "variance_weighted"}
    values = {}
    for average, theirs in averages.items() if targets.ndim > 1 else [("", "uniform_average")]:
        for name, reference in (REFERENCES | {"pearson": pearson}).items():
            if average != "variance" or name in SHARES:
                with warnings.catch_warnings():  # R² of one example
                    warnings.simplefilter("ignore")
                    value = reference(targets[keep], predictions[keep], sample_weight=weights, multioutput=theirs)
                values[f"{name} {average}".strip()] = value
    return values


def told(found: dict[str, Any], expected: dict[str, Any], what: object = "") -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), value, rtol=1e-6, atol=1e-6, err_msg=f"{name} {what}")


def weightings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    whole, fractional = rng.integers(0, 4, ROWS), rng.random(ROWS)
    fractional[::5] = 0
    return {name: w.astype(np.float32) for name, w in (("1", whole**0), ("whole", whole), ("fractional", fractional))}


def numbers(shape: tuple[int, ...], offset: float = 0.0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets in float32, of outputs that vary by different amounts."""
    rng = np.random.default_rng(len(shape))
    targets = rng.normal(size=shape) * (1 + np.arange(shape[-1]) if len(shape) > 1 else 1) + offset
    return (targets + noise * rng.normal(size=shape) + 0.1).astype(np.float32), targets.astype(np.float32)


def hidden(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """NaN and infinity where there is no weight."""
    rng = np.random.default_rng(0)
    trash = rng.choice(np.array([NAN, INF, -INF, 3e38], np.float32), values.shape)
    return np.where(weights.reshape(-1, *(1,) * (values.ndim - 1)) > 0, values, trash)


def streamed(metrics: sm.Collection, predictions: Any, targets: Any, weights: Any, sizes: Any) -> dict[str, Any]:
    """The values of batches of these sizes, each padded to one shape, merged in turn."""
    state, start = metrics.init(), 0
    for size in sizes:
        batch = {"predictions": predictions, "targets": targets, "weights": weights}
        stop = start + size
        rows = {
            name: np.resize(np.asarray(array)[start:stop], (ROWS, *array.shape[1:])) for name, array in batch.items()
        }
        rows["weights"] = rows["weights"] * (np.arange(ROWS) < size)
        state, start = metrics.merge(state, metrics.tally(**rows)), stop
    assert start == len(targets)
    return metrics.compute(state)


# --- Values ---


@pytest.mark.parametrize(("metrics", "shape"), [(ONE, (ROWS,)), (THREE, (ROWS, 3))], ids=["one output", "three"])
def test_values_equal_scikit_learns(metrics: sm.Collection, shape: tuple[int, ...]) -> None:
    for noise in (0.5, 5.0, 0.0):
        predictions, targets = numbers(shape, noise=noise)
        for name, weights in weightings().items():
            found = metrics(predictions=hidden(predictions, weights), targets=hidden(targets, weights), weights=weights)
            told(found, due(predictions, targets, weights), (noise, name))


@pytest.mark.parametrize("offset", [1e4, -1e5])
def test_a_great_offset_of_the_targets_costs_nothing(offset: float) -> None:
    predictions, targets = numbers((ROWS,), offset)
    for name, weights in weightings().items():
        told(ONE(predictions=predictions, targets=targets, weights=weights), due(predictions, targets, weights), name)
    predictions, targets = numbers((5 * ROWS,), offset)
    weights = np.random.default_rng(0).random(5 * ROWS).astype(np.float32)
    expected = due(predictions, targets, weights)
    assert 0.6 < expected["r2"] < 0.9
    told(streamed(ONE, predictions, targets, weights, [1, 7, 64, 64, 3, 60, 64, 57]), expected)


def test_any_split_into_batches_gives_the_values_of_all_rows() -> None:
    for metrics, shape in ((ONE, (200,)), (THREE, (200, 3))):
        predictions, targets = numbers(shape)
        weights = np.random.default_rng(1).integers(0, 3, 200).astype(np.float32)
        for sizes in ([1] * 8 + [64] * 3, [0, 64, 2, 64, 30, 0, 40]):
            told(streamed(metrics, predictions, targets, weights, sizes), due(predictions, targets, weights), sizes)


def test_drifting_batches_are_one_line_not_many() -> None:
    """Within each batch the correlation is −1 or so, over all of them nearly 1: the mean of both says nothing."""
    rng = np.random.default_rng(0)
    batch = np.repeat(np.arange(10), ROWS)
    within = rng.normal(size=batch.size)
    targets = (batch * 100 + within).astype(np.float32)
    predictions = (batch * 100 - within).astype(np.float32)
    ones = np.ones(batch.size, np.float32)
    expected = due(predictions, targets)
    assert expected["pearson"] > 0.9999
    first = slice(0, ROWS)
    assert due(predictions[first], targets[first])["pearson"] < -0.999
    told(streamed(ONE, predictions, targets, ones, [ROWS] * 10), expected)
    anti = streamed(ONE, -predictions, targets, ones, [ROWS] * 10)
    assert float(anti["pearson"]) == pytest.approx(-expected["pearson"], rel=1e-6)


def test_predictions_in_another_unit_are_as_correlated() -> None:
    predictions, targets = numbers((ROWS,))
    ones = np.ones(ROWS, np.float32)
    for scale, offset in ((1e-6, 0.0), (1e6, 0.0), (2.0**-10, 3.0), (-1.0, 1e3)):
        x = (predictions.astype(float) * scale + offset).astype(np.float32)
        found = ONE(predictions=x, targets=targets, weights=ones)["pearson"]
        np.testing.assert_allclose(np.asarray(found), due(x, targets)["pearson"], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "bfloat16"])
def test_numbers_of_any_dtype_are_taken_as_they_are(dtype: str) -> None:
    rng = np.random.default_rng(0)
    ones = np.ones(ROWS, np.float32)
    values = [(rng.normal(size=ROWS) * 20) for _ in range(2)]
    predictions, targets = (jnp.asarray(x.astype(np.float32)).astype(dtype) for x in values)
    wide = [np.asarray(array.astype(jnp.float32)) for array in (predictions, targets)]
    told(ONE(predictions=predictions, targets=targets, weights=ones), due(*wide))


def test_integers_beyond_their_difference_do_not_wrap() -> None:
    """The difference is taken of floats: 2^31 − 1 less −2^31 is no int32, 0 − 1 no uint8."""
    ends = np.array([2**31 - 1, -(2**31)] * 32, np.int32)
    found = ONE(predictions=ends, targets=ends[::-1].copy(), weights=np.ones(ROWS, np.float32))
    np.testing.assert_allclose(np.asarray(found["mae"]), 2.0**32, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(found["rmse"]), 2.0**32, rtol=1e-6)
    assert float(found["pearson"]) == pytest.approx(-1.0, rel=1e-6)
    assert float(sm.MeanSquaredError()(np.zeros(2, np.uint8), np.ones(2, bool))) == 1.0


def test_in_64_bits_no_digit_is_lost() -> None:
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        targets = 1e8 + rng.normal(size=ROWS)
        predictions = targets + 0.3 * rng.normal(size=ROWS)
        found = ONE(predictions=predictions, targets=targets)
        for name, value in due(predictions, targets).items():
            assert found[name].dtype == np.float64
            np.testing.assert_allclose(np.asarray(found[name]), value, rtol=1e-8, err_msg=name)


# --- What does not vary ---


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, -1e-3, 12345.678, 1e9 / 3])
def test_constant_targets_have_all_or_nothing(constant: float) -> None:
    """1 if all is right, else 0, where scikit-learn's mean is exact; ours is as exact in one batch and in several."""
    constant = float(np.float32(constant))
    sizes = [1, 7, 64, 33, 3, 64, 50]
    targets = np.full(sum(sizes), constant, np.float32)
    rng = np.random.default_rng(0)
    wrong = (targets + rng.normal(size=targets.size) * max(abs(constant), 1)).astype(np.float32)
    beside = targets + np.float32(max(abs(constant), 1))
    for weights in (np.ones(targets.size, np.float32), rng.random(targets.size).astype(np.float32)):
        for predictions, r2, explained in ((targets, 1.0, 1.0), (wrong, 0.0, 0.0), (beside, 0.0, 1.0)):
            expected = due(predictions, targets, weights)
            for cut in (sizes, [ROWS, ROWS, ROWS, 30]):
                found = streamed(ONE, predictions, targets, weights, cut)
                assert [float(found[name]) for name in ("r2", "explained")] == [r2, explained], (cut, weights[:2])
                assert math.isnan(found["pearson"])
                np.testing.assert_allclose(np.asarray(found["rmse"]), expected["rmse"], rtol=1e-6)
        assert math.isnan(streamed(ONE, targets, wrong, weights, sizes)["pearson"])  # predictions do not vary


def test_the_rounding_of_means_is_no_variance() -> None:
    """Of a few constants in a thousand rounding leaves a variance above 0, which is not one."""
    rng, outputs = np.random.default_rng(0), 1024
    constants = (rng.normal(size=outputs) * 10 ** rng.uniform(-3, 6, outputs)).astype(np.float32)
    targets = np.broadcast_to(constants, (ROWS, outputs))
    metrics = sm.Collection(r2=sm.R2(outputs, average=None), explained=sm.ExplainedVariance(outputs, average=None))
    for right in (True, False):
        state = metrics.init()
        predictions = targets if right else targets * (1 + np.arange(ROWS, dtype=np.float32)[:, None])
        for size in (1, 7, 64, 33, 3, 64, 50, 17, 64, 64, 5):
            weights = ((np.arange(ROWS) < size) * rng.random(ROWS)).astype(np.float32)
            state = metrics.merge(state, metrics.tally(predictions=predictions, targets=targets, weights=weights))
        for name, values in metrics.compute(state).items():
            assert np.unique(np.asarray(values)).tolist() == [float(right)], name


def test_outputs_that_do_not_vary_weigh_nothing() -> None:
    predictions, targets = numbers((ROWS, 3))
    ones = np.ones(ROWS, np.float32)
    targets[:, 1] = np.float32(0.1)
    for wrong in (True, False):
        predictions[:, 1] = np.float32(0.1) + wrong * np.arange(ROWS, dtype=np.float32)
        expected, found = due(predictions, targets), THREE(predictions=predictions, targets=targets, weights=ones)
        assert math.isnan(found["pearson uniform"])
        assert np.isnan(np.asarray(found["pearson None"])).tolist() == [False, True, False]
        told(*({k: v for k, v in values.items() if "pearson" not in k} for values in (found, expected)))
    targets[:] = np.array([0.1, 0.2, 0.3], np.float32)  # scikit-learn weighs all alike where nothing varies
    predictions[:] = targets
    predictions[:, 0] += np.arange(ROWS)
    expected, found = due(predictions, targets), THREE(predictions=predictions, targets=targets, weights=ones)
    assert float(found["r2 variance"]) == pytest.approx(2 / 3)
    told(*({k: v for k, v in values.items() if "pearson" not in k} for values in (found, expected)))


def test_few_examples() -> None:
    predictions, targets = numbers((ROWS,))
    for count, row in ((1, 0), (1, 5), (2, 7)):
        weights = np.zeros(ROWS, np.float32)
        weights[row : row + count] = 1
        expected = due(predictions, targets, weights)
        assert math.isnan(expected["r2"]) == (count == 1)
        told(ONE(predictions=predictions, targets=targets, weights=weights), expected, count)
    for metrics, batch in ((ONE, (predictions, targets)), (THREE, numbers((ROWS, 3)))):
        nothing = metrics.tally(predictions=batch[0], targets=batch[1], weights=np.zeros(ROWS, np.float32))
        for state in (metrics.init(), nothing):
            assert all(np.isnan(np.asarray(value)).all() for value in metrics.compute(state).values())


# --- What cannot be counted ---


def seen(metrics: sm.Collection, state: sm.State) -> dict[str, dict[str, int]]:
    """Invalid examples by statistic and reason."""
    assert set(sm.plain(state.invalid)) == {"SquaredErrors", "AbsoluteErrors", "Residuals", "NumberPairs"}
    return {name: {k: n for k, n in reasons.items() if n} for name, reasons in sm.plain(state.invalid).items()}


def test_examples_with_nan_or_infinity_are_kept_out_whole() -> None:
    predictions, targets = numbers((ROWS, 3))
    bad = np.zeros(ROWS, bool)
    for row, (array, value) in enumerate(
        [(predictions, NAN), (targets, NAN), (predictions, INF), (targets, -INF), (predictions, -NAN)]
    ):
        array[row, row % 3] = value
        bad[row] = True
    targets[2, 1] = INF  # INF − INF would be NaN
    predictions[3, 2] = NAN  # the first reason that applies counts
    ones = np.ones(ROWS, np.float32)
    state = THREE.tally(predictions=predictions, targets=targets, weights=ones)
    reasons = {"NaN value": 4, "infinite value or error": 1}
    assert seen(THREE, state) == dict.fromkeys(("SquaredErrors", "AbsoluteErrors", "Residuals", "NumberPairs"), reasons)
    told(THREE.compute(state, "ignore"), due(predictions[~bad], targets[~bad]))
    assert all(np.isnan(np.asarray(value)).all() for value in THREE.compute(state, "nan").values())


def test_errors_beyond_float32_are_invalid() -> None:
    predictions, targets = numbers((ROWS,))
    ones = np.ones(ROWS, np.float32)
    predictions[0] = 2e19  # whose square is no float32, as it is no error that a float32 can hold
    state = ONE.tally(predictions=predictions, targets=targets, weights=ones)
    assert seen(ONE, state)["SquaredErrors"] == {"infinite value or error": 1}
    assert seen(ONE, state)["AbsoluteErrors"] == {}
    predictions[0], targets[0] = 3e38, -3e38  # nor is their difference
    state = ONE.tally(predictions=predictions, targets=targets, weights=ones)
    assert seen(ONE, state)["SquaredErrors"] == {"infinite value or error": 1}
    assert seen(ONE, state)["AbsoluteErrors"] == {"infinite value or error": 1}
    assert seen(ONE, state)["Residuals"] == {"infinite value or error": 1}
    values, expected = ONE.compute(state, "ignore"), due(predictions[1:], targets[1:])
    for name in ("mse", "rmse", "mae", "r2", "explained"):
        np.testing.assert_allclose(np.asarray(values[name]), expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("scale", [1e-12, 1e12, 1e17])
def test_great_and_small_numbers_have_the_same_shares(scale: float) -> None:
    predictions, targets = (array * np.float32(scale) for array in numbers((ROWS,)))
    found = ONE(predictions=predictions, targets=targets, weights=np.ones(ROWS, np.float32))
    for name, value in due(predictions, targets).items():
        np.testing.assert_allclose(np.asarray(found[name]), value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e19, 1e25])
def test_shares_of_a_variance_beyond_float32_are_right_or_told(scale: float) -> None:
    predictions, targets = (array * np.float32(scale) for array in numbers((ROWS,)))
    state = ONE.tally(predictions=predictions, targets=targets, weights=np.ones(ROWS, np.float32))
    found, invalid, expected = ONE.compute(state, "nan"), seen(ONE, state), due(predictions, targets)
    for name, statistic in (("r2", "Residuals"), ("explained", "Residuals"), ("pearson", "NumberPairs")):
        if not invalid[statistic] and not np.isnan(found[name]):
            np.testing.assert_allclose(np.asarray(found[name]), expected[name], rtol=1e-3, err_msg=name)
