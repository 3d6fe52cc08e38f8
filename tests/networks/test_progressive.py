"""Growing networks: the contract of networks, and that a stage is what its blocks say and nothing more."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.schedules import Linear, value_at
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork, Variables
from gan_jax.networks.progressive import (
    ProgressiveDiscriminator,
    ProgressiveGenerator,
    average_pool,
    upsample,
)

SHAPE = (16, 16, 2)
LATENT_DIM = 5
GENERATOR = ProgressiveGenerator(width=8)
DISCRIMINATOR = ProgressiveDiscriminator(width=8)
NETWORKS = [GENERATOR, DISCRIMINATOR]


networks = pytest.mark.parametrize("network", NETWORKS, ids=["generator", "discriminator"])


def init(network, key, shape=SHAPE):
    return (
        network.init(key, LATENT_DIM, shape) if isinstance(network, ProgressiveGenerator) else network.init(key, shape)
    )


@functools.cache
def initial_params(network):
    return jax.jit(lambda key: init(network, key))(jax.random.key(1)).params


def inputs(network):
    shape = (LATENT_DIM,) if isinstance(network, ProgressiveGenerator) else SHAPE
    return jax.random.normal(jax.random.key(2), (4, *shape))


def outputs(network, params, x, axis_name=None):
    variables = Variables(params, {})
    if isinstance(network, ProgressiveGenerator):
        return network.apply(variables, x, SHAPE, train=True, axis_name=axis_name)[0]
    return network.apply(variables, x, train=True, axis_name=axis_name)[0]


run = jax.jit(outputs)


@pytest.mark.parametrize(("size", "widths"), [(16, (24, 24, 24)), (32, (24, 24, 24, 12)), (64, (24, 24, 24, 12, 8))])
def test_shapes_dtypes_and_features(size, widths):
    shape, stages = (size, size, 3), len(widths)
    gen, disc = ProgressiveGenerator(width=24), ProgressiveDiscriminator(width=24)
    assert isinstance(gen, GeneratorNetwork)
    assert isinstance(disc, DiscriminatorNetwork)
    assert gen.num_stages(shape) == disc.num_stages(shape) == stages

    def both(latent, stage):
        at_gen, at_disc = gen.at_stage(stage), disc.at_stage(stage)
        gen_variables, disc_variables = (init(net, jax.random.key(0), shape) for net in (at_gen, at_disc))
        assert not gen_variables.statistics
        assert not disc_variables.statistics
        samples, gen_features = at_gen.features(gen_variables, latent, shape, train=True)
        scores, disc_features = at_disc.features(disc_variables, samples, train=True)
        return samples, scores, gen_features, disc_features, gen_variables.params, disc_variables.params

    trees = []
    for stage in (None, 0, 1):
        out = jax.eval_shape(lambda z, s=stage: both(z, s), jnp.zeros((4, LATENT_DIM)))
        samples, scores, gen_features, disc_features, *params = out
        assert (samples.shape, samples.dtype) == ((4, *shape), jnp.float32)
        assert (scores.shape, scores.dtype) == ((4,), jnp.float32)
        used = range(stages if stage is None else stage + 1)
        expected = {f"block_{4 * 2**s}": (4, 4 * 2**s, 4 * 2**s, widths[s]) for s in used}
        assert {name: h.shape for name, h in gen_features.items()} == expected
        # D's blocks end with the width of the map below; the last one's is a vector.
        expected = {f"block_{4 * 2**s}": (4, 4 * 2**s, 4 * 2**s, widths[s - 1]) for s in used if s > 0}
        assert {name: h.shape for name, h in disc_features.items()} == expected | {"block_4": (4, widths[0])}
        trees.append([(jax.tree.structure(p), [leaf.shape for leaf in jax.tree.leaves(p)]) for p in params])
    assert trees[0] == trees[1] == trees[2]


def test_parameter_counts_by_hand():
    # 3x3 kernels with biases, dense layers, and 1x1 convolutions at each of 4, 8, 16 pixels.
    conv = 9 * 8 * 8 + 8
    gen, disc = (sum(leaf.size for leaf in jax.tree.leaves(initial_params(network))) for network in NETWORKS)
    assert gen == (LATENT_DIM + 1) * 128 + 5 * conv + 3 * (8 * 2 + 2)
    assert disc == 3 * (2 * 8 + 8) + 4 * conv + 9 * 9 * 8 + 8 + 128 * 8 + 8 + 8 + 1


@networks
def test_the_initial_variables_are_those_of_any_stage(network, key):
    expected = jax.jit(lambda key: init(network, key))(key)
    staged = jax.jit(lambda key: init(network.at_stage(0, Linear(start=0.0, stop=1.0, duration_steps=5)), key))(key)
    jax.tree.map(np.testing.assert_array_equal, staged, expected)


@networks
@pytest.mark.parametrize("switches", [True, False])
def test_jit_is_eager(network, switches):
    names = {"pixel_norm", "minibatch_stddev", "equalised"} & {f.name for f in dataclasses.fields(network)}
    network = dataclasses.replace(network, **dict.fromkeys(names, switches))
    params, x, staged = initial_params(network), inputs(network), network.at_stage(1, 0.3)
    np.testing.assert_allclose(run(staged, params, x), outputs(staged, params, x), rtol=1e-4, atol=1e-5)


@networks
def test_vmap_over_networks_and_parameters_is_a_loop(network):
    members = [network.at_stage(2, fade) for fade in (0.2, 0.9)]
    params = [jax.tree.map(lambda leaf, c=c: leaf + 0.1 * c, initial_params(network)) for c in range(2)]
    x = inputs(network)
    stack = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees) for trees in (members, params)]
    together = jax.jit(jax.vmap(outputs, (0, 0, None)))(*stack, x)
    for out, member, single in zip(together, members, params, strict=True):
        np.testing.assert_allclose(out, run(member, single, x), rtol=1e-4, atol=1e-5)


@networks
def test_two_devices_are_one_on_the_joined_batch(network):
    x, params = inputs(network), initial_params(network)
    split = jax.pmap(
        lambda p, x: outputs(network, p, x, "devices"), "devices", in_axes=(None, 0), devices=jax.devices()[:2]
    )
    out = split(params, x.reshape(2, 2, *x.shape[1:]))
    whole = run(network, params, x)
    np.testing.assert_allclose(out.reshape(whole.shape), whole, rtol=1e-4, atol=1e-5)


@networks
def test_second_derivatives_are_those_of_what_is_computed(network):
    with jax.enable_x64(True):
        params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (initial_params(network), inputs(network)))
        staged = network.at_stage(1, 0.4)

        def norm(x, params):
            return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(outputs(staged, params, x))))(x) ** 2)

        # As in a gradient penalty: the derivative in the parameters of a gradient in the input.
        direction = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)
        value = jax.jit(lambda t: norm(x, jax.tree.map(lambda p, d: p + t * d, params, direction)))
        step = 1e-5
        wanted = (value(step) - value(-step)) / (2 * step)
        got = jax.jit(jax.grad(lambda t: norm(x, jax.tree.map(lambda p, d: p + t * d, params, direction))))(0.0)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


@networks
@pytest.mark.parametrize("stage", [1, 2])
def test_a_block_fades_in_from_the_stage_below(network, stage):
    x, params = inputs(network), initial_params(network)
    below, before = run(network.at_stage(stage - 1), params, x), run(network.at_stage(stage, 0.0), params, x)
    np.testing.assert_array_equal(before, below)
    # Faded in, the path around the block is out: whatever its weights.
    after = run(network.at_stage(stage), params, x)
    name = f"{'to' if network is GENERATOR else 'from'}_image_{4 * 2 ** (stage - 1)}"
    changed = params | {name: jax.tree.map(lambda leaf: 100 - leaf, params[name])}
    np.testing.assert_array_equal(run(network.at_stage(stage), changed, x), after)
    assert np.abs(after - below).max() > 1e-3
    if network is GENERATOR:
        half = run(network.at_stage(stage, 0.5), params, x)
        np.testing.assert_allclose(half, 0.5 * (below + after), rtol=1e-4, atol=1e-5)


def test_samples_of_a_stage_are_enlarged_pixels_and_scores_see_means():
    samples = run(GENERATOR.at_stage(1), initial_params(GENERATOR), inputs(GENERATOR))
    np.testing.assert_array_equal(samples, upsample(samples[:, ::2, ::2]))
    x = inputs(DISCRIMINATOR)
    means = upsample(average_pool(x))
    np.testing.assert_allclose(means[:, 4, 6], jnp.mean(x[:, 4:6, 6:8], (1, 2)), rtol=1e-5, atol=1e-6)
    scores = [run(DISCRIMINATOR.at_stage(1), initial_params(DISCRIMINATOR), images) for images in (x, means)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-5)


@networks
def test_unused_blocks_have_gradients_of_zero(network):
    x, params = inputs(network), initial_params(network)
    gradient = jax.jit(jax.grad(lambda p, n: jnp.sum(outputs(n, p, x) ** 2)))
    first = (
        {"dense", "conv_4_1", "to_image_4"} if network is GENERATOR else {"from_image_4", "conv_4", "dense", "output"}
    )
    last = {name for name in params if not name.endswith(("_image_4", "_image_8"))}
    for stage, used in ((0, first), (None, last)):
        moved = gradient(params, network.at_stage(stage))
        assert {name for name in moved if np.any(moved[name]["kernel"]) or np.any(moved[name]["bias"])} == used


def test_changing_the_fade_compiles_nothing():
    traces = []

    @jax.jit
    def scores(network, x):
        traces.append(1)
        return outputs(network, initial_params(DISCRIMINATOR), x)

    for fade in (0.1, 0.2):
        scores(DISCRIMINATOR.at_stage(1, fade), inputs(DISCRIMINATOR))
    assert len(traces) == 1


def test_compute_dtype_leaves_parameters_samples_and_scores_in_float32():
    gen, disc = (dataclasses.replace(network, compute_dtype="bfloat16") for network in NETWORKS)
    samples = jax.eval_shape(lambda p, z: outputs(gen, p, z), initial_params(GENERATOR), inputs(gen))
    scores = jax.eval_shape(lambda p, x: outputs(disc, p, x), initial_params(DISCRIMINATOR), samples)
    assert samples.dtype == scores.dtype == jnp.float32
    features = jax.eval_shape(
        lambda x: disc.at_stage(2, jnp.float32(0.5)).features(Variables(initial_params(disc), {}), x, train=True)[1],
        samples,
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(features)} == {jnp.dtype("bfloat16")}


@networks
def test_errors(network):
    for shape in ((28, 28, 1), (32, 16, 1), (2,)):
        with pytest.raises(ValueError, match=r"16, 32, 64 pixels and the data are .* set data.image_size") as caught:
            network.check(shape)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"stage is 3, which is 32 pixels, .* 16 pixels have stages 0 to 2"):
        network.at_stage(3).check(SHAPE)
    with pytest.raises(ValueError, match=r"fade is 1.5, and must be at most 1"):
        network.at_stage(1, 1.5)
    with pytest.raises(ValueError, match=r"width is 4, and must be at least 8"):
        dataclasses.replace(network, width=4)
    schedule = Linear(start=0.0, stop=1.0, duration_steps=10.0)
    with pytest.raises(ValueError, match=r"fade is Linear.* changes with the step.*value_at"):
        outputs(network.at_stage(1, schedule), initial_params(network), inputs(network))
    network.at_stage(1, value_at(schedule, jnp.int32(5))).check(SHAPE)
