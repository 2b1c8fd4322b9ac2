"""Calibration: against numpy on the confidences themselves; the sums the same bit for bit however the rows come."""

import jax
import numpy as np
import pytest

import streammetrics as sm
from tests.rankings import drawn, employment
from tests.references import together

P = sm.Binary("probabilities")
NORMS = ("l1", "l2", "max")


def error(confidence, right, edges, norm, weights=None):
    """The calibration error over bins [edge, next edge), the last closed."""
    weights = np.ones(len(right)) if weights is None else weights
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, len(edges) - 2)
    size, sure, hits = (np.bincount(place, weights * x, len(edges) - 1) for x in (1, confidence.astype(float), right))
    held = size > 0
    gaps, share = np.abs(sure - hits)[held] / size[held], size[held] / size.sum()
    return {"l1": (share * gaps).sum(), "l2": np.sqrt((share * gaps**2).sum()), "max": gaps.max()}[norm]


def even(bins):
    return np.linspace(0, 1, bins + 1).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True], ids=["whole", "fractional"])
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_error_of_probabilities_equals_numpys(bins, weighted):
    scores, true = drawn("moderate", 2000)
    scores = scores.astype(np.float32)
    scores[:12] = np.repeat([0.0, 1.0, 0.5, even(10)[3], even(15)[1], 0.2], 2)
    weights = np.random.default_rng(0).integers(0, 5, 2000)
    weights = (weights / 4).astype(np.float32) if weighted else weights
    task = sm.Binary("probabilities", weighted=weighted)
    metrics = sm.Collection({norm: sm.CalibrationError(task, bins, norm=norm) for norm in NORMS})
    found = metrics(predictions=scores, targets=true, weights=weights)
    for norm in NORMS:
        assert float(found[norm]) == pytest.approx(error(scores, true, even(bins), norm, weights), abs=1e-6), norm


def test_the_last_bin_is_closed():
    # Two confidences of 1, one of them wrong, share the last bin with .95: |2/3 − .98333|, and .9 weighs nothing more.
    scores, true = np.array([1.0, 1.0, 0.95, 0.1], np.float32), np.array([1, 0, 1, 0])
    due = (3 * abs(2 / 3 - (1 + 1 + 0.95) / 3) + abs(0 - 0.1)) / 4
    assert float(sm.CalibrationError(P, bins=10)(scores, true)) == pytest.approx(due, abs=1e-6)


def test_bins_of_one_mass_are_numpys_quantiles_to_within_a_fine_bin():
    scores, true, _ = employment()
    edges = np.quantile(scores, np.linspace(0, 1, 16))
    metrics = sm.Collection(
        {norm: sm.CalibrationError(P, norm=norm, binning="mass") for norm in NORMS}
        | {"diagram": sm.ReliabilityDiagram(P, binning="mass")}
    )
    found = metrics(predictions=scores, targets=true)
    for norm in NORMS:
        due = error(scores, true, edges, norm)
        assert float(found[norm]) == pytest.approx(due, abs=2e-4), (norm, found[norm], due)
    counts = np.asarray(found["diagram"]["counts"])
    assert counts.sum() == len(scores)
    assert np.abs(counts.astype(int) - len(scores) / 15).max() < 200
    np.testing.assert_allclose(found["diagram"]["edges"][1:-1], edges[1:-1], atol=5e-3)


CONFIDENCES = {
    "top": (sm.Multiclass(4, "probabilities"), {}),
    "top of logits": (sm.Multiclass(4, "logits"), {}),
    "one class": (sm.Multiclass(4, "logits"), {"class_id": 2}),
    "all labels": (sm.Multilabel(4, "logits"), {}),
    "one label": (sm.Multilabel(4, "probabilities"), {"class_id": 1}),
}


@pytest.mark.parametrize("kind", [together("confidences", kind) for kind in CONFIDENCES])
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_of_classes_and_labels_the_right_confidence_is_read(kind, binning):
    task, fields = CONFIDENCES[kind]
    rng = np.random.default_rng(0)
    logits = (2 * rng.normal(size=(500, 4))).astype(np.float32)
    labels = isinstance(task, sm.Multilabel)
    true = (
        (logits + rng.normal(size=logits.shape) > 0).astype(int)
        if labels
        else (logits + rng.gumbel(size=logits.shape)).argmax(1)
    )
    share = 1 / (1 + np.exp(-logits)) if labels else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if labels:
        chosen = fields.get("class_id", slice(None))
        confidence, right = share[:, chosen].reshape(-1), true[:, chosen].reshape(-1)
    elif "class_id" in fields:
        confidence, right = share[:, 2], true == 2
    else:
        confidence, right = share.max(1), share.argmax(1) == true
    predictions = logits if task.inputs == "logits" else share.astype(np.float32)
    metrics = sm.Collection(
        error=sm.CalibrationError(task, 10, binning=binning, **fields),
        diagram=sm.ReliabilityDiagram(task, 10, binning=binning, **fields),
    )
    found = metrics(predictions=predictions, targets=true)
    edges = even(10) if binning == "width" else np.quantile(confidence, np.linspace(0, 1, 11))
    tolerance = 1e-5 if binning == "width" else 2e-2  # a fine bin holds up to a few of 500
    assert float(found["error"]) == pytest.approx(error(confidence, right, edges, "l1"), abs=tolerance)
    diagram = {name: np.asarray(value) for name, value in found["diagram"].items()}
    held = diagram["counts"] > 0
    assert diagram["counts"].sum() == len(confidence)
    assert (np.isnan(diagram["accuracy"]) == ~held).all()
    weight = diagram["counts"][held] / len(confidence)
    assert (weight * diagram["accuracy"][held]).sum() == pytest.approx(right.mean(), abs=1e-5)
    assert (weight * diagram["confidence"][held]).sum() == pytest.approx(confidence.mean(), abs=1e-5)


def test_the_diagram_of_widths_equals_numpys():
    scores, true = drawn("uniform", 3000)
    scores = scores.astype(np.float32)
    found = sm.ReliabilityDiagram(P, bins=10)(scores, true)
    assert isinstance(found["counts"], sm.UInt64)
    place = np.minimum((scores.astype(float) * 10).astype(int), 9)
    for k in range(10):
        rows = place == k
        assert int(found["counts"][k]) == rows.sum()
        assert float(found["confidence"][k]) == pytest.approx(scores[rows].astype(float).mean(), abs=1e-6)
        assert float(found["accuracy"][k]) == pytest.approx(true[rows].mean(), abs=1e-6)
    np.testing.assert_allclose(found["edges"], np.linspace(0, 1, 11), atol=1e-7)


def test_the_ratio_is_what_was_expected_over_what_happened():
    scores, true, _ = employment()
    metric = sm.CalibrationRatio(P)
    assert float(metric(scores, true)) == pytest.approx(scores.sum(dtype=float) / true.sum(), rel=1e-6)
    assert np.isnan(metric([0.5, 0.2], [0, 0]))
    task = sm.Multiclass(3, "logits")
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(100, 3)).astype(np.float32), rng.integers(0, 3, 100)
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = sm.Collection(
        each=sm.CalibrationRatio(task),
        one=sm.CalibrationRatio(task, class_id=1),
        micro=sm.CalibrationRatio(task, average="micro"),
    )(predictions=logits, targets=labels)
    np.testing.assert_allclose(found["each"], share.sum(0) / np.bincount(labels), rtol=1e-5)
    assert float(found["one"]) == float(found["each"][1])
    assert float(found["micro"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rows", [10, 2000])
def test_the_parts_of_the_brier_score_add_up(rows):
    scores, true = drawn("moderate", rows)
    scores = scores.astype(np.float32)
    both = sm.Collection(parts=sm.BrierDecomposition(P, bins=10), whole=sm.Brier(P))
    found = sm.plain(both(predictions=scores, targets=true))
    parts, wide = found["parts"], scores.astype(float)
    place = np.minimum((wide * 10).astype(int), 9)
    size = np.bincount(place, minlength=10)
    held = size > 0
    p, y = (np.bincount(place, x, 10)[held] / size[held] for x in (wide, true))
    share = size[held] / rows
    centred = wide - (np.bincount(place, wide, 10) / np.maximum(size, 1))[place]
    apart = true - (np.bincount(place, true, 10) / np.maximum(size, 1))[place]
    due = {
        "brier": ((wide - true) ** 2).mean(), "reliability": (share * (p - y) ** 2).sum(),
        "resolution": (share * (y - true.mean()) ** 2).sum(), "uncertainty": true.mean() * (1 - true.mean()),
        "variance": (centred**2).mean(), "covariance": 2 * (centred * apart).mean(),
    }  # fmt: skip
    assert list(parts) == list(due)
    for name, value in due.items():
        assert parts[name] == pytest.approx(value, abs=2e-7), name
    brier, reliability, resolution, uncertainty, variance, covariance = parts.values()
    assert reliability - resolution + uncertainty + variance - covariance == pytest.approx(brier, abs=3e-7)
    assert found["whole"] == pytest.approx(brier, abs=1e-7)


def test_of_real_scores_the_three_usual_parts_alone_miss_the_brier_score():
    scores, true, _ = employment()
    found = sm.plain(sm.BrierDecomposition(P, bins=10)(scores, true))
    assert found["brier"] == pytest.approx(((scores.astype(float) - true) ** 2).mean(), abs=1e-7)
    three = found["reliability"] - found["resolution"] + found["uncertainty"]
    assert three - found["brier"] > 5e-4
    assert three + found["variance"] - found["covariance"] == pytest.approx(found["brier"], abs=3e-7)


def test_each_class_has_its_parts_of_the_brier_score():
    task = sm.Multiclass(3, "probabilities")
    rng = np.random.default_rng(0)
    share, labels = rng.dirichlet((1, 1, 1), 200).astype(np.float32), rng.integers(0, 3, 200)
    found = sm.BrierDecomposition(task)(share, labels)
    alone = jax.jit(jax.vmap(lambda share, true: sm.BrierDecomposition(P)(share, true)))(share.T, np.eye(3)[labels].T)
    for name, value in alone.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    assert float(found["brier"].sum()) == pytest.approx(float(sm.Brier(task)(share, labels)), abs=1e-6)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_any_split_of_real_confidences_has_the_same_sums(binning):
    scores, true, year = employment()
    metric = sm.CalibrationError(P, binning=binning)
    whole = metric.tally(scores, true)
    years = sm.merge(*(metric.tally(scores[year == each], true[year == each]) for each in np.unique(year)))
    order = np.random.default_rng(0).permutation(len(true))
    batches = sm.pad({"predictions": scores[order], "targets": true[order]}, 20_006)
    batches = {name: value.reshape(-1, 7) for name, value in batches.items()}
    sevens, _ = jax.lax.scan(lambda s, batch: (metric.update(s, **batch), None), metric.init(), batches)
    for state in (years, sevens):
        for found, due in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(np.asarray(found), np.asarray(due))


def test_sums_of_tiny_and_of_certain_confidences_lose_nothing():
    for value in (1.0, 2.0**-31, 0.1, 1 - 2.0**-24):
        scores = np.full(1000, value, np.float32)
        found = sm.ReliabilityDiagram(P, bins=1)(scores, np.ones(1000, int))
        assert float(found["confidence"][0]) == np.float32(value)
    state = sm.CalibrationError(P).tally(np.ones(64, np.float32), np.ones(64, int), weights=np.full(64, 65_535))
    for _ in range(26):  # 2^48 examples; the sums hold twice as many
        state = sm.merge(state, state)
    assert float(sm.CalibrationError(P).compute(state)) == 0


def test_without_examples_all_is_nan():
    metrics = sm.Collection(
        width=sm.CalibrationError(P),
        most=sm.CalibrationError(P, 4096, norm="max"),  # so many that a maximum on CPU overlooks NaN
        root=sm.CalibrationError(P, norm="l2"),
        mass=sm.CalibrationError(P, binning="mass"),
        parts=sm.BrierDecomposition(P),
        ratio=sm.CalibrationRatio(P),
    )
    values = metrics.compute(metrics.init())
    assert np.isnan(jax.tree.leaves(values)).all()
