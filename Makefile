# Targets for people. Each is a thin line over a command that also works without make.

# The first Python that the lock is made for; `make setup PYTHON=...` names another.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c "" 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin

# Packages are installed without byte code; it is made, and must be kept, at first import.
unexport PYTHONDONTWRITEBYTECODE

MODEL ?=
UPSTREAM ?=
POLICIES ?= policies
PORT ?= 8000
NAME ?=

.DEFAULT_GOAL := help
.PHONY: help setup serve test lint format lock bench image clean

help:  ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make serve MODEL=<folder or hub id> UPSTREAM=<url of a guarded vLLM> POLICIES=<file or folder> PORT=8000"

setup:  ## install everything into .venv, at locked versions
	@test -n "$(PYTHON)" || { echo "setup: no python found; install python 3.11" >&2; exit 2; }
	@$(PYTHON) requirements/install.py

serve: setup  ## start vLLM with the guard, and the proxy on PORT
	@exec $(BIN)/unlearn-guard serve --policies "$(POLICIES)" --port "$(PORT)" \
		$(if $(MODEL),--model "$(MODEL)") $(if $(UPSTREAM),--upstream "$(UPSTREAM)")

# The real stack takes the whole machine, so what needs it runs after the rest, and alone.
test: lint  ## lint, type-check and run every test, the real stack included
	@$(BIN)/python -m pytest -m "not e2e" -n auto --maxprocesses 4 --dist loadfile; \
		rest=$$?; $(BIN)/python -m pytest -m e2e && exit $$rest

lint: setup  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## bring requirements/*.lock in line with pyproject.toml
	@$(PYTHON) requirements/lock.py

bench: setup  ## list the figures; NAME=<figure> measures one
	@$(BIN)/python -m load_tests $(NAME)

image:  ## build the proxy's image with buildah, and run it
	@docker/build_proxy_image.sh

clean:  ## remove what was built, and .venv; converted models stay in .cache
	rm -rf .venv .run build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
