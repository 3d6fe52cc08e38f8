# The things that one does here. Each uses .venv, which `make setup` makes.
BIN = .venv/bin
.PHONY: setup check test docs notebooks package

setup:  ## the environment with everything that the other targets need
	python3 -m venv .venv && $(BIN)/pip install -q -e ".[test,docs,package]"

check:  ## lints, types and the structure of the code: a minute
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/pytest -n 0 -q tests/test_layers.py tests/test_names.py tests/test_docstrings.py tests/test_docs.py

test:  ## the default suite
	$(BIN)/pytest

docs:  ## the site, in site/index.html; with the outputs of the notebooks if `make notebooks` has run
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks:  ## executes the notebooks of examples/
	$(BIN)/python -m website.notebooks

package:  ## sdist and wheel, checked, in dist/
	rm -rf dist && $(BIN)/python -m build && $(BIN)/twine check --strict dist/*
