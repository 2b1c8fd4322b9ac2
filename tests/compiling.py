"""What is compiled, as a list that grows."""

import contextlib
from collections.abc import Iterator
from typing import Any

from jax import monitoring


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """The executables that are compiled inside, as a list that grows."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(event)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        monitoring.unregister_event_duration_listener(listen)
