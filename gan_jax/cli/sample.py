"""`gan-jax sample`: writes samples of a stored generator as arrays or pictures."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.cli.console import print_text
from gan_jax.cli.parser import OK, Settings, UsageError


def sample_command(options: argparse.Namespace, settings: Settings) -> int:
    """Writes samples of a run's generator; the ending of `--out` decides the format.

    Args:
        options: the parsed options.
        settings: not used; the experiment is that of the run.

    Returns:
        The exit code.

    Raises:
        UsageError: if the output has another ending or no folder, or the samples do not fit into memory.
    """
    from gan_jax.runs.run import Run

    out = Path(options.out)
    if not out.absolute().parent.is_dir():
        raise UsageError(f"the folder of {out} does not exist: make it first")
    if out.suffix not in (".npz", ".png", ""):
        raise UsageError(f"--out is {out}, and must end in .npz or .png, or be a folder")
    made = write_samples(
        Run(options.run, config=options.code_config, trust=options.trust),
        out,
        step=options.step,
        num=options.num,
        seed=options.seed,
        location=options.data,
    )
    print_text(made)
    return OK


def write_samples(
    run: Any, out: Path, *, step: int | None, num: int, seed: int | None, location: str | None = None
) -> Path:
    """Draws samples and writes them.

    Args:
        run: a `Run`.
        out: FILE.npz, FILE.png, or a folder.
        step: step of the checkpoint; None takes the newest.
        num: number of samples.
        seed: seed of fresh latents; None takes those of the run's evaluations.
        location: folder of the data set, for labels.

    Returns:
        The file or folder that was written.

    Raises:
        UsageError: if a folder is given for samples that are not images, or they do not fit into memory.
        RunError: if there is no such checkpoint.
    """
    import jax

    from gan_jax.reports.sample_pictures import image_grid, picture_samples
    from gan_jax.runs.files import replacing
    from gan_jax.scaling.memory_check import free_bytes

    if out.suffix == "" and len(run.experiment.data.shape) != 3:
        raise UsageError(f"samples of {run.name} are points, not images: write them to a .npz or a .png file")
    each = 4 * (math.prod(run.experiment.data.shape) + run.experiment.generator.latent_dim)
    if num * each > free_bytes():
        raise UsageError(
            f"--num is {num:,}, which does not fit into memory: give at most {free_bytes() // (4 * each):,}"
        )
    generator = run.generator(step)
    key = None if seed is None else jax.random.key(seed)
    latents, samples = (np.asarray(part) for part in (generator.latents(key, num), generator.sample(key, num)))
    if out.suffix == ".png":
        source = None if samples.ndim == 4 else run.experiment.data.source(run.load_data(location).dataset)
        unit = getattr(run.experiment.data, "unit", "")
        with replacing(out) as unfinished:
            picture_samples(unfinished, source, samples, f"{run.name}, step {generator.step:,}", unit)
        return out
    if out.suffix == "":
        out.mkdir(exist_ok=True)
        for index, image in enumerate(samples):
            image_grid(image[None], columns=1, scale=1).save(out / f"{index:05d}.png")
        return out
    arrays: dict[str, Any] = {"samples": samples, "latents": latents}
    labels = sample_labels(run.experiment, run.load_data(location), samples)
    if labels is not None:
        arrays |= labels
    record = made_of(run, generator.step, seed)
    with replacing(out) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, made_of=json.dumps(record), **arrays)
    return out


def sample_labels(experiment: Any, data: Any, samples: np.ndarray) -> dict[str, np.ndarray] | None:
    """The class or mode of each sample.

    Args:
        experiment: the experiment of the run.
        data: its data.
        samples: [n, *shape].

    Returns:
        "labels", int32 [n]: the class by the validated classifier for images, the nearest mode for mixtures; for images
        also "confidence" [n], the classifier's probability of that class. None if neither is known.
    """
    import jax
    import jax.numpy as jnp

    from gan_jax.diagnostics.landscape import nearest_mode
    from gan_jax.diagnostics.state.scores import mixture_of
    from gan_jax.metrics.classifier import classify

    if samples.ndim == 2:
        mixture = mixture_of(experiment.data.source(data.dataset))
        return {"labels": np.asarray(nearest_mode(jnp.asarray(samples), mixture.modes), np.int32)}
    classifier = data.reference.classifier
    if classifier is None or samples.shape[-1] != 1:
        return None
    probabilities = np.asarray(jax.jit(classify)(classifier, jnp.asarray(samples))[0])
    return {"labels": probabilities.argmax(axis=1).astype(np.int32), "confidence": probabilities.max(axis=1)}


def made_of(run: Any, step: int, seed: int | None) -> dict[str, Any]:
    """The origin of samples, stored in the file that holds them.

    Args:
        run: a `Run`.
        step: step of the checkpoint.
        seed: seed of the latents; None means those of the run's evaluations.

    Returns:
        A JSON object: run, step, seed, experiment, versions.
    """
    from gan_jax.experiment.settings import to_json
    from gan_jax.runs.run_directory import environment

    return {
        "run": Path(run.name).name,
        "run_seed": run.seed,
        "step": step,
        "latents": "the run's own bank" if seed is None else f"fresh, seed {seed}",
        "experiment": to_json(run.experiment),
        "versions": environment()["versions"],
    }
