"""Tasks: what a batch means, and how its predictions and targets are read."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from streammetrics import _checks
from streammetrics._rows import greatest, widened
from streammetrics._spec import spec
from streammetrics._statistic import ABSENT

INPUTS = ("logits", "probabilities", "scores", "labels")

NAN = "NaN score"
OUTSIDE = "probability outside [0, 1]"
BAD_LABEL = "predicted label that is no class"
BAD_TARGET = "target that is no class"
REASONS = (NAN, OUTSIDE, BAD_LABEL, BAD_TARGET)


class Read(NamedTuple):
    """A batch as a task reads it."""

    predictions: Array
    """Scores, probabilities clipped to [0, 1], in float32 (or float64), but of `Multiclass` as they came: reading rows
    is fastest so. Or labels in int32."""
    targets: Array
    """Class ids in int32, without the ignored and the invalid ones replaced."""
    faults: dict[str, Array]
    """What cannot be read, by reason, and what is absent."""

    def of_target(self) -> Array:
        """Of `Multiclass`, the score of the target; some score where the target is no class."""
        own = jnp.clip(self.targets, 0, self.predictions.shape[-1] - 1)[..., None]
        return jnp.take_along_axis(self.predictions, own, -1, mode="promise_in_bounds")[..., 0]

    def is_target(self) -> Array:
        """Of `Multiclass`, which score is that of the target."""
        place = lax.broadcasted_iota(jnp.int32, self.predictions.shape, self.predictions.ndim - 1)
        return place == self.targets[..., None]


@spec
class Task:
    """What all tasks have: what is ignored, how weights count, names of the classes and of the batch's entries."""

    ignore: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    class_names: tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    predictions: str = dataclasses.field(default="predictions", kw_only=True)
    targets: str = dataclasses.field(default="targets", kw_only=True)
    weights: str = dataclasses.field(default="weights", kw_only=True)


@spec
class Binary(Task):
    """One score for each example, and targets of 0 and 1.

    `inputs` says what predictions are: `"logits"`, `"probabilities"`, `"scores"` or `"labels"`. Predictions have shape
    `(*B,)` or `(*B, 1)`, targets `(*B,)` (bool, integer or floating). An example is predicted positive where its score
    is strictly above the threshold: a probability, which for logits is mapped to the logit scale, so that 0.5 means
    logit > 0; for scores it is on their scale. `ignore` is a target whose examples are absent; `weighted` admits
    fractional weights; the last three fields are the names of the batch entries.

    >>> import streammetrics as sm
    >>> float(sm.Accuracy(sm.Binary("logits"))([-0.6, 0.3], [0, 1]))
    1.0
    """

    inputs: str
    threshold: float = 0.5
    classes = 2

    def __post_init__(self) -> None:
        _check_task(self, 2)
        check_thresholds(self, self, (self.threshold,))

    def leading_axes(self, predictions: Array, targets: Array) -> int:
        """How many leading axes number the examples."""
        return targets.ndim

    def read(self, predictions: Array, targets: Array) -> Read:
        """The batch checked and in one form."""
        if predictions.shape == (*targets.shape, 1):
            predictions = predictions[..., 0]
        if predictions.shape != targets.shape:
            _checks.refuse(
                ValueError,
                f"{self.predictions} have shape {predictions.shape} and {self.targets} {targets.shape}, but must have "
                "the same shape, or predictions one more axis of size 1",
            )
        return _elementwise(self, predictions, targets)

    def positive(self, predictions: Array) -> Array:
        """Whether a score (or label), as `read` gives it, is a positive prediction."""
        return _positive(self.inputs, np.array(cut(self.inputs, self.threshold)), predictions)


@spec
class Multilabel(Task):
    """Several yes-or-no labels for each example.

    Predictions and targets have shape `(*B, L)`; `threshold` is one for all labels or a tuple of one per label, and
    means what it means for `Binary`. Examples are rows; faults and `ignore` act on elements, and weights may be given
    per element, `(*B, L)`.

    >>> import streammetrics as sm
    >>> task = sm.Multilabel(2, "probabilities")
    >>> sm.Recall(task, average=None)([[0.9, 0.2], [0.8, 0.7]], [[1, 1], [0, 1]]).tolist()
    [1.0, 0.5]
    """

    num_labels: int
    inputs: str
    threshold: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        _check_task(self, self.num_labels, least=1)
        thresholds = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,) * self.num_labels
        if len(thresholds) != self.num_labels:
            raise ValueError(
                f"Multilabel: threshold has {len(thresholds)} entries, but there are {self.num_labels} labels"
            )
        check_thresholds(self, self, thresholds)
        if len(set(thresholds)) == 1:
            object.__setattr__(self, "threshold", thresholds[0])

    @property
    def classes(self) -> int:
        return self.num_labels

    def leading_axes(self, predictions: Array, targets: Array) -> int:
        """How many leading axes number the examples."""
        return targets.ndim - 1

    def read(self, predictions: Array, targets: Array) -> Read:
        """The batch checked and in one form."""
        _last_axis(self.predictions, predictions, self.num_labels, "label")
        _checks.same_shape(self.targets, targets, predictions.shape, "that of the predictions")
        return _elementwise(self, predictions, targets)

    def positive(self, predictions: Array) -> Array:
        """Whether scores (or labels), as `read` gives them, are positive predictions."""
        thresholds = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,) * self.num_labels
        cuts = np.array([cut(self.inputs, threshold) for threshold in thresholds])
        return _positive(self.inputs, cuts.reshape((1,) * (predictions.ndim - 1) + (-1,)), predictions)


@spec
class Multiclass(Task):
    """One of several classes for each example.

    Predictions have shape `(*B, C)`, with `"labels"` `(*B,)`; targets are class ids `(*B,)` of any integer dtype, or
    one-hot `(*B, C)`. The prediction is the greatest score, of the lowest class on ties.

    >>> import streammetrics as sm
    >>> task = sm.Multiclass(3, "probabilities")
    >>> float(sm.Accuracy(task)([[0.3, 0.5, 0.2], [0.1, 0.1, 0.8]], [1, 0]))
    0.5
    """

    num_classes: int
    inputs: str

    def __post_init__(self) -> None:
        _check_task(self, self.num_classes, least=2)

    @property
    def classes(self) -> int:
        return self.num_classes

    def leading_axes(self, predictions: Array, targets: Array) -> int:
        """How many leading axes number the examples."""
        return predictions.ndim - (self.inputs != "labels")

    def read(self, predictions: Array, targets: Array) -> Read:
        """The batch checked and in one form; NaN scores are left for `label` to find, which sees every score anyway."""
        faults: dict[str, Array] = {}
        if self.inputs == "labels":
            _checks.integral(self.predictions, predictions, "predicted labels")
            examples = predictions.shape
            predictions = _widened(predictions)
            faults[BAD_LABEL] = (predictions < 0) | (predictions >= self.num_classes)
        else:
            _checks.floating(self.predictions, predictions, self.inputs)
            _last_axis(self.predictions, predictions, self.num_classes, "class")
            examples = predictions.shape[:-1]
            predictions, outside = _probabilities(self.inputs, predictions)
            if outside is not None:
                faults[OUTSIDE] = jnp.any(outside, -1)
        targets, bad = self._ids(targets, examples)
        return Read(predictions, targets, faults | _target_faults(self.ignore, targets, bad))

    def label(self, read: Read) -> tuple[Array, dict[str, Array]]:
        """The predicted class of each example, and the faults with those found on the way."""
        if self.inputs == "labels":
            return read.predictions, read.faults
        label, best = greatest(read.predictions)
        return label, {NAN: jnp.isnan(best), **read.faults}

    def _ids(self, targets: Array, examples: tuple[int, ...]) -> tuple[Array, Array]:
        """Target ids, and which are no class."""
        if targets.shape == (*examples, self.num_classes) and targets.shape != examples:
            hot = targets.astype(bool)
            bad = (jnp.sum(hot, -1, jnp.int32) != 1) | jnp.any(hot.astype(targets.dtype) != targets, -1)
            return jnp.argmax(hot, -1).astype(jnp.int32), bad
        _checks.integral(self.targets, targets, "class ids")
        if targets.shape != examples:
            _checks.refuse(
                ValueError,
                f"{self.targets} have shape {targets.shape}, but must have shape {examples}, one class id per example, "
                f"or {(*examples, self.num_classes)}, one-hot",
            )
        targets = _widened(targets)
        return targets, (targets < 0) | (targets >= self.num_classes)


TASKS = (Binary, Multiclass, Multilabel)


def counted(task: Any) -> Any:
    """The task without what counting classes does not read."""
    return dataclasses.replace(task, class_names=None)


def ranked(task: Any) -> Any:
    """The task without what reading scores does not need: no threshold either."""
    task = counted(task)
    return task if isinstance(task, Multiclass) else dataclasses.replace(task, threshold=0.5)


def check_task(owner: Any) -> None:
    """A metric or statistic of predictions needs a task."""
    if not isinstance(owner.task, TASKS):
        name = type(owner).__name__
        raise TypeError(f"{name}: task is {owner.task!r}, but must be Binary, Multiclass or Multilabel")


def _check_task(task: Any, classes: int, least: int = 0) -> None:
    name = type(task).__name__
    if task.inputs not in INPUTS:
        raise ValueError(
            f"{name}: inputs is {task.inputs!r}, but must say what predictions are: "
            "'logits', 'probabilities', 'scores' or 'labels'"
        )
    if classes < least:
        kind = "num_labels" if isinstance(task, Multilabel) else "num_classes"
        raise ValueError(f"{name}: {kind} is {classes}, but must be at least {least}")
    if task.class_names is not None and len(task.class_names) != classes:
        raise ValueError(f"{name}: class_names has {len(task.class_names)} names, but there are {classes} classes")
    entries = (task.predictions, task.targets, task.weights)
    if len(set(entries)) < 3:
        raise ValueError(f"{name}: predictions, targets and weights are named {entries}, but must be three entries")


def check_thresholds(owner: Any, task: Any, thresholds: Any) -> None:
    """Thresholds are numbers on the scale that the task's inputs say."""
    name = type(owner).__name__
    if not isinstance(thresholds, tuple) or not thresholds:
        raise ValueError(f"{name}: thresholds is {thresholds!r}, but must hold at least one threshold")
    for threshold in thresholds:
        if task.inputs in ("logits", "probabilities") and not 0 <= threshold <= 1:
            raise ValueError(f"{name}: threshold is {threshold}, but must be a probability from 0 to 1")
        if task.inputs == "labels" and threshold != 0.5:
            raise ValueError(f"{name}: threshold is {threshold}, but labels are read without one")


def cut(inputs: str, threshold: float) -> float:
    """The threshold on the scale of the predictions."""
    if inputs != "logits":
        return threshold
    if threshold in (0.0, 1.0):
        return -math.inf if threshold == 0 else math.inf
    return math.log(threshold) - math.log1p(-threshold)


def _positive(inputs: str, cut: np.ndarray, predictions: Array) -> Array:
    return predictions == 1 if inputs == "labels" else predictions > cut.astype(predictions.dtype)


def _elementwise(task: Binary | Multilabel, predictions: Array, targets: Array) -> Read:
    faults = {}
    if task.inputs == "labels":
        if jnp.issubdtype(predictions.dtype, jnp.floating):
            _checks.refuse(
                TypeError, f"{task.predictions} have dtype {predictions.dtype}, but labels are bool or integer"
            )
        predictions = _widened(predictions)
        faults[BAD_LABEL] = (predictions != 0) & (predictions != 1)
    else:
        _checks.floating(task.predictions, predictions, task.inputs)
        predictions, outside = _probabilities(task.inputs, predictions)
        predictions = widened(predictions)
        faults[NAN] = jnp.isnan(predictions)
        if outside is not None:
            faults[OUTSIDE] = outside
    bad = (targets != 0) & (targets != 1) if targets.dtype != bool else jnp.zeros(targets.shape, bool)
    if jnp.issubdtype(targets.dtype, jnp.floating):
        # Truncation would turn 0.5 into the class 0, and what is no class must not become the ignored one.
        targets = jnp.where(targets == jnp.trunc(targets), targets, -(2.0**30)).astype(jnp.int32)
    return Read(predictions, _widened(targets), faults | _target_faults(task.ignore, _widened(targets), bad))


def _target_faults(ignore: int | None, targets: Array, bad: Array) -> dict[str, Array]:
    return {BAD_TARGET: bad} | ({} if ignore is None else {ABSENT: targets == ignore})


def _probabilities(inputs: str, predictions: Array) -> tuple[Array, Array | None]:
    """The scores; of probabilities, clipped to [0, 1], also which are outside by more than rounding."""
    if inputs != "probabilities":
        return predictions, None
    slack = 16 * float(jnp.finfo(predictions.dtype).eps)
    outside = (predictions < -slack) | (predictions > 1 + slack)
    return jnp.clip(predictions, 0, 1), outside


def _widened(ids: Array) -> Array:
    """Class ids in int32; those beyond its range become its least number, which is no class."""
    limits = jnp.iinfo(jnp.int32)
    if ids.dtype == jnp.uint32:
        return jnp.where(ids > limits.max, limits.min, ids.astype(jnp.int32))
    if ids.dtype.itemsize == 8:
        ids = jnp.where((ids >= limits.min) & (ids <= limits.max), ids, limits.min)
    return ids.astype(jnp.int32)


def _last_axis(name: str, array: Array, size: int, each: str) -> None:
    if array.ndim == 0 or array.shape[-1] != size:
        entries = f"{size} entries" if size != 1 else "1 entry"
        _checks.refuse(
            ValueError, f"{name} have shape {array.shape}, but the last axis must have {entries}, one per {each}"
        )
