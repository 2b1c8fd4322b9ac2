"""`merge_processes`: the state of all processes of `jax.distributed`."""

import hashlib

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from streammetrics import _state
from streammetrics._jax import local
from streammetrics._state import State
from streammetrics.sharding import merged

AXIS = "processes"


def merge_processes(state: State) -> State:
    """The state of all processes, in each of them: one all-reduce, for which all of them must call.

    Before it the processes agree about what they count. Updates need no company: processes may have different numbers
    of batches, or none. What comes back is everyone's state; merged again it would be counted once per process, so go
    on updating the state that was passed. Where there is one process only, that is its state.

    Raises `ValueError` in all processes where they hold states of different metrics, naming two of them, and for a
    state that is spread over processes (`merged` of its `Sharded` has read them all).

    >>> import streammetrics as sm
    >>> metric = sm.Mean("loss")
    >>> float(metric.compute(sm.merge_processes(metric.tally(loss=[1.0, 2.0]))))
    1.5
    """
    if not isinstance(state, State):
        raise TypeError(f"merge_processes: got {type(state).__name__}, but a State is due")
    _state.check(state, "merge_processes", state.statistic)
    if any(not getattr(array, "is_fully_addressable", True) for _, array in _state.arrays(state)):
        raise ValueError(
            "merge_processes: the state's arrays lie in several processes, so that it is one of all of them already, "
            "but must be a state of this process alone"
        )
    if jax.process_count() == 1:
        return state
    _agree(repr(state.statistic))
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.array([first[process] for process in sorted(first)]), (AXIS,))
    spread = NamedSharding(mesh, PartitionSpec(AXIS))
    mine = jax.tree.map(lambda array: np.asarray(array)[None], state)
    states = jax.tree.map(lambda array: jax.make_array_from_process_local_data(spread, array), mine)
    return local(merged(states, mesh, (AXIS,)))


def _agree(text: str) -> None:
    """All processes must have the same text; every one raises where they do not, and tells of two that differ."""
    from jax.experimental import multihost_utils  # which `import jax` does not bring

    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
    digests = multihost_utils.process_allgather(words)
    differ = np.flatnonzero((digests != digests[0]).any(axis=1))
    if not len(differ):
        return
    lengths = multihost_utils.process_allgather(np.int32(len(text.encode())))
    padded = np.frombuffer(text.encode().ljust(lengths.max()), np.uint8)
    texts = [bytes(row).decode().rstrip() for row in multihost_utils.process_allgather(padded)]
    raise ValueError(
        f"merge_processes: process 0 holds a state of {texts[0]}, but process {differ[0]} one of {texts[differ[0]]}; "
        "all must hold states of one metric"
    )
