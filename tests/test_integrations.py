"""Metrics inside Flax, NNX, Optax and Orbax, and an import that needs none of them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import lax

import streammetrics as sm
from streammetrics.flax import TrainState
from streammetrics.nnx import Metric
from streammetrics.optax import measure, measured

TASK = sm.Multiclass(3, "logits")
METRICS = sm.Collection(accuracy=sm.Accuracy(TASK), recall=sm.Recall(TASK, average=None), loss=sm.Mean("loss"))
STEPS, ROWS = 6, 16
RANDOM = np.random.default_rng(0)

Batch = dict[str, Any]
BATCHES: Batch = {
    "inputs": RANDOM.normal(size=(STEPS, ROWS, 4)).astype(np.float32),
    "targets": RANDOM.integers(0, 3, (STEPS, ROWS), np.int32),
}


def batch_of(step: int) -> Batch:
    return {name: entry[step] for name, entry in BATCHES.items()}


def whole(message: str) -> str:
    return f"^{re.escape(message)}$"


def compiled(function: Any) -> int:
    """How many executables a jitted function has."""
    return function._cache_size()


# Flax linen


class Network(nn.Module):
    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nn.Dense(3)(inputs)


MODEL, OPTIMISER = Network(), optax.rmsprop(0.1, momentum=0.9)  # adam itself needs implicit promotion


def fresh() -> TrainState:
    """The train state before the first step. Its static part, the model and the optimiser, is the same every time."""
    params = MODEL.init(jax.random.key(0), BATCHES["inputs"][0])["params"]
    return TrainState.create(apply_fn=MODEL.apply, params=params, tx=OPTIMISER, metrics=METRICS.init())


def train_step(train: TrainState, batch: Batch) -> tuple[TrainState, Batch]:
    """A step as users write it; also what it predicted, so that the tests can count again."""

    def mean_loss(params: Any) -> Any:
        logits = train.apply_fn({"params": params}, batch["inputs"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        return jnp.mean(losses), {"predictions": logits, "targets": batch["targets"], "loss": losses}

    gradients, seen = jax.grad(mean_loss, has_aux=True)(train.params)
    train = train.apply_gradients(grads=gradients)
    return train.replace(metrics=METRICS.update(train.metrics, **seen)), seen


step = jax.jit(train_step, donate_argnums=0)


def recounted(seen: Batch) -> dict[str, Any]:
    """The values of the metrics, by NumPy."""
    predicted, targets = np.asarray(seen["predictions"]).argmax(-1).ravel(), np.asarray(seen["targets"]).ravel()
    return {
        "accuracy": (predicted == targets).mean(),
        "recall": [(predicted[targets == c] == c).mean() for c in range(3)],
        "loss": np.asarray(seen["loss"], np.float64).mean(),
    }


def assert_values(values: dict[str, Any], due: dict[str, Any]) -> None:
    assert list(values) == list(due)
    for name, value in due.items():
        np.testing.assert_allclose(np.asarray(values[name]), value, rtol=1e-6, err_msg=name)


def test_a_jitted_linen_step_counts_what_it_predicted() -> None:
    train, seen = fresh(), []
    for number in range(STEPS):
        train, observed = step(train, batch_of(number))
        seen.append(observed)
    assert isinstance(train, TrainState)
    assert int(train.step) == STEPS
    assert int(train.metrics.examples["ClassCounts"]) == STEPS * ROWS
    assert_values(METRICS.compute(train.metrics), recounted(jax.tree.map(lambda *each: np.stack(each), *seen)))


def test_a_scan_over_batches_carries_the_train_state() -> None:
    train, seen = jax.jit(lambda train: lax.scan(train_step, train, BATCHES))(fresh())
    assert jax.tree.structure(train) == jax.tree.structure(fresh())
    assert_values(METRICS.compute(train.metrics), recounted(seen))


def test_a_new_epoch_begins_with_an_empty_state_and_compiles_nothing() -> None:
    train, _ = step(fresh(), batch_of(0))
    train, _ = step(train, batch_of(0))  # Flax begins with a Python number as `step`: the second call compiles again
    before = compiled(step)
    train = train.replace(metrics=METRICS.init())
    train, observed = step(train, batch_of(1))
    assert compiled(step) == before
    assert_values(METRICS.compute(train.metrics), recounted(observed))


def test_a_train_state_can_be_donated() -> None:
    # Donation refuses a buffer that stands in two places, as equal zeros might.
    first = fresh()
    train, _ = step(first, batch_of(0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.metrics))
    train, _ = step(train.replace(metrics=METRICS.init()), batch_of(1))
    assert int(train.metrics.examples["ClassCounts"]) == ROWS
    assert int(METRICS.init().seen.sum()) == 0  # every empty state has arrays of its own


def test_a_train_state_resumes_in_the_middle_of_an_epoch_bit_for_bit(tmp_path: Path) -> None:
    straight, train = fresh(), fresh()
    for number in range(STEPS):
        straight, _ = step(straight, batch_of(number))
    for number in range(STEPS // 2):
        train, _ = step(train, batch_of(number))
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "train", train)
        saver.wait_until_finished()
    with ocp.StandardCheckpointer() as reader:
        resumed = reader.restore(tmp_path / "train", jax.tree.map(jnp.zeros_like, fresh()))
    assert jax.tree.structure(resumed) == jax.tree.structure(train)
    chex.assert_trees_all_equal_shapes_and_dtypes(resumed, train)
    chex.assert_trees_all_equal(resumed, train)
    for number in range(STEPS // 2, STEPS):
        resumed, _ = step(resumed, batch_of(number))
    chex.assert_trees_all_equal(resumed, straight)
    chex.assert_trees_all_equal(METRICS.compute(resumed.metrics), METRICS.compute(straight.metrics))


# Flax NNX

LOGITS = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
SEEN: Batch = {
    "predictions": LOGITS,
    "targets": RANDOM.integers(0, 3, ROWS, np.int32),
    "loss": RANDOM.exponential(size=ROWS).astype(np.float32),
}


@nnx.jit
def nnx_step(metric: Metric, batch: Batch) -> None:
    metric.update(**batch)


def test_an_nnx_metric_updated_in_jit_has_the_state_of_the_pure_metric() -> None:
    metric, state = Metric(METRICS), METRICS.init()
    assert isinstance(metric, nnx.Metric)
    for _ in range(2):
        nnx_step(metric, SEEN)
        state = METRICS.update(state, **SEEN)
    assert jax.tree.structure(metric.state) == jax.tree.structure(state)
    assert int(metric.state.examples["ClassCounts"]) == 2 * ROWS
    assert_values(metric.compute(), sm.plain(METRICS.compute(state)))
    assert_values(METRICS.compute(metric.state), recounted(SEEN))


def test_nnx_metrics_of_equal_specifications_share_a_compiled_step() -> None:
    traces = []

    @nnx.jit
    def traced(metric: Metric, batch: Batch) -> None:
        traces.append(metric)
        metric.update(**batch)

    for _ in range(2):
        metric = Metric(sm.Accuracy(sm.Multiclass(3, inputs="logits")))
        traced(metric, {"predictions": SEEN["predictions"], "targets": SEEN["targets"]})
        metric.reset()
        traced(metric, {"predictions": SEEN["predictions"], "targets": SEEN["targets"]})
    assert len(traces) == 1


def test_an_nnx_metric_takes_its_entries_by_position_too() -> None:
    metric = Metric(sm.Accuracy(TASK))
    metric.update(SEEN["predictions"], SEEN["targets"])
    assert float(metric.compute()) == pytest.approx(recounted(SEEN)["accuracy"])


def test_an_nnx_metric_resets() -> None:
    metric = Metric(METRICS)
    nnx_step(metric, SEEN)
    metric.reset()
    chex.assert_trees_all_equal(metric.state, METRICS.init())
    assert np.isnan(metric.compute()["accuracy"])
    nnx_step(metric, SEEN)
    assert int(metric.state.examples["ClassCounts"]) == ROWS


def test_an_nnx_metric_splits_and_merges() -> None:
    metric = Metric(METRICS)
    nnx_step(metric, SEEN)
    definition, state = nnx.split(metric)
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(METRICS.init()))
    merged = nnx.merge(definition, state)
    assert isinstance(merged, Metric)
    assert merged.metric == METRICS
    chex.assert_trees_all_equal(merged.state, metric.state)
    other = nnx.clone(metric)
    other.reset()
    chex.assert_trees_all_equal(other.state, METRICS.init())
    chex.assert_trees_all_equal(metric.state, merged.state)
    nnx.update(other, state)
    chex.assert_trees_all_equal(other.state, metric.state)


def test_an_nnx_metric_is_scanned_and_stands_in_a_module() -> None:
    class Learner(nnx.Module):
        def __init__(self) -> None:
            self.dense = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
            self.accuracy = Metric(sm.Accuracy(TASK))

        def __call__(self, inputs: jax.Array, targets: jax.Array) -> jax.Array:
            logits = self.dense(inputs)
            self.accuracy.update(logits, targets)
            return logits

    @nnx.scan(in_axes=(nnx.Carry, 0, 0), out_axes=(nnx.Carry, 0))
    def epoch(learner: Learner, inputs: jax.Array, targets: jax.Array) -> tuple[Learner, jax.Array]:
        return learner, learner(inputs, targets)

    learner, logits = epoch(Learner(), BATCHES["inputs"], BATCHES["targets"])
    right = np.asarray(logits).argmax(-1) == BATCHES["targets"]
    assert float(learner.accuracy.compute()) == pytest.approx(right.mean())
    parameters, held, rest = nnx.split(learner, nnx.Param, nnx.metrics.MetricState, ...)[1:]
    assert [len(jax.tree.leaves(part)) for part in (parameters, held, rest)] == [2, 2, 0]


def test_an_nnx_metric_reads_nan_where_rows_could_not_be_counted() -> None:
    predictions = SEEN["predictions"].copy()
    predictions[0, 1] = np.nan
    metric = Metric(METRICS)
    nnx_step(metric, {**SEEN, "predictions": predictions})
    values = sm.plain(metric.compute())
    assert np.isnan(values["accuracy"])
    assert np.isnan(values["recall"]).all()
    assert values["loss"] == pytest.approx(recounted(SEEN)["loss"])  # its own statistic saw no such row
    due = recounted({name: entry[1:] for name, entry in SEEN.items()})["accuracy"]
    assert metric.compute("ignore")["accuracy"] == pytest.approx(due)
    with pytest.raises(sm.InvalidExamples, match="1 of 16 examples could not be counted, 1 with NaN score"):
        metric.compute("raise")


@pytest.mark.parametrize("updated", [False, True])
def test_an_nnx_metric_prints(updated: bool) -> None:
    metric = Metric(METRICS)
    if updated:
        nnx_step(metric, SEEN)
    for text in (repr(metric), str(metric), repr(nnx.split(metric))):
        assert "accuracy=Accuracy(task=Multiclass(num_classes=3, inputs='logits'))" in text
    traced = []
    nnx.jit(lambda metric: traced.append(repr(metric)))(metric)
    assert "Accuracy" in traced[0]


# Optax

NORMS = sm.Collection(mean=sm.Mean("norm"), largest=sm.Maximum("norm"), n=sm.Examples("norm"))
PARAMS = {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}
GRADIENTS = {name: RANDOM.normal(size=(STEPS, *leaf.shape)).astype(np.float32) for name, leaf in PARAMS.items()}


def norms_of(trees: dict[str, Any]) -> np.ndarray:
    """The global norm of each step, by NumPy."""
    return np.sqrt(sum((np.asarray(tree, np.float64) ** 2).reshape(STEPS, -1).sum(-1) for tree in trees.values()))


def assert_norms(state: Any, trees: dict[str, Any]) -> None:
    due = norms_of(trees)
    assert_values(NORMS.compute(measured(state)), {"mean": due.mean(), "largest": due.max(), "n": STEPS})


def run(optimiser: optax.GradientTransformation, looped: bool) -> tuple[Any, Any]:
    """All steps of an optimiser under jit, in a loop or a scan: its state, and the stacked updates."""

    def one(carry: Any, gradients: Any) -> tuple[Any, Any]:
        params, state = carry
        updates, state = optimiser.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), updates

    carry = (PARAMS, optimiser.init(PARAMS))
    if not looped:
        (_, state), updates = jax.jit(lambda carry: lax.scan(one, carry, GRADIENTS))(carry)
        return state, updates
    jitted, updates = jax.jit(one), []
    for number in range(STEPS):
        carry, each = jitted(carry, {name: gradient[number] for name, gradient in GRADIENTS.items()})
        updates.append(each)
    return carry[1], jax.tree.map(lambda *each: np.stack(each), *updates)


@pytest.mark.parametrize("looped", [True, False], ids=["loop", "scan"])
def test_measure_first_in_a_chain_sees_gradients_and_last_the_updates(looped: bool) -> None:
    _, due = run(OPTIMISER, looped)
    (first, *_, last), updates = run(optax.chain(measure(NORMS), OPTIMISER, measure(NORMS)), looped)
    # Measuring returns the very updates; but XLA may round an optimiser otherwise where more is compiled with it.
    chex.assert_trees_all_close(updates, due, rtol=1e-5)
    assert_norms(first, GRADIENTS)
    assert_norms(last, due)


def test_measure_returns_the_very_updates_it_was_given() -> None:
    gradients = {name: jnp.asarray(gradient[0]) for name, gradient in GRADIENTS.items()}
    watcher = measure(NORMS)
    updates, state = watcher.update(gradients, watcher.init(PARAMS), PARAMS)
    assert updates is gradients
    assert float(NORMS.compute(measured(state))["largest"]) == pytest.approx(norms_of(GRADIENTS)[0])
    chex.assert_trees_all_equal(measured(watcher.init(PARAMS)), NORMS.init())


def test_measure_feeds_what_observe_says() -> None:
    metric = sm.Collection(kernel=sm.Maximum("kernel"), zeros=sm.Sum("zero"))

    def observe(updates: Any) -> Batch:
        return {"kernel": jnp.max(jnp.abs(updates["kernel"]))[None], "zero": (updates["kernel"] == 0).ravel()}

    watcher = measure(metric, observe)
    state = watcher.init(PARAMS)
    for kernel in (np.array([[0.0, 2.0]]), np.array([[-3.0, 1.0]])):
        _, state = watcher.update({"kernel": jnp.asarray(kernel, jnp.float32)}, state)
    assert sm.plain(metric.compute(measured(state))) == {"kernel": 3.0, "zeros": 1.0}


def test_a_gradient_that_is_not_finite_is_counted_as_invalid() -> None:
    watcher = measure(sm.Sum("norm"))
    state = watcher.init(PARAMS)
    for value in (3.0, np.nan, np.inf):
        _, state = watcher.update({"bias": jnp.array([value, 4.0])}, state)
    held = measured(state)
    assert {reason: int(count) for reason, count in held.invalid.items() if int(count)} == {
        "NaN value": 1,
        "infinite value": 1,
    }
    assert float(sm.Sum("norm").compute(held, "ignore")) == 5


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: optax.MultiSteps(inner, 2),
        lambda inner: optax.inject_hyperparams(lambda rate: optax.chain(inner, optax.sgd(rate)))(rate=0.1),
        lambda inner: optax.masked(inner, {"kernel": True, "bias": False}),
        lambda inner: optax.partition({"a": inner, "b": optax.sgd(0.1)}, {"kernel": "a", "bias": "b"}),
    ],
    ids=["MultiSteps", "inject_hyperparams", "masked", "partition"],
)
def test_measured_finds_the_state_inside_other_transformations(wrap: Any) -> None:
    state = wrap(optax.chain(measure(NORMS), optax.sgd(0.1))).init(PARAMS)
    assert measured(state).statistic == NORMS.statistic


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ((OPTIMISER,), 0),
        ((measure(NORMS), optax.sgd(0.1), measure(NORMS)), 2),
    ],
)
def test_measured_refuses_an_optimiser_without_one_measure(chain: Any, found: int) -> None:
    message = f"measured: found {found} metric states in the optimiser's state, but one is due"
    with pytest.raises(ValueError, match=whole(message)):
        measured(optax.chain(*chain).init(PARAMS))


# The import

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}


def printed(program: str) -> str:
    """What a program prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_the_import_brings_nothing_but_jax_and_the_standard_library() -> None:
    listing = "import sys; print(' '.join(sorted(sys.modules)))"
    extra = set(printed(f"import streammetrics; {listing}").split()) - set(printed(f"import jax; {listing}").split())
    foreign = {name.split(".")[0] for name in extra} - set(sys.stdlib_module_names)
    assert foreign == {"streammetrics"}
    assert not {f"streammetrics.{name}" for name in ("flax", "nnx", "optax", "beam", "command", "plotting")} & extra


def test_the_import_starts_no_backend_and_makes_no_array() -> None:
    # JAX takes this setting only while no backend runs, and only an import that made no array leaves none.
    program = """if True:
        import jax
        import streammetrics
        jax.config.update("jax_num_cpu_devices", 3)
        print(jax.device_count("cpu"), len(jax.live_arrays()))
    """
    assert printed(program) == "3 0"


def test_the_library_works_where_only_jax_is_installed() -> None:
    program = """if True:
        import sys

        OPTIONAL = "apache_beam chex flax matplotlib optax orbax pyarrow scipy sklearn tqdm".split()

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in OPTIONAL:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        import jax  # which imports scipy where it finds it
        sys.meta_path.insert(0, Missing())
        import streammetrics as sm
        print(float(sm.evaluate(sm.Maximum("loss"), [{"loss": [1.0, 3.0]}])))
        for name in ("flax", "nnx", "optax", "beam"):
            try:
                __import__(f"streammetrics.{name}")
            except ModuleNotFoundError as error:
                print(name, error.name)
    """
    assert printed(program).splitlines() == ["3.0", "flax flax", "nnx flax", "optax optax", "beam apache_beam"]
