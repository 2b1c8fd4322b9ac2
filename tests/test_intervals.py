"""The interval of an AUROC: DeLong's, from bins; its coverage; and where it is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import streammetrics as sm
from tests.rankings import drawn

B = sm.Binary("logits")


def delong(scores, true, level=0.95):
    """The interval on the scale of the logit, from the placements of the scores themselves."""
    positive, negative = scores[true == 1].astype(float), scores[true == 0].astype(float)
    ahead = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    area = ahead.mean()
    variance = ahead.mean(1).var(ddof=1) / len(positive) + ahead.mean(0).var(ddof=1) / len(negative)
    centre, spread = np.log(area / (1 - area)), np.sqrt(variance) / (area * (1 - area))
    z = scipy.stats.norm.ppf(0.5 + level / 2)
    return [1 / (1 + np.exp(-(centre + sign * z * spread))) for sign in (-1, 0, 1)]


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_delongs(level):
    exact, fine = sm.AUROC(sm.Binary("scores"), bins="bfloat16"), sm.AUROC(sm.Binary("scores"))
    for kind in ("moderate", "lumps", "near one"):
        scores, true = drawn(kind, 2000)
        scores = jnp.asarray(scores, jnp.bfloat16)
        for metric, tolerance in ((exact, 2e-6), (fine, 2e-4)):
            batch = scores if metric is exact else scores.astype(jnp.float32)
            found = sm.interval(metric, metric.tally(batch, true), level)
            np.testing.assert_allclose(found, delong(np.asarray(scores), true, level), atol=tolerance)
            assert isinstance(found, sm.Interval)


@pytest.mark.parametrize(("side", "positives"), [(0.5, 500), (1.0, 500), (1.0, 100), (1.35, 100)])
def test_the_interval_covers_as_often_as_it_says(side, positives):
    """AUROC .76, .92 and .97 of normal scores, 1,000 examples, 100 of which or more are positive."""
    metric, rows, trials = sm.AUROC(B, bins=1024), 1000, 2000
    true = (jnp.arange(rows) < positives).astype(jnp.int32)
    value = scipy.stats.norm.cdf(2 * side / np.sqrt(2))
    assert value <= 0.972

    def covered(key):
        scores = jax.random.normal(key, (rows,)) + side * (2 * true - 1).astype(jnp.float32)
        low, _, high = sm.interval(metric, metric.tally(scores, true))
        return (low <= value) & (value <= high)

    share = np.mean(jax.jit(lambda keys: jax.lax.map(covered, keys))(jax.random.split(jax.random.key(0), trials)))
    assert 0.93 <= share <= 0.97


def test_each_class_has_an_interval():
    rng = np.random.default_rng(0)
    logits, true = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(0, 3, 200)
    task = sm.Multiclass(3, "logits")
    each, one = sm.AUROC(task, average=None), sm.AUROC(task, class_id=1)
    both = sm.Collection(each=each, accuracy=sm.Accuracy(task))
    state = both.tally(predictions=logits, targets=true)
    found = sm.interval(each, state)
    assert found.low.shape == (3,)
    np.testing.assert_allclose([end[1] for end in found], sm.interval(one, state), rtol=1e-6)
    assert (found.low < found.value).all()


STATES = {
    "few": (np.linspace(-1, 1, 29), np.arange(29) < 9),
    "separate": (np.linspace(-1, 1, 40), np.arange(40) >= 20),
}
REFUSALS = [
    ("few", sm.AUROC(B), {}, ValueError,
     "interval: AUROC(task=Binary(inputs='logits')) has 9 examples on one side, but at least 10 are due on each"),
    ("separate", sm.AUROC(B), {}, ValueError,
     "interval: AUROC(task=Binary(inputs='logits')) is 1.0, but scores that separate the classes do not tell how far "
     "an area may be from 0 or 1"),
    ("few", sm.AUROC(B), {"level": 95}, ValueError, "interval: level is 95, but must be above 0 and below 1"),
    ("few", sm.AUROC(B, max_fpr=0.5), {}, TypeError,
     "interval: got AUROC(task=Binary(inputs='logits'), max_fpr=0.5), but so far only the whole area of AUROC has an "
     "interval"),
    ("few", sm.Accuracy(B), {}, TypeError,
     "interval: got Accuracy(task=Binary(inputs='logits')), but so far only the whole area of AUROC has an interval"),
    ("few", sm.AUROC(sm.Binary("logits", weighted=True)), {}, TypeError,
     "interval: AUROC(task=Binary(inputs='logits', weighted=True)) has fractional weights, which are no numbers of "
     "examples"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "metric", "options", "kind", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_where_there_is_no_interval_it_is_refused(data, metric, options, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        sm.interval(metric, metric.tally(*STATES[data]), **options)


@pytest.mark.parametrize(("negatives", "positives"), [(41, 20), (41, 29), (30, 30)])
def test_separated_scores_have_none_however_their_area_is_rounded(negatives, positives):
    metric = sm.AUROC(B)
    scores = np.append(np.linspace(-5, -1, negatives), np.linspace(1, 5, positives))
    for sign in (1, -1):
        state = metric.tally(sign * scores, np.arange(len(scores)) >= negatives)
        with pytest.raises(ValueError, match="but scores that separate the classes do not tell how far an area may be"):
            sm.interval(metric, state)
        assert np.isnan(jax.jit(lambda state: sm.interval(metric, state))(state).low)


def test_invalid_examples_are_told_with_the_interval_of_the_others():
    metric = sm.AUROC(B)
    state = metric.tally(np.append(np.linspace(-1, 1, 40), np.nan), np.arange(41) % 4 // 2)
    with pytest.raises(sm.InvalidExamples, match=r"1 with NaN score \(in AUROC\)") as caught:
        sm.interval(metric, state)
    assert caught.value.values == sm.interval(metric, state, on_invalid="ignore")
    with pytest.raises(
        TypeError, match=re.escape("AUROC(task=Binary(inputs='logits')): got int as state, but a State")
    ):
        sm.interval(metric, 3)  # pyright: ignore[reportArgumentType]  # what is tested


def test_averages_have_no_interval():
    metric = sm.AUROC(sm.Multiclass(3, "logits"))
    with pytest.raises(TypeError, match="joins classes, which are not independent; class_id or average=None have"):
        sm.interval(metric, metric.init())


def test_under_a_trace_what_is_refused_is_nan():
    metric = sm.AUROC(B)
    low, value, high = jax.jit(lambda state: sm.interval(metric, state))(metric.tally(*STATES["few"]))
    assert np.isnan([low, high]).all()
    assert value == 0
