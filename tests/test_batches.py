"""`sm.pad` and `sm.plain`: batches of one shape, and values as plain Python."""

import json
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streammetrics as sm

ROWS, SIZE = 5, 8
RANDOM = np.random.default_rng(0)

LOGITS = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
TARGETS = np.array([0, 2, 1, 0, 2], np.int32)
LOSSES = RANDOM.exponential(size=ROWS).astype(np.float32)
LABELS = np.array([[1, 0], [0, 0], [1, 1], [0, 1], [1, 1]], np.int32)


def whole(message: str) -> str:
    return f"^{re.escape(message)}$"


@settings(deadline=None, derandomize=True, max_examples=60, database=None)
@given(
    rows=st.integers(0, 6),
    missing=st.integers(0, 4),
    rest=st.sampled_from([(), (3,), (2, 0), (2, 2)]),
    dtype=st.sampled_from([np.bool_, np.int8, np.uint32, np.int64, np.float16, jnp.bfloat16, np.float64]),
)
def test_pad_keeps_the_rows_and_adds_zeros_of_weight_zero(
    rows: int, missing: int, rest: tuple[int, ...], dtype: Any
) -> None:
    entry = np.ones((rows, *rest), dtype)
    padded = sm.pad({"entry": entry}, rows + missing)
    assert list(padded) == ["entry", "weights"]
    assert padded["entry"].dtype == entry.dtype
    assert padded["entry"].shape == (rows + missing, *rest)
    assert (padded["entry"][:rows] == entry).all()
    assert not padded["entry"][rows:].any()
    assert padded["weights"].dtype == bool
    assert padded["weights"].tolist() == [True] * rows + [False] * missing


def test_pad_leaves_numpy_to_numpy_and_jax_to_jax() -> None:
    batch = {"host": LOGITS, "device": jnp.asarray(LOGITS, jnp.bfloat16), "listed": [1, 2, 3, 4, 5]}
    padded = sm.pad(batch, SIZE)
    assert {name: isinstance(value, jax.Array) for name, value in padded.items()} == {
        "host": False,
        "device": True,
        "listed": False,
        "weights": False,
    }
    assert {name: type(value) for name, value in padded.items() if name != "device"} == {
        "host": np.ndarray,
        "listed": np.ndarray,
        "weights": np.ndarray,
    }
    assert padded["device"].dtype == jnp.bfloat16
    chex.assert_trees_all_equal(np.asarray(padded["device"][:ROWS]), np.asarray(batch["device"]))


def test_pad_changes_neither_the_batch_nor_its_arrays() -> None:
    batch = {"loss": LOSSES.copy()}
    sm.pad(batch, SIZE)["loss"][:] = -1
    sm.pad(batch, ROWS)["loss"][:] = -1  # with nothing to add too
    assert list(batch) == ["loss"]
    assert batch["loss"].tolist() == LOSSES.tolist()


def test_pad_to_its_own_size_says_that_every_row_is_real() -> None:
    padded = sm.pad({"loss": LOSSES}, ROWS)
    assert padded["loss"].tolist() == LOSSES.tolist()
    assert padded["weights"].tolist() == [True] * ROWS


@pytest.mark.parametrize("weights", [np.array([0.5, 0, 2, 1, 1], np.float32), jnp.array([3, 0, 1, 1, 2], jnp.uint8)])
def test_pad_keeps_existing_weights_and_their_dtype(weights: Any) -> None:
    padded = sm.pad({"loss": LOSSES, "weights": weights}, SIZE)["weights"]
    assert padded.dtype == weights.dtype
    assert padded.tolist() == [*weights.tolist(), 0, 0, 0]


def test_pad_pads_weights_of_elements_by_rows() -> None:
    padded = sm.pad({"x": LABELS, "weights": np.ones((ROWS, 2), bool)}, SIZE)["weights"]
    assert padded.shape == (SIZE, 2)
    assert padded[:ROWS].all()
    assert not padded[ROWS:].any()


def test_pad_writes_weights_by_the_name_it_is_told() -> None:
    padded = sm.pad({"loss": LOSSES, "weights": LOSSES}, SIZE, weights="is_real")
    assert list(padded) == ["loss", "weights", "is_real"]
    assert padded["is_real"].tolist() == [True] * ROWS + [False] * 3


def test_pad_works_under_jit() -> None:
    padded = jax.jit(lambda loss: sm.pad({"loss": loss}, SIZE))(LOSSES)
    assert padded["loss"].tolist() == [*LOSSES.tolist(), 0, 0, 0]
    assert padded["weights"].tolist() == [True] * ROWS + [False] * 3


def test_pad_refuses_more_rows_than_the_size() -> None:
    with pytest.raises(ValueError, match=whole("pad: the batch has 5 rows, but must have at most 4")):
        sm.pad({"loss": LOSSES}, 4)


@pytest.mark.parametrize(
    ("batch", "shapes"),
    [
        ({"loss": LOSSES, "targets": TARGETS[:3]}, "{'loss': (5,), 'targets': (3,)}"),
        ({"loss": LOSSES, "weights": np.ones(4)}, "{'loss': (5,), 'weights': (4,)}"),
        ({"loss": LOSSES, "step": np.int32(1)}, "{'loss': (5,), 'step': ()}"),
        ({"step": 1}, "{'step': ()}"),
        ({}, "{}"),
    ],
    ids=["other rows", "other weights", "a scalar", "only a scalar", "nothing"],
)
def test_pad_refuses_entries_of_different_numbers_of_rows(batch: dict[str, Any], shapes: str) -> None:
    message = f"pad: the entries have the shapes {shapes}, but must have the same number of rows"
    with pytest.raises(ValueError, match=whole(message)):
        sm.pad(batch, SIZE)


# A row of zeros would be invalid in some of these: probabilities that do not sum to 1, a target that is not one-hot.
# Its weight keeps it out before anyone looks.
EVALUATIONS = {
    "logits": (sm.ConfusionMatrix(sm.Multiclass(3, "logits")), {"predictions": LOGITS, "targets": TARGETS}),
    "probabilities": (
        sm.Collection(
            cells=sm.ConfusionMatrix(sm.Multiclass(3, "probabilities")),
            log=sm.LogLoss(sm.Multiclass(3, "probabilities")),
        ),
        {"predictions": PROBABILITIES, "targets": np.eye(3, dtype=np.int32)[TARGETS]},
    ),
    "many classes": (sm.Precision(sm.Multiclass(40, "labels")), {"predictions": TARGETS + 20, "targets": TARGETS + 19}),
    "ignored": (
        sm.StatScores(sm.Multiclass(3, "logits", ignore=0)),
        {"predictions": LOGITS, "targets": TARGETS, "weights": np.array([1, 2, 3, 4, 5])},
    ),
    "labels": (
        sm.StatScores(sm.Multilabel(2, "logits")),
        {"predictions": LOGITS[:, :2], "targets": LABELS, "weights": np.arange(10).reshape(5, 2)},
    ),
    "values": (sm.Collection(sum=sm.Sum("loss"), least=sm.Minimum("loss")), {"loss": LOSSES + 1}),
}


def integers(state: sm.State) -> dict[str, Any]:
    """What a state counts without rounding."""
    counts = {"seen": state.seen, **state.data}
    return {name: np.asarray(array) for name, array in counts.items() if not jnp.issubdtype(array.dtype, jnp.floating)}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_padded_batch_counts_what_the_batch_counts(name: str) -> None:
    metric, batch = EVALUATIONS[name]
    plain, padded = metric.tally(**batch), metric.tally(**sm.pad(batch, SIZE))
    chex.assert_trees_all_equal(integers(padded), integers(plain))
    chex.assert_trees_all_close(sm.plain(metric.compute(padded)), sm.plain(metric.compute(plain)), rtol=1e-6, atol=0)


def test_padding_hides_no_invalid_row() -> None:
    task = sm.Multiclass(3, "probabilities")
    predictions = PROBABILITIES.copy()
    predictions[1, 0] = np.nan
    state = sm.Accuracy(task).tally(**sm.pad({"predictions": predictions, "targets": TARGETS}, SIZE))
    assert int(state.examples) == ROWS - 1
    assert {reason: int(count) for reason, count in state.invalid.items() if int(count)} == {"NaN score": 1}


def test_an_evaluation_in_batches_of_one_shape_equals_that_of_all_rows() -> None:
    task = sm.Multiclass(3, "logits")
    metrics = sm.Collection(accuracy=sm.Accuracy(task), n=sm.Examples(task), worst=sm.Maximum("loss"))
    rows = 11
    predictions = RANDOM.normal(size=(rows, 3)).astype(np.float32)
    targets, loss = RANDOM.integers(0, 3, rows), RANDOM.exponential(size=rows).astype(np.float32)
    everything = {"predictions": predictions, "targets": targets, "loss": loss}
    shapes, state = set(), metrics.init()
    for start in range(0, rows + 4, 4):  # the last batch has no rows at all
        batch = sm.pad({name: entry[start : start + 4] for name, entry in everything.items()}, 4)
        shapes.add(tuple(entry.shape for entry in batch.values()))
        state = metrics.update(state, **batch)
    assert len(shapes) == 1
    chex.assert_trees_all_equal(state, metrics.tally(**everything))
    assert sm.plain(metrics.compute(state))["n"] == rows


def test_a_batch_of_padding_alone_changes_nothing() -> None:
    metric = sm.Recall(sm.Multiclass(3, "logits"), average=None)
    state = metric.tally(LOGITS, TARGETS)
    nothing = sm.pad({"predictions": LOGITS[:0], "targets": TARGETS[:0]}, ROWS)
    assert nothing["predictions"].shape == LOGITS.shape
    chex.assert_trees_all_equal(metric.update(state, **nothing), state)


@pytest.mark.parametrize(
    ("value", "due"),
    [
        (sm.UInt64.of(2**63 + 1), 2**63 + 1),
        (sm.UInt64.of(np.array([[1, 2], [3, 2**53 + 1]], np.uint64)), [[1, 2], [3, 2**53 + 1]]),
        (jnp.float32(0.5), 0.5),
        (jnp.array([0.5, 1.5], jnp.bfloat16), [0.5, 1.5]),
        (jnp.array([True, False]), [True, False]),
        (jnp.zeros((2, 0)), [[], []]),
        (np.float64(0.1), 0.1),
        (np.int64(-3), -3),
        (np.array([1, 2], np.uint8), [1, 2]),
        ((1, [np.float32(2), jnp.int32(3)]), [1, [2.0, 3]]),
        ({"a": {"b": jnp.int32(1)}, "c": ()}, {"a": {"b": 1}, "c": []}),
        (2, 2),
        ("epoch", "epoch"),
        (None, None),
    ],
)
def test_plain_is_plain_python(value: Any, due: Any) -> None:
    values = sm.plain(value)
    assert values == due
    assert {type(leaf) for leaf in jax.tree.leaves(values)} == {type(leaf) for leaf in jax.tree.leaves(due)}


def test_plain_values_of_a_collection_are_json_in_the_declared_order() -> None:
    task = sm.Multiclass(3, "logits")
    metrics = sm.Collection(
        recall=sm.Recall(task, average=None),
        cells=sm.ConfusionMatrix(task),
        by=sm.Collection(scores=sm.StatScores(task), accuracy=sm.Accuracy(task)),
        n=sm.Examples(task),
    )
    values = sm.plain(metrics(predictions=LOGITS, targets=TARGETS))
    assert json.loads(json.dumps(values)) == values
    assert list(values) == ["recall", "cells", "by", "n"]
    assert list(values["by"]) == ["scores", "accuracy"]
    cells = np.zeros((3, 3), int)
    np.add.at(cells, (TARGETS, LOGITS.argmax(-1)), 1)
    assert values["cells"] == cells.tolist()
    assert values["by"]["scores"]["support"] == [2, 1, 2]
    assert values["n"] == ROWS


def test_plain_keeps_nan() -> None:
    value = sm.plain(sm.Mean("loss").compute(sm.Mean("loss").init()))
    assert isinstance(value, float)
    assert value != value
