"""The pictures of the results: how many times as fast as each peer, and how time grows."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from measuring import Row
from report import Rows

OURS, OTHER = "#0072B2", "#777777"
# Colours that every eye tells apart, and markers for those who see none.
LOOKS = {
    "clu": ("#E69F00", "o"),
    "metrax": ("#D55E00", "s"),
    "nnx": ("#CC79A7", "D"),
    "keras": ("#009E73", "^"),
    "torchmetrics": ("#56B4E9", "v"),
    "torcheval": ("#000000", "P"),
    "scikit-learn": ("#8C564B", "X"),
}
COMPARED = ("updates", "ranking", "readout")
"""The parts that stand in the summary."""
GROWTHS = (
    # The work, in which the number stands that grows; what that is; the title.
    (r"a pass over [\d,]+ scores", "scores", "AUROC in batches of 1,000"),
    (r"an update of [\d,]+ scores at once", "scores", "AUROC in one update"),
    (r"update of [\d,]+ readings?,", "metrics", "Readings of the same counts"),
    (r"update of 4 metrics in [\d,]+ slices?", "slices", "Four metrics of every slice"),
    (r"update of accuracy, precision and recall", "classes", "Classes, counted from labels"),
    (r"update of 3 metrics on \d+ host devices?", "devices", "Host devices, on the same cores"),
)


def draw(folder: Path, rows: Rows) -> list[Path]:
    """Draws all pictures into a folder; returns their paths."""
    paths = []
    for name, figure in {
        "summary": summary([row for part in COMPARED for row in rows.get(part, [])]),
        "growth": growth(rows["growth"]),
    }.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=100)
    return paths


def summary(rows: Iterable[Row]) -> Figure:
    """How many times as long as ours every peer takes, for each work that several peers do."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        peer = row.against.split(" (")[0]
        if peer in LOOKS and row.unit == "×":
            found[row.work][row.against] = 1 / row.median
    works = [work for work, peers in found.items() if len(peers) > 1]
    figure = Figure(figsize=(10, 1.2 + 0.3 * len(works)), layout="constrained")
    panel = figure.subplots()
    for height, work in enumerate(reversed(works)):
        for against, times in found[work].items():
            peer = against.split(" (")[0]
            colour, marker = LOOKS[peer]
            hollow = "exact" in against
            panel.plot(times, height, marker, color=colour, markerfacecolor="none" if hollow else colour, label=against)
    panel.axvline(1, color=OURS)
    panel.set_yticks(range(len(works)), reversed(works))
    panel.set(xscale="log", xlabel="times as long as streammetrics (the line), on a logarithmic scale")
    panel.grid(axis="x", alpha=0.3)
    handles = dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    return figure


def growth(rows: Iterable[Row]) -> Figure:
    """How the time of ours and of others grows, both on logarithmic scales."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    rows = [row for row in rows if row.at is not None and row.ours is not None]
    for panel, (work, what, title) in zip(figure.subplots(2, 3).flat, GROWTHS, strict=True):
        panel.set(title=title, xlabel=what, ylabel="µs", xscale="log", yscale="log")
        grown(panel, [row for row in rows if re.match(work, row.work)])
        panel.grid(alpha=0.3)
    return figure


def grown(panel: Axes, rows: list[Row]) -> None:
    """One work of several sizes: ours, and whoever else does as much."""
    sides: dict[str, dict[float, float]] = defaultdict(dict)
    for row in rows:
        assert row.at is not None
        sides["streammetrics"][row.at] = row.ours or 0
        if not row.against.startswith("ours"):
            sides[row.against][row.at] = row.theirs or 0
    for side, points in sides.items():
        colour, marker = (OURS, "o") if side == "streammetrics" else LOOKS.get(side.split(" (")[0], (OTHER, "."))
        panel.plot(*zip(*sorted(points.items()), strict=True), f"{marker}-", color=colour, label=side)
    sizes = sorted({size for points in sides.values() for size in points})
    panel.set_xticks(sizes, [short(size) for size in sizes])
    panel.xaxis.minorticks_off()
    panel.yaxis.set_major_formatter(LogFormatter())
    panel.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.2, 0.5)))
    panel.legend(fontsize="small")


def short(number: float) -> str:
    """A round number in few characters."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{sign}"
    return f"{number:g}"
