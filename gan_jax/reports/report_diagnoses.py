"""The results of `gan-jax diagnose` in a run's report: the onset, and a section for each other kind.

If a file is damaged, or the present code cannot draw it, only its own section is missing.
"""

from __future__ import annotations

import importlib
import json
import shlex
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from gan_jax.reports.diagnosis_kinds import RUN_KINDS, read_diagnosis
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page import Section, command, folded
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
    """A diagnosis as HTML: its sentences, its figure and its table."""

    title: str
    words: Markup
    drawn: Markup

    def section(self, between: Markup | str = "") -> Section:
        return Section(self.title, self.words + between + self.drawn)


def onset_section(run: RunDirectory, verdict: dict[str, Any] | None) -> Section:
    """The diagnosis of the onset; if there is none yet, the command that makes it."""
    title = _TITLES["onset"]
    path = run.path / "diagnosis" / "onset.json"
    if path.is_file():
        return _diagnosis("onset", path).section()
    if not verdict or verdict["outcome"] != "collapsed":
        return Section(title, Markup())
    line = f"gan-jax diagnose onset {shlex.quote(str(run.path))}"
    text = "It has not been diagnosed yet. This command replays the steps around it, and adds the order of events here:"
    return Section(title, paragraph(text) + command(line, "onset-command"))


def diagnoses(run: RunDirectory) -> dict[str, Shown]:
    """The diagnoses in a run's folder, by kind, without that of the onset."""
    paths = {path.stem: path for path in sorted((run.path / "diagnosis").glob("*.json"))}
    order = [kind for kind in RUN_KINDS if kind in paths] + [kind for kind in paths if kind not in RUN_KINDS]
    return {kind: _diagnosis(kind, paths[kind]) for kind in order if kind != "onset"}


def _diagnosis(kind: str, path: Path) -> Shown:
    if kind not in RUN_KINDS:
        return _failure(f"Diagnosis: {kind}", f"{path} has an unknown kind; the kinds are {', '.join(RUN_KINDS)}")
    title = _TITLES[kind]
    try:
        result = read_diagnosis(kind, path)
        module = importlib.import_module(f"gan_jax.reports.diagnosis_{kind}")
        sentence, text = str(result["sentence"]), module.table(result)
        story = [str(line) for line in result.get("story", ())]
        figure = figure_svg(module.figure(result), f"{title}. {sentence}", whole=True)
    # Files of other versions and incomplete files can raise any error.
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        again = f"gan-jax diagnose {kind} {shlex.quote(str(path.parent.parent))}"
        return _failure(title, f"{path} cannot be shown ({why}). To make it again: {again}")
    if len(text) > _MAX_TABLE:
        text = text[:_MAX_TABLE].rpartition("\n")[0] + f"\n... the rest is in {path}"
    words = render_template("diagnosis", sentence=sentence[:1].upper() + sentence[1:], story=story)
    numbers = folded(f"{title} in numbers", render_template("preformatted", text=text))
    return Shown(title, words, figure + numbers)


def _failure(title: str, line: str) -> Shown:
    return Shown(title, paragraph(line, "failed"), Markup())


def film(run: RunDirectory, room: float) -> Markup:
    """D's landscape over training, with a slider: the pictures that landscape.json names; empty without any."""
    try:
        names = json.loads((run.path / "diagnosis" / "landscape.json").read_text(encoding="utf-8")).get("frames") or []
        inside = run.path.resolve()
        # A path that leads out of the folder cannot be a picture of this run.
        files = [file for name in names if (file := (inside / name).resolve()).is_relative_to(inside)]
    except (OSError, ValueError, TypeError, AttributeError):
        return Markup()
    frames = [Frame(partial(read_png, file), _caption(file, index)) for index, file in enumerate(files)]
    return slider(frames, "landscape-film", "D's landscape", room)


def _caption(file: Path, index: int) -> str:
    digits = file.stem.rpartition("_")[2]
    return f"step {int(digits):,}" if digits.isdigit() else f"picture {index + 1}"
