# SPDX-License-Identifier: MIT
#
# make run     adopt this host's links and show them (the main job)
# make test    build, and run every test; also without a GIL where there is
#              such a Python (make free-threaded: only that)
# make lint    style, types, warnings of both compilers, generated files
# make bench   benchmarks and goals, into benchmarks/RESULTS.md
# make goals   goals alone
# make prove   schedules of the core, its protocols, sanitizers: larger
# make soak    kills, faults and power cuts at full size, for hours
# make fuzz    each fuzz target for a minute, or FUZZ_SECONDS
# make coverage  branches of csrc/ that its own tests take
# make clean   remove everything that the others have made
#
# Needs Python >= 3.10 with venv and headers, a C compiler, and make.

SHELL := /bin/sh
# setuptools would call the compiler that Python was built with, which need
# not be here.
export CC
.DEFAULT_GOAL := help
.PHONY: help run test lint bench goals prove soak fuzz coverage clean build \
	smoke free-threaded

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install
HEADER := ndisbridge/include/ndisbridge.h
SOURCES := $(wildcard csrc/*.c csrc/*.h) csrc/cffi_build.py $(HEADER) setup.py
GENERATED := $(wildcard csrc/*.csv csrc/catalog_*.py csrc/generate_catalog.py)
WARNINGS := -std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow \
	-Werror -Icsrc -Indisbridge/include
PYTHON_C := csrc/fastcall.c benchmarks/bench_fastcall.c
CORE := $(filter-out $(PYTHON_C),$(wildcard csrc/*.c examples/*.c \
	benchmarks/*.c))
# Type slots of Python are functions in void pointers, which ISO C has not.
WITH_PYTHON = -Wno-pedantic -isystem $$($(BIN)/python -c \
	'import sysconfig; print(sysconfig.get_path("include"))')
# Compiles each file for its warnings, which need the optimizer, only.
each_alone = set -e; for file in $(CORE); do \
	$(1) $(WARNINGS) -c -o /dev/null "$$file"; done; \
	for file in $(PYTHON_C); do \
	$(1) $(WARNINGS) $(WITH_PYTHON) -c -o /dev/null "$$file"; done
# clang, or the newest of clang-20, clang-19, ...
CLANG = $$(command -v clang || { ls $$(echo "$$PATH" | tr : ' ' \
	| sed 's:[^ ]*:&/clang-[0-9][0-9]:g') 2>/dev/null | sort -V | tail -n 1; })

help:
	@sed -n 's/^# \{0,1\}make /make /p' Makefile

# ---- what the machine must have ----------------------------------------

PYTHON ?= $(shell tools/find_python.sh | head -n 1)

$(VENV)/.made:
	@command -v "$${CC:-cc}" >/dev/null || { echo "No C compiler:" \
	    "install gcc (Debian: gcc libc6-dev, Fedora: gcc)"; exit 1; }
	@test -n "$(PYTHON)" || { echo "No Python >= 3.10 with venv and" \
	    "headers: install them (Debian: python3 python3-venv" \
	    "python3-dev, Fedora: python3 python3-devel)"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) 'setuptools>=77' wheel 'cffi>=2.0' 'apsw>=3.52' \
	    'click>=8.1' 'rich>=13'
	@touch $@

# Installed once, in place; what changes later is only built again.
$(VENV)/.built: $(VENV)/.made $(SOURCES) pyproject.toml
	@if [ -e $(VENV)/.installed ] \
	    && [ ! pyproject.toml -nt $(VENV)/.installed ]; then \
	    echo "Building the C core"; \
	    $(BIN)/python setup.py -q build_ext --inplace; \
	else \
	    echo "Building and installing ndisbridge in place"; \
	    $(PIP) --no-build-isolation --no-deps -e . \
	    && touch $(VENV)/.installed; \
	fi
	@touch $@

build: $(VENV)/.built

$(VENV)/.tools: $(VENV)/.made pyproject.toml
	@echo "Installing the tools of the tests"
	@$(PIP) 'pytest>=8' 'pytest-benchmark>=5' 'hypothesis>=6.100' \
	    'build>=1.2' 'ruff>=0.9' 'mypy>=1.15' 'psycopg[binary]>=3.2.4' \
	    'pyroute2>=0.7' 'psutil>=5.9'
	@$(PIP) --only-binary :all: atheris 2>/dev/null \
	    || echo "no wheel of atheris for this Python: its fuzzing is skipped"
	@touch $@

# What benchmarks are compared with; what cannot be had is left out.
PEERS := bitarray pyroaring intbitset numpy lmdb pysnmp matplotlib cmeel-mimalloc
$(VENV)/.bench: $(VENV)/.tools
	@echo "Installing the peers of the benchmarks"
	@for peer in $(PEERS); do \
	    $(PIP) --only-binary :all: "$$peer" 2>/dev/null \
	    || echo "no wheel of $$peer for this Python: it is left out"; done
	@touch $@

# ---- what there is to do -----------------------------------------------

run: build
	@$(BIN)/ndisbridge adopt

test: build $(VENV)/.tools smoke
	@$(BIN)/python -m pytest $(TESTS)
	@tools/free_threaded.sh $(TESTS)

# The tests on a Python without a GIL, each in four threads at once.
free-threaded: build
	@tools/free_threaded.sh $(TESTS)

# The same wheel, on every other interpreter of the machine.
smoke: build $(VENV)/.tools
	@tools/smoke.sh $(BIN)/python

# What makes network namespaces is among the tests.
REPORT = PYTHONPATH=tests $(BIN)/python benchmarks/report.py
# BENCH="-k pair" for a part, without the goals and without RESULTS.md.
bench: build $(VENV)/.bench
	@echo "Every case, beside its floor and its peers: 5 minutes"
	@$(BIN)/python -m pytest benchmarks -o python_files='bench_*.py' \
	    --benchmark-max-time=0.2 --benchmark-min-rounds=3 \
	    --benchmark-columns=min,median --benchmark-sort=name \
	    --benchmark-group-by=group --benchmark-quiet -q \
	    --benchmark-json=$(VENV)/bench.json $(BENCH)
	@if [ -z '$(BENCH)' ]; then \
	    echo "Goals, growth and memory: 8 minutes"; \
	    $(REPORT) --groups $(VENV)/bench.json; fi

goals: build $(VENV)/.bench
	@$(REPORT) --check

FUZZ_SECONDS ?= 60
# MODEL_PREEMPTIONS, MODEL_LIMIT, MODEL_RANDOM and FUZZ_SECONDS for other
# sizes; PROVE="-k core" for a part.  Writes into docs/reliability.md.
PROVEN := $(addprefix tests/test_,schedules.py c.py fuzz.py coverage.py \
	sanitized_python.py)
prove: export MODEL_PREEMPTIONS ?= 3
prove: export MODEL_LIMIT ?= 2000000
prove: export MODEL_RANDOM ?= 200000
prove: export SANITIZED ?= all
prove: export FUZZ_SECONDS := $(FUZZ_SECONDS)
prove: build $(VENV)/.tools
	@PYTHONPATH=tests $(BIN)/python -m pytest -p proving -rP $(PROVEN) \
	    $(PROVE)

# SOAK="--only power-cut --hours 2 --seed 7" for less.
soak: build
	@$(BIN)/python tests/soak $(SOAK)

fuzz: build
	@tests/fuzz/run.sh .fuzz $(FUZZ_SECONDS) $(BIN)/python

coverage: build $(VENV)/.tools
	@$(BIN)/python tools/coverage_c.py
	@$(BIN)/python tools/coverage_fastcall.py

lint: build $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python csrc/generate_catalog.py --check
	$(BIN)/python tools/generate_stubs.py --check
	$(BIN)/python tools/generate_man.py --check
	@echo "gcc $(WARNINGS)"
	@$(call each_alone,gcc)
	@clang=$(CLANG); \
	if [ -n "$$clang" ]; then echo "$$clang $(WARNINGS)"; \
	    $(call each_alone,"$$clang"); \
	else echo "no clang here: its warnings were not looked at"; fi

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache \
	    .ruff_cache .hypothesis .benchmarks .cache .fuzz
	rm -f ndisbridge/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
