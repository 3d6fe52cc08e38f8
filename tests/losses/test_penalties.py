"""Penalties: the contract of each, and values worked out by hand."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses.penalties import (
    DISCRIMINATOR_PENALTIES,
    DRAGAN,
    R1,
    R2,
    WGANGP,
    Consistency,
    Drift,
    ElasticWeights,
    Equilibrium,
    HistoricalAveraging,
    Lazy,
    LeCam,
    Orthogonality,
    Penalty,
    StatefulPenalty,
    ZeroCenteredGP,
    score_gradients,
)
from gan_jax.networks.committee import Committee
from gan_jax.networks.packing import Packed
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.training.optimizers import SGD, WeightClipping
from tests.helpers import FAKE, PARAMS, REAL, penalty_view


def with_memory(penalty, **changes):
    memory = penalty.init(PARAMS) if isinstance(penalty, StatefulPenalty) else ()
    return penalty_view(memory=memory, **changes)


@pytest.mark.parametrize("cls", DISCRIMINATOR_PENALTIES)
def test_contract(cls):
    penalty = cls()
    assert isinstance(penalty, Penalty)
    traces = []

    def value(penalty, params, key):
        traces.append(1)
        memory = penalty.init(PARAMS) if isinstance(penalty, StatefulPenalty) else ()
        return penalty(penalty_view(params=params, memory=memory, key=key))

    keys = jax.random.split(jax.random.key(1), 3)
    jitted = jax.jit(value)
    eager = value(penalty, PARAMS, keys[0])
    assert eager.shape == ()
    assert eager.dtype == jnp.float32
    np.testing.assert_allclose(jitted(penalty, PARAMS, keys[0]), eager, rtol=1e-5)
    count = len(traces)
    jitted(jax.tree.map(lambda leaf: 2.0 * leaf, penalty), PARAMS, keys[0])
    assert len(traces) == count  # another weight compiles nothing
    batched = jax.vmap(value, (None, None, 0))(penalty, PARAMS, keys)
    np.testing.assert_allclose(batched, [value(penalty, PARAMS, k) for k in keys], rtol=1e-5)
    slopes = jax.grad(lambda p: value(penalty, p, keys[0]))(PARAMS)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("cls", [c for c in DISCRIMINATOR_PENALTIES if hasattr(c, "init")])
def test_memories_keep_their_structure_and_type(cls):
    penalty = cls()
    before = penalty.init(PARAMS)
    after = penalty.advance(penalty_view(memory=before, step=penalty.every_steps - 1 if cls is ElasticWeights else 0))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(before)] == [(x.shape, x.dtype) for x in jax.tree.leaves(after)]


def test_r1_of_a_quadratic_discriminator():
    # D(x) = a |x|^2: the gradient is 2 a x, and R1 is weight / 2 * mean of 4 a^2 |x|^2 over reals; R2 over fakes.
    view = penalty_view(lambda p, x: 0.7 * jnp.sum(x**2, axis=-1))
    for penalty, samples in ((R1(weight=3.0), REAL), (R2(weight=3.0), FAKE)):
        wanted = 1.5 * float(jnp.mean(4 * 0.49 * jnp.sum(samples**2, axis=-1)))
        assert float(penalty(view)) == pytest.approx(wanted, rel=1e-5)
    assert float(R1(weight=3.0, factor="one")(view)) == pytest.approx(2 * float(R1(weight=3.0)(view)))


def test_gradient_penalties_of_a_linear_discriminator():
    # |w| = 5 everywhere.
    view = penalty_view()
    assert float(WGANGP(weight=2.0)(view)) == pytest.approx(2 * (5 - 1) ** 2, rel=1e-5)
    assert float(ZeroCenteredGP(weight=2.0)(view)) == pytest.approx(2 * 25, rel=1e-5)
    assert float(DRAGAN(weight=2.0, target=3.0)(view)) == pytest.approx(2 * (5 - 3) ** 2, rel=1e-5)
    flat = penalty_view(lambda p, x: 0.5 * x[:, 0])
    assert float(WGANGP(weight=1.0, one_sided=True)(flat)) == 0
    assert float(WGANGP(weight=1.0)(flat)) == pytest.approx(0.25, rel=1e-5)


def test_every_example_has_its_own_point_between_real_and_fake():
    # D(x) = |x|^2 / 2 has the point itself as its gradient.
    points = []

    def score(x):
        jax.debug.callback(lambda value: points.append(np.asarray(value)), x)
        return 0.5 * jnp.sum(x**2, axis=-1)

    WGANGP()(penalty_view(real=jnp.ones((64, 2)), fake=jnp.zeros((64, 2)))._replace(score=score))
    jax.effects_barrier()
    drawn = points[-1]
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1])  # on the line
    assert len(np.unique(np.round(drawn[:, 0], 6))) == 64
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1


def test_the_three_dragans_perturb_as_their_names_say():
    real = jnp.tile(jnp.array([[-1.0, 1.0]]), (5000, 1))  # standard deviation 1
    view = penalty_view(real=real, fake=real)
    moved = {v: DRAGAN(variant=v, scale=0.3).perturbed(view) - real for v in ("compare_gan", "studiogan", "torchgan")}
    assert float(jnp.abs(moved["compare_gan"]).max()) <= 0.5
    assert float(moved["compare_gan"].min()) < -0.4
    assert float(moved["studiogan"].min()) >= 0
    assert float(moved["studiogan"].max()) <= 0.5
    # Uniform times uniform, halved, has mean 1/8; a normal has the scale it is given. 10,000 values, 5 standard errors.
    assert float(moved["studiogan"].mean()) == pytest.approx(0.125, abs=5 * 0.11 / 70)
    assert float(moved["torchgan"].std()) == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(20_000))
    clipped = DRAGAN(variant="compare_gan", low=-1.0, high=1.0).perturbed(view)
    assert float(clipped.min()) >= -1
    assert float(clipped.max()) <= 1


def test_gradients_are_of_each_score_of_a_pack_and_of_a_committee(key):
    network = Packed(network=LinearDiscriminator(start=2.0), num=2)
    variables = network.init(key, (2,))
    view = penalty_view(lambda p, x: network.apply(variables, x, train=True)[0])
    slopes = score_gradients(view, REAL)
    np.testing.assert_allclose(slopes, np.full((2, 4), 2.0))  # two packs of two examples in two dimensions
    assert float(WGANGP(weight=1.0)(view)) == pytest.approx((4 - 1) ** 2, rel=1e-5)  # |(2, 2, 2, 2)| = 4

    members = Committee(network=LinearDiscriminator(), num=2)
    made = members.init(key, (2,))
    made = made._replace(params=jax.tree.map(lambda leaf: leaf * jnp.array([[1.0], [3.0]]), made.params))
    view = penalty_view(lambda p, x: members.apply(made, x, train=True)[0], num_heads=2)
    wanted = np.mean([(math.sqrt(2) - 1) ** 2, (3 * math.sqrt(2) - 1) ** 2])
    assert float(WGANGP(weight=1.0)(view)) == pytest.approx(wanted, rel=1e-5)
    assert float(R1(weight=2.0)(view)) == pytest.approx(np.mean([2, 18]), rel=1e-5)


def test_lecam_and_equilibrium_by_hand():
    view = penalty_view(lambda p, x: x[:, 0], memory={"real": jnp.float32(1.0), "fake": jnp.float32(-1.0)})
    real, fake = np.asarray(REAL[:, 0]), np.asarray(FAKE[:, 0])
    wanted = 0.5 * (np.mean((real + 1) ** 2) + np.mean((fake - 1) ** 2))
    assert float(LeCam(weight=0.5)(view)) == pytest.approx(wanted, rel=1e-6)
    after = LeCam(decay=0.9).advance(view)
    assert float(after["real"]) == pytest.approx(0.9 + 0.1 * real.mean(), rel=1e-6)
    # Energies are -score: k' = k + rate (gamma E(x) - E(G)).
    balanced = penalty_view(lambda p, x: x[:, 0], memory=jnp.float32(0.4))
    assert float(Equilibrium()(balanced)) == pytest.approx(0.4 * fake.mean(), rel=1e-5)
    moved = Equilibrium(diversity=0.5, rate=0.1).advance(balanced)
    assert float(moved) == pytest.approx(0.4 + 0.1 * (0.5 * -real.mean() + fake.mean()), rel=1e-5)
    assert float(Equilibrium(rate=1e3).advance(balanced)) in (0.0, 1.0)


def test_elastic_weights_anchor_every_so_often():
    penalty = ElasticWeights(weight=2.0, every_steps=10, decay=0.5)
    memory = penalty.init(PARAMS)
    assert float(penalty(penalty_view(memory=memory))) == 0
    still = penalty.advance(penalty_view(memory=memory, step=3))
    jax.tree.map(np.testing.assert_array_equal, still, memory)
    taken = penalty.advance(penalty_view(memory=memory, step=9))

    def log_loss(p):
        real, fake = REAL @ p["kernel"][:, 0] + p["bias"][0], FAKE @ p["kernel"][:, 0] + p["bias"][0]
        return jnp.mean(jnp.log1p(jnp.exp(-real))) + jnp.mean(jnp.log1p(jnp.exp(fake)))

    fisher = jax.tree.map(lambda g: 4 * g**2, jax.grad(log_loss)(PARAMS))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-9), taken["information"], fisher)
    moved = jax.tree.map(lambda p: p + 0.1, PARAMS)
    wanted = 0.01 * sum(float(jnp.sum(leaf)) for leaf in jax.tree.leaves(fisher))
    assert float(penalty(penalty_view(params=moved, memory=taken))) == pytest.approx(wanted, rel=1e-4)


def test_historical_averaging_is_the_distance_from_the_mean_of_the_past():
    penalty = HistoricalAveraging(weight=1.0)
    memory = penalty.init({"w": jnp.zeros(2)})
    for value in (1.0, 2.0, 6.0):
        memory = penalty.advance(penalty_view(lambda p, x: x[:, 0], params={"w": jnp.full(2, value)}, memory=memory))
    np.testing.assert_allclose(memory["mean"]["w"], 3.0, rtol=1e-6)
    view = penalty_view(lambda p, x: x[:, 0], params={"w": jnp.full(2, 5.0)}, memory=memory)
    assert float(penalty(view)) == pytest.approx(8.0, rel=1e-6)


def test_penalties_of_weights_and_scores_by_hand():
    # W = [[3, 0], [4, 1]]: W^T W is [[25, 4], [4, 1]], off the diagonal 4 twice. The bias is no kernel.
    assert float(Orthogonality(weight=1.0)(penalty_view())) == pytest.approx(32.0)
    scores = np.asarray(REAL @ PARAMS["kernel"][:, 0] + 0.5)
    assert float(Drift(weight=0.1)(penalty_view())) == pytest.approx(0.1 * np.mean(scores**2), rel=1e-6)


def test_consistency_sees_changes_of_vectors_and_shifts_of_images():
    assert float(Consistency()(penalty_view(lambda p, x: jnp.ones(x.shape[0])))) == 0
    # D(x) = sum of x: its change is the sum of two normal numbers of deviation 0.1, whose square has mean 0.02.
    wide = penalty_view(lambda p, x: jnp.sum(x, axis=-1), real=jnp.zeros((4000, 2)), fake=jnp.zeros((4000, 2)))
    assert float(Consistency(weight=1.0)(wide)) == pytest.approx(0.02, abs=5 * 0.02 * math.sqrt(2 / 4000))
    # A ramp along the rows: the middle pixel of a shifted image says by how many rows it was shifted.
    ramp = jnp.broadcast_to(jnp.arange(9.0)[None, :, None, None], (500, 9, 9, 1))
    middle = penalty_view(lambda p, x: x[:, 4, 4, 0], real=ramp, fake=ramp)
    assert float(Consistency(shift=0)(middle)) == 0
    # Shifts of -2 to 2, each as likely: the mean square is 2, and its standard error over 500 images 0.08.
    assert float(Consistency(weight=1.0, shift=2)(middle)) == pytest.approx(2.0, abs=5 * 0.08)
    assert float(Consistency(weight=1.0, shift=2, side="both")(middle)) == pytest.approx(4.0, abs=8 * 0.08)


def test_lazy_penalties_have_the_same_mean_and_refuse_memories():
    view = penalty_view()
    lazy = Lazy(penalty=R1(), every_updates=4)
    memory, values = lazy.init(PARAMS), []
    for _ in range(8):
        values.append(float(lazy(view._replace(memory=memory))))
        memory = lazy.advance(view._replace(memory=memory))
    whole = float(R1()(view))
    np.testing.assert_allclose(values, [4 * whole, 0, 0, 0] * 2, rtol=1e-5)
    with pytest.raises(ValueError, match=r"Lazy.penalty is LeCam, whose state advances in every update"):
        Lazy(penalty=LeCam())


def test_weight_clipping_keeps_every_parameter_within_its_limit():
    optimizer = WeightClipping(optimizer=SGD(), limit=0.5).make(1.0)
    params = {"w": jnp.array([0.4, -0.4, 0.1])}
    state = optimizer.init(params)
    updates, state = optimizer.update({"w": jnp.array([-1.0, 1.0, 0.1])}, state, params)
    np.testing.assert_allclose(params["w"] + updates["w"], [0.5, -0.5, 0.0], atol=1e-7)
