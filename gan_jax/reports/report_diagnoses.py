"""What was found by `gan-jax diagnose`, in a run's report: the story of the onset, and a section for each other kind.

A file that is broken, or that today's code cannot draw, costs its own section and no more.
"""

from __future__ import annotations

import html
import importlib
import json
import shlex
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.reports.diagnosis_kinds import RUN_KINDS, read_diagnosis
from gan_jax.reports.page import Section, command, failed, folded
from gan_jax.reports.page_figures import figure_svg
from gan_jax.reports.page_pictures import Frame, read_png, slider
from gan_jax.runs.run_directory import RunDirectory

_TITLES = {
    "onset": "The onset of the collapse",
    "landscape": "D's landscape",
    "forgetting": "Forgetting",
    "memorisation": "Memorisation",
    "magnitudes": "Magnitudes",
    "game": "Geometry of the game",
    "support": "Support and nearest neighbours",
}
_MAX_TABLE = 60_000


class Shown(NamedTuple):
    """A diagnosis as parts of a page: what was found in words, and then its figure and table (HTML)."""

    title: str
    text: str
    drawn: str

    def section(self, between: str = "") -> Section:
        return Section(self.title, self.text + between + self.drawn)


def onset_section(run: RunDirectory, verdict: dict[str, Any] | None) -> Section:
    """What led to the collapse and what followed; without a diagnosis of it, the command that makes one."""
    title = _TITLES["onset"]
    path = run.path / "diagnosis" / "onset.json"
    if path.is_file():
        return _diagnosis("onset", path).section()
    if not verdict or verdict["outcome"] != "collapsed":
        return Section(title, "")
    line = f"gan-jax diagnose onset {shlex.quote(str(run.path))}"
    body = (
        "<p>It is not diagnosed yet. This command replays the steps around it, and adds what led and what followed:</p>"
    )
    return Section(title, body + command(line, "onset-command"))


def diagnoses(run: RunDirectory) -> dict[str, Shown]:
    """By kind, the diagnoses that are kept in the run's folder, but that of the onset."""
    paths = {path.stem: path for path in sorted((run.path / "diagnosis").glob("*.json"))}
    order = [kind for kind in RUN_KINDS if kind in paths] + [kind for kind in paths if kind not in RUN_KINDS]
    return {kind: _diagnosis(kind, paths[kind]) for kind in order if kind != "onset"}


def _diagnosis(kind: str, path: Path) -> Shown:
    if kind not in RUN_KINDS:
        return Shown(f"Diagnosis: {kind}", failed(f"{path} is of no known kind ({', '.join(RUN_KINDS)})"), "")
    title = _TITLES[kind]
    try:
        result = read_diagnosis(kind, path)
        module = importlib.import_module(f"gan_jax.reports.diagnosis_{kind}")
        sentence, text = str(result["sentence"]), module.table(result)
        story = "".join(f"<li>{html.escape(str(line))}</li>" for line in result.get("story", ()))
        figure = figure_svg(module.figure(result), f"{title}. {sentence}", whole=True)
    # Files of other versions and half-written ones fail in ways of their own.
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        again = f"gan-jax diagnose {kind} {shlex.quote(str(path.parent.parent))}"
        return Shown(title, failed(f"{path} cannot be shown ({why}). To make it anew: {again}"), "")
    if len(text) > _MAX_TABLE:
        text = text[:_MAX_TABLE].rpartition("\n")[0] + f"\n... the rest is in {path}"
    words = f"<p>{html.escape(sentence[:1].upper() + sentence[1:])}</p>"
    words += f'<ol class="story">{story}</ol>' if story else ""
    return Shown(title, words, figure + folded(f"{title} in numbers", f"<pre>{html.escape(text)}</pre>"))


def film(run: RunDirectory, room: float) -> str:
    """D's landscape over training with a slider: the pictures that landscape.json names; "" without them."""
    try:
        names = json.loads((run.path / "diagnosis" / "landscape.json").read_text()).get("frames") or []
        inside = run.path.resolve()
        # A path that leads out of the folder is no picture of this run.
        files = [file for name in names if (file := (inside / name).resolve()).is_relative_to(inside)]
    except (OSError, ValueError, TypeError, AttributeError):
        return ""
    frames = [Frame(partial(read_png, file), _caption(file, index)) for index, file in enumerate(files)]
    return slider(frames, "landscape-film", "D's landscape", room)


def _caption(file: Path, index: int) -> str:
    digits = file.stem.rpartition("_")[2]
    return f"step {int(digits):,}" if digits.isdigit() else f"picture {index + 1}"
