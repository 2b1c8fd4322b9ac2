"""Growth with rows: an AUROC in batches, whose state must not grow, and of all rows in one update.

In batches it stands beside torchmetrics, exact, which keeps every score in a list. Of one update it is told what the
compiled program needs beside its arguments and results, by XLA's own account.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import keras  # pyright: ignore[reportMissingImports]
import metrax  # pyright: ignore[reportMissingImports]
import numpy as np
import torchmetrics.classification as torchclasses  # pyright: ignore[reportMissingImports]
from growth_shared import AUROC, binary, grown, human, pair, tensor
from measuring import Options, Row, Run, amount, at, same, update

ROWS = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
AUROC_TOLERANCE = 1e-3
"""Ours is read off a histogram: with a thousand scores several lie in a bin. With more of them it is 1e-5."""
FLAT_TARGET = 1.0


def measure(options: Options) -> Iterator[Row]:
    yield from streamed(options)
    yield from at_once(options)


def streamed(options: Options, size: int = 1000) -> Iterator[Row]:
    """Rows in batches of one size: the time of a pass with its readout, and what is kept until then."""
    numbers = grown(options, ROWS, 1000, 5000)
    kept = {}
    for rows in numbers:
        scores, targets = binary(rows)
        batches = [(scores[i : i + size], targets[i : i + size]) for i in range(0, rows, size)]
        ours, ours_kept = our_pass(jax.device_put(batches))
        theirs, theirs_kept = torch_pass([(tensor(x), tensor(y)) for x, y in batches])
        same(ours(), theirs(), AUROC_TOLERANCE, who="torchmetrics")
        kept[rows] = ours_kept(), theirs_kept()
        work = f"a pass over {rows:,} scores in batches of {size:,}, and their AUROC"
        yield at(rows, pair(work, options, ours, "torchmetrics (exact)", theirs))
    for rows, (mine, lists) in kept.items():
        yield at(rows, of_bytes(f"what is kept of {rows:,} scores", mine, "torchmetrics (exact)", lists))
    few, many = numbers[0], numbers[-1]
    row = of_bytes(f"what is kept of {many:,} scores", kept[many][0], f"ours of {few:,}", kept[few][0], FLAT_TARGET)
    yield dataclasses.replace(row, note=f"torchmetrics' lists: {kept[many][1] / kept[few][1]:,.0f} ×")


def our_pass(batches: list[tuple[Any, Any]]) -> tuple[Run, Callable[[], int]]:
    """A pass from an empty state to the value; and the bytes of the state at its end."""
    step = jax.jit(AUROC.update, donate_argnums=0)
    ends = []

    def run() -> Any:
        state = AUROC.init()
        for batch in batches:
            state = step(state, *batch)
        ends[:] = [state]
        return AUROC.compute(state, "nan")

    return run, lambda: sum(array.nbytes for array in jax.tree.leaves(ends))


def torch_pass(batches: list[tuple[Any, Any]]) -> tuple[Run, Callable[[], int]]:
    """The same of torchmetrics."""
    metric = torchclasses.BinaryAUROC(thresholds=None, validate_args=False, compute_with_cache=False)

    def run() -> Any:
        metric.reset()
        for batch in batches:
            metric.update(*batch)
        return metric.compute()

    return run, lambda: sum(each.numel() * each.element_size() for each in (*metric.preds, *metric.target))


def at_once(options: Options) -> Iterator[Row]:
    """All rows in one update: its time, and the temporaries that XLA plans; those of the peers are only planned."""
    numbers = grown(options, ROWS, 5000)
    for rows in numbers:
        scores, targets = map(jnp.asarray, binary(rows))
        row = pair(
            f"an update of {rows:,} scores at once",
            options,
            update(AUROC, predictions=scores, targets=targets),
            "a copy of scores and targets",
            functools.partial(jax.jit(copied), scores, targets),
        )
        yield at(rows, dataclasses.replace(row, note=f"{(row.ours or 0) * 1e3 / rows:.3g} ns a score"))
    state = jax.eval_shape(AUROC.init)
    for rows in numbers:
        size = temporaries(AUROC.update, state, *planned(rows))
        yield at(rows, amount(f"temporaries of an update of {rows:,} scores at once, a score", size / rows, "B"))
    scores, targets = planned(numbers[-1])
    work = f"temporaries of an update of {numbers[-1]:,} scores at once"
    ours = temporaries(AUROC.update, state, scores, targets)
    auc = keras.metrics.AUC(from_logits=True)
    variables = [variable.value for variable in auc.variables]
    yield of_bytes(work, ours, "keras", temporaries(auc.stateless_update_state, variables, targets, scores))
    # Of probabilities, which makes no difference to what it compares.
    yield of_bytes(work, ours, "metrax", temporaries(metrax.AUCROC.from_model_output, scores, targets))


def copied(scores: jax.Array, targets: jax.Array) -> Any:
    """Both read and written once. A plain copy JAX would not make."""
    return scores + 1, targets + 1


def planned(rows: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Scores and targets that need not be there to be compiled for."""
    return jax.ShapeDtypeStruct((rows,), np.float32), jax.ShapeDtypeStruct((rows,), np.int32)


def temporaries(step: Callable[..., Any], *args: Any) -> int:
    """The bytes that a compiled step needs beside its arguments and results."""
    analysis = jax.jit(step).lower(*args).compile().memory_analysis()
    return analysis.temp_size_in_bytes if analysis else 0


def of_bytes(work: str, mine: int, against: str, others: int, target: float | None = None) -> Row:
    """The ratio of two numbers of bytes, which do not vary."""
    value = mine / max(others, 1)
    return Row(work, against, value, value, value, "×", target, note=f"{human(mine)} against {human(others)}")
