"""Pictures of curves, tables and distributions, drawn with matplotlib: `pip install "streammetrics[plot]"`.

Each function takes a metric and a state, of that metric or of a collection that counts the same (`plot_history` takes
a `History`), draws on the given `Axes` (on new ones by default), and returns them.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from streammetrics._batches import plain
from streammetrics._metric import Beside
from streammetrics._spec import contents, spec
from streammetrics._state import State, part
from streammetrics._tasks import Binary, Multiclass
from streammetrics.history import History
from streammetrics.metrics import (
    AUROC,
    ROC,
    AveragePrecision,
    ConfusionMatrix,
    PrecisionRecallCurve,
    ReliabilityDiagram,
    ScoreDistribution,
)
from streammetrics.metrics._histograms import Histogram, ratio

SHADE = {"alpha": 0.25, "linewidth": 0}
BARS = 50
FARTHEST = 1e30
COLOURS = 10  # of matplotlib's own cycle
DOTTED = 30  # so many points can be told apart


@spec
class Band(Beside):
    """Between what a curve runs: the lower and the upper end at either side of each bin."""

    def read(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        histogram = self.metric.histogram(counts)
        return roc_band(histogram) if isinstance(self.metric, ROC) else precision_band(histogram)


def roc_band(histogram: Histogram) -> dict[str, Any]:
    """The true positive rate by the false positive rate: within a bin it may rise at once or at last."""
    start, stop, x = histogram.tpr[..., :-1], histogram.tpr[..., 1:], histogram.fpr
    return _band(histogram, x, (start, start), (stop, stop), (start, stop))


def precision_band(histogram: Histogram) -> dict[str, Any]:
    """The precision by the recall: within a bin all its negatives may come first or last."""
    tp, fp = histogram.above.tp, histogram.above.fp
    precision = ratio(tp, tp + fp)
    first = jnp.where(jnp.isnan(precision[..., :-1]), precision[..., 1:], precision[..., :-1])
    worst, best = (
        # Before anything is predicted precision reads 1, as the curve does.
        [jnp.where(found + passed > 0, ratio(found, found + passed), 1) for found in (tp[..., :-1], tp[..., 1:])]
        for passed in (fp[..., 1:], fp[..., :-1])
    )
    return _band(histogram, histogram.tpr, worst, best, (first, precision[..., 1:]))


def _band(histogram: Histogram, x: Any, least: Any, most: Any, straight: Any) -> dict[str, Any]:
    """The ends at both sides of each bin: where the scores of a bin are tied or in order they are one."""

    def settled(bounds: Any) -> list[Any]:
        known = [
            jnp.where(histogram.ahead, m, jnp.where(histogram.behind, n, b))
            for n, m, b in zip(least, most, bounds, strict=True)
        ]
        return [jnp.where(histogram.tied, line, end) for line, end in zip(straight, known, strict=True)]

    sides = {"x": [x[..., :-1], x[..., 1:]], "lower": settled(least), "upper": settled(most)}
    return {name: jnp.stack(ends, -1).reshape(*x.shape[:-1], -1) for name, ends in sides.items()}


def plot_roc(metric: ROC, state: State, ax: Axes | None = None, on_invalid: str = "raise") -> Axes:
    """Draws the ROC curve of each class, with the band of its bounds, and chance."""
    values = _values("plot_roc", metric, ROC, state, on_invalid)
    ax = _drawn(metric, part(state, metric.statistic), ax, values["fpr"], values["tpr"], AUROC)
    ax.plot([0, 1], [0, 1], ":", color="gray", linewidth=1)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    return ax


def plot_precision_recall(
    metric: PrecisionRecallCurve, state: State, ax: Axes | None = None, on_invalid: str = "raise"
) -> Axes:
    """Draws the precision of each class by its recall, with the band of its bounds."""
    values = _values("plot_precision_recall", metric, PrecisionRecallCurve, state, on_invalid)
    state = part(state, metric.statistic)
    ax = _drawn(metric, state, ax, values["recall"], values["precision"], AveragePrecision)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.005))
    return ax


def plot_reliability(
    metric: ReliabilityDiagram, state: State, ax: Axes | None = None, on_invalid: str = "raise"
) -> Axes:
    """Draws how often it was right by how sure it was, beside the share of the examples in each bin."""
    values = _values("plot_reliability", metric, ReliabilityDiagram, state, on_invalid)
    ax = ax or pyplot.subplots()[1]
    counts, edges = np.asarray(values["counts"], float), np.asarray(values["edges"])
    ax.bar(
        edges[:-1],
        counts / (counts.sum() or 1),
        np.diff(edges),
        align="edge",
        color="lightgray",
        edgecolor="white",
        label="share of examples",
    )
    ax.plot([0, 1], [0, 1], ":", color="gray", linewidth=1)
    ax.plot(values["confidence"], values["accuracy"], "o-", label="observed", clip_on=False)
    ax.set(xlabel="predicted probability", ylabel="observed frequency", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_confusion_matrix(
    metric: ConfusionMatrix, state: State, ax: Axes | None = None, on_invalid: str = "raise"
) -> Axes:
    """Draws the table of true by predicted classes, rows true, with its numbers where there is room for them."""
    table = np.asarray(_values("plot_confusion_matrix", metric, ConfusionMatrix, state, on_invalid)).astype(float)
    if table.ndim != 2:
        raise TypeError(f"plot_confusion_matrix: {metric!r} has a table for each label, but one table is due")
    ax = ax or pyplot.subplots()[1]
    names, most = metric.task.class_names or tuple(map(str, range(len(table)))), float(np.nan_to_num(table).max())
    ax.imshow(table, cmap="Blues", vmin=0, vmax=most or 1)
    if len(table) <= 20:
        for (row, column), value in np.ndenumerate(table):
            shown = f"{value:.2f}" if metric.normalize else _number(value)
            colour = "white" if 2 * value > most else "black"
            ax.text(column, row, shown, ha="center", va="center", color=colour)
        ax.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 8 else 30)
        ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="true")
    return ax


def plot_score_distribution(
    metric: ScoreDistribution, state: State, ax: Axes | None = None, on_invalid: str = "raise"
) -> Axes:
    """Draws how the scores of the negatives and of the positives are spread: the share of each in bars of one width.

    Of several classes take one: `ScoreDistribution(task, class_id=…)`.
    """
    values = plain(_values("plot_score_distribution", metric, ScoreDistribution, state, on_invalid))
    counts = {name: np.asarray(values[name], float) for name in ("negative", "positive")}
    if counts["negative"].ndim != 1:
        raise TypeError(f"plot_score_distribution: {metric!r} has several classes, but one is due; class_id picks it")
    ax = ax or pyplot.subplots()[1]
    low, high = (np.asarray(values[name], float) for name in ("low", "high"))
    ends = (0.0, 1.0) if metric.task.inputs == "probabilities" else _extent(low, high, sum(counts.values()))
    middle = 0.5 * (np.clip(low, *ends) + np.clip(high, *ends))
    for name, count in counts.items():
        share, edges = np.histogram(middle, BARS, ends, weights=count / (count.sum() or 1))
        ax.stairs(share, edges, fill=True, alpha=0.5, label=f"{name} ({_number(count.sum())})")
    logit = "log-odds" if isinstance(metric.task, Multiclass) else "logit"
    scale = {"probabilities": "predicted probability", "logits": logit, "scores": "score"}[metric.task.inputs]
    ax.set(xlabel=scale, ylabel="share of the class", xlim=ends)
    ax.margins(y=0.25)  # room for the legend
    ax.legend(frameon=False)
    return ax


def plot_history(
    history: History,
    names: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    class_names: Sequence[str] | None = None,
) -> Axes:
    """Draws values by epoch: a line for each name, with a ring at its best epoch where a way is known to be better.

    `names` are by default all that are one number in each epoch. One that has a value per class gets thin lines, which
    `class_names` names; of more than 10 classes all look alike.
    """
    names = _recorded(history, names)
    ax = ax or pyplot.subplots()[1]
    single = [name for name in names if history[name].values.ndim == 1]
    for name in single:
        epochs, values = history[name]
        (line,) = ax.plot(epochs, values, marker=_dots(epochs), linewidth=1.8, zorder=3, label=name)
        _mark_best(ax, history, name, line)
    # A class has one colour in all names, and a name one kind of line for all classes.
    kinds = itertools.cycle(("-", "--", ":", "-."))
    for name in names:
        if name not in single:
            _draw_classes(ax, name, *history[name], class_names, next(kinds), len(single))
    ax.set(xlabel="epoch", ylabel=names[0] if len(names) == 1 else "value")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(edgecolor="none", fontsize="medium" if len(ax.get_legend_handles_labels()[1]) < 5 else "small")
    return ax


def _extent(low: np.ndarray, high: np.ndarray, count: Any) -> tuple[float, float]:
    """Where the scores lie, without the bins at the ends, which have no width to draw."""
    held = np.flatnonzero((count > 0) & (low > -FARTHEST) & (high < FARTHEST))
    first, last = (float(low[held[0]]), float(high[held[-1]])) if len(held) else (0.0, 1.0)
    return (first, last) if first < last else (first - 0.5, last + 0.5)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def _values(who: str, metric: Any, kind: type, state: State, on_invalid: str) -> Any:
    if not isinstance(metric, kind):
        raise TypeError(f"{who}: got {metric!r}, but a {kind.__name__} is due")
    return metric.compute(part(state, metric.statistic), on_invalid)


def _drawn(metric: Any, state: State, ax: Axes | None, x: Any, y: Any, area: type) -> Axes:
    """A curve with its band for each class, and its area in the legend."""
    ax = ax or pyplot.subplots()[1]
    band = {f"band_{name}": value for name, value in Band(metric).compute(state, "ignore").items()}
    fields = {name: value for name, value in contents(metric).items() if name != "average"}
    average = {"average": metric.average} if metric.class_id is None and not isinstance(metric.task, Binary) else {}
    areas = area(**fields, **average).compute(state, "ignore")
    for name, each in _classes(metric, {"x": x, "y": y, "area": areas, **band}):
        (line,) = ax.plot(each["x"], each["y"], label=f"{name}{area.__name__} {each['area']:.3f}", linewidth=1.5)
        ax.fill_between(each["band_x"], each["band_lower"], each["band_upper"], color=line.get_color(), **SHADE)
    ax.legend(frameon=False)
    return ax


def _classes(metric: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The values of each curve, and what it is called."""
    values = {name: np.asarray(value) for name, value in values.items()}
    names = metric.task.class_names
    if values["area"].ndim == 0:
        chosen = metric.class_id
        label = "" if chosen is None else f"{names[chosen] if names else f'class {chosen}'}, "
        yield label, values
        return
    for place in range(len(values["area"])):
        yield f"{names[place] if names else f'class {place}'}, ", {name: value[place] for name, value in values.items()}


def _recorded(history: History, names: str | Sequence[str] | None) -> list[str]:
    """The names to draw, of numbers or of one number per class."""
    if not isinstance(history, History):
        raise TypeError(f"plot_history: got {history!r}, but a History is due")
    if names is None:
        names = [name for name in history if history[name].values.ndim == 1]
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ValueError(f"plot_history: got no names, but at least one of {history!r} is due")
    for name in names:
        if len(shape := history[name].values.shape[1:]) > 1:
            raise ValueError(
                f"plot_history: {name} has shape {shape} in each epoch, but one number, or one per class, is due"
            )
    return names


def _dots(epochs: np.ndarray) -> str:
    return "." if len(epochs) <= DOTTED else ""


def _mark_best(ax: Axes, history: History, name: str, line: Any) -> None:
    """A ring around the best point, told in the legend."""
    if history.higher_is_better(name) is None or np.isnan(history[name].values.astype(float)).all():
        return
    epoch, value = history.best(name)
    ax.plot([epoch], [value], "o", markersize=9, fillstyle="none", zorder=3, color=line.get_color())
    line.set_label(f"{name}, best {value:.3g} in epoch {epoch}")


def _draw_classes(
    ax: Axes, name: str, epochs: np.ndarray, values: np.ndarray, class_names: Any, kind: str, first: int
) -> None:
    """A thin line for each class, of the colours from the first that is free on."""
    classes = values.shape[1]
    if class_names is not None and len(class_names) != classes:
        raise ValueError(f"plot_history: got {len(class_names)} class names, but {name} has {classes} classes")
    thin: dict[str, Any] = {"linestyle": kind, "linewidth": 0.9}
    if classes > COLOURS:
        lines = ax.plot(epochs, values, color=f"C{first % COLOURS}", alpha=0.2, **thin)
        lines[0].set_label(f"{name}, {classes} classes")
        return
    for place in range(classes):
        label = f"{name}, {class_names[place] if class_names else f'class {place}'}"
        colour = f"C{(first + place) % COLOURS}"
        ax.plot(epochs, values[:, place], color=colour, marker=_dots(epochs), markersize=4, label=label, **thin)
