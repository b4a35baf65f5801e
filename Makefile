# `make test` and `make demo` set up everything they need; see tools/set_up.py.
PYTHON ?= python3
TASK ?= cls
VENV := .venv/bin

.PHONY: help setup test demo lint types coverage docs dist clean

help:
	@echo 'make demo [TASK=cls]  train and attack a small defense on handwritten digits, about 5 minutes on 2 cores'
	@echo 'make test             run the tests'
	@echo 'make lint             ruff and mypy'
	@echo 'make types            mypy: basic, strict over attacks, losses and the base of purifiers'
	@echo 'make coverage         run the tests and list the lines and branches that none of them reaches'
	@echo 'make docs             build the documentation site in site/'
	@echo 'make dist             build the sdist and the wheel in dist/'
	@echo 'make setup            only make .venv'

setup:
	@$(PYTHON) tools/set_up.py

test: setup lint
	@OMP_NUM_THREADS=1 $(VENV)/python -m pytest -n 2 --dist worksteal

demo: setup
	@$(VENV)/python tools/demo.py --task $(TASK)

lint: setup types
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .

types: setup
	@$(VENV)/mypy

coverage: setup
	@OMP_NUM_THREADS=1 $(VENV)/python -m pytest -n 2 --cov --cov-report=term

# The variable silences a notice of the theme about another program; warnings of the build itself are errors.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --strict

dist: setup
	@$(VENV)/python -m build --no-isolation

clean:
	rm -rf build dist site *.egg-info .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache
