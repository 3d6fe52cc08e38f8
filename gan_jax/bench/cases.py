"""The cases that are measured, by name: a ring of Gaussians, an MLP on digits, and DCGANs of three sizes."""

from __future__ import annotations

from collections.abc import Callable

from gan_jax.bench.programs import random_images
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override, override_all
from gan_jax.training.dynamics import Alternating, Simultaneous
from gan_jax.training.evaluations import LoadedData


def ring() -> tuple[Experiment, LoadedData]:
    """The ring of the unrolled-GAN notebook: two tanh layers of 128 units a player, latent 256, batch 512."""
    return override_all(load("ring_notebook"), [("dynamics", Alternating())]), LoadedData()


def mlp() -> tuple[Experiment, LoadedData]:
    """Two MLPs on images of 16 pixels, five updates of D a step, batch 64."""
    return load("digits_collapse"), random_images(16)


def dcgan(size: int, width: int) -> tuple[Experiment, LoadedData]:
    """The DCGAN of the label-noise study at a given image size, without flips, on random pixels; batch 64."""
    settings = [
        ("data.image_size", size),
        ("data.last_batch", "wrap"),
        ("generator.network.width", width),
        ("discriminator.network.width", width),
        ("discriminator.transforms", ()),
    ]
    return override_all(load("label_noise_mnist"), settings), random_images(size)


CASES: dict[str, Callable[[], tuple[Experiment, LoadedData]]] = {
    "ring": ring,
    "mlp": mlp,
    "dcgan28": lambda: dcgan(28, 16),
    "dcgan32": lambda: dcgan(32, 32),
    "dcgan64": lambda: dcgan(64, 64),
}


def make_case(
    name: str, *, batch_size: int | None = None, precision: str = "float32", convolution: str = "auto"
) -> tuple[Experiment, LoadedData]:
    """A case's experiment and its data.

    Args:
        name: one of `CASES`.
        batch_size: None takes the case's own.
        precision: of the experiment.
        convolution: implementation of the convolutions, for the DCGANs.

    Returns:
        (the experiment, its data).

    Raises:
        ValueError: for an unknown name.
    """
    if name not in CASES:
        raise ValueError(unknown_name("no case", name, CASES))
    experiment, resources = CASES[name]()
    settings: list[tuple[str, object]] = [("precision", precision), ("num_steps", 10**6)]
    if batch_size is not None:
        settings.append(("batch_size", batch_size))
        if experiment.detector.num_samples % batch_size:
            settings.append(("detector.num_samples", batch_size))
        if resources.dataset and batch_size > len(resources.dataset.images):
            resources = random_images(experiment.data.shape[0], batch_size)
    if name.startswith("dcgan"):
        settings += [(f"{player}.network.convolution", convolution) for player in ("generator", "discriminator")]
    return override_all(experiment, settings), resources


def unrolled(num_steps: int, memory: str = "step") -> tuple[Experiment, LoadedData]:
    """The ring with G unrolled through `num_steps` updates of D, and simultaneous updates.

    Args:
        num_steps: K; 0 is the plain game.
        memory: what is stored of the updates for the reverse pass, as in `Unroll.memory`.

    Returns:
        (the experiment, its data).
    """
    experiment, resources = make_case("ring")
    unroll = override(Unroll(num_steps=num_steps), "memory", memory) if num_steps else None
    return override_all(experiment, [("dynamics", Simultaneous()), ("generator.unroll", unroll)]), resources
