"""Several processes that run one command: who writes, what all of them know, and what happens when one dies.

jax notices a dead process by missed heartbeats, after minutes, and then aborts the others from C++ with pages of log.
Here each process also holds a connection to the leader. The system closes it when a process ends in whatever way, so
the others know within a moment which one is gone, say so in a line, and stop.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_T = TypeVar("_T")


class HostError(ValueError):
    """Processes that cannot be brought together as asked."""


LOST = 4
"""The exit code of a process that stops because another one has ended."""
_JOIN_SECONDS = 300
_HEARTBEAT_SECONDS = 60
_DONE = b"done\n"
_alone = False  # whether the leader is making what the others wait for


def num_hosts() -> int:
    """Processes of this command."""
    return jax.process_count()


def is_leader() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def leader_only(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` in the leader; silence in the others, which would repeat it."""
    return say if is_leader() else lambda line: None


def from_leader(make: Callable[[], _T]) -> _T:
    """What the leader makes, on every process; what it raises is raised on every process too.

    Inside `make` the leader is alone: what it asks of the leader there, it asks of itself.
    """
    global _alone
    if num_hosts() == 1 or _alone:
        return make()
    value, error = None, None
    if is_leader():
        _alone = True
        try:
            value = make()
        except Exception as raised:
            error = raised
        finally:
            _alone = False
    data = np.frombuffer(pickle.dumps((value, error)), np.uint8) if is_leader() else np.zeros(0, np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(data.size)))
    padded = np.zeros(size, np.uint8)
    padded[: data.size] = data
    value, error = pickle.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded))))
    if error is not None:
        leave()  # all processes raise this: no other one waits for this one
        raise error
    return value  # type: ignore[return-value]


def shard(num: int) -> list[int]:
    """Which of `num` things this process takes: a contiguous part, filled up with the last one to equal lengths."""
    each = -(-num // num_hosts())
    start = jax.process_index() * each
    return [min(index, num - 1) for index in range(start, start + each)]


def gather(tree: Any, num: int) -> Any:
    """The shards of all processes, on each of them: NumPy leaves [len(shard(num)), ...] as [num, ...]."""
    if num_hosts() == 1:
        return tree
    return jax.tree.map(lambda leaf: _gather(leaf, num), tree)


def _gather(leaf: Any, num: int) -> Any:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _gather(np.asarray(jax.random.key_data(leaf)), num)
        return jax.random.wrap_key_data(jax.numpy.asarray(data), impl=jax.random.key_impl(leaf))
    return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))[:num]


# --- Joining, and being left ------------------------------------------------------------------------------------------


def join(
    coordinator: str | None, num_processes: int | None, process_id: int | None, say: Callable[[str], None]
) -> None:
    """Makes this process one of several. Before anything else of jax is used.

    Args:
        coordinator: HOST:PORT of process 0; None, as the next two, where a cluster's environment says it.
        num_processes: how many.
        process_id: which, from 0.
        say: takes a line for people.

    Raises:
        HostError: if the three are given in part, do not fit, or no cluster is recognised.
    """
    given = [coordinator, num_processes, process_id]
    if any(part is None for part in given) and any(part is not None for part in given):
        raise HostError("--coordinator HOST:PORT, --num-processes N and --process-id I go together: give all three")
    if coordinator is not None and num_processes is not None and process_id is not None:
        _, colon, port = coordinator.rpartition(":")
        if not colon or not port.isdigit():
            raise HostError(f"--coordinator is {coordinator!r}, and must be HOST:PORT, such as 10.0.0.1:9876")
        if not 0 <= process_id < num_processes:
            raise HostError(f"--process-id is {process_id}, and must be from 0 to {num_processes - 1}, one for each")
        say(f"process {process_id} of {num_processes}: joining {coordinator}, for up to {_JOIN_SECONDS} s")
    # jax would catch SIGTERM to announce a preemption, for which nothing here asks; the watch tells the others.
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)
    # Gloo writes lines of its own to standard output, which belongs to the results: they go where messages go.
    sys.stdout.flush()
    results = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(results, "w", encoding=sys.stdout.encoding, errors="backslashreplace")
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=_JOIN_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HostError(
            f"the processes cannot be brought together ({reason}): give --coordinator, --num-processes and "
            "--process-id, or run under SLURM, GKE or Cloud TPU with --distributed"
        ) from error
    if num_hosts() > 1:
        _Watch.start(coordinator.rpartition(":")[0] if coordinator else None, say)


def leave() -> None:
    """Says that this process ends as it should."""
    if _Watch.current is not None:
        _Watch.current.leave()


def wait_for_news(seconds: float = 20.0) -> None:
    """Called at an error of communication: gives the watch the time to find out who has gone, and to stop us."""
    if _Watch.current is not None and not _Watch.current.left:
        time.sleep(seconds)


class _Watch:
    """This process's connection to the leader; in the leader, those to all others."""

    current: _Watch | None = None

    def __init__(self, say: Callable[[str], None]) -> None:
        self.left = False
        self._say = say
        self._peers: dict[int, socket.socket] = {}
        self._lock = threading.Lock()

    @classmethod
    def start(cls, leader_host: str | None, say: Callable[[str], None]) -> None:
        watch = cls(say)
        server = None
        if is_leader():
            server = socket.create_server(("", 0), backlog=num_hosts())
        own_name = leader_host or socket.gethostname()
        host, port = from_leader(lambda: (own_name, server.getsockname()[1] if server else 0))
        try:
            if server is not None:
                server.settimeout(_HEARTBEAT_SECONDS)
                for _ in range(num_hosts() - 1):
                    peer, _ = server.accept()
                    watch._add(int(peer.recv(16)), peer)
                server.close()
            else:
                peer = socket.create_connection((host, port), timeout=_HEARTBEAT_SECONDS)
                peer.sendall(str(jax.process_index()).encode())
                watch._add(0, peer)
        except OSError as error:
            # jax's own heartbeats remain.
            say(f"gan-jax: the processes cannot watch each other ({error}): one that dies is noticed after a minute")
            return
        cls.current = watch

    def leave(self) -> None:
        with self._lock:
            self.left = True
        for peer in self._peers.values():
            _send(peer, _DONE)

    def _add(self, process: int, peer: socket.socket) -> None:
        peer.settimeout(None)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, option):  # a host that loses its power closes nothing: asked after it for 45 s
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._peers[process] = peer
        threading.Thread(target=self._listen, args=(process, peer), daemon=True).start()

    def _listen(self, process: int, peer: socket.socket) -> None:
        heard = b""
        try:
            while part := peer.recv(64):
                heard += part
        except OSError:
            pass
        lines = heard.split(b"\n")
        with self._lock:
            if self.left or b"done" in lines:
                return
            lost = next((int(line[5:]) for line in lines if line.startswith(b"lost ")), process)
            for other, connection in self._peers.items():
                if other != process:
                    _send(connection, f"lost {lost}\n".encode())
            self._say(
                f"gan-jax: process {lost} of {num_hosts()} has ended before its time, so process "
                f"{jax.process_index()} stops too; what was saved continues with --resume, on any number of processes"
            )
            sys.stderr.flush()
            os._exit(LOST)


def _send(peer: socket.socket, message: bytes) -> None:
    try:
        peer.sendall(message)
        if message != _DONE:
            peer.shutdown(socket.SHUT_WR)
    except OSError:
        pass
