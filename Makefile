# make setup | demo | test | test-slow | check     (see README.md)
# PYTHON chooses the interpreter, LOGS=DIR gives the demo recordings of real robots, OUT its folder.
# ARGS adds options of pytest to `make test`.
PYTHON ?= python3
OUT ?= demo-out
VENV := .venv
STAMP := $(VENV)/.setup-done
BIN := $(VENV)/bin

.PHONY: setup demo test test-slow check format clean

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/setup.sh
	@touch $@

demo: setup
	$(BIN)/counterpoint demo --out "$(OUT)" $(if $(LOGS),--logs "$(LOGS)")

test: setup
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: setup
	$(BIN)/python -m pytest -n 2 -m "slow and not gpu"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/check_tree.py
	$(BIN)/codespell src docs tools $(wildcard benchmarks) README.md CHANGELOG.md
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy src tests tools $(wildcard benchmarks)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
