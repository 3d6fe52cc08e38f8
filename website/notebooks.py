"""Executes the notebooks of examples/ and keeps them as pages for the site: `python -m website.notebooks [NAME ...]`.

A notebook is a Python file of jupytext's percent format. A cell that raises ends the command with exit code 1; CI runs it.
The pages lie in build/notebooks/, which `mkdocs build` reads; the notebook itself, with outputs, lies beside them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbclient
import nbformat
from nbconvert import MarkdownExporter

from website.tutorials import EXECUTED, NOTEBOOKS, ROOT

LIMIT_SECONDS = 240
"""Longest time of all notebooks together, on two idle cores."""
_CELL_SECONDS = 600


def execute(source: Path) -> None:
    """Runs a notebook in an empty folder, and writes its page, its pictures and its .ipynb."""
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(notebook, timeout=_CELL_SECONDS, resources={"metadata": {"path": folder}})
        client.execute(env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"})
    target = EXECUTED / source.stem
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    nbformat.write(notebook, target / f"{source.stem}.ipynb")
    page, resources = MarkdownExporter().from_notebook_node(notebook)
    for name, picture in resources["outputs"].items():
        (target / name).write_bytes(picture)
    (target / "page.md").write_text(as_page(page, source.stem), encoding="utf-8")


def as_page(text: str, name: str) -> str:
    """nbconvert's Markdown with the pictures of this page, and outputs as blocks rather than as indented text."""
    text = re.sub(r"!\[\w+\]\((output_[\w]+\.png)\)", rf"![figure]({name}/\1)", text)
    return re.sub(r"(?:^ {4}.*\n|^\n(?= {4}))+", _output, text, flags=re.MULTILINE)


def _output(match: re.Match[str]) -> str:
    lines = [line.removeprefix("    ") for line in match[0].strip("\n").splitlines()]
    return "\n``` {.text .output}\n" + "\n".join(lines) + "\n```\n"


def main(names: list[str]) -> int:
    chosen = [source for source in NOTEBOOKS if not names or source.stem in names]
    total = 0.0
    for source in chosen:
        began = time.monotonic()
        execute(source)
        seconds = time.monotonic() - began
        total += seconds
        print(f"{source.stem}: {seconds:.0f} s", flush=True)
    print(f"{len(chosen)} notebooks: {total:.0f} s (limit {LIMIT_SECONDS} s on two idle cores)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
