"""What `pmap_training.py` and `sharded_training.py` share: the data, the model, its gradient, and what is printed.

The sentences are those of `sentences.py`, the model is that of `three_languages.py`. Every way of training goes over
the same batches and sums the same gradient, so that all of them train the same model up to rounding.
"""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from arguments import positive
from flax import nnx
from flax.training.train_state import TrainState
from sentences import CLASS_NAMES, describe, load
from three_languages import TASK, Classifier, losses_of
from tqdm import tqdm

import streammetrics as sm

METRICS = sm.Collection(
    loss=sm.Mean("loss", exact=True),  # summed without rounding, so that any number of devices gives the same bits
    accuracy=sm.Accuracy(TASK),
    recall=sm.Recall(TASK, average=None),
)

Batch = dict[str, Any]  # tokens, targets and weights
Entries = dict[str, Any]  # what the metrics read of a batch


class Data(NamedTuple):
    """The sentences to train on and to validate on, and the batches that they come in."""

    known: Batch
    unseen: Batch
    batch_size: int
    devices: int
    seed: int

    @property
    def padded_size(self) -> int:
        """The rows of a padded batch: the least number not below `batch_size` that the devices can share."""
        return -(-self.batch_size // self.devices) * self.devices

    def training(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, which has its own order."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.known["targets"]))
        return self._batches(self.known, order)

    def validation(self) -> Iterator[Batch]:
        """The batches to validate on."""
        return self._batches(self.unseen, np.arange(len(self.unseen["targets"])))

    def _batches(self, rows: Batch, order: np.ndarray) -> Iterator[Batch]:
        """All rows and all of one shape: no row is dropped, and the padding has the weight 0."""
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield sm.pad({name: values[chosen] for name, values in rows.items()}, self.padded_size)


def create(seed: int) -> TrainState:
    """A fresh model and its optimiser; the model as a pure function of its parameters."""
    graph, parameters = nnx.split(Classifier(nnx.Rngs(seed)), nnx.Param)

    def apply(parameters: nnx.State, tokens: jax.Array) -> jax.Array:
        return nnx.merge(graph, parameters)(tokens)

    return TrainState.create(apply_fn=apply, params=parameters, tx=optax.adam(1e-3))


def predict(state: TrainState, batch: Batch) -> Entries:
    """What the metrics read of a batch."""
    logits = state.apply_fn(state.params, batch["tokens"])
    losses = losses_of(logits, batch)
    return {"predictions": logits, "targets": batch["targets"], "loss": losses, "weights": batch["weights"]}


def real_rows(batch: Batch) -> jax.Array:
    """How many rows of a batch are no padding."""
    return jnp.sum(batch["weights"], dtype=jnp.float32)


def gradient_of(state: TrainState, batch: Batch, total: jax.Array) -> tuple[Any, Entries]:
    """The gradient of the loss, and what the metrics read.

    `total` is the number of real rows on all devices. Divided by it, the losses of a device's own rows give its share:
    the *sum* of the shares is the gradient of the mean over all real rows, wherever they lie. (The mean of the devices'
    means would be another one: it favours the rows of devices that hold much padding.)
    """

    def loss(parameters: Any) -> tuple[jax.Array, Entries]:
        entries = predict(state.replace(params=parameters), batch)
        return jnp.sum(entries["loss"], where=batch["weights"]) / total, entries

    return jax.grad(loss, has_aux=True)(state.params)


class Epoch(NamedTuple):
    """What all devices together counted in an epoch, and the predictions that its validation counted."""

    training: sm.State
    validation: sm.State
    predicted: list[Entries]

    def values(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The metrics of training and of validation."""
        return sm.plain(METRICS.compute(self.training)), sm.plain(METRICS.compute(self.validation))


HEADER = "{:>8}{:>10}{:>9}{:>9}{:>12}".format("loss", "accuracy", *CLASS_NAMES)
VALUES = "{loss:8.4f}{accuracy:10.1%}{recall[0]:9.1%}{recall[1]:9.1%}{recall[2]:12.1%}"


def follow(title: str, epochs: Iterable[Epoch], count: int) -> Epoch:
    """Prints every epoch as it ends, and returns the last one."""
    print(
        f"\n{title}\n     {'training':>18}{'recall':>30}   {'validation':>18}{'recall':>30}\nepoch{HEADER}   {HEADER}"
    )
    last = None
    # Without a terminal there is no bar; on one, `tqdm.write` prints above it.
    for number, last in enumerate(tqdm(epochs, total=count, unit="epoch", leave=False, disable=None), 1):
        training, validation = last.values()
        tqdm.write(f"{number:5}{VALUES.format(**training)}   {VALUES.format(**validation)}")
    assert last is not None, "there is at least one epoch"
    return last


def check(name: str, last: Epoch) -> str:
    """Counts the last validation once more, on one device and from the same predictions: not a bit may differ."""
    once_more = sm.merge(*(METRICS.tally(**in_rows(entries)) for entries in jax.device_get(last.predicted)))
    assert sm.to_bytes(once_more) == sm.to_bytes(last.validation)
    return f"{name}: one device counts the predictions of the last validation to the same state, bit for bit"


def in_rows(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries with one axis of rows, where devices have each their own."""
    axes = entries["weights"].ndim
    return {name: entry.reshape(-1, *entry.shape[axes:]) for name, entry in entries.items()}


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options that both scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=positive, default=8, help="at most so many; a CPU counts as any number (8)")
    parser.add_argument("--epochs", type=positive, default=30, help="how long to train (default: 30)")
    parser.add_argument("--short", action="store_const", dest="epochs", const=10, help="10 epochs, for a quick check")
    parser.add_argument(
        "--batch-size", type=positive, default=50, help="sentences a step, on all devices (default: 50)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order (default: 0)")
    return parser


def prepare(options: argparse.Namespace) -> Data:
    """The data, for the devices that there are; prints what both are."""
    jax.config.update("jax_num_cpu_devices", options.devices)  # before JAX is first asked for a device or an array
    devices = jax.devices()[: options.devices]
    known, unseen = load()
    data = Data(known.rows(), unseen.rows(), options.batch_size, len(devices), options.seed)
    print(describe(known, unseen))
    print(
        f"Every step: {data.batch_size} sentences, {data.padded_size // data.devices} rows a device with the padding."
    )
    print(f"Devices: {data.devices} ({devices[0].platform})")
    return data
