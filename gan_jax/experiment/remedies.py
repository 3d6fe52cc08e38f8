"""The remedies by name: each is a change of an experiment that leaves all else equal.

`gan-jax train ring+packing_2` applies one to a config, `ring+r1+replay_fifo` two of them, and the studies
`remedies_ring`, `remedies_grid` and `remedies_mnist` compare them. Weights are the published ones where a paper gives
one for toy data, else the components' defaults; they are not tuned to the data. A remedy that its paper defines with an
objective of its own sets that objective too.
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
from gan_jax.losses.transforms import ExactFlips, GeneratorFlips, OneSidedSmoothing, TopK, TwoSidedSmoothing
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
        family: the part of an experiment that it changes.
        summary: its effect, in a sentence.
        apply: the change: experiment -> experiment.

    Example:
        >>> REMEDIES["label_noise"].family
        'transform'
    """

    family: str
    summary: str
    apply: Change


def apply_remedy(experiment: Experiment, name: str) -> Experiment:
    """An experiment with a remedy.

    Args:
        experiment: the experiment to change.
        name: a key of `REMEDIES`, such as `r1`.

    Returns:
        A new experiment; the given one is not changed.

    Raises:
        ValueError: for an unknown name (the message lists the nearest ones), or if the remedy does not fit the
            experiment's parts.

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


def _norm(norm: str) -> Change:
    def change(experiment: Experiment) -> Experiment:
        network: Any = experiment.generator.network
        if not hasattr(network, "norm"):
            raise ValueError(f"{type(network).__name__} has no setting norm: use MLPGenerator or DCGANGenerator")
        return _generator(experiment, network=dataclasses.replace(network, norm=norm))

    return change


def _annealed_noise(experiment: Experiment) -> Experiment:
    """The noise falls from a quarter of the data's scale to 0 over the first half of the run."""
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


def _r3gan(experiment: Experiment) -> Experiment:
    """R3GAN's loss (arXiv 2501.05441): relativistic pairing with R1 and R2.

    Its weight at the start is 1 for the simplified loss; `Relativistic` is twice that loss, and so is the weight here.
    """
    changed = dataclasses.replace(experiment, objective=Relativistic())
    return _discriminator(changed, penalties=(R1(weight=2.0), R2(weight=2.0)))


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
        joint: Any = disc.network
        if not _is_vector(experiment):
            if trunk is not disc.network:
                raise ValueError(
                    f"{type(disc.network).__name__} scores images, and with an encoder D scores images with latents: "
                    "leave out one of the two remedies"
                )
            joint = JointDiscriminator(network=disc.network, shape=experiment.data.shape)
        return dataclasses.replace(
            experiment,
            inference=inference,
            generator=dataclasses.replace(gen, network=network, penalties=penalties),
            discriminator=dataclasses.replace(disc, network=joint),
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
    "plain": Remedy("none", "The experiment, unchanged.", lambda experiment: experiment),
    "minimax": Remedy("objective", "The zero-sum game.", _objective(Minimax())),
    "least_squares": Remedy("objective", "Squared distances of scores from targets.", _objective(LeastSquares())),
    "hinge": Remedy("objective", "D's loss is 0 beyond a margin.", _objective(Hinge())),
    "fgan_kl": Remedy(
        "objective",
        "The f-GAN of KL, which favours coverage.",
        _objective(FGAN(divergence="kl", generator_loss="non_saturating")),
    ),
    "fgan_reverse_kl": Remedy(
        "objective",
        "The f-GAN of reverse KL, which is mode-seeking.",
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
        "objective", "The alpha-loss for both players.", _objective(AlphaGAN(generator_loss="non_saturating"))
    ),
    "relativistic": Remedy("objective", "D compares a real example with a fake.", _objective(Relativistic())),
    "relativistic_average": Remedy(
        "objective", "D compares a score with the other side's mean.", _objective(RelativisticAverage())
    ),
    "wgan_clip": Remedy("objective", "Wasserstein; D's weights are clipped at 0.1; 5 updates of D.", _clipped),
    "wgan_gp": Remedy("objective", "Wasserstein; D's gradient norms are drawn to 1; 5 updates of D.", _wgan_gp),
    "ebgan": Remedy(
        "objective", "D is an autoencoder; fakes count up to a margin.", _autoencoder(EnergyMargin(), "squared", ())
    ),
    "began": Remedy(
        "objective",
        "D is an autoencoder; its weight on fakes is balanced.",
        _autoencoder(BoundaryEquilibrium(), "absolute", (Equilibrium(),)),
    ),
    "label_noise": Remedy("transform", "A tenth of D's labels are wrong.", _transform(ExactFlips(rate=0.1))),
    "label_noise_generator": Remedy(
        "transform",
        "A tenth of G's labels are wrong.",
        lambda e: _generator(e, transforms=(*e.generator.transforms, GeneratorFlips(rate=0.1))),
    ),
    "smoothing_one_sided": Remedy(
        "transform", "D's target of reals is 0.9.", _transform(OneSidedSmoothing(amount=0.1))
    ),
    "smoothing_two_sided": Remedy(
        "transform", "D's targets are 0.9 and 0.1.", _transform(TwoSidedSmoothing(amount=0.1))
    ),
    "instance_noise": Remedy("transform", "Noise on D's inputs, annealed to 0.", _annealed_noise),
    "top_k": Remedy("transform", "G learns from the fakes with the highest scores only.", _top_k),
    "r1": Remedy("penalty", "D's gradient is drawn to 0 at real examples.", _penalty(R1(weight=1.0))),
    "r2": Remedy("penalty", "D's gradient is drawn to 0 at fakes.", _penalty(R2(weight=1.0))),
    "r1_r2": Remedy(
        "penalty", "D's gradient is drawn to 0 at real examples and at fakes.", _penalty(R1(weight=1.0), R2(weight=1.0))
    ),
    "r3gan": Remedy("objective", "D compares a real example with a fake; R1 and R2.", _r3gan),
    "zero_centered_gp": Remedy(
        "penalty", "D's gradient is drawn to 0 between real examples and fakes.", _penalty(ZeroCenteredGP(weight=1.0))
    ),
    "dragan": Remedy("penalty", "D's gradient norm is drawn to 1 around real examples.", _penalty(DRAGAN())),
    "lecam": Remedy("penalty", "D's scores are drawn to the other side's average.", _penalty(LeCam())),
    "consistency": Remedy("penalty", "D's scores are drawn to be invariant to small changes.", _penalty(Consistency())),
    "elastic_weights": Remedy(
        "penalty", "D's parameters stay near those that scored earlier fakes.", _penalty(ElasticWeights())
    ),
    "historical_averaging": Remedy(
        "penalty", "D's parameters stay near their historical mean.", _penalty(HistoricalAveraging())
    ),
    "spectral_norm": Remedy("layer", "D's layers are 1-Lipschitz; hinge loss.", _spectral),
    "minibatch_discrimination": Remedy(
        "layer", "D sees how close the samples of a batch are.", _minibatch(MinibatchDiscrimination())
    ),
    "minibatch_stddev": Remedy("layer", "D sees the standard deviation of a batch.", _minibatch(MinibatchStddev())),
    "pixel_norm": Remedy("layer", "G's features have unit mean square.", _norm("pixel")),
    "virtual_batch_norm": Remedy("layer", "G has batch norm by a fixed reference batch.", _norm("virtual")),
    "self_modulation": Remedy(
        "layer", "Scales and biases of G's batch norm depend on the latent.", _norm("self_modulated")
    ),
    "packing_2": Remedy("layer", "D scores two samples at once.", _packed(2)),
    "packing_4": Remedy("layer", "D scores four samples at once.", _packed(4)),
    "feature_matching": Remedy(
        "feature matching",
        "G matches the means of D's features.",
        _term(FeatureMatching(replaces=True)),
    ),
    "feature_matching_l1": Remedy(
        "feature matching",
        "G matches them by their absolute differences.",
        _term(FeatureMatching(replaces=True, norm="l1")),
    ),
    "feature_matching_hybrid": Remedy(
        "feature matching",
        "G matches them in addition to its own loss.",
        _term(FeatureMatching()),
    ),
    "replay_reservoir": Remedy("replay", "Half of D's fakes come from the whole run.", _replay(Reservoir())),
    "replay_fifo": Remedy("replay", "Half of D's fakes come from recent steps.", _replay(FIFO())),
    "replay_pool": Remedy(
        "replay", "Half of D's fakes are exchanged for earlier ones from a pool.", _replay(ImagePool())
    ),
    "past_generators": Remedy("replay", "Half of D's fakes come from an earlier G.", _replay(PastGenerators())),
    "past_discriminators": Remedy(
        "replay", "G faces an earlier D in some steps.", lambda e: _generator(e, replay=PastDiscriminators())
    ),
    "gman": Remedy("ensemble", "Three discriminators; G's largest losses weigh most.", _committee(SoftMixing())),
    "gman_max": Remedy("ensemble", "Three discriminators; only G's largest loss counts.", _committee(Hardest())),
    "mgan": Remedy("ensemble", "Four generators that a classifier learns to distinguish.", _mixture),
    "veegan": Remedy(
        "reconstructor", "An encoder inverts G; D sees samples with latents.", _inference(VEEGAN(), (Reconstruction(),))
    ),
    "ali": Remedy("reconstructor", "Encoder and G are trained together against D.", _inference(ALI(), ())),
    "unrolled_5": Remedy(
        "unrolling", "G differentiates through five updates of D.", lambda e: _generator(e, unroll=Unroll(num_steps=5))
    ),
    "unrolled_10": Remedy(
        "unrolling", "G differentiates through ten updates of D.", lambda e: _generator(e, unroll=Unroll(num_steps=10))
    ),
}
"""All remedies, by name, plain first."""
