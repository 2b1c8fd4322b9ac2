"""What is counted of the ranks of scores: of the target's among the classes, and of the labels' among each other."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from streammetrics import _checks
from streammetrics._rows import ahead
from streammetrics._spec import spec
from streammetrics._statistic import Add
from streammetrics._tasks import NAN, Multiclass, Multilabel
from streammetrics.accumulators import Accumulator, Moments
from streammetrics.statistics._classes import of_rows, table
from streammetrics.statistics._predictions import Predictions


def check_k(owner: Any) -> None:
    """There are no more ranks than classes."""
    classes = owner.task.num_classes
    if not 1 <= owner.k <= classes:
        raise ValueError(f"{type(owner).__name__}: k is {owner.k}, but must be from 1 to {classes}, the classes")


@spec
class TopHits(Predictions):
    """Whether the target is among the k greatest scores: `hits` is (C, 2) by true class, of misses and of hits.

    Of equal scores the lower class comes first, as in `jax.lax.top_k`.
    """

    k: int

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multiclass, "the others have no ranked classes")
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_k(self)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"hits": table(self.task, (self.task.num_classes, 2))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        rank, nan = ahead(read.predictions, read.of_target(), read.targets)
        cell = 2 * read.targets + (rank < self.k).astype(jnp.int32)
        return {"hits": Add(cell=cell)}, {NAN: nan, **read.faults}


@spec
class LabelRankings(Predictions):
    """Moments of how each example's labels are ranked: `rankings` is (3,).

    They are the share of true labels among those ranked no lower than each true one (mean over these; 1 where all
    labels or none are true), the share of pairs of a true and a false label in the wrong order (0 there), and how many
    labels one must go down to find every true one (0 without any). Equal scores count as wrong. `Multilabel` only.
    """

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multilabel, "labels are ranked for each example")
        _checks.inputs(self, "logits", "probabilities", "scores")

    @property
    def weighted(self) -> bool:
        return True

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"rankings": Moments((3,))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        faults, absent = of_rows(read.faults, read.targets.shape)
        return {"rankings": Add(_rankings(read.predictions, read.targets == 1, ~absent))}, faults


def _rankings(scores: Array, true: Array, present: Array) -> Array:
    """The three values of each row; what is absent has neither a rank nor pairs."""
    axis = scores.ndim - 1
    order = -scores, (true & present).astype(jnp.int32), present.astype(jnp.int32)
    score, true, present = lax.sort(order, dimension=axis, num_keys=1)
    # Equal scores share the rank of the last of them.
    last = jnp.concatenate([score[..., 1:] != score[..., :-1], jnp.ones_like(score[..., :1], bool)], axis)
    place = lax.broadcasted_iota(jnp.int32, score.shape, axis)
    end = lax.cummin(jnp.where(last, place, score.shape[-1] - 1), axis, reverse=True)
    rank, found = (jnp.take_along_axis(lax.cumsum(x, axis), end, axis) for x in (present, true))

    trues, labels = (jnp.sum(x, axis, jnp.int32) for x in (true, present))
    falses = labels - trues
    mixed = (trues > 0) & (falses > 0)
    is_true = true == 1

    def mean(x: Array, size: Array) -> Array:
        return jnp.sum(jnp.where(is_true, x, 0), axis) / jnp.maximum(size, 1).astype(x.dtype)

    floats = score.dtype
    precision = mean(found.astype(floats) / jnp.maximum(rank, 1).astype(floats), trues)
    wrong = mean((rank - found).astype(floats), trues) / jnp.maximum(falses, 1).astype(floats)
    depth = jnp.max(jnp.where(is_true, rank, 0), axis, initial=0).astype(floats)
    return jnp.stack([jnp.where(mixed, precision, 1), jnp.where(mixed, wrong, 0), depth], -1)
