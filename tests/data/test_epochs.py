"""The epoch order: a bijection for every size, uniform, and exact arithmetic of positions at every step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.epochs import MAX_EXAMPLES, epoch_and_position, permuted_index
from gan_jax.data.images import batch_index


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 17, 1797, 60_000])
def test_is_a_bijection_that_differs_by_epoch_and_key(num: int) -> None:
    order = jax.jit(lambda key, epoch: permuted_index(key, epoch, jnp.arange(num), num))
    orders = [np.asarray(order(jax.random.key(seed), epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for one in orders:
        assert one.dtype == np.int32
        np.testing.assert_array_equal(np.sort(one), np.arange(num))
    if num >= 100:
        for a, b in ((0, 1), (0, 2), (1, 2)):
            # Two random orders agree in a Poisson(1) number of places.
            assert np.sum(orders[a] == orders[b]) < 10


def test_largest_size_stays_in_range() -> None:
    position = jnp.array([0, 1, MAX_EXAMPLES - 2, MAX_EXAMPLES - 1])
    for num in (MAX_EXAMPLES, MAX_EXAMPLES // 4 * 3):
        index = np.asarray(permuted_index(jax.random.key(0), 5, position % num, num))
        assert len(set(index.tolist())) == len(set((np.asarray(position) % num).tolist()))
        assert index.min() >= 0
        assert index.max() < num


@pytest.mark.parametrize("num", [0, -1, MAX_EXAMPLES + 1])
def test_size_out_of_range(num: int) -> None:
    with pytest.raises(ValueError, match=f"num_examples is {num}, and must be 1 to"):
        permuted_index(jax.random.key(0), 0, jnp.arange(2), num)
    with pytest.raises(ValueError, match="num_examples"):
        epoch_and_position(0, 4, num)


@pytest.mark.parametrize("num", [3, 37])
def test_every_example_lands_everywhere_equally_often(num: int) -> None:
    """Key 0, 20,000 epochs: the chi-square of each position's index within 5 standard errors of its mean."""
    epochs = 20_000
    index = np.asarray(
        jax.jit(
            jax.vmap(lambda epoch: permuted_index(jax.random.key(0), epoch, jnp.arange(num), num)),
        )(jnp.arange(epochs))
    )
    counts = np.stack([np.bincount(index[:, position], minlength=num) for position in range(num)])
    expected = epochs / num
    # Each row is multinomial, so the mean of the sum over rows is num (num - 1); rows and columns both sum to
    # `epochs`, which leaves (num - 1)^2 degrees of freedom.
    chi_square = np.sum((counts - expected) ** 2 / expected)
    freedom = (num - 1) ** 2
    scale = num / (num - 1)  # brings the multinomial rows to (num - 1)^2
    assert abs(chi_square / scale - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_and_epochs_are_uncorrelated() -> None:
    """Key 0, n = 1,797, 200 epochs: rank correlations within 5 standard errors of 0."""
    num, epochs = 1797, 200
    order = jax.jit(jax.vmap(lambda epoch: permuted_index(jax.random.key(0), epoch, jnp.arange(num), num)))
    index = np.asarray(order(jnp.arange(epochs))).astype(float) - (num - 1) / 2
    variance = np.mean(index**2)
    for a, b in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:]), (index[:, :-16], index[:, 16:])):
        assert abs(np.mean(a * b) / variance) < 5 / np.sqrt(a.size)


@pytest.mark.parametrize(
    ("batch_size", "num"),
    [(64, 60_000), (7, 3), (1, 1), (128, 1437), (2**20, MAX_EXAMPLES - 1), (60_000, MAX_EXAMPLES)],
)
def test_epoch_and_position_are_exact(batch_size: int, num: int) -> None:
    steps = [0, 1, 2, 937, 938, 123_456_789, 2**30, 2**31 - 1]
    epoch, position = jax.jit(lambda step: epoch_and_position(step, batch_size, num))(jnp.array(steps))
    expected = [divmod(step * batch_size, num) for step in steps]
    assert epoch.tolist() == [e % 2**32 for e, _ in expected]
    assert position.tolist() == [p for _, p in expected]


@pytest.mark.parametrize(("num", "batch_size"), [(5, 8), (1437, 64)])
def test_wrap_gives_each_example_once_an_epoch(num: int, batch_size: int) -> None:
    take = jax.jit(jax.vmap(lambda step: batch_index(jax.random.key(0), step, batch_size, num)))
    epochs = 4
    stream = np.asarray(take(jnp.arange(-(-epochs * num // batch_size)))).ravel()
    for epoch in range(epochs):
        part = stream[epoch * num : (epoch + 1) * num]
        np.testing.assert_array_equal(np.sort(part), np.arange(num))


def test_wrap_at_a_late_step() -> None:
    """Past 2^31 examples: two batches that together hold an epoch's end and the next one's start."""
    num, batch_size = 100, 64
    step = 2**31 - 30
    take = jax.jit(jax.vmap(lambda step: batch_index(jax.random.key(0), step, batch_size, num)))
    stream = np.asarray(take(jnp.uint32(step) + jnp.arange(5, dtype=jnp.uint32))).ravel()
    start = -(step * batch_size) % num  # of the first whole epoch
    np.testing.assert_array_equal(np.sort(stream[start : start + num]), np.arange(num))


def test_short_last_batch_as_published() -> None:
    """MNIST at batch 64: 938 batches an epoch, the last of 32."""
    num, batch_size = 60_000, 64
    key = jax.random.key(0)
    full = jax.jit(jax.vmap(lambda step: batch_index(key, step, batch_size, num, "short")))
    last = jax.jit(lambda step: batch_index(key, step, batch_size, num, "short", count=32))
    epochs = []
    for first in (0, 938):
        epochs.append(np.concatenate([np.asarray(full(first + jnp.arange(937))).ravel(), last(first + 937)]))
        np.testing.assert_array_equal(np.sort(epochs[-1]), np.arange(num))
    assert not np.array_equal(*epochs)


def test_count_is_the_start_of_the_batch() -> None:
    for last_batch in ("wrap", "short"):
        take = jax.jit(batch_index, static_argnums=(2, 3, 4), static_argnames="count")
        whole = take(jax.random.key(0), 3, 16, 100, last_batch)
        part = take(jax.random.key(0), 3, 16, 100, last_batch, count=5)
        np.testing.assert_array_equal(part, whole[:5])
    with pytest.raises(ValueError, match="count is 17, and must be 1 to the batch size, 16"):
        batch_index(jax.random.key(0), 3, 16, 100, count=17)


@pytest.mark.parametrize("last_batch", ["wrap", "short"])
def test_jit_is_eager_vmap_is_a_loop_and_one_trace_serves_all_steps(last_batch: str) -> None:
    traces = 0

    def take(key: jax.Array, step: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return batch_index(key, step, 16, 45, last_batch)

    keys, steps = jax.random.split(jax.random.key(0), 3), jnp.array([0, 2, 100])
    compiled = jax.jit(take)
    singles = np.stack([np.asarray(compiled(key, step)) for key, step in zip(keys, steps, strict=True)])
    assert traces == 1
    if last_batch == "wrap":  # eagerly every operation is compiled by itself, which takes seconds
        np.testing.assert_array_equal(take(keys[1], steps[1]), singles[1])
    np.testing.assert_array_equal(jax.jit(jax.vmap(take))(keys, steps), singles)
