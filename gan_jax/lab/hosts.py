"""Several processes that run one command: who writes, what all of them know, and what happens when one dies."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_T = TypeVar("_T")


def num_hosts() -> int:
    """Processes of this command."""
    return jax.process_count()


def is_leader() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def from_leader(make: Callable[[], _T]) -> _T:
    """What the leader makes, on every process; what it raises is raised on every process too."""
    if num_hosts() == 1:
        return make()
    value, error = None, None
    if is_leader():
        try:
            value = make()
        except Exception as raised:
            error = raised
    data = np.frombuffer(pickle.dumps((value, error)), np.uint8) if is_leader() else np.zeros(0, np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int64(data.size)))
    padded = np.zeros(size, np.uint8)
    padded[: data.size] = data
    value, error = pickle.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded))))
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def share(num: int) -> list[int]:
    """Which of `num` things this process takes: a contiguous part, filled up with the last one to equal lengths."""
    each = -(-num // num_hosts())
    start = jax.process_index() * each
    return [min(index, num - 1) for index in range(start, start + each)]


def gather(tree: Any, num: int) -> Any:
    """The shares of all processes, on each of them: NumPy leaves [len(share(num)), ...] as [num, ...]."""
    if num_hosts() == 1:
        return tree
    return jax.tree.map(lambda leaf: _gather(leaf, num), tree)


def _gather(leaf: Any, num: int) -> Any:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _gather(np.asarray(jax.random.key_data(leaf)), num)
        return jax.random.wrap_key_data(jax.numpy.asarray(data), impl=jax.random.key_impl(leaf))
    return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))[:num]
