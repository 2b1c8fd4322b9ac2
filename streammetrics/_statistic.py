"""What a statistic is: what is counted, and what one example adds."""

import functools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from streammetrics._reduction import Add as Add  # an author's word
from streammetrics._reduction import Adds, Observation
from streammetrics._spec import spec
from streammetrics.accumulators import Accumulator, Count

ABSENT = "absent"
"""The key in `faults` of what is left out without a fault: an ignored target, say."""

WEIGHT_REASONS = ("weight that is not finite", "negative weight")
WHOLE_REASONS = ("fractional weight (needs weighted=True)", "weight above 65,535")

DEPENDENT, FAULTS = 1, 2
"""Of what is counted of examples seen: the columns of those that are not independent, and of the first fault."""
SIZE_LIMIT = 2**30
"""The most bytes of a state."""
OWN = "seen_of_steps"
"""The accumulator of a statistic that does not share its counts of examples."""


class Statistic(ABC):
    """What is counted: accumulators by name, and what each example of a batch adds to each.

    A subclass is a specification (`sm.spec`) and gives `reads`, `accumulators` and `observe`; the rest has defaults:
    weights come by the name `weights` and must be whole numbers, every element of the first entry is an example,
    and nothing is ever at fault.
    """

    weights: str = "weights"
    weighted: bool = False

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The names of the batch entries it needs, in the order in which they may be passed."""

    @property
    @abstractmethod
    def accumulators(self) -> Mapping[str, Accumulator]:
        """What is held, by name."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The texts of the faults that `observe` may return; of several that apply to an example, the first counts."""
        return ()

    @abstractmethod
    def observe(self, *_: Any, **batch: Any) -> tuple[Adds, Mapping[str, Any]]:
        """What the examples add to each accumulator, once or several times, and the faults.

        Faults are masks, by reason, of what cannot be counted: bool, of the shape of the examples.
        """

    def leading_axes(self, **batch: Any) -> int:
        """How many leading axes of the first entry number the examples."""
        return batch[self.reads[0]].ndim

    # What follows is for wrappers, which change what another statistic observes and how it is held.

    @property
    def kind(self) -> str:
        """What it is called in a state."""
        return type(self).__name__

    @property
    def observed(self) -> Mapping[str, Accumulator]:
        """What `observe` adds to."""
        return self.accumulators

    @property
    def axes(self) -> tuple[int, ...]:
        """The numbers of slices that lead everything counted, the outermost first."""
        return ()

    @property
    def scalars(self) -> tuple[str, ...]:
        """The names of the entries that may be one number for the whole batch."""
        return ()

    def elements(self, examples: tuple[int, ...]) -> int:
        """How many examples of a batch stand in one row of it: they are not independent."""
        return math.prod(examples[1:])

    def prepared(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with entries that JAX cannot hold as arrays that it can."""
        return batch

    def arranged(self, observation: Observation, **batch: Any) -> Observation:
        """The observation as it is to be reduced."""
        return observation

    def settled(self, data: dict[str, Any], observation: Observation, **batch: Any) -> dict[str, Any]:
        """What a batch adds to each accumulator, from the data reduced."""
        return data


@spec
class Joint:
    """Several statistics counted together: what a collection counts."""

    members: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(sorted(set(self.members), key=repr)))


AnyStatistic = Statistic | Joint


def members(statistic: AnyStatistic) -> tuple[Statistic, ...]:
    """The statistics that are counted: each once, in an order that depends on them alone."""
    return statistic.members if isinstance(statistic, Joint) else (statistic,)


class Place(NamedTuple):
    """Where a member of a statistic stands in its state."""

    name: str
    """Of the member, short and unique."""
    keys: dict[str, str]
    """From the names of its accumulators to the keys in the state's data."""
    reasons: tuple[str, ...]
    """What can be wrong with an example: of weights, then its own."""
    seen: slice
    """Its part of the state's `seen`."""
    shape: tuple[int, ...]
    """Of that part: along each of its axes the slices and what is in none; the examples, those of them that are not
    independent, and the invalid ones by reason."""


def all_reasons(member: Statistic) -> tuple[str, ...]:
    """What can be wrong with an example: of weights, then the statistic's own."""
    return WEIGHT_REASONS + (() if member.weighted else WHOLE_REASONS) + member.reasons


def seen_shape(member: Statistic) -> tuple[int, ...]:
    """The shape of what a statistic has seen: slices and what is in none, then examples and faults."""
    return (*(size + 1 for size in member.axes), FAULTS + len(all_reasons(member)))


@functools.lru_cache(maxsize=4096)
def layout(statistic: AnyStatistic) -> dict[Statistic, Place]:
    """Where each member stands in the state of a statistic."""
    several, kinds = isinstance(statistic, Joint), Counter[str]()
    repeated = Counter(member.kind for member in members(statistic))
    places, start = {}, 0
    for member in members(statistic):
        name = member.kind
        kinds[name] += 1
        if repeated[name] > 1:
            name = f"{name}_{kinds[name]}"
        keys = {key: f"{name}.{key}" if several else key for key in member.accumulators}
        reasons = all_reasons(member)
        shape = seen_shape(member)
        stop = start if OWN in member.accumulators else start + math.prod(shape)
        places[member] = Place(name, keys, reasons, slice(start, stop), shape)
        start = stop
    return places


@functools.lru_cache(maxsize=4096)
def accumulators_of(statistic: AnyStatistic) -> dict[str, Accumulator]:
    """Every accumulator of a state's data, by its key."""
    return {
        place.keys[name]: accumulator
        for member, place in layout(statistic).items()
        for name, accumulator in member.accumulators.items()
    }


@functools.lru_cache(maxsize=4096)
def seen_of(statistic: AnyStatistic) -> Count:
    """The one accumulator of examples and invalid examples that all members share; never empty."""
    return Count((max(1, *(place.seen.stop for place in layout(statistic).values())),))


def check_size(owner: Any, statistic: AnyStatistic, what: str, remedy: str) -> None:
    """A state that would fill the memory is refused before it does."""
    size = sum(
        each.limbs * math.prod(each.shape) * np.dtype(each.dtype).itemsize
        for each in accumulators_of(statistic).values()
    )
    if size > SIZE_LIMIT:
        raise ValueError(
            f"{type(owner).__name__}: {what} would take {size / SIZE_LIMIT:.1f} GiB, but at most 1 GiB is allowed; "
            f"{remedy}"
        )
