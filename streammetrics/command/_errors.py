"""What is refused, and how it is said."""

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from streammetrics._checks import listed

MOST_NAMES = 20


class Refused(Exception):
    """What is wrong with the input, in one sentence: the command ends with exit status 2."""


def needed(module: str, extra: str, what: str) -> Any:
    """A module of an extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Refused(
            f"{what} needs {module.split('.')[0]}, which is not installed: pip install 'streammetrics[{extra}]'"
        ) from error


@contextlib.contextmanager
def told_of(path: str, *more: type[Exception]) -> Iterator[None]:
    """What goes wrong with a file is said of it, in one sentence."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{path}: {os.strerror(error.errno) if error.errno else sentence(error)}") from error
    except more as error:
        raise Refused(f"{path}: {sentence(error)}") from error


def sentence(error: Exception) -> str:
    """The first sentence of a message."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".")


def quoted(names: Iterable[str]) -> str:
    """Names for a sentence; of very many the first."""
    names = list(names)
    if not names:
        return "none"
    more = [f"{len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else []
    return listed([*map(repr, names[:MOST_NAMES]), *more])
