"""Connections between the processes of one command, so that each learns at once when another one ends.

Without them jax ends such a run late, or with a C++ stack trace: it notices a dead process by missed heartbeats, and it
aborts processes whose coordinator has ended, even with `jax_enable_recoverability` (jax 0.10.2). Here each process also
holds a connection to the leader. The operating system closes it when the process ends for any reason; the others then
log which one has ended, and stop.

The leader listens on one interface, and only until its peers have connected. It sends each client a random challenge,
and accepts a client as a process of the run if it answers with the process's number and an HMAC of both under the run's
secret. It drops clients that answer wrongly, take more than a few seconds, or are too many.
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
    """A new random secret for one run."""
    return secrets.token_bytes(32)


def interface_of(host: str) -> str:
    """The address on which the leader listens, if the others connect to `host`; "" for all of its addresses.

    All addresses are needed where the host's name resolves to the loopback address on its own machine only, and where
    the address belongs to a router.

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
    """A server on a free port of the interface to which the others connect.

    Raises:
        OSError: if there is no such interface.
    """
    address = interface_of(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family, backlog=_MAX_GUESTS)


class _Guest(NamedTuple):
    """A client that has connected and has not yet proved that it is a process of the run."""

    challenge: bytes
    until: float
    heard: bytearray


def admit(server: socket.socket, secret: bytes, num_processes: int, seconds: float) -> dict[int, socket.socket]:
    """The connections of processes 1 to `num_processes - 1`. All other clients are dropped.

    Args:
        server: from `listen`; closed in any case.
        secret: of the run.
        num_processes: number of processes, including the leader.
        seconds: greatest time to wait for all of them.

    Returns:
        The connections, by process number.

    Raises:
        TimeoutError: if some have not connected in time.
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
    except OSError:  # it has disconnected again
        return None
    challenge = secrets.token_bytes(_CHALLENGE)
    guest.setblocking(False)
    _send(guest, challenge)
    return guest, _Guest(challenge, time.monotonic() + _HANDSHAKE_SECONDS, bytearray())


def _hear(guest: socket.socket, known: _Guest, secret: bytes) -> int | None:
    """The process number of a client; -1 if it is not of the run, None while its answer is incomplete."""
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
        A socket whose other end has identified this process.

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
        left: whether this process has announced that it ends.
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
                if hasattr(socket, option):  # to notice a host without power, after 45 s
                    peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            threading.Thread(target=self._listen, args=(process, peer), daemon=True).start()

    def leave(self) -> None:
        """Announces that this process ends normally."""
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
