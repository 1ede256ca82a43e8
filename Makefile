# make demo: judge 8 word problems end to end.   make test: lint, types and tests.
# make docs: write docs/cli.md.   make site: build the documentation as a site.   make fuzz: property tests at length.
# make wheel-test: build a wheel, and run the demo and a part of the tests against it as installed.
# make bench: how fast the judge `inspector` is, by prompt layout.
# Another Python: make test PYTHON=python3.12   Another place for the environment: VENV=...

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_LM := smollm2-135m-instruct
# As on the package index; a CPU build serves as well and is smaller.
TORCH ?= torch==2.13.0
# Test processes, of one thread each.
PROCESSES ?= 2
# Tries of `make fuzz`.
TRIES ?= 10000

# The data that `make bench` reads, and where it keeps its packs.
DATA ?= ../shared/data
PACKS ?= build/packs

.PHONY: test demo run-demo wheel-test docs site bench fuzz lint types tests format clean

test: lint types tests

# The stamps say that the environment holds what setup.cfg asks for.
$(VENV)/installed: setup.cfg setup.py pyproject.toml inspector_plugin.pth
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[openai,dev]"
	touch $@

# Where `make demo` writes; tasks/demo/scored.jsonl holds responses with scores of our own.
DEMO := build/demo
SCORED := tasks/demo/scored.jsonl

demo: $(VENV)/installed
	$(MAKE) run-demo

# The demo by whatever is installed in BIN.
run-demo:
	$(BIN)/inspector models install $(DEMO_LM)
	mkdir -p $(DEMO)
	$(BIN)/lm_eval --model hf \
	    --model_args "pretrained=$$($(BIN)/inspector models path $(DEMO_LM))" \
	    --device cpu --batch_size 4 --tasks demo_inspector --limit 8 \
	    --log_samples --output_path $(DEMO)
	$(BIN)/inspector score $(SCORED) --out $(DEMO)/judged.jsonl --overwrite \
	    --judge inspector --reference recorded:path=$(SCORED)
	$(BIN)/inspector show $(DEMO)/judged.jsonl --row 4
	$(BIN)/inspector report $(DEMO)/judged.jsonl --judge inspector --reference recorded \
	    --title "The demo" --out $(DEMO)/report.html --overwrite
	@echo "A report on them, for a browser: $(DEMO)/report.html"
	@echo "Judge responses of your own (question and response in each line), the next command:"
	@echo "    $(BIN)/inspector score responses.jsonl --judge inspector --out judged.jsonl"

# Takes minutes and a gigabyte or two, below TMPDIR, which it clears. EXTRAS=[all] adds these.
wheel-test:
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" EXTRAS="$(EXTRAS)" .ci/wheel-test

docs: $(VENV)/installed
	$(BIN)/python docs/generate_cli.py

site: $(VENV)/installed-dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site

# Trains probes of all prompt layouts (hours, once; resumes when interrupted), then times them.
bench: $(VENV)/installed
	$(BIN)/inspector models install $(DEMO_LM)
	set -e; for pack in published:published:29 suffix:suffix:20 bare:bare:20 bare-to-11:bare:11; do \
	    set -- $$(echo $$pack | tr : ' '); \
	    $(BIN)/inspector train $(DATA)/reference/gsm8k.deepseek-v3.jsonl --dataset gsm8k \
	        --layout $$2 --highest-layer $$3 --out $(PACKS)/$$1; \
	done
	$(BIN)/python benchmarks/speed.py --data $(DATA) --packs $(PACKS) --out build/speed.json

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

tests: $(VENV)/installed-dev
	$(BIN)/inspector models install $(DEMO_LM)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(PROCESSES)

# Ten thousand tries of each property, other ones every time; the suite itself runs a few of each.
fuzz: $(VENV)/installed-dev
	INSPECTOR_FUZZ_TRIES=$(TRIES) OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_properties.py \
	    --numprocesses $(PROCESSES)

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info
