"""Networks made of networks: the same contract for each, and what each one adds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee, num_heads
from gan_jax.networks.dcgan import DCGANDiscriminator
from gan_jax.networks.encoder import Bidirectional, JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.minibatch import MinibatchDiscrimination, MinibatchStddev
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork, Variables
from gan_jax.networks.packing import Packed
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.networks.spectral import SpectralNorm

AXIS = "devices"
BATCH, LATENT_DIM = 8, 3
IMAGE = (16, 16, 1)
# Initial weights that are cheap to compile.
CHEAP = {"init_name": "normal", "gain": 0.6}
MLP = MLPDiscriminator(widths=(5,), activation="tanh", **CHEAP)
DCGAN = DCGANDiscriminator(width=1)

# name -> (network, shape of a sample, scores a sample)
DISCRIMINATORS = {
    "packed": (Packed(network=MLP), (3,), 0.5),
    "committee": (Committee(network=MLP), (3,), 3),
    "committee_of_packs": (Committee(network=Packed(network=DCGAN, num=4), num=3), IMAGE, 0.75),
    "classifier": (ClassifierHead(network=Committee(network=MLP, num=2), num_classes=4), (3,), 2),
    "pairs": (MLPDiscriminator(widths=(5,), minibatch=MinibatchDiscrimination(num_kernels=2), **CHEAP), (3,), 1),
    "deviation": (MLPDiscriminator(widths=(5,), minibatch=MinibatchStddev(), **CHEAP), (3,), 1),
    "image_pairs": (DCGANDiscriminator(width=2, minibatch=MinibatchDiscrimination(), attention=True), IMAGE, 1),
    "maxout": (MLPDiscriminator(widths=(5,), activation="maxout", pieces=3, **CHEAP), (3,), 1),
    "joint": (JointDiscriminator(network=DCGAN, shape=IMAGE, width=4), (256 + 2,), 1),
    "autoencoder": (AutoencoderDiscriminator(widths=(5, 2, 5), **CHEAP), (3,), 1),
}
GENERATORS = {
    "mixture": (GeneratorMixture(network=MLPGenerator(widths=(4,), norm="batch", **CHEAP), num=2), (3,)),
    "virtual": (MLPGenerator(widths=(4,), norm="virtual", num_reference=4, **CHEAP), (3,)),
    "pixel": (MLPGenerator(widths=(4,), norm="pixel", activation="tanh", **CHEAP), (3,)),
    "bidirectional": (Bidirectional(network=MLPGenerator(widths=(4,), **CHEAP), trunk=DCGAN), IMAGE),
}


def case(name, key):
    """(initialised variables, inputs, (variables, inputs) -> (outputs, statistics), the outputs' shape)."""
    if name in DISCRIMINATORS:
        network, shape, rate = DISCRIMINATORS[name]
        assert isinstance(network, DiscriminatorNetwork)
        variables = jax.jit(lambda key: network.init(key, shape))(key)
        inputs, wanted = jax.random.normal(key, (BATCH, *shape)), (int(rate * BATCH),)

        def apply(variables, inputs, axis_name=None):
            return network.apply(variables, inputs, train=True, axis_name=axis_name)

    else:
        network, shape = GENERATORS[name]
        assert isinstance(network, GeneratorNetwork)
        variables = jax.jit(lambda key: network.init(key, LATENT_DIM, shape))(key)
        inputs, wanted = jax.random.normal(key, (BATCH, LATENT_DIM)), (BATCH, *shape)

        def apply(variables, inputs, axis_name=None):
            return network.apply(variables, inputs, shape, train=True, axis_name=axis_name)

    network.check(shape)
    return variables, inputs, apply, wanted


def assert_close(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), a, b)


@pytest.mark.parametrize("name", [*DISCRIMINATORS, *GENERATORS])
def test_contract(name, key):
    variables, inputs, apply, shape = case(name, key)
    other = jax.tree.map(lambda leaf: 1.3 * leaf, variables)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), variables, other)

    def slope(params):
        loss = jax.grad(lambda p: jnp.mean(jax.nn.softplus(apply(variables._replace(params=p), inputs)[0])))
        return sum(jnp.sum(g * g) for g in jax.tree.leaves(loss(params)))

    @jax.jit
    def run(params, stacked):
        rows = jax.vmap(apply, in_axes=(0, None))(stacked, inputs)
        return rows, jax.lax.map(lambda variables: apply(variables, inputs), stacked), jax.grad(slope)(params)

    rows, singles, second = run(variables.params, stacked)
    outputs, statistics = jax.tree.map(lambda leaf: leaf[0], singles)
    assert outputs.shape == shape
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, outputs, statistics))} == {jnp.dtype("float32")}
    assert np.all(np.isfinite(outputs))
    assert jax.tree.structure(statistics) == jax.tree.structure(variables.statistics)
    assert_close(rows, singles)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(second))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(second))
    if DISCRIMINATORS.get(name, GENERATORS.get(name))[1] != IMAGE:  # operation by operation, each of them compiled
        assert_close(apply(variables, inputs), (outputs, statistics))


@pytest.mark.parametrize("name", [*DISCRIMINATORS, *GENERATORS])
def test_two_devices_are_one(name, key):
    variables, inputs, apply, _ = case(name, key)

    def loss(params, inputs, axis_name):
        outputs, statistics = apply(variables._replace(params=params), inputs, axis_name)
        every = outputs if axis_name is None else jax.lax.all_gather(outputs, axis_name, tiled=True)
        return jnp.mean(jnp.sin(3 * every)), (every, statistics)

    def shared(params, inputs):
        gradient, aux = jax.grad(loss, has_aux=True)(params, inputs, AXIS)
        return jax.lax.pmean(gradient, AXIS), aux

    wanted = jax.jit(lambda params: jax.grad(loss, has_aux=True)(params, inputs, None))(variables.params)
    halves = inputs.reshape(2, BATCH // 2, *inputs.shape[1:])
    mapped = jax.pmap(shared, AXIS, in_axes=(None, 0), out_axes=None, devices=jax.devices()[:2])
    assert_close(mapped(variables.params, halves), wanted)


def test_mixture_takes_its_generators_in_turn(key):
    single = MLPGenerator(widths=(4,), **CHEAP)
    mixture = GeneratorMixture(network=single, num=3)
    variables, latent = mixture.init(key, 2, (3,)), jax.random.normal(key, (7, 2))
    samples, _ = mixture.apply(variables, latent, (3,), train=True)
    np.testing.assert_array_equal(mixture.component_index(7), [0, 1, 2, 0, 1, 2, 0])
    for k in range(3):
        own = Variables(jax.tree.map(lambda leaf, k=k: leaf[k], variables.params), {})
        assert_close(samples[k::3], single.apply(own, latent[k::3], (3,), train=True)[0])
    mixture.check_batch(6)
    with pytest.raises(ValueError, match="a batch of 8 does not divide evenly among 3 generators: set a multiple of 3"):
        mixture.check_batch(8)
    with pytest.raises(ValueError, match="a batch of 7 does not divide"):
        mixture.apply(variables, latent, (3,), train=True, axis_name=AXIS)
    few, _ = mixture.apply(variables, latent[:1], (3,), train=True)
    assert_close(few, samples[:1])


def test_committee_is_its_members(key):
    committee = Committee(network=MLP, num=3)
    variables, samples = committee.init(key, (2,)), jax.random.normal(key, (4, 2))
    scores, _ = committee.apply(variables, samples, train=True)
    again, features = committee.features(variables, samples, train=True)
    np.testing.assert_array_equal(scores, again)
    for k in range(3):
        member = Variables(jax.tree.map(lambda leaf, k=k: leaf[k], variables.params), {})
        alone, own = MLP.features(member, samples, train=True)
        assert_close(scores.reshape(4, 3)[:, k], alone)
        assert_close(features["hidden_0"][:, 5 * k : 5 * k + 5], own["hidden_0"])
    assert len({float(score) for score in scores[:3]}) == 3


def test_heads_are_counted_through_wrappers():
    committee = Committee(network=MLP, num=3)
    assert num_heads(MLP) == num_heads(SpectralNorm(network=MLP)) == 1
    assert num_heads(committee) == committee.num_heads == num_heads(Packed(network=committee)) == 3
    assert num_heads(ClassifierHead(network=Committee(network=committee, num=2), num_classes=2)) == 6
    assert num_heads(JointDiscriminator(network=committee, shape=(2,))) == 1


def test_features_keep_the_order_of_the_layers(key):
    network = Committee(network=MLPDiscriminator(widths=(2,) * 11), num=2)
    seen: list[str] = []

    def run(key):
        _, features = network.features(network.init(key, (2,)), jnp.ones((1, 2)), train=True)
        seen.extend(features)

    jax.eval_shape(run, key)
    assert seen == [f"hidden_{i}" for i in range(11)]


def test_classifier_head_is_a_linear_map_of_the_last_features(key):
    network = ClassifierHead(network=MLPDiscriminator(widths=(6, 5), **CHEAP), num_classes=4)
    variables, samples = network.init(key, (2,)), jax.random.normal(key, (3, 2))
    scores, features = network.features(variables, samples, train=True)
    head = variables.params["head"]
    assert_close(features["class_logits"], features["hidden_1"] @ head["kernel"] + head["bias"][None])
    inner = Variables(variables.params["network"], {})
    np.testing.assert_array_equal(scores, network.network.apply(inner, samples, train=True)[0])
    with pytest.raises(
        ValueError, match=r"ClassifierHead.network is a LinearDiscriminator, which has no hidden layers"
    ):
        ClassifierHead(network=LinearDiscriminator(), num_classes=2).init(key, (2,))


def test_encoder_is_a_linear_map_of_the_trunks_last_features(key):
    network = Bidirectional(network=MLPGenerator(widths=(4,), **CHEAP), trunk=DCGAN)
    variables = jax.jit(lambda key: network.init(key, 2, IMAGE))(key)
    samples = jax.random.normal(key, (4, *IMAGE))
    trunk = Variables(variables.params["encoder"]["trunk"], variables.statistics["trunk"])
    head = variables.params["encoder"]["head"]

    @jax.jit
    def run(variables):
        latents = network.encode(variables, samples, 2, train=True)
        _, features = DCGAN.features(trunk, samples, train=True)
        wanted = features["block_1"].reshape(4, -1) @ head["kernel"] + head["bias"][None]
        return latents, wanted, network.advance(variables, samples), DCGAN.apply(trunk, samples, train=True)[1]

    latents, wanted, advanced, statistics = run(variables)
    assert latents.shape == (4, 2)
    assert_close(latents, wanted)
    assert_close(advanced, {"generator": {}, "trunk": statistics})
    with pytest.raises(ValueError, match="latent_dim is 3 and the encoder gives 2 numbers"):
        network.encode(variables, samples, 3, train=True)


def test_joint_discriminator_sees_the_sample_and_then_the_latent(key):
    inner = MLPDiscriminator(widths=(5,), **CHEAP)
    network = JointDiscriminator(network=inner, shape=(2, 2, 1), width=6)
    variables, joint = network.init(key, (4 + 3,)), jax.random.normal(key, (3, 7))
    scores, features = network.features(variables, joint, train=True)
    p = jax.tree.map(np.asarray, variables.params)
    _, seen = inner.features(Variables(p["network"], {}), joint[:, :4].reshape(3, 2, 2, 1), train=True)
    h = np.concatenate([seen["hidden_0"], joint[:, 4:]], axis=1) @ p["hidden"]["kernel"] + p["hidden"]["bias"]
    h = np.where(h > 0, h, 0.2 * h)
    assert_close(features["joint"], h)
    assert_close(scores, (h @ p["output"]["kernel"] + p["output"]["bias"])[:, 0])
    with pytest.raises(ValueError, match=r"takes vectors of more than 4 numbers .* and its inputs are 2 x 2 x 1"):
        network.check((2, 2, 1))


@pytest.mark.parametrize(("loss", "power"), [("squared", 2), ("absolute", 1)])
def test_an_autoencoders_score_is_minus_its_error(loss, power, key):
    network = AutoencoderDiscriminator(widths=(4, 2, 3), loss=loss, input_scale=0.5, **CHEAP)
    variables, samples = network.init(key, (2, 3)), jax.random.normal(key, (5, 2, 3))
    p = jax.tree.map(np.asarray, variables.params)

    def layer(x, params):
        return x @ params["kernel"] + params["bias"]

    x = 0.5 * np.asarray(samples).reshape(5, 6)
    code = layer(np.maximum(layer(x, p["encoder"]["dense_0"]), 0), p["encoder"]["output"])
    out = layer(np.maximum(layer(code, p["decoder"]["dense_0"]), 0), p["decoder"]["output"])
    scores, features = network.features(variables, samples, train=True)
    assert_close(scores, -np.mean(np.abs(out - x) ** power, axis=1))
    assert list(features) == ["hidden_0", "code"]
    assert_close(features["code"], code)
    with pytest.raises(
        ValueError, match=r"AutoencoderDiscriminator.widths is \(4, 0\), and must be one or more positive"
    ):
        AutoencoderDiscriminator(widths=(4, 0))
