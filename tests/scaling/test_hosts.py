"""Two processes on one machine: they equal one, and when one dies the other says so and stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.runs.checkpoint import Checkpoints, to_host
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.runner import state_template
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.scaling.peers import LOST

SMALL = ("--batch-size", "16", "--detector.num-samples", "64", "--eval-every-steps", "10")
SMALL += ("--generator.network.widths", "8,8", "--discriminator.network.widths", "8,8")
STUDY = ("sweep", "ring", "--grid", "data.std", "0.02,0.05,0.1", "--seeds", "1", "--strategy", "pmap-map", *SMALL)


def environment(num_devices: int) -> dict[str, str]:
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    return {**os.environ, "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={num_devices}"}


def two_processes(*arguments, num_devices=2) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gan_jax", *map(str, arguments), "--coordinator", f"127.0.0.1:{port}"]
    return [
        subprocess.Popen(
            [*command, "--num-processes", "2", "--process-id", str(index)],
            env=environment(num_devices),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def finish(processes, timeout=240) -> list[tuple[int, str, str]]:
    """(exit code, standard output, standard error) of each."""
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def rows(path: Path) -> list[dict]:
    made = [{k: v for k, v in row.items() if k != "steps_per_second"} for row in SweepDirectory(path).read_metrics()]
    return sorted(made, key=lambda row: (row["member"], row["step"]))


def final_state(path: Path) -> dict[str, np.ndarray]:
    run = RunDirectory.open(path)
    template = state_template(run.read_record().experiment)
    state, _ = Checkpoints(run.checkpoints_path, read_only=True).restore_latest(template)
    return to_host(state)


def test_a_data_parallel_run_over_two_processes_is_that_of_one(tmp_path):
    train = ("train", "ring", "--num-steps", "20", "--quiet", *SMALL, "--run-dir")
    results = finish(two_processes(*train, tmp_path / "two"))
    assert [code for code, _, _ in results] == [0, 0], results
    assert "never formed" in results[0][1]
    assert "x 4 of 2 processes" in results[0][2]
    assert results[1][1] == ""  # the leader speaks for both
    assert main([*train, str(tmp_path / "one")]) == 0
    two, one = final_state(tmp_path / "two"), final_state(tmp_path / "one")
    for name, leaf in one.items():
        if "variables.params" in name:
            np.testing.assert_allclose(two[name], leaf, atol=1e-6, err_msg=name)
    assert two["step"] == one["step"] == 20
    # The checkpoint of two processes goes on in one.
    resume = ["train", "--resume", str(tmp_path / "two"), "--num-steps", "30", "--quiet"]
    assert main(resume) == 0
    assert json.loads((tmp_path / "two" / "verdict.json").read_text())["last_step"] == 30


def test_a_process_that_dies_stops_the_other_and_the_sweep_goes_on_in_one(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "sweep"
    length = ("--num-steps", "600", "--quiet", "--run-dir")
    assert main([*STUDY, *length, str(whole)]) == 0
    processes = two_processes(*STUDY, *length, path)
    try:
        deadline = time.monotonic() + 200
        while not (path / "metrics.jsonl").exists() or len(rows(path)) < 6:
            assert time.monotonic() < deadline, "no metrics"
            assert processes[1].poll() is None, processes[1].communicate()
            time.sleep(0.02)
    finally:
        processes[1].send_signal(signal.SIGKILL)
    died = time.monotonic()
    (code, _, error), _ = finish(processes, timeout=120)
    assert code == LOST, error
    assert time.monotonic() - died < 120
    assert "process 1 of 2 has ended before its time, so process 0 stops too" in error
    assert "--resume" in error
    assert len(rows(path)) < len(rows(whole)), "the sweep had ended before the kill"
    assert main(["sweep", "--resume", str(path), "--quiet"]) == 0
    assert rows(path) == rows(whole)
    assert SweepDirectory(path).read_members() == SweepDirectory(whole).read_members()


@pytest.mark.slow
def test_a_sweep_over_two_processes_is_that_of_one(tmp_path):
    length = ("--num-steps", "30", "--quiet", "--run-dir")
    results = finish(two_processes(*STUDY, *length, tmp_path / "two"))
    assert [code for code, _, _ in results] == [0, 0], results
    assert main([*STUDY, *length, str(tmp_path / "one")]) == 0
    assert rows(tmp_path / "two") == rows(tmp_path / "one")
    assert SweepDirectory(tmp_path / "two").read_members() == SweepDirectory(tmp_path / "one").read_members()


@pytest.mark.slow
def test_the_leader_that_dies_stops_the_other(tmp_path):
    path = tmp_path / "run"
    train = ("train", "ring", "--num-steps", "20000", "--quiet", *SMALL, "--run-dir", path)
    processes = two_processes(*train)
    deadline = time.monotonic() + 200
    while not (path / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes[0].send_signal(signal.SIGKILL)
    died = time.monotonic()
    _, (code, _, error) = finish(processes, timeout=120)
    assert time.monotonic() - died < 120
    assert code == LOST, error
    assert "process 0 of 2 has ended before its time" in error


@pytest.mark.slow
@pytest.mark.parametrize("holds", ["a file", "another run"])
def test_what_the_leader_cannot_do_is_said_by_both(holds, tmp_path):
    folder = tmp_path / "taken"
    train = ("train", "ring", "--num-steps", "20", "--quiet", *SMALL, "--run-dir", str(folder))
    if holds == "a file":
        folder.mkdir()
        (folder / "file").write_text("")
        message = "is not a run of gan-jax"
    else:
        assert main([*train, "--data.std", "0.5"]) == 0
        message = "holds a run of another experiment (data.std: 0.5 -> 0.02)"
    for code, _, error in finish(two_processes(*train)):
        assert code == 2, error
        assert message in error
        assert "Traceback" not in error


def listening(process: int) -> set[tuple[str, int]]:
    """(address in hexadecimal digits, port) of each socket of a process that listens."""
    own = set()
    for link in Path(f"/proc/{process}/fd").glob("*"):
        with contextlib.suppress(OSError):
            own.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="utf-8").splitlines()[1:]:
            _, place, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in own:
                address, _, port = place.partition(":")
                found.add((address, int(port, 16)))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="reads the sockets of Linux")
def test_strangers_at_every_port_change_nothing(tmp_path):
    train = ("train", "ring", "--num-steps", "20", "--quiet", *SMALL, "--run-dir", tmp_path / "run")
    processes = two_processes(*train)
    seen: set[tuple[str, int]] = set()
    with contextlib.ExitStack() as stack:
        while any(process.poll() is None for process in processes):
            for place in set().union(*(listening(process.pid) for process in processes)) - seen:
                seen.add(place)
                for message in (None, b"", b"1", b"1" * 1_000_000, b"\x80\x04\x95garbage\r\n"):
                    with contextlib.suppress(OSError):
                        stranger = socket.create_connection(("127.0.0.1", place[1]), timeout=1)
                        stack.callback(stranger.close)
                        if message is not None:
                            stranger.sendall(message)
                            stranger.close()
            time.sleep(0.02)
    results = finish(processes)
    assert [code for code, _, _ in results] == [0, 0], results
    assert json.loads((tmp_path / "run" / "verdict.json").read_text())["last_step"] == 20
    assert len(seen) >= 3
    assert {address for address, _ in seen} <= {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1


def test_one_process_is_its_own_leader():
    from gan_jax.scaling import hosts

    assert hosts.is_leader()
    assert hosts.num_hosts() == jax.process_count() == 1
    assert hosts.shard(3) == [0, 1, 2]
    assert hosts.from_leader(lambda: "made") == "made"
    with pytest.raises(KeyError):
        hosts.from_leader(lambda: {}["absent"])


@pytest.mark.parametrize(("process", "shares"), [(0, [0, 1]), (1, [2, 3]), (2, [4, 4])])
def test_shares_are_equal_and_contiguous(process, shares, monkeypatch):
    from gan_jax.scaling import hosts

    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: process)
    assert hosts.shard(5) == shares
