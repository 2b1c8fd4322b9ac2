"""Bytes of states: what is read back, and what is refused."""

import hashlib
import json
import re
import struct

import numpy as np
import pytest

import streammetrics as sm
from tests.catalogue import MeanProduct, Products

METRIC = sm.Collection(accuracy=sm.Accuracy(sm.Binary("scores", threshold=float("inf"))), loss=sm.Mean("loss"))
STATE = METRIC.tally(predictions=[0.5, 2.0], targets=[0, 1], loss=[1.0, 2.0])
DATA = sm.to_bytes(STATE)


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
    newer = sealed(DATA[:4] + struct.pack("<H", 2) + DATA[6:])
    with pytest.raises(ValueError, match="the bytes are of version 2, but this library reads up to version 1"):
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


def test_unmerged_states_are_refused() -> None:
    stacked = sm.State(STATE.statistic, {k: v[None] for k, v in STATE.data.items()}, STATE.seen[None])
    with pytest.raises(ValueError, match="to_bytes: the state has 1 extra leading axis, of 1 states; merge them first"):
        sm.to_bytes(stacked)
    with pytest.raises(TypeError, match="to_bytes: got ndarray, but a State is due"):
        sm.to_bytes(np.zeros(2))  # pyright: ignore[reportArgumentType]  # what is tested
