# Every target is a thin call of `python -m minidiff VERB` or of pytest.
# Without PY, a target first sets up .venv (once); with PY=python3 it uses that interpreter as it is.

.DEFAULT_GOAL := help
.PHONY: help setup play part-a part-b test test-slow test-gpu test-browser parity abuse refresh lint \
        lessons notebooks lessons-sync grade mutants \
        train-mnist eval-mnist train-emoji eval-demo data weights bench clean

ifdef PY
  needs :=
else
  PY := .venv/bin/python
  needs = $(1:%=.venv/ready-%)
  # what a host's own Python is given must not reach .venv's
  unexport PYTHONPATH PYTHONHOME
endif
minidiff = $(PY) -m minidiff

# Without these, glibc gives the memory of every layer back to the system and gets it zeroed again:
# 8 % of the time on a CPU. Other C libraries do not read them.
export MALLOC_MMAP_THRESHOLD_ := 33554432
export MALLOC_TRIM_THRESHOLD_ := 536870912

# $(call opt,ONLY,only): --only "$ONLY" if make was called with ONLY=...; the shell reads the value
# from the environment, where make puts it, so that any prompt survives.
given = $(filter command,$(origin $1))
opt = $(if $(call given,$1),--$2 "$$$1")
flag = $(if $(call given,$1),--$2)

# only=1.1 is not ONLY=1.1, and would be ignored; others, as CUDA_VISIBLE_DEVICES=0, may pass
known := ASK BATCH COMPARE DATA DIGITS EDITION EMBEDDINGS EPOCHS EX FAST IMAGE JOBS JSON \
  KILLS MASK MODE MODEL MODELS NN ONLY OPEN OUT PARTS PORT PROMPT PY SAMPLES SECONDS SEEDS \
  SETS SOURCE STAGE START_FROM STEPS TEXT_ENCODER TIMES TO WALKS WEIGHTS WEIGHTS_2 YES
others := $(foreach v,$(filter-out $(known),$(.VARIABLES)),$(if $(call given,$v),$v))
$(foreach v,$(others),$(foreach k,$(filter $(known),$(shell echo '$v' | tr a-z A-Z)),\
  $(error nothing reads $v=: write it in capitals, $k=)))

# tests share the cores out where pytest-xdist is there, as it is in .venv; each process holds torch
side_by_side = $(if $(shell $(PY) -c "import xdist" 2>/dev/null && echo yes),-n $(or $(JOBS),auto) --maxprocesses 4)

# dev, parity, train, notebooks: the extras of pyproject.toml, in the tested versions
.venv/ready-%: pyproject.toml constraints.txt
	@sh tools/setup.sh $*
	@touch $@

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  part-a takes ONLY= one of 0 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.7.1 1.7.2 1.7.3 1.8 1.9 yours,'
	@echo '               WEIGHTS=DIR, EMBEDDINGS=FILE, and IMAGE=me.jpg MASK=mask.png PROMPT="a rocket"'
	@echo '  PY=python3   use this interpreter and set nothing up'
	@echo '  everything else: python -m minidiff --help'

setup: $(call needs,dev) ## .venv with everything that figures and tests need

play: $(call needs,play) ## draw and change equations in a browser: WEIGHTS= EMBEDDINGS= PORT= OPEN=
	@$(minidiff) play $(call opt,WEIGHTS,weights) $(call opt,EMBEDDINGS,embeddings) \
	  $(call opt,PORT,port) $(call opt,OPEN,open) \
	  $(call opt,WEIGHTS_2,weights-2)

part-a: $(call needs,dev) ## all figures of Part A, into out/part-a; EDITION=fa26 for flow
	$(minidiff) part-a $(call opt,EDITION,edition) $(call opt,WEIGHTS,weights) $(call opt,EMBEDDINGS,embeddings) \
	  $(call opt,ONLY,only) $(call opt,IMAGE,image) $(call opt,MASK,mask) \
	  $(call opt,PROMPT,prompt) $(call flag,COMPARE,compare) $(call opt,OUT,out)

part-b: $(call needs,dev) ## all figures of Part B, into out/part-b; EDITION=fa25 for flow
	$(minidiff) part-b $(call opt,EDITION,edition) $(call opt,ONLY,only) $(call opt,WEIGHTS,weights) \
	  $(call opt,OUT,out)

test: $(call needs,dev) ## quick tests: no network, no GPU; JOBS=1 side by side (default: a core each, 4 at most)
	$(PY) -m pytest -m "not gpu and not slow" $(side_by_side)

test-slow: $(call needs,dev) ## the tests that take longer than ten seconds
	$(PY) -m pytest -m "slow and not gpu"

test-gpu: $(call needs,dev) ## the tests that need a CUDA device
	$(PY) -m pytest -m gpu

test-browser: $(call needs,dev) $(call needs,play) $(call needs,browser) ## the page, in Chromium
	$(PY) -m pytest tests/browser

abuse: $(call needs,dev) ## bad input of every kind, kills, full disks: KILLS= with each signal (20)
	ABUSE_KILLS=$(or $(KILLS),20) $(PY) -m pytest tests/abuse

lessons: $(call needs,dev) ## run every lesson, or NN=05; ASK=1 asks you its questions first; TIMES=idle
	$(minidiff) lessons $(if $(call given,NN),$$NN) $(call flag,ASK,ask) $(call opt,TIMES,times)

notebooks: $(call needs,notebooks) ## every lesson as a notebook in out/notebooks, or NN=05
	$(minidiff) notebooks $(if $(call given,NN),$$NN)

lessons-sync: $(call needs,dev) ## rewrite the code that lessons and exercises copy from the package
	$(minidiff) lessons-sync $(if $(call given,NN),$$NN)

grade: $(call needs,dev) ## check the exercises: EX=posterior_mean SOURCE=minidiff JSON=1
	@$(minidiff) grade $(call opt,EX,ex) $(call opt,SOURCE,source) $(call flag,JSON,json)

mutants: $(call needs,dev) ## every known mistake must be caught and named by the grader
	@$(minidiff) mutants $(call opt,ONLY,only)

parity: $(call needs,parity) ## compare with diffusers and transformers: WEIGHTS=DIR for official ones
	$(if $(call given,WEIGHTS),MINIDIFF_WEIGHTS="$$WEIGHTS") $(PY) -m tests.parity

refresh: $(call needs,parity) ## after new demo weights: whatever is made from them
	$(minidiff) weights seal weights/emoji-64
	$(PY) -m tests.make_reference
	$(PY) -m minidiff.figures.banner
	$(minidiff) lessons
	$(minidiff) part-a

lint: $(call needs,dev) ## style
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

data: $(call needs,train) ## fetch training data: SETS="mnist fashion emoji emoji-256" (default: mnist), YES=1
	$(minidiff) data $(if $(call given,SETS),$$SETS) $(call flag,YES,yes)

weights: $(call needs,dev) ## fetch an official model: MODEL=IF-I-L TEXT_ENCODER=1 TO=DIR
	$(minidiff) weights pull $(if $(call given,MODEL),"$$MODEL") $(call flag,TEXT_ENCODER,text-encoder) $(call opt,TO,to)

train-mnist: $(call needs,dev) ## train Part B's models: MODELS= SEEDS= EPOCHS= DATA=fashion MODE= OUT=
	$(minidiff) train-mnist $(call opt,MODELS,models) $(call opt,SEEDS,seeds) \
	  $(call opt,EPOCHS,epochs) $(call opt,DATA,dataset) $(call opt,MODE,mode) $(call opt,OUT,out)

eval-mnist: $(call needs,dev) ## measure Part B's models: EDITION= WEIGHTS= SAMPLES= WALKS= DIGITS=
	$(minidiff) eval-mnist $(call opt,EDITION,edition) $(call opt,WEIGHTS,weights) \
	  $(call opt,SAMPLES,samples) $(call opt,WALKS,walks) $(call opt,DIGITS,digits) $(call opt,OUT,out)

train-emoji: $(call needs,train) ## train the demo on a GPU, or its STAGE=2: STEPS= or SECONDS=
	$(minidiff) train-emoji $(call opt,STAGE,stage) $(call opt,STEPS,steps) $(call opt,SECONDS,seconds) \
	  $(call opt,BATCH,batch) $(call opt,START_FROM,start-from) $(call opt,OUT,out)

eval-demo: $(call needs,dev) ## measure what the demo draws: WEIGHTS= FAST=1 ONLY= SAMPLES=
	$(minidiff) eval-demo $(call opt,WEIGHTS,weights) $(call flag,FAST,fast) $(call opt,OUT,out) \
	  $(call opt,ONLY,only) $(call opt,SAMPLES,samples)

bench: $(call needs,parity) ## time it against diffusers: PARTS="step loop ..." on a GPU, PARTS=cpu
	$(PY) -m tests.bench $(if $(call given,PARTS),$$PARTS)

clean: ## remove what the targets wrote: out/ and .venv/ (data/, runs/ and weights/ stay)
	rm -rf out .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info
