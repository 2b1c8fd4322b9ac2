"""Precision and recall of each of three unequal classes, at every epoch of a training in Flax NNX.

Keras once computed both batch by batch and showed the mean over the batches. Here the same predictions are
read twice: *counted* over all examples by streammetrics, and *averaged* over batches as Keras did. Some
batches of 50 hold no example of the rarest class; its recall then reads 0 whatever the model does.

The model reads bytes, looks at five at a time, and attends to the places that tell the languages apart.
Nothing was tuned on the validation sentences, no class is weighted, and what is shown is the last epoch, not
the best.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from arguments import positive
from flax import nnx
from matplotlib.figure import Figure
from sentences import CLASS_NAMES, Sentences, describe, load
from tqdm import tqdm

import streammetrics as sm
from streammetrics.nnx import Metric

TASK = sm.Multiclass(3, inputs="logits", class_names=CLASS_NAMES)
COUNTED = sm.Collection(
    loss=sm.Mean("loss"),
    accuracy=sm.Accuracy(TASK),
    recall_c0=sm.Recall(TASK, class_id=0),
    precision_c0=sm.Precision(TASK, class_id=0),
    recall_c1=sm.Recall(TASK, class_id=1),
    precision_c1=sm.Precision(TASK, class_id=1),
    recall_c2=sm.Recall(TASK, class_id=2),
    precision_c2=sm.Precision(TASK, class_id=2),
    confusion=sm.ConfusionMatrix(TASK),
)
RATIOS = [f"{ratio}_c{index}" for index in range(len(CLASS_NAMES)) for ratio in ("recall", "precision")]

Batch = dict[str, Any]  # tokens, targets and weights: NumPy arrays, and JAX arrays within a jitted step


class Classifier(nnx.Module):
    """Bytes to logits: embedding, convolution over five neighbours, attention pooling, `Dense(3)`."""

    def __init__(self, rngs: nnx.Rngs, width: int = 64):
        self.embedding = nnx.Embed(256, width // 2, rngs=rngs)
        self.neighbours = nnx.Conv(width // 2, width, kernel_size=(5,), rngs=rngs)
        self.relevance = nnx.Linear(width, 1, rngs=rngs)
        self.logits = nnx.Linear(width, len(CLASS_NAMES), rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        features = nnx.relu(self.neighbours(self.embedding(tokens)))
        is_text = (tokens > 0)[..., None]
        # A row of padding has no text at all: a finite floor keeps its softmax and the gradient free of NaN.
        attention = nnx.softmax(jnp.where(is_text, self.relevance(features), -1e9), axis=1)
        return self.logits(jnp.sum(attention * features, axis=1))


def losses_of(logits: jax.Array, batch: Batch) -> jax.Array:
    """The sparse cross-entropy of every example."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])


def count(metrics: Metric, logits: jax.Array, losses: jax.Array, batch: Batch) -> None:
    """Adds the batch to what is counted."""
    metrics.update(predictions=logits, targets=batch["targets"], loss=losses, weights=batch["weights"])


def ratios_of(logits: jax.Array, batch: Batch) -> jax.Array:
    """The `RATIOS` within this one batch, as Keras 1.2.2 had them.

    A class that a batch lacks reads 0, by the 1e-7 in the denominators. Keras took a class as predicted where
    its probability rounds to 1; here it is the argmax, so that only the averaging tells the readings apart.
    """
    real = batch["weights"][:, None].astype(logits.dtype)
    predicted = real * jax.nn.one_hot(jnp.argmax(logits, axis=-1), len(CLASS_NAMES))
    true = real * jax.nn.one_hot(batch["targets"], len(CLASS_NAMES))
    hits = jnp.sum(predicted * true, axis=0)
    recall = hits / (jnp.sum(true, axis=0) + 1e-7)
    precision = hits / (jnp.sum(predicted, axis=0) + 1e-7)
    return jnp.stack([recall, precision], axis=1).ravel()


@nnx.jit
def train_step(model: Classifier, optimizer: nnx.Optimizer, metrics: Metric, batch: Batch) -> jax.Array:
    """Learns from the batch, counts it, and returns its own ratios."""

    def mean_loss(model: Classifier):
        logits = model(batch["tokens"])
        losses = losses_of(logits, batch)
        return jnp.mean(losses, where=batch["weights"]), (logits, losses)

    gradients, (logits, losses) = nnx.grad(mean_loss, has_aux=True)(model)
    optimizer.update(model, gradients)
    count(metrics, logits, losses, batch)
    return ratios_of(logits, batch)


@nnx.jit
def validation_step(model: Classifier, metrics: Metric, batch: Batch) -> jax.Array:
    """Counts the batch, and returns its own ratios."""
    logits = model(batch["tokens"])
    count(metrics, logits, losses_of(logits, batch), batch)
    return ratios_of(logits, batch)


def batches(rows: Batch, order: np.ndarray, size: int) -> Iterator[Batch]:
    """All rows in that order, `size` at a time; the last batch is padded, and its padding weighs nothing."""
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield sm.pad({name: values[chosen] for name, values in rows.items()}, size)


class Epoch(NamedTuple):
    """What an epoch measured, by Keras' names: those of validation begin with `val_`."""

    counted: dict[str, Any]  # over all examples
    averaged: dict[str, Any]  # over batches: the `RATIOS` alone


def train(known: Sentences, unseen: Sentences, options: argparse.Namespace) -> sm.History:
    """Trains a fresh model; every epoch is printed as it ends."""
    model = Classifier(nnx.Rngs(options.seed))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    metrics = Metric(COUNTED)
    shuffling = np.random.default_rng(options.seed)
    known_rows, unseen_rows, size = known.rows(), unseen.rows(), options.batch_size
    in_order, steps = np.arange(len(unseen)), number_of_batches(known, size)
    history = sm.History()
    # Without a terminal there is no bar; on one, `bar.write` prints above it.
    with tqdm(total=options.epochs * steps, unit="step", leave=False, disable=None) as bar:
        for number in range(1, options.epochs + 1):
            start = time.perf_counter()
            ratios = []
            for batch in batches(known_rows, shuffling.permutation(len(known)), size):
                ratios.append(train_step(model, optimizer, metrics, batch))
                bar.update()
            trained = read(metrics, ratios)
            ratios = [validation_step(model, metrics, batch) for batch in batches(unseen_rows, in_order, size)]
            epoch = Epoch(*map(both, trained, read(metrics, ratios)))
            history = history.add(number, epoch._asdict())
            bar.write(f"Epoch {number}/{options.epochs}")
            bar.write(keras_lines(epoch, steps, seconds=time.perf_counter() - start))
    return history


def number_of_batches(sentences: Sentences, batch_size: int) -> int:
    """How many batches hold all sentences, the last one filled up."""
    return -(-len(sentences) // batch_size)


def read(metrics: Metric, ratios: list[jax.Array]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was counted, and the ratios of the batches averaged; what comes next is counted from nothing."""
    counted = sm.plain(metrics.compute())
    metrics.reset()
    return counted, dict(zip(RATIOS, np.mean(ratios, axis=0).tolist(), strict=True))


def both(training: dict[str, Any], validation: dict[str, Any]) -> dict[str, Any]:
    """The values of training and validation in one dictionary."""
    return training | {f"val_{name}": value for name, value in validation.items()}


def keras_lines(epoch: Epoch, steps: int, seconds: float) -> str:
    """The epoch as Keras prints it, and below it what Keras once printed for the same predictions."""
    return (
        f"{steps}/{steps} - {seconds:.0f}s - {keras_values(epoch.counted, ['loss', 'accuracy', *RATIOS])}"
        f" - {keras_time(seconds)}/epoch - {keras_time(seconds / steps)}/step\n"
        f"      averaged over batches - {keras_values(epoch.averaged, RATIOS)}"
    )


def keras_values(values: dict[str, Any], names: list[str]) -> str:
    """`name: value` of training, then of validation; small values in scientific notation."""
    shown = [prefix + name for prefix in ("", "val_") for name in names]
    return " - ".join(f"{name}: {values[name]:{'.4f' if values[name] > 1e-3 else '.4e'}}" for name in shown)


def keras_time(seconds: float) -> str:
    """Whole seconds, or milliseconds below one second."""
    return f"{seconds:.0f}s" if seconds >= 1 else f"{1e3 * seconds:.0f}ms"


def summary(history: sm.History, unseen: Sentences, batch_size: int) -> str:
    """The last epoch's validation by class: counted, averaged over batches, and why the two differ."""
    total, last = number_of_batches(unseen, batch_size), history.at(history.epochs[-1])
    rows = [
        "Validation after the last epoch, in %: counted over all examples | averaged over batches",
        f"  {'class':<10} {'examples':>8}   {'recall':^15}   {'precision':^15}   {'batches with it':>15}",
    ]
    ceilings = []
    for index, (name, examples) in enumerate(zip(CLASS_NAMES, unseen.per_class(), strict=True)):
        present = len(np.unique(np.flatnonzero(unseen.targets == index) // batch_size))
        ceilings.append(present / total)
        ratios = (
            f"{100 * last[f'counted.{name}']:>6.1f} | {100 * last[f'averaged.{name}']:<6.1f}"
            for name in (f"val_recall_c{index}", f"val_precision_c{index}")
        )
        rows.append(f"  {name:<10} {examples:>8}   {'   '.join(ratios)}   {f'{present} of {total}':>15}")
    rarest = int(np.argmin(unseen.per_class()))
    examples = unseen.per_class()[rarest]
    rows.append(
        f"Averaged over these batches, a model without any error would read a {CLASS_NAMES[rarest]} recall of "
        f"{ceilings[rarest]:.1%}.\nEach of its {examples} examples is worth {100 / examples:.1f} points: "
        "read its recall no finer than that."
    )
    return "\n".join(rows)


def draw_curves(history: sm.History) -> Figure:
    """Recall and precision over the epochs, one column a class; dots are averages over batches."""
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    panels = figure.subplots(2, len(CLASS_NAMES), sharex=True, sharey=True)
    colours = {"training": "#0072B2", "validation": "#D55E00"}  # blue and vermilion: told apart by every eye
    for (row, column), panel in np.ndenumerate(panels):
        ratio = ("recall", "precision")[row]
        for part, colour in colours.items():
            name = f"{'val_' if part == 'validation' else ''}{ratio}_c{column}"
            panel.plot(*history[f"counted.{name}"], color=colour, label=f"{part}, counted")
            averaged = f"{part}, averaged over batches"
            panel.plot(*history[f"averaged.{name}"], color=colour, linestyle=":", label=averaged)
        panel.set(title=CLASS_NAMES[column] if row == 0 else "", ylim=(-0.03, 1.03))
        panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    for panel, ratio in zip(panels[:, 0], ("recall", "precision"), strict=True):
        panel.set_ylabel(ratio)
    figure.suptitle("The same predictions, counted over all examples and averaged over batches")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def draw_confusion(counts: np.ndarray) -> Figure:
    """The confusion matrix of validation: numbers are examples, shades are shares of a true class."""
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    panel = figure.subplots()
    shares = counts / counts.sum(axis=1, keepdims=True)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.5 else "black"
        panel.text(column, row, f"{count}\n{shares[row, column]:.1%}", ha="center", va="center", color=ink)
    panel.set_xticks(range(len(CLASS_NAMES)), CLASS_NAMES)
    panel.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES)
    panel.set(xlabel="predicted language", ylabel="true language")
    panel.set_title("Validation after the last epoch:\nsentences, and their share of the true language")
    return figure


def main() -> None:
    """Trains, prints every epoch and the summary, and writes two pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=positive, default=30, help="how long to train (default: 30)")
    parser.add_argument("--short", action="store_const", dest="epochs", const=10, help="10 epochs, for a quick check")
    parser.add_argument("--batch-size", type=positive, default=50, help="sentences a step (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order (default: 0)")
    parser.add_argument("--output", type=Path, help="folder of the pictures (default: `output` beside this script)")
    options = parser.parse_args()
    output = options.output or Path(__file__).parent / "output"

    known, unseen = load()
    print(describe(known, unseen))
    history = train(known, unseen, options)
    print(summary(history, unseen, options.batch_size))
    output.mkdir(parents=True, exist_ok=True)
    pictures = {
        "three_languages_curves.png": draw_curves(history),
        "three_languages_confusion.png": draw_confusion(history["counted.val_confusion"].values[-1]),
    }
    for name, figure in pictures.items():
        figure.savefig(output / name, dpi=100)
    print(f"Pictures: {', '.join(pictures)} in the folder {output.name}")


if __name__ == "__main__":
    main()
