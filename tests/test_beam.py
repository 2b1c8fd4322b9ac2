"""Apache Beam: any bundles, any tree of merges and any workers give the numbers of one process."""

import contextlib
import importlib
import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindows, TimestampedValue
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

import streammetrics as sm
from streammetrics.beam import CombineMetric
from tests.catalogue import COUNTED, KNOWN, ROWS, Case
from tests.compiling import compilations
from tests.support import assert_same

ROOT = Path(__file__).parent.parent
RANDOM = np.random.default_rng(0)
TASK = sm.Multiclass(3, "logits")
# Its counts are integers, all of them: the same bits for any order of the examples.
METRICS = sm.Collection(scores=sm.StatScores(TASK), n=sm.Examples(TASK), worst=sm.Maximum("loss"))
EXAMPLES = [
    {"predictions": logits, "targets": int(target), "loss": float(loss)}
    for logits, target, loss in zip(
        RANDOM.normal(size=(100, 3)).astype(np.float32),
        RANDOM.integers(0, 3, 100),
        RANDOM.exponential(size=100).astype(np.float32),
        strict=True,
    )
]
KEYED = [(("a", "b", "c")[index % 3], example) for index, example in enumerate(EXAMPLES)]

Example = dict[str, Any]


def stacked(examples: list[Example]) -> Example:
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def bytes_of(examples: list[Example]) -> bytes:
    """The state of one process, that counts all examples at once."""
    return sm.to_bytes(METRICS.tally(**stacked(examples)))


def counting(emit: str = "states", batched: bool = False) -> CombineMetric:
    return CombineMetric(METRICS, emit=emit, batched=batched, batch_size=16)


def bytes_by_key() -> dict[str, bytes]:
    return {name: bytes_of([example for key, example in KEYED if key == name]) for name in "abc"}


@contextlib.contextmanager
def pipeline(mode: str = "in_memory", workers: int = 1) -> Iterator[beam.Pipeline]:
    """By its own name the runner is used that DirectRunner runs in the end, after it has looked for others online."""
    options = PipelineOptions([], direct_running_mode=mode, direct_num_workers=workers)
    with beam.Pipeline(runner="FnApiRunner", options=options) as running:
        yield running


def combined(combine: CombineMetric, elements: list[Any], seed: int) -> Any:
    """What comes out of elements in random bundles and a random tree of merges, as a runner may choose them."""
    chance, coder = random.Random(seed), combine.get_accumulator_coder()
    elements = chance.sample(elements, len(elements))
    bundles: list[list[Any]] = [[] for _ in range(chance.randint(1, 5))]
    for element in elements:
        chance.choice(bundles).append(element)
    partials = [combine.add_inputs(combine.create_accumulator(), bundle) for bundle in bundles]
    while len(partials) > 1:
        chance.shuffle(partials)
        taken = [partials.pop() for _ in range(min(len(partials), chance.randint(1, 3)))]
        step = chance.choice([combine.compact, lambda each: coder.decode(coder.encode(each)), lambda each: each])
        partials.append(step(combine.merge_accumulators(map(step, taken))))
    return combine.extract_output(partials[0])


# The laws

LAWS = ("three classes", "label fractions", "scores", "mean", "a metric of our own", "collection")


@pytest.mark.parametrize("case", [case for case in COUNTED if case.name in LAWS], ids=lambda case: case.name)
def test_any_bundles_and_any_tree_of_merges_give_the_state_of_one_process(case: Case) -> None:
    batch = case.batch(7)
    examples = [{name: entry[index] for name, entry in batch.items()} for index in range(ROWS)]
    due = case.metric.tally(**batch)
    for seed in range(3):
        data = combined(CombineMetric(case.metric, emit="states", batch_size=3), examples, seed)
        assert_same(sm.from_bytes(data, KNOWN), due)


@pytest.mark.parametrize("seed", range(5))
def test_counts_in_integers_are_the_same_bit_for_bit(seed: int) -> None:
    assert combined(counting(), EXAMPLES, seed) == bytes_of(EXAMPLES)


def test_batches_and_states_are_elements_too() -> None:
    elements = [stacked(EXAMPLES[:1]), stacked(EXAMPLES[1:60]), bytes_of(EXAMPLES[60:90]), stacked(EXAMPLES[90:])]
    elements.append({name: entry[:0] for name, entry in stacked(EXAMPLES).items()})
    for seed in range(3):
        combine = counting(batched=True)
        assert combined(combine, elements, seed) == bytes_of(EXAMPLES)


def test_an_example_counts_as_it_does_alone_whatever_its_neighbours_are() -> None:
    metric = sm.StatScores(sm.Binary("probabilities"))
    elements = [
        {"predictions": 0.75, "targets": 1},
        {"predictions": np.float16(0.75), "targets": np.uint8(0)},
        {"predictions": 0.25, "targets": True},
        {"targets": 1.0, "predictions": np.float64(0.75), "weights": 3},
        {"predictions": 0.25, "targets": 0, "weights": 0},
    ]
    for seed in range(3):
        values = combined(CombineMetric(metric, batch_size=16), elements, seed)
        assert values == {"tp": 4, "fp": 1, "tn": 0, "fn": 1, "support": 5}
    # A whole number is no probability, not even where it stands between two that are.
    with pytest.raises(TypeError, match="predictions have dtype int32, but probabilities are floating"):
        CombineMetric(metric, batch_size=16).apply([elements[0], {"predictions": 1, "targets": 1}, elements[0]])


def test_padding_weighs_nothing_under_any_name_of_weights() -> None:
    metric = sm.Collection(plain=sm.Mean("x"), weighed=sm.Mean("x", weights="share"))
    elements = [{"x": 1.0, "share": 3}, {"x": 5.0, "share": 1}, {"x": 6.0, "weights": 0}]
    assert CombineMetric(metric, batch_size=16).apply(elements) == {"plain": 3.0, "weighed": pytest.approx(14 / 5)}


def test_merging_leaves_what_it_merges_as_it_was() -> None:
    combine = counting()
    one, two = (combine.add_inputs(combine.create_accumulator(), part) for part in (EXAMPLES[:20], EXAMPLES[20:45]))
    before = bytes(one), bytes(two)
    for _ in range(2):
        assert combine.extract_output(combine.merge_accumulators([one, two])) == bytes_of(EXAMPLES[:45])
    assert (bytes(one), bytes(two)) == before
    # Those that waited while it was read still count once, with what comes after.
    assert combine.extract_output(combine.add_inputs(two, EXAMPLES[45:])) == bytes_of(EXAMPLES[20:])


def test_nothing_at_all_is_the_empty_state() -> None:
    assert counting().apply([]) == sm.to_bytes(METRICS.init())
    combine = CombineMetric(sm.Examples("loss"))
    assert combine.extract_output(combine.merge_accumulators([])) == 0
    assert np.isnan(combined(CombineMetric(sm.Mean("loss")), [], seed=0))


# Accumulators


def test_accumulators_travel_as_the_bytes_of_states() -> None:
    combine = counting("values")
    coder, partial = combine.get_accumulator_coder(), combine.create_accumulator()
    assert coder.is_deterministic()
    for example in EXAMPLES[:5]:
        partial = combine.add_input(partial, example)
    due = bytes_of(EXAMPLES[:5])
    assert due == coder.encode(partial) == coder.encode(coder.decode(coder.encode(partial)))
    assert due == combine.compact(partial) == combine.compact(combine.compact(partial))
    assert due == pickle.loads(pickle.dumps(partial))  # as Beam does in `with_hot_key_fanout`
    assert coder == pickle.loads(pickle.dumps(coder)) == CombineMetric(sm.Mean("loss")).get_accumulator_coder()
    assert combine.extract_output(combine.add_input(due, EXAMPLES[5])) == sm.plain(METRICS(**stacked(EXAMPLES[:6])))


def test_a_process_compiles_once_for_equal_metrics_whatever_the_bundles() -> None:
    def copy() -> CombineMetric:
        return pickle.loads(pickle.dumps(CombineMetric(sm.Mean("compiled"), batch_size=16)))

    def bundle(size: int) -> Any:
        combine = copy()
        return combine.add_inputs(combine.create_accumulator(), [{"compiled": float(i)} for i in range(size)])

    sm.Mean("compiled").init()  # with the self-test of the compiler, once a process
    with compilations() as found:
        combine = copy()
        combine.extract_output(combine.merge_accumulators([bundle(1), bundle(3)]))
        assert len(found) == 4  # the tally at two sizes, the merge, the reading
        sizes = (*range(1, 40), 100)
        accumulators = [copy().compact(bundle(size)) for size in sizes]
        mean = copy().extract_output(copy().merge_accumulators(accumulators))
        assert len(found) == 4
    numbers = [i for size in sizes for i in range(size)]
    assert mean == pytest.approx(np.mean(numbers), rel=1e-6)


def test_neither_the_import_nor_a_pipeline_that_is_made_starts_jax() -> None:
    # JAX takes this setting only while no backend runs.
    program = """if True:
        import pickle, sys
        import streammetrics as sm
        assert "apache_beam" not in sys.modules
        import apache_beam as beam
        from streammetrics.beam import CombineMetric
        combine = pickle.loads(pickle.dumps(CombineMetric(sm.Collection(mean=sm.Mean("loss")))))
        beam.Pipeline(runner="FnApiRunner") | beam.Create([{"loss": 1.0}]) | beam.CombineGlobally(combine)
        import jax
        jax.config.update("jax_num_cpu_devices", 3)
        print(jax.device_count("cpu"))
    """
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "3", done.stderr


# Pipelines


def test_a_pipeline_combines_globally_by_key_and_with_fanout() -> None:
    values = sm.plain(METRICS(**stacked(EXAMPLES)))
    with pipeline() as running:
        examples = running | "examples" >> beam.Create(EXAMPLES)
        keyed = running | "keyed" >> beam.Create(KEYED)
        everything = examples | beam.CombineGlobally(counting("values"))
        fanned = examples | "fan" >> beam.CombineGlobally(counting()).with_fanout(3)
        by_key = keyed | beam.CombinePerKey(counting())
        nothing = running | beam.Create([]) | "none" >> beam.CombineGlobally(CombineMetric(sm.Examples("loss")))
        assert_that(everything, equal_to([values]), "everything")
        assert_that(fanned, equal_to([bytes_of(EXAMPLES)]), "fanned")
        assert_that(by_key, equal_to(list(bytes_by_key().items())), "by key")
        assert_that(nothing, equal_to([0]), "nothing")
    targets = np.array([example["targets"] for example in EXAMPLES])
    predicted = np.array([example["predictions"].argmax() for example in EXAMPLES])
    due = [int(((predicted == label) & (targets == label)).sum()) for label in range(3)]
    assert (values["scores"]["tp"], values["n"]) == (due, 100)


def test_late_data_is_merged_with_the_states_that_were_emitted() -> None:
    late = EXAMPLES[70:]
    with pipeline() as running:
        in_time = running | beam.Create([TimestampedValue(each, 2 * n) for n, each in enumerate(EXAMPLES[:70])])
        emitted = (
            in_time
            | "minutes" >> beam.WindowInto(FixedWindows(60))
            | beam.CombineGlobally(counting()).without_defaults()
            | "always" >> beam.WindowInto(GlobalWindows())
        )
        elements = (emitted, running | "late" >> beam.Create(late)) | beam.Flatten()
        assert_that(emitted, equal_to([bytes_of(EXAMPLES[:70][start : start + 30]) for start in (0, 30, 60)]))
        merged = elements | "all" >> beam.CombineGlobally(counting())
        assert_that(merged, equal_to([bytes_of(EXAMPLES)]), "merged")


def test_workers_that_are_processes_give_the_same_bytes(tmp_path: Path) -> None:
    def note(element: Any) -> Any:
        (tmp_path / f"{os.getpid()}").touch()
        return element

    assert jax.device_count()  # JAX runs here already; no worker is forked from this process
    with pipeline("multi_processing", workers=2) as running:
        by_key = running | beam.Create(KEYED) | beam.Reshuffle() | beam.Map(note) | beam.CombinePerKey(counting())
        assert_that(by_key, equal_to(list(bytes_by_key().items())))
    workers = {path.name for path in tmp_path.iterdir()}
    assert workers
    assert str(os.getpid()) not in workers


# What cannot be counted, and what is refused

FAULTY = [{"loss": 1.0}, {"loss": float("nan")}, {"loss": 3.0}]


def test_what_cannot_be_counted_is_read_as_on_invalid_says() -> None:
    assert CombineMetric(sm.Mean("loss"), on_invalid="ignore").apply(FAULTY) == 2
    assert np.isnan(CombineMetric(sm.Mean("loss"), on_invalid="nan").apply(FAULTY))
    with pytest.raises(sm.InvalidExamples, match="1 of 3 examples could not be counted, 1 with NaN value"):
        CombineMetric(sm.Mean("loss")).apply(FAULTY)
    state = sm.from_bytes(CombineMetric(sm.Mean("loss"), emit="states").apply(FAULTY))
    assert int(state.invalid["NaN value"]) == 1


def test_a_pipeline_fails_with_the_sentence() -> None:
    with (
        pytest.raises(Exception, match=r"Mean\(entry='loss'\): got los, which nothing reads; it reads loss"),
        pipeline() as running,
    ):
        _ = running | beam.Create([{"los": 1.0}]) | beam.CombineGlobally(CombineMetric(sm.Mean("loss")))


MEAN, ACCURACY = sm.Mean("loss"), sm.Accuracy(TASK)
OTHER = sm.to_bytes(sm.Maximum("loss").init())


@pytest.mark.parametrize(
    ("metric", "elements", "kind", "message"),
    [
        (
            ACCURACY,
            [[1.0, 2.0]],
            TypeError,
            f"{ACCURACY}: an element is list, but must be a mapping with predictions and targets, "
            "or the bytes of a state",
        ),
        (
            ACCURACY,
            [{"predictions": [1.0, 2.0, 3.0]}],
            TypeError,
            f"{ACCURACY}: targets did not come; it reads predictions and targets (and weights, optional)",
        ),
        (MEAN, [{"loss": "much"}], TypeError, f"{MEAN}: loss is 'much', but must be an array"),
        (MEAN, [{"loss": None}], TypeError, f"{MEAN}: loss is None, but must be an array"),
        (MEAN, [{"loss": 2**31}], ValueError, f"{MEAN}: loss holds int64 values that do not fit int32"),
        (MEAN, [{"loss": 1e39}], ValueError, f"{MEAN}: loss holds float64 values beyond the range of float32"),
        (
            ACCURACY,
            [{"predictions": [1.0] * n, "targets": 0} for n in (3, 2)],
            ValueError,
            f"{ACCURACY}: predictions has the shapes (2,) and (3,) in different examples, but must have one; "
            "pad the examples, with weights that are 0 there",
        ),
        (
            MEAN,
            [OTHER],
            ValueError,
            f"{MEAN}: the state is of {sm.Maximum('loss').statistic}, but must be of {MEAN.statistic}",
        ),
        (
            MEAN,
            [OTHER[:-1]],
            ValueError,
            "from_bytes: the bytes are truncated or altered; their checksum does not match",
        ),
    ],
    ids=["no mapping", "missing", "text", "none", "wide", "beyond", "ragged", "foreign state", "altered"],
)
def test_an_element_that_cannot_be_counted_is_refused(
    metric: sm.Metric, elements: list[Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        CombineMetric(metric, emit="states").apply(elements)  # which says nothing of its own


@pytest.mark.parametrize(
    ("batch", "shapes"),
    [
        ({"loss": 1.0}, "{'loss': ()}"),
        ({"loss": [1.0, 2.0], "weights": [1]}, "{'loss': (2,), 'weights': (1,)}"),
        ({"loss": [1.0, 2.0], "weights": 1}, "{'loss': (2,), 'weights': ()}"),
    ],
)
def test_a_batch_without_a_common_number_of_rows_is_refused(batch: Example, shapes: str) -> None:
    message = f"{MEAN}: the entries have the shapes {shapes}, but must have as many rows each"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CombineMetric(MEAN, batched=True).apply([batch])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"metric": "mean"}, TypeError, "CombineMetric: got 'mean', but a metric is due"),
        ({"emit": "bytes"}, ValueError, "CombineMetric: emit is 'bytes', but must be 'values' or 'states'"),
        ({"on_invalid": 0}, ValueError, "CombineMetric: on_invalid is 0, but must be 'raise', 'nan' or 'ignore'"),
        ({"batch_size": 0}, ValueError, "CombineMetric: batch_size is 0, but must be a whole number above 0"),
        ({"batch_size": 8.0}, ValueError, "CombineMetric: batch_size is 8.0, but must be a whole number above 0"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        CombineMetric(**{"metric": MEAN, **arguments})


# The example


@pytest.fixture
def evaluation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `examples/beam_evaluation.py` with a command line."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    module = importlib.import_module("beam_evaluation")

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["beam_evaluation.py", *arguments])
        module.main()

    return run


def test_the_example_prints_the_metrics_of_every_slice(evaluation: Any, tmp_path: Path, capsys: Any) -> None:
    with np.load(ROOT / "tests" / "data" / "ma_employment_20k.npz") as data:
        year, y, p = (data[name][::10] for name in ("year", "y", "p"))
    pq.write_table(pa.table({"when": year, "y": y, "p": p}), tmp_path / "some.parquet")
    evaluation("--predictions", str(tmp_path / "some.parquet"), "--score", "p", "--target", "y", "--slice", "when")
    _, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, *_ in lines] == ["15", "16", "17", "18", "all"]
    for name, examples, *values in lines:
        chosen = slice(None) if name == "all" else year == int(name)
        true, scores = y[chosen], p[chosen]
        assert examples == f"{len(true):,}"
        counted = [metric(true, scores > 0.5) for metric in (accuracy_score, precision_score, recall_score)]
        due = [true.mean(), *counted, roc_auc_score(true, scores)]
        np.testing.assert_allclose([float(value) for value in values], due, rtol=0, atol=1e-4)


def test_the_example_refuses_a_column_that_is_not_there(evaluation: Any, tmp_path: Path, capsys: Any) -> None:
    pq.write_table(pa.table({"a": [1], "b": [0.5]}), tmp_path / "some.parquet")
    with pytest.raises(SystemExit, match="2"):
        evaluation("--predictions", str(tmp_path / "some.parquet"), "--score", "b")
    assert capsys.readouterr().err.endswith("error: some.parquet has no column 'employed'; it has a, b\n")
