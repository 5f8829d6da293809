# `make demo` and `make test` set up what they need. Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint setup bench clean

demo: $(VENV)/.demo
	$(BIN)/python demo.py

test: $(VENV)/.dev mosquitto chromium
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_export.py
	$(BIN)/python benchmarks/bench_runtime.py

setup: $(VENV)/.dev

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install -q --disable-pip-version-check -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@

# The tests talk to a real broker: Debian's mosquitto, installed with root's or sudo's rights where it is missing.
.PHONY: mosquitto
mosquitto:
	@command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || { \
	  echo "installing mosquitto (apt-get), which the tests use as their broker"; \
	  SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	  $$SUDO apt-get update -qq && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mosquitto; }

# They look at the live view with a real browser, and say so where there is none.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
	  echo "installing chromium (apt-get), with which the tests look at the live view"; \
	  SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	  $$SUDO apt-get update -qq && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } || \
	  echo "no chromium: the browser's test is skipped"

clean:
	rm -rf $(VENV) runs demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
