# Every target is a thin call of `python -m minidiff VERB` or of pytest.
# Without PY, a target first sets up .venv (once); with PY=python3 it uses that interpreter as it is.

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow test-gpu parity lint clean

ifdef PY
  needs :=
else
  PY := .venv/bin/python
  needs = $(1:%=.venv/ready-%)
endif

# dev, parity, train, notebooks: the extras of pyproject.toml, in the tested versions
.venv/ready-%: pyproject.toml constraints.txt
	@sh tools/setup.sh $*
	@touch $@

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  PY=python3    use this interpreter and set nothing up'

setup: $(call needs,dev) ## .venv with everything that figures and tests need

test: $(call needs,dev) ## quick tests: no network, no GPU
	$(PY) -m pytest -m "not gpu and not slow"

test-slow: $(call needs,dev) ## the tests that take longer than ten seconds
	$(PY) -m pytest -m "slow and not gpu"

test-gpu: $(call needs,dev) ## the tests that need a CUDA device
	$(PY) -m pytest -m gpu

lint: $(call needs,dev) ## style
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

clean: ## remove what the targets wrote: out/ and .venv/ (data/, runs/ and weights/ stay)
	rm -rf out .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info
