"""The watch between processes: strangers neither end a run nor enter it, and each process learns who has gone."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import jax
import numpy as np
import pytest

from gan_jax.scaling import hosts, peers

SECRET = bytes(range(32))


def silent(guest: socket.socket) -> None:
    pass


def closes(guest: socket.socket) -> None:
    guest.close()


def resets(guest: socket.socket) -> None:
    guest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    guest.close()


def garbage(guest: socket.socket) -> None:
    guest.sendall(b"GET / HTTP/1.1\r\nHost: leader\r\n\r\n")


def huge(guest: socket.socket) -> None:
    guest.sendall(b"1" * 1_000_000)


def claims_to_be_process_1(guest: socket.socket) -> None:
    guest.sendall(b"1")


def knows_the_form_and_not_the_secret(guest: socket.socket) -> None:
    guest.sendall(peers._answer(bytes(32), guest.recv(32), 1))


def answers_an_old_challenge(guest: socket.socket) -> None:
    guest.sendall(peers._answer(SECRET, bytes(32), 1))


def names_a_process_that_is_none(guest: socket.socket) -> None:
    guest.sendall(peers._answer(SECRET, guest.recv(32), 3))


def names_the_leader(guest: socket.socket) -> None:
    guest.sendall(peers._answer(SECRET, guest.recv(32), 0))


def drips(guest: socket.socket) -> None:
    guest.sendall(b"\0")


STRANGERS = (
    silent,
    closes,
    resets,
    garbage,
    huge,
    claims_to_be_process_1,
    knows_the_form_and_not_the_secret,
    answers_an_old_challenge,
    names_a_process_that_is_none,
    names_the_leader,
    drips,
)


@contextlib.contextmanager
def door(num_processes=3, seconds=5.0):
    """(port, thread, what `admit` has found) of a leader that waits."""
    server, found = peers.listen("127.0.0.1"), {}

    def wait():
        with contextlib.suppress(TimeoutError):
            found.update(peers.admit(server, SECRET, num_processes, seconds))

    thread = threading.Thread(target=wait)
    port = server.getsockname()[1]
    thread.start()
    yield port, thread, found
    thread.join()
    for peer in found.values():
        peer.close()


def stranger(port):
    guest = socket.create_connection(("127.0.0.1", port), timeout=5)
    guest.settimeout(5)
    return guest


@pytest.mark.parametrize("behave", STRANGERS, ids=lambda function: function.__name__)
def test_a_stranger_is_not_heard_and_the_processes_find_each_other(behave):
    with door() as (port, thread, found), contextlib.ExitStack() as stack:
        for _ in range(2):
            guest = stack.enter_context(stranger(port))
            with contextlib.suppress(OSError):
                behave(guest)
        own = {number: stack.enter_context(peers.connect("127.0.0.1", port, SECRET, number, 5)) for number in (2, 1)}
        thread.join()
        assert found.keys() == {1, 2}
        for number, peer in found.items():
            peer.setblocking(True)
            peer.sendall(b"%d" % number)
        assert [own[number].recv(1) for number in (1, 2)] == [b"1", b"2"]


def test_a_process_that_has_its_place_keeps_it():
    with door() as (port, thread, found), contextlib.ExitStack() as stack:
        first = stack.enter_context(peers.connect("127.0.0.1", port, SECRET, 1, 5))
        second = stack.enter_context(peers.connect("127.0.0.1", port, SECRET, 1, 5))
        assert second.recv(1) == b""  # closed by the leader
        stack.enter_context(peers.connect("127.0.0.1", port, SECRET, 2, 5))
        thread.join()
        assert found[1].getpeername() == first.getsockname()


def test_the_silent_are_sent_away_and_many_do_not_fill_the_door(monkeypatch):
    monkeypatch.setattr(peers, "_HANDSHAKE_SECONDS", 0.1)
    monkeypatch.setattr(peers, "_MAX_GUESTS", 4)
    with door(num_processes=2) as (port, thread, found), contextlib.ExitStack() as stack:
        guests = [stack.enter_context(stranger(port)) for _ in range(12)]
        for guest in guests:
            with contextlib.suppress(ConnectionError):
                while guest.recv(64):
                    pass
        stack.enter_context(peers.connect("127.0.0.1", port, SECRET, 1, 5))
        thread.join()
        assert found.keys() == {1}


def test_the_door_closes_at_its_time():
    server = peers.listen("127.0.0.1")
    port = server.getsockname()[1]
    began = time.monotonic()
    with stranger(port), pytest.raises(TimeoutError, match=r"0 of 1 processes have come in 0\.2 s"):
        peers.admit(server, SECRET, 2, 0.2)
    assert time.monotonic() - began < 3
    with pytest.raises(OSError, match="refused"):
        stranger(port)


@pytest.mark.parametrize(
    ("resolved", "name", "address"),
    [
        ("127.0.0.1", "localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.1.1", "node1", ""),  # Debian's name of the machine itself
        ("192.0.2.7", "gateway", ""),  # an address of no interface
    ],
)
def test_the_leader_listens_on_the_interface_it_was_given(monkeypatch, resolved, name, address):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", (resolved, 0))])
    assert peers.interface_of(name) == address


# --- After the handshake ----------------------------------------------------------------------------------------------


@pytest.fixture
def watched():
    """(watch of process 0 of 3, other ends of its connections, what it has said, what it was stopped with)."""
    ends, others = {}, {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for number in (1, 2):
            others[number] = socket.create_connection(server.getsockname())
            ends[number], _ = server.accept()
    said: list[str] = []
    stopped: list[int] = []
    yield peers.Watch(0, 3, ends, said.append, stopped.append), others, said, stopped
    for one in (*others.values(), *ends.values()):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def test_the_others_are_told_who_has_gone(watched):
    _, others, said, stopped = watched
    others[2].close()
    wait_for(lambda: stopped)
    assert stopped == [peers.LOST]
    (line,) = said
    assert "process 2 of 3 has ended before its time, so process 0 stops too" in line
    assert others[1].recv(64) == b"lost 2\n"


@pytest.mark.parametrize("message", [b"done\n", b"x" * 5000 + b"done\n"])
def test_one_that_ends_as_it_should_stops_nobody(watched, message):
    watch, others, _, stopped = watched
    others[1].sendall(message)
    others[1].close()
    time.sleep(0.05)
    assert stopped == []
    watch.leave()
    assert others[2].recv(64) == b"done\n"
    others[2].close()
    time.sleep(0.05)
    assert stopped == []


@pytest.mark.parametrize("message", [b"lost x\n", b"lost 99999999999999\n", b"\xff\0", b"lost"])
def test_a_message_of_no_form_is_the_loss_of_its_sender(watched, message):
    _, others, said, stopped = watched
    others[1].sendall(message)
    others[1].close()
    wait_for(lambda: stopped)
    assert "process 1 of 3 has ended" in said[0]


# --- What travels between them ----------------------------------------------------------------------------------------


@pytest.fixture
def two(monkeypatch):
    """Calls as the leader and as the other of two processes, in turn, with what the leader has sent."""
    sent: list[bytes] = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)

    def broadcast(data: bytes) -> bytes:
        if jax.process_index() == 0:
            sent.append(data)
            return b"what another process has made of it"
        return sent.pop(0)

    monkeypatch.setattr(hosts, "_broadcast", broadcast)

    def call(process, function):
        monkeypatch.setattr(jax, "process_index", lambda: process)
        return function()

    return call, sent


def test_what_the_leader_makes_is_json(two):
    call, sent = two
    value = {"rows": [{"kl": float("inf"), "name": "é"}], "none": None, "large": 2**70}
    assert call(0, lambda: hosts.from_leader(lambda: value)) is value
    assert json.loads(sent[0])["value"] == value
    assert call(1, lambda: hosts.from_leader(lambda: pytest.fail("made twice"))) == value


class Nasty:
    def __reduce__(self):
        return pytest.fail, ("executed",)


def test_what_is_no_json_is_an_error_of_both(two):
    call, _ = two
    with pytest.raises(TypeError, match="not JSON serializable"):
        call(0, lambda: hosts.from_leader(Nasty))
    with pytest.raises(RuntimeError, match=r"process 0: .*not JSON serializable"):
        call(1, lambda: hosts.from_leader(lambda: None))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("widths is 0"), hosts.HostError, "widths is 0"),
        (FileNotFoundError(2, "No such file", "run.json"), hosts.HostError, "run.json cannot be used: No such file"),
        (KeyError("absent"), RuntimeError, "process 0: 'absent'"),
    ],
)
def test_an_error_of_the_leader_is_one_of_all(two, error, kind, words):
    call, _ = two

    def fail():
        raise error

    with pytest.raises(type(error)):
        call(0, lambda: hosts.from_leader(fail))
    with pytest.raises(kind, match=words):
        call(1, lambda: hosts.from_leader(fail))


@pytest.mark.parametrize("data", [b"\x80\x04\x95", b"cos\nsystem\n(S'true'\ntR."])
def test_a_pickle_is_refused(two, data):
    call, sent = two
    sent.append(data)
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        call(1, lambda: hosts.from_leader(lambda: None))


def test_arrays_travel_bit_for_bit(two):
    call, _ = two
    arrays = {
        "zero": np.array([-0.0, np.nan, 1.5], np.float32),
        "half": np.ones((2, 3), jax.numpy.bfloat16),
        "none": np.zeros((0, 4), np.int32),
        "flag": np.array(True),
    }
    assert call(0, lambda: hosts.arrays_from_leader(arrays)).keys() == arrays.keys()
    received = call(1, lambda: hosts.arrays_from_leader({name: np.zeros_like(leaf) for name, leaf in arrays.items()}))
    for name, leaf in arrays.items():
        assert received[name].dtype == leaf.dtype
        assert received[name].shape == leaf.shape
        assert received[name].tobytes() == leaf.tobytes()
