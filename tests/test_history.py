"""The history: what was added is read, merged, saved, judged and drawn."""

import json
import pickle
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import streammetrics as sm
from streammetrics.history import Best
from streammetrics.plotting import plot_history

NAN, INF = float("nan"), float("inf")
P = sm.Binary("probabilities")
M = sm.Collection(loss=sm.Mean("loss"), accuracy=sm.Accuracy(P), brier=sm.Brier(P))


def scores(**values: list[float]) -> sm.History:
    """A history of epochs from 1 on."""
    history = sm.History(M)
    for name, column in values.items():
        for epoch, value in enumerate(column, 1):
            history = history.add(epoch, {name: value})
    return history


def refused(kind: type[Exception], message: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(message)}")


# What is recorded


def test_values_are_read_by_path_as_they_were_computed() -> None:
    task = sm.Multiclass(3, "logits")
    metrics = sm.Collection(
        accuracy=sm.Accuracy(task), inner=sm.Collection(recall=sm.Recall(task, average=None)),
        counts=sm.StatScores(task, average="micro"),
    )  # fmt: skip
    history = sm.History(train=metrics, val=metrics)
    batches = [{"predictions": np.eye(3)[rows], "targets": np.array([0, 1, 2])} for rows in ([0, 1, 2], [0, 0, 2])]
    for epoch, batch in enumerate(batches, 1):
        history = history.add(epoch, {"val": metrics(**batch)})
    assert history.epochs == (1, 2)
    assert history.names[:2] == ("val.accuracy", "val.inner.recall")
    epochs, values = history["val.inner.recall"]
    assert epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(values, [[1, 1, 1], [1, 0, 1]])
    assert history["val.counts.tp"].values.tolist() == [3, 2]
    assert history.at(2)["val.accuracy"] == float(np.float32(2 / 3))
    assert history.best("val.accuracy") == Best(1, 1.0)


def test_adding_returns_a_new_history_and_leaves_the_old() -> None:
    first = sm.History().add(1, {"loss": 0.5})
    second = first.add(2, {"loss": 0.4, "rate": 1e-3})
    assert (first.epochs, first.names) == ((1,), ("loss",))
    assert (second.epochs, second.names) == ((1, 2), ("loss", "rate"))
    assert "rate" in second
    assert "rate" not in first
    assert list(second) == ["loss", "rate"]


def test_epochs_need_not_have_every_name_nor_come_in_order() -> None:
    history = sm.History().add(4, {"loss": 0.1, "val": 0.9}).add(2, {"loss": 0.3, "val": 0.8}).add(3, {"loss": 0.2})
    assert history.epochs == (2, 3, 4)
    assert history["val"].epochs.tolist() == [2, 4]
    assert history["loss"].values.tolist() == [0.3, 0.2, 0.1]
    assert history.at(3) == {"loss": 0.2}


def test_an_epoch_may_come_in_parts_and_again_but_not_otherwise() -> None:
    history = sm.History().add(1, {"loss": NAN}).add(1, {"val": [0.5, INF]})
    assert history.add(1, {"loss": NAN, "val": [0.5, INF]}) == history
    with refused(ValueError, "History.add: loss of epoch 1 is nan already, but came as 0.5; where a training was resum"
                 "ed, history.until(0) drops what it does again"):  # fmt: skip
        history.add(1, {"loss": 0.5})


@pytest.mark.parametrize("epoch", [3, np.int32(3), jnp.array(3)], ids=["int", "numpy", "jax"])
def test_an_epoch_is_any_integer(epoch: Any) -> None:
    history = sm.History().add(epoch, {"loss": jnp.float32(0.5), "n": sm.UInt64.of(2**63 + 1), "ok": np.True_})
    assert history.epochs == (3,)
    assert history.at(3) == {"loss": 0.5, "n": 2**63 + 1, "ok": True}
    assert all(type(value) in (int, float, bool) for value in history.at(3).values())
    assert history["n"].values.dtype == np.uint64


NO_NUMBER = "but must be a number or an array of numbers"
WRONG: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "float epoch": (1.0, {"a": 1}, TypeError, "epoch is 1.0, but must be an integer"),
    "bool epoch": (True, {"a": 1}, TypeError, "epoch is True, but must be an integer"),
    "too late": (2**63, {"a": 1}, ValueError, f"epoch is {2**63}, but must be an integer of 64 bits"),
    "no dict": (1, 0.5, TypeError, "values are 0.5, but must be a dict of values by name"),
    "nothing": (1, {}, TypeError, "values are {}, but must be a dict of values by name"),
    "number as a name": (1, {"a": {3: 1}}, TypeError, "3 is the name of a value, but must be a str"),
    "text": (1, {"a": {"b": "high"}}, TypeError, f"a.b is 'high', {NO_NUMBER}"),
    "None": (1, {"a": None}, TypeError, f"a is None, {NO_NUMBER}"),
    "ragged": (1, {"a": [[1], [1, 2]]}, TypeError, f"a is [[1], [1, 2]], {NO_NUMBER}"),
    "a state": (1, {"a": M.init()}, TypeError, f"a is a State, {NO_NUMBER}"),
    "twice": (1, {"a.b": 1, "a": {"b": 2}}, ValueError, "'a.b' is the name of two values"),
    "another shape": (1, {"loss": [1, 2]}, ValueError, "loss has shape (2,) in epoch 1, but () in another"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_record_is_refused(what: str) -> None:
    epoch, values, kind, message = WRONG[what]
    with refused(kind, f"History.add: {message}"):
        sm.History().add(0, {"loss": 0.5}).add(epoch, values)


def test_what_is_no_collection_is_refused() -> None:
    with refused(TypeError, f"History: {M.metrics[1][1]!r} came without a name; pass it by one, as accuracy="):
        sm.History(sm.Accuracy(P))
    with refused(TypeError, "History: got 3, but a collection, or metrics by name, are due"):
        sm.History(3)  # pyright: ignore[reportArgumentType]
    with refused(TypeError, "History: higher_is_better of 'loss' is 'no', but must be True or False"):
        sm.History(higher_is_better={"loss": "no"})  # pyright: ignore[reportArgumentType]


# The best


def test_the_best_is_by_the_direction_of_the_metric() -> None:
    history = scores(accuracy=[0.5, 0.8, 0.7], brier=[0.3, 0.1, 0.2])
    assert history.best("accuracy") == Best(2, 0.8)
    assert history.best("brier") == Best(2, 0.1)
    assert history.best("brier", higher_is_better=True) == Best(1, 0.3)
    both = sm.History(train=M, val={"x": sm.Accuracy(P)}["x"], higher_is_better={"train.loss": False})
    assert [both.higher_is_better(name) for name in ("train.accuracy", "train.loss", "val", "accuracy")] == [
        True, False, True, None,
    ]  # fmt: skip


def test_of_equal_values_the_earliest_is_the_best_and_nan_never() -> None:
    history = scores(accuracy=[NAN, 0.8, 0.8, NAN], brier=[NAN, 0.2, 0.2, -INF])
    assert history.best("accuracy").epoch == 2
    assert history.best("brier") == Best(4, -INF)
    assert history.until(3).best("brier").epoch == 2
    with refused(ValueError, "History.best: all values of accuracy are NaN"):
        history.until(1).best("accuracy")
    assert not history.until(1).is_best("accuracy")


def test_is_best_says_whether_to_keep_the_last_epoch() -> None:
    history, kept = sm.History(M), []
    for epoch, accuracy in enumerate([0.5, 0.5, 0.7, NAN, 0.6, 0.8]):
        history = history.add(epoch, {"accuracy": accuracy})
        kept.append(history.is_best("accuracy"))
    assert kept == [True, False, True, False, False, True]
    assert not history.add(6, {"brier": 0.1}).is_best("accuracy")  # it was not validated


def test_what_has_no_best_is_refused() -> None:
    history = scores(loss=[0.5, 0.4]).add(1, {"recall": [0.1, 0.2]})
    unknown = "whether loss is better higher or lower is not known; higher_is_better=True or False says it"
    for method in ("best", "is_best"):
        with refused(TypeError, f"History.{method}: {unknown}"):
            getattr(history, method)("loss")
        with refused(ValueError, f"History.{method}: recall has shape (2,) in each epoch, but one number is due"):
            getattr(history, method)("recall", True)
        with refused(TypeError, f"History.{method}: 'lost' is not recorded; there are loss and recall"):
            getattr(history, method)("lost", True)
    with refused(TypeError, "History: 'lost' is not recorded; there are no values"):
        sm.History()["lost"]
    with refused(ValueError, "History.at: epoch 7 is not recorded; there are 2 epochs, 1 to 2"):
        history.at(7)


def test_the_value_of_an_operating_point_is_judged_and_its_threshold_is_not() -> None:
    point = sm.History(point=sm.RecallAtPrecision(P, precision=0.5))
    for epoch, value in enumerate((0.5, 0.4)):
        point = point.add(epoch, {"point": {"value": value, "threshold": 1 - value}})
    assert point.best("point.value").epoch == 0
    assert point.higher_is_better("point.threshold") is None


def test_the_value_of_a_resampled_metric_is_judged_and_its_errors_are_not() -> None:
    metrics = sm.Collection(accuracy=sm.Bootstrapped(sm.Accuracy(sm.Binary("labels")), 8))
    history = sm.History(val=metrics)
    for epoch, right in enumerate((20, 30, 25)):
        batch = {"predictions": np.arange(40) < right, "targets": np.ones(40, int), "ids": np.arange(40)}
        history = history.add(epoch, {"val": metrics(**batch)})
    assert history.names == tuple(f"val.accuracy.{name}" for name in ("value", "standard_error", "low", "high"))
    assert history.best("val.accuracy") == history.best("val.accuracy.value") == Best(1, 0.75)
    assert not history.is_best("val.accuracy")
    assert history.higher_is_better("val.accuracy.low") is None


def test_a_quantity_too_large_for_a_float_is_compared_exactly() -> None:
    history = sm.History(higher_is_better={"n": True}).add(1, {"n": 2**60}).add(2, {"n": 2**60 + 1})
    assert history.best("n") == Best(2, 2**60 + 1)


# Merging, and resuming

RECORDS = st.dictionaries(
    st.tuples(st.integers(0, 5), st.sampled_from("abc")), st.sampled_from([0.5, 1, NAN, INF]), max_size=6
)


def drawn_history(records: dict[tuple[int, str], float]) -> sm.History:
    history = sm.History(higher_is_better={"a": True})
    for (epoch, name), value in records.items():
        history = history.add(epoch, {name: value})
    return history


@settings(max_examples=40, deadline=None)
@given(RECORDS, st.lists(st.sets(st.integers(0, 5)), min_size=3, max_size=3))
def test_merging_has_laws(records: Any, owned: Any) -> None:
    """Of parts of one history, that overlap or not: any order and grouping, and each part any number of times."""
    a, b, c = (drawn_history({key: value for key, value in records.items() if key[0] in some}) for some in owned)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == a.merge(b, c)
    assert a.merge(a) == a == a.merge(sm.History())
    assert a.merge(b).until(2) == a.until(2).merge(b.until(2))
    assert sm.History.from_json(a.merge(b).to_json()) == a.merge(b)


def test_a_resumed_run_replaces_what_it_did_again() -> None:
    first = scores(accuracy=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]).add(8, {"brier": 0.1})
    second = sm.History(M).add(6, {"accuracy": 0.65}).add(7, {"accuracy": 0.75})
    with refused(ValueError, "History.merge: accuracy of epoch 6 is 0.6 already, but came as 0.65; where a training was"
                 " resumed, history.until(5) drops what it does again"):  # fmt: skip
        first.merge(second)
    whole = first.until(5).merge(second)
    assert whole.epochs == (1, 2, 3, 4, 5, 6, 7)  # nothing of the first run's epoch 8
    assert whole["accuracy"].values.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.75]
    assert whole.best("accuracy") == Best(7, 0.75)
    assert first.until(7).add(8, {"other": [1, 2]}).names == ("accuracy", "other")  # what is gone binds no shape
    assert sm.History().add(1, {"x": 1}).until(0).add(1, {"x": [1, 2]}).at(1) == {"x": [1, 2]}


def test_directions_are_merged_and_must_agree() -> None:
    known = sm.History(higher_is_better={"a": True})
    assert sm.History(higher_is_better={"b": False}).merge(known).higher_is_better("a") is True
    with refused(ValueError, "History.merge: higher is better of a in one history, and lower in another"):
        known.merge(sm.History(higher_is_better={"a": False}))
    with refused(TypeError, "History.merge: got {}, but a History is due"):
        known.merge({})  # pyright: ignore[reportArgumentType]


# JSON

ODD = (sm.History(M, higher_is_better={"loss": False})
       .add(-1, {"loss": 0.1 + 0.2, "n": 2**64 - 1, "cells": [[NAN, 1.0], [INF, -INF]]})
       .add(10**12, {"loss": NAN, "brier": 5e-324, "flag": True, "zero": -0.0})
       .add(3, {"loss": -INF, "cells": [[1.0, 2.0], [3.0, 4.0]]}))  # fmt: skip


def test_json_round_trips_exactly() -> None:
    back = sm.History.from_json(ODD.to_json())
    assert back == ODD
    assert back.names == ODD.names
    assert back.to_json() == ODD.to_json()
    for epoch in ODD.epochs:
        assert repr(back.at(epoch)) == repr(ODD.at(epoch))  # types, signs and every bit
    assert back.best("loss") == Best(3, -INF)
    assert pickle.loads(pickle.dumps(ODD)) == ODD
    assert sm.History.from_json(sm.History().to_json()) == sm.History()


def test_json_is_json() -> None:
    def never(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(ODD.to_json(), parse_constant=never)
    assert found["epochs"] == [-1, 3, 10**12]
    assert found["values"]["loss"] == [0.30000000000000004, "-Infinity", "NaN"]
    assert found["values"]["n"] == [2**64 - 1, None, None]
    assert found["higher_is_better"] == {"accuracy": True, "brier": False, "loss": False}


def test_a_file_is_saved_whole_and_loaded(tmp_path: Any) -> None:
    path = tmp_path / "history.json"
    ODD.until(3).save(path)
    ODD.save(path)
    assert sm.History.load(path) == ODD
    assert [each.name for each in tmp_path.iterdir()] == ["history.json"]
    path.write_text(ODD.to_json()[:-5])
    with refused(ValueError, f"History.load: {path}: the text is no history: "):
        sm.History.load(path)


TEXT = json.loads(sm.History().add(1, {"a": 1.0}).add(2, {"a": 2.0}).to_json())
OTHERS = {
    "another format": ({"format": "keras"}, "its format is 'keras', but 'streammetrics history' is due"),
    "a later version": ({"version": 2}, "its version is 2, but this library reads up to 1"),
    "a column too short": ({"values": {"a": [1.0]}}, "zip() argument 2 is shorter than argument 1"),
    "a word": ({"values": {"a": [1.0, "high"]}}, f"a is 'high', {NO_NUMBER}"),
    "other shapes": ({"values": {"a": [1.0, [2.0]]}}, "a has shape (1,) in epoch 2, but () in another"),
    "an epoch of 1.5": ({"epochs": [1, 1.5]}, "epoch is 1.5, but must be an integer"),
    "an epoch twice": ({"epochs": [1, 1]}, "zip() argument 2 is longer than argument 1"),
    "a direction": ({"higher_is_better": {"a": 1}}, "History: higher_is_better of 'a' is 1, but must be True or False"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_text_that_is_no_history_is_refused(what: str) -> None:
    changed, message = OTHERS[what]
    with refused(ValueError, f"History.from_json: the text is no history: {message}"):
        sm.History.from_json(json.dumps(TEXT | changed))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"format": "streammetrics history"}'])
def test_other_json_is_refused(text: str) -> None:
    with refused(ValueError, "History.from_json: the text is no history: "):
        sm.History.from_json(text)


def test_its_repr_is_a_line() -> None:
    assert repr(sm.History()) == "History(no epochs)"
    assert repr(sm.History().add(3, {"a": 1})) == "History(epoch 3: a)"
    history = scores(loss=[0.5, 0.4], accuracy=[0.5, 0.61234567], brier=[NAN, NAN])
    history = history.add(1, {"recall": [1, 2], "x": 1, "y": 2})
    assert repr(history) == (
        "History(2 epochs, 1 to 2: loss, accuracy (best 0.6123 in epoch 2), brier, recall, 2 more)"
    )


# Pictures


def axes() -> Any:
    return Figure().subplots()


def test_a_line_is_what_is_recorded_and_the_best_is_marked() -> None:
    history = scores(accuracy=[0.5, NAN, 0.9, 0.8], loss=[0.7, 0.4, 0.3, 0.35]).add(6, {"accuracy": 0.7})
    ax = axes()
    assert plot_history(history, ax=ax) is ax
    line, ring, other = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.5], [2, NAN], [3, 0.9], [4, 0.8], [6, 0.7]])
    np.testing.assert_array_equal(ring.get_xydata(), [[3, 0.9]])
    np.testing.assert_array_equal(other.get_xdata(), [1, 2, 3, 4])
    assert ax.get_legend_handles_labels()[1] == ["accuracy, best 0.9 in epoch 3", "loss"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "value")
    assert plot_history(history, "loss", axes()).get_ylabel() == "loss"
    ax.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_every_class_has_a_thin_line_of_its_name() -> None:
    history = scores(accuracy=[0.5, 0.6])
    for epoch, recalls in enumerate(([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), 1):
        history = history.add(epoch, {"recall": recalls, "precision": recalls, "many": [0.1] * 11})
    ax = plot_history(history, ["recall", "accuracy", "precision"], axes(), class_names=("cat", "dog", "owl"))
    labels = ["recall, cat", "recall, dog", "recall, owl", "precision, cat", "precision, dog", "precision, owl"]
    assert ax.get_legend_handles_labels()[1] == ["accuracy, best 0.6 in epoch 2", *labels]
    lines = dict(zip([line.get_label() for line in ax.lines], ax.lines, strict=True))
    np.testing.assert_array_equal(lines["recall, dog"].get_xydata(), [[1, 0.2], [2, 0.5]])
    assert lines["recall, dog"].get_color() == lines["precision, dog"].get_color() != lines["recall, cat"].get_color()
    assert lines["recall, dog"].get_linestyle() != lines["precision, dog"].get_linestyle()
    assert "recall, class 2" in plot_history(history, "recall", axes()).get_legend_handles_labels()[1]
    ax = plot_history(history, "many", axes())
    assert (len(ax.lines), ax.get_legend_handles_labels()[1]) == (11, ["many, 11 classes"])
    assert plot_history(history, ax=axes()).get_legend_handles_labels()[1] == ["accuracy, best 0.6 in epoch 2"]


def test_what_cannot_be_drawn_is_refused() -> None:
    history = scores(accuracy=[0.5]).add(1, {"cells": [[1, 2], [3, 4]], "recall": [0.1, 0.2]})
    with refused(ValueError, "plot_history: cells has shape (2, 2) in each epoch, but one number, or one per class"):
        plot_history(history, "cells", axes())
    with refused(ValueError, "plot_history: got 3 class names, but recall has 2 classes"):
        plot_history(history, "recall", axes(), class_names="abc")
    with refused(ValueError, "plot_history: got no names, but at least one of History(no epochs) is due"):
        plot_history(sm.History(), ax=axes())
    with refused(TypeError, "plot_history: got {}, but a History is due"):
        plot_history({}, ax=axes())  # pyright: ignore[reportArgumentType]
    with refused(TypeError, "History: 'lost' is not recorded; there are accuracy, cells and recall"):
        plot_history(history, "lost", axes())
