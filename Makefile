# Everything below needs python3 (3.11 or later), make and the package index; the first target makes .venv by itself.
VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: demo test lint format bench faults interop clean

demo: $(READY)  ## the main job on embedded defaults; FILE=path sends your own document, ONCE=1 ends by itself
	@$(PYTHON) -m demo

test: $(READY)  ## all tests
	$(PYTHON) -m pytest -n 2 --dist loadfile

lint: $(READY)  ## format, lint, types, import laws
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(READY)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(READY)  ## the numbers, as a table with ratios of one run
	@$(PYTHON) -m tests.perf

faults: $(READY)  ## thousands of kills, failures and power cuts
	@$(PYTHON) -m tests.faults.sweep

interop: $(READY)  ## foreign SOAP clients and oracles only
	$(PYTHON) -m pytest $(wildcard tests/integration/test_package_b_*.py) tests/integration/test_seal_oracles.py \
		tests/integration/test_edge_soap_bridge.py

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml
	@python3 -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Liên thông needs Python 3.11 or later")'
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@
