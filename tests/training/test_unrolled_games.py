"""Unrolling on the bilinear game and the Dirac-GAN: the real training step against recursions derived by hand, float64.

Both games are played by a point theta (G, learning rate a) and a slope psi (D, learning rate b) about data at 0. D's K
inner updates are on the same batch, that is against the same theta. G's gradient goes through the last j of them: j = K
for `Exact`, 0 for `FirstOrder`.

The bilinear game, L_D = theta psi = -L_G. The rollout ends at psi_K = psi - K b theta, and

    G's gradient = -(psi_K + theta d psi_K / d theta) = -(psi - (K + j) b theta),

so that a simultaneous step is the matrix [[1 - (K + j) a b, a], [-b, 1]] on (theta, psi), of determinant
1 + a b - (K + j) a b. Where D moves first, G's rollout starts from psi - b theta: the upper left entry is then
1 - (1 + K + j) a b, and the determinant 1 - (K + j) a b. Looking one update ahead to first order, both at once, is the
plain alternating game.

The Dirac-GAN is that game times sigmoid(theta psi), which is 1/2 at the equilibrium (0, 0).

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, equations 7 to 10.
    L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018, section 2.
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override, stack
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.dynamics import Alternating, Simultaneous
from gan_jax.training.steps import shares_first_update, train_step
from gan_jax.unroll import FirstOrder, Truncated

NUM_STEPS = 80
RATES = ((0.1, 0.1), (0.05, 0.15), (0.4, 0.3))
"""(a, b). The eigenvalues of a step are complex at the first two, and real at the last if K = 5."""
STARTS = ((1.0, 1.0), (0.7, -0.4), (1e-5, 2e-5))
CASES = list(itertools.product(RATES, STARTS))
ORDERS = (Simultaneous(), Alternating())

UNROLLS = {
    "plain": (0, 0, None, (+1, 0)),
    "1 first order": (1, 0, Unroll(num_steps=1, gradient=FirstOrder()), (0, -1)),
    "1 exact": (1, 1, Unroll(num_steps=1), (-1, -2)),
    "5 first order": (5, 0, Unroll(num_steps=5, gradient=FirstOrder()), (-4, -5)),
    "5 truncated to 2": (5, 2, Unroll(num_steps=5, gradient=Truncated(2)), (-6, -7)),
    "5 exact": (5, 5, Unroll(num_steps=5), (-9, -10)),
    "5 exact, forward": (5, 5, Unroll(num_steps=5, mode="forward"), (-9, -10)),
    "5 truncated to 2, forward": (5, 2, Unroll(num_steps=5, gradient=Truncated(2), mode="forward"), (-6, -7)),
}
"""By name: K, j, the setting, and by how many a b the determinant of a step of the bilinear game differs from 1."""

every_unroll = pytest.mark.parametrize("unrolled", UNROLLS)


@jax.jit
def run(games):
    """[cases, NUM_STEPS, 2] points (theta, psi) for each pair of stacked experiments and states, in one program."""

    def steps(experiment, state):
        def step(state, _):
            state, _ = train_step(experiment, (), state)
            players = (state.generator.variables.params["point"], state.discriminator.variables.params["direction"])
            return state, jnp.concatenate(players)

        return jax.lax.scan(step, state, length=NUM_STEPS)[1]

    return [jax.vmap(steps)(*game) for game in games]


def trajectories(config, unrolled):
    """By order of play: [cases, NUM_STEPS + 1, 2], from the start on, by the training step."""

    def game(dynamics):
        experiments = []
        for rates, starts in CASES:
            experiment = override(load(config), "dynamics", dynamics)
            experiment = override(experiment, "generator.unroll", UNROLLS[unrolled][2])
            for player, rate, start in zip(("generator", "discriminator"), rates, starts, strict=True):
                experiment = override(experiment, f"{player}.learning_rate", rate)
                experiment = override(experiment, f"{player}.network.start", start)
            experiments.append(experiment)
        states = [compiled_init(experiment, jax.random.key(0)) for experiment in experiments]
        return stack(experiments), jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    starts = np.array([start for _, start in CASES])[:, None]
    with jax.enable_x64(True):
        points = [np.asarray(part) for part in run([game(dynamics) for dynamics in ORDERS])]
    assert {part.dtype for part in points} == {np.dtype("float64")}
    return [np.concatenate([starts, part], axis=1) for part in points]


def matrix(num_steps, through, dynamics, rates, coupling=1.0):
    """A step of the bilinear game in which D pays coupling * theta * psi."""
    a, b = coupling * rates[0], coupling * rates[1]
    answers = num_steps + through + isinstance(dynamics, Alternating)
    return np.array([[1 - answers * a * b, a], [-b, 1]])


def dirac_step(point, num_steps, through, dynamics, rates):
    """A step of the Dirac-GAN by the chain rule, in scalars.

    With s = sigmoid(theta psi), D descends s theta. Of an inner update psi' = psi - b theta s(theta psi) the derivative
    in theta is p' = p - b (s + theta s (1 - s) (psi + theta p)), where p is that of psi: 0 at the start of the rollout,
    and until its last `through` updates. G descends -s (psi_K + theta p_K).
    """

    def s(theta, psi):
        return 1 / (1 + math.exp(-theta * psi))

    theta, psi = point
    moved = psi - rates[1] * s(theta, psi) * theta
    ahead, slope = moved if isinstance(dynamics, Alternating) else psi, 0.0
    for index in range(num_steps):
        value = s(theta, ahead)
        if index >= num_steps - through:
            slope -= rates[1] * (value + theta * value * (1 - value) * (ahead + theta * slope))
        ahead -= rates[1] * theta * value
    return np.array([theta + rates[0] * s(theta, ahead) * (ahead + theta * slope), moved])


def follows(points, step):
    """Every point is what the step makes of the start, to 1e-10 of its distance from the equilibrium."""
    wanted = points[0]
    for got in points[1:]:
        wanted = step(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.linalg.norm(wanted))


def contracts(points, jacobian, tolerance, least):
    """Along an eigenvector l of the transposed Jacobian, |<l, point>| is multiplied by |eigenvalue| in each step.

    Of two real eigenvalues the smaller one's part is lost beside the other's: it is looked at while above `least`.
    """
    values, vectors = np.linalg.eig(jacobian.T)
    for value, vector in zip(values, vectors.T, strict=True):
        along = np.abs(points @ vector)
        seen = along[1:] > least * np.linalg.norm(points[1:], axis=-1)
        assert seen.sum() >= 2
        np.testing.assert_allclose((along[1:] / along[:-1])[seen], abs(value), rtol=tolerance)


@every_unroll
def test_the_bilinear_game(unrolled):
    num_steps, through, _, shifts = UNROLLS[unrolled]
    for dynamics, shift, runs in zip(ORDERS, shifts, trajectories("bilinear", unrolled), strict=True):
        for (rates, _), points in zip(CASES, runs, strict=True):
            step = matrix(num_steps, through, dynamics, rates)
            follows(points, lambda point, step=step: step @ point)
            contracts(points, step, tolerance=1e-9, least=1e-6)
        for rates in RATES[:2]:
            first, second = (runs[CASES.index((rates, start))] for start in STARTS[:2])
            # The area that two trajectories span is multiplied by the determinant.
            areas = np.linalg.det(np.stack([first, second], axis=-1))
            np.testing.assert_allclose(areas[1:] / areas[:-1], 1 + shift * rates[0] * rates[1], rtol=1e-9)
            # The eigenvalues are complex here, of modulus sqrt(det): it diverges above 1, cycles at 1, converges below.
            distance = np.linalg.norm(first, axis=-1)
            change = distance[-20:].max() / distance[:20].max()
            assert change == pytest.approx(1, abs=0.15) if shift == 0 else (change > 1) == (shift > 0)


@every_unroll
def test_the_dirac_gan(unrolled):
    num_steps, through, _, _ = UNROLLS[unrolled]
    size = 1e-4
    for dynamics, runs in zip(ORDERS, trajectories("dirac", unrolled), strict=True):
        for (rates, start), points in zip(CASES, runs, strict=True):

            def step(point, dynamics=dynamics, rates=rates):
                return dirac_step(point, num_steps, through, dynamics, rates)

            follows(points, step)
            if start != STARTS[-1]:
                continue
            # Near the equilibrium. Terms of second order are absent, so that differences are exact to size^2.
            jacobian = np.stack([(step(size * e) - step(-size * e)) / (2 * size) for e in np.eye(2)], axis=1)
            np.testing.assert_allclose(jacobian, matrix(num_steps, through, dynamics, rates, coupling=0.5), atol=1e-8)
            contracts(points, jacobian, tolerance=1e-7, least=1e-2)


def test_both_ways_to_take_the_step_are_covered():
    """Simultaneous unrolling shares D's update with the rollout, alternating cannot: the steps are other code."""
    for dynamics, shared in zip(ORDERS, (True, False), strict=True):
        experiment = override(load("bilinear"), "dynamics", dynamics)
        assert shares_first_update(override(experiment, "generator.unroll", Unroll())) == shared
