"""Curves and operating points: against numpy on the scores, and reported thresholds give what they promise."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from tests.rankings import drawn, employment, points
from tests.references import together

P = sm.Binary("probabilities")


def best_of(task, **fields):
    """Each operating point, and the metric that its value is at the reported threshold."""
    return {
        "at recall": (sm.PrecisionAtRecall(task, recall=0.7, **fields), sm.Precision),
        "at precision": (sm.RecallAtPrecision(task, precision=0.6, **fields), sm.Recall),
        "at specificity": (sm.SensitivityAtSpecificity(task, specificity=0.8, **fields), sm.Recall),
        "at sensitivity": (sm.SpecificityAtSensitivity(task, sensitivity=0.8, **fields), sm.Specificity),
        "f1": (sm.BestThreshold(task, **fields), sm.F1),
        "f2": (sm.BestThreshold(task, beta=2.0, **fields), lambda task, **more: sm.FBeta(task, 2.0, **more)),
        "youden": (sm.BestThreshold(task, by="youden", **fields), sm.Informedness),
        "cost": (sm.BestThreshold(task, by="cost", costs=(1.0, 3.0), **fields), sm.StatScores),
    }


def scores_for(inputs, kind, rows=2000):
    scores, true = drawn(kind, rows)
    if inputs != "probabilities":
        scores = np.log(scores) - np.log1p(-scores) + (1000 if inputs == "scores" else 0)
    return scores.astype(np.float32), true


INPUTS = [
    ("probabilities", {}),
    ("probabilities", {"bins": "bfloat16"}),
    ("logits", {}),
    ("logits", {"bins": "float16"}),
    ("scores", {"score_range": (990, 1010)}),
]


@pytest.mark.parametrize(("inputs", "fields"), [together(f"{i} {f}", i, f) for i, f in INPUTS])
def test_a_reported_threshold_gives_exactly_the_reported_value(inputs, fields):
    task = sm.Binary(inputs)
    best = best_of(task, **fields)
    metrics = sm.Collection({name: metric for name, (metric, _) in best.items()})
    for kind in ("moderate", "near one", "uniform"):
        scores, true = scores_for(inputs, kind)
        batch = {"predictions": jnp.asarray(scores, fields["bins"]) if "bins" in fields else scores, "targets": true}
        values = metrics(**batch)
        cuts = {name: dataclasses.replace(task, threshold=float(value["threshold"])) for name, value in values.items()}
        found = sm.Collection({name: reading(cuts[name]) for name, (_, reading) in best.items()})(**batch)
        for name, due in found.items():
            if name == "cost":
                due = (sm.plain(due)["fp"] + 3 * sm.plain(due)["fn"]) / 2000
                assert float(values[name]["value"]) == pytest.approx(due, rel=1e-6)
            else:
                assert float(values[name]["value"]) == float(due), (kind, name)


@pytest.mark.parametrize("inputs", ["probabilities", "logits"])
def test_every_point_of_a_curve_is_what_its_threshold_gives(inputs):
    task = sm.Binary(inputs)
    scores, true = scores_for(inputs, "moderate", 200)
    curves = sm.Collection(roc=sm.ROC(task, bins=64), pr=sm.PrecisionRecallCurve(task, bins=64))
    values = sm.plain(curves(predictions=scores, targets=true))
    thresholds = values["roc"]["thresholds"]
    assert thresholds == values["pr"]["thresholds"]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(thresholds) == len(values["roc"]["fpr"]) == (69 if inputs == "probabilities" else 70)
    assert thresholds[-1] == -np.inf
    inner = [t for t in thresholds[1:-1] if 1e-30 < t < 1]
    at = sm.plain(sm.StatScoresAt(task, tuple(inner))(scores, true))
    for place, threshold in enumerate(inner):
        index = thresholds.index(threshold)
        tp, fp, tn, fn = (at[name][place] for name in ("tp", "fp", "tn", "fn"))
        assert values["roc"]["tpr"][index] == pytest.approx(tp / (tp + fn), rel=1e-6)
        assert values["roc"]["fpr"][index] == pytest.approx(fp / (fp + tn), rel=1e-6)
        assert values["pr"]["precision"][index] == pytest.approx(tp / (tp + fp) if tp + fp else 1, rel=1e-6)


def test_curves_of_16_bit_scores_hold_every_point_of_numpys():
    scores, true = drawn("lumps", 300)
    scores = jnp.asarray(scores, jnp.bfloat16)
    p = points(np.asarray(scores), true)
    fields: Any = {"bins": "bfloat16"}
    curves = sm.Collection(
        roc=sm.ROC(P, **fields), pr=sm.PrecisionRecallCurve(P, **fields), det=sm.DetCurve(P, **fields),
        gains=sm.CumulativeGains(P, **fields), lift=sm.Lift(P, **fields),
    )  # fmt: skip
    found = curves(predictions=scores, targets=true)
    share = (p.tp + p.fp) / 300
    with np.errstate(invalid="ignore"):
        precision = np.where(share > 0, p.tp / (p.tp + p.fp), np.nan)
    due = {
        "roc": {"fpr": p.fpr, "tpr": p.tpr}, "det": {"fpr": p.fpr, "fnr": 1 - p.tpr},
        "pr": {"precision": np.append(1, precision[1:]), "recall": p.tpr},
        "gains": {"share": share, "gain": p.tpr}, "lift": {"share": share, "lift": precision / true.mean()},
    }  # fmt: skip
    for name, curve in due.items():
        values = {key: np.asarray(value) for key, value in found[name].items()}
        assert list(values) == [*curve, "thresholds"]
        # The first cut that leaves as many above it as each point does.
        first = [int(np.argmax(np.isclose(np.asarray(found["gains"]["share"]), each))) for each in share]
        for key, value in curve.items():
            np.testing.assert_allclose(values[key][first], value, atol=1e-6, err_msg=f"{name} {key}")


def test_operating_points_of_16_bit_scores_are_the_best_of_all():
    scores, true = drawn("moderate", 500)
    scores = np.asarray(jnp.asarray(np.maximum(scores, 1e-3), jnp.bfloat16))
    found = sm.Collection({name: metric for name, (metric, _) in best_of(P, bins="bfloat16").items()})(
        predictions=scores, targets=true
    )
    p = points(scores, true)
    tp, fp = p.tp[1:], p.fp[1:]
    precision, recall, rest = tp / (tp + fp), tp / tp[-1], 1 - fp / fp[-1]
    fn, tn = tp[-1] - tp, fp[-1] - fp
    due = {
        "at recall": precision[recall >= 0.7].max(), "at precision": recall[precision >= 0.6].max(),
        "at specificity": recall[rest >= 0.8].max(), "at sensitivity": rest[recall >= 0.8].max(),
        "f1": (2 * tp / (2 * tp + fp + fn)).max(), "f2": (5 * tp / (5 * tp + 4 * fn + fp)).max(),
        "youden": (tp / (tp + fn) - fp / (fp + tn)).max(), "cost": ((fp + 3 * fn) / 500).min(),
    }  # fmt: skip
    for name, value in due.items():
        assert float(found[name]["value"]) == pytest.approx(value, rel=1e-6), name


def test_of_equal_thresholds_the_one_below_the_last_positive_of_the_greatest_other_rate_is_reported():
    scores, true = np.array([0.9, 0.8, 0.7, 0.2], np.float32), np.array([1, 1, 0, 0])
    found = sm.plain(sm.PrecisionAtRecall(P, recall=0.5)(scores, true))
    assert found["value"] == 1
    assert 0.79 < found["threshold"] < 0.8  # a recall of 1, not of 1/2


def test_a_rate_that_no_threshold_reaches_is_nan():
    for metric in (sm.RecallAtPrecision(P, precision=0.9), sm.PrecisionAtRecall(P, recall=1.0)):
        # The only positive has a score of 0, which no probability is below.
        found = sm.plain(metric([0.0, 0.5, 0.6], [1, 0, 0]))
        assert np.isnan([found["value"], found["threshold"]]).all()
    nothing = sm.SensitivityAtSpecificity(P, specificity=1.0)
    assert sm.plain(nothing([0.5, 0.6], [1, 0])) == {"value": 0.0, "threshold": 1.0}
    assert np.isnan(list(sm.plain(nothing.compute(nothing.init())).values())).all()


def test_rounding_reaches_no_rate():
    # All positives but one of 1.2e8, which float32 rounds to all of them.
    logits = np.array([3.0, -3.0, 0.0, -5.0], np.float32)
    metric = sm.SpecificityAtSensitivity(sm.Binary("logits"), sensitivity=1.0)
    state = metric.tally(logits, [1, 1, 0, 0], weights=[60_000, 1, 5, 5])
    state = sm.merge(*[metric.tally(logits[:1], [1], weights=[60_000])] * 1999, state)
    assert float(metric.compute(state)["value"]) == 0.5
    assert sm.bounds(metric, state) == (0.5, 0.5)


@pytest.mark.parametrize("fields", [{"score_range": (0, 1)}, {"bins": "bfloat16"}, {}], ids=["range", "exact", "plain"])
def test_a_threshold_below_zero_is_one_that_hardware_has(fields):
    task, true = sm.Binary("scores"), [1, 0, 0, 1]
    scores = jnp.asarray([0, 0, 0.3, 0.9], jnp.bfloat16 if "bins" in fields else jnp.float32)
    found = sm.SensitivityAtSpecificity(task, specificity=0.0, **fields)(scores, true)
    assert float(found["value"]) == 1
    cut = sm.Binary("scores", threshold=float(found["threshold"]))  # a denormal one would be flushed to 0
    assert float(sm.Recall(cut)(scores, true)) == 1


def test_probabilities_near_zero_are_cut_from_zero():
    scores, true = np.array([1e-6, 1e-7, 0.3, 0.9], np.float32), [1, 0, 0, 1]
    due = {sm.PrecisionAtRecall(P, recall=1): 0.5, sm.SensitivityAtSpecificity(P, specificity=0): 1.0}
    for metric, value in due.items():
        assert sm.plain(metric(scores, true)) == {"value": value, "threshold": 0.0}


def test_labels_report_a_threshold_each_and_together():
    task = sm.Multilabel(2, "probabilities")
    rng = np.random.default_rng(0)
    scores = rng.random((200, 2)).astype(np.float32)
    true = (rng.random((200, 2)) < scores * (1, 0.5)).astype(np.int32)
    metrics = sm.Collection(
        each=sm.BestThreshold(task),
        one=sm.BestThreshold(task, class_id=1),
        micro=sm.BestThreshold(task, average="micro"),
    )
    found = sm.plain(metrics(predictions=scores, targets=true))
    cut = dataclasses.replace(task, threshold=tuple(found["each"]["threshold"]))
    assert sm.F1(cut, average=None)(scores, true).tolist() == found["each"]["value"]
    assert found["one"] == {name: value[1] for name, value in found["each"].items()}
    cut = dataclasses.replace(task, threshold=found["micro"]["threshold"])
    assert float(sm.F1(cut, average="micro")(scores, true)) == found["micro"]["value"]


def test_logits_beyond_the_reach_of_a_probability_are_not_cut_between():
    scores = np.array([-200.0, -100.0, 0.0, 40.0, 80.0, 120.0], np.float32)
    found = sm.plain(sm.BestThreshold(sm.Binary("logits"))(scores, [0, 0, 0, 0, 1, 1]))
    due = sm.F1(sm.Binary("logits", found["threshold"]))(scores, [0, 0, 0, 0, 1, 1])
    assert found["value"] == float(due) == pytest.approx(0.8)  # 1 between 40 and 80, which no probability says


def test_gains_of_real_scores_are_those_of_their_order():
    scores, true, _ = employment()
    curve = sm.CumulativeGains(P)(scores, true)
    order = np.argsort(-scores, kind="stable")
    gain = np.append(0, np.cumsum(true[order])) / true.sum()
    share = np.asarray(curve["share"])
    due = np.interp(share, np.arange(len(true) + 1) / len(true), gain)
    np.testing.assert_allclose(curve["gain"], due, atol=2e-3)  # lumps have no order of their own


def test_the_distribution_counts_every_score_once():
    scores, true = scores_for("logits", "moderate")
    scores[:2] = np.inf, -np.inf
    values = sm.ScoreDistribution(sm.Binary("logits"))(scores, true)
    assert isinstance(values["negative"], sm.UInt64)
    found = {name: np.asarray(value) for name, value in values.items()}
    for target, name in enumerate(("negative", "positive")):
        each = np.sort(scores[true == target])
        below = np.searchsorted(each, found["high"], side="right")
        np.testing.assert_array_equal(np.cumsum(found[name].astype(int)), below)
    assert (found["low"][1:] > found["high"][:-1]).all()
