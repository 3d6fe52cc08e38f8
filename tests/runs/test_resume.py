"""A run that is killed and resumed ends in the same bits as one that is not."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from gan_jax.cli.main import main
from gan_jax.runs import session
from gan_jax.runs.checkpoint import Checkpoints, tree_hash
from gan_jax.runs.checkpoint import to_host as host
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.runner import state_template

CONFIG = '''
"""A ring that trains in seconds and checkpoints often."""
from gan_jax.losses.penalties import LeCam
from gan_jax.training.replay import PastDiscriminators, Reservoir
from gan_jax.experiment.examples import tiny_ring
from gan_jax.losses.transforms import BernoulliFlips
from gan_jax.experiment.settings import override

def experiment():
    made = override(tiny_ring(num_steps=200, eval_every_steps=20), "generator.average_decay", 0.9)
    made = override(made, "discriminator.replay", Reservoir(size=64))
    made = override(made, "discriminator.penalties", (LeCam(),))
    made = override(made, "generator.replay", PastDiscriminators(num=2, every_steps=7, window=3))
    return override(made, "discriminator.transforms", (BernoulliFlips(0.1),))
'''


OWN_CONFIG = '''
"""A loss of one's own."""
from gan_jax.experiment.component import component
from gan_jax.losses.objectives import Criterion
from gan_jax.experiment.settings import override
from gan_jax.experiment.examples import tiny_ring

@component
class Linear:
    scale: float = 1.0

    def criterion(self):
        return Criterion(
            real=lambda score, key, step: -self.scale * score,
            fake=lambda score, key, step: self.scale * score,
            generator=lambda score, key, step: -self.scale * score,
        )

def experiment():
    return override(tiny_ring(), "objective", Linear(0.5))
'''


def final_hash(path: Path) -> str:
    run = RunDirectory.open(path)
    checkpoints = Checkpoints(run.checkpoints_path, read_only=True)
    experiment = run.read_record().experiment
    state = checkpoints.restore(state_template(experiment), experiment.num_steps)
    return tree_hash(host(state))


def rows(path: Path) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "steps_per_second"} for row in RunDirectory(path).read_metrics()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(the config's file, the folder of the uninterrupted run)."""
    folder = tmp_path_factory.mktemp("whole")
    config = folder / "often.py"
    config.write_text(CONFIG)
    assert main(["train", str(config), "--run-dir", str(folder / "run"), "--quiet", "--pictures", "2"]) == 0
    return config, folder / "run"


def start(config: Path, path: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "gan_jax", "train", str(config), "--run-dir", str(path), "--quiet"]
    # The environment of the suite: bits are promised for one version, device and set of compiler flags.
    return subprocess.Popen([*command, "--pictures", "2"], env=dict(os.environ), stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen, path: Path, moment: str, rng: random.Random) -> None:
    """Kills a run at a random moment of its training, or inside the write of a checkpoint."""
    checkpoints = path / "checkpoints"
    deadline = time.monotonic() + 120
    wanted = rng.randint(1, 7)
    while process.poll() is None and time.monotonic() < deadline:
        written = [p for p in checkpoints.glob("*") if p.name.isdigit()] if checkpoints.is_dir() else []
        if len(written) and max(int(p.name) for p in written) >= 20 * wanted:
            if moment == "training":
                time.sleep(rng.uniform(0, 0.2))
                break
            if any(checkpoints.glob("*.orbax-checkpoint-tmp*")):
                break
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_kill(whole, folder: Path, moment: str, seed: int) -> None:
    config, reference = whole
    path = folder / "run"
    process = start(config, path)
    kill(process, path, moment, random.Random(seed))
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
    assert not (path / "verdict.json").exists()
    assert main(["train", "--resume", str(path), "--quiet", "--pictures", "2"]) == 0
    assert final_hash(path) == final_hash(reference)
    assert rows(path) == rows(reference)


@pytest.mark.parametrize(("moment", "seed"), [("training", 1), ("checkpoint", 2)])
def test_a_killed_run_resumes_bit_for_bit(whole, tmp_path, moment, seed):
    check_kill(whole, tmp_path, moment, seed)


def test_an_interrupted_run_says_how_to_continue_and_does(whole, tmp_path, monkeypatch, capsys):
    config, reference = whole
    path, original = tmp_path / "my run", session.train_run

    def interrupted(*args, **kwargs):
        def on_chunk(state):
            if state.step >= 100:
                raise KeyboardInterrupt

        return original(*args, **kwargs, on_chunk=on_chunk)

    with monkeypatch.context() as patch:
        patch.setattr(session, "train_run", interrupted)
        assert main(["train", str(config), "--run-dir", str(path), "--quiet", "--pictures", "2"]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"gan-jax: interrupted; continue with gan-jax train --resume {shlex.quote(str(path))}"
    assert not RunDirectory(path).verdict_path.exists()
    assert main(["train", *shlex.split(said.split("gan-jax train ")[1]), "--quiet", "--pictures", "2"]) == 0
    assert final_hash(path) == final_hash(reference)
    assert rows(path) == rows(reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "seed"), [("training", s) for s in range(11, 17)] + [("checkpoint", s) for s in range(21, 25)]
)
def test_ten_random_kills(whole, tmp_path, moment, seed):
    check_kill(whole, tmp_path, moment, seed)


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_continues_bit_for_bit(whole, tmp_path, capsys):
    config, reference = whole
    path = tmp_path / "run"
    assert main(["train", str(config), "--run-dir", str(path), "--quiet", "--num-steps", "100"]) == 0
    newest = path / "checkpoints" / "100" / "state"
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    capsys.readouterr()
    assert main(["train", "--resume", str(path), "--num-steps", "200", "--quiet", "--pictures", "2"]) == 0
    assert "checkpoint of step 100" in capsys.readouterr().err
    assert final_hash(path) == final_hash(reference)


def test_resuming_another_experiment_is_refused_with_the_difference(whole, capsys):
    config, reference = whole
    arguments = ["train", str(config), "--resume", str(reference), "--discriminator.learning-rate", "1e-4"]
    assert main(arguments) == 2
    assert "discriminator.learning_rate: 0.001 -> 0.0001" in capsys.readouterr().err
    assert main(["train", "--resume", str(reference), "--seed", "5"]) == 2
    assert "seed: 0 -> 5" in capsys.readouterr().err


def test_a_branch_without_changes_replays_the_run_and_with_changes_does_not(whole, tmp_path, capsys):
    _, reference = whole
    same, other = tmp_path / "same", tmp_path / "other"
    step = "100"
    assert main(["train", "--branch-from", f"{reference}@{step}", "--run-dir", str(same), "--quiet"]) == 0
    assert final_hash(same) == final_hash(reference)
    arguments = ["train", "--branch-from", f"{reference}@{step}", "--run-dir", str(other), "--quiet"]
    assert main([*arguments, "--discriminator.learning-rate", "1e-4"]) == 0
    assert final_hash(other) != final_hash(reference)
    assert "discriminator.learning_rate: 0.001 -> 0.0001" in capsys.readouterr().err
    assert json.loads((other / "experiment.json").read_text())["parent"] == f"{reference}@{step}"
    assert main(["train", "--branch-from", f"{reference}@101", "--run-dir", str(tmp_path / "x")]) == 2
    assert "has no checkpoint of step 101" in capsys.readouterr().err
    widths = ["--generator.network.widths", "8,8"]
    assert main(["train", "--branch-from", f"{reference}@{step}", "--run-dir", str(tmp_path / "y"), *widths]) == 2
    assert "does not fit the branch's networks" in capsys.readouterr().err


def test_prolonging_keeps_the_branch_points_and_is_bit_for_bit(whole, tmp_path):
    config, _ = whole
    short, long = tmp_path / "short", tmp_path / "long"
    quiet = ["--quiet", "--pictures", "0"]
    assert main(["train", str(config), "--run-dir", str(long), "--num-steps", "60", *quiet]) == 0
    # 25 is between two evaluations: the state of step 25 is not on the way of a longer run.
    assert main(["train", str(config), "--run-dir", str(short), "--num-steps", "25", *quiet]) == 0
    assert Checkpoints(short / "checkpoints", read_only=True).steps() == [20, 25]
    assert main(["train", "--resume", str(short), "--num-steps", "60", *quiet]) == 0
    assert final_hash(short) == final_hash(long)
    assert rows(short) == rows(long)
    assert 20 in set(Checkpoints(short / "checkpoints", read_only=True).steps())


def test_a_config_may_bring_its_own_components(whole, tmp_path):
    config = tmp_path / "own.py"
    config.write_text(OWN_CONFIG)
    path = tmp_path / "run"
    assert main(["train", str(config), "--run-dir", str(path), "--quiet"]) == 0
    # Another process knows nothing of the config's components but what the run folder says.
    command = [sys.executable, "-m", "gan_jax", "train", "--resume", str(path), "--num-steps", "40", "--quiet"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_processes_cannot_write_one_run(whole, capsys):
    _, reference = whole
    with RunDirectory.open(reference).lock():
        assert main(["train", "--resume", str(reference)]) == 2
    assert "another process" in capsys.readouterr().err


def test_a_finished_run_is_not_trained_again(whole, capsys):
    _, reference = whole
    before = final_hash(reference)
    assert main(["train", "--resume", str(reference)]) == 0
    assert "is finished" in capsys.readouterr().err
    assert final_hash(reference) == before


def test_values_that_are_not_finite_stop_the_run_and_are_never_saved(whole, tmp_path, capsys):
    config, _ = whole
    path = tmp_path / "run"
    # Healthy for two evaluations, then a learning rate that blows up.
    assert main(["train", str(config), "--run-dir", str(path), "--num-steps", "40", "--quiet"]) == 0
    branch = tmp_path / "branch"
    arguments = ["train", "--branch-from", f"{path}@40", "--num-steps", "200", "--run-dir", str(branch), "--quiet"]
    assert main([*arguments, "--generator.learning-rate", "1e38"]) == 3
    message = capsys.readouterr().err
    assert "stopped being finite at step 4" in message
    assert json.loads((branch / "verdict.json").read_text())["outcome"] == "non-finite"
    for step in Checkpoints(branch / "checkpoints", read_only=True).steps():
        template = state_template(RunDirectory(branch).read_record().experiment)
        state = Checkpoints(branch / "checkpoints", read_only=True).restore(template, step)
        assert all(bool(jax.numpy.all(jax.numpy.isfinite(x))) for x in jax.tree.leaves(state.generator.variables))
