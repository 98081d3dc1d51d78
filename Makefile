# make demo           three compute nodes, two tenants that cannot reach each other; ends 0 if so;
#                     ISOLATION=vlan or mac keeps them apart in another way than gre
# make lab            the same, left running until Ctrl-C
# make demo-migration a VM moves between two nodes while it pings; ends 0 if nothing came twice
# make bind           how long a new VM port waits until the last switch has its flow
# make test           every test and style gate
# make lint           the style gates alone
# make sample-config  write the sample configuration files from the options
# make clean          remove everything that was built
#
# Each installs what is missing: Debian packages (as root) and, in .venv, the Python packages.
# PYTHON chooses the interpreter, 3.9 or newer.

PYTHON ?= python3
ISOLATION ?= gre
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo lab bind demo-migration test lint sample-config deps venv clean

demo: deps venv
	$(BIN)/l2iso-lab demo --isolation $(ISOLATION)

lab: deps venv
	$(BIN)/l2iso-lab up --isolation $(ISOLATION)

demo-migration: deps venv
	$(BIN)/l2iso-lab migrate --isolation $(ISOLATION)

bind: deps venv
	$(BIN)/python -m ryu_l2iso.lab.bind

test: deps venv lint
	$(BIN)/python -m pytest --no-skips --cov --cov-report=term --durations=5

lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy

sample-config: venv
	$(BIN)/oslo-config-generator --namespace ryu_l2iso \
		--output-file etc/ryu_l2iso/ryu_l2iso.conf.sample
	$(BIN)/oslo-config-generator --namespace ryu_l2iso.agent \
		--output-file etc/ryu_l2iso/l2iso-agent.conf.sample

deps:
	@PYTHON=$(PYTHON) tools/debian-packages.sh

venv: $(READY)

# Made anew when the dependencies may have changed: an upgrade would leave behind what they dropped.
$(READY): setup.py pyproject.toml | deps
	$(PYTHON) -c 'import sys; sys.exit("Python 3.9 or newer is needed") if sys.version_info < (3, 9) else 0'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $(READY)

clean:
	rm -rf $(VENV) .tox build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
