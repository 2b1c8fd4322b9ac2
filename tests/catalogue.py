"""Every metric with batches to try it on: one line here puts a metric under every law and test over the catalogue."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import streammetrics as sm

Batch = dict[str, Any]
ROWS = 8


@dataclasses.dataclass(frozen=True)
class Case:
    """A metric, and how its batches are made: some of the rows cannot be counted."""

    name: str
    metric: sm.Metric
    make: Callable[[np.random.Generator], Batch]

    def batch(self, seed: int) -> Batch:
        return self.make(np.random.default_rng(seed))


def _scores(rng: np.random.Generator, inputs: str, *shape: int) -> np.ndarray:
    x = np.round(rng.normal(size=shape) * 4) / 4  # coarse, so that there are ties
    if inputs == "probabilities":
        x = np.exp(x) / (1 + np.exp(x)) if len(shape) == 1 else np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    bad = rng.random(shape) < 0.03
    return np.where(bad, np.nan, x).astype(np.float32)


def binary(task: sm.Binary) -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        labels = rng.integers(0, 2, ROWS, np.int32)
        predictions = labels[::-1].copy() if task.inputs == "labels" else _scores(rng, task.inputs, ROWS)
        targets = np.where(rng.random(ROWS) < 0.1, 7, labels).astype(np.int32)
        return {task.predictions: predictions, task.targets: targets, task.weights: _weights(rng, task.weighted)}

    return make


def multiclass(task: sm.Multiclass, *inner: int) -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        shape = (ROWS, *inner)
        targets = rng.integers(-1 if task.ignore == -1 else 0, task.num_classes + 1, shape).astype(np.int32)
        if task.inputs == "labels":
            predictions: np.ndarray = rng.integers(0, task.num_classes, shape).astype(np.int32)
        else:
            predictions = _scores(rng, task.inputs, *shape, task.num_classes)
        return {task.predictions: predictions, task.targets: targets, task.weights: _weights(rng, task.weighted)}

    return make


def multilabel(task: sm.Multilabel) -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        shape = (ROWS, task.num_labels)
        targets = rng.integers(-1 if task.ignore == -1 else 0, 2, shape).astype(np.int32)
        logits = _scores(rng, "logits", *shape)
        predictions = (1 / (1 + np.exp(-logits))).astype(np.float32) if task.inputs == "probabilities" else logits
        return {task.predictions: predictions, task.targets: targets, task.weights: _weights(rng, task.weighted)}

    return make


def values(*names: str) -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        batch: Batch = {name: (rng.normal(size=ROWS) * 10 + 3).astype(np.float32) for name in names}
        batch[names[0]][rng.random(ROWS) < 0.1] = rng.choice([np.nan, np.inf])
        return {**batch, "weights": _weights(rng, False)}

    return make


def numbers(*outputs: int, targets: str = "targets") -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        due = (rng.normal(size=(ROWS, *outputs)) * 10 + 3).astype(np.float32)
        predictions = (due + rng.normal(size=due.shape)).astype(np.float32)
        predictions[rng.random(ROWS) < 0.1] = rng.choice([np.nan, np.inf])
        return {"predictions": predictions, targets: due, "weights": _weights(rng, True)}

    return make


def users(rng: np.random.Generator) -> Batch:
    return {"user": rng.integers(-3, 3, ROWS, np.int32), "weights": _weights(rng, False)}


def beside(
    make: Callable[[np.random.Generator], Batch], **more: Callable[[np.random.Generator], Any]
) -> Callable[[np.random.Generator], Batch]:
    """The batches with further entries."""
    return lambda rng: {**make(rng), **{name: each(rng) for name, each in more.items()}}


def ids(low: int, high: int, *shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.integers(low, high, shape or ROWS).astype(np.int32)


def ages(rng: np.random.Generator) -> np.ndarray:
    return (rng.random(ROWS) * 99).astype(np.float32)


def _weights(rng: np.random.Generator, fractions: bool) -> np.ndarray:
    whole = rng.integers(0, 4, ROWS)
    return (whole / 4).astype(np.float32) if fractions else whole.astype(np.int32)


@sm.spec
class Products(sm.Statistic):
    """A statistic of the tests' own: the sum of the products of two entries, and of the weights."""

    weighted = True

    @property
    def reads(self) -> tuple[str, ...]:
        return ("x", "y")

    @property
    def reasons(self) -> tuple[str, ...]:
        return ("value that is not finite",)

    @property
    def accumulators(self) -> dict[str, sm.accumulators.Accumulator]:
        return {"product": sm.accumulators.Sum(), "weight": sm.accumulators.Sum()}

    def observe(self, x: Any, y: Any) -> Any:
        faults = {"value that is not finite": ~(jnp.isfinite(x) & jnp.isfinite(y))}
        return {"product": sm.Add(x * y), "weight": sm.Add(1)}, faults


@sm.spec
class MeanProduct(sm.Metric):
    """A metric of the tests' own: Σ w x y / Σ w."""

    @property
    def statistic(self) -> Products:
        return Products()

    def read(self, counts: Any) -> Any:
        return counts["product"] / counts["weight"]


KNOWN = (Products,)

LOGIT, PROBABILITY = sm.Binary("logits"), sm.Binary("probabilities", threshold=0.3, targets="label")
LABEL, WEIGHED = sm.Binary("labels", ignore=7), sm.Binary("scores", threshold=0.25, weighted=True)
THREE, WIDE = sm.Multiclass(3, "logits"), sm.Multiclass(50, "logits", ignore=-1)
IDS, FRACTIONS = sm.Multiclass(4, "labels"), sm.Multiclass(3, "probabilities", weighted=True)
WIDE_FRACTIONS = sm.Multiclass(33, "labels", weighted=True)
LABELS = sm.Multilabel(3, "probabilities", threshold=(0.2, 0.5, 0.8), ignore=-1)
LABEL_FRACTIONS = sm.Multilabel(2, "logits", weighted=True)
SHARES, PAIRS = sm.Multiclass(3, "probabilities"), sm.Multiclass(3, "scores")
COARSE: dict[str, Any] = {"bins": 64, "ties": True}  # few bins compile and run as many do

CROSSED = {"country": ("de", "fr"), "year": (24, 25), "age": (0.0, 18.0, 99.0)}

# The statistics whose counts all the laws are tested on; metrics that read the same one need no more than a reading.
COUNTED = [
    Case("binary logits", sm.Accuracy(LOGIT), binary(LOGIT)),
    Case("binary probabilities", sm.Precision(PROBABILITY), binary(PROBABILITY)),
    Case("binary labels", sm.Examples(LABEL), binary(LABEL)),
    Case("three classes", sm.Recall(THREE), multiclass(THREE)),
    Case("tokens", sm.F1(THREE), multiclass(THREE, 2)),
    Case("many classes", sm.StatScores(WIDE), multiclass(WIDE)),
    Case("class ids", sm.ConfusionMatrix(IDS), multiclass(IDS)),
    Case("many class fractions", sm.Precision(WIDE_FRACTIONS, average="weighted"), multiclass(WIDE_FRACTIONS)),
    Case("confusion of many", sm.ConfusionMatrix(WIDE, normalize="true"), multiclass(WIDE)),
    Case("labels", sm.Accuracy(LABELS), multilabel(LABELS)),
    Case("label fractions", sm.Recall(LABEL_FRACTIONS), multilabel(LABEL_FRACTIONS)),
    Case("log loss", sm.LogLoss(FRACTIONS), multiclass(FRACTIONS)),
    Case("log loss of labels", sm.LogLoss(LABELS), multilabel(LABELS)),
    Case("brier", sm.Brier(FRACTIONS), multiclass(FRACTIONS)),
    Case("hinge of labels", sm.HingeLoss(LABEL_FRACTIONS, average=None), multilabel(LABEL_FRACTIONS)),
    Case("top k", sm.TopKAccuracy(WIDE, k=3), multiclass(WIDE)),
    Case("exact match", sm.ExactMatch(LABELS), multilabel(LABELS)),
    Case("label ranking", sm.LabelRankingAveragePrecision(LABELS), multilabel(LABELS)),
    Case("thresholds", sm.StatScoresAt(PROBABILITY, (0.2, 0.7, 0.5)), binary(PROBABILITY)),
    Case("scores", sm.AUROC(PROBABILITY, **COARSE), binary(PROBABILITY)),
    Case("scores of classes", sm.AUROC(THREE, average="weighted", bins=64), multiclass(THREE)),
    Case("pairs of classes", sm.OneVsOneAUROC(PAIRS, bins=64, score_range=(-4, 4)), multiclass(PAIRS)),
    Case("confidences by mass", sm.CalibrationError(LABELS, binning="mass"), multilabel(LABELS)),
    Case("squared confidences", sm.BrierDecomposition(FRACTIONS), multiclass(FRACTIONS)),
    Case("squared errors", sm.MeanSquaredError(), numbers()),
    Case("absolute errors", sm.MeanAbsoluteError(targets="y"), numbers(targets="y")),
    Case("residuals", sm.R2(2), numbers(2)),
    Case("number pairs", sm.PearsonCorrelation(), numbers()),
    Case("mean", sm.Mean("loss"), values("loss")),
    Case("exact mean", sm.Mean("loss", exact=True), values("loss")),
    Case("sum", sm.Sum("loss"), values("loss")),
    Case("ratio", sm.Ratio("errors", "words", exact=True), values("errors", "words")),
    Case("maximum", sm.Maximum("loss"), values("loss")),
    Case("histogram", sm.Histogram("loss", (-5, 0, 2.5, 10)), values("loss")),
    Case("quantiles", sm.Quantile("loss", (0.1, 0.5), low=0.01, mantissa_bits=2), values("loss")),
    Case("distinct", sm.DistinctCount("user"), users),
    Case("a metric of our own", MeanProduct(), values("x", "y")),
    Case("slices", sm.Sliced(sm.Accuracy(LABELS), "group", 3), beside(multilabel(LABELS), group=ids(-1, 4))),
    Case(
        "crossed slices",
        sm.Sliced(sm.Sum("loss"), slices=CROSSED, other=True, min_examples=2),
        beside(values("loss"), country=ids(-1, 3), year=ids(24, 27), age=ages),
    ),
    Case("outputs", sm.PerOutput(sm.Recall(THREE), ("head", "tail")), multiclass(THREE, 2)),
    Case("window", sm.Windowed(sm.Accuracy(THREE), 3), beside(multiclass(THREE), step=ids(-1, 6))),
    Case("decay", sm.Decayed(sm.F1(THREE), 2.0), beside(multiclass(THREE), step=ids(0, 6))),
    Case("bootstrap", sm.Bootstrapped(sm.F1(THREE), 8), beside(multiclass(THREE), ids=ids(-9, 9))),
    Case(
        "bootstrap of slices in a window",
        sm.Windowed(sm.Bootstrapped(sm.Sliced(sm.Accuracy(LOGIT), "group", 2), 4, cluster="user"), 3),
        beside(binary(LOGIT), group=ids(0, 3), user=ids(0, 5), step=ids(0, 6)),
    ),
    Case(
        "collection",
        sm.Collection(
            loss=sm.Mean("loss"),
            accuracy=sm.Accuracy(THREE),
            inner=sm.Collection({"recall c1": sm.Recall(THREE, class_id=1), "largest": sm.Maximum("loss")}),
            sliced=sm.Sliced(sm.Recall(THREE), "group", 2),
            latest=sm.Windowed(sm.Mean("loss"), 3),
        ),
        beside(lambda rng: {**values("loss")(rng), **multiclass(THREE)(rng)}, group=ids(0, 2), step=ids(0, 6)),
    ),
]

READ = [
    Case("gap", sm.Gap(sm.Sliced(sm.Precision(THREE), "group", 3)), beside(multiclass(THREE), group=ids(-1, 4))),
    Case("binary fractions", sm.Specificity(WEIGHED), binary(WEIGHED)),
    Case("thresholds of classes", sm.StatScoresAt(THREE, (0.3, 0.6)), multiclass(THREE)),
    Case("class fractions", sm.FBeta(FRACTIONS, 2.0), multiclass(FRACTIONS)),
    Case("hinge", sm.HingeLoss(THREE), multiclass(THREE)),
    Case("log loss of logits", sm.LogLoss(THREE), multiclass(THREE)),
    Case("scores of label fractions", sm.AUROC(LABEL_FRACTIONS, **COARSE), multilabel(LABEL_FRACTIONS)),
    Case("confidences", sm.CalibrationError(SHARES), multiclass(SHARES)),
    Case("partial area", sm.AUROC(PROBABILITY, max_fpr=0.4, **COARSE), binary(PROBABILITY)),
    Case("gini", sm.Gini(THREE, average=None, bins=64), multiclass(THREE)),
    Case("log area", sm.LogAUC(PROBABILITY, (0.1, 0.8), **COARSE), binary(PROBABILITY)),
    Case("average precision", sm.AveragePrecision(THREE, bins=64), multiclass(THREE)),
    Case("average precision of fractions", sm.AveragePrecision(LABEL_FRACTIONS, **COARSE), multilabel(LABEL_FRACTIONS)),
    Case("interpolated precision", sm.PRAUC(THREE, average="micro", bins=64), multiclass(THREE)),
    Case("kolmogorov smirnov", sm.KolmogorovSmirnov(PROBABILITY, **COARSE), binary(PROBABILITY)),
    Case("equal errors", sm.EqualErrorRate(LABEL_FRACTIONS, average=None, **COARSE), multilabel(LABEL_FRACTIONS)),
    Case("roc", sm.ROC(PROBABILITY, **COARSE), binary(PROBABILITY)),
    Case("precision and recall", sm.PrecisionRecallCurve(THREE, class_id=1, bins=64), multiclass(THREE)),
    Case("errors", sm.DetCurve(THREE, bins=64), multiclass(THREE)),
    Case("gains", sm.CumulativeGains(THREE, average="micro", bins=64), multiclass(THREE)),
    Case("lift", sm.Lift(LABEL_FRACTIONS, **COARSE), multilabel(LABEL_FRACTIONS)),
    Case("distribution", sm.ScoreDistribution(PROBABILITY, **COARSE), binary(PROBABILITY)),
    Case("distribution of fractions", sm.ScoreDistribution(LABEL_FRACTIONS, **COARSE), multilabel(LABEL_FRACTIONS)),
    Case("precision at recall", sm.PrecisionAtRecall(PROBABILITY, recall=0.5, **COARSE), binary(PROBABILITY)),
    Case("recall at precision", sm.RecallAtPrecision(THREE, precision=0.5, bins=64), multiclass(THREE)),
    Case("sensitivity", sm.SensitivityAtSpecificity(THREE, specificity=0.5, bins=64), multiclass(THREE)),
    Case("specificity", sm.SpecificityAtSensitivity(PROBABILITY, sensitivity=0.5, **COARSE), binary(PROBABILITY)),
    Case("best threshold", sm.BestThreshold(THREE, by="cost", costs=(2.0, 1.0), bins=64), multiclass(THREE)),
    Case("reliability", sm.ReliabilityDiagram(SHARES), multiclass(SHARES)),
    Case("reliability by mass", sm.ReliabilityDiagram(LABELS, bins=5, binning="mass"), multilabel(LABELS)),
    Case("calibration ratio", sm.CalibrationRatio(LABELS), multilabel(LABELS)),
    Case("minimum", sm.Minimum("loss"), values("loss")),
    Case("variance", sm.Variance("loss", ddof=1), values("loss")),
    Case("standard deviation", sm.Std("loss"), values("loss")),
    Case("examples of an entry", sm.Examples("loss"), values("loss")),
    Case("recall by class", sm.Recall(THREE, average=None), multiclass(THREE)),
    Case("precision over all", sm.Precision(THREE, over="all", undefined="nan"), multiclass(THREE)),
    Case("micro specificity", sm.Specificity(THREE, average="micro"), multiclass(THREE)),
    Case("scores of one class", sm.StatScores(THREE, class_id=0), multiclass(THREE)),
    Case("balanced accuracy", sm.BalancedAccuracy(THREE, adjusted=True), multiclass(THREE)),
    Case("negative predictive value", sm.NegativePredictiveValue(LOGIT), binary(LOGIT)),
    Case("jaccard", sm.Jaccard(THREE, average="weighted"), multiclass(THREE)),
    Case("mean iou", sm.MeanIoU(LOGIT), binary(LOGIT)),
    Case("dice", sm.Dice(THREE, over="all"), multiclass(THREE)),
    Case("hamming loss", sm.HammingLoss(LABELS), multilabel(LABELS)),
    Case("matthews", sm.MatthewsCorrelation(THREE), multiclass(THREE)),
    Case("matthews of labels", sm.MatthewsCorrelation(LABELS, average=None), multilabel(LABELS)),
    Case("kappa", sm.CohenKappa(WIDE), multiclass(WIDE)),
    Case("weighted kappa", sm.CohenKappa(IDS, "quadratic"), multiclass(IDS)),
    Case("false positives", sm.FalsePositiveRate(THREE, class_id=2), multiclass(THREE)),
    Case("false negatives", sm.FalseNegativeRate(WEIGHED), binary(WEIGHED)),
    Case("false discoveries", sm.FalseDiscoveryRate(THREE), multiclass(THREE)),
    Case("informedness", sm.Informedness(THREE, undefined="nan"), multiclass(THREE)),
    Case("markedness", sm.Markedness(THREE, average="micro"), multiclass(THREE)),
    Case("likelihood ratios", sm.LikelihoodRatios(FRACTIONS), multiclass(FRACTIONS)),
    Case("prevalence", sm.Prevalence(THREE), multiclass(THREE)),
    Case("predicted positives", sm.PredictedPositiveRate(LOGIT), binary(LOGIT)),
    Case("exact match of classes", sm.ExactMatch(THREE), multiclass(THREE)),
    Case("perplexity", sm.Perplexity(THREE), multiclass(THREE)),
    Case("label ranking loss", sm.LabelRankingLoss(LABELS), multilabel(LABELS)),
    Case("coverage error", sm.CoverageError(LABELS), multilabel(LABELS)),
    Case("root of squared errors", sm.RootMeanSquaredError(), numbers()),
    Case("explained variance", sm.ExplainedVariance(2, average="variance"), numbers(2)),
    Case("report", sm.classification_report(THREE), multiclass(THREE)),
    Case("scores together", sm.StatScores(FRACTIONS, average="micro"), multiclass(FRACTIONS)),
]

CATALOGUE = COUNTED + READ
