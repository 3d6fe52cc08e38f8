"""A sweep that is told to stop: what it has done is saved, and it goes on bit for bit."""

from __future__ import annotations

import pytest

from gan_jax.runs.checkpoint import stored_steps
from gan_jax.runs.request import Request
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.runs.sweep_plan import StoppedSweepError, SweepOptions
from gan_jax.runs.sweep_session import resume_sweep, start_sweep

CONFIG = '''"""A tiny study."""

from gan_jax.experiment.examples import tiny_ring


def experiment():
    return tiny_ring(num_steps=8, eval_every_steps=2)
'''


def rows(path):
    found = [{k: v for k, v in row.items() if k != "steps_per_second"} for row in SweepDirectory(path).read_metrics()]
    return sorted(found, key=lambda row: (row["member"], row["step"]))


def test_a_sweep_that_is_told_to_stop_goes_on_and_saves_as_seldom_as_it_may(tmp_path, capsys):
    config = tmp_path / "study.py"
    config.write_text(CONFIG)
    asked: list[int] = []
    seldom = {"strategy": "map", "progress": False, "checkpoint_seconds": 1e6}

    def request(name):
        return Request(config=str(config), run_dir=str(tmp_path / name))

    start_sweep(request("whole"), {}, 2, SweepOptions(stops=lambda step: bool(asked.append(step)), **seldom), print)
    assert asked == [2, 4, 6]  # not at its end
    with pytest.raises(StoppedSweepError, match="stopped at step 6 of 8: resume it to train the rest"):
        start_sweep(request("parts"), {}, 2, SweepOptions(stops=lambda step: step == 6, **seldom), print)
    checkpoints = SweepDirectory(tmp_path / "parts").batch_path(0, 0) / "checkpoints"
    assert sorted(stored_steps(checkpoints)) == [2, 6]  # the first, and the one at which it stopped
    done = resume_sweep(tmp_path / "parts", request("parts"), SweepOptions(**seldom), print)
    assert all(row["ended"] for row in done.rows)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
