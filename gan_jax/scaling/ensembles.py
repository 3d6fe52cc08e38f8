"""Mixtures of generators on weighted data: AdaGAN's rounds, bagging, and independent runs as their baseline.

A round of AdaGAN trains a GAN on the reweighted points. Then a new discriminator, the density-ratio classifier, is
trained to tell the data from the mixture so far, and its scores of the training points determine the weights of the
next round. The weightings are in `gan_jax.scaling.boosting`. Weights and components are arguments of the programs, so
that no program is compiled twice.

References:
    I. Tolstikhin, S. Gelly, O. Bousquet, C.-J. Simon-Gabriel, B. Schölkopf, "AdaGAN: Boosting Generative Models",
        NeurIPS 2017: algorithms 1 and 2, and section 4 for the coverage C.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key

from gan_jax.data.weighted import Weighted, WeightedDataset, reweighted
from gan_jax.experiment.component import component, setting, unknown_name
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.committee import num_heads
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.network import DiscriminatorNetwork, Variables
from gan_jax.networks.packing import pack_size
from gan_jax.scaling.boosting import WEIGHTINGS, bootstrap_weights, component_weight, density_ratio
from gan_jax.scaling.programs import compiled_chunk, compiled_init, compiler_options, has_small_networks
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.chunks import ChunkSpec, chunk
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import LoadedData, evaluated_variables
from gan_jax.training.optimizers import Adam
from gan_jax.training.state import TrainState

TRAIN, CLASSIFIER, RESAMPLE = range(3)
"""Purposes of randomness: the key is folded with one of them first, then with the number of the component."""

MEMBER_STRATEGIES = ("vmap", "map")
"""Strategies for independent members, as in `gan_jax.scaling.strategies`; here each member has its own data weights."""


class DensityRatioFit(NamedTuple):
    """Results of a density-ratio classifier for a mixture.

    Attributes:
        loss: its logistic loss over its last steps, nats: 2 log 2 = 1.386 if it cannot tell data from mixture.
        mean_ratio: mean of its d_i = p_g / p_data over the data; 1 for an ideal classifier of a mixture whose support
            lies within the data's.
    """

    loss: Array
    mean_ratio: Array


class Ensemble(NamedTuple):
    """A mixture of T generators, some of which may have weight 0 so far.

    Attributes:
        generators: their variables, leaves [T, ...].
        weights: [T] of the components in the mixture, summing to 1.
        data_weights: [T, N] of the training points, with which each component was trained.
        fits: leaves [T], for the mixture before component t was trained; NaN if there was no classifier.
    """

    generators: Variables
    weights: Array
    data_weights: Array
    fits: DensityRatioFit


@component
class DensityRatioClassifier:
    """Training of the discriminator between data and mixture: Adam, with a learning rate that falls linearly to 0."""

    network: DiscriminatorNetwork | None = setting(
        default=None,
        choices=(MLPDiscriminator,),
        doc="sample to raw score; None takes the network of the experiment's D",
    )
    num_steps: int = setting(default=2_000, at_least=1, doc="updates, each on fresh samples of the mixture")
    batch_size: int = setting(default=256, at_least=1, doc="real examples in an update, and as many samples")
    learning_rate: float = setting(default=2e-3, above=0, doc="step size at the start")


# --- Mixtures ---------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames="num")
def sample(experiment: Experiment, ensemble: Ensemble, key: Key[Array, ""], num: int) -> Float[Array, "n *shape"]:
    """`num` independent samples of the mixture, [num, *shape]. Generators with batch norm use running statistics.

    Every component makes a sample of every latent and one of them is kept, T times the work of one generator.

    Args:
        experiment: of the components.
        ensemble: the mixture.
        key: of the draw.
        num: how many.

    Returns:
        [num, *shape].
    """
    key_component, key_latent = jax.random.split(key)
    chosen = jax.random.categorical(key_component, jnp.log(ensemble.weights), shape=(num,))
    latent = sample_latent(experiment, key_latent, num)
    context = StepContext(experiment, step=jnp.int32(0))
    made = jax.vmap(lambda variables: generate(context, variables, latent, train=False)[0])(ensemble.generators)
    return made[chosen, jnp.arange(num)]


def first(ensemble: Ensemble, num: int) -> Ensemble:
    """The mixture as it was with its first `num` components; the arrays keep their shapes.

    Later components scaled the weights of all earlier ones by a common factor, which is undone here.

    Raises:
        ValueError: if none of these has weight.
    """
    weights = jnp.where(jnp.arange(ensemble.weights.shape[0]) < num, ensemble.weights, 0.0)
    total = jnp.sum(weights)
    if not total > 0:
        raise ValueError(
            f"the first {num} components have no weight in this mixture: keep what `rounds` yields instead"
        )
    return ensemble._replace(weights=weights / total)


def measure(experiment: Experiment, resources: LoadedData, ensemble: Ensemble, key: Key[Array, ""]) -> Any:
    """The detector's metrics of a mixture, on as many samples as it takes.

    Args:
        experiment: of the components.
        resources: its data.
        ensemble: the mixture.
        key: of the samples.

    Returns:
        A NamedTuple of arrays.
    """
    samples = sample(experiment, ensemble, key, experiment.detector.num_samples)
    return _measure(experiment, resources, samples)


@jax.jit
def _measure(experiment: Experiment, resources: LoadedData, samples: Array) -> Any:
    source = experiment.data.source(resources.dataset)
    return experiment.detector.measure(source, resources.reference, samples)


@jax.jit
def coverage(
    samples: Float[Array, "n d"], points: Float[Array, "m d"], bandwidth: float | Float[Array, ""]
) -> Float[Array, ""]:
    """AdaGAN's coverage C: the share of the data where the model's density exceeds its 5 % quantile over samples.

    C = P_data(p_g > t) with P_g(p_g > t) = 0.95, and p_g a Gaussian kernel estimate from the samples. A perfect model
    scores about 95 %, a little less since each sample's own kernel counts in t.

    Args:
        samples: [n, d] of the model. The kernels take memory for n (n + m) numbers.
        points: [m, d] of the data, each of equal weight.
        bandwidth: standard deviation of the kernels, in data units: at most the scale on which the data vary.

    Returns:
        A scalar in [0, 1]; 0 if a sample is not finite.
    """

    def log_density(at: Array) -> Array:
        squared = sum((at[:, None, axis] - samples[None, :, axis]) ** 2 for axis in range(samples.shape[1]))
        return jax.nn.logsumexp(-squared / (2 * bandwidth**2), axis=1)

    threshold = jnp.quantile(log_density(samples), 0.05)
    return jnp.mean(log_density(points) > threshold)


# --- The classifier ---------------------------------------------------------------------------------------------------


@jax.jit
def ratios(
    experiment: Experiment,
    dataset: WeightedDataset,
    ensemble: Ensemble,
    key: Key[Array, ""],
    classifier: DensityRatioClassifier,
) -> tuple[Float[Array, "n"], DensityRatioFit]:
    """The density ratios of a mixture by a newly trained classifier.

    It minimises -log D(x) - log(1 - D(y)), D = sigmoid(s), over data x and samples y, at whose optimum s is
    log(p_data / p_g).

    Args:
        experiment: whose D is the classifier's network.
        dataset: points with their weights.
        ensemble: the mixture so far.
        key: of the training.
        classifier: how it is trained.

    Returns:
        (d_i = p_g / p_data at all training points [N], the fit of the classifier).
    """
    network = classifier.network or experiment.discriminator.network
    key_init, key_steps = jax.random.split(key)
    source = experiment.data.source(dataset)
    optimizer = Adam(b1=0.9).make(classifier.learning_rate)
    start = network.init(key_init, experiment.data.shape)

    def step(carry: tuple[Variables, Any], index: Array) -> tuple[tuple[Variables, Any], Array]:
        variables, opt_state = carry
        key_real, key_fake = jax.random.split(jax.random.fold_in(key_steps, index))
        real = source.sample(key_real, classifier.batch_size)
        fake = sample(experiment, ensemble, key_fake, classifier.batch_size)

        def loss(params: Any) -> tuple[Array, Any]:
            both = jnp.concatenate([real, fake])
            scores, statistics = network.apply(variables._replace(params=params), both, train=True)
            losses = jax.nn.softplus(-scores[: classifier.batch_size]) + jax.nn.softplus(
                scores[classifier.batch_size :]
            )
            return jnp.mean(losses), statistics

        (value, statistics), grads = jax.value_and_grad(loss, has_aux=True)(variables.params)
        updates, opt_state = optimizer.update(grads, opt_state, variables.params)
        updates = optax.tree.scale(1 - index / classifier.num_steps, updates)
        return (Variables(optax.apply_updates(variables.params, updates), statistics), opt_state), value

    carry = start, optimizer.init(start.params)
    (variables, _), losses = jax.lax.scan(step, carry, jnp.arange(classifier.num_steps))
    ratio = density_ratio(network.apply(variables, dataset.points, train=False)[0])
    last = losses[-math.ceil(classifier.num_steps / 10) :]
    return ratio, DensityRatioFit(jnp.mean(last), jnp.sum(dataset.weights * ratio))


# --- Boosting ---------------------------------------------------------------------------------------------------------


def rounds(
    experiment: Experiment,
    resources: LoadedData,
    key: Key[Array, ""],
    num_rounds: int,
    *,
    weighting: str = "star",
    beta: float | None = None,
    classifier: DensityRatioClassifier | None = None,
) -> Iterator[Ensemble]:
    """AdaGAN, one round at a time: yields the mixture after each round, with space for `num_rounds` components.

    Args:
        experiment: the GAN of a round, with `Weighted` data; `num_steps` are those of one round.
        resources: from `load_data`; the weights in its data set are the data's own.
        key: everything random follows from it and the number of the round.
        num_rounds: components in the end.
        weighting: "star" (theorem 1) or "dagger" (theorem 2); see `gan_jax.scaling.boosting`.
        beta: weight with which each component after the first joins; None takes 1 / t.
        classifier: training of the density-ratio classifier; None takes `DensityRatioClassifier()`.

    Returns:
        The mixture after each round, in turn.

    Raises:
        ValueError: for data without weights, fewer than one round, an unknown weighting, or a beta outside (0, 1].
        FloatingPointError: if the values of a round's GAN are not finite.
    """
    _check(experiment, num_rounds)
    if weighting not in WEIGHTINGS:
        raise ValueError(unknown_name("no weighting", weighting, WEIGHTINGS))
    if beta is not None and not 0 < beta <= 1:
        raise ValueError(
            f"beta is {beta}, and must be above 0 and at most 1, or None for 1/t (the new component's weight)"
        )
    return _rounds(experiment, resources, key, num_rounds, weighting, beta, classifier or DensityRatioClassifier())


def boost(
    experiment: Experiment,
    resources: LoadedData,
    key: Key[Array, ""],
    num_rounds: int,
    *,
    weighting: str = "star",
    beta: float | None = None,
    classifier: DensityRatioClassifier | None = None,
) -> Ensemble:
    """All rounds of AdaGAN: the last mixture that `rounds` yields for the same arguments.

    Args:
        experiment: the GAN of each round, with `Weighted` data.
        resources: from `load_data`.
        key: everything random follows from it.
        num_rounds: components.
        weighting: of the points, by name.
        beta: weight of a new component; None takes 1 / round.
        classifier: how the density ratio is estimated.

    Returns:
        The last mixture.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> from gan_jax.training.evaluations import load_data
        >>> experiment = tiny_ring(data=Weighted(Ring(), num_points=100), num_steps=10)
        >>> resources = load_data(experiment)
        >>> classifier = DensityRatioClassifier(num_steps=10)
        >>> mixture = boost(experiment, resources, jax.random.key(0), 2, classifier=classifier)
        >>> mixture.weights.tolist(), mixture.data_weights.shape
        ([0.5, 0.5], (2, 100))
    """
    *_, last = rounds(experiment, resources, key, num_rounds, weighting=weighting, beta=beta, classifier=classifier)
    return last


def _rounds(
    experiment: Experiment,
    resources: LoadedData,
    key: Array,
    num_rounds: int,
    weighting: str,
    beta: float | None,
    classifier: DensityRatioClassifier,
) -> Iterator[Ensemble]:
    dataset = resources.dataset
    weights = dataset.weights
    fit = DensityRatioFit(jnp.full((), jnp.nan), jnp.full((), jnp.nan))
    ensemble = None
    for index in range(num_rounds):
        share = component_weight(beta, index + 1)
        if ensemble is not None:
            ratio, fit = ratios(experiment, dataset, ensemble, _key(key, CLASSIFIER, index), classifier)
            weights = _reweight(weighting, dataset.weights, ratio, share)
        state = compiled_init(experiment, _key(key, TRAIN, index))
        data = resources._replace(dataset=reweighted(dataset, weights))
        state = compiled_chunk(experiment, data, state, ChunkSpec(experiment.num_steps, evaluates=False)).state
        _check_finite(state, index)
        arrived = Ensemble(evaluated_variables(experiment, state), jnp.float32(0), weights, fit)
        if ensemble is None:
            ensemble = jax.tree.map(lambda leaf: jnp.zeros((num_rounds, *leaf.shape), leaf.dtype), arrived)
        joined = jax.tree.map(lambda leaves, leaf, at=index: leaves.at[at].set(leaf), ensemble, arrived)
        ensemble = joined._replace(weights=(ensemble.weights * (1 - share)).at[index].set(share))
        yield ensemble


@functools.partial(jax.jit, static_argnums=0)
def _reweight(weighting: str, p_data: Array, ratio: Array, beta: float) -> Array:
    return WEIGHTINGS[weighting](p_data, ratio, beta).weights


# --- Independent members ----------------------------------------------------------------------------------------------


def bag(
    experiment: Experiment, resources: LoadedData, key: Key[Array, ""], num: int, *, strategy: str = "vmap"
) -> Ensemble:
    """Bagging: GANs on bootstrap resamples of the points, trained as one program; equal weights.

    Args:
        experiment: the GAN of each member, with `Weighted` data.
        resources: from `load_data`; the weights in its data set are the data's own.
        key: everything random follows from it and the number of the member.
        num: members.
        strategy: "vmap" trains all at once; "map" one after another, with the results of single runs, bit for bit.

    Returns:
        The mixture, with equal weights.

    Raises:
        ValueError: for data without weights, fewer than one member, or an unknown strategy.
        FloatingPointError: if the values of a member are not finite.
    """
    _check(experiment, num)
    p_data = resources.dataset.weights
    resampled = [bootstrap_weights(_key(key, RESAMPLE, index), p_data) for index in range(num)]
    return _together(experiment, resources, key, resampled, strategy)


def independent(
    experiment: Experiment, resources: LoadedData, key: Key[Array, ""], num: int, *, strategy: str = "vmap"
) -> Ensemble:
    """GANs trained independently on the original data: the baseline of boosting and bagging.

    Member 0 equals the first round of `rounds` with the same key; with `vmap`, up to the order of sums in float32.

    Args:
        experiment: the GAN of each member, with `Weighted` data.
        resources: from `load_data`.
        key: everything random follows from it.
        num: members.
        strategy: "vmap" or "map".

    Returns:
        The mixture, with equal weights.
    """
    _check(experiment, num)
    return _together(experiment, resources, key, [resources.dataset.weights] * num, strategy)


def member(ensemble: Ensemble, index: int) -> Ensemble:
    """The mixture in which one component has all the weight."""
    return ensemble._replace(weights=jnp.zeros_like(ensemble.weights).at[index].set(1.0))


def _together(
    experiment: Experiment, resources: LoadedData, key: Array, weights: list[Array], strategy: str
) -> Ensemble:
    """Member t, from the key of round t, on the points weighted by `weights[t]`; all as one program."""
    if strategy not in MEMBER_STRATEGIES:
        raise ValueError(unknown_name("no strategy for members of an ensemble", strategy, MEMBER_STRATEGIES))
    states = [compiled_init(experiment, _key(key, TRAIN, index)) for index in range(len(weights))]
    datasets = [reweighted(resources.dataset, each) for each in weights]
    stacked_states, stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(states, datasets, strict=True))
    dataset = stacked._replace(points=resources.dataset.points)
    program = _members_program(strategy, has_small_networks(experiment))
    after = program(experiment, resources._replace(dataset=dataset), stacked_states, experiment.num_steps)
    for index in range(len(weights)):
        _check_finite(jax.tree.map(lambda leaf, at=index: leaf[at], after), index)
    num = len(weights)
    unknown = jnp.full(num, jnp.nan)
    made = evaluated_variables(experiment, after)
    return Ensemble(made, jnp.full(num, 1 / num), stacked.weights, DensityRatioFit(unknown, unknown))


@functools.cache
def _members_program(strategy: str, small: bool) -> Any:
    def train(experiment: Experiment, resources: LoadedData, states: TrainState, num_steps: int) -> TrainState:
        points, weights, cumulative = resources.dataset

        def alone(of_member: tuple[Array, Array, TrainState]) -> TrainState:
            data = resources._replace(dataset=WeightedDataset(points, *of_member[:2]))
            return chunk(experiment, data, of_member[2], ChunkSpec(num_steps, evaluates=False)).state

        members = weights, cumulative, states
        return jax.vmap(alone)(members) if strategy == "vmap" else jax.lax.map(alone, members)

    options = compiler_options() if small else None
    return jax.jit(train, static_argnums=3, donate_argnums=2, compiler_options=options)


def _key(key: Array, purpose: int, index: int) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, purpose), index)


def _check(experiment: Experiment, num: int) -> None:
    if not isinstance(experiment.data, Weighted):
        name = type(experiment.data).__name__
        raise ValueError(
            f"an ensemble trains on points with weights, and {name} has none: use data=Weighted({name}(...))"
        )
    network: Any = experiment.discriminator.network
    if pack_size(network) > 1 or num_heads(network) > 1 or getattr(network, "minibatch", None) is not None:
        raise ValueError(
            f"the classifier of mixture and data is the D of the experiment, and {type(network).__name__} does not "
            "score one sample at a time: use a D without packs, members and minibatch layers"
        )
    if num < 1:
        raise ValueError(f"an ensemble of {num} components: give at least 1")


def _check_finite(state: TrainState, index: int) -> None:
    if int(state.nonfinite_step) >= 0:
        raise FloatingPointError(
            f"component {index} stopped being finite at step {int(state.nonfinite_step)}: lower the learning rates, or "
            "train for fewer steps"
        )
