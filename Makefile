# make simulate and make test each make the environment first; they need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SMOKE := .smoke/$(notdir $(PYTHON))
export FLWR_TELEMETRY_ENABLED = 0
export FLWR_DISABLE_UPDATE_CHECK = 1
export RAY_USAGE_STATS_ENABLED = 0
# Tests start hundreds of processes, each of which would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: simulate figures unit quick test long live optional coverage smoke lint format bench clean

simulate: $(VENV)/ready
	$(BIN)/sealscore-sim run

figures: $(VENV)/ready
	for plan in uci_horizontal_eps1 uci_horizontal_eps2 uci_vertical_eps2 uci_vertical_eps2_label1 creators_eps2; do $(BIN)/sealscore-sim run $$plan --seeds 5 --json || exit 1; done

# Four loops, each with all of the one before it but for `long`: seconds at each save, minutes before a commit, all that
# continuous integration runs (24 minutes on two quiet cores), and what takes minutes a test. Files are handed to
# the workers whole; tests/support/scheduling.py says which of them run one at a time.
WORKERS := -n 2 --dist loadfile
# Without the accountants' figures, which are integrated anew.
UNIT := tests/test_scheduling.py tests/shared tests/compliance/pages \
	--ignore tests/shared/dp/test_accountant.py --ignore tests/shared/dp/test_noise_calibration.py
QUICK := -m "not slow and not live and not long"

unit: $(VENV)/ready
	$(BIN)/pytest $(QUICK) $(UNIT)

quick: $(VENV)/ready
	$(BIN)/pytest $(QUICK) $(WORKERS)

test: lint
	$(BIN)/pytest -m "not live and not long" $(WORKERS)

# Property and fuzz tests once more, with all of their examples.
long: $(VENV)/ready
	$(BIN)/pytest -m long
	SEALSCORE_EXAMPLES=all $(BIN)/pytest tests/fuzz tests/data/strange/test_properties.py

live: $(VENV)/ready
	$(BIN)/pytest -m live

# What needs packages too large for development (MLflow, ONNX Runtime): an environment of its own, beside the other.
optional: $(VENV)/ready
	$(PYTHON) -m venv $(SMOKE)-optional
	$(SMOKE)-optional/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(SMOKE)-optional/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,mlflow,onnx]'
	$(SMOKE)-optional/bin/pytest tests/simulations/tracking tests/simulations/exports

# Lines and branches of what parties must agree on and of the node, over the quick loop. The last line is of branches.
coverage: $(VENV)/ready
	$(BIN)/pytest $(QUICK) $(WORKERS) --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/coverage json --quiet -o .coverage.json
	$(BIN)/python -c 'import json; print("branches: {percent_branches_covered:.1f} %".format(**json.load(open(".coverage.json"))["totals"]))'

# Whether another Python will do: make smoke PYTHON=python3.12. An environment of its own, and the core of the quick tests.
smoke:
	$(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(SMOKE)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(SMOKE)/bin/pytest -m "not slow and not live and not long" tests/shared tests/test_public_api.py tests/test_extras.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready
	for name in step engine crypto ledger overhead features decide; do $(BIN)/python -m sealscore.simulations.bench $$name || exit 1; done

clean:
	rm -rf $(VENV) .smoke

# torch by its exact version first: a range would let pip choose a build far larger than the CPU needs.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sealscore needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
