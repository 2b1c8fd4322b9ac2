"""Updates of accuracy, and of precision, recall and F1 of each class, from logits.

Ours is the whole collection. CLU, metrax, nnx and Keras have no metrics of each class of such logits (but Keras has
F1), and count accuracy alone; torchmetrics, torcheval, scikit-learn and the code by hand count all four. What runs on
JAX is compiled, with a state that is donated from step to step; torch works in place; scikit-learn carries nothing and
reads one batch. Floors are one read of the logits (`jnp.max`, `jnp.argmax`) and one copy of them.

The greatest logit of a row stands clear of the others, so that nobody has ties to break, in bfloat16 neither.
"""

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import sklearn.metrics
import torch  # pyright: ignore[reportMissingImports]
import torcheval.metrics as torcheval  # pyright: ignore[reportMissingImports]
import torchmetrics.classification as torchmetrics  # pyright: ignore[reportMissingImports]
from jax import Array, lax
from measuring import Options, Row, Run, amount, interleaved, ratio
from peers import Counter, Entries, agree, by_hand, of_clu, of_keras, of_metrax, of_nnx, of_numpy, ours, stepped
from torchmetrics import MetricCollection  # pyright: ignore[reportMissingImports]

import streammetrics as sm

WINDOW = 1e-3
"""Seconds for which a side repeats a fast update: the first ones find the caches full of what another side left."""
LARGEST_TABLE = 8192
"""The most classes for which torchmetrics can count each class: it makes a table of their square (int64) per update."""
ONE_HOT = 1000
"""The most classes for which Keras is asked for F1: it makes several arrays as large as the logits."""
BFLOAT16_IDS = 256
"""The most classes of which Keras is given bfloat16 logits: it rounds class ids to their dtype."""
FLOAT32, BFLOAT16 = np.dtype(np.float32), np.dtype(jnp.bfloat16)
FOUR = "{accuracy, precision, recall, F1}"


class Shape(NamedTuple):
    """Logits, and what is promised of them: the most that the four metrics may take over others."""

    rows: int
    classes: int
    best: float | None = None
    """Over the best peer."""
    floors: Mapping[str, float] = {}
    """Over the named floors."""
    more: float | None = None
    """With log loss and top 5 over without."""
    peers: bool = True


SHAPES = (
    Shape(256, 10, best=1.2),
    Shape(4096, 1000, best=0.25, floors={"jnp.max": 3.0}, more=2.0),
    Shape(65_536, 10, best=1.2, floors={"jnp.argmax": 2.5}, more=2.0),
    Shape(256, 50_000, best=0.25, floors={"jnp.max": 1.6}, more=2.0),
    Shape(16_384, 100, peers=False),
    Shape(1024, 30_522, peers=False),
)
BY_HAND = {"by hand", "numpy on the host"}
"""Who is no peer with a library."""
QUICK = ((Shape(256, 10), FLOAT32), (Shape(8, 50_000), BFLOAT16), (Shape(64, 100, peers=False), FLOAT32))
"""With one shape of each kind everything runs."""
SCANS = ((256, 10, 400, 3.0), (4096, 10, 100, 2.0), (256, 1000, 50, None))
"""Rows, classes, steps, and what {accuracy, mean loss} may take over the same by hand."""


def measure(options: Options) -> Iterator[Row]:
    """Updates in jit by shape and dtype, eager ones, and those in a scan."""
    for shape, dtype in QUICK if options.quick else itertools.product(SHAPES, (FLOAT32, BFLOAT16)):
        yield from jitted(options, shape, dtype)
    yield from eager(options)
    for rows, classes, steps, target in SCANS[: options.size(len(SCANS), 1)]:
        metrics = sm.Collection(accuracy=_four(classes)["accuracy"], loss=sm.Mean("losses"))
        batches = stacked(options.size(steps, 4), rows, classes)
        work = f"{{accuracy, mean loss}}, {rows:,} × {classes:,}"
        yield scanned(options, work, metrics, loss_by_hand(), batches, target)
    batches = stacked(options.size(100, 4), 4096, 10)
    del batches["losses"]
    yield scanned(options, f"{FOUR}, 4,096 × 10", _collection(10), by_hand(10), batches, 1.5)


@functools.cache
def _collection(classes: int) -> sm.Collection:
    return sm.Collection(_four(classes))


def _four(classes: int) -> dict[str, sm.Metric]:
    task = _task(classes)
    return {
        "accuracy": sm.Accuracy(task),
        "precision": sm.Precision(task, average=None),
        "recall": sm.Recall(task, average=None),
        "f1": sm.F1(task, average=None),
    }


def _two(classes: int) -> dict[str, sm.Metric]:
    return {"loss": sm.LogLoss(_task(classes)), "top": sm.TopKAccuracy(_task(classes), k=5)}


def _task(classes: int) -> sm.Multiclass:
    return sm.Multiclass(classes, "logits", predictions="logits")


# Updates in jit


class Peer(NamedTuple):
    """How somebody else counts a batch, and what to say of it."""

    counter: Counter
    run: Run
    note: str = ""


def jitted(options: Options, shape: Shape, dtype: np.dtype) -> Iterator[Row]:
    """The four metrics beside every peer and floor, and with two more beside without."""
    rows, classes = shape.rows, shape.classes
    logits, targets = batch(rows, classes)
    entries = on_device(logits, targets, dtype)
    metrics, more = _collection(classes), sm.Collection(_four(classes) | _two(classes))
    runs = {"ours": stepped(ours(metrics), entries), "more": stepped(ours(more), entries)}
    peers = dict(_peers(logits, targets, entries, classes)) if shape.peers else {}
    values = metrics.compute(runs["ours"]())
    for name, peer in peers.items():
        agree(values, peer.counter.read(peer.run()), name)
    runs |= {name: peer.run for name, peer in peers.items()} | _floors(entries["logits"])
    times = interleaved(runs, options, window=WINDOW)

    size = f"{rows:,} × {classes:,}, {dtype.name}"
    beside = functools.partial(ratio, f"{FOUR}, {size}", times["ours"])
    for name, peer in peers.items():
        yield beside(name, times[name], note=peer.note)
    if peers:
        best = min(peers.keys() - BY_HAND, key=lambda name: float(np.median(times[name])))
        yield beside(f"the best peer ({best})", times[best], shape.best, peers[best].note)
    for name in ("jnp.max", "jnp.argmax"):
        note = "overlooks NaN on CPU: no equal" if name == "jnp.max" else ""
        yield beside(name, times[name], shape.floors.get(name), note)
    reach = float(np.median(times["a memory copy"] / times["ours"])) / 2
    yield beside("a memory copy", times["a memory copy"], note=f"read at {reach:.0%} of its bandwidth")
    yield ratio(f"with log loss and top 5, {size}", times["more"], "the four alone", times["ours"], shape.more)


def _peers(logits: np.ndarray, targets: np.ndarray, entries: Entries, classes: int) -> Iterator[tuple[str, Peer]]:
    """Everybody with the batch in their own type; who takes no bfloat16 gets the same logits in float32."""
    dtype, alone = entries["logits"].dtype, "accuracy alone"
    yield "by hand", _stepped(by_hand(classes), entries)
    arrays, host = {"logits": logits, "targets": targets}, "" if dtype == FLOAT32 else "of float32"
    yield "numpy on the host", _hosted(of_numpy(classes), arrays, host)
    yield "clu", _stepped(of_clu(), entries, alone)
    yield "metrax", _stepped(of_metrax(), entries, alone)
    yield "nnx", _stepped(of_nnx(), entries, alone)

    exact = dtype == FLOAT32 or classes <= BFLOAT16_IDS
    keras, wide = entries if exact else on_device(logits, targets), "" if exact else ", of float32: it rounds class ids"
    yield "keras", _stepped(of_keras(), keras, alone + wide)
    if classes <= ONE_HOT:
        yield "keras with F1", _stepped(of_keras(f1_of=classes), keras, f"accuracy and F1 of each class{wide}")

    tensors = {"logits": torch.tensor(logits).to(getattr(torch, dtype.name)), "targets": torch.tensor(targets).long()}
    if classes <= LARGEST_TABLE:
        yield "torchmetrics", _hosted(of_torchmetrics(classes), tensors)
    else:
        note = f"{alone}: for each class it would make a table of {classes:,}² cells"
        yield "torchmetrics", _hosted(of_torchmetrics_alone(classes), tensors, note)
    yield "torcheval", _hosted(of_torcheval(classes), tensors)

    yield "scikit-learn", _hosted(of_scikit_learn(classes), arrays, ", ".join(filter(None, ("of one batch", host))))


def _stepped(counter: Counter, entries: Entries, note: str = "") -> Peer:
    return Peer(counter, stepped(counter, entries), note)


def _hosted(counter: Counter, entries: Entries, note: str = "") -> Peer:
    states = [counter.init()]

    def run() -> Any:
        states[0] = counter.update(states[0], entries)
        return states[0]

    return Peer(counter, run, note)


def of_torchmetrics(classes: int) -> Counter:
    """Its four, which share one state: accuracy is the mean recall weighted by the classes' shares, of the same counts.

    `average="micro"` would be a group of its own, with an argmax of its own.
    """
    kinds = {
        "accuracy": (torchmetrics.MulticlassAccuracy, "weighted"),
        "precision": (torchmetrics.MulticlassPrecision, None),
        "recall": (torchmetrics.MulticlassRecall, None),
        "f1": (torchmetrics.MulticlassF1Score, None),
    }
    return _of_torchmetrics(
        {name: kind(classes, average=average, validate_args=False) for name, (kind, average) in kinds.items()}
    )


def of_torchmetrics_alone(classes: int) -> Counter:
    """Its accuracy, which needs no table."""
    return _of_torchmetrics(
        {"accuracy": torchmetrics.MulticlassAccuracy(classes, average="micro", validate_args=False)}
    )


def _of_torchmetrics(metrics: dict[str, Any]) -> Counter:
    def update(state: Any, entries: Entries) -> Any:
        state.update(entries["logits"], entries["targets"])
        return state

    return Counter(lambda: MetricCollection(metrics, compute_groups=True), update, lambda state: state.compute())


def of_torcheval(classes: int) -> Counter:
    """Its four, of one argmax: they take labels too."""
    kinds = {
        "accuracy": (torcheval.MulticlassAccuracy, {}),
        "precision": (torcheval.MulticlassPrecision, {"num_classes": classes, "average": None}),
        "recall": (torcheval.MulticlassRecall, {"num_classes": classes, "average": None}),
        "f1": (torcheval.MulticlassF1Score, {"num_classes": classes, "average": None}),
    }

    def update(state: Any, entries: Entries) -> Any:
        label = entries["logits"].argmax(-1)
        for metric in state.values():
            metric.update(label, entries["targets"])
        return state

    def read(state: Any) -> Mapping[str, Any]:
        logging.disable(logging.WARNING)  # it names every class that does not occur
        try:
            return {name: metric.compute() for name, metric in state.items()}
        finally:
            logging.disable(logging.NOTSET)

    return Counter(lambda: {name: kind(**options) for name, (kind, options) in kinds.items()}, update, read)


def of_scikit_learn(classes: int) -> Counter:
    """All that it knows of a batch: there is no state."""
    labels = np.arange(classes)
    undefined: Any = 0.0  # its type is told only by its default, a text

    def update(state: Any, entries: Entries) -> Any:
        label, targets = entries["logits"].argmax(-1), entries["targets"]
        accuracy = np.mean(label == targets)
        each = sklearn.metrics.precision_recall_fscore_support(targets, label, labels=labels, zero_division=undefined)
        return accuracy, *each

    names = ("accuracy", "precision", "recall", "f1")
    return Counter(lambda: None, update, lambda state: dict(zip(names, state, strict=False)))  # the last is the support


def _floors(logits: Array) -> dict[str, Run]:
    """One read of the logits, by rows, and one copy into memory that is there already, because it is donated."""
    # Without the barrier JAX would give back what it was given.
    copy = jax.jit(lambda to, logits: lax.optimization_barrier(logits), donate_argnums=0, keep_unused=True)
    copies = [jnp.zeros_like(logits)]

    def copied() -> Any:
        copies[0] = copy(copies[0], logits)
        return copies[0]

    greatest, place = (jax.jit(functools.partial(reduce, axis=-1)) for reduce in (jnp.max, jnp.argmax))
    return {"jnp.max": lambda: greatest(logits), "jnp.argmax": lambda: place(logits), "a memory copy": copied}


# Eager updates


def eager(options: Options) -> Iterator[Row]:
    """The four metrics outside of jit, beside the least that JAX takes for a call."""
    metrics, entries = _collection(10), on_device(*batch(256, 10))
    equal = sm.Collection(_four(10))  # made anew, as by another module
    state = metrics.init()
    arrays, label = jax.tree.leaves(state), jax.jit(lambda logits: jnp.argmax(logits, -1))
    # As many arrays in and out as the update has. It adds to each, because JAX returns what it is given uncomputed.
    nothing = jax.jit(lambda arrays, entries: [array + 1 for array in arrays], keep_unused=True)
    runs = {
        "ours": lambda: metrics.update(state, **entries),
        "equal": lambda: equal.update(state, **entries),
        "jitted no-op on the same arrays": lambda: nothing(arrays, entries),
        "jitted argmax": lambda: label(entries["logits"]),
    }
    times = interleaved(runs, options, window=WINDOW)
    work = f"{FOUR}, 256 × 10, eager"
    yield amount(work, times["ours"], "µs", 60.0)
    yield amount(f"{work}, by an equal collection", times["equal"], "µs", 60.0)
    for name in list(runs)[2:]:
        yield ratio(work, times["ours"], name, times[name])


# Updates in a scan


def scanned(
    options: Options, work: str, metrics: sm.Metric, hand: Counter, batches: Entries, target: float | None
) -> Row:
    """Our state as the carry of a scan over stacked batches, beside the state of code by hand; times are of a step."""
    steps, runs = len(batches["targets"]), {}
    for name, counter in {"ours": ours(metrics), "by hand": hand}.items():
        step = jax.jit(functools.partial(_scan, counter))
        state = counter.init()
        runs[name] = functools.partial(step, state, batches)
    agree(metrics.compute(runs["ours"]()), hand.read(runs["by hand"]()), "by hand")
    times = {name: each / steps for name, each in interleaved(runs, options).items()}
    return ratio(f"{work}, a step of a scan", times["ours"], "by hand", times["by hand"], target)


def _scan(counter: Counter, state: Any, batches: Entries) -> Any:
    return lax.scan(lambda state, entries: (counter.update(state, entries), None), state, batches)[0]


def loss_by_hand() -> Counter:
    """Accuracy and the mean loss: right answers and rows in int32, losses in float32."""

    def update(state: Any, entries: Entries) -> Any:
        right, loss, count = state
        hits = jnp.argmax(entries["logits"], -1) == entries["targets"]
        return right + jnp.sum(hits), loss + jnp.sum(entries["losses"]), count + len(hits)

    return Counter(
        lambda: (jnp.int32(0), jnp.float32(0), jnp.int32(0)),
        update,
        lambda state: {"accuracy": state[0] / state[2], "loss": state[1] / state[2]},
    )


# Batches


def batch(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose greatest is right in 7 of 10 rows and 8 in all, where none of the others reaches 7; and targets."""
    random = np.random.default_rng(0)
    logits = random.standard_normal((rows, classes), dtype=np.float32)
    targets = random.integers(0, classes, rows, dtype=np.int32)
    labels = np.where(random.random(rows) < 0.7, targets, random.integers(0, classes, rows))
    logits[np.arange(rows), labels] = 8.0
    return logits, targets


def on_device(logits: np.ndarray, targets: np.ndarray, dtype: np.dtype = FLOAT32) -> dict[str, Array]:
    return {"logits": jnp.asarray(logits, dtype), "targets": jnp.asarray(targets)}


def stacked(steps: int, rows: int, classes: int) -> dict[str, Array]:
    """A batch for each step, with losses."""
    logits, targets = batch(steps * rows, classes)
    losses = np.random.default_rng(1).random((steps, rows), dtype=np.float32)
    entries = on_device(logits.reshape(steps, rows, classes), targets.reshape(steps, rows))
    return {**entries, "losses": jnp.asarray(losses)}
