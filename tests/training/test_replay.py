"""Replay: what each buffer keeps and shows, counted exactly."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.network import Variables
from gan_jax.training.replay import (
    FIFO,
    REPLAYS,
    Fakes,
    ImagePool,
    PastDiscriminators,
    PastGenerators,
    Replay,
    Reservoir,
)


def fakes(start, num=8):
    """Samples that are numbered, of a G whose only parameter is the first number."""
    samples = (start + jnp.arange(num, dtype=jnp.float32))[:, None]
    made_by = Variables({"w": jnp.float32(start)}, {})
    return Fakes(samples, made_by, lambda old: jnp.full((num, 1), -1.0) * old.params["w"])


def played(replay, rounds, num=8, key=None, period=None):
    """The memory after some batches of numbered fakes, and what was shown of each."""
    keys = jax.random.split(jax.random.key(0) if key is None else key, rounds)
    memory, shown = replay.init(fakes(0, num)), []
    show = jax.jit(lambda r, m, start, k, step: r.show(m, fakes(start, num), k, step))
    for index in range(rounds):
        seen, memory = show(replay, memory, 1.0 + index * num, keys[index], jnp.int32(index))
        shown.append(np.asarray(seen[:, 0]))
    return memory, shown


@pytest.mark.parametrize("cls", REPLAYS)
def test_contract(cls):
    replay = cls()
    assert isinstance(replay, Replay)
    before = replay.init(fakes(0))
    shown, after = replay.show(before, fakes(1), jax.random.key(0), jnp.int32(0))
    np.testing.assert_array_equal(shown, fakes(1).samples)  # nothing is old yet
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(before)] == [(x.shape, x.dtype) for x in jax.tree.leaves(after)]
    again = jax.jit(lambda r, k: r.show(before, fakes(1), k, jnp.int32(0)))(replay, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, again, (shown, after))


def test_a_fifo_keeps_the_newest_and_shows_its_share_of_old_ones():
    memory, shown = played(FIFO(size=12, share=0.25), rounds=5)
    assert sorted(np.asarray(memory.samples[:, 0]).astype(int)) == list(range(29, 41))
    for index, seen in enumerate(shown[1:], start=1):
        own = (seen > 8 * index) & (seen <= 8 * index + 8)
        assert np.sum(~own) == 2  # a quarter of 8
        assert np.all(seen[~own] > 8 * index - 12)
        assert np.all(seen[~own] <= 8 * index)


def test_a_reservoir_is_a_uniform_sample_of_all_fakes():
    # 600 reservoirs of 4 out of 40 fakes: each is kept with probability 1/10, within 5 standard errors of 7.35.
    keys = jax.random.split(jax.random.key(2), 600)

    def kept(key):
        memory = Reservoir(size=4).init(fakes(0))
        for index, k in enumerate(jax.random.split(key, 5)):
            _, memory = Reservoir(size=4).show(memory, fakes(8.0 * index), k, jnp.int32(index))
        return memory.samples[:, 0]

    counts = np.bincount(np.asarray(jax.vmap(kept)(keys)).astype(int).ravel(), minlength=40)
    assert counts.sum() == 2400
    assert np.all(np.abs(counts - 60) < 5 * math.sqrt(600 * 0.1 * 0.9))


def test_a_pool_swaps_and_loses_nothing():
    pool = ImagePool(size=16, swap_probability=0.5)
    memory, shown = played(pool, rounds=12)
    first = np.concatenate(shown[:2])
    np.testing.assert_array_equal(first, np.arange(1, 17))  # while it fills, fakes are shown as they are
    # Everything that went in is in the pool or was shown: no fake is lost, and none is twice in the pool.
    inside = np.asarray(memory.samples[:, 0])
    assert len(set(inside)) == 16
    assert set(np.concatenate(shown)) | set(inside) == set(range(1, 97))
    old = sum(np.sum(seen <= 8 * index) for index, seen in enumerate(shown))
    assert 20 < old < 60  # about half of 80


def test_a_pool_smaller_than_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"ImagePool.size is 4, less than a batch of 8"):
        ImagePool(size=4).show(ImagePool(size=4).init(fakes(0)), fakes(1), jax.random.key(0), 0)


def test_past_generators_are_snapshots_of_their_steps():
    memory, shown = played(PastGenerators(num=2, every_steps=3, share=0.5), rounds=10)
    # Snapshots at the ends of steps 2, 5 and 8, of generators 17, 41 and 65; the newest two are kept.
    assert sorted(np.asarray(memory.old.params["w"])) == [41, 65]
    assert all(np.all(seen > 0) for seen in shown[:3])
    for index, seen in enumerate(shown[3:], start=3):
        old = seen[seen < 0]
        assert len(old) == 4
        assert set(-old) <= {17.0, 41.0, 65.0}
        assert len(set(old)) == 1  # one old generator a step
        assert np.all(-old < 8 * index)


def test_a_window_limits_old_generators_to_the_start_of_each_period():
    _, shown = played(PastGenerators(num=1, every_steps=4, share=1.0, window=1), rounds=9)
    assert [bool(np.all(seen < 0)) for seen in shown] == [False] * 4 + [True, False, False, False, True]


def test_past_discriminators_take_the_place_of_the_present_one():
    replay = PastDiscriminators(num=2, every_steps=4, window=2)
    memory = replay.init(Variables({"w": jnp.float32(0)}, {"s": jnp.float32(0)}))
    faced = []
    for step in range(10):
        present = Variables({"w": jnp.float32(step)}, {"s": jnp.float32(step)}, ("memory",))
        opponent, memory = replay.opponent(memory, present, jax.random.key(step), jnp.int32(step))
        assert opponent.memory == ("memory",)
        assert float(opponent.params["w"]) == float(opponent.statistics["s"])
        faced.append(int(opponent.params["w"]))
    assert faced[:4] == [0, 1, 2, 3]
    assert faced[4:8] == [3, 3, 6, 7]
    assert set(faced[8:]) <= {3, 7}


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"FIFO.size is 0, and must be at least 1"):
        FIFO(size=0)
    with pytest.raises(ValueError, match=r"PastGenerators.window is 30, longer than the period of 20 steps"):
        PastGenerators(every_steps=20, window=30)
