"""Measures samples of a stored run's generator by all metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.images import Images, fingerprint, normalise
from gan_jax.data.stacked import ImageData
from gan_jax.metrics.intervals import bootstrap_interval
from gan_jax.metrics.inversion import inversion_errors
from gan_jax.metrics.sample_cases import SampleError
from gan_jax.metrics.sample_evaluation import evaluate_samples
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.run import TrainedGenerator, trained_generator
from gan_jax.runs.stored_run import open_run
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.context import StepContext

INVERSION = "ivom"
"""The only metric that needs the generator itself, not just samples."""
_NUM_IMAGES, _NUM_STARTS = 64, 3


def evaluate_run_samples(
    name: str | Path,
    *,
    metrics: str = "all",
    step: int | None = None,
    num_samples: int | None = None,
    latent_seed: int | None = None,
    statistics: Literal["batch", "running"] = "batch",
    location: str | None = None,
    allowed: AllowedCode = NO_CODE,
    **options: Any,
) -> dict[str, Any]:
    """Restores a checkpoint, draws samples and measures them by `evaluate_samples`.

    Args:
        name: the run's folder, or "SWEEP#MEMBER".
        metrics: names separated by commas. "ivom", for generators of images, is not part of "all".
        step: the step of the checkpoint; None takes the newest that can be read.
        num_samples: number of samples; None draws as many as in training.
        latent_seed: the seed of fresh latents; None takes those of the run's evaluations.
        statistics: by which a generator with batch norm normalises: those of batches of the training size, or the
            running ones. Other generators have none.
        location: the folder of the data set; None takes the one that the run used.
        allowed: code that may be executed to read the run's record.
        **options: further arguments of `evaluate_samples`.

    Returns:
        JSON, as from `evaluate_samples`.

    Raises:
        RunError: if there is no such run or checkpoint.
        SampleError: as for `evaluate_samples`.
    """
    stored = open_run(name, allowed)
    experiment = stored.experiment
    words = [word.strip() for word in metrics.split(",")]
    inverts = INVERSION in words
    if inverts and not isinstance(experiment.data, Images):
        raise SampleError(f"{INVERSION} needs images, and the data of {stored.name} are not images: leave it out")
    state, problems = stored.restore_latest() if step is None else (stored.restore(step), [])
    place = location or stored.record.location
    dataset = experiment.data.load(Path(place) if place else None)
    if isinstance(experiment.data, ImageData) and fingerprint(dataset) != stored.record.data:
        problems.append("these are not the data that the run was trained on: their contents differ")
    generator = trained_generator(experiment, state)
    key = None if latent_seed is None else jax.random.key(latent_seed)
    drawn = generator.sample_modes(key, num_samples or experiment.detector.num_samples)
    samples = drawn.get(statistics, drawn["running"])
    if "batch" in drawn:
        by = "running statistics" if statistics == "running" else "the statistics of batches"
        problems.append(f"batch norm of G: by {by}")
    if not bool(jnp.all(jnp.isfinite(samples))):
        raise SampleError(
            f"the samples of {stored.name} at step {generator.step:,} are not finite: give an earlier --step"
        )
    source = f"{stored.name} at step {generator.step:,}"
    others = ",".join(word for word in words if word != INVERSION) or "modes"
    options |= {"dataset": dataset, "source": source, "signed": True}
    result = evaluate_samples(samples, experiment.data, metrics=others, **options)
    if inverts:
        result["values"] |= _inversion(generator, dataset)
    latents = "the run's own bank" if latent_seed is None else f"fresh, seed {latent_seed}"
    notes = [*problems, f"latents: {latents}", *result["notes"]]
    return {**result, "run": stored.name, "step": generator.step, "latents": latents, "notes": notes}


def _inversion(generator: TrainedGenerator, dataset: Any) -> dict[str, Any]:
    """IvOM of held-out images. Its value for the generator's own samples takes the place of that for real data."""
    experiment, variables = generator.experiment, generator.variables
    context = StepContext(experiment, step=jnp.int32(0))
    order = np.random.default_rng(0).permutation(len(dataset.test_images))[:_NUM_IMAGES]
    held = normalise(dataset.test_images[order])
    own = generator.sample_modes(jax.random.key(1), len(order))["running"]
    keys = jax.random.split(jax.random.key(0), _NUM_STARTS)
    starts = jnp.stack([sample_latent(experiment, key, len(order)) for key in keys])

    @jax.jit
    def errors(images: jax.Array) -> jax.Array:
        return inversion_errors(lambda z: generate(context, variables, z, train=False)[0], images, starts)

    found, reachable = errors(held), errors(own)
    low, high = bootstrap_interval(found, jax.random.key(2))
    row = {
        "metric": INVERSION,
        "value": float(jnp.mean(found)),
        "interval": [float(low), float(high)],
        "real": float(jnp.mean(reachable)),
        "floor": 0.0,
        "better": "low",
        "meaning": "error of held-out images made from the best latents (real data: of G's own samples)",
        "definition": f"mean squared error per pixel in [-1, 1] of {len(order)} held-out images, 300 steps of Adam on "
        f"latents from {_NUM_STARTS} starts; bootstrap over images",
    }
    return {INVERSION: row}
