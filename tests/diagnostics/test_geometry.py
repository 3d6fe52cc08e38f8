"""Eigenvalues of the game: against closed forms, and those found by products against those of the whole matrix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.geometry import blocks, jacobian_product, make_field, mean_field, spectrum, spectrum_summary
from gan_jax.losses.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def of_losses(generator_loss, discriminator_loss, generator, discriminator, data=None):
    """(product, number of parameters) of a game at a point."""
    field, at = make_field(generator_loss, discriminator_loss, generator, discriminator)
    return jacobian_product(field, at, data), at.shape[0]


def by_size(values):
    return np.array(sorted(values, key=lambda value: (round(abs(value), 6), round(value.imag, 6))))


def matrix_product(matrix):
    return lambda u: matrix @ u


def test_the_bilinear_game_only_turns():
    a = np.random.default_rng(0).standard_normal((5, 7))
    product, dim = of_losses(lambda x, y, _: x @ a @ y, lambda x, y, _: -(x @ a @ y), jnp.zeros(5), jnp.zeros(7))
    found = spectrum(product, dim)
    turns = 1j * np.sqrt(np.linalg.eigvalsh(a @ a.T))
    np.testing.assert_allclose(by_size(found.values), by_size([*turns, *-turns, 0, 0]), atol=1e-6)
    assert found.complete
    summary = spectrum_summary(found.values)
    assert (summary["share_complex"], summary["rotation"], summary["largest_step"]) == (1, pytest.approx(1), None)
    assert summary["attraction"] == pytest.approx(0, abs=1e-6)
    made_of = blocks(product, 5, dim)
    assert made_of.rotation == pytest.approx(1)
    assert np.all(np.diag(made_of.norms) == 0)
    for norm, error in zip(made_of.norms[[0, 1], [1, 0]], made_of.norm_errors[[0, 1], [1, 0]], strict=True):
        assert norm == pytest.approx(np.linalg.norm(a), abs=5 * error)


SLOPES = {"minimax": (Minimax(), 0.5), "non_saturating": (NonSaturating(), 0.5), "wasserstein": (Wasserstein(), 1.0)}


def dirac(objective, gamma=0.0):
    """The Dirac-GAN at its equilibrium, with R1: data at 0, G a point, D a slope (Mescheder et al. 2018)."""
    criterion = objective.criterion()

    def of_generator(theta, psi, _):
        return criterion.generator(theta * psi, None, None)

    def of_discriminator(theta, psi, _):
        return criterion.real(0.0 * psi, None, None) + criterion.fake(theta * psi, None, None) + gamma / 2 * psi**2

    return of_losses(of_generator, of_discriminator, jnp.zeros(()), jnp.zeros(()))


@pytest.mark.parametrize("name", SLOPES)
def test_the_dirac_gan_circles_its_equilibrium(name):
    objective, slope = SLOPES[name]
    found = spectrum(*dirac(objective))
    np.testing.assert_allclose(by_size(found.values), [-1j * slope, 1j * slope], atol=1e-9)


@pytest.mark.parametrize("gamma", [0.3, 1.5, 4.0])
@pytest.mark.parametrize("name", SLOPES)
def test_r1_makes_it_converge(name, gamma):
    objective, slope = SLOPES[name]
    found = spectrum(*dirac(objective, gamma))
    root = np.sqrt(complex(gamma**2 / 4 - slope**2))
    np.testing.assert_allclose(by_size(found.values), by_size([-gamma / 2 + root, -gamma / 2 - root]), atol=1e-8)
    summary = spectrum_summary(found.values)
    assert summary["share_repelling"] == 0
    # Below that step |1 + step lambda| < 1 for every eigenvalue, and not above it.
    step = summary["largest_step"]
    assert np.max(np.abs(1 + 0.999 * step * found.values)) < 1 < np.max(np.abs(1 + 1.001 * step * found.values))


def test_other_objectives_of_the_dirac_gan():
    assert np.abs(spectrum(*dirac(Hinge())).values) == pytest.approx(1)
    # G is drawn past the data by least squares with the targets 0 and 1, and D does not answer: a double 0.
    np.testing.assert_allclose(spectrum(*dirac(LeastSquares())).values, 0, atol=1e-6)


def test_a_game_of_one_loss_does_not_turn(key):
    def loss(x, y, _):
        return 2 * x @ x + y @ y + x[0] * y[1]

    product, dim = of_losses(loss, loss, jnp.ones(3), jnp.ones(2))
    found = spectrum(product, dim)
    assert np.all(found.values.imag == 0)
    assert np.all(found.values.real < 0)
    assert blocks(product, 3, dim).rotation == pytest.approx(0, abs=1e-12)
    assert spectrum_summary(found.values)["attraction"] == pytest.approx(1)


def damped_game(num, seed=0):
    """A J of 2 num dimensions in a random basis, with the eigenvalues -d_i +- i w_i, and one of them repelling."""
    rng = np.random.default_rng(seed)
    damping, speed = rng.uniform(0, 0.2, num), rng.uniform(0, 2, num)
    damping[0], speed[1], damping[2] = -1.0, 5.0, 6.0
    j = np.zeros((2 * num, 2 * num))
    for i in range(num):
        j[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[-damping[i], speed[i]], [-speed[i], -damping[i]]]
    q, _ = np.linalg.qr(rng.standard_normal((2 * num, 2 * num)))
    return q @ j @ q.T, -damping + 1j * speed


def test_products_alone_find_the_rim_of_the_spectrum():
    matrix, truth = damped_game(300)
    found = spectrum(matrix_product(matrix), 600, num_values=8, dense_up_to=100)
    assert not found.complete
    assert found.missing == 0
    assert found.num_products < 150
    summary = spectrum_summary(found.values)
    for name, index in (("rightmost", 0), ("fastest", 1), ("largest", 2)):
        np.testing.assert_allclose(summary[name], [truth[index].real, abs(truth[index].imag)], atol=1e-4)
    assert np.all(found.errors < 1e-5 * 7)
    every = np.concatenate([truth, np.conj(truth)])
    assert all(np.min(np.abs(every - value)) < 1e-3 for value in found.values)
    assert all(np.min(np.abs(np.conj(value) - found.values)) < 1e-9 for value in found.values)


def test_what_has_not_converged_is_left_out_and_counted():
    matrix, truth = damped_game(300)
    found = spectrum(matrix_product(matrix), 600, num_values=40, dense_up_to=100, max_products=12)
    assert found.num_products == 12
    assert found.missing > 0
    every = np.concatenate([truth, np.conj(truth)])
    assert all(np.min(np.abs(every - value)) < 1e-3 for value in found.values)


def test_a_space_that_ends_early_is_exact():
    # Two pairs of eigenvalues, hundreds of times each: four products span all that there is to see from one vector.
    rng = np.random.default_rng(1)
    turn = np.kron(np.diag([1.0] * 200 + [3.0] * 300), [[-0.5, 1.0], [-1.0, -0.5]])
    q, _ = np.linalg.qr(rng.standard_normal((1000, 1000)))
    found = spectrum(matrix_product(q @ turn @ q.T), 1000, dense_up_to=10)
    assert found.num_products == 4
    np.testing.assert_allclose(by_size(found.values), by_size([-0.5 + 1j, -0.5 - 1j, -1.5 + 3j, -1.5 - 3j]), atol=1e-9)


def test_blocks_are_those_of_the_matrix():
    matrix = np.random.default_rng(2).standard_normal((90, 90))
    matrix[:30] *= 3
    made_of = blocks(matrix_product(matrix), 30, 90, num_directions=200)
    wanted = [[np.linalg.norm(matrix[a, b]) for b in (slice(30), slice(30, 90))] for a in (slice(30), slice(30, 90))]
    assert np.all(np.abs(made_of.norms - wanted) < 5 * made_of.norm_errors)
    assert np.all(made_of.norm_errors < 0.02 * np.array(wanted))
    antisymmetric = np.linalg.norm((matrix - matrix.T) / 2) ** 2 / np.linalg.norm(matrix) ** 2
    assert made_of.rotation == pytest.approx(antisymmetric, abs=5 * made_of.rotation_error)


def test_the_mean_of_a_field_is_that_of_its_batches(key):
    def loss(x, y, data):
        return jnp.mean(jnp.tanh(data @ x) * (data @ y))

    data = jax.random.normal(key, (6, 4, 3))
    field, at = make_field(loss, lambda *args: -loss(*args), jnp.ones(3), jnp.arange(3.0))
    np.testing.assert_allclose(mean_field(field)(at, data), field(at, data.reshape(24, 3)), rtol=1e-9)
    product = jacobian_product(mean_field(field), at, data)
    u = np.linspace(-1, 1, 6)
    h = 1e-5
    difference = (field(at + h * u, data.reshape(24, 3)) - field(at - h * u, data.reshape(24, 3))) / (2 * h)
    np.testing.assert_allclose(product(u), difference, rtol=1e-6, atol=1e-8)


def test_wrong_inputs():
    with pytest.raises(ValueError, match="num_values is 3, and must be at least 4"):
        spectrum(matrix_product(np.eye(3)), 3, num_values=3)
    product, dim = of_losses(lambda x, y, _: jnp.sqrt(x) * y, lambda x, y, _: -x * y, jnp.zeros(()), jnp.zeros(()))
    with pytest.raises(ValueError, match="the Jacobian of the game is not finite"):
        spectrum(product, dim)
