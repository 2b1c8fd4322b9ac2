"""What the parts of growth share: their data, and how torchmetrics is used."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torchmetrics.classification as torchclasses  # pyright: ignore[reportMissingImports]
from measuring import Options, Row, Run, interleaved, ratio

import streammetrics as sm

CLASSES = 10
TASK = sm.Multiclass(CLASSES, "logits")
AUROC = sm.AUROC(sm.Binary("logits"))


def grown(options: Options, full: tuple[int, ...], *quick: int) -> tuple[int, ...]:
    """The sizes to measure, few in a quick run."""
    return quick if options.quick else full


def binary(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and whether what they are of is positive."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, rows, np.int32)
    return rng.normal(2.0 * targets - 1.0).astype(np.float32), targets


def logits(rows: int) -> dict[str, Any]:
    """Logits that are mostly right, and their targets."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, rows, np.int32)
    scores = rng.normal(size=(rows, CLASSES)) + 2 * (np.arange(CLASSES) == targets[:, None])
    return {"predictions": jnp.asarray(scores, jnp.float32), "targets": jnp.asarray(targets)}


def tensor(array: Any) -> Any:
    """The same numbers as torch's; whole ones as int64, as it wants them."""
    array = np.array(array)
    return torch.from_numpy(array.astype(np.int64) if array.dtype.kind == "i" else array)


def of_torch(name: str, **fields: Any) -> Any:
    """A metric of torchmetrics that does not check every batch, and computes whenever it is asked."""
    kind = getattr(torchclasses, f"Multiclass{name}")
    return kind(num_classes=CLASSES, validate_args=False, compute_with_cache=False, **fields)


def torch_update(metric: Any, batch: Mapping[str, Any]) -> Run:
    """One update after the other. The first two find the groups that share their counts."""
    predictions, targets = tensor(batch["predictions"]), tensor(batch["targets"])

    def run() -> None:
        metric.update(predictions, targets)

    run()
    return run


def pair(
    work: str, options: Options, ours: Run, against: str, theirs: Run, target: float | None = None, note: str = ""
) -> Row:
    """The row of two sides that are timed by themselves.

    Threads of torch go on waiting for work at full speed for a while, and would be in the way of a third side.
    """
    times = interleaved({"ours": ours, "theirs": theirs}, options, least=3)
    return ratio(work, times["ours"], against, times["theirs"], target, note)


def human(size: float) -> str:
    """Bytes in the unit in which they are easily read."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
