# The comparison with other programs: packages of its own in .cache/bench/venv, sound from Debian's packages, no weights
# or media in the repository. Results stay in build/bench, so a run that was broken off goes on.
WHAT ?= all
MODELS ?= tiny.en base
TRACKS ?= clean noisy music hour silence noise applause songs jfk
SEEDS ?=
PROGRAMS ?=
RUNS ?= 3
CORES ?= 2
AUDIO ?=

BENCH := .cache/bench/venv/.ready
.PHONY: bench bench-guards simulate

$(BENCH): requirements-bench.lock pyproject.toml
	@echo "Installing the programs to compare with into .cache/bench/venv ..."
	@$(PYTHON) -m venv .cache/bench/venv
	@.cache/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

bench: $(BENCH) ## Accuracy, speed and memory beside other programs (WHAT=accuracy|speed, MODELS, TRACKS, SEEDS, AUDIO=folder)
	@.cache/bench/venv/bin/python -m bench.compare --what "$(WHAT)" --models "$(MODELS)" --tracks "$(TRACKS)" \
	  --seeds "$(SEEDS)" --runs "$(RUNS)" --cores "$(CORES)" $(if $(PROGRAMS),--programs "$(PROGRAMS)") $(if $(AUDIO),--audio "$(AUDIO)")

bench-guards: $(BENCH) ## What each guard against invented text costs, and keeps away (MODELS)
	@.cache/bench/venv/bin/python -m bench.guards --models "$(MODELS)" --cores "$(CORES)"

simulate: $(BENCH) ## What jobs take on AWS, on paper: time, functions, money (writes docs/scale.md)
	@.cache/bench/venv/bin/python -m bench.simulate
