"""Several processes that run one command: who writes, what all of them know, and how they are brought together.

Between them travel JSON and bytes of arrays, and nothing that a receiver would execute.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax.scaling import peers

_T = TypeVar("_T")


class HostError(ValueError):
    """Processes that cannot be brought together as asked, or what the leader could not do."""


_JOIN_SECONDS = 300
_HEARTBEAT_SECONDS = 60
_alone = False  # whether the leader is making what the others wait for
_watch: peers.Watch | None = None


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
    """What the leader makes, on every process: values of JSON, and tuples, which are lists on the others.

    What it raises is raised on every process; on the others as a HostError of the same words, if it is an error of
    the input, and as a RuntimeError otherwise. Inside `make` the leader is alone: what it asks of the leader there, it
    asks of itself.
    """
    global _alone
    if num_hosts() == 1 or _alone:
        return make()
    if not is_leader():
        return _received(json.loads(_broadcast(b"")))  # type: ignore[no-any-return]
    value, error, message = None, None, b""
    _alone = True
    try:
        value = make()
        message = json.dumps({"value": value}).encode()
    except Exception as raised:
        error, message = raised, json.dumps(_described(raised)).encode()
    finally:
        _alone = False
    _broadcast(message)
    if error is not None:
        leave()  # all processes raise this: no other one waits for this one
        raise error
    return value  # type: ignore[return-value]


def _described(error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError) and error.strerror:
        return {"error": f"{error.filename or 'a file'} cannot be used: {error.strerror}", "input": True}
    return {"error": str(error) or type(error).__name__, "input": isinstance(error, ValueError | OSError)}


def _received(message: dict[str, Any]) -> Any:
    if "error" not in message:
        return message["value"]
    leave()
    raise HostError(message["error"]) if message["input"] else RuntimeError(f"process 0: {message['error']}")


def arrays_from_leader(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The leader's arrays, bit for bit, on every process.

    Args:
        arrays: by name; on the others, arrays of the same names, shapes and types.

    Returns:
        The leader's, by name.
    """
    if num_hosts() > 1 and is_leader():
        _broadcast(b"".join(array.tobytes() for array in arrays.values()))
    if num_hosts() == 1 or is_leader():
        return dict(arrays)
    data, start, found = _broadcast(b""), 0, {}
    for name, array in arrays.items():
        part = np.frombuffer(data, np.uint8, array.nbytes, start)
        found[name], start = part.view(array.dtype).reshape(array.shape), start + array.nbytes
    return found


def _broadcast(data: bytes) -> bytes:
    """The leader's bytes on every process. They travel as they are: sums of floats would turn -0 into 0."""
    size = np.frombuffer(len(data).to_bytes(8), np.uint8)
    num = int.from_bytes(np.asarray(multihost_utils.broadcast_one_to_all(size)).tobytes())
    if not is_leader():
        data = bytes(num)
    sent = multihost_utils.broadcast_one_to_all(np.frombuffer(data, np.uint8))
    return data if is_leader() else np.asarray(sent).tobytes()


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
    host, bind_address = socket.gethostname(), None
    if coordinator is not None and num_processes is not None and process_id is not None:
        name, colon, port = coordinator.rpartition(":")
        if not colon or not port.isdigit():
            raise HostError(f"--coordinator is {coordinator!r}, and must be HOST:PORT, such as 10.0.0.1:9876")
        if not 0 <= process_id < num_processes:
            raise HostError(f"--process-id is {process_id}, and must be from 0 to {num_processes - 1}, one for each")
        host = name.strip("[]")
        if process_id == 0:
            bind_address = _bind_address(host, port)
        say(f"process {process_id} of {num_processes}: joining {coordinator}, for up to {_JOIN_SECONDS} s")
    # jax would catch SIGTERM to announce a preemption, for which nothing here asks; the watch tells the others.
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)
    # Gloo writes lines of its own to standard output, which belongs to the results: they go where messages go.
    sys.stdout.flush()
    before, results = sys.stdout, os.dup(1)
    os.dup2(2, 1)
    if sys.stdout is sys.__stdout__:  # others are no descriptor 1: the console script's, a notebook's
        sys.stdout = os.fdopen(results, "w", encoding=before.encoding if before else "utf-8", errors="backslashreplace")
    alarm = threading.Timer(_JOIN_SECONDS, _nobody_came, [coordinator, say])
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=_JOIN_SECONDS + 60,  # at which jax aborts from C++
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            coordinator_bind_address=bind_address,
        )
    except (ValueError, RuntimeError) as error:
        os.dup2(results, 1)
        sys.stdout = before
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        remedy = "give --coordinator, --num-processes and --process-id, or run under SLURM, GKE or Cloud TPU with "
        remedy = f"{remedy}--distributed" if isinstance(error, ValueError) else "start it as a command of its own"
        raise HostError(f"the processes cannot be brought together ({reason}): {remedy}") from error
    finally:
        alarm.cancel()
    if num_hosts() > 1:
        _start_watch(host, say)


def _bind_address(host: str, port: str) -> str | None:
    """Where jax's coordinator listens: on the interface that `host` names. None leaves it to jax."""
    if "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
        return None
    try:
        address = peers.interface_of(host)
    except OSError as error:
        raise HostError(f"--coordinator {host} is no address of this machine ({error.strerror or error})") from error
    return (f"[{address}]:{port}" if ":" in address else f"{address}:{port}") if address else None


def _nobody_came(coordinator: str | None, say: Callable[[str], None]) -> None:
    say(
        f"gan-jax: not all processes have met at {coordinator or 'the coordinator'} in {_JOIN_SECONDS} s: start all of "
        "them with one address and one number of processes, on machines that reach each other"
    )
    os._exit(2)


def _start_watch(host: str, say: Callable[[str], None]) -> None:
    global _watch
    server, problem = None, ""
    if is_leader():
        try:
            server = peers.listen(host)
        except OSError as error:
            problem = str(error)
    host, port, secret = from_leader(lambda: (host, server.getsockname()[1] if server else 0, peers.new_secret().hex()))
    try:
        if server is not None:
            found = peers.admit(server, bytes.fromhex(secret), num_hosts(), _HEARTBEAT_SECONDS)
        elif port:
            number = jax.process_index()
            found = {0: peers.connect(host, port, bytes.fromhex(secret), number, _HEARTBEAT_SECONDS)}
        else:
            raise OSError(problem or "the leader cannot listen")
    except OSError as error:
        # jax's own heartbeats remain.
        say(f"gan-jax: the processes cannot watch each other ({error}): one that dies is noticed after a minute")
        return
    _watch = peers.Watch(jax.process_index(), num_hosts(), found, say)


def leave() -> None:
    """Announces that this process ends as it should."""
    if _watch is not None:
        _watch.leave()


def wait_for_news(seconds: float = 20.0) -> None:
    """Called at an error of communication: gives the watch the time to find out who has gone, and to stop us."""
    if _watch is not None and not _watch.left:
        time.sleep(seconds)
