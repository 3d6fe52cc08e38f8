"""gan-jax watch: the page follows the folder, and the server gives this machine the page and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from gan_jax.cli.main import main
from gan_jax.reports import watch
from gan_jax.runs.folders import RunError
from tests.reports.made_folders import end, ended_run, make_run, row, train


def test_the_page_follows_the_folder(tmp_path):
    run = make_run(tmp_path / "run")
    waiting = watch.draw_page(run.path, watch.Drawing(), 1.0)
    assert (waiting.version, waiting.phase) == (1, "waiting")
    assert "There is no evaluation yet" in waiting.page
    said: list[str] = []
    pages = watch.drawings(run.path, waiting, 0.01, said.append)
    train(run, 2)
    going = next(pages)
    assert (going.version, going.phase) == (2, "going on")
    assert going.line == "not finished: step 20 of 40 (50%), healthy"
    assert going.page.count("data:image/png") == 2
    assert 'data-version="2" data-seconds="0.01" data-ended="false"' in going.page
    train(run)
    end(run)
    ended = next(pages)
    assert (ended.version, ended.phase) == (3, "ended")
    assert 'data-ended="true"' in ended.page
    assert said == []


def test_an_unchanged_folder_is_not_drawn_again(tmp_path, monkeypatch):
    run = ended_run(tmp_path / "run")
    drawing = watch.draw_page(run.path, watch.Drawing(), 0.01)
    looks = itertools.count()

    def look(path):
        if next(looks) == 5:
            raise KeyboardInterrupt
        return drawing.files

    monkeypatch.setattr(watch, "seen", look)
    monkeypatch.setattr(watch, "draw_page", lambda *_: pytest.fail("drawn again"))
    with pytest.raises(KeyboardInterrupt):
        next(watch.drawings(run.path, drawing, 0.001, print))


def test_its_own_files_are_no_change(tmp_path):
    run = ended_run(tmp_path / "run")
    before = watch.seen(run.path)
    for name in ("report.html", "statistics.json", ".lock", "verdict.tmp123"):
        (run.path / name).write_text("")
    assert watch.seen(run.path) == before
    (run.path / "diagnosis").mkdir()
    (run.path / "diagnosis" / "game.json").write_text("{}")
    assert watch.seen(run.path) > before


def test_a_folder_that_cannot_be_read_for_a_while(tmp_path):
    run = make_run(tmp_path / "run")
    train(run, 1)
    said: list[str] = []
    good = run.metrics_path.read_text()
    record = run.record_path.read_text()
    run.record_path.write_text(record[:100])

    def mend(line):
        said.append(line)
        run.record_path.write_text(record)
        run.metrics_path.write_text(good + json.dumps(row(20, "healthy")) + "\n")

    pages = watch.drawings(run.path, watch.Drawing(), 0.01, mend)
    assert next(pages).line == "not finished: step 20 of 40 (50%), healthy"
    (line,) = said
    assert "cannot be drawn at present (RunError: " in line
    assert "experiment.json cannot be read" in line


def test_a_sweep_is_watched_too(tmp_path):
    folder = tmp_path / "sweep"
    config = tmp_path / "study.py"
    config.write_text(
        "from gan_jax.experiment.sweep import grid\nfrom gan_jax.experiment.examples import tiny_ring\n\n\n"
        "def experiment():\n    return tiny_ring(num_steps=4, eval_every_steps=2)\n\n\n"
        "def sweep():\n    return grid(experiment(), {'generator.learning_rate': (1e-3, 1e-4)}, seeds=1)\n"
    )
    assert main(["sweep", str(config), "--strategy", "map", "--run-dir", str(folder), "--quiet"]) == 0
    drawing = watch.draw_page(folder, watch.Drawing(), 1.0)
    assert (drawing.phase, drawing.line) == ("ended", "the sweep has ended")
    assert "2 runs of 2 arms" in drawing.page
    assert not (folder / "statistics.json").exists()
    (folder / "members.jsonl").unlink()
    assert watch.draw_page(folder, drawing, 1.0).phase == "waiting"


# --- Server -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    with watch.make_server(0) as made:
        made.drawing = watch.Drawing(version=7, page="<p>the page</p>", phase="going on")
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server, method, target, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, target, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_it_serves_the_page_and_its_version(server):
    assert server.server_address[0] == "127.0.0.1"
    answer, body = ask(server, "GET", "/")
    assert (answer.status, body) == (200, "<p>the page</p>")
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    assert json.loads(ask(server, "GET", "/state")[1]) == {"version": 7, "ended": False}
    server.drawing = server.drawing._replace(version=8, phase="ended")
    assert json.loads(ask(server, "GET", "/state")[1]) == {"version": 8, "ended": True}
    answer, body = ask(server, "HEAD", "/")
    assert (answer.status, answer.getheader("Content-Length"), body) == (200, "15", "")


@pytest.mark.parametrize(
    "target", ["/experiment.json", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/?x", "/state/"]
)
def test_it_serves_nothing_else(server, target):
    assert ask(server, "GET", target)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_takes_nothing(server, method):
    answer, _ = ask(server, method, "/")
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")


def test_a_page_of_another_name_cannot_read_it(server):
    assert ask(server, "GET", "/", Host="evil.example:8100")[0].status == 403
    assert ask(server, "GET", "/", Host=f"localhost:{server.server_port}")[0].status == 200


@pytest.mark.parametrize("begins", [b"", b"G", b"GET / HTTP/1.1\r\nHost: local"])
def test_those_who_send_nothing_do_not_keep_others_out(server, monkeypatch, begins):
    monkeypatch.setattr(watch, "_MAX_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        slow = []
        for _ in range(9):
            slow.append(stack.enter_context(socket.create_connection(server.server_address, timeout=10)))
            slow[-1].sendall(begins)
        assert ask(server, "GET", "/")[1] == "<p>the page</p>"
        assert slow[0].recv(1) == b""  # the oldest is closed
        assert len(server._open) <= 3


def test_a_connection_without_a_request_ends(server, monkeypatch):
    monkeypatch.setattr(watch._Handler, "timeout", 0.05)
    with socket.create_connection(server.server_address, timeout=10) as idle:
        assert idle.recv(1) == b""
    deadline = time.monotonic() + 5
    while server._open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not server._open


def test_a_port_that_is_taken_gives_the_next():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with watch.make_server(port) as server:
            assert port < server.server_port < port + 20


def test_without_a_free_port_it_says_so(monkeypatch):
    monkeypatch.setattr(watch, "_PORTS", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"no port from {port} to {port} is free"):
            watch.make_server(port)


def test_an_interrupt_ends_it_quietly(tmp_path):
    run = ended_run(tmp_path / "run")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONUNBUFFERED": "1"}
    # Where the tests run in the background of a shell, interrupts are ignored, and children inherit that.
    start = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gan_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", start, "watch", str(run.path), "--port", "0", "--every", "0.2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        first = process.stderr.readline()
        assert "is shown at http://127.0.0.1:" in first
        assert process.stderr.readline() == "the run has ended\n"
        shutil.rmtree(run.path)
        assert "cannot be drawn at present (RunError" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert (process.returncode, out, error) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def test_wrong_input_is_told_in_a_line(tmp_path, capsys):
    run = ended_run(tmp_path / "run")
    for arguments, said in (
        ([str(tmp_path)], "holds neither a run nor a sweep"),
        ([str(tmp_path / "none")], "holds neither a run nor a sweep"),
        ([str(run.path), "--every", "0"], "--every is 0.0"),
        ([str(run.path), "--port", "70000"], "--port is 70000"),
    ):
        assert main(["watch", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) == 1
