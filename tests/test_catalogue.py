"""The catalogue forgets nothing: every public metric, statistic and accumulator is in it, and in the package."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import streammetrics as sm
from streammetrics import wrappers
from streammetrics._metric import leaves
from streammetrics._statistic import members
from tests.catalogue import CATALOGUE, COUNTED, KNOWN, Case

PACKAGES = ("streammetrics.metrics", "streammetrics.wrappers")

METRICS = {
    value for name in sm.__all__ if inspect.isclass(value := getattr(sm, name)) and issubclass(value, sm.Metric)
} - {sm.Metric}


def test_every_public_metric_is_in_the_catalogue() -> None:
    found = {type(leaf) for case in CATALOGUE for _, leaf in leaves(case.metric)}
    found |= {type(case.metric) for case in CATALOGUE}
    assert found >= METRICS


def test_every_statistic_is_counted_under_the_laws() -> None:
    counted = {type(member) for case in COUNTED for member in members(case.metric.statistic)}
    public = {getattr(sm.statistics, name) for name in sm.statistics.__all__}
    assert counted == public | set(wrappers.STATISTICS) | set(KNOWN)


def test_every_way_to_tell_slices_apart_is_under_the_laws() -> None:
    columns = {
        type(member.column) for case in COUNTED for member in wrapped(case) if isinstance(member, wrappers.Slices)
    }
    assert columns == set(wrappers.COLUMNS)


def wrapped(case: Case) -> Iterator[Any]:
    """The statistics of a case, and all that stand inside of them."""
    for member in members(case.metric.statistic):
        while member is not None:
            yield member
            member = getattr(member, "inner", None)


def test_every_accumulator_is_counted_under_the_laws() -> None:
    used = {
        type(accumulator)
        for case in COUNTED
        for member in members(case.metric.statistic)
        for accumulator in member.accumulators.values()
    }
    abstract = {sm.accumulators.Accumulator, sm.accumulators.Monoid}
    public = {getattr(sm.accumulators, name) for name in sm.accumulators.__all__} - abstract
    assert used == public


def test_every_reading_reads_a_statistic_of_the_laws_or_its_like() -> None:
    counted = {type(member) for case in COUNTED for member in members(case.metric.statistic)}
    assert {type(member) for case in CATALOGUE for member in members(case.metric.statistic)} <= counted


def test_every_metric_of_the_package_is_public() -> None:
    found = set()
    for module in (module for package in PACKAGES for module in modules(package)):
        for _, value in inspect.getmembers(module):
            if inspect.isclass(value) and issubclass(value, sm.Metric) and not inspect.isabstract(value):
                found.add(value)
    assert found - {sm.Metric, sm.Collection} == METRICS - {sm.Collection}


def modules(package: str) -> Iterator[Any]:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        yield importlib.import_module(f"{package}.{module.name}")


def test_every_public_name_says_what_it_is() -> None:
    for name in sm.__all__:
        assert inspect.getdoc(getattr(sm, name)), name
    for metric in METRICS:
        assert ">>>" in (inspect.getdoc(metric) or ""), metric
