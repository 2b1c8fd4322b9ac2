"""Pictures of a model: curves, reliability and confusion."""

from pathlib import Path
from typing import Any

from streammetrics._state import State
from streammetrics.command._errors import needed
from streammetrics.command._models import Model


def figures() -> Any:
    """`matplotlib.figure`, where it is installed."""
    return needed("matplotlib.figure", "plot", "--plots")


def draw(folder: str, name: str, model: Model, state: State, on_invalid: str) -> None:
    """Draws every picture of a model into a folder; with a name the files begin with it."""
    figure_of = figures().Figure
    from streammetrics import plotting

    for kind, metric in model.pictures.items():
        figure = figure_of(figsize=(6, 5), layout="constrained")
        ax = getattr(plotting, f"plot_{kind}")(metric, state, figure.subplots(), on_invalid)
        together = "all classes together" if getattr(metric, "average", None) == "micro" else ""
        ax.set_title(", ".join(filter(None, (name, together))))
        figure.savefig(Path(folder) / f"{name}_{kind}.png".removeprefix("_"), dpi=120)
