"""The command line: what is printed and written, and what is refused in one sentence."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from pyarrow import parquet

import streammetrics as sm
from streammetrics.command import main
from streammetrics.command._metrics import Asked, asked_by, known
from streammetrics.command._models import Model, Seen
from streammetrics.command._report import as_text
from streammetrics.command._values import Reading
from tests.test_files import write

pytestmark = pytest.mark.xdist_group("command line")

EMPLOYMENT = np.load(Path(__file__).parent / "data" / "ma_employment_20k.npz")
TRUE, PROBABILITY = EMPLOYMENT["y"], EMPLOYMENT["p"]

RNG = np.random.default_rng(0)
ROWS = 600
LABEL = RNG.integers(0, 3, ROWS)
SHARES = RNG.dirichlet(np.ones(3), ROWS)
SHARES = (0.7 * SHARES + 0.3 * np.eye(3)[LABEL]).astype(np.float32)
NAMES = ("cat", "dog", "owl")
COLUMNS = {**{f"p{k}": SHARES[:, k] for k in range(3)}, "label": LABEL, "name": [NAMES[k] for k in LABEL]}

BINARY = "--task binary --inputs probabilities --predictions p --targets y"
THREE = "--task multiclass --num-classes 3 --inputs probabilities"
COMMON = f"{THREE} --predictions p0,p1,p2 --targets label"
HEAD = ("examples", "invalid", "values", "bounds")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command that must succeed, and returns what it prints."""

    def run(line: str) -> str:
        assert main(shlex.split(line)) == 0
        printed = capsys.readouterr()
        assert not printed.err
        return printed.out

    return run


@pytest.fixture
def values(run):
    """Runs a command, and returns the JSON that it prints."""

    def values(line: str) -> dict[str, Any]:
        return json.loads(run(f"{line} --json -"), parse_constant=pytest.fail)

    return values


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused, and returns the sentence."""

    def refused(line: str) -> str:
        assert main(shlex.split(line)) == 2
        printed = capsys.readouterr()
        assert not printed.out
        assert printed.err.startswith("streammetrics: error: ")
        assert printed.err.count("\n") == 1
        return printed.err.removeprefix("streammetrics: error: ").rstrip("\n")

    return refused


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_the_report_and_the_values_are_scikit_learns(folder, run, values):
    np.savez_compressed("a.npz", p=PROBABILITY, y=TRUE)
    text = run(f"evaluate a.npz {BINARY}")
    table = sk.classification_report(TRUE, PROBABILITY > 0.5, digits=4)
    assert lines_of(text)[0] == "20,000 examples"
    assert str(table).strip("\n") in text
    found = values(f"evaluate a.npz {BINARY}")
    assert tuple(found) == HEAD
    assert (found["examples"], found["invalid"]) == (20_000, {})
    auroc, precision = sk.roc_auc_score(TRUE, PROBABILITY), sk.average_precision_score(TRUE, PROBABILITY)
    for name, due in {"auroc": auroc, "average_precision": precision}.items():
        low, high = found["bounds"][name]
        assert low <= due <= high
        assert found["values"][name] == pytest.approx(due, abs=2e-4)
        line = next(line for line in lines_of(text) if line.startswith(name))
        shown = [float(number) for number in re.findall(r"\d\.\d{4}", line)]
        assert shown[0] == round(found["values"][name], 4)
        assert shown[1] <= low <= high <= shown[2]
    edges = np.linspace(0, 1, 16)
    bins = np.clip(np.digitize(PROBABILITY, edges) - 1, 0, 14)
    gaps = [abs((TRUE - PROBABILITY.astype(float))[bins == k].sum()) for k in range(15)]
    assert found["values"]["calibration_error"] == pytest.approx(sum(gaps) / 20_000, abs=1e-6)
    assert found["values"]["counts"]["support"] == np.bincount(TRUE).tolist()
    assert set(found["bounds"]) == {"auroc", "average_precision"}


def test_the_documentation_prints_what_is_printed(run, monkeypatch):
    root = Path(__file__).parents[1]
    blocks = re.findall(
        r"```console\n\$ streammetrics (.*)\n((?:[^$`].*\n|\n)+)```", (root / "docs/command_line.md").read_text()
    )
    monkeypatch.chdir(root)
    assert [run(line) for line, _ in blocks] == [text for _, text in blocks]
    assert len(blocks) == 1


def test_all_formats_and_any_cut_give_the_same_values_bit_for_bit(folder, values):
    files = [write(folder / f"a.{suffix}", COLUMNS) for suffix in ("parquet", "csv", "jsonl", "npz")]
    whole, *others = [values(f"evaluate {file} {COMMON}") for file in files]
    assert others == [whole] * 3
    cuts = [0, 7, 300, ROWS]
    for k, suffix in enumerate(("npz", "jsonl", "csv")):
        write(folder / f"part{k}.{suffix}", {name: array[cuts[k] : cuts[k + 1]] for name, array in COLUMNS.items()})
    assert values(f"evaluate part0.npz part1.jsonl part2.csv {COMMON}") == whole
    assert whole["values"]["accuracy"] == pytest.approx(np.mean(SHARES.argmax(1) == LABEL))
    # By name as by number, and in lists as in columns.
    assert values(f"evaluate a.csv {COMMON.replace('label', 'name')} --class-names {','.join(NAMES)}") == whole
    write(folder / "lists.parquet", {"p": SHARES.tolist(), "label": LABEL})
    assert values(f"evaluate lists.parquet {COMMON.replace('p0,p1,p2', 'p')}") == whole


def test_states_of_parts_merge_to_the_state_and_the_values_of_the_whole(folder, run, values):
    write(folder / "a.parquet", COLUMNS)
    for k in range(3):
        write(folder / f"{k}.npz", {name: array[200 * k : 200 * k + 200] for name, array in COLUMNS.items()})
        run(f"evaluate {k}.npz {COMMON} --save {k}.sm")
    whole = run(f"evaluate a.parquet {COMMON} --save a.sm --json a.json --class-names cat,dog,owl")
    assert run("merge 2.sm 0.sm 1.sm --save all.sm --json all.json --class-names cat,dog,owl") == whole
    assert (folder / "all.sm").read_bytes() == (folder / "a.sm").read_bytes()
    assert (folder / "all.json").read_text() == (folder / "a.json").read_text()
    shown = run("show all.sm --class-names cat,dog,owl")
    assert shown.endswith(whole)
    task = "task=Multiclass(num_classes=3, inputs='probabilities')"
    assert f"ScoreCounts({task}): 600 examples" in shown
    # A state of the command is one of the library.
    accuracy = sm.Accuracy(sm.Multiclass(3, "probabilities"))
    state = sm.load(folder / "all.sm")
    metric = sm.Collection({name: known()[name](accuracy.task) for name in ("auroc", "accuracy", "calibration_error")})
    assert float(metric.compute(state)["accuracy"]) == values("show a.sm")["values"]["accuracy"]
    assert values("show a.sm --metrics recall,each=Recall(average=None)")["values"].keys() == {"recall", "each"}


def test_several_models_are_counted_in_one_pass_and_named(folder, run, values):
    worse = np.roll(SHARES, 1, axis=1)
    write(folder / "a.parquet", COLUMNS | {"other": worse.tolist()})
    models = "--predictions small=p0,p1,p2 --predictions large=other --targets label --metrics accuracy"
    both = values(f"evaluate a.parquet {THREE} {models}")
    assert tuple(both) == HEAD
    assert all(list(both[key]) == ["small", "large"] for key in HEAD)
    alone = values(f"evaluate a.parquet {COMMON} --metrics accuracy")
    assert {key: both[key]["small"] for key in HEAD} == alone
    assert both["values"]["large"]["accuracy"] == pytest.approx(np.mean(worse.argmax(1) == LABEL))
    text = run(f"evaluate a.parquet {THREE} {models} --save a.sm")
    assert [line for line in text.splitlines() if line in ("small", "large")] == ["small", "large"]
    merged = values("merge a.sm a.sm")
    assert merged["examples"] == {"large": 1200, "small": 1200}
    assert merged["values"]["large"]["accuracy"] == both["values"]["large"]["accuracy"]


PAIRS = {"p": np.array([0.9, 0.8, 0.3, 0.6, 0.2]), "y": [1, 0, 1, -1, 0], "w": [1, 2, 1, 7, 0.5]}


def test_what_is_ignored_weighed_and_cut_is_counted_by_hand(folder, values):
    write(folder / "a.parquet", PAIRS)
    command = "--metrics accuracy,stat_scores --ignore -1"
    found = values(f"evaluate a.parquet {BINARY} {command}")
    assert found["examples"] == 4
    assert found["values"]["accuracy"] == 0.5
    assert found["values"]["stat_scores"] == {"tp": 1, "fp": 1, "tn": 1, "fn": 1, "support": 2}
    found = values(f"evaluate a.parquet {BINARY} {command} --threshold 0.85 --weights w --weighted")
    assert found["values"]["accuracy"] == pytest.approx((1 + 2 + 0.5) / 4.5)
    assert found["values"]["stat_scores"]["tn"] == 2.5
    # Whole weights alone keep the counts exact; the row of 0.5 is no such.
    found = values(f"evaluate a.parquet {BINARY} {command} --weights w --on-invalid ignore")
    assert found["invalid"] == {"fractional weight (needs weighted=True)": 1}
    assert (found["examples"], found["values"]["accuracy"]) == (4, 0.25)


def test_labels_of_several_columns_are_judged_each_at_its_threshold(folder, run, values):
    scores, true = np.array([[0.9, 0.4], [0.2, 0.6], [0.7, np.nan]]), np.array([[1, 0], [0, 1], [0, 1]])
    write(folder / "a.parquet", {"s": scores.tolist(), "y0": true[:, 0], "y1": true[:, 1] == 1})
    task = "--task multilabel --num-labels 2 --inputs scores --predictions s --targets y0,y1"
    task = f"{task} --threshold 0.8,0.5 --metrics report"
    found = values(f"evaluate a.parquet {task} --on-invalid ignore")
    assert (found["examples"], found["invalid"]) == (3, {"NaN score": 1})
    assert found["values"]["accuracy"] == 1.0
    assert found["values"]["counts"]["support"] == [1, 1]
    text = run(f"evaluate a.parquet {task} --on-invalid ignore --digits 2")
    assert lines_of(text)[:2] == ["3 examples", "not counted: 1 label with NaN score"]
    assert ["accuracy", "1.00"] in [line.split()[:2] for line in lines_of(text)]


BAD_TARGET = np.where(np.isin(np.arange(ROWS), (333, 400)), [7] * ROWS, LABEL)
BAD_SCORE = np.where(np.arange(ROWS) == 55, np.nan, SHARES[:, 1])
BAD = COLUMNS | {"label": BAD_TARGET, "p1": BAD_SCORE}
COUNTED = f"{COMMON} --metrics accuracy,auroc"


def test_rows_that_cannot_be_counted_fail_and_are_pointed_at_and_what_was_counted_is_saved(folder, refused, values):
    write(folder / "good.npz", {name: np.asarray(column) for name, column in COLUMNS.items()})
    write(folder / "bad.parquet", BAD)
    due = (
        "1 example with NaN score (first in row 56 of bad.parquet) and 2 examples with target that is no class (first "
        "in row 334 of bad.parquet) could not be counted beside 1,197 examples; --on-invalid ignore reads the others"
    )
    assert refused(f"evaluate good.npz bad.parquet {COUNTED} --json a.json") == due
    assert not (folder / "a.json").exists()
    assert refused(f"evaluate good.npz bad.parquet {COUNTED} --save a.sm") == f"{due}, and a.sm holds what was counted"
    assert refused("merge a.sm a.sm") == (
        "2 examples with NaN score and 4 examples with target that is no class could not be counted beside 2,394 "
        "examples; --on-invalid ignore reads the others"
    )
    rest = values("show a.sm --on-invalid ignore --metrics accuracy")
    assert rest["invalid"] == {"NaN score": 1, "target that is no class": 2}
    kept = np.isin(np.arange(ROWS), (55, 333, 400), invert=True)
    hits = SHARES.argmax(1) == LABEL
    assert rest["values"]["accuracy"] == pytest.approx((hits.sum() + hits[kept].sum()) / 1197)


def test_nan_and_ignore_go_on_and_say_what_is_missing(folder, run, values):
    write(folder / "bad.parquet", BAD)
    text = run(f"evaluate bad.parquet {COUNTED} --on-invalid nan --save a.sm")
    assert lines_of(text) == [
        "597 examples",
        "not counted: 1 example with NaN score",
        "not counted: 2 examples with target that is no class",
        "accuracy  nan",
        "auroc     nan",
    ]
    assert run("show a.sm --metrics accuracy,auroc").endswith(text)  # its default
    found = values(f"evaluate bad.parquet {COUNTED} --on-invalid nan")
    assert found["values"] == {"accuracy": None, "auroc": None}
    assert found["bounds"] == {"auroc": [None, None]}
    assert values(f"evaluate bad.parquet {COUNTED} --on-invalid ignore")["values"]["accuracy"] > 0.5


def test_of_several_models_it_is_said_whose_rows_they_are(folder, refused):
    write(folder / "a.parquet", COLUMNS | {"worse": BAD_SCORE})
    models = f"{THREE} --predictions a=p0,p1,p2 --predictions b=p0,worse,p2 --targets label --metrics accuracy"
    assert refused(f"evaluate a.parquet {models}") == (
        "1 example with NaN score (first in row 56 of a.parquet) could not be counted beside 599 examples of b; "
        "--on-invalid ignore reads the others"
    )


def test_a_missing_target_is_no_class(folder, refused):
    write(folder / "a.csv", COLUMNS | {"label": pa.array([None if k == 8 else int(x) for k, x in enumerate(LABEL)])})
    assert refused(f"evaluate a.csv {COUNTED}").startswith(
        "1 example with target that is no class (first in row 9 of a.csv) could not be counted beside 599 examples; "
    )


def test_bins_are_those_asked_for_also_when_a_state_is_read(folder, values):
    write(folder / "a.parquet", COLUMNS)
    found = values(f"evaluate a.parquet {COMMON} --metrics auroc,prauc --bins 64 --save a.sm")
    (member,) = sm.load(folder / "a.sm").statistic.members  # pyright: ignore[reportAttributeAccessIssue]  # a Joint
    assert member.bins == 64
    assert values("show a.sm --metrics auroc,prauc --on-invalid ignore") == found
    assert list(found["bounds"]) == ["auroc"]  # the other is an estimate without any
    low, high = found["bounds"]["auroc"]
    assert low <= sk.roc_auc_score(LABEL, SHARES, multi_class="ovr") <= high


def test_metrics_of_each_class_and_tables_are_printed_by_name(folder, run):
    write(folder / "a.parquet", COLUMNS)
    metrics = "each=Recall(average=None),confusion_matrix,roc"
    text = run(f"evaluate a.parquet {COMMON} --metrics '{metrics}' --class-names cat,dog,owl --digits 3")
    table = sk.confusion_matrix(LABEL, SHARES.argmax(1))
    recall = sk.recall_score(LABEL, SHARES.argmax(1), average=None)  # pyright: ignore[reportArgumentType]
    lines = [line.split() for line in lines_of(text)]
    for name, share, row in zip(NAMES, np.asarray(recall), table, strict=True):
        assert [name, f"{share:.3f}"] in lines
        assert [name, *map(str, row)] in lines
    assert "confusion_matrix (rows are true, columns predicted)" in lines_of(text)
    assert "roc.fpr: 3 × 4,101 values, which --json has" in lines_of(text)


def test_of_very_many_classes_the_averages_are_printed(folder, run):
    ids = np.arange(150)
    write(folder / "a.npz", {"p": ids, "y": np.minimum(ids, 148)})
    task = "--task multiclass --num-classes 150 --inputs labels --predictions p --targets y"
    text = run(f"evaluate a.npz {task} --digits 2")
    lines = lines_of(text)
    assert "\n\n\n" not in text
    assert lines[2] == "(150 classes: --json has the values of each)"
    assert [line.split()[:2] for line in lines[3:]] == [["accuracy", "0.99"], ["macro", "avg"], ["weighted", "avg"]]


def test_without_rows_there_are_no_examples(folder, run, values):
    (folder / "a.csv").write_text("p0,p1,p2,label\n")
    (folder / "a.jsonl").write_text("")
    for file in ("a.csv", "a.jsonl"):
        found = values(f"evaluate {file} {COUNTED}")
        assert (found["examples"], found["invalid"]) == (0, {})
        assert found["values"] == {"accuracy": None, "auroc": None}
    assert lines_of(run(f"evaluate a.csv {COUNTED}"))[0] == "0 examples"


def test_pictures_are_drawn_of_each_model(folder, run):
    np.savez("a.npz", p=PROBABILITY[:2000], y=TRUE[:2000])
    kinds = {"roc", "precision_recall", "reliability", "confusion_matrix"}
    run(f"evaluate a.npz {BINARY} --plots new/pictures --metrics accuracy --save a.sm")
    assert {path.name for path in (folder / "new/pictures").iterdir()} == {f"{kind}.png" for kind in kinds}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "new/pictures").iterdir())
    run(
        f"evaluate a.npz {BINARY.replace('p --', 'a=y --')} --plots named --metrics accuracy".replace(
            "probabilities", "labels"
        )
    )
    assert [path.name for path in (folder / "named").iterdir()] == ["a_confusion_matrix.png"]
    run("show a.sm --plots shown --metrics accuracy --on-invalid ignore")
    assert len(list((folder / "shown").iterdir())) == 4


def test_extras_that_are_missing_are_named(folder, refused, monkeypatch):
    write(folder / "a.parquet", COLUMNS)
    for name in [name for name in sys.modules if name.split(".")[0] in ("matplotlib", "pyarrow")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert refused(f"evaluate a.parquet {COMMON} --plots p") == (
        "--plots needs matplotlib, which is not installed: pip install 'streammetrics[plot]'"
    )
    assert not (folder / "p").exists()
    assert refused(f"evaluate a.parquet {COMMON}") == (
        "reading Parquet, CSV and JSON lines needs pyarrow, which is not installed: pip install 'streammetrics[files]'"
    )


REFUSED = """
$ evaluate a.npz COMMON --metrics acuracy
--metrics: there is no metric 'acuracy'; did you mean accuracy, top_k_accuracy or auroc?
$ evaluate a.npz COMMON --metrics qqq
--metrics: there is no metric 'qqq'; evaluate --help lists them
$ evaluate a.npz COMMON --metrics Mean
--metrics: there is no metric 'Mean'; did you mean mean_iou?
$ evaluate a.npz COMMON --metrics AUROC(bin=64)
--metrics: AUROC has no option 'bin';
it has 'bins', 'ties', 'score_range', 'average', 'class_id' and 'max_fpr'
$ evaluate a.npz COMMON --metrics stat_scores_at
--metrics: StatScoresAt needs 'thresholds', as in StatScoresAt(thresholds=…)
$ evaluate a.npz COMMON --metrics Recall(average=1)
Recall: average is 1 of type int, but must be str
$ evaluate a.npz COMMON --metrics Recall(abs(1))
--metrics: 'Recall(abs(1))' is none of name, Name(option=value) and other=Name(option=value)
$ evaluate a.npz COMMON --metrics Recall(average=abs(1))
--metrics: 'Recall(average=abs(1))' is none of name, Name(option=value) and other=Name(option=value)
$ evaluate a.npz COMMON --metrics Recall(**{'average':None})
--metrics: "Recall(**{'average':None})" is none of name, Name(option=value) and other=Name(option=value)
$ evaluate a.npz COMMON --metrics recall,
--metrics: '' is none of name, Name(option=value) and other=Name(option=value)
$ evaluate a.npz COMMON --metrics report,recall
--metrics: two values would be called 'recall'; other=recall names one of them
$ evaluate a.npz COMMON --bins 100
AUROC: bins is 100, but must be a power of two from 64 to 1,048,576,
or 'bfloat16' or 'float16' for every value of that dtype
$ evaluate a.npz COMMON --threshold 0.5
--threshold says nothing of --task multiclass
$ evaluate a.npz BINARY --num-classes 2
--num-classes says nothing of --task binary
$ evaluate a.npz BINARY --threshold 2
Binary: threshold is 2.0, but must be a probability from 0 to 1
$ evaluate a.npz BINARY --threshold x
argument --threshold: invalid threshold value: 'x'; see streammetrics evaluate --help
$ evaluate a.npz COMMON --digits -1
argument --digits: -1 is not from 0 to 20; see streammetrics evaluate --help
$ evaluate a.npz --task multilabel --inputs labels --predictions p --targets y
--task multilabel needs --num-labels
$ evaluate a.npz --task binary --predictions p --targets y
the following arguments are required: --inputs; see streammetrics evaluate --help
$ evaluate a.npz COMMON --predictions q
--predictions: several models must have names of their own, as in NAME=columns
$ evaluate a.npz COMMON --predictions a=q
--predictions: several models must have names of their own, as in NAME=columns
$ evaluate a.npz THREE --targets y --predictions a=p --predictions a=q
--predictions: several models must have names of their own, as in NAME=columns
$ evaluate a.npz THREE --targets y --predictions targets=p
--predictions targets=p: a model cannot be called 'targets'
$ evaluate a.npz THREE --targets y --predictions p0,p1
--predictions names 2 columns, but 3 columns, or one of lists, are due
$ evaluate a.npz THREE --targets y,z --predictions p
--targets names 2 columns, but one is due
$ evaluate a.npz COMMON --class-names a,b
Multiclass: class_names has 2 names, but there are 3 classes
$ evaluate a.npz COMMON --json no/a.json
no/a.json: there is no folder 'no' to write it to
$ evaluate a.npz COMMON --save no/a.sm
no/a.sm: there is no folder 'no' to write it to
$ evaluate a.npz COMMON --plots a.npz
a.npz: File exists
$ evaluate a.npz COMMON
a.npz: there is no column 'p0'; it has 'p' and 'y'
$ evaluate b.npz COMMON
b.npz: No such file or directory
$ evaluate --typo
the following arguments are required: FILE, --task, --inputs, --predictions, --targets;
see streammetrics evaluate --help
$ show b.sm
b.sm: No such file or directory
$ show a.npz
a.npz: the bytes begin with b'PK\\x03\\x04', but those of a state begin with b'SMET'
$ show loss.sm --json a.json
the state counts nothing of which this command knows the values; sm.load(path) reads it in Python
$ show loss.sm --save a.sm
unrecognized arguments: --save a.sm; see streammetrics --help
$ show count.sm --metrics auroc
AUROC: the task's inputs are 'labels', but must be 'logits', 'probabilities' or 'scores'
$ show count.sm --metrics cohen_kappa,exact_match,recall --class-names a,b,c
--class-names: Binary: class_names has 3 names, but there are 2 classes
$ show shares.sm --metrics log_loss
--metrics: the state does not hold what 'log_loss' is read off, LogLoss(task=Binary(inputs='probabilities'))
$ merge loss.sm count.sm
loss.sm and count.sm do not count the same:
the first counts Moments(entry='loss'), the second ClassCounts(task=Binary(inputs='labels'))
"""
CASES = [case.split("\n", 1) for case in REFUSED.strip().removeprefix("$ ").split("\n$ ")]


@pytest.mark.parametrize(("line", "due"), CASES)
def test_what_is_wrong_is_one_sentence(folder, capsys, line, due):
    np.savez("a.npz", p=SHARES, y=LABEL)
    sm.save("loss.sm", sm.Mean("loss").init())
    sm.save("count.sm", sm.Accuracy(sm.Binary("labels")).init())
    sm.save("shares.sm", sm.Accuracy(sm.Binary("probabilities")).init())
    for name, options in (("COMMON", COMMON), ("BINARY", BINARY), ("THREE", THREE)):
        line = line.replace(name, options)
    assert main(line.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"streammetrics: error: {' '.join(due.split())}\n"


def test_a_damaged_state_is_refused(folder, refused):
    sm.save("a.sm", sm.Mean("loss").init())
    data = (folder / "a.sm").read_bytes()
    (folder / "a.sm").write_bytes(data[:-1])
    assert refused("show a.sm") == "a.sm: the bytes are truncated or altered; their checksum does not match"


def test_a_state_of_other_metrics_is_shown_by_its_statistics(folder, run, refused):
    metric = sm.Collection(loss=sm.Mean("loss"), error=sm.MeanSquaredError())
    sm.save("a.sm", metric.tally(loss=[1.0, np.nan], predictions=[1.0, 2.0], targets=[1.0, 1.0]))
    text = run("show a.sm")
    assert sorted(line.split(": ")[1] for line in lines_of(text)) == ["1 example, 1 not counted", "2 examples"]
    assert run("merge a.sm a.sm --save b.sm --on-invalid ignore").count("\n") >= 2
    assert sm.load("b.sm").examples


def test_the_threshold_of_a_state_is_that_of_its_classes(values):
    task = sm.Binary("probabilities", threshold=0.85)
    metric = sm.Collection(accuracy=sm.Accuracy(task), calibration=sm.CalibrationError(task))
    sm.save("a.sm", metric.tally(predictions=PAIRS["p"][:3], targets=np.array(PAIRS["y"][:3])))
    assert values("show a.sm --metrics accuracy")["values"]["accuracy"] == pytest.approx(2 / 3)


def test_values_by_threshold_are_not_taken_for_values_by_class():
    task = sm.Binary("scores")
    model = Model(task, {"at": sm.StatScoresAt(task, (0.2, 0.7))}, {})
    assert as_text(model, Reading(Seen(1, {}), {"at": {"tp": [3000, 2]}}, {}), 4) == "1 example\n\nat.tp: 3,000, 2"


def test_metrics_go_by_their_names_in_snake_case_and_options_are_literals():
    names = known()
    assert names["mean_iou"] is sm.MeanIoU
    assert names["one_vs_one_auroc"] is sm.OneVsOneAUROC
    assert names["top_k_accuracy"] is sm.TopKAccuracy
    assert names["f_beta"] is sm.FBeta
    assert names["prauc"] is sm.PRAUC
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) for name in names)
    text = "accuracy, Accuracy ,b=FBeta(beta=2.0, average=None),BestThreshold(by='cost', costs=(1, [2]))"
    assert asked_by(text) == [
        Asked("accuracy", "accuracy"),
        Asked("accuracy", "accuracy"),
        Asked("b", "f_beta", {"beta": 2.0, "average": None}),
        Asked("best_threshold", "best_threshold", {"by": "cost", "costs": (1, [2])}),
    ]


@pytest.mark.parametrize("line", ["--help", "evaluate --help", "merge --help", "show --help", "--version"])
def test_help_shows_an_example(capsys, line):
    with pytest.raises(SystemExit) as done:
        main(line.split())
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert text == f"streammetrics {sm.__version__}\n" if line == "--version" else "example:\n  streammetrics" in text
    if line.startswith("evaluate"):
        assert set(known()) <= set(re.findall(r"\w+", text))


COUNTING = "--task binary --inputs probabilities --predictions p --targets y --metrics accuracy"
MEASURED = f"""
import sys
import streammetrics
assert "streammetrics.command" not in sys.modules and "pyarrow" not in sys.modules
from streammetrics.command import main
for path in sys.argv[1:]:
    assert main(["evaluate", path, *"{COUNTING}".split()]) == 0
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
CHUNK, CHUNKS, LIMIT = 2**20, 21, 300 * 2**20
SCALE = {"p": RNG.random(CHUNK), "y": np.tile([0, 1], CHUNK // 2)}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the memory of a process")
def test_memory_does_not_grow_with_the_file(folder):
    assert CHUNKS * sum(array.nbytes for array in SCALE.values()) > LIMIT
    small = write(folder / "small.npz", SCALE)
    # One row group, and scores that no encoding makes small: they must not be held, as they are in the file either.
    table = pa.concat_tables([pa.table(SCALE)] * CHUNKS)
    encoded: Any = ["y"]  # pyarrow's stubs know a bool alone
    parquet.write_table(table, "large.parquet", len(table), use_dictionary=encoded, compression="none")
    with zipfile.ZipFile("large.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in SCALE.items():
            with archive.open(f"{name}.npy", "w") as member:
                described = {"descr": array.dtype.str, "fortran_order": False, "shape": (CHUNKS * CHUNK,)}
                np.lib.format.write_array_header_1_0(member, described)
                for _ in range(CHUNKS):
                    member.write(bytes(array.nbytes))
    command = [sys.executable, "-c", MEASURED, small, "large.parquet", "large.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"XLA_FLAGS": ""})
    peaks = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    assert done.stdout.count(f"{CHUNKS * CHUNK:,} examples") == 2
    assert len(peaks) == 3
    assert (peaks[-1] - peaks[0]) * 1024 < LIMIT / 2


def test_it_runs_as_a_module_and_stops_quietly_where_nobody_reads_on(folder):
    np.savez("a.npz", p=SHARES, y=LABEL)
    command = f"{shlex.quote(sys.executable)} -m streammetrics evaluate a.npz {THREE}"
    typo = subprocess.run(shlex.split(f"{command} --predictions p --targets yy"), capture_output=True, text=True)
    assert (typo.returncode, typo.stdout) == (2, "")
    assert typo.stderr == "streammetrics: error: a.npz: there is no column 'yy'; it has 'p' and 'y'\n"
    piped = f"{command} --predictions p --targets y --metrics accuracy | true"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(piped, shell=True, capture_output=True, text=True, env=buffered)
    assert (done.returncode, done.stderr) == (0, "")
