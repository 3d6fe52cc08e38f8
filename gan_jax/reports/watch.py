"""`gan-jax watch`: serves the report of a run or a sweep in progress to a browser on this machine."""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.experiment.configs import config_label
from gan_jax.reports import report, sweep_report
from gan_jax.reports.html_parts import paragraph
from gan_jax.reports.page import Live, Section, document
from gan_jax.reports.sweep_survival import sweep_statistics
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.sweep_directory import SweepDirectory

HOST = "127.0.0.1"
_PORTS = 20
_MAX_CONNECTIONS = 32
_IDLE_SECONDS = 20.0
_REST = 3
"""Least pause between two drawings, as a multiple of the time of one, so that a run on the same cores keeps going."""
_NOTHING = "no metrics yet: waiting for the first evaluation"
_OWN_FILES = ("report.html", "statistics.json", ".lock")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


class Drawing(NamedTuple):
    """The page of a folder, as of the last change of its files.

    Attributes:
        files: name, time and size of each file.
        version: number of the page, counted from 1.
        page: HTML; "" before the first page.
        phase: "waiting" for the first metrics, "going on", or "ended".
        line: a line on the state of the run.
    """

    files: frozenset[tuple[str, int, int]] = frozenset()
    version: int = 0
    page: str = ""
    phase: str = ""
    line: str = ""


def watch(path: Path, *, port: int, every: float, log: Callable[[str], None], allowed: AllowedCode = NO_CODE) -> None:
    """Serves the page of a folder to this machine, until it is interrupted.

    Args:
        path: the folder of a run or a sweep.
        port: the first port to try; 0 takes any free port.
        every: seconds between two checks of the folder.
        log: called with a line for each event.
        allowed: code that may be executed, to compare the experiment with its config.

    Raises:
        RunError: if the folder is neither a run nor a sweep, or no port is free.
    """
    with contextlib.suppress(KeyboardInterrupt):
        drawing = draw_page(path, Drawing(), every, allowed)
        with make_server(port) as server:
            server.drawing = drawing
            threading.Thread(target=server.serve_forever, daemon=True).start()
            taken = f"port {port} is taken; " if port not in (0, server.server_port) else ""
            log(f"{taken}{path} is shown at http://{HOST}:{server.server_port}/ (Ctrl-C ends the server)")
            log(drawing.line)
            for later in drawings(path, drawing, every, log, allowed):
                if later.phase != server.drawing.phase:
                    log(later.line)
                server.drawing = later


def drawings(
    path: Path, drawing: Drawing, every: float, log: Callable[[str], None], allowed: AllowedCode = NO_CODE
) -> Iterator[Drawing]:
    """Draws a new page each time that files in the folder have changed, without end.

    Args:
        path: the folder of a run or a sweep.
        drawing: the previous page.
        every: seconds between two checks of the folder.
        log: called with a line when the folder cannot be drawn; the last page is then kept.
        allowed: code that may be executed.

    Yields:
        The pages after `drawing`, in order.
    """
    rest, problem = every, ""
    while True:
        time.sleep(rest)
        rest = every
        if seen(path) == drawing.files:
            continue
        began = time.monotonic()
        try:
            drawing, problem = draw_page(path, drawing, every, allowed), ""
            yield drawing
        # A file that is being written can raise any error. The last page is kept until the file is complete.
        except Exception as error:
            if str(error) != problem:
                log(f"{path} cannot be drawn at present ({type(error).__name__}: {error}); trying again")
            problem = str(error)
        rest = max(every, _REST * (time.monotonic() - began))


def seen(path: Path) -> frozenset[tuple[str, int, int]]:
    """Name, time and size of each file from which the page is made."""
    found = set()
    for part in (path, path / "samples", path / "diagnosis"):
        for file in part.iterdir() if part.is_dir() else ():
            try:
                status = file.stat()
            except OSError:
                continue
            if file.is_file() and file.name not in _OWN_FILES and ".tmp" not in file.name:
                found.add((str(file.relative_to(path)), status.st_mtime_ns, status.st_size))
    return frozenset(found)


def draw_page(path: Path, before: Drawing, every: float, allowed: AllowedCode = NO_CODE) -> Drawing:
    """The page of a folder in its present state; without metrics, a page that waits for them.

    Args:
        path: the folder of a run or a sweep.
        before: the previous page, from whose number the new one follows.
        every: seconds between two checks of the folder; the page itself asks as often, but at least every 5 s.
        allowed: code that may be executed.

    Returns:
        The page and the state of the run.

    Raises:
        RunError: if the folder is neither that of a run nor that of a sweep.
    """
    files, version = seen(path), before.version + 1
    if (path / "sweep.json").is_file():
        phase, line, render = _sweep(SweepDirectory.open(path, allowed))
    elif (path / "experiment.json").is_file():
        phase, line, render = _run(RunDirectory.open(path, allowed))
    else:
        raise RunError(
            f"{path} holds neither a run nor a sweep: give a folder that gan-jax train or gan-jax sweep wrote"
        )
    live = Live(version, min(every, 5.0), phase == "ended", line[:1].upper() + line[1:])
    return Drawing(files, version, render(live), phase, line)


def _run(run: RunDirectory) -> tuple[str, str, Callable[[Live], str]]:
    record, rows = run.read_record(), run.read_metrics()
    if not rows:
        return "waiting", _NOTHING, partial(_waiting, report.title_of(record))
    if run.verdict_path.is_file():
        return "ended", "the run has ended", partial(report.render_run, run, rows)
    return "going on", report.state_of(record, rows), partial(report.render_run, run, rows)


def _sweep(directory: SweepDirectory) -> tuple[str, str, Callable[[Live], str]]:
    record, rows = directory.read_record(), directory.read_members()
    if not rows:
        return "waiting", _NOTHING, partial(_waiting, config_label(record.config) or "sweep")
    num, ended = len(record.sweep.arms) * len(record.sweep.seeds), sum(row["ended"] for row in rows)
    render = partial(sweep_report.render_sweep, directory, rows, sweep_statistics(record, rows))
    if ended == num:
        return "ended", "the sweep has ended", render
    return "going on", f"not finished: {ended} of {num} runs have ended", render


def _waiting(title: str, live: Live) -> str:
    body = paragraph("There is no evaluation yet. This page will show the first one as soon as it is written.")
    return document(title, "Nothing to report yet", [Section("Waiting", body)], live)


# --- Server -----------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Answers with `drawing`, which is replaced as a whole. If there are too many connections, the oldest is closed."""

    daemon_threads = True
    request_queue_size = _MAX_CONNECTIONS
    drawing = Drawing()

    def __init__(self, address: tuple[str, int]) -> None:
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begins a connection."""
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > _MAX_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
                with contextlib.suppress(OSError):  # the connection may just have ended by itself
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores that a browser has closed the connection; other errors are shown as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page at / and its version at /state, and nothing else: no file of the disk."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        drawing = self.server.drawing
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (HOST, "localhost"):
            self._answer(403, "text/plain", "this page is only for browsers on this machine\n")
        elif self.path == "/":
            self._answer(200, "text/html; charset=utf-8", drawing.page)
        elif self.path == "/state":
            state = {"version": drawing.version, "ended": drawing.phase == "ended"}
            self._answer(200, "application/json", json.dumps(state))
        else:
            self._answer(404, "text/plain", "this server has only one page, at /\n")

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self._answer(405, "text/plain", "only GET and HEAD are allowed\n", Allow="GET, HEAD", Connection="close")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse

    def _answer(self, code: int, kind: str, text: str, **more: str) -> None:
        data = text.encode()
        self.send_response(code)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": "no-store", **more}
        headers |= {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def make_server(port: int) -> Server:
    """A server on the first free port from `port` on, bound to the loopback address.

    Raises:
        RunError: if none of the ports is free.
    """
    last = min(port + _PORTS, 65536) if port else 1
    for candidate in range(port, last):
        try:
            return Server((HOST, candidate))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise RunError(f"no port from {port} to {last - 1} is free: choose another --port, or 0 for any free port")
