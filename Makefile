# `make test` and `make demo` set up everything they need; see tools/set_up.py.
PYTHON ?= python3
TASK ?= cls
VENV := .venv/bin

.PHONY: help setup test demo lint clean

help:
	@echo 'make demo [TASK=cls]  train and attack a small defence of handwritten digits, about 5 minutes on 2 cores'
	@echo 'make test             run the tests'
	@echo 'make lint             ruff'
	@echo 'make setup            only make .venv'

setup:
	@$(PYTHON) tools/set_up.py

test: setup lint
	@OMP_NUM_THREADS=1 $(VENV)/python -m pytest -n 2

demo: setup
	@$(VENV)/python tools/demo.py --task $(TASK)

lint: setup
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .

clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache
