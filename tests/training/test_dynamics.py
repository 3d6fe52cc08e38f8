"""Dynamics: the contract of every rule, dense formulas, and the closed forms of the bilinear game and the Dirac-GAN."""

from __future__ import annotations

import cmath
import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax.experiment.configs import load
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.dynamics import (
    DYNAMICS,
    Alternating,
    Competitive,
    Consensus,
    Dynamics,
    Extragradient,
    Pair,
    Simultaneous,
    SymplecticAdjustment,
    field,
)
from gan_jax.training.optimizers import SGD, OptimisticAdam, OptimisticSGD
from gan_jax.training.steps import train_step

RULES = [
    Simultaneous(),
    Alternating(),
    Extragradient(),
    Consensus(weight=0.3),
    SymplecticAdjustment(weight=0.7),
    SymplecticAdjustment(weight=0.7, aligned=False),
    Competitive(num_iterations=4, tolerance=1e-14),
    Competitive(num_iterations=8, tolerance=1e-14, solver="bicgstab"),
]
RATES = Pair(0.1, 0.2)


def name(rule):
    return f"{type(rule).__name__}{getattr(rule, 'solver', '')}{'' if getattr(rule, 'aligned', True) else '-unaligned'}"


every_rule = pytest.mark.parametrize("rule", RULES, ids=name)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def quadratic(examples, params):
    """A general-sum game of 4 + 3 parameters, quadratic in them and linear in the data: [batch, 2, 7, 7]."""
    vector = jnp.concatenate([params.generator["a"], params.generator["b"].ravel(), params.discriminator])
    values = jnp.einsum("nkij,i,j->k", examples, vector, vector) / examples.shape[0]
    return Pair(values[0] + vector[0], values[1] - vector[5]), {"sum": jnp.sum(vector), "count": jnp.int32(7)}


def game(dtype=float):
    random = np.random.default_rng(0)
    parts = (jnp.asarray(random.normal(size=size), dtype) for size in [(2,), (1, 2), (3,), (6, 2, 7, 7)])
    a, b, discriminator, examples = parts
    return examples, Pair({"a": a, "b": b}, discriminator)


def descend(params, rates=RATES):
    def move(direction):
        gen, disc = (
            jax.tree.map(lambda p, d, rate=rate: p - jnp.asarray(rate, p.dtype) * d, *pair)
            for rate, pair in zip(rates, zip(params, direction, strict=True), strict=True)
        )
        return Pair(gen, disc)

    return move


def step_of(rule, examples, params, average=lambda tree: tree):
    losses = functools.partial(quadratic, examples)
    return rule.direction(losses, params, descend(params), RATES, average)


jitted = jax.jit(lambda rule, examples, params: step_of(rule, examples, params))


@jax.jit
def flat_field(examples, flat):
    unravel = ravel_pytree(game()[1])[1]
    return ravel_pytree(field(functools.partial(quadratic, examples), unravel(flat))[0])[0]


flat_jacobian = jax.jit(jax.jacobian(flat_field, argnums=1))


@every_rule
def test_contract(rule):
    examples, params = game()
    assert isinstance(rule, Dynamics)
    names = list(inspect.signature(rule.direction).parameters)
    assert names == ["losses", "params", "move", "rates", "average"]
    assert isinstance(rule.gradient_evaluations, int)
    assert rule.gradient_evaluations >= 1
    direction, aux = jitted(rule, examples, params)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), direction) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), params
    )
    wanted = quadratic(examples, params)[1]
    jax.tree.map(np.testing.assert_allclose, aux, wanted)

    def agree(a, b):
        np.testing.assert_allclose(ravel_pytree(a)[0], ravel_pytree(b)[0], rtol=1e-9, atol=1e-12)

    agree(direction, step_of(rule, examples, params)[0])
    half = jax.tree.map(lambda leaf: leaf / 2, params)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), params, half)
    mapped, _ = jax.jit(jax.vmap(step_of, in_axes=(None, None, 0)))(rule, examples, both)
    agree(jax.tree.map(lambda leaf: leaf[0], mapped), direction)
    agree(jax.tree.map(lambda leaf: leaf[1], mapped), jitted(rule, examples, half)[0])
    # Settings are leaves: other values, the same program.
    programs = jitted._cache_size()
    jitted(jax.tree.map(lambda leaf: leaf * 1.5, rule), examples, params)
    assert jitted._cache_size() == programs


@every_rule
def test_float32_is_kept(rule):
    examples, params = game(jnp.float32)
    direction, _ = jax.eval_shape(step_of, rule, examples, params)
    assert {leaf.dtype for leaf in jax.tree.leaves(direction)} == {jnp.dtype("float32")}


def test_the_table_has_every_rule():
    assert {type(rule) for rule in RULES} == set(DYNAMICS)


@every_rule
def test_dense_formulas(rule):
    examples, params = game()
    flat = np.asarray(ravel_pytree(params)[0])
    own, jacobian = np.asarray(flat_field(examples, flat)), np.asarray(flat_jacobian(examples, flat))
    rates = np.repeat(RATES, [4, 3])
    gen = np.arange(7) < 4
    if isinstance(rule, Simultaneous):
        wanted = own
    elif isinstance(rule, Alternating):
        wanted = np.where(gen, flat_field(examples, flat - np.where(gen, 0, rates * own)), own)
    elif isinstance(rule, Extragradient):
        wanted = flat_field(examples, flat - rates * own)
    elif isinstance(rule, Consensus):
        wanted = own + 0.3 * jacobian.T @ own
    elif isinstance(rule, SymplecticAdjustment):
        slope = jacobian.T @ own
        adjustment = (jacobian - jacobian.T).T / 2 @ own
        sign = np.sign((own @ slope) * (adjustment @ slope) / 7 + 0.1) if rule.aligned else 1.0
        wanted = own + 0.7 * sign * adjustment
    else:
        mixed = np.where(gen[:, None] != gen[None], jacobian, 0.0)
        wanted = np.linalg.solve(np.eye(7) + mixed * rates[None], own)
    direction, _ = jitted(rule, examples, params)
    np.testing.assert_allclose(ravel_pytree(direction)[0], wanted, rtol=1e-9, atol=1e-11)


def test_both_signs_of_the_alignment_occur():
    # A rotation about a minimum of both losses, which should attract, and about a maximum, which should repel.
    for sign in (1.0, -1.0):

        def losses(w, sign=sign):
            radial = sign * (w.generator**2 + w.discriminator**2) / 2
            return Pair(radial + w.generator * w.discriminator, radial - w.generator * w.discriminator), ()

        at = Pair(jnp.array(3.0), jnp.array(1.0))
        rules = [SymplecticAdjustment(aligned=aligned) for aligned in (True, False)]
        directions, own = jax.jit(
            lambda at, losses=losses, rules=rules: (
                [rule.direction(losses, at, None, RATES)[0] for rule in rules],
                field(losses, at)[0],
            )
        )(at)
        adjusted, plain = (np.subtract(direction, own) for direction in directions)
        np.testing.assert_allclose(adjusted, sign * plain)


@pytest.mark.parametrize("rule", RULES[2:5] + RULES[7:], ids=name)
def test_two_devices_equal_one_on_the_joined_batch(rule):
    examples, params = game()
    joined, _ = jitted(rule, examples, params)
    mean = functools.partial(jax.lax.pmean, axis_name="devices")
    on_device = jax.pmap(lambda part: step_of(rule, part, params, mean)[0], axis_name="devices")
    parts = on_device(examples.reshape(2, 3, *examples.shape[1:]))
    for device in range(2):
        apart = jax.tree.map(lambda leaf, device=device: leaf[device], parts)
        np.testing.assert_allclose(ravel_pytree(apart)[0], ravel_pytree(joined)[0], rtol=1e-9)


def test_conjugate_gradients_solve_zero_sum_games():
    examples, params = game()
    examples = examples.at[:, 1].set(-examples[:, 0])
    directions = [
        jitted(Competitive(num_iterations=4, tolerance=1e-14, solver=solver), examples, params)[0]
        for solver in ("cg", "gmres")
    ]
    np.testing.assert_allclose(*(ravel_pytree(direction)[0] for direction in directions), rtol=1e-9)


def test_costs_in_gradient_evaluations():
    costs = [rule.gradient_evaluations for rule in (Simultaneous(), Alternating(), Extragradient(), Consensus())]
    assert costs == [1, 1, 2, 3]
    assert SymplecticAdjustment().gradient_evaluations == 5
    solvers = [Competitive(num_iterations=5, solver=s).gradient_evaluations for s in ("cg", "bicgstab", "gmres")]
    assert solvers == [15, 25, 17]


# ---- The bilinear game: L_G = x y, L_D = -x y, whose field rotates: F = J w with J = [[0, 1], [-1, 0]]. --------------


def bilinear(w):
    return Pair(w.generator * w.discriminator, -w.generator * w.discriminator), ()


def dirac(w):
    """The Dirac-GAN in Minimax form with D's scores 0 on real data and theta * psi on fakes."""
    value = jax.nn.softplus(w.generator * w.discriminator) + math.log(2)
    return Pair(-value, value), ()


@functools.partial(jax.jit, static_argnames=("losses", "num_steps"))
def play(losses, rule, optimizer, start, rate, num_steps):
    make = optimizer.make(rate)

    def body(carry, _):
        params, state = carry
        direction, _ = rule.direction(losses, params, descend(params, (rate, rate)), Pair(rate, rate))
        updates, state = make.update(direction, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), jnp.stack(params)

    return jax.lax.scan(body, (start, make.init(start)), length=num_steps)[1]


def trajectory(losses, rule, start, rate, num_steps, optimizer=None):
    """[num_steps + 1, 2] points (x, y)."""
    at = Pair(*map(jnp.asarray, start))
    return np.concatenate([np.asarray(start)[None], play(losses, rule, optimizer or SGD(), at, rate, num_steps)])


def factors(points):
    """By what a trajectory's distance from the origin is multiplied in each step."""
    distance = np.hypot(*points.T)
    return distance[1:] / distance[:-1]


def optimistic_radius(rate):
    """The larger root of z^2 - (1 - 2 i rate) z - i rate: the companion matrix of w' = w - rate J (2 w - w_before)."""
    half = (1 - 2j * rate) / 2
    root = cmath.sqrt(half**2 + 1j * rate)
    return max(abs(half + root), abs(half - root))


@pytest.mark.parametrize("rate", [0.1, 0.6])
@pytest.mark.parametrize(
    ("rule", "factor"),
    [
        (Simultaneous(), lambda r: math.sqrt(1 + r**2)),
        (Extragradient(), lambda r: math.sqrt((1 - r**2) ** 2 + r**2)),
        (Consensus(weight=0.5), lambda r: math.sqrt((1 - 0.5 * r) ** 2 + r**2)),
        (SymplecticAdjustment(weight=0.7), lambda r: math.sqrt((1 - 0.7 * r) ** 2 + r**2)),
        (SymplecticAdjustment(weight=0.7, aligned=False), lambda r: math.sqrt((1 - 0.7 * r) ** 2 + r**2)),
        (Competitive(tolerance=1e-14, solver="cg"), lambda r: 1 / math.sqrt(1 + r**2)),
        (Competitive(tolerance=1e-14, solver="bicgstab"), lambda r: 1 / math.sqrt(1 + r**2)),
    ],
    ids=lambda value: name(value) if hasattr(value, "direction") else None,
)
def test_bilinear_factors_a_step(rule, factor, rate):
    points = trajectory(bilinear, rule, (1.0, -0.5), rate, 30)
    np.testing.assert_allclose(factors(points), factor(rate), rtol=1e-12)


def test_bilinear_alternating_keeps_its_invariant():
    rate = 0.3
    x, y = trajectory(bilinear, Alternating(), (1.0, -0.5), rate, 2_000).T
    np.testing.assert_allclose(x**2 + y**2 + rate * x * y, 1.25 - 0.5 * rate, rtol=1e-11)
    # The invariant's ellipse has the axes 1 / (1 +- rate / 2): bounded, and no nearer to the equilibrium.
    size = (x**2 + y**2) / (1.25 - 0.5 * rate)
    assert 1 / (1 + rate / 2) * (1 - 1e-9) <= size.min() < size.max() <= 1 / (1 - rate / 2) * (1 + 1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_bilinear_optimistic_converges_at_the_radius_of_its_companion_matrix(rate):
    points = trajectory(bilinear, Simultaneous(), (1.0, -0.5), rate, 300, OptimisticSGD())
    assert optimistic_radius(rate) < 1
    np.testing.assert_allclose(factors(points)[100:], optimistic_radius(rate), rtol=1e-9)


def test_bilinear_generalised_optimism_is_its_recursion():
    w, before, rate = complex(1.0, -0.5), complex(1.0, -0.5), 0.2
    wanted = []
    for _ in range(20):
        # With w = x + i y the field (y, -x) is -i w.
        w, before = w - rate * -1j * (1.5 * w - 0.7 * before), w
        wanted.append([w.real, w.imag])
    points = trajectory(bilinear, Simultaneous(), (1.0, -0.5), rate, 20, OptimisticSGD(alpha=0.8, beta=0.7))
    np.testing.assert_allclose(points[1:], wanted, rtol=1e-12)


def test_optimistic_adam_is_the_published_recursion():
    optimizer = OptimisticAdam(b1=0.5, b2=0.9, eps=1e-3)
    transformation = optimizer.make(0.1)
    state, first, second, before, w, got = transformation.init(jnp.array(1.0)), 0.0, 0.0, None, 1.0, jnp.array(1.0)
    for step, grad in enumerate([0.3, -0.2, 0.5, 0.1], start=1):
        first, second = 0.5 * first + 0.5 * grad, 0.9 * second + 0.1 * grad**2
        ratio = first / (1 - 0.5**step) / (math.sqrt(second / (1 - 0.9**step)) + 1e-3)
        w -= 0.1 * (2 * ratio - (ratio if before is None else before))
        before = ratio
        updates, state = transformation.update(jnp.array(grad), state, got)
        got = optax.apply_updates(got, updates)
        assert float(got) == pytest.approx(w, rel=1e-12)


# ---- The Dirac-GAN. Near the equilibrium it is the bilinear game at half the rate. -----------------------------------


@pytest.mark.parametrize(
    ("rule", "optimizer", "factor"),
    [
        (Extragradient(), SGD(), math.sqrt((1 - 0.25**2) ** 2 + 0.25**2)),
        (Simultaneous(), OptimisticSGD(), optimistic_radius(0.25)),
        (Competitive(tolerance=1e-14, solver="cg"), SGD(), 1 / math.sqrt(1 + 0.25**2)),
        (Consensus(weight=1.0), SGD(), math.sqrt((1 - 0.125) ** 2 + 0.25**2)),
        (SymplecticAdjustment(), SGD(), math.sqrt((1 - 0.125) ** 2 + 0.25**2)),
    ],
    ids=["extragradient", "optimistic", "competitive", "consensus", "symplectic"],
)
def test_dirac_converges_at_the_rate_of_the_linearisation(rule, optimizer, factor):
    points = trajectory(dirac, rule, (1.0, 1.0), 0.5, 600, optimizer)
    distance = np.hypot(*points.T)
    small = (distance[:-1] < 1e-4) & (distance[1:] > 1e-30)
    assert small.sum() > 20
    # The neglected terms are of third order: relative distance^2 = 1e-8.
    np.testing.assert_allclose(factors(points)[small][10:], factor, rtol=1e-7)


def test_dirac_simultaneous_leaves_the_equilibrium_and_alternating_circles_it():
    points = trajectory(dirac, Simultaneous(), (1e-3, 0.0), 0.5, 400)
    distance = np.hypot(*points.T)
    assert np.all(np.diff(distance) > 0)
    assert distance[-1] > 1
    np.testing.assert_allclose(factors(points)[:50], math.sqrt(1 + 0.25**2), rtol=1e-5)
    distance = np.hypot(*trajectory(dirac, Alternating(), (0.5, 0.0), 0.5, 2_000).T)
    assert 0.4 < distance.min() < distance.max() < 0.6


def by_hand(rule, theta, psi, rate, before):
    """(the direction, the field) of one step at (theta, psi), from the derivatives written out."""

    def slopes(theta, psi):
        s = 1 / (1 + math.exp(-theta * psi))
        return s, np.array([-s * psi, s * theta])

    s, own = slopes(theta, psi)
    curve = s * (1 - s)
    mixed = s + curve * theta * psi
    jacobian = np.array([[-curve * psi**2, -mixed], [mixed, curve * theta**2]])
    if rule == "simultaneous":
        return own, own
    if rule == "optimistic":
        return 2 * own - (own if before is None else before), own
    if rule == "alternating":
        return np.array([slopes(theta, psi - rate * own[1])[1][0], own[1]]), own
    if rule == "extragradient":
        return slopes(*(np.array([theta, psi]) - rate * own))[1], own
    if rule == "consensus":
        return own + 0.4 * jacobian.T @ own, own
    if rule == "symplectic":
        slope, adjustment = jacobian.T @ own, mixed * np.array([own[1], -own[0]])
        return own + np.sign((own @ slope) * (adjustment @ slope) / 2 + 0.1) * adjustment, own
    u = (own[0] + rate * mixed * own[1]) / (1 + (rate * mixed) ** 2)
    return np.array([u, own[1] - rate * mixed * u]), own


@pytest.mark.parametrize(
    ("rule", "dynamics", "optimizer"),
    [
        ("simultaneous", Simultaneous(), SGD()),
        ("alternating", Alternating(), SGD()),
        ("optimistic", Simultaneous(), OptimisticSGD()),
        ("extragradient", Extragradient(), SGD()),
        ("consensus", Consensus(weight=0.4), SGD()),
        ("symplectic", SymplecticAdjustment(), SGD()),
        ("competitive", Competitive(tolerance=1e-14, solver="cg"), SGD()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_training_step_plays_the_dirac_gan(rule, dynamics, optimizer, key):
    experiment = override(load("dirac"), "dynamics", dynamics)
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.optimizer", optimizer)

    @jax.jit
    def run(experiment, state):
        def body(state, _):
            state, _ = train_step(experiment, (), state)
            theta, psi = (jax.tree.leaves(p.variables.params) for p in (state.generator, state.discriminator))
            return state, jnp.concatenate([*theta, *psi])

        return jax.lax.scan(body, state, length=60)[1]

    point, before, wanted = np.array([1.0, 1.0]), None, []
    for _ in range(60):
        direction, before = by_hand(rule, *point, 0.1, before)
        point = point - 0.1 * direction
        wanted.append(point)
    np.testing.assert_allclose(
        run(experiment, compiled_init(experiment, key)), np.stack(wanted), rtol=1e-10, atol=1e-12
    )
