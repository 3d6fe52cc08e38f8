"""Folders whose files hold JSON of wrong types, or lack fields and rows: readers work, or end with a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gan_jax as gj
from gan_jax.cli.main import main
from gan_jax.diagnostics.verdict import Verdict
from gan_jax.experiment.config_code import ConfigError
from gan_jax.reports import watch
from gan_jax.runs.files import tell_once
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_states import read_diagnoses
from gan_jax.runs.sweep_directory import GroupPlan, SweepDirectory
from gan_jax.runs.thresholds import stored_series
from tests.reports.made_folders import ended_run, make_sweep
from tests.reports.test_injection import kind_of, places, read, write

FILES = {
    "run": ("experiment.json", "metrics.jsonl", "signals.jsonl", "verdict.json"),
    "sweep": ("sweep.json", "plan.json", "metrics.jsonl", "members.jsonl"),
}
WRONG = (None, "text", [], [[1], "a"], {}, {"a": {"b": None}}, 10**400, 1e300, -1, float("nan"), True, 0.5)
REMOVED = object()


@pytest.fixture
def folders(tmp_path):
    """A run and a sweep with all files that readers read; what is told, is told anew."""
    tell_once.cache_clear()
    run = ended_run(tmp_path / "run")
    run.append_signals([{"step": 10, "signals": {"generator/norm/first": 1.0}}])
    sweep = make_sweep(tmp_path / "sweep", (1e-3, 1e-2), size=4)
    sweep.write_plans([GroupPlan("map", 1, [[0, 1]], {"map": 100.0})])
    return tmp_path


def with_change(value: Any, path: tuple, wrong: Any) -> Any:
    """JSON with another value in a place, or without it."""
    if not path:
        return wrong
    if len(path) == 1 and wrong is REMOVED:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        left = [(name, part) for name, part in pairs if name != path[0]]
        return dict(left) if isinstance(value, dict) else [part for _, part in left]
    changed = with_change(value[path[0]], path[1:], wrong)
    if isinstance(value, dict):
        return value | {path[0]: changed}
    return [changed if index == path[0] else part for index, part in enumerate(value)]


def changes(whole: Any) -> Iterator[tuple[tuple, Any]]:
    """Places of a file, leaves and what holds them, one of each kind; each with every wrong value."""
    seen = set()
    for leaf in places(whole):
        for length in range(len(leaf) + 1):
            path = leaf[:length]
            if None not in path and kind_of(path) not in seen:
                seen.add(kind_of(path))
                yield from ((path, wrong) for wrong in (*WRONG, *((REMOVED,) if path else ())))


def readings(folder: Path) -> Iterator[Any]:
    """What each reader makes of a folder: functions to call."""
    yield lambda: watch.draw_page(folder, watch.Drawing(), 1.0)
    yield lambda: stored_series([folder])
    if folder.name == "sweep":
        yield lambda: [(run.verdict, run.metrics, run.frame(), run.steps, run.recorded) for run in gj.SweepRun(folder)]
        yield lambda: (gj.SweepRun(folder).frame(), gj.SweepRun(folder).rows)
        yield lambda: [verdict.sentence() for verdict in gj.SweepRun(folder).verdicts]
    else:
        yield lambda: [(run.verdict, run.metrics, run.frame(), run.steps, run.recorded) for run in (gj.Run(folder),)]
        yield lambda: gj.Run(folder).verdict and gj.Run(folder).verdict.sentence()


def check(folder: Path, what: object) -> list[str]:
    """The readers that fail otherwise than with a line of the project's own on the folder."""
    failed = []
    for number, reading in enumerate(readings(folder)):
        try:
            reading()
        except (RunError, ConfigError) as error:
            if len(str(error).splitlines()) > 2 or folder.name not in str(error):
                failed.append(f"{what}, reader {number}: {error}")
        except Exception as error:
            failed.append(f"{what}, reader {number}: {type(error).__name__}: {error}")
    return failed


def walk(file: Path, folder: Path, every: int) -> list[str]:
    whole, failed = read(file), []
    for path, wrong in list(changes(whole))[::every]:
        changed = with_change(whole, path, wrong)
        if file.suffix == ".jsonl" and not isinstance(changed, list):
            continue
        write(file, changed)
        failed += check(folder, (path, "removed" if wrong is REMOVED else repr(wrong)[:20]))
    write(file, whole)
    return failed


CASES = [(kind, name) for kind, names in FILES.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_place_with_every_wrong_value(folders, figureless, kind, name):
    assert walk(folders / kind / name, folders / kind, 1) == []


@pytest.mark.parametrize(("kind", "name", "every"), [("run", "verdict.json", 83), ("sweep", "members.jsonl", 151)])
def test_some_places_with_a_wrong_value(folders, figureless, kind, name, every):
    assert walk(folders / kind / name, folders / kind, every) == []


# --- Lines ------------------------------------------------------------------------------------------------------------

LINES = {
    "a cut last line": lambda content: content[:-20],
    "binary garbage in the middle": lambda content: content.replace(b"\n", b"\n\x00\xff\xfe garbage\n", 1),
    "a line of another kind": lambda content: content + b'[1, 2]\n"text"\n',
    "a row that is cut at a byte of UTF-8": lambda content: content + b'{"step": 50, "label": "\xe2\x88',
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("damage", LINES)
def test_lines_that_are_lost_are_told_once_with_their_file_and_a_remedy(folders, figureless, caplog, kind, damage):
    folder = folders / kind
    file = folder / "metrics.jsonl"
    file.write_bytes(LINES[damage](file.read_bytes()))
    assert check(folder, damage) == []
    told = [line for line in caplog.messages if f"{file}: " in line]
    assert len(told) == 1
    assert "damaged and left out" in told[0]
    assert f"--resume {folder}" in told[0]


def test_a_missing_row_is_told_by_report_watch_and_thresholds(folders, figureless, caplog, capsys):
    run = folders / "run"
    rows = read(run / "metrics.jsonl")
    write(run / "metrics.jsonl", [rows[0], *rows[2:]])
    draw, series, metrics = list(readings(run))[:3]
    for reading in (lambda: main(["report", str(run)]), draw, series, metrics):
        tell_once.cache_clear()
        caplog.clear()
        reading()
        (line,) = [line for line in caplog.messages if "lacks the rows of" in line]
        assert f"{run / 'metrics.jsonl'} lacks the rows of 1 evaluations, the first at step 20" in line


def test_a_run_without_rows_and_with_a_verdict_says_what_is_lost(folders, caplog, capsys):
    (folders / "run" / "metrics.jsonl").write_bytes(b"")
    assert main(["report", str(folders / "run")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "metrics.jsonl has no rows" in said[0]


@pytest.mark.parametrize("command", [["report"], ["thresholds"], ["evaluate"], ["watch"]])
@pytest.mark.parametrize("place", ["seed", "environment", "experiment"])
def test_a_damaged_record_ends_a_command_with_a_line(folders, capsys, command, place):
    record = folders / "run" / "experiment.json"
    write(record, read(record) | {place: [None]})
    assert main([*command, str(folders / "run")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"{record} cannot be read" in said[0]


MEMBERS = {
    "an unknown arm": lambda rows: [rows[0] | {"arm": "no such arm"}, *rows[1:]],
    "another seed": lambda rows: [*rows[:-1], rows[-1] | {"seed": 77}],
    "a member twice": lambda rows: [*rows, rows[0] | {"ended": False}],
    "a member beyond the last": lambda rows: [*rows, rows[0] | {"member": 99}],
}


@pytest.mark.parametrize("damage", MEMBERS)
def test_rows_of_no_member_are_told_and_left_out(folders, figureless, caplog, damage):
    sweep = SweepDirectory(folders / "sweep")
    whole = sweep.read_members()
    write(sweep.members_path, MEMBERS[damage](whole))
    left = sweep.read_members()
    assert left == [row for row in whole if row in left]
    assert len(left) == len(whole) - (damage in ("an unknown arm", "another seed"))
    assert check(sweep.path, damage) == []
    assert len([line for line in caplog.messages if f"{sweep.members_path}: 1 of" in line]) == 1


def test_missing_members_are_told(folders, figureless, caplog):
    sweep = SweepDirectory(folders / "sweep")
    write(sweep.members_path, sweep.read_members()[:1])
    assert check(sweep.path, "missing member") == []
    assert [line for line in caplog.messages if "members.jsonl lacks 1 members" in line]


@pytest.mark.parametrize("wrong", [None, [], "text", {}, {"outcome": "well"}, {"outcome": "healthy"}])
def test_a_verdict_is_read_or_refused(wrong):
    with pytest.raises(ValueError, match="it is not a verdict"):
        Verdict.from_json(wrong)
    assert Verdict.from_json({"outcome": "censored", "last_step": 3}).sentence()


@pytest.mark.parametrize("content", ["[1]", '"text"', "{", "[" * 100_000])
def test_a_diagnosis_that_is_none_is_told_and_left_out(folders, caplog, content):
    run = RunDirectory(folders / "run")
    (run.path / "diagnosis").mkdir()
    (run.path / "diagnosis" / "game.json").write_text(content, encoding="utf-8")
    (run.path / "diagnosis" / "support.json").write_text("{}", encoding="utf-8")
    assert read_diagnoses(run) == {"support": {}}
    (line,) = caplog.messages
    assert "game.json is damaged" in line
