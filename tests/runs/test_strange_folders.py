"""Folders of a stranger: no command executes code from them, follows a path out of them, or writes outside them."""

from __future__ import annotations

import hashlib
import json
import os
import sys

import pytest

import gan_jax as gj
from gan_jax.cli.main import main
from gan_jax.reports.report_experiment import experiment_settings
from gan_jax.reports.watch import Drawing, draw_page
from gan_jax.runs.folder_code import NO_CODE
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_states import keep_diagnosis
from gan_jax.runs.stored_run import open_run
from gan_jax.runs.sweep_directory import SweepDirectory
from tests.reports.made_folders import ended_run, make_sweep
from tests.runs.own_runs import own_run, write_config

MARKER = "executed.txt"
CODE = f"open({MARKER!r}, 'w').close()\nclass X:\n    pass\ndef experiment():\n    pass\ndef sweep():\n    pass\n"

OWN = {"component": "evil:X", "a": 1.0}
RECORDS = {
    "config": lambda folder: {"config": str(folder / "evil.py")},
    "config in the working directory": lambda folder: {"config": "evil.py"},
    "config and remedies": lambda folder: {"config": f"{folder / 'evil.py'}+r1"},
    "config by a path upwards": lambda folder: {"config": "../evil"},
    "module in the working directory": lambda folder: {"objective": OWN},
    "module deep inside": lambda folder: {"generator.network": OWN | {"widths": [{"component": "evil:Y"}]}},
    "own component": lambda folder: {
        "objective": {"component": "__config__:X"},
        "config": str(folder / "evil.py"),
        "source": {"config": "evil.py", "files": {"evil.py": ""}},
    },
    "first version": lambda folder: {
        "objective": {"component": "gan_jax_config_evil_01234567:X"},
        "config": str(folder / "evil.py"),
    },
    "standard library": lambda folder: {"objective": {"component": "antigravity:X"}},
}

COMMANDS = (
    ["report", "RUN"],
    ["evaluate", "RUN"],
    ["sample", "RUN", "--out", "samples.npz"],
    ["thresholds", "RUN"],
    ["diagnose", "onset", "RUN"],
    ["diagnose", "unroll", "RUN"],
    ["diagnose", "landscape", "RUN"],
    ["train", "--resume", "RUN", "--quiet"],
    ["train", "ring", "--resume", "RUN", "--quiet"],
    ["train", "--branch-from", "RUN", "--quiet"],
    ["train", "--branch-from", "RUN@40", "--quiet"],
    ["report", "SWEEP"],
    ["evaluate", "SWEEP#1"],
    ["thresholds", "SWEEP"],
    ["sweep", "--resume", "SWEEP", "--quiet"],
)


def changed(record, changes):
    """A record with other values, by path within the experiment or, for a few, within the record."""
    for path, value in changes.items():
        place = record if path in ("config", "source") else record["experiment"]
        *parents, last = path.split(".")
        for parent in parents:
            place = place[parent]
        place[last] = value
    return record


def changed_sweep(record, changes):
    for arm in record["arms"]:
        changed(record | {"experiment": arm["experiment"]}, changes)
    return record | {name: value for name, value in changes.items() if name in ("config", "source")}


def write(path, change):
    value = change(json.loads(path.read_text()))
    path.write_text(json.dumps({name: part for name, part in value.items() if name != "hashes"}))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with code that leaves a mark, and a run and a sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(CODE)
    for made in (ended_run(tmp_path / "run").path, make_sweep(tmp_path / "sweep", (1e-3, 1e-2)).path):
        (made / "source").mkdir()
        (made / "source" / "evil.py").write_text(CODE)
    return tmp_path


def read_run(path):
    """Everything that the commands which only read do with a record."""
    record = RunDirectory.open(path).read_record()
    experiment_settings(record.config, record.experiment, NO_CODE)
    assert gj.Run(path).metrics["step"].tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("kind", RECORDS)
def test_reading_executes_nothing(folder, kind):
    changes = RECORDS[kind](folder)
    write(folder / "run" / "experiment.json", lambda record: changed(record, changes))
    write(folder / "sweep" / "sweep.json", lambda record: changed_sweep(record, changes))
    before = set(sys.modules)
    read_run(folder / "run")
    sweep = SweepDirectory.open(folder / "sweep").read_record()
    experiment_settings(sweep.config, sweep.sweep.arms[1].experiment, NO_CODE)
    assert len(gj.SweepRun(folder / "sweep").rows) == 2
    assert gj.Run(folder / "sweep#1").seed == 0
    assert not (folder / MARKER).exists()
    assert not {"evil", "antigravity"} & (set(sys.modules) - before)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_executes_anything(folder, command, capsys):
    for changes in (RECORDS["config and remedies"](folder), RECORDS["module in the working directory"](folder)):
        write(folder / "run" / "experiment.json", lambda record, changes=changes: changed(record, changes))
        write(folder / "sweep" / "sweep.json", lambda record, changes=changes: changed_sweep(record, changes))
    code = main([word.replace("RUN", "run").replace("SWEEP", "sweep") for word in command])
    told = capsys.readouterr().err
    if command[0] == "report":
        assert code == 0
    elif command[0] == "thresholds":  # which gets as far as the rows, which nobody has measured
        assert "have no modes_any" in told
    else:
        assert code == 2
        assert "has components of its own (X)" in told
        assert told.count("\n") == 1
    assert not (folder / MARKER).exists()


def test_the_watch_executes_nothing(folder):
    changes = RECORDS["own component"](folder)
    write(folder / "run" / "experiment.json", lambda record: changed(record, changes))
    assert "objective" in draw_page(folder / "run", Drawing(), 5.0).page
    assert not (folder / MARKER).exists()


def test_components_that_are_not_known_are_shown(folder):
    run = own_run(folder / "own", str(write_config(folder)))
    (folder / "mine.py").write_text(CODE)
    record = RunDirectory.open(run.path).read_record()
    shown = experiment_settings(record.config, record.experiment, NO_CODE)
    assert '<th scope="row">objective</th><td>Steep</td>' in shown
    assert '<th scope="row">objective.slope</th><td>0.25</td>' in shown
    assert not (folder / MARKER).exists()


def test_a_config_that_the_user_names_is_executed(folder, capsys):
    run = own_run(folder / "own", str(write_config(folder)))
    assert main(["report", str(run.path), "--config", "evil.py"]) == 2
    assert "evil.py does not define the component Steep" in capsys.readouterr().err
    assert (folder / MARKER).exists()


@pytest.mark.parametrize("name", ["../evil.py", "/PLACE/evil.py", "out/evil.py", "link.py", "missing.py"])
def test_trust_is_for_what_lies_in_the_folder(folder, name, capsys):
    run = own_run(folder / "own", str(write_config(folder / "there")))
    (run.path / "source" / "link.py").symlink_to(folder / "evil.py")
    (run.path / "source" / "out").symlink_to(folder)
    name = name.replace("/PLACE", str(folder))
    record = json.loads(run.record_path.read_text())
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    record["source"] = {"config": name, "files": {name: digest}}
    run.record_path.write_text(json.dumps(record))
    assert main(["evaluate", str(run.path), "--trust"]) == 2
    assert f"has no source file {name}" in capsys.readouterr().err
    assert not (folder / MARKER).exists()


# --- Links ------------------------------------------------------------------------------------------------------------

PRECIOUS = "precious\n"


@pytest.mark.parametrize(
    "name",
    [
        ".lock",
        "metrics.jsonl",
        "signals.jsonl",
        "samples",
        "checkpoints",
        "onset",
        "experiment.json",
        "samples/new.png",
    ],
)
def test_a_resume_writes_through_no_link(folder, name, capsys):
    run = folder / "run"
    outside = folder / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "file").write_text((run / name).read_text() if (run / name).is_file() else PRECIOUS)
    before = (outside / "file").read_text()
    is_folder = (run / name).is_dir() or name in ("checkpoints", "onset")
    if (run / name).is_dir():
        (run / name).rename(folder / "away")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside if is_folder else outside / "file")
    for command in (["train", "--resume", str(run), "--num-steps", "60", "--quiet"],):
        assert main(command) == 2
        assert f"{name} is a link that leads out of" in capsys.readouterr().err
    assert (outside / "file").read_text() == before
    assert sorted(os.listdir(outside)) == ["file", "inner"]


@pytest.mark.parametrize(
    ("kind", "name"), [("run", "report.html"), ("sweep", "report.html"), ("sweep", "statistics.json")]
)
def test_a_report_writes_through_no_link(folder, kind, name, capsys):
    (folder / "precious").write_text(PRECIOUS)
    (folder / kind / name).symlink_to(folder / "precious")
    assert main(["report", str(folder / kind)]) == 2
    assert f"{name} is a link that leads out of" in capsys.readouterr().err
    assert (folder / "precious").read_text() == PRECIOUS


def test_a_diagnosis_writes_through_no_link(folder):
    (folder / "outside").mkdir()
    (folder / "run" / "diagnosis").symlink_to(folder / "outside")
    (folder / "sweep" / "members").symlink_to(folder / "outside")
    for name in ("run", "sweep#1"):
        with pytest.raises(RunError, match="is a link that leads out of"):
            keep_diagnosis(open_run(folder / name).directory, "onset", {"sentence": ""})
    assert os.listdir(folder / "outside") == []


def test_a_lock_is_neither_emptied_nor_followed(folder):
    run = ended_run(folder / "locked")
    (folder / "precious").write_text(PRECIOUS)
    (run.path / ".lock").symlink_to(folder / "precious")
    with run.lock():
        pass
    assert (folder / "precious").read_text() == PRECIOUS
    (run.path / ".lock").unlink()
    (run.path / ".lock").write_text("a note")
    with run.lock():
        assert (run.path / ".lock").read_text() == "a note"


# --- Terminal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b2J", "\x1b]0;title\x07", "‮backwards", "[bold red]", "\r"])
def test_no_name_of_a_folder_steers_the_terminal(folder, hostile, capsys):
    record = folder / "run" / "experiment.json"
    value = json.loads(record.read_text())
    value["experiment"]["objective"] = {"component": f"evil:X{hostile}"}
    record.write_text(json.dumps(value))
    for command in (["evaluate", "run"], ["train", "--resume", "run"], ["train", "--resume", "run", "--trust"]):
        assert main(command) == 2
        captured = capsys.readouterr()
        shown = captured.out + captured.err
        assert not [c for c in shown if c in "\x1b\x9b\x07\r\u202e"], shown


def test_a_verdict_of_a_folder_does_not_steer_the_terminal(folder, capsys):
    verdict = folder / "run" / "verdict.json"
    told = {"sentence": "well \x1b[2J", "evaluation": {}, "message": "\x1b]0;title\x07"}
    verdict.write_text(json.dumps(json.loads(verdict.read_text()) | told))
    main(["train", "--resume", "run"])
    captured = capsys.readouterr()
    assert "well \\x1b[2J" in captured.out
    assert not {"\x1b", "\x07"} & set(captured.out + captured.err)
