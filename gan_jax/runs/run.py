"""`Run` and `SweepRun`: stored runs and sweeps as arrays, for notebooks and scripts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array

from gan_jax.diagnostics.verdict import Verdict
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep
from gan_jax.networks.network import Variables
from gan_jax.runs.folder_code import AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.joined_sweeps import open_sweeps
from gan_jax.runs.run_record import require_components
from gan_jax.runs.stored_run import StoredRun, metric_arrays, open_member, open_run
from gan_jax.runs.sweep_directory import flat
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import LoadedData, evaluated_variables, latent_bank, sample_modes
from gan_jax.training.growth import at_stage, at_step, num_stages
from gan_jax.training.state import TrainState

if TYPE_CHECKING:
    import pandas


class Run:
    """A stored run: its settings, verdict, metrics, states and generators. Nothing is written.

    No code in the folder is executed unasked. If the run has components of the user's own, `metrics`, `verdict`, `seed`
    and `steps` are available anyway; everything else needs `config` or `trust`.

    Args:
        path: the run's folder, or "SWEEP#MEMBER" for a member of a sweep.
        config: a config to execute, which defines the run's own components.
        trust: whether to execute the config's source that the folder keeps.

    Raises:
        RunError: if there is no such run (a `ValueError`).

    Example:
        A run of 200 steps with an evaluation every 50, made by `gan-jax train ring --num-steps 200 ...`::

            run = gan_jax.Run("runs/ring-seed0")
            run.verdict.sentence()                                      # 'never formed in 200 steps (...)'
            run.metrics["train/generator_loss"].shape                   # (4,)
            run.generator(step=100).sample(jax.random.key(0), 5).shape  # (5, 2)
    """

    def __init__(self, path: str | Path | StoredRun, *, config: str | Path | None = None, trust: bool = False) -> None:
        self._stored = path if isinstance(path, StoredRun) else open_run(path, _allowed(config, trust))

    def __repr__(self) -> str:
        return f"Run({self._stored.name!r})"

    @property
    def name(self) -> str:
        """The run's folder, or "SWEEP#MEMBER"."""
        return self._stored.name

    @property
    def path(self) -> Path:
        """The run's folder; for a member of a sweep, the folder of its own files within the sweep."""
        return self._stored.directory.path

    @property
    def experiment(self) -> Experiment:
        """The settings."""
        return self._stored.experiment

    @property
    def seed(self) -> int:
        """The seed of the run's key."""
        return self._stored.record.seed

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that have a checkpoint, ascending."""
        return self._stored.steps

    @property
    def verdict(self) -> Verdict | None:
        """Outcome, onset and cause; None if the run has not ended."""
        return None if self._stored.verdict is None else Verdict.from_json(self._stored.verdict)

    @functools.cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """Series over the evaluations by name, each [evaluations] (or [evaluations, ...]).

        The names are "step"; "label"; "train/NAME", means of the training metrics since the previous evaluation; and
        "batch/NAME" and "running/NAME", the detector's metrics by mode of G's batch norm; and "samples/NAME", the
        metrics that were chosen for the run.
        """
        return metric_arrays(self._stored.read_metrics())

    @functools.cached_property
    def recorded(self) -> dict[str, np.ndarray]:
        """Values of the run's recorder by name, each [probes], and "step"; {} without a recorder."""
        rows = self._stored.read_signals()
        names = dict.fromkeys(name for row in rows for name in row["signals"])
        series = {name: np.array([row["signals"].get(name) for row in rows], dtype=float) for name in names}
        return {"step": np.array([row["step"] for row in rows]), **series} if rows else {}

    def frame(self) -> pandas.DataFrame:
        """`metrics` as a pandas frame indexed by step; series of lists are left out."""
        return _frame({name: series for name, series in self.metrics.items() if series.ndim == 1}, "step")

    def load_data(self, location: str | None = None) -> LoadedData:
        """The data that the run was trained on.

        Args:
            location: the folder of the data, if they have moved.

        Raises:
            RunError: if the data are not found, or their contents have changed.
        """
        return self._stored.load_data(location)

    def state(self, step: int | None = None) -> TrainState:
        """The state of a checkpoint.

        Args:
            step: the step of the checkpoint; None takes the newest that can be read.

        Raises:
            RunError: if there is no such checkpoint, or it cannot be read.
        """
        if step is None:
            return self._stored.restore_latest()[0]
        if step not in self.steps:
            known = ", ".join(f"{known:,}" for known in self.steps) or "none"
            raise RunError(f"{self._stored.name} has no checkpoint of step {step:,}: choose one of {known}")
        return self._stored.restore(step)

    def generator(self, step: int | None = None) -> TrainedGenerator:
        """The generator of a checkpoint, as it is evaluated: the current one, or its moving average.

        Args:
            step: the step of the checkpoint; None takes the newest that can be read.

        Raises:
            RunError: if there is no such checkpoint, or it cannot be read.
        """
        return trained_generator(self.experiment, self.state(step))


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
    """A generator at a step of a run.

    Attributes:
        experiment: the settings, with the networks at the stage of the step.
        state: the run's state.
        variables: parameters and statistics of G.
        step: number of training steps done.

    Example:
        Samples of a checkpoint, and of points between two latents::

            generator = gan_jax.Run("runs/ring-seed0").generator(step=5000)
            generator.sample(jax.random.key(0), 64)         # [64, 2]
            first, last = generator.latents(None, 2)        # of the run's fixed latents
    """

    experiment: Experiment
    state: TrainState
    variables: Variables
    step: int

    def latents(self, key: Array | None, num: int) -> Array:
        """Latents [num, latent_dim]: drawn from a key; None takes the first of the run's fixed latents."""
        if key is None:
            return latent_bank(self.experiment, self.state, num)
        return sample_latent(self.experiment, key, num)

    def sample(self, key: Array | None, num: int) -> Array:
        """Samples in data units; images in [-1, 1].

        A generator with batch norm normalises by the statistics of batches of the training size if `num` is a multiple
        of it ("batch" mode, as for the detector), and otherwise by those of all `num` samples.

        Args:
            key: typed PRNG key; None takes the run's fixed latents, those of its pictures.
            num: the number of samples.

        Returns:
            [num, *shape].
        """
        modes = self.sample_modes(key, num)
        return modes.get("batch", modes["running"])

    def sample_modes(self, key: Array | None, num: int) -> dict[str, Array]:
        """`sample` by mode of batch norm: "running" statistics, and "batch" where G has statistics.

        Args:
            key: as for `sample`.
            num: as for `sample`.
        """
        return _sample_modes(self.experiment, self.variables, self.latents(key, num))


_sample_modes = jax.jit(sample_modes)


def trained_generator(experiment: Experiment, state: TrainState) -> TrainedGenerator:
    """The generator of a state, as `Run.generator` returns it.

    Args:
        experiment: the settings.
        state: a state of a run with these settings.
    """
    step = int(state.step)
    stage = None if experiment.growth is None else experiment.growth.stage(step, num_stages(experiment))
    at = at_step(at_stage(experiment, stage), state.step)
    return TrainedGenerator(at, state, evaluated_variables(at, state), step)


class SweepRun:
    """A stored sweep. `sweep.member(3)` is one of its runs, `for run in sweep` iterates over all.

    Args:
        path: the sweep's folder.
        more: folders of further sweeps, which are joined with it: arms of the same name must be the same experiment
            with other seeds. Members are then numbered by seed, then by arm.
        config: a config to execute, which defines the sweep's own components.
        trust: whether to execute the config's source that each folder keeps.

    Raises:
        RunError: if a folder is not a sweep, or the sweeps do not fit together (a `ValueError`).

    Example:
        A study of 6 arms by 5 seeds, made by `gan-jax sweep ring_label_noise`::

            sweep = gan_jax.SweepRun("runs/ring_label_noise-sweep")
            len(sweep), sweep.frame()["verdict.outcome"].value_counts()
            gan_jax.plot.survival(sweep)                    # one curve per arm
            sweep.member(7).verdict.sentence()
    """

    def __init__(
        self, path: str | Path, *more: str | Path, config: str | Path | None = None, trust: bool = False
    ) -> None:
        self._paths = [Path(part) for part in (path, *more)]
        self._directory = open_sweeps(self._paths, _allowed(config, trust))
        self._record = self._directory.read_record()

    def __repr__(self) -> str:
        return f"SweepRun({', '.join(repr(str(path)) for path in self._paths)})"

    def __len__(self) -> int:
        return self._directory.num_members()

    def __iter__(self) -> Iterator[Run]:
        return (self.member(number) for number in range(len(self)))

    @property
    def path(self) -> Path:
        """The sweep's folder; the first, if there are several."""
        return self._directory.path

    @property
    def sweep(self) -> Sweep:
        """Arms and seeds.

        Raises:
            RunError: if the code of an arm's component has not been executed.
        """
        for arm in self._record.sweep.arms:
            require_components(self.path, arm.experiment)
        return self._record.sweep

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per member: arm, settings, seed, whether it has ended, verdict, last metrics."""
        return self._directory.read_members()

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict so far of each member that has started, in the order of `rows`."""
        return [Verdict.from_json(row["verdict"]) for row in self.rows]

    def frame(self) -> pandas.DataFrame:
        """`rows` as a pandas frame indexed by member; nested settings and metrics have dotted names."""
        import pandas as pd

        rows = [flat(row) for row in self.rows]
        return pd.DataFrame(rows).set_index("member") if rows else pd.DataFrame()

    def member(self, number: int) -> Run:
        """A member as a run.

        Args:
            number: the number of the member, as in `rows`.

        Raises:
            RunError: if there is no such member.
        """
        return Run(open_member(*self._directory.locate(number)))


def _allowed(config: str | Path | None, trust: bool) -> AllowedCode:
    return AllowedCode(None if config is None else str(config), trust)


def _frame(columns: dict[str, np.ndarray], index: str) -> pandas.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns).set_index(index) if columns else pd.DataFrame()
