"""How far two states of one metric are apart: drift between a reference and what came since."""

import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _state
from streammetrics._metric import Beside, InvalidExamples, Metric
from streammetrics._spec import spec
from streammetrics._state import State, part
from streammetrics.metrics import Histogram, Quantile
from streammetrics.metrics._averages import picked
from streammetrics.metrics._distributions import places
from streammetrics.metrics._histograms import Estimate, OfScores, histogram, integral, largest, ratio

GROUPS = 10
"""Into how many bins the usual index divides the reference."""


@spec
class Binned(Beside):
    """The counts of a metric by bin, `(*K, B)`, and what is known of the order within the bins."""

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        metric, cells, tied, extrema = self.metric, counts["cells"], jnp.zeros((), bool), ()
        if not isinstance(metric, Histogram):
            layout = metric.statistic.layout
            tied = jnp.asarray(layout.bottoms == layout.tops)
        if isinstance(metric, OfScores):  # both targets are counted
            cells = picked(metric, cells).sum(-2)
            if "least" in counts:
                ends = (("least", jnp.nanmin), ("greatest", jnp.nanmax))
                extrema = tuple(end(picked(metric, counts[name], lambda x, e=end: e(x, 0)), -2) for name, end in ends)
        # Floats are NaN where examples could not be counted; counts cannot be.
        return {"cells": cells, "tied": tied, "extrema": extrema, "valid": jnp.ones(())}


def population_stability_index(
    metric: Metric,
    reference: State,
    current: State,
    *,
    bins: int | None = None,
    least: float = 1e-4,
    on_invalid: str = "raise",
) -> Array:
    """Σ (p − q) ln (p / q) over bins, p and q being the shares of both states: the population stability index.

    Shares below `least` are taken as `least`, which the logarithm of an empty bin needs; 0.0001 is usual, and 0 makes
    the index infinite there. `bins` merges the bins of the metric to so many, or somewhat fewer, that each hold a like
    share of the reference; by default the bins of a `Histogram` are taken as they were declared, with what is below and
    above, and others are merged to ten: of thousands of bins, most nearly empty, the index says nothing.

    The metric is a `Histogram`, a `Quantile`, or one of scores such as `ScoreDistribution` or `AUROC`, of whose targets
    both are counted: a scalar, or one value per class or label (of one, or of all together, where the metric says so).
    The states may be those of a collection. NaN where a state has no examples. `on_invalid` is as in `compute`, but the
    error has no values. Raises `TypeError` for other metrics and `ValueError` for states of another statistic. The
    definition is Siddiqi's (2006); by custom 0.1 is little, and 0.25 much.

    >>> import streammetrics as sm
    >>> metric = sm.Histogram("age", (0, 30, 60, 90))
    >>> last_year, today = metric.tally([20, 20, 40, 70]), metric.tally([20, 40, 40, 70])
    >>> round(float(population_stability_index(metric, last_year, today)), 4)
    0.3466
    """
    who = "population_stability_index"
    if not 0 <= least < 1:
        raise ValueError(f"{who}: least is {least}, but must be a share, from 0 to below 1")
    if bins is None and not isinstance(metric, Histogram):
        bins = GROUPS
    return _index(*_read(who, metric, reference, current, on_invalid), _groups(who, bins), least)


def jensen_shannon(
    metric: Metric, reference: State, current: State, *, bins: int | None = None, on_invalid: str = "raise"
) -> Array:
    """½ Σ p log₂ (p / m) + ½ Σ q log₂ (q / m), m = (p + q) / 2: the Jensen-Shannon divergence over bins, from 0 to 1.

    It is 0 where both states have the same shares and 1 where they have no bin in common. Its square root is the
    distance that `scipy.spatial.distance.jensenshannon(base=2)` gives. The divergence of the values themselves is not
    less; the fewer examples there are for a bin, the greater is what chance alone gives. `bins` merges the bins to so
    many of a like share of the reference; by default they are taken as they are. What it takes and raises is as for
    `population_stability_index`. The definition is Lin's (1991).

    >>> import streammetrics as sm
    >>> metric = sm.Histogram("age", (0, 30, 60, 90))
    >>> last_year, today = metric.tally([20, 20, 40, 40]), metric.tally([70, 70, 40, 40])
    >>> round(float(jensen_shannon(metric, last_year, today)), 6)
    0.5
    """
    who = "jensen_shannon"
    return _divergence(*_read(who, metric, reference, current, on_invalid), _groups(who, bins))


def kolmogorov_smirnov_distance(
    metric: Metric, reference: State, current: State, *, on_invalid: str = "raise"
) -> Estimate:
    """The greatest |F(x) − G(x)| over all x, of the distribution functions of both states: `(value, lower, upper)`.

    At the ends of bins the distributions are known: the value, which is the lower bound, is their greatest distance
    there. Inside of a bin one may rise before the other does: the upper bound is the most that gives. They are equal
    where bins hold one number only. What it takes and raises is as for `population_stability_index`. The definition is
    that of the two-sample test (`scipy.stats.ks_2samp`).

    >>> import streammetrics as sm
    >>> metric = sm.Histogram("age", (0, 30, 60, 90))
    >>> last_year, today = metric.tally([20, 20, 40, 70]), metric.tally([20, 40, 40, 70])
    >>> distance = kolmogorov_smirnov_distance(metric, last_year, today)
    >>> round(float(distance.lower), 4), round(float(distance.upper), 4)
    (0.25, 0.5)
    """
    return _distance(*_read("kolmogorov_smirnov_distance", metric, reference, current, on_invalid))


def _read(who: str, metric: Metric, reference: State, current: State, on_invalid: str) -> tuple[Any, Any]:
    """What is counted in both states."""
    if not isinstance(metric, Histogram | Quantile | OfScores):
        raise TypeError(f"{who}: {metric!r} has no histogram, but a Histogram, a Quantile or a metric of scores is due")
    found = []
    for name, state in {"reference": reference, "current": current}.items():
        state = part(state, metric.statistic)
        _state.check(state, f"{who}: {name}", metric.statistic)
        try:
            found.append(Binned(metric).compute(state, on_invalid))
        except InvalidExamples as error:
            raise InvalidExamples(f"{who}: {name}: {error}", None, error.counts) from None
    return found[0], found[1]


def _groups(who: str, bins: int | None) -> int | None:
    if bins is not None and (isinstance(bins, bool) or not isinstance(bins, int) or bins < 2):
        raise ValueError(f"{who}: bins is {bins!r}, but must be a number of bins, 2 or more")
    return bins


@functools.partial(jax.jit, inline=True, static_argnums=(2, 3))
def _index(reference: Any, current: Any, bins: int | None, least: float) -> Array:
    p, q = jnp.maximum(_shares(reference, current, bins), least)
    return integral(jnp.where(p == q, 0, (p - q) * (jnp.log(p) - jnp.log(q))))


@functools.partial(jax.jit, inline=True, static_argnums=2)
def _divergence(reference: Any, current: Any, bins: int | None) -> Array:
    p, q = _shares(reference, current, bins)
    middle = 0.5 * (p + q)
    first, second = (share * jnp.log2(jnp.where(share > 0, share / middle, 1)) for share in (p, q))
    return jnp.clip(0.5 * integral(first + second), 0, 1)


def _shares(reference: Any, current: Any, bins: int | None) -> Array:
    """The shares of the bins in both states, (2, *K, B); of bins that are merged where a number is given."""
    both = jax.tree.map(lambda *words: jnp.stack(words), reference["cells"], current["cells"])
    if bins is not None:
        cumulated = both.cumsum()
        # The bin of a quantile of the reference is the last of its group, as its value is.
        last = places(cumulated[0], [Fraction(i, bins) for i in range(1, bins + 1)])
        last = jnp.moveaxis(last, 0, -1).at[..., -1].set(both.shape[-1] - 1)
        upto = jax.tree.map(lambda word: jnp.take_along_axis(word, last[None], -1), cumulated)
        both = upto - upto.after_zero()[..., :-1]
    valid = reference["valid"] * current["valid"]
    return valid * ratio(both.to_float(), both.sum(-1).to_float()[..., None])


@functools.partial(jax.jit, inline=True)
def _distance(reference: Any, current: Any) -> Estimate:
    extrema = [state["extrema"] for state in (reference, current)] if reference["extrema"] else None
    h = histogram(reference["cells"], current["cells"], extrema, False, 1.0)
    f, g = h.fpr, h.tpr  # above each cut, from the highest down
    first, second = f[..., 1:] - g[..., :-1], g[..., 1:] - f[..., :-1]  # as much as either may be ahead inside of a bin
    inside = jnp.where(h.behind, first, jnp.where(h.ahead, second, 0))
    value = jnp.maximum(largest(jnp.abs(f - g)), largest(inside))
    tied = h.tied | jnp.broadcast_to(reference["tied"][..., ::-1] if reference["tied"].ndim else False, h.tied.shape)
    unknown = jnp.where(tied | h.ahead | h.behind, 0, jnp.maximum(first, second))
    valid = reference["valid"] * current["valid"]
    found = Estimate(value, value, jnp.maximum(value, largest(unknown)))
    return Estimate(*(valid * each for each in found)).within()
