"""Metrics of predicted probabilities and margins."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Multiclass, Multilabel, check_task, ranked


@spec
class OfProbabilities(Metric):
    """A metric of predicted probabilities, or of the logits from which they are taken."""

    task: Any

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "probabilities")


class Likelihood(OfProbabilities):
    """What is read off the log losses of a task."""

    @property
    def statistic(self) -> Statistic:
        return statistics.LogLosses(ranked(self.task))


@spec
class LogLoss(Likelihood):
    """mean of −log p(target): the cross-entropy in nats of predicted probabilities against the targets.

    The task's inputs are logits, from which the logarithm is taken without leaving their range, or probabilities,
    clipped to [ε, 1 − ε] of their dtype; rows of `Multiclass` that do not sum to 1 (within √ε) are invalid, and so is
    an infinite loss of infinite logits. `Multilabel` is the mean over elements. Weights may be fractions. NaN without
    examples. The definition is scikit-learn's `log_loss`. Raises `ValueError` for scores and labels.

    >>> from streammetrics import Binary
    >>> round(float(LogLoss(Binary("probabilities"))([0.8, 0.4], [1, 0])), 4)
    0.367
    """

    higher_is_better = False

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["loss"].average()


@spec
class Perplexity(Likelihood):
    """exp(mean of −log p(target)): among how many tokens, alike in probability, the model chooses on average.

    Every element of the targets, `(*B,)`, is a token; padding is masked by weights of that shape, or by the task's
    `ignore`. Everything else is as for `LogLoss`, whose counts it shares. NaN without examples. The definition is
    Jelinek et al.'s (1977).

    >>> from streammetrics import Multiclass
    >>> task = Multiclass(4, "logits", ignore=-100)
    >>> float(Perplexity(task)([[[0.0, 0.0, 0.0, 0.0], [9.0, 1.0, 1.0, 1.0]]], [[2, -100]]))
    4.0
    """

    higher_is_better = False

    def read(self, counts: Mapping[str, Any]) -> Array:
        return jnp.exp(counts["loss"].average())


@spec
class Brier(OfProbabilities):
    """mean of Σ (p − y)²: the squared error of predicted probabilities; of `Multiclass` summed over the classes.

    The task's inputs are logits or probabilities; rows of `Multiclass` that do not sum to 1 (within √ε) are invalid.
    `Multilabel` is the mean over elements. Weights may be fractions. NaN without examples. The definition is Brier's
    (1950); of `Binary` half of it, as in scikit-learn's `brier_score_loss`.

    >>> from streammetrics import Binary
    >>> round(float(Brier(Binary("probabilities"))([0.8, 0.4], [1, 0])), 4)
    0.1
    """

    higher_is_better = False

    @property
    def statistic(self) -> Statistic:
        return statistics.BrierLosses(ranked(self.task))

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["loss"].average()


@spec
class HingeLoss(Metric):
    """mean of max(0, 1 − margin): how far scores fall short of a margin of 1.

    The margin of `Binary`, and of each label of `Multilabel`, is ± the score. Of `Multiclass` it is the target's score
    less the greatest other one (`multiclass="crammer-singer"`), or ± the score of each class against the rest
    (`"one-against-all"`). Where there is a loss for each class or label the value is their mean, or one each,
    `(C,)`, with `average=None`. The task's inputs are logits or scores, taken as they are. Weights may be fractions;
    infinite losses are invalid. NaN without examples. The definitions are Crammer and Singer's (2001) and
    scikit-learn's `hinge_loss`.

    >>> from streammetrics import Multiclass
    >>> round(float(HingeLoss(Multiclass(3, "scores"))([[2.0, 0.5, 1.5], [0.0, 3.0, 0.0]], [0, 1])), 4)
    0.25
    """

    task: Any
    multiclass: str = "crammer-singer"
    average: str | None = dataclasses.field(default="macro", kw_only=True)

    higher_is_better = False

    def __post_init__(self) -> None:
        check_task(self)
        _checks.inputs(self, "logits", "scores")
        _checks.choice(self, "multiclass", ("crammer-singer", "one-against-all"))
        _checks.choice(self, "average", (None, "macro"))
        if not isinstance(self.task, Multiclass):
            object.__setattr__(self, "multiclass", "crammer-singer")  # of two classes there is one margin
        if self.average is None and not self._several:
            raise ValueError(f"HingeLoss: average=None is of a loss for each class, but {self.task!r} has one")

    @property
    def _several(self) -> bool:
        against_all = isinstance(self.task, Multiclass) and self.multiclass == "one-against-all"
        return against_all or isinstance(self.task, Multilabel)

    @property
    def statistic(self) -> Statistic:
        return statistics.HingeLosses(ranked(self.task), self._several)

    def read(self, counts: Mapping[str, Any]) -> Array:
        value = counts["loss"].average()
        return jnp.nanmean(value) if self._several and self.average == "macro" else value
