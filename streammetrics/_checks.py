"""Every check of a batch and of a specification, and what it says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np
from jax import Array

from streammetrics._jax import explicit_axes, float_dtype


class Complaint(Exception):
    """What is wrong with a batch, before it is known whose it is."""

    def __init__(self, kind: type[Exception], text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def refuse(kind: type[Exception], text: str) -> NoReturn:
    """Say what came and what was due; `told_by` adds who."""
    raise Complaint(kind, text)


class told_by:
    """Complaints raised inside become errors of their kind that begin with who complains."""

    def __init__(self, who: object) -> None:
        self.who = who  # printed only when there is something to tell: every eager call passes here

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Complaint):
            raise error.kind(f"{self.who}: {error.text}") from None


def listed(words: Iterable[object], join: str = "and") -> str:
    """Words as a list in a sentence."""
    *first, last = [str(word) for word in words]
    return f"{', '.join(first)} {join} {last}" if first else last


def choice(owner: Any, name: str, choices: Sequence[object], *more: object) -> None:
    """A field must have one of some values, or one more that is not told of."""
    value = getattr(owner, name)
    if not any(value == known and type(value) is type(known) for known in (*choices, *more)):
        raise ValueError(f"{type(owner).__name__}: {name} is {value!r}, but must be {_either(choices)}")


def _either(choices: Sequence[object]) -> str:
    """Choices in a sentence."""
    return listed(map(repr, choices), "or")


def names(given: Mapping[str, Any], reads: Sequence[str], accepts: Sequence[str]) -> None:
    """A batch must have the names that are read, and no others but the optional ones."""
    unknown, missing = [n for n in given if n not in accepts], [n for n in reads if n not in given]
    if not unknown and not missing:
        return
    optional = [n for n in accepts if n not in reads]
    due = f"it reads {listed(reads)}" + (f" (and {listed(optional)}, optional)" if optional else "")
    if unknown:
        refuse(TypeError, f"got {listed(unknown)}, which nothing reads; {due}")
    refuse(TypeError, f"{listed(missing)} did not come; {due}")


def entries(batch: Mapping[str, Any]) -> dict[str, Array]:
    """The batch as arrays JAX can take as they are; what 32 bits cannot hold is refused, not rounded or wrapped."""
    return {name: entry(name, value) for name, value in batch.items()}


def entry(name: str, value: Any) -> Any:
    """One entry of a batch as such an array."""
    if isinstance(value, Array):
        if value.dtype.kind == "c":
            refuse(TypeError, f"{name} has dtype {value.dtype}, but must be boolean, integer or floating")
        return value
    array = host_array(name, value)
    if float_dtype().itemsize == 8 or array.dtype.itemsize != 8 or not array.size:
        return array
    if array.dtype.kind == "f":
        if (np.abs(array[np.isfinite(array)]) > np.finfo(np.float32).max).any():
            refuse(ValueError, f"{name} holds {array.dtype} values beyond the range of float32")
        return array.astype(np.float32)
    narrow = np.int32 if array.dtype.kind == "i" else np.uint32
    if array.min() < np.iinfo(narrow).min or array.max() > np.iinfo(narrow).max:
        refuse(ValueError, f"{name} holds {array.dtype} values that do not fit {np.dtype(narrow)}")
    return array.astype(narrow)


def host_array(name: str, value: Any) -> np.ndarray:
    """A numpy array of numbers."""
    if value is None or isinstance(value, str | Mapping):
        refuse(TypeError, f"{name} is {value!r}, but must be an array")
    try:
        array = np.asarray(value)
    except ValueError:
        refuse(ValueError, f"{name} is a ragged sequence, but must be an array")
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        refuse(TypeError, f"{name} has dtype {array.dtype}, but must be boolean, integer or floating")
    return array


def host_kind(value: Any) -> str:
    """The kind of dtype of what is no array of JAX; of what is no array at all that of numbers, to be refused later."""
    try:
        return np.asarray(value).dtype.kind
    except ValueError:
        return "f"


def unsharded(batch: Mapping[str, Array]) -> None:
    """Rows sharded over an Explicit mesh belong to several devices: a plain update would move them."""
    for name, array in batch.items():
        if axes := explicit_axes(array):
            refuse(
                ValueError,
                f"{name} is sharded over the mesh axes {listed(axes)}, but a plain update takes the rows of one "
                "device; update through Sharded(metric, mesh), or inside jax.shard_map with "
                f"init(axis_name={axes[0]!r})",
            )


def floating(name: str, array: Array, meaning: str) -> None:
    """Scores must be floating."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        refuse(
            TypeError, f"{name} have dtype {array.dtype}, but {meaning} are floating; are {name} and targets swapped?"
        )


def integral(name: str, array: Array, meaning: str) -> None:
    """Class ids must be integers."""
    if not jnp.issubdtype(array.dtype, jnp.integer):
        refuse(TypeError, f"{name} have dtype {array.dtype}, but {meaning} are integers")


def same_shape(name: str, array: Array, shape: tuple[int, ...], reason: str) -> None:
    """An entry must have a shape."""
    if array.shape != shape:
        refuse(ValueError, f"{name} have shape {array.shape}, but must have shape {shape}, {reason}")


def prefix(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Weights must have a shape that leads the examples'."""
    if array.shape != shape[: array.ndim]:
        refuse(
            ValueError,
            f"{name} have shape {array.shape}, but the examples have shape {shape}: "
            "one weight per example, or per leading index, is due",
        )


def one_reading(metric: Any, averaged: bool, binary: bool) -> None:
    """Of an average and a class a metric takes one, of a binary task neither."""
    name, class_id = type(metric).__name__, metric.class_id
    if binary and (averaged or class_id is not None):
        fields = [field for field in ("average", "class_id", "over") if hasattr(metric, field)]
        raise ValueError(f"{name}: Binary has one value, of its positive class, and takes no {listed(fields, 'or')}")
    if class_id is None:
        return
    if averaged:
        raise ValueError(f"{name}: average={metric.average!r} and class_id={class_id} exclude each other")
    if not 0 <= class_id < metric.task.classes:
        raise ValueError(f"{name}: class_id is {class_id}, but must be from 0 to {metric.task.classes - 1}")


def inputs(owner: Any, *due: str) -> None:
    """Some values are of probabilities (or what they are taken from), others of scores."""
    if owner.task.inputs not in due:
        raise ValueError(
            f"{type(owner).__name__}: the task's inputs are {owner.task.inputs!r}, but must be {_either(due)}"
        )


def kind_of_task(owner: Any, kind: type, instead: str) -> None:
    """Some values are defined for one task only."""
    if not isinstance(owner.task, kind):
        raise TypeError(f"{type(owner).__name__}: task is {owner.task!r}, but must be {kind.__name__}; {instead}")
