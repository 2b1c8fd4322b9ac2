"""Where other libraries give wrong, silent or several answers, and what ours is."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm

BINARY = sm.Binary("labels")
THREE = sm.Multiclass(3, "labels")
SCORED = sm.Multiclass(3, "scores")


def doubled(state, times):
    """The state of 2^times repetitions."""
    for _ in range(times):
        state = sm.merge(state, state)
    return state


def refused(metric, *args, **batch):
    """Why a batch could not be counted, by reason, and the value of the rest."""
    with pytest.raises(sm.InvalidExamples) as error:
        metric(*args, **batch)
    (counts,) = error.value.counts.values()
    return counts, error.value.values


# --- Undefined values ---


def test_0_0_is_zero_unless_something_else_is_asked_for():
    nothing = {"predictions": [0, 0], "targets": [0, 0]}
    assert sm.plain(
        sm.Collection(precision=sm.Precision(BINARY), recall=sm.Recall(BINARY), f1=sm.F1(BINARY))(**nothing)
    ) == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }
    assert float(sm.Precision(BINARY, undefined=1.0)(**nothing)) == 1.0
    assert math.isnan(sm.Recall(BINARY, undefined="nan")(**nothing))


def test_an_absent_class_is_left_out_of_the_macro_average_unless_all_are_asked_for():
    # Class 0: right twice. Class 1: one of two found. Class 2: predicted once, and never true. Class 3: nowhere.
    batch = {"predictions": [0, 0, 1, 2], "targets": [0, 0, 1, 1]}
    task = sm.Multiclass(4, "labels")
    recalls = sm.Collection(
        {over: sm.Recall(task, average="macro", over=over) for over in ("present", "all", "support")}
    )
    assert sm.plain(recalls(**batch)) == pytest.approx({"present": 1.5 / 3, "all": 1.5 / 4, "support": 1.5 / 2})
    assert sm.Recall(task) == sm.Recall(task, average="macro", over="present")


def test_every_label_enters_the_macro_average_of_multilabel():
    # Label 0: tp 2, fp 1, fn 1. Label 1: right once, missed thrice, predicted once wrongly. Label 2: never.
    predictions = [[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    targets = [[1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert float(sm.F1(sm.Multilabel(3, "labels"))(predictions, targets)) == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_nothing_counted_is_nan_for_ratios_and_means_and_zero_for_counts_and_sums():
    metrics = sm.Collection(
        accuracy=sm.Accuracy(THREE),
        precision=sm.Precision(THREE, undefined=1.0),
        recalls=sm.Recall(THREE, average=None),
        loss=sm.LogLoss(sm.Multiclass(3, "logits", predictions="logits")),
        mean=sm.Mean("x"),
        exact=sm.Mean("x", exact=True),
        ratio=sm.Ratio("x", "x"),
        deviation=sm.Std("x"),
        greatest=sm.Maximum("x"),
        least=sm.Minimum("x"),
        total=sm.Sum("x"),
        shares=sm.ConfusionMatrix(THREE, "all"),
        matrix=sm.ConfusionMatrix(THREE),
        n=sm.Examples(THREE),
    )
    values = metrics.compute(metrics.init())
    for name in ("total", "matrix", "n"):
        assert not np.asarray(values.pop(name)).any()
    assert all(np.isnan(np.asarray(value)).all() for value in values.values()), values


def test_nothing_counted_is_nan_for_every_reading_of_counts_but_the_counts():
    scores = sm.Multiclass(3, "scores", predictions="scores")
    metrics = sm.Collection(
        **{
            metric.__name__: metric(THREE)
            for metric in (
                sm.BalancedAccuracy,
                sm.CohenKappa,
                sm.Dice,
                sm.ExactMatch,
                sm.FalseDiscoveryRate,
                sm.HammingLoss,
                sm.Jaccard,
                sm.LikelihoodRatios,
                sm.MatthewsCorrelation,
                sm.MeanIoU,
                sm.Informedness,
                sm.Prevalence,
            )
        },
        quadratic=sm.CohenKappa(THREE, "quadratic", undefined=1.0),
        adjusted=sm.BalancedAccuracy(THREE, adjusted=True, undefined=1.0),
        binary=sm.MatthewsCorrelation(sm.Binary("labels")),
        both=sm.MeanIoU(sm.Binary("labels")),
        labels=sm.ExactMatch(sm.Multilabel(2, "labels", predictions="rows", targets="tables")),
        top=sm.TopKAccuracy(scores, k=2),
        at=sm.StatScoresAt(scores, (0.5,)),
    )
    values = metrics.compute(metrics.init())
    assert not any(np.asarray(value).any() for value in values.pop("at").values())
    values |= values.pop("LikelihoodRatios")
    assert all(np.isnan(np.asarray(value)).all() for value in values.values()), values


def test_one_class_alone_has_no_agreement_beyond_chance():
    task = sm.Multiclass(4, "labels")
    metrics = sm.Collection(
        kappa=sm.CohenKappa(task),
        linear=sm.CohenKappa(task, "linear"),
        quadratic=sm.CohenKappa(task, "quadratic"),
        settled=sm.CohenKappa(task, undefined=1.0),
        correlation=sm.MatthewsCorrelation(task),
        unsettled=sm.MatthewsCorrelation(task, undefined="nan"),
        balanced=sm.BalancedAccuracy(task),
        adjusted=sm.BalancedAccuracy(task, adjusted=True, undefined="nan"),
    )
    perfect, constant, wrong = (
        sm.plain(metrics(predictions=predictions, targets=targets))
        for predictions, targets in (([3] * 4, [3] * 4), ([3] * 4, [0, 3, 3, 1]), ([0, 1, 2, 1], [3] * 4))
    )
    for name in ("kappa", "linear", "quadratic", "unsettled", "adjusted"):
        assert math.isnan(perfect[name]), name
    assert (perfect["settled"], perfect["correlation"], perfect["balanced"]) == (1.0, 0.0, 1.0)
    for values in (constant, wrong):  # what is constant tells nothing
        assert values["kappa"] == values["linear"] == values["quadratic"] == values["correlation"] == 0.0
        assert math.isnan(values["unsettled"])
    assert constant["balanced"] == pytest.approx(1 / 3)
    assert constant["adjusted"] == pytest.approx(0.0, abs=1e-7)
    assert wrong["balanced"] == 0.0


def test_of_ten_classes_one_alone_has_no_weighted_kappa():
    # Distances of 9 parts of 1 are no floats: of a class to itself it must be 0 all the same.
    task = sm.Multiclass(10, "labels")
    metrics = sm.Collection({w: sm.CohenKappa(task, w) for w in ("linear", "quadratic")})
    for label in range(10):
        values = metrics(predictions=[label], targets=[label])
        assert all(math.isnan(value) for value in values.values()), (label, values)


def test_residues_of_fractional_weights_are_no_examples():
    # Every target is of class 0 (and then every prediction), so that there are no true negatives of it; the total less
    # the events of the class may leave what rounding left of weights of very different size.
    task = sm.Multiclass(3, "labels", weighted=True)
    metrics = sm.Collection(
        correlation=sm.MatthewsCorrelation(task),
        each=sm.MatthewsCorrelation(task, average=None),
        kappa=sm.CohenKappa(task),
        false=sm.FalsePositiveRate(task, average=None, undefined="nan"),
        negative=sm.NegativePredictiveValue(task, average=None, undefined="nan"),
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy, constant = rng.integers(0, 3, 64), np.zeros(64, int)
        weights = np.exp(rng.normal(size=64) * 6).astype(np.float32)
        for predictions, targets, name in ((noisy, constant, "false"), (constant, noisy, "negative")):
            values = sm.plain(metrics(predictions=predictions, targets=targets, weights=weights))
            assert math.isnan(values[name][0]), (seed, name, values)
            assert values["correlation"] == values["each"][0] == 0.0, (seed, name, values)
            assert values["kappa"] == pytest.approx(0.0, abs=1e-6), (seed, name, values)


def test_balanced_accuracy_is_over_the_classes_that_occur_in_targets():
    # Recalls: class 0 1, class 1 1/2; class 2 is predicted once, and never true; class 3 is nowhere.
    batch = {"predictions": [0, 0, 1, 2], "targets": [0, 0, 1, 1]}
    assert float(sm.BalancedAccuracy(sm.Multiclass(4, "labels"))(**batch)) == pytest.approx(0.75)


def test_mean_iou_is_read_off_the_counts_of_the_data_set_and_not_off_images():
    # One image of class 0 alone, right: 1. In the other the pixel of class 1 is missed: (3/4 + 0/1) / 2.
    predictions, targets = [[0] * 4, [0] * 4], [[0] * 4, [0, 0, 0, 1]]
    images = (1 + 3 / 8) / 2
    for task in (BINARY, THREE):
        metric = sm.MeanIoU(task)
        first, second = (metric.tally([p], [t]) for p, t in zip(predictions, targets, strict=True))
        found = float(metric.compute(sm.merge(first, second)))
        assert found == float(metric(predictions, targets)) == pytest.approx((7 / 8 + 0) / 2) != images
    assert float(sm.MeanIoU(THREE, over="all")(predictions, targets)) == pytest.approx(7 / 8 / 3)
    assert float(sm.Jaccard(BINARY)(predictions, targets)) == 0.0  # the foreground alone


def test_a_void_class_does_not_enter_the_mean_iou():
    task = sm.Multiclass(3, "labels", ignore=255)
    assert float(sm.MeanIoU(task)([[0, 1, 2, 0]], [[0, 1, 255, 255]])) == 1.0


def test_half_weights_of_a_mean_iou_are_invalid_or_count_by_halves():
    batch = {"predictions": [0, 0, 1], "targets": [0, 1, 1], "weights": [0.5, 0.5, 1.0]}
    counts, _ = refused(sm.MeanIoU(THREE), **batch)
    assert counts == {"fractional weight (needs weighted=True)": 2}
    task = sm.Multiclass(3, "labels", weighted=True)
    assert float(sm.MeanIoU(task)(**batch)) == pytest.approx((0.5 / 1.0 + 1.0 / 1.5) / 2)


def test_an_exact_match_judges_the_labels_that_are_not_ignored():
    task = sm.Multilabel(3, "labels", ignore=7)
    predictions = [[0, 1, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0]]
    targets = [[0, 1, 1], [0, 1, 7], [0, 7, 1], [7, 7, 7], [0, 1, 2]]  # right, right, wrong, absent, invalid
    counts, value = refused(sm.ExactMatch(task), predictions, targets)
    assert (counts, float(value)) == ({"target that is no class": 1}, pytest.approx(2 / 3))
    metric = sm.ExactMatch(task)
    state = metric.tally(predictions, targets, weights=[1, 2, 4, 1, 0])
    assert (float(metric.compute(state)), int(state.examples)) == (pytest.approx(3 / 7), 7)


def test_a_ratio_with_nothing_below_is_nan():
    assert math.isnan(sm.Ratio("errors", "words")(errors=[1.0], words=[0.0]))


# --- Thresholds and ties ---


def test_a_score_at_the_threshold_is_negative_everywhere():
    cuts = {
        sm.Binary("probabilities"): 0.5,
        sm.Binary("logits"): 0.0,
        sm.Binary("scores", threshold=3.0): 3.0,
        sm.Multilabel(1, "probabilities", threshold=0.1, targets="columns"): 0.1,
    }
    names = [f"at {cut}" for cut in cuts.values()]
    metrics = sm.Collection(
        {name: sm.Recall(dataclasses.replace(task, predictions=name)) for name, task in zip(names, cuts, strict=True)}
    )
    # The next float above; above 0 the first that no processor takes for 0.
    scores = [[cut, max(np.nextafter(np.float32(cut), np.float32(9)), np.float32(1e-37))] for cut in cuts.values()]
    batch = {name: np.array(pair, np.float32)[:, None] for name, pair in zip(names, scores, strict=True)}
    values = metrics(**batch, targets=[1, 1], columns=[[1], [1]])
    assert sm.plain(values) == dict.fromkeys(names, 0.5)


def test_of_tied_scores_the_lowest_class_is_predicted():
    tied = np.array([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0], [1 / 3] * 3], np.float32)
    assert float(sm.Accuracy(sm.Multiclass(3, "probabilities"))(tied, [1, 0, 0])) == 1.0
    assert float(sm.Accuracy(sm.Multiclass(3, "probabilities"))(tied, [2, 1, 1])) == 0.0


def test_a_constant_model_hits_the_first_k_classes_alone():
    constant = np.zeros((6, 6), np.float32)
    hits = {k: sm.TopKAccuracy(sm.Multiclass(6, "scores"), k=k, average=None) for k in (1, 3)}
    values = sm.Collection({str(k): metric for k, metric in hits.items()})(predictions=constant, targets=np.arange(6))
    assert sm.plain(values) == {"1": [1, 0, 0, 0, 0, 0], "3": [1, 1, 1, 0, 0, 0]}


def test_a_score_at_one_of_many_thresholds_is_negative_at_that_one():
    thresholds = (0.1, 0.5, 0.9)
    scores = np.array([0.1, 0.5, 0.9, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    found = sm.StatScoresAt(sm.Binary("probabilities"), thresholds)(scores, [1, 1, 1, 1])
    assert sm.plain(found) == {"tp": [3, 2, 0], "fp": [0] * 3, "tn": [0] * 3, "fn": [1, 2, 4], "support": [4] * 3}


KERAS = [
    # logit, right for (y=0, y=1) of scores above one half, and of logits above 0
    (-3.0, (1, 0), (1, 0)),
    (-0.6, (1, 0), (1, 0)),
    (-0.5, (1, 0), (1, 0)),
    (0.0, (1, 0), (1, 0)),
    (0.3, (1, 0), (0, 1)),
    (0.5, (1, 0), (0, 1)),
    (0.50001, (0, 1), (0, 1)),
    (1.49, (0, 1), (0, 1)),
    (1.5, (0, 1), (0, 1)),
    (2.5, (0, 1), (0, 1)),
    (3.0, (0, 1), (0, 1)),
]


def test_the_table_of_keras_rules():
    scores = jnp.array([[score] for score, *_ in KERAS], jnp.float32)
    for inputs, column in (("scores", 1), ("logits", 2)):
        accuracy = sm.Accuracy(sm.Binary(inputs))
        right = jax.vmap(lambda score, y, accuracy=accuracy: accuracy(score, y), (0, None))
        found = [right(scores, jnp.array([y], jnp.int32)).tolist() for y in (0, 1)]
        assert list(zip(*found, strict=True)) == [row[column] for row in KERAS]


def test_two_thresholds_in_one_collection_are_two_values():
    metrics = sm.Collection({str(t): sm.Precision(sm.Binary("probabilities", t)) for t in (0.5, 0.6)})
    assert sm.plain(metrics(predictions=[0.55, 0.7], targets=[0, 1])) == {"0.5": 0.5, "0.6": 1.0}


def test_logits_between_0_and_1_are_no_probabilities():
    batch = [0.1, 0.4, 0.2], [1, 1, 1]  # a batch that looks like probabilities
    assert float(sm.Recall(sm.Binary("logits"))(*batch)) == 1.0
    assert float(sm.Recall(sm.Binary("probabilities"))(*batch)) == 0.0


def test_the_threshold_of_logits_is_a_probability():
    batch = [1.0, 1.2], [1, 1]  # sigmoids: 0.731 and 0.769
    assert float(sm.Recall(sm.Binary("logits", threshold=0.75))(*batch)) == 0.5


# --- What cannot be counted ---


def test_a_nan_score_is_kept_out_and_told_of():
    counts, value = refused(sm.Accuracy(sm.Binary("logits")), [np.nan, 2.0, -2.0, -1.0], [0, 1, 1, 0])
    assert (counts, float(value)) == ({"NaN score": 1}, pytest.approx(2 / 3))
    logits = np.array([[1, np.nan, 0], [0, 2, 1], [np.nan] * 3], np.float32)
    counts, value = refused(sm.Accuracy(sm.Multiclass(3, "logits")), logits, [1, 1, 0])
    assert (counts, float(value)) == ({"NaN score": 2}, 1.0)


@pytest.mark.parametrize("metric", [sm.TopKAccuracy(SCORED, k=2), sm.StatScoresAt(SCORED, (0.5,))], ids=repr)
def test_what_is_ranked_or_cut_is_judged_as_everything_else(metric):
    scores = np.array([[1, np.nan, 0], [0, 2, 1], [0, 2, 1], [3, 1, 0]], np.float32)
    counts, value = refused(metric, scores, [0, 1, -1, 0])
    assert counts == {"NaN score": 1, "target that is no class": 1}
    events = {"tp": (1, 1, 0), "fp": (0, 1, 1), "tn": (1, 0, 1), "fn": (0, 0, 0), "support": (1, 1, 0)}
    due = {name: [[number] for number in numbers] for name, numbers in events.items()}
    assert sm.plain(value) == (1.0 if isinstance(metric, sm.TopKAccuracy) else due)


def test_a_model_that_predicts_nothing_but_nan_has_no_accuracy():
    counts, value = refused(sm.Accuracy(sm.Multiclass(3, "logits")), np.full((4, 3), np.nan, np.float32), [0] * 4)
    assert counts == {"NaN score": 4}
    assert math.isnan(value)


@pytest.mark.parametrize("label", [-1, 3, 255, -(2**31)])
def test_a_label_that_is_no_class_is_invalid_unless_it_is_ignored(label):
    batch = {"predictions": [0, 1, 2], "targets": [0, label, 1]}
    counts, value = refused(sm.Accuracy(THREE), **batch)
    assert (counts, float(value)) == ({"target that is no class": 1}, 0.5)
    ignoring = sm.Accuracy(sm.Multiclass(3, "labels", ignore=label))
    state = ignoring.tally(**batch)
    assert (float(ignoring.compute(state)), int(state.examples)) == (0.5, 2)


def test_a_predicted_label_that_is_no_class_is_invalid():
    counts, value = refused(sm.Accuracy(THREE), [0, 3, -1], [0, 1, 1])
    assert (counts, float(value)) == ({"predicted label that is no class": 2}, 1.0)
    counts, value = refused(sm.Accuracy(BINARY), [0, 2], [0, 1])
    assert (counts, float(value)) == ({"predicted label that is no class": 1}, 1.0)


@pytest.mark.parametrize("target", [2, -1, 0.5, np.nan])
def test_a_binary_target_is_0_or_1(target):
    counts, value = refused(sm.Accuracy(BINARY), [1, 1], np.array([1, target]))
    assert (counts, float(value)) == ({"target that is no class": 1}, 1.0)


def test_binary_targets_may_be_boolean_integer_or_floating():
    for dtype in (bool, np.uint8, np.int32, np.float16):
        assert float(sm.Accuracy(BINARY)([1, 0, 1], np.array([1, 0, 0], dtype))) == pytest.approx(2 / 3)


def test_one_hot_targets_of_more_or_fewer_than_one_class_are_invalid():
    targets = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], np.float32)
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 0]]
    counts, value = refused(sm.Accuracy(sm.Multiclass(3, "logits")), logits, targets)
    assert (counts, float(value)) == ({"target that is no class": 3}, 0.5)


def test_a_nan_or_infinite_loss_does_not_poison_the_mean_nor_the_other_metrics():
    metrics = sm.Collection(
        loss=sm.Mean("loss"), total=sm.Sum("loss"), worst=sm.Maximum("loss"), accuracy=sm.Accuracy(THREE)
    )
    batch = {"loss": [1.0, np.nan, np.inf, 3.0], "predictions": [0, 1, 2, 2], "targets": [0, 1, 2, 1]}
    state = metrics.tally(**batch)
    assert sm.plain(metrics.compute(state, "ignore")) == {
        "loss": 2.0,
        "total": 4.0,
        "worst": math.inf,
        "accuracy": 0.75,
    }
    blank = sm.plain(metrics.compute(state, "nan"))
    assert [name for name, value in blank.items() if math.isnan(value)] == ["loss", "total", "worst"]
    assert blank["accuracy"] == 0.75
    with pytest.raises(sm.InvalidExamples) as error:
        metrics.compute(state)
    assert error.value.counts == {
        "loss": {"NaN value": 1, "infinite value": 1},
        "total": {"NaN value": 1, "infinite value": 1},
        "worst": {"NaN value": 1},
    }


def test_infinite_scores_and_infinite_extrema_are_ordinary():
    assert float(sm.Accuracy(sm.Binary("logits"))([np.inf, -np.inf], [1, 0])) == 1.0
    assert float(sm.Minimum("x")([1.0, -np.inf])) == -math.inf


@pytest.mark.parametrize(
    ("dtype", "above"),
    [(np.float32, 1.0000001), (np.float32, 1.000001), (jnp.bfloat16, 1.0078125), (np.float16, 1.001)],
)
def test_a_probability_beyond_1_by_rounding_is_clipped_and_beyond_that_invalid(dtype, above):
    task = sm.Binary("probabilities")
    assert float(sm.Accuracy(task)(np.array([above, -1e-7, 0.2]).astype(dtype), [1, 0, 1])) == pytest.approx(2 / 3)
    counts, value = refused(sm.Accuracy(task), np.array([1.5, 0.9, -0.5]).astype(dtype), [1, 1, 1])
    assert (counts, float(value)) == ({"probability outside [0, 1]": 2}, 1.0)


def test_the_mean_of_an_ensemble_has_a_loss():
    ensemble = np.array([1.0000001, 0.5], np.float32)
    eps = float(np.finfo(np.float32).eps)
    assert float(sm.LogLoss(sm.Binary("probabilities"))(ensemble, [0, 1])) == pytest.approx(-math.log(eps * 0.5) / 2)


def test_a_thousand_scores_outside_the_probabilities_are_not_guessed_to_be_logits():
    counts, _ = refused(sm.Accuracy(sm.Binary("probabilities")), np.linspace(2, 9, 1000), np.ones(1000, int))
    assert counts == {"probability outside [0, 1]": 1000}


# --- Shapes ---


def test_predictions_with_a_last_axis_of_1_are_read_by_binary():
    predictions, targets = np.array([[2.0], [-1.0], [3.0]]), np.array([1, 0, 0])
    assert float(sm.Accuracy(sm.Binary("logits"))(predictions, targets)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("metric", "batch", "message"),
    [
        (sm.Accuracy(sm.Binary("logits")), ([1.0, 2.0], [[1], [0]]), "must have the same shape"),
        (sm.Accuracy(sm.Binary("logits")), (np.ones((2, 2)), [1, 0]), "must have the same shape"),
        (sm.Accuracy(sm.Multiclass(3, "logits")), (np.ones((4, 1)), [0] * 4), "last axis must have 3 entries"),
        (sm.Accuracy(sm.Multiclass(3, "logits")), (np.ones((4, 3)), [[0]] * 4), r"must have shape \(4,\)"),
        (sm.Mean("loss"), (1.0,), "one value per example"),
        (sm.Ratio("a", "b"), ([[1.0], [2.0]], [1.0, 2.0]), "must have one shape"),
    ],
    ids=repr,
)
def test_shapes_that_do_not_fit_are_refused_and_not_broadcast(metric, batch, message):
    with pytest.raises(ValueError, match=message):
        metric(*batch)


def test_a_mask_of_rows_weighs_every_element_of_its_row():
    values = np.array([[1.0, 2.0], [3.0, 100.0], [5.0, 6.0]])
    assert float(sm.Mean("x")(values, weights=[1, 0, 1])) == 3.5
    assert float(sm.Mean("x")(values, weights=[[1, 1], [1, 0], [1, 1]])) == pytest.approx(17 / 5)


@pytest.mark.parametrize("weights", [np.ones((3, 1)), np.ones(2), np.ones((2, 3))], ids=lambda w: str(w.shape))
def test_a_mask_that_leads_no_axis_of_the_values_is_refused(weights):
    with pytest.raises(ValueError, match="one weight per example, or per leading index"):
        sm.Mean("x")(np.ones((3, 2)), weights=weights)


def test_every_step_and_pixel_is_an_example():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 3, 4, 5)).astype(np.float32), rng.integers(0, 5, (2, 3, 4))
    metric = sm.Accuracy(sm.Multiclass(5, "logits"))
    state = metric.tally(logits, targets, weights=np.array([[1, 1, 0], [1, 0, 0]], bool))  # padded sequences
    right = (logits.argmax(-1) == targets)[np.array([[1, 1, 0], [1, 0, 0]], bool)]
    assert int(state.examples) == 12
    assert float(metric.compute(state)) == pytest.approx(right.mean())


def test_a_sequence_of_as_many_steps_as_classes_has_class_ids():
    logits = np.eye(3, dtype=np.float32)[[[0, 1, 2], [2, 1, 0]]]  # (2, 3, 3)
    assert float(sm.Accuracy(sm.Multiclass(3, "logits"))(logits, [[0, 1, 1], [2, 1, 0]])) == pytest.approx(5 / 6)


# --- Weights ---


def test_a_float_mask_of_0_and_1_counts_exactly_and_is_not_cast_to_bool():
    metric = sm.Accuracy(BINARY)
    state = metric.tally([1, 0, 1, 1], [1, 1, 0, 1], weights=np.array([1.0, 0.0, 1.0, 2.0], np.float32))
    assert (float(metric.compute(state)), int(state.examples)) == (0.75, 4)
    assert all(array.dtype == jnp.uint32 for array in state.data.values())


@pytest.mark.parametrize("metric", [sm.ConfusionMatrix(THREE), sm.Accuracy(THREE)], ids=repr)
def test_fractional_weights_of_counts_are_invalid_and_the_reason_says_what_to_do(metric):
    batch = {"predictions": [0, 1, 2], "targets": [0, 1, 1]}
    counts, _ = refused(metric, **batch, weights=[0.5, 1.0, 1.0])
    assert counts == {"fractional weight (needs weighted=True)": 1}


def test_with_weighted_fractions_count_as_they_are():
    task = sm.Multiclass(3, "labels", weighted=True)
    metrics = sm.Collection(matrix=sm.ConfusionMatrix(task), accuracy=sm.Accuracy(task), n=sm.Examples(task))
    values = metrics(predictions=[0, 1, 2, 0], targets=[0, 1, 1, 1], weights=[0.5, 0.25, 1.75, 0.0])
    assert values["matrix"].tolist() == [[0.5, 0, 0], [0, 0.25, 1.75], [0, 0, 0]]
    assert float(values["accuracy"]) == pytest.approx(0.75 / 2.5)
    assert int(values["n"]) == 3  # rows of positive weight


def test_negative_infinite_and_too_great_weights_are_invalid():
    counts, value = refused(sm.Accuracy(THREE), [0, 1, 2, 0, 1], [0] * 5, weights=[1, -1, np.nan, np.inf, 65_536])
    assert counts == {"negative weight": 1, "weight that is not finite": 2, "weight above 65,535": 1}
    assert float(value) == 1.0


def test_padded_rows_may_hold_anything():
    logits = np.array([[2, 1, 0], [np.nan] * 3, [np.inf] * 3, [0, 1, 5]], np.float32)
    metrics = sm.Collection(
        accuracy=sm.Accuracy(sm.Multiclass(3, "logits")),
        cross_entropy=sm.LogLoss(sm.Multiclass(3, "logits")),
        loss=sm.Mean("loss"),
        variance=sm.Variance("loss"),
        total=sm.Sum("loss"),
        worst=sm.Maximum("loss"),
    )
    padded = {"predictions": logits, "targets": [0, -7, 99, 1], "loss": np.array([1, np.nan, np.inf, 3], np.float32)}
    values = sm.plain(metrics(**padded, weights=np.array([1, 0, 0, 1], np.float32)))
    surprise = [math.log(sum(math.exp(z - own) for z in row)) for row, own in (((2, 1, 0), 2), ((0, 1, 5), 1))]
    assert values.pop("cross_entropy") == pytest.approx(sum(surprise) / 2, rel=1e-6)
    assert values == {"accuracy": 0.5, "loss": 2.0, "variance": 1.0, "total": 4.0, "worst": 3.0}


def test_padding_leaves_the_values_alone():
    batch = {"predictions": np.array([0, 1, 1]), "targets": np.array([0, 1, 2])}
    metric = sm.Accuracy(THREE)
    state = metric.tally(**sm.pad(batch, 8))
    assert (float(metric.compute(state)), int(state.examples)) == (pytest.approx(2 / 3), 3)


# --- Counters ---


@pytest.mark.parametrize("power", [24, 31, 32, 40])
def test_counters_go_on_past_2_to_the_24_31_and_32(power):
    task = sm.Binary("labels")
    metrics = sm.Collection(scores=sm.StatScores(task), n=sm.Examples(task), accuracy=sm.Accuracy(task))
    right = doubled(metrics.tally(predictions=[1], targets=[1]), power)
    wrong = metrics.tally(predictions=[1] * 1000, targets=[0] * 1000)
    state = metrics.merge(right, wrong)
    values = metrics.compute(state)
    assert int(values["n"]) == 2**power + 1000
    assert sm.plain(values["scores"]) == {"tp": 2**power, "fp": 1000, "tn": 0, "fn": 0, "support": 2**power}
    assert float(values["accuracy"]) == pytest.approx(2**power / (2**power + 1000), rel=2e-7)


def test_two_thousand_steps_of_a_million_tokens_do_not_overflow():
    metric = sm.Accuracy(BINARY)
    million = metric.tally(np.ones(20, int), np.ones(20, int), weights=np.full(20, 50_000))
    state, _ = jax.jit(
        lambda one: jax.lax.scan(lambda state, _: (sm.merge(state, one), None), metric.init(), None, 2148)
    )(million)
    assert int(state.examples) == 2_148_000_000  # past 2^31, where others read -1.0
    assert float(metric.compute(state)) == 1.0


def test_the_weight_of_a_mean_goes_on_past_2_to_the_24():
    metric = sm.Mean("x")
    state = sm.merge(doubled(metric.tally(x=[1.0]), 24), metric.tally(x=[0.0] * 1000))
    assert float(metric.compute(state)) == pytest.approx(2**24 / (2**24 + 1000), rel=1e-7)


def test_the_integers_of_a_sum_are_exact_past_float32():
    metric = sm.Sum("tokens")
    state = doubled(metric.tally(tokens=[2**24 + 1, 2**31 - 1, -5]), 10)
    total = metric.statistic.accumulators["sum_tokens"].decode(state.data["sum_tokens"])
    assert float(total) == 1024 * (2**24 + 2**31 - 5)


# --- Short dtypes ---


def test_bfloat16_logits_of_a_thousand_classes_are_compared_with_integer_labels():
    # Keras casts the labels to bfloat16, which knows no 999: a constant model reads .494 where the truth is .001.
    classes = 1000
    targets = np.arange(classes)
    metric = sm.Accuracy(sm.Multiclass(classes, "logits"))
    perfect = jnp.eye(classes, dtype=jnp.bfloat16)
    constant = jnp.zeros((classes, classes), jnp.bfloat16).at[:, 999].set(1)
    assert float(metric(perfect, targets)) == 1.0
    assert float(metric(constant, targets)) == pytest.approx(1e-3)
    shifted = jnp.roll(perfect, 1, axis=1)  # every prediction is wrong, and by one class
    assert float(metric(shifted, targets)) == 0.0


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
def test_short_floats_are_widened_before_they_are_added(dtype):
    values = jnp.full(5000, 0.1, dtype)  # in bfloat16 such a sum stops at 32
    tenth = float(values[0])
    assert sm.plain(sm.Collection(total=sm.Sum("x"), mean=sm.Mean("x"))(x=values)) == pytest.approx(
        {"total": 5000 * tenth, "mean": tenth}, rel=1e-6
    )


def test_targets_of_any_integer_dtype_are_class_ids():
    predicted, true = [0, 255, 3], [0, 255, 2]
    for dtype in (np.uint8, np.int16, np.uint32):
        metric = sm.Accuracy(sm.Multiclass(256, "labels"))
        assert float(metric(np.array(predicted, dtype), np.array(true, dtype))) == pytest.approx(2 / 3)


def test_a_mean_of_great_losses_does_not_lose_the_small_ones():
    losses = np.array([1e8] + [0.5] * 999, np.float32)
    assert float(sm.Mean("loss")(losses)) == pytest.approx((1e8 + 999 / 2) / 1000, rel=1e-7)


def test_a_great_beta_reads_recall():
    f = sm.FBeta(sm.Binary("labels"), beta=1e200)
    assert float(f(np.array([1, 0, 1]), np.array([1, 1, 0]))) == 0.5
