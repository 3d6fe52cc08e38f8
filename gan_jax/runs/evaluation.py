"""Measures the generator of a finished or unfinished run again: on other or more samples, and its average too."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import jax

from gan_jax.data.images import fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.rows import named_numbers
from gan_jax.runs.stored_run import open_run
from gan_jax.scaling.memory_check import least_bytes, require_memory
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import LoadedData, latent_bank, load_data, sample_modes
from gan_jax.training.growth import at_stage, at_step, num_stages
from gan_jax.training.state import TrainState


@functools.partial(jax.jit, static_argnames="fresh")
def measure_generator(
    experiment: Experiment,
    resources: LoadedData,
    state: TrainState,
    key: jax.Array,
    *,
    fresh: bool,
    truncation: float | None = None,
) -> dict[str, Any]:
    """Metrics of G, and of its average where there is one, by "G" or "average of G" and the mode of batch norm.

    With a truncation, every number of the latents is drawn until it lies within it (Brock et al., ICLR 2019, section
    3.1), which gives better but less varied samples.

    Args:
        experiment: the experiment, at its present stage if it grows.
        resources: the result of `load_data`.
        state: the state of the run.
        key: the key of fresh latents.
        fresh: whether to draw fresh latents, rather than use those of the run's evaluations.
        truncation: largest absolute value of a latent's coordinates; None disables truncation.

    Returns:
        The detector's metrics by player and mode of batch norm.
    """
    num = experiment.detector.num_samples
    latent = sample_latent(experiment, key, num) if fresh else latent_bank(experiment, state, num)
    if truncation is not None:
        latent = jax.random.truncated_normal(key, -truncation, truncation, latent.shape, latent.dtype)
    experiment = at_step(experiment, state.step)
    source = experiment.data.source(resources.dataset)
    players = {"G": state.generator.variables}
    if state.average is not None:
        players["average of G"] = state.generator.variables._replace(params=state.average)
    return {
        f"{player}, {mode} statistics": experiment.detector.measure(source, resources.reference, samples)
        for player, variables in players.items()
        for mode, samples in sample_modes(experiment, variables, latent).items()
    }


def evaluate_run(
    name: str | Path,
    *,
    step: int | None = None,
    num_samples: int | None = None,
    seed: int | None = None,
    location: str | None = None,
    truncation: float | None = None,
    allowed: AllowedCode = NO_CODE,
) -> dict[str, Any]:
    """Restores a checkpoint and measures its generator.

    Args:
        name: the run's folder, or "SWEEP#MEMBER".
        step: the step of the checkpoint; None takes the newest that can be read.
        num_samples: number of samples; None draws as many as in training.
        seed: the seed of fresh latents; None takes those of the run's evaluations, which gives the numbers of its log.
        location: the folder of the data set; None takes the one that the run used.
        truncation: largest absolute value of a latent's coordinates, which are then drawn anew; None disables it.
        allowed: code that may be executed to read the run's record.

    Returns:
        JSON: metrics with their ceilings, floors and definition, and the run, step and latents that they belong to.

    Raises:
        RunError: if there is no such run or checkpoint, or the latents cannot be truncated.
        MemoryNeedError: if so many samples do not fit into memory.
    """
    stored = open_run(name, allowed)
    record, experiment = stored.record, stored.experiment
    if num_samples is not None:
        experiment = override(experiment, "detector.num_samples", str(num_samples))
    place = location or record.location
    resources = load_data(experiment, Path(place) if place else None)
    if step is None:
        state, problems = stored.restore_latest()
    else:
        state, problems = stored.restore(step), []
    if isinstance(experiment.data, ImageData) and fingerprint(resources.dataset) != record.data:
        problems.append("these are not the data that the run was trained on: their contents differ")
    if truncation is not None and not (0 < truncation < math.inf and experiment.generator.latent == "normal"):
        raise RunError(
            f"--truncation is {truncation} and the latents are {experiment.generator.latent}: truncation needs a "
            "finite number above 0, and normal latents"
        )
    key = jax.random.key(0 if seed is None else seed)
    grown = experiment
    if experiment.growth is not None:
        grown = at_stage(experiment, experiment.growth.stage(int(state.step), num_stages(experiment)))
    fresh = seed is not None or truncation is not None

    def needed(of: Experiment) -> int:
        return least_bytes(measure_generator.trace(of, resources, state, key, fresh=fresh, truncation=truncation))

    require_memory(grown, needed)
    metrics = measure_generator(grown, resources, state, key, fresh=fresh, truncation=truncation)
    source = experiment.data.source(resources.dataset)
    return {
        "run": stored.name,
        "step": int(state.step),
        "num_samples": experiment.detector.num_samples,
        "problems": problems,
        "latents": (f"fresh, seed {seed or 0}" if fresh else "the run's own bank")
        + ("" if truncation is None else f", truncated at {truncation:g}"),
        "definition": experiment.detector.definition(experiment.data, resources.reference),
        "bounds": experiment.detector.bounds(source, resources.reference),
        "metrics": {name: named_numbers(values) for name, values in metrics.items()},
    }
