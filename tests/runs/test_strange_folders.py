"""Folders of a stranger: no command executes code from them, follows a path out of them, or writes outside them."""

from __future__ import annotations

import json
import os

import pytest

import gan_jax as gj
from gan_jax.cli.main import main
from gan_jax.reports.watch import Drawing, draw_page
from gan_jax.runs.run_record import RunError
from tests.reports.made_folders import ended_run, make_sweep
from tests.runs.own_runs import CONFIG, own_run, write_config

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
)


def changed(record, changes):
    for path, value in changes.items():
        place = record if path in ("config", "source") else record["experiment"]
        *parents, last = path.split(".")
        for parent in parents:
            place = place[parent]
        place[last] = value
    return record


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


@pytest.mark.parametrize("kind", RECORDS)
def test_no_command_executes_what_a_record_names(folder, kind, capsys):
    record = folder / "run" / "experiment.json"
    value = changed(json.loads(record.read_text()), RECORDS[kind](folder))
    del value["hashes"]
    record.write_text(json.dumps(value))
    modules = dict(__import__("sys").modules)
    for command in COMMANDS:
        code = main([word.replace("RUN", str(folder / "run")) for word in command])
        told = capsys.readouterr().err
        assert code in (0, 2), command
        assert code == 0 or told.count("\n") <= 2, told
        assert not (folder / MARKER).exists(), command
    assert draw_page(folder / "run", Drawing(), 5.0).page
    gj.Run(folder / "run").metrics  # noqa: B018
    assert not (folder / MARKER).exists()
    assert not {"evil", "antigravity"} & (__import__("sys").modules.keys() - modules.keys())


@pytest.mark.parametrize("kind", RECORDS)
def test_no_command_executes_what_a_sweep_names(folder, kind, capsys):
    record = folder / "sweep" / "sweep.json"
    value = json.loads(record.read_text())
    for arm in value["arms"]:
        changed({**value, "experiment": arm["experiment"]}, RECORDS[kind](folder))
    value |= {name: part for name, part in RECORDS[kind](folder).items() if name in ("config", "source")}
    del value["hashes"]
    record.write_text(json.dumps(value))
    for command in (["report", "RUN"], ["thresholds", "RUN"], ["evaluate", "RUN#0"], ["sweep", "--resume", "RUN"]):
        if command[0] == "sweep" and "objective" not in value["arms"][0]["experiment"]:
            continue
        if command[0] == "sweep" and ":" not in json.dumps([arm["experiment"] for arm in value["arms"]]).replace(
            ": ", ""
        ):
            continue  # of shipped components: it would train
        assert main([word.replace("RUN", str(folder / "sweep")) for word in command]) in (0, 2)
        capsys.readouterr()
        assert not (folder / MARKER).exists(), command
    assert draw_page(folder / "sweep", Drawing(), 5.0).page
    assert gj.SweepRun(folder / "sweep").rows
    assert not (folder / MARKER).exists()


def test_a_report_names_components_that_it_does_not_know(folder):
    run = own_run(folder / "own", str(write_config(folder)))
    (folder / "mine.py").write_text(CODE)
    assert main(["report", str(run.path)]) == 0
    text = run.report_path.read_text(encoding="utf-8")
    assert '<th scope="row">objective</th><td>Steep</td>' in text
    assert '<th scope="row">objective.slope</th><td>0.25</td>' in text
    assert not (folder / MARKER).exists()
    assert main(["report", str(run.path), "--config", "mine.py"]) == 2  # which defines no such component
    assert (folder / MARKER).exists()


@pytest.mark.parametrize("name", ["../evil.py", "/PLACE/evil.py", "out/evil.py", "link.py", "missing.py"])
def test_trust_is_for_what_lies_in_the_folder(folder, name, capsys):
    run = own_run(folder / "own", str(write_config(folder / "there")))
    (run.path / "source" / "link.py").symlink_to(folder / "evil.py")
    (run.path / "source" / "out").symlink_to(folder)
    name = name.replace("/PLACE", str(folder))
    record = json.loads(run.record_path.read_text())
    digest = __import__("hashlib").sha256(CODE.encode()).hexdigest()
    record["source"] = {"config": name, "files": {name: digest}}
    run.record_path.write_text(json.dumps(record))
    assert main(["evaluate", str(run.path), "--trust"]) == 2
    assert f"keeps no source {name}" in capsys.readouterr().err
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
        assert f"{name} is a link out of" in capsys.readouterr().err
    assert (outside / "file").read_text() == before
    assert sorted(os.listdir(outside)) == ["file", "inner"]


@pytest.mark.parametrize("name", ["report.html", "statistics.json"])
def test_a_report_writes_through_no_link(folder, name, capsys):
    (folder / "precious").write_text(PRECIOUS)
    for kind in ("run", "sweep"):
        (folder / kind / name).symlink_to(folder / "precious")
        code = main(["report", str(folder / kind)])
        assert (kind, name, code) == ("run", "statistics.json", 0) or code == 2
        assert (folder / "precious").read_text() == PRECIOUS
        assert code == 0 or f"{name} is a link out of" in capsys.readouterr().err
    assert main(["report", str(folder / "run"), "--out", str(folder / "elsewhere.html")]) == 0


def test_a_diagnosis_writes_through_no_link(folder):
    from gan_jax.runs.run_states import keep_diagnosis
    from gan_jax.runs.stored_run import open_run

    (folder / "outside").mkdir()
    (folder / "run" / "diagnosis").symlink_to(folder / "outside")
    (folder / "sweep" / "members").symlink_to(folder / "outside")
    for name in ("run", "sweep#1"):
        with pytest.raises(RunError, match="is a link out of"):
            keep_diagnosis(open_run(folder / name).directory, "onset", {"sentence": ""})
    assert os.listdir(folder / "outside") == []


def test_a_lock_is_neither_emptied_nor_followed(folder):
    run = ended_run(folder / "locked")
    (folder / "precious").write_text(PRECIOUS)
    (run.path / ".lock").symlink_to(folder / "precious")
    with pytest.raises(RunError, match="is a link"), run.lock():
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
    verdict = folder / "run" / "verdict.json"
    verdict.write_text(json.dumps(json.loads(verdict.read_text()) | {"sentence": f"well {hostile}"}))
    members = folder / "sweep" / "members.jsonl"
    rows = [json.loads(line) | {"arm": f"arm {hostile}"} for line in members.read_text().splitlines()]
    members.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for command in (["evaluate", "run"], ["train", "--resume", "run"], ["thresholds", "sweep"], ["report", "sweep"]):
        main(command)
        captured = capsys.readouterr()
        shown = captured.out + captured.err
        assert not [c for c in shown if c in "\x1b\x9b\x07\r‮"], shown
    assert CONFIG
