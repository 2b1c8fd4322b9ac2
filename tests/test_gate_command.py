"""`streammetrics gate`: what is printed and written, the exit status, and what is refused."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streammetrics as sm
from streammetrics.command import main

pytestmark = pytest.mark.xdist_group("command line")

ROOT = Path(__file__).parents[1]
LABELS = sm.Binary("labels")
SCORES = sm.Binary("probabilities")
COUNTRY = {"country": ("de", "fr")}


def rows(right: int, wrong: int, **entries: Any) -> dict[str, Any]:
    """Predictions of the positive class, so many of which are right."""
    predictions = np.arange(right + wrong) < right
    return {"predictions": predictions.astype(int), "targets": np.ones(right + wrong, int), **entries}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a gate, and returns its exit status and what it prints."""

    def gate(line: str) -> tuple[int, str]:
        status = main(["gate", *shlex.split(line)])
        printed = capsys.readouterr()
        assert not printed.err
        return status, printed.out

    return gate


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a gate that must be refused, and returns the sentence."""

    def refused(line: str) -> str:
        assert main(["gate", *shlex.split(line)]) == 2
        printed = capsys.readouterr()
        assert not printed.out
        return printed.err.removeprefix("streammetrics: error: ").rstrip("\n")

    return refused


def saved(name: str, metric: sm.Metric, **batch: Any) -> sm.State:
    state = metric.tally(**batch)
    sm.save(name, state)
    return state


def test_the_exit_status_is_the_outcome(gate: Any) -> None:
    saved("a.sm", sm.Accuracy(LABELS), **rows(900, 100))
    assert gate("a.sm --at-least accuracy=0.85 --at-most accuracy=0.95") == (
        0,
        "pass (2 pass)\n"
        "pass  accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at least 0.85\n"
        "pass  accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at most 0.95\n",
    )
    assert gate("a.sm --at-least accuracy=0.89 --level 0.9 --digits 2")[0] == 3
    assert gate("a.sm --at-least accuracy=0.89 --at-least accuracy=0.95")[0] == 1
    assert gate("a.sm --at-least accuracy=0.9 --exact") == (0, "pass (1 pass)\npass  accuracy  0.9  at least 0.9\n")


def test_a_state_is_held_against_that_of_a_baseline(gate: Any) -> None:
    saved("old.sm", sm.Accuracy(LABELS), **rows(900, 100))
    saved("new.sm", sm.Accuracy(LABELS), **rows(8950, 1050))
    assert gate("new.sm --not-worse accuracy --relative 0.05 --baseline old.sm") == (
        0,
        "pass (1 pass)\n"
        "pass  accuracy  0.8950  -0.0050 from 0.9000 (-0.0232 to 0.0160 at 95 %)  not worse than baseline by more than "
        "5 %\n",
    )
    assert gate("new.sm --not-worse accuracy --margin 0.01 --baseline old.sm")[0] == 3
    assert gate("new.sm --not-worse accuracy=0.94 --margin 0.01")[0] == 1
    assert gate("new.sm --not-worse accuracy --baseline old.sm --exact")[0] == 1


def test_the_documentation_prints_what_is_printed(
    gate: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    found = re.search(
        r"```console\n\$ streammetrics (evaluate .*)\n\$ streammetrics gate (.*)\n((?:[^$`].*\n)+)```",
        (ROOT / "docs/command_line.md").read_text(),
    )
    assert found
    monkeypatch.chdir(ROOT)
    counting, judging = (line.replace("new.sm", str(folder / "new.sm")) for line in found.groups()[:2])
    assert main(shlex.split(counting)) == 0
    capsys.readouterr()
    assert gate(judging) == (3, found[3])


def test_json_has_all_that_was_found(gate: Any, folder: Path) -> None:
    saved("a.sm", sm.Accuracy(LABELS), **rows(900, 100))
    line = "a.sm --at-least accuracy=0.89 --not-worse accuracy=0.95 --margin 0.01"
    status, text = gate(f"{line} --json -")
    found = json.loads(text)
    assert (status, found["outcome"]) == (1, "fail")
    low, value, high = sm.interval(sm.Accuracy(LABELS), sm.load("a.sm"))
    assert found["findings"][0] == {
        "metric": "accuracy", "slices": "", "due": "at least 0.89", "outcome": "undecided", "value": float(value),
        "low": float(low), "high": float(high), "level": 0.95, "baseline": None, "reason": "",
    }  # fmt: skip
    assert found["findings"][1]["due"] == "not worse than 0.95 by more than 0.01"
    status, text = gate(f"{line} --json a.json")
    assert (status, text.splitlines()[0]) == (1, "fail (1 undecided, 1 fail)")
    assert json.loads((folder / "a.json").read_text()) == found


def test_metrics_go_by_name_by_class_with_options_and_by_entry(gate: Any) -> None:
    task = sm.Multiclass(3, "labels")
    ids = np.arange(300) % 3
    saved("a.sm", sm.Collection(r=sm.Recall(task), m=sm.ConfusionMatrix(task)), predictions=ids, targets=ids)
    names = ["recall", "Recall(class_id=1)", "FBeta(beta=0.5)", "stat_scores.tp", "each", "macro.f1"]
    metrics = "--metrics 'report,each=Recall(average=None)'"
    gates = " ".join(f"--at-least {name}=0.5" for name in names)
    status, text = gate(f"a.sm {gates} {metrics} --exact".replace("(", "'('").replace(")", "')'"))
    rows = [line.split()[1:-3] for line in text.splitlines()[1:]]
    assert status == 0
    classes = [["of", f"class={k}"] for k in range(3)]
    # With the report a recall is that of each class, as it is there.
    each = [["recall", *of, "1"] for of in classes]
    counts = [["stat_scores.tp", *of, "100"] for of in classes]
    named = [["each", *of, "1"] for of in classes]
    assert rows == [
        *each, ["Recall(class_id=1)", "1"], ["FBeta(beta=0.5)", "1"], *counts, *named, ["macro.f1", "1"],
    ]  # fmt: skip
    assert gate("a.sm --at-least recall=0.5 --exact") == (0, "pass (1 pass)\npass  recall  1  at least 0.5\n")
    assert gate("a.sm --at-least each=0.5 --slices class=0,5 --exact --metrics 'each=Recall(average=None)'") == (
        1,
        "fail (1 pass, 1 fail)\n"
        "pass  each of class=0  1  at least 0.5\n"
        "fail  each of class=5     at least 0.5  there is no such slice: class has 0, 1 and 2\n",
    )


def test_what_the_state_does_not_count_fails(gate: Any) -> None:
    saved("a.sm", sm.Accuracy(SCORES), predictions=np.full(9, 0.9), targets=np.ones(9, int))
    status, text = gate("a.sm --at-least auroc=0.5 --at-least accuracy=0.1")
    assert (status, text) == (
        1,
        "fail (1 pass, 1 fail)\n"
        "fail  auroc                                         at least 0.5  the state does not count what it is read "
        "off, ScoreCounts(task=Binary(inputs='probabilities'))\n"
        "pass  accuracy  1.0000  (0.7008 to 1.0000 at 95 %)  at least 0.1\n",
    )
    saved("loss.sm", sm.Mean("loss"), loss=[1.0])
    assert gate("a.sm --not-worse accuracy --baseline loss.sm") == (
        1,
        "fail (1 fail)\nfail  accuracy  not worse than baseline  baseline does not count what it is read off, "
        "ClassCounts(task=Binary(inputs='probabilities'))\n",
    )


def test_rows_that_could_not_be_counted_fail_unless_they_are_ignored(gate: Any) -> None:
    targets = np.r_[np.ones(999, int), 7]
    saved("a.sm", sm.Accuracy(LABELS), predictions=np.ones(1000, int), targets=targets)
    assert gate("a.sm --at-least accuracy=0.9") == (
        1,
        "fail (1 fail)\nfail  accuracy  at least 0.9  the state has examples that could not be counted, 1 with "
        "target that is no class\n",
    )
    assert gate("a.sm --at-least accuracy=0.9 --on-invalid ignore")[0] == 0


@pytest.fixture
def counted() -> sm.State:
    """A state of two models, in slices and under a bootstrap, in one file."""
    tasks = [sm.Binary("labels", predictions=name) for name in ("small", "large")]
    metrics: dict[str, sm.Metric] = {}
    for task in tasks:
        inner = sm.Recall(task)
        sliced = sm.Sliced(sm.Sliced(inner, slices={"country": ("de", "fr")}), "group", 2, other=True)
        metrics[task.predictions] = sm.Collection(
            plain=inner,
            sliced=sliced,
            cut=sm.Sliced(inner, slices={"age": (0.0, 18.0, 99.0)}),
            boot=sm.Bootstrapped(inner, 8, ids="row", seed=3),
            both=sm.Bootstrapped(sm.Sliced(inner, slices={"year": (2025, 2026)}), 8, ids="row", seed=3),
            last=sm.Windowed(inner, 3),
        )
    row = np.arange(240)
    batch = {"targets": row % 2, "small": row % 2, "large": row % 2 & (row % 5 > 0), "group": row % 3, "row": row}
    batch |= {"country": row // 3 % 2, "age": row % 99.0, "year": 2025 + row // 120, "step": np.int32(1)}
    return saved("all.sm", sm.Collection(metrics), **batch)


def test_wrappers_and_models_of_one_state_go_by_name(gate: Any, refused: Any, counted: sm.State) -> None:
    places = "", "by_group_country.", "by_age.", "bootstrapped.", "bootstrapped.by_year."
    names = [f"{place}{model}" for model in ("large", "small") for place in places]
    status, text = gate(f"all.sm --exact {' '.join(f'--at-least {name}.recall=0.9' for name in names)}")
    found = [line.split()[1] for line in text.splitlines()[1:]]
    assert status == 1
    assert found == [f"{name}.recall" for name in names for _ in range(shape(name))]
    outcomes = {line.split()[1]: line.split()[0] for line in text.splitlines()[1:]}
    assert outcomes == {f"{name}.recall": "pass" if "small" in name else "fail" for name in names}
    of = [line.split()[3:5] for line in text.splitlines() if " by_group_country.small" in line]
    assert of == [[f"group={g},", f"country={c}"] for g in (0, 1, "other") for c in ("de", "fr")]
    of = [" ".join(line.split()[3:6]) for line in text.splitlines() if " by_age.small" in line]
    assert of == ["age=0 – 18", "age=18 – 99"]
    status, text = gate("all.sm --exact --at-least bootstrapped.by_year.large.recall=0.5 --slices year=2026")
    assert (status, text.split()[3:8]) == (0, ["pass", "bootstrapped.by_year.large.recall", "of", "year=2026", "0.8"])
    assert refused("all.sm --at-least recall=0.9").endswith("; name one, as in large.recall")


def shape(name: str) -> int:
    """How many slices a place has."""
    return {"by_group_country": 6, "by_age": 2, "bootstrapped.by_year": 2}.get(name.rpartition(".")[0], 1)


def test_what_stands_alone_in_a_wrapper_needs_no_name(gate: Any) -> None:
    metric = sm.Sliced(sm.Accuracy(LABELS), slices={"country": ("de", "fr")})
    saved("a.sm", metric, **rows(90, 10, country=np.arange(100) % 2))
    assert gate("a.sm --at-least accuracy=0.85 --slices fr --exact") == (
        0,
        "pass (1 pass)\npass  accuracy of country=fr  0.9  at least 0.85\n",
    )


def test_slices_of_one_column_may_come_one_by_one(gate: Any) -> None:
    metric = sm.Sliced(sm.Accuracy(LABELS), slices=COUNTRY)
    saved("a.sm", metric, **rows(90, 10, country=np.arange(100) % 2))
    status, text = gate("a.sm --at-least accuracy=0.999 --slices country=de --slices country=fr --exact")
    assert (status, text.splitlines()[0]) == (1, "fail (2 fail)")


def test_what_is_counted_alone_and_in_slices_goes_by_two_names(gate: Any) -> None:
    accuracy = sm.Accuracy(LABELS)
    metrics = sm.Collection(a=accuracy, loss=sm.Mean("loss"), s=sm.Sliced(accuracy, slices={"country": ("de", "fr")}))
    saved("a.sm", metrics, **rows(90, 10, country=np.arange(100) % 2, loss=np.ones(100)))
    assert gate("a.sm --at-least accuracy=0.85 --at-most by_country.accuracy=0.5 --slices country=de --exact") == (
        1,
        "fail (2 fail)\n"
        "fail  accuracy of country=de                  at least 0.85  it has no slices\n"
        "fail  by_country.accuracy of country=de  0.9  at most 0.5\n",
    )
    status, text = gate("a.sm --at-least accuracy=0.85 --at-least by_country.accuracy=0.85 --exact")
    assert (status, text.splitlines()[0]) == (0, "pass (3 pass)")


REFUSED = """
$ a.sm
nothing is due; --at-least, --at-most or --not-worse says what is
$ a.sm --at-least accuracy
--at-least accuracy: NAME=NUMBER is due, as in accuracy=0.9
$ a.sm --at-most accuracy=high
--at-most accuracy=high: NAME=NUMBER is due, as in accuracy=0.9
$ a.sm --not-worse =0.9
--not-worse =0.9: NAME=NUMBER is due, as in accuracy=0.9
$ a.sm --not-worse accuracy
--not-worse NAME and --baseline STATE need each other; --not-worse NAME=NUMBER needs none
$ a.sm --at-least accuracy=0.9 --baseline a.sm
--not-worse NAME and --baseline STATE need each other; --not-worse NAME=NUMBER needs none
$ a.sm --at-least accuracy=0.9 --relative 0.1
--margin and --relative say nothing without --not-worse
$ a.sm --at-least acuracy=0.9
--at-least: there is no metric 'acuracy'; did you mean accuracy, top_k_accuracy or auroc?
$ a.sm --not-worse report=0.9
--not-worse report: that is several metrics; --metrics report has them by name
$ a.sm --at-least .x=0.9
--at-least: '.x' is none of name, Name(option=value) and other=Name(option=value)
$ a.sm --at-least accuracy=0.9 --metrics acuracy
--metrics: there is no metric 'acuracy'; did you mean accuracy, top_k_accuracy or auroc?
$ a.sm --at-least auroc=0.9
AUROC: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'
$ a.sm --not-worse prevalence=0.9
--not-worse prevalence: whether it is better higher or lower is not known; --at-least or --at-most says what is due
$ a.sm --at-least accuracy=0.9 --level 95
Gate('accuracy'): level is 95.0, but must be above 0 and below 1
$ a.sm --not-worse accuracy=0.9 --margin 0.1 --relative 0.1
Gate('accuracy'): margin and relative exclude each other
$ a.sm --at-least accuracy=inf
Gate('accuracy'): a bound is infinite, but must be a number
$ a.sm --at-least accuracy=nan
Gate: at_least is NaN, but must be a number
$ a.sm --at-least accuracy=0.9 --on-invalid raise
argument --on-invalid: invalid choice: 'raise' (choose from 'fail', 'ignore'); see streammetrics gate --help
$ b.sm --at-least accuracy=0.9
b.sm: No such file or directory
$ a.sm --not-worse accuracy --baseline b.sm
b.sm: No such file or directory
$ a.sm --at-least accuracy=0.9 --json no/a.json
no/a.json: there is no folder 'no' to write it to
$ loss.sm --at-least accuracy=0.9
the state counts nothing of which this command knows the values; sm.judge judges it in Python
$ window.sm --at-least accuracy=0.9
the state counts nothing of which this command knows the values; sm.judge judges it in Python
$ twice.sm --at-least accuracy=0.9
the state counts bootstrapped in two ways; sm.judge judges it in Python
$ both.sm --at-least accuracy=0.9
--at-least accuracy: the state counts a and b; name one, as in a.accuracy
$ both.sm --at-least ab.accuracy=0.9
--at-least ab.accuracy: the state counts a and b; name one, as in a.ab.accuracy
"""
CASES = [case.split("\n", 1) for case in REFUSED.strip().removeprefix("$ ").split("\n$ ")]


@pytest.mark.parametrize(("line", "due"), CASES)
def test_what_is_wrong_is_one_sentence(refused: Any, line: str, due: str) -> None:
    accuracy = sm.Accuracy(LABELS)
    metrics = {
        "a": accuracy,
        "loss": sm.Mean("loss"),
        "window": sm.Windowed(accuracy, 2),
        "twice": sm.Collection(a=sm.Bootstrapped(accuracy, 2), b=sm.Bootstrapped(accuracy, 3), c=accuracy),
        "both": sm.Collection({name: sm.Accuracy(sm.Binary("labels", predictions=name)) for name in "ab"}),
    }
    for name in {each.removesuffix(".sm") for each in line.split() if each.endswith(".sm")} & metrics.keys():
        sm.save(f"{name}.sm", metrics[name].init())
    assert refused(line) == due.strip()


def test_help_says_what_the_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["gate", "--help"])
    assert done.value.code == 0
    assert "exit status: 0 where all pass, 1 where any fails, 3" in capsys.readouterr().out


def test_the_status_is_that_of_the_process_also_where_nobody_reads(folder: Path) -> None:
    saved("a.sm", sm.Accuracy(LABELS), **rows(900, 100))
    command = f"{shlex.quote(sys.executable)} -m streammetrics gate a.sm --at-least accuracy=0.95"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    piped = f"{command} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, "")
