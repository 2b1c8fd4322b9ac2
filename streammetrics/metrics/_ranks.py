"""Metrics of ranks: the target among the classes, true labels among all."""

from collections.abc import Mapping
from typing import Any

from jax import Array

from streammetrics import _checks, statistics
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import Multiclass, Multilabel, check_task, ranked
from streammetrics.metrics._averages import Averaged, Events, divided
from streammetrics.statistics._ranks import check_k


@spec
class TopKAccuracy(Averaged):
    """hits / n: the share of examples whose class is among the k greatest scores; of a class, the share of its own.

    Of equal scores the lower class comes first, as in `jax.lax.top_k`, so that a constant model hits the first k
    classes alone. Over all examples by default; further fields as for `Recall`. `Multiclass` only, from logits,
    probabilities or scores. NaN without examples. Raises `ValueError` for k above the number of classes. The definition
    is scikit-learn's `top_k_accuracy_score`.

    >>> from streammetrics import Multiclass
    >>> float(TopKAccuracy(Multiclass(3, "scores"), k=2)([[0.1, 0.5, 0.4], [0.6, 0.3, 0.1]], [2, 2]))
    0.5
    """

    k: int = 5

    default_average = "micro"
    higher_is_better = True

    def __post_init__(self) -> None:
        _checks.kind_of_task(self, Multiclass, "the others have no ranked classes")
        _checks.inputs(self, "logits", "probabilities", "scores")
        check_k(self)

    @property
    def statistic(self) -> Statistic:
        return statistics.TopHits(ranked(self.task), self.k)

    def read(self, counts: Mapping[str, Any]) -> Array:
        hits = counts["hits"]
        hit, missed = hits[:, 1], hits[:, 0]
        none = hit - hit
        return self.averaged(Events(hit, none, missed, none), counts, lambda e: divided(e.tp, e.tp + e.fn))


@spec
class LabelRanking(Metric):
    """What is read off the rankings of labels."""

    task: Any

    def __post_init__(self) -> None:
        check_task(self)
        _checks.kind_of_task(self, Multilabel, "labels are ranked for each example")
        _checks.inputs(self, "logits", "probabilities", "scores")

    @property
    def statistic(self) -> Statistic:
        return statistics.LabelRankings(ranked(self.task))


@spec
class LabelRankingAveragePrecision(LabelRanking):
    """mean over true labels of the share of true ones among the labels ranked no lower: 1 where all true ones lead.

    The mean over examples; one whose labels are all true, or none, has 1. Equal scores share the lower rank. Ignored
    labels have no rank; an example is invalid where any other label is, and absent where all are ignored. Weights may
    be fractions, one per example. NaN without examples. The definition is scikit-learn's
    `label_ranking_average_precision_score`.

    >>> from streammetrics import Multilabel
    >>> float(LabelRankingAveragePrecision(Multilabel(3, "scores"))([[0.9, 0.5, 0.1]], [[0, 1, 0]]))
    0.5
    """

    higher_is_better = True

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["rankings"].average()[0]


@spec
class LabelRankingLoss(LabelRanking):
    """mean share of pairs of a true and a false label that are ordered wrongly, or equal: 0 where all true ones lead.

    Examples whose labels are all true, or none, have 0; everything else as for `LabelRankingAveragePrecision`. The
    definition is scikit-learn's `label_ranking_loss`.

    >>> from streammetrics import Multilabel
    >>> float(LabelRankingLoss(Multilabel(3, "scores"))([[0.9, 0.5, 0.1]], [[0, 1, 0]]))
    0.5
    """

    higher_is_better = False

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["rankings"].average()[1]


@spec
class CoverageError(LabelRanking):
    """mean of how many labels, from the greatest score down, hold all true ones; at best the mean number of these.

    Examples without a true label have 0; everything else as for `LabelRankingAveragePrecision`. The definition is
    scikit-learn's `coverage_error`.

    >>> from streammetrics import Multilabel
    >>> float(CoverageError(Multilabel(3, "scores"))([[0.9, 0.5, 0.1]], [[0, 1, 0]]))
    2.0
    """

    higher_is_better = False

    def read(self, counts: Mapping[str, Any]) -> Array:
        return counts["rankings"].average()[2]
