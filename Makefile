# Every target does its own set-up: a virtual environment in .venv and pinned packages through constraints.txt.
# Needs only Python 3.10 or 3.11 with its venv module (Debian: apt install python3-venv) and a C library.

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-fast lint baselines bench format clean

help:
	@echo "make demo       run reference controllers, trained agents and two tiny language models, with a report (no network, GPU or key)"
	@echo "make test       the whole test suite (minutes)"
	@echo "make test-fast  the tests that are not marked slow"
	@echo "make lint       ruff, mypy --strict, import rules"
	@echo "make baselines  train every baseline over 5 seeds and write their table (minutes, CPU only)"
	@echo "make bench      speed, side by side with a peer in the same run; writes docs/benchmarks.md"
	@echo "make clean      remove what the other targets made, runs/ excepted"

$(BIN)/python:
	@set -e; for python in python3.11 python3.10 python3 python; do \
	  if $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$($$python --version)"; \
	    $$python -m venv $(VENV) || { rm -rf $(VENV); \
	      echo "error: this Python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	    exit 0; fi; done; \
	echo "error: Redbutton needs Python 3.10 or 3.11 (the physics engine has wheels for these). Install one of them" >&2; \
	exit 1

$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing redbutton and its packages ..."
	@$(PIP) -e .
	@touch $@

# On a machine without a wheel of llama.cpp, the demo leaves the language models out and says so.
$(VENV)/.local: $(VENV)/.core
	@echo "installing llama.cpp ..."
	@if $(PIP) --only-binary xllamacpp -e ".[local]"; then touch $@; fi

# PyTorch alone and first: an open range asked for together with others may bring a build for another device.
$(VENV)/.torch: $(VENV)/.core
	@$(PIP) torch==2.13.0
	@touch $@

$(VENV)/.dev: $(VENV)/.torch
	@echo "installing the packages for tests ..."
	@$(PIP) -e ".[dev,inspect,ros,rl]"
	@touch $@

$(VENV)/.bench: $(VENV)/.torch
	@$(PIP) -e ".[bench,ros,rl]"
	@touch $@

$(VENV)/.rl: $(VENV)/.torch
	@echo "installing the packages for training ..."
	@$(PIP) -e ".[rl]"
	@touch $@

demo: $(VENV)/.local
	@$(BIN)/redbutton demo --jobs $(JOBS)

test: $(VENV)/.dev
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup

test-fast: $(VENV)/.dev
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not slow"

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "error: run make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

baselines: $(VENV)/.rl
	@$(BIN)/redbutton train all --seeds 5 --jobs $(JOBS) --out $(or $(OUT),runs/baselines)

bench: $(VENV)/.bench
	@$(BIN)/python -m redbutton.experiments.bench --out docs/benchmarks.md

clean:
	@rm -rf $(VENV) build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
