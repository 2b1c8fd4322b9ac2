"""Work is shared: equal statistics are counted once, and equal specifications are compiled once."""

import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

import streammetrics as sm
from tests.compiling import compilations

TASK = sm.Multiclass(3, "logits")
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 3)).astype(np.float32)
TARGETS = np.array([0, 1, 2, 2, 0, 1], np.int32)
LOSSES = RANDOM.exponential(size=6).astype(np.float32)


def four(task: Any) -> sm.Collection:
    """The collection of the promise: four readings of the same counts."""
    return sm.Collection(
        accuracy=sm.Accuracy(task), precision=sm.Precision(task), recall=sm.Recall(task), f1=sm.F1(task)
    )


def equations(jaxpr: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """Every equation of a jaxpr, those of the jaxprs inside it too; of a choice by platform those of one branch."""
    for equation in jaxpr.eqns:
        yield equation
        params = equation.params
        inside = params["branches"][:1] if "branches" in params else tuple(params.values())
        for inner in jax.tree.leaves(inside, is_leaf=is_jaxpr):
            if is_jaxpr(inner):
                yield from equations(inner.jaxpr if isinstance(inner, core.ClosedJaxpr) else inner)


def is_jaxpr(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def operations(metric: sm.Metric, **batch: Any) -> Counter[str]:
    """How many operations of each kind an update traces."""
    traced = jax.make_jaxpr(lambda state, batch: metric.update(state, **batch))(metric.init(), batch)
    return Counter(equation.primitive.name for equation in equations(traced.jaxpr))


def work(metric: sm.Metric, **batch: Any) -> Counter[str]:
    """Those operations that go through all rows."""
    kinds = ("scatter", "argmax", "argmin", "reduce", "sort", "gather", "dot_general", "cumsum")
    found = operations(metric, **batch)
    return Counter({name: count for name, count in found.items() if name.startswith(kinds)})


@sm.spec
class Events(sm.Statistic):
    """Numbers of rows, that remembers for the tests whenever it is traced."""

    entry: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.entry,)

    @property
    def accumulators(self) -> dict[str, sm.accumulators.Accumulator]:
        return {"n": sm.accumulators.Count()}

    def observe(self, **batch: Any) -> tuple[dict[str, sm.Add], dict[str, jax.Array]]:
        TRACED[self.entry] += 1
        return {"n": sm.Add()}, {}


@sm.spec
class Number(sm.Metric):
    """A reading of `Events`."""

    entry: str
    times: int = 1

    @property
    def statistic(self) -> Events:
        return Events(self.entry)

    def read(self, counts: Any) -> jax.Array:
        return self.times * counts["n"].to_float()


def compiled(function: Any) -> int:
    """How many executables a jitted function has."""
    return function._cache_size()


TRACED: Counter[str] = Counter()  # by entry; every test has entries of its own, so that their order does not matter


# Counting once


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (TASK, TARGETS),
        (sm.Multiclass(3, "probabilities", weighted=True), TARGETS),
        (sm.Multilabel(3, "logits", threshold=(0.1, 0.5, 0.9)), np.eye(3, dtype=np.int32)[TARGETS]),
    ],
    ids=["multiclass", "weighted", "multilabel"],
)
def test_four_metrics_trace_the_work_of_one(task: Any, targets: Any) -> None:
    batch = {"predictions": LOGITS, "targets": targets, "weights": np.arange(6)}
    alone = operations(sm.Accuracy(task), **batch)
    assert operations(four(task), **batch) == alone
    assert sum(work(sm.Accuracy(task), **batch).values()) > 0


def test_the_prediction_is_taken_once_and_counted_once() -> None:
    found = work(four(TASK), predictions=LOGITS, targets=TARGETS)
    assert found["argmax"] == 1
    assert found == work(sm.Accuracy(TASK), predictions=LOGITS, targets=TARGETS)
    assert found["scatter-add"] == work(sm.ConfusionMatrix(TASK), predictions=LOGITS, targets=TARGETS)["scatter-add"]


@pytest.mark.parametrize(("rows", "calls"), [(6, 1), (600, 0)])
def test_an_update_of_tiny_arrays_is_one_call_on_cpu(rows: int, calls: int) -> None:
    metrics = sm.Collection(accuracy=sm.Accuracy(TASK), loss=sm.Mean("losses"))
    batch = {"predictions": np.zeros((rows, 3), np.float32), "targets": np.zeros(rows, np.int32)}
    with jax.default_device(jax.devices("cpu")[0]):
        step = jax.jit(lambda state, batch: metrics.update(state, **batch))
        text = step.lower(metrics.init(), batch | {"losses": np.zeros(rows, np.float32)}).compile().as_text()
    assert text is not None
    assert len(re.findall(r" call\(.*inlineable=\"false\"", text[text.index("ENTRY") :])) == calls


@pytest.mark.parametrize("rows", [0, 1, 32, 128])
def test_few_rows_are_summed_without_reductions_which_each_call_would_set_up(rows: int) -> None:
    assert not work(sm.Mean("losses"), losses=np.zeros(rows, np.float32))


def test_different_counts_are_each_counted() -> None:
    # Also a check of the tests above: the work of metrics that share nothing is seen to add up.
    other = sm.Multiclass(3, "logits", ignore=0)
    batch = {"predictions": LOGITS, "targets": TARGETS}
    both = work(sm.Collection(all=sm.Accuracy(TASK), some=sm.Accuracy(other)), **batch)
    alone = work(sm.Accuracy(TASK), **batch), work(sm.Accuracy(other), **batch)
    assert both["argmax"] == 2
    assert {name: both[name] for name in alone[0]} == {name: sum(one[name] for one in alone) for name in alone[0]}


def test_class_names_keep_nothing_apart() -> None:
    named = sm.Multiclass(3, "logits", class_names=("ant", "bee", "cat"))
    plain, told = four(TASK), four(named)
    assert plain.statistic == told.statistic
    both = sm.Collection(plain=plain, told=told)
    batch = {"predictions": LOGITS, "targets": TARGETS}
    assert operations(both, **batch) == operations(plain, **batch)
    values = both(**batch)
    chex.assert_trees_all_equal(values["plain"], values["told"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sm.Binary("logits", threshold=0.3), sm.Binary("logits")),
        (sm.Binary("probabilities", threshold=0.9), sm.Binary("probabilities", class_names=("no", "yes"))),
        (sm.Multilabel(2, "logits", threshold=(0.1, 0.9)), sm.Multilabel(2, "logits", threshold=0.7)),
    ],
)
def test_a_threshold_keeps_apart_what_reads_it_and_nothing_else(one: Any, other: Any) -> None:
    assert sm.LogLoss(one) != sm.LogLoss(other)
    assert sm.LogLoss(one).statistic == sm.LogLoss(other).statistic
    assert hash(sm.LogLoss(one).statistic) == hash(sm.LogLoss(other).statistic)
    assert sm.Accuracy(one).statistic != sm.Accuracy(other).statistic


def test_thresholds_in_one_collection_share_what_they_can() -> None:
    low, high = sm.Binary("logits", threshold=0.1), sm.Binary("logits", threshold=0.9)
    metrics = sm.Collection(
        low=sm.Accuracy(low), high=sm.Accuracy(high), loss_low=sm.LogLoss(low), loss_high=sm.LogLoss(high)
    )
    assert len(metrics.init().data) == 3
    values = sm.plain(metrics(predictions=[-1.0, 1.0, 3.0], targets=[0, 0, 1]))
    assert (values["low"], values["high"]) == (pytest.approx(1 / 3), 1.0)
    assert values["loss_low"] == values["loss_high"]


@pytest.mark.parametrize(
    "metrics",
    [
        (
            sm.Accuracy(TASK),
            sm.Precision(TASK, average=None),
            sm.Recall(TASK, class_id=1),
            sm.F1(TASK, average="micro"),
        ),
        (
            sm.FBeta(TASK, beta=2.0),
            sm.Specificity(TASK),
            sm.StatScores(TASK),
            sm.ConfusionMatrix(TASK),
            sm.Examples(TASK),
        ),
        (sm.Mean("loss"), sm.Std("loss"), sm.Variance("loss", ddof=1), sm.Examples("loss")),
        (sm.Minimum("loss"), sm.Maximum("loss")),
    ],
)
def test_readings_of_the_same_counts_have_one_statistic(metrics: tuple[sm.Metric, ...]) -> None:
    assert len({metric.statistic for metric in metrics}) == 1
    assert len(sm.Collection({str(i): metric for i, metric in enumerate(metrics)}).init().seen[0]) == len(
        metrics[0].init().seen[0]
    )


def test_what_is_counted_differently_is_kept_apart() -> None:
    apart = [
        sm.Mean("loss"),
        sm.Mean("norm"),
        sm.Mean("loss", weights="mask"),
        sm.Mean("loss", exact=True),
        sm.Sum("loss"),
        sm.Accuracy(TASK),
        sm.Accuracy(sm.Multiclass(4, "logits")),
        sm.Accuracy(sm.Multiclass(3, "probabilities")),
        sm.Accuracy(sm.Multiclass(3, "logits", weighted=True)),
        sm.Accuracy(sm.Multiclass(3, "logits", targets="label")),
    ]
    assert len({metric.statistic for metric in apart}) == len(apart)


# The state of a collection


def test_the_state_depends_on_neither_names_nor_the_order_of_declaration() -> None:
    one = sm.Collection(accuracy=sm.Accuracy(TASK), least=sm.Minimum("loss"))
    other = sm.Collection(z=sm.Maximum("loss"), b=sm.F1(TASK), a=sm.Recall(TASK))
    batch = {"predictions": LOGITS, "targets": TARGETS, "loss": LOSSES}
    assert one.statistic == other.statistic
    assert jax.tree.structure(one.init()) == jax.tree.structure(other.init())
    state = one.tally(**batch)
    chex.assert_trees_all_equal(other.tally(**batch), state)
    twice = other.update(state, **batch)
    chex.assert_trees_all_equal(twice, sm.merge(state, other.tally(**batch)))
    values, doubled = one.compute(state), one.compute(twice)
    assert list(values) == ["accuracy", "least"]
    chex.assert_trees_all_close(doubled, values, rtol=1e-6)
    assert list(other.compute(twice)) == ["z", "b", "a"]
    assert int(twice.examples["ClassCounts"]) == 12


def test_a_nested_collection_counts_what_the_flat_one_counts() -> None:
    flat = sm.Collection(accuracy=sm.Accuracy(TASK), recall=sm.Recall(TASK), loss=sm.Minimum("loss"))
    inner = sm.Collection(recall=sm.Recall(TASK), loss=sm.Minimum("loss"))
    nested = sm.Collection(by=sm.Collection(deep=inner), accuracy=sm.Accuracy(TASK), also=inner)
    assert nested.statistic == flat.statistic
    assert (nested.reads, nested.accepts) == (flat.reads, flat.accepts)
    batch = {"predictions": LOGITS, "targets": TARGETS, "loss": LOSSES}
    assert operations(nested, **batch) == operations(flat, **batch)
    due, values = flat(**batch), nested(**batch)
    assert list(values) == ["by", "accuracy", "also"]
    chex.assert_trees_all_equal(values["by"]["deep"], {"recall": due["recall"], "loss": due["loss"]})
    chex.assert_trees_all_equal(values["also"], values["by"]["deep"])
    chex.assert_trees_all_equal(values["accuracy"], due["accuracy"])


def test_a_collection_reads_each_value_off_the_shared_counts() -> None:
    predicted = LOGITS.argmax(-1)
    right, of_class, found = (
        np.bincount(ids, minlength=3) for ids in (TARGETS[predicted == TARGETS], TARGETS, predicted)
    )
    due = {
        "accuracy": right.sum() / 6,
        "precision": (right / np.maximum(found, 1)).mean(),
        "recall": (right / of_class).mean(),
        "f1": (2 * right / (of_class + found)).mean(),
    }
    values = sm.plain(four(TASK)(predictions=LOGITS, targets=TARGETS))
    assert list(values) == list(due)
    assert values == pytest.approx(due)


def test_one_array_holds_the_examples_of_a_whole_collection() -> None:
    metrics = sm.Collection(a=sm.Accuracy(TASK), b=sm.Mean("loss"), c=sm.Minimum("loss"))
    state = metrics.init()
    assert len(jax.tree.leaves(state)) == len(state.data) + 1
    assert metrics.init().data.keys() == state.data.keys()


# Names


@pytest.mark.parametrize(
    ("metric", "reads", "optional"),
    [
        (sm.Accuracy(TASK), ("predictions", "targets"), ("weights",)),
        (
            sm.Recall(sm.Binary("scores", predictions="score", targets="label", weights="mask")),
            ("score", "label"),
            ("mask",),
        ),
        (sm.Mean("loss"), ("loss",), ("weights",)),
        (sm.Ratio("errors", "words", weights="mask"), ("errors", "words"), ("mask",)),
        (four(TASK), ("predictions", "targets"), ("weights",)),
    ],
)
def test_reads_are_the_needed_names_and_accepts_the_optional_ones_too(
    metric: sm.Metric, reads: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    assert metric.reads == reads
    assert metric.accepts == reads + optional


def test_a_collection_reads_every_name_once() -> None:
    metrics = sm.Collection(
        loss=sm.Mean("loss"),
        worst=sm.Maximum("loss", weights="mask"),
        accuracy=sm.Accuracy(TASK),
        size=sm.Sum("mask"),  # an entry here, weights there: needed
    )
    assert sorted(metrics.reads) == ["loss", "mask", "predictions", "targets"]
    assert metrics.accepts == (*metrics.reads, "weights")


def test_reads_select_a_metric_s_part_of_a_larger_batch() -> None:
    batch = {"predictions": LOGITS, "targets": TARGETS, "loss": LOSSES, "weights": np.arange(6), "step": np.int32(3)}
    for metric, names in ((sm.Accuracy(TASK), {"predictions", "targets"}), (sm.Minimum("loss"), {"loss"})):
        assert set(metric.reads) == names
        assert int(metric.tally(**{name: batch[name] for name in metric.reads}).examples) == 6
        weighted = metric.tally(**{name: batch[name] for name in metric.accepts})
        assert int(weighted.examples) == (15 if isinstance(metric, sm.Accuracy) else 5)


# Compiling once


def test_metrics_of_one_statistic_are_traced_once_in_a_collection() -> None:
    metrics = sm.Collection(
        one=Number("together"), two=Number("together", times=2), deep=sm.Collection(a=Number("together"))
    )
    state = metrics.tally(together=LOSSES)
    assert TRACED["together"] == 1
    assert sm.plain(metrics.compute(state)) == {"one": 6.0, "two": 12.0, "deep": {"a": 6.0}}


def test_equal_specifications_share_the_compiled_eager_functions() -> None:
    state = Number("eager").init()
    for metric in (Number("eager"), Number("eager", times=1), pickle.loads(pickle.dumps(Number("eager")))):
        state = metric.update(state, LOSSES)
    assert TRACED["eager"] == 1
    Number("eager").update(state, LOSSES[:3])
    assert TRACED["eager"] == 2  # another shape: the counter does count
    assert float(Number("eager").compute(state)) == 18


def test_an_eager_call_is_one_executable_compiled_once() -> None:
    def made() -> sm.Collection:
        return sm.Collection(a=Number("executables"), b=sm.Maximum("executables"))

    state = made().init()
    calls = {
        "tally": lambda: made().tally(executables=LOSSES),
        "update": lambda: made().update(state, executables=LOSSES),
        "merge": lambda: sm.merge(state, state),
        "compute": lambda: made().compute(state, "nan"),
    }
    for name, call in calls.items():
        with compilations() as found:
            call()
            assert len(found) == 1, name
            call()
            assert len(found) == 1, name


def test_an_eager_update_of_the_same_shapes_traces_nothing_whatever_the_kind_of_array() -> None:
    state = Number("kinds").init()
    for loss in (LOSSES, jnp.asarray(LOSSES), LOSSES.astype(np.float64), LOSSES.tolist()):
        state = Number("kinds").update(state, kinds=loss)
    assert TRACED["kinds"] == 1


def test_specifications_cross_jit_as_arguments_and_equal_ones_hit_its_cache() -> None:
    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(metric: sm.Metric, state: sm.State, batch: dict[str, Any]) -> tuple[sm.State, Any]:
        state = metric.update(state, **batch)
        return state, metric.compute(state)

    def made() -> sm.Collection:
        task = sm.Multiclass(num_classes=np.int64(3), inputs="logits")  # pyright: ignore[reportArgumentType]
        return sm.Collection({"loss": sm.Sum("loss"), "recall": sm.Recall(task, average="macro")})

    batch = {"predictions": LOGITS, "targets": TARGETS, "loss": LOSSES}
    state = made().init()
    by_keyword = sm.Collection(loss=sm.Sum(entry="loss", exact=False), recall=sm.Recall(TASK))
    leaves, structure = jax.tree.flatten(made())
    assert not leaves
    for metric in (made(), made(), pickle.loads(pickle.dumps(made())), by_keyword, jax.tree.unflatten(structure, [])):
        state, values = step(metric, state, batch)
    assert compiled(step) == 1
    assert int(state.examples["ClassCounts"]) == 30
    assert float(values["loss"]) == pytest.approx(5 * LOSSES.sum(dtype=np.float64))


def test_different_specifications_are_compiled_each() -> None:
    @jax.jit
    def value(metric: sm.Metric, state: sm.State) -> Any:
        return metric.compute(state)

    state = sm.Recall(TASK).tally(LOGITS, TARGETS)
    macro, one = value(sm.Recall(TASK), state), value(sm.Recall(TASK, class_id=1), state)
    assert compiled(value) == 2
    chex.assert_trees_all_close(
        (macro, one), (sm.Recall(TASK).compute(state), sm.Recall(TASK, class_id=1).compute(state))
    )
    value(sm.Recall(TASK, average="macro"), state)  # the default, said
    value(sm.Recall(TASK, over="present", undefined=0.0), state)
    assert compiled(value) == 2


def test_a_pickle_of_another_process_hits_the_cache_too() -> None:
    # Strings hash differently in every process: a hash remembered in a pickle would make equal specifications differ.
    program = """if True:
        import pickle, sys
        import streammetrics as sm
        metric = sm.Collection(accuracy=sm.Accuracy(sm.Multiclass(3, "logits")), loss=sm.Mean("loss"))
        hash(metric), hash(metric.statistic)
        sys.stdout.buffer.write(pickle.dumps((metric, metric.statistic)))
    """
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=60)
    metric, statistic = pickle.loads(done.stdout)
    here = sm.Collection(accuracy=sm.Accuracy(TASK), loss=sm.Mean("loss"))
    assert (metric, statistic) == (here, here.statistic)
    assert (hash(metric), hash(statistic)) == (hash(here), hash(here.statistic))
    value = jax.jit(lambda metric, state: metric.compute(state))
    value(here, here.init())
    value(metric, here.init())
    assert compiled(value) == 1


def test_a_state_keeps_the_cache_of_a_step_through_init_update_merge_and_bytes() -> None:
    metric = sm.Accuracy(TASK)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(state: sm.State) -> sm.State:
        return metric.update(state, LOGITS, TARGETS)

    state = step(metric.init())
    for other in (
        step(state),
        sm.merge(state, state),
        sm.from_bytes(sm.to_bytes(state)),
        metric.tally(LOGITS, TARGETS),
    ):
        step(other)
    assert compiled(step) == 1
