# Everything a developer types. Asks for Python 3.11+ and make; everything else comes from the lock.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SUFFIXES:

BIN := .venv/bin
# Test processes. Many tests wait for a process or a second to pass: two more than two cores take is full use.
WORKERS ?= 4
# Simulated worlds.
SEEDS ?= 1000
# Random examples of each sort.
EXAMPLES ?= 200
# make scale: rows that nobody serves, and lists.
ROWS ?= 5000000
LISTS ?= 50000
# Python keeps what it compiled, also where the shell says that it should not: pytest rewrites each test's asserts, which
# takes ten seconds of a processor in each test process.
export PYTHONDONTWRITEBYTECODE :=
# Passed on: make test ARGS="tests/unit -k retry", make run ARGS=--ephemeral
ARGS ?=
# make chaos MINUTES=60 SEED=7
MINUTES ?= 10
SEED ?=
# make install PYTHON=/path/to/python takes that one instead of the newest found.
PYTHON ?=

.PHONY: help
help: ## Show these lines
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: ## Create .venv with everything below needs; at once when it is there
	@PYTHON='$(PYTHON)' tools/install

.PHONY: run
run: install ## PostgreSQL, Valkey, the API on http://127.0.0.1:8000 and a consumer; Ctrl-C stops all of it
	@$(BIN)/sluice up $(ARGS)

.PHONY: test
test: install ## The whole test suite; what it takes too long for is in make scale, simulate, fuzz and chaos
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore tests/scale $(ARGS)

.PHONY: scale
scale: install ## Statements beside millions of rows and many lists: make scale ROWS=5000000 LISTS=50000
	@SLUICE_TEST_ROWS='$(ROWS)' SLUICE_TEST_LISTS='$(LISTS)' $(BIN)/python -m pytest tests/scale $(ARGS)

.PHONY: simulate
simulate: install ## Simulated worlds with seeded faults: make simulate SEEDS=5000
	@tools/simulate --seeds $(SEEDS) $(ARGS)

.PHONY: fuzz
fuzz: install ## Random requests, events and rows, more of them than the suite has: make fuzz EXAMPLES=2000
	@SLUICE_EXAMPLES='$(EXAMPLES)' $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
		tests/property tests/conformance/test_differential.py tests/api/test_fuzz.py $(ARGS)

.PHONY: lint
lint: install ## Style, types, layers, file lengths, shell, image and compose files
	@tools/lint

.PHONY: fmt
fmt: install ## Format, and mend what can be mended without thought
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: bench
bench: install ## Measure drain, submit and latency beside their limits on this machine
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-peers
bench-peers: install ## Measure a drain beside other queues, each in an environment of its own
	@$(BIN)/python -m benchmarks.peers $(ARGS)

.PHONY: report
report: install ## Write benchmarks/REPORT.md and its pictures from the result files
	@$(BIN)/python -m pip install -qq --require-hashes --requirement requirements/report.txt
	@$(BIN)/python -m benchmarks.report $(or $(ARGS),$(wildcard benchmarks/results/*.json))

.PHONY: outages
outages: install ## Measure how fast a full queue is emptied while Redis is lost on the way, or was never there
	@$(BIN)/python -m tests.outages.measure $(ARGS)

.PHONY: chaos
chaos: install ## Real processes under load while everything breaks: MINUTES=10, SEED=n replays
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: model
model: install ## Check the protocol's model, and that it needs each safeguard (spin, a C compiler)
	@$(BIN)/python -m tools.check_model $(ARGS)

.PHONY: image-test
image-test: install ## Build the image without a daemon and run every role from it (root, Linux)
	@deploy/image-test

.PHONY: lock
lock: ## Pin all dependencies again (needs uv; ARGS=--upgrade takes the newest)
	@tools/lock $(ARGS)

.PHONY: clean
clean: ## Remove caches and build products; .venv and .sluice stay
	@rm -rf .build build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -path ./.sluice -prune -o -name __pycache__ -type d -exec rm -rf {} +
