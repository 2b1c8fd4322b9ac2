"""Gates: what is due is judged on values with their uncertainty, and whatever is missing fails."""

import json
import pickle
import re
from typing import Any

import jax
import numpy as np
import pytest

import streammetrics as sm
from streammetrics import _gated
from streammetrics._verdicts import Finding, Verdict

LABELS = sm.Binary("labels")
THREE = sm.Multiclass(3, "labels", class_names=("cat", "dog", "owl"))
ACCURACY = sm.Collection(accuracy=sm.Accuracy(LABELS))
LOSS = sm.Collection(loss=sm.Mean("loss"))
BY_COUNTRY = sm.Sliced(LOSS, slices={"country": ("de", "fr", "it")})


def right(count: int, of: int) -> sm.State:
    """The state of so many examples, of which so many are right."""
    batch = {"predictions": (np.arange(of) < count).astype(int), "targets": np.ones(of, int)}
    return ACCURACY.tally(**sm.pad(batch, 1000))


def losses(values: Any, country: Any = None) -> sm.State:
    batch = {"loss": np.asarray(values, np.float32)}
    if country is None:
        return LOSS.tally(**sm.pad(batch, 1000))
    places = np.array([("de", "fr", "it").index(name) for name in country])
    return BY_COUNTRY.tally(**sm.pad({**batch, "country": places}, 8))


def refused(kind: type[Exception], message: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def told(verdict: Verdict) -> list[str]:
    return [str(finding) for finding in verdict.findings]


def outcomes(verdict: Verdict) -> list[str]:
    return [finding.outcome for finding in verdict.findings]


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every interval reaches 0.1 to both sides of its value; the levels that were asked for."""
    levels: list[float] = []

    def interval(metric: sm.Metric, state: sm.State, level: float, on_invalid: str) -> sm.Interval:
        levels.append(level)
        value = metric.compute(state, on_invalid)
        return sm.Interval(value - 0.1, value, value + 0.1)

    def compare(metric: sm.Metric, a: sm.State, b: sm.State, level: float, on_invalid: str) -> sm.Comparison:
        levels.append(level)
        difference = metric.compute(b, on_invalid) - metric.compute(a, on_invalid)
        return sm.Comparison(difference, difference - 0.1, difference + 0.1, difference)

    monkeypatch.setattr(_gated, "interval", interval)
    monkeypatch.setattr(_gated, "compare", compare)
    return levels


# One value


@pytest.mark.parametrize(
    ("due", "outcome"),
    [
        ({"at_least": 0.87}, "pass"),
        ({"at_least": 0.89}, "undecided"),
        ({"at_least": 0.91}, "undecided"),
        ({"at_least": 0.92}, "fail"),
        ({"at_most": 0.87}, "fail"),
        ({"at_most": 0.89}, "undecided"),
        ({"at_most": 0.91}, "undecided"),
        ({"at_most": 0.92}, "pass"),
        ({"at_least": 0.92, "level": 0.9999}, "undecided"),
    ],
)
def test_the_interval_decides(due: dict[str, Any], outcome: str) -> None:
    state = right(900, 1000)  # by Wilson from 0.8799 to 0.9171
    verdict = sm.Gate("accuracy", **due).judge(ACCURACY, state)
    assert (verdict.outcome, verdict.passed) == (outcome, outcome == "pass")
    (finding,) = verdict.findings
    low, value, high = sm.interval(sm.Accuracy(LABELS), state, due.get("level", 0.95))
    assert (finding.low, finding.value, finding.high) == (float(low), float(value), float(high))
    assert finding.level == due.get("level", 0.95)


def test_what_was_found_is_a_sentence() -> None:
    state = right(900, 1000)
    between = "accuracy 0.9000 (0.8798 to 0.9171 at 95 %)"
    gate = sm.Gate("accuracy", at_least=0.85, at_most=0.9)
    assert told(gate.judge(ACCURACY, state)) == [
        f"{between}, at least 0.85: pass",
        f"{between}, at most 0.9: undecided",
    ]
    gate = sm.Gate("accuracy", at_least=0.95, level=0.9)
    assert told(gate.judge(ACCURACY, state)) == ["accuracy 0.9000 (0.8833 to 0.9146 at 90 %), at least 0.95: fail"]


def test_ends_that_meet_the_bound_hold_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = sm.Interval(np.float32(0.9), np.float32(0.95), np.float32(1.1))
    monkeypatch.setattr(_gated, "interval", lambda *_, **__: ends)
    bounds: list[dict[str, Any]] = [{"at_least": 0.9}, {"at_most": 1.1}]  # neither is a float32
    for due in bounds:
        assert sm.Gate("accuracy", **due).judge(ACCURACY, right(9, 10)).passed
    assert not sm.Gate("accuracy", at_least=0.900001).judge(ACCURACY, right(9, 10)).passed
    assert sm.Gate("accuracy", at_most=0.9).judge(ACCURACY, right(9, 10)).outcome == "undecided"
    assert sm.Gate("accuracy", at_most=0.899).judge(ACCURACY, right(9, 10)).outcome == "fail"


def test_exact_takes_values_as_they_are() -> None:
    state = right(9, 10)
    bounds: list[dict[str, Any]] = [{"at_least": 0.9}, {"at_most": 0.9}, {"at_least": 0.91}]
    gates = [sm.Gate("accuracy", exact=True, **due) for due in bounds]
    assert told(sm.judge(gates, ACCURACY, state)) == [
        "accuracy 0.9, at least 0.9: pass", "accuracy 0.9, at most 0.9: pass", "accuracy 0.9, at least 0.91: fail",
    ]  # fmt: skip
    metrics = sm.Collection(n=sm.Examples("loss"))
    state = metrics.tally(loss=np.zeros(10))
    assert told(sm.Gate("n", at_least=10, exact=True).judge(metrics, state)) == ["n 10, at least 10: pass"]
    assert told(sm.Gate("n", at_least=10.5, exact=True).judge(metrics, state)) == ["n 10, at least 10.5: fail"]


def test_without_an_interval_it_is_undecided_and_says_why() -> None:
    metrics = sm.Collection(most=sm.Maximum("loss"))
    state = metrics.tally(loss=[1.0, 2.0])
    assert told(sm.Gate("most", at_most=9).judge(metrics, state)) == [
        "most 2, at most 9: undecided, the counts of most do not tell how its value varies; Bootstrapped does"
    ]
    assert told(sm.Gate("most", not_worse_than="old", higher_is_better=False).judge(metrics, state, old=state)) == [
        "most 2 +0.0000 from 2.0000, not worse than old: undecided, the counts of most do not tell how its value "
        "varies; Bootstrapped does"
    ]
    count = sm.Examples("loss")
    assert told(sm.Gate("Examples", at_least=1).judge(count, count.tally([1.0, 2.0]))) == [
        "Examples 2, at least 1: undecided, it is a count, which has no interval; exact=True judges it as it is"
    ]
    (found,) = told(sm.Gate("loss", at_most=9).judge(LOSS, losses([1.0])))
    assert found == "loss 1, at most 9: undecided, loss has 1 examples, but at least 2 are due"


def test_of_a_metric_alone_the_name_is_its_class() -> None:
    metric = sm.Accuracy(LABELS)
    state = metric.tally(np.ones(99, int), np.ones(99, int))
    assert sm.Gate("Accuracy", at_least=0.9).judge(metric, state).passed
    # A state of more does as well.
    more = sm.Collection(accuracy=metric, loss=sm.Mean("loss"))
    state = more.tally(predictions=np.ones(99, int), targets=np.ones(99, int), loss=np.ones(99))
    assert sm.Gate("Accuracy", at_least=0.9).judge(metric, state).passed


def test_a_value_that_is_a_dict_is_judged_by_an_entry() -> None:
    counts = sm.Collection(val=sm.Collection(counts=sm.StatScores(LABELS)))
    state = counts.tally(predictions=np.array([0, 1, 1]), targets=np.array([0, 0, 1]))
    assert told(sm.Gate("val.counts.fp", at_most=1, exact=True).judge(counts, state)) == [
        "val.counts.fp 1, at most 1: pass"
    ]
    assert told(sm.Gate("val.counts", at_most=1).judge(counts, state)) == [
        "val.counts, at most 1: fail, its value has several entries, of which a gate names one: tp, fp, tn, fn and "
        "support"
    ]
    assert told(sm.Gate("val.counts.ft", at_most=1).judge(counts, state)) == [
        "val.counts.ft, at most 1: fail, its value has no entry 'ft', but tp, fp, tn, fn and support"
    ]
    assert told(sm.Gate("accuracy.x.y", at_most=1).judge(ACCURACY, right(1, 2))) == [
        "accuracy.x.y, at most 1: fail, its value has no entries, hence no 'x.y'"
    ]
    best = sm.Collection(best=sm.BestThreshold(sm.Binary("scores")))
    state = best.tally(predictions=np.array([0.1, 0.2, 0.9]), targets=np.array([0, 0, 1]))
    assert told(sm.Gate("best", not_worse_than=0.5, exact=True).judge(best, state)) == [
        "best 1, not worse than 0.5: pass"
    ]
    with pytest.raises(TypeError, match=r"whether best\.threshold is better"):
        sm.Gate("best.threshold", not_worse_than=0.5).judge(best, state)


# Baselines


def test_a_baseline_that_is_a_number_bounds_the_worse_side() -> None:
    state, loss = right(900, 1000), losses(np.arange(1000) % 10)  # a mean of 4.5, from 4.32 to 4.68
    mean: Any = {"higher_is_better": False}
    cases = [
        (sm.Gate("accuracy", not_worse_than=0.87), "pass"),
        (sm.Gate("accuracy", not_worse_than=0.9), "undecided"),
        (sm.Gate("accuracy", not_worse_than=0.9, margin=0.03), "pass"),
        (sm.Gate("accuracy", not_worse_than=0.9, relative=0.03), "pass"),
        (sm.Gate("accuracy", not_worse_than=0.95, relative=0.03), "fail"),
        (sm.Gate("loss", not_worse_than=4.7, **mean), "pass"),
        (sm.Gate("loss", not_worse_than=4.5, **mean), "undecided"),
        (sm.Gate("loss", not_worse_than=4.5, margin=0.2, **mean), "pass"),
        (sm.Gate("loss", not_worse_than=4.5, relative=0.05, **mean), "pass"),
        (sm.Gate("loss", not_worse_than=4.2, relative=0.02, **mean), "fail"),
        (sm.Gate("loss", not_worse_than=4.7, higher_is_better=True), "fail"),
    ]
    for gate, outcome in cases:
        metrics, of = (ACCURACY, state) if gate.metric == "accuracy" else (LOSS, loss)
        assert gate.judge(metrics, of).outcome == outcome, gate
    assert told(cases[3][0].judge(ACCURACY, state)) == [
        "accuracy 0.9000 (0.8798 to 0.9171 at 95 %), not worse than 0.9 by more than 3 %: pass"
    ]
    # The share of a negative baseline is one of its size.
    gate = sm.Gate("loss", not_worse_than=-2.0, relative=0.1, higher_is_better=True, exact=True)
    assert [gate.judge(LOSS, losses([x])).passed for x in (-2.1, -2.3)] == [True, False]


def test_a_baseline_that_is_a_state_is_held_against_by_the_difference(within: list[float]) -> None:
    old, new = losses([1.0, 3.0]), losses([2.0, 2.5])  # 0.25 more, within 0.1
    lower: Any = {"not_worse_than": "old", "higher_is_better": False}
    higher: Any = {"not_worse_than": "old", "higher_is_better": True}
    cases = [
        (lower, "fail"),
        (lower | {"margin": 0.2}, "undecided"),
        (lower | {"margin": 0.3}, "undecided"),
        (lower | {"margin": 0.4}, "pass"),
        (lower | {"relative": 0.1}, "undecided"),  # of 2.0
        (lower | {"relative": 0.2}, "pass"),
        (higher, "pass"),
    ]
    assert [sm.Gate("loss", **due).judge(LOSS, new, old=old).outcome for due, _ in cases] == [due for _, due in cases]
    assert sm.Gate("loss", **higher).judge(LOSS, old, old=new).outcome == "fail"
    assert within == [0.95] * 8
    down = sm.Gate("loss", **higher, relative=0.1)  # of a baseline below 0 by a share of its size, 0.2
    assert down.judge(LOSS, losses([-2.1]), old=losses([-2.0])).passed
    assert told(sm.Gate("loss", **lower, margin=0.2).judge(LOSS, new, old=old)) == [
        "loss 2.2500 +0.2500 from 2.0000 (0.1500 to 0.3500 at 95 %), not worse than old by more than 0.2: undecided"
    ]
    (finding,) = sm.Gate("loss", **lower, margin=0.3, exact=True).judge(LOSS, new, old=old).findings
    assert (finding.outcome, finding.baseline, finding.low) == ("pass", 2.0, None)
    assert str(finding) == "loss 2.25 +0.2500 from 2.0000, not worse than old by more than 0.3: pass"


def test_without_an_interval_a_value_may_lie_where_its_baseline_allows() -> None:
    old, new = right(80, 100), right(76, 100)  # whose difference in float32 is below -0.04
    bounds: list[dict[str, Any]] = [{"relative": 0.05}, {"margin": 0.04}]
    for due in bounds:
        assert sm.Gate("accuracy", not_worse_than="old", exact=True, **due).judge(ACCURACY, new, old=old).passed
        assert (
            not sm.Gate("accuracy", not_worse_than="old", exact=True, **due)
            .judge(ACCURACY, right(759, 1000), old=old)
            .passed
        )


def test_the_difference_is_that_of_compare() -> None:
    old, new = right(900, 1000), right(880, 1000)
    (finding,) = sm.Gate("accuracy", not_worse_than="old").judge(ACCURACY, new, old=old).findings
    found = sm.compare(sm.Accuracy(LABELS), old, new)
    assert (finding.low, finding.high) == (float(found.low), float(found.high))
    gates = [sm.Gate("accuracy", not_worse_than=name, relative=0.06) for name in ("old", "older")]
    verdict = sm.judge(gates, ACCURACY, new, older=right(100, 1000), old=old)
    assert outcomes(verdict) == ["pass", "pass"]
    assert [finding.baseline for finding in verdict.findings] == [pytest.approx(0.9), pytest.approx(0.1)]


# Several, and wrappers


def test_the_worst_outcome_is_that_of_all() -> None:
    state = right(900, 1000)
    good, open_, bad = (sm.Gate("accuracy", at_least=bound) for bound in (0.8, 0.9, 0.95))
    for gates, due in (([good, good], "pass"), ([good, open_], "undecided"), ([open_, bad, good], "fail")):
        verdict = sm.judge(gates, ACCURACY, state)
        assert (verdict.outcome, verdict.passed) == (due, due == "pass")
    assert str(sm.judge([good, open_, bad, good], ACCURACY, state)) == (
        "fail (2 pass, 1 undecided, 1 fail)\n"
        "pass       accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at least 0.8\n"
        "undecided  accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at least 0.9\n"
        "fail       accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at least 0.95\n"
        "pass       accuracy  0.9000  (0.8798 to 0.9171 at 95 %)  at least 0.8"
    )


def test_a_verdict_is_neither_true_nor_false() -> None:
    verdict = sm.Gate("accuracy", at_least=0.9).judge(ACCURACY, right(900, 1000))
    with refused(
        TypeError, "Verdict: it is 'undecided', one of three outcomes; .passed says whether everything passes"
    ):
        bool(verdict)


def test_of_very_many_those_that_pass_are_not_shown() -> None:
    findings = tuple(Finding("loss", f"group={k}", "at most 97", "fail" if k > 97 else "pass", k) for k in range(101))
    assert Verdict(findings).report().splitlines() == [
        "fail (98 pass, 3 fail)",
        "fail  loss of group=98    98  at most 97",
        "fail  loss of group=99    99  at most 97",
        "fail  loss of group=100  100  at most 97",
        "(98 that pass are not shown)",
    ]
    assert len(Verdict(findings[1:]).report().splitlines()) == 101


def test_numbers_are_shown_with_their_ends_rounded_outward() -> None:
    finding = Finding("loss", "", "at most 1", "pass", 0.12345, 0.123449, 0.123451, 0.95)
    assert str(finding) == "loss 0.1235 (0.1234 to 0.1235 at 95 %), at most 1: pass"
    finding = Finding("loss", "", "at most 1", "pass", -0.00002, -0.00003, 0.5, 0.999)
    assert finding.measured(4) == "-2e-05"
    assert finding.between(4) == "(-3e-05 to 0.5000 at 99.9 %)"
    assert Finding("n", "", "at most 1", "fail", 12345, 12000, 13000, 0.95).between() == "(12,000 to 13,000 at 95 %)"
    assert finding.between(1) == "(-3e-05 to 0.5 at 99.9 %)"


def test_json_holds_what_was_found(within: list[float]) -> None:
    state = losses([0.1, np.inf, 0.3], ["de", "fr", "fr"])
    gate = sm.Gate("loss", at_most=0.5, slices=("de", "us"))
    verdict = sm.judge([gate], BY_COUNTRY, state, on_invalid="ignore")
    found = json.loads(verdict.to_json(), parse_constant=pytest.fail)
    assert found["outcome"] == "fail"
    assert found["findings"][1] == {
        "metric": "loss", "slices": "us", "due": "at most 0.5", "outcome": "fail", "value": None, "low": None,
        "high": None, "level": None, "baseline": None, "reason": "there is no such slice: country has de, fr and it",
    }  # fmt: skip
    assert found["findings"][0]["value"] == float(np.float32(0.1))
    assert json.loads(Verdict((Finding("x", "", "", "fail", np.inf),)).to_json())["findings"][0]["value"] is None


# Specifications


def test_a_gate_is_a_specification() -> None:
    gate = sm.Gate("loss", at_most=1, not_worse_than="old", margin=0.1, slices={"country": ["de", "fr"], "year": 2025})
    assert repr(gate) == (
        "Gate(metric='loss', at_most=1.0, not_worse_than='old', margin=0.1, slices=(('country', ('de', 'fr')), "
        "('year', ('2025',))))"
    )
    assert eval(repr(gate), {"Gate": sm.Gate}) == gate == pickle.loads(pickle.dumps(gate))
    assert hash(gate) == hash(eval(repr(gate), {"Gate": sm.Gate}))
    assert sm.Gate("loss", at_most=1, slices="de") == sm.Gate("loss", at_most=1.0, slices=("de",))
    assert sm.Gate("loss", at_most=1, slices=["de", 3]).slices == ("de", "3")


NEEDLESS = "margin, relative and higher_is_better say nothing without not_worse_than"
HOLD = "but must be labels, or the labels of columns by name"
REFUSED: list[tuple[type[Exception], dict[str, Any], str]] = [
    (ValueError, {}, "nothing is due; at_least, at_most or not_worse_than says what is"),
    (ValueError, {"at_least": float("inf")}, "a bound is infinite, but must be a number"),
    (ValueError, {"not_worse_than": 1, "margin": float("inf")}, "a bound is infinite, but must be a number"),
    (ValueError, {"at_least": 0.9, "at_most": 0.8}, "at least 0.9 and at most 0.8 is nothing"),
    (ValueError, {"not_worse_than": 1, "margin": -0.1}, "margin is -0.1, but must be 0 or more"),
    (ValueError, {"not_worse_than": 1, "relative": -0.1}, "relative is -0.1, but must be 0 or more"),
    (ValueError, {"not_worse_than": 1, "relative": 0.1, "margin": 1}, "margin and relative exclude each other"),
    (ValueError, {"at_least": 1, "margin": 1}, NEEDLESS),
    (ValueError, {"at_least": 1, "relative": 1}, NEEDLESS),
    (ValueError, {"at_least": 1, "higher_is_better": False}, NEEDLESS),
    (ValueError, {"not_worse_than": "on_invalid"}, "a baseline cannot be called 'on_invalid'"),
    (ValueError, {"not_worse_than": ""}, "a baseline cannot be called ''"),
    (ValueError, {"at_least": 1, "level": 1}, "level is 1.0, but must be above 0 and below 1"),
    (ValueError, {"at_least": 1, "level": 0.0}, "level is 0.0, but must be above 0 and below 1"),
    (ValueError, {"at_least": 1, "slices": ()}, "slices are none; without slices= all are judged"),
    (ValueError, {"at_least": 1, "slices": {"country": ()}}, f"slices hold ('country', ()), {HOLD}"),
    (ValueError, {"at_least": 1, "slices": (("a", "b", "c"),)}, f"slices hold ('a', 'b', 'c'), {HOLD}"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED)
def test_a_gate_that_says_nothing_is_refused(kind: type[Exception], fields: dict[str, Any], message: str) -> None:
    with refused(kind, f"Gate('accuracy'): {message}"):
        sm.Gate("accuracy", **fields)


def test_kinds_are_checked() -> None:
    with pytest.raises(TypeError, match=r"^Gate: not_worse_than is State\(.* of type State, but must be float or str$"):
        sm.Gate("accuracy", not_worse_than=right(1, 2))  # pyright: ignore[reportArgumentType]
    with refused(ValueError, "Gate: at_least is NaN, but must be a number"):
        sm.Gate("accuracy", at_least=float("nan"))


def test_what_cannot_be_judged_is_refused() -> None:
    state, gate = right(9, 10), sm.Gate("accuracy", at_least=0.5)
    against = sm.Gate("accuracy", not_worse_than="old")
    judge: Any = sm.judge
    cases = [
        (TypeError, lambda: judge([], ACCURACY, state), "got [], but one or more gates are due"),
        (TypeError, lambda: judge(["a"], ACCURACY, state), "got ['a'], but one or more gates are due"),
        (TypeError, lambda: judge([gate], {"accuracy": 1}, state), "got {'accuracy': 1}, but a metric is due"),
        (ValueError, lambda: judge([gate], ACCURACY, state, on_invalid="raise"),
         "on_invalid is 'raise', but must be 'fail' or 'ignore'"),
        (TypeError, lambda: judge([against], ACCURACY, state),
         "old did not come; it is the state of a baseline of a gate"),
        (TypeError, lambda: gate.judge(ACCURACY, state, old=state), "got old, which is the baseline of no gate"),
        (TypeError, lambda: judge([gate], ACCURACY, {"x": 1}), "the state is dict, but a State is due"),
        (TypeError, lambda: judge([against], ACCURACY, state, old=0.9), "old is float, but a State is due"),
    ]  # fmt: skip
    for kind, judged, message in cases:
        with refused(kind, f"judge: {message}"):
            judged()
    with refused(
        TypeError,
        "Gate('loss'): whether loss is better higher or lower is not known; higher_is_better=True or False says it, or "
        "at_least and at_most say what is due",
    ):
        sm.Gate("loss", not_worse_than=1).judge(LOSS, losses([1.0]))
    with pytest.raises(
        TypeError, match=r"^judge: the state is traced, but gates judge on the host; judge outside of jit\b"
    ):
        jax.jit(lambda state: gate.judge(ACCURACY, state).passed)(state)
    stacked = jax.tree.map(lambda x: x[None], state)
    with pytest.raises(ValueError, match="judge: the state has 1 extra leading axis"):
        gate.judge(ACCURACY, stacked)
