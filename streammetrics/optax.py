"""Metrics in the state of an Optax optimiser: streaming statistics of gradients or updates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from streammetrics._metric import Metric
from streammetrics._state import State


class MeasuredState(NamedTuple):
    """What `measure` keeps in the optimiser's state."""

    metrics: State


def global_norm(updates: Any) -> dict[str, Any]:
    """The global norm of all updates together, in float32, as the entry `norm`: one observation a step."""
    widened = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), updates)
    return {"norm": optax.tree.norm(widened)[None]}


def measure(metric: Metric, observe: Callable[[Any], dict[str, Any]] = global_norm) -> optax.GradientTransformation:
    """A transformation that changes nothing and feeds a metric with what `observe` says of every update.

    Placed first in `optax.chain` it sees gradients, placed last the updates. `observe` takes the tree of updates and
    returns the metric's batch. `measured(state)` finds the metric's state in an optimiser's.

    >>> import jax.numpy as jnp
    >>> import streammetrics as sm
    >>> norms = sm.Collection(mean=sm.Mean("norm"), largest=sm.Maximum("norm"))
    >>> optimiser = optax.chain(measure(norms), optax.sgd(0.1))
    >>> state = optimiser.init(jnp.zeros(2))
    >>> _, state = optimiser.update(jnp.array([3.0, 4.0]), state)
    >>> sm.plain(norms.compute(measured(state)))
    {'mean': 5.0, 'largest': 5.0}
    """

    def init(params: Any) -> Any:
        del params
        return MeasuredState(metric.init())

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params
        return updates, MeasuredState(metric.update(state.metrics, **observe(updates)))

    return optax.GradientTransformation(init, update)


def measured(state: Any) -> State:
    """The metric's state in the state of an optimiser that holds one `measure`.

    Raises `ValueError` where there is none, or more than one.
    """
    found = optax.tree.get_all_with_path(state, "metrics")
    states = [value for _, value in found if isinstance(value, State)]
    if len(states) != 1:
        raise ValueError(f"measured: found {len(states)} metric states in the optimiser's state, but one is due")
    return states[0]
