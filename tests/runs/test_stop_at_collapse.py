"""`--stop-at-collapse`: a run ends at the evaluation that fills the window of its onset."""

from __future__ import annotations

import json

import pytest

from gan_jax.cli.main import main
from gan_jax.runs.run_directory import read_lines

COLLAPSES_AT_ONCE = {"few-classes": 10, "confidence": 0.05, "num-samples": 64}
"""Any samples are well made and of few classes: the first window of two evaluations is a collapse while forming."""

SMALL = [
    "digits_collapse",
    *(word for name, value in COLLAPSES_AT_ONCE.items() for word in (f"--detector.{name}", str(value))),
    *("--num-steps", "10", "--eval-every-steps", "2", "--batch-size", "8", "--discriminator.updates-per-step", "1"),
    *("--generator.network.widths", "8", "--discriminator.network.widths", "8", "--quiet"),
]


def rows(path):
    return [{k: v for k, v in row.items() if k != "steps_per_second"} for row in read_lines(path / "metrics.jsonl")]


def test_a_run_stops_and_can_be_resumed_to_its_end(tmp_path, capsys):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main(["train", *SMALL, "--run-dir", str(whole)]) == 0
    capsys.readouterr()
    assert main(["train", *SMALL, "--run-dir", str(stopped), "--stop-at-collapse"]) == 0
    printed = capsys.readouterr()
    assert "collapsed while forming at step 2" in printed.out
    assert f"stopped at step 4, after the collapse; gan-jax train --resume {stopped}" in printed.err
    verdict = json.loads((stopped / "verdict.json").read_text())
    assert (verdict["last_step"], verdict["stopped_at_collapse"]) == (4, True)
    assert [row["step"] for row in rows(stopped)] == [2, 4]
    assert (stopped / "samples" / "step_00000004.png").is_file()
    assert main(["train", "--resume", str(stopped), "--quiet"]) == 0
    assert rows(stopped) == rows(whole)
    assert json.loads((stopped / "verdict.json").read_text())["stopped_at_collapse"] is False
    assert "trains the remaining steps" not in capsys.readouterr().err


def test_progress_names_the_modes_that_are_left(tmp_path, capsys):
    assert main(["train", *(word for word in SMALL if word != "--quiet"), "--run-dir", str(tmp_path / "run")]) == 0
    progress = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("step 10/10"))
    onto = json.loads((tmp_path / "run" / "verdict.json").read_text())["onto"]
    assert f"collapsed while forming onto {onto[0][0]} ({onto[0][1]:.0%})".replace("%", " %") in progress


@pytest.mark.parametrize(("window", "last_step"), [("2", 4), ("100", 10)])
def test_a_sweep_ends_once_all_its_runs_have_collapsed(tmp_path, window, last_step):
    """With a window longer than the run nothing has collapsed."""
    path = tmp_path / "sweep"
    study = ["--grid", "generator.learning_rate", "1e-3,2e-3", "--seeds", "1", "--strategy", "map"]
    settings = [*SMALL, "--detector.window", window, *study]
    assert main(["sweep", *settings, "--run-dir", str(path), "--stop-at-collapse"]) == 0
    members = read_lines(path / "members.jsonl")
    assert [(row["last_step"], row["ended"]) for row in members] == [(last_step, True)] * 2
    assert {row["verdict"]["outcome"] for row in members} == {"collapsed" if last_step == 4 else "never formed"}
