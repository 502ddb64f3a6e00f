.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= $(or $(FER2013_ROOT),data/fer2013)
# On a machine with other users, several threads wait for each other and take longer than one. The empty variable makes
# the many processes of the tests share compiled modules: importing lightning then takes 11 s of CPU instead of 27.
SINGLE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
# The recipes read these variables from the environment, where a path may contain any letter.
export FROM ROOT FERPLUS LABELS TAXONOMY SIZE COLOR PHOTOS PICTURES EMOTION PROVIDER TARGET MODEL SOURCE PORT DIR OUT

.PHONY: help install lock quickstart data models collect live game audit report test default-tests test-all all-but-long-tests test-slurm test-long lint static-checks security format benchmark docs docker apptainer clean

help:  ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## create .venv with all packages that training needs: make install [CPU=yes] [TORCH_INDEX=URL]

# With CPU=yes or TORCH_INDEX=URL, PyTorch comes without CUDA: from that index, or from pip's own one if it has such builds.
WITHOUT_CUDA := $(or $(filter-out no,$(CPU)),$(TORCH_INDEX))
TORCH_PINS := grep -oE '^torch(vision)?==[^ ]+' requirements-torch.lock $(if $(TORCH_INDEX),,| sed 's/$$/+cpu/')
NO_CPU_BUILD := CPU=yes: pip's index has no PyTorch for CPUs. Add TORCH_INDEX=URL, with the URL that pytorch.org gives for pip and CPU.

# Locked versions if the lock is for this Python version and kind of machine, otherwise the versions that pip chooses.
$(VENV)/.installed: requirements.txt requirements-torch.lock requirements.lock pyproject.toml
	@test -z "$(filter-out yes no,$(CPU))" || { echo "CPU=$(CPU): must be yes or no"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit("Python " + sys.version.split()[0] + ": must be 3.11 or newer. Name another one: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifneq ($(WITHOUT_CUDA),)
	@echo "Installing into $(VENV), step 1 of 2: PyTorch without CUDA."
	@$(BIN)/python -m pip install --no-deps $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") $$($(TORCH_PINS)) || { echo "$(NO_CPU_BUILD)"; exit 2; }
else
	@echo "Installing into $(VENV): libraries of about 6 GB, most of it PyTorch with CUDA. This takes some minutes. Step 1 of 2: PyTorch."
	@command -v nvidia-smi > /dev/null || echo "This machine seems to have no NVIDIA GPU. The same command with CPU=yes installs several GB less, if your index has such builds."
	@if $(BIN)/python scripts/lock.py --fits; then $(BIN)/python -m pip install --no-deps --require-hashes -r requirements-torch.lock; fi
endif
	@echo "Step 2 of 2: the other libraries."
	@if $(BIN)/python scripts/lock.py --fits; then \
		$(BIN)/python -m pip install --no-deps --require-hashes -r requirements.lock; \
	else \
		$(BIN)/python -m pip install -r requirements.txt; \
	fi
	@$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	@touch $@

lock:  ## write the lock files from requirements.txt, for this Python version and kind of machine
	$(PYTHON) scripts/lock.py

quickstart: install  ## install, then train a small ResEmoteNet on drawn faces: make quickstart [CPU=yes] [TORCH_INDEX=URL]
	$(BIN)/python train.py experiment=quickstart

data: install  ## read FER2013 into a store: make data FROM=fer2013.csv [FERPLUS=fer2013new.csv] [PHOTOS=yes] [LABELS=rafdb] [TAXONOMY=affectnet8] [SIZE=112] [COLOR=yes] [ROOT=data/fer2013]
	@test -n "$$FROM" || { echo "make data: FROM is missing. Use make data FROM=path with a CSV, a folder train|val|test/<class>/, or a zip or tar of one."; exit 2; }
	$(BIN)/python -m fer_lightning.data.ingest source="$$FROM" root="$$ROOT" $(if $(FERPLUS),ferplus="$$FERPLUS") $(if $(PHOTOS),photos="$$PHOTOS") \
		$(if $(LABELS),labels="$$LABELS") $(if $(TAXONOMY),taxonomy="$$TAXONOMY") $(if $(SIZE),size="$$SIZE") $(if $(COLOR),color="$$COLOR")

models: install  ## check the file of the face detector, which is part of the package
	$(BIN)/python -m fer_lightning.faces.model_file $(if $(FROM),source="$$FROM")

collect: install  ## collect faces for new emotions: make collect [EMOTION=frustration] [PROVIDER=openverse] [TARGET=200] [FROM=folder] [SIZE=112] [COLOR=yes]
	@$(BIN)/python -m fer_lightning.collect $(if $(EMOTION),emotion="$$EMOTION") $(if $(PROVIDER),provider="$$PROVIDER",$(if $(FROM),provider=local)) \
		$(if $(TARGET),target="$$TARGET") $(if $(FROM),provider.path="$$FROM") \
		$(if $(SIZE),faces.size="$$SIZE") $(if $(COLOR),faces.color="$$COLOR") $(STEPS)

live: install  ## recognise emotions of faces in front of a camera, on a page of this machine: make live [MODEL=face.onnx] [SOURCE=0 or video.mp4] [PORT=8767]
	@test -n "$$MODEL" -o -f fer_lightning/weights/face.onnx || { echo "make live: MODEL is missing. Use make live MODEL=face.onnx with a file from python -m fer_lightning.export run=PATH."; exit 2; }
	@$(BIN)/python -m fer_lightning.live $(if $(MODEL),model="$$MODEL") $(if $(SOURCE),source="$$SOURCE") $(if $(PORT),port="$$PORT")

game: install  ## start a game that adapts to its player: make game [MODEL=face.onnx] [PORT=8767]
	@$(BIN)/python -m fer_lightning.game $(if $(MODEL),model="$$MODEL") $(if $(PORT),port="$$PORT")

audit: install  ## find copies, label noise, non-faces and outliers in a store, on a page with the faces: make audit [ROOT=data/fer2013]
	$(SINGLE) $(BIN)/python -m fer_lightning.audit root="$$ROOT"

report: install  ## write the report of a sweep: make report DIR=outputs/overfitting-small [OUT=...] [PICTURES=no]
	@test -n "$$DIR" || { echo "make report: DIR is missing. Use make report DIR=path with a sweep's folder, such as outputs/overfitting-small."; exit 2; }
	$(SINGLE) $(BIN)/python -m fer_lightning.report sweep="$$DIR" $(if $(OUT),out="$$OUT") $(if $(PICTURES),pictures="$$PICTURES")

# More processes than cores, because tests wait for other processes. Those of clusters and pages wait a third of their time.
# --no-loadscope-reorder keeps the order of tests/conftest.py: long files are first.
PARALLEL_TESTS := $(SINGLE) $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder -n

test: $(VENV)/.installed-dev  ## run lint and the default tests
	+@$(MAKE) -s -j2 static-checks default-tests

default-tests: $(VENV)/.installed-dev
	$(PARALLEL_TESTS) $$(($$(nproc) + 1))

test-all: $(VENV)/.installed-dev  ## run lint, the default and slow tests, and the tests on a SLURM cluster of two nodes
	+@$(MAKE) -s -j2 static-checks all-but-long-tests

all-but-long-tests: $(VENV)/.installed-dev
	$(PARALLEL_TESTS) $$(($$(nproc) + 2)) -m "not long" -rs

test-slurm: $(VENV)/.installed-dev
	$(SINGLE) $(BIN)/python -m pytest -m slurm -rs tests/slurm

test-long: $(VENV)/.installed-dev  ## before a release: many more kills, damaged files and hostile words; rare cases of the review page; the quickstart; the GPU plan; all benchmarks, small
	FUZZ_COPIES=1000 FUZZ_LINES=500 FUZZ_SEQUENCES=50 $(SINGLE) $(BIN)/python -m pytest -m long

lint: static-checks  ## check code, types, layout, Dockerfile, docs/settings.md and the English of all tracked files; change no file
	$(BIN)/python -m pytest -q tests/test_layout.py tests/test_names.py

static-checks: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/mypy
	$(BIN)/python scripts/check_language.py
	$(BIN)/python scripts/settings_reference.py --check

security: $(VENV)/.installed-dev  ## find unsafe code, secrets in tracked files and known vulnerabilities of installed packages
	$(BIN)/bandit -q -c pyproject.toml -r fer_lightning hydra_plugins scripts train.py
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook -n
	$(BIN)/python scripts/audit_packages.py

format: $(VENV)/.installed-dev  ## format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.installed-dev  ## measure speed as ratios to references in the same run
	$(BIN)/python scripts/benchmark.py feed
	$(BIN)/python scripts/benchmark.py step
	$(BIN)/python scripts/benchmark.py startup
	$(BIN)/python scripts/benchmark.py ingest
	$(BIN)/python scripts/benchmark.py report
	$(BIN)/python scripts/benchmark.py scale
	$(BIN)/python scripts/benchmark_collect.py copies
	$(BIN)/python scripts/benchmark_collect.py steps

docs: $(VENV)/.installed-dev  ## build the documentation as a site in site/; a broken link or a missing docstring is an error
	$(BIN)/python scripts/settings_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docker:  ## build an image that runs train.py: make docker [TORCH_INDEX=URL of PyTorch without CUDA]
	$(if $(TORCH_INDEX),test -f requirements-torch-cpu.lock || $(PYTHON) scripts/lock.py --torch-index "$(TORCH_INDEX)")
	docker build -t fer_lightning --build-arg TORCH_INDEX="$(TORCH_INDEX)" \
		--build-arg UID="$$(id -u | sed 's/^0$$/1000/')" \
		--build-arg COMMIT="$$(git describe --always --dirty --abbrev=40 --exclude='*')" .

apptainer:  ## build fer_lightning.sif for runs on a cluster, for hydra.launcher.image
	apptainer build fer_lightning.sif containers/fer_lightning.def

clean:  ## remove caches, but no runs and no data
	rm -rf .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
