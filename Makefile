# What you can do here. On a fresh Debian with python3 and make: `make run`, `make test`; everything else follows from them.
#
#   make run      a whole Flash in one process, with demo users
#   make test     the checks and every test (installs the system packages they need when it may)
#   make test-compose  docker-compose.yml on a real Docker engine (starts one, and builds stand-ins for the images, where it must)
#   make check    lint, format, types, import layers, docs
#   make bench    the load generator
#   make install  only the virtual environment in .venv
#   make lock     resolve the dependencies anew into requirements/ (UPGRADE=1: to their newest versions)
#
# PYTHON=… chooses the interpreter, ARGS=… is handed on to pytest, the bench or `flash serve`.

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.PHONY: help install dev run test test-compose check bench lock

VENV := .venv
PY   := $(VENV)/bin/python
# Wheels only: building an sdist would fetch its build tools unlocked.
PIP  := $(PY) -m pip --quiet --disable-pip-version-check --no-input

help:
	@sed -n 's/^#  *\(make .*\)/\1/p' Makefile

# -- the environment: one stamp per step, so that a second run does nothing -------------------------------------------

$(VENV)/.made: scripts/venv.sh
	@scripts/venv.sh $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt
	@echo "install: what Flash runs on"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/run.txt
	@touch $@

# An editable install knows the packages by name: a new one means installing again.
$(VENV)/.project: $(VENV)/.run pyproject.toml clients/sdk/pyproject.toml $(wildcard */__init__.py)
	@echo "install: Flash itself, from this tree"
	@$(PIP) install --no-index --no-deps --no-build-isolation -e . -e clients/sdk
	@touch $@

$(VENV)/.dev: $(VENV)/.project requirements/dev.txt
	@echo "install: what the tests and checks run on"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

install: $(VENV)/.project

dev: $(VENV)/.dev

# -- what people ask for ----------------------------------------------------------------------------------------------

run: install
	@exec $(VENV)/bin/flash serve --demo $(ARGS)

bench: dev
	@exec $(PY) -m bench $(ARGS)

check: dev
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/check.sh

# Most tests wait for something most of the time: three processes keep two cores busy.
PROCESSES := 3

# A failed check does not keep the tests from running: one run shows everything. pytest speaks last. Most tests start real processes and kill
# them: one that fails while two others do the same on two cores is tried again by itself, and both results are shown.
test: dev
	@scripts/test_needs.sh
	@failed=0; $(MAKE) check || failed=1; \
	  $(PY) -m pytest -n $(PROCESSES) --dist loadgroup $(ARGS); code=$$?; \
	  if [ $$code = 1 ]; then \
	    echo "test: what failed beside others is tried once more, alone"; \
	    $(PY) -m pytest --last-failed --last-failed-no-failures none; code=$$?; \
	  fi; \
	  [ $$code = 0 ] || failed=1; \
	  exit $$failed

test-compose: dev
	@scripts/test_compose.sh $(ARGS)

# -- the locks: docs/decisions/0001-hashed-requirements.md ------------------------------------------------------------

SOURCES := pyproject.toml clients/sdk/pyproject.toml
COMPILE := $(VENV)/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: $(VENV)/.made
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/lock.txt
	@$(COMPILE) --group lock -o requirements/lock.txt
	@$(COMPILE) --extra amqp --group build $(SOURCES) -o requirements/run.txt
	@$(COMPILE) --extra amqp --group build --group dev -c requirements/run.txt $(SOURCES) -o requirements/dev.txt
	@! grep -n '://' requirements/*.txt || { echo "lock: an address got into requirements/"; exit 1; }
