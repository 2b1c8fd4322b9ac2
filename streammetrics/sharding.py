"""`Sharded`: a metric over the devices of a mesh, for `jit` with sharded batches."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from streammetrics import _checks, _state
from streammetrics._batches import pad
from streammetrics._jax import axes_of, resharded
from streammetrics._metric import Metric, scalars_of, weights_of
from streammetrics._state import State


class Sharded:
    """A metric whose state is one partial state on each device: an update moves no counts, a readout is one all-reduce.

    It has the methods of a metric, eager and under `jit`. Its states have a leading axis, sharded over `axes` of the
    mesh (all of them by default). Batches are global arrays, sharded in any way, or numpy arrays: their rows, the
    leading axis, are spread over these axes, so that each row is counted once, of replicated arrays too. Where they do
    not fill the devices, rows of weight 0 do. Meshes may be Auto or Explicit. It is an object, no specification; equal
    ones run the same compiled programs. Inside `shard_map` and `pmap` use the metric itself.

    Raises `ValueError` for axes that the mesh lacks, for states that are not its own, and for entries without a common
    number of rows.

    >>> import streammetrics as sm
    >>> loss = sm.Sharded(sm.Mean("loss"), jax.make_mesh((jax.device_count(),), ("data",)))
    >>> state = loss.update(loss.init(), loss=[1.0, 2.0, 6.0])
    >>> float(loss.compute(state))
    3.0
    """

    def __init__(self, metric: Metric, mesh: Mesh, axes: str | tuple[str, ...] | None = None) -> None:
        if not isinstance(metric, Metric):
            raise TypeError(f"Sharded: got {metric!r}, but a metric is due")
        if not isinstance(mesh, Mesh):
            raise TypeError(f"Sharded: mesh is {mesh!r}, but must be a jax.sharding.Mesh, as jax.make_mesh returns")
        axes = tuple(mesh.axis_names) if axes is None else axes_of(axes)
        if unknown := [axis for axis in axes if axis not in mesh.axis_names]:
            raise ValueError(f"Sharded: the mesh has no axis {unknown[0]!r}; it has {_checks.listed(mesh.axis_names)}")
        if not axes or len(set(axes)) < len(axes):
            raise ValueError(f"Sharded: axes is {axes}, but must name axes of the mesh, each once")
        self.metric, self.mesh, self.axes, self.statistic = metric, mesh, axes, metric.statistic

    def __repr__(self) -> str:
        shape = dict(self.mesh.shape)
        return f"Sharded({self.metric!r}, mesh of {shape}, axes={self.axes})"

    @property
    def devices(self) -> int:
        """Over how many devices the rows are spread."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the batch entries it needs."""
        return self.metric.reads

    @property
    def accepts(self) -> tuple[str, ...]:
        """The names of the batch entries it takes: those it needs, then the optional weights."""
        return self.metric.accepts

    def init(self) -> State:
        """The empty state."""
        return self._programs.init()

    def update(self, state: State, /, *args: Any, **batch: Any) -> State:
        """The state with a batch added: no counts move, and no rows but those that lie on other devices."""
        self._check(state)
        return self._programs.update(state, self._spread(args, batch))

    def tally(self, /, *args: Any, **batch: Any) -> State:
        """The state of a batch alone."""
        return self.update(self.init(), *args, **batch)

    def merge(self, state: State, /, *states: State) -> State:
        """The state of all states, each part merged where it lies."""
        for each in (state, *states):
            self._check(each)
        return functools.reduce(self._programs.merge, states, state)

    def merged(self, state: State) -> State:
        """The state of all devices, on each of them: one all-reduce. It is a state of the metric itself."""
        self._check(state)
        return merged(state, self.mesh, self.axes)

    def compute(self, state: State, on_invalid: str = "raise") -> Any:
        """The value of a state, as the metric's own `compute` gives it: one all-reduce."""
        return self.metric.compute(self.merged(state), on_invalid)

    def __call__(self, /, *args: Any, **batch: Any) -> Any:
        """The value of a batch alone."""
        return self.compute(self.tally(*args, **batch))

    @property
    def _programs(self) -> "Programs":
        return _programs(self.metric, self.mesh, self.axes)

    def _check(self, state: Any) -> None:
        if not isinstance(state, State) or state.statistic != self.statistic or _state.extra_axes(state) is None:
            _state.check(state, self, self.statistic)
        extra = _state.extra_axes(state)
        if extra != 1 or np.shape(state.seen)[0] != self.devices:
            came = f"{np.shape(state.seen)[0]} partial states" if extra else "no leading axis of partial states"
            raise ValueError(
                f"{self!r}: the state has {came}, but must have {self.devices}, one a device, as init() has"
            )

    def _spread(self, args: tuple[Any, ...], batch: dict[str, Any]) -> dict[str, Array]:
        """The batch with its rows over the devices, filled up to as many rows on each."""
        batch = self.metric._batch(args, batch)
        rows = {name: array for name, array in batch.items() if np.ndim(array)}
        counts = {np.shape(array)[0] for array in rows.values()}
        if len(counts) != 1 or not set(self.reads) - scalars_of(self.metric) <= set(rows):
            shapes = {name: np.shape(array) for name, array in batch.items()}
            raise ValueError(f"{self!r}: the entries have the shapes {shapes}, but must have the same number of rows")
        (count,) = counts
        size = max(-(-count // self.devices), 1) * self.devices
        if size != count:
            names = weights_of(self.metric)
            for name in set(names) & (set(batch) - set(rows)):  # one weight for all rows, which padding has not
                rows[name] = jnp.broadcast_to(batch[name], (count,))
            batch |= pad(resharded(rows, self.mesh, PartitionSpec()), size, names)
        return self.placed(batch)

    def placed(self, tree: Any) -> Any:
        """A tree of arrays with their rows over the devices, which they must fill; what has no rows is on all."""
        return resharded(tree, self.mesh, _over(self.axes, tree))


class Programs(NamedTuple):
    """What runs on the mesh, compiled once for equal metrics, meshes and axes."""

    init: Callable[[], State]
    update: Callable[[State, dict[str, Array]], State]
    merge: Callable[[State, State], State]


@functools.lru_cache(maxsize=256)
def _programs(metric: Metric, mesh: Mesh, axes: tuple[str, ...]) -> Programs:
    parts = PartitionSpec(axes)

    @functools.partial(jax.jit, out_shardings=NamedSharding(mesh, parts))
    def init() -> State:
        return jax.shard_map(lambda: _stacked(metric.init(axes)), mesh=mesh, in_specs=(), out_specs=parts)()

    @jax.jit
    def update(state: State, batch: dict[str, Array]) -> State:
        def one(state: State, batch: dict[str, Array]) -> State:
            return _stacked(metric.update(_own(state), **batch))

        mapped = jax.shard_map(one, mesh=mesh, in_specs=(parts, _over(axes, batch)), out_specs=parts)
        return mapped(resharded(state, mesh, parts), batch)

    @jax.jit
    def merge(a: State, b: State) -> State:
        def one(a: State, b: State) -> State:
            return _stacked(metric.merge(_own(a), _own(b)))

        mapped = jax.shard_map(one, mesh=mesh, in_specs=(parts, parts), out_specs=parts)
        return mapped(resharded(a, mesh, parts), resharded(b, mesh, parts))

    return Programs(init, update, merge)


@functools.partial(jax.jit, static_argnums=(1, 2))
def merged(state: State, mesh: Mesh, axes: tuple[str, ...]) -> State:
    """The state of all devices, from states along a leading axis that is sharded over mesh axes."""
    parts = PartitionSpec(axes)

    def one(state: State) -> State:
        return _state.all_merge(_own(state), axes)

    return jax.shard_map(one, mesh=mesh, in_specs=parts, out_specs=PartitionSpec())(resharded(state, mesh, parts))


def _own(state: State) -> State:
    """The one state of a device."""
    return jax.tree.map(lambda array: array[0], state)


def _stacked(state: State) -> State:
    return jax.tree.map(lambda array: array[None], state)


def _over(axes: tuple[str, ...], tree: Any) -> Any:
    """How arrays lie on a mesh: their rows over the axes; what has no rows is everywhere."""
    return jax.tree.map(lambda array: PartitionSpec(axes) if np.ndim(array) else PartitionSpec(), tree)
