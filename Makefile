# Every routine in one place. `make demo` needs nothing but Python 3.11 and its pip; it makes its own .venv.
# An extra is installed again only after pyproject.toml has changed (the stamps below).

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=
DIST_ARGS ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: demo smoke test bench lint dist docs docs-versioned release-check venv clean

demo: $(VENV)/.installed-server
	$(BIN)/python examples/demo.py

# The decisions, the engine on a store in memory, the manifest, and a sync of the command line on a real server;
# without the tests of large objects and of copies, so that it ends within a minute.
smoke: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n 2 -m "not slow" tests/core tests/sync tests/manifest tests/local \
	  tests/cli/test_sync_command.py $(addprefix --ignore=tests/sync/,test_part_limits.py test_large_downloads.py \
	  test_copies.py test_verify_copies.py test_downloads.py test_copy_model.py test_resumed_copies.py \
	  test_resumed_uploads.py test_download_offload.py test_range_buffers.py test_inventory_listing.py \
	  test_stored_checksums.py test_bucket_trash.py test_event_stream.py) --ignore=tests/manifest/test_shards.py $(PYTEST_ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

# Takes long; installs its peers by itself. BENCH_ARGS=--quick is a toy.
bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# All three run, so that one look shows everything; any of them fails the target.
lint: $(VENV)/.installed-dev
	@status=0; \
	$(BIN)/python -m ruff check . || status=1; \
	$(BIN)/python -m ruff format --check . || status=1; \
	$(BIN)/python -m mypy || status=1; \
	exit $$status

# The wheel and the sdist, looked into, and installed into an empty environment; DIST_ARGS='--python python3.13'.
dist: | $(BIN)/python
	$(BIN)/python -m tools.dist $(DIST_ARGS)

# The documentation as a site, in site/. It is built strictly: a link to nothing fails.
# Not with --quiet: MkDocs counts no warnings then.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The documentation of this version next to those of former ones: in the local branch docs-site, and in site/.
# It pushes nothing. DOCS_VERSION=1.0 names another version.
docs-versioned: $(VENV)/.installed-dev
	$(BIN)/python -m tools.site_versions $(DOCS_VERSION)

# All that has to hold before a version is released; it uploads nothing.
release-check: lint test dist
	$(BIN)/python -m tools.release

venv: $(VENV)/.installed-dev

clean:
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[dev]'
	touch $@ $(VENV)/.installed-server

# The dev extra holds the server extra: where it is up to date, nothing is left to do.
$(VENV)/.installed-server: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[server]'
	touch $@

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[bench]'
	touch $@ $(VENV)/.installed-server
