# Two commands matter: `make demo` and `make test`. Everything here sets up what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# Any Python 3 with venv starts the set-up; uv then finds (or fetches) the one the project runs on.
BOOTSTRAP_PYTHON ?= python3
PYTHON ?= >=3.11,<3.13
PORT ?= 4566
# make local FRESH=1 forgets what the last local AWS kept.
AFRESH = $(if $(FRESH),--fresh)

STATE := .nestbox
UV := $(STATE)/uv/bin/uv
DEV := .venv
SETUP := $(STATE)/stamp/dev $(STATE)/stamp/sam $(STATE)/stamp/detector $(STATE)/stamp/dataprep
LOCKS := requirements/dev requirements/sam layers/dependencies/requirements layers/imaging/requirements \
         detector/requirements detector/requirements-gpu dataprep_job/requirements benchmarks/peer/requirements
PACKAGES := layers/nestbox/python/nestbox evaluation cli local dataprep_job detector benchmarks

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- set-up: four environments, each from its own lock file -------------------------------------
.PHONY: setup
setup: $(SETUP) ## Make the environments; done once, instant afterwards

$(UV): requirements/uv.txt
	@echo "setting up: uv"
	@$(BOOTSTRAP_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 8))' \
	  || { echo "a Python 3.8 or newer is needed to start (set BOOTSTRAP_PYTHON=...)"; exit 1; }
	@$(BOOTSTRAP_PYTHON) -m venv --clear $(STATE)/uv
	@$(STATE)/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# $(1) folder, $(2) lock file
define environment
	@echo "setting up: $(1)"
	@mkdir -p $(STATE)/stamp
	@$(UV) venv --quiet --clear --python '$(PYTHON)' $(1)
	@$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(2)
endef

$(STATE)/stamp/dev: requirements/dev.txt pyproject.toml $(UV)
	$(call environment,$(DEV),$<)
	@$(UV) pip install --quiet --python $(DEV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(STATE)/stamp/sam: requirements/sam.txt $(UV)
	$(call environment,$(STATE)/env/sam,$<)
	@touch $@

$(STATE)/stamp/detector: detector/requirements.txt $(UV)
	$(call environment,$(STATE)/env/detector,$<)
	@touch $@

$(STATE)/stamp/dataprep: dataprep_job/requirements.txt $(UV)
	$(call environment,$(STATE)/env/dataprep,$<)
	@touch $@

# The detector's peer; only the benchmark against it needs this one.
$(STATE)/stamp/peer: benchmarks/peer/requirements.txt $(UV)
	$(call environment,$(STATE)/env/peer,$<)
	@touch $@

.PHONY: lock
lock: $(UV) ## Resolve every lock file again from its .in file
	for lock in $(LOCKS); do \
	  constraint=$$([ $$lock = requirements/dev ] || [ $$lock = requirements/sam ] || echo "--constraint requirements/dev.txt"); \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-header $$constraint $$lock.in --output-file $$lock.txt; done

# ---- run ----------------------------------------------------------------------------------------
.PHONY: demo
demo: setup ## The whole chain on this machine: upload, prepare, train, judge, serve, detect (DATA=folder DATASET=name)
	@DATA="$(DATA)" DATASET="$(DATASET)" $(DEV)/bin/python -m local.demo --port $(PORT) $(AFRESH)

.PHONY: local
local: setup ## Start the local AWS where it ended (FRESH=1: anew), deploy the stack to it; keep both up
	@$(DEV)/bin/python -m local.deploy --port $(PORT) $(AFRESH)

.PHONY: stop
stop: ## Stop the local AWS and everything running on it; what it holds stays, until make clean
	@if [ -x $(DEV)/bin/python ]; then $(DEV)/bin/python -m local down; else echo "nothing is set up, so nothing is running"; fi

# ---- check --------------------------------------------------------------------------------------
.PHONY: test
test: setup lint ## Lint, type-check and run every test: unit, integration, end to end
	@$(DEV)/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

ROUNDS ?= 10
.PHONY: soak-local
soak-local: setup ## ROUNDS of runs on the local AWS in which jobs and the whole of it are killed at random
	@NESTBOX_SOAK_ROUNDS=$(ROUNDS) $(DEV)/bin/python -m pytest tests/e2e/test_survival.py --timeout 3600

.PHONY: lint lint-python lint-template
lint: setup ## ruff, mypy --strict, cfn-lint, sam validate --lint
	@$(MAKE) --no-print-directory --jobs 2 lint-python lint-template
lint-python:
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/mypy $(PACKAGES) functions
lint-template:
	@$(DEV)/bin/cfn-lint template.yaml
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(STATE)/env/sam/bin/sam validate --lint

.PHONY: format
format: setup ## Format the code
	@$(DEV)/bin/ruff check --fix .
	@$(DEV)/bin/ruff format .

.PHONY: docs
docs: setup ## Write docs/defects.md from the registry of defects
	@$(DEV)/bin/python -m dataprep_job.defect_kinds > docs/defects.md

.PHONY: soak
soak: setup ## Play 10,000 random schedules of faults on all cores (SEEDS=n, FIRST=n; tell one: STORY=seed)
	@PYTHONPATH=tests $(DEV)/bin/python -m simulation \
	  $(if $(STORY),--story $(STORY),--seeds $(or $(SEEDS),10000) --first $(or $(FIRST),0))

.PHONY: mutate
mutate: setup ## Take out every guard and condition of the steps, one at a time: which test notices? (ONLY=module, AGAIN=1: also those noticed before)
	@PYTHONPATH=tests $(DEV)/bin/python -m simulation.mutants $(if $(AGAIN),--again) $(if $(ONLY),--only $(ONLY))

.PHONY: bench bench-pack bench-detector bench-speed bench-accuracy bench-peer bench-api bench-evaluation bench-runs
bench: bench-pack bench-detector bench-api bench-evaluation bench-runs ## Measure everything against its goal
bench-detector: bench-speed bench-accuracy bench-peer ## The detector's three parts, each a target of its own
bench-pack bench-speed bench-accuracy bench-peer bench-api bench-evaluation: bench-%: setup
	@$(DEV)/bin/python -m benchmarks $*
bench-peer: $(STATE)/stamp/peer

# Not a part of bench-detector: it needs datasets that nobody here tuned by.
.PHONY: bench-rules
bench-rules: setup ## The rules against hand-tuned runs, on NESTBOX_OTHER_DATA=folder:folder
	@$(DEV)/bin/python -m benchmarks rules

# Measures the runs of the stack that is up, so there must be one.
bench-runs: setup
	@$(DEV)/bin/python -m local status >/dev/null || $(MAKE) demo
	@$(DEV)/bin/python -m benchmarks runs

.PHONY: clean
clean: stop ## Remove everything the set-up and the runs made
	rm -rf $(DEV) $(STATE) .aws-sam out
