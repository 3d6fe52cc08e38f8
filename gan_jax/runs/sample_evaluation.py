"""All metrics of the samples of a stored run's generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from gan_jax.data.images import fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.metrics.sample_evaluation import evaluate_samples
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.run import trained_generator
from gan_jax.runs.stored_run import open_run


def evaluate_run_samples(
    name: str | Path,
    *,
    step: int | None = None,
    num_samples: int | None = None,
    latent_seed: int | None = None,
    location: str | None = None,
    allowed: AllowedCode = NO_CODE,
    **options: Any,
) -> dict[str, Any]:
    """Restores a checkpoint, draws samples and measures them by `evaluate_samples`.

    Args:
        name: the run's folder, or "SWEEP#MEMBER".
        step: of the checkpoint; None: the newest that can be read.
        num_samples: to draw; None: as many as in training.
        latent_seed: of fresh latents; None: the run's own bank.
        location: of the data set; None: where the run found it.
        allowed: code that may be executed to read the run's record.
        **options: of `evaluate_samples`.

    Returns:
        JSON, as `evaluate_samples` gives it.

    Raises:
        RunError: if there is no such run or checkpoint.
        SampleError: as `evaluate_samples`.
    """
    stored = open_run(name, allowed)
    experiment = stored.experiment
    state, problems = stored.restore_latest() if step is None else (stored.restore(step), [])
    place = location or stored.record.location
    dataset = experiment.data.load(Path(place) if place else None)
    if isinstance(experiment.data, ImageData) and fingerprint(dataset) != stored.record.data:
        problems.append("the data are not those of the run: their contents differ")
    generator = trained_generator(experiment, state)
    key = None if latent_seed is None else jax.random.key(latent_seed)
    samples = generator.sample(key, num_samples or experiment.detector.num_samples)
    source = f"{stored.name} at step {generator.step:,}"
    result = evaluate_samples(samples, experiment.data, dataset=dataset, source=source, **options)
    latents = "the run's own bank" if latent_seed is None else f"fresh, seed {latent_seed}"
    own = [note for note in result["notes"] if "taken as pixels" not in note]
    notes = [*problems, f"latents: {latents}", *own]
    return {**result, "run": stored.name, "step": generator.step, "latents": latents, "notes": notes}
