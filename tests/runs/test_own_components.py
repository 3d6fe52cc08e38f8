"""Runs with components of a user's own can be opened again, and their code is executed only if the user says so."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

import gan_jax as gj
from gan_jax.cli.main import main
from gan_jax.experiment.configs import load
from gan_jax.experiment.settings import to_json
from gan_jax.reports.report import render_run
from gan_jax.runs.files import write_json
from gan_jax.runs.folder_code import NO_CODE, AllowedCode, check_readable
from gan_jax.runs.folders import RunError
from gan_jax.runs.resumed_code import branch_source, check_source, replace_source
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import check_unedited
from tests.runs.own_runs import CONFIG, OBJECTIVE, own_run, own_sweep, write_config

IN_A_HELPER = """from parts import Steep
from gan_jax.experiment.examples import tiny_ring


def experiment():
    return tiny_ring(objective=Steep(slope=0.25))
"""


def slope(run):
    return run.experiment.objective.slope


def test_metrics_and_verdict_need_no_code(tmp_path):
    run = gj.Run(own_run(tmp_path / "run", str(write_config(tmp_path))).path)
    assert run.metrics["step"].tolist() == [10, 20, 30, 40]
    assert run.seed == 3
    with pytest.raises(gj.RunError, match=r"components of its own \(Steep\).*--config FILE.*--trust") as error:
        run.experiment  # noqa: B018
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", ["mine.py", "mine.py+r1", "mine.py+r1+replay_fifo", "a+b.py+r1"])
def test_a_moved_run_is_read_by_its_own_source_or_by_its_config(tmp_path, config):
    file = config.partition(".py")[0] + ".py"
    write_config(tmp_path / "c++ and @home", file)
    made = load(f"{tmp_path}/c++ and @home/{config}")
    own_run(tmp_path / "c++ and @home" / "run", f"{tmp_path}/c++ and @home/{config}")
    (tmp_path / "c++ and @home").rename(tmp_path / "moved")
    run = tmp_path / "moved" / "run"
    (tmp_path / "moved" / file).rename(tmp_path / "renamed.py")
    for found in (gj.Run(run, trust=True), gj.Run(run, config=tmp_path / "renamed.py")):
        assert to_json(found.experiment) == to_json(made)
        assert slope(found) == 0.25
    assert not (run / "source" / "__pycache__").exists()


@pytest.mark.parametrize("config", ["ring+{}", "ring+r1+{}", "ring+{}+r1"])
def test_components_of_a_remedy_file_are_kept_and_found_again(tmp_path, config):
    remedy = OBJECTIVE + (
        "\n\ndef remedy(experiment):\n"
        "    return __import__('dataclasses').replace(experiment, objective=Steep(slope=0.25))\n"
    )
    file = write_config(tmp_path / "a+b @ there", "my+remedy.py", remedy)
    made = own_run(tmp_path / "a+b @ there" / "run", config.format(file))
    title = render_run(made, made.read_metrics()).partition("<title>")[2].partition("</title>")[0]
    assert title.startswith(config.format("my+remedy") + ",")
    (tmp_path / "a+b @ there").rename(tmp_path / "moved")
    run = tmp_path / "moved" / "run"
    for found in (gj.Run(run, trust=True), gj.Run(run, config=f"ring+{tmp_path}/moved/my+remedy.py")):
        assert slope(found) == 0.25
    assert [file.name for file in (run / "source").iterdir()] == ["my+remedy.py"]


def test_a_component_that_two_files_define_is_refused(tmp_path):
    remedy = (
        OBJECTIVE + "\n\ndef remedy(experiment):\n    return gj.replace(experiment, 'objective', Steep(slope=0.5))\n"
    )
    remedy = remedy.replace("import jax.numpy as jnp", "import gan_jax as gj\nimport jax.numpy as jnp")
    config = f"{write_config(tmp_path)}+{write_config(tmp_path, 'remedy.py', remedy)}"
    record = {"experiment": to_json(load(config))}
    with pytest.raises(ValueError, match=r"could not find the component Steep again.*only there"):
        check_readable(config, record)
    plain = write_config(tmp_path, "plain.py", "def remedy(experiment):\n    return experiment\n")
    check_readable(f"{tmp_path}/mine.py+{plain}", record)


def test_a_source_that_is_a_link_out_of_the_folder_is_not_executed(tmp_path):
    run = own_run(tmp_path / "run", str(write_config(tmp_path)))
    (run.path / "source").rename(tmp_path / "elsewhere")
    (run.path / "source").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"has no source file mine\.py.*--config FILE"):
        gj.Run(run.path, trust=True)


def test_a_sweep_is_read_like_a_run(tmp_path):
    config = write_config(tmp_path / "there")
    own_sweep(tmp_path / "sweep", f"{config}+r1")
    shutil.rmtree(tmp_path / "there")
    sweep = gj.SweepRun(tmp_path / "sweep")
    assert len(sweep) == 4
    with pytest.raises(gj.RunError, match="--trust"):
        sweep.sweep  # noqa: B018
    with pytest.raises(gj.RunError, match="--trust"):
        gj.Run(f"{tmp_path}/sweep#1").experiment  # noqa: B018
    assert slope(gj.SweepRun(tmp_path / "sweep", trust=True).member(1)) == 0.25
    assert slope(gj.Run(f"{tmp_path}/sweep#1", trust=True)) == 0.25


@pytest.mark.parametrize("place", ["parts.py", "parts/__init__.py"])
def test_components_of_a_module_beside_the_config(tmp_path, place):
    write_config(tmp_path / "there" / place.rpartition("/")[0], place.rpartition("/")[2], OBJECTIVE)
    config = write_config(tmp_path / "there", text=IN_A_HELPER)
    run = own_run(tmp_path / "run", str(config))
    assert json.loads(run.record_path.read_text())["experiment"]["objective"]["component"] == "parts:Steep"
    shutil.rmtree(tmp_path / "there")
    write_config(tmp_path / "other", "parts.py", "class Steep:\n    pass\n")  # of another config, loaded in between
    load(str(write_config(tmp_path / "other", text="from parts import Steep\n" + CONFIG)))
    assert slope(gj.Run(run.path, trust=True)) == 0.25


def test_a_component_that_a_function_makes(tmp_path):
    lines = CONFIG.replace("@component", "def kind():\n    @component").splitlines()
    start = lines.index("    @component")
    end = next(i for i, line in enumerate(lines) if "return Criterion" in line)
    lines[start + 1 : end + 1] = ["    " + line for line in lines[start + 1 : end + 1]]
    lines[end + 1 : end + 1] = ["    return Steep"]
    text = "\n".join(lines).replace("objective=Steep(", "objective=kind()(") + "\n"
    run = own_run(tmp_path / "run", str(write_config(tmp_path, text=text)))
    assert slope(gj.Run(run.path, trust=True)) == 0.25


def test_a_component_that_could_not_be_found_again_is_refused_first(tmp_path):
    text = CONFIG + "\n\nKept = Steep\ndel Steep\n"
    config = str(write_config(tmp_path, text=text.replace("objective=Steep", "objective=Kept")))
    record = {"experiment": to_json(load(config))}
    with pytest.raises(ValueError, match="could not find the component Steep again"):
        check_readable(config, record)


def test_another_config_is_told(tmp_path):
    run = own_run(tmp_path / "run", str(write_config(tmp_path)))
    other = write_config(tmp_path, "other.py", CONFIG.replace("Steep", "Flat"))
    with pytest.raises(ValueError, match=r"other\.py does not define the component Steep"):
        gj.Run(run.path, config=other)


def test_a_record_of_the_first_version_is_read_where_its_config_is(tmp_path):
    config = write_config(tmp_path)
    run = own_run(tmp_path / "run", str(config))
    record = json.loads(run.record_path.read_text())
    for new in ("source", "hashes", "continued"):
        del record[new]
    record["experiment"]["objective"]["component"] = "gan_jax_config_mine_01234567:Steep"
    run.record_path.write_text(json.dumps(record))
    shutil.rmtree(run.path / "source")
    assert gj.Run(run.path).seed == 3
    assert slope(gj.Run(run.path, trust=True)) == slope(gj.Run(run.path, config=config)) == 0.25
    config.rename(tmp_path / "elsewhere.py")
    assert slope(gj.Run(run.path, config=tmp_path / "elsewhere.py")) == 0.25
    with pytest.raises(ValueError, match="has no source of its config: name the config with --config FILE"):
        gj.Run(run.path, trust=True)


# --- Changes between two starts ---------------------------------------------------------------------------------------


def test_an_edited_config_is_told_and_one_has_to_be_chosen(tmp_path):
    config = write_config(tmp_path)
    run = own_run(tmp_path / "run", str(config))
    source = run.read_record().source
    assert check_source(run.record_path, source, str(config), NO_CODE) is None
    config.write_text(CONFIG.replace("sign * self.slope", "-sign * self.slope"))
    with pytest.raises(RunError, match=r"^/[^ ]*mine.py differs from the source .*--config .*--trust"):
        check_source(run.record_path, source, str(config), NO_CODE)
    told = check_source(run.record_path, source, None, AllowedCode(config=str(config)))
    assert "the run continues with" in told
    assert check_source(run.record_path, source, str(config), AllowedCode(trust=True)) is None


def test_the_source_that_a_run_goes_on_with_is_kept_and_the_former_one_set_aside(tmp_path):
    config = write_config(tmp_path)
    run = own_run(tmp_path / "run", str(config))
    former = config.read_text()
    config.write_text(CONFIG + "# edited\n")
    allowed = AllowedCode(config=str(config))
    record = dataclasses.replace(
        RunDirectory.open(run.path, allowed).read_record(), source=replace_source(run.path, str(config))
    )
    write_json(run.record_path, record.to_json())
    assert check_source(run.record_path, record.source, None, AllowedCode(trust=True)) is None
    assert slope(gj.Run(run.path, trust=True)) == 0.25
    assert (run.path / "source" / "mine.py").read_text() == config.read_text()
    assert (run.path / "set_aside" / "1" / "source" / "mine.py").read_text() == former


def test_an_edited_copy_of_the_source_is_told(tmp_path):
    run = own_run(tmp_path / "run", str(write_config(tmp_path)))
    with (run.path / "source" / "mine.py").open("a") as file:
        file.write("# nothing\n")
    with pytest.raises(ValueError, match=r"mine.py has been changed since the run began"):
        gj.Run(run.path, trust=True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda record: record | {"seed": 4}, "seed"),
        (lambda record: record | {"data": "0" * 16}, "data"),
        (lambda record: record | {"first_step": 10}, "first_step"),
        (
            lambda record: record["experiment"]["generator"].update(learning_rate=2e-3),
            "experiment.generator.learning_rate",
        ),
        (lambda record: record["experiment"]["generator"]["network"].update(gain=2.0), "experiment.generator.network"),
        (lambda record: record["experiment"].update(reuse_fakes=False), "experiment.reuse_fakes"),
        (lambda record: record["experiment"]["objective"].update(slope=1.0), "experiment.objective.slope"),
        (lambda record: record["source"]["files"].update({"mine.py": "0"}), "source.files.mine.py"),
    ],
)
def test_an_edited_record_names_its_field(tmp_path, change, field, capsys):
    run = own_run(tmp_path / "run", str(write_config(tmp_path)))
    check_unedited(run.record_path)
    record = json.loads(run.record_path.read_text())
    run.record_path.write_text(json.dumps(change(record) or record))
    with pytest.raises(RunError, match=rf"was edited after it was written \({field}\)"):
        check_unedited(run.record_path)
    assert main(["train", "--resume", str(run.path), "--config", str(tmp_path / "mine.py"), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert field in told
    assert told.count("\n") == 1


def test_an_edited_sweep_names_its_field(tmp_path, capsys):
    sweep = own_sweep(tmp_path / "sweep", str(write_config(tmp_path)))
    record = json.loads(sweep.record_path.read_text())
    record["arms"][1]["experiment"]["generator"]["learning_rate"] = 0.5
    record["seeds"] = [0, 7]
    sweep.record_path.write_text(json.dumps(record))
    assert main(["sweep", "--resume", str(sweep.path), "--trust", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "arms.learning_rate=0.01.generator, seeds" in told
    assert told.count("\n") == 1


def test_a_branch_keeps_the_source_of_its_parent_or_of_its_config(tmp_path):
    run = own_run(tmp_path / "run", str(write_config(tmp_path)))
    source = run.read_record().source
    assert branch_source(run.path, source, None, AllowedCode(trust=True)) == (source, {"mine.py": CONFIG.encode()})
    other = write_config(tmp_path, "other.py")
    assert branch_source(run.path, source, str(other), NO_CODE)[1] == {"other.py": CONFIG.encode()}
    assert branch_source(run.path, source, "ring", NO_CODE) == ({}, {})
