"""The examples that train over several devices: whatever the way, they train and count as one device does."""

import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import streammetrics as sm
from streammetrics._state import arrays

pytestmark = pytest.mark.xdist_group("examples")
EXAMPLES = Path(__file__).parent.parent / "examples"
EPOCHS, DEVICES = 2, 3
SAME = "to the same state, bit for bit"


class Examples:
    """The modules, and a few sentences: 13 in batches of 5, which 3 devices cannot share without padding."""

    def __init__(self) -> None:
        names = ("parallel_languages", "pmap_training", "sharded_training")
        self.shared, self.pmap, self.sharded = map(importlib.import_module, names)
        rows = self.shared.load()[0].rows()
        order = np.argsort(-rows["targets"], kind="stable")  # by language, so that a few of each can be taken
        known, unseen = (
            {name: values[order[start : start + 151 : 12]] for name, values in rows.items()} for start in (0, 5)
        )
        self.data = self.shared.Data(known, unseen, batch_size=5, devices=DEVICES, seed=0)
        self.create = functools.cache(self.shared.create)  # most of its time is compilation


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    with pytest.MonkeyPatch.context() as patch, jax.numpy_dtype_promotion("standard"):  # as optax's adam needs it
        patch.syspath_prepend(EXAMPLES)
        yield Examples()


@pytest.fixture(scope="module")
def alone(examples: Examples) -> Any:
    """The epochs of a training on one device, by the gradient of the mean."""
    shared, metrics = examples.shared, examples.shared.METRICS
    data = examples.data._replace(devices=1)

    @jax.jit
    def step(state: Any, batch: Any) -> Any:
        def loss(params: Any) -> Any:
            entries = shared.predict(state.replace(params=params), batch)
            return jnp.mean(entries["loss"], where=batch["weights"]), entries

        gradient, entries = jax.grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradient), entries

    state = examples.create(data.seed)
    training = validation = metrics.init()
    for epoch in range(EPOCHS):
        training = validation = metrics.init()
        for batch in data.training(epoch):
            state, entries = step(state, batch)
            training = metrics.update(training, **entries)
        for batch in data.validation():
            validation = metrics.update(validation, **step(state, batch)[1])  # what it would learn is not kept
    return shared.Epoch(training, validation, [])


def run(script: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """Runs a script on the few sentences; the last epoch of each way by its title."""
    found = {}

    def follow(title: str, *rest: Any) -> Any:
        found[title] = examples.shared.follow(title, *rest)
        return found[title]

    monkeypatch.setattr(script, "prepare", lambda options: examples.data)
    monkeypatch.setattr(script, "create", examples.create)
    monkeypatch.setattr(script, "follow", follow)
    monkeypatch.setattr(sys, "argv", ["script", "--epochs", str(EPOCHS), *arguments])
    script.main()
    return found


def assert_as_alone(epoch: Any, alone: Any) -> None:
    """The counts are the same bit for bit, and the losses up to the rounding of the gradients."""
    for counted, due in ((epoch.training, alone.training), (epoch.validation, alone.validation)):
        for (accumulator, left), (_, right) in zip(arrays(counted), arrays(due), strict=True):
            if isinstance(accumulator, sm.accumulators.Count):
                np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    for values, due in zip(epoch.values(), alone.values(), strict=True):
        np.testing.assert_allclose(values["loss"], due["loss"], rtol=1e-5)


def test_pmap(
    examples: Examples, alone: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (epoch,) = run(examples.pmap, examples, monkeypatch).values()
    assert_as_alone(epoch, alone)
    assert SAME in capsys.readouterr().out
    with pytest.raises(AssertionError):  # the script's own check notices a batch that is missing
        examples.shared.check("pmap", epoch._replace(predicted=epoch.predicted[1:]))


def test_shard_map_and_jit(
    examples: Examples, alone: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = run(examples.sharded, examples, monkeypatch, "--mesh", "explicit")
    assert len(epochs) == 2
    for epoch in epochs.values():
        assert_as_alone(epoch, alone)
    printed = capsys.readouterr().out
    assert printed.count(SAME) == len(epochs)
    assert "collectives in the compiled metrics: 0 to update, 1 to read" in printed


def test_the_host_is_split_into_the_devices_that_are_asked_for() -> None:
    program = (
        "from parallel_languages import options_of, prepare; prepare(options_of('').parse_args(['--devices', '3']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=EXAMPLES, capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.splitlines()[-2:] == [
        "Every step: 50 sentences, 17 rows a device with the padding.",
        "Devices: 3 (cpu)",
    ]
