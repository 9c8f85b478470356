# Every target sets up what it needs. A second run is quick: stamps under .venv remember what is done.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help demo test unit lint types bench bench-full simulate proof test-redis-clients test-urllib3 fuzz mutate redis clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "clever_guard needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments: apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.package: $(VENV)/.made pyproject.toml
	@echo "installing clever_guard ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,emulator]'
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/.package  ## a fleet syncs a collection, bare and guarded, side by side
	@$(BIN)/clever-guard demo

test: lint types unit  ## lint, types and all tests

unit: $(VENV)/.dev redis
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-redis-clients: $(VENV)/.dev redis  ## the stores' tests with redis-py 5 to 8, valkey-py and a Valkey server (minutes)
	@$(BIN)/python tests/redis_clients.py

redis: $(VENV)/.dev
	@$(BIN)/python tests/_redis.py

lint: $(VENV)/.dev  ## ruff
	@$(BIN)/ruff check clever_guard tests benchmarks examples
	@$(BIN)/ruff format --check clever_guard tests benchmarks examples

types: $(VENV)/.dev  ## mypy strict and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright --warnings

$(VENV)/.bench: $(VENV)/.dev
	@echo "installing what the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

bench: $(VENV)/.bench redis  ## what it costs and what a fleet gets, beside other libraries (a minute)
	@$(BIN)/python -m benchmarks

bench-full: $(VENV)/.bench redis  ## the same with every contestant and scenario, and the pictures (an hour)
	@$(BIN)/python -m benchmarks --full

simulate: $(VENV)/.dev  ## 310 schedules of the simulated fleet
	@$(BIN)/python -m clever_guard.testing.simulate --seeds 310

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "installing atheris ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

MINUTES ?= 5
fuzz: $(VENV)/.fuzz  ## hostile input for every parser, guided by coverage (MINUTES=5 in all)
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

test-urllib3: $(VENV)/.dev  ## urllib3's own tests, bare and guarded (ten minutes)
	@$(BIN)/python -m tests.urllib3_suite $(TESTS)

$(VENV)/.mutation: $(VENV)/.dev
	@echo "installing mutmut ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutation
	@touch $@

mutate: $(VENV)/.mutation redis  ## faults put into the code one by one, MODULE=clever_guard.quota.pace or all (an hour)
	@$(BIN)/python -m tests.mutation $(MODULE)
proof: $(VENV)/.dev  ## 1000 schedules with random faults, and every interleaving of a small fleet (a minute)
	@$(BIN)/python -m clever_guard.testing.simulate faults --schedules 1000
	@$(BIN)/python -m clever_guard.testing.simulate exhaustive --states 20000

clean:  ## remove what was made here
	rm -rf $(VENV) .venv-clients .cache .fuzz mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
