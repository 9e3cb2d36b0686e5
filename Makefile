# Everything needed is python3 >= 3.11 and make: uv is bootstrapped into .venv and installs the rest.
# `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
INSTALL := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest -q
FAST := $(PYTEST) -n 2 --dist loadfile --max-worker-restart 0 -m "not slow and not browser and not servers"
# Only the files with such tests: importing all others takes longer than some of these tests.
FILES_WITH = $(shell grep -rl --include='test_*.py' -e 'mark\.$(1)\b' tests)
KERNELS := $(shell grep -rl --include='*.py' -e 'import .*kernel\b' gnn graph scorer 2>/dev/null)
PORT ?= 8000
SEED ?= 1
KILLS ?= 200

# kglite and LightGBM in one process, as tests have them, need more room for thread-local storage
# than glibc keeps for libraries that are loaded later (scorer/alternatives/train_extra.py).
export GLIBC_TUNABLES ?= glibc.rtld.optional_static_tls=4096

# Without bytecode each process of the tests compiles every module again: ten seconds each.
unexport PYTHONDONTWRITEBYTECODE

BESIDE := $(MAKE) --no-print-directory --jobs 2
# Each says all it has to say at once, where make can hold it back (4.0 on).
IN_TURN := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help setup demo test test-waiting test-working check check-style check-types check-tests bench chaos servers servers-stop servers-status env format constraints clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.warm ## install what the engine needs and compile its kernels (a second run is a no-op)

demo: $(VENV)/.warm ## train, serve and stream a simulated city until a ring grows on http://127.0.0.1:8000
	$(BIN)/ringfence demo --port $(PORT) --data .cache/demo

test: $(VENV)/.tested $(VENV)/.warm ## the whole test suite; what needs a server runs where `make servers` did
	$(FAST)
	$(BESIDE) test-waiting test-working
	$(PYTEST) -m alone $(call FILES_WITH,alone)

# Beside each other, and each one test at a time: what waits for servers and a browser most of the
# time, and what fills a processor or kills what does.
test-waiting:
	$(PYTEST) -m servers
	$(PYTEST) -m "browser and not servers" $(call FILES_WITH,browser)
test-working:
	$(PYTEST) -m "slow and not browser and not servers and not alone"

check: check-style ## format, lint, types, import contracts, fast tests
	$(BESIDE) $(IN_TURN) check-types check-tests

check-style: $(VENV)/.tested $(VENV)/.warm
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# Beside each other: mypy keeps one core busy, for half a minute where it has no cache yet.
check-types:
	$(BIN)/mypy
check-tests:
	$(FAST) --hypothesis-profile=check

bench: $(VENV)/.tested $(VENV)/.warm ## ours and a named alternative on the same input, one after the other
	$(BIN)/ringfence bench window
	$(BIN)/ringfence bench window --hub
	$(BIN)/ringfence bench score
	$(BIN)/ringfence bench score --hub
	$(BIN)/ringfence bench explain
	$(BIN)/ringfence bench http

chaos: $(VENV)/.tested $(VENV)/.warm ## kill worker, broker, Neo4j and Redis KILLS times at random (SEED), then judge; CHAOS=--short
	$(BIN)/python tests/chaos/campaign.py --seed $(SEED) --kills $(KILLS) $(CHAOS)

servers: ## start Kafka, Neo4j, Redis and PostgreSQL as local processes and wait until they answer
	deploy/local/servers start

servers-stop: ## stop them; their data stay in .cache/servers
	deploy/local/servers stop

servers-status: ## say which of them answer, and where
	deploy/local/servers status

env: ## write .env with new passwords for docker-compose.yml; refuses to overwrite
	deploy/env

format: $(VENV)/.tested ## write the code the way `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: $(UV) ## resolve constraints.txt anew, for Linux, macOS and Windows and Python 3.11 to 3.13
	$(UV) pip compile --quiet --universal --python-version 3.11 --extra test \
		--extra train --no-header --no-annotate --upgrade pyproject.toml --output-file constraints.txt

clean: ## remove the environment, the caches and the demo's data
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Ringfence needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: pyproject.toml constraints.txt | $(UV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) --excludes deploy/without-gpu.txt --editable '.[test]'
	@touch $@

# Numba's cache does not notice a change of a callee in another file, so a change of any kernel
# clears all of it.
$(VENV)/.warm: $(VENV)/.installed $(KERNELS)
	@find gnn graph scorer ingest -name '*.nb[ic]' -delete
	$(BIN)/ringfence warm
	@touch $@
