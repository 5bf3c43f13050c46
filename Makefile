# The two commands that need nothing but Python 3.11+ with venv: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# vLLM wants other versions than training: tests of it have an environment of their own.
VLLM_VENV ?= .venv-vllm
VLLM_INSTALLED := $(VLLM_VENV)/.installed
# lm-eval and Inspect want other versions than the rest: an environment over the first one, with what differs.
HARNESS_VENV ?= .venv-harnesses
HARNESS_INSTALLED := $(HARNESS_VENV)/.installed
# Changes that tests are to notice are made by a tool of its own, over the first environment.
MUTANT_VENV ?= .venv-mutants
MUTANT_INSTALLED := $(MUTANT_VENV)/.installed
# So do Axolotl and LLaMA-Factory, which are asked to read what is exported for them.
TOOLS_VENV ?= .venv-tools
TOOLS_INSTALLED := $(TOOLS_VENV)/.installed

# `make install HASHES=1` takes no archive but those whose sha256 is in requirements.lock.
HASHES ?=

FAULTS_LOG ?= faults.jsonl

.PHONY: demo smoke test vllm harnesses tools thorough faults mutants lint types docs fast install lock clean

demo: install  ## the whole method on a 135M model (a quarter of an hour on 2 cores)
	$(BIN)/charter run recipes/smollm2-135m.yaml

smoke: install  ## the same in small (a minute and a half)
	$(BIN)/charter run recipes/smoke.yaml

# Two workers, a file of tests to one of them, in the order of tests/conftest.py. Threads that wait must not spin: a step of training takes 50 times as long.
test: lint types  ## everything that continuous integration holds
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not thorough"
	$(MAKE) docs
	$(MAKE) vllm
	$(MAKE) harnesses
	$(MAKE) tools

# Its imports warn of much, and it leaves sockets open at its end: neither is ours to mend.
vllm: install $(VLLM_INSTALLED)  ## tests of vLLM itself
	$(VLLM_VENV)/bin/python -m pytest -p no:unraisableexception -W ignore tests/engines/test_vllm_contract.py
	CHARTER_VLLM=$(abspath $(VLLM_VENV)) $(BIN)/python -m pytest -m "not thorough" tests/cli/test_vllm_runs.py

# Their imports warn of much, which is not ours to mend.
harnesses: install $(HARNESS_INSTALLED)  ## tests of lm-eval and Inspect themselves
	$(HARNESS_VENV)/bin/python -m pytest -p no:unraisableexception -W ignore tests/inspecting \
		tests/evaluation/test_lm_eval_tasks.py tests/cli/test_lm_eval_command.py

# As above.
tools: install $(TOOLS_INSTALLED)  ## tests of the tools that read exports
	$(TOOLS_VENV)/bin/python -m pytest -p no:unraisableexception -W ignore tests/publishing/test_training_tools.py

thorough: install $(VLLM_INSTALLED)  ## what takes too long for every change
	CHARTER_VLLM=$(abspath $(VLLM_VENV)) $(BIN)/python -m pytest -m thorough

# Continuous integration tries some points of each line in `make test`. CHARTER_KILLS=1000 asks for more kills.
faults: install  ## every point of the suite of faults, and their table (some hours)
	rm -f $(FAULTS_LOG)
	CHARTER_FAULTS=full CHARTER_FAULTS_LOG=$(abspath $(FAULTS_LOG)) OMP_WAIT_POLICY=passive \
		$(BIN)/python -m pytest -m faults --timeout 0
	$(BIN)/python -m benchmarks.faults $(FAULTS_LOG)

# Each in a process of its own; the same command goes on where it was stopped.
mutants: install $(MUTANT_INSTALLED)  ## small changes of formulas and parsers, and how many of them tests notice (hours)
	OMP_NUM_THREADS=1 $(MUTANT_VENV)/bin/mutmut run
	$(BIN)/python -m benchmarks.mutants mutants

fast: install  ## tests that need no model (seconds)
	$(BIN)/python -m pytest -m "not model and not slow and not thorough"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/mkdocs build --strict --quiet

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt scripts/install.sh
	sh scripts/install.sh $(PYTHON) $(VENV) $(HASHES)
	touch $@

$(VLLM_INSTALLED): constraints-vllm.txt scripts/install-vllm.sh
	sh scripts/install-vllm.sh $(PYTHON) $(VLLM_VENV)
	touch $@

$(HARNESS_INSTALLED): $(INSTALLED) constraints-harnesses.txt scripts/install-over.sh
	sh scripts/install-over.sh $(VENV) $(HARNESS_VENV) constraints-harnesses.txt
	touch $@

$(TOOLS_INSTALLED): $(INSTALLED) constraints-tools.txt scripts/install-over.sh
	sh scripts/install-over.sh $(VENV) $(TOOLS_VENV) constraints-tools.txt
	touch $@

lock: install  ## requirements.lock, from constraints.txt
	sh scripts/lock.sh $(VENV)

$(MUTANT_INSTALLED): $(INSTALLED) constraints-mutants.txt scripts/install-over.sh
	sh scripts/install-over.sh $(VENV) $(MUTANT_VENV) constraints-mutants.txt
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(HARNESS_VENV) $(TOOLS_VENV) $(MUTANT_VENV) mutants site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
