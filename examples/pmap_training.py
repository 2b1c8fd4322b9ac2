"""Data-parallel training in Flax with `jax.pmap`: every device counts its own rows, and one merge reads an epoch.

The train state is the same on all devices, because their gradients are summed. The counts are not: each device has its
own, and no step sends them anywhere.
"""

import functools
from collections.abc import Iterator

import jax
from flax.jax_utils import replicate
from flax.training.train_state import TrainState
from jax import lax
from parallel_languages import (
    METRICS,
    Batch,
    Data,
    Entries,
    Epoch,
    check,
    create,
    follow,
    gradient_of,
    options_of,
    predict,
    prepare,
    real_rows,
)

import streammetrics as sm

AXIS = "devices"


@functools.partial(jax.pmap, axis_name=AXIS)
def train_step(state: TrainState, counts: sm.State, batch: Batch) -> tuple[TrainState, sm.State]:
    """Learns from the rows of all devices, and counts those of this one."""
    gradient, entries = gradient_of(state, batch, total=lax.psum(real_rows(batch), AXIS))
    state = state.apply_gradients(grads=lax.psum(gradient, AXIS))
    return state, METRICS.update(counts, **entries)


@functools.partial(jax.pmap, axis_name=AXIS)
def validation_step(state: TrainState, counts: sm.State, batch: Batch) -> tuple[sm.State, Entries]:
    """Counts the rows of this device, and returns what was predicted."""
    entries = predict(state, batch)
    return METRICS.update(counts, **entries), entries


def split(batch: Batch, devices: int) -> Batch:
    """The batch as `pmap` takes it: (devices, rows of a device, …)."""
    return {name: values.reshape(devices, -1, *values.shape[1:]) for name, values in batch.items()}


def train(data: Data, epochs: int) -> Iterator[Epoch]:
    """Trains a fresh model, and gives what each epoch measured."""
    fresh = jax.device_get((create(data.seed), METRICS.init()))
    # By the axis of the steps, or they would be compiled once more for what they themselves return.
    state, empty = replicate(fresh, jax.devices()[: data.devices], axis_name=AXIS)
    for epoch in range(epochs):
        counts = empty
        for batch in data.training(epoch):
            state, counts = train_step(state, counts, split(batch, data.devices))
        unseen, predicted = empty, []
        for batch in data.validation():
            unseen, entries = validation_step(state, unseen, split(batch, data.devices))
            predicted.append(entries)
        # Only here do counts leave their device. (Inside a pmapped function, sm.all_merge(counts, AXIS) merges them.)
        yield Epoch(sm.fold(counts), sm.fold(unseen), predicted)


def main() -> None:
    """Trains, prints every epoch, and checks the counts of the last."""
    options = options_of(__doc__).parse_args()
    data = prepare(options)
    last = follow("pmap", train(data, options.epochs), options.epochs)
    print(f"\n{check('pmap', last)}")


if __name__ == "__main__":
    main()
