# Whose Weights? Every target sets up what it needs; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_TELEMETRY := 1
export GRADIO_ANALYTICS_ENABLED := False
export ANONYMIZED_TELEMETRY := False

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint bench bench-accuracy bench-peers bench-retrieval bench-speed bench-conversation exhibits readme browser clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))' \
	  || { echo "Python 3.11 or 3.12 is needed; set it with: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); } \
	  || { echo "Could not make a virtual environment; on Debian install it with: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/.run
	$(BIN)/pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.run  ## install what the page needs into .venv

run: $(VENV)/.run  ## serve the page on http://127.0.0.1:7860
	$(BIN)/python app.py

test: $(VENV)/.dev browser  ## run all tests
	$(BIN)/python -m pytest

browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-cjk >/dev/null; } \
	  || echo "No chromium here: the browser test will be skipped."

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy tools knowledge

check: lint test  ## ruff, mypy and all tests

bench: bench-accuracy bench-retrieval bench-conversation  ## every benchmark

bench-accuracy: $(VENV)/.run  ## strangers, attacks and adversaries on a zoo of small models (trains it first)
	$(BIN)/python -m benchmarks.accuracy --json output/accuracy.json; failed=$$?; $(BIN)/python -m benchmarks.uniformity; exit $$failed

$(VENV)/.bench: requirements-bench.txt | $(VENV)/.run
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --ignore-requires-python -r requirements-bench.txt
	@touch $@

bench-peers: $(VENV)/.bench  ## two public tools beside ours on strangers and copies
	$(BIN)/python -m benchmarks.peers --json output/peers.json

bench-retrieval: $(VENV)/.run  ## recall of the article search
	$(BIN)/python -m benchmarks.retrieval

bench-speed: $(VENV)/.run  ## time, memory and bytes on generated models of up to 10 GB (needs 45 GB of disk, 20 minutes)
	$(BIN)/python -m benchmarks.speed --json output/speed.json; failed=$$?; $(BIN)/python -m benchmarks.curve; exit $$failed

bench-conversation: $(VENV)/.run  ## scripted conversations in both languages, lying and obedient models
	$(BIN)/python -m benchmarks.conversation --json output/conversation.json

exhibits: $(VENV)/.run  ## train the small model pairs under exhibits/ again (about 10 minutes)
	$(BIN)/python -m exhibits.build

readme: $(VENV)/.run  ## fill the run, the rule and the probes of README.md from the program
	$(BIN)/python -m benchmarks.readme
	$(BIN)/python -m benchmarks.picture

clean:  ## remove caches and test output
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis output tests/output
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
