"""Intervals of means, and of what is read off one mean alone."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import accumulators
from streammetrics._double import DoubleFloat
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._tasks import Multilabel
from streammetrics.intervals._cells import wide
from streammetrics.intervals._methods import Found, Method
from streammetrics.intervals._quantiles import student
from streammetrics.metrics import Brier, HingeLoss, Mean, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from streammetrics.metrics._probabilities import Likelihood
from streammetrics.metrics._ranks import LabelRanking
from streammetrics.metrics._regression import spread


@spec
class OfMeans(Method):
    """What the metric reads at the ends of the interval of its mean: the mean ± some of its standard errors."""

    fewest = 2

    @classmethod
    def fits(cls, metric: Metric) -> bool:
        if isinstance(metric, Mean):
            return not metric.exact
        if isinstance(metric, Likelihood | Brier):
            return not isinstance(metric.task, Multilabel)
        if isinstance(metric, HingeLoss):
            return metric.average is None or getattr(metric.statistic, "shape", None) == ()
        if isinstance(metric, MeanSquaredError | RootMeanSquaredError | MeanAbsoluteError):
            return metric.average is None or metric.outputs is None
        return isinstance(metric, LabelRanking)

    def read(self, counts: Mapping[str, Any]) -> Found:
        ((name, accumulator),) = self.metric.statistic.accumulators.items()
        assert isinstance(accumulator, accumulators.Moments)
        moments = counts[name]
        examples, mean = moments.weight.to_float(), moments.mean.to_float()
        error = jnp.sqrt(spread(moments) / jnp.maximum(examples - 1, 1) / jnp.maximum(examples, 1))

        def at(mean: DoubleFloat) -> Array:
            return self.metric.read({**counts, name: moments._replace(mean=mean)})

        reach = self.reach(examples) * error
        low, high = mean - reach, mean + reach
        if not isinstance(self.metric, Mean):  # losses and errors are not negative
            low = jnp.maximum(low, 0)
        value, error = jax.jvp(lambda mean: at(wide(mean)), (mean,), (error,))
        examples = examples.reshape(-1)[0] if examples.ndim > value.ndim else examples  # of rankings, which are alike
        low, high = (at(DoubleFloat.of(end)) for end in (low, high))
        return self.around(self.metric.read(counts), low, high, jnp.abs(error), examples)

    @abstractmethod
    def reach(self, examples: Array) -> Array | float:
        """How many standard errors are on each side of the mean."""


@spec
class Student(OfMeans):
    """The mean ± t standard errors, for t of as many degrees of freedom as examples less 1 (Student, 1908)."""

    def reach(self, examples: Array) -> Array:
        return student(self.level, examples - 1)


@spec
class Normal(OfMeans):
    """The mean ± z standard errors: the same but where examples are few."""

    def reach(self, examples: Array) -> float:
        return self.z
