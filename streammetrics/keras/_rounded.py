"""The binary accuracy of Keras up to 2.3.1, which rounded predictions."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from streammetrics import _checks
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._statistic import Add, Statistic
from streammetrics._tasks import Multiclass, check_task, ranked
from streammetrics.accumulators import Accumulator
from streammetrics.metrics._averages import divided
from streammetrics.statistics._classes import table
from streammetrics.statistics._predictions import Predictions


@spec
class RoundedHits(Predictions):
    """Whether rounded predictions equal targets: `hits` is (2,), of misses and of hits.

    Elements are counted: of `Binary` examples, of `Multilabel` labels.
    """

    def __post_init__(self) -> None:
        _check_rounded(self)

    @property
    def accumulators(self) -> dict[str, Accumulator]:
        return {"hits": table(self.task, (2,))}

    def observe(self, **batch: Any) -> tuple[dict[str, Add], dict[str, Array]]:
        read = self.task.read(*(batch[name] for name in self.reads))
        right = jnp.round(read.predictions) == read.targets.astype(read.predictions.dtype)
        return {"hits": Add(cell=right.astype(jnp.int32))}, read.faults


@spec
class RoundedAccuracy(Metric):
    """n[round(prediction) = target] / n: the share of predictions that round to their targets, half to even.

    The `binary_accuracy` of Keras 2.0 to 2.3.1, for reading its old reports. Predictions are rounded as they come,
    whatever the task says they are: 0.5 rounds to 0, and what rounds to neither 0 nor 1, as a logit of 3 or of −3, is
    wrong for both. So the better a head without a sigmoid, the nearer to 0 its value: `sm.Accuracy` reads such a head
    right. `Binary`, or `Multilabel` over elements; the threshold is not read. A scalar in float32 (float64 under x64),
    NaN without examples. Raises `TypeError` for `Multiclass` and `ValueError` for predicted labels.

    >>> import streammetrics as sm
    >>> predictions, targets = [0.3, 0.5, 0.7, 3.0], [0, 0, 1, 1]
    >>> task = sm.Binary("scores")
    >>> float(RoundedAccuracy(task)(predictions, targets)), float(sm.Accuracy(task)(predictions, targets))
    (0.75, 1.0)
    """

    task: Any

    higher_is_better = True

    def __post_init__(self) -> None:
        check_task(self)
        _check_rounded(self)

    @property
    def statistic(self) -> Statistic:
        return RoundedHits(ranked(self.task))

    def read(self, counts: Mapping[str, Any]) -> Array:
        wrong, right = counts["hits"]
        return divided(right.to_float(), (right + wrong).to_float()).settled("nan", counts)


def _check_rounded(owner: Any) -> None:
    if isinstance(owner.task, Multiclass):
        raise TypeError(
            f"{type(owner).__name__}: task is {owner.task!r}, but must be Binary or Multilabel; of classes Keras takes "
            "the argmax, as Accuracy does"
        )
    _checks.inputs(owner, "logits", "probabilities", "scores")
