"""Bad input is refused in one sentence that says who, what came and what was due; each is tested in full."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm

THREE = sm.Multiclass(3, "logits")
BINARY = sm.Binary("logits")
SCORES = sm.Binary("scores")
LABELS = sm.Multilabel(2, "probabilities")
RECALL = sm.Recall(THREE)
BOTH = sm.Collection(loss=sm.Mean("loss"), recall=RECALL)
X, Y = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
WHO = "Recall(task=Multiclass(num_classes=3, inputs='logits'))"

BATCHES: list[tuple[sm.Metric, dict[str, Any], type[Exception], str]] = [
    (RECALL, {"predictions": np.zeros((4, 4), np.float32), "targets": Y}, ValueError,
     f"{WHO}: predictions have shape (4, 4), but the last axis must have 3 entries, one per class"),
    (RECALL, {"predictions": X, "targets": Y[:3]}, ValueError,
     f"{WHO}: targets have shape (3,), but must have shape (4,), one class id per example, or (4, 3), one-hot"),
    (RECALL, {"predictions": Y, "targets": X}, TypeError,
     f"{WHO}: predictions have dtype int32, but logits are floating; are predictions and targets swapped?"),
    (RECALL, {"predictions": X, "targets": Y.astype(np.float32)}, TypeError,
     f"{WHO}: targets have dtype float32, but class ids are integers"),
    (RECALL, {"predictions": X, "targets": Y, "weights": np.ones(3)}, ValueError,
     f"{WHO}: weights have shape (3,), but the examples have shape (4,): one weight per example, or per leading "
     "index, is due"),
    (RECALL, {"predictions": X, "targets": Y, "weights": np.ones((4, 1))}, ValueError,
     f"{WHO}: weights have shape (4, 1), but the examples have shape (4,): one weight per example, or per leading "
     "index, is due"),
    (RECALL, {"prediction": X, "targets": Y}, TypeError,
     f"{WHO}: got prediction, which nothing reads; it reads predictions and targets (and weights, optional)"),
    (RECALL, {"predictions": X}, TypeError,
     f"{WHO}: targets did not come; it reads predictions and targets (and weights, optional)"),
    (RECALL, {"predictions": None, "targets": Y}, TypeError, f"{WHO}: predictions is None, but must be an array"),
    (RECALL, {"predictions": X.astype(complex), "targets": Y}, TypeError,
     f"{WHO}: predictions has dtype complex128, but must be boolean, integer or floating"),
    (RECALL, {"predictions": [[1.0], [1.0, 2.0]], "targets": Y}, ValueError,
     f"{WHO}: predictions is a ragged sequence, but must be an array"),
    (RECALL, {"predictions": X, "targets": np.full(4, 2**32, np.int64)}, ValueError,
     f"{WHO}: targets holds int64 values that do not fit int32"),
    (BOTH, {"predictions": X, "targets": Y[:2], "loss": np.zeros(4)}, ValueError,
     f"recall={WHO}: targets have shape (2,), but must have shape (4,), one class id per example, or (4, 3), one-hot"),
    (sm.Mean("loss"), {"loss": np.float32(1)}, ValueError,
     "Mean(entry='loss'): loss is a scalar, but must have one value per example (a mean of batch means is wrong); pass "
     "loss[None] if it truly is one observation"),
    (sm.Mean("loss"), {"loss": np.array([1e300])}, ValueError,
     "Mean(entry='loss'): loss holds float64 values beyond the range of float32"),
    (sm.Ratio("a", "b"), {"a": np.zeros(2), "b": np.zeros(3)}, ValueError,
     "Ratio(numerator='a', denominator='b'): the values have the shapes a (2,) and b (3,), but must have one shape"),
    (sm.Accuracy(BINARY), {"predictions": X, "targets": Y}, ValueError,
     "Accuracy(task=Binary(inputs='logits')): predictions have shape (4, 3) and targets (4,), but must have the same "
     "shape, or predictions one more axis of size 1"),
    (sm.Accuracy(sm.Binary("labels")), {"predictions": np.zeros(4, np.float32), "targets": Y}, TypeError,
     "Accuracy(task=Binary(inputs='labels')): predictions have dtype float32, but labels are bool or integer"),
    (sm.Accuracy(sm.Multiclass(3, "labels")), {"predictions": np.zeros(4, np.float32), "targets": Y}, TypeError,
     "Accuracy(task=Multiclass(num_classes=3, inputs='labels')): predictions have dtype float32, but predicted labels "
     "are integers"),
    (sm.Accuracy(LABELS), {"predictions": np.zeros((4, 2), np.float32), "targets": Y}, ValueError,
     "Accuracy(task=Multilabel(num_labels=2, inputs='probabilities')): targets have shape (4,), but must have "
     "shape (4, 2), that of the predictions"),
    (sm.Accuracy(LABELS), {"predictions": X, "targets": X}, ValueError,
     "Accuracy(task=Multilabel(num_labels=2, inputs='probabilities')): predictions have shape (4, 3), but the last "
     "axis must have 2 entries, one per label"),
    (sm.HingeLoss(THREE), {"predictions": Y, "targets": X}, TypeError,
     "HingeLoss(task=Multiclass(num_classes=3, inputs='logits')): predictions have dtype int32, but logits are "
     "floating; are predictions and targets swapped?"),
    (sm.HingeLoss(THREE, "one-against-all"), {"predictions": X, "targets": Y, "weights": np.ones((4, 3))}, ValueError,
     "HingeLoss(task=Multiclass(num_classes=3, inputs='logits'), multiclass='one-against-all'): weights have shape "
     "(4, 3), but the examples have shape (4,): one weight per example, or per leading index, is due"),
    (sm.Brier(sm.Binary("probabilities")), {"predictions": Y, "targets": Y.astype(np.float32)}, TypeError,
     "Brier(task=Binary(inputs='probabilities')): predictions have dtype int32, but probabilities are floating; are "
     "predictions and targets swapped?"),
    (sm.Perplexity(THREE), {"predictions": np.zeros((2, 4, 3), np.float32), "targets": Y[:2]}, ValueError,
     "Perplexity(task=Multiclass(num_classes=3, inputs='logits')): targets have shape (2,), but must have shape "
     "(2, 4), one class id per example, or (2, 4, 3), one-hot"),
    (sm.Perplexity(THREE), {"predictions": np.zeros((2, 4, 5), np.float32), "targets": np.zeros((2, 4), int)},
     ValueError, "Perplexity(task=Multiclass(num_classes=3, inputs='logits')): predictions have shape (2, 4, 5), but "
     "the last axis must have 3 entries, one per class"),
    (sm.Perplexity(THREE),
     {"predictions": np.zeros((2, 4, 3), np.float32), "targets": np.zeros((2, 4), int), "weights": np.ones((4, 2))},
     ValueError, "Perplexity(task=Multiclass(num_classes=3, inputs='logits')): weights have shape (4, 2), but the "
     "examples have shape (2, 4): one weight per example, or per leading index, is due"),
    (sm.TopKAccuracy(THREE, 2), {"predictions": Y, "targets": X}, TypeError,
     "TopKAccuracy(task=Multiclass(num_classes=3, inputs='logits'), k=2): predictions have dtype int32, but logits are "
     "floating; are predictions and targets swapped?"),
    (sm.CohenKappa(THREE, "linear"), {"predictions": Y, "targets": X}, TypeError,
     "CohenKappa(task=Multiclass(num_classes=3, inputs='logits'), weighting='linear'): predictions have dtype int32, "
     "but logits are floating; are predictions and targets swapped?"),
    (sm.StatScoresAt(LABELS, (0.5,)), {"predictions": np.zeros(4, np.float32), "targets": Y}, ValueError,
     "StatScoresAt(task=Multilabel(num_labels=2, inputs='probabilities'), thresholds=(0.5,)): predictions have shape "
     "(4,), but the last axis must have 2 entries, one per label"),
    (sm.ExactMatch(LABELS), {"predictions": X[:, :2], "targets": X[:, :2], "weights": np.ones((4, 2))}, ValueError,
     "ExactMatch(task=Multilabel(num_labels=2, inputs='probabilities')): weights have shape (4, 2), but the examples "
     "have shape (4,): one weight per example, or per leading index, is due"),
    (sm.LabelRankingLoss(LABELS), {"predictions": X[:, :2], "targets": X[:, :2], "weights": np.ones((4, 2))},
     ValueError, "LabelRankingLoss(task=Multilabel(num_labels=2, inputs='probabilities')): weights have shape (4, 2), "
     "but the examples have shape (4,): one weight per example, or per leading index, is due"),
    (sm.CoverageError(LABELS), {"predictions": np.zeros((4, 2), int), "targets": X[:, :2]}, TypeError,
     "CoverageError(task=Multilabel(num_labels=2, inputs='probabilities')): predictions have dtype int32, but "
     "probabilities are floating; are predictions and targets swapped?"),
    (sm.MeanSquaredError(), {"predictions": np.zeros((4, 1)), "targets": np.zeros(4)}, ValueError,
     "MeanSquaredError(): targets have shape (4,), but must have shape (4, 1), that of the predictions"),
    (sm.R2(), {"predictions": np.zeros(4), "targets": np.zeros((4, 1))}, ValueError,
     "R2(): targets have shape (4, 1), but must have shape (4,), that of the predictions"),
    (sm.MeanSquaredError(), {"predictions": 1.0, "targets": 1.0}, ValueError,
     "MeanSquaredError(): predictions have shape (), but must hold one value per example"),
    (sm.R2(2), {"predictions": X, "targets": X}, ValueError,
     "R2(outputs=2): predictions have shape (4, 3), but must hold rows of 2 values, one per output"),
    (sm.R2(2), {"predictions": np.zeros(2), "targets": np.zeros(2)}, ValueError,
     "R2(outputs=2): predictions have shape (2,), but must hold rows of 2 values, one per output"),
    (sm.MeanSquaredError(), {"predictions": jnp.zeros(2, jnp.complex64), "targets": np.zeros(2)}, TypeError,
     "MeanSquaredError(): predictions has dtype complex64, but must be boolean, integer or floating"),
    (sm.PearsonCorrelation(3), {"predictions": X, "targets": np.zeros((4, 2))}, ValueError,
     "PearsonCorrelation(outputs=3): targets have shape (4, 2), but must have shape (4, 3), that of the predictions"),
    (sm.MeanAbsoluteError(3), {"predictions": X, "targets": np.zeros(4)}, ValueError,
     "MeanAbsoluteError(outputs=3): targets have shape (4,), but must have shape (4, 3), that of the predictions"),
    (sm.ExplainedVariance(3), {"predictions": X, "targets": X, "weights": np.ones((4, 3))}, ValueError,
     "ExplainedVariance(outputs=3): weights have shape (4, 3), but the examples have shape (4,): one weight per "
     "example, or per leading index, is due"),
    (sm.AUROC(SCORES, bins="bfloat16"), {"predictions": np.zeros(4, np.float32), "targets": Y}, TypeError,
     "AUROC(task=Binary(inputs='scores'), bins='bfloat16'): predictions have dtype float32, but bins='bfloat16' takes "
     "that dtype alone"),
    (sm.AUROC(SCORES, bins="float16"), {"predictions": jnp.zeros(4, jnp.bfloat16), "targets": Y}, TypeError,
     "AUROC(task=Binary(inputs='scores'), bins='float16'): predictions have dtype bfloat16, but bins='float16' takes "
     "that dtype alone"),
    (sm.CalibrationError(THREE), {"predictions": Y, "targets": X}, TypeError,
     "CalibrationError(task=Multiclass(num_classes=3, inputs='logits')): predictions have dtype int32, but logits are "
     "floating; are predictions and targets swapped?"),
    (sm.R2(), {"predictions": np.full(4, 1e300), "targets": np.zeros(4)}, ValueError,
     "R2(): predictions holds float64 values beyond the range of float32"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "batch", "kind", "message"), BATCHES, ids=[text for *_, text in BATCHES])
def test_a_bad_batch_is_refused(metric: sm.Metric, batch: dict[str, Any], kind: type[Exception], message: str) -> None:
    state = metric.init()
    for call in (lambda: metric.update(state, **batch), lambda: metric.tally(**batch)):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value).splitlines()[0] == message
    assert [int(np.sum(leaf)) for leaf in jax.tree.leaves(state)] == [0] * len(jax.tree.leaves(state))


def test_a_bad_batch_is_refused_when_tracing() -> None:
    with pytest.raises(ValueError, match=re.escape(f"{WHO}: predictions have shape (4, 4)")):
        jax.eval_shape(lambda x: RECALL.tally(x, jnp.zeros(4, int)), jax.ShapeDtypeStruct((4, 4), "float32"))


POSITIONS = [
    (lambda: BOTH.tally(X, Y), "a collection takes everything by name; it reads predictions, targets and loss"),
    (lambda: RECALL.tally(X, Y, Y), f"{WHO}: got 3 values by position, but reads predictions and targets"),
    (lambda: RECALL.tally(X, Y, targets=Y), f"{WHO}: targets came both by position and by name"),
]


@pytest.mark.parametrize(("call", "message"), POSITIONS)
def test_values_by_position_are_refused_where_they_are_not_clear(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


SPECIFICATIONS: list[tuple[Any, type[Exception], str]] = [
    (lambda: sm.Binary("logit"), ValueError,
     "Binary: inputs is 'logit', but must say what predictions are: 'logits', 'probabilities', 'scores' or 'labels'"),
    (lambda: sm.Multiclass(1, "logits"), ValueError, "Multiclass: num_classes is 1, but must be at least 2"),
    (lambda: sm.Multilabel(0, "logits"), ValueError, "Multilabel: num_labels is 0, but must be at least 1"),
    (lambda: sm.Multiclass(3.5, "logits"), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "Multiclass: num_classes is 3.5 of type float, but must be int"),
    (lambda: sm.Multiclass(True, "logits"), TypeError,
     "Multiclass: num_classes is True of type bool, but must be int"),
    (lambda: sm.Multiclass(3, "logits", class_names=("a", "b")), ValueError,
     "Multiclass: class_names has 2 names, but there are 3 classes"),
    (lambda: sm.Multiclass(3, "logits", targets="predictions"), ValueError,
     "Multiclass: predictions, targets and weights are named ('predictions', 'predictions', 'weights'), but must be "
     "three entries"),
    (lambda: sm.Binary("probabilities", threshold=2), ValueError,
     "Binary: threshold is 2.0, but must be a probability from 0 to 1"),
    (lambda: sm.Binary("scores", threshold=float("nan")), ValueError,
     "Binary: threshold is NaN, but must be a number"),
    (lambda: sm.Binary("labels", threshold=0.3), ValueError,
     "Binary: threshold is 0.3, but labels are read without one"),
    (lambda: sm.Multilabel(3, "logits", threshold=(0.5, 0.1)), ValueError,
     "Multilabel: threshold has 2 entries, but there are 3 labels"),
    (lambda: sm.Recall(THREE, average="mean"), ValueError,
     "Recall: average is 'mean', but must be None, 'micro', 'macro' or 'weighted'"),
    (lambda: sm.Recall(THREE, average="macro", class_id=1), ValueError,
     "Recall: average='macro' and class_id=1 exclude each other"),
    (lambda: sm.Recall(THREE, average=None, class_id=1), ValueError,
     "Recall: average=None and class_id=1 exclude each other"),
    (lambda: sm.Recall(THREE, class_id=3), ValueError, "Recall: class_id is 3, but must be from 0 to 2"),
    (lambda: sm.Recall(THREE, over="some"), ValueError,
     "Recall: over is 'some', but must be 'present', 'all' or 'support'"),
    (lambda: sm.Recall(THREE, undefined=0.5), ValueError, "Recall: undefined is 0.5, but must be 0.0, 1.0 or 'nan'"),
    (lambda: sm.Recall(BINARY, average="macro"), ValueError,
     "Recall: Binary has one value, of its positive class, and takes no average, class_id or over"),
    (lambda: sm.Recall(3), TypeError, "Recall: task is 3, but must be Binary, Multiclass or Multilabel"),
    (lambda: sm.FBeta(THREE, -1.0), ValueError, "FBeta: beta is -1.0, but must be finite and not negative"),
    (lambda: sm.StatScores(THREE, average="micro", class_id=0), ValueError,
     "StatScores: average='micro' and class_id=0 exclude each other"),
    (lambda: sm.ConfusionMatrix(THREE, normalize="rows"), ValueError,
     "ConfusionMatrix: normalize is 'rows', but must be None, 'true', 'predicted' or 'all'"),
    (lambda: sm.ConfusionMatrix(sm.Multiclass(8193, "logits")), ValueError,
     "ConfusionMatrix: 8,193 classes would need a table of their square, but at most 8,192 are allowed; StatScores, "
     "Precision and Recall count each class alone"),
    (lambda: sm.LogLoss(sm.Binary("labels")), ValueError,
     "LogLoss: the task's inputs are 'labels', but must be 'logits' or 'probabilities'"),
    (lambda: sm.LogLoss(sm.Multiclass(3, "scores")), ValueError,
     "LogLoss: the task's inputs are 'scores', but must be 'logits' or 'probabilities'"),
    (lambda: sm.Perplexity(sm.Multiclass(3, "scores")), ValueError,
     "Perplexity: the task's inputs are 'scores', but must be 'logits' or 'probabilities'"),
    (lambda: sm.Brier(sm.Binary("labels")), ValueError,
     "Brier: the task's inputs are 'labels', but must be 'logits' or 'probabilities'"),
    (lambda: sm.HingeLoss(LABELS), ValueError,
     "HingeLoss: the task's inputs are 'probabilities', but must be 'logits' or 'scores'"),
    (lambda: sm.HingeLoss(THREE, "all"), ValueError,
     "HingeLoss: multiclass is 'all', but must be 'crammer-singer' or 'one-against-all'"),
    (lambda: sm.HingeLoss(THREE, average="micro"), ValueError,
     "HingeLoss: average is 'micro', but must be None or 'macro'"),
    (lambda: sm.HingeLoss(BINARY, average=None), ValueError,
     "HingeLoss: average=None is of a loss for each class, but Binary(inputs='logits') has one"),
    (lambda: sm.HingeLoss(THREE, average=None), ValueError,
     "HingeLoss: average=None is of a loss for each class, but Multiclass(num_classes=3, inputs='logits') has one"),
    (lambda: sm.statistics.HingeLosses(LABELS), ValueError,
     "HingeLosses: the task's inputs are 'probabilities', but must be 'logits' or 'scores'"),
    (lambda: sm.TopKAccuracy(THREE, 4), ValueError,
     "TopKAccuracy: k is 4, but must be from 1 to 3, the classes"),
    (lambda: sm.TopKAccuracy(THREE, 0), ValueError,
     "TopKAccuracy: k is 0, but must be from 1 to 3, the classes"),
    (lambda: sm.TopKAccuracy(THREE), ValueError,  # the default
     "TopKAccuracy: k is 5, but must be from 1 to 3, the classes"),
    (lambda: sm.TopKAccuracy(BINARY, 1), TypeError,
     "TopKAccuracy: task is Binary(inputs='logits'), but must be Multiclass; the others have no ranked classes"),
    (lambda: sm.LabelRankingLoss(THREE), TypeError,
     "LabelRankingLoss: task is Multiclass(num_classes=3, inputs='logits'), but must be Multilabel; labels are ranked "
     "for each example"),
    (lambda: sm.LabelRankingAveragePrecision(BINARY), TypeError,
     "LabelRankingAveragePrecision: task is Binary(inputs='logits'), but must be Multilabel; labels are ranked for "
     "each example"),
    (lambda: sm.CoverageError(sm.Multilabel(2, "labels")), ValueError,
     "CoverageError: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'"),
    (lambda: sm.CohenKappa(sm.Multiclass(8193, "logits"), "linear"), ValueError,
     "CohenKappa: 8,193 classes would need a table of their square, but at most 8,192 are allowed; StatScores, "
     "Precision and Recall count each class alone"),
    (lambda: sm.CohenKappa(THREE, "cubic"), ValueError,
     "CohenKappa: weighting is 'cubic', but must be None, 'linear' or 'quadratic'"),
    (lambda: sm.CohenKappa(THREE, "linear", class_id=1), ValueError,
     "CohenKappa: weighting='linear' weighs the distances of all classes, which average and class_id do not see"),
    (lambda: sm.MeanSquaredError(2, average="variance"), ValueError,
     "MeanSquaredError: average is 'variance', but must be None or 'uniform'"),
    (lambda: sm.R2(average=None), ValueError, "R2: average=None is of several outputs, but outputs is None"),
    (lambda: sm.R2(average="variance"), ValueError,
     "R2: average='variance' is of several outputs, but outputs is None"),
    (lambda: sm.R2(2, average="macro"), ValueError,
     "R2: average is 'macro', but must be None, 'uniform' or 'variance'"),
    (lambda: sm.R2(2.5), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "R2: outputs is 2.5 of type float, but must be int"),
    (lambda: sm.statistics.Residuals(0), ValueError, "Residuals: outputs is 0, but must be at least 1"),
    (lambda: sm.StatScoresAt(BINARY, ()), ValueError,
     "StatScoresAt: thresholds is (), but must hold at least one threshold"),
    (lambda: sm.StatScoresAt(sm.Binary("labels"), (0.5,)), ValueError,
     "StatScoresAt: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'"),
    (lambda: sm.StatScoresAt(BINARY, (float("nan"),)), ValueError,
     "StatScoresAt: thresholds is NaN, but must be a number"),
    (lambda: sm.StatScoresAt(THREE, (0.5,), average="macro"), ValueError,
     "StatScoresAt: average is 'macro', but must be None or 'micro'"),
    (lambda: sm.AUROC(BINARY, bins=1000), ValueError,
     "AUROC: bins is 1000, but must be a power of two from 64 to 1,048,576, or 'bfloat16' or 'float16' for every value "
     "of that dtype"),
    (lambda: sm.AUROC(BINARY, bins="float32"), ValueError,
     "AUROC: bins is 'float32', but must be a power of two from 64 to 1,048,576, or 'bfloat16' or 'float16' for every "
     "value of that dtype"),
    (lambda: sm.AUROC(THREE, bins="bfloat16"), ValueError,
     "AUROC: bins is 'bfloat16', but classes of logits are ranked by their log-odds, which are float32; a number of "
     "bins is due"),
    (lambda: sm.AUROC(BINARY, score_range=(0, 1)), ValueError,
     "AUROC: score_range is (0.0, 1.0), but the range of inputs='logits' with bins=4096 is known; it is declared for "
     "scores alone"),
    (lambda: sm.ROC(SCORES, score_range=(1, 1)), ValueError,
     "ROC: score_range is (1.0, 1.0), but must be (low, high), finite, low < high"),
    (lambda: sm.ROC(SCORES, score_range=(1, 0)), ValueError,
     "ROC: score_range is (1.0, 0.0), but must be (low, high), finite, low < high"),
    (lambda: sm.ROC(SCORES, score_range=(0, float("inf"))), ValueError,
     "ROC: score_range is (0.0, inf), but must be (low, high), finite, low < high"),
    (lambda: sm.ROC(SCORES, score_range=(1e8, 1e8 + 1)), ValueError,  # one number in float32
     "ROC: score_range is (100000000.0, 100000001.0), but must be (low, high), finite, low < high"),
    (lambda: sm.ROC(SCORES, score_range=(0, 1, 2)), ValueError,  # pyright: ignore[reportArgumentType]  # what is tested
     "ROC: score_range is (0.0, 1.0, 2.0), but must be (low, high), finite, low < high"),
    (lambda: sm.AUROC(sm.Multiclass(50_000, "logits")), ValueError,
     "AUROC: the state would take 3.1 GiB, but at most 1 GiB is allowed; declare fewer bins (bins=4096) or "
     "classes"),
    (lambda: sm.OneVsOneAUROC(sm.Multiclass(300, "logits")), ValueError,
     "OneVsOneAUROC: the state would take 2.7 GiB, but at most 1 GiB is allowed; declare fewer bins (bins=4096) or "
     "classes"),
    (lambda: sm.OneVsOneAUROC(BINARY), TypeError,
     "OneVsOneAUROC: task is Binary(inputs='logits'), but must be Multiclass; the others have no pairs of classes"),
    (lambda: sm.OneVsOneAUROC(THREE, average="micro"), ValueError,
     "OneVsOneAUROC: average is 'micro', but must be 'macro' or 'weighted'"),
    (lambda: sm.AUROC(sm.Binary("labels")), ValueError,
     "AUROC: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'"),
    (lambda: sm.AUROC(3), TypeError, "AUROC: task is 3, but must be Binary, Multiclass or Multilabel"),
    (lambda: sm.AUROC(BINARY, max_fpr=0), ValueError, "AUROC: max_fpr is 0.0, but must be from 1e-12 to 1"),
    (lambda: sm.AUROC(BINARY, average="macro"), ValueError,
     "AUROC: Binary has one value, of its positive class, and takes no average or class_id"),
    (lambda: sm.AUROC(THREE, average="mean"), ValueError,
     "AUROC: average is 'mean', but must be None, 'micro', 'macro' or 'weighted'"),
    (lambda: sm.ROC(THREE, average="macro"), ValueError, "ROC: average is 'macro', but must be None or 'micro'"),
    (lambda: sm.LogAUC(BINARY, (0, 0.1)), ValueError,
     "LogAUC: fpr_range is (0.0, 0.1), but must be (low, high), 1e-12 ≤ low and 1.1 low ≤ high ≤ 1"),
    (lambda: sm.LogAUC(BINARY, (0.3, 0.31)), ValueError,
     "LogAUC: fpr_range is (0.3, 0.31), but must be (low, high), 1e-12 ≤ low and 1.1 low ≤ high ≤ 1"),
    (lambda: sm.LogAUC(BINARY, 0.1), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "LogAUC: fpr_range is 0.1 of type float, but must be tuple"),
    (lambda: sm.ROC(SCORES, score_range=5), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "ROC: score_range is 5 of type int, but must be tuple"),
    (lambda: sm.ROC(SCORES, score_range=(0, 1e39)), ValueError,
     "ROC: score_range is (0.0, 1e+39), but must be (low, high), finite, low < high"),
    (lambda: sm.ROC(SCORES, ties=None), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "ROC: ties is None of type NoneType, but must be bool"),
    (lambda: sm.PrecisionAtRecall(BINARY, recall=None), TypeError,  # pyright: ignore[reportArgumentType]  # likewise
     "PrecisionAtRecall: recall is None of type NoneType, but must be float"),
    (lambda: sm.BestThreshold(BINARY, by="cost", costs=(None, 1)), TypeError,  # pyright: ignore[reportArgumentType]  # likewise
     "BestThreshold: costs is None of type NoneType, but must be float"),
    (lambda: sm.CalibrationError(BINARY, norm=None), TypeError,  # pyright: ignore[reportArgumentType]  # likewise
     "CalibrationError: norm is None of type NoneType, but must be str"),
    (lambda: sm.Recall(THREE, undefined=None), TypeError,  # pyright: ignore[reportArgumentType]  # likewise
     "Recall: undefined is None of type NoneType, but must be float or str"),
    (lambda: sm.PrecisionAtRecall(BINARY, recall=1.5), ValueError,
     "PrecisionAtRecall: recall is 1.5, but must be from 0 to 1"),
    (lambda: sm.BestThreshold(BINARY, by="accuracy"), ValueError,
     "BestThreshold: by is 'accuracy', but must be 'f_beta', 'youden' or 'cost'"),
    (lambda: sm.BestThreshold(BINARY, beta=-1), ValueError,
     "BestThreshold: beta is -1.0, but must be finite and not negative"),
    (lambda: sm.BestThreshold(BINARY, by="cost", costs=(-1, 1)), ValueError,
     "BestThreshold: costs are (-1.0, 1.0), but must be two finite numbers, not negative"),
    (lambda: sm.CalibrationError(BINARY, 0), ValueError, "CalibrationError: bins is 0, but must be from 1 to 4,096"),
    (lambda: sm.CalibrationError(BINARY, norm="l3"), ValueError,
     "CalibrationError: norm is 'l3', but must be 'l1', 'l2' or 'max'"),
    (lambda: sm.CalibrationError(BINARY, binning="equal"), ValueError,
     "CalibrationError: binning is 'equal', but must be 'width' or 'mass'"),
    (lambda: sm.CalibrationError(SCORES), ValueError,
     "CalibrationError: the task's inputs are 'scores', but must be 'logits' or 'probabilities'"),
    (lambda: sm.CalibrationError(BINARY, class_id=0), ValueError,
     "CalibrationError: Binary has one value, of its positive class, and takes no class_id"),
    (lambda: sm.BrierDecomposition(THREE, average="macro"), ValueError,
     "BrierDecomposition: average is 'macro', but must be None or 'micro'"),
    (lambda: sm.CalibrationRatio(THREE, bins=5000), ValueError,
     "CalibrationRatio: bins is 5000, but must be from 1 to 4,096"),
    (lambda: sm.statistics.ScoreCounts(BINARY, 100), ValueError,
     "ScoreCounts: bins is 100, but must be a power of two from 64 to 1,048,576, or 'bfloat16' or 'float16' for every "
     "value of that dtype"),
    (lambda: sm.statistics.CalibrationCounts(BINARY, top=True), ValueError,
     "CalibrationCounts: top is of a predicted class, but the task is Binary(inputs='logits')"),
    (lambda: sm.Collection(), ValueError, "Collection: got no metrics, but at least one is due"),
    (lambda: sm.Collection(a=THREE), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "Collection: 'a' is Multiclass(num_classes=3, inputs='logits'), but must be a name and a metric"),
    (lambda: sm.Mean("weights").init(), ValueError, "Moments: 'weights' names both an entry and the weights"),
    (lambda: sm.Examples(3), TypeError, "Examples: of is 3, but must be a task or the name of an entry"),
    (lambda: sm.statistics.Confusion(BINARY), TypeError,
     "Confusion: task is Binary(inputs='logits'), but must be Multiclass; ClassCounts holds the others"),
    (lambda: sm.statistics.LogLosses(sm.Binary("labels")), ValueError,
     "LogLosses: the task's inputs are 'labels', but must be 'logits' or 'probabilities'"),
    (lambda: sm.Mean(np.zeros(2)), TypeError,  # pyright: ignore[reportArgumentType]  # what is tested
     "Mean: entry is array([0., 0.]) of type ndarray, but must be str"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), SPECIFICATIONS, ids=[text for *_, text in SPECIFICATIONS])
def test_a_bad_specification_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(("inputs", "threshold"), [("logits", 1.5), ("probabilities", -0.1)])
def test_a_threshold_beyond_probabilities_is_refused(inputs: str, threshold: float) -> None:
    message = f"threshold is {threshold}, but must be a probability from 0 to 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        sm.StatScoresAt(sm.Binary(inputs), (0.5, threshold))


def test_states_of_different_statistics_do_not_merge() -> None:
    message = "merge: the states are of different statistics, Moments(entry='a') and Moments(entry='b')"
    with pytest.raises(ValueError, match=re.escape(message)):
        sm.merge(sm.Mean("a").init(), sm.Mean("b").init())


def test_a_state_of_another_metric_is_refused() -> None:
    message = "Mean(entry='a'): the state is of Moments(entry='b'), but must be of Moments(entry='a')"
    for call in (
        lambda s: sm.Mean("a").compute(s),
        lambda s: sm.Mean("a").update(s, a=Y),
        lambda s: sm.Mean("a").merge(s),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(sm.Mean("b").init())
    with pytest.raises(TypeError, match=re.escape("Mean(entry='a'): got dict as state, but a State is due, as init()")):
        sm.Mean("a").compute({})  # pyright: ignore[reportArgumentType]  # what is tested
    with pytest.raises(TypeError, match=re.escape("merge: got {}, but states are due")):
        sm.merge(sm.Mean("a").init(), {})  # pyright: ignore[reportArgumentType]  # what is tested


def test_fold_refuses_a_state_without_an_extra_axis() -> None:
    with pytest.raises(ValueError, match=re.escape("fold: the state Moments(entry='a'): n=0, invalid=0 has no extra")):
        sm.fold(sm.Mean("a").init())


def test_an_unknown_way_with_invalid_examples_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("on_invalid is 'warn', but must be 'raise', 'nan' or 'ignore'")):
        sm.Mean("a").compute(sm.Mean("a").init(), on_invalid="warn")


def test_the_one_form_of_equal_meanings() -> None:
    assert sm.Recall(THREE, average="macro", over="present") == sm.Recall(THREE)
    assert repr(sm.Recall(THREE, average="macro")) == f"{WHO}"
    assert sm.FBeta(THREE, 1) == sm.FBeta(THREE, 1.0)
    assert repr(sm.FBeta(THREE, 2)) == "FBeta(task=Multiclass(num_classes=3, inputs='logits'), beta=2.0)"
    loose: Any = sm.Multiclass  # other types than are declared
    assert loose(3, "logits", class_names=["a", "b", "c"]) == loose(np.int64(3), "logits", class_names=("a", "b", "c"))
    assert sm.Binary("scores", threshold=-0.0) == sm.Binary("scores", threshold=0)
    assert sm.Multilabel(2, "logits", threshold=(0.5, 0.5)) == sm.Multilabel(2, "logits")
    assert sm.AUROC(THREE, max_fpr=1, average="macro") == sm.AUROC(THREE)
    assert sm.AUROC(SCORES, bins="float16", ties=True).statistic == sm.ROC(SCORES, bins="float16").statistic
    assert sm.BestThreshold(BINARY, by="youden", beta=2, costs=(2, 1)) == sm.BestThreshold(BINARY, by="youden")


@pytest.mark.parametrize("spoil", [lambda x: setattr(x, "entry", "b"), lambda x: delattr(x, "entry")])
def test_specifications_cannot_change(spoil: Any) -> None:
    metric = sm.Mean("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match=re.escape("Mean(entry='a'): cannot change 'entry'")):
        spoil(metric)
    assert metric == sm.Mean("a")
