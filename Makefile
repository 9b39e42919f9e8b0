# Everything is set up by the first target that needs it: `make quickstart` and `make test` work from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-fast test-browser test-spark check bench bench-signals bench-growth bench-memory bench-gpu docs pocket clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed  ## Make .venv with everything needed (again only when pyproject.toml changes)

# torch comes first and alone, so that pip takes the build it is pinned to before others ask for it.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[dev,peers]"
	touch $@

quickstart: setup  ## The embedded default: votes to a better model and a report
	$(BIN)/tropism quickstart

test: setup  ## Run the tests
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

test-fast: setup  ## Run the tests that take under a second each: every package, for the daily round
	$(BIN)/python -m pytest -m fast --numprocesses=2 --dist=worksteal tests

test-browser: setup  ## Drive the label page and reports in a real Chromium (Debian's package `chromium`)
	$(BIN)/python -m pytest tests/browser

test-spark: setup  ## The signals on a local Spark (Java 17; installs the extra `spark` first)
	$(BIN)/python -m pip install --quiet --editable ".[spark]"
	$(BIN)/python -m pytest tests/spark

bench-signals: setup  ## Comments to groups: 1, 3 and 10 million beside a plain pandas script (some fifteen minutes)
	$(BIN)/python benchmarks/signals.py

check: setup  ## Lint, types, import layers, and whether the generated pages are fresh
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/make_cli.py --check
	$(BIN)/python docs/make_map.py --check
	$(BIN)/python docs/make_api.py --check
	$(BIN)/python docs/make_applications.py --check

docs: setup  ## Write docs/cli.md, docs/map.md, docs/applications.md and the API pages from the code
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_map.py
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_applications.py

bench: setup  ## Measure a DPO step beside TRL's on three workloads (some forty minutes; results go to benchmarks/results)
	$(BIN)/python benchmarks/step_cpu.py

bench-growth: setup  ## How a step's cost grows with responses, prompt and vocabulary (some twenty minutes)
	$(BIN)/python benchmarks/growth.py

bench-memory: setup  ## How right the memory plan is (some ten minutes)
	$(BIN)/python benchmarks/memory_plan.py

bench-gpu: setup  ## The same beside TRL on one GPU; without one it says so and measures nothing
	$(BIN)/python benchmarks/gpu.py

pocket: setup  ## Train the embedded default's pocket model anew (some ten minutes)
	$(BIN)/python -m tropism.applications.quickstart.pocket

clean:  ## Remove the virtual environment, caches and runs
	rm -rf $(VENV) runs build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
