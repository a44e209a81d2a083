# make demo: the whole pipeline on this machine.  make test: every test that needs no account and no Docker.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL_AWS := $(VENV)/local_aws
REQUIREMENTS := requirements-dev.txt
export SAM_CLI_TELEMETRY := 0

.PHONY: help install demo test check format lock clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 28

install: $(VENV)/installed $(LOCAL_AWS)/installed  ## everything into .venv, from hash-pinned requirement files

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Millrace needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(LOCAL_AWS)/installed: local_aws/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(LOCAL_AWS)
	$(LOCAL_AWS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r local_aws/requirements.txt
	touch $@

demo: install  ## count the words of examples/documents on the embedded AWS
	$(BIN)/millrace local run --source examples/documents --destination build/demo

test: install  ## every test that needs no AWS account and no Docker
	$(BIN)/python -m pytest

check: install  ## linters, types, template, state machine
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock"
lock: install  ## pin every requirement file anew, with hashes
	$(BIN)/$(LOCK) requirements-dev.in -o requirements-dev.txt
	for part in batch_jobs functions console; do \
	  $(BIN)/$(LOCK) $$part/requirements.in -c requirements-dev.txt -o $$part/requirements.txt || exit 1; done
	$(BIN)/$(LOCK) local_aws/requirements.in -o local_aws/requirements.txt

clean:  ## remove what make made
	rm -rf $(VENV) .aws-sam build node_modules
