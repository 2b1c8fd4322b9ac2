"""Data-parallel training in Flax over a mesh, in two ways that train the same model: `jax.shard_map` and `jax.jit`.

In `shard_map` a step is written for one device, and says what it sends to the others. In `jit` it is written for the
whole batch, whose rows lie on all devices; the compiler divides the work, and `sm.Sharded` keeps the counts apart.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from flax.training.train_state import TrainState
from jax import lax
from jax.sharding import AxisType, auto_axes
from jax.sharding import PartitionSpec as P
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

AXIS = "data"  # of the mesh, which `main` sets
Learned = tuple[TrainState, sm.State]


class Way(NamedTuple):
    """How to train: the empty counts, a step, and the counts of all devices."""

    init: Callable[[], sm.State]
    step: Callable[[TrainState, sm.State, Batch], Learned]
    merged: Callable[[sm.State], sm.State]


def with_shard_map() -> Way:
    """Each device has a state of its own; between steps they are the rows of one state, sharded over the mesh."""

    @jax.jit
    @functools.partial(jax.shard_map, in_specs=(), out_specs=P(AXIS))
    def init() -> sm.State:
        return as_row(METRICS.init(AXIS))

    @jax.jit
    @functools.partial(jax.shard_map, in_specs=(P(), P(AXIS), P(AXIS)), out_specs=(P(), P(AXIS)))
    def step(state: TrainState, counts: sm.State, batch: Batch) -> Learned:
        # The parameters are the same on all devices: `jax.grad` has then summed their gradient over the devices.
        gradient, entries = gradient_of(state, batch, total=lax.psum(real_rows(batch), AXIS))
        return state.apply_gradients(grads=gradient), as_row(METRICS.update(of_row(counts), **entries))

    @jax.jit
    @functools.partial(jax.shard_map, in_specs=P(AXIS), out_specs=P())
    def merged(counts: sm.State) -> sm.State:
        return sm.all_merge(of_row(counts), AXIS)

    return Way(init, step, merged)


def as_row(counts: sm.State) -> sm.State:
    return jax.tree.map(lambda array: array[None], counts)


def of_row(counts: sm.State) -> sm.State:
    return jax.tree.map(lambda array: array[0], counts)


# On an Explicit mesh a model has to say how its arrays are sharded, or to leave it to the compiler, as here.
divided_gradient = jax.jit(auto_axes(gradient_of, out_sharding=(P(), P(AXIS))))
divided_predict = jax.jit(auto_axes(predict, out_sharding=P(AXIS)))


def with_jit(metrics: sm.Sharded) -> Way:
    """What `with_shard_map` does to the counts by hand, `Sharded` does by itself."""

    @jax.jit
    def step(state: TrainState, counts: sm.State, batch: Batch) -> Learned:
        gradient, entries = divided_gradient(state, batch, real_rows(batch))
        return state.apply_gradients(grads=gradient), metrics.update(counts, **entries)

    return Way(metrics.init, step, metrics.merged)


def train(way: Way, state: TrainState, data: Data, metrics: sm.Sharded, epochs: int) -> Iterator[Epoch]:
    """Trains a model, and gives what each epoch measured."""
    for epoch in range(epochs):
        counts = way.init()
        for batch in data.training(epoch):
            state, counts = way.step(state, counts, jax.device_put(batch, P(AXIS)))
        yield Epoch(way.merged(counts), *validate(state, data, metrics))


def validate(state: TrainState, data: Data, metrics: sm.Sharded) -> tuple[sm.State, list[Entries]]:
    """What the devices of the mesh counted together, and the predictions that they counted."""
    predicted: list[Entries] = []

    def forward(batch: Batch) -> Entries:
        predicted.append(divided_predict(state, batch))
        return predicted[-1]

    # `sm.evaluate` takes the same and gives the values. Here the counts are wanted too, to check them at the end.
    return sm.accumulate(metrics, data.validation(), forward, progress=False), predicted


def collectives(function: Callable[..., Any], *arguments: Any) -> int:
    """In how many places a function communicates, once it is compiled."""
    program = jax.jit(function).lower(*arguments).compile().as_text() or ""
    return len(re.findall(r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+)(-start)?\(", program))


def conclude(last: dict[str, Epoch], metrics: sm.Sharded) -> Iterator[str]:
    """What the last epochs of the ways, by name, show."""
    for name, epoch in last.items():
        yield check(name, epoch)
    first, *others = last.values()
    for other in others:
        pairs = zip(jax.tree.leaves(first.values()), jax.tree.leaves(other.values()), strict=True)
        yield f"{' and '.join(last)}: the last values are at most {max(abs(x - y) for x, y in pairs):.1e} apart"
    counts, entries = metrics.init(), first.predicted[-1]
    update = collectives(lambda counts, entries: metrics.update(counts, **entries), counts, entries)
    yield f"collectives in the compiled metrics: {update} to update, {collectives(metrics.merged, counts)} to read"


def main() -> None:
    """Trains, prints every epoch, and checks the counts of the last."""
    parser = options_of(__doc__)
    parser.add_argument(
        "--with", dest="way", choices=("shard_map", "jit"), help="train in one way only (default: both)"
    )
    parser.add_argument("--mesh", choices=("auto", "explicit"), default="auto", help="type of its axis (default: auto)")
    options = parser.parse_args()
    data = prepare(options)

    kind = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}[options.mesh]
    mesh = jax.make_mesh((data.devices,), (AXIS,), axis_types=(kind,))
    metrics = sm.Sharded(METRICS, mesh)
    ways = {"shard_map": with_shard_map(), "jit": with_jit(metrics)}
    with jax.set_mesh(mesh):
        state = jax.device_put(create(options.seed), P())
        last = {
            name: follow(
                f"{name}, {options.mesh} mesh", train(way, state, data, metrics, options.epochs), options.epochs
            )
            for name, way in ways.items()
            if options.way in (name, None)
        }
        print("", *conclude(last, metrics), sep="\n")


if __name__ == "__main__":
    main()
