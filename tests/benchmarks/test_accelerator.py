"""The accelerator kit: stages that fail, hang or die; rows that are measured once; a rehearsal that is cut off."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmarks
from benchmarks.accelerator import __main__ as command
from benchmarks.accelerator import stages
from benchmarks.accelerator.device import ceilings
from benchmarks.accelerator.kit import Kit
from benchmarks.accelerator.studies import Pace
from benchmarks.accelerator.supervisor import STAGES, run_stages

ROOT = Path(benchmarks.__file__).parents[1]

WORKER = """
import json, os, sys, time
for line in sys.stdin:
    stage = json.loads(line)["stage"]
    open(sys.argv[1], "a").write(f"{stage} {os.getpid()}\\n")
    if stage == "smoke":
        time.sleep(60)
    if stage == "ceilings":
        sys.exit(7)
    print(json.dumps({"stage": stage, "error": "ValueError: no" if stage == "steps" else None}), flush=True)
"""


def make_kit(tmp_path: Path, seconds: float = 60.0) -> Kit:
    return Kit(tmp_path / "out", tmp_path / "work", None, True, time.monotonic() + seconds)


def test_a_stage_that_hangs_dies_or_fails_costs_no_other(tmp_path):
    seen = tmp_path / "seen"
    asked = ("machine", "smoke", "digits", "ceilings", "steps", "peers")
    failures = run_stages([sys.executable, "-c", WORKER, str(seen)], 0.05, tmp_path, asked, grace=0.5)
    assert [name for name, _ in failures] == ["smoke", "ceilings", "steps"]
    assert "was killed" in failures[0][1]
    assert failures[1][1] == "its process ended with exit code 7"
    assert failures[2][1] == "ValueError: no"
    ran = dict(line.split() for line in seen.read_text().splitlines())
    assert list(ran) == list(asked)
    # A new process after the one that was killed, and after the one that died; an error ends none.
    assert ran["machine"] == ran["smoke"] != ran["digits"] == ran["ceilings"] != ran["steps"] == ran["peers"]
    assert len((tmp_path / "failures.txt").read_text().splitlines()) == 3


def test_no_stage_begins_after_the_time(tmp_path):
    seen = tmp_path / "seen"
    assert run_stages([sys.executable, "-c", WORKER, str(seen)], 0.0, tmp_path, ["machine"]) == []
    assert not seen.exists()


def test_every_stage_has_a_function_and_the_last_gets_all_that_is_left():
    assert [stage.name for stage in STAGES if not callable(getattr(stages, stage.name, None))] == []
    assert all(0 < stage.share <= 1 for stage in STAGES)
    assert STAGES[-1].share == 1


def test_a_row_is_measured_once_and_an_error_is_a_row_that_is_tried_again(tmp_path):
    kit, calls = make_kit(tmp_path), []

    def figures():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of memory\nwith a long tail")
        return {"value": 3}

    for _ in range(3):
        assert kit.measure("accelerator steps", "ring", figures)
    assert len(calls) == 2
    first, second = kit.rows()
    assert first["error"] == "RuntimeError: out of memory"
    assert (second["value"], "error" in second, second["small"]) == (3, False, True)
    assert kit.measure("accelerator remedies", "r1", lambda: {"ended": False})
    assert not kit.is_done("accelerator remedies", "r1")
    # Rows of full sizes are others.
    assert not kit._replace(small=False).is_done("accelerator steps", "ring")


def test_what_the_time_does_not_allow_is_left_out(tmp_path):
    late = make_kit(tmp_path, seconds=5.0)._replace(small=False)
    assert not late.measure("accelerator steps", "ring", dict, needs=10.0)
    assert late.rows() == []


def test_the_ceilings_of_this_machine_are_rows(tmp_path):
    kit = make_kit(tmp_path)
    ceilings(kit)
    rows = kit.rows()
    assert [row["case"].split()[0] for row in rows] == ["product"] * 3 + ["copy"]
    assert all(row["tflops"] > 0 for row in rows[:3])
    assert rows[3]["gigabytes_per_second"] > 0


def test_a_study_that_cannot_end_in_time_stops_early_to_be_split(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    slow, quick = (Pace(make_kit(tmp_path, seconds=100.0), 1000, may_split=True) for _ in range(2))
    stops = []
    for step in range(10, 60, 10):
        clock[0] += 3.0  # 300 s for 1,000 steps
        stops.append(slow(step))
    assert stops == [False, False, False, True, True]
    assert slow.is_slow
    clock[0], stops = 0.0, []
    for step in range(10, 110, 10):
        clock[0] += 0.5
        stops.append(quick(step))
    assert stops == [False] * 10
    clock[0] = 101.0
    assert quick(110)
    assert not quick.is_slow


def test_an_unknown_stage_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["--stages", "machine,smoek"])
    assert "--stages: no smoek; there are machine, smoke," in capsys.readouterr().err


def rehearse(tmp_path: Path, *options: str) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    places = ("--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"))
    call = [sys.executable, "-m", "benchmarks.accelerator", "--small", *places, *options]
    return subprocess.Popen(call, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def test_a_rehearsal_that_is_killed_leaves_whole_rows_and_the_next_call_goes_on(tmp_path):
    first = rehearse(tmp_path, "--stages", "machine,ceilings,steps")
    time.sleep(random.Random(os.getpid()).uniform(4, 20))
    os.killpg(first.pid, 9)
    first.wait()
    path = tmp_path / "out" / "rows.jsonl"
    before = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    assert rehearse(tmp_path, "--stages", "machine,ceilings,steps").wait() == 0
    after = [json.loads(line) for line in path.read_text().splitlines()]
    assert after[: len(before)] == before
    assert len({(row["question"], row["case"]) for row in after}) == len(after) == 7
    assert [row for row in after if "error" in row] == []


def test_the_whole_rehearsal(tmp_path):
    assert rehearse(tmp_path, "--minutes", "30").wait() == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert [row for row in rows if "error" in row] == []
    assert all(row["passed"] for row in rows if row["question"] == "accelerator smoke")
    assert sum(row["question"] == "accelerator smoke" for row in rows) == 5
    (study,) = [row for row in rows if row["question"] == "accelerator digits_label_noise"]
    assert (study["members"], study["ended"], study["steps"]) == (12, True, 20)
    stored = tmp_path / "out" / "digits_label_noise" / "seeds_00-01"
    assert {path.name for path in stored.iterdir()} == {"sweep.json", "members.jsonl", "metrics.jsonl.gz"}
    assert (
        "digits"
        in subprocess.run(
            [sys.executable, "-m", "benchmarks.accelerator", "--table", str(tmp_path / "out" / "rows.jsonl")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
