"""`History`: what was measured epoch by epoch, on the host: to read, merge, save and draw."""

import json
import operator
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from streammetrics import _records
from streammetrics._batches import plain
from streammetrics._checks import Complaint, listed, refuse, told_by
from streammetrics._collection import Collection
from streammetrics._container import write
from streammetrics._metric import Metric, leaves
from streammetrics._records import Record, brief

FORMAT, VERSION = "streammetrics history", 1
SHOWN = 4


class Series(NamedTuple):
    """The values of a name, `(E, …)`, and the epochs that have one, `(E,)`: `ax.plot(*history[name])` draws it."""

    epochs: np.ndarray
    values: np.ndarray


class Best(NamedTuple):
    """The best value, and the epoch that has it."""

    epoch: int
    value: float


class History:
    """The values of each epoch by name. It is a value itself: `add` returns a new history, with more in it.

    `History(metrics)` knows which way each metric of a collection is better; `History(train=metrics, val=metrics)` does
    of both parts. `higher_is_better={"val.loss": False}` says it of what no metric knows, such as a `Mean`. Names are
    paths, `"val.accuracy"`. An epoch is an integer (a step will do), and need not have every name, so that validation
    may be rarer than training. Values are held as plain Python: nothing keeps a device's memory.

    Raises `TypeError` for what is no collection of metrics and no direction.

    >>> import streammetrics as sm
    >>> task = sm.Binary("logits")
    >>> metrics = sm.Collection(loss=sm.Mean("loss"), accuracy=sm.Accuracy(task))
    >>> history = History(val=metrics, higher_is_better={"val.loss": False})
    >>> for epoch, (loss, accuracy) in enumerate([(0.7, 0.5), (0.4, 0.75), (0.6, 0.75)], 1):
    ...     history = history.add(epoch, {"val": {"loss": loss, "accuracy": accuracy}})
    >>> history
    History(3 epochs, 1 to 3: val.loss (best 0.4 in epoch 2), val.accuracy (best 0.75 in epoch 2))
    >>> history.best("val.loss")
    Best(epoch=2, value=0.4)
    >>> epochs, values = history["val.accuracy"]
    >>> values.tolist()
    [0.5, 0.75, 0.75]
    """

    __slots__ = ("_better", "_records", "_shapes")

    def __init__(
        self,
        metrics: Metric | Mapping[str, Metric] | None = None,
        /,
        higher_is_better: Mapping[str, bool] | None = None,
        **named: Metric,
    ) -> None:
        if isinstance(metrics, Metric) and not metrics.parts:
            raise TypeError(f"History: {metrics!r} came without a name; pass it by one, as accuracy={metrics!r}")
        if not isinstance(metrics, Metric | Mapping | None):
            raise TypeError(f"History: got {brief(metrics)}, but a collection, or metrics by name, are due")
        parts = dict(metrics.parts if isinstance(metrics, Metric) else metrics or {}) | named
        known = {path: leaf.higher_is_better for path, leaf in leaves(Collection(parts))} if parts else {}
        self._better: dict[str, bool] = {name: higher for name, higher in known.items() if higher is not None}
        for name, higher in (higher_is_better or {}).items():
            if not isinstance(name, str) or not isinstance(higher, bool):
                raise TypeError(f"History: higher_is_better of {name!r} is {higher!r}, but must be True or False")
            self._better[name] = higher
        self._records: dict[int, Record] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that are recorded, in ascending order."""
        return tuple(self._records)

    @property
    def names(self) -> tuple[str, ...]:
        """What is recorded, in the order in which it was first."""
        return tuple(self._shapes)

    def higher_is_better(self, name: str) -> bool | None:
        """Whether the higher of two values is the better one; None where that is not known."""
        # The direction of a metric whose value has several entries is that of `value`.
        return self._better.get(name, self._better.get(name.removesuffix(".value")))

    def add(self, epoch: int, values: Mapping[str, Any]) -> "History":
        """The history with the values of an epoch: numbers and arrays in dicts that may nest, as `compute` gives them.

        An epoch may be added in parts, and again where the values are the same. Waits for the device. Raises
        `TypeError` for what is no number, and `ValueError` for other values of what is recorded, for other shapes, and
        for an epoch beyond 64 bits.
        """
        with told_by("History.add"):
            if not isinstance(values, Mapping) or not values:
                refuse(TypeError, f"values are {brief(values)}, but must be a dict of values by name")
            return self._with({_records.integer(epoch): _records.record(plain(values))}, {})

    def merge(self, *others: "History") -> "History":
        """The history of all: each value that any of them has.

        Raises `ValueError` where two disagree on a value. A training that broke off and was resumed does epochs again:
        `first.until(5).merge(second)` drops what came after epoch 5, where the second went on.

        >>> first = History().add(1, {"loss": 0.5}).add(2, {"loss": 0.4})
        >>> second = History().add(2, {"loss": 0.3})  # from a checkpoint of epoch 1
        >>> first.until(1).merge(second)["loss"].values.tolist()
        [0.5, 0.3]
        """
        merged = self
        with told_by("History.merge"):
            for other in others:
                if not isinstance(other, History):
                    refuse(TypeError, f"got {brief(other)}, but a History is due")
                merged = merged._with(other._records, other._better)
        return merged

    def until(self, epoch: int) -> "History":
        """The history as it was after an epoch: where a checkpoint of that epoch is restored, so is its history.

        >>> History().add(1, {"loss": 0.5}).add(2, {"loss": 0.4}).until(1).epochs
        (1,)
        """
        with told_by("History.until"):
            last = _records.integer(epoch)
        kept = {each: record for each, record in self._records.items() if each <= last}
        return History(higher_is_better=self._better)._with(kept, {})

    def at(self, epoch: int) -> Record:
        """The values of an epoch by name, as plain Python; `ValueError` where it is not recorded."""
        with told_by("History.at"):
            if (epoch := _records.integer(epoch)) not in self._records:
                refuse(ValueError, f"epoch {epoch} is not recorded; there are {_extent(self.epochs)}")
        return dict(self._records[epoch])

    def __contains__(self, name: object) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __getitem__(self, name: str) -> Series:
        """The epochs that have the name, and its values there; `TypeError` where none has."""
        with told_by("History"):
            held = self._held(name)
        return Series(np.array([epoch for epoch, _ in held], np.int64), np.array([value for _, value in held]))

    def best(self, name: str, higher_is_better: bool | None = None) -> Best:
        """The best value so far and its epoch: of equal ones the earliest, and never NaN.

        Of a value that has several entries, as one with its standard error has, it is that of the entry `value`.
        `higher_is_better` decides where it is given. Raises `TypeError` where nothing says which way is better, and
        `ValueError` for arrays, and where all values are NaN.
        """
        with told_by("History.best"):
            best = self._best(name, higher_is_better)
            return refuse(ValueError, f"all values of {name} are NaN") if best is None else best

    def is_best(self, name: str, higher_is_better: bool | None = None) -> bool:
        """Whether the last epoch has the best value so far, better than all before: whether to keep its checkpoint.

        False where the last epoch has no such value, or NaN. Raises as `best` does for names and arrays.

        >>> history = History(higher_is_better={"loss": False}).add(1, {"loss": 0.5}).add(2, {"loss": 0.4})
        >>> history.is_best("loss"), history.add(3, {"loss": 0.4}).is_best("loss")
        (True, False)
        """
        with told_by("History.is_best"):
            best = self._best(name, higher_is_better)
        return best is not None and best.epoch == self.epochs[-1]

    def to_json(self) -> str:
        """The history as JSON, exactly: the epochs, and by name the values in their order, null where there is none.

        NaN and the infinities, for which JSON has no number, are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.

        >>> text = History().add(1, {"loss": 0.5}).add(2, {"loss": float("nan"), "accuracy": 0.9}).to_json()
        >>> json.loads(text)["values"]
        {'loss': [0.5, 'NaN'], 'accuracy': [None, 0.9]}
        """
        records = self._records.values()
        found = {
            "format": FORMAT,
            "version": VERSION,
            "higher_is_better": self._better,
            "epochs": self.epochs,
            "values": {name: [_records.worded(record.get(name)) for record in records] for name in self.names},
        }
        return json.dumps(found, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "History":
        """The history that `to_json` wrote; `ValueError` for another text, and for that of a later version."""
        return _parsed("History.from_json", text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON to a file, which is there whole or as it was before, also where the process is killed.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     History().add(1, {"loss": 0.5}).save(f"{folder}/history.json")
        ...     History.load(f"{folder}/history.json")
        History(epoch 1: loss)
        """
        write(path, self.to_json().encode())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "History":
        """The history that `save` wrote; raises as `from_json` does, naming the file."""
        return _parsed(f"History.load: {os.fspath(path)}", Path(path).read_bytes())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return (
            self._better == other._better
            and self.epochs == other.epochs
            and all(
                mine.keys() == theirs.keys() and all(_records.same(mine[name], theirs[name]) for name in mine)
                for mine, theirs in zip(self._records.values(), other._records.values(), strict=True)
            )
        )

    def __repr__(self) -> str:
        shown = [self._told(name) for name in self.names[:SHOWN]]
        if len(self.names) > SHOWN:
            shown.append(f"{len(self.names) - SHOWN} more")
        return f"History({_extent(self.epochs)}{': ' if shown else ''}{', '.join(shown)})"

    def _with(self, records: Mapping[int, Record], better: Mapping[str, bool]) -> "History":
        """This history and more, each value of which is held against what is there."""
        new = History()
        new._better, new._shapes, new._records = dict(self._better), dict(self._shapes), dict(self._records)
        for name, higher in better.items():
            if new._better.setdefault(name, higher) is not higher:
                refuse(ValueError, f"higher is better of {name} in one history, and lower in another")
        for epoch, record in records.items():
            held = self._records.get(epoch, {})
            for name, value in record.items():
                shape = np.shape(value)
                if (due := new._shapes.setdefault(name, shape)) != shape:
                    refuse(ValueError, f"{name} has shape {shape} in epoch {epoch}, but {due} in another")
                if name in held and not _records.same(held[name], value):
                    refuse(
                        ValueError,
                        f"{name} of epoch {epoch} is {brief(held[name])} already, but came as {brief(value)}; where a "
                        f"training was resumed, history.until({min(records) - 1}) drops what it does again",
                    )
            new._records[epoch] = {**record, **held}
        if any(epoch not in self._records for epoch in records):
            new._records = dict(sorted(new._records.items()))
        return new

    def _held(self, name: str) -> list[tuple[int, Any]]:
        if name not in self._shapes:
            refuse(TypeError, f"{name!r} is not recorded; there are {listed(self.names or ['no values'])}")
        return [(epoch, record[name]) for epoch, record in self._records.items() if name in record]

    def _best(self, name: str, higher_is_better: bool | None) -> Best | None:
        if name not in self and f"{name}.value" in self:
            name = f"{name}.value"
        held = self._held(name)
        if shape := self._shapes[name]:
            refuse(ValueError, f"{name} has shape {shape} in each epoch, but one number is due")
        if higher_is_better is None and (higher_is_better := self.higher_is_better(name)) is None:
            refuse(
                TypeError,
                f"whether {name} is better higher or lower is not known; higher_is_better=True or False says it, here "
                "or by name in History",
            )
        held = [(epoch, value) for epoch, value in held if value == value]
        pick = max if higher_is_better else min  # the first of equal ones, both
        return Best(*pick(held, key=operator.itemgetter(1))) if held else None

    def _told(self, name: str) -> str:
        known = not self._shapes[name] and self.higher_is_better(name) is not None
        best = self._best(name, None) if known else None
        return f"{name} (best {best.value:.4g} in epoch {best.epoch})" if best else name


def _extent(epochs: tuple[int, ...]) -> str:
    if len(epochs) > 1:
        return f"{len(epochs)} epochs, {epochs[0]} to {epochs[-1]}"
    return f"epoch {epochs[0]}" if epochs else "no epochs"


def _parsed(who: str, text: str | bytes) -> History:
    with told_by(who):
        try:
            found = json.loads(text)
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']!r}, but {FORMAT!r} is due")
            if found["version"] > VERSION:
                raise ValueError(f"its version is {found['version']}, but this library reads up to {VERSION}")
            records: dict[int, Record] = {_records.integer(epoch): {} for epoch in found["epochs"]}
            for name, column in found["values"].items():
                for record, value in zip(records.values(), column, strict=True):
                    if value is not None:
                        record[name] = _records.number(name, _records.unworded(value))
            return History(higher_is_better=found["higher_is_better"])._with(records, {})
        except KeyError as error:
            refuse(ValueError, f"the text is no history: it lacks {error}")
        except (Complaint, AttributeError, TypeError, ValueError) as error:
            refuse(ValueError, f"the text is no history: {error}")
