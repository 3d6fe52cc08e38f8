"""What several test files share: small experiments, single steps, and comparisons."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.diagnostics.state.hypergradients import in_float64
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override
from gan_jax.losses.objectives import Minimax
from gan_jax.losses.view import example_view
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.scaling.data_parallel import DEVICE_AXIS, assert_replicas, replicate
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import load_data
from gan_jax.training.optimizers import SGD
from gan_jax.training.steps import make_draws, train_step

# --- Comparisons ------------------------------------------------------------------------------------------------------


def leaves_equal(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(_raw(x), _raw(y)) for x, y in pairs)


def _raw(value):
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value)


# --- Training steps ---------------------------------------------------------------------------------------------------


def step_of(function, experiment, source=None, axis_name=None):
    """A kind of step of an experiment as a function of (state, real, latent, key, further keys)."""

    def step(state, real, latent, key, *more, inner_key=None):
        context = StepContext(experiment, state.step, source, axis_name)
        return function(context, state, make_draws(real, latent, key, inner_key), *more)

    return step


jit_step = jax.jit(train_step, static_argnames=("count", "axis_name"))


def run_steps(experiment, num, dataset=(), seed=0):
    state = compiled_init(experiment, jax.random.key(seed))
    for _ in range(num):
        state, metrics = jit_step(experiment, dataset, state)
    return state, metrics


# --- Networks and losses ----------------------------------------------------------------------------------------------


def numpy_norm(x, p):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"], mean, var * x[..., 0].size / (x[..., 0].size - 1)


REAL = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [-2.0, 1.0]])
FAKE = jnp.array([[0.0, 1.0], [-1.0, 2.0], [2.0, 2.0], [1.0, -3.0]])
PARAMS = {"kernel": jnp.array([[3.0, 0.0], [4.0, 1.0]]), "bias": jnp.array([0.5, -0.5])}


def penalty_view(score=None, params=PARAMS, memory=(), key=None, step=0, real=REAL, fake=FAKE, num_heads=1):
    """A view of a discriminator given as a function of (params, samples)."""
    score = score or (lambda p, x: x @ p["kernel"][:, 0] + p["bias"][0])
    return example_view(
        params=params,
        memory=memory,
        score=lambda x: score(params, x),
        score_at=score,
        features=lambda x: {"hidden": x},
        real=real,
        fake=fake,
        latent=jnp.zeros((real.shape[0], 3)),
        key=jax.random.key(0) if key is None else key,
        step=jnp.int32(step),
        num_heads=num_heads,
    )


# --- Data parallelism -------------------------------------------------------------------------------------------------

IMAGES = tiny_images()


def plain(experiment, learning_rate=0.05):
    """With gradient descent, which hides no factor in a gradient as Adam does."""
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.optimizer", SGD())
        experiment = override(experiment, f"{player}.learning_rate", learning_rate)
    return experiment


def small_ring(**changes):
    base = tiny_ring(batch_size=16)
    for player, network in (("generator", MLPGenerator((8,))), ("discriminator", MLPDiscriminator((8,)))):
        base = override(base, f"{player}.network", network)
    base = plain(base)
    for path, value in changes.items():
        base = override(base, path.replace("__", "."), value)
    return base


def unrolled(player="generator", base=None, **settings):
    base = small_ring(objective=Minimax()) if base is None else base
    return override(base, f"{player}.unroll", Unroll(**settings))


def dcgan(**changes):
    base = plain(tiny_dcgan())
    for path, value in changes.items():
        base = override(base, path.replace("__", "."), value)
    return base


def resources_of(experiment):
    loaded = load_data(experiment)
    return loaded if len(experiment.data.shape) == 1 else loaded._replace(dataset=IMAGES)


def initial_state(experiment, x64=False):
    """The initial state, from an experiment that differs in nothing but the networks and their optimisers."""
    base = tiny_ring() if len(experiment.data.shape) == 1 else tiny_dcgan()
    for player in ("generator", "discriminator"):
        settings = getattr(experiment, player)
        for name in ("network", "optimizer") + (("average_decay",) if player == "generator" else ()):
            base = override(base, f"{player}.{name}", getattr(settings, name))
    gen, disc = experiment.generator, experiment.discriminator
    if experiment.inference or gen.penalties or disc.penalties or gen.replay or disc.replay:
        base = experiment
    state = compiled_init(base, jax.random.key(0))
    return in_float64(state) if x64 else state


def steps_on(experiment, num_devices, x64, count=None, num_steps=3):
    """(the state, the last metrics) of a few training steps, on several devices, or on one without an axis."""
    dataset = resources_of(experiment).dataset

    def step(_, state, axis_name=DEVICE_AXIS):
        return train_step(experiment, dataset, state, count=count, axis_name=axis_name)

    if num_devices is None:
        compiled = functools.partial(jax.jit(functools.partial(step, axis_name=None)), None)
    else:
        devices = jax.devices()[:num_devices]
        mapped = jax.pmap(step, DEVICE_AXIS, in_axes=(0, None), out_axes=None, devices=devices)
        compiled = functools.partial(mapped, np.zeros(num_devices))
    with jax.enable_x64(x64):
        state = initial_state(experiment, x64)
        if num_devices is not None:
            state = replicate(state, devices)
        for _ in range(num_steps):
            state, metrics = compiled(state)
        return jax.block_until_ready((state, metrics))


def trained_leaves(state):
    return jax.tree.leaves((state.generator, state.discriminator, state.average))


def assert_close(many, one, tolerance):
    """Each leaf to a tolerance relative to the largest number in it, or to 1 if that is smaller."""
    for a, b in zip(trained_leaves(many), trained_leaves(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.max(np.abs(b)))))


def assert_parallel(experiment, num_devices=8, x64=True, tolerance=1e-12, count=None):
    one, metrics = steps_on(experiment, None, x64, count)
    many, parallel_metrics = steps_on(experiment, num_devices, x64, count)
    assert_close(many, one, tolerance)
    for name, value in metrics.items():
        np.testing.assert_allclose(parallel_metrics[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    assert_replicas(many)
