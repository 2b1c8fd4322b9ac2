# Two commands on a fresh machine: `make demo` and `make test`. Both make the environment they need.

PYTHON ?= python3
VENV ?= .venv
# Further requirements, such as jax==0.10.0, to install beside.
PIN ?=
# SHORT=1 runs the demo in its short form.
SHORT ?=
# QUICK=1 only shows that the benchmarks run and agree.
QUICK ?=

BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint bench wheel clean

demo: $(VENV)/.examples
	$(BIN)/python examples/binary_emoji.py $(if $(SHORT),--short)
	$(BIN)/python examples/three_languages.py $(if $(SHORT),--short)
	$(BIN)/python examples/pmap_training.py --short
	$(BIN)/python examples/sharded_training.py --short
	$(BIN)/python examples/beam_evaluation.py
	$(BIN)/python examples/slices_and_gates.py $(if $(SHORT),--replicates 50)

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

lint: $(VENV)/.examples $(VENV)/.test $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# In an environment of its own, which holds those that it is compared with.
bench:
	$(MAKE) --no-print-directory VENV=.venv-bench .venv-bench/.bench
	.venv-bench/bin/python bench/run.py $(if $(QUICK),--quick)

# The wheel, imported where only the required dependencies are.
wheel: $(VENV)/.python
	rm -rf build/wheel && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv --clear build/clean
	build/clean/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/*.whl
	cd build && clean/bin/python -W error -c "import streammetrics as sm; print(sm.__version__, sm.Mean('loss')([1.0, 2.0]))"

# One stamp for each set of extras, so that a second run installs nothing.
$(VENV)/.python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'streammetrics needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.%: $(VENV)/.python pyproject.toml
	$(INSTALL) --editable ".[$*]" $(PIN)
	touch $@

clean:
	rm -rf .venv .venv-* build dist examples/output
