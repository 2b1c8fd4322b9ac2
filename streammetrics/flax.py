"""Metrics in a Flax linen training: a `TrainState` that carries a metric's state."""

from flax.training import train_state

from streammetrics._state import State


class TrainState(train_state.TrainState):
    """Flax's `TrainState` with a metric's state as the field `metrics`.

    The state rides through `jit`, `scan`, `pmap` and checkpoints with the parameters. Inside the training step:
    `train_state.replace(metrics=metric.update(train_state.metrics, predictions=…, targets=…))`. At the end of an epoch:
    `metric.compute(train_state.metrics)`, then `train_state.replace(metrics=metric.init())`.

    >>> import jax.numpy as jnp
    >>> import optax
    >>> import streammetrics as sm
    >>> metric = sm.Mean("loss")
    >>> state = TrainState.create(apply_fn=None, params=jnp.zeros(2), tx=optax.sgd(0.1), metrics=metric.init())
    >>> state = state.replace(metrics=metric.update(state.metrics, loss=jnp.array([1.0, 3.0])))
    >>> float(metric.compute(state.metrics))
    2.0
    """

    metrics: State
