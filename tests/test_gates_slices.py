"""Gates over slices and other wrappers, and of what is missing or could not be counted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import streammetrics as sm
from streammetrics import _gated
from streammetrics._verdicts import Verdict
from tests.test_gates import ACCURACY, BY_COUNTRY, LABELS, LOSS, THREE, losses, outcomes, right, told, within

__all__ = ["within"]  # the fixture


def test_every_slice_is_judged_at_a_level_for_their_number(within: list[float]) -> None:
    state = losses([0.1, 0.3, 0.5, 0.9, 0.7], ["de", "de", "fr", "it", "it"])
    verdict = sm.Gate("loss", at_most=0.55, level=0.94).judge(BY_COUNTRY, state)
    assert told(verdict) == [
        "loss of country=de 0.2000 (0.1000 to 0.3000 at 98 %), at most 0.55: pass",
        "loss of country=fr 0.5000 (0.4000 to 0.6000 at 98 %), at most 0.55: undecided",
        "loss of country=it 0.8000 (0.7000 to 0.9000 at 98 %), at most 0.55: fail",
    ]
    assert verdict.outcome == "fail"
    assert within == [pytest.approx(0.98)]
    two = sm.Gate("loss", at_most=0.55, level=0.94, slices=("fr", "de")).judge(BY_COUNTRY, state)
    assert (two.outcome, outcomes(two), within[1]) == ("undecided", ["pass", "undecided"], pytest.approx(0.97))
    one = sm.Gate("loss", at_most=0.55, slices="de").judge(BY_COUNTRY, state)
    assert (one.outcome, within[2]) == ("pass", pytest.approx(0.95))
    both = losses([0.15, 0.5, 0.85], ["de", "fr", "it"])
    gate = sm.Gate("loss", not_worse_than="old", higher_is_better=False)
    assert outcomes(gate.judge(BY_COUNTRY, both, old=state)) == ["undecided", "undecided", "undecided"]
    gate = sm.Gate("loss", not_worse_than="old", higher_is_better=False, relative=0.3)
    assert outcomes(gate.judge(BY_COUNTRY, both, old=state)) == ["pass", "pass", "pass"]
    gate = sm.Gate("loss", not_worse_than="old", higher_is_better=False, relative=0.15)
    assert outcomes(gate.judge(BY_COUNTRY, both, old=state)) == ["undecided", "undecided", "undecided"]


SLICES = 10
BY_GROUP = sm.Sliced(ACCURACY, "group", SLICES)
GROUP = np.repeat(np.arange(SLICES), 200)


def grouped(hits: np.ndarray) -> sm.State:
    return BY_GROUP.tally(predictions=hits.astype(int), targets=np.ones(hits.size, int), group=GROUP)


def test_the_interval_of_a_slice_is_that_of_its_rows_alone() -> None:
    hits = np.arange(GROUP.size) % 10 < 8
    verdict = sm.Gate("accuracy", at_least=0.7, level=0.9).judge(BY_GROUP, grouped(hits))
    assert verdict.passed
    single: Any = BY_GROUP.parts[0][1]
    alone = sm.one_slice(single, grouped(hits), "3")
    low, value, high = sm.interval(sm.Accuracy(LABELS), alone, 1 - 0.1 / SLICES)
    finding = verdict.findings[3]
    assert (finding.slices, finding.level) == ("group=3", pytest.approx(0.99))
    assert (finding.low, finding.value, finding.high) == pytest.approx((float(low), float(value), float(high)))


def test_of_many_slices_a_wrong_verdict_is_as_rare_as_of_one() -> None:
    """Of slices that all meet the bound exactly a pass or a fail is by chance: once in 20 times, not in every third."""
    rng, runs = np.random.default_rng(0), 200
    gate = sm.Gate("accuracy", at_least=0.8)
    states = [grouped(rng.random(GROUP.size) < 0.8) for _ in range(runs)]
    wrong = sum(set(outcomes(gate.judge(BY_GROUP, state))) != {"undecided"} for state in states)
    assert 0 < wrong < 0.12 * runs  # 0.059 are due by Wilson's interval, and 0.35 at one level for all


def test_slices_that_are_missing_or_empty_fail(within: list[float]) -> None:
    state = losses([0.1, 0.5], ["de", "fr"])
    assert told(sm.Gate("loss", at_most=0.9).judge(BY_COUNTRY, state))[2] == (
        "loss of country=it, at most 0.9: fail, the state has no examples"
    )
    gate = sm.Gate("loss", at_most=0.9, slices=("us", "de"))
    assert told(gate.judge(BY_COUNTRY, state)) == [
        "loss of country=de 0.1000 (0.0000 to 0.2000 at 95 %), at most 0.9: pass",
        "loss of us, at most 0.9: fail, there is no such slice: country has de, fr and it",
    ]
    gate = sm.Gate("loss", at_most=0.9, slices={"country": "us", "year": 2025})
    assert told(gate.judge(BY_COUNTRY, state)) == [
        "loss of country=us, at most 0.9: fail, there is no such slice: country has de, fr and it",
        "loss of year=2025, at most 0.9: fail, there is no such slice: country has de, fr and it",
    ]
    assert told(sm.Gate("loss", at_most=0.9, slices="de").judge(LOSS, losses([0.1]))) == [
        "loss of de, at most 0.9: fail, it has no slices"
    ]
    gate = sm.Gate("loss", not_worse_than="old", higher_is_better=False, margin=1)
    assert told(gate.judge(BY_COUNTRY, losses([0.1, 0.5, 0.2], ["de", "fr", "it"]), old=state))[2] == (
        "loss of country=it, not worse than old by more than 1: fail, old has no examples"
    )
    # A sum without examples is 0, which is no value of a slice either.
    sums = sm.Sliced(sm.Collection(total=sm.Sum("loss")), slices={"country": ("de", "fr")})
    found = sm.Gate("total", at_most=9, exact=True).judge(sums, sums.tally(loss=[1.0], country=["fr"]))
    assert outcomes(found) == ["fail", "pass"]


def test_slices_of_several_columns_are_named_by_column_or_label(within: list[float]) -> None:
    metrics = sm.Sliced(sm.Accuracy(THREE, average=None), slices={"country": ("de", "fr"), "year": (2025, 2026)})
    rows = np.arange(24)
    batch = {"predictions": rows % 3, "targets": rows % 3, "country": rows % 2, "year": 2025 + rows // 12}
    state = metrics.tally(**batch)

    def names(slices: Any) -> list[str]:
        verdict = sm.Gate("Sliced", at_least=0.5, slices=slices).judge(metrics, state)
        assert verdict.passed
        return [finding.slices for finding in verdict.findings]

    every = [
        f"country={c}, year={y}, class={k}" for c in ("de", "fr") for y in (2025, 2026) for k in THREE.class_names or ()
    ]
    assert names(None) == every
    assert within == [pytest.approx(1 - 0.05 / 12)]
    assert names("fr") == every[6:]
    assert names({"year": 2026, "class": ["cat", "owl"]}) == [every[i] for i in (3, 5, 9, 11)]
    assert names((2025, "de")) == every[:9]
    assert names((("country", "de"), 2026, "cat")) == [every[i] for i in (0, 3, 4, 5)]


def test_labels_of_one_column_are_alternatives_and_what_no_slice_has_together_fails(within: list[float]) -> None:
    metric = sm.Sliced(sm.Accuracy(LABELS), slices={"country": ("de", "fr"), "year": (2025, 2026)})
    rows = np.arange(40)
    state = metric.tally(rows % 10 < 9, np.ones(40, int), country=rows % 2, year=2025 + rows // 20)

    def judged(*slices: Any) -> Verdict:
        return sm.Gate("Sliced", at_least=0.99, slices=slices).judge(metric, state)

    assert judged(("country", "de"), ("country", "fr")) == judged("de", "fr") == judged(("country", ("de", "fr")))
    assert outcomes(judged(("country", "de"), ("country", "fr"))) == ["undecided", "undecided", "fail", "fail"]
    apart = judged("de", ("country", "fr"))
    assert told(apart) == [
        "Sliced of de, at least 0.99: fail, there is no such slice together with country=fr",
        "Sliced of country=fr, at least 0.99: fail, there is no such slice together with de",
    ]
    # One that others leave out is missing too.
    assert told(judged("de", 2026, ("country", "fr")))[1:] == [
        "Sliced of de, at least 0.99: fail, there is no such slice together with country=fr"
    ]
    assert (Verdict(()).outcome, Verdict(()).passed) == ("fail", False)


def test_classes_outputs_and_whatever_else_has_an_axis_are_slices_too() -> None:
    error, three = sm.MeanAbsoluteError(), ("w", "h", "d")
    cases: list[tuple[sm.Metric, tuple[int, ...], list[str]]] = [
        (sm.Recall(sm.Multiclass(3, "labels"), average=None), (3,), ["class=0", "class=1", "class=2"]),
        (sm.Recall(THREE, average=None), (3,), ["class=cat", "class=dog", "class=owl"]),
        (sm.Recall(sm.Multilabel(2, "labels"), average=None), (2,), ["label=0", "label=1"]),
        (sm.PerOutput(error, ("w", "h")), (2,), ["output=w", "output=h"]),
        (sm.Windowed(sm.Sliced(error, "group", 2), 5), (2,), ["group=0", "group=1"]),
        (sm.Gap(sm.Sliced(sm.Recall(THREE, average=None), "group", 3)), (3,), ["class=cat", "class=dog", "class=owl"]),
        (sm.Quantile("loss", (0.1, 0.9)), (2,), ["place=0", "place=1"]),
        (sm.Gap(sm.Sliced(sm.PerOutput(error, three), "group", 3)), (3,), ["output=w", "output=h", "output=d"]),
        (error, (), [""]),
    ]
    for metric, shape, due in cases:
        found = _gated.cells(_gated.Gated("", metric, ""), shape)
        assert [_gated.name_of(cell) for cell in found] == due, metric


def test_a_slice_without_an_interval_is_undecided_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = sm.Interval(np.array([np.nan, 0.1, 0.1]), np.array([0.1, 0.1, 0.1]), np.array([np.nan, 0.2, np.nan]))
    monkeypatch.setattr(_gated, "interval", lambda *_, **__: ends)
    state = losses([0.1, 0.1, 0.1], ["de", "fr", "it"])
    assert told(sm.Gate("loss", at_most=0.5).judge(BY_COUNTRY, state)) == [
        "loss of country=de 0.1, at most 0.5: undecided, it has no interval",
        "loss of country=fr 0.1000 (0.1000 to 0.2000 at 98.33 %), at most 0.5: pass",
        "loss of country=it 0.1, at most 0.5: undecided, it has no interval",
    ]


def test_a_level_at_which_there_is_no_interval_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, level: float, **__: Any) -> None:
        raise ValueError(f"Bootstrapped: level is {level:.4f}, of which 400 replicates tell nothing")

    for name in ("interval", "compare"):
        monkeypatch.setattr(_gated, name, refuse)
    state = losses([0.1, 0.1, 0.1], ["de", "fr", "it"])
    gate = sm.Gate("loss", at_most=0.5, not_worse_than="old", higher_is_better=False)
    for finding in gate.judge(BY_COUNTRY, state, old=state).findings:
        reason = "level is 0.9833, of which 400 replicates tell nothing"
        assert (finding.outcome, finding.reason) == ("undecided", reason)


def test_gaps_between_slices_are_judged_by_entry() -> None:
    metrics = sm.Collection(gap=sm.Gap(BY_COUNTRY.parts[0][1]))
    state = metrics.tally(loss=[0.1, 0.3], country=["de", "fr"])
    gate = sm.Gate("gap.difference", at_most=0.25, exact=True)
    assert told(gate.judge(metrics, state)) == ["gap.difference 0.2, at most 0.25: pass"]


def test_a_gap_per_class_is_of_all_slices_where_these_are_as_many(within: list[float]) -> None:
    gap = sm.Gap(sm.Sliced(sm.Recall(THREE, average=None), "group", 3))
    rows = np.arange(60)
    state = gap.tally(rows % 3, rows % 3, group=1 + rows // 30)  # and none of group 0
    assert outcomes(sm.Gate("Gap.difference", at_most=1, exact=True).judge(gap, state)) == ["pass", "pass", "pass"]


# What is missing, and what cannot be counted


def test_what_is_missing_fails() -> None:
    gates = [sm.Gate("val.recall", at_least=0.5, not_worse_than="old"), sm.Gate("accuracy", at_least=0.5)]
    verdict = sm.judge(gates, ACCURACY, right(90, 100), old=right(90, 100))
    assert told(verdict)[:2] == [
        "val.recall, at least 0.5: fail, there is no metric 'val.recall' among accuracy",
        "val.recall, not worse than old: fail, there is no metric 'val.recall' among accuracy",
    ]
    assert outcomes(verdict) == ["fail", "fail", "pass"]
    many = sm.Collection({f"m{i}": sm.Mean("loss") for i in range(13)})
    (found,) = told(sm.Gate("x", at_least=1).judge(many, many.init()))
    assert found.endswith("there is no metric 'x' among m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 3 more")
    assert told(sm.Gate("accuracy", at_least=0.5).judge(ACCURACY, LOSS.init())) == [
        "accuracy, at least 0.5: fail, the state does not count what it is read off, "
        "ClassCounts(task=Binary(inputs='labels'))"
    ]
    assert told(sm.Gate("accuracy", not_worse_than="old").judge(ACCURACY, right(1, 2), old=LOSS.init())) == [
        "accuracy, not worse than old: fail, old does not count what it is read off, "
        "ClassCounts(task=Binary(inputs='labels'))"
    ]
    assert told(sm.Gate("accuracy", at_least=0.0).judge(ACCURACY, ACCURACY.init())) == [
        "accuracy, at least 0: fail, the state has no examples"
    ]
    auroc = sm.Collection(auroc=sm.AUROC(sm.Binary("scores")))
    state = auroc.tally(predictions=[0.5, 0.6], targets=[1, 1])
    assert told(sm.Gate("auroc", at_least=0.0, exact=True).judge(auroc, state)) == [
        "auroc, at least 0: fail, the state has NaN"
    ]


def test_a_slice_that_is_hidden_fails_and_says_so() -> None:
    metric = sm.Sliced(sm.Accuracy(THREE, average=None), "group", 3, min_examples=3)
    hidden = "fail, the state hides it by min_examples, for it or another slice has too few"
    none = "fail, the state has NaN"
    state = metric.tally(np.zeros(13, int), np.zeros(13, int), group=np.repeat([0, 1, 2], [2, 5, 6]))
    recall = sm.Sliced(sm.Recall(THREE, average=None, undefined="nan"), "group", 3, min_examples=3)
    found = told(sm.Gate("Sliced", at_least=0.5, exact=True).judge(recall, state))
    assert [each.partition(": ")[2] for each in found] == [hidden, none, none, hidden, none, none, "pass", none, none]


def test_examples_that_could_not_be_counted_fail_unless_they_are_ignored() -> None:
    targets = np.where(np.arange(1000) < 998, 1, 7)
    bad = ACCURACY.tally(predictions=(np.arange(1000) < 900).astype(int), targets=targets)
    gate = sm.Gate("accuracy", at_least=0.8)
    assert told(gate.judge(ACCURACY, bad)) == [
        "accuracy, at least 0.8: fail, the state has examples that could not be counted, 2 with target that is no class"
    ]
    assert gate.judge(ACCURACY, bad, on_invalid="ignore").passed
    against = sm.Gate("accuracy", not_worse_than="old", margin=0.1)
    assert told(against.judge(ACCURACY, right(900, 1000), old=bad)) == [
        "accuracy, not worse than old by more than 0.1: fail, old has examples that could not be counted, 2 with "
        "target that is no class"
    ]
    assert against.judge(ACCURACY, right(900, 1000), old=bad, on_invalid="ignore").passed
    # They fail what saw them alone.
    both = sm.Collection(loss=sm.Mean("loss"), accuracy=sm.Accuracy(LABELS))
    state = both.tally(predictions=np.ones(9, int), targets=np.ones(9, int), loss=np.full(9, np.nan))
    assert outcomes(sm.judge([gate, sm.Gate("loss", at_most=9)], both, state)) == ["undecided", "fail"]


# Other wrappers, and several statistics


def test_what_is_bootstrapped_is_held_against_a_baseline_in_pairs() -> None:
    metrics = sm.Bootstrapped(ACCURACY, 50)
    rows, targets = np.arange(1000), np.ones(1000, int)
    old, new = (metrics.tally(predictions=rows % 10 < hits, targets=targets, ids=rows) for hits in (8, 9))
    gates = [sm.Gate("accuracy", at_least=0.85), sm.Gate("accuracy", not_worse_than="old")]
    verdict = sm.judge(gates, metrics, new, old=old)
    alone, against = verdict.findings
    assert outcomes(verdict) == ["pass", "pass"]
    ((_, single),) = metrics.parts
    low, value, high = sm.interval(single, new)
    assert (alone.low, alone.value, alone.high) == (float(low), float(value), float(high))
    pairs = sm.compare(single, old, new)
    assert (against.low, against.high) == (float(pairs.low), float(pairs.high))
    others = metrics.tally(predictions=rows % 10 < 8, targets=targets, ids=rows + 1)
    (finding,) = gates[1].judge(metrics, new, old=others).findings
    assert (finding.outcome, finding.low) == ("undecided", None)
    assert finding.reason.startswith("the states of accuracy have the checksums ")
    assert sm.Gate("accuracy", not_worse_than="old", exact=True).judge(metrics, new, old=others).passed


def test_pairs_that_tell_nothing_are_undecided_and_equal_ones_are_not_worse() -> None:
    metric = sm.Bootstrapped(sm.Accuracy(LABELS), 50)
    ones, ids = np.ones(50, int), np.arange(50)
    gate = sm.Gate("Bootstrapped", not_worse_than="old")
    old, new = (metric.tally(predictions, ones, ids=ids) for predictions in (0 * ones, ones))
    assert told(gate.judge(metric, new, old=old)) == [
        "Bootstrapped 1 +1.0000 from 0.0000, not worse than old: undecided, Bootstrapped differs by 1.0 in every "
        "replicate, which does not tell how far others may lie"
    ]
    assert gate.judge(metric, new, old=new).passed
    few = metric.tally(ones[:9], ones[:9], ids=ids[:9])
    (finding,) = gate.judge(metric, few, old=few).findings
    assert finding.reason == "Bootstrapped has 9 examples, but at least 10 are due"


def test_of_a_window_the_last_steps_are_judged() -> None:
    metrics = sm.Collection(last=sm.Windowed(sm.Mean("loss"), 1))
    state = metrics.merge(*(metrics.tally(loss=[loss] * 9, step=step) for step, loss in ((1, 9.0), (2, 2.0))))
    assert told(sm.Gate("last", at_most=3, exact=True).judge(metrics, state)) == ["last 2, at most 3: pass"]


@sm.spec
class Both(sm.Metric):
    """The sum of two means, of different statistics."""

    one: sm.Metric
    other: sm.Metric

    @property
    def statistic(self) -> Any:
        return sm.Collection(one=self.one, other=self.other).statistic

    def read(self, counts: Mapping[Any, Any]) -> Any:
        return sum(each.read(counts[each.statistic]) for each in (self.one, self.other))


def test_what_is_read_off_several_statistics_needs_examples_of_all() -> None:
    metric = Both(sm.Sum("a"), sm.Sum("b", weights="of_b"))
    state = metric.tally(a=[1.0], b=[2.0], of_b=[0])
    assert told(sm.Gate("Both", at_most=3, exact=True).judge(metric, state)) == [
        "Both, at most 3: fail, the state has no examples"
    ]
    state = metric.tally(a=[1.0], b=[2.0], of_b=[1])
    assert told(sm.Gate("Both", at_most=3, exact=True).judge(metric, state)) == ["Both 3, at most 3: pass"]
