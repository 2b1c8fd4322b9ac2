"""Bins of scores: in the order of the scores, each with its ends, the same wherever they are computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streammetrics._layouts import layout_of
from streammetrics._rows import greatest
from streammetrics._tasks import cut
from streammetrics.statistics._histograms import log_odds

LAYOUTS = [
    ("probabilities", 4096, None),
    ("probabilities", 64, None),
    ("probabilities", 2**20, None),
    ("logits", 4096, None),
    ("scores", 64, None),
    ("scores", 4096, (-3.0, 5.0)),
    ("scores", 64, (999.0, 1001.0)),
    ("scores", 64, (-3e38, 3e38)),
    ("probabilities", "bfloat16", None),
    ("logits", "float16", None),
    ("scores", "bfloat16", None),
]
each_layout = pytest.mark.parametrize(("inputs", "bins", "score_range"), LAYOUTS)


def numbers(layout, inputs):
    """Numbers all over the domain, many of them near each other, as the layout takes them."""
    rng = np.random.default_rng(0)
    if inputs == "probabilities":
        near = rng.random(20_000)
        values = np.concatenate([near, 1 - 1e-4 * near, 1e-4 * near, [0, 0.5, 1]])
    else:
        magnitude = 2.0 ** rng.uniform(-130, 127, 20_000)
        normal = rng.normal(size=20_000)
        values = np.concatenate([magnitude, -magnitude, 3 * normal, 1000 + normal, [0, np.inf, -np.inf, 1]])
    with np.errstate(over="ignore"):
        values = values.astype(layout.dtype if layout.exact else np.float32).astype(np.float32)
    return np.sort(np.where(np.abs(values) < np.finfo(np.float32).tiny, 0, values).astype(np.float32))


@each_layout
def test_bins_are_ordered_as_the_scores_and_hold_what_they_say(inputs, bins, score_range):
    layout = layout_of(inputs, bins, score_range)
    values = numbers(layout, inputs)
    cells = np.asarray(jax.jit(layout.cell)(values))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(cells, layout.cell(values))  # numpy has the same
    assert cells.dtype == np.int32
    assert (np.diff(cells) >= 0).all()
    assert cells.min() >= 0
    assert cells.max() < layout.size
    assert (layout.bottoms[cells] <= values).all()
    assert (values <= layout.tops[cells]).all()
    if layout.exact:
        np.testing.assert_array_equal(layout.tops[cells], values)


@pytest.mark.parametrize("bins", [64, 4096])
def test_bins_of_probabilities_are_as_fine_near_one_as_near_zero(bins):
    layout = layout_of("probabilities", bins, None)
    widths = layout.tops - layout.bottoms
    inner = (layout.bottoms >= 2.0**-17) & (layout.tops <= 1 - 2.0**-17)
    near = np.where(layout.tops <= 0.5, layout.tops, 1 - layout.bottoms)[inner]
    assert inner.sum() == bins
    assert layout.bottoms[inner][0] == 2.0**-17
    assert (widths[inner] >= 0).all()  # each holds a float, near 1 just one
    assert (widths[inner] <= near * 32 / bins).all()


@each_layout
def test_a_threshold_that_is_reachable_cuts_between_its_bins(inputs, bins, score_range):
    layout = layout_of(inputs, bins, score_range)
    cuts = layout.cuts(inputs)
    assert len(cuts.thresholds) == len(cuts.reachable) == layout.size + 1
    assert not cuts.reachable[-1]
    values = numbers(layout, inputs)
    cells = np.asarray(layout.cell(jnp.asarray(values)))
    if inputs != "logits":
        assert cuts.reachable[1 : layout.size - 2].mean() > (0.2 if layout.exact else 0.99)
    for place in np.random.default_rng(0).choice(np.flatnonzero(cuts.reachable), 100):
        above = values > np.float32(cut(inputs, float(cuts.thresholds[place])))
        np.testing.assert_array_equal(above, cells >= layout.size - place)


def test_probabilities_reach_every_logit_from_minus_86_to_22():
    layout = layout_of("logits", 4096, None)
    tops = layout.tops[::-1]
    reachable = layout.cuts("logits").reachable[:-1]
    assert reachable[(tops > -86) & (tops < 22)].all()


def test_log_odds_are_those_of_the_softmax_without_its_saturation():
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(1000, 5)) * rng.choice([1, 10, 100], (1000, 1))).astype(np.float32)
    scores[:4] = [[200, 0, 0, 0, 0], [-1e30, 1e30, 0, 1, 2], [3, 3, 3, 3, 3], [0, -np.inf, -np.inf, -np.inf, -np.inf]]
    wide = scores.astype(np.longdouble)
    due = np.empty(scores.shape, np.longdouble)
    for label in range(5):
        others = np.delete(wide, label, 1)
        most = others.max(1, keepdims=True)
        most = np.where(np.isfinite(most), most, 0)
        with np.errstate(divide="ignore"):
            due[:, label] = wide[:, label] - most[:, 0] - np.log(np.exp(others - most).sum(1))
    found = np.asarray(jax.jit(lambda x: log_odds(x, *greatest(x)))(scores))
    np.testing.assert_allclose(found, due.astype(np.float64), rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("row", [[np.inf, np.inf, 0.0], [-np.inf] * 3, [np.nan, 0.0, 1.0]])
def test_logits_without_odds_have_none(row):
    row = jnp.asarray([row], jnp.float32)
    assert np.isnan(log_odds(row, *greatest(row))).any()


def test_one_infinite_logit_is_an_ordinary_end():
    row = jnp.asarray([[np.inf, 1.0, 0.0]], jnp.float32)
    assert log_odds(row, *greatest(row)).tolist() == [[np.inf, -np.inf, -np.inf]]
