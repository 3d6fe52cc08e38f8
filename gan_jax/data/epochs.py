"""Epoch order without an array: a keyed permutation of 0..n-1 that is computed one index at a time.

`jax.random.permutation` would have to be redrawn at the start of each epoch. Under `vmap` a `cond` becomes a `select`,
so a sweep would sort 60,000 numbers at every step, and a stored permutation would be part of every checkpoint. Here the
example at a position is a pure function of (key, epoch, position), at a cost of O(batch) for any n.

References:
    M. Luby and C. Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", SIAM J.
        Comput. 17(2), 1988: the Feistel network.
    J. Black and P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, section 3: cycle-walking.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int, Integer, Key, UInt

MAX_EXAMPLES = 2**30
_NUM_ROUNDS = 8


def permuted_index(
    key: Key[Array, ""], epoch: int | Integer[Array, "..."], position: int | Integer[Array, "..."], num_examples: int
) -> Int[Array, "..."]:
    """The index of the example at a position of an epoch.

    For every key and epoch, position -> index is a bijection of 0..n-1. A Feistel network permutes the numbers of 2w
    bits, for the smallest w with 4^w >= n. Where its result is outside 0..n-1 it is applied again until the result is
    inside (cycle-walking). This is a bijection, because each number lies on one cycle. The mean number of applications
    is at most 4 (n just above a power of 4), and 1.1 for n = 60,000.

    Args:
        key: typed PRNG key of the run's order.
        epoch: integer, any shape that broadcasts with `position` (or a scalar).
        position: integer in [0, num_examples), any shape.
        num_examples: n, static, 1 to 2**30.

    Returns:
        int32, of the shape of `position`, in [0, num_examples).

    Raises:
        ValueError: if `num_examples` is out of range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> sorted(permuted_index(jax.random.key(0), 3, jnp.arange(5), 5).tolist())
        [0, 1, 2, 3, 4]
    """
    _check_num_examples(num_examples)
    epoch, position = jnp.asarray(epoch).astype(jnp.uint32), jnp.asarray(position)
    if epoch.ndim:
        epoch, position = jnp.broadcast_arrays(epoch, position)
    if num_examples == 1:
        return jnp.zeros(position.shape, jnp.int32)
    half_bits = ((num_examples - 1).bit_length() + 1) // 2
    round_keys = _round_keys(key, epoch)
    limit = jnp.uint32(num_examples)

    def encrypt(value: Array) -> Array:
        left, right = value >> half_bits, value & jnp.uint32(2**half_bits - 1)
        for round_key in round_keys:
            left, right = right, left ^ (_mix(right ^ round_key) >> (32 - half_bits))
        return (left << half_bits) | right

    def walk(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        value, walking = carry
        value = jnp.where(walking, encrypt(value), value)
        return value, value >= limit

    start = (position.astype(jnp.uint32), jnp.ones(position.shape, bool))
    index, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), walk, start)
    return index.astype(jnp.int32)


def epoch_and_position(
    step: int | Integer[Array, "*n"], batch_size: int, num_examples: int
) -> tuple[UInt[Array, "*n"], Int[Array, "*n"]]:
    """The start of a step's batch in an endless stream of epochs: divmod(step * batch_size, num_examples).

    The result is exact for every step below 2**31 in 32-bit arithmetic, in which the product itself would overflow.

    Args:
        step: integer >= 0, any shape.
        batch_size: static, at least 1.
        num_examples: static, 1 to 2**30.

    Returns:
        (epoch, position): uint32 (modulo 2**32) and int32, of the shape of `step`.

    Raises:
        ValueError: if `num_examples` is out of range.

    Example:
        >>> [int(part) for part in epoch_and_position(2**31 - 1, 64, 60_000)]  # divmod(137438953408, 60000)
        [2290649, 13408]
    """
    _check_num_examples(num_examples)
    step = jnp.asarray(step).astype(jnp.uint32)
    common = math.lcm(batch_size, num_examples)
    if common < 2**31:
        # An epoch and a batch begin together every `common` examples; within that period no product overflows.
        period = common // batch_size
        examples = (step % period) * jnp.uint32(batch_size)
        epoch = (step // period) * jnp.uint32(common // num_examples) + examples // num_examples
        return epoch, (examples % num_examples).astype(jnp.int32)
    epoch, position = jnp.zeros_like(step), jnp.zeros_like(step)
    for bit in range(31):
        # step is a sum of powers of two, and Python's whole numbers give the part of each. Positions are below
        # n <= 2**30, so the sum of two is below 2**31.
        epochs, rest = divmod(batch_size << bit, num_examples)
        is_set = (step >> bit) & jnp.uint32(1)
        position = position + is_set * jnp.uint32(rest)
        carry = (position >= jnp.uint32(num_examples)).astype(jnp.uint32)
        position = position - carry * jnp.uint32(num_examples)
        epoch = epoch + is_set * jnp.uint32(epochs % 2**32) + carry
    return epoch, position.astype(jnp.int32)


def _check_num_examples(num_examples: int) -> None:
    if not 1 <= num_examples <= MAX_EXAMPLES:
        raise ValueError(f"num_examples is {num_examples}, and must be 1 to {MAX_EXAMPLES} (2**30)")


def _round_keys(key: Array, epoch: Array) -> list[Array]:
    """One uint32 array for each round, of the shape of `epoch`."""

    def bits(one_epoch: Array) -> Array:
        return jax.random.bits(jax.random.fold_in(key, one_epoch), (_NUM_ROUNDS,), jnp.uint32)

    keys = jax.vmap(bits)(epoch.reshape(-1)).reshape(*epoch.shape, _NUM_ROUNDS)
    return [keys[..., index] for index in range(_NUM_ROUNDS)]


def _mix(value: Array) -> Array:
    """The finaliser of MurmurHash3 (A. Appleby): every input bit changes each output bit half the time."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
