"""The report of a classification is scikit-learn's, to the letter."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

import streammetrics as sm
from tests.references import ROWS, padded, quietly, together

NAMES = ("cat", "a dog whose name is longer than the averages", "owl")
TASKS = {
    "three classes": sm.Multiclass(3, "labels"),
    "names": sm.Multiclass(3, "labels", class_names=NAMES),
    "binary": sm.Binary("labels"),
    "binary names": sm.Binary("labels", class_names=("no", "yes")),
    "labels": sm.Multilabel(3, "labels"),
    "label names": sm.Multilabel(3, "labels", class_names=NAMES),
}


def values_of(task, predicted, true):
    """The values of the report, always weighted: one shape, one program for all names."""
    task, named = dataclasses.replace(task, class_names=None), sm.classification_report(task)
    assert named.statistic == sm.classification_report(task).statistic
    given = {"predictions": predicted, "targets": true, "weights": np.ones(len(true), np.float32)}
    return sm.classification_report(task)(**{name: padded(array) for name, array in given.items()})


def theirs(task, predicted, true, digits, **arguments):
    """What scikit-learn prints, without the average over examples, which we do not have."""
    classes = range(2 if isinstance(task, sm.Binary) else task.classes)
    text = quietly(
        sk.classification_report,
        true,
        predicted,
        labels=classes,
        target_names=task.class_names or list(map(str, classes)),
        digits=digits,
        **{"zero_division": 0.0} | arguments,
    )
    return "".join(line for line in text.splitlines(keepends=True) if "samples avg" not in line)


@pytest.mark.parametrize("digits", [2, 4, 13])
@pytest.mark.parametrize("name", [together("report " + name.split()[0], name) for name in TASKS])
def test_the_report_is_scikit_learns(name, digits):
    task, rng = TASKS[name], np.random.default_rng(len(name))
    classes = task.classes if isinstance(task, sm.Multiclass) else 2
    shape = (ROWS, 3) if isinstance(task, sm.Multilabel) else (ROWS,)
    true = rng.integers(0, classes, shape)
    noisy = np.where(rng.random(shape) < 0.6, true, rng.integers(0, classes, shape))
    last = np.full(shape, classes - 1)
    for predicted in (noisy, true, last):  # the last: of some classes nothing is predicted
        found = sm.format_report(values_of(task, predicted, true), task, digits)
        due = theirs(task, predicted, true, digits)
        # In float32 a 13th digit may differ: only the layout is that of theirs.
        assert layout(found) == layout(due) if digits > 6 else found == due


def layout(text):
    return [len(line) for line in text.splitlines()]


def test_an_absent_class_has_a_line_but_does_not_enter_the_macro_average():
    task, predicted, true = TASKS["three classes"], np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    ours = sm.format_report(values_of(task, predicted, true), task).splitlines()
    every = theirs(task, predicted, true, 2).splitlines()
    present = str(sk.classification_report(true, predicted)).splitlines()
    assert ours[4].split() == ["2", "0.00", "0.00", "0.00", "0"]
    assert [line for line in ours if "macro" not in line] == [line for line in every if "macro" not in line]
    assert [line for line in ours if "macro" in line] == [line for line in present if "macro" in line]


def test_the_report_counts_once_and_holds_the_metrics_it_names():
    for name in ("three classes", "binary", "labels"):
        assert len(sm.classification_report(TASKS[name]).init().data) == 1
    true, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    values = sm.plain(values_of(TASKS["three classes"], predicted, true))
    assert values["counts"] == {
        "tp": [1, 2, 0],
        "fp": [1, 1, 0],
        "tn": [2, 2, 4],
        "fn": [1, 0, 1],
        "support": [2, 2, 1],
    }
    due: Any = quietly(sk.classification_report, true, predicted, output_dict=True, zero_division=0.0)
    for key in ("precision", "recall", "f1"):
        theirs = "f1-score" if key == "f1" else key
        assert values[key] == pytest.approx([due[str(k)][theirs] for k in range(3)], rel=1e-6)
        for average in ("macro", "weighted"):
            assert values[average][key] == pytest.approx(due[f"{average} avg"][theirs], rel=1e-6)
    assert values["accuracy"] == pytest.approx(due["accuracy"], rel=1e-6)


def test_both_classes_of_binary_are_reported_and_logits_are_cut():
    task = sm.Binary("logits", threshold=0.75)
    scores, true = np.array([1.0, 1.2, -1.0, 1.5], np.float32), np.array([1, 1, 0, 0])  # sigmoids .73, .77, .27, .82
    text = sm.format_report(sm.classification_report(task)(predictions=scores, targets=true), task)
    assert text == sk.classification_report(true, [0, 1, 0, 1])


def test_values_that_were_made_plain_print_the_same():
    task, ids = TASKS["three classes"], np.arange(6) % 3
    values = values_of(task, ids, ids)
    assert sm.format_report(sm.plain(values), task) == sm.format_report(values, task) == theirs(task, ids, ids, 2)


def test_nothing_counted_and_very_much_are_reported_too():
    task = TASKS["binary"]
    report = sm.classification_report(task)
    lines = sm.format_report(report.compute(report.init()), task).splitlines()
    assert lines[2].split() == ["0", "nan", "nan", "nan", "0"]
    assert lines[5].split() == ["accuracy", "nan", "0"]
    state = report.tally(predictions=np.array([0, 1]), targets=np.array([0, 1]), weights=np.full(2, 65_535))
    for _ in range(30):
        state = sm.merge(state, state)
    line = sm.format_report(report.compute(state), task).splitlines()[2]
    assert line.split() == ["0", "1.00", "1.00", "1.00", str(65_535 * 2**30)]


def test_values_of_another_report_are_refused():
    values = values_of(TASKS["binary"], np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"format_report: the values are .* but those of the report of .* are"):
        sm.format_report(values, TASKS["labels"])
    with pytest.raises(ValueError, match="format_report: the values are"):
        sm.format_report({"accuracy": 1.0}, TASKS["binary"])
