"""What gates find: a sentence for each thing that was judged, a table, JSON."""

import collections
import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

PASS, UNDECIDED, FAIL = "pass", "undecided", "fail"
OUTCOMES = (PASS, UNDECIDED, FAIL)
"""From the best to the worst: several together are as the worst of them."""

MOST_ROWS, MOST_DIGITS = 100, 7
"""How many rows a table has with those that pass, and how many digits a value that has no interval."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one gate finds of one value: its outcome, and what it was judged by.

    `value` is what was measured, and `low` and `high` are the ends of its interval at `level`; against the state of a
    baseline, of its difference from `baseline`. What is not known is None. `reason` says why a value is not judged.
    """

    metric: str
    slices: str
    due: str
    outcome: str
    value: int | float | None = None
    low: int | float | None = None
    high: int | float | None = None
    level: float | None = None
    baseline: int | float | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """The metric and its slice."""
        return f"{self.metric} of {self.slices}" if self.slices else self.metric

    def measured(self, digits: int = 4) -> str:
        """The value; of one that has no interval, all its digits."""
        if self.value is None:
            return ""
        return number(self.value, digits) if self.low is not None else f"{self.value:.{MOST_DIGITS}g}"

    def between(self, digits: int = 4) -> str:
        """The interval, its ends rounded outward."""
        told = []
        if self.baseline is not None and self.value is not None:
            told.append(f"{number(self.value - self.baseline, digits, '+')} from {number(self.baseline, digits)}")
        if self.low is not None and self.high is not None:
            level = f" at {percent(self.level)}" if self.level is not None else ""
            told.append(f"({outward(self.low, digits, math.floor)} to {outward(self.high, digits, math.ceil)}{level})")
        return " ".join(told)

    def __str__(self) -> str:
        words = " ".join(filter(None, (self.name, self.measured(), self.between())))
        return f"{words}, {self.due}: {self.outcome}{f', {self.reason}' if self.reason else ''}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What gates find, one `Finding` for each bound, value and slice: `.passed`, `.outcome`, `.findings`.

    The outcome is that of the worst finding: "fail" where any fails, else "undecided" where any is, else "pass". It has
    no truth of its own, for undecided is neither. Printed, it is a table.
    """

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> str:
        """The worst outcome; of nothing that was judged a failure."""
        return max((finding.outcome for finding in self.findings), key=OUTCOMES.index, default=FAIL)

    @property
    def passed(self) -> bool:
        """Whether everything passes."""
        return self.outcome == PASS

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"Verdict: it is {self.outcome!r}, one of three outcomes; .passed says whether everything passes"
        )

    def report(self, digits: int = 4) -> str:
        """A line of how many pass, and a table of what was found; of very many without those that pass."""
        counts = collections.Counter(finding.outcome for finding in self.findings)
        shown = [each for each in self.findings if len(self.findings) <= MOST_ROWS or each.outcome != PASS]
        told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in OUTCOMES if counts[outcome])
        hidden = len(self.findings) - len(shown)
        more = [f"({hidden:,} that pass are not shown)"] if hidden else []
        return "\n".join([f"{self.outcome} ({told})", *_table(shown, digits), *more])

    __str__ = report

    def to_json(self) -> str:
        """The outcome and all findings as JSON, exactly; null where there is no number."""
        findings = [{name: _finite(each) for name, each in vars(finding).items()} for finding in self.findings]
        content = {"outcome": self.outcome, "findings": findings}
        return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)


def number(value: float, digits: int, sign: str = "") -> str:
    """A number with so many digits after its point, or as many that count where it is small."""
    if isinstance(value, int):
        return f"{value:{sign},}"
    return f"{value:{sign}.{digits}{'g' if 0 < abs(value) < 10**-digits else 'f'}}"


def percent(share: float | None) -> str:
    """A share in percent."""
    return "" if share is None else f"{100 * share:.4g} %"


def outward(value: float, digits: int, rounded: Any) -> str:
    """An end of an interval, rounded away from the value."""
    scale = 10**digits
    if not isinstance(value, int) and math.isfinite(value) and abs(value) * scale >= 1:
        value = rounded(round(value * scale, 2)) / scale  # what float32 makes of a short number is that number
    return number(value, digits)


def _table(findings: list[Finding], digits: int) -> Iterator[str]:
    rows = [[each.outcome, each.name, each.measured(digits), each.between(digits), each.due] for each in findings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, finding in zip(rows, findings, strict=True):
        cells = [f"{cell:{'>' if place == 2 else '<'}{widths[place]}}" for place, cell in enumerate(row)]
        yield "  ".join([cell for cell in (*cells, finding.reason) if cell]).rstrip()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
