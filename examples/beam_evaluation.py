"""Metrics of each slice of stored predictions, in an Apache Beam pipeline that reads a Parquet file.

Every row is one example: a probability, a target of 0 or 1, and the slice it belongs to. The pipeline counts
each slice to a state and merges the states for the last line. The numbers are those of one process, whatever
the number of workers. Without a file it reads 20,000 real predictions of whether somebody is employed
(American Community Survey, Massachusetts, 2015 to 2018), sliced by year.
"""

import argparse
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.parquetio import ReadFromParquet
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.combiners import ToList
from arguments import positive

import streammetrics as sm
from streammetrics.beam import CombineMetric

HERE = Path(__file__).parent
EMPLOYMENT = HERE.parent / "tests" / "data" / "ma_employment_20k.npz"

TASK = sm.Binary("probabilities")
METRICS = sm.Collection(
    examples=sm.Examples(TASK),
    positive=sm.Prevalence(TASK),
    accuracy=sm.Accuracy(TASK),
    precision=sm.Precision(TASK),
    recall=sm.Recall(TASK),
    auroc=sm.AUROC(TASK),
)


def employment(path: Path) -> Path:
    """Writes the 20,000 predictions as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with np.load(EMPLOYMENT) as data:
        years = 2000 + data["year"].astype(np.int32)
        pq.write_table(pa.table({"year": years, "employed": data["y"], "probability": data["p"]}), path)
    return path


def evaluate(predictions: Path, names: dict[str, str], by: str, workers: int) -> None:
    """Reads the file, counts every slice and prints the table, all of it in the workers."""

    def example(row: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return row[by], {entry: row[column] for entry, column in names.items()}

    mode = "multi_processing" if workers > 1 else "in_memory"
    options = PipelineOptions([], direct_running_mode=mode, direct_num_workers=workers)
    # It is what DirectRunner runs in the end; called by its name, it looks for no other runner to download.
    with beam.Pipeline(runner="FnApiRunner", options=options) as pipeline:
        _ = (
            pipeline
            | ReadFromParquet(str(predictions), columns=[by, *names.values()])
            | beam.Map(example)
            | beam.CombinePerKey(CombineMetric(METRICS, emit="states"))
            | ToList()
            | beam.Map(lambda slices: print(table(by, slices)))
        )


def table(by: str, slices: list[tuple[Any, bytes]]) -> str:
    """A line for every slice, and one for all of them together."""
    states = [(str(name), sm.from_bytes(data)) for name, data in sorted(slices)]
    states.append(("all", sm.merge(METRICS.init(), *(state for _, state in states))))
    width = max(len(name) for name in (by, *dict(states)))
    lines = [f"{by:<{width}}  {'examples':>8}" + "".join(f"  {name:>9}" for name, _ in METRICS.parts[1:])]
    for name, state in states:
        examples, *values = sm.plain(METRICS.compute(state, on_invalid="nan")).values()
        lines.append(f"{name:<{width}}  {examples:>8,}" + "".join(f"  {value:>9.4f}" for value in values))
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, and refuses columns that the file has not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, help="a Parquet file (default: the predictions of employment)")
    parser.add_argument("--score", default="probability", help="column of the probabilities (default: probability)")
    parser.add_argument("--target", default="employed", help="column of the targets, 0 or 1 (default: employed)")
    parser.add_argument("--slice", default="year", help="column whose values are the slices (default: year)")
    parser.add_argument(
        "--direct-workers", type=positive, default=1, help="processes that count (default: 1, this one)"
    )
    options = parser.parse_args()
    predictions = options.predictions or employment(HERE / "output" / "ma_employment.parquet")
    if not predictions.is_file():
        parser.error(f"there is no file {predictions}")
    columns = pq.read_schema(predictions).names
    for column in (options.score, options.target, options.slice):
        if column not in columns:
            parser.error(f"{predictions.name} has no column {column!r}; it has {', '.join(columns)}")
    names = {"predictions": options.score, "targets": options.target}
    evaluate(predictions, names, options.slice, options.direct_workers)


if __name__ == "__main__":
    main()
