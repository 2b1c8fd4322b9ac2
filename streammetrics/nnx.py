"""Metrics in a Flax NNX training: an `nnx.Metric` that holds a metric and its state."""

from typing import Any

from flax import nnx

from streammetrics import _metric
from streammetrics._state import State


class Metric(nnx.Metric):
    """Any metric or collection as an `nnx.Metric`, updated in place: `reset`, `update`, `compute`.

    The state is an `nnx.metrics.MetricState` variable, so that it passes through `nnx.jit`, `nnx.scan` and `nnx.split`.
    `compute` reads floating values as NaN where examples could not be counted (`on_invalid="nan"`), so that it never
    waits for the device; `state` is the pure state, for `merge`, `to_bytes`, or `compute(state)` of the metric itself.

    >>> import jax.numpy as jnp
    >>> import streammetrics as sm
    >>> mean = Metric(sm.Mean("loss"))
    >>> mean.update(loss=jnp.array([1.0, 3.0]))
    >>> float(mean.compute())
    2.0
    """

    def __init__(self, metric: _metric.Metric) -> None:
        self.metric = metric
        self.held = nnx.metrics.MetricState(metric.init())

    @property
    def state(self) -> State:
        return self.held.get_value()

    def reset(self) -> None:
        """Forgets everything."""
        self.held.set_value(self.metric.init())

    def update(self, *args: Any, **batch: Any) -> None:
        """Adds a batch: see the metric's own `update`."""
        self.held.set_value(self.metric.update(self.state, *args, **batch))

    def compute(self, on_invalid: str = "nan") -> Any:
        """The value: see the metric's own `compute`."""
        return self.metric.compute(self.state, on_invalid)
