"""Several processes that run one command: how they connect, which one writes, and how they share values.

They exchange JSON and the bytes of arrays, and nothing that a receiver would execute.
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
    """The processes cannot be connected as asked, or the leader failed."""


_JOIN_SECONDS = 300
_HEARTBEAT_SECONDS = 60
_alone = False  # whether the leader is computing a value that the other processes wait for
_watch: peers.Watch | None = None


def num_hosts() -> int:
    """Number of processes that run this command."""
    return jax.process_count()


def is_leader() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def leader_only(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` in the leader; a function that does nothing in the others, which would repeat the line."""
    return say if is_leader() else lambda line: None


def from_leader(make: Callable[[], _T]) -> _T:
    """The value of `make()`, which only the leader calls, on every process.

    The value is JSON; tuples become lists on the others. An error of the leader is raised on every process: on the
    others as a HostError with the same message if the input is at fault, and as a RuntimeError otherwise. Inside `make`
    this function calls its argument on the leader alone.
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
        leave()  # all processes raise this error, so none of them waits for this one
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
    """The leader's bytes on every process. They are sent as bytes, since a sum of floats would turn -0 into 0."""
    size = np.frombuffer(len(data).to_bytes(8), np.uint8)
    num = int.from_bytes(np.asarray(multihost_utils.broadcast_one_to_all(size)).tobytes())
    if not is_leader():
        data = bytes(num)
    sent = multihost_utils.broadcast_one_to_all(np.frombuffer(data, np.uint8))
    return data if is_leader() else np.asarray(sent).tobytes()


def shard(num: int) -> list[int]:
    """Indices of this process's part of `num` items: a contiguous range, padded with the last item to equal lengths."""
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


# --- Connecting and leaving ------------------------------------------------------------------------------------------


def join(
    coordinator: str | None, num_processes: int | None, process_id: int | None, say: Callable[[str], None]
) -> None:
    """Connects this process to the others of its command. Call it before any other function of jax.

    Args:
        coordinator: HOST:PORT of process 0. None, as for the next two, takes it from a cluster's environment.
        num_processes: number of processes.
        process_id: number of this process, from 0.
        say: receives a line of text for the user.

    Raises:
        HostError: if only some of the three are given, if they do not fit together, or if no cluster is recognised.
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
    # jax would catch SIGTERM to announce a preemption, which nothing here reads; the watch informs the others.
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)
    # Gloo writes to standard output, which is reserved for results: its lines are sent to standard error.
    sys.stdout.flush()
    before, results = sys.stdout, os.dup(1)
    os.dup2(2, 1)
    if sys.stdout is sys.__stdout__:  # another stream, such as a notebook's, is not descriptor 1
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
    """The address on which jax's coordinator listens: the interface that `host` names. None leaves it to jax."""
    if "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
        return None
    try:
        address = peers.interface_of(host)
    except OSError as error:
        raise HostError(f"--coordinator {host} is not this machine's address ({error.strerror or error})") from error
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
    """Announces that this process ends normally."""
    if _watch is not None:
        _watch.leave()


def wait_for_news(seconds: float = 20.0) -> None:
    """Waits after a communication error, until the watch has found which process has ended and stops this one."""
    if _watch is not None and not _watch.left:
        time.sleep(seconds)
