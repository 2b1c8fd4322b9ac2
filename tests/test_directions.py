"""Which of two values is better is known of every public metric, and it is the one nearer to the truth."""

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import streammetrics as sm
from streammetrics import keras
from streammetrics.metrics._histograms import Binned

P = sm.Binary("probabilities")
# Every public metric: a new one is entered here by whoever has thought about it.
TABLE = {
    True: """
        AUROC Accuracy AveragePrecision BalancedAccuracy CohenKappa Dice ExactMatch ExplainedVariance F1 FBeta Gini
        Informedness Jaccard KolmogorovSmirnov LabelRankingAveragePrecision LogAUC Markedness MatthewsCorrelation
        MeanIoU NegativePredictiveValue OneVsOneAUROC PRAUC PearsonCorrelation Precision PrecisionAtRecall R2 Recall
        RecallAtPrecision SensitivityAtSpecificity Specificity SpecificityAtSensitivity TopKAccuracy
    """,
    False: """
        Brier CalibrationError CoverageError EqualErrorRate FalseDiscoveryRate FalseNegativeRate FalsePositiveRate
        HammingLoss HingeLoss LabelRankingLoss LogLoss MeanAbsoluteError MeanSquaredError Perplexity
        RootMeanSquaredError
    """,
    None: """
        BrierDecomposition CalibrationRatio Collection ConfusionMatrix CumulativeGains DetCurve DistinctCount Examples
        Gap Histogram Lift LikelihoodRatios Maximum Mean Minimum PrecisionRecallCurve PredictedPositiveRate Prevalence
        Quantile ROC Ratio ReliabilityDiagram ScoreDistribution StatScores StatScoresAt Std Sum Variance
    """,
}
DUE = {name: higher for higher, names in TABLE.items() for name in names.split()}
BY_FIELDS = {"BestThreshold", "Bootstrapped", "Decayed", "PerOutput", "Sliced", "Windowed"}  # by the metric inside


def public_metrics() -> dict[str, Any]:
    found = {name: getattr(sm, name) for name in sm.__all__ if name != "Metric"}
    return {name: each for name, each in found.items() if inspect.isclass(each) and issubclass(each, sm.Metric)}


def test_every_public_metric_says_which_way_is_better() -> None:
    metrics = public_metrics()
    unknown = sorted(set(metrics) - set(DUE) - BY_FIELDS)
    assert not unknown, f"enter {unknown} in TABLE: the higher value is better, the lower, or neither"
    found = {name: metrics[name].higher_is_better for name in set(metrics) - BY_FIELDS}
    assert found == {name: DUE[name] for name in found}


def test_it_may_depend_on_fields() -> None:
    assert [sm.BestThreshold(P, by=by).higher_is_better for by in ("f_beta", "youden", "cost")] == [True, True, False]
    assert keras.Column(P, "recall").higher_is_better is True
    assert keras.Column(P, "false_positive").higher_is_better is None
    for metric in (keras.BatchwisePrecision, keras.BatchwiseRecall, keras.RoundedAccuracy):
        assert metric.higher_is_better is True


def test_it_is_no_field_of_the_specification() -> None:
    assert repr(sm.Accuracy(P)) == f"Accuracy(task={P!r})"
    assert pickle.loads(pickle.dumps(sm.LogLoss(P))) == sm.LogLoss(P)
    with pytest.raises(TypeError):
        sm.Accuracy(P, higher_is_better=False)  # pyright: ignore[reportCallIssue]


# What is read off histograms takes long to compile, and is an area or a rate, of which nobody is in doubt.
UNTRIED = {name for name, metric in public_metrics().items() if issubclass(metric, Binned)}
THREE, LABELS = sm.Multiclass(3, "scores"), sm.Multilabel(3, "scores")
SCORES = {"HingeLoss": sm.HingeLoss(THREE), "TopKAccuracy": sm.TopKAccuracy(THREE, k=2)}
RANKED = ("CoverageError", "LabelRankingAveragePrecision", "LabelRankingLoss")
RANKS = {name: getattr(sm, name)(LABELS) for name in RANKED}
ERRORS = ("ExplainedVariance", "MeanAbsoluteError", "MeanSquaredError", "PearsonCorrelation", "R2")
NUMBERS = {name: getattr(sm, name)() for name in (*ERRORS, "RootMeanSquaredError")}
OTHERS = {name for name, higher in DUE.items() if higher is not None} - {*UNTRIED, *SCORES, *RANKS, *NUMBERS}
CLASSES, DRAWN = np.arange(60) % 3, np.random.default_rng(0).random((60, 3))
TRUE, LINE = np.eye(3)[CLASSES], np.linspace(1, 9, 60)
NEAR = 0.9 * TRUE + 0.1 * DRAWN


@pytest.mark.parametrize(
    ("metrics", "near", "drawn", "true"),
    [
        ({name: getattr(sm, name)(P) for name in sorted(OTHERS)}, NEAR[:, 0], DRAWN[:, 0], TRUE[:, 0]),
        (SCORES, NEAR, DRAWN, CLASSES),
        (RANKS, NEAR, DRAWN, TRUE),
        (NUMBERS, LINE + 0.1, LINE[::-1] + 2, LINE),
    ],
    ids=["rates", "scores", "ranks", "numbers"],
)
def test_what_is_nearer_to_the_truth_reads_better(metrics: Any, near: Any, drawn: Any, true: Any) -> None:
    both = sm.Collection(metrics)
    history = sm.History(both)
    for epoch, predictions in enumerate((drawn, near)):
        history = history.add(epoch, both(predictions=predictions.astype(np.float32), targets=true))
    assert [name for name in metrics if not history.is_best(name)] == []
