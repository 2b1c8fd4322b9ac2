"""Intervals from a state alone: their ends against scipy's and by hand, and where they are refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn import metrics as sklearn

import streammetrics as sm
from streammetrics.intervals._proportions import kinds
from streammetrics.intervals._quantiles import least_share, student, student_tail
from tests.rankings import drawn

B = sm.Binary("logits")
LABELS = sm.Binary("labels")
THREE = sm.Multiclass(3, "labels")
MANY = sm.Multiclass(40, "labels")
Z = scipy.stats.norm.ppf(0.975)


def pairs(table):
    """Predictions and targets of a table of true by predicted class."""
    cells = np.repeat(np.arange(np.size(table)), np.reshape(table, -1))
    true, predicted = np.divmod(cells, np.shape(table)[1])
    return predicted, true


COUNTERS = {}
"""By statistic the metric that counts it here, so that it is compiled once."""


def tally(metric, *batch):
    return COUNTERS.setdefault(metric.statistic, metric).tally(*batch)


def of_table(metric, table, **options):
    return sm.interval(metric, tally(metric, *pairs(table)), **options)


# Shares ---------------------------------------------------------------------------------------------------------------

TABLE = [[40, 7], [5, 30]]  # tn, fp; fn, tp
SHARES = [
    (sm.Accuracy, 70, 82),
    (sm.HammingLoss, 12, 82),
    (sm.ExactMatch, 70, 82),
    (sm.Recall, 30, 35),
    (sm.Precision, 30, 37),
    (sm.Specificity, 40, 47),
    (sm.NegativePredictiveValue, 40, 45),
    (sm.FalsePositiveRate, 7, 47),
    (sm.FalseNegativeRate, 5, 35),
    (sm.FalseDiscoveryRate, 7, 37),
    (sm.Prevalence, 35, 82),
    (sm.PredictedPositiveRate, 37, 82),
    (sm.Jaccard, 30, 42),
]


def test_a_share_has_wilsons_interval_of_its_denominator():
    metrics = sm.Collection({kind.__name__: kind(LABELS) for kind, *_ in SHARES})
    predictions, targets = pairs(TABLE)
    found = sm.interval(metrics, metrics.tally(predictions=predictions, targets=targets))
    for kind, part, whole in SHARES:
        due = scipy.stats.binomtest(part, whole).proportion_ci(0.95, "wilson")
        one = found[kind.__name__]
        assert isinstance(one, sm.Interval)
        np.testing.assert_allclose(one, [due.low, part / whole, due.high], rtol=1e-5, err_msg=kind.__name__)


@pytest.mark.parametrize(("method", "name", "level"), [("wilson", "wilson", 0.8), ("clopper-pearson", "exact", 0.99)])
def test_shares_of_any_size_have_the_intervals_of_scipy(method, name, level):
    """Of every class its own: 0 and all of few, few of many, many of many."""
    cases = [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (39, 40), (40, 80), (41, 300), (1, 5000), (4000, 5000)]
    task = sm.Multiclass(len(cases) + 1, "labels")
    metric = sm.Recall(task, average=None)
    table = np.zeros((len(cases) + 1,) * 2, int)
    for true, (part, whole) in enumerate(cases):
        table[true, true], table[true, -1] = part, whole - part
    found = of_table(metric, table, method=method, level=level)
    due = [scipy.stats.binomtest(part, whole).proportion_ci(level, name) for part, whole in cases]
    for end, side in ((found.low, "low"), (found.high, "high")):
        np.testing.assert_allclose(end[:-1], [getattr(one, side) for one in due], rtol=1e-5, atol=1e-12)
        assert np.isnan(end[-1])  # a class without examples


def test_what_is_a_share_of_all_classes_is_recognised():
    table = np.diag([30, 20, 9]) + 2
    many = np.zeros((40, 40), int)
    many[:3, :3] = table
    due = scipy.stats.binomtest(65, 77).proportion_ci(0.95, "wilson")
    for metric, cells in (
        (sm.ExactMatch(THREE), table),
        (sm.F1(THREE, average="micro"), table),
        (sm.Accuracy(MANY), many),
    ):
        np.testing.assert_allclose(of_table(metric, cells), [due.low, 65 / 77, due.high], rtol=1e-5)
    for kind in (sm.Accuracy, sm.Precision, sm.Recall, sm.F1, sm.Dice):
        assert kinds(kind(MANY, average="micro")) == [(1, 1), (0, 1)]  # right and wrong predictions
    assert kinds(sm.FBeta(MANY, 3.0, average="micro")) == [(1, 1), (0, 1)]
    assert kinds(sm.HammingLoss(MANY)) == [(0, 1), (1, 1)]
    two = sm.Multiclass(2, "labels")
    assert kinds(sm.FalsePositiveRate(two, average="micro")) == [(0, 1), (1, 1)]
    for metric in (sm.Specificity(MANY, average="micro"), sm.Jaccard(MANY, average="micro"), sm.F1(LABELS)):
        assert kinds(metric) is None


def test_shares_of_other_statistics():
    scores = np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 10] + 0.5 * np.eye(4, dtype=np.float32)[[3, 0, 0, 1] * 10]
    targets = np.asarray([0, 0, 1, 3] * 10)
    top = sm.TopKAccuracy(sm.Multiclass(4, "scores"), k=2)
    due = scipy.stats.binomtest(30, 40).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(sm.interval(top, top.tally(scores, targets)), [due.low, 0.75, due.high], rtol=1e-5)

    exact = sm.ExactMatch(sm.Multilabel(2, "labels"))
    state = exact.tally([[1, 0], [1, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]])
    due = scipy.stats.binomtest(2, 3).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(sm.interval(exact, state), [due.low, 2 / 3, due.high], rtol=1e-5)

    one = sm.Precision(sm.Multilabel(2, "labels"), class_id=1)
    state = one.tally([[1, 0], [1, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]])
    due = scipy.stats.binomtest(1, 2).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(sm.interval(one, state), [due.low, 0.5, due.high], rtol=1e-5)


@pytest.mark.parametrize("normalize", ["true", "predicted", "all"])
def test_every_cell_of_a_normalised_table_is_a_share(normalize):
    found = of_table(sm.ConfusionMatrix(LABELS, normalize), TABLE)
    whole = np.broadcast_to(np.sum(TABLE, {"true": 1, "predicted": 0, "all": None}[normalize], keepdims=True), (2, 2))
    for (i, j), part in np.ndenumerate(TABLE):
        due = scipy.stats.binomtest(int(part), int(whole[i, j])).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose([end[i, j] for end in found], [due.low, part / whole[i, j], due.high], rtol=1e-5)


# The delta method -----------------------------------------------------------------------------------------------------


def propagated(function, table):
    """The value of a table of true by predicted class, and its standard error, by differences in float64."""
    table = np.asarray(table, float)
    true, predicted = (each.reshape(-1) for each in np.indices(table.shape))

    def at(cells):
        return function(true, predicted, sample_weight=cells.reshape(-1))

    slopes = np.zeros_like(table)
    for cell in np.ndindex(table.shape):
        step = np.zeros_like(table)
        step[cell] = 1e-4
        slopes[cell] = (at(table + step) - at(table - step)) / 2e-4
    return at(table), np.sqrt(np.sum(table * slopes**2) - np.sum(table * slopes) ** 2 / table.sum())


def averaged(function, **options):
    return lambda true, predicted, sample_weight: function(true, predicted, sample_weight=sample_weight, **options)


WRONG = [[50, 3, 2], [4, 30, 5], [1, 2, 9]]
PROPAGATED = [
    (sm.F1(LABELS), sklearn.f1_score, TABLE),
    (sm.MatthewsCorrelation(LABELS), sklearn.matthews_corrcoef, TABLE),
    (sm.MeanIoU(LABELS), averaged(sklearn.jaccard_score, average="macro"), TABLE),
    (sm.F1(THREE), averaged(sklearn.f1_score, average="macro"), WRONG),
    (
        sm.FBeta(THREE, 2.0, class_id=2),
        lambda true, predicted, **cells: sklearn.fbeta_score(true == 2, predicted == 2, beta=2.0, **cells),
        WRONG,
    ),
    (sm.MatthewsCorrelation(THREE), sklearn.matthews_corrcoef, WRONG),
    (sm.CohenKappa(THREE, "quadratic"), averaged(sklearn.cohen_kappa_score, weights="quadratic"), WRONG),
]


@pytest.mark.parametrize(("metric", "function", "table"), PROPAGATED, ids=[repr(metric) for metric, *_ in PROPAGATED])
def test_the_error_is_propagated_through_the_reading(metric, function, table):
    value, error = propagated(function, table)
    found = of_table(metric, table)
    np.testing.assert_allclose(found, [value - Z * error, value, value + Z * error], rtol=2e-5)


def test_a_class_of_many_is_that_class_against_the_rest():
    """The events of one class are disjoint, those of all are not."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 40, 2000)
    predicted = np.where(rng.random(2000) < 0.7, true, rng.integers(0, 40, 2000))
    each = sm.interval(sm.F1(MANY, average=None), sm.F1(MANY).tally(predicted, true))
    assert each.low.shape == (40,)
    one, predicted, true = sm.F1(LABELS), predicted == 7, true == 7
    np.testing.assert_allclose(sm.interval(one, one.tally(predicted, true)), [end[7] for end in each], rtol=1e-5)
    np.testing.assert_allclose(
        sm.interval(sm.TopKAccuracy(sm.Multiclass(70, "scores"), k=1, average="macro"), hits_of(70)),
        np.mean([0.5] * 70) + Z * np.sqrt(0.25 / 4 / 70) * np.array([-1, 0, 1]),
        rtol=1e-4,
    )


def hits_of(classes):
    """Four examples of each class, of which two are hit."""
    targets = np.repeat(np.arange(classes), 4)
    scores = np.eye(classes, dtype=np.float32)[np.where(np.arange(len(targets)) % 2, targets, (targets + 1) % classes)]
    return sm.TopKAccuracy(sm.Multiclass(classes, "scores"), k=1).tally(scores, targets)


# Means ----------------------------------------------------------------------------------------------------------------


MEAN = sm.Mean("x")


@pytest.mark.parametrize("size", [2, 12, 300])
def test_means_have_students_interval(size):
    x = np.random.default_rng(size).normal(5, 2, 300).astype(np.float32)
    state, x = MEAN.tally(x, weights=np.arange(300) < size), x[:size].astype(float)
    mean, error = x.mean(), scipy.stats.sem(x)
    low, high = scipy.stats.t.interval(0.95, size - 1, mean, error)
    np.testing.assert_allclose(sm.interval(MEAN, state), [low, mean, high], rtol=2e-5)
    low, high = scipy.stats.norm.interval(0.95, mean, error)
    np.testing.assert_allclose(sm.interval(MEAN, state, method="normal")[::2], [low, high], rtol=1e-5)


def test_what_is_read_off_one_mean_has_the_ends_of_the_mean():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=30).astype(np.float32), rng.integers(0, 2, 30)
    losses = np.logaddexp(0, np.where(targets, -logits, logits))
    due = scipy.stats.t.interval(0.95, 29, losses.mean(), scipy.stats.sem(losses))
    metric = sm.Perplexity(B)
    np.testing.assert_allclose(sm.interval(metric, metric.tally(logits, targets))[::2], np.exp(due), rtol=1e-5)

    errors = np.stack([logits, 5 * (np.arange(30) == 3)], 1).astype(np.float32)
    due = np.asarray(scipy.stats.t.interval(0.95, 29, (errors**2).mean(0), scipy.stats.sem(errors**2)))
    assert due[0, 1] < 0  # but an error is not negative
    metric = sm.RootMeanSquaredError(2, average=None)
    found = sm.interval(metric, metric.tally(errors, 0 * errors))
    np.testing.assert_allclose(found[::2], np.sqrt(np.maximum(due, 0)), rtol=1e-4)


def test_rankings_of_labels_have_the_interval_of_their_mean():
    rng = np.random.default_rng(1)
    scores, targets = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, (40, 3))
    metric = sm.LabelRankingLoss(sm.Multilabel(3, "scores"))
    each = [sklearn.label_ranking_loss(targets[i : i + 1], scores[i : i + 1]) for i in range(40)]
    due = scipy.stats.t.interval(0.95, 39, np.mean(each), scipy.stats.sem(each))
    np.testing.assert_allclose(sm.interval(metric, metric.tally(scores, targets))[::2], due, rtol=1e-5)


# Quantiles ------------------------------------------------------------------------------------------------------------


def test_quantiles_are_those_of_scipy():
    level = 0.9
    counts = [0, 1, 2, 5, 20, 39, 40, 41, 60, 1000, 10**5, 10**7]
    k, f = (each.reshape(-1).astype(float) for each in np.meshgrid(counts, counts))
    tail = (1 - level) / 2
    some, z = np.maximum(k, 1), float(scipy.stats.norm.isf(tail))
    low = np.where(k == 0, 0, scipy.special.betaincinv(some, f + 1, tail))
    rest = np.where(k == 0, 1, scipy.special.betainccinv(f + 1, some, tail))
    # Of 10^12 examples neither probabilities nor their logarithms have a digit left in float32.
    error = np.sqrt(0.21e-12)
    k, f = np.append(k, [3e11, 50]), np.append(f, [7e11, 1e12])
    low = np.append(low, [0.3 - z * error, scipy.stats.gamma.ppf(tail, 50) * 1e-12])
    rest = np.append(rest, [0.7 + z * error, 1.0])
    found = jax.jit(lambda k, f: least_share(k, f, z))(jnp.asarray(k, jnp.float32), jnp.asarray(f, jnp.float32))
    np.testing.assert_allclose(found, [low, rest], rtol=1e-5)
    np.testing.assert_allclose(found[0][-2], low[-2], rtol=2e-7)

    freedom = np.array([1, 1.3, 2, 3, 7.5, 14.9, 15, 30, 1000, 1e9])
    t, again = jax.jit(lambda v: ((t := student(level, v)), student_tail(t, v)))(jnp.asarray(freedom, jnp.float32))
    np.testing.assert_allclose(t, scipy.stats.t.isf(tail, freedom), rtol=1e-5)
    np.testing.assert_allclose(again, 1 - level, rtol=1e-4)


# Areas ----------------------------------------------------------------------------------------------------------------


def delong(scores, true, level=0.95):
    """The interval on the scale of the logit, from the placements of the scores themselves."""
    positive, negative = scores[true == 1].astype(float), scores[true == 0].astype(float)
    ahead = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    area = ahead.mean()
    variance = ahead.mean(1).var(ddof=1) / len(positive) + ahead.mean(0).var(ddof=1) / len(negative)
    centre, spread = np.log(area / (1 - area)), np.sqrt(variance) / (area * (1 - area))
    z = scipy.stats.norm.ppf(0.5 + level / 2)
    return [1 / (1 + np.exp(-(centre + sign * z * spread))) for sign in (-1, 0, 1)]


@pytest.mark.parametrize(
    ("metric", "level", "tolerance"),
    [(sm.AUROC(sm.Binary("scores"), bins="bfloat16"), 0.95, 2e-6), (sm.Gini(sm.Binary("scores")), 0.8, 4e-4)],
)
def test_the_interval_of_an_area_is_delongs(metric, level, tolerance):
    for kind in ("moderate", "lumps", "near one"):
        scores, true = drawn(kind, 2000)
        scores = jnp.asarray(scores, jnp.bfloat16)
        due = np.array(delong(np.asarray(scores), true, level))
        if isinstance(metric, sm.Gini):
            scores, due = scores.astype(jnp.float32), 2 * due - 1
        np.testing.assert_allclose(sm.interval(metric, metric.tally(scores, true), level), due, atol=tolerance)


def test_each_class_has_an_area_with_an_interval():
    rng = np.random.default_rng(0)
    logits, true = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(0, 3, 200)
    task = sm.Multiclass(3, "logits")
    each = sm.AUROC(task, average=None)
    both = sm.Collection(each=each, accuracy=sm.Accuracy(task))
    state = both.tally(predictions=logits, targets=true)
    found = sm.interval(each, state)
    assert found.low.shape == (3,)
    odds = logits[:, 1] - np.logaddexp(logits[:, 0], logits[:, 2])
    np.testing.assert_allclose([end[1] for end in found], delong(odds, true == 1), atol=1e-3)


def test_separated_scores_have_none_however_their_area_is_rounded():
    metric = sm.AUROC(B)
    for negatives, positives in ((41, 20), (41, 29), (30, 30)):
        scores = np.concatenate([np.linspace(-5, -1, negatives), np.linspace(1, 5, positives), np.zeros(10)])[:70]
        present = np.arange(70) < negatives + positives
        for sign in (1, -1):
            state = metric.tally(sign * scores, np.arange(70) >= negatives, weights=present)
            with pytest.raises(ValueError, match="but scores that separate the classes do not tell how far an area"):
                sm.interval(metric, state)


# Refusals -------------------------------------------------------------------------------------------------------------

STATES = {
    "few": (np.linspace(-1, 1, 29), np.arange(29) < 9),
    "separate": (np.linspace(-1, 1, 40), np.arange(40) >= 20),
    "right": ([1] * 12 + [0] * 30, [1] * 12 + [0] * 30),
    "three": ([0, 1, 2] * 20, [0, 1, 2] * 20),
    "labels": ([[0, 1]] * 20, [[0, 1]] * 20),
    "shares": ([[0.25, 0.75]] * 20, [[0, 1]] * 20),
    "values": ([2.0] * 9,),
    "one": ([1.0],),
    "none": ([0] * 10, [0] * 10),
}
FRACTIONS = sm.Binary("logits", weighted=True)
VARIES = "do not tell how its value varies; Bootstrapped does"
JOINS = "joins values that are not independent; average=None has an interval of each, Bootstrapped one of all"
ZERO = "with a standard error of 0, which does not tell how far others may lie"
REFUSALS = [
    ("few", sm.AUROC(B), {}, ValueError,
     "interval: AUROC(task=Binary(inputs='logits')) has 9 examples on one side, but at least 10 are due on each"),
    ("separate", sm.AUROC(B), {}, ValueError,
     "interval: AUROC(task=Binary(inputs='logits')) is 1.0, but scores that separate the classes do not tell how far "
     "an area may be from 0 or 1"),
    ("few", sm.AUROC(B), {"level": 95}, ValueError, "interval: level is 95, but must be above 0 and below 1"),
    ("few", sm.AUROC(B), {"level": True}, ValueError, "interval: level is True, but must be above 0 and below 1"),
    ("few", sm.AUROC(B, max_fpr=0.5), {}, TypeError,
     f"interval: the counts of AUROC(task=Binary(inputs='logits'), max_fpr=0.5) {VARIES}"),
    ("few", sm.AUROC(FRACTIONS), {}, TypeError,
     "interval: AUROC(task=Binary(inputs='logits', weighted=True)) has fractional weights, which are no numbers of "
     "examples"),
    ("none", sm.Recall(LABELS), {}, ValueError,
     "interval: Recall(task=Binary(inputs='labels')) is a share of 0 examples, but at least 1 is due"),
    ("right", sm.F1(LABELS), {}, ValueError, f"interval: F1(task=Binary(inputs='labels')) is 1.0 {ZERO}"),
    ("right", sm.Accuracy(LABELS), {"method": "delta"}, ValueError,
     f"interval: Accuracy(task=Binary(inputs='labels')) is 1.0 {ZERO}"),
    ("three", sm.F1(THREE), {}, ValueError,
     f"interval: F1(task=Multiclass(num_classes=3, inputs='labels')) is 1.0 {ZERO}"),
    ("three", sm.Prevalence(THREE, average="macro"), {}, ValueError,
     f"interval: Prevalence(task=Multiclass(num_classes=3, inputs='labels'), average='macro') is 0.3333333432674408 "
     f"{ZERO}"),
    ("none", sm.MatthewsCorrelation(LABELS), {}, ValueError,
     f"interval: MatthewsCorrelation(task=Binary(inputs='labels')) is 0.0 {ZERO}"),
    ("values", sm.Mean("x"), {}, ValueError, f"interval: Mean(entry='x') is 2.0 {ZERO}"),
    ("one", sm.Mean("x"), {}, ValueError, "interval: Mean(entry='x') has 1 examples, but at least 2 are due"),
    ("one", sm.Mean("x", exact=True), {}, TypeError, f"interval: the counts of Mean(entry='x', exact=True) {VARIES}"),
    ("one", sm.Std("x"), {}, TypeError, f"interval: the counts of Std(entry='x') {VARIES}"),
    ("shares", sm.LogLoss(sm.Multilabel(2, "probabilities")), {}, TypeError,
     f"interval: the counts of LogLoss(task=Multilabel(num_labels=2, inputs='probabilities')) {VARIES}"),
    ("three", sm.F1(MANY), {}, TypeError,
     f"interval: F1(task=Multiclass(num_classes=40, inputs='labels')) {JOINS}"),
    ("labels", sm.Accuracy(sm.Multilabel(2, "labels")), {}, TypeError,
     f"interval: Accuracy(task=Multilabel(num_labels=2, inputs='labels')) {JOINS}"),
    ("three", sm.CohenKappa(MANY), {}, TypeError,
     f"interval: CohenKappa(task=Multiclass(num_classes=40, inputs='labels')) {JOINS}"),
    ("three", sm.MeanIoU(MANY), {}, TypeError,
     f"interval: the counts of MeanIoU(task=Multiclass(num_classes=40, inputs='labels')) {VARIES}"),
    ("three", sm.StatScores(THREE), {}, TypeError,
     f"interval: the counts of StatScores(task=Multiclass(num_classes=3, inputs='labels')) {VARIES}"),
    ("three", sm.ConfusionMatrix(THREE), {}, TypeError,
     f"interval: the counts of ConfusionMatrix(task=Multiclass(num_classes=3, inputs='labels')) {VARIES}"),
    ("right", sm.Accuracy(LABELS), {"method": "t"}, ValueError,
     "interval: method is 't', but Accuracy(task=Binary(inputs='labels')) has 'auto', 'wilson', 'clopper-pearson' and "
     "'delta'"),
    ("three", sm.F1(THREE), {"method": "wilson"}, ValueError,
     "interval: method is 'wilson', but F1(task=Multiclass(num_classes=3, inputs='labels')) has 'auto' and 'delta'"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "metric", "options", "kind", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_where_there_is_no_interval_it_is_refused(data, metric, options, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        sm.interval(metric, tally(metric, *STATES[data]), **options)


@pytest.mark.parametrize("right", [(20, 20, 20), (17, 400, 91), (10, 3, 5000)])
def test_an_error_that_is_rounding_is_none(right):
    with pytest.raises(ValueError, match=ZERO):
        of_table(sm.MatthewsCorrelation(THREE), np.diag(right))


def test_few_examples_have_no_error_to_propagate():
    message = "interval: F1(task=Binary(inputs='labels')) has 9 examples, but at least 10 are due"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        of_table(sm.F1(LABELS), [[3, 1], [1, 4]])


@pytest.mark.parametrize("average", [None, "uniform"])
def test_outputs_that_are_joined_have_none(average):
    metric = sm.MeanAbsoluteError(2, average=average)
    state = metric.tally(np.eye(5, 2), np.zeros((5, 2)))
    if average is None:
        assert sm.interval(metric, state).low.shape == (2,)
    else:
        with pytest.raises(TypeError, match=f"^interval: {re.escape(f'{metric!r} {JOINS}')}$"):
            sm.interval(metric, state)


def test_averages_of_areas_have_none():
    metric = sm.AUROC(sm.Multiclass(3, "logits"))
    with pytest.raises(TypeError, match=f"^interval: {re.escape(f'{metric!r} {JOINS}')}$"):
        sm.interval(metric, metric.init())


def test_invalid_examples_are_told_with_the_interval_of_the_others():
    state = MEAN.tally([1.0, 2.0, 4.0, np.nan])
    with pytest.raises(sm.InvalidExamples, match=r"1 with NaN value \(in Mean\)") as caught:
        sm.interval(MEAN, state)
    assert caught.value.values == sm.interval(MEAN, state, on_invalid="ignore")
    assert np.isnan(sm.interval(MEAN, state, on_invalid="nan")).all()
    with pytest.raises(TypeError, match=r"^Mean\(entry='x'\): got int as state, but a State is due"):
        sm.interval(MEAN, 3)  # pyright: ignore[reportArgumentType]  # what is tested
    with pytest.raises(TypeError, match=r"^interval: got 3, but a metric is due$"):
        sm.interval(3, state)  # pyright: ignore[reportArgumentType]  # what is tested


def test_under_a_trace_what_is_refused_is_nan():
    metric = sm.AUROC(B)
    low, value, high = jax.jit(lambda state: sm.interval(metric, state))(metric.tally(*STATES["few"]))
    assert np.isnan([low, high]).all()
    assert value == 0


# Collections, dependent examples, dtypes ------------------------------------------------------------------------------


def test_a_collection_gives_a_dict():
    metrics = sm.Collection(
        accuracy=sm.Accuracy(LABELS), inner=sm.Collection(loss=sm.Mean("loss"), recall=sm.Recall(LABELS))
    )
    predictions, targets = pairs(TABLE)
    state = metrics.tally(predictions=predictions, targets=targets, loss=np.sqrt(np.arange(82.0)))
    found = sm.interval(metrics, state)
    assert list(found) == ["accuracy", "inner"]
    assert list(found["inner"]) == ["loss", "recall"]
    due = scipy.stats.binomtest(30, 35).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(found["inner"]["recall"], [due.low, 30 / 35, due.high], rtol=1e-5)
    losses = np.sqrt(np.arange(82.0))
    due = scipy.stats.t.interval(0.95, 81, losses.mean(), scipy.stats.sem(losses))
    np.testing.assert_allclose(found["inner"]["loss"][::2], due, rtol=1e-5)


def test_what_has_none_is_named_in_a_collection():
    metrics = sm.Collection(inner=sm.Collection(largest=sm.Maximum("x"), mean=sm.Mean("x")))
    with pytest.raises(TypeError, match=rf"^interval: the counts of inner.largest=Maximum\(entry='x'\) {VARIES}$"):
        sm.interval(metrics, metrics.tally(x=[1.0, 2.0]))
    metrics = sm.Collection(mean=sm.Mean("x"))
    with pytest.raises(ValueError, match=r"^interval: mean=Mean\(entry='x'\) has 1 examples, but at least 2 are due$"):
        sm.interval(metrics, metrics.tally(x=[1.0]))
    with pytest.raises(sm.InvalidExamples) as caught:
        sm.interval(metrics, metrics.tally(x=[1.0, 2.0, np.nan]))
    assert isinstance(caught.value.values["mean"], sm.Interval)


def test_examples_that_repeat_others_have_none():
    metric = sm.Accuracy(LABELS)
    predictions, targets = pairs(TABLE)
    message = (
        "interval: Accuracy(task=Binary(inputs='labels')) counted {} of 82 examples that do not stand for a row of "
        "their own (weights other than 1, or several elements of one row), so that an interval would be too narrow; "
        "Bootstrapped with the rows as its cluster has one"
    )
    twice = metric.tally(predictions[:81], targets[:81], weights=np.arange(81) // 80 + 1)
    of_tokens = metric.tally(predictions.reshape(-1, 2), targets.reshape(-1, 2))
    for state, dependent in ((twice, 1), (of_tokens, 82)):
        with pytest.raises(ValueError, match=f"^{re.escape(message.format(dependent))}$"):
            sm.interval(metric, state)
        found = jax.jit(lambda state: sm.interval(metric, state))(state)
        assert np.isnan(found[::2]).all()
        assert found.value == metric.compute(state)
    present = metric.tally(np.append(predictions, [7, 8]), np.append(targets, [1, 0]), weights=np.arange(84) < 82)
    np.testing.assert_array_equal(
        sm.interval(metric, present), sm.interval(metric, tally(metric, predictions, targets))
    )


def test_weights_of_a_mean_are_numbers_of_rows():
    metrics = sm.Collection(mean=MEAN)
    state = metrics.tally(x=[1.0, 2.0, 4.0], weights=[1, 0.5, 1])
    with pytest.raises(ValueError, match=r"^interval: mean=Mean\(entry='x'\) counted 1 of 3 examples that do not"):
        sm.interval(metrics, state)


def test_with_x64_the_ends_have_more_digits():
    with jax.enable_x64(True):
        due = scipy.stats.binomtest(70, 82).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose(of_table(sm.Accuracy(LABELS), TABLE)[::2], [due.low, due.high], rtol=1e-12)
        value, error = propagated(sklearn.f1_score, TABLE)
        np.testing.assert_allclose(
            of_table(sm.F1(LABELS), TABLE)[::2], [value - Z * error, value + Z * error], rtol=1e-6
        )
        x = np.random.default_rng(0).normal(size=30)
        due = scipy.stats.t.interval(0.95, 29, x.mean(), scipy.stats.sem(x))
        found = sm.interval(MEAN, MEAN.tally(x))
        np.testing.assert_allclose(found[::2], due, rtol=1e-7)
        assert all(end.dtype == np.float64 for end in found)
