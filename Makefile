# Two commands for a fresh machine that has Python 3.11 or newer and make.
#   make quickstart   set everything up and run a real search of about four minutes
#   make test         set everything up and check everything
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup quickstart test nightly lint benchmarks trust clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "attnas needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 2; }
	@echo "setting up .venv: about a minute"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch .venv/ready

quickstart: setup
	$(BIN)/attnas search configs/quickstart.yaml

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

nightly: setup
	@echo "2,000 random designs against the float64 reference model, and every file operation failed"
	@echo "in every way: about five minutes"
	ATTNAS_NIGHTLY=1 $(BIN)/python -m pytest tests/test_evaluator_model.py tests/test_results_faults.py

benchmarks: setup
	$(BIN)/python benchmarks/kernels.py --write
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/process_spread.py
	$(BIN)/python benchmarks/measuring_cost.py
	$(BIN)/python benchmarks/roofline.py --write

# An hour, and better on a machine that does nothing else.
trust: setup
	$(BIN)/python benchmarks/same_or_different.py
	$(BIN)/python benchmarks/repeatability.py

clean:
	rm -rf .venv build dist
