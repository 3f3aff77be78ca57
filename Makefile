# make demo   set up and run the main job: four views of a sentence, a textured mesh, a page to look at
# make test   set up and run every check: lint, types, import rules, tests
# make wheel-check   build the wheel and run it from another folder
# make cases  small inputs that went wrong once: right by now? (needs their folder, CASES=../shared/cases)
# make bench  speeds into docs/results/speed.md, at most 15 minutes; ARGS="--data DIR" scores, too
# make mutants  what tests do not notice (docs/testing.md); hours, not part of make test
# make gpu    the preset small on one GPU from packed tokens, in slices (bench/gpu.py; ARGS="--data tokens.parquet")
# make docs   the documentation site, in build/site
# make audit  dist/: the wheel, its list of parts (*.sbom.json, CycloneDX) and pip-audit's word on them (asks osv.dev)
# make release-check  test, wheel-check, docs and audit: before a release
# make clean  remove what these made
#
# Needs Python 3.11 or newer and pip, nothing else. Everything is installed into .venv; a stamp file there
# says what has been done, so that a second run starts at once.

VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell grep '^torch==' constraints.txt)
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt

SENTENCE ?= a green bottle
OUT ?= out/demo
CASES ?= ../shared/cases

.PHONY: demo test setup setup-dev lint types imports unit wheel-check cases bench mutants gpu docs audit release-check clean

demo: setup
	$(BIN)/viewmask generate --text "$(SENTENCE)" --mesh --out $(OUT)
	@echo
	@echo "views  $(OUT)/sheet.png"
	@echo "mesh   $(OUT)/mesh.glb"
	@echo "page   $(OUT)/page.html   (open it in any browser, it needs no network)"

test: lint types imports unit

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup-dev
	$(BIN)/mypy

imports: setup-dev
	$(BIN)/lint-imports

# Two workers with one thread each: torch and numpy would otherwise fight over the cores.
unit: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

setup: $(VENV)/.package
setup-dev: $(VENV)/.dev

# The interpreter is looked at here, not above, so that `make clean` works without one.
$(VENV)/.torch: constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: viewmask needs Python 3.11 or newer: install it, or run: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV) (once, a few minutes)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) "$(TORCH)"
	@touch $@

# torch comes first and stays pinned in every later line, so that nothing moves it to another build.
$(VENV)/.package: $(VENV)/.torch pyproject.toml
	@$(PIP) "$(TORCH)" --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	@$(PIP) "$(TORCH)" --editable ".[dev]"
	@$(PIP) --no-deps open-magvit2==1.1 # what the tokenizer is held against; its pins would move everything else
	@touch $(VENV)/.package $@

# The wheel, alone in an environment that borrows only the other packages of .venv, far from the source tree.
wheel-check: setup-dev
	$(BIN)/pytest -n 0 tests/test_wheel.py

# Skipped with a line where the folder is absent.
cases: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python studies/cases.py $(CASES)

bench: setup-dev
	$(BIN)/python -m bench.page $(ARGS)

# ARGS chooses: make mutants ARGS="recon/hull.py --most 100"
mutants: setup-dev
	@$(PIP) "$(TORCH)" --editable ".[dev,mutants]"
	OMP_NUM_THREADS=1 nice $(BIN)/python -m tests.mutants $(ARGS)

# On a machine without a GPU: make gpu ARGS="--data tokens.parquet --steps 3 --batch 2"
gpu: setup
	$(BIN)/python bench/gpu.py --out runs/gpu $(ARGS)

# The site is built from the pages as they lie in the tree; mkdocs has an environment of its own, for torch needs none.
docs: $(VENV)-docs/.done
	@rm -rf build/pages && mkdir -p build/pages
	@git ls-files '*.md' '*.jpg' '*.png' LICENSE CITATION.cff Makefile constraints.txt '*.toml' '*.sh' '*.py' 'docs/figures' \
		| xargs cp --parents --target-directory build/pages
	$(VENV)-docs/bin/mkdocs build --strict --quiet
	@echo "site   build/site/index.html"

$(VENV)-docs/.done: pyproject.toml
	@test -x $(VENV)-docs/bin/python || "$(PYTHON)" -m venv $(VENV)-docs
	@$(VENV)-docs/bin/python -m pip --disable-pip-version-check install -qq $$($(VENV)-docs/bin/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

# Of the wheel with what it needs, in an environment that holds nothing else. The tools have another.
audit: $(VENV)-audit/.done
	@rm -rf build/release dist
	@$(VENV)-audit/bin/python -m build --no-isolation --wheel --outdir dist . > /dev/null
	@"$(PYTHON)" -m venv --without-pip build/release
	@$(VENV)-audit/bin/python -m pip --python build/release/bin/python --disable-pip-version-check install -qq \
		--constraint constraints.txt "$(TORCH)" dist/*.whl
	$(VENV)-audit/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
		--output-file "$$(ls dist/*.whl | sed s/-py3.*/.sbom.json/)" build/release/bin/python
	$(VENV)-audit/bin/pip-audit --strict --vulnerability-service osv --path build/release/lib/python*/site-packages

release-check: test wheel-check docs audit

$(VENV)-audit/.done: pyproject.toml
	@test -x $(VENV)-audit/bin/python || "$(PYTHON)" -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip --disable-pip-version-check install -qq $$($(VENV)-audit/bin/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["audit"])')
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-docs $(VENV)-audit build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
