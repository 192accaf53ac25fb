# Everything installs into .venv and .cache; `make clean` takes both away.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
DATA ?= ./data
MODEL ?= tiny.en
MEDIA ?=

# Where it is set, each process compiles all sources anew as it starts, and tests start a thousand.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
MODELS_DIR := .cache/models
RUNTIME := .venv/.runtime
DEV := .venv/.dev
PAGE := chalicelib/static/index.html
PAGE_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*')

.PHONY: help setup page screenshots demo serve test bench-preparing bench-jobs bench-speakers bench-uploads bench-load check
.PHONY: format lock clean
.DELETE_ON_ERROR:

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with 'make PYTHON=python3.12 ...'." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "Python's venv module is missing: 'sudo apt install python3-venv', then try again." >&2; exit 1; }

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the packages into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "Installing the tools for tests and checks into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(RUNTIME) ## Make .venv with the service and the command line
	@$(BIN)/transcriber models install --models $(MODELS_DIR) "$(MODEL)"

# A page that cannot be built is no reason not to serve.
page: ## Build the web page from web/ if its sources have changed (needs Node.js 20 or newer)
	@if ! command -v npm >/dev/null; then echo "No web page: npm (Node.js) is not installed. Everything else works." >&2; \
	else $(MAKE) --silent --no-print-directory $(PAGE) || echo "The web page could not be built. Everything else works." >&2; fi

$(PAGE): $(PAGE_SOURCES)
	@echo "Building the web page ..." >&2
	@cd web && npm ci --silent --no-fund --no-audit && npm run --silent build -- --logLevel warn
	@$(PYTHON) web/size.py

screenshots: $(DEV) page ## Take the pictures of the page in docs/screenshots anew, from a test run
	@$(BIN)/python -m pytest -q tests/test_page.py tests/test_viewing.py
	@mkdir -p docs/screenshots && cp build/screenshots/*.png docs/screenshots/

demo: setup page ## Transcribe a video through a service of its own (MEDIA=file-or-folder for yours)
	@$(BIN)/transcriber demo --models $(MODELS_DIR) --model "$(MODEL)" $(if $(MEDIA),"$(MEDIA)")

serve: setup page ## Run the service until stopped (HOST, PORT, DATA, MODEL)
	@exec $(BIN)/transcriber serve --host "$(HOST)" --port "$(PORT)" --data "$(DATA)" --models $(MODELS_DIR) --model "$(MODEL)"

# One at a time more than there are processors of a small machine: many tests wait for something.
test: $(DEV) page ## Run all tests
	@$(BIN)/python -m pytest -m "not alone" -n 3 --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m alone

bench-preparing: $(DEV) setup ## Memory and disk that preparing a file of ten hours takes
	@$(BIN)/python -m bench.preparing

bench-jobs: $(DEV) ## How quickly a job of 100,000 files is added, asked for, retried and deleted
	@$(BIN)/python -m bench.jobs

bench-speakers: $(DEV) setup ## How well speakers are told apart, in sound from Debian's packages
	@$(BIN)/python -m bench.speakers

bench-uploads: $(DEV) ## Uploads of gigabytes: what they survive, how quick they are (6 GB of disk)
	@$(BIN)/python -m bench.uploads

bench-load: $(DEV) setup ## Fifty clients poll, eight upload, two have media transcribed, for three minutes
	@$(BIN)/python -m bench.load

check: $(DEV) ## Lint and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(DEV) ## Bring the code into its standard form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(DEV) ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml requirements.txt -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --extra bench -c requirements-dev.lock pyproject.toml -o requirements-bench.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links -c requirements-dev.lock container/requirements.txt \
	  -o container/requirements.lock

clean: ## Remove .venv, caches and build results (never your data)
	rm -rf .venv .cache build *.egg-info .pytest_cache .mypy_cache .ruff_cache

include deploy.mk bench.mk
