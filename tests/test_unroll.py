"""Rollouts: hypergradients against central differences, modes against each other, values that no option changes."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax.unroll import Exact, FirstOrder, Implicit, Truncated, block_size, unroll, value_and_hypergradient

OPTIMIZERS = {
    "sgd": lambda rate: optax.sgd(rate),
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": lambda rate: optax.adam(rate, b1=0.5, eps_root=1e-30),
    "rmsprop": lambda rate: optax.rmsprop(rate, eps_in_sqrt=True),
}
RATES = {"sgd": 0.1, "momentum": 0.05, "adam": 1e-2, "rmsprop": 1e-3}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def layers(key, sizes, dtype=float):
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [(jax.random.normal(k, (a, b), dtype) / a**0.5, jnp.zeros(b, dtype)) for k, a, b in pairs]


def mlp(params, x, activation=jnp.tanh):
    for index, (weight, bias) in enumerate(params):
        x = x @ weight + bias[None]
        x = activation(x) if index < len(params) - 1 else x
    return x[:, 0] if x.shape[1] == 1 else x


class Game:
    """A small GAN whose G is the outer player; all that a hypergradient may be asked of is an argument."""

    def __init__(self, optimizer="adam", activation=jnp.tanh, dtype=None, scale=1.0):
        dtype = dtype or (jnp.float64 if jax.config.jax_enable_x64 else jnp.float32)
        key_gen, key_disc, key_real, key_latent = jax.random.split(jax.random.key(0), 4)
        self.generator = layers(key_gen, [3, 8, 2], dtype)
        self.discriminator = jax.tree.map(lambda p: scale * p, layers(key_disc, [2, 8, 1], dtype))
        self.real = 2 + jax.random.normal(key_real, (16, 2), dtype)
        self.latent = jax.random.normal(key_latent, (16, 3), dtype)
        self.rate, self.make, self.activation = RATES[optimizer], OPTIMIZERS[optimizer], activation
        # A warm state: moments that are not 0.
        self.opt_state = self.make(self.rate).init(self.discriminator)
        grads = jax.grad(self.loss)(self.discriminator, self.fake(self.generator), self.real)
        self.opt_state = self.make(self.rate).update(grads, self.opt_state)[1]

    def fake(self, generator):
        return mlp(generator, self.latent)

    def loss(self, params, fake, real):
        score = functools.partial(mlp, params, activation=self.activation)
        return jnp.mean(jax.nn.softplus(-score(real))) + jnp.mean(jax.nn.softplus(score(fake)))

    def rollout(self, generator, params=None, opt_state=None, rate=None, num_steps=5, **options):
        fake = self.fake(generator)
        return unroll(
            lambda params, _: self.loss(params, fake, self.real),
            self.make(self.rate if rate is None else rate),
            self.discriminator if params is None else params,
            self.opt_state if opt_state is None else opt_state,
            num_steps=num_steps,
            **options,
        )

    def objective(self, generator, **arguments):
        params = self.rollout(generator, **arguments).params
        return jnp.mean(jax.nn.softplus(-mlp(params, self.fake(generator), self.activation)))


def central_difference(fn, at, direction, size=1e-5):
    """The directional derivative, by Richardson's extrapolation of central differences (error of size^4)."""

    def slope(step):
        ahead, behind = (jax.tree.map(lambda p, d, s=sign: p + s * step * d, at, direction) for sign in (1, -1))
        return (fn(ahead) - fn(behind)) / (2 * step)

    return (4 * slope(size) - slope(2 * size)) / 3


def random_direction(tree, seed):
    flat, unravel = ravel_pytree(tree)
    direction = jax.random.normal(jax.random.key(seed), flat.shape, flat.dtype)
    return unravel(direction / jnp.linalg.norm(direction))


def assert_matches_differences(fn, at, size=1e-5, tolerance=1e-6):
    """The error along 3 directions, relative to the length of the gradient: near 0 a slope has no scale of its own."""
    fn = jax.jit(fn)
    grads = jax.jit(jax.grad(fn))(at)
    scale = float(optax.tree.norm(grads))
    assert scale > 1e-8
    for seed in range(3):
        direction = random_direction(at, seed)
        wanted = central_difference(fn, at, direction, size)
        assert abs(float(optax.tree.vdot(grads, direction)) - float(wanted)) < tolerance * scale


@pytest.mark.parametrize("num_steps", [1, 5, *(pytest.param(k, marks=pytest.mark.slow) for k in (10, 20))])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_hypergradients_agree_with_central_differences(float64, optimizer, num_steps):
    game = Game(optimizer)
    assert_matches_differences(functools.partial(game.objective, num_steps=num_steps), game.generator)


def test_everything_that_goes_in_is_differentiable(float64):
    game = Game("adam")
    assert_matches_differences(lambda p: game.objective(game.generator, params=p), game.discriminator)
    assert_matches_differences(lambda rate: game.objective(game.generator, rate=rate), jnp.float64(1e-2), size=1e-6)

    def of_moments(mu):
        state = (game.opt_state[0]._replace(mu=mu), *game.opt_state[1:])
        return game.objective(game.generator, opt_state=state)

    assert_matches_differences(of_moments, game.opt_state[0].mu)

    def of_decay(b1):
        optimizer = optax.adam(1e-2, b1=b1, eps_root=1e-30)
        loss = functools.partial(game.loss, fake=game.fake(game.generator), real=game.real)
        end = unroll(lambda p, _: loss(p), optimizer, game.discriminator, game.opt_state, num_steps=5)
        return jnp.mean(mlp(end.params, game.latent[:, :2]))

    assert_matches_differences(of_decay, jnp.float64(0.5))

    def of_batches(batches):
        fake = game.fake(game.generator)
        optimizer = game.make(game.rate)
        end = unroll(
            lambda p, real: game.loss(p, fake, real), optimizer, game.discriminator, game.opt_state, batches=batches
        )
        return jnp.mean(mlp(end.params, fake))

    assert_matches_differences(of_batches, jax.random.normal(jax.random.key(5), (4, 16, 2)))

    def of_noise(noise):  # of the labels: the expected loss
        fake = game.fake(game.generator)

        def loss(p, _):
            return (1 - noise) * game.loss(p, fake, game.real) + noise * game.loss(p, game.real, fake)

        end = unroll(loss, game.make(game.rate), game.discriminator, game.opt_state, num_steps=5)
        return jnp.mean(mlp(end.params, fake))

    assert_matches_differences(of_noise, jnp.float64(0.1))


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_forward_equals_reverse(float64, optimizer):
    game = Game(optimizer)

    def objective(generator):
        return game.objective(generator, num_steps=10), ()

    (value, _), reverse = jax.jit(functools.partial(value_and_hypergradient, objective))(game.generator)
    (also, _), forward = jax.jit(functools.partial(value_and_hypergradient, objective, mode="forward"))(game.generator)
    reverse, forward = (ravel_pytree(tree)[0] for tree in (reverse, forward))
    assert float(value) == pytest.approx(float(also), rel=1e-14)
    assert float(jnp.linalg.norm(forward - reverse)) < 1e-10 * float(jnp.linalg.norm(reverse))


def test_one_step_of_sgd_is_the_hand_derived_formula(float64):
    """f(theta - a g(theta, phi), phi): its derivative in phi is  d_phi f - a (d_phi g)^T d_theta f."""
    game = Game("sgd")

    def outer(params, generator):
        return jnp.mean(jax.nn.softplus(-mlp(params, game.fake(generator))))

    def inner_gradient(generator):
        return jax.grad(game.loss)(game.discriminator, game.fake(generator), game.real)

    moved = jax.tree.map(lambda p, g: p - game.rate * g, game.discriminator, inner_gradient(game.generator))
    at_params, direct = jax.grad(outer, argnums=(0, 1))(moved, game.generator)
    _, pull = jax.vjp(inner_gradient, game.generator)
    wanted = jax.tree.map(lambda d, m: d - game.rate * m, direct, pull(at_params)[0])
    got = jax.grad(functools.partial(game.objective, num_steps=1))(game.generator)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), got, wanted)


def test_a_quadratic_with_sgd_is_its_closed_form():
    # x_K = (1 - a h)^K x_0: derivatives in x_0, in a and in h.
    def end(x, rate, curvature):
        optimizer = optax.sgd(rate)
        return unroll(lambda x, _: curvature * x**2 / 2, optimizer, x, optimizer.init(x), num_steps=7).params

    x, a, h = 3.0, 0.2, 0.5
    got = jax.grad(end, argnums=(0, 1, 2))(x, a, h)
    slope = 7 * (1 - a * h) ** 6 * x
    np.testing.assert_allclose(got, [(1 - a * h) ** 7, -h * slope, -a * slope], rtol=1e-5)


def flat_gradient(game, **options):
    return ravel_pytree(jax.jit(jax.grad(functools.partial(game.objective, **options)))(game.generator))[0]


def test_truncation_goes_from_first_order_to_exact(float64):
    game = Game("adam")
    gradients = [flat_gradient(game, num_steps=5, gradient=Truncated(num_steps=j)) for j in range(6)]
    np.testing.assert_array_equal(gradients[0], flat_gradient(game, num_steps=5, gradient=FirstOrder()))
    np.testing.assert_array_equal(gradients[5], flat_gradient(game, num_steps=5, gradient=Exact()))
    errors = [float(jnp.linalg.norm(g - gradients[5])) for g in gradients]
    assert all(worse > better for worse, better in itertools.pairwise(errors))

    # First order: the end of the rollout is a constant.
    constant = game.rollout(game.generator).params
    direct = jax.grad(lambda g: jnp.mean(jax.nn.softplus(-mlp(constant, game.fake(g)))))(game.generator)
    np.testing.assert_allclose(gradients[0], ravel_pytree(direct)[0], rtol=1e-12, atol=1e-15)


def test_truncation_drops_what_the_early_steps_owe(float64):
    """The last j steps alone, from a constant state, have the truncated gradient."""
    game = Game("momentum")
    early = jax.lax.stop_gradient(game.rollout(game.generator, num_steps=3))
    late = flat_gradient(game, params=early.params, opt_state=early.opt_state, num_steps=2)
    np.testing.assert_allclose(flat_gradient(game, num_steps=5, gradient=Truncated(2)), late, rtol=1e-12, atol=1e-15)


GRADIENT_OPTIONS = [Exact(), FirstOrder(), Truncated(2), Implicit(), Implicit(solver="neumann")]
MEMORY_OPTIONS = ["all", "step", "sqrt", "offload", "dots_saveable", "dots_with_no_batch_dims_saveable"]


@pytest.mark.parametrize("optimizer", [pytest.param("sgd", marks=pytest.mark.slow), "adam"])
def test_no_option_changes_the_forward_values(optimizer):
    """Neither as a rollout alone nor as what a program that differentiates it computes on the way.

    Also with XLA's optimisations, which the suite leaves out: GAN_JAX_TEST_OPTIMISED=1 pytest -k forward_values.
    """
    game = Game(optimizer)
    reference = jax.jit(functools.partial(game.rollout, num_steps=7))(game.generator)

    def outer(generator, **options):
        end = game.rollout(generator, num_steps=7, **options)
        return jnp.mean(mlp(end.params, game.fake(generator)) ** 2), end

    for options in [{"gradient": g} for g in GRADIENT_OPTIONS] + [{"memory": m} for m in MEMORY_OPTIONS[:4]]:
        objective = functools.partial(outer, **options)
        (_, got), _ = jax.jit(jax.value_and_grad(objective, has_aux=True))(game.generator)
        jax.tree.map(np.testing.assert_array_equal, got, reference)


@functools.cache
def kept_gradient(num_steps):
    """In float64, with everything kept in memory."""
    return np.asarray(flat_gradient(Game("adam"), num_steps=num_steps))


@pytest.mark.parametrize(("memory", "num_steps"), [*((m, 7) for m in MEMORY_OPTIONS[1:]), ("sqrt", 1), ("sqrt", 9)])
def test_memory_options_leave_the_gradient_alone(float64, memory, num_steps):
    got = flat_gradient(Game("adam"), num_steps=num_steps, memory=memory)
    np.testing.assert_allclose(got, kept_gradient(num_steps), rtol=1e-10, atol=1e-13)


def test_memory_of_the_options():
    game = Game("adam")

    def temporaries(memory, num_steps):
        gradient = jax.jit(jax.grad(functools.partial(game.objective, num_steps=num_steps, memory=memory)))
        return gradient.lower(game.generator).compile().memory_analysis().temp_size_in_bytes

    everything = {k: temporaries("all", k) for k in (10, 25, 100)}
    slope = (everything[100] - everything[25]) / 75
    assert (everything[25] - everything[10]) / 15 == pytest.approx(slope, rel=0.1)
    step, blocks = temporaries("step", 100), temporaries("sqrt", 100)
    assert step < everything[100] / 2
    assert blocks < step / 2
    assert blocks <= everything[10]


def test_no_steps_are_the_identity():
    game = Game("adam")
    end = game.rollout(game.generator, num_steps=0)
    assert end.params is game.discriminator
    assert end.opt_state is game.opt_state
    assert end.losses.shape == (0,)


def test_a_rollout_is_the_loop_written_out():
    game = Game("adam")
    optimizer, fake = game.make(game.rate), game.fake(game.generator)
    params, opt_state = game.discriminator, game.opt_state
    for _ in range(4):
        grads = jax.grad(game.loss)(params, fake, game.real)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    end = game.rollout(game.generator, num_steps=4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), end.params, params)
    assert int(optax.tree.get(end.opt_state, "count")) == int(optax.tree.get(opt_state, "count"))


def test_a_model_state_is_carried_and_differentiated():
    # s_{k+1} = s_k + x_k and loss = s x: with SGD of rate 1 both follow a linear recursion.
    def end(s):
        optimizer = optax.sgd(1.0)
        rollout = unroll(
            lambda x, _, s: (s * x, s + 1.0), optimizer, jnp.float32(5), optimizer.init(0.0), num_steps=3, model_state=s
        )
        return rollout.params, rollout.model_state

    (params, state), tangents = jax.jvp(end, (jnp.float32(2),), (jnp.float32(1),))
    assert (float(params), float(state)) == (5 - (2 + 3 + 4), 5.0)
    assert [float(t) for t in tangents] == [-3.0, 1.0]


@pytest.mark.parametrize("options", [{"solver": "cg"}, {"solver": "neumann", "neumann_step": 0.4}])
def test_the_implicit_gradient_at_a_minimum(float64, options):
    # loss = theta' A theta / 2 - phi' theta: theta* = A^-1 phi, so d(c' theta*)/d phi = A^-1 c, from any rollout.
    matrix = jnp.array([[2.0, 0.3], [0.3, 1.0]])
    phi, weights = jnp.array([1.0, -1.0]), jnp.array([0.5, 2.0])
    gradient = Implicit(num_iterations=60, damping=0.0, **options)

    def outer(phi, gradient):
        optimizer = optax.sgd(0.5)
        start = jnp.zeros(2)
        end = unroll(
            lambda t, _: t @ matrix @ t / 2 - phi @ t,
            optimizer,
            start,
            optimizer.init(start),
            num_steps=60,
            gradient=gradient,
        )
        return weights @ end.params

    wanted = jnp.linalg.solve(matrix, weights)
    np.testing.assert_allclose(jax.grad(outer)(phi, gradient), wanted, rtol=1e-8)
    np.testing.assert_allclose(jax.grad(outer)(phi, Exact()), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(outer)(phi, gradient), wanted, rtol=1e-8)


@functools.cache
def relu_gradient(optimizer):
    """One program for all discriminators and states of their optimiser."""
    game = Game(optimizer, activation=jax.nn.relu)
    return jax.jit(jax.grad(lambda generator, params, state: game.objective(generator, params=params, opt_state=state)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", ["dead relu", "zero gradient", "large scores"])
def test_hypergradients_are_finite_in_float32(optimizer, case):
    game = Game(optimizer, activation=jax.nn.relu, scale=1e4 if case == "large scores" else 1.0)
    if case == "dead relu":
        (weight, bias), *rest = game.discriminator
        game.discriminator = [(weight, bias - 1e3), *rest]
    if case == "zero gradient":
        game.discriminator = jax.tree.map(jnp.zeros_like, game.discriminator)
    fake = game.fake(game.generator)
    scores = jnp.abs(mlp(game.discriminator, jnp.concatenate([fake, game.real]), jax.nn.relu))
    if case == "large scores":
        assert float(jnp.max(scores)) > 1e4
    gradient_at = relu_gradient(optimizer)
    for fresh in (True, False):
        state = game.make(game.rate).init(game.discriminator) if fresh else game.opt_state
        gradient = gradient_at(game.generator, game.discriminator, state)
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))


def test_optax_adam_without_eps_root_is_not_finite():
    """Why `eps_root` is 1e-30 here: if optax ever mends this, the default can go."""
    game = Game("adam", activation=jax.nn.relu)
    (weight, bias), *rest = game.discriminator
    game.discriminator = [(weight, bias - 1e3), *rest]
    game.make = lambda rate: optax.adam(rate, b1=0.5)
    gradient = jax.grad(functools.partial(game.objective, opt_state=game.make(0.1).init(game.discriminator)))
    assert not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient(game.generator)))


def test_vmap_over_runs_equals_a_loop(float64):
    game = Game("adam")
    runs = [jax.tree.map(lambda p, s=s: (1 + s) * p, game.generator) for s in (0.0, 0.3)]
    rates = jnp.array([1e-2, 3e-2])
    gradient = jax.jit(jax.grad(lambda g, rate: game.objective(g, rate=rate, memory="sqrt")))
    stacked = jax.vmap(gradient)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs), rates)
    for index, run in enumerate(runs):
        one = jax.tree.map(lambda leaf, i=index: leaf[i], stacked)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14), one, gradient(run, rates[index])
        )


@pytest.mark.parametrize("gradient", [Exact(), Implicit(damping=0.1), Implicit(solver="neumann")], ids=str)
def test_averaged_over_an_axis_it_is_one_rollout_on_the_joined_batch(float64, gradient):
    game = Game("adam")

    def objective(generator, latent, real, axis_name=None):
        fake = mlp(generator, latent)
        end = unroll(
            lambda p, _: game.loss(p, fake, real),
            game.make(game.rate),
            game.discriminator,
            game.opt_state,
            num_steps=5,
            gradient=gradient,
            axis_name=axis_name,
        )
        return jnp.mean(jax.nn.softplus(-mlp(end.params, fake)))

    whole = jax.jit(jax.grad(objective))(game.generator, game.latent, game.real)

    def half(latent, real):
        grads = jax.grad(functools.partial(objective, axis_name="devices"))(game.generator, latent, real)
        return jax.lax.pmean(grads, "devices")

    halves = game.latent.reshape(2, 8, 3), game.real.reshape(2, 8, 2)
    mapped = jax.pmap(half, axis_name="devices")(*halves)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-9, atol=1e-12), mapped, whole)


def test_what_cannot_be_unrolled_says_why():
    game = Game("sgd")
    with pytest.raises(ValueError, match="did you mean 'step'"):
        game.rollout(game.generator, memory="steps")
    with pytest.raises(ValueError, match=r"one number of steps.*3, 5"):
        game.rollout(game.generator, batches=jnp.zeros(3))
    with pytest.raises(ValueError, match="one is a scalar: close over it"):
        game.rollout(game.generator, batches=1.0)
    with pytest.raises(ValueError, match="neither batches nor num_steps"):
        unroll(lambda x, _: x, optax.sgd(0.1), 0.0, (), None)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 99, 100])
def test_blocks_cover_the_steps(num_steps):
    assert 1 <= block_size(num_steps) ** 2 <= num_steps
