SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
REPORTS := _build/tests
PROFILES ?= laptop
JOBS ?= 2
DEVICE ?=
ONLY ?=
SEEDS ?=
STEPS ?=
SAMPLE ?= 20
CHECKPOINTS ?=
WEIGHTS ?=
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

.PHONY: help book test site notebooks record verify bench mutants lint serve unit-tests notebook-tests site-tests

help:
	@echo "make book        install, run every notebook at smoke scale on a copy, build the book"
	@echo "make test        install, then unit tests, notebooks and the built site"
	@echo "make site        build the book from the stored outputs, running nothing"
	@echo "make notebooks   run the notebooks and refresh their stored outputs in place"
	@echo "make record      make the recorded runs that are missing or stale (PROFILES=laptop JOBS=2 ONLY= SEEDS= DEVICE= STEPS= CHECKPOINTS= WEIGHTS=)"
	@echo "make verify      train recorded runs again up to their first look: does today's code make them (SAMPLE=20 ONLY=)"
	@echo "make bench       measure what the mechanisms cost beside plain recurrent layers"
	@echo "make mutants     put wrong lines into a copy of the sources, one at a time, and say which no test notices (ONLY=)"
	@echo "make lint        ruff over source and notebooks"
	@echo "make serve       show the built book at http://localhost:8000"

# An environment whose Python is gone or older than 3.11 is made anew, even if all was installed into it.
SOUND := $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
ifneq ($(shell test ! -e .venv/.installed || $(SOUND) || echo unsound),)
.venv/.installed: FORCE
endif

.PHONY: FORCE
FORCE:

# The stamp is written last, so an install that failed is tried again.
.venv/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed, and there is no $(PYTHON) here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1): set PYTHON=python3.11 or newer." >&2; exit 1; }
	@rm -f $@
	@{ $(SOUND) && test -x $(BIN)/pip; } || $(PYTHON) -m venv --clear .venv
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
	@$(BIN)/python tests/not_checked.py $(REPORTS)/unit.xml $(REPORTS)/notebooks.xml $(REPORTS)/site.xml

unit-tests: .venv/.installed
	@echo "Unit tests"
	@$(BIN)/python -m pytest tests --ignore=tests/site -q -n 2 --jaxtyping-packages=companion,beartype.beartype \
		--junitxml=$(REPORTS)/unit.xml

notebook-tests: .venv/.installed
	@echo "Notebooks"
	@$(BIN)/python -m pytest notebooks -q -n 2 --dist loadfile -p tests.every_notebook --nbval-lax --nbval-current-env \
		--nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 300 --junitxml=$(REPORTS)/notebooks.xml

site-tests: .venv/.installed
	@echo "Site"
	@$(BIN)/python workflow/build.py site
	@COMPANION_SITE=_build/site $(BIN)/python -m pytest tests/site -q -n 2 --dist loadgroup \
		--junitxml=$(REPORTS)/site.xml

record: .venv/.installed
	@[[ "$(JOBS)" =~ ^[1-9][0-9]{0,3}$$ ]] || { echo "JOBS is '$(JOBS)'; it must be a whole number from 1 to 9999." >&2; exit 1; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --snakefile workflow/Snakefile --cores $(JOBS) \
		--config profiles="$(PROFILES)" device="$(DEVICE)" only="$(ONLY)" steps="$(STEPS)" seeds="$(SEEDS)" \
		checkpoints="$(CHECKPOINTS)" weights="$(WEIGHTS)"

verify: .venv/.installed
	@$(BIN)/python workflow/verify.py --sample $(SAMPLE) --only "$(ONLY)"

bench: .venv/.installed
	@$(BIN)/python benchmarks/remind.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/attend.py
	@$(BIN)/python benchmarks/ponder.py
	@$(BIN)/python benchmarks/together.py
	@$(BIN)/python benchmarks/paper_rows.py

mutants: .venv/.installed
	@$(BIN)/python workflow/mutants.py "$(ONLY)"

lint: .venv/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check src tests workflow benchmarks
