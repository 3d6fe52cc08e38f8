"""Folders of runs that nobody has trained, with known numbers, for tests of what is drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import grid
from gan_jax.runs.run_directory import RunDirectory, RunRecord, write_json
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord

STEPS = (10, 20, 30, 40)
LABELS = ("forming", "healthy", "total", "total")
ENVIRONMENT = {"versions": {"python": "3.11", "jax": "0.10.2"}, "device": "cpu", "num_cpus": 2, "started": "2026-01-01"}


def make_run(path: Path, *, seed: int = 3, config: str = "ring", command: str = "gan-jax train ring") -> RunDirectory:
    """A run of 40 steps with a record and nothing else."""
    experiment = override(tiny_ring(), "num_steps", 40)
    record = RunRecord(experiment, seed, config=config, command=command, environment=ENVIRONMENT)
    return RunDirectory.create(path, record)


def row(step: int, label: str, modes: int = 8) -> dict:
    train = {"discriminator_loss": 1.25 + step / 100, "generator_loss": 0.75, "real_score": 0.5, "fake_score": -0.5}
    evaluation = {"modes": modes, "high_quality": 0.9, "kl": None, "spread": 0.7, "finite": True, "counts": [1] * 8}
    return {
        "step": step,
        "label": label,
        "train": train,
        "evaluation": {"running": evaluation},
        "rule": "l2<=3std",
        "steps_per_second": 100.0,
    }


def train(run: RunDirectory, steps: int = len(STEPS), size: int = 32) -> None:
    """Rows and pictures of the first evaluations."""
    for index in range(steps):
        run.append_metrics(row(STEPS[index], LABELS[index], 8 if index < 2 else 1))
        pixels = np.full((size, size, 3), 60 * index, np.uint8)
        Image.fromarray(pixels).save(run.picture_path(STEPS[index]))


def end(run: RunDirectory, outcome: str = "collapsed") -> None:
    """The verdict: formed at step 20, collapsed at 30, or another outcome of the same run."""
    onset = 30 if outcome == "collapsed" else None
    verdict = {
        "outcome": outcome,
        "last_step": 40,
        "onset_step": onset,
        "cause": "total" if onset else None,
        "formed_step": 20,
        "recovered_step": None,
        "sentence": "collapsed at step 30 (total: almost all samples alike; formed at step 20)" if onset else outcome,
        "message": None,
        "evaluation": row(40, "total")["evaluation"],
        "bounds": {"modes": {"ceiling": 8.0, "floor": None}, "high_quality": {"ceiling": 0.9889, "floor": None}},
    }
    write_json(run.verdict_path, verdict)


def ended_run(path: Path, **record: str) -> RunDirectory:
    """A run that collapsed at step 30 of 40."""
    run = make_run(path, **record)
    train(run)
    end(run)
    return run


def make_sweep(
    path: Path, rates: tuple[float, ...], size: int = 32, seeds: int | list[int] = 1, **settings
) -> SweepDirectory:
    """A sweep that nobody has trained: every other member collapsed at step 30; noise for pictures."""
    sweep = grid(tiny_ring(**settings), {"generator.learning_rate": rates}, seeds=seeds)
    made = SweepDirectory.create(path, SweepRecord(sweep, config="ring", environment=ENVIRONMENT))
    noise, rows = np.random.default_rng(0), []
    for number, member in enumerate(made.read_record().sweep.members()):
        onset = 30 if number % 2 else None
        verdict = {
            "outcome": "collapsed" if onset else "healthy",
            "last_step": 40,
            "onset_step": onset,
            "formed_step": 20,
            "cause": "total" if onset else None,
            "sentence": "collapsed" if onset else "healthy",
        }
        last = row(40, "total" if onset else "healthy")
        made.append_metrics([{"member": number, **last}])
        rows.append(
            {
                "member": number,
                "arm": member.arm.name,
                "seed": member.seed,
                "ended": True,
                "last_step": 40,
                "verdict": verdict,
                "last": last["evaluation"],
            }
        )
        pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(made.picture_path(number, 40), compress_level=1)
    made.write_members(rows)
    return made
