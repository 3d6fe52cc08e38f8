"""Runs and sweeps of configs with components of a user's own, that nobody has trained."""

from __future__ import annotations

from pathlib import Path

from gan_jax.experiment.configs import load
from gan_jax.experiment.sweep import grid
from gan_jax.runs.folder_code import source_of
from gan_jax.runs.request import stored_config
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import RunRecord
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord
from tests.reports.made_folders import ENVIRONMENT, end, train

OBJECTIVE = '''"""A ring with an objective of one's own."""
import jax.numpy as jnp
from gan_jax import component, setting
from gan_jax.losses import Criterion
from gan_jax.experiment.examples import tiny_ring


@component
class Steep:
    slope: float = setting(default=0.5, above=0, doc="per unit of score")

    def criterion(self):
        def loss(sign):
            return lambda score, key, step: jnp.exp(jnp.clip(sign * self.slope * score, -10.0, 10.0))

        return Criterion(real=loss(-1.0), fake=loss(1.0), generator=loss(-1.0))
'''
CONFIG = OBJECTIVE + "\n\ndef experiment():\n    return tiny_ring(num_steps=40, objective=Steep(slope=0.25))\n"


def write_config(folder: Path, name: str = "mine.py", text: str = CONFIG) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def own_run(path: Path, config: str, seed: int = 3) -> RunDirectory:
    """A run of 40 steps that has collapsed, as `gan-jax train CONFIG` leaves it but for its checkpoints."""
    source, files = source_of(config)
    command = f"gan-jax train {config}"
    record = RunRecord(
        load(config), seed, config=stored_config(config), command=command, environment=ENVIRONMENT, source=source
    )
    run = RunDirectory.create(path, record, files)
    train(run)
    end(run)
    return run


def own_sweep(path: Path, config: str) -> SweepDirectory:
    source, files = source_of(config)
    sweep = grid(load(config), {"generator.learning_rate": (1e-3, 1e-2)}, seeds=2)
    return SweepDirectory.create(path, SweepRecord(sweep, config=stored_config(config), source=source), files)
