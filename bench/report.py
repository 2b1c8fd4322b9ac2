"""What becomes of the rows: a table in the terminal, JSON, and the newest table in README.md."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from measuring import Row

PEERS = ("clu", "google-metrax", "flax", "keras", "torchmetrics", "torcheval", "scikit-learn")
HEAD = ("work", "against", "ours / theirs", "quartiles", "ours", "theirs", "target", "")
TABLE = re.compile(r"(?<=<!-- newest -->\n).*(?=<!-- end -->)", re.DOTALL)

Rows = dict[str, list[Row]]


def setting() -> dict[str, Any]:
    """Where and with what it is measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {name: importlib.metadata.version(name) for name in ("streammetrics", "jax", "torch", *PEERS)}
    return {
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "threads": cores,
        "threads of torch": _torch_threads(),
        **{name: os.environ.get(name, "") for name in ("XLA_FLAGS", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")},
        # Timings on a busy machine mean little.
        "load before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": versions,
    }


def _torch_threads() -> int:
    import torch  # pyright: ignore[reportMissingImports]

    return torch.get_num_threads()


def _processor() -> str:
    """The model of the processor, where the system tells it."""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def told(setting: Mapping[str, Any]) -> str:
    """The setting as lines to read."""
    versions = ", ".join(f"{name} {version}" for name, version in setting["versions"].items())
    others = ", ".join(f"{name} {value}" for name, value in setting.items() if name != "versions" and value != "")
    return f"{others}\n{versions}, by hand in jnp"


def cells(row: Row) -> tuple[str, ...]:
    """The row as the cells under `HEAD`; an amount stands under ours."""
    quartiles = f"{number(row.low)} – {number(row.high)}"
    target = "" if row.target is None else f"≤ {number(row.target)}"
    end = ", ".join(text for text in (row.verdict, row.note) if text)
    if not row.against:
        return row.work, "", "", quartiles, f"{number(row.median)} {row.unit}", "", target, end
    ours, theirs = (duration(value) for value in (row.ours, row.theirs))
    return row.work, row.against, f"{number(row.median)} {row.unit}", quartiles, ours, theirs, target, end


def number(value: float) -> str:
    """Three digits; whole numbers above these in full."""
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) < 1e9 and abs(value) >= 1 else f"{value:.1e}"


def duration(microseconds: float | None) -> str:
    """A time in the unit in which it is easily read."""
    if microseconds is None:
        return ""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{number(microseconds / size)} {unit}"
    return f"{number(microseconds)} µs"


def lines_of(rows: list[Row]) -> list[tuple[str, ...]]:
    """The cells of all rows; a work is told in its first one."""
    lines, last = [], None
    for row in rows:
        work, *rest = cells(row)
        lines.append(("" if work == last else work, *rest))
        last = work
    return lines


def table(rows: list[Row]) -> str:
    """The rows in columns for the terminal."""
    lines = [HEAD, *lines_of(rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def markdown(rows: list[Row]) -> str:
    """The rows as a table of Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *lines_of(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(folder: Path, setting: Mapping[str, Any], titles: Mapping[str, str], rows: Rows) -> Path:
    """Writes the results as JSON into `results`, and the tables into README.md; returns the path of the former."""
    device = re.sub(r"\W+", "-", setting["device"].lower())
    path = folder / "results" / f"{setting['date']}-{device}.json"
    path.parent.mkdir(exist_ok=True)
    results = {part: [dataclasses.asdict(row) for row in found] for part, found in rows.items()}
    path.write_text(json.dumps({"setting": setting, "rows": results}, indent=1, ensure_ascii=False) + "\n")
    tables = "\n\n".join(f"### {titles[part]}\n\n{markdown(found)}" for part, found in rows.items())
    newest = f"\n{told(setting)}\n\n{tables}\n\n"
    readme = folder / "README.md"
    readme.write_text(TABLE.sub(lambda _: newest, readme.read_text()))
    return path
