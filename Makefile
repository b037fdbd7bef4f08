# Every command of the project. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install pipeline train tune release serve ui schedule up team-demo test test-all test-spark lint format \
	docs lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINKED := $(VENV)/.linked

# Found before .venv is first on the path; PYTHON=... selects another one. TensorFlow sets the upper limit.
SUPPORTED := import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit(1); print(sys._base_executable)
ifndef PYTHON
PYTHON := $(shell for name in python3.11 python3 python3.12 python3.13; do $$name -c '$(SUPPORTED)' 2>/dev/null && break; done)
endif

# DVC's stages call `python`, which must be the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(LINKED) ## create .venv from requirements.lock

# uv reads its own settings, not pip's: where it cannot reach the packages, pip installs the same locked files.
# Where Python must not write bytecode, it is compiled now: every command would compile its imports again otherwise.
UV_INSTALL = UV_HTTP_CONNECT_TIMEOUT=5 $(1)/bin/uv pip install --quiet --python $(1)/bin/python

# $(call create_environment,FOLDER,LOCK FILE,DURATION)
define create_environment
	@"$(or $(PYTHON),none)" -c '$(SUPPORTED)' >/dev/null 2>&1 || { \
		echo "Python 3.11, 3.12 or 3.13 is needed; found: $(or $(PYTHON),$$(python3 --version 2>&1))." >&2; \
		echo "Install it, or give its path: make PYTHON=/path/to/python3.11 $(or $(MAKECMDGOALS),install)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing the locked packages into $(1) (once; $(3))."
	@"$(PYTHON)" -m venv --clear $(1)
	@{ $(1)/bin/python -m pip install --quiet --require-hashes -r requirements-uv.lock \
		&& $(call UV_INSTALL,$(1)) $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --require-hashes -r $(2); } || { \
		echo "uv could not install the packages (see above; it does not read pip's configuration, but UV_DEFAULT_INDEX" >&2; \
		echo "and its other variables). Installing them with pip instead; this takes some minutes." >&2; \
		$(1)/bin/python -m pip install --quiet --require-hashes -r $(2); }
endef

# The stamps are written last, so that an interrupted installation starts again from an empty environment.
$(STAMP): requirements.lock requirements-uv.lock
	$(call create_environment,$(VENV),requirements.lock,half a minute to two minutes)
	@touch $@

$(LINKED): $(STAMP) pyproject.toml
	@$(call UV_INSTALL,$(VENV)) --no-deps --no-build-isolation -e .
	@touch $@

# What a team's machines need besides: DVC's S3 remote, database drivers, and for the demo PostgreSQL and SeaweedFS.
TEAM_STAMP := $(VENV)/.team
$(TEAM_STAMP): $(LINKED) requirements-team.lock
	@echo "Installing the packages of requirements-team.lock into $(VENV)."
	@$(call UV_INSTALL,$(VENV)) --require-hashes -r requirements-team.lock || \
		$(BIN)/python -m pip install --quiet --require-hashes -r requirements-team.lock
	@touch $@

ifdef TEAM
install: $(TEAM_STAMP)
endif

# TensorFlow for NVIDIA GPUs in place of the CPU build. The choice lasts, also when a changed lock makes a new
# environment; GPU=0 makes one with the CPU build. Both builds write the same files, so one is removed before the other
# comes; until that is done there is no STAMP, and an interrupted installation starts again from an empty environment.
GPU_STAMP := $(VENV)/.gpu
GPU ?= $(if $(wildcard $(GPU_STAMP)),1)

$(GPU_STAMP): $(LINKED) requirements-gpu.lock
	@[ "$$(uname -s)" = Linux ] || { echo "TensorFlow has a GPU build for Linux only: make install" >&2; exit 1; }
	@echo "Installing TensorFlow for NVIDIA GPUs into $(VENV) (once; a download of 3.5 GB, 6 GB on disk)."
	@mv $(STAMP) $(STAMP).replaced
	@$(BIN)/python -m pip uninstall --quiet --yes tensorflow-cpu
	@$(call UV_INSTALL,$(VENV)) --require-hashes -r requirements-gpu.lock || \
		$(BIN)/python -m pip install --quiet --require-hashes -r requirements-gpu.lock
	@mv $(STAMP).replaced $(STAMP)
	@touch $@

ifeq ($(GPU),1)
install: $(GPU_STAMP)
else ifneq ($(wildcard $(GPU_STAMP)),)
.PHONY: cpu-build
$(STAMP): cpu-build
endif

pipeline: install ## train, evaluate and publish a model with DVC, then print a summary
	@$(BIN)/atnet check
	@$(BIN)/dvc repro
	@$(BIN)/atnet publish
	@$(BIN)/atnet summary

train: install ## the same pipeline as a Prefect flow, after fetching new data
	@$(BIN)/python -m pipelines.training

tune: install ## search for better training parameters (ranges and limits: `tune` in params.yaml)
	@$(BIN)/dvc repro vectors
	@$(BIN)/atnet tune

release: install ## run the gate on the published model and promote it if it passes
	@$(BIN)/atnet release

# The service has a separate environment, without TensorFlow, DVC, Prefect and pandas.
SERVING := .venv-serving
SERVING_STAMP := $(SERVING)/.installed

$(SERVING_STAMP): requirements-serving.lock requirements-uv.lock
	$(call create_environment,$(SERVING),requirements-serving.lock,about half a minute)
	@touch $@

serve: $(SERVING_STAMP) ## serve the champion over HTTP
	@PYTHONPATH=src $(SERVING)/bin/python -m atnet.cli serve

ui: install ## open the MLflow UI
	@$(BIN)/atnet ui

# Other ports: make up PREFECT_PORT=4201 MLFLOW_PORT=5001 SERVE_PORT=8001. For other machines: HOST=0.0.0.0
# PUBLIC_HOST=name; Prefect and MLflow ask for no password then.
export HOST PUBLIC_HOST PREFECT_PORT MLFLOW_PORT SERVE_PORT
up: install $(SERVING_STAMP) ## start Prefect, MLflow, schedules, service and notifications, and keep them running
	@PYTHONPATH=src SERVE_PYTHON=$(SERVING)/bin/python exec $(BIN)/python -m pipelines.up

# Other ports: make team-demo MLFLOW_PORT=5001 PREFECT_PORT=4201 POSTGRES_PORT=5433 S3_PORT=9333. See docs/team.md.
export POSTGRES_PORT S3_PORT PGDATA
team-demo: $(TEAM_STAMP) ## start a team's servers on this machine: PostgreSQL, S3, MLflow and Prefect with passwords
	@PYTHONPATH=src exec $(BIN)/python -m pipelines.team_demo

schedule: install ## run the flows on the schedules in prefect.yaml
	@$(BIN)/python -m pipelines.deployments

test: install ## run the fast tests
	@unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -m "not slow" -n auto -q

test-all: install ## run all tests, including the slow ones: real DVC, Prefect and MLflow
	@unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -n auto --dist loadscope -q

# PySpark is an extra: it is added to the locked packages in an environment of its own. Fails without Java.
SPARK := .venv-spark
SPARK_STAMP := $(SPARK)/.installed

$(SPARK_STAMP): requirements-spark.lock $(STAMP)
	@$(BIN)/python -m venv --clear $(SPARK)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(SPARK)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/locked.pth"
	@$(SPARK)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-spark.lock
	@touch $@

test-spark: install $(SPARK_STAMP) ## run the tests of the engine `spark`; needs Java 17 or later
	@java -version
	@PYTHONPATH=src $(SPARK)/bin/python -c 'import pyspark'
	@PYTHONPATH=src $(SPARK)/bin/python -m pytest -q tests/test_spark.py

lint: install ## check style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## fix and format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: install ## write the generated parts of the documentation
	@$(BIN)/python -m atnet.config.parameter_docs > docs/parameters.md.part
	@mv docs/parameters.md.part docs/parameters.md
	@$(BIN)/python docs/generate.py

LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
lock: install ## resolve the packages and write the lock files
	@$(BIN)/uv pip compile $(LOCKED) --extra dev pyproject.toml -o requirements.lock
	@echo uv | $(BIN)/uv pip compile $(LOCKED) -c requirements.lock - -o requirements-uv.lock
	@$(BIN)/uv pip compile $(LOCKED) -c requirements.lock requirements-benchmarks.in -o requirements-benchmarks.lock
	@$(BIN)/uv pip compile $(LOCKED) -c requirements.lock requirements-gpu.in -o requirements-gpu.lock
	@$(BIN)/uv pip compile $(LOCKED) -c requirements.lock requirements-serving.in -o requirements-serving.lock
	@$(BIN)/uv pip compile $(LOCKED) -c requirements.lock requirements-spark.in -o requirements-spark.lock
	@$(BIN)/uv pip compile $(LOCKED) -c requirements.lock requirements-team.in -o requirements-team.lock

clean: ## remove the environment and tool caches; data, models and runs stay
	rm -rf $(VENV) $(SERVING) $(SPARK) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis src/*.egg-info
