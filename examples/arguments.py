"""What the examples take from the command line."""

import argparse


def positive(text: str) -> int:
    """A whole number above 0, from the command line."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number
