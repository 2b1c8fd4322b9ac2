"""How far a loop over batches has come, in a file: what was counted, and of which batches."""

import hashlib
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from streammetrics._container import Kind, seal, unseal, write
from streammetrics._state import State, merge
from streammetrics.serialization import from_bytes, specifications, to_bytes
from streammetrics.sharding import Sharded

CHECKPOINT = Kind(b"SMCP", 1, "a checkpoint of accumulate")
REMEMBERED = 16  # batches, by which a source is known again


class Log:
    """How many batches were counted, their state, and the fingerprints of the first; in a file, where one is named.

    As a context it writes the file when an error ends it, and the error says so. The file has the state of each device,
    so that a loop which goes on adds as it would have without the break.
    """

    def __init__(self, path: Path | None, every: int, run: Sharded) -> None:
        if path is not None and jax.process_count() > 1:
            path = path.with_name(f"{path.name}.{jax.process_index()}")
        if every < 1:
            raise ValueError(f"accumulate: every is {every}, but must be a number of batches above 0")
        self._path, self._every = path, every
        self.batches, self.state = 0, run.init()
        self._fingerprints: list[str] = []
        if path is not None and path.exists():
            self._read(path, run)

    def remembers(self, number: int) -> bool:
        """Whether a batch is among those that are compared."""
        return self._path is not None and number < REMEMBERED

    def meet(self, number: int, batch: Any) -> None:
        """The source gives this batch: it must be the one of before."""
        if not self.remembers(number):
            return
        found = _fingerprint(batch)
        if number == len(self._fingerprints):
            self._fingerprints.append(found)
        elif self._fingerprints[number] != found:
            self.refuse(f"batch {number} of the source is another than the one that was counted")

    def count(self, state: State) -> None:
        """One more batch was counted."""
        self.batches, self.state = self.batches + 1, state
        if self._path is not None and self.batches % self._every == 0:
            self._write(self._path)

    def remove(self) -> None:
        """The loop is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def refuse(self, why: str) -> NoReturn:
        """The source is not that of the file."""
        raise ValueError(
            f"accumulate: {self._path}: {why}; batches must come again in the same order, or the file be removed"
        )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None or not self.batches:
            return
        if self._path is not None:
            self._write(self._path)
        kept = f"{self._path} keeps them" if self._path is not None else "with checkpoint= a file would keep them"
        error.add_note(f"accumulate: {self.batches} batches had been counted; {kept}")

    def _write(self, path: Path) -> None:
        host = jax.device_get(self.state)
        states = [to_bytes(jax.tree.map(lambda array, i=i: array[i], host)) for i in range(len(host.seen))]
        header = {
            "batches": self.batches,
            "fingerprints": self._fingerprints[: self.batches],
            "states": [len(state) for state in states],
        }
        write(path, seal(CHECKPOINT, header, states))

    def _read(self, path: Path, run: Sharded) -> None:
        _, header, body = unseal(CHECKPOINT, path.read_bytes(), f"accumulate: {path}")
        statistic, ends = run.statistic, np.cumsum(header["states"]).tolist()
        known = specifications(statistic)
        states = [from_bytes(body[start:end], known) for start, end in zip([0, *ends], ends, strict=False)]
        if states[0].statistic != statistic:
            self.refuse(f"it holds a state of {states[0].statistic!r}, but one of {statistic!r} is due")
        if len(states) != run.devices:
            states = [merge(*states), *[run.metric.init()] * (run.devices - 1)]
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *states)
        self.batches, self._fingerprints = header["batches"], header["fingerprints"]
        self.state = run.placed(stacked)


def _fingerprint(batch: Any) -> str:
    """The SHA-256 of a batch: its structure, and the dtype, shape and values of each array."""
    leaves, structure = jax.tree.flatten(batch)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
