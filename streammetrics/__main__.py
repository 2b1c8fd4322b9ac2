"""`python -m streammetrics`: evaluates files of predictions, and merges and shows what was counted."""

import sys

from streammetrics.command import main

if __name__ == "__main__":
    sys.exit(main())
