# Everything sets itself up in .venv the first time; `make PYTHON=python3.12 test` chooses another Python (3.11 or later).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: help demo test lint types bench recipes docs clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.run ## Draw pictures for the demo catalogue, offline; everything lands in demo-out/
	$(BIN)/catalog-gen demo $(ARGS)

# One thread a worker: torch in several processes would fight for the cores. A file's tests share what they set up.
test: $(VENV)/.dev ## Run the tests (ARGS="-k import" for some)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev ## Check the code's style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Check the package's types, strictly
	$(BIN)/mypy

bench: $(VENV)/.dev ## Measure images a second: generator, generator with encoding, the whole job
	$(BIN)/python tests/bench.py $(ARGS)

recipes: $(VENV)/.dev ## Train and score the recipes of docs/recipes.md (hours; ARGS="--config FILE --work FOLDER")
	$(BIN)/python tests/recipes.py $(ARGS)

docs: $(VENV)/.dev ## Write docs/commands.md from the program itself
	$(BIN)/python tests/docs/command_pages.py

clean: ## Remove the virtual environment, caches and the demo's output
	rm -rf $(VENV) demo-out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "catalog-gen needs Python 3.11 or later. Choose one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "The venv module is missing (Debian: apt-get install python3-venv)." >&2; exit 1; }

# A stamp is written only after the whole installation: one that was interrupted is simply continued.
$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV); the first time downloads PyTorch and may take some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV) for the tests; the first time downloads PyTorch and may take some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run
