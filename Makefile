# make book, make test: everything else is in `make help`. Each target is a line or two that work without make too;
# README.md shows them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# A misspelled NAME=VALUE would be ignored, and the default taken in its place.
VARIABLES := PYTHON TORCH CORES REAL DATA ONLY UPGRADE TABLES SEEDS SCALE RECIPE ROWS TRAIN_SET TEST_SET DEVICE PRECISION \
  VGG_WEIGHTS SET MAX_STEPS ALLOW_DIRTY RUNS RESULTS STATE PROFILE DRY FLAGS PORT CI SHELL
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
# A space within a value is written "\ " there; the value's words are no names.
GIVEN := $(foreach word,$(subst \$(SPACE),,$(MAKEOVERRIDES)),$(firstword $(subst =, ,$(word))))
ifneq ($(filter-out $(VARIABLES),$(GIVEN)),)
$(error unknown variable $(filter-out $(VARIABLES),$(GIVEN)); choose from $(VARIABLES))
endif

# The first Python that fits; another one: make PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)

# Which PyTorch: default (CUDA build on Linux, runs on CPUs too), cpu (smaller), system (the one that Python has).
TORCH ?= $(shell cat .venv/torch-choice 2>/dev/null || echo default)

BIN := .venv/bin
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
# $(call STEP,command): show it, run it, and explain a failure
STEP = @echo "$(1)"; $(1) || { echo "That failed. The installation needs the network once; see the message above."; exit 1; }

# make book REAL=1 [DATA=FOLDER]: real photos where a chapter gains from them, in build/real, not for publishing
BUILD := $(if $(REAL),build/real,build/book)
# Snakemake's own cache stays in this folder; the chapters get the user's back (Snakefile).
# It plans anew after each time span, once more for every job that has ended: a second, its default, costs a quarter of a core.
SNAKEMAKE := USER_CACHE_HOME="$${XDG_CACHE_HOME:-$$HOME/.cache}" XDG_CACHE_HOME="$$PWD/.snakemake/cache" \
  $(BIN)/python workflow/alone.py .snakemake/book.lock $(BIN)/snakemake --nolock --cores $(CORES) --keep-going \
  --rerun-incomplete --max-jobs-per-timespan 1000/4s --quiet host rules reason progress --config real=$(if $(REAL),1,0) data='$(DATA)' --
# Snakemake tells much that only a maintainer wants; after a failure the part that matters is shown.
WORKFLOW = mkdir -p build; log=build/snakemake-$$$$.log; $(SNAKEMAKE) $(1) 2>$$log \
  || $(BIN)/python workflow/report.py $(BUILD) $$log && rm $$log
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

##@ Read, test, work
.PHONY: book
book: .venv/installed ## run the chapters that changed, build the site (ONLY=03_data: that chapter; REAL=1 [DATA=FOLDER]: real photos)
ifdef ONLY
	@$(call WORKFLOW,$(BUILD)/run/$(ONLY).ipynb)
	@echo "The chapter as executed: $(BUILD)/run/$(ONLY).ipynb. The site: make book"
else
	@echo "Running what changed, on $(CORES) cores."
	@$(call WORKFLOW,site)
	@$(BIN)/python workflow/report.py $(BUILD)
endif

.PHONY: site
site: .venv/installed ## show the built book at http://127.0.0.1:8000, to this machine alone (PORT=: another)
	@[ -f $(BUILD)/html/index.html ] || { echo "There is no built book yet: make book"; exit 1; }
	$(BIN)/python -m http.server $(or $(PORT),8000) --bind 127.0.0.1 --directory $(BUILD)/html

.PHONY: test
test: .venv/installed ## lint, unit tests (fast ones first), a short run of every chapter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb notebooks/*/*.ipynb
	$(PYTEST) -n $(CORES) -m "not slow and not notebook and not site and not full"
	$(PYTEST) -n $(CORES) -m "slow and not notebook and not site"
	$(PYTEST) -n $(CORES) -m "notebook"

# make tables TABLES=4,7 SEEDS=0,1,2 RECIPE=paper,released SCALE=lite TRAIN_SET= TEST_SET= ROWS= DEVICE= PRECISION=
#   VGG_WEIGHTS= SET="epochs=20 flip=false" MAX_STEPS= ALLOW_DIRTY= DATA=data RUNS=runs RESULTS=results STATE=build/sweep PROFILE=slurm DRY=1
SWEEP = tables='$(or $(TABLES),4)' seeds='$(SEEDS)' recipe='$(RECIPE)' scale='$(SCALE)' rows='$(ROWS)' \
  train_set='$(TRAIN_SET)' test_set='$(TEST_SET)' device='$(DEVICE)' precision='$(PRECISION)' \
  vgg_weights='$(VGG_WEIGHTS)' settings='$(SET)' \
  max_steps='$(MAX_STEPS)' allow_dirty='$(ALLOW_DIRTY)' \
  data_root='$(DATA)' runs='$(RUNS)' results='$(RESULTS)' state='$(STATE)'
PROFILE ?= local
PROFILES := $(notdir $(wildcard workflow/profiles/*))

.PHONY: tables
tables: .venv/installed ## train and test the cells of tables that are not done yet (TABLES=4 ROWS=upcracknet SEEDS=0,1,2 SCALE=lite SET="NAME=VALUE ..." DATA=data PROFILE=local DRY=1)
	$(if $(filter $(PROFILE),$(PROFILES)),,$(error no profile $(PROFILE); choose one of $(PROFILES)))
	$(if $(filter local,$(PROFILE)),,@$(BIN)/python -c "import snakemake_executor_plugin_$(PROFILE)" 2>/dev/null \
	  || { echo "PROFILE=$(PROFILE) needs packages that are not installed by default: make cluster"; exit 1; })
	$(if $(DRY),,$(BIN)/python workflow/alone.py $(or $(STATE),build/sweep)/sweep.lock) \
	  $(BIN)/snakemake --nolock -s workflow/sweep.smk --profile workflow/profiles/$(PROFILE) $(if $(DRY),-n) \
	  $(if $(filter local,$(PROFILE)),--cores $(CORES)) $(FLAGS) --config $(SWEEP) \
	  || { $(if $(DRY),,echo "Not all is done. Lines that begin with failed: say why; the same command goes on from here.";) exit 1; }

.PHONY: test-full
test-full: .venv/installed ## the compared methods at full size: minutes on a graphics card, hours on a CPU (FLAGS="-k enet": one of them)
	$(BIN)/python -m pytest -q -m full $(FLAGS)

.PHONY: verify
verify: .venv/installed ## recompute every number that the tables show from the records in results/ (RESULTS=: another folder)
	$(BIN)/upcrack verify $(if $(RESULTS),--results '$(RESULTS)')

.PHONY: site-test
site-test: .venv/installed ## open the built book in a browser (after make book)
	$(BIN)/python -m pytest -q -m site

.PHONY: lab
lab: .venv/installed ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

.PHONY: install
install: .venv/installed ## install into .venv (TORCH=cpu: smaller; TORCH=system: use the PyTorch that is there)

.PHONY: cluster
cluster: .venv/installed ## install what hands the jobs of make tables to Slurm or Kubernetes
	$(call STEP,$(INSTALL) --no-deps --require-hashes -r requirements/cluster.txt)

.PHONY: clean
clean: ## remove what was built; keep .venv and runs
	rm -rf build .snakemake .pytest_cache .ruff_cache .hypothesis

##@ For maintainers
# torch and what only it needs stay out of the lock: that choice is the user's.
UNLOCKED := torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
  --custom-compile-command "make lock"

.PHONY: lock
lock: .venv/installed ## resolve requirements/lock.txt anew (UPGRADE=1: to the newest versions allowed)
	$(COMPILE) pyproject.toml --extra book --extra lab --extra test $(if $(UPGRADE),--upgrade) -c requirements/constraints.txt \
	  -c requirements/torch.txt $(addprefix --no-emit-package ,$(UNLOCKED)) -o requirements/lock.txt
	$(COMPILE) pyproject.toml --extra cluster $(if $(UPGRADE),--upgrade) -c requirements/lock.txt \
	  -c requirements/torch.txt $(addprefix --no-emit-package ,$(UNLOCKED)) \
	  $$(sed -n 's/==.*//p' requirements/lock.txt | sed 's/^/--no-emit-package /') -o requirements/cluster.txt
	$(COMPILE) requirements/uv.in $(if $(UPGRADE),--upgrade) -o requirements/uv.txt

STORED_upcracknet := upcrack train --data synthetic --crops 600 --set epochs=22 --out $(or $(RUNS),runs)/synthetic
STORED_drawn := upcrack cell --method drawn --scale full --train-set synthetic --test-set synthetic \
  --precision bf16-mixed --device cpu --train-only --runs $(or $(RUNS),runs)
STORE = from upcrack_lite.pretrained import FOLDERS, store; store('$(1)', FOLDERS['$(2)'], '$(strip $(STORED_$(2)))')

.PHONY: stored
stored: .venv/installed ## train the models that come with the kit anew, and put them in their place (15 minutes on one core)
	$(BIN)/$(STORED_upcracknet)
	$(BIN)/python -c "$(call STORE,$(or $(RUNS),runs)/synthetic,upcracknet)"
	$(BIN)/$(STORED_drawn)
	$(BIN)/python -c "$(call STORE,$(or $(RUNS),runs)/drawn-paper-full-synthetic-s0,drawn)"

.PHONY: vendor
vendor: ## fetch the site's JavaScript again, as pinned in book/_static/vendor (needs npm)
	bash workflow/vendor.sh

.PHONY: help
help: ## show this
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

##@
# The stamp makes this a no-op once it is done; nothing here needs the network then.
.venv/installed: requirements/lock.txt requirements/torch.txt requirements/uv.txt pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or: make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) workflow/preflight.py $(TORCH)
	@echo "Installing into .venv with $$($(PYTHON) --version), PyTorch: $(TORCH). The first time takes some minutes."
	@[ "$$(cat .venv/torch-choice 2>/dev/null || echo $(TORCH))" = "$(TORCH)" ] || rm -rf .venv
	$(PYTHON) -m venv $(if $(filter system,$(TORCH)),--system-site-packages) .venv
	$(call STEP,$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt)
	$(call STEP,$(INSTALL) --no-deps --require-hashes -r requirements/lock.txt)
ifeq ($(TORCH),system)
# --system-site-packages gives those of the Python below an environment; this adds the environment's own.
	@$(PYTHON) -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > "$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/system.pth"
	@$(BIN)/python -c "import torch, torchvision" || { echo "TORCH=system: $(PYTHON) has no torch and torchvision."; exit 1; }
else
# Without hashes: TORCH=cpu takes other files of the same versions, from PyTorch's own index, and these differ by system.
	$(call STEP,$(INSTALL) -r requirements/torch.txt$(if $(filter cpu,$(TORCH)), --torch-backend cpu))
endif
	$(INSTALL) --no-deps --no-build-isolation -e .
	@echo $(TORCH) > .venv/torch-choice
	@touch $@
	@echo "Installed."
