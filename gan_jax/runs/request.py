"""A request for a run or a sweep: the config with its overrides, the data, and the length, also in epochs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_jax.data.images import Images, fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.configs import load, load_sweep, split_remedies
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override, override_all
from gan_jax.experiment.sweep import Sweep
from gan_jax.metrics.image_metrics import PIXELS_ONLY
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.scaling.memory_check import check_training_memory
from gan_jax.training.evaluations import LoadedData, load_data

RUNS = Path("runs")


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, as the command line gives it.

    `settings` are (dotted path, text) overrides of the config's experiment. `arms` names the arms of the config's sweep
    to run (for a single run: one); None runs all. `allowed` is the code that may be executed to read a folder; a config
    that is named may be executed anyway.
    """

    config: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    arms: tuple[str, ...] | None = None
    seed: int | None = None
    location: str | None = None
    num_epochs: float | None = None
    run_dir: str | None = None
    command: str = ""
    allowed: AllowedCode = NO_CODE


def warn_of_pixels_only(experiment: Experiment, resources: LoadedData, say: Callable[[str], None]) -> None:
    """Warns if there is no validated classifier for the images.

    Args:
        experiment: the settings.
        resources: its data.
        say: called with each line of progress.
    """
    if isinstance(experiment.data, ImageData) and resources.reference.classifier is None:
        say(f"gan-jax: {experiment.data.name} at {experiment.data.image_size} pixels: {PIXELS_ONLY}")


def own_arms(own: Sweep | None, names: Sequence[str], config: str) -> Sweep:
    """Some arms of a config's sweep.

    Args:
        own: the sweep; None if the config defines none.
        names: the names of the arms to take.
        config: the name of the config, for the message.

    Returns:
        The sweep with these arms, in the order of the config.

    Raises:
        RunError: if an arm is unknown, or there is no sweep.
    """
    if own is None:
        raise RunError(f"{config} defines no sweep(), so it has no arms to choose from: leave out --arm")
    known = [arm.name for arm in own.arms]
    for name in names:
        if name not in known:
            raise RunError(unknown_name(f"{config} has no arm", name, known))
    return own._replace(arms=tuple(arm for arm in own.arms if arm.name in names))


def requested_experiment(request: Request) -> Experiment:
    """The experiment of a single run: that of the config, or of one arm of its sweep, with the request's settings.

    Args:
        request: names a config, and perhaps one arm.

    Returns:
        The experiment.

    Raises:
        RunError: if the arm is unknown.
    """
    assert request.config is not None
    if request.arms is None:
        return apply_settings(load(request.config), request)
    (arm,) = own_arms(load_sweep(request.config), request.arms, request.config).arms
    return apply_settings(arm.experiment, request)


def apply_settings(experiment: Experiment, request: Request) -> Experiment:
    """The experiment with the request's overrides."""
    check_request(request)
    return check_epochs(override_all(experiment, request.settings), request)


def check_request(request: Request) -> None:
    """Checks the length and the seed of a request.

    Raises:
        RunError: if one is out of bounds, or the length is given twice.
    """
    if request.num_epochs is not None:
        if not 0 < request.num_epochs < 1e6:
            raise RunError(f"--num-epochs is {request.num_epochs}, and must be above 0 and below a million")
        if any(path.replace("-", "_") == "num_steps" for path, _ in request.settings):
            raise RunError("--num-epochs and --num-steps both set the length: give only one of them")
    if request.seed is not None and not 0 <= request.seed < 2**32:
        raise RunError(f"--seed is {request.seed}, and must be at least 0 and below 2**32")


def check_epochs(experiment: Experiment, request: Request) -> Experiment:
    """Returns the experiment unchanged, after a check that its data have epochs if the length is given in epochs.

    Raises:
        RunError: if the data have no epochs.
    """
    if request.num_epochs is not None and not isinstance(experiment.data, ImageData):
        raise RunError(
            f"--num-epochs needs a data set, and {type(experiment.data).__name__} has no epochs: use --num-steps"
        )
    return experiment


def prepare_data(
    experiment: Experiment, request: Request, location: str | None = None
) -> tuple[Experiment, LoadedData, str]:
    """Loads the data of an experiment, and converts a length in epochs to steps.

    Args:
        experiment: the settings.
        request: the request, as the command line gives it.
        location: the folder of the data, if the request names none.

    Returns:
        (the experiment with its length in steps, its data, the data's fingerprint or "").

    Raises:
        RunError: if the folder of the data does not exist.
        MemoryNeedError: if the experiment does not fit into memory.
    """
    place = request.location or location
    if place is not None and isinstance(experiment.data, ImageData) and not Path(place).exists():
        raise RunError(f"--data {place} does not exist: give the folder of a data set, or leave it out")
    resources = load_data(experiment, Path(place) if place else None)
    if request.num_epochs is not None:
        experiment = with_num_epochs(experiment, resources, request.num_epochs)
    check_training_memory(experiment, resources)
    return experiment, resources, fingerprint(resources.dataset) if isinstance(experiment.data, ImageData) else ""


def steps_per_epoch(experiment: Experiment, resources: LoadedData) -> float | None:
    """Number of training steps in an epoch; None for data without epochs."""
    if not isinstance(experiment.data, ImageData):
        return None
    num_examples = experiment.data.epoch_size(resources.dataset)
    if num_examples is None:
        return None
    short = isinstance(experiment.data, Images) and experiment.data.last_batch == "short"
    batches = math.ceil(num_examples / experiment.batch_size) if short else num_examples / experiment.batch_size
    return batches / experiment.discriminator.updates_per_step


def with_num_epochs(experiment: Experiment, resources: LoadedData, num_epochs: float) -> Experiment:
    """The experiment with `num_steps` set from a number of epochs.

    Args:
        experiment: the settings.
        resources: its data.
        num_epochs: length in epochs.

    Returns:
        The experiment.

    Raises:
        RunError: if its data have no epochs.
    """
    epoch_steps = steps_per_epoch(experiment, resources)
    if epoch_steps is None:
        raise RunError("--num-epochs needs data with epochs, and data.protocol='fresh' has none: use --num-steps")
    return override(experiment, "num_steps", round(num_epochs * epoch_steps))


def stored_config(config: str) -> str:
    """The config as the record shows it: files by their full paths, followed by the remedies."""
    if not config:
        return config
    base, remedies = split_remedies(config)
    return "+".join(str(Path(part).resolve()) if part.endswith(".py") else part for part in (base, *remedies))
