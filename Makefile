# make demo   install, let six villagers of a small real model talk, run three arms side by side on a
#             random one and on an emulated GPU, write a report to out/demo
# make test   install, run every test but those of test-long, chaos and integrations
# make test-long  those on Ray clusters of their own: a stack that is scaled, joined, run by Slurm
# make chaos  kill and stop parts of a real stack under load: minutes, wants a quiet machine
# make integrations  run the examples of all frameworks against a stack with a small real model:
#             gigabytes of packages, each framework in an environment of its own in the user's cache
# make test-fast  about a minute: no Ray, no engine, no chart, no benchmark, none that is slow
# make check  ruff, mypy and codespell
# make generated  rewrite what is derived: the chart's schema, README and goldens, dashboards,
#             docs/reference
# make clean  remove what these made

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
GPU    := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
OUT    ?= out/demo
PIP    := $(BIN)/python -m pip install -q --disable-pip-version-check
SGLANG := $(shell sed -n 's/^ *"\(sglang==[^"]*\)".*/\1/p' pyproject.toml)
PYTEST := $(BIN)/python -m pytest -o cache_dir=.pytest_cache
APART  := $(addprefix --ignore=tests/,deployments/engine chaos frameworks)
SLOW   := $(addprefix --ignore=tests/,deployments/engine deployments/test_clients.py chaos helm benchmarks frameworks)

# Tests start processes by the hundred, which import the same modules: what is compiled is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-beside test-plain test-stack test-engine test-long chaos integrations test-fast check generated clean install

install: $(READY)

ifeq ($(GPU),)
ENGINE := deployments/engine/requirements-cpu.txt
$(READY): pyproject.toml $(ENGINE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed on a machine without a GPU: run make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV) for the CPU: about two minutes, 3 GB"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --no-warn-conflicts -r $(ENGINE) -e '.[serve,sim,dev]'
	@$(PIP) --no-deps $(SGLANG)
	@touch $@
else
$(READY): pyproject.toml
	@echo "Installing into $(VENV) for $(GPU)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -e '.[serve,sim,sglang,dev]'
	@touch $@
endif

demo: $(READY)
	@$(BIN)/python -m scalesim.simulations.villagers
	@$(BIN)/scalesim sim run society --agents 48 --steps 12 --active 0.2 --device-share 0.25 \
	  --arms stock,hicache,scalesim --seed 0 --out $(OUT)
	@$(BIN)/scalesim bench emulated --case agents=50 --case output=8 --case steps=4 \
	  --arms stock,hicache,scalesim --out $(OUT)

# Engines live in the test process of their folder, which therefore runs apart from Ray's: beside it,
# and then, with no more of the processors than a stack's engines have, what needs neither. The output
# of both is kept until Ray's have ended. All run, whatever one says.
test: $(READY)
	@rc=0; run="$(MAKE) --no-print-directory"; log=.pytest_cache/beside.log; beside=; \
	  trap '[ -z "$$beside" ] || kill -- -$$beside' EXIT; trap 'exit 130' INT TERM; \
	  mkdir -p .pytest_cache; setsid $$run test-beside >$$log 2>&1 & beside=$$!; \
	  $$run test-stack || rc=$$?; \
	  echo "Waiting for the tests beside"; wait $$beside || rc=$$?; beside=; cat $$log; \
	  exit $$rc

test-beside: $(READY)
	@rc=0; $(MAKE) test-engine || rc=$$?; nice $(MAKE) test-plain || rc=$$?; exit $$rc

test-plain: $(READY)
	@$(PYTEST)/plain -n 2 --dist worksteal $(APART) -m "not ray and not engine and not long" $(MORE)

test-stack: $(READY)
	@$(PYTEST)/stack $(APART) -m "(ray or engine) and not long" $(MORE)

test-long: $(READY)
	@$(PYTEST)/long $(APART) -m long $(MORE)

chaos: $(READY)
	@$(PYTEST)/chaos tests/chaos $(MORE)

integrations: $(READY)
	@$(PYTEST)/frameworks tests/frameworks $(MORE)

# Some of them wait for a clock: three at a time keep two processors busy.
test-fast: $(READY)
	@HYPOTHESIS_PROFILE=fast $(PYTEST)/fast -n 3 --dist worksteal $(SLOW) \
	  -m "not ray and not engine and not slow and not long" $(MORE)

test-engine: $(READY)
	@$(PYTEST)/engine tests/deployments/engine $(MORE)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell

generated: $(READY)
	@$(BIN)/python helm/generate.py
	@$(BIN)/python -m tests.helm.test_goldens
	@$(BIN)/python -m dashboards.grafana_files
	@$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache
