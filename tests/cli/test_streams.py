"""A command goes on when nobody reads what it says, and when its standard streams are closed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from gan_jax.cli.main import main

START = "import sys; from gan_jax.cli.streams import guard_streams; guard_streams(); "
LONG = "[print('x' * 999, file=stream) for _ in range(999)]; stream.flush(); "


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone_is_no_error(stream, tmp_path):
    done = tmp_path / "done"
    reads, writes = os.pipe()
    os.close(reads)
    kept = subprocess.PIPE
    code = f"stream = sys.{stream}; {LONG} open({str(done)!r}, 'w').close()"
    streams = {"stdout": kept, "stderr": kept} | {stream: writes}
    process = subprocess.Popen([sys.executable, "-c", START + code], **streams)
    os.close(writes)
    said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert not any(said)
    assert done.exists()


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_the_null_device(closed, tmp_path):
    made = tmp_path / "made"
    code = (
        f"file = open({str(made)!r}, 'wb'); print('out'); print('err', file=sys.stderr); import os; os.write(2, b'C')"
    )
    command = f'"{sys.executable}" -c "$CODE" {closed}'
    found = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "CODE": START + code}, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0
    assert made.read_bytes() == b""
    assert found.stdout == ("" if "1>" in closed else "out\n")
    assert found.stderr == ("" if "2>" in closed else "err\nC")


def test_letters_that_the_locale_lacks_are_escaped():
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    found = subprocess.run(
        [sys.executable, "-c", START + "print('\\u2192 \\xe9')"], env=environment, capture_output=True, timeout=60
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, b"\\u2192 \xe9\n", b"")


def test_the_command_line_ends_quietly_under_head():
    process = subprocess.Popen(
        [sys.executable, "-m", "gan_jax", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), error) == (0, b"")


def test_a_result_that_is_not_written_is_no_success(monkeypatch, capsys):
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        code = main(["data", "list"])
        monkeypatch.undo()
    assert code == 2
    assert "standard output cannot be used: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["sample", "--help"]])
def test_a_help_that_is_not_written_is_no_success(command):
    with open("/dev/full", "w", encoding="utf-8") as full:
        found = subprocess.run(
            [sys.executable, "-m", "gan_jax", *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert found.returncode == 2
    assert found.stderr == "gan-jax: standard output cannot be used: No space left on device\n"


def test_a_full_device_is_told_once():
    code = (
        START + "from gan_jax.cli.console import print_text\n"
        "try: print_text('x')\nexcept OSError as error: print(error.filename, file=sys.stderr)"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"standard output\n")
