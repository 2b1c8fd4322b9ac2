"""The values of a model, and their form in JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import streammetrics as sm
from streammetrics._state import State, part
from streammetrics.command._models import Model, Seen, seen


class Reading(NamedTuple):
    """What was read of a model, as plain values."""

    seen: Seen
    values: dict[str, Any]
    bounds: dict[str, Any]
    """Of estimates, between what they are proven to lie."""


def read(model: Model, state: State, on_invalid: str) -> Reading:
    """The values of a model."""
    estimates = {name: metric for name, metric in model.metrics.items() if _has_bounds(metric)}
    values = bounds = {}
    if model.metrics:
        metric = sm.Collection(model.metrics)
        values = metric.compute(part(state, metric.statistic), on_invalid)
    if estimates:
        bounds = sm.bounds(sm.Collection(estimates), state, on_invalid)
    pairs = {name: sm.plain([*each]) for name, each in bounds.items()}
    return Reading(seen(model, state), sm.plain(values), pairs)


def _has_bounds(metric: Any) -> bool:
    return hasattr(metric, "estimate") and not isinstance(metric, sm.PRAUC)


def as_json(readings: Mapping[str, Reading], named: bool) -> str:
    """`{"examples": …, "invalid": {…}, "values": {…}, "bounds": {…}}`; where models have names, each by name."""

    def told(of: Any) -> Any:
        each = {name: of(reading) for name, reading in readings.items()}
        return each if named else next(iter(each.values()))

    content = {
        "examples": told(lambda reading: reading.seen.examples),
        "invalid": told(lambda reading: reading.seen.invalid),
        "values": told(lambda reading: reading.values),
        "bounds": told(lambda reading: reading.bounds),
    }
    return json.dumps(_finite(content), indent=2, allow_nan=False, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """The same, with null for what is no finite number: JSON has no other word for it."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
