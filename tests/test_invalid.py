"""What cannot be counted is kept out, counted by reason, and makes `compute` loud."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm

BINARY = sm.Binary("probabilities")
THREE = sm.Multiclass(3, "logits")
NAN, INF = np.nan, np.inf


def counts(state: sm.State) -> dict[str, int]:
    return {reason: n for reason, n in sm.plain(state.invalid).items() if n}


def test_each_reason_is_counted_and_the_first_that_applies_counts() -> None:
    state = sm.Accuracy(BINARY).tally([NAN, 1.5, 0.9, 0.9, NAN, 0.1], [1, 1, 2, 1, 2, 0])
    assert counts(state) == {"NaN score": 2, "probability outside [0, 1]": 1, "target that is no class": 1}
    assert int(state.examples) == 2


def test_classes_scores_and_labels_have_their_reasons() -> None:
    state = sm.Accuracy(THREE).tally([[0, NAN, 0], [0, 1, 0], [INF, 0, 0], [0, 0, 0]], [0, 3, 0, -1])
    assert counts(state) == {"NaN score": 1, "target that is no class": 2}
    one_hot = sm.Accuracy(THREE).tally(np.zeros((3, 3)), [[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert counts(one_hot) == {"target that is no class": 2}
    labels = sm.Accuracy(sm.Multiclass(3, "labels")).tally([0, 3, -1], [0, 0, 0])
    assert counts(labels) == {"predicted label that is no class": 2}


def test_weights_have_their_reasons_and_such_a_row_counts_once() -> None:
    weights = np.array([1, 0.5, -2, NAN, 70_000, 3], np.float32)
    state = sm.Accuracy(BINARY).tally(np.full(6, 0.9), np.ones(6, int), weights=weights)
    assert counts(state) == {
        "weight that is not finite": 1,
        "negative weight": 1,
        "fractional weight (needs weighted=True)": 1,
        "weight above 65,535": 1,
    }
    assert int(state.examples) == 4
    fractions = sm.Accuracy(sm.Binary("probabilities", weighted=True)).tally(
        np.full(6, 0.9), np.ones(6, int), weights=weights
    )
    assert counts(fractions) == {"weight that is not finite": 1, "negative weight": 1}
    assert int(fractions.examples) == 4  # rows of positive weight


def test_an_invalid_row_counts_with_its_weight() -> None:
    state = sm.Accuracy(BINARY).tally([NAN, 0.9], [1, 1], weights=[5, 2])
    assert counts(state) == {"NaN score": 5}
    assert int(state.examples) == 2


def test_elements_of_multilabel_fail_alone() -> None:
    task = sm.Multilabel(2, "probabilities", ignore=-1)
    state = sm.Accuracy(task, average=None).tally([[NAN, 0.9], [0.2, 0.8]], [[1, 1], [-1, 0]])
    assert counts(state) == {"NaN score": 1}
    assert int(state.examples) == 2  # rows of which an element counts
    np.testing.assert_array_equal(np.asarray(state.data["cells"][0]).sum((1, 2)), [0, 2])


def test_weights_may_be_given_by_element_of_multilabel() -> None:
    task = sm.Multilabel(2, "probabilities")
    state = sm.Accuracy(task).tally([[0.9, 0.9], [0.2, 0.8]], [[1, 0], [1, 1]], weights=[[1, 0], [0, 3]])
    np.testing.assert_array_equal(np.asarray(state.data["cells"][0]), [[[0, 0], [0, 1]], [[0, 0], [0, 3]]])
    assert int(state.examples) == 4  # each row with the weight of its heaviest element


@sm.spec
class PresentElements(sm.Statistic):
    """A statistic without faults, whose elements may be absent: those below 0."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def accumulators(self) -> dict[str, sm.accumulators.Accumulator]:
        return {"elements": sm.accumulators.Count()}

    def leading_axes(self, **batch: Any) -> int:
        return 1

    def observe(self, x: Any) -> Any:
        return {"elements": sm.Add(jnp.ones(x.shape, bool))}, {"absent": x < 0}


@sm.spec
class Elements(sm.Metric):
    """How many elements are present."""

    @property
    def statistic(self) -> PresentElements:
        return PresentElements()

    def read(self, counts: Any) -> Any:
        return counts["elements"]


def test_an_example_without_a_present_element_is_absent() -> None:
    state = Elements().tally(np.array([[1, -1], [-1, -1], [2, 3]], np.int32), weights=np.array([2, 1, 1]))
    assert int(Elements().compute(state)) == 4
    assert int(state.examples) == 3


def test_compute_raises_with_values_and_counts_and_the_state_stays_usable() -> None:
    metric = sm.Accuracy(BINARY)
    state = metric.tally([0.9, 0.1, NAN, 1.2], [1, 1, 1, 1])
    with pytest.raises(sm.InvalidExamples) as caught:
        metric.compute(state)
    assert str(caught.value) == (
        "2 of 4 examples could not be counted, 1 with NaN score and 1 with probability outside [0, 1] (in Accuracy); "
        "compute(state, on_invalid='ignore') reads the others"
    )
    assert float(caught.value.values) == 0.5
    assert caught.value.counts == {"Accuracy": {"NaN score": 1, "probability outside [0, 1]": 1}}
    assert pickle.loads(pickle.dumps(caught.value)).counts == caught.value.counts
    assert isinstance(caught.value, ValueError)
    more = metric.update(state, [0.9, 0.8], [1, 1])
    assert float(metric.compute(more, on_invalid="ignore")) == 0.75
    assert np.isnan(metric.compute(more, on_invalid="nan"))


def test_in_a_collection_only_the_metrics_concerned_are_nan() -> None:
    metrics = sm.Collection(
        loss=sm.Mean("loss"), accuracy=sm.Accuracy(THREE), matrix=sm.ConfusionMatrix(THREE), n=sm.Examples("loss")
    )
    state = metrics.tally(loss=[1.0, INF], predictions=np.eye(3)[:2], targets=[0, 1])
    values = metrics.compute(state, on_invalid="nan")
    assert list(values) == ["loss", "accuracy", "matrix", "n"]
    assert np.isnan(values["loss"])
    assert float(values["accuracy"]) == 1.0
    assert int(values["n"]) == 1  # integers keep their dtype and count the valid rows
    with pytest.raises(sm.InvalidExamples) as caught:
        metrics.compute(state)
    assert caught.value.counts == {"loss": {"infinite value": 1}, "n": {"infinite value": 1}}
    assert sm.plain(state.invalid)["Moments"]["infinite value"] == 1
    assert sm.plain(state.examples) == {"ClassCounts": 2, "Moments": 1}


@pytest.mark.parametrize("transform", ["jit", "vmap", "pmap"])
def test_under_a_trace_raise_means_nan(transform: str) -> None:
    metric = sm.Accuracy(BINARY)

    def value(predictions: Any, targets: Any) -> Any:
        return metric.compute(metric.tally(predictions, targets))

    good, bad = jnp.array([0.9, 0.1]), jnp.array([0.9, NAN])
    targets = jnp.array([1, 1])
    if transform == "jit":
        found = [jax.jit(value)(good, targets), jax.jit(value)(bad, targets)]
    else:
        function = jax.vmap(value) if transform == "vmap" else jax.pmap(value)
        found = function(jnp.stack([good, bad]), jnp.stack([targets, targets]))
    assert float(found[0]) == 0.5
    assert np.isnan(found[1])


def test_infinities_are_ordinary_scores_and_extrema() -> None:
    assert float(sm.Accuracy(sm.Binary("logits"))([INF, -INF], [1, 0])) == 1.0
    assert float(sm.Maximum("x")([-INF])) == -INF
    assert np.isnan(sm.Maximum("x").compute(sm.Maximum("x").init()))


def test_an_infinite_loss_of_infinite_logits_is_invalid() -> None:
    state = sm.LogLoss(sm.Binary("logits")).tally([INF, INF], [1, 0])
    assert counts(state) == {"infinite loss": 1}
    assert float(sm.LogLoss(sm.Binary("logits")).compute(state, "ignore")) == 0.0


def test_float64_values_beyond_float32_are_invalid_under_x64() -> None:
    with jax.enable_x64(True):
        for metric in (sm.Sum("x"), sm.Maximum("x"), sm.Mean("x")):
            state = metric.tally(np.array([1e300, 1.0]))
            assert counts(state) == {"value beyond the range of float32": 1}
            assert float(metric.compute(state, "ignore")) == 1.0


def test_a_ratio_is_invalid_where_either_entry_is() -> None:
    state = sm.Ratio("a", "b").tally(a=np.array([NAN, 1.0, 2.0]), b=np.array([1.0, INF, 4.0]))
    assert counts(state) == {"NaN value": 1, "infinite value": 1}
    assert float(sm.Ratio("a", "b").compute(state, "ignore")) == 0.5


def test_targets_past_int32_are_no_class_and_are_not_ignored() -> None:
    metric = sm.Accuracy(sm.Multiclass(3, "labels", ignore=-1))
    state = metric.tally(np.zeros(2, np.int32), np.array([2**32 - 1, 0], np.uint32))
    assert counts(state) == {"target that is no class": 1}


def test_probabilities_that_do_not_sum_to_1_are_invalid_in_a_logarithm() -> None:
    task = sm.Multiclass(2, "probabilities")
    predictions = [[0.5, 0.5], [0.5, 0.6], [0.50001, 0.5]]
    assert counts(sm.LogLoss(task).tally(predictions, [0, 0, 0])) == {"probabilities that do not sum to 1": 1}
    assert counts(sm.Accuracy(task).tally(predictions, [0, 0, 0])) == {}


def test_states_print_what_they_hold() -> None:
    state = sm.Accuracy(THREE).tally(np.zeros((1000, 3)), np.zeros(1000, int))
    assert repr(state) == "ClassCounts(task=Multiclass(num_classes=3, inputs='logits')): n=1,000, invalid=0"
    both = sm.Collection(a=sm.Mean("a"), b=sm.Mean("b")).tally(a=[1.0, NAN], b=[1.0, 2.0])
    assert repr(both) == "State(Moments(entry='a'): n=1, invalid=1; Moments(entry='b'): n=2, invalid=0)"
    assert "shapes" in repr(jax.tree.map(lambda x: x[None], state))
    jax.jit(lambda state: repr(state) and state)(state)


def test_blanked_dicts_keep_their_order() -> None:
    metric = sm.StatScores(sm.Binary("logits"))
    state = metric.tally([1.0, np.nan], [1, 0])
    names = ["tp", "fp", "tn", "fn", "support"]
    assert list(metric.compute(state, "nan")) == list(metric.compute(state, "ignore")) == names
