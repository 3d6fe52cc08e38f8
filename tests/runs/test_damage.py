"""Damaged folders: each is continued with the same numbers, or refused and left as it is; and a line says which."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from gan_jax.cli.main import main
from gan_jax.experiment.settings import override
from gan_jax.runs import resuming
from gan_jax.runs.checkpoint import Checkpoints, to_host, tree_hash
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.runner import read_verdict, state_template
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.training.optimizers import SGD

CONFIG = '''"""A ring of a few steps."""

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.sweep import grid


def experiment():
    return tiny_ring(num_steps=16, eval_every_steps=4)


def sweep():
    return grid(experiment(), {"data.std": (0.02, 0.05)}, seeds=2)
'''
QUIET = ("--quiet", "--pictures", "1")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "few.py"
    path.write_text(CONFIG, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The folder of a finished run, with checkpoints of steps 4, 8, 12 and 16."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert main(["train", config, "--run-dir", str(path), *QUIET]) == 0
    return path


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def resume(run, *options):
    return main(["train", "--resume", str(run.path), *options, *QUIET])


@pytest.fixture
def said(capfd, caplog):
    """What has been said on standard error since the last call; in a test, warnings go to pytest's log."""

    def read() -> str:
        text = capfd.readouterr().err + "".join(f"{record.getMessage()}\n" for record in caplog.records)
        caplog.clear()
        return text

    return read


def rows(run):
    return [{k: v for k, v in row.items() if k != "steps_per_second"} for row in run.read_metrics()]


def last_hash(run):
    template = state_template(run.read_record().experiment)
    return tree_hash(to_host(Checkpoints(run.checkpoints_path, read_only=True).restore(template, 16)))


def contents(path: Path) -> dict[str, str]:
    files = sorted(p for p in path.rglob("*") if p.name != ".lock")
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder" for p in files}


def damage_checkpoint(run, step, what="cut"):
    place = run.checkpoints_path / str(step) / "state"
    if what == "without arrays":
        shutil.rmtree(place / "d")
    elif what == "without names":
        (place / "_METADATA").unlink()
    elif what == "without hash":
        shutil.rmtree(place.parent / "meta")
    elif what == "empty":
        shutil.rmtree(place.parent)
        place.parent.mkdir()
    else:
        for file in place.rglob("*"):
            if file.is_file() and file.stat().st_size > 200:
                file.write_bytes(file.read_bytes()[:100])


def drop_rows(run, *steps):
    lines = run.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] not in steps]
    run.metrics_path.write_text("".join(kept), encoding="utf-8")


def cut_last_row(run):
    run.metrics_path.write_bytes(run.metrics_path.read_bytes()[:-40])


# --- What goes on with the same numbers -------------------------------------------------------------------------------

KINDS = ("cut", "without arrays", "without names", "without hash", "empty")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_checkpoint_is_told_in_a_line_kept_and_the_one_before_is_used(run, whole, kind, said):
    damage_checkpoint(run, 16, kind)
    run.verdict_path.unlink()
    assert resume(run) == 0
    text = said()
    assert text.count("\n") == 2
    assert "checkpoint of step 16 cannot be read" in text
    assert f"it was moved to {run.path / 'set_aside' / '1'}, and the one before it is used" in text
    assert "resuming" in text
    assert "at step 12 of 16" in text
    assert (run.path / "set_aside" / "1" / "checkpoints" / "16").is_dir()
    assert (rows(run), last_hash(run)) == (rows(RunDirectory(whole)), last_hash(RunDirectory(whole)))


ROWS = {
    "a row in the middle": lambda run: drop_rows(run, 12),
    "two rows": lambda run: drop_rows(run, 8, 16),
    "the end of the last line": cut_last_row,
    "a row without a step": lambda run: run.metrics_path.write_text(
        run.metrics_path.read_text(encoding="utf-8").replace('"step": 16', '"stop": 16'), encoding="utf-8"
    ),
    "bytes that are no text": lambda run: run.metrics_path.write_bytes(
        run.metrics_path.read_bytes().replace(b'{"step": 12', b'{"\xff\xfe": 12')
    ),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("ended", [True, False])
def test_missing_rows_are_told_and_computed_again(run, whole, kind, ended, said):
    ROWS[kind](run)
    if not ended:
        run.verdict_path.unlink()
    assert resume(run) == 0
    text = said()
    assert "metrics.jsonl lacks the row of step" in text
    assert "Traceback" not in text
    assert (rows(run), last_hash(run)) == (rows(RunDirectory(whole)), last_hash(RunDirectory(whole)))
    assert read_verdict(run)["last_step"] == 16


def stray(run):
    for folder in ("checkpoints/x", "checkpoints/007", "checkpoints/20.copy", "onset/checkpoints/y", "diagnosis"):
        (run.path / folder).mkdir(parents=True)
    for file in ("checkpoints/16.txt", "samples/step_last.png", "samples/other.txt", "notes", "recent/a.npz"):
        (run.path / file).parent.mkdir(exist_ok=True)
        (run.path / file).write_text("of somebody", encoding="utf-8")


def without_evaluation(run):
    verdict = json.loads(run.verdict_path.read_text(encoding="utf-8"))
    del verdict["evaluation"]
    run.verdict_path.write_text(json.dumps(verdict), encoding="utf-8")


HARMLESS = {
    "stray files": stray,
    "no pictures": lambda run: shutil.rmtree(run.samples_path),
    "a file in place of the pictures": lambda run: (
        shutil.rmtree(run.samples_path),
        run.samples_path.write_text("", encoding="utf-8"),
    ),
    "a folder in place of the lock": lambda run: ((run.path / ".lock").unlink(), (run.path / ".lock").mkdir()),
    "no lock": lambda run: (run.path / ".lock").unlink(),
    "lines of other things": lambda run: run.metrics_path.open("a", encoding="utf-8").write('3\n[]\n{"step": "a"}\n'),
    "no recent metrics": lambda run: shutil.rmtree(run.recent_path),
    "a cut verdict": lambda run: run.verdict_path.write_bytes(run.verdict_path.read_bytes()[:50]),
    "an empty verdict": lambda run: run.verdict_path.write_text("", encoding="utf-8"),
    "a verdict without its evaluation": without_evaluation,
    "a verdict that is a list": lambda run: run.verdict_path.write_text("[]", encoding="utf-8"),
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.filterwarnings("ignore:unclosed file")
def test_what_does_not_matter_stops_nothing(run, whole, kind, said):
    HARMLESS[kind](run)
    damage_checkpoint(run, 16, "empty")
    if "verdict" not in kind:
        run.verdict_path.unlink()
    assert resume(run) == 0
    text = said()
    assert "Traceback" not in text
    assert ("verdict.json is damaged" in text) == ("verdict" in kind)
    assert (".lock cannot be locked" in text) == ("place of the lock" in kind)
    assert (rows(run), last_hash(run)) == (rows(RunDirectory(whole)), last_hash(RunDirectory(whole)))
    if "no pictures" in kind:
        assert [path.name for path in run.pictures()] == ["step_00000016.png"]


# --- What is refused --------------------------------------------------------------------------------------------------

REFUSED = {
    "all checkpoints cut": lambda run: [damage_checkpoint(run, step) for step in (4, 8, 12, 16)],
    "all arrays gone": lambda run: [damage_checkpoint(run, step, "without arrays") for step in (4, 8, 12, 16)],
    "no checkpoint": lambda run: shutil.rmtree(run.checkpoints_path),
    "an empty folder of checkpoints": lambda run: [
        shutil.rmtree(run.checkpoints_path / str(s)) for s in (4, 8, 12, 16)
    ],
    "the first row gone": lambda run: drop_rows(run, 4),
    "all rows gone": lambda run: run.metrics_path.unlink(),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_run_that_cannot_be_continued_is_left_as_it_is_and_restarted_if_asked(run, whole, kind, said):
    REFUSED[kind](run)
    run.verdict_path.unlink()
    before = contents(run.path)
    assert resume(run) == 2
    text = said()
    assert len(text.splitlines()) == 2
    assert "cannot be continued, and nothing was changed" in text
    assert "--restart" in text
    assert contents(run.path) == before
    assert resume(run, "--restart") == 0
    assert "at step 0 of 16" in said()
    assert (rows(run), last_hash(run)) == (rows(RunDirectory(whole)), last_hash(RunDirectory(whole)))
    aside = run.path / "set_aside" / "1"
    kept = {str(run.path / Path(name).relative_to(aside)): value for name, value in contents(aside).items()}
    record = {name: value for name, value in before.items() if "/source" in name or name.endswith("experiment.json")}
    assert {**kept, **record} == before


def test_a_state_of_another_structure_is_refused_with_a_leaf(run, monkeypatch, said):
    other = override(run.read_record().experiment, "generator.optimizer", SGD())
    monkeypatch.setattr(resuming, "state_template", lambda experiment: state_template(other))
    assert resume(run, "--num-steps", "20") == 2
    text = said()
    assert "none of 4 checkpoints can be used" in text
    assert "has another structure" in text
    assert "generator.opt_state" in text
    assert json.loads(run.record_path.read_text(encoding="utf-8"))["experiment"]["num_steps"] == 16
    assert len(run.read_metrics()) == 4


def test_restart_is_of_a_resumed_run_and_changes_nothing_where_all_is_well(run, config, said):
    assert main(["train", config, "--restart", *QUIET]) == 2
    assert main(["sweep", config, "--restart", "--quiet"]) == 2
    assert said().count("--restart works only with --resume") == 2
    before = contents(run.path)
    assert resume(run, "--restart") == 0
    assert "is finished" in said()
    assert contents(run.path) == before


# --- Branches ---------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def branch(whole, path):
    arguments = ["train", "--branch-from", f"{whole}@8", "--run-dir", str(path), *QUIET]
    return main([*arguments, "--generator.learning-rate", "2e-3"])


def test_a_branch_killed_before_its_first_own_state_is_no_run_or_goes_on(whole, tmp_path, monkeypatch, said):
    from gan_jax.runs import session

    assert branch(whole, tmp_path / "uninterrupted") == 0

    def killed(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(session.Checkpoints, "save", killed)
        with pytest.raises(Killed):
            branch(whole, tmp_path / "early")
    assert not (tmp_path / "early" / "experiment.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(session, "train_run", killed)
        with pytest.raises(Killed):
            branch(whole, tmp_path / "late")
    late = RunDirectory(tmp_path / "late")
    assert late.read_record().first_step == 8
    assert resume(late) == 0
    assert "at step 8 of 16" in said()
    assert last_hash(late) == last_hash(RunDirectory(tmp_path / "uninterrupted"))


def test_a_branch_without_its_first_state_is_never_a_fresh_network(whole, tmp_path, said):
    assert branch(whole, tmp_path / "branch") == 0
    run = RunDirectory(tmp_path / "branch")
    shutil.rmtree(run.checkpoints_path)
    run.metrics_path.unlink()
    run.verdict_path.unlink()
    for options in ((), ("--restart",)):
        assert resume(run, *options) == 2
        assert f"--branch-from {whole}@8" in said()
    assert not run.metrics_path.exists()


# --- Locks, and refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_and_does_not_stop(run, code, monkeypatch, said):
    def refused(*args):
        raise OSError(code, "not there")

    monkeypatch.setattr(fcntl, "flock", refused)
    run.verdict_path.unlink()
    assert resume(run) == 0
    assert ".lock cannot be locked (not there): start no second process" in said()


def test_a_lock_that_is_a_link_is_not_followed(run, tmp_path):
    other = tmp_path / "other"
    other.write_text("of somebody", encoding="utf-8")
    (run.path / ".lock").unlink()
    (run.path / ".lock").symlink_to(other)
    with run.lock():
        pass
    assert other.read_text(encoding="utf-8") == "of somebody"


def fail(error):
    def raising(*args, **kwargs):
        raise error

    return raising


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize("error", [ValueError("no"), OSError(28, "No space left on device")])
def test_a_command_that_is_refused_late_leaves_nothing_behind(
    config, command, error, there, tmp_path, monkeypatch, said
):
    from gan_jax.runs import session, sweep_session

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "train_run", fail(error))
    monkeypatch.setattr(sweep_session, "run_sweep", fail(error))
    place = tmp_path / "new" / "run"
    if there:
        place.mkdir(parents=True)
    for options in (["--run-dir", str(place)], []):
        assert main([command, config, "--quiet", *options]) == 2
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == (["new", "new/run"] if there else [])


def test_missing_packages_are_told_before_anything_is_made(config, tmp_path, monkeypatch, said):
    import importlib.util

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["train", config, "--tensorboard", "--quiet"]) == 2
    assert "pip install tensorboardX" in said()
    assert main(["sweep", config, "--parquet", "--quiet"]) == 2
    assert "pip install pyarrow" in said()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_written_leaves_nothing_and_another_folder_stays(config, whole, tmp_path, monkeypatch):
    before = contents(whole)
    assert main(["train", config, "--run-dir", str(whole), *QUIET]) == 2
    assert contents(whole) == before
    monkeypatch.setattr(Path, "replace", fail(OSError(28, "No space left on device")))
    assert main(["train", config, "--run-dir", str(tmp_path / "a" / "run"), *QUIET]) == 2
    assert list(tmp_path.iterdir()) == []


# --- Sweeps -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_sweep(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "sweep"
    arguments = ["sweep", config, "--strategy", "map", "--max-members", "2", "--run-dir", str(path)]
    assert main([*arguments, *QUIET]) == 0
    return path


@pytest.fixture
def sweep(whole_sweep, tmp_path):
    shutil.copytree(whole_sweep, tmp_path / "sweep")
    return SweepDirectory(tmp_path / "sweep")


def resume_sweep(sweep, *options):
    return main(["sweep", "--resume", str(sweep.path), *options, *QUIET])


def sweep_rows(path):
    found = [{k: v for k, v in row.items() if k != "steps_per_second"} for row in SweepDirectory(path).read_metrics()]
    return sorted(found, key=lambda row: (row["member"], row["step"])), SweepDirectory(path).read_members()


def edit(path, change):
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def drop_line(text, index):
    lines = text.splitlines(keepends=True)
    return "".join(lines[:index] + lines[index + 1 :])


SWEEPS = {
    "no rows of a batch": (lambda s: edit(s.batch_path(0, 0) / "members.json", lambda text: "[]"), "members.json is"),
    "cut rows of a batch": (lambda s: edit(s.batch_path(0, 1) / "members.json", lambda t: t[:99]), "members.json is"),
    "no members.jsonl": (lambda s: s.members_path.unlink(), ""),
    "a cut members.jsonl and rows of a batch": (
        lambda s: (s.members_path.write_text("{", encoding="utf-8"), (s.batch_path(0, 1) / "members.json").unlink()),
        "",
    ),
    "a row of the last evaluation": (
        lambda s: edit(s.metrics_path, lambda text: drop_line(text, text.count("\n") - 1)),
        "lacks the row",
    ),
    "a cut last row": (lambda s: edit(s.metrics_path, lambda text: text[:-30]), "lacks the row"),
    "rows without members": (lambda s: edit(s.metrics_path, lambda text: text + '{"step": 3}\n{"member": 1}\n'), ""),
    "no pictures": (lambda s: shutil.rmtree(s.samples_path), ""),
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_damaged_sweep_goes_on_with_the_same_rows(sweep, whole_sweep, kind, said):
    damage, message = SWEEPS[kind]
    damage(sweep)
    assert resume_sweep(sweep) == 0
    text = said()
    assert message in text
    assert "Traceback" not in text
    found, expected = sweep_rows(sweep.path), sweep_rows(whole_sweep)
    assert [row for row in found[0] if "label" in row] == expected[0]
    assert found[1] == expected[1]


PLANS = {
    "no plan": lambda s: s.plan_path.unlink(),
    "a plan of nothing": lambda s: edit(s.plan_path, lambda text: "[]"),
    "a cut plan": lambda s: edit(s.plan_path, lambda text: text[:60]),
    "a plan of other batches": lambda s: edit(
        s.plan_path, lambda text: json.dumps([{**json.loads(text)[0], "batches": [[0, 1, 2], [4]]}])
    ),
    "a plan of another kind": lambda s: edit(s.plan_path, lambda text: '{"a": 1}'),
    "a row of the first evaluation": lambda s: edit(s.metrics_path, lambda text: drop_line(text, 0)),
}


@pytest.mark.parametrize("kind", PLANS)
def test_a_sweep_without_its_plan_is_refused_and_restarted_if_asked(sweep, whole_sweep, kind, said):
    PLANS[kind](sweep)
    before = contents(sweep.path)
    assert resume_sweep(sweep) == 2
    text = said()
    assert len(text[text.index("gan-jax:") :].splitlines()) <= 2
    assert "--restart" in text
    assert {k: v for k, v in contents(sweep.path).items() if "statistics" not in k} == before
    assert resume_sweep(sweep, "--restart", "--strategy", "map", "--max-members", "2") == 0
    assert (sweep.path / "set_aside" / "1").is_dir()
    assert sweep_rows(sweep.path) == sweep_rows(whole_sweep)
