# make demo    set up, draw a slide, run the whole job on it, say where the report is
# make test    set up, then every check: format, lint, types, tests (the same in CI)
# make image   build the container image
# Needs Python 3.11 or newer; everything else comes into .venv/, with the versions of constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Two test processes with one thread each suit two cores; e.g. make test WORKERS=8
WORKERS ?= 2
DEMO_OUT ?= demo-out
IMAGE ?= renaltool
DOCKER ?= docker

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test lint format image clean

help:
	@sed -n '1,4s/^# //p' Makefile

# The stamps make a second call start at once; they are older than what they depend on after a change there.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("gloinone needs Python 3.11 or newer, this is %s; pass PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (torch is large: a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PIP) setuptools
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

setup: $(VENV)/ready

setup-dev: $(VENV)/ready-dev

demo: $(VENV)/ready
	$(BIN)/gloinone demo $(DEMO_OUT)

lint: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict gloinone

# pytest comes last, so that its summary is the last line.
test: lint
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

format: $(VENV)/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image:
	$(DOCKER) build --build-arg COMMIT="$$(git describe --always --abbrev=12 --exclude='*' --dirty=+)" --tag $(IMAGE) .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info $(DEMO_OUT)
