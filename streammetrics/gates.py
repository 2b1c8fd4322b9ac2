"""`Gate`: what is due of a value, judged on the value with its uncertainty."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from streammetrics import _checks, _gated, _state
from streammetrics._gated import Ends, Gated, Missing, Values
from streammetrics._jax import is_traced
from streammetrics._metric import Metric
from streammetrics._spec import spec
from streammetrics._state import State
from streammetrics._verdicts import FAIL, PASS, UNDECIDED, Finding, Verdict, percent

MODES = ("fail", "ignore")


@spec
class Gate:
    """What is due of a metric: pass where its whole interval holds to it, fail where none of it does, else undecided.

    `metric` is a path in the collection, as "val.accuracy" (of a metric alone the name of its class), and of a value
    that is a dict of an entry of it. What is due is any of

    - `at_least` and `at_most`, numbers;
    - `not_worse_than`: a number, or the name under which the state of a baseline is passed to `judge`. It may be worse
      by `margin`, or by the share `relative` of the baseline. Without either only what is shown to be better passes.
      Which way is worse the metric knows, or `higher_is_better` says.

    A value lies in its two-sided `level` interval (`sm.interval`), a difference from a baseline's state in that of
    `sm.compare`, which pairs examples where the metric is `Bootstrapped`; the share of a baseline is one of its value
    as measured. Of several slices, outputs or classes each must hold: all n that are judged lie in their intervals of
    1 − (1 − level) / n together with probability `level` (Bonferroni), whichever way they depend on each other.
    `slices` names those that are judged and must be there: `"de"`, `("de", "fr")`, `{"country": "de"}`. Labels of one
    column are alternatives; of several columns a slice must have one of each.

    What is missing fails: a metric, a slice, one without examples, a NaN, a baseline's too; and so do examples that
    could not be counted. Where there is no interval, as of counts, a gate is undecided, unless `exact=True` judges
    values as they are.

    >>> import numpy as np, streammetrics as sm
    >>> metrics = sm.Collection(accuracy=sm.Accuracy(sm.Binary("labels")))
    >>> state = metrics.tally(predictions=np.arange(1000) < 912, targets=np.ones(1000, int))
    >>> gate = sm.Gate("accuracy", at_least=0.9, not_worse_than="main", relative=0.05)
    >>> print(gate.judge(metrics, state, main=state))
    undecided (1 pass, 1 undecided)
    undecided  accuracy  0.9120  (0.8928 to 0.9281 at 95 %)                       at least 0.9
    pass       accuracy  0.9120  +0.0000 from 0.9120 (-0.0250 to 0.0250 at 95 %)  not worse than main by more than 5 %
    """

    metric: str
    at_least: float | None = dataclasses.field(default=None, kw_only=True)
    at_most: float | None = dataclasses.field(default=None, kw_only=True)
    not_worse_than: float | str | None = dataclasses.field(default=None, kw_only=True)
    margin: float = dataclasses.field(default=0.0, kw_only=True)
    relative: float = dataclasses.field(default=0.0, kw_only=True)
    level: float = dataclasses.field(default=0.95, kw_only=True)
    slices: Any = dataclasses.field(default=None, kw_only=True)
    exact: bool = dataclasses.field(default=False, kw_only=True)
    higher_is_better: bool | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        with _checks.told_by(f"Gate({self.metric!r})"):
            object.__setattr__(self, "slices", _gated.chosen(self.slices))
            self._check()

    def _check(self) -> None:
        bounds = (self.at_least, self.at_most, self.not_worse_than)
        if bounds == (None, None, None):
            _checks.refuse(ValueError, "nothing is due; at_least, at_most or not_worse_than says what is")
        if not all(math.isfinite(each) for each in (*bounds, self.margin, self.relative) if isinstance(each, float)):
            _checks.refuse(ValueError, "a bound is infinite, but must be a number")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            _checks.refuse(ValueError, f"at least {self.at_least:.10g} and at most {self.at_most:.10g} is nothing")
        for name in ("margin", "relative"):
            if getattr(self, name) < 0:
                _checks.refuse(ValueError, f"{name} is {getattr(self, name)}, but must be 0 or more")
        if self.margin and self.relative:
            _checks.refuse(ValueError, "margin and relative exclude each other")
        if self.not_worse_than is None and (self.margin or self.relative or self.higher_is_better is not None):
            _checks.refuse(ValueError, "margin, relative and higher_is_better say nothing without not_worse_than")
        if self.not_worse_than in ("", "on_invalid"):
            _checks.refuse(ValueError, f"a baseline cannot be called {self.not_worse_than!r}")
        if not 0 < self.level < 1:
            _checks.refuse(ValueError, f"level is {self.level!r}, but must be above 0 and below 1")

    def judge(self, metrics: Metric, state: State, /, *, on_invalid: str = "fail", **baselines: State) -> Verdict:
        """The verdict of this gate alone, as of `sm.judge`."""
        return judge([self], metrics, state, on_invalid=on_invalid, **baselines)


def judge(
    gates: Sequence[Gate], metrics: Metric, state: State, /, *, on_invalid: str = "fail", **baselines: State
) -> Verdict:
    """The verdict of all gates together: what metrics read off a state, held against what is due.

    The states of baselines come by the names that gates give them, each of a collection that counts the same metrics.
    Every gate is at its own level: only slices are corrected for their number. `on_invalid="ignore"` judges the valid
    examples where others could not be counted; otherwise gates on metrics that saw such fail. Waits for the device.

    Raises `TypeError` for a baseline that did not come or that no gate names, and where nothing says what is worse.

    >>> import streammetrics as sm
    >>> metrics = sm.Sliced(sm.Collection(loss=sm.Mean("loss")), slices={"country": ("de", "fr")})
    >>> state = metrics.tally(loss=[0.1, 0.2, 0.9, 0.3], country=["de", "de", "fr", "de"])
    >>> gates = [sm.Gate("loss", at_most=0.5, exact=True), sm.Gate("recall", at_least=0.9)]
    >>> verdict = sm.judge(gates, metrics, state)
    >>> for finding in verdict.findings:
    ...     print(finding)
    loss of country=de 0.2, at most 0.5: pass
    loss of country=fr 0.9, at most 0.5: fail
    recall, at least 0.9: fail, there is no metric 'recall' among loss
    >>> verdict.outcome, verdict.passed
    ('fail', False)
    """
    with _checks.told_by("judge"):
        _check(gates, metrics, on_invalid, baselines)
    for name, each in [("the state", state), *baselines.items()]:
        if not isinstance(each, State):
            raise TypeError(f"judge: {name} is {type(each).__name__}, but a State is due")
        if is_traced(each):
            raise TypeError(f"judge: {name} is traced, but gates judge on the host; judge outside of jit")
        _state.check(each, "judge", each.statistic)
    ignore = on_invalid == "ignore"
    return Verdict(tuple(found for gate in gates for found in _judged(gate, metrics, state, baselines, ignore)))


def _check(gates: Any, metrics: Any, on_invalid: str, baselines: Mapping[str, Any]) -> None:
    if not gates or not all(isinstance(gate, Gate) for gate in gates):
        _checks.refuse(TypeError, f"got {gates!r}, but one or more gates are due")
    if not isinstance(metrics, Metric):
        _checks.refuse(TypeError, f"got {metrics!r}, but a metric is due")
    if on_invalid not in MODES:
        _checks.refuse(ValueError, f"on_invalid is {on_invalid!r}, but must be 'fail' or 'ignore'")
    due = {gate.not_worse_than for gate in gates if isinstance(gate.not_worse_than, str)}
    if lacking := sorted(due - set(baselines)):
        _checks.refuse(TypeError, f"{lacking[0]} did not come; it is the state of a baseline of a gate")
    if unknown := sorted(set(baselines) - due):
        _checks.refuse(TypeError, f"got {unknown[0]}, which is the baseline of no gate")


def _judged(gate: Gate, metrics: Metric, state: State, baselines: Mapping[str, State], ignore: bool) -> list[Finding]:
    """What a gate finds: of each thing that is due every slice."""
    try:
        gated = _gated.find(gate.metric, metrics)
        dues = _dues(gate, _higher(gate, gated))
        read = _gated.values(gated, state, "the state", ignore)
    except Missing as missing:
        return [Finding(gate.metric, "", due.text, FAIL, reason=str(missing)) for due in _dues(gate, True)]
    every = _gated.cells(gated, read.array.shape)
    places, lacking = _gated.selected(every, gate.slices)
    level = 1 - (1 - gate.level) / max(1, len(places))
    findings = []
    for due in dues:
        base = None
        try:
            if due.baseline:
                base = _gated.values(gated, baselines[due.baseline], due.baseline, ignore)
        except Missing as missing:
            findings.append(Finding(gate.metric, "", due.text, FAIL, reason=str(missing)))
            continue
        if gate.exact:
            ends = Ends.unknown(read.array.shape)
        elif due.baseline:
            ends = _gated.difference_of(gated, read, baselines[due.baseline], state, level)
        else:
            ends = _gated.interval_of(gated, read, state, level)
        for at in places:
            found = _found(due, at, read, base, ends, None if gate.exact else level)
            findings.append(Finding(gate.metric, _gated.name_of(every[at]), due.text, **found))
        findings += [Finding(gate.metric, name, due.text, FAIL, reason=reason) for name, reason in lacking.items()]
    return findings


class Due(NamedTuple):
    """A bound of a value, or with the name of a baseline of the difference from it."""

    text: str
    least: bool
    bound: float
    baseline: str = ""
    relative: float = 0.0


def _dues(gate: Gate, higher: bool) -> list[Due]:
    """What is due, one after another."""
    dues = []
    if gate.at_least is not None:
        dues.append(Due(f"at least {gate.at_least:.10g}", True, gate.at_least))
    if gate.at_most is not None:
        dues.append(Due(f"at most {gate.at_most:.10g}", False, gate.at_most))
    if gate.not_worse_than is not None:
        base, worse = gate.not_worse_than, -1 if higher else 1
        allowed = percent(gate.relative) if gate.relative else f"{gate.margin:.10g}" if gate.margin else ""
        text = f"not worse than {base if isinstance(base, str) else f'{base:.10g}'}"
        text += f" by more than {allowed}" if allowed else ""
        if isinstance(base, str):
            dues.append(Due(text, higher, worse * gate.margin, base, worse * gate.relative))
        else:
            dues.append(Due(text, higher, base + worse * (gate.margin + gate.relative * abs(base))))
    return dues


def _higher(gate: Gate, gated: Gated) -> bool:
    """Which way is better, where it matters."""
    known = gated.higher_is_better if gate.higher_is_better is None else gate.higher_is_better
    if known is None and gate.not_worse_than is not None:
        raise TypeError(
            f"Gate({gate.metric!r}): whether {gate.metric} is better higher or lower is not known; "
            "higher_is_better=True or False says it, or at_least and at_most say what is due"
        )
    return bool(known)


def _found(due: Due, at: int, read: Values, base: Values | None, ends: Ends, level: float | None) -> dict[str, Any]:
    """The outcome of one value, and what it is judged by; without a level it is taken as it is."""
    if lacking := read.lacking(at) or (base.lacking(at) if base else ""):
        return {"outcome": FAIL, "reason": lacking}
    value, bound = read.at(at), due.bound
    found = {"value": value.item()}
    if base:
        found["baseline"] = base.at(at).item()
        bound += due.relative * abs(found["baseline"])
    low, high = ends.at(at)
    if level is None:  # the value itself against what its baseline allows: a difference would add its rounding
        low = high = value
        bound += found.get("baseline", 0)
    elif low != low or high != high:
        return found | {"outcome": UNDECIDED, "reason": ends.reason or "it has no interval"}
    else:
        found |= {"low": low.item(), "high": high.item(), "level": level}
    # Of float32 it is the nearest float32 that bounds: numpy takes a number of Python's for one of the array's dtype.
    near, far = (low >= bound, high < bound) if due.least else (high <= bound, low > bound)
    return found | {"outcome": PASS if near else FAIL if far else UNDECIDED}
