"""`gan-jax configs`, `gan-jax new` and `gan-jax completion`."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

import gan_jax as gj
from gan_jax.cli.arguments import build_parser
from gan_jax.cli.main import main
from gan_jax.experiment.configs import config_header, config_names


@pytest.mark.parametrize("name", config_names())
def test_every_config_has_a_line_a_command_a_cost_and_a_figure(name):
    header = config_header(name)
    assert all(header[part] for part in ("summary", "claim", "command", "cost", "figure"))
    assert "References:" not in " ".join(header.values())


def test_configs_are_listed(capsys):
    assert main(["configs"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}\n    {config_header(name)['summary']}" in shown for name in config_names())
    assert main(["configs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ring"]["command"] == "gan-jax train ring"


@pytest.mark.parametrize("base", ["ring", "digits_label_noise"])
def test_a_new_config_is_that_which_it_began_as(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--from", base]) == 0
    assert gj.diff(gj.load(base), gj.load("mine.py")) == []
    assert (gj.load_sweep("mine.py") is None) == (gj.load_sweep(base) is None)
    assert config_header("mine.py")["command"] == "gan-jax train mine.py"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["9lives"], "cannot name a config"),
        (["mine.txt"], "cannot name a config"),
        (["mine"], "mine.py exists"),
        (["nowhere/mine2"], "folder of nowhere/mine2.py does not exist"),
        (["mine2", "--from", "rign"], "did you mean 'ring'?"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("kept")
    assert main(["new", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"mine.py": "kept"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_all_commands_and_configs(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    _, commands = build_parser()
    assert all(name in script for name in (*commands, "configs", "new"))
    assert shell == "tcsh" or all(name in script for name in config_names())


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_command_and_a_config(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    lines = f"""source {tmp_path / "script"}
    answer() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_gan_jax; echo "${{COMPREPLY[@]}}"; }}
    answer gan-jax thr
    answer gan-jax train digits_c"""
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines() == ["thresholds", "digits_collapse"]
