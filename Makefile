# Ocelli. `make run` and `make test` build all that they need; see README.md.

PYTHON := .venv/bin/python
# Several processes share the cores; spinning OpenMP threads would take them from each other.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help environment run doctor test lint format up down test-docker test-gpu models accuracy bench load manifests lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

environment: ## Make .venv from requirements.lock (seconds when it is up to date)
	@.ci/environment

run: environment ## Start the gateway and the services in the foreground; Ctrl-C stops them
	@.venv/bin/ocelli up

doctor: environment ## Check ports, versions, device, memory and the weights store
	@.venv/bin/ocelli doctor

test: ## Lint, types, import rules and all tests that need no GPU and no Docker
	@.ci/environment tests
	@$(MAKE) --no-print-directory lint
	.venv/bin/pytest -m "not gpu and not docker" --durations=5

LINTERS := .venv/linters/bin
SCRIPTS := .ci/docker .ci/environment .ci/lock .ci/run docker/entry docker/ocelli docker/rolling-restart k8s/components/monitoring/prometheus-rules

lint: ## Check style, types, who imports whom, and what is not Python
	@.ci/environment linters
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(LINTERS)/shellcheck $(SCRIPTS)
	$(LINTERS)/hadolint docker/Dockerfile
	$(LINTERS)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.gpu.yml
	$(LINTERS)/yamllint --strict .yamllint docker-compose.yml docker-compose.gpu.yml docker k8s

format: environment ## Format the code
	.venv/bin/ruff check --fix --exit-zero .
	.venv/bin/ruff format .

up: ## Build the images, and start the gateway and the services in containers
	REVISION=$$(git rev-parse HEAD 2>/dev/null) docker compose up --detach --build --wait

down: ## Stop the containers; weights, keys and metrics stay in their volumes
	docker compose --profile train --profile observability down

test-docker: ## Tests that need a Docker engine, which is made ready on Debian 12 (12 minutes)
	@.ci/environment tests
	@.ci/docker
	.venv/bin/pytest -m docker tests/docker --durations=10

test-gpu: environment ## Tests that need a CUDA device
	.venv/bin/pytest -m gpu tests/gpu

models: environment ## Train the demo weights again, into build/models (110 minutes of one core)
	$(PYTHON) -m services.finetune.demo.detectors --model ssd --output build/models
	$(PYTHON) -m services.finetune.demo.detectors --model faster-rcnn --output build/models
	$(PYTHON) -m services.finetune.demo.detectors --model mask-rcnn --output build/models
	$(PYTHON) -m services.finetune.demo.owlvit --output build/models --work build/work
	$(PYTHON) -m services.finetune.demo.clip --output build/models --work build/work
	$(PYTHON) -m services.finetune.demo.llava --output build/models --work build/work

accuracy: environment ## Measure the served demo models on held-out scenes (needs `make run` beside it)
	$(PYTHON) -m tests.e2e.accuracy
	$(PYTHON) -m tests.e2e.open_accuracy
	$(PYTHON) -m tests.e2e.chat_accuracy

bench: environment ## Compare the gateway and the services with the bare parts (ratios in one run; minutes)
	$(PYTHON) -m loadtests.bench

OCELLI_URL ?= http://127.0.0.1:8000
SCENARIO ?= mixed
SHAPE ?= steady
RATE ?= 6
SECONDS ?= 120
REPORT ?= build/load.html

load: environment ## Load a running stack by a schedule: SCENARIO, SHAPE, RATE, SECONDS, OCELLI_URL, OCELLI_KEY (2 minutes)
	@mkdir -p $(dir $(REPORT))
	@$(PYTHON) -m locust -f loadtests/locust/locustfile.py --headless --only-summary --host $(OCELLI_URL) --html $(REPORT) \
	  --scenario $(SCENARIO) --shape $(SHAPE) --rate $(RATE) --seconds $(SECONDS)

manifests: ## Write k8s/components/monitoring/rules.yaml from docker/prometheus/rules
	k8s/components/monitoring/prometheus-rules > k8s/components/monitoring/rules.yaml

lock: environment ## Resolve requirements.lock anew from pyproject.toml
	.ci/lock

clean: ## Remove .venv and local state
	rm -rf .venv .ocelli .mypy_cache .ruff_cache
