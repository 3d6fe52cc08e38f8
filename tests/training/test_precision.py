"""An experiment's precision: bfloat16 in the hidden layers, float32 in what losses and detectors read."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import Committee
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.minibatch import MinibatchDiscrimination
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.packing import Packed
from gan_jax.networks.progressive import ProgressiveDiscriminator
from gan_jax.networks.resnet import ResNetDiscriminator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.networks.stacked_networks import StackedDiscriminator
from gan_jax.networks.strided import StridedDiscriminator
from gan_jax.training.chunks import ChunkSpec, chunk
from gan_jax.training.precision import in_precision, with_compute_dtype
from gan_jax.training.state import init
from gan_jax.training.steps import train_step

HALF = {"compute_dtype": "bfloat16"}
IMAGE, VECTOR = (28, 28, 1), (2,)
DISCRIMINATORS = {
    "mlp": (MLPDiscriminator(**HALF), VECTOR),
    "mlp with minibatch discrimination": (MLPDiscriminator(minibatch=MinibatchDiscrimination(), **HALF), VECTOR),
    "maxout": (MLPDiscriminator(activation="maxout", **HALF), VECTOR),
    "autoencoder": (AutoencoderDiscriminator(**HALF), VECTOR),
    "dcgan": (DCGANDiscriminator(width=4, **HALF), IMAGE),
    "resnet": (ResNetDiscriminator(width=8, **HALF), IMAGE),
    "stacked": (StackedDiscriminator(**HALF), IMAGE),
    "strided": (StridedDiscriminator(widths=(4, 8), **HALF), IMAGE),
    "progressive": (ProgressiveDiscriminator(width=8, **HALF), (16, 16, 1)),
    "packed": (Packed(network=MLPDiscriminator(**HALF), num=2), (4,)),
    "spectral norm": (SpectralNorm(network=MLPDiscriminator(**HALF)), VECTOR),
    "committee": (Committee(network=MLPDiscriminator(**HALF), num=2), VECTOR),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_scores_of_a_bfloat16_discriminator_are_float32_and_not_rounded(name, key):
    network, shape = DISCRIMINATORS[name]
    variables = network.init(key, shape)
    samples = jax.random.normal(key, (8, *shape))
    score = lambda samples: network.apply(variables, samples, train=True)[0]  # noqa: E731
    scores = score(samples) if len(shape) == 1 else jax.jit(score)(samples)
    assert scores.dtype == jnp.float32
    assert bool(jnp.all(jnp.isfinite(scores)))
    # A rounding to three digits would leave all of them as they are.
    assert np.sum(np.asarray(scores.astype(jnp.bfloat16).astype(jnp.float32) != scores)) >= 4


def test_samples_of_a_bfloat16_mlp_are_not_rounded(key):
    network = MLPGenerator(**HALF)
    samples, _ = network.apply(network.init(key, 8, VECTOR), jax.random.normal(key, (64, 8)), VECTOR, train=True)
    assert samples.dtype == jnp.float32
    assert len(np.unique(np.asarray(samples))) == samples.size


def test_one_setting_changes_all_networks_and_nothing_else():
    experiment = tiny_ring(precision="bfloat16")
    narrow = with_compute_dtype(experiment)
    assert narrow.generator.network.compute_dtype == narrow.discriminator.network.compute_dtype == "bfloat16"
    packed = override(experiment, "discriminator.network", SpectralNorm(network=MLPDiscriminator()))
    assert with_compute_dtype(packed).discriminator.network.network.compute_dtype == "bfloat16"
    plain = tiny_ring()
    assert with_compute_dtype(plain) is plain
    own = override(plain, "generator.network.compute_dtype", "bfloat16")
    assert with_compute_dtype(own) is own


def dot_precisions(jaxpr) -> set[str]:
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found.add(str(equation.params["precision"]))
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            value = getattr(value, "jaxpr", value)
            if hasattr(value, "eqns"):
                found |= dot_precisions(value)
    return found


@pytest.mark.parametrize("precision", ["float32", "tensorfloat32", "bfloat16"])
def test_no_product_of_a_step_and_of_an_evaluation_is_left_to_the_backend(precision, key):
    experiment = tiny_ring(precision=precision)
    state = jax.eval_shape(init, experiment, key)
    traced = jax.make_jaxpr(lambda state: chunk(experiment, (), state, ChunkSpec(2)))(state)
    wanted = {"float32": "HIGHEST", "tensorfloat32": "HIGH", "bfloat16": "HIGHEST"}[precision]
    assert {text.upper().count(wanted) for text in dot_precisions(traced.jaxpr)} == {2}
    assert jax.config.jax_default_matmul_precision is None


def test_the_decorator_takes_the_experiment_by_position_and_by_name():
    @in_precision
    def current(experiment):
        return jax.config.jax_default_matmul_precision

    assert current(tiny_ring()) == current(experiment=tiny_ring()) == "float32"
    assert current(tiny_ring(precision="tensorfloat32")) == "tensorfloat32"


def test_a_bfloat16_step_keeps_its_state_in_float32_and_its_losses_near(key):
    losses = {}
    for precision in ("float32", "bfloat16"):
        experiment = tiny_ring(precision=precision)
        state = jax.jit(init)(experiment, key)
        after, metrics = jax.jit(train_step)(experiment, (), state)
        kinds = {leaf.dtype for leaf in jax.tree.leaves(after) if jnp.issubdtype(leaf.dtype, jnp.floating)}
        assert kinds == {jnp.dtype("float32")}
        losses[precision] = np.array([metrics["discriminator_loss"], metrics["generator_loss"]])
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)
    assert not np.array_equal(losses["bfloat16"], losses["float32"])


def test_a_dcgan_in_bfloat16_hands_float32_samples_to_discriminator_and_detector(key):
    from gan_jax.training.batches import generate
    from gan_jax.training.context import StepContext

    experiment = tiny_ring()
    network = DCGANGenerator(width=2, **HALF)
    variables = jax.eval_shape(lambda key: network.init(key, 8, IMAGE), key)

    class Shaped:
        def __init__(self) -> None:
            self.generator = type("G", (), {"network": network})
            self.data = type("D", (), {"shape": IMAGE})
            self.device_statistics = experiment.device_statistics

    context = StepContext(Shaped(), jnp.int32(0))
    made = jax.eval_shape(lambda v, z: generate(context, v, z, train=True)[0], variables, jnp.zeros((4, 8)))
    assert made.dtype == jnp.float32
