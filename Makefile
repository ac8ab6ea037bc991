SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PROFILES ?= laptop
JOBS ?= 2
DEVICE ?=
ONLY ?=
STEPS ?=
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

.PHONY: help book test site notebooks record bench mutants lint serve unit-tests notebook-tests site-tests

help:
	@echo "make book        install, run every notebook at smoke scale on a copy, build the book"
	@echo "make test        install, then unit tests, notebooks and the built site"
	@echo "make site        build the book from the stored outputs, running nothing"
	@echo "make notebooks   run the notebooks and refresh their stored outputs in place"
	@echo "make record      make the recorded runs that are missing or stale (PROFILES=laptop JOBS=2 ONLY= DEVICE= STEPS=)"
	@echo "make bench       measure what the mechanisms cost beside plain recurrent layers"
	@echo "make mutants     put wrong lines into a copy of the sources, one at a time, and say which no test notices (ONLY=)"
	@echo "make lint        ruff over source and notebooks"
	@echo "make serve       show the built book at http://localhost:8000"

# The stamp is written last, so an install that failed is tried again.
.venv/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed, and there is no $(PYTHON) here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1): set PYTHON=python3.11 or newer." >&2; exit 1; }
	@rm -f $@
	@test -x $(BIN)/python -a -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[book,test,record]"
	@touch $@

.venv/.installed-dev: .venv/.installed
	@rm -f $@
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

book site notebooks: .venv/.installed
	@$(BIN)/python workflow/build.py $@

serve:
	@$(PYTHON) workflow/build.py serve

test: .venv/.installed
	@$(MAKE) unit-tests
	@$(MAKE) notebook-tests
	@$(MAKE) site-tests

unit-tests: .venv/.installed
	@echo "Unit tests"
	@$(BIN)/python -m pytest tests --ignore=tests/site -q -n 2 --jaxtyping-packages=companion,beartype.beartype

notebook-tests: .venv/.installed
	@echo "Notebooks"
	@$(BIN)/python -m pytest notebooks -q -n 2 --dist loadfile -p tests.every_notebook --nbval-lax --nbval-current-env \
		--nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 300

site-tests: .venv/.installed
	@echo "Site"
	@$(BIN)/python workflow/build.py site
	@COMPANION_SITE=_build/site $(BIN)/python -m pytest tests/site -q -n 2

record: .venv/.installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --snakefile workflow/Snakefile --cores $(JOBS) \
		--config profiles="$(PROFILES)" device="$(DEVICE)" only="$(ONLY)" steps="$(STEPS)"

bench: .venv/.installed
	@$(BIN)/python benchmarks/remind.py
	@$(BIN)/python benchmarks/attend.py
	@$(BIN)/python benchmarks/ponder.py
	@$(BIN)/python benchmarks/paper_rows.py

mutants: .venv/.installed
	@$(BIN)/python workflow/mutants.py "$(ONLY)"

lint: .venv/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check src tests workflow benchmarks
