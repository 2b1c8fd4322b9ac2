"""Who counts in a training step, in one form: ours, CLU, metrax, nnx, Keras, and code by hand in JAX and in NumPy."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import clu.metrics as clu  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import keras.metrics  # pyright: ignore[reportMissingImports]
import metrax  # pyright: ignore[reportMissingImports]
import numpy as np
from flax import nnx
from jax import Array
from measuring import Run, donated, same

import streammetrics as sm

ROUNDED = 2e-7
"""Ours and most of theirs are equal counts, divided once in float32: an ulp, where a device rounds a division down."""
TOLERANCES = {
    "by hand": ROUNDED,
    "clu": ROUNDED,
    "metrax": ROUNDED,
    "nnx": ROUNDED,
    "keras": ROUNDED,
    "keras with F1": 1e-6,  # it adds 1e-7 to what it divides by, three times
    "torchmetrics": 1e-6,  # its accuracy is a sum of products over the classes
    "torcheval": 1e-6,  # its F1 is made of a precision and a recall that are rounded
    "scikit-learn": ROUNDED,  # in float64, of which ours are the nearest float32
    "numpy on the host": ROUNDED,
}
"""How far a peer's values may be from ours, relatively."""
LOSS_TOLERANCE = 1e-5
"""Of the mean loss: the others add it up in float32, whose rounding grows with the number of steps."""

Entries = Mapping[str, Any]
"""A batch: `logits` and `targets`; in a training step also `losses`, and which rows are `real`."""
TABLE = 32
"""Of how many classes code by hand keeps a table of true by predicted ones: one scatter in place of three."""


@dataclasses.dataclass(frozen=True)
class Counter:
    """How somebody counts: a state, what adds a batch to it (that of torch in place), and what reads it."""

    init: Callable[[], Any]
    update: Callable[[Any, Entries], Any]
    read: Callable[[Any], Mapping[str, Any]]


def ours(metrics: sm.Metric) -> Counter:
    """The metrics' tasks name the entries as they are named here."""
    return Counter(metrics.init, lambda state, entries: metrics.update(state, **entries), metrics.compute)


def of_clu(binary: bool = False, losses: bool = False) -> Counter:
    """Accuracy, and the mean loss. CLU reads no single logits: of those it averages which are right, as documented."""
    if binary:
        parts = {"accuracy": (clu.Average, lambda e: {"values": (predicted(e) == e["targets"]).astype(jnp.float32)})}
    else:
        parts = {"accuracy": (clu.Accuracy, lambda e: {"logits": e["logits"], "labels": e["targets"]})}
    if losses:
        parts["loss"] = (clu.Average, lambda e: {"values": e["losses"]})
    return _merged(parts, "mask")


def of_metrax(losses: bool = False) -> Counter:
    """Accuracy, and the mean loss."""
    parts = {"accuracy": (metrax.Accuracy, lambda e: {"predictions": predicted(e), "labels": e["targets"]})}
    if losses:
        parts["loss"] = (metrax.Average, lambda e: {"values": e["losses"]})
    return _merged(parts, "sample_weights")


def _merged(parts: Mapping[str, tuple[Any, Callable[[Entries], dict[str, Any]]]], mask: str) -> Counter:
    """Metrics of CLU, which metrax' are too: a batch becomes a metric, which is merged."""

    def update(state: Any, entries: Entries) -> Any:
        real = {mask: entries["real"]} if "real" in entries else {}
        return {
            name: state[name].merge(kind.from_model_output(**of(entries), **real)) for name, (kind, of) in parts.items()
        }

    return Counter(
        lambda: {name: kind.empty() for name, (kind, _) in parts.items()},
        update,
        lambda state: {name: metric.compute() for name, metric in state.items()},
    )


def of_nnx(binary: bool = False, losses: bool = False) -> Counter:
    """Accuracy, and the mean loss. The state is the metric itself, updated in place, which JAX takes as a tree."""

    def init() -> nnx.MultiMetric:
        parts: dict[str, nnx.Metric] = {"accuracy": nnx.metrics.Accuracy(threshold=0.0 if binary else None)}
        return nnx.MultiMetric(**parts, **({"loss": nnx.metrics.Average("losses")} if losses else {}))

    def update(state: nnx.MultiMetric, entries: Entries) -> nnx.MultiMetric:
        entries = dict(entries)
        state.update(labels=entries.pop("targets"), mask=entries.pop("real", None), **entries)
        return state

    return Counter(init, update, lambda state: state.compute())


def of_keras(binary: bool = False, losses: bool = False, f1_of: int = 0) -> Counter:
    """Accuracy, the mean loss, and F1 of each of so many classes, by the stateless functions."""
    # Of two classes Keras reads probabilities: it takes no threshold of 0.
    parts: dict[str, Any] = {
        "accuracy": (keras.metrics.BinaryAccuracy(), lambda e: (e["targets"], jax.nn.sigmoid(e["logits"])))
        if binary
        else (keras.metrics.SparseCategoricalAccuracy(), lambda e: (e["targets"], e["logits"]))
    }
    if losses:
        parts["loss"] = (keras.metrics.Mean(), lambda e: (e["losses"],))
    if f1_of:
        score = keras.metrics.F1Score(average=None)
        score.update_state(jnp.zeros((1, f1_of)), jnp.zeros((1, f1_of)))  # makes its variables
        score.reset_state()
        parts["f1"] = (score, lambda e: (jax.nn.one_hot(e["targets"], f1_of), e["logits"]))

    def update(state: Any, entries: Entries) -> Any:
        real = {"sample_weight": entries["real"]} if "real" in entries else {}
        return {
            name: metric.stateless_update_state(state[name], *of(entries), **real)
            for name, (metric, of) in parts.items()
        }

    return Counter(
        lambda: {name: [variable.value for variable in metric.variables] for name, (metric, _) in parts.items()},
        update,
        lambda state: {name: metric.stateless_result(state[name]) for name, (metric, _) in parts.items()},
    )


def by_hand(classes: int, losses: bool = False) -> Counter:
    """Accuracy, precision, recall and F1 of each class from one argmax and counts in int32, and the mean loss."""
    counts, added, counted = _table_by_hand(classes) if classes <= TABLE else _classes_by_hand(classes)

    def init() -> Any:
        return {"counts": counts(), **({"loss": jnp.zeros(()), "real": jnp.zeros((), jnp.int32)} if losses else {})}

    def update(state: Any, entries: Entries) -> Any:
        real = entries["real"].astype(jnp.int32) if "real" in entries else None
        after = {"counts": added(state["counts"], predicted(entries), entries["targets"], real)}
        if losses:
            after["loss"] = state["loss"] + jnp.sum(entries["losses"], where=entries["real"])
            after["real"] = state["real"] + jnp.sum(entries["real"], dtype=jnp.int32)
        return after

    def read(state: Any) -> Mapping[str, Any]:
        values = rates(*counted(state["counts"]))
        return {**values, **({"loss": state["loss"] / state["real"]} if losses else {})}

    return Counter(init, update, read)


def rates(hits: Any, of_label: Any, of_target: Any) -> dict[str, Any]:
    """What is read of how often each class was right, predicted and true, in NumPy or JAX."""
    return {
        "accuracy": hits.sum() / of_target.sum(),
        "precision": hits / of_label.clip(1),
        "recall": hits / of_target.clip(1),
        "f1": 2 * hits / (of_label + of_target).clip(1),
    }


def _table_by_hand(classes: int) -> tuple[Callable[[], Array], Callable[..., Array], Callable[[Array], Any]]:
    """Few classes: how often each is taken for each, which took the least time of what was tried."""

    def added(table: Array, label: Array, target: Array, weights: Array | None) -> Array:
        cells = jnp.bincount(target * classes + label, weights, length=classes**2)
        return table + cells.reshape(table.shape)

    def empty() -> Array:
        return jnp.zeros((classes, classes), jnp.int32)

    return empty, added, lambda table: (jnp.diag(table), table.sum(0), table.sum(1))


def _classes_by_hand(classes: int) -> tuple[Callable[[], Any], Callable[..., Any], Callable[[Any], Any]]:
    """Many classes: of each how often it was right, predicted, and true, scattered into what is donated."""

    def added(counts: Any, label: Array, target: Array, weights: Array | None) -> Any:
        hits, of_label, of_target = counts
        one = 1 if weights is None else weights
        return hits.at[target].add((label == target) * one), of_label.at[label].add(one), of_target.at[target].add(one)

    return lambda: tuple(jnp.zeros(classes, jnp.int32) for _ in range(3)), added, lambda counts: counts


def of_numpy(classes: int, losses: bool = False) -> Counter:
    """The same by hand on the host, in int64 and float64, in place."""

    def init() -> Any:
        return {"counts": np.zeros((3, classes), np.int64), "loss": 0.0, "real": 0}

    def update(state: Any, entries: Entries) -> Any:
        label, target = predicted(entries), entries["targets"]
        if "real" in entries:
            label, target = label[entries["real"]], target[entries["real"]]
        for counts, found in zip(state["counts"], (target[label == target], label, target), strict=True):
            counts += np.bincount(found, minlength=classes)
        if losses:
            state["loss"] += entries["losses"][entries["real"]].sum(dtype=np.float64)
            state["real"] += np.count_nonzero(entries["real"])
        return state

    def read(state: Any) -> Mapping[str, Any]:
        return {**rates(*state["counts"]), **({"loss": state["loss"] / state["real"]} if losses else {})}

    return Counter(init, update, read)


def predicted(entries: Entries) -> Any:
    """The predicted class, in NumPy or JAX: of one logit an example whether it is above 0."""
    logits, targets = entries["logits"], entries["targets"]
    return (logits > 0).astype(np.int32) if logits.ndim == targets.ndim else logits.argmax(-1)


def stepped(counter: Counter, entries: Entries) -> Run:
    """One update after the other in jit, of a state that is donated."""
    return donated(counter.update, counter.init(), entries)


def agree(values: Mapping[str, Any], theirs: Mapping[str, Any], who: str) -> None:
    """What both read must be the same; everybody reads accuracy."""
    for name in {"accuracy"} | (theirs.keys() & values.keys()):
        same(values[name], theirs[name], LOSS_TOLERANCE if name == "loss" else TOLERANCES[who], who=f"{name} of {who}")
