"""Where results go: the report, JSON, pictures, and the state."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import streammetrics as sm
from streammetrics._checks import listed
from streammetrics._state import State
from streammetrics.command._errors import Refused, told_of
from streammetrics.command._models import Models, seen
from streammetrics.command._pictures import draw, figures
from streammetrics.command._report import as_text, faulty, many
from streammetrics.command._values import as_json, read

Rows = Mapping[tuple[str, str], str]
"""Where there is the first row that could not be counted, by model and reason."""


def check(options: argparse.Namespace) -> None:
    """Refuses before anything is read what could not be written at the end."""
    for path in (options.json, getattr(options, "save", None)):
        if path is not None and path != "-" and not Path(path).absolute().parent.is_dir():
            raise Refused(f"{path}: there is no folder {str(Path(path).parent)!r} to write it to")
    if options.plots is not None:
        figures()
        with told_of(options.plots):
            Path(options.plots).mkdir(parents=True, exist_ok=True)


def save(options: argparse.Namespace, state: State) -> None:
    """Writes the state, where it is to be saved."""
    if options.save is not None:
        with told_of(options.save):
            sm.save(options.save, state)


def refuse_invalid(options: argparse.Namespace, models: Models, state: State, rows: Rows) -> None:
    """Refuses what could not be counted: how many, why, and in which row first."""
    told = []
    for name, model in models.each.items():
        found = seen(model, state)
        reasons = [
            f"{faulty(model, reason, number)}{f' (first in {row})' if (row := rows.get((name, reason))) else ''}"
            for reason, number in found.invalid.items()
        ]
        if reasons:
            of = f" of {name}" if models.named else ""
            told.append(f"{listed(reasons)} could not be counted beside {many(found.examples, 'example')}{of}")
    saved = f", and {options.save} holds what was counted" if options.save else ""
    raise Refused(f"{'; '.join(told)}; --on-invalid ignore reads the others{saved}")


def present(options: argparse.Namespace, models: Models, state: State) -> None:
    """Prints the report, and writes JSON and pictures."""
    mode = "nan" if options.on_invalid == "nan" else "ignore"  # with "raise" there is nothing to ignore
    readings = {name: read(model, state, mode) for name, model in models.each.items()}
    if options.json != "-":
        for name, model in models.each.items():
            title = f"{name}\n{'=' * len(name)}\n" if models.named else ""
            print(f"{title}{as_text(model, readings[name], options.digits)}\n")
    if options.json is not None:
        write(options.json, as_json(readings, models.named))
    if options.plots is not None:
        for name, model in models.each.items():
            with told_of(options.plots):
                draw(options.plots, name if models.named else "", model, state, mode)


def write(path: str, text: str) -> None:
    """Writes a text to a file, or to the screen with -."""
    if path == "-":
        print(text)
        return
    with told_of(path):
        Path(path).write_text(f"{text}\n", encoding="utf-8")
