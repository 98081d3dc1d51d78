# make demo           three compute nodes, two tenants that cannot reach each other; ends 0 if so;
#                     ISOLATION=vlan or mac keeps them apart in another way than gre;
#                     TLS=1 lets OpenFlow, OVSDB and REST go by TLS alone
# make lab            the same, left running until Ctrl-C
# make demo-migration a VM moves between two nodes while it pings; ends 0 if nothing came twice
# make bind           how long a new VM port waits until the last switch has its flow
# make bench          how fast it is, RUNS (3) times; PEERS=ovn measures OVN beside it
# make load           200 REST clients at once, 1,100 slow ones: prints rate, p50, p99 and max
# make soak           faults at random for SECONDS (600) while VMs ping; SEED (1) says which; ends 0
#                     if nothing leaked, nobody else lost a ping, and all came back by itself
# make fuzz           OpenFlow, OVSDB and REST get what they must not get, for SECONDS (600);
#                     SEED (1) says what; ends 0 if nothing hung or grew and others were served
# make survival       every fault in every mode, the controller killed RESTARTS (20) times in a row,
#                     the network cut for CUT (60) and the controller away for AWAY (600) seconds
# make test           every test and style gate
# make lint           the style gates alone
# make sample-config  write the sample configuration files from the options
# make clean          remove everything that was built
#
# Each installs what is missing: Debian packages (as root) and, in .venv, the Python packages.
# PYTHON chooses the interpreter, 3.9 or newer.

PYTHON ?= python3
ISOLATION ?= gre
TLS ?=
LAB := --isolation $(ISOLATION) $(if $(filter-out 0,$(TLS)),--tls)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PYTEST := $(BIN)/python -m pytest --no-skips --durations=5

# Tests that run side by side: most of their time they wait.  Those marked "alone" come after them.
TOGETHER := test-unit test-functional-1 test-functional-2 test-e2e-1 test-e2e-2
AT_ONCE := 3

RUNS ?= 3
PEERS ?=
SECONDS ?= 600
SEED ?= 1
RESTARTS ?= 20
CUT ?= 60
AWAY ?= 600

.PHONY: bench fuzz soak survival demo lab bind load demo-migration test lint sample-config deps venv clean
.PHONY: $(TOGETHER)

demo: deps venv
	$(BIN)/l2iso-lab demo $(LAB)

lab: deps venv
	$(BIN)/l2iso-lab up $(LAB)

demo-migration: deps venv
	$(BIN)/l2iso-lab migrate $(LAB)

bind: deps venv
	$(BIN)/python -m ryu_l2iso.lab.bind

bench: deps venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m bench --runs $(RUNS) --peers '$(PEERS)' --json bench.json --png bench.png

load: deps venv
	L2ISO_LOAD=1 $(BIN)/python -m pytest -s tests/functional/test_rest_load.py

soak: deps venv
	$(BIN)/l2iso-lab soak $(LAB) --seconds $(SECONDS) --seed $(SEED)

fuzz: deps venv
	L2ISO_FUZZ_SECONDS=$$(($(SECONDS) / 3)) L2ISO_FUZZ_SEED=$(SEED) \
		$(BIN)/python -m pytest tests/fuzz tests/functional/test_hostile_openflow.py

survival: deps venv
	RESTARTS=$(RESTARTS) CUT=$(CUT) AWAY=$(AWAY) FAULTS=all \
		$(BIN)/python -m pytest -s tests/e2e/test_survival.py

# The output of each comes when it has ended; all have run in the end, whatever failed.
test: deps venv lint
	$(MAKE) --no-print-directory --jobs=$(AT_ONCE) --output-sync=target --keep-going $(TOGETHER); \
		together=$$?; $(PYTEST) -m alone tests/functional tests/e2e && exit $$together

# Examples alone cover all: what chance covers, it may miss the next time.
test-unit: venv
	$(PYTEST) -m 'not hypothesis' --cov --cov-report=term tests/unit
	$(PYTEST) -m hypothesis tests/unit
	$(PYTEST) tests/fuzz

# Two parts that are about as long as each other, and together are all.
test-functional-1: venv
	$(PYTEST) -m 'not alone' tests/functional/test_[a-g]*.py

test-functional-2: venv
	$(PYTEST) -m 'not alone' tests/functional/test_[!a-g]*.py

test-e2e-1: venv
	$(PYTEST) -m 'not alone' tests/e2e/test_[a-g]*.py

test-e2e-2: venv
	$(PYTEST) -m 'not alone' tests/e2e/test_[!a-g]*.py

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
	@PYTHON=$(PYTHON) PEERS=$(PEERS) tools/debian-packages.sh

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
