"""Bytes of states: what is read back, and what is refused."""

import hashlib
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import streammetrics as sm
from tests.catalogue import MeanProduct, Products

METRIC = sm.Collection(accuracy=sm.Accuracy(sm.Binary("scores", threshold=float("inf"))), loss=sm.Mean("loss"))
STATE = METRIC.tally(predictions=[0.5, 2.0], targets=[0, 1], loss=[1.0, 2.0])
DATA = sm.to_bytes(STATE)
GOLDEN, OLD = (Path(__file__).parent / "data" / f"state_v{version}.sm" for version in (2, 1))


def sealed(data: bytes) -> bytes:
    """The bytes with the checksum they should have."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def test_infinite_fields_come_back() -> None:
    assert sm.from_bytes(DATA).statistic == STATE.statistic
    assert sm.to_bytes(sm.from_bytes(DATA)) == DATA


@pytest.mark.parametrize("size", [0, 3, 10, 100, len(DATA) - 1])
def test_truncated_bytes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"from_bytes: the bytes (are truncated|begin with)"):
        sm.from_bytes(DATA[:size])


def test_any_altered_byte_is_refused() -> None:
    for place in range(0, len(DATA), 7):
        altered = bytearray(DATA)
        altered[place] ^= 0x40
        with pytest.raises(ValueError, match="from_bytes: the bytes"):
            sm.from_bytes(bytes(altered))


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=re.escape(r"from_bytes: the bytes begin with b'\x80\x05so', but those of a state begin with b'SMET'"),
    ):
        sm.from_bytes(b"\x80\x05something pickled, or a picture")


def test_a_newer_version_is_refused() -> None:
    newer = sealed(DATA[:4] + struct.pack("<H", 3) + DATA[6:])
    with pytest.raises(ValueError, match="the bytes are of version 3, but this library reads up to version 2"):
        sm.from_bytes(newer)


def test_a_specification_must_be_ours_or_known() -> None:
    data = sm.to_bytes(MeanProduct().tally(x=[1.0, 2.0], y=[2.0, 4.0]))
    with pytest.raises(
        ValueError, match="the state is of 'Products', which is no specification of this library; pass its"
    ):
        sm.from_bytes(data)
    assert float(MeanProduct().compute(sm.from_bytes(data, known=(Products,)))) == 5.0

    @sm.spec
    class Moments:
        """A specification with the name of one of ours."""

    with pytest.raises(ValueError, match="Moments is also the name of another specification"):
        sm.from_bytes(data, known=(Moments,))


def test_arrays_of_another_shape_or_dtype_are_refused() -> None:
    length = struct.unpack_from("<I", DATA, 6)[0]
    header = json.loads(DATA[10 : 10 + length])
    for change, message in (({"shape": [2, 4, 1]}, "shapes"), ({"dtype": "<i4"}, "other dtypes")):
        altered = {**header, "arrays": [{**header["arrays"][0], **change}, *header["arrays"][1:]]}
        text = json.dumps(altered, separators=(",", ":")).encode()
        data = DATA[:6] + struct.pack("<I", len(text)) + text + DATA[10 + length :]
        with pytest.raises(ValueError, match=message):
            sm.from_bytes(sealed(data))


def golden_state() -> sm.State:
    """Three rows, 2^33 times: what each version wrote of it lies in a file."""
    metric = sm.Collection(
        accuracy=sm.Accuracy(sm.Binary("labels")),
        mean=sm.Mean("loss"),
        exact=sm.Mean("loss", exact=True),
        largest=sm.Maximum("loss"),
        ranked=sm.AUROC(sm.Binary("scores", predictions="loss", threshold=float("-inf")), bins=64),
    )
    state = metric.tally(predictions=[1, 0, 1], targets=[1, 1, 0], loss=[1.0, 2.0, 4.5])
    for _ in range(33):
        state = sm.merge(state, state)
    return state


def test_what_this_version_wrote_is_read_and_written_still() -> None:
    data = GOLDEN.read_bytes()
    assert sm.to_bytes(golden_state()) == data
    state = sm.load(GOLDEN)
    assert state.statistic == golden_state().statistic
    assert sm.plain(state.examples)["ClassCounts"] == 3 * 2**33
    assert sm.plain(state.dependent)["ClassCounts"] == 0


def test_what_version_1_wrote_is_read_still_and_taken_as_examples_that_may_not_be_independent() -> None:
    old, new = sm.load(OLD), golden_state()
    assert old.statistic == new.statistic
    for name, array in new.data.items():
        np.testing.assert_array_equal(old.data[name], array)
    assert sm.plain(old.examples) == sm.plain(new.examples) == sm.plain(old.dependent)
    assert sm.plain(old.invalid) == sm.plain(new.invalid)


def test_the_layout_is_what_the_documentation_says() -> None:
    """The golden file, read without the library; its numbers are derived by hand from the three rows."""
    data = GOLDEN.read_bytes()
    letters, version, length = struct.unpack_from("<4sHI", data)
    assert (letters, version) == (b"SMET", 2)
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    header, start, arrays = json.loads(data[10 : 10 + length]), 10 + length, {}
    for each in header["arrays"]:
        count = int(np.prod(each["shape"]))
        arrays[each["name"]] = np.frombuffer(data, each["dtype"], count, start).reshape(each["shape"]).tolist()
        start += 4 * count
    assert start == len(data) - 32
    assert [member["spec"] for member in header["statistic"]["fields"]["members"]][:2] == ["ClassCounts", "Extrema"]
    # One of each kind but true negatives; 2^33 is 2 in the upper half.
    assert arrays["ClassCounts.cells"] == [[[0, 0], [0, 0]], [[0, 2], [2, 2]]]
    assert arrays["Moments.moments"] == [3 * 2.0**33, 0, 2.5, 0, 6.5 * 2.0**33, 0]  # weight, mean, squares about it
    assert arrays["Extrema.maximum"] == [np.float32(4.5).view(np.uint32) | 2**31]
    assert arrays["Extrema.minimum"] == [np.uint32(2**32 - 1) ^ (np.float32(1.0).view(np.uint32) | 2**31)]
    assert sum(arrays["seen"][1]) == 5 * 3 * 2  # three examples of each of five statistics


def test_files_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.sm"
    sm.save(path, STATE)
    sm.save(str(path), METRIC.init())
    assert sm.to_bytes(sm.load(path)) == sm.to_bytes(METRIC.init())
    for step in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, broken)
            with pytest.raises(OSError, match="no space left"):
                sm.save(path, STATE)
        assert sm.to_bytes(sm.load(path)) == sm.to_bytes(METRIC.init())
        assert [file.name for file in tmp_path.iterdir()] == ["state.sm"]


def broken(*_: object) -> None:
    raise OSError("no space left")


def test_files_that_are_no_states_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.sm"
    path.write_bytes(DATA[:-1])
    with pytest.raises(ValueError, match=r"^load: .*state\.sm: the bytes are truncated or altered"):
        sm.load(path)
    path.write_bytes(sm.to_bytes(MeanProduct().init()))
    with pytest.raises(ValueError, match=r"^load: .*state\.sm: the state is of 'Products', which is no specification"):
        sm.load(path)
    assert sm.load(path, known=(Products,)).statistic == Products()
    with pytest.raises(FileNotFoundError):
        sm.load(tmp_path / "none.sm")
    with pytest.raises(TypeError, match="to_bytes: got bytes, but a State is due"):
        sm.save(path, DATA)  # pyright: ignore[reportArgumentType]  # what is tested


def test_unmerged_states_are_refused() -> None:
    stacked = sm.State(STATE.statistic, {k: v[None] for k, v in STATE.data.items()}, STATE.seen[None])
    with pytest.raises(ValueError, match="to_bytes: the state has 1 extra leading axis, of 1 states; merge them first"):
        sm.to_bytes(stacked)
    with pytest.raises(TypeError, match="to_bytes: got ndarray, but a State is due"):
        sm.to_bytes(np.zeros(2))  # pyright: ignore[reportArgumentType]  # what is tested
