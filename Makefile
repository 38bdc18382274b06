# Two commands matter: `make demo` and `make test`. Each sets up all that it needs by itself, and is quick the second time.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
SEED ?= 7
SEEDS ?= 1-20
export UV_SYSTEM_CERTS := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
unexport PREFECT_API_URL

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-seeds screenshots up down test aws-faults check bench format lock lambda deploy automations clean

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with every package of requirements.lock, checked by hash

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || command -v python3 >/dev/null 2>&1 || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@P=$$(command -v $(PYTHON) || command -v python3); \
	  "$$P" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 13)))' || { echo "$$P is not Python 3.11 or 3.12; set PYTHON=/path/to/python3.11"; exit 1; }; \
	  test -x $(BIN)/python || "$$P" -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@echo "setting up $(VENV): about a minute the first time"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## Watch five candidates, and every ending (SEED=n; RESUME=1 goes on with a killed one; UI=1 PORT=n in Prefect's pages)
	@$(BIN)/python -m demo --seed $(SEED) $(if $(RESUME),--resume) $(if $(UI),--ui) $(if $(PORT),--port $(PORT))

demo-seeds: $(STAMP) ## Run the demo for seeds 1-20, two at a time, and count its endings; goes on where it stopped (SEEDS=1-20, LAST=version)
	@$(BIN)/python -m demo.seeds --seeds $(SEEDS) $(if $(LAST),--last $(LAST))

screenshots: $(STAMP) ## Make docs/screenshots again, from the demo's home, with headless Chromium
	@$(BIN)/python -m demo.screenshots $(ARGS)

up: $(STAMP) ## Start all that a team runs, in real time: Prefect, worker, endpoint, router, traffic (PORT=n, DATABASE=postgresql://...)
	@$(BIN)/python -m demo.stack up $(if $(PORT),--port $(PORT)) $(if $(DATABASE),--database '$(DATABASE)')

down: $(STAMP) ## Stop exactly that; the data stays
	@$(BIN)/python -m demo.stack down

chaos: $(STAMP) ## Kill everything around whole rollouts, and compare them with undisturbed ones (ROUNDS=200 SEED=7); writes docs/crash-safety.md
	@ROUNDS=$(or $(ROUNDS),200) SEED=$(SEED) CHAOS_PAGE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -p no:cacheprovider tests/chaos

test: $(STAMP) ## Run every test
	@$(BIN)/python -m pytest -q -p no:cacheprovider -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

aws-faults: $(STAMP) ## Hit every call of the AWS adapters with every fault; make test draws some (AWS_FAULTS_SEED=7)
	@AWS_FAULTS=all $(BIN)/python -m pytest -q -p no:cacheprovider tests/contract/test_serving_aws.py $(ARGS)

check: $(STAMP) ## Format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP) ## Time statistics and ingest against targets and peers (PEERS=python with peers in it; FULL=1: 5M lines)
	@status=0; \
	  $(BIN)/python benchmarks/compare.py $(foreach peer,$(PEERS),--peers $(peer)) $(ARGS) || status=1; \
	  $(BIN)/python benchmarks/ingest.py $(foreach peer,$(PEERS),--peers $(peer)) $(if $(FULL),--full) --results benchmarks/results $(INGEST_ARGS) || status=1; \
	  exit $$status

format: $(STAMP) ## Let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Resolve pyproject.toml again into requirements.lock: hashes, no index address
	@$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-annotate --universal \
	  --python-version 3.11 --custom-compile-command "make lock" --quiet --output-file requirements.lock

# What the router needs as a Lambda function; everything else of requirements.lock stays out of the zip.
LAMBDA_PACKAGES := annotated-types boto3 botocore jmespath orjson pydantic pydantic-core python-dateutil pyyaml s3transfer six typing-extensions typing-inspection urllib3
LAMBDA_PLATFORM ?= x86_64-manylinux2014

lambda: $(STAMP) ## Make build/router-lambda.zip, the router as an AWS Lambda function (LAMBDA_PLATFORM=aarch64-manylinux2014 for arm64)
	@rm -rf build/lambda build/router-lambda.zip && mkdir -p build/lambda
	@awk -v names="$(LAMBDA_PACKAGES)" 'BEGIN {split(names, list, " "); for (n in list) wanted[list[n]]} \
	  /^[a-z]/ {split($$1, part, "=="); keep = part[1] in wanted} keep' requirements.lock > build/lambda.txt
	@$(BIN)/uv pip install --quiet --target build/lambda --python-platform $(LAMBDA_PLATFORM) \
	  --python-version "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
	  --only-binary :all: --no-deps --require-hashes -r build/lambda.txt
	@cp -R staged_rollout build/lambda/ && find build/lambda -name __pycache__ -type d -prune -exec rm -rf {} + && rm -rf build/lambda/bin
	@$(BIN)/python -m compileall -q --invalidation-mode unchecked-hash build/lambda  # Lambda cannot write what it compiles
	@cd build/lambda && ../../$(BIN)/python -m zipfile -c ../router-lambda.zip * && ls -lh ../router-lambda.zip | awk '{print "build/router-lambda.zip: " $$5}'

deploy: $(STAMP) ## Send every deployment of prefect.yaml to the Prefect server of PREFECT_API_URL
	@STAGED_ROLLOUT_ENVIRONMENT="$${STAGED_ROLLOUT_ENVIRONMENT:-local}" PREFECT_API_URL="$(API)" \
	  STAGED_ROLLOUT_SWEEP="$${STAGED_ROLLOUT_SWEEP:-*/15 * * * *}" STAGED_ROLLOUT_WATCH="$${STAGED_ROLLOUT_WATCH:-*/5 * * * *}" \
	  STAGED_ROLLOUT_POLL="$${STAGED_ROLLOUT_POLL:-*/10 * * * *}" $(BIN)/prefect --no-prompt deploy --all

automations: $(STAMP) ## Make or mend the automations on the Prefect server of PREFECT_API_URL, after deploy
	@PREFECT_API_URL="$(API)" $(BIN)/python -m tasks.automations --environment "$${STAGED_ROLLOUT_ENVIRONMENT:-local}"

clean: ## Remove .venv, caches and everything that the demo left
	rm -rf $(VENV) .staged-rollout .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
