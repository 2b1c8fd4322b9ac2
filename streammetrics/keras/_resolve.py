"""What `metrics=["accuracy"]` meant, by version of Keras."""

import re
from collections.abc import Sequence

from streammetrics._tasks import Binary, Multiclass, Multilabel
from streammetrics.keras._rounded import RoundedAccuracy
from streammetrics.metrics import Accuracy

VERSIONS = ("3", "tf1.13", "2.3")

Shape = tuple[int | None, ...]


def resolve_accuracy(
    loss: str | None, output_shape: Sequence[int | None], target_shape: Sequence[int | None], version: str = "3"
) -> Accuracy | RoundedAccuracy:
    """The accuracy that `metrics=["accuracy"]` meant in a version of Keras, with its task: for reading old reports.

    `loss` is its name in Keras ("binary_crossentropy" or "BinaryCrossentropy") or None; shapes are Keras', with the
    batch axis, which may be None. `version` is `"3"` (which asks the shapes alone), `"tf1.13"` (tf.keras 1.13) or
    `"2.3"` (Keras 2.0 to 2.3.1); the older two ask the outputs' last axis, then the loss:

    - binary accuracy: `Binary`, or over elements `Multilabel`, positive above 0.5; for `"2.3"` `RoundedAccuracy`;
    - sparse and categorical accuracy: `Multiclass`, by the argmax.

    Keras takes outputs as they are, so that all have `inputs="scores"`; of logits, say `inputs="logits"` instead and
    read the accuracy that was meant. Call `metric(predictions, targets)`, the reverse of Keras' order. A column of ids
    `(N, 1)` is passed as `targets[..., 0]`; targets that are not one-hot, of which Keras takes the argmax, are invalid
    here, and loud.

    Raises `ValueError` where Keras' choice is an argmax over the batch, which has no meaning over batches, for targets
    that do not fit the outputs, and for other versions; `TypeError` for a loss that is no name. The rules are those of
    the sources of Keras 2.0–2.3.1 (`handle_metrics`), tf.keras 1.13.2, and Keras 3.15.

    >>> resolve_accuracy("binary_crossentropy", (None, 3), (None, 3), version="tf1.13")  # over elements
    Accuracy(task=Multilabel(num_labels=3, inputs='scores'))
    >>> resolve_accuracy("binary_crossentropy", (None, 3), (None, 3))  # the same model: an argmax
    Accuracy(task=Multiclass(num_classes=3, inputs='scores'))
    """
    if loss is not None and not isinstance(loss, str):
        raise TypeError(
            f"resolve_accuracy: loss is {loss!r}, but must be its name in Keras, as 'binary_crossentropy', or None"
        )
    if version not in VERSIONS:
        raise ValueError(f"resolve_accuracy: version is {version!r}, but must be '3', 'tf1.13' or '2.3'")
    output, target = _shape("output_shape", output_shape), _shape("target_shape", target_shape)
    rule = _by_shapes(output, target) if version == "3" else _by_loss(output, loss)
    told = f"resolve_accuracy: Keras {version} takes {rule} for outputs of shape {output}"
    if rule == "binary_accuracy":
        return _binary(told, output, target, version)
    return _of_classes(told, output, target, rule)


def _shape(name: str, shape: Sequence[int | None]) -> Shape:
    kinds = isinstance(shape, Sequence) and {type(size) for size in shape}
    if not kinds or not kinds <= {int, type(None)}:
        raise TypeError(f"resolve_accuracy: {name} is {shape!r}, but must be a tuple of sizes, the batch axis first")
    return tuple(shape)


def _by_shapes(output: Shape, target: Shape) -> str:
    if output[-1] == 1:
        return "binary_accuracy"
    return "sparse_categorical_accuracy" if len(target) < len(output) or target[-1] == 1 else "categorical_accuracy"


def _by_loss(output: Shape, loss: str | None) -> str:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", loss or "").lower()
    if output[-1] == 1 or name == "binary_crossentropy":
        return "binary_accuracy"
    sparse = name == "sparse_categorical_crossentropy"
    return "sparse_categorical_accuracy" if sparse else "categorical_accuracy"


def _binary(told: str, output: Shape, target: Shape, version: str) -> Accuracy | RoundedAccuracy:
    labels = output[-1] if len(output) > 1 else 1
    _fitting(told, target, [output, output[:-1]] if len(output) > 1 and labels == 1 else [output])
    task = Binary("scores") if labels == 1 else Multilabel(_known(told, labels), "scores")
    return RoundedAccuracy(task) if version == "2.3" else Accuracy(task)


def _of_classes(told: str, output: Shape, target: Shape, rule: str) -> Accuracy:
    if len(output) == 1:
        raise ValueError(
            f"{told}, an argmax over the batch, which has no meaning over batches; "
            "one score per example is read by sm.Accuracy(sm.Binary('scores'))"
        )
    task = Multiclass(_known(told, output[-1]), "scores")
    if rule == "sparse_categorical_accuracy":
        _fitting(told, target, [output[:-1], (*output[:-1], 1)])
    elif len(target) == 1:
        raise ValueError(
            f"{told} and targets of shape {target}, of which the argmax is one over the batch and has no meaning over "
            f"batches; class ids are read by sm.Accuracy(sm.Multiclass({task.num_classes}, 'scores'))"
        )
    else:
        _fitting(told, target, [output])
    return Accuracy(task)


def _known(told: str, size: int | None) -> int:
    if size is None:
        raise ValueError(f"{told}, but the last axis must have a known size")
    return size


def _fitting(told: str, target: Shape, due: list[Shape]) -> None:
    """Targets of other shapes would broadcast against the outputs in Keras."""
    for shape in due:
        pairs = zip(target, shape, strict=False)
        if len(target) == len(shape) and all(a == b or a is None or b is None for a, b in pairs):
            return
    raise ValueError(f"{told}, but targets have shape {target} where {' or '.join(map(str, due))} is due")
