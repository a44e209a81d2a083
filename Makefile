# make demo: the whole pipeline on this machine.  make test: every test that needs no account and no Docker.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL_AWS := $(VENV)/local_aws
SECURITY := $(VENV)/security
DEPLOY := $(VENV)/deploy
IMAGE_TOOLS := $(VENV)/image
REQUIREMENTS := requirements-dev.txt
# What only npm has, linters of the state machine and axe-core; pinned by package-lock.json.
NPM_PACKAGES := node_modules/.package-lock.json
export SAM_CLI_TELEMETRY := 0

.PHONY: help install demo test test-long coverage test-memory test-container test-browser test-stepfunctions-local test-second-engine test-aws test-aws-rehearsal test-aws-clean verified bench bench-quick screenshots picture site links
.PHONY: simulate check rules format dist image push deploy lock clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 28

install: $(VENV)/installed $(VENV)/compiled $(LOCAL_AWS)/installed  ## everything into .venv, from hash-pinned requirement files

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Millrace needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Where it cannot be compiled, Python counts: slower, and the tests of the library fail.
$(VENV)/compiled: $(wildcard batch_jobs/native/*.c) batch_jobs/native/c_source.py $(VENV)/installed
	$(BIN)/python -m batch_jobs.native.compiling > $@ || { rm $@; exit 1; }

$(LOCAL_AWS)/installed: local_aws/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(LOCAL_AWS)
	$(LOCAL_AWS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r local_aws/requirements.txt
	touch $@

demo: install  ## count the words of examples/documents on the embedded AWS
	$(BIN)/millrace local run --source examples/documents --destination build/demo --max-items 3

# 0: one process, one test after the other, as a debugger needs it.
TEST_PROCESSES ?= 2
TESTS ?=
LINTERS_OF_TESTS := install $(if $(shell command -v npm),node_modules/.package-lock.json)
test: $(LINTERS_OF_TESTS)  ## the tests that need no AWS account and no Docker, without the longest (TESTS="folder ...")
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) -m "not long" $(TESTS)

test-long: $(LINTERS_OF_TESTS)  ## the longest tests: deployments of other stacks, every permission taken away once, 10,000 items, 400 seeds, the mutants
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) -m long $(TESTS)

coverage: $(LINTERS_OF_TESTS)  ## the unit tests, and how much of the code they run; the floor is in pyproject.toml
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) -m "not long" tests/unit --cov

FUZZ_ROUNDS ?= 100000
test-memory:  ## the C source on random input, under the sanitizers of the compiler cc (gcc or clang)
	mkdir -p build
	$(CC) -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -o build/word_table_fuzz tests/memory/word_table_fuzz.c
	build/word_table_fuzz $(FUZZ_ROUNDS) $$RANDOM

test-stepfunctions-local: install  ## the state machine's cases on AWS Step Functions Local (needs Docker)
	docker compose up --detach stepfunctions
	set -o pipefail; trap 'docker compose down' EXIT; \
	for _ in $$(seq 60); do curl --silent --output /dev/null http://127.0.0.1:8083/ && break; sleep 0.5; done; \
	MILLRACE_STEP_FUNCTIONS_URL=http://127.0.0.1:8083 $(BIN)/python -m pytest tests/statemachine

# The real check, for whoever has an account: docs/test-aws.md. PLAN=1 lists what would be made, and the dollars.
PLAN ?=
STAGES ?=
ONLY ?=
PARTS = $(if $(ONLY),--only "$(ONLY)") $(if $(STAGES),--stages $(STAGES))
test-aws: install  ## Millrace on a real account, for under a dollar (MILLRACE_AWS_ACCOUNT, MILLRACE_AWS_REGION; PLAN=1: a dry run)
	$(BIN)/python -m tests.aws $(if $(PLAN),--plan) $(PARTS)

test-aws-rehearsal: install  ## the same on an embedded AWS that stands for the account (STAGES=2 ONLY="reuse or uploads")
	$(BIN)/python -m tests.aws --rehearse $(PARTS)

test-aws-clean: install  ## delete what a run of test-aws that was killed has left, by its tag
	$(BIN)/python -m tests.aws.cleaning

TAKE ?=
verified: install  ## write docs/verified.md; TAKE=build/test-aws takes a run on a real account over
	$(BIN)/python -m tests.verified $(if $(TAKE),--take $(TAKE))

# LocalStack's interpreter needs a Python of 3.13 or newer (its annotations say `Lock | None`), and pins much: an environment of its own.
SECOND_ENGINE := $(VENV)/second_engine
$(SECOND_ENGINE)/installed: tests/second_engine/requirements.txt | $(VENV)/bin/python
	python=$$($(BIN)/python -m tests.second_engine.engine) && $$python -m venv $(SECOND_ENGINE)
	$(SECOND_ENGINE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/second_engine/requirements.txt
	touch $@

test-second-engine: install $(SECOND_ENGINE)/installed  ## the state machine's cases and whole runs on an interpreter that is not ours (needs Python 3.13)
	MILLRACE_STEP_FUNCTIONS_URL=second-engine $(BIN)/python -m pytest --numprocesses=0 tests/statemachine tests/second_engine

test-container: install $(IMAGE_TOOLS)/installed  ## the job image, and the jobs as its containers (needs Docker)
	$(BIN)/python -m pytest tests/container

test-browser: install $(NPM_PACKAGES)  ## the pages in a headless Chromium, which must be installed (needs Node.js)
	$(BIN)/python -m pytest tests/browser

screenshots: install  ## the pictures in docs/screenshots, from real runs (needs Chromium)
	$(BIN)/python docs/take_screenshots.py

# MkDocs and the terminal of the README's picture: an environment of their own.
SITE := $(VENV)/site
$(SITE)/installed: docs/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r docs/requirements.txt
	touch $@

picture: install $(SITE)/installed  ## docs/screenshots/demo.svg, the README's moving picture, from a real run
	$(SITE)/bin/python docs/record_demo.py

site: $(SITE)/installed  ## the documentation as a site in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict

links: install  ## every link that leads out of the docs, and which are broken (needs the web; no part of make check)
	$(BIN)/python -m checks.links

$(NPM_PACKAGES): package.json package-lock.json .npmrc
	@command -v npm > /dev/null || { echo "this needs Node.js 18 or newer, with npm" >&2; exit 1; }
	npm ci --no-progress
	touch $@

SEEDS ?= 2000
simulate: install  ## SEEDS=2000: disturbed runs, one per seed, each checked by adding up (docs/simulator.md)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --processes 2

# checkov and parliament pin much: an environment of their own.
$(SECURITY)/installed: checks/security/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(SECURITY)
	$(SECURITY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r checks/security/requirements.txt
	touch $@

# cdk-preflight asks for the whole of aws-cdk-lib; only its rules are read.
$(DEPLOY)/installed: checks/template/deploy-requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r checks/template/deploy-requirements.txt
	touch $@

check: install $(NPM_PACKAGES) $(SECURITY)/installed $(DEPLOY)/installed site  ## linters, types, template, state machine (needs Node.js)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/check-yaml --unsafe *.yaml image/*.yaml $(wildcard stacks/*.yaml)
	$(BIN)/hadolint --failure-threshold warning batch_jobs/Dockerfile examples/*/Dockerfile
	$(BIN)/sam validate --lint --region us-east-1
	$(BIN)/python -m checks

rules: install $(SECURITY)/installed $(DEPLOY)/installed  ## the public rule packs over the template; checks/exceptions.py has what is meant to be so
	$(BIN)/python -m checks cloudformation deploy_failures security

DIST := build/dist
dist: install  ## a wheel and an sdist in build/dist, as an index would take them
	rm -rf $(DIST)
	$(BIN)/python -m build --no-isolation --outdir $(DIST) .
	$(BIN)/python -m twine check --strict $(DIST)/*

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The image tool has an environment of its own beside the project's: its bill of materials is written by cyclonedx-bom.
$(IMAGE_TOOLS)/installed: image/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(IMAGE_TOOLS)
	$(IMAGE_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r image/requirements.txt
	touch $@

BASE_IMAGE ?=
EXTRAS ?=
PLATFORM ?= linux/amd64
SOURCE ?=
BUILD_NETWORK ?=
image: install $(IMAGE_TOOLS)/installed  ## build the job image; its bill of materials goes to build/image/ (needs Docker)
	$(BIN)/python -m image build --base "$(BASE_IMAGE)" --extras "$(EXTRAS)" --platform "$(PLATFORM)" --source "$(SOURCE)" \
	  --network "$(BUILD_NETWORK)"

IMAGES_STACK ?= millrace-images
push: image  ## build it and push it to the account's repository, made by the stack IMAGES_STACK; prints its digest
	$(BIN)/python -m image push --stack $(IMAGES_STACK)

STACK ?= millrace
PARAMETERS ?=
# One word, with its quotes: sam itself takes it apart, and a value with blanks in it stays whole.
OVERRIDES = $(if $(PARAMETERS),'$(subst ','\'',$(PARAMETERS))')
IMAGE ?=
TAGS ?=
deploy: install $(if $(IMAGE),,push)  ## deploy the stack STACK with IMAGE or a new image, and PARAMETERS="Name=value ..." (needs an AWS account)
	$(BIN)/python -m console.deploy.former_parameters $(STACK) $(OVERRIDES)
	runtime=$$($(BIN)/python -m console.find.deployed_runtime $(STACK)) || exit; \
	  $(BIN)/sam build $${runtime:+--parameter-overrides} $(if $(PARAMETERS),$${runtime:---parameter-overrides} $(OVERRIDES),$$runtime)
	$(BIN)/sam deploy --stack-name $(STACK) $(if $(TAGS),--tags $(TAGS)) --parameter-overrides "Image=$(or $(IMAGE),$$(cat build/image/uri))" $(OVERRIDES)

# The peers that word-count is measured against live in an environment of their own.
BENCH := $(VENV)/bench
BENCH_PYTHON := PYTHONPATH=.:layer/python $(BENCH)/bin/python
$(BENCH)/installed: benchmarks/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.txt
	touch $@

# word-count needs its compiled table here too; what is measured goes into docs/performance.md and its plots.
MEASURED := build/benchmarks
TEXTS ?=
bench: install $(BENCH)/installed  ## how fast it is, beside what else there is, into docs (half an hour; TEXTS=folder)
	rm -rf $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.word_count.peers $(if $(TEXTS),--texts $(TEXTS)) --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.shard_memory --megabytes 4096 --kinds english multilingual --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.shard_memory --megabytes 1024 --concurrency 1 4 --connection 80 --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.small_objects.cost_per_item --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.small_objects.comparison --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.small_objects.comparison --objects 20000 --plain --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.planning.planning --objects 100000 1000000 10000000 --output $(MEASURED)
	$(BIN)/python -m benchmarks.reuse --objects 100000 --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.merging --partials 10 100 1000 10000 --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.csv_to_dynamodb --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.images --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.paces --output $(MEASURED)
	$(BIN)/python -m benchmarks.pages --output $(MEASURED)
	$(BENCH_PYTHON) -m benchmarks.document $(MEASURED)

bench-quick: install $(BENCH)/installed  ## the same on less, in under a minute, printed only
	$(BENCH_PYTHON) -m benchmarks.word_count.peers --megabytes 8 --rounds 1 --kinds english
	$(BENCH_PYTHON) -m benchmarks.shard_memory --megabytes 256 --concurrency 4
	$(BENCH_PYTHON) -m benchmarks.small_objects.cost_per_item --items 10 1000
	$(BENCH_PYTHON) -m benchmarks.small_objects.comparison --objects 1000
	$(BENCH_PYTHON) -m benchmarks.planning.planning --objects 100000
	$(BIN)/python -m benchmarks.reuse --objects 10000 --percent 1 --kinds inserted changed --workloads word-count
	$(BENCH_PYTHON) -m benchmarks.merging --partials 10 --parts-of 10
	$(BENCH_PYTHON) -m benchmarks.csv_to_dynamodb --rows 20000
	$(BENCH_PYTHON) -m benchmarks.images --pictures 1 --rounds 3 --no-memory

LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock"
lock: install  ## pin every requirement file anew, with hashes
	$(BIN)/$(LOCK) requirements-dev.in -o requirements-dev.txt
	for part in batch_jobs/requirements batch_jobs/requirements-images batch_jobs/requirements-compiler batch_jobs/requirements-parquet batch_jobs/requirements-quantiles functions/requirements console/requirements console/requirements-sam benchmarks/requirements; do \
	  $(BIN)/$(LOCK) $$part.in -c requirements-dev.txt -o $$part.txt || exit 1; done
	$(BIN)/$(LOCK) local_aws/requirements.in -o local_aws/requirements.txt
	$(BIN)/$(LOCK) checks/security/requirements.in -o checks/security/requirements.txt
	$(BIN)/$(LOCK) --no-deps checks/template/deploy-requirements.in -o checks/template/deploy-requirements.txt
	$(BIN)/$(LOCK) image/requirements.in -o image/requirements.txt
	$(BIN)/$(LOCK) docs/requirements.in -o docs/requirements.txt
	$(BIN)/$(subst 3.11,3.13,$(LOCK)) tests/second_engine/requirements.in -o tests/second_engine/requirements.txt

clean:  ## remove what make made
	rm -rf $(VENV) .aws-sam build node_modules
