"""What "accuracy" says of raw outputs: animals against food, with three heads on one frozen backbone.

A question of 2019 asks how accuracy is computed when the last layer has no sigmoid. Here its models are
trained and read in three ways. Each drawing is embedded once, as it is and mirrored; what is trained is
Dense(1) on the embedding (RMSprop 1e-4, batches of 32, binary cross-entropy), in folds, so that every drawing
is validated by a model that has not seen it. The metrics live in the train state and are updated inside the
compiled step.
"""

import argparse
import dataclasses
import functools
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from efficientnet_lite0 import EfficientNetLite0, load_variables
from emoji import ATTRIBUTION, CLASS_NAMES, load_emoji, stratified_folds
from matplotlib.figure import Figure
from tqdm import tqdm

import streammetrics as sm
from streammetrics.flax import TrainState
from streammetrics.keras import RoundedAccuracy
from streammetrics.plotting import plot_reliability, plot_roc

BATCH = 32
EPSILON = 1e-7  # Keras' own: probabilities are kept this far from 0 and 1

CALIBRATION_BINS = 10
LOGITS = sm.Binary("logits", class_names=CLASS_NAMES)
OUTPUTS = sm.Binary("scores", threshold=0.5, predictions="outputs")
METRICS = sm.Collection(
    loss=sm.Mean("loss"),
    above_0=sm.Accuracy(LOGITS),
    above_half=sm.Accuracy(OUTPUTS),
    rounded=RoundedAccuracy(OUTPUTS),  # a rounded output may be 2 or -1, which is wrong for both classes
    precision=sm.Precision(LOGITS),
    recall=sm.Recall(LOGITS),
    confusion_above_0=sm.ConfusionMatrix(LOGITS),
    confusion_above_half=sm.ConfusionMatrix(OUTPUTS),
    stuck=sm.Mean("stuck"),
    auroc=sm.AUROC(LOGITS),
    calibration=sm.CalibrationError(LOGITS, CALIBRATION_BINS),
)
READINGS = {"above_0": "logit > 0", "above_half": "output > 0.5", "rounded": "output rounded"}

Values = dict[str, Any]


class Setup(NamedTuple):
    """What follows Dense(1): the activation, and the loss of each example given what the activation gave."""

    title: str
    activation: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, jax.Array], jax.Array]


def cross_entropy_of_probabilities(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    # Where the clip holds an output back its gradient is zero, as in Keras.
    p = jnp.clip(outputs, EPSILON, 1 - EPSILON)
    return -(targets * jnp.log(p) + (1 - targets) * jnp.log1p(-p))


SETUPS = {
    "logit": Setup("Logit head: loss from logits", jax.nn.identity, optax.sigmoid_binary_cross_entropy),
    "sigmoid": Setup("Sigmoid head: loss from probabilities", jax.nn.sigmoid, cross_entropy_of_probabilities),
    "raw": Setup("Raw head: no sigmoid, loss from probabilities", jax.nn.identity, cross_entropy_of_probabilities),
}


class Head(nn.Module):
    """Features (N, 1280) to logits (N,), with the initial weights of Keras."""

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        return nn.Dense(1, kernel_init=nn.initializers.glorot_uniform())(features)[:, 0]


def observe(setup: Setup, logits: jax.Array, batch: Values) -> Values:
    """The entries of a batch that the metrics read."""
    outputs = setup.activation(logits)
    targets = batch["targets"].astype(outputs.dtype)
    return {
        "predictions": logits,
        "outputs": outputs,
        "targets": batch["targets"],
        "loss": setup.loss(outputs, targets),
        "stuck": jnp.where(targets == 1, outputs <= EPSILON, outputs >= 1 - EPSILON).astype(outputs.dtype),
        "weights": batch["weights"],
    }


@functools.partial(jax.jit, static_argnames="setup")
def train_step(state: TrainState, batch: Values, setup: Setup) -> TrainState:
    def mean_loss(params: Any) -> tuple[jax.Array, Values]:
        entries = observe(setup, state.apply_fn({"params": params}, batch["features"]), batch)
        return jnp.mean(entries["loss"], where=batch["weights"]), entries

    gradients, entries = jax.grad(mean_loss, has_aux=True)(state.params)
    state = state.apply_gradients(grads=gradients)
    return state.replace(metrics=METRICS.update(state.metrics, **entries))


def validate(state: TrainState, batch: Values, setup: Setup) -> sm.State:
    # Nothing to compile here: outside of jit, a metric runs its own executable, one for all set-ups.
    logits = state.apply_fn({"params": state.params}, batch["features"])
    return METRICS.tally(**observe(setup, logits, batch))


class Data(NamedTuple):
    """Embeddings (2, N, 1280) of the drawings as they are and mirrored, their labels and their folds."""

    features: np.ndarray
    labels: np.ndarray
    folds: np.ndarray

    def batch(self, flips: np.ndarray | int, rows: np.ndarray, size: int) -> Values:
        # Padded to one size: no row is dropped, nothing is compiled twice, and padding has weight 0.
        return sm.pad({"features": self.features[flips, rows], "targets": self.labels[rows]}, size)


def embed(images: np.ndarray, size: int = 32) -> np.ndarray:
    """The features (N, 1280) of images (N, height, width, 3)."""
    variables = load_variables()
    forward = jax.jit(EfficientNetLite0().apply)
    features = []
    for start in tqdm(range(0, len(images), size), "embedding", disable=None, leave=False):
        batch = sm.pad({"images": images[start : start + size]}, size)
        features.append(np.asarray(forward(variables, batch["images"])))
    return np.concatenate(features)[: len(images)]


def train(data: Data, setup: Setup, epochs: int, seed: int) -> Iterator[tuple[list[sm.State], list[sm.State]]]:
    """Trains a head for each fold, and after each epoch gives their training and their validation states."""
    head, optimiser = Head(), optax.rmsprop(1e-4, eps=EPSILON)
    training = [np.flatnonzero(data.folds != fold) for fold in range(data.folds.max() + 1)]
    held_out = [np.flatnonzero(data.folds == fold) for fold in range(data.folds.max() + 1)]
    largest = max(map(len, held_out))
    validation = [data.batch(0, rows, largest) for rows in held_out]
    heads = []
    for key in jax.random.split(jax.random.key(seed), len(training)):
        params = head.init(key, data.features[0, :1])["params"]
        heads.append(TrainState.create(apply_fn=head.apply, params=params, tx=optimiser, metrics=METRICS.init()))

    for epoch in range(epochs):
        for fold, rows in enumerate(training):
            state = heads[fold].replace(metrics=METRICS.init())
            # Every set-up sees the same order, each drawing as it is and mirrored.
            order = np.random.default_rng([seed, fold, epoch]).permutation(2 * len(rows))
            for start in range(0, len(order), BATCH):
                flip, row = np.divmod(order[start : start + BATCH], len(rows))
                state = train_step(state, data.batch(flip, rows[row], BATCH), setup)
            heads[fold] = state
        validated = [validate(state, batch, setup) for state, batch in zip(heads, validation, strict=True)]
        yield [state.metrics for state in heads], validated


@dataclasses.dataclass
class History:
    """The values of every epoch, over all folds, the accuracy of each fold, and what was counted in the last epoch."""

    training: list[Values]
    validation: list[Values]
    by_fold: list[list[float]]
    last: sm.State


CELLS = "{loss:7.3f} {above_0:7.1%} {above_half:7.1%} {rounded:8.1%}"


def follow(data: Data, setup: Setup, epochs: int, seed: int) -> History:
    """Trains a set-up and prints a line per epoch."""
    readings = f"{'loss':>7} {'> 0':>7} {'> 0.5':>7} {'rounded':>8}"
    print(f"\n{setup.title}\n{'training':>38}   {'validation, out of fold':>32}")
    print(f"epoch  {readings}   {readings}  precision  recall")
    history = History([], [], [], METRICS.init())
    progress = tqdm(train(data, setup, epochs, seed), total=epochs, unit="epoch", disable=None, leave=False)
    for epoch, states in enumerate(progress, 1):
        # Every fold counts for itself; merged, they are one count over all drawings.
        merged = [sm.merge(*folds) for folds in states]
        training, validation = (sm.plain(METRICS.compute(state)) for state in merged)
        history.last = merged[1]
        history.training.append(training)
        history.validation.append(validation)
        history.by_fold.append([float(METRICS.compute(state)["above_0"]) for state in states[1]])
        row = f"{epoch:5}  {CELLS.format(**training)}   {CELLS.format(**validation)}"
        tqdm.write(f"{row}  {validation['precision']:9.1%} {validation['recall']:7.1%}")
    return history


ANSWERS = """
Three questions, answered on {images} drawings, each read by a model that has not seen it. One standard
error is {error:.1f} points. On one fold of {fold_images} images it would be {fold_error:.1f}: the folds
of the logit head end between {lowest:.1%} and {highest:.1%}.

1. How is accuracy computed from raw values, which are neither 0 nor 1?

The output is compared as it is; nobody applies a sigmoid. A logit says "{positive}" above 0, but Keras
asks whether it is above 0.5 (tf.keras 1.13, Keras 3), or equals the class once rounded (Keras 2.0 to
2.3.1). To ask for 0.5 in place of 0 changes the accuracy of the logit head by {middle_cost:+.1f} points
in the middle third of the training, by {worst_cost:+.1f} in epoch {worst_epoch}, by {last_cost:+.1f} in
the last.

2. How is it computed with a sigmoid?

In the same way, and there it fits, because sigmoid(x) > 0.5 where x > 0. The sigmoid head ends at
{sigmoid[above_0]:.1%} (logit > 0), {sigmoid[above_half]:.1%} (output > 0.5) and {sigmoid[rounded]:.1%}
(rounded). Without it rounding fails: a logit of 2.7 is sure of class 1, rounds to 3 and is counted as
wrong. While the accuracy of the logit head goes from {first[above_0]:.1%} to {logit[above_0]:.1%}, its
rounded reading goes from {first[rounded]:.1%} to {logit[rounded]:.1%}.

3. What changes when the sigmoid is left out?

Nothing, if the loss is told: the logit head and the sigmoid head are one model, at most {apart:.1f}
points apart in any epoch. The question left the sigmoid out and kept the loss for probabilities, which
takes the raw output for one and clips it into (0, 1). An output beyond the wrong end has the greatest
loss, and no gradient to mend it: {stuck_first:.1%} of the training outputs in the first epoch,
{stuck_last:.1%} in the last. This raw head ends at {raw[above_0]:.1%} (> 0), {raw[above_half]:.1%} (>
0.5) and {raw[rounded]:.1%} (rounded). The sigmoid head minus the raw head, both read by > 0.5, is
{gain_last:+.1f} points in the last epoch and {gain_mean:+.1f} in the mean of all epochs (the question saw
about -10, on other data); both rounded it is {gain_rounded:+.1f} in the last epoch.
"""


def answers(histories: dict[str, History], images: int) -> str:
    """The three questions of 2019, answered with what was measured."""

    def curve(name: str, reading: str) -> np.ndarray:
        return 100 * np.array([values[reading] for values in histories[name].validation])

    last = {name: history.validation[-1] for name, history in histories.items()}
    folds = histories["logit"].by_fold[-1]
    share = last["logit"]["above_0"]
    error = 100 * np.sqrt(share * (1 - share) / images)
    cost = curve("logit", "above_half") - curve("logit", "above_0")
    gain = curve("sigmoid", "above_half") - curve("raw", "above_half")
    text = ANSWERS.format(
        **last,
        first=histories["logit"].validation[0],
        positive=CLASS_NAMES[1],
        images=images,
        error=error,
        fold_images=images // len(folds),
        fold_error=error * np.sqrt(len(folds)),
        lowest=min(folds),
        highest=max(folds),
        middle_cost=cost[len(cost) // 3 : len(cost) - len(cost) // 3].mean(),
        worst_cost=cost.min(),
        worst_epoch=cost.argmin() + 1,
        last_cost=cost[-1],
        apart=np.abs(curve("logit", "above_0") - curve("sigmoid", "above_0")).max(),
        stuck_first=histories["raw"].training[0]["stuck"],
        stuck_last=histories["raw"].training[-1]["stuck"],
        gain_last=gain[-1],
        gain_mean=gain.mean(),
        gain_rounded=(curve("sigmoid", "rounded") - curve("raw", "rounded"))[-1],
    )
    return "\n\n".join(textwrap.fill(paragraph, 100) for paragraph in text.strip().split("\n\n"))


def ranking(histories: dict[str, History]) -> str:
    """How well the logits of each head rank the drawings, and how far they are from log-odds."""
    auroc = sm.AUROC(LOGITS)
    lines = [
        "Without a threshold: how often an animal outranks food (AUROC), the proven bounds of that estimate,",
        "the interval in which other drawings may put it (95 %); and how far the sigmoid of the logit is, on",
        "average, from the share of animals among those that have it (calibration error).",
        "",
        f"{'head':<9}{'AUROC':>8}   {'bounds':<18}{'interval':<16}{'calibration error':>18}",
    ]
    for name, history in histories.items():
        lower, upper = map(float, sm.bounds(auroc, history.last))
        try:
            low, value, high = map(float, sm.interval(auroc, history.last))
            interval = f"{low:.3f} – {high:.3f}"
        except ValueError:  # too few drawings, or perfectly separated ones
            value, interval = history.validation[-1]["auroc"], "none"
        error = history.validation[-1]["calibration"]
        lines.append(f"{name:<9}{value:8.4f}   {f'{lower:.4f} – {upper:.4f}':<18}{interval:<16}{error:18.1%}")
    return "\n".join(lines)


def draw_ranking(histories: dict[str, History], path: Path) -> None:
    """The ROC curve of each head, and what its probabilities are worth: all read off the counts of the last epoch."""
    figure = Figure(figsize=(4 * (1 + len(histories)), 4.4), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(histories))
    for (name, history), axis in zip(histories.items(), others, strict=True):
        plot_roc(sm.ROC(LOGITS), history.last, first)
        plot_reliability(sm.ReliabilityDiagram(LOGITS, CALIBRATION_BINS), history.last, axis)
        axis.set_title(f"{name} head: sigmoid of the logit", fontsize=10)
    handles, areas = first.get_legend_handles_labels()
    first.legend(handles, [f"{name}: {area}" for name, area in zip(histories, areas, strict=True)], frameon=False)
    first.set_title("ranking", fontsize=10)
    figure.suptitle("Ranking and calibration of the three heads (validation out of fold)")
    figure.supxlabel(" ", fontsize=6)  # room for the line below
    figure.text(0.995, 0.005, ATTRIBUTION, ha="right", fontsize=6, color="dimgray")
    figure.savefig(path, dpi=110)


def draw_curves(histories: dict[str, History], path: Path) -> None:
    """Accuracy by epoch: a panel a set-up, a colour a reading."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    # Okabe and Ito's colours; the widest line first, so that readings that agree all stay visible.
    styles = {"above_0": ("#56B4E9", 4.5), "above_half": ("#D55E00", 2.2), "rounded": ("#000000", 1)}
    axes = figure.subplots(1, len(histories), sharey=True)
    for axis, (name, history) in zip(axes, histories.items(), strict=True):
        epochs = np.arange(len(history.validation)) + 1
        for reading, (colour, width) in styles.items():
            for part, line in (("validation", "-"), ("training", ":")):
                percent = [100 * values[reading] for values in getattr(history, part)]
                label = f"{READINGS[reading]}, {part}"
                axis.plot(epochs, percent, line, color=colour, linewidth=width, label=label)
        axis.set(title=SETUPS[name].title.replace(": ", "\n"), xlabel="epoch", ylim=(0, 100))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy (%)")
    figure.suptitle("Animals against food: what three readings say of one output (validation out of fold)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.text(0.995, 0.005, ATTRIBUTION, ha="right", fontsize=6, color="dimgray")
    figure.savefig(path, dpi=110)


def draw_confusions(histories: dict[str, History], path: Path) -> None:
    """The confusion matrices of the last epoch: a column a set-up, a row a threshold."""
    figure = Figure(figsize=(8.4, 5.8), layout="constrained")
    axes = figure.subplots(2, len(histories))
    for column, (name, history) in enumerate(histories.items()):
        for axis, reading in zip(axes[:, column], ("above_0", "above_half"), strict=True):
            values = history.validation[-1]
            counts = np.asarray(values[f"confusion_{reading}"])
            axis.imshow(counts, cmap="Blues", vmin=0, vmax=counts.sum(axis=1).max())
            for (i, j), count in np.ndenumerate(counts):
                colour = "white" if 2 * count > counts.sum(axis=1).max() else "black"
                axis.text(j, i, f"{count}", ha="center", va="center", fontsize=14, color=colour)
            axis.set(xticks=(0, 1), xticklabels=CLASS_NAMES, yticks=(0, 1), yticklabels=CLASS_NAMES)
            axis.set_title(f"{name} head, {READINGS[reading]}\n{values[reading]:.1%} right", fontsize=10)
        axes[-1, column].set_xlabel("predicted")
    for axis in axes[:, 0]:
        axis.set_ylabel("true")
    figure.suptitle("Validation, pooled over the folds")
    # An empty label keeps room for the line below.
    figure.supxlabel(" ", fontsize=6)
    figure.text(0.995, 0.005, ATTRIBUTION, ha="right", fontsize=6, color="dimgray")
    figure.savefig(path, dpi=110)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    output = Path(__file__).parent / "output"
    parser.add_argument("--epochs", type=int, help="passes over the training drawings (30; short: 6)")
    parser.add_argument("--size", type=int, help="width and height of the images in pixels (160; short: 96)")
    parser.add_argument("--folds", type=int, help="parts, each held out from one model (5; short: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of folds, initial weights and order (0)")
    parser.add_argument("--output", type=Path, default=output, help="folder of the figures (output, here)")
    parser.add_argument("--short", action="store_true", help="a small run that shows that everything works")
    arguments = parser.parse_args()
    epochs = arguments.epochs or (6 if arguments.short else 30)
    size = arguments.size or (96 if arguments.short else 160)
    folds = arguments.folds or (2 if arguments.short else 5)
    if epochs < 1 or size < 32 or not 2 <= folds <= 100:
        parser.error("needs 1 epoch, 32 pixels and 2 to 100 folds")

    images, labels = load_emoji(size)
    food, animals = np.bincount(labels)
    print(f"{len(labels)} drawings of {size} by {size} pixels: {animals} animals, {food} of food")
    features = embed(np.concatenate([images, images[:, :, ::-1]])).reshape(2, len(labels), -1)
    data = Data(features, labels, stratified_folds(labels, folds, arguments.seed))
    histories = {name: follow(data, setup, epochs, arguments.seed) for name, setup in SETUPS.items()}
    print(f"\n{answers(histories, len(labels))}\n\n{ranking(histories)}\n")

    arguments.output.mkdir(parents=True, exist_ok=True)
    pictures = {draw_curves: "curves", draw_confusions: "confusion", draw_ranking: "ranking"}
    for draw, name in pictures.items():
        path = arguments.output / f"binary_{name}.png"
        draw(histories, path)
        print(f"wrote {os.path.relpath(path)}")
    print(ATTRIBUTION)


if __name__ == "__main__":
    main()
