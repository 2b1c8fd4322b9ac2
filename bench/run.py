"""Everything that is measured, in one process: `make bench`, or `python bench/run.py` in its environment.

Prints every table as it is measured; a whole run also writes the results as JSON, the pictures, and the newest tables
into README.md.
"""

import argparse
import importlib
import time
from pathlib import Path

import plots
import report
from measuring import Options
from tqdm import tqdm

HERE = Path(__file__).parent
PARTS = {
    "updates": "Updates of accuracy, precision, recall and F1 from logits",
    "ranking": "AUROC and average precision",
    "training": "Overhead in a training step",
    "growth": "Growth with rows, metrics, slices, replicates, classes and devices",
    "readout": "Readouts, merges and bytes",
    "outside": "Cost outside the step",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only see that everything runs and agrees; write nothing")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}; write nothing"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each comparison (default: 3)")
    given = parser.parse_args()
    setting = report.setting()
    print(report.told(setting))
    rows: report.Rows = {}
    for part in given.only or PARTS:
        start = time.perf_counter()
        measured = importlib.import_module(part).measure(Options(given.quick, given.seconds))
        rows[part] = list(tqdm(measured, desc=part, unit="row", leave=False, disable=None))
        print(f"\n{PARTS[part]} ({time.perf_counter() - start:.0f} s)\n\n{report.table(rows[part])}")
    targets = [row for found in rows.values() for row in found if row.target is not None]
    print(f"\n{sum(row.verdict == 'met' for row in targets)} of {len(targets)} targets met")
    if not (given.quick or given.only):
        written = [report.write(HERE, setting, PARTS, rows), *plots.draw(HERE / "results", rows)]
        print(f"Written: README.md, {', '.join(path.name for path in written)}")


if __name__ == "__main__":
    main()
