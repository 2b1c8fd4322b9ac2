"""Compilers that rewrite floating-point arithmetic are told of, once."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import warnings
import streammetrics as sm
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        sm.Mean("loss").init()
    sm.Accuracy(sm.Binary("logits")).init()
print([str(warning.message).split(',')[0] for warning in caught])
"""


@pytest.mark.parametrize(
    ("flag", "printed"),
    [("false", "[]"), ("true", "['streammetrics: this compiler breaks compensated sums']")],
)
def test_fast_math_is_warned_of_once(flag: str, printed: str) -> None:
    environment = {**os.environ, "XLA_FLAGS": f"--xla_cpu_enable_fast_math={flag}"}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip() == printed
