"""Connections between the processes of one command, so that each learns within a moment that another one has ended.

jax alone ends such a run late or in a C++ stack trace: a dead process is noticed by missed heartbeats, and processes
whose coordinator has gone are aborted at once, with `jax_enable_recoverability` too (jax 0.10.2). Here each process
also holds a connection to the leader. The system closes it when a process ends in whatever way; the others then log
which one has gone, and stop.

The leader listens on one interface, and only until its peers have come. It sends every guest a random challenge, and
takes for a process whoever answers with that process's number and an HMAC of both under the run's secret. Others are
dropped: at a wrong answer, after a few seconds, or when too many wait.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

LOST = 4
"""The exit code of a process that stops because another one has ended."""
_DIGEST = "sha256"
_CHALLENGE = 32
_NUMBER = 4
_ANSWER = _NUMBER + 32
_HANDSHAKE_SECONDS = 5.0
_MAX_GUESTS = 64
_DONE = b"done\n"
_LOST = re.compile(rb"lost (\d{1,9})\n")
_MAX_MESSAGE = 256


def new_secret() -> bytes:
    """A secret of one run."""
    return secrets.token_bytes(32)


def interface_of(host: str) -> str:
    """The address on which the leader listens, if the others know it by `host`; "" for all of its addresses.

    All are needed where the host's name means the loopback address on its own machine alone, and where the address is
    that of a router.

    Example:
        >>> interface_of("localhost"), interface_of("127.0.0.1")
        ('127.0.0.1', '127.0.0.1')
    """
    family, _, _, _, (address, *_) = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    if ipaddress.ip_address(address).is_loopback and host not in (address, "localhost"):
        return ""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return ""
    return str(address)


def listen(host: str) -> socket.socket:
    """A server on a free port of the interface by which the others know this machine.

    Raises:
        OSError: if there is no such interface.
    """
    address = interface_of(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family, backlog=_MAX_GUESTS)


class _Guest(NamedTuple):
    """Who has connected and not yet shown that it is a process of the run."""

    challenge: bytes
    until: float
    heard: bytearray


def admit(server: socket.socket, secret: bytes, num_processes: int, seconds: float) -> dict[int, socket.socket]:
    """The connections of processes 1 to `num_processes - 1`. Whoever else connects is dropped.

    Args:
        server: from `listen`; closed in any case.
        secret: of the run.
        num_processes: the leader among them.
        seconds: to wait for all of them.

    Returns:
        By number of the process.

    Raises:
        TimeoutError: if they have not all come.
    """
    peers: dict[int, socket.socket] = {}
    end = time.monotonic() + seconds
    with server, selectors.DefaultSelector() as selector:

        def guests() -> list[tuple[socket.socket, _Guest]]:
            return [(key.fileobj, key.data) for key in selector.get_map().values() if key.data is not None]  # type: ignore[misc]

        def drop(guest: socket.socket) -> None:
            selector.unregister(guest)
            guest.close()

        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ)
        while len(peers) < num_processes - 1 and time.monotonic() < end:
            for key, _ in selector.select(timeout=0.1):
                guest: Any = key.fileobj
                if key.data is None:
                    arrived = _receive(server)
                    if arrived is not None:
                        selector.register(arrived[0], selectors.EVENT_READ, arrived[1])
                    continue
                number = _hear(guest, key.data, secret)
                if number is None:
                    continue
                if 0 < number < num_processes and number not in peers:
                    selector.unregister(guest)
                    peers[number] = guest
                else:
                    drop(guest)
            for index, (guest, known) in enumerate(reversed(guests())):
                if index >= _MAX_GUESTS or known.until < time.monotonic():
                    drop(guest)
        for guest, _ in guests():
            drop(guest)
    if len(peers) < num_processes - 1:
        for peer in peers.values():
            peer.close()
        raise TimeoutError(f"{len(peers)} of {num_processes - 1} processes have come in {seconds:g} s")
    return peers


def _receive(server: socket.socket) -> tuple[socket.socket, _Guest] | None:
    try:
        guest, _ = server.accept()
    except OSError:  # it has gone again
        return None
    challenge = secrets.token_bytes(_CHALLENGE)
    guest.setblocking(False)
    _send(guest, challenge)
    return guest, _Guest(challenge, time.monotonic() + _HANDSHAKE_SECONDS, bytearray())


def _hear(guest: socket.socket, known: _Guest, secret: bytes) -> int | None:
    """The process that a guest is; -1 for none of the run, None while its answer is not complete."""
    try:
        part = guest.recv(_ANSWER - len(known.heard))
    except BlockingIOError:
        return None
    except OSError:
        return -1
    known.heard.extend(part)
    if not part:
        return -1
    if len(known.heard) < _ANSWER:
        return None
    number = int.from_bytes(known.heard[:_NUMBER])
    return number if hmac.compare_digest(known.heard, _answer(secret, known.challenge, number)) else -1


def _answer(secret: bytes, challenge: bytes, number: int) -> bytes:
    named = number.to_bytes(_NUMBER)
    return named + hmac.digest(secret, challenge + named, _DIGEST)


def connect(host: str, port: int, secret: bytes, number: int, seconds: float) -> socket.socket:
    """The connection of process `number` to the leader.

    Args:
        host: of the leader.
        port: of its server.
        secret: of the run.
        number: of this process.
        seconds: to wait for the connection, and for the challenge.

    Returns:
        A socket whose other end knows who this is.

    Raises:
        OSError: if there is no connection.
    """
    leader = socket.create_connection((host, port), timeout=seconds)
    challenge = b""
    while len(challenge) < _CHALLENGE:
        part = leader.recv(_CHALLENGE - len(challenge))
        if not part:
            raise ConnectionError("the leader has closed the connection")
        challenge += part
    leader.sendall(_answer(secret, challenge, number))
    return leader


class Watch:
    """This process's connection to the leader; in the leader, those to all others.

    Attributes:
        left: whether this process has announced its end.
    """

    def __init__(
        self,
        number: int,
        num_processes: int,
        peers: dict[int, socket.socket],
        say: Callable[[str], None],
        stop: Callable[[int], object] = os._exit,
    ) -> None:
        self.left = False
        self._number, self._num, self._peers, self._say, self._stop = number, num_processes, peers, say, stop
        self._lock = threading.Lock()
        for process, peer in peers.items():
            peer.settimeout(None)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
                if hasattr(socket, option):  # a host that loses its power closes nothing: asked after it for 45 s
                    peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            threading.Thread(target=self._listen, args=(process, peer), daemon=True).start()

    def leave(self) -> None:
        """Announces that this process ends as it should."""
        with self._lock:
            self.left = True
        for peer in self._peers.values():
            _send(peer, _DONE)

    def _listen(self, process: int, peer: socket.socket) -> None:
        heard = b""
        try:
            while part := peer.recv(_MAX_MESSAGE):
                heard = (heard + part)[-_MAX_MESSAGE:]
        except OSError:
            pass
        with self._lock:
            if self.left or heard.endswith(_DONE):
                return
            told = _LOST.search(heard)
            lost = int(told[1]) if told else process
            for other, connection in self._peers.items():
                if other != process:
                    _send(connection, b"lost %d\n" % lost, last=True)
            self._say(
                f"gan-jax: process {lost} of {self._num} has ended before its time, so process {self._number} stops "
                "too; what was saved continues with --resume, on any number of processes"
            )
            sys.stderr.flush()
            self._stop(LOST)


def _send(peer: socket.socket, message: bytes, last: bool = False) -> None:
    try:
        peer.sendall(message)
        if last:
            peer.shutdown(socket.SHUT_WR)
    except OSError:
        pass
