"""How good is a model in every year, how sure is that, and may the next year's go out?

20,000 real predictions of whether somebody is employed (American Community Survey, Massachusetts, 2015 to 2018) are
counted in one pass: accuracy, F1 and AUROC of every year, each with 200 bootstrap replicates. The script prints the
values with their intervals from the replicates beside those from the counts alone (Wilson's, the delta method's,
DeLong's), how far the years are apart, two models compared in pairs, and what gates say of every year; and draws them.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from arguments import positive

import streammetrics as sm

mpl.use("agg")
from matplotlib import pyplot as plt  # without a screen

HERE = Path(__file__).parent
EMPLOYMENT = HERE.parent / "tests" / "data" / "ma_employment_20k.npz"
YEARS = (2015, 2016, 2017, 2018)
BASELINE, *LATER = map(str, YEARS)

TASK = sm.Binary("probabilities")
METRICS = sm.Collection(accuracy=sm.Accuracy(TASK), f1=sm.F1(TASK), auroc=sm.AUROC(TASK, bins=1024))
CLOSED = {"accuracy": "wilson", "f1": "delta", "auroc": "delong"}


def batches(path: Path, size: int) -> Any:
    """The examples in batches; the number of the row is its id."""
    with np.load(path) as data:
        p, y, year = data["p"], data["y"], data["year"].astype(np.int32) + 2000
    for start in range(0, len(y), size):
        rows = slice(start, start + size)
        yield {"predictions": p[rows], "targets": y[rows], "year": year[rows], "ids": np.arange(len(y))[rows]}


def careful(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch of another model, which says less often that somebody is employed."""
    return {**batch, "predictions": np.float32(0.9) * batch["predictions"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, default=EMPLOYMENT, help="npz with p, y and year")
    parser.add_argument("--replicates", type=positive, default=200, help="of the bootstrap")
    parser.add_argument("--batch-size", type=positive, default=4000)
    parser.add_argument("--at-least", type=float, default=0.82, help="the accuracy that is due in every year")
    parser.add_argument("--margin", type=float, default=0.01, help=f"by how much a year may be worse than {BASELINE}")
    parser.add_argument("--output", type=Path, default=HERE / "output", help="the folder of the picture")
    given = parser.parse_args()

    sliced = sm.Sliced(METRICS, slices={"year": YEARS})
    by_year = sm.Bootstrapped(sliced, max(given.replicates, 2))
    gaps = sm.Bootstrapped(sm.Gap(sliced), by_year.replicates)  # reads the same counts: nothing is counted twice
    state = sm.accumulate(by_year, batches(given.data, given.batch_size))

    resampled, counted = sm.interval(by_year, state), intervals(sliced, sm.total(state))
    print(f"{int(sm.total(sm.total(state)).examples['ClassCounts']):,} examples in one pass\n")
    print_years(resampled, counted)
    print_gaps(gaps.compute(state))
    print_pairs(given, state, by_year)
    verdicts = judged(given, sliced, sm.total(state))
    for title, verdict in verdicts.items():
        print(f"\n{title}: {verdict}")
    given.output.mkdir(parents=True, exist_ok=True)
    draw(resampled, counted, given.at_least, given.output / "slices_and_gates.png")
    print(f"\nPicture: {given.output / 'slices_and_gates.png'}")


def intervals(sliced: sm.Sliced, state: sm.State) -> dict[str, sm.Interval]:
    """Of each metric the interval that its counts alone tell."""
    return {name: sm.interval(part, state, method=CLOSED[name]) for name, part in sliced.parts}


def print_years(resampled: dict[str, sm.Interval], counted: dict[str, sm.Interval]) -> None:
    print(f"{'':10}{'year':>6}{'value':>9}   {'bootstrap':19}from the counts")
    for name, found in resampled.items():
        for place, year in enumerate(YEARS):
            ends = (f"{each.low[place]:.4f} to {each.high[place]:.4f}" for each in (found, counted[name]))
            print(f"{name:10}{year:>6}{found.value[place]:>9.4f}   {'   '.join(ends)}   {CLOSED[name]}")
    print()


def print_gaps(gaps: dict[str, sm.Resampled]) -> None:
    print("Between the best and the worst year (± a standard error):")
    for name, gap in gaps.items():
        print(f"{name:10}{gap.value['difference']:.4f} ± {gap.standard_error['difference']:.4f}")


def print_pairs(given: argparse.Namespace, state: sm.State, by_year: sm.Bootstrapped) -> None:
    other = sm.accumulate(by_year, map(careful, batches(given.data, given.batch_size)))
    print("\nA more careful model on the same people, compared in pairs and as if they were others:")
    pairs = sm.compare(by_year, state, other)
    apart = sm.compare(by_year.metric, sm.total(state), sm.total(other))
    for name in ("accuracy", "f1"):
        for place, year in enumerate(YEARS):
            told = (f"{each.low[place]:+.4f} to {each.high[place]:+.4f}" for each in (pairs[name], apart[name]))
            print(f"{name:10}{year:>6}{pairs[name].difference[place]:>+9.4f}   {'   '.join(told)}")


def judged(given: argparse.Namespace, sliced: sm.Sliced, state: sm.State) -> dict[str, sm.Verdict]:
    """What gates say: of all years at once, and of each later year against the first."""
    first = sm.one_slice(sliced, state, BASELINE)
    gates = [sm.Gate(name, not_worse_than="before", margin=given.margin) for name in CLOSED]
    verdicts = {"Every year": sm.judge([sm.Gate("accuracy", at_least=given.at_least)], sliced, state)}
    for year in LATER:
        verdicts[f"{year} after {BASELINE}"] = sm.judge(gates, METRICS, sm.one_slice(sliced, state, year), before=first)
    return verdicts


def draw(resampled: dict[str, sm.Interval], counted: dict[str, sm.Interval], due: float, path: Path) -> None:
    """The value of every year between the ends of both its intervals."""
    figure, every = plt.subplots(1, len(resampled), figsize=(11, 3.6), layout="constrained")
    place = np.arange(len(YEARS))
    for axes, (name, found) in zip(every, resampled.items(), strict=True):
        for offset, each, label, colour in ((-0.1, found, "bootstrap", "C0"), (0.1, counted[name], CLOSED[name], "C1")):
            value = np.asarray(each.value)
            reach = [value - np.asarray(each.low), np.asarray(each.high) - value]
            axes.errorbar(place + offset, value, reach, fmt="o", ms=4, capsize=3, color=colour, label=label)
        if name == "accuracy":
            axes.axhline(due, color="0.4", linewidth=1, linestyle="--", label=f"due: {due:g}")
        axes.set_xticks(place, list(map(str, YEARS)))
        axes.set_xlim(-0.5, len(YEARS) - 0.5)
        axes.set_title(name)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small", loc="lower right")
    figure.suptitle("By year, with 95 % intervals of resampled examples and of the counts alone")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
