"""What metrics add to a training step: those of two examples, without metrics, with ours, and in each peer's usual way.

The models, optimisers and batch sizes are those of `examples/binary_emoji.py` (Dense(1) on frozen features, Flax linen)
and `examples/three_languages.py` (an NNX model of bytes), written again, because the examples read their data with
packages that a benchmark does without; here features, bytes and targets are random. A step is compiled as a whole with
its metrics in it, and what it carries is donated. With numpy it returns the logits, which are counted on the host.

Everybody counts accuracy and the mean loss of the rows that are real; ours, numpy and the code by hand also precision
and recall. The steps are timed in turn, each until it is done: in a loop that does not wait, a part of what metrics
cost hides behind the next step. The step without metrics is timed twice: how far that ratio is from 1 is what the
others cannot tell from nothing. It is timed once more with one number in what it carries that grows by 1: how far that
ratio is from 1 is what XLA's schedule of a step costs with whatever is counted in it.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training import train_state
from jax import Array
from measuring import Options, Row, Run, amount, interleaved, ratio, same
from peers import TOLERANCES, Counter, Entries, agree, by_hand, of_clu, of_keras, of_metrax, of_nnx, of_numpy, ours

import streammetrics as sm
from streammetrics.nnx import Metric

REPETITIONS = 301
WINDOW = 1e-2
"""Seconds for which a side repeats its step in each of the repetitions: two or three of the greater steps, fifty of the
smaller, because in a training a step follows another of its own, not one of somebody else's."""
STEPS = 5
"""How many steps everybody does before what was counted is compared."""
OVER_NONE, OVER_HAND, ADDED = 1.03, 1.05, 20.0
"""The most that counts may take over no metrics, and AUROC over code by hand; and what AUROC may add, in µs."""
BINS, REACH = 4096, 16.0
"""Of AUROC by hand: how many bins, all of one width, and of which logits."""
AUROC_TOLERANCE = 1e-2
"""By hand, logits in the same bin (of 1/128) are ties: with so few rows one more tie is much."""


COUNTED = {
    "by hand": "the same four",
    "numpy on the host": "the same four",
    **dict.fromkeys(("clu", "metrax", "nnx", "keras"), "accuracy and loss"),
}


@dataclasses.dataclass(frozen=True)
class Side:
    """A training that counts in one way: a step of it, what it carries for the metrics, and how that is read."""

    run: Run
    counted: Callable[[], Any]
    read: Callable[[], Mapping[str, Any]]


Training = Callable[[Counter, Entries], Side]


def measure(options: Options) -> Iterator[Row]:
    """The smaller step, then the greater one."""
    yield from binary(options)
    yield from languages(options)


def binary(options: Options) -> Iterator[Row]:
    """Dense(1): counts beside everybody, and with AUROC beside a histogram by hand."""
    task = sm.Binary("logits", predictions="logits", weights="real")
    counts = {
        "loss": sm.Mean("losses", weights="real"),
        "accuracy": sm.Accuracy(task),
        "precision": sm.Precision(task),
        "recall": sm.Recall(task),
    }
    hand, batch = of_positives(by_hand(2, losses=True)), features()
    sides = {name: dense(counter, batch) for name, counter in _counters(ours(sm.Collection(counts)), hand, 2).items()}
    sides |= {
        "numpy on the host": on_host(dense, batch, of_positives(of_numpy(2, losses=True))),
        "ours with AUROC": dense(ours(sm.Collection(counts, auroc=sm.AUROC(task))), batch),
        "by hand with AUROC": dense(with_auroc(hand), batch),
    }
    times = _timed(options, sides)
    work = "step of Dense(1), 32 × 1,280"
    yield from _rows(work, times)
    more, none = times["ours with AUROC"], times["no metrics"]
    yield ratio(f"{work}, with AUROC", more, "no metrics", none)
    theirs = times["by hand with AUROC"]
    yield ratio(f"{work}, with AUROC", more, "by hand", theirs, OVER_HAND, _surety(more / theirs))
    yield amount(f"{work}, with AUROC: added", more - none, "µs", ADDED)


def languages(options: Options) -> Iterator[Row]:
    """The NNX model: counts beside everybody."""
    task = sm.Multiclass(3, "logits", predictions="logits", weights="real")
    metrics = sm.Collection(
        loss=sm.Mean("losses", weights="real"),
        accuracy=sm.Accuracy(task),
        precision=sm.Precision(task, average=None),
        recall=sm.Recall(task, average=None),
    )
    batch, counters = sentences(), _counters(of_adapter(metrics), by_hand(3, losses=True), 3)
    if options.quick:  # compiling takes its time, and the others count like this in the smaller step and in updates
        counters = {name: counters[name] for name in ("no metrics", "ours")}
    sides = {name: language_model(counter, batch) for name, counter in counters.items()}
    if not options.quick:
        sides["numpy on the host"] = on_host(language_model, batch, of_numpy(3, losses=True))
    yield from _rows("step of the NNX model, 50 × 96 bytes", _timed(options, sides))


def _counters(mine: Counter, hand: Counter, classes: int) -> dict[str, Counter]:
    """Everybody who counts in the step."""
    binary = classes == 2
    none = Counter(tuple, lambda state, entries: state, lambda state: {})
    return {
        "no metrics": none,
        "the same again": none,
        "its steps": Counter(lambda: jnp.zeros((), jnp.int32), lambda state, entries: state + 1, lambda state: {}),
        "ours": mine,
        "by hand": hand,
        "clu": of_clu(binary, losses=True),
        "metrax": of_metrax(losses=True),
        "nnx": of_nnx(binary, losses=True),
        "keras": of_keras(binary, losses=True),
    }


def _timed(options: Options, sides: Mapping[str, Side]) -> dict[str, np.ndarray]:
    """Microseconds a step of each side, after what they counted in the first ones was found to be the same."""
    for side in sides.values():
        for _ in range(STEPS):
            side.run()
    values = {name: side.read() for name, side in sides.items()}
    for name, read in values.items():
        if name in TOLERANCES:
            agree(values["ours"], read, name)
    if "ours with AUROC" in values:
        areas = (values[f"{who} with AUROC"]["auroc"] for who in ("ours", "by hand"))
        same(*areas, rtol=0.0, atol=AUROC_TOLERANCE, who="AUROC by hand")
    runs = {name: side.run for name, side in sides.items()}
    return interleaved(runs, options, REPETITIONS, REPETITIONS, WINDOW)


def _rows(work: str, times: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """Ours over no metrics and over everybody, and what each adds."""
    counts, none = times["ours"], times["no metrics"]
    if (again := times.get("the same again")) is not None:
        yield ratio(f"{work}, no metrics", again, "the same again", none, note=_surety(again / none))
    if (steps := times.get("its steps")) is not None:
        yield ratio(f"{work}, counting its steps", steps, "no metrics", none, note=_surety(steps / none))
    yield ratio(work, counts, "no metrics", none, OVER_NONE, _surety(counts / none))
    yield amount(f"{work}: added", counts - none, "µs")
    for name in [name for name in COUNTED if name in times]:
        added = float(np.median(times[name] - none))
        yield ratio(work, counts, name, times[name], note=f"{COUNTED[name]}; adds {added:.3g} µs")


def _surety(ratios: np.ndarray) -> str:
    """Between which ratios the median lies with 95 %, whatever their distribution: ranks of a binomial."""
    reach = 0.98 / len(ratios) ** 0.5
    low, high = np.quantile(ratios, (max(0.5 - reach, 0), min(0.5 + reach, 1)))
    return f"median within {low:.3f} – {high:.3f} (95 %)"


# The two steps


class TrainState(train_state.TrainState):
    """Flax' own with what is counted."""

    counted: Any


class Dense(nn.Module):
    """Features to one logit a row."""

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        return nn.Dense(1, kernel_init=nn.initializers.glorot_uniform())(inputs)[:, 0]


def dense(counter: Counter, batch: Entries) -> Side:
    """The head on frozen features: RMSprop, binary cross-entropy."""
    head = Dense()
    parameters = head.init(jax.random.key(0), batch["inputs"])["params"]
    optimiser = optax.rmsprop(1e-4, eps=1e-7)
    state = TrainState.create(apply_fn=head.apply, params=parameters, tx=optimiser, counted=counter.init())
    states = [jax.tree.map(jnp.array, state)]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, batch: Entries) -> TrainState:
        def mean_loss(parameters: Any) -> tuple[Array, Entries]:
            logits = state.apply_fn({"params": parameters}, batch["inputs"])
            losses = optax.sigmoid_binary_cross_entropy(logits, batch["targets"].astype(logits.dtype))
            return jnp.mean(losses, where=batch["real"]), _entries(logits, losses, batch)

        gradients, entries = jax.grad(mean_loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradients, counted=counter.update(state.counted, entries))

    def run() -> Any:
        states[0] = step(states[0], batch)
        return states[0].step

    return Side(run, lambda: states[0].counted, lambda: counter.read(states[0].counted))


class Classifier(nnx.Module):
    """Bytes to logits: embedding, convolution over five neighbours, attention over the places."""

    def __init__(self, rngs: nnx.Rngs, width: int = 64):
        self.embedding = nnx.Embed(256, width // 2, rngs=rngs)
        self.neighbours = nnx.Conv(width // 2, width, kernel_size=(5,), rngs=rngs)
        self.relevance = nnx.Linear(width, 1, rngs=rngs)
        self.logits = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, inputs: Array) -> Array:
        features = nnx.relu(self.neighbours(self.embedding(inputs)))
        relevance = jnp.where((inputs > 0)[..., None], self.relevance(features), -1e9)
        return self.logits(jnp.sum(nnx.softmax(relevance, axis=1) * features, axis=1))


def language_model(counter: Counter, batch: Entries) -> Side:
    """The NNX model: Adam, cross-entropy."""
    model = Classifier(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    states = [jax.tree.map(jnp.array, counter.init())]

    @functools.partial(nnx.jit, donate_argnums=(0, 1, 2))
    def step(model: Classifier, optimizer: nnx.Optimizer, counted: Any, batch: Entries) -> Any:
        def mean_loss(model: Classifier) -> tuple[Array, Entries]:
            logits = model(batch["inputs"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
            return jnp.mean(losses, where=batch["real"]), _entries(logits, losses, batch)

        gradients, entries = nnx.grad(mean_loss, has_aux=True)(model)
        optimizer.update(model, gradients)
        return counter.update(counted, entries)

    def run() -> Any:
        states[0] = step(model, optimizer, states[0], batch)
        return optimizer.step.get_value()

    return Side(run, lambda: states[0], lambda: counter.read(states[0]))


def _entries(logits: Array, losses: Array, batch: Entries) -> Entries:
    return {"logits": logits, "losses": losses, "targets": batch["targets"], "real": batch["real"]}


# Ways to count that only a training has


def of_adapter(metrics: sm.Metric) -> Counter:
    """Ours as an `nnx.Metric`, as the example has it."""

    def update(held: Metric, entries: Entries) -> Metric:
        held.update(**entries)
        return held

    return Counter(lambda: Metric(metrics), update, lambda held: held.compute())


def of_positives(counter: Counter) -> Counter:
    """Of what somebody reads of two classes, that of the second."""

    def read(state: Any) -> Mapping[str, Any]:
        return {name: value[1] if np.ndim(value) else value for name, value in counter.read(state).items()}

    return dataclasses.replace(counter, read=read)


def with_auroc(counter: Counter) -> Counter:
    """By hand, beside what it counts: the real rows by target and by bin of the logit, in int32."""

    def init() -> Any:
        return {"rest": counter.init(), "bins": jnp.zeros((2, BINS), jnp.int32)}

    def update(state: Any, entries: Entries) -> Any:
        place = jnp.clip((entries["logits"] + REACH) * (BINS / (2 * REACH)), 0, BINS - 1).astype(jnp.int32)
        bins = state["bins"].at[entries["targets"], place].add(entries["real"].astype(jnp.int32))
        return {"rest": counter.update(state["rest"], entries), "bins": bins}

    def read(state: Any) -> Mapping[str, Any]:
        negatives, positives = np.asarray(state["bins"], np.float64)
        below = np.cumsum(negatives) - negatives / 2
        area = np.sum(positives * below) / (positives.sum() * negatives.sum())
        return {**counter.read(state["rest"]), "auroc": area}

    return Counter(init, update, read)


def on_host(training: Training, batch: Entries, counter: Counter) -> Side:
    """The step gives logits and losses back, and what is of numpy counts them when they are there."""
    side = training(OUTPUTS, batch)
    state = counter.init()
    known = {name: np.asarray(batch[name]) for name in ("targets", "real")}

    def run() -> None:
        side.run()
        counter.update(state, known | {name: np.asarray(array) for name, array in side.counted().items()})

    return Side(run, side.counted, lambda: counter.read(state))


OUTPUTS = Counter(
    lambda: {"logits": jnp.zeros(()), "losses": jnp.zeros(())},
    lambda state, entries: {name: entries[name] for name in state},
    lambda state: state,
)
"""Nothing is counted: what is carried is what the last step gave."""


# Batches


def features() -> Entries:
    """32 rows of 1,280 features, as an average over pixels gives them: none below 0; and their targets."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((32, 1280), dtype=np.float32).clip(0)
    return _batch(inputs, random.integers(0, 2, 32))


def sentences() -> Entries:
    """50 rows of up to 96 bytes, then zeros; and their classes, unequal as in the example."""
    random = np.random.default_rng(0)
    inputs = random.integers(1, 256, (50, 96))
    inputs[np.arange(96) >= random.integers(20, 97, (50, 1))] = 0
    return _batch(inputs.astype(np.int32), random.choice(3, 50, p=(0.898, 0.067, 0.035)))


def _batch(inputs: np.ndarray, targets: np.ndarray) -> Entries:
    """The last row is padding, as in an epoch's last batch."""
    real = np.arange(len(targets)) < len(targets) - 1
    batch = {"inputs": inputs, "targets": targets.astype(np.int32), "real": real}
    return {name: jnp.asarray(array) for name, array in batch.items()}
