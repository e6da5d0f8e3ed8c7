# Everything a checkout needs: Python 3.11+ and make. uv is used where it is installed, else venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
RUNTIME := $(VENV)/.runtime-done
UV := $(shell command -v uv 2>/dev/null)
# How long `make fuzz` runs, and its seed: a random one if none is given
SECONDS ?= 600
SEED ?=
# How many frames `make frames` puts
CASES ?= 20000
# How many schedules `make simulate` runs
SCHEDULES ?= 10000
# The faults of `make chaos`, in this order; without any, the seed shuffles all of them
FAULTS ?=
# How often it changes the model's version meanwhile
PROMOTIONS ?=
# pytest's arguments, for example: make test-all T='tests/unit -x'; the last ones count, so -n 0 is one process, and -s then prints
T ?=
# How many processes run tests; each starts members of its own, and wants 3 GB
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-chaos test test-all test-rest test-real fuzz frames simulate chaos battery bench bench-scale bench-models bench-sharing bench-idle bench-long bench-large release-check api lint format lock clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything locked in requirements.lock

# The package itself comes last, editable and without a build environment: it needs nothing that is not in the lock.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c $(VERSION_CHECK)
ifdef UV
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	$(KERNELS)
	@touch $@ $(RUNTIME)

# What running needs, a third of the time and of the bytes: whoever tries the demo need not wait for what tests it.
$(RUNTIME): requirements-runtime.lock
	@$(PYTHON) -c $(VERSION_CHECK)
ifdef UV
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirements requirements-runtime.lock
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-runtime.lock
endif
	$(KERNELS)
	@touch $@

VERSION_CHECK = 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
# Once a machine: what would hold up its first worker.
KERNELS = PYTHONPATH="$(CURDIR)" $(BIN)/python -c "from grid_inference.wire import kernels; kernels.load()"
RUN = PYTHONPATH="$(CURDIR)" $(BIN)/python -m grid_inference.cli

demo: $(RUNTIME) ## card fraud, live: start a grid, train, deploy, stream, verify
	$(RUN) demo

demo-chaos: $(RUNTIME) ## the same on three nodes, one of which is killed when half is put
	$(RUN) demo --nodes 3 --kill

# Tests of a file stay in one process, and those with members come first (tests/conftest.py): the short ones fill what is left.
PYTEST = $(BIN)/python -m pytest --durations=10
SPREAD = -n $(JOBS) --dist loadfile --no-loadscope-reorder
THOROUGH = --hypothesis-profile=thorough

test: $(STAMP) ## what one waits for: all units and properties, and with members what guards the main way (tests/selection.py)
	$(PYTEST) $(SPREAD) -m "not real and not rest" $(T)

test-all: $(STAMP) ## all tests that need no other system; properties with more examples
	$(PYTEST) $(SPREAD) $(THOROUGH) -m "not real" $(T)

test-rest: $(STAMP) ## what `make test` leaves out of `make test-all`
	$(PYTEST) $(SPREAD) $(THOROUGH) -m "not real and (rest or hypothesis)" $(T)

test-real: $(STAMP) ## tests against Docker, a JDK and other real systems
	$(PYTEST) -m real $(T)

fuzz: $(STAMP) ## hostile bytes for SECONDS=600 from SEED=n; the last line is JSON
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

frames: $(STAMP) ## CASES=20000 frames at random from SEED=n, by every way in and out; the last line is JSON
	$(BIN)/python -m tests.frames --cases $(CASES) $(if $(SEED),--seed $(SEED))

simulate: $(STAMP) ## ownership by SCHEDULES=10000 seeds from SEED=n on, in virtual time; the last line is JSON
	$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) $(if $(SEED),--seed $(SEED))

chaos: $(STAMP) ## torment a grid under load from SEED=n, judge what stands in the end; the last line is JSON
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(RUNS),--runs $(RUNS)) \
		$(if $(PROMOTIONS),--promotions $(PROMOTIONS))

battery: $(STAMP) ## estimators of scikit-learn, XGBoost, LightGBM, in ONNX and MLflow by every input form against the bare model
	$(BIN)/python -m tests.battery

bench: $(STAMP) ## measure against the peers; writes bench/latest.json
	$(BIN)/python -m bench

bench-scale: $(STAMP) ## one, two, three nodes on this machine; writes bench/scale.json
	$(BIN)/python -m bench.scale

bench-models: $(STAMP) ## every format of models at three sizes of batches; writes bench/models.json
	$(BIN)/python -m bench.models

bench-sharing: $(STAMP) ## memory of four workers with a model of 500 MB, on Linux; writes bench/sharing.json
	$(BIN)/python -m bench.sharing

bench-idle: $(STAMP) ## what 20 and 200 deployments cost that have nothing to do; prints JSON
	$(BIN)/python -m bench.idle

bench-long: $(STAMP) ## ten minutes at 500/s and at 20,000/s; each latency above 100 ms and its cause; prints JSON
	$(BIN)/python -m bench.long

bench-large: $(STAMP) ## ten million records: scored, proven, scored anew; wants 13 GB
	$(BIN)/python -m bench.large

release-check: $(STAMP) ## build, install into an empty environment, run the demo from there; writes dist/ and its SBOM
	scripts/release-check.sh

api: $(STAMP) ## write the blocking API and docs/api.md anew from the asynchronous one
	$(BIN)/python tools/blocking_api.py
	$(BIN)/python tools/api_reference.py

lint: $(STAMP) ## ruff and strict typing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(STAMP) ## let ruff write the layout
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

# uv resolves for every platform and Python version at once; where it is not installed, it gets an environment of its own.
# The second lock is the first without what only development needs: images are built from it.
lock: ## resolve requirements.lock anew
ifdef UV
	$(UV) $(LOCK) --group dev --all-extras --output-file requirements.lock
	$(UV) $(LOCK) --constraints requirements.lock --output-file requirements-runtime.lock
else
	@test -x .cache/lock/bin/uv || { $(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv; }
	.cache/lock/bin/uv $(LOCK) --group dev --all-extras --output-file requirements.lock
	.cache/lock/bin/uv $(LOCK) --constraints requirements.lock --output-file requirements-runtime.lock
endif
LOCK = pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --quiet --custom-compile-command "make lock"

clean: ## remove what was made here; the jar in the per-user cache stays
	rm -rf $(VENV) .cache dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
