"""`accumulate` and `evaluate`: no row lost or counted twice, one compilation, and loops that are broken off."""

import multiprocessing
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import streammetrics as sm
from tests.support import assert_same

TASK = sm.Binary("logits")
METRIC = sm.Collection(
    loss=sm.Mean("loss"), exact=sm.Sum("loss", exact=True), largest=sm.Maximum("loss"), accuracy=sm.Accuracy(TASK)
)
SIZES = (5, 8, 0, 1, 20, 3)  # more and fewer than the first, and none
SMALL = sm.Mean("loss", exact=True)


def whole() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    count = sum(SIZES)
    return {
        "loss": rng.normal(size=count),  # float64 and int64, as numpy makes them
        "predictions": rng.normal(size=count).astype(np.float32),
        "targets": rng.integers(0, 2, count),
    }


def batches() -> list[dict[str, Any]]:
    ends = np.cumsum(SIZES)
    return [{n: v[end - size : end] for n, v in whole().items()} for size, end in zip(SIZES, ends, strict=True)]


@pytest.mark.parametrize("options", [{}, {"size": 3}, {"size": 100, "prefetch": 0}, {"prefetch": 50}])
def test_every_row_is_counted_once_however_batches_are_cut(options: Any) -> None:
    state = sm.accumulate(METRIC, batches(), **options)
    assert_same(state, METRIC.tally(**whole()))
    assert len({device for leaf in jax.tree.leaves(state) for device in leaf.devices()}) == 1


def test_values_are_those_of_numpy() -> None:
    values, rows = sm.evaluate(METRIC, iter(batches())), whole()
    assert float(values["loss"]) == pytest.approx(rows["loss"].mean(), rel=1e-6)
    assert float(values["largest"]) == np.float32(rows["loss"].max())
    assert float(values["accuracy"]) == np.float32(np.mean((rows["predictions"] > 0) == rows["targets"]))


def test_a_sharded_metric_says_where_rows_lie() -> None:
    run = sm.Sharded(METRIC, Mesh(np.array(jax.devices()[:6]).reshape(3, 2), ("data", "model")), "data")
    seen = []

    def forward(batch: Any) -> Any:
        seen.append({len(leaf.sharding.device_set) for leaf in jax.tree.leaves(batch)})
        return batch

    assert_same(sm.accumulate(run, batches(), forward), METRIC.tally(**whole()))
    assert all(devices == {6} for devices in seen)
    assert float(sm.evaluate(run, batches())["exact"]) == float(METRIC(**whole())["exact"])


def test_forward_and_update_are_compiled_once_and_padding_never_counts() -> None:
    traced = []

    @jax.jit
    def forward(pair: Any) -> Any:
        images, scale = pair
        traced.append(images.shape)
        inverse = 1 / images  # infinite where a row is padding
        return {"loss": scale * inverse, "weights": jnp.full(images.shape, 2)}

    values = np.arange(1, 38, dtype=np.float32)
    pairs = [(values[start : start + 10], np.float32(3)) for start in range(0, 37, 10)]
    metric = sm.Collection(mean=sm.Mean("loss"), sum=sm.Sum("loss", weights="mask"))
    found = sm.evaluate(metric, pairs, forward)
    assert traced == [(16,)]  # ten rows fill eight devices up to sixteen
    assert float(found["mean"]) == pytest.approx(3 * (1 / values).mean(), rel=1e-6)
    assert float(found["sum"]) == pytest.approx(3 * (1 / values).sum(), rel=1e-6)


def test_a_state_is_added_to() -> None:
    before = METRIC.tally(**batches()[1])
    state = sm.accumulate(METRIC, batches()[2:], state=before)
    rest = {name: value[SIZES[0] :] for name, value in whole().items()}
    assert_same(state, METRIC.tally(**rest))
    with pytest.raises(ValueError, match="accumulate: the state is of Sums"):
        sm.accumulate(METRIC, [], state=sm.Sum("loss").init())


def test_no_batches_are_the_empty_state() -> None:
    assert_same(sm.accumulate(METRIC, []), METRIC.init(), exact=True)
    assert_same(sm.accumulate(METRIC, [batches()[2]]), METRIC.init(), exact=True)


def test_invalid_rows_are_told_of_all_batches() -> None:
    loss = [{"loss": [1.0, np.nan]}, {"loss": [np.nan, 2.0, 3.0]}]
    with pytest.raises(sm.InvalidExamples, match="2 of 5 examples could not be counted, 2 with NaN value"):
        sm.evaluate(SMALL, loss)
    assert float(sm.evaluate(SMALL, loss, on_invalid="ignore")) == 2.0
    with pytest.raises(ValueError, match="on_invalid is 'skip', but must be"):
        sm.evaluate(SMALL, broken(0), on_invalid="skip")  # before anything is drawn


def broken(at: int) -> Iterator[dict[str, Any]]:
    """A source that fails."""
    yield from ({"loss": np.full(4, number, np.float32)} for number in range(at))
    raise OSError("the disk is gone")


def test_what_does_not_fit_is_refused() -> None:
    ones = {"loss": np.ones(4, np.float32)}
    refused: tuple[tuple[Any, dict[str, Any], type[Exception], str], ...] = (
        (("loss", []), {}, TypeError, "accumulate: got 'loss', but a metric is due"),
        ((SMALL, [ones], None, {}), {}, TypeError, "accumulate: got dict as state, but a State is due"),
        ((SMALL, [ones]), {"size": 0}, ValueError, "accumulate: size is 0, but must be a number of rows above 0"),
        ((SMALL, [ones]), {"every": 0}, ValueError, "accumulate: every is 0, but must be a number of batches above 0"),
        ((SMALL, [ones, [1.0]]), {}, TypeError, "accumulate: batch 1: got list, but without forward a mapping"),
        (
            (SMALL, [{**ones, "weights": [1, 2]}]),
            {},
            ValueError,
            "accumulate: batch 0: the arrays have the shapes [(4,)",
        ),
        ((SMALL, [{"loss": "much"}]), {}, TypeError, "accumulate: batch 0: loss is 'much', but must be an array"),
        (
            (SMALL, [{"los": [1.0]}]),
            {},
            TypeError,
            "got los, which nothing reads; it reads loss",
        ),
        ((SMALL, [ones], lambda b: b["loss"]), {}, TypeError, "but a mapping of names is due"),
        ((SMALL, [ones], lambda b: {"loss": b["loss"][:2]}), {}, ValueError, "but must have the same number of rows"),
        (
            (SMALL, [ones], lambda b: {"loss": b["loss"][:2], "weights": np.ones(2)}),
            {},
            ValueError,
            "accumulate: forward returned weights of shape (2,), but of a batch of 8 rows",
        ),
        ((SMALL, [(ones, "name")], lambda b: b[0]), {}, TypeError, "accumulate: batch 0: entry[1] is 'name', but must"),
        ((SMALL, broken(2)), {}, OSError, "the disk is gone"),
    )
    for arguments, options, kind, message in refused:
        with pytest.raises(kind, match=re.escape(message)):
            sm.accumulate(*arguments, **options)


def test_a_source_is_not_drawn_further_ahead_than_asked_for() -> None:
    drawn, ahead = [], []

    def source() -> Iterator[dict[str, Any]]:
        for number in range(10):
            drawn.append(number)
            yield {"loss": np.ones(8, np.float32)}

    def forward(batch: Any) -> Any:
        ahead.append(len(drawn) - len(ahead))
        return batch

    sm.accumulate(SMALL, source(), forward, prefetch=2)
    assert max(ahead) <= 3  # the one in hand, and two


def test_a_bar_is_shown_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sm.accumulate(SMALL, batches_of_loss())
    assert capsys.readouterr().err == ""  # no terminal
    sm.accumulate(SMALL, batches_of_loss(), progress=True)
    assert "30/30" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    sm.accumulate(SMALL, batches_of_loss())
    with pytest.raises(ModuleNotFoundError, match=re.escape("pip install 'streammetrics[files]'")):
        sm.accumulate(SMALL, batches_of_loss(), progress=True)


def batches_of_loss(seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"loss": rng.normal(size=size).astype(np.float32)} for size in rng.integers(1, 20, 30)]


FLOATS = sm.Collection(mean=sm.Mean("loss"), exact=sm.Sum("loss", exact=True))


class Model:
    """A forward pass that knows how often it ran, and breaks off at a time."""

    def __init__(self, breaks: int | None = None, error: type[BaseException] = OSError) -> None:
        self.calls, self.breaks, self.error = 0, breaks, error

    def __call__(self, batch: Any) -> Any:
        if self.calls == self.breaks:
            raise self.error
        self.calls += 1
        return batch


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_loop_that_was_broken_off_goes_on_to_the_same_bits(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "loop.sm"
    expected = sm.to_bytes(sm.accumulate(FLOATS, batches_of_loss(), size=16))
    with pytest.raises(error) as raised:
        sm.accumulate(FLOATS, batches_of_loss(), Model(17, error), size=16, checkpoint=path)
    (note,) = raised.value.__notes__
    assert re.fullmatch(r"accumulate: \d+ batches had been counted; .*loop\.sm keeps them", note)
    assert [file.name for file in tmp_path.iterdir()] == ["loop.sm"]
    model, rows = Model(), [len(batch["loss"]) for batch in batches_of_loss()]
    state = sm.accumulate(FLOATS, iter(batches_of_loss()), model, size=16, checkpoint=path)
    pieces = np.cumsum([-(-count // 16) for count in rows])
    done = int(np.searchsorted(pieces, 17, side="right"))  # whole batches, of which each is one or two pieces
    assert model.calls == pieces[-1] - pieces[done - 1]
    assert sm.to_bytes(state) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_loop_goes_on_over_fewer_devices(tmp_path: Path) -> None:
    path = tmp_path / "loop.sm"
    with pytest.raises(OSError):  # noqa: PT011  # Model's
        sm.accumulate(SMALL, batches_of_loss(), Model(9), size=16, checkpoint=path)
    run = sm.Sharded(SMALL, Mesh(np.array(jax.devices()[:2]), ("data",)))
    state = sm.accumulate(run, batches_of_loss(), checkpoint=path)
    assert_same(state, sm.accumulate(SMALL, batches_of_loss()), exact=True)


def test_another_source_or_metric_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "loop.sm"
    with pytest.raises(OSError):  # noqa: PT011  # Model's
        sm.accumulate(SMALL, batches_of_loss(), Model(25), checkpoint=path, size=32, every=7)
    data = path.read_bytes()
    other = batches_of_loss()
    other[3] = {"loss": other[3]["loss"] + 1}
    many = sm.Collection(loss=sm.Mean("loss"))
    for metric, source, message in (
        (SMALL, other, "batch 3 of the source is another than the one that was counted; batches must come again"),
        (SMALL, batches_of_loss()[:10], "it has counted 25 batches, but the source has only 10; batches must come"),
        (many, batches_of_loss(), "it holds a state of Sums(entries=('loss',), exact=True), but one of Joint("),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            sm.accumulate(metric, source, checkpoint=path, size=32)
        assert path.read_bytes() == data
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"accumulate: .*loop\.sm: the bytes are truncated or altered"):
        sm.accumulate(SMALL, batches_of_loss(), checkpoint=path)
    path.write_bytes(sm.to_bytes(SMALL.init()))
    with pytest.raises(ValueError, match="but those of a checkpoint of accumulate begin with b'SMCP'"):
        sm.accumulate(SMALL, batches_of_loss(), checkpoint=path)


def loop(path: str, result: str, started: Any) -> None:
    """What is killed: a loop with a checkpoint at every third batch."""
    rng = np.random.default_rng(0)

    def source() -> Iterator[dict[str, Any]]:
        for number in range(600):
            if number == 4:  # the first was counted
                started.send(None)
            yield {"loss": rng.normal(size=8).astype(np.float32)}

    run = sm.Sharded(FLOATS, Mesh(np.array(jax.devices()[:2]), ("data",)))
    sm.save(result, sm.accumulate(run, source(), checkpoint=path, every=3, progress=False))


def test_killed_at_20_random_moments_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    expected, path, result = (tmp_path / name for name in ("expected.sm", "loop.sm", "result.sm"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_evaluation"])

    def begin(end: Path) -> tuple[Any, Any]:
        heard, started = context.Pipe(duplex=False)
        process = context.Process(target=loop, args=(str(path), str(end), started))
        process.start()
        return process, heard

    process, _ = begin(expected)  # in a process of the same kind: compiled otherwise, floats may round otherwise
    process.join()
    moments, kills, goes_on = random.Random(0), 0, 0
    while kills < 20 or not result.exists():
        result.unlink(missing_ok=True)  # one that came to its end before it was killed begins anew
        goes_on += path.exists()
        process, heard = begin(result)
        if kills < 20:
            assert heard.poll(60)
            process.join(moments.uniform(0, 0.6))
            kills += process.is_alive()
            process.kill()
        process.join()
        if result.exists():
            assert result.read_bytes() == expected.read_bytes()
    assert goes_on > 0
