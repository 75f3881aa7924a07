# Needs python3 (3.11 or later), pip and make. PYTHON=python3.12 make … picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test test-studio test-all fuzz lint bench bench-ci-update clean
help:
	@echo "make demo      set everything up and style the bundled street clip into results/"
	@echo "make test      set everything up and run the tests"
	@echo "make test-all  run the slow tests as well"
	@echo "make test-studio"
	@echo "               drive the studio's page in a browser (screenshots in work/studio)"
	@echo "make fuzz      read 10,000 files that were changed at random (some minutes; FUZZ='--seed 7 --kind media')"
	@echo "make lint      run ruff, mypy and the import rules"
	@echo "make bench     measure stability on the rendered clips and compare it with results/stability.json"
	@echo "               (a quarter of an hour on two cores)"
	@echo "make bench-ci-update"
	@echo "               measure results/stability_ci.json anew, after a change that is meant to move its figures"
	@echo "make clean     remove the virtual environment, builds and caches"

# uv installs everything in half a minute, pip in two minutes. If uv cannot be installed, pip does it.
$(STAMP): pyproject.toml setup.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: install it and run make again"; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "segnst needs Python 3.11 or later; try PYTHON=python3.12 make $(MAKECMDGOALS)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
		$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -e '.[dev]' || \
		$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

setup: $(STAMP)

demo: $(STAMP)
	@mkdir -p results
	$(BIN)/segnst style videos/street.mp4 -o results/street_demo.mp4 --sheet results/street_demo.png --overwrite \
		-s car=starry_night -s background=great_wave

# Two processes with one thread each are quicker than one with two: much of a test is starting up.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# In a browser: Chromium as the system has it, else the one that Playwright fetches.
test-studio: $(STAMP)
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python playwright || $(BIN)/python -m pip install --quiet playwright
	@command -v chromium chromium-browser google-chrome >/dev/null || $(BIN)/python -m playwright install chromium || true
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m studio tests/studio

test-all: $(STAMP)
	$(BIN)/python -m pytest -m "slow or not slow" --timeout 3600 --ignore tests/studio/test_page.py
	$(MAKE) test-studio
	$(BIN)/python -m tests.fuzz --seconds 60 --keep work/fuzz

FUZZ := --count 10000 --seed 1
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(FUZZ) --keep work/fuzz

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check segnst tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# docs/measuring.md explains the figures. RAFT and VGG19 are fetched if they are needed and missing.
bench: $(STAMP)
	$(BIN)/segnst bench stability --frames 60 -o results $(if $(wildcard results/stability.json),--against results/stability.json)

# A short version of the benchmark that `make test` compares with. Run it when a change is meant to move the figures.
BENCH_CI := videos/street.mp4 -s starry_night_single --methods segnst --frames 8 --max-size 320 --offline
bench-ci-update: $(STAMP)
	$(BIN)/segnst bench stability $(BENCH_CI) --quiet -o work/bench_ci
	cp work/bench_ci/stability.json results/stability_ci.json

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
