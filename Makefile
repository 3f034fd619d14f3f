# make demo   the main job on drawn pictures with two small models, in a fresh environment
# make test   the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data

# One thread per process: on small CPU models more threads only wait for each other.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1

.PHONY: help demo test check lint types schemas docs bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch first and by its own line: a CPU build of this version serves tests and the demo, while the
# project itself leaves the version open to people with GPUs.
$(BIN)/dfgen: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local,dev]'
	@touch $@

demo: $(BIN)/dfgen ## The main job, embedded: sample, repair, mask, show
	$(BIN)/dfgen demo --out runs/demo
	$(BIN)/dfgen validate runs/demo

test: $(BIN)/dfgen ## All tests that need no environment of their own
	$(BIN)/python -m pytest

lint: $(BIN)/dfgen
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/dfgen
	$(BIN)/mypy

schemas: $(BIN)/dfgen ## Write schemas/ and pipelines/demo.yaml again from the code
	$(BIN)/python -m dfgen.config.schema
	cp dfgen/demo/demo.yaml pipelines/demo.yaml

check: lint types test ## Lint, types, generated files, documented commands, import arrows, tests

bench: $(BIN)/dfgen ## The measured claims (takes minutes); DATA=DIR names the labelled data
	$(BIN)/python tests/benchmarks/startup.py
	$(BIN)/python tests/benchmarks/grade_accuracy.py --data $(DATA)
	$(BIN)/python tests/benchmarks/mask_quality.py --data $(DATA)
	$(BIN)/python tests/benchmarks/mask_speed.py

clean: ## Remove environments, runs and caches
	rm -rf .venv* runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
