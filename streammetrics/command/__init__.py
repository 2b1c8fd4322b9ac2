"""The command line: `evaluate` files of predictions, `merge`, `show` and `gate` the states that it saved."""

import os
import sys
from collections.abc import Sequence

from streammetrics.command._arguments import parse
from streammetrics.command._errors import Refused


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit status: 2 where the input is refused, after one sentence on stderr."""
    options = None
    try:
        options = parse(arguments)
        options.run(options)
        sys.stdout.flush()
    except Refused as error:
        print(f"streammetrics: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads the report has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return getattr(options, "status", 0)
