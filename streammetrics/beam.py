"""Metrics in Apache Beam pipelines: a `CombineFn` whose accumulators travel as the bytes of states."""

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.coders import Coder

from streammetrics import _checks
from streammetrics._batches import pad, plain
from streammetrics._metric import MODES, Metric, weights_of
from streammetrics._state import State, check, merge
from streammetrics.serialization import from_bytes, specifications, to_bytes

Arrays = dict[str, np.ndarray]
Kind = tuple[tuple[str, np.dtype], ...]


class CombineMetric(beam.CombineFn):
    """The value of a metric or collection over all elements, or over those of each key.

    For `beam.CombineGlobally` and `beam.CombinePerKey`. An element is one example: a mapping from the names that the
    metric accepts to numbers or arrays; with `batched=True` it is several, in arrays whose leading axis are the rows.
    An element may also be the bytes of a state, which is merged: what another pipeline emitted, or `to_bytes` wrote.
    `emit` says what comes out: `"values"`, the value as plain Python, where `on_invalid` is that of `compute`; or
    `"states"`, the bytes of the state, the same for equal states.

    Examples wait until there are `batch_size` of them and are counted together; what is left at the end is padded to
    one of two sizes. Programs are compiled once in a process for equal metrics, however many copies Beam makes. Each
    example counts as it does alone: without weights it weighs 1, beside others with weights too, and where numbers come
    in several dtypes each has a program.

    Raises `TypeError` for names that the metric does not read, for missing ones and for what is no number, and
    `ValueError` for examples of different shapes, numbers beyond 32 bits and states of other metrics.

    >>> import streammetrics as sm
    >>> CombineMetric(sm.Mean("loss")).apply([{"loss": 1.0}, {"loss": 2.0}, {"loss": 6.0}])
    3.0
    >>> state = CombineMetric(sm.Mean("loss"), emit="states").apply([{"loss": 1.0}])
    >>> CombineMetric(sm.Mean("loss"), batched=True).apply([{"loss": [2.0, 6.0]}, state])
    3.0
    """

    def __init__(
        self,
        metric: Metric,
        *,
        emit: str = "values",
        on_invalid: str = "raise",
        batched: bool = False,
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        self.metric, self.emit, self.on_invalid = metric, emit, on_invalid
        self.batched, self.batch_size = batched, batch_size
        if not isinstance(metric, Metric):
            raise TypeError(f"CombineMetric: got {metric!r}, but a metric is due")
        _checks.choice(self, "emit", ("values", "states"))
        _checks.choice(self, "on_invalid", MODES)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"CombineMetric: batch_size is {batch_size!r}, but must be a whole number above 0")

    def create_accumulator(self) -> "Partial":
        return Partial(self.metric, self.batch_size)

    def add_input(self, mutable_accumulator: "Accumulator", element: Any) -> "Partial":
        partial = self._partial(mutable_accumulator)
        if isinstance(element, bytes):
            partial.merge(state_of(self.metric, element))
        elif self.batched:
            partial.add_batch(self._arrays(element))
        else:
            partial.add(self._arrays(element))
        return partial

    def merge_accumulators(self, accumulators: Iterable["Accumulator"]) -> "Partial":
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged.merge(self._partial(accumulator).total())
        return merged

    def compact(self, accumulator: "Accumulator") -> bytes:
        return bytes(accumulator)

    def extract_output(self, accumulator: "Accumulator") -> Any:
        state = self._partial(accumulator).total()
        return to_bytes(state) if self.emit == "states" else plain(self.metric.compute(state, self.on_invalid))

    def get_accumulator_coder(self) -> "AccumulatorCoder":
        return AccumulatorCoder()

    def _partial(self, accumulator: "Accumulator") -> "Partial":
        if isinstance(accumulator, Partial):
            return accumulator
        return Partial(self.metric, self.batch_size, state_of(self.metric, accumulator))

    def _arrays(self, element: Any) -> Arrays:
        """The entries of an element as arrays, in an order that is always the same."""
        reads, accepts = self.metric.reads, self.metric.accepts
        with _checks.told_by(self.metric):
            if not isinstance(element, Mapping):
                due = f"a mapping with {_checks.listed(reads)}, or the bytes of a state"
                _checks.refuse(TypeError, f"an element is {type(element).__name__}, but must be {due}")
            _checks.names(element, reads, accepts)
            return {name: _checks.host_array(name, element[name]) for name in accepts if name in element}


class Partial:
    """What some elements have come to: a state, and the examples that wait until they are a batch."""

    def __init__(self, metric: Metric, batch_size: int, state: State | None = None) -> None:
        self.metric, self.batch_size, self.state = metric, batch_size, state
        # By names and dtypes: what an example counts, and which programs run, must not depend on its neighbours.
        self.waiting: dict[Kind, list[Arrays]] = {}

    def add(self, example: Arrays) -> None:
        """Adds an example, or lets it wait."""
        kind = tuple((name, array.dtype) for name, array in example.items())
        waiting = self.waiting.setdefault(kind, [])
        waiting.append(example)
        if len(waiting) == self.batch_size:
            self.merge(self._tally(self._stacked(self.waiting.pop(kind))))

    def add_batch(self, batch: Arrays) -> None:
        """Adds the rows of a batch."""
        shapes = {name: array.shape for name, array in batch.items()}
        leading = {shape[:1] for shape in shapes.values()}
        if len(leading) > 1 or () in leading:
            raise ValueError(f"{self.metric!r}: the entries have the shapes {shapes}, but must have as many rows each")
        ((rows,),) = leading
        for start in range(0, rows, self.batch_size):
            part = {name: array[start : start + self.batch_size] for name, array in batch.items()}
            self.merge(self._tally(part))

    def merge(self, state: State) -> None:
        """Adds a state."""
        self.state = state if self.state is None else merge(self.state, state)

    def total(self) -> State:
        """The state of all elements. Those that wait go on waiting, because others may hold this object too."""
        states = [] if self.state is None else [self.state]
        states += [self._tally(self._stacked(waiting)) for waiting in self.waiting.values()]
        return merge(*states) if states else self.metric.init()

    def __bytes__(self) -> bytes:
        return to_bytes(self.total())

    def __reduce__(self) -> Any:
        return bytes, (bytes(self),)  # Beam pickles it in `with_hot_key_fanout`; bytes are an accumulator as well

    def _stacked(self, examples: list[Arrays]) -> Arrays:
        for name in examples[0]:
            if len(shapes := {example[name].shape for example in examples}) > 1:
                raise ValueError(
                    f"{self.metric!r}: {name} has the shapes {_checks.listed(sorted(shapes))} in different examples, "
                    "but must have one; pad the examples, with weights that are 0 there"
                )
        return {name: np.array([example[name] for example in examples]) for name in examples[0]}

    def _tally(self, rows: Arrays) -> State:
        """The state of at most `batch_size` rows, padded to one of two sizes so that two programs serve all."""
        small = -(-self.batch_size // 8)
        fits = len(next(iter(rows.values()))) <= small
        return self.metric.tally(**pad(rows, small if fits else self.batch_size, weights_of(self.metric)))


Accumulator = Partial | bytes


class AccumulatorCoder(Coder):
    """What travels between the stages of a pipeline: the bytes of the state of all elements, as `to_bytes` writes."""

    def encode(self, value: Accumulator) -> bytes:
        return bytes(value)

    def decode(self, encoded: bytes) -> bytes:
        return encoded

    def is_deterministic(self) -> bool:
        return True


def state_of(metric: Metric, data: bytes) -> State:
    """The state of a metric from its bytes."""
    state = from_bytes(data, specifications(metric.statistic))
    check(state, metric, metric.statistic)
    return state
