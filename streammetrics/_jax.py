"""What differs between the versions of JAX, and what JAX does not say in one word."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Axes = str | tuple[str, ...]


def float_dtype() -> np.dtype:
    """The dtype of values read: float64 under x64, else float32."""
    return jax.dtypes.canonicalize_dtype(np.float64)


def axes_of(axis_name: Axes) -> tuple[str, ...]:
    """Axis names as a tuple."""
    return (axis_name,) if isinstance(axis_name, str) else tuple(axis_name)


def bound(axis_name: Axes, who: object) -> tuple[str, ...]:
    """The axis names as a tuple; `NameError` for one that `pmap` or `shard_map` has not bound here."""
    for axis in axes_of(axis_name):
        try:
            lax.axis_index(axis)
        except NameError:
            raise NameError(
                f"{who}: the axis {axis!r} is not bound here, but must be one of the pmap or shard_map around"
            ) from None
    return axes_of(axis_name)


def varying(array: Any) -> frozenset[str]:
    """The mesh axes along which an array may differ between devices: known inside a checked `shard_map` only."""
    return jax.typeof(array).manual_axis_type.varying


def vary(tree: Any, axes: Iterable[str]) -> Any:
    """The tree with every array marked as varying along the axes."""
    wanted = frozenset(axes)

    def mark(array: Any) -> Any:
        missing = tuple(sorted(wanted - varying(array)))
        return lax.pcast(array, missing, to="varying") if missing else array

    return jax.tree.map(mark, tree)


def tracks_varying(axis_name: Axes) -> bool:
    """Whether JAX tracks here which arrays vary along the axes (not under `pmap`, nor with `check_vma=False`)."""
    return bool(varying(lax.axis_index(axes_of(axis_name)[0])))


def explicit_axes(array: Any) -> tuple[str, ...]:
    """The axes of an Explicit mesh over which an array's type says that it is sharded."""
    sharding = getattr(jax.typeof(array), "sharding", None)
    entries = getattr(getattr(sharding, "spec", None), "__iter__", tuple)()
    return tuple(axis for entry in entries if entry is not None for axis in axes_of(entry))


def resharded(tree: Any, mesh: Mesh, specs: Any) -> Any:
    """The arrays spread over a mesh; under a trace Auto axes are a wish to the compiler, Explicit ones a type."""
    shardings = jax.tree.map(functools.partial(NamedSharding, mesh), specs)
    if not is_traced(tree):
        return jax.device_put(tree, shardings)
    if AxisType.Explicit in mesh.axis_types:
        return jax.sharding.reshard(tree, shardings)
    return lax.with_sharding_constraint(tree, shardings)


def sliceable(tree: Any) -> Any:
    """The tree with every array that is sharded over an Explicit mesh whole on each device."""

    def whole(array: Any) -> Any:
        if not explicit_axes(array):
            return array
        return jax.sharding.reshard(array, NamedSharding(jax.typeof(array).sharding.mesh, PartitionSpec()))

    return jax.tree.map(whole, tree)


def local(tree: Any) -> Any:
    """The arrays on the default device of this process, free to mix with any others; waits for them."""
    return jax.tree.map(jnp.asarray, jax.device_get(tree))


def at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a call of its own, whose kernels XLA for CPU runs one after another where all arrays are tiny.

    Beside greater arrays it would schedule each of them, which takes longer than they do. The attribute only says how
    to compile: where XLA does not know it, nothing but time changes.
    """
    from jax.experimental.xla_metadata import set_xla_metadata  # which `import jax` leaves out

    called = jax.jit(function)
    return lambda *args: lax.platform_dependent(
        *args, cpu=lambda *args: set_xla_metadata(called(*args), inlineable=False), default=called
    )


def is_traced(tree: Any) -> bool:
    """Whether any leaf is being traced."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))
