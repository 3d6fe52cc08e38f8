"""Sweeps from the command line: what the folder holds, how a killed one goes on, what the report says."""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil

import pytest

from gan_jax.cli.main import main
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import grid
from gan_jax.runs import sweep_plan, sweep_session
from gan_jax.runs import sweep_runner as sweeping
from gan_jax.runs.checkpoint import Checkpoints, to_host, tree_hash
from gan_jax.runs.run_directory import RunDirectory, environment, read_lines
from gan_jax.runs.runner import stacked_template
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.runs.sweep_plan import SweepOptions, make_plan
from gan_jax.scaling import program_memory as programs
from gan_jax.training.evaluations import LoadedData

CONFIG = '''"""A tiny study."""

from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import grid
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.losses.transforms import ExactFlips


def experiment():
    made = tiny_ring(num_steps=30, eval_every_steps=10)
    return override(made, "discriminator.transforms", (ExactFlips(rate=0.0),))


def sweep():
    # 0.01 of 32 labels is none: the first two arms are the same program.
    return grid(experiment(), {"discriminator.transforms.0.rate": (0.0, 0.01, 0.25)}, seeds=2)
'''


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "study.py"
    path.write_text(CONFIG)
    return str(path)


def sweep(*arguments, code=0):
    assert main(["sweep", *map(str, arguments), "--quiet"]) == code


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The folder of an uninterrupted sweep, one member after another."""
    path = tmp_path_factory.mktemp("whole") / "sweep"
    sweep(config, "--strategy", "map", "--run-dir", path, "--parquet")
    return path


def metrics(path):
    rows = [{k: v for k, v in row.items() if k != "steps_per_second"} for row in SweepDirectory(path).read_metrics()]
    return sorted(rows, key=lambda row: (row["member"], row["step"]))


def interrupt(monkeypatch, step, arguments):
    """Runs a sweep that dies after the chunk that ends at a step."""
    original = sweep_session.run_sweep

    def dying(*args, **kwargs):
        def on_chunk(reached):
            if reached >= step:
                raise Stopped

        return original(*args, **kwargs, on_chunk=on_chunk)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_session, "run_sweep", dying)
        with pytest.raises(Stopped):
            main(["sweep", *map(str, arguments), "--quiet"])


@pytest.mark.parametrize("step", [0, 20])
def test_an_interrupted_sweep_says_how_to_continue_and_does(config, tmp_path, monkeypatch, capsys, step):
    original = sweep_session.run_sweep

    def interrupted(*args, **kwargs):
        def on_chunk(reached):
            if reached >= step:
                raise KeyboardInterrupt

        if not step:
            raise KeyboardInterrupt
        return original(*args, **kwargs, on_chunk=on_chunk)

    path = tmp_path / "my sweep"
    with monkeypatch.context() as patch:
        patch.setattr(sweep_session, "run_sweep", interrupted)
        assert main(["sweep", config, "--strategy", "map", "--run-dir", str(path), "--quiet"]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"gan-jax: interrupted; continue with gan-jax sweep --resume {shlex.quote(str(path))}"
    sweep("--resume", path)
    assert all(row["ended"] for row in SweepDirectory(path).read_members())


def test_a_sweep_that_another_processor_began_says_so(config, tmp_path, monkeypatch, capsys):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 10, [config, "--strategy", "map", "--run-dir", path])
    monkeypatch.setattr(sweep_session, "environment", lambda: {**environment(), "device": "Another Processor (cpu)"})
    capsys.readouterr()
    sweep("--resume", path)
    assert "versions or devices have changed since the sweep began" in capsys.readouterr().err


def test_one_run_of_an_arm_is_that_member_of_the_sweep(config, whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", config, "--arm", "rate=0.25", "--seed", "1", "--quiet", "--json"]) == 0
    run = RunDirectory(tmp_path / json.loads(capsys.readouterr().out)["run"])
    assert run.path.name == "study-rate=0.25-seed1"
    own = [row for row in metrics(whole) if row["member"] == 5]
    for row, member in zip(read_lines(run.metrics_path), own, strict=True):
        assert (row["step"], row["label"], row["train"]) == (member["step"], member["label"], member["train"])
    for wrong, said in (
        (["train", config, "--arm", "rate=0.3"], "has no arm 'rate=0.3'"),
        (["train", "--resume", str(run.path), "--arm", "rate=0.25"], "--arm chooses an arm of a config's sweep"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err


def test_the_folder_has_a_row_a_member(whole):
    rows = SweepDirectory(whole).read_members()
    assert [(row["member"], row["arm"], row["seed"]) for row in rows] == [
        (0, "rate=0.0", 0),
        (1, "rate=0.01", 0),
        (2, "rate=0.25", 0),
        (3, "rate=0.0", 1),
        (4, "rate=0.01", 1),
        (5, "rate=0.25", 1),
    ]
    assert all(row["ended"] and row["last_step"] == 30 for row in rows)
    with (whole / "members.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["settings.discriminator.transforms.0.rate"] for row in table[:3]] == ["0.0", "0.01", "0.25"]
    assert [row["verdict.outcome"] for row in table] == [row["verdict"]["outcome"] for row in rows]
    assert len(SweepDirectory(whole).pictures(2)) == 3
    assert len(metrics(whole)) == 18

    import pyarrow.parquet

    assert pyarrow.parquet.read_table(whole / "members.parquet").column("seed").to_pylist() == [0, 0, 0, 1, 1, 1]


def test_a_member_is_its_single_run(config, whole, tmp_path):
    path = tmp_path / "run"
    rate = ("--discriminator.transforms.0.rate", "0.25")
    assert main(["train", config, "--seed", "1", *rate, "--run-dir", str(path), "--quiet"]) == 0
    alone = [{k: v for k, v in row.items() if k != "steps_per_second"} for row in RunDirectory(path).read_metrics()]
    assert alone == [{k: v for k, v in row.items() if k != "member"} for row in metrics(whole) if row["member"] == 5]
    assert (
        json.loads((path / "verdict.json").read_text())["sentence"]
        == (SweepDirectory(whole).read_members()[5]["verdict"]["sentence"])
    )


def test_a_sweep_over_many_structures_drops_its_programs(config, tmp_path, monkeypatch):
    """A process may have so many memory maps, and each structure's programs take hundreds."""
    arguments = [
        config,
        "--grid",
        "generator.updates_per_step",
        "1,2",
        "--seeds",
        "1",
        "--strategy",
        "map",
        "--run-dir",
    ]
    sweep(*arguments, tmp_path / "kept")
    dropped = []
    monkeypatch.setattr(programs, "MOST_MAPS", 0)
    monkeypatch.setattr(sweeping, "forget_programs", lambda: dropped.append(programs.forget_programs()))
    sweep(*arguments, tmp_path / "dropped")
    assert dropped == [True, True]
    assert metrics(tmp_path / "dropped") == metrics(tmp_path / "kept")
    assert not programs.forget_programs(10**9)


def test_named_arms_of_which_one_changes_nothing_have_a_report(tmp_path):
    path = tmp_path / "study.py"
    path.write_text(
        '"""Two arms."""\n\n'
        "from gan_jax.experiment.sweep import variations\n"
        "from gan_jax.experiment.examples import tiny_ring\n\n\n"
        "def experiment():\n    return tiny_ring(num_steps=20, eval_every_steps=10)\n\n\n"
        "def sweep():\n"
        '    arms = {"plain": {}, "fast": {"generator.learning_rate": 1e-2}}\n'
        "    return variations(experiment(), arms, seeds=1)\n"
    )
    sweep(path, "--strategy", "map", "--run-dir", tmp_path / "sweep")
    assert [row["settings"] for row in SweepDirectory(tmp_path / "sweep").read_members()] == [
        {},
        {"generator.learning_rate": 0.01},
    ]
    assert main(["report", str(tmp_path / "sweep")]) == 0


def test_looks_of_a_member_are_those_of_its_single_run_also_when_resumed(config, tmp_path, monkeypatch):
    recorder = ["--recorder", "recorder", "--recorder.every-steps", "5"]
    arguments = [config, *recorder, "--strategy", "map", "--seeds", "1", "--run-dir"]
    sweep(*arguments, tmp_path / "whole")
    interrupt(monkeypatch, 20, [*arguments, tmp_path / "sweep"])
    directory = SweepDirectory(tmp_path / "sweep")
    directory.append_signals([{"member": 0, "step": 25, "signals": {"written after the checkpoint": 0.0}}])
    sweep("--resume", tmp_path / "sweep")

    alone = RunDirectory(tmp_path / "run")
    rate = ["--discriminator.transforms.0.rate", "0.25"]
    assert main(["train", config, *recorder, *rate, "--run-dir", str(alone.path), "--quiet"]) == 0
    expected = read_lines(alone.signals_path)
    assert [row["step"] for row in expected] == [5, 10, 15, 20, 25, 30]
    for name in ("whole", "sweep"):
        rows = read_lines(SweepDirectory(tmp_path / name).signals_path)
        assert len(rows) == 3 * len(expected)
        assert [{k: v for k, v in row.items() if k != "member"} for row in rows if row["member"] == 2] == expected


def test_arms_of_one_program_coincide(whole):
    same = [[{**row, "member": 0} for row in metrics(whole) if row["member"] == member] for member in (0, 1, 2)]
    assert same[0] == same[1] != same[2]


def states_of(path, batch=0):
    directory = SweepDirectory(path)
    checkpoints = Checkpoints(directory.batch_path(0, batch) / "checkpoints", read_only=True)
    step = checkpoints.steps()[-1]
    first = directory.read_record().sweep.arms[0].experiment
    return checkpoints.restore(stacked_template(first, len(directory.read_plans()[0].batches[batch])), step)


def test_a_killed_sweep_resumes_bit_for_bit(config, whole, tmp_path, monkeypatch):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 20, [config, "--strategy", "map", "--run-dir", path])
    assert not any(row["ended"] for row in SweepDirectory(path).read_members())
    directory = SweepDirectory(path)
    directory.append_metrics([{"member": 0, "step": 25, "label": "written after the checkpoint"}])
    sweep("--resume", path)
    assert metrics(path) == metrics(whole)
    assert directory.read_members() == SweepDirectory(whole).read_members()
    assert tree_hash(to_host(states_of(path))) == tree_hash(to_host(states_of(whole)))
    # A sweep that has ended is left alone.
    before = (path / "metrics.jsonl").stat().st_mtime_ns
    sweep("--resume", path)
    assert (path / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["vmap", "pmap-vmap"])
def test_engines_side_by_side_resume_bit_for_bit(strategy, config, tmp_path, monkeypatch):
    arguments = [config, "--strategy", strategy, "--run-dir"]
    sweep(*arguments, tmp_path / "whole")
    interrupt(monkeypatch, 20, [*arguments, tmp_path / "sweep"])
    sweep("--resume", tmp_path / "sweep")
    assert metrics(tmp_path / "sweep") == metrics(tmp_path / "whole")
    ends = [tree_hash(to_host(states_of(tmp_path / name))) for name in ("sweep", "whole")]
    assert ends[0] == ends[1]


def test_a_killed_sweep_goes_on_over_other_devices(config, whole, tmp_path, monkeypatch, capsys):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 10, [config, "--strategy", "map", "--run-dir", path])
    sweep("--resume", path, "--strategy", "pmap-map")
    assert "not bit for bit" in capsys.readouterr().err
    assert metrics(path) == metrics(whole)  # one after another on each device, it is bit for bit all the same


def test_a_damaged_checkpoint_is_reported(config, whole, tmp_path, monkeypatch, capsys):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 20, [config, "--strategy", "map", "--run-dir", path])
    newest = SweepDirectory(path).batch_path(0, 0) / "checkpoints" / "20"
    for file in newest.rglob("*"):
        if file.is_file() and file.stat().st_size > 200:
            file.write_bytes(file.read_bytes()[:100])
    sweep("--resume", path)
    assert "the one before it is used" in capsys.readouterr().err
    assert metrics(path) == metrics(whole)


def test_batches_run_one_after_another(config, whole, tmp_path, monkeypatch, capsys):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 30, [config, "--strategy", "map", "--max-members", "4", "--run-dir", path])
    assert "trained in 2 batches of up to 4, one after another: as --max-members asks" in capsys.readouterr().err
    sweep("--resume", path)
    assert SweepDirectory(path).read_plans()[0].batches == [[0, 1, 2, 3], [4, 5]]
    assert metrics(path) == metrics(whole)
    assert SweepDirectory(path).read_members() == SweepDirectory(whole).read_members()


def test_a_sweep_too_large_for_the_device_is_split():
    members = grid(tiny_ring(), {"data.std": (0.01, 0.02)}, seeds=4).members()
    lines: list[str] = []
    resources, group = LoadedData((), ()), list(range(8))
    needs = make_plan(members, group, resources, SweepOptions(strategy="vmap"), lines.append)
    assert needs.batches == [group]
    tight = make_plan(members, group, resources, SweepOptions(strategy="vmap", memory_bytes=3e5), lines.append)
    assert 1 < len(tight.batches) <= 8
    assert [member for batch in tight.batches for member in batch] == group
    assert "do not fit into the memory" in lines[-1]
    hopeless = make_plan(members, group, resources, SweepOptions(strategy="auto", memory_bytes=1.0), lines.append)
    assert (hopeless.strategy, hopeless.batches) == ("map", [[member] for member in group])


def test_convolutions_are_chosen_where_the_networks_leave_it_open(monkeypatch):
    # As on an accelerator, where "auto" is native: both are timed, and what is chosen is the same network.
    monkeypatch.setattr(sweep_plan, "default_implementation", lambda: "native")
    members = grid(tiny_dcgan(), {}, seeds=2).members()
    resources = LoadedData(tiny_images(), ())
    monkeypatch.setattr(sweep_plan, "_fitting", lambda strategy, experiments, *rest: len(experiments))
    plan = make_plan(members, [0, 1], resources, SweepOptions(), lambda line: None)
    assert {name.partition(", ")[2] for name in plan.timings} == {"", "matmul convolutions"}
    assert plan.convolution == ("matmul" if "matmul" in max(plan.timings, key=plan.timings.__getitem__) else None)
    for strategy, convolution in (("vmap", "matmul"), ("pmap-vmap", "matmul"), ("map", None), ("pmap-map", None)):
        made = make_plan(members, [0, 1], resources, SweepOptions(strategy=strategy), lambda line: None)
        assert made.convolution == convolution
    chosen = sweep_plan.with_convolution(tiny_dcgan(), "matmul")
    assert chosen.generator.network.convolution == chosen.discriminator.network.convolution == "matmul"
    fixed = override(tiny_dcgan(), "generator.network.convolution", "native")
    assert sweep_plan.with_convolution(fixed, "matmul").generator.network.convolution == "native"
    assert sweep_plan.convolutions(tiny_ring()) == [None]
    monkeypatch.setattr(sweep_plan, "default_implementation", lambda: "winograd")
    assert sweep_plan.convolutions(tiny_dcgan()) == [None]


def test_a_grid_on_any_config_and_a_member_that_breaks(tmp_path, capsys):
    path = tmp_path / "sweep"
    arguments = ["ring", "--grid", "generator.learning_rate", "1e-3,1e30", "--seeds", "5-5", "--strategy", "vmap"]
    arguments += ["--num-steps", "20", "--eval-every-steps", "10", "--batch-size", "16", "--run-dir", path]
    sweep(*arguments, "--generator.network.widths", "8", "--discriminator.network.widths", "8")
    rows = SweepDirectory(path).read_members()
    assert [row["seed"] for row in rows] == [5, 5]
    assert [row["verdict"]["outcome"] for row in rows] == ["never formed", "non-finite"]
    assert [row["last_step"] for row in rows] == [20, 10]
    assert [(row["member"], row["step"]) for row in metrics(path)] == [(0, 10), (0, 20), (1, 10)]
    out = capsys.readouterr().out
    assert "non-finite" in out
    assert str(path) in out


# --- Report -----------------------------------------------------------------------------------------------------------


def test_the_report_compares_the_arms(whole):
    assert main(["report", str(whole)]) == 0
    page = (whole / "report.html").read_text()
    assert "6 runs of 3 arms" in page
    assert "equal in every number: rate=0.0 and rate=0.01 (seeds of both: 2)" in page
    verdicts = [row["verdict"] for row in SweepDirectory(whole).read_members()]
    never = [verdict for verdict in verdicts if verdict["outcome"] == "never formed"]
    junk = sum(verdict["cause"] == "junk" for verdict in never)
    assert f"Of the runs that never formed, {junk} of {len(never)} end with samples unlike the data." in page
    assert page.count("data:image/png;base64,") == 12  # the first and the last samples
    assert "http" not in page.replace("http://www.w3.org", "")
    statistics = json.loads((whole / "statistics.json").read_text())
    assert list(statistics["arms"]) == ["rate=0.0", "rate=0.01", "rate=0.25"]
    assert statistics["arms"]["rate=0.0"]["num_runs"] == 2


def test_the_report_compares_with_the_arm_that_one_names(whole, tmp_path, capsys):
    out = str(tmp_path / "report.html")
    assert main(["report", str(whole), "--out", out, "--baseline", "rate=0.25"]) == 0
    assert json.loads((whole / "statistics.json").read_text())["pairwise"]["baseline"] == "rate=0.25"
    assert main(["report", str(whole), "--out", out]) == 0
    assert json.loads((whole / "statistics.json").read_text())["pairwise"]["baseline"] == "rate=0.0"
    assert main(["report", str(whole), "--baseline", "none"]) == 2
    assert "--baseline: baseline 'none' is not an arm: the arms are rate=0.0" in capsys.readouterr().err


def test_the_report_draws_onsets(whole, tmp_path):
    # Verdicts with known onsets, in place of the tiny runs' own.
    path = tmp_path / "sweep"
    shutil.copytree(whole, path)
    directory = SweepDirectory(path)
    rows = directory.read_members()
    onsets = {0: 10, 1: 10, 2: None, 3: 20, 4: 20, 5: 30}
    for row in rows:
        onset = onsets[row["member"]]
        outcome = "healthy" if onset is None else "collapsed"
        row["verdict"]["formed_step"] = 20 if row["arm"] == "rate=0.25" else 10
        row["verdict"] |= {
            "outcome": outcome,
            "onset_step": onset,
            "last_step": 30,
            "cause": "total" if onset else None,
        }
    directory.write_members(rows)
    assert main(["report", str(path)]) == 0
    statistics = json.loads((path / "statistics.json").read_text())
    assert statistics["arms"]["rate=0.0"]["median"] == 10.0
    assert statistics["arms"]["rate=0.25"]["num_censored"] == 1
    assert statistics["pairwise"]["against"]["rate=0.01"]["hazard_ratio"]["ratio"] == pytest.approx(1.0)
    page = (path / "report.html").read_text()
    assert "Log-rank over all arms" in page
    assert "Kaplan-Meier curves of the arms" in page
    assert math.isfinite(statistics["log_rank"]["p"])
    assert statistics["forming"]["median"] == {"rate=0.0": 10.0, "rate=0.01": 10.0, "rate=0.25": 20.0}
    assert statistics["forming"]["trend"]["z"] < 0
    assert "Time to forming" in page


def test_an_unfinished_sweep_has_a_report(config, tmp_path, monkeypatch):
    path = tmp_path / "sweep"
    interrupt(monkeypatch, 10, [config, "--strategy", "map", "--run-dir", path])
    assert main(["report", str(path), "--out", str(tmp_path / "page.html")]) == 0
    assert "0 of 6 runs have ended" in (tmp_path / "page.html").read_text()


# --- Wrong input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "sweep needs a config"),
        (["ring"], "say what to vary"),
        (["rnig", "--seeds", "2"], "did you mean 'ring'"),
        (["ring", "--grid", "data.sdt", "0.1"], "did you mean 'data.std'"),
        (["ring", "--grid", "data.std", "0.1,x"], "must be a number"),
        (["ring", "--grid", "data.std", ","], "must be values separated by commas"),
        (["ring", "--grid", "data.std"], "expected 2 arguments"),
        (["ring", "--seeds", "x"], "must be a count, seeds or ranges"),
        (["ring", "--seeds", "0"], "--seeds is '0': these are 0 seeds, and a sweep takes 1 to"),
        (["ring", "--seeds", "1,1"], "distinct seeds"),
        (["ring", "--seeds", "9-3"], "ends before it begins"),
        (["ring", "--seeds", "2", "--strategy", "pmap"], "must be one of map, vmap, pmap-map, pmap-vmap, auto"),
        (["ring", "--seeds", "2", "--max-members", "0"], "at least 1"),
        (["ring", "--seeds", "2", "--data", "nowhere"], "reads no files"),
        (["ring", "--seeds", "2", "--num-epochs", "3"], "has no epochs"),
        (["digits", "--seeds", "2", "--data", "nowhere"], "does not exist"),
        (["--resume", "nowhere"], "is not a sweep folder"),
        (["ring", "--resume", "nowhere"], "leave out the config"),
        (["ring", "--seeds", "2", "--coordinator", "localhost:1"], "give all three"),
        (
            ["ring", "--seeds", "2", "--coordinator", "localhost", "--num-processes", "2", "--process-id", "0"],
            "must be HOST:PORT",
        ),
        (
            ["ring", "--seeds", "2", "--coordinator", "localhost:1", "--num-processes", "2", "--process-id", "2"],
            "must be from 0 to 1",
        ),
    ],
)
def test_wrong_input_is_answered_in_a_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) <= 2
    assert "Traceback" not in error


def test_a_folder_is_never_overwritten(config, whole, tmp_path, capsys):
    sweep(config, "--run-dir", whole, code=2)
    assert "already holds a sweep" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("")
    sweep(config, "--run-dir", other, code=2)
    assert "is not a sweep of gan-jax" in capsys.readouterr().err
    assert main(["report", str(other)]) == 2


def test_a_config_whose_sweep_is_none(tmp_path, capsys):
    path = tmp_path / "wrong.py"
    path.write_text(CONFIG.partition("def sweep")[0] + "def sweep():\n    return 3\n")
    sweep(path, code=2)
    assert "sweep() returned int" in capsys.readouterr().err


def test_a_sweep_killed_before_it_has_a_plan_goes_on_with_the_strategy_that_was_asked_for(tmp_path):
    from gan_jax.experiment.sweep import Arm, Sweep
    from gan_jax.runs.sweep_directory import SweepRecord
    from gan_jax.runs.sweep_plan import SweepOptions
    from gan_jax.runs.sweep_session import _as_asked

    record = SweepRecord(Sweep((Arm("a", tiny_ring(), {}),), (0,)), strategy="map", max_members=2)
    folder = SweepDirectory.create(tmp_path / "sweep", record)
    read = folder.read_record()
    asked = _as_asked(SweepOptions(), read, folder)
    assert (asked.strategy, asked.max_members) == ("map", 2)
    assert _as_asked(SweepOptions(strategy="vmap"), read, folder).strategy == "vmap"
    folder.write_plans([])
    assert _as_asked(SweepOptions(), read, folder).strategy == "auto"
