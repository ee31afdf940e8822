# The verbs of the house; people, hooks and CI call the same ones. `make` alone explains them.

# uv installs the lock; pip only brings uv.
UV_VERSION := 0.13.9
VENV       := .venv
BIN        := $(VENV)/bin

# The first Python that is new enough. The lock was resolved for 3.11.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON     ?= $(shell for p in python3.11 python3 python; do \
                  $$p $(NEW_ENOUGH) 2>/dev/null && echo $$p && break; done)

# Words that a user may set: make nightly ARGS="-P symbols=BTC/USD", make test ARGS="-k regimes".
ARGS       ?=
EXPERIMENT ?=
PORT       ?= 5000
# "cpu" or "auto" chooses torch's build where no folder of wheels (PIP_FIND_LINKS) offers one.
TORCH_BACKEND ?=

BROWSERS   := chromium chromium-browser google-chrome google-chrome-stable chrome
export BROWSER_PATH ?=

# pytest processes; every process in a test is held to one thread.
TEST_PROCESSES ?= 2

# A night starts many processes: keep what Python compiles, whatever the surroundings say.
export PYTHONDONTWRITEBYTECODE :=

# Stamps, not the folder, tell what is installed: an interrupted install leaves no stamp. Where the
# project itself is installed, pyproject.toml says which packages that are.
MADE     := $(VENV)/.made-with-uv-$(UV_VERSION)
PLATFORM := $(VENV)/.platform-installed
DEV      := $(VENV)/.dev-installed
# What a live executor installs, in an environment of its own: the tests run one there.
BASE     := .venv-base/.base-installed

# uv does not read pip's settings: hand it the folder of wheels that pip knows. Without one, $(1)
# chooses torch's build.
wheels   = links="$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links \
               2>/dev/null || true)}"; \
           set --; for link in $$links; do set -- "$$@" --find-links "$$link"; done; \
           if [ $$\# -eq 0 ] && [ -n "$(1)" ]; then set -- --torch-backend "$(1)"; fi;
install  = $(call wheels,$(TORCH_BACKEND)) $(BIN)/uv pip install -q --python $(BIN)/python "$$@"
# The project too, as it lies here: so MLflow's client knows our plugin, and `brain` is a program.
itself   = $(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
# The lock is the CPU build's, which needs the fewest packages. Its local version (+cpu) is cut off,
# as few indexes have it; that pin must not hold torch to another build the next time.
compile  = $(call wheels,cpu) $(BIN)/uv pip compile -q pyproject.toml --python-version 3.11 \
           --custom-compile-command "make lock" --upgrade-package torch $(ARGS) "$$@"
cut_off  = sed -i.orig 's/^\(torch==[0-9.]*\)+cpu/\1/'

.DEFAULT_GOAL := help
.PHONY: help base engines nightly test soak lint format lock ui bench screenshots clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'More words: ARGS=… for what is behind nightly, test, bench, screenshots, lock; EXPERIMENT=…, PORT=…,'
	@echo '  PYTHON=…, TORCH_BACKEND=cpu (the small torch), MLFLOW_TRACKING_URI=… in the environment.'

# ------------------------------------------------------------------------------ installing

$(VENV): $(PLATFORM)

$(MADE):
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; install one, or name it: \
	make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) $(NEW_ENOUGH) || { echo "PYTHON=$(PYTHON) is no Python 3.11 or newer; name one \
	that is" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(PLATFORM): requirements.txt pyproject.toml $(MADE)
	@echo "Installing requirements.txt into $(VENV)"
	@$(install) -r requirements.txt
	@$(itself)
	@touch $@

$(DEV): requirements-dev.txt pyproject.toml $(MADE)
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(install) -r requirements-dev.txt
	@$(itself)
	@touch $@

base: $(BASE) ## make .venv-base: what a live executor installs, at the lock's versions

$(BASE): pyproject.toml requirements.txt $(MADE)
	@echo "Installing the base of pyproject.toml into .venv-base"
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-base
	@$(call wheels,) $(BIN)/uv pip install -q --python .venv-base/bin/python "$$@" \
	-c requirements.txt -r pyproject.toml
	@touch $@

# Trading engines have environments of their own, beside the executor's base: no two agree on pandas.
# Where a registry lacks one, make engines fails, and make test leaves its tests out.
ENGINES := .venv-freqtrade .venv-nautilus
engines: $(ENGINES:%=%/.installed) ## make the environments of freqtrade and nautilus_trader

.venv-%/.installed: requirements-%.txt pyproject.toml $(MADE)
	@echo "Installing requirements-$*.txt into .venv-$*"
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-$*
	@$(BIN)/uv pip install -q --python .venv-$*/bin/python -r requirements-$*.txt
	@$(BIN)/uv pip install -q --python .venv-$*/bin/python --no-deps -e .
	@touch $@

lock: $(MADE) ## resolve pyproject.toml into the requirements files
	@$(compile) --extra platform -o requirements.txt
	@$(cut_off) requirements.txt
	@$(compile) --extra dev -c requirements.txt -o requirements-dev.txt
	@$(cut_off) requirements-dev.txt
	@$(compile) --extra freqtrade -o requirements-freqtrade.txt
	@$(compile) --extra nautilus -o requirements-nautilus.txt
	@rm -f requirements.txt.orig requirements-dev.txt.orig

# ------------------------------------------------------------------------------ working

# The job, `mlflow run` and the server must agree where everything is: the settings say it.
agree = settings="$$(python -m mlproject prepare)" && eval "$$settings"
nightly ui test soak bench screenshots: export MLFLOW_DISABLE_TELEMETRY := true
nightly ui test soak bench screenshots: export DO_NOT_TRACK := 1
# The links that MLflow would print hold the password that the server's address may hold.
nightly: export MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT ?= true
nightly ui test soak bench screenshots lint format: export PATH := $(CURDIR)/$(BIN):$(PATH)

ifneq ($(EXPERIMENT),)
nightly: export BRAIN_EXPERIMENT := $(EXPERIMENT)
endif
nightly: $(VENV) ## collect, where exchanges are named; train, judge, explain; name champions
	@$(agree) && mlflow run . -e nightly --env-manager local --experiment-name "$$BRAIN_EXPERIMENT" $(ARGS)

ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ui: $(VENV) ## look at the runs and the registry in a browser
	@$(agree) && case "$$MLFLOW_TRACKING_URI" in \
	http*) echo "Open $$MLFLOW_TRACKING_URI" | sed 's|//[^@/]*@|//|';; \
	*) page="http://127.0.0.1:$(PORT)/#"; \
	echo "Runs and models: $$page/experiments?workflowType=machine_learning"; \
	echo "Champions:       $$page/models"; \
	MLFLOW_BACKEND_STORE_URI="$$MLFLOW_TRACKING_URI" \
	mlflow server --workers 1 --port $(PORT);; esac

# No number of threads is right for many test processes at once but one. A file's tests share their
# servers and nights, so they stay in one process.
test soak bench: export OMP_NUM_THREADS := 1
with_engines = $(MAKE) -k --no-print-directory engines || \
               echo "What could not be installed is left out: tests of trading engines" >&2
test: $(DEV) $(BASE) ## run every test
	@$(with_engines)
	@python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

# Properties are asked again, of ten times as many examples.
soak: export HYPOTHESIS_PROFILE := soak
soak: $(DEV) $(BASE) ## run the tests that are slow or repeat much
	@$(with_engines)
	@python -m pytest -m "soak or hypothesis" -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

bench: $(DEV) ## run a benchmark: make bench ARGS=nightly
	@python -m benchmarks $(ARGS)

# The script itself downloads nothing; BROWSER_PATH names a browser that is not found by itself.
screenshots: export PYTHONPATH := $(CURDIR)
screenshots: $(DEV) ## take the documentation's screenshots of the UI
	@test -n "$$BROWSER_PATH$$(for b in $(BROWSERS); do command -v $$b; done)" || { \
	command -v apt-get >/dev/null && test "$$(id -u)" = 0 && echo "Installing chromium" && \
	apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || { \
	echo "No Chromium or Chrome was found, and it can't be installed from here: install one, or \
	name it: make screenshots BROWSER_PATH=/path/to/it" >&2; exit 1; }
	@python docs/screenshots/take.py $(ARGS)

lint: $(DEV) ## check format, lint, types and the import contract
	@ruff format --check --quiet . || { echo "make format puts this right" >&2; exit 1; }
	@ruff check --quiet .
	@mypy
	@lint-imports

format: $(DEV) ## format, and repair what the linter can
	@ruff format --quiet .
	@ruff check --fix --quiet .

clean: ## remove what was built or installed; runs and models stay
	@rm -rf $(VENV) .venv-base $(ENGINES) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
	.hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
