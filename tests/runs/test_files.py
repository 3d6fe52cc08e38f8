from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gan_jax.runs import files
from gan_jax.runs.files import append_lines, read_lines, remove_folder, replacing, set_aside, write_json, write_text
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_states import keep_diagnosis
from gan_jax.runs.stored_shapes import damaged_field, is_step


@pytest.mark.parametrize("write", [write_text, lambda path, text: write_json(path, text)])
def test_a_file_that_cannot_be_written_is_as_before(tmp_path, write):
    path = tmp_path / "a.json"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError if write is write_text else TypeError):
        write(path, "\udce9" if write is write_text else {1, 2})
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_ending_while_it_is_written_and_a_link_is_replaced(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "other"
    other.write_text("of somebody", encoding="utf-8")
    path.symlink_to(other)
    with replacing(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        temporary.write_bytes(b"new")
    assert (path.read_bytes(), path.is_symlink(), other.read_text(encoding="utf-8")) == (b"new", False, "of somebody")


def test_rows_are_not_appended_through_a_link(tmp_path):
    (tmp_path / "rows.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"rows\.jsonl"):
        append_lines(tmp_path / "rows.jsonl", [{"step": 1}])
    assert not (tmp_path / "elsewhere").exists()


def test_an_error_names_the_file(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as found, files._naming(tmp_path / "rows.jsonl"):
        (tmp_path / "full").write_text("a", encoding="utf-8")
    assert found.value.filename == str(tmp_path / "rows.jsonl")


def test_lines_that_are_no_rows_are_left_out_and_told(tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    append_lines(path, [{"step": 1}, {"stop": 2}, {"step": "3"}])

    def damaged(row):
        return damaged_field(row, {"step": is_step})

    with path.open("ab") as file:
        file.write(b'7\n[1]\n{"step": 4}\n{"a": \xff}\n' + b"[" * 100_000 + b'\n{"step": 5')
    assert read_lines(path, damaged, ": resume") == [{"step": 1}, {"step": 4}]
    (line,) = caplog.messages
    assert line == f"gan-jax: {path}: 7 of 9 lines are damaged and left out (line 2 has no valid step): resume"
    assert len(read_lines(path)) == 4
    assert read_lines(tmp_path / "absent") == []


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_what_is_no_file_has_no_rows(tmp_path, name):
    (tmp_path / name).mkdir()
    assert read_lines(tmp_path / "rows.jsonl") == []
    (tmp_path / name).rmdir()
    os.mkfifo(tmp_path / name)
    assert read_lines(tmp_path / "rows.jsonl") == []


def test_what_is_set_aside_is_kept_and_what_is_removed_is_not(tmp_path):
    for _ in range(2):
        (tmp_path / "a" / "b").mkdir(parents=True)
        set_aside(tmp_path, [tmp_path / "a" / "b", tmp_path / "absent"])
    assert (tmp_path / "set_aside" / "2" / "a" / "b").is_dir()
    remove_folder(tmp_path / "a")
    remove_folder(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["set_aside"]


def test_a_result_that_cannot_be_kept_is_told(tmp_path, monkeypatch, caplog):
    run = RunDirectory(tmp_path)
    (tmp_path / "diagnosis").write_text("", encoding="utf-8")
    assert keep_diagnosis(run, "game", {}) is None
    assert "the result cannot be kept" in caplog.text
    assert "--out FILE writes it elsewhere" in caplog.text


def test_records_are_utf8_in_every_locale(tmp_path):
    code = (
        "from pathlib import Path; from gan_jax.runs.files import *; p = Path('a.jsonl')\n"
        "write_text(Path('a.txt'), '\\u2212'); append_lines(p, [{'step': 1, 'name': '\\u2212'}])\n"
        "assert read_lines(p)[0]['name'] == '\\u2212'"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert (tmp_path / "a.txt").read_bytes() == "\u2212".encode()
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["step"] == 1
