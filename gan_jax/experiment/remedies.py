"""The remedies by name: each a change of any experiment, all else equal.

`gan-jax train ring+packing_2` applies one to a config, `ring+r1+replay_fifo` two of them, and the studies
`remedies_ring`, `remedies_grid` and `remedies_mnist` compare them. Weights are the published ones where a paper gives
one for toys, else the components' defaults; none is tuned to the data. A remedy that a paper defines with an objective
of its own brings that along.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.schedules import Linear
from gan_jax.losses.aggregation import Hardest, SoftMixing
from gan_jax.losses.auxiliary import Classification, FeatureMatching, Reconstruction
from gan_jax.losses.inference import ALI, VEEGAN
from gan_jax.losses.objectives import (
    FGAN,
    AlphaGAN,
    BoundaryEquilibrium,
    EnergyMargin,
    Hinge,
    LeastSquares,
    Minimax,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)
from gan_jax.losses.penalties import (
    DRAGAN,
    R1,
    R2,
    WGANGP,
    Consistency,
    ElasticWeights,
    Equilibrium,
    HistoricalAveraging,
    LeCam,
    ZeroCenteredGP,
)
from gan_jax.losses.transforms import ExactFlips, OneSidedSmoothing, TopK, TwoSidedSmoothing
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee
from gan_jax.networks.encoder import Bidirectional, JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.minibatch import MinibatchDiscrimination, MinibatchStddev
from gan_jax.networks.packing import Packed
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.training.optimizers import WeightClipping
from gan_jax.training.replay import FIFO, ImagePool, PastDiscriminators, PastGenerators, Reservoir

Change = Callable[[Experiment], Experiment]


class Remedy(NamedTuple):
    """One remedy.

    Attributes:
        family: the kind of thing that it changes.
        summary: what it does, in a sentence.
        apply: the change.
    """

    family: str
    summary: str
    apply: Change


def apply_remedy(experiment: Experiment, name: str) -> Experiment:
    """An experiment with a remedy.

    Raises:
        ValueError: for an unknown name, listing near ones; or if the experiment's parts cannot take the remedy.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> apply_remedy(tiny_ring(), "packing_2").discriminator.network.num
        2
    """
    if name not in REMEDIES:
        raise ValueError(unknown_name("no remedy", name, REMEDIES))
    return REMEDIES[name].apply(experiment)


def _generator(experiment: Experiment, **changes: Any) -> Experiment:
    return dataclasses.replace(experiment, generator=dataclasses.replace(experiment.generator, **changes))


def _discriminator(experiment: Experiment, **changes: Any) -> Experiment:
    return dataclasses.replace(experiment, discriminator=dataclasses.replace(experiment.discriminator, **changes))


def _objective(objective: Any) -> Change:
    return lambda experiment: dataclasses.replace(experiment, objective=objective)


def _penalty(*penalties: Any) -> Change:
    return lambda e: _discriminator(e, penalties=(*e.discriminator.penalties, *penalties))


def _term(term: Any) -> Change:
    return lambda e: _generator(e, penalties=(*e.generator.penalties, term))


def _replay(replay: Any) -> Change:
    return lambda experiment: _discriminator(experiment, replay=replay)


def _transform(transform: Any) -> Change:
    return lambda e: _discriminator(e, transforms=(*e.discriminator.transforms, transform))


def _packed(num: int) -> Change:
    return lambda e: _discriminator(e, network=Packed(network=e.discriminator.network, num=num))


def _committee(aggregation: Any) -> Change:
    def change(experiment: Experiment) -> Experiment:
        changed = _discriminator(experiment, network=Committee(network=experiment.discriminator.network, num=3))
        return _generator(changed, aggregation=aggregation)

    return change


def _minibatch(layer: Any) -> Change:
    def change(experiment: Experiment) -> Experiment:
        network: Any = experiment.discriminator.network
        if not hasattr(network, "minibatch"):
            raise ValueError(
                f"{type(network).__name__} has no minibatch layer: use MLPDiscriminator or DCGANDiscriminator"
            )
        return _discriminator(experiment, network=dataclasses.replace(network, minibatch=layer))

    return change


def _pixel_norm(experiment: Experiment) -> Experiment:
    network: Any = experiment.generator.network
    if not hasattr(network, "norm"):
        raise ValueError(f"{type(network).__name__} has no norm to choose: use MLPGenerator or DCGANGenerator")
    return _generator(experiment, network=dataclasses.replace(network, norm="pixel"))


def _annealed_noise(experiment: Experiment) -> Experiment:
    """From a quarter of the data's scale to nothing over the first half of the run."""
    scale = getattr(experiment.generator.network, "output_scale", 1.0)
    noise = Linear(start=0.25 * scale, stop=0.0, duration_steps=max(1.0, experiment.num_steps / 2))
    return _discriminator(experiment, instance_noise=noise)


def _top_k(experiment: Experiment) -> Experiment:
    share = Linear(start=1.0, stop=0.5, duration_steps=max(1.0, experiment.num_steps / 2))
    return _generator(experiment, transforms=(TopK(share=share),))


def _clipped(experiment: Experiment) -> Experiment:
    disc = experiment.discriminator
    changed = dataclasses.replace(experiment, objective=Wasserstein())
    clipping = WeightClipping(optimizer=disc.optimizer, limit=0.1)
    return _discriminator(changed, optimizer=clipping, updates_per_step=5)


def _wgan_gp(experiment: Experiment) -> Experiment:
    changed = dataclasses.replace(experiment, objective=Wasserstein())
    return _discriminator(
        changed, penalties=(WGANGP(weight=0.1 if _is_vector(experiment) else 10.0),), updates_per_step=5
    )


def _spectral(experiment: Experiment) -> Experiment:
    changed = dataclasses.replace(experiment, objective=Hinge())
    return _discriminator(changed, network=SpectralNorm(network=experiment.discriminator.network))


def _mixture(experiment: Experiment) -> Experiment:
    num, gen, disc = 4, experiment.generator, experiment.discriminator
    return dataclasses.replace(
        experiment,
        generator=dataclasses.replace(
            gen, network=GeneratorMixture(network=gen.network, num=num), penalties=(Classification(weight=0.1),)
        ),
        discriminator=dataclasses.replace(
            disc, network=ClassifierHead(network=disc.network, num_classes=num), penalties=(Classification(),)
        ),
    )


def _inference(inference: Any, penalties: tuple[Any, ...]) -> Change:
    def change(experiment: Experiment) -> Experiment:
        gen, disc = experiment.generator, experiment.discriminator
        trunk: Any = disc.network
        while hasattr(trunk, "network"):
            trunk = trunk.network
        network = Bidirectional(network=gen.network, trunk=trunk)
        judge: Any = disc.network
        if not _is_vector(experiment):
            if trunk is not disc.network:
                raise ValueError(
                    f"{type(disc.network).__name__} judges images, and with an encoder D judges images beside latents: "
                    "leave out one of the two remedies"
                )
            judge = JointDiscriminator(network=disc.network, shape=experiment.data.shape)
        return dataclasses.replace(
            experiment,
            inference=inference,
            generator=dataclasses.replace(gen, network=network, penalties=penalties),
            discriminator=dataclasses.replace(disc, network=judge),
        )

    return change


def _autoencoder(objective: Any, loss: Any, penalties: tuple[Any, ...]) -> Change:
    def change(experiment: Experiment) -> Experiment:
        scale = getattr(experiment.discriminator.network, "input_scale", 1.0)
        network = AutoencoderDiscriminator(loss=loss, input_scale=scale)
        changed = dataclasses.replace(experiment.discriminator, network=network, penalties=penalties, transforms=())
        return dataclasses.replace(experiment, objective=objective, discriminator=changed)

    return change


def _is_vector(experiment: Experiment) -> bool:
    return len(experiment.data.shape) == 1


REMEDIES: dict[str, Remedy] = {
    "plain": Remedy("none", "The experiment as it is.", lambda experiment: experiment),
    "minimax": Remedy("objective", "The zero-sum game.", _objective(Minimax())),
    "least_squares": Remedy("objective", "Squared distances of scores from targets.", _objective(LeastSquares())),
    "hinge": Remedy("objective", "D stops pushing beyond a margin.", _objective(Hinge())),
    "fgan_kl": Remedy(
        "objective",
        "The f-GAN of KL, which covers.",
        _objective(FGAN(divergence="kl", generator_loss="non_saturating")),
    ),
    "fgan_reverse_kl": Remedy(
        "objective",
        "The f-GAN of reverse KL, which seeks modes.",
        _objective(FGAN(divergence="reverse_kl", generator_loss="non_saturating")),
    ),
    "fgan_pearson": Remedy(
        "objective", "The f-GAN of Pearson.", _objective(FGAN(divergence="pearson", generator_loss="non_saturating"))
    ),
    "fgan_jensen_shannon": Remedy(
        "objective",
        "The f-GAN of Jensen-Shannon.",
        _objective(FGAN(divergence="jensen_shannon", generator_loss="non_saturating")),
    ),
    "alpha_gan": Remedy(
        "objective", "Tunable losses of both players.", _objective(AlphaGAN(generator_loss="non_saturating"))
    ),
    "relativistic": Remedy("objective", "D judges pairs.", _objective(Relativistic())),
    "relativistic_average": Remedy(
        "objective", "D judges against the other side's mean.", _objective(RelativisticAverage())
    ),
    "wgan_clip": Remedy("objective", "Wasserstein, D's weights clipped at 0.1, 5 updates of D.", _clipped),
    "wgan_gp": Remedy("objective", "Wasserstein, slopes of D held at 1, 5 updates of D.", _wgan_gp),
    "ebgan": Remedy("objective", "D is an autoencoder with a margin.", _autoencoder(EnergyMargin(), "squared", ())),
    "began": Remedy(
        "objective",
        "D is an autoencoder, its weight on fakes balanced.",
        _autoencoder(BoundaryEquilibrium(), "absolute", (Equilibrium(),)),
    ),
    "label_noise": Remedy("transform", "A tenth of D's labels are wrong.", _transform(ExactFlips(rate=0.1))),
    "smoothing_one_sided": Remedy(
        "transform", "D's target of reals is 0.9.", _transform(OneSidedSmoothing(amount=0.1))
    ),
    "smoothing_two_sided": Remedy(
        "transform", "D's targets are 0.9 and 0.1.", _transform(TwoSidedSmoothing(amount=0.1))
    ),
    "instance_noise": Remedy("transform", "Noise on all that D sees, annealed.", _annealed_noise),
    "top_k": Remedy("transform", "G learns from the better fakes only.", _top_k),
    "r1": Remedy("penalty", "D is flat at real examples.", _penalty(R1(weight=1.0))),
    "r2": Remedy("penalty", "D is flat at fakes.", _penalty(R2(weight=1.0))),
    "zero_centered_gp": Remedy("penalty", "D is flat between both.", _penalty(ZeroCenteredGP(weight=1.0))),
    "dragan": Remedy("penalty", "D's slope around real examples is 1.", _penalty(DRAGAN())),
    "lecam": Remedy("penalty", "D's scores stay near the other side's average.", _penalty(LeCam())),
    "consistency": Remedy("penalty", "D's scores do not mind small changes.", _penalty(Consistency())),
    "elastic_weights": Remedy("penalty", "D does not forget old fakes.", _penalty(ElasticWeights())),
    "historical_averaging": Remedy("penalty", "D stays near its own past.", _penalty(HistoricalAveraging())),
    "spectral_norm": Remedy("layer", "D's layers are 1-Lipschitz, with the hinge.", _spectral),
    "minibatch_discrimination": Remedy(
        "layer", "D sees how close samples are to each other.", _minibatch(MinibatchDiscrimination())
    ),
    "minibatch_stddev": Remedy("layer", "D sees how much a batch varies.", _minibatch(MinibatchStddev())),
    "pixel_norm": Remedy("layer", "G's features have unit size.", _pixel_norm),
    "packing_2": Remedy("layer", "D judges two samples at once.", _packed(2)),
    "packing_4": Remedy("layer", "D judges four samples at once.", _packed(4)),
    "feature_matching": Remedy(
        "feature matching",
        "G matches the means of D's features.",
        _term(FeatureMatching(replaces=True)),
    ),
    "feature_matching_hybrid": Remedy(
        "feature matching",
        "G matches them beside its own loss.",
        _term(FeatureMatching()),
    ),
    "replay_reservoir": Remedy("replay", "Half of D's fakes are of all times.", _replay(Reservoir())),
    "replay_fifo": Remedy("replay", "Half of D's fakes are recent ones.", _replay(FIFO())),
    "replay_pool": Remedy("replay", "Fakes are swapped with a pool.", _replay(ImagePool())),
    "past_generators": Remedy("replay", "Half of D's fakes are of an old G.", _replay(PastGenerators())),
    "past_discriminators": Remedy(
        "replay", "G faces an old D now and then.", lambda e: _generator(e, replay=PastDiscriminators())
    ),
    "gman": Remedy("ensemble", "Three D, the harsher ones weigh more.", _committee(SoftMixing())),
    "gman_max": Remedy("ensemble", "Three D, the harshest one counts.", _committee(Hardest())),
    "mgan": Remedy("ensemble", "Four G that a classifier can tell apart.", _mixture),
    "veegan": Remedy(
        "reconstructor", "An encoder inverts G; D sees latents too.", _inference(VEEGAN(), (Reconstruction(),))
    ),
    "ali": Remedy("reconstructor", "Encoder and G fool D together.", _inference(ALI(), ())),
    "unrolled_5": Remedy(
        "unrolling", "G looks through five updates of D.", lambda e: _generator(e, unroll=Unroll(num_steps=5))
    ),
}
"""All remedies, by name, plain first."""
