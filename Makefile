# make demo    set up, draw a slide, run the whole job on it, say where the report is
# make test    set up, then every check: format, lint, types, tests (the same in CI)
# make image   build the container image; image-tar, sbom, test-image: take it elsewhere, say what is inside, test it
# Needs Python 3.11 or newer; everything else comes into .venv/, with the versions of constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Two test processes with one thread each suit two cores; e.g. make test WORKERS=8
WORKERS ?= 2
DEMO_OUT ?= demo-out
IMAGE ?= renaltool
# The engine, with its options; e.g. make image DOCKER=podman
DOCKER ?= docker
IMAGE_OUT ?= dist/image
BILL := $(DOCKER) run --rm --network none --entrypoint tar $(IMAGE) -C /usr/share/doc/renaltool -c .

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test lint format image image-tar sbom test-image clean

help:
	@sed -n '1,4s/^# //p' Makefile

# The stamps make a second call start at once; they are older than what they depend on after a change there.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("gloinone needs Python 3.11 or newer, this is %s; pass PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import shutil; free = shutil.disk_usage(".").free / 1e9; free < 12 and print("only %.0f GB of disk are free here: setting up takes 12, of which 8 stay" % free)'
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
	$(BIN)/mypy --strict gloinone benchmarks

# pytest comes last, so that its summary is the last line.
test: lint
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

format: $(VENV)/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image:
	$(DOCKER) build --build-arg COMMIT="$$(git describe --always --abbrev=12 --exclude='*' --dirty=+)" --tag $(IMAGE) .

# For a machine without a registry: the image, what is inside it under which licences, and the sums of it all.
# Not compressed: some builds of podman and Apptainer cannot read a gzipped archive.
image-tar: image
	rm -rf $(IMAGE_OUT)
	mkdir -p $(IMAGE_OUT)
	$(DOCKER) save --output $(IMAGE_OUT)/renaltool.tar $(IMAGE)
	$(BILL) | tar -x -C $(IMAGE_OUT)
	cd $(IMAGE_OUT) && sha256sum *.* > SHA256SUMS
	@echo "copy $(IMAGE_OUT), then there: sha256sum --check SHA256SUMS && docker load --input renaltool.tar"

# The bill of materials of the image as it was built: python.cdx.json, debian.cdx.json, LICENSES.txt.
sbom:
	mkdir -p $(IMAGE_OUT)
	$(BILL) | tar -x -C $(IMAGE_OUT)

# Tests what `make image` built.
test-image: $(VENV)/ready-dev
	$(PIP) --constraint constraints-image.txt --no-build-isolation --editable '.[image]'
	PATH="$$PWD/$(BIN):$$PATH" ENGINE="$(DOCKER)" IMAGE="$(IMAGE)" $(BIN)/pytest -m container tests/container $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info $(DEMO_OUT)
