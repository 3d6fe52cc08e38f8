"""Every text and number of a folder is text on its page: markup in any place of any file is escaped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gan_jax.reports import sweep_report
from gan_jax.reports.report import render_run
from gan_jax.reports.sweep_report import render_sweep
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.sweep_directory import SweepDirectory
from tests.reports.made_folders import ended_run, make_sweep

PAYLOAD = "</script><script>evil()</script></title></style>\"'><img src=x onerror=evil()>{{7*7}}"
FORMER = Path(__file__).with_name("former_diagnoses")


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.attributes, self.images = 0, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.attributes |= {name for name, _ in attrs}
        self.images |= {value or "" for name, value in attrs if name in ("src", "href", "xlink:href")}


def check_page(text: str) -> None:
    """No markup of the payload is markup of the page."""
    tags = Tags(text)
    assert tags.scripts == 1
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert all(address.startswith(("#", "data:")) for address in tags.images)
    assert "<img src=x" not in text
    assert "<script>evil" not in text


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of the leaves of JSON, and of the names of its objects (which end in None)."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, (dict, list)):
        yield path
    for name, part in parts:
        if isinstance(value, dict):
            yield (*path, name, None)
        yield from places(part, (*path, name))


def with_payload(value: Any, path: tuple) -> Any:
    """JSON with a text in place of a leaf, or of a name."""
    if not path:
        return PAYLOAD
    if path[1:] == (None,):
        return {(PAYLOAD if name == path[0] else name): part for name, part in value.items()}
    if isinstance(value, dict):
        return value | {path[0]: with_payload(value[path[0]], path[1:])}
    return [with_payload(part, path[1:]) if index == path[0] else part for index, part in enumerate(value)]


def read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def write(path: Path, value: Any) -> None:
    text = "".join(json.dumps(row) + "\n" for row in value) if path.suffix == ".jsonl" else json.dumps(value)
    path.write_text(text, encoding="utf-8")


def kind_of(path: tuple) -> tuple:
    """A place without its position in lists and the name of its layer or arm: one of each kind is enough."""
    return tuple(0 if isinstance(part, int) else part for part in path)


def with_payload_in_texts(value: Any, kept: tuple[str, ...] = ()) -> Any:
    """JSON with the payload in every text, and as a further name in every object; without what is under some names."""
    if isinstance(value, dict):
        inside = {name: part if name in kept else with_payload_in_texts(part, kept) for name, part in value.items()}
        numbers = [part for part in inside.values() if isinstance(part, float)]
        return inside | ({PAYLOAD: numbers[0]} if numbers else {})
    if isinstance(value, list):
        return [with_payload_in_texts(part, kept) for part in value]
    return value + PAYLOAD if isinstance(value, str) else value


STRUCTURE = ("experiment", "rule", "source", "hashes", "batch_size")


@pytest.fixture
def folders(tmp_path):
    """A run and a sweep with all their files, and a diagnosis of two kinds."""
    run = ended_run(tmp_path / "run")
    run.append_signals([{"step": 10, "signals": {"generator/norm/first": 1.0}}])
    shutil.copytree(FORMER, run.path / "diagnosis")
    make_sweep(tmp_path / "sweep", (1e-3, 1e-2), size=4)
    return tmp_path


def page(folder: Path) -> str:
    if (folder / "sweep.json").is_file():
        directory = SweepDirectory.open(folder)
        rows = directory.read_members()
        return render_sweep(directory, rows, sweep_report.sweep_statistics(directory.read_record(), rows))
    run = RunDirectory.open(folder)
    return render_run(run, run.read_metrics())


@pytest.mark.parametrize("figures", ["figureless", "drawn"])
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_texts_and_names_are_text(folders, kind, figures, request):
    if figures == "figureless":
        request.getfixturevalue(figures)
    for file in sorted((folders / kind).rglob("*.json*")):
        value = read(file)
        if file.name == "sweep.json":  # its arms have the names of the rows
            for arm in value["arms"]:
                arm["experiment"]["objective"] = {"component": f"evil:{PAYLOAD}", "a": PAYLOAD}
                arm["experiment"]["eval_every_steps"] = PAYLOAD
        if file.name == "experiment.json":
            value["experiment"]["objective"] = {"component": f"evil:{PAYLOAD}", "a": PAYLOAD}
            value["experiment"]["batch_size"] = PAYLOAD
        kept = ("outcome", "cause") if kind == "sweep" else ()  # others are refused
        write(file, with_payload_in_texts(value, (*STRUCTURE, *kept)))
    text = page(folders / kind)
    check_page(text)
    assert text.count("evil()") > 20


FILES = {
    "run": ("experiment.json", "metrics.jsonl", "signals.jsonl", "verdict.json", "diagnosis/landscape.json"),
    "sweep": ("sweep.json", "metrics.jsonl", "members.jsonl"),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
def test_every_single_place_is_text_or_refused(folders, figureless, kind, name):
    file, seen, pages = folders / kind / name, set(), 0
    whole = read(file)
    for path in places(whole):
        if kind_of(path) in seen:
            continue
        seen.add(kind_of(path))
        write(file, with_payload(whole, path))
        try:
            text = page(folders / kind)
        except Exception:  # how it is refused is tested elsewhere
            continue
        check_page(text)
        pages += 1
    assert pages > 3
