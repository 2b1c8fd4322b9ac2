"""The interval of any smooth value of disjoint cells."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics.intervals._cells import alone, by_class, class_events, counts_of_class, table_of, wide
from streammetrics.intervals._methods import Found, Method


@spec
class Delta(Method):
    """The value ± z standard errors, propagated through the metric's own reading: ∇ᵀ (diag p − p pᵀ) ∇ / n.

    p are the shares of the examples in each cell and ∇ is how the value varies with them.
    """

    @classmethod
    def fits(cls, metric: Metric) -> bool:
        if by_class(metric):
            return True
        if table_of(metric) is None:
            return False
        value = jax.eval_shape(metric.compute, jax.eval_shape(metric.init))
        return (
            isinstance(value, jax.ShapeDtypeStruct) and value.shape == () and jnp.issubdtype(value.dtype, jnp.floating)
        )

    def read(self, counts: Mapping[str, Any]) -> Found:
        value, others = self.metric.read(counts), {"examples": counts["examples"]}
        if by_class(self.metric):
            reader = alone(self.metric)
            cells = jnp.stack(class_events(self.metric, counts).to_floats())
            slope = jax.grad(lambda events: reader.read(counts_of_class(self.metric, events) | others))
            slopes = slope(cells) if cells.ndim == 1 else jax.vmap(slope, 1, 1)(cells)
        else:
            name = str(table_of(self.metric))
            cells = counts[name].to_float()
            slopes = jax.grad(lambda cells: self.metric.read({name: wide(cells)} | others))(cells)
            cells, slopes = cells.reshape(-1), slopes.reshape(-1)
        examples = jnp.sum(cells, 0)
        weighed = cells * slopes
        variance = jnp.sum(weighed * slopes, 0) - jnp.sum(weighed, 0) * (jnp.sum(weighed, 0) / jnp.maximum(examples, 1))
        error = jnp.sqrt(jnp.maximum(variance, 0))
        # What cancels leaves its rounding: where nothing was wrong the error is 0.
        scale = jnp.maximum(jnp.max(jnp.abs(slopes), 0), jnp.abs(value) / jnp.maximum(examples, 1))
        error = jnp.where(error > 2.0**-21 * jnp.sqrt(examples) * scale, error, 0)
        return self.around(value, value - self.z * error, value + self.z * error, error, examples)
