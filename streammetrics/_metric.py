"""What a metric is: a statistic and what is read off it, and the compiled functions that every metric has."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from streammetrics import _checks, _state
from streammetrics._double import warn_of_fast_math
from streammetrics._jax import Axes, at_once, bound, is_traced, vary, varying
from streammetrics._spec import spec
from streammetrics._state import State
from streammetrics._statistic import (
    DEPENDENT,
    FAULTS,
    OWN,
    AnyStatistic,
    Joint,
    Statistic,
    accumulators_of,
    layout,
    members,
    seen_of,
)
from streammetrics._tally import tally as _tally_member
from streammetrics.accumulators._base import Slotted

MODES = ("raise", "nan", "ignore")
TINY = 512
"""Bytes of an array up to which XLA for CPU does not schedule what reads and writes it."""


class InvalidExamples(ValueError):
    """What could not be counted: `.values` is what the others give, `.counts` how many by metric and reason."""

    def __init__(self, message: str, values: Any, counts: dict[str, dict[str, int]]) -> None:
        super().__init__(message)
        self.values, self.counts = values, counts

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.values, self.counts)


class Metric(ABC):
    """A statistic, and what is read off it. A subclass is a specification (`sm.spec`) with `statistic` and `read`.

    States are pure values: every method returns a new one. All methods are compiled once for equal specifications
    and shapes, and are inlined inside `jit`.

    `higher_is_better` says which of two values is the better one: True of scores, False of losses and errors, None
    where neither is, as of counts, curves, and means of whatever an entry holds. Where the value is a dict with an
    entry `value`, it is said of that.
    """

    higher_is_better: ClassVar[bool | None] = None

    @property
    @abstractmethod
    def statistic(self) -> Any:
        """What is counted."""

    @abstractmethod
    def read(self, counts: Mapping[str, Any]) -> Any:
        """The value, from the decoded accumulators by name and the number of `examples`."""

    @property
    def parts(self) -> tuple[tuple[str, "Metric"], ...]:
        """The members of a collection by name; of a single metric, none."""
        return ()

    @property
    def inner(self) -> "Metric | None":
        """Of a metric of a metric the one inside, as it is counted and read."""
        return None

    @property
    def slice_axes(self) -> tuple[int, ...]:
        """Of the axes of slices along which it counts those that lead its value; none are of all slices together."""
        inner = self.inner
        if not isinstance(inner, Metric):
            return ()
        own = _depth(self) - _depth(inner)
        return (*range(own), *(own + axis for axis in inner.slice_axes))

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the batch entries it needs."""
        return _names(self)[0]

    @property
    def accepts(self) -> tuple[str, ...]:
        """The names of the batch entries it takes: those it needs, then the optional weights."""
        return _names(self)[1]

    def init(self, axis_name: Axes | None = None) -> State:
        """The empty state. Inside `shard_map`, `axis_name` says over which mesh axes it will differ."""
        if any(isinstance(accumulator, Slotted) for accumulator in accumulators_of(_statistic(self)).values()):
            warn_of_fast_math()
        state = _init(self)
        return state if axis_name is None else vary(state, bound(axis_name, self))

    def update(self, state: State, /, *args: Any, **batch: Any) -> State:
        """The state with a batch added.

        Predictions and targets (or the one value) may come by position; weights, and everything in a collection, come
        by name. Raises `TypeError` for names or dtypes and `ValueError` for shapes, when tracing.
        """
        return _update(self, state, self._batch(args, batch))

    def tally(self, /, *args: Any, **batch: Any) -> State:
        """The state of a batch alone, which takes what `update` takes."""
        return _tally(self, self._batch(args, batch))

    def merge(self, state: State, /, *states: State) -> State:
        """The state of all states."""
        _state.check(state, self, _statistic(self))
        return _state.merge(state, *states)

    def compute(self, state: State, on_invalid: str = "raise") -> Any:
        """The value of a state: a scalar, an array, or a dict.

        `on_invalid` says what happens where examples could not be counted. `"raise"`: `InvalidExamples`; under a trace,
        and with its device sync, it cannot be: there it means `"nan"`. `"nan"`: floating values whose own statistic saw
        such examples are NaN. `"ignore"`: the value of the others.
        """
        check_mode(self, on_invalid)
        _state.check(state, self, _statistic(self))
        if is_traced(state):
            return thawed(_read(self, state, on_invalid != "ignore"))
        values = thawed(_read(self, state, on_invalid == "nan"))
        if on_invalid == "raise" and (counts := _invalid(self, state)):
            raise InvalidExamples(_message(self, state, counts), values, counts)
        return values

    def __call__(self, /, *args: Any, **batch: Any) -> Any:
        """The value of a batch alone."""
        return self.compute(self.tally(*args, **batch))

    def _batch(self, args: tuple[Any, ...], batch: dict[str, Any]) -> dict[str, Array]:
        with _checks.told_by(self):
            if args:
                reads = self.reads
                if self.parts:
                    _checks.refuse(
                        TypeError, f"a collection takes everything by name; it reads {_checks.listed(reads)}"
                    )
                if len(args) > len(reads):
                    _checks.refuse(TypeError, f"got {len(args)} values by position, but reads {_checks.listed(reads)}")
                if twice := [name for name in reads[: len(args)] if name in batch]:
                    _checks.refuse(TypeError, f"{twice[0]} came both by position and by name")
                batch = {**dict(zip(reads, args, strict=False)), **batch}
            _checks.names(batch, *_names(self))
            return _checks.entries(prepared(self, batch))


def prepared(metric: Metric, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with what JAX cannot hold as arrays that it can: names of slices, ids of 64 bits."""
    for member in members(_statistic(metric)):
        batch = member.prepared(batch)
    return batch


def check_mode(who: object, on_invalid: str) -> None:
    """What happens where examples could not be counted must be one of three things."""
    if on_invalid not in MODES:
        raise ValueError(f"{who!r}: on_invalid is {on_invalid!r}, but must be 'raise', 'nan' or 'ignore'")


@spec
class Beside(Metric):
    """What is read off the counts of a metric beside its value; it goes by the name of that metric."""

    metric: Any

    @property
    def statistic(self) -> Any:
        return self.metric.statistic

    @property
    def inner(self) -> Metric:
        return self.metric

    def __repr__(self) -> str:
        return repr(self.metric)


def leaves(metric: Metric, path: str = "") -> Iterator[tuple[str, Metric]]:
    """Every single metric with its path in a collection (its own name outside of one)."""
    if not metric.parts:
        yield path or type(metric.metric if isinstance(metric, Beside) else metric).__name__, metric
    for name, part in metric.parts:
        yield from leaves(part, f"{path}.{name}" if path else name)


@functools.lru_cache(maxsize=4096)
def _statistic(metric: Metric) -> AnyStatistic:
    return metric.statistic


def _depth(metric: Metric) -> int:
    """Along how many axes of slices it counts."""
    return min(len(member.axes) for member in members(_statistic(metric)))


def joined_axes(metric: Metric, ndim: int) -> tuple[int, ...]:
    """Of so many axes of slices those that are read together."""
    kept = metric.slice_axes
    return tuple(axis for axis in range(ndim) if axis not in kept)


@functools.lru_cache(maxsize=4096)
def _names(metric: Metric) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counted = members(_statistic(metric))
    reads = tuple(dict.fromkeys(name for member in counted for name in member.reads))
    return reads, reads + tuple(name for name in weights_of(metric) if name not in reads)


def weights_of(metric: Metric) -> tuple[str, ...]:
    """The names under which a metric takes weights: each of its statistics by one."""
    return tuple(dict.fromkeys(member.weights for member in members(_statistic(metric))))


def scalars_of(metric: Metric) -> set[str]:
    """The names of entries that may be one number for the whole batch."""
    return {name for member in members(_statistic(metric)) for name in member.scalars}


@functools.lru_cache(maxsize=4096)
def _owner(metric: Metric, statistic: Statistic) -> str:
    """Who reads a statistic, for an error."""
    path, leaf = next((path, leaf) for path, leaf in leaves(metric) if statistic in members(_statistic(leaf)))
    return f"{path}={leaf!r}" if metric.parts else repr(leaf)


@functools.partial(jax.jit, inline=True)
def _init(metric: Metric) -> State:
    statistic = _statistic(metric)
    data = {key: accumulator.init() for key, accumulator in accumulators_of(statistic).items()}
    return State(statistic, data, seen_of(statistic).init())


@functools.partial(jax.jit, inline=True)
def _tally(metric: Metric, batch: dict[str, Array]) -> State:
    statistic = _statistic(metric)
    parts, seen = _observed(metric, layout(statistic), batch)
    data = {key: accumulator.placed(parts[key]) for key, accumulator in accumulators_of(statistic).items()}
    return vary(State(statistic, data, _state.together(seen)), _batch_axes(batch))


def _observed(
    metric: Metric, counted: Iterable[Statistic], batch: dict[str, Array]
) -> tuple[dict[str, Any], list[Array | None]]:
    """What a batch adds to the accumulators of some statistics, and to what each has seen."""
    parts, seen, places = {}, [], layout(_statistic(metric))
    with _checks.told_by(metric):
        _checks.unsharded(batch)
    for member in counted:
        with _checks.told_by(_owner(metric, member)):
            more, part = _tally_member(member, places[member], batch)
        parts |= more
        seen.append(part)
    return parts, seen


@functools.partial(jax.jit, inline=True)
def _update(metric: Metric, state: State, batch: dict[str, Array]) -> State:
    _state.check(state, metric, _statistic(metric))
    axes, batch_axes = varying(state.seen), _batch_axes(batch)
    if missing := sorted(batch_axes - axes):
        raise ValueError(
            f"{metric!r}: the batch varies over the mesh axes {missing} but the state does not, so that the state "
            "would be counted once per device; begin with init(axis_name=…), or add all_merge(tally(…)) to a merged "
            "state"
        )
    if replicated := sorted(axes - batch_axes):
        raise ValueError(
            f"{metric!r}: the state varies over the mesh axes {replicated} but the batch does not, so that its rows "
            "would be counted once per device; begin with init(axis_name=…) of the axes over which the rows differ"
        )
    statistic = _statistic(metric)
    known, places = accumulators_of(statistic), layout(statistic)

    def observed(counted: list[Statistic], batch: dict[str, Array]) -> tuple[dict[str, Any], list[Array | None]]:
        return vary(_observed(metric, counted, batch), axes)

    def added(data: dict[str, Array], parts: dict[str, Any]) -> dict[str, Array]:
        return {key: known[key].added(data[key], part) for key, part in parts.items()}

    def rest(data: dict[str, Array], batch: dict[str, Array], seen: Array, others: list[Array | None]) -> Any:
        parts, mine = observed(small, batch)
        both = dict(zip([*large, *small], [*others, *mine], strict=True))
        return added(data, parts), seen_of(statistic).merge(seen, _state.together([both[member] for member in places]))

    small, large = _by_size(state, batch)
    parts, others = observed(large, batch)
    finish = at_once(rest) if small and _is_tiny(state.seen) else rest
    mine = {key: state.data[key] for member in small for key in places[member].keys.values()}
    more, seen = finish(mine, _entries(small, batch), state.seen, others)
    data = added(state.data, parts) | more
    return State(statistic, {key: data[key] for key in known}, seen)


def _by_size(state: State, batch: dict[str, Array]) -> tuple[list[Statistic], list[Statistic]]:
    """The statistics of which all arrays are tiny, those of the state and of the batch; and the others."""
    small, large = [], []
    for member, place in layout(state.statistic).items():
        arrays = _entries([member], batch), [state.data[key] for key in place.keys.values()]
        (small if _is_tiny(arrays) else large).append(member)
    return small, large


def _is_tiny(tree: Any) -> bool:
    return all(leaf.size * leaf.dtype.itemsize <= TINY for leaf in jax.tree.leaves(tree))


def _entries(counted: Iterable[Statistic], batch: dict[str, Array]) -> dict[str, Array]:
    """Of a batch what some statistics read."""
    names = {name for member in counted for name in (*member.reads, member.weights)}
    return {name: array for name, array in batch.items() if name in names}


def _batch_axes(batch: dict[str, Array]) -> frozenset[str]:
    return frozenset().union(*(varying(array) for array in batch.values()))


@functools.partial(jax.jit, inline=True, static_argnums=2)
def _read(metric: Metric, state: State, blank: bool) -> Any:
    counts, faulty = {}, {}
    for member, place in layout(state.statistic).items():
        values = {
            name: accumulator.decode(state.data[place.keys[name]])
            for name, accumulator in member.accumulators.items()
            if name != OWN
        }
        seen = _state.seen_by(state, member)
        known = (slice(-1),) * len(member.axes)
        counts[member] = {"examples": seen[*known, ..., 0], **values}
        bad = jnp.any(seen[..., FAULTS:] > 0, -1)
        for axis in range(bad.ndim):  # what is in no known slice may belong to any
            rest, last = jnp.split(bad, [bad.shape[axis] - 1], axis)
            bad = rest | last
        faulty[member] = bad
    return frozen(_values(metric, counts, faulty if blank else {}))


def _values(metric: Metric, counts: dict[Statistic, Any], faulty: dict[Statistic, Array]) -> Any:
    if metric.parts:
        return {name: _values(part, counts, faulty) for name, part in metric.parts}
    statistic = _statistic(metric)
    value = frozen(metric.read(view(counts, statistic)))  # the map below would sort the keys of a dict
    for member in members(statistic):
        if member in faulty:
            bad = jnp.any(faulty[member], joined_axes(metric, faulty[member].ndim))
            value = jax.tree.map(lambda leaf, bad=bad: _blanked(leaf, bad), value)
    return value


def view(counts: Mapping[Statistic, Any], statistic: AnyStatistic) -> Any:
    """What a metric of this statistic reads: counts by name, or for several statistics these by statistic."""
    return {m: counts[m] for m in members(statistic)} if isinstance(statistic, Joint) else counts[statistic]


def _blanked(leaf: Any, bad: Array) -> Any:
    leaf = jnp.asarray(leaf)
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    bad = bad.reshape(bad.shape + (1,) * (leaf.ndim - bad.ndim))
    return jnp.where(bad, jnp.nan, leaf).astype(leaf.dtype)


def _invalid(metric: Metric, state: State) -> dict[str, dict[str, int]]:
    """How many examples each metric could not count, by reason; only what is not 0."""
    counts, found = _state.seen_counts(state), {}
    for path, leaf in leaves(metric):
        for member in members(_statistic(leaf)):
            by_reason = zip(layout(state.statistic)[member].reasons, counts[member][FAULTS:].tolist(), strict=True)
            if some := {reason: count for reason, count in by_reason if count}:
                found.setdefault(path, {}).update(some)
    return found


def _message(metric: Metric, state: State, counts: dict[str, dict[str, int]]) -> str:
    seen = _state.seen_counts(state)
    told: dict[str, list[str]] = {}
    for path, leaf in leaves(metric):
        if path in counts:
            total = max(int(seen[m].sum() - seen[m][DEPENDENT]) for m in members(_statistic(leaf)))
            reasons = _checks.listed(f"{count:,} with {reason}" for reason, count in counts[path].items())
            told.setdefault(
                f"{sum(counts[path].values()):,} of {total:,} examples could not be counted, {reasons}", []
            ).append(path)
    parts = [f"{text} (in {_checks.listed(paths)})" for text, paths in told.items()]
    return f"{'; '.join(parts)}; compute(state, on_invalid='ignore') reads the others"


class _Items:
    """A dict whose order survives `jit`, which sorts the keys of a dict."""

    def __init__(self, keys: tuple[str, ...], values: tuple[Any, ...]) -> None:
        self.keys, self.values = keys, values


jax.tree_util.register_pytree_node(
    _Items, lambda items: (items.values, items.keys), lambda keys, values: _Items(keys, values)
)


def frozen(value: Any) -> Any:
    """Dicts as what `jit` leaves in their order; the keys may be of any kind."""
    return _Items(tuple(value), tuple(map(frozen, value.values()))) if isinstance(value, dict) else value


def thawed(value: Any) -> Any:
    """The dicts again."""
    return dict(zip(value.keys, map(thawed, value.values), strict=True)) if isinstance(value, _Items) else value
