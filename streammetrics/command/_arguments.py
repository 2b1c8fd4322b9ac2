"""What may be said on the command line."""

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

import streammetrics as sm
from streammetrics.command._errors import Refused
from streammetrics.command._evaluation import evaluate
from streammetrics.command._gate import gate
from streammetrics.command._metrics import REPORT, known
from streammetrics.command._states import merge, show

EXAMPLE = """\
example:
  streammetrics evaluate predictions.parquet --task multiclass --num-classes 3 \\
      --inputs probabilities --predictions p0,p1,p2 --targets label
"""
EXAMPLES = {
    "evaluate": f"""{EXAMPLE}
two models, the second in one column of lists:
  streammetrics evaluate a.csv b.csv --task binary --inputs logits --targets label \\
      --predictions small=s --predictions large=l --json values.json

a part of the files, to be merged with what is counted of the others:
  streammetrics evaluate part1.jsonl … --save part1.sm
""",
    "merge": """\
example:
  streammetrics merge part*.sm --save all.sm --class-names cat,dog,owl
""",
    "show": """\
example:
  streammetrics show all.sm --metrics "accuracy,each=Recall(average=None)"
""",
    "gate": """\
example:
  streammetrics gate new.sm --at-least accuracy=0.9 --not-worse auroc --relative 0.01 --baseline old.sm

exit status: 0 where all pass, 1 where any fails, 3 where none fails and any is undecided, 2 for what is refused
""",
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, like all others."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}; see {self.prog} --help")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command, with the command as `run`."""
    parser = Parser("streammetrics", description="Exact metrics of predictions in files.", **_shown(EXAMPLE))
    parser.add_argument("--version", action="version", version=f"streammetrics {sm.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, more: str = "") -> Parser:
        added = commands.add_parser(name, help=text, description=f"{text}.", **_shown(EXAMPLES[name] + more))
        added.set_defaults(run=run)
        return added

    _evaluate(command("evaluate", evaluate, "count files of predictions, and print what they are worth", _metrics()))
    merging = command("merge", merge, "join saved states, and print their values")
    merging.add_argument("files", nargs="+", metavar="STATE", help="what evaluate --save wrote")
    merging.add_argument("--save", metavar="FILE", help="write the state of all")
    _reading(merging, "raise")
    showing = command("show", show, "say what a saved state counts, and print its values")
    showing.add_argument("file", metavar="STATE", help="what evaluate --save or merge --save wrote")
    _reading(showing, "nan")
    _gating(command("gate", gate, "judge a saved state by what is due: pass, fail or undecided"))
    return parser.parse_args(arguments)


def _shown(epilog: str) -> dict[str, Any]:
    return {"epilog": epilog, "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}


def _metrics() -> str:
    names = textwrap.fill(", ".join([REPORT, *known()]), 78, initial_indent="  ", subsequent_indent="  ")
    return f'\nmetrics (for options name the class, as in "Recall(average=None)"):\n{names}\n'


def _evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help=".parquet, .pq, .csv, .tsv, .jsonl, .ndjson, .json (lines) or .npz")
    add("--task", required=True, choices=("binary", "multiclass", "multilabel"), help="what a row is")
    add("--inputs", required=True, choices=("logits", "probabilities", "scores", "labels"), help="what predictions are")
    add(
        "--predictions",
        required=True,
        action="append",
        metavar="[NAME=]COLUMNS",
        help="a column, or one for each class or label; once for each model, with a name of its own",
    )
    add("--targets", required=True, metavar="COLUMNS", help="the column of classes; of multilabel one for each label")
    add("--weights", metavar="COLUMN", help="how often each row counts")
    add("--weighted", action="store_true", help="weights may be fractions")
    add("--num-classes", type=int, metavar="N", help="of multiclass")
    add("--num-labels", type=int, metavar="N", help="of multilabel")
    add(
        "--threshold",
        type=threshold,
        metavar="T",
        help="what is above is positive (default: 0.5); or one a label: T,T",
    )
    add("--ignore", type=int, metavar="ID", help="a target whose rows are left out")
    add("--bins", type=bins, metavar="N", help="of scores: a power of two (default: 4096), bfloat16 or float16")
    add("--save", metavar="FILE", help="write the state, for merge and show")
    add("--no-progress", dest="progress", action="store_false", help="show no progress bar, on a terminal either")
    _reading(parser, "raise")


def _reading(parser: argparse.ArgumentParser, on_invalid: str) -> None:
    """What all commands take."""
    add = parser.add_argument
    add("--metrics", metavar="LIST", help="names with commas between (default: the report and how scores rank)")
    add("--class-names", type=names, metavar="A,B,…", help="of the classes or labels; what targets may be called")
    add(
        "--on-invalid",
        choices=("raise", "nan", "ignore"),
        default=on_invalid,
        help=f"where rows could not be counted: fail, print NaN, or the values of the others (default: {on_invalid})",
    )
    add("--json", metavar="FILE", help="write the values as JSON; to the screen instead of the report with -")
    add("--plots", metavar="FOLDER", help="draw curves, reliability and confusion")
    add("--digits", type=digits, default=4, metavar="N", help="of the report (default: 4)")


def _gating(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="STATE", help="what evaluate --save, merge --save or sm.save wrote")
    several: dict[str, Any] = {"action": "append", "default": []}
    add("--at-least", **several, metavar="NAME=NUMBER", help="a metric whose value must not be lower")
    add("--at-most", **several, metavar="NAME=NUMBER", help="a metric whose value must not be higher")
    add("--not-worse", **several, metavar="NAME[=NUMBER]", help="a metric that must not be worse than in --baseline")
    add("--baseline", metavar="STATE", help="the state of the model that there was")
    add("--relative", type=float, default=0.0, metavar="SHARE", help="by what share of the baseline it may be worse")
    add("--margin", type=float, default=0.0, metavar="NUMBER", help="by how much it may be worse")
    add("--level", type=float, default=0.95, metavar="SHARE", help="of the intervals that decide (default: 0.95)")
    add("--exact", action="store_true", help="judge values as they are, without intervals")
    add("--slices", **several, metavar="[COLUMN=]A,B,…", help="the slices that are judged (default: all)")
    add("--metrics", metavar="LIST", help="metrics under names of their own, as each=Recall(average=None)")
    add(
        "--on-invalid",
        choices=("fail", "ignore"),
        default="fail",
        help="where rows could not be counted: fail, or judge the values of the others (default: fail)",
    )
    add("--json", metavar="FILE", help="write the verdict as JSON; to the screen instead of the table with -")
    add("--digits", type=digits, default=4, metavar="N", help="of the table (default: 4)")
    parser.set_defaults(plots=None)


def names(text: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(text.split(","))


def bins(text: str) -> int | str:
    """A number of bins, or the dtype whose values are the bins."""
    return int(text) if text.isdigit() else text


def digits(text: str) -> int:
    """How many digits follow the point."""
    if not 0 <= (number := int(text)) <= 20:
        raise argparse.ArgumentTypeError(f"{number} is not from 0 to 20")
    return number


def threshold(text: str) -> float | tuple[float, ...]:
    """One threshold, or one for each label with commas between."""
    first, *others = map(float, text.split(","))
    return (first, *others) if others else first
