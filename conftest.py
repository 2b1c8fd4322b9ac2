"""How all tests and doctests run: 8 host devices, JAX at its strictest, quickly compiled, few executables at a time."""

import os
from collections.abc import Iterator

import jaxlib.version

# Most of the tests' time is compiling. What users run is compiled with OPTIMIZED=1, as one of CI's runs does.
OPTIMIZED = bool(os.environ.get("OPTIMIZED"))
FLAGS = ["--xla_force_host_platform_device_count=8"]
if not OPTIMIZED and jaxlib.version.__version_info__ < (0, 11):  # XLA aborts where it does not know a flag
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])

import jax  # noqa: E402  # the flags must come first
import pytest  # noqa: E402

from tests.compiling import compilations  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", not OPTIMIZED)

# An executable takes about 25 mappings of memory. Linux allows a process 65,530; with none left, compiling crashes.
EXECUTABLES = 1000


@pytest.fixture(scope="session")
def compiled() -> Iterator[list[str]]:
    with compilations() as found:
        yield found


@pytest.fixture(autouse=True)
def room_for_executables(compiled: list[str]) -> Iterator[None]:
    """Drops what is compiled when it becomes much."""
    yield
    if len(compiled) > EXECUTABLES:
        jax.clear_caches()
        compiled.clear()
