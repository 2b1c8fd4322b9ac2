"""What a statistic of predictions and targets has from its task."""

from typing import Any

from jax import Array

from streammetrics._spec import spec
from streammetrics._statistic import Statistic
from streammetrics._tasks import REASONS, Binary, check_task


@spec
class Predictions(Statistic):
    """A statistic of a task's predictions and targets."""

    task: Any

    def __post_init__(self) -> None:
        check_task(self)

    @property
    def weights(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # a name the task chooses
        return self.task.weights

    @property
    def weighted(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # likewise
        return self.task.weighted

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.task.predictions, self.task.targets)

    @property
    def class_axis(self) -> tuple[int, ...]:
        """The axis of what is counted for each class or label: of `Binary` there is none."""
        return () if isinstance(self.task, Binary) else (self.task.classes,)

    @property
    def reasons(self) -> tuple[str, ...]:
        return REASONS

    def leading_axes(self, **batch: Array) -> int:
        return self.task.leading_axes(*(batch[name] for name in self.reads))
