"""What is counted of scores in constant memory: histograms by target, of each class against the rest or each other."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._layouts import EXACT, FEWEST, MOST, TINY, Layout, layout_of
from streammetrics._rows import greatest, total, widened
from streammetrics._spec import spec
from streammetrics._statistic import Add, check_size
from streammetrics._tasks import NAN, Multiclass, Read
from streammetrics.accumulators import Accumulator, Maximum, Minimum
from streammetrics.statistics._classes import in_table, table
from streammetrics.statistics._predictions import Predictions


@spec
class ScoreCounts(Predictions):
    """How many scores lie in each bin, by target: `cells` is (2, B), rows are what is false and true.

    Of `Multiclass` (C, 2, B), the score of each class against the rest, of logits its log-odds; of `Multilabel`
    (L, 2, B). `bins`, `score_range` and the task's inputs say which bins. With `ties`, `least` and `greatest` are the
    extreme scores of each cell.
    """

    bins: int | str = 4096
    score_range: tuple[float, float] | None = None
    ties: bool = False

    def __post_init__(self) -> None:
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_bins(self)
        if self.layout.exact:
            object.__setattr__(self, "ties", False)  # every bin is a tie already

    @property
    def layout(self) -> Layout:
        return layout_of(self.task.inputs, self.bins, self.score_range)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the cells: of each class or label, by target, in bins."""
        return (*self.class_axis, 2, self.layout.size)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        extrema = {"least": Minimum(self.shape), "greatest": Maximum(self.shape)} if self.ties else {}
        return {"cells": table(self.task, self.shape), **extrema}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        predictions, targets = (batch[name] for name in self.reads)
        check_exact(self, predictions)
        read = self.task.read(predictions, targets)
        scores, true, faults = self.ranked(read)
        scores = scores.astype(jnp.float32)
        scores = jnp.where(jnp.abs(scores) < float(TINY), 0, scores)  # what hardware flushes to 0 must be 0 everywhere
        cell = in_table(true, self.layout.cell(scores), self.shape)
        extrema = {name: Add(scores, cell) for name in ("least", "greatest")} if self.ties else {}
        return {"cells": Add(cell=cell), **extrema}, faults

    def ranked(self, read: Read) -> tuple[Array, Array, dict[str, Array]]:
        """The scores, the row of each in its histogram, and the faults."""
        if not isinstance(self.task, Multiclass):
            return read.predictions, read.targets, read.faults
        scores, faults = scores_of_classes(self.task, read)
        return scores, read.is_target().astype(jnp.int32), faults


@spec
class PairScoreCounts(ScoreCounts):
    """How many scores lie in each bin, by class of the score and by target: `cells` is (C, C, B). `Multiclass` only.

    Cell (i, j, b) counts the examples of class j whose score for class i is in bin b. Fields as for `ScoreCounts`.
    """

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multiclass, "the others have no pairs of classes")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.task.classes, self.task.classes, self.layout.size)

    def ranked(self, read: Read) -> tuple[Array, Array, dict[str, Array]]:
        scores, faults = scores_of_classes(self.task, read)
        return scores, jnp.broadcast_to(read.targets[..., None], scores.shape), faults


def check_bins(owner: Any) -> None:
    """The fields `bins` and `score_range` must say how many bins of what."""
    name, bins, score_range = type(owner).__name__, owner.bins, owner.score_range
    if not (bins in EXACT if isinstance(bins, str) else FEWEST <= bins <= MOST and bins & (bins - 1) == 0):
        raise ValueError(
            f"{name}: bins is {bins!r}, but must be a power of two from {FEWEST} to {MOST:,}, or 'bfloat16' or "
            "'float16' for every value of that dtype"
        )
    if isinstance(bins, str) and isinstance(owner.task, Multiclass) and owner.task.inputs == "logits":
        raise ValueError(
            f"{name}: bins is {bins!r}, but classes of logits are ranked by their log-odds, which are float32; "
            "a number of bins is due"
        )
    if score_range is None:
        return
    if owner.task.inputs != "scores" or isinstance(bins, str):
        raise ValueError(
            f"{name}: score_range is {score_range}, but the range of inputs={owner.task.inputs!r} with "
            f"bins={bins!r} is known; it is declared for scores alone"
        )
    with np.errstate(over="ignore"):
        low, high = (float(np.float32(end)) for end in score_range) if len(score_range) == 2 else (1.0, 0.0)
    # A range of a few denormal numbers has no bins that could be told apart.
    if not (-math.inf < low < high < math.inf and bins * float(TINY) < high - low):
        raise ValueError(f"{name}: score_range is {score_range}, but must be (low, high), finite, low < high")


def check_bins_size(owner: Any) -> None:
    """Histograms that would fill the memory are refused before they do."""
    check_size(owner, owner.statistic, "the state", f"declare fewer bins (bins={owner.bins!r}) or classes")


def check_exact(owner: Any, predictions: Array) -> None:
    """Bins of every value of a dtype take that dtype alone."""
    if owner.bins in EXACT and predictions.dtype != jnp.dtype(owner.bins):
        _checks.refuse(
            TypeError,
            f"{owner.task.predictions} have dtype {predictions.dtype}, but bins={owner.bins!r} takes that dtype alone",
        )


def scores_of_classes(task: Multiclass, read: Read) -> tuple[Array, dict[str, Array]]:
    """Of each class the score by which it is ranked against the rest, and the faults with those found on the way."""
    place, best = greatest(read.predictions)
    scores, nan = widened(read.predictions), jnp.isnan(best)
    if task.inputs == "logits":
        scores = log_odds(scores, place, best)
        nan = nan | jnp.any(jnp.isnan(scores), -1)  # two infinite logits have no odds
    return scores, {NAN: nan, **read.faults}


def log_odds(scores: Array, place: Array, best: Array) -> Array:
    """Of each class z − logsumexp(others): the order of the softmax, but without its saturation.

    `place` and `best` are of the greatest score of each row. The others are summed relative to the second: relative to
    the greatest they would vanish where it leads by far, and it alone would rank as infinite.
    """
    is_best = lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1) == place[..., None]
    rest = jnp.where(is_best, -math.inf, scores)
    second = greatest(rest)[1]
    pivot = jnp.where(jnp.isfinite(second), second, 0)
    share = jnp.exp(rest - pivot[..., None])
    others, error = total(share)
    others = others + error
    lead = best - pivot
    without = jnp.maximum(others[..., None] - share, 0) * jnp.exp(-lead)[..., None]
    of_rest = scores - best[..., None] - jnp.log1p(without)
    return jnp.where(is_best, (lead - jnp.log(others))[..., None], of_rest)
