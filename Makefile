# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.PHONY: help setup setup-dev demo demo-jobs test lint mypy sanity importer unit integration hosts soak-hosts soak-loaded soak-jobs mutation soak exhaustive hunt zipapp clean

PY := .venv/bin/python

help:
	@echo 'make setup    .venv and the link that lets ansible find this checkout'
	@echo 'make demo     a pair on this machine, killed and moved, with a timeline (3 minutes)'
	@echo 'make demo-jobs  scheduled work on instances that boot, die and go (2 minutes)'
	@echo 'make test     everything: lint, sanity, importer, unit and integration tests'
	@echo 'make lint     ruff, mypy, yamllint, ansible-lint, shellcheck, changelog, documentation'
	@echo 'make mutation  whether the unit tests notice each small change of what decides (an hour; tests/mutation/README.md)'
	@echo 'make soak     SCHEDULES=1000000 [SEED=..] [JOBS=..]: random schedules of the simulation; goes on where it was stopped'
	@echo 'make exhaustive  every fault and every pair of faults at every call of every kind of move'
	@echo 'make hunt     plants every fault of tests/simulation/planted and tells how each was caught'
	@echo 'make hosts    the pair and the roles on two systemd hosts (podman, root)'
	@echo 'make soak-hosts [SECONDS=3600]  20 rounds of faults on two systemd hosts, then false moves in an hour under full load'
	@echo 'make soak-jobs ROUNDS=1000 [SEED=..]: jobs and queues with nodes that are killed, frozen, too late; the jobs keep the journal'
	@echo 'make zipapp   build/hotstandby.pyz, the command of the nodes'

setup:
	@sh hack/checks/setup.sh

setup-dev:
	@sh hack/checks/setup.sh dev

demo: setup
	@$(PY) hack/demo.py

demo-jobs: setup
	@$(PY) hack/demo_jobs.py

test: setup-dev
	@$(PY) hack/checks/run.py

lint sanity importer unit integration hosts: setup-dev
	@$(PY) hack/checks/run.py $@

# not part of CI; MODULES='record node.guard' asks only these again, FLAGS=--fresh forgets earlier runs, --report runs nothing
mutation: setup-dev
	@$(PY) -m pip install -q --disable-pip-version-check -r requirements-mutation.txt -c constraints.txt
	@$(PY) hack/checks/mutation.py $(FLAGS) $(MODULES)

# 20 rounds of random kill, freeze, network cut and power loss on real hosts; HOTSTANDBY_SEED repeats a run
soak-hosts: setup-dev
	@HOTSTANDBY_ROUNDS=20 $(PY) hack/checks/hosts.py --no-molecule -k torment
	@$(MAKE) --no-print-directory soak-loaded

# the second half of it alone: a pair that is well on hosts without an idle CPU or disk; false moves in SECONDS (an hour)
SECONDS ?= 3600
soak-loaded: setup
	@$(PY) benchmarks/rto/loaded.py --seconds $(SECONDS)

# run-exclusive and consume as real processes, not part of CI, which plays 20 rounds; SEED repeats what was injected
ROUNDS ?= 1000
soak-jobs: setup
	@$(PY) -m sandbox.jobs.soak --rounds $(ROUNDS) --seed $(SEED)

mypy: setup
	@$(PY) hack/checks/run.py mypy

SCHEDULES ?= 1000000
SEED ?= 1000000
JOBS ?= $(shell nproc)
soak: setup-dev
	@$(PY) -m tests.simulation.soak --schedules $(SCHEDULES) --seed $(SEED) --jobs $(JOBS)

exhaustive: setup-dev
	@$(PY) -m tests.simulation.exhaust --jobs $(JOBS)

hunt: setup-dev
	@$(PY) -m tests.simulation.hunt

zipapp: setup
	@$(PY) hack/build_zipapp.py build/hotstandby.pyz

clean:
	rm -rf build collections tests/output .mypy_cache .ruff_cache .pytest_cache .hypothesis
