# Two commands: `make course` and `make test`. Each makes .venv itself, from python3 and pip.
# Written for GNU make 3.81 (macOS) and later; the path of the repository must hold no spaces.

PYTHON  ?= python3
OUT     ?= build/course
CONSTRAINTS ?= constraints.txt   # make test CONSTRAINTS= takes the newest versions
LAB_FLAGS ?=   # for example --no-browser, or --allow-root in a container
# JupyterLab asks its makers for news and newer versions unless it is told not to.
LAB_QUIET := --LabApp.news_url=None \
  --LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed

.PHONY: help course site test lab wheel publish stale bench fuzz versions clean

help:                       ## say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/' | expand -t 16

course: $(STAMP)            ## run every lesson on the sample corpora; pages in build/course
	@status=0; $(BIN)/python -m sercourse run --out $(OUT) || status=$$?; \
	$(BIN)/python tools/build_site.py --lessons $(OUT) --out $(OUT) || status=$$?; exit $$status

site: $(STAMP)              ## pages of the lessons as they were published, in build/site
	@$(BIN)/python tools/build_site.py --out build/site

test: $(STAMP)              ## lint, types, spelling, unit tests and their coverage, lessons, README recipes
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --cov

lab: $(STAMP)               ## open JupyterLab at the first lesson
	@$(BIN)/python -m jupyter lab $(LAB_QUIET) $(LAB_FLAGS) $(firstword $(sort $(wildcard notebooks/[0-9][0-9]_*.ipynb)))

wheel: $(STAMP)             ## build wheel and sdist in build/dist, and try the wheel by itself
	@bash tools/wheel.sh $(BIN)/python build/dist $(TAG)

publish: $(STAMP)           ## store outputs from the real corpora: make publish CORPORA=DIR
	@test -n "$(CORPORA)" || { echo "make publish: say where ravdess/ and aesdd/ are: make publish CORPORA=DIR" >&2; exit 2; }
	@$(BIN)/python tools/publish.py --corpora "$(CORPORA)" $(LESSONS)

stale: $(STAMP)             ## list lessons whose outputs are older than their code
	@$(BIN)/python -m sercourse stale

bench: $(STAMP)             ## speed and memory side by side, as ratios: make bench BENCH="features --rounds 9"
	@$(BIN)/python benchmarks/bench.py $(BENCH)

fuzz: $(STAMP)              ## damaged files for an hour, or so many seconds: make fuzz SECONDS=600
	@$(BIN)/python tests/fuzz/harness.py --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),$(shell date +%s))

versions:                   ## the tests on each Python, with lowest and newest dependencies: hours
	@$(PYTHON) tools/versions.py

clean:                      ## remove .venv and everything that can be made again
	rm -rf $(VENV) build .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info

$(STAMP): pyproject.toml constraints.txt tools/bootstrap.sh
	@bash tools/bootstrap.sh "$(PYTHON)" $(VENV) $(CONSTRAINTS)
	@touch $@
