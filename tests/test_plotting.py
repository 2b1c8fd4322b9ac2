"""Pictures: what is drawn is what is read, bands hold the curve of the scores, and the wrong metric is refused."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import streammetrics as sm
from streammetrics import plotting
from tests.rankings import drawn, points

P = sm.Binary("probabilities", class_names=("no", "yes"))
THREE = sm.Multiclass(3, "logits", class_names=("cat", "dog", "owl"))
DRAWN = {
    plotting.plot_roc: sm.ROC(P, bins=64),
    plotting.plot_precision_recall: sm.PrecisionRecallCurve(P, bins=64),
    plotting.plot_reliability: sm.ReliabilityDiagram(P),
    plotting.plot_confusion_matrix: sm.ConfusionMatrix(P),
    plotting.plot_score_distribution: sm.ScoreDistribution(P, bins=64),
}
ALL = sm.Collection({plot.__name__: metric for plot, metric in DRAWN.items()})
SCORES, TRUE = drawn("moderate", 400)
SCORES = SCORES.astype(np.float32)
STATE = ALL.tally(predictions=SCORES, targets=TRUE)


def axes():
    return Figure().subplots()


@pytest.mark.parametrize("plot", DRAWN, ids=[plot.__name__ for plot in DRAWN])
def test_every_plot_draws_on_the_axes_it_is_given_and_renders(plot):
    ax = axes()
    assert plot(DRAWN[plot], STATE, ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("plot", DRAWN, ids=[plot.__name__ for plot in DRAWN])
def test_every_plot_refuses_another_metric(plot):
    metric = sm.Accuracy(P)
    message = f"{plot.__name__}: got {metric!r}, but a {type(DRAWN[plot]).__name__} is due"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        plot(metric, STATE, axes())


def test_a_plot_makes_axes_where_none_are_given():
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    ax = plotting.plot_roc(DRAWN[plotting.plot_roc], STATE)
    assert any(ax.figure is pyplot.figure(number) for number in pyplot.get_fignums())
    pyplot.close("all")


def test_the_line_is_the_curve_and_its_area_is_told():
    metric = sm.ROC(P, bins=64)
    ax = plotting.plot_roc(metric, STATE, axes())
    curve = metric(predictions=SCORES, targets=TRUE)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.stack([curve["fpr"], curve["tpr"]], 1))
    area = float(sm.AUROC(P, bins=64)(SCORES, TRUE))
    assert ax.get_legend_handles_labels()[1] == [f"AUROC {area:.3f}"]


@pytest.mark.parametrize("ties", [False, True], ids=["unknown", "ties"])
@pytest.mark.parametrize("kind", ["moderate", "lumps"])
def test_the_bands_hold_the_curves_of_the_scores(kind, ties):
    scores, true = drawn(kind, 300)
    scores = np.maximum(scores, 0.01).astype(np.float32)
    p = points(scores, true)
    found = p.tp[1:] / (p.tp + p.fp)[1:]
    for metric, x, y in ((sm.ROC(P, bins=64, ties=ties), p.fpr[1:], p.tpr[1:]),
                         (sm.PrecisionRecallCurve(P, bins=64, ties=ties), p.tpr[1:], found)):  # fmt: skip
        band = plotting.Band(metric)(scores, true)
        xs, lower, upper = (np.asarray(band[name], float) for name in ("x", "lower", "upper"))
        assert (lower <= upper + 1e-6).all()
        for place, value in zip(x, y, strict=True):
            near = np.flatnonzero((xs[::2] <= place + 1e-6) & (place <= xs[1::2] + 1e-6))
            low = min(min(lower[2 * k], lower[2 * k + 1]) for k in near)
            high = max(max(upper[2 * k], upper[2 * k + 1]) for k in near)
            assert low - 1e-5 <= value <= high + 1e-5, (metric, place)
        if kind == "lumps" and ties and isinstance(metric, sm.ROC):
            wide = np.diff(xs)[::2] > 0
            np.testing.assert_allclose((upper - lower).reshape(-1, 2)[wide], 0, atol=0.2)


def test_every_class_has_a_line_of_its_name():
    rng = np.random.default_rng(0)
    logits, true = rng.normal(size=(90, 3)).astype(np.float32), rng.integers(0, 3, 90)
    metric = sm.PrecisionRecallCurve(THREE, bins=64)
    labels = plotting.plot_precision_recall(metric, metric.tally(logits, true), axes()).get_legend_handles_labels()[1]
    assert [label.split(",")[0] for label in labels] == ["cat", "dog", "owl"]
    one = sm.ROC(THREE, class_id=1, bins=64)
    labels = plotting.plot_roc(one, one.tally(logits, true), axes()).get_legend_handles_labels()[1]
    assert [label.split(",")[0] for label in labels] == ["dog"]
    each = sm.ScoreDistribution(THREE, bins=64)
    with pytest.raises(TypeError, match="has several classes, but one is due; class_id picks it"):
        plotting.plot_score_distribution(each, each.tally(logits, true), axes())


def test_the_numbers_of_the_matrix_are_those_of_the_metric():
    ax = plotting.plot_confusion_matrix(sm.ConfusionMatrix(P), STATE, axes())
    counts = np.asarray(sm.ConfusionMatrix(P)(SCORES, TRUE))
    assert [text.get_text() for text in ax.texts] == [f"{count:,}" for count in counts.reshape(-1)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["no", "yes"]
    labels = sm.ConfusionMatrix(sm.Multilabel(2, "logits"))
    with pytest.raises(TypeError, match="has a table for each label, but one table is due"):
        plotting.plot_confusion_matrix(labels, labels.init(), axes())


def test_the_distribution_shares_out_each_class():
    task = sm.Binary("logits")
    metric = sm.ScoreDistribution(task)
    scores = np.append(np.random.default_rng(0).normal(size=300), [np.inf, -np.inf]).astype(np.float32)
    ax = plotting.plot_score_distribution(metric, metric.tally(scores, np.arange(302) % 2), axes())
    for patch in ax.patches:
        values = patch.get_data().values  # pyright: ignore[reportAttributeAccessIssue]  # of stairs
        assert values.sum() == pytest.approx(1)
    assert [label.split()[0] for label in ax.get_legend_handles_labels()[1]] == ["negative", "positive"]


def test_a_state_without_examples_is_drawn_empty():
    for plot, metric in DRAWN.items():
        plot(metric, metric.init(), axes())
    shares = sm.ConfusionMatrix(P, normalize="true")
    plotting.plot_confusion_matrix(shares, shares.init(), axes())


def test_fractional_weights_are_shared_out_too():
    task = sm.Binary("probabilities", weighted=True)
    weights = np.full(400, 1e-3, np.float32)
    spread, diagram = sm.ScoreDistribution(task, bins=64), sm.ReliabilityDiagram(task)
    ax = plotting.plot_score_distribution(spread, spread.tally(SCORES, TRUE, weights=weights), axes())
    for patch in ax.patches:
        assert patch.get_data().values.sum() == pytest.approx(1)  # pyright: ignore[reportAttributeAccessIssue]  # of stairs
    ax = plotting.plot_reliability(diagram, diagram.tally(SCORES, TRUE, weights=weights), axes())
    heights = [patch.get_height() for patch in ax.patches]  # pyright: ignore[reportAttributeAccessIssue]  # of bars
    assert sum(heights) == pytest.approx(1)


def test_a_single_score_has_some_width():
    metric = sm.ScoreDistribution(sm.Binary("scores"), bins="float16")
    scores = np.array([2.0, 2.0], np.float16)
    ax = plotting.plot_score_distribution(metric, metric.tally(scores, [0, 1]), axes())
    assert ax.get_xlim() == (1.5, 2.5)


def test_invalid_examples_are_loud():
    metric = sm.ROC(P, bins=64)
    state = metric.tally([0.1, np.nan], [0, 1])
    with pytest.raises(sm.InvalidExamples):
        plotting.plot_roc(metric, state, axes())
    plotting.plot_roc(metric, state, axes(), on_invalid="ignore")
