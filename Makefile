# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := numba jax torch autograd casadi enzyme-ad dace==2.0.0b1

.PHONY: demo test test-all lint bench clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,demo]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python examples/digits.py

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy iverson/core iverson/diff iverson/opt

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n 2

# The peers live in their own environment; a missing peer is reported, not fatal.  A run that was stopped goes on where
# it was; `make bench BENCH=--quick` measures a part in minutes, BENCH="--only cholesky lstm" measures only these.
bench: .bench-venv/.ready
	.bench-venv/bin/python -m benchmarks.suite $(BENCH)

.bench-venv/.ready: pyproject.toml
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	for peer in $(PEERS); do \
	    .bench-venv/bin/python -m pip install --quiet --disable-pip-version-check $$peer || echo "$$peer: not installed"; \
	done
	touch $@

clean:
	rm -rf $(VENV) .bench-venv build *.egg-info
