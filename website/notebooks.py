"""Executes the notebooks of examples/ and keeps them as pages for the site: `python -m website.notebooks [NAME ...]`.

A notebook is a Python file of jupytext's percent format. A cell that raises ends the command with exit code 1. The
pages lie in build/notebooks/, which `mkdocs build` reads; the notebook itself, with outputs, lies beside them.
"""

from __future__ import annotations

import base64
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbclient
import nbformat

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
    parts = [part for index, cell in enumerate(notebook.cells) for part in as_markdown(cell, index, target)]
    (target / "page.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def as_markdown(cell: Any, index: int, target: Path) -> Iterator[str]:
    """A cell and its outputs as blocks of Markdown; pictures are written to the page's folder."""
    if cell.cell_type == "markdown":
        yield cell.source
        return
    yield f"```python\n{cell.source}\n```"
    for number, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if "image/png" in data:
            picture = target / f"cell_{index}_{number}.png"
            picture.write_bytes(base64.b64decode(data["image/png"]))
            yield f"![figure]({target.name}/{picture.name})"
        elif text := (output.get("text") or data.get("text/plain", "")).strip():
            yield f"``` {{.text .output}}\n{text}\n```"


def processor_seconds() -> float:
    """Processor time, in seconds, of the kernels that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed_execution(source: Path) -> None:
    """Executes a notebook, and prints how long that took."""
    began = time.monotonic()
    execute(source)
    print(f"{source.stem}: {time.monotonic() - began:.0f} s", flush=True)


def main(names: list[str]) -> int:
    chosen = [source for source in NOTEBOOKS if not names or source.stem in names]
    began = time.monotonic()
    # Two kernels side by side: most of a notebook is compilation, which is the work of one core.
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        list(pool.map(timed_execution, chosen))
    seconds = f"{time.monotonic() - began:.0f} s, {processor_seconds():.0f} s of processor time"
    print(f"{len(chosen)} notebooks: {seconds} (meant to stay below {LIMIT_SECONDS} s on two idle cores)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
