"""Several sweeps read as one."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import gan_jax as gj
from benchmarks.stored_study import store
from gan_jax.cli.main import main
from gan_jax.reports.sweep_report import write_sweep_report
from gan_jax.runs.folders import RunError
from gan_jax.runs.joined_sweeps import open_sweeps
from tests.reports.made_folders import make_sweep

RATES = (1e-3, 1e-4)


def test_parts_of_a_study_are_the_study(tmp_path):
    """Two ranges of seeds give what one sweep over all seeds gives: rows, metrics, statistics, pictures."""
    whole = make_sweep(tmp_path / "whole", RATES, seeds=4)
    later, first = (make_sweep(tmp_path / str(seeds[0]), RATES, seeds=seeds) for seeds in ([2, 3], [0, 1]))
    joined = open_sweeps([later.path, first.path])
    assert joined.read_members() == whole.read_members()
    assert joined.read_metrics() == whole.read_metrics()
    assert joined.read_record().sweep == whole.read_record().sweep
    for number in range(8):
        assert joined.pictures(number)[-1].name.endswith("step_00000040.png")
    assert joined.locate(5)[0].path == later.path
    assert joined.locate(5)[1] == 1
    write_sweep_report(whole.path)
    page = write_sweep_report(later.path, tmp_path / "joined.html", more=[first.path])
    alone, together = whole.path / "statistics.json", tmp_path / "joined.statistics.json"
    assert json.loads(together.read_text()) == json.loads(alone.read_text())
    assert "Sweep of 8 runs" in page.read_text(encoding="utf-8")
    assert not (later.path / "report.html").exists()


def test_arms_may_be_added(tmp_path):
    one, more = make_sweep(tmp_path / "one", RATES, seeds=2), make_sweep(tmp_path / "more", (1e-2,), seeds=1)
    sweep = gj.SweepRun(one.path, more.path)
    assert len(sweep) == 5
    assert [(row["arm"], row["seed"]) for row in sweep.rows][:3] == [
        ("learning_rate=0.001", 0),
        ("learning_rate=0.0001", 0),
        ("learning_rate=0.01", 0),
    ]
    run = sweep.member(2)
    assert float(run.experiment.generator.learning_rate) == pytest.approx(1e-2)
    assert np.all(run.metrics["step"] == [40])
    with pytest.raises(RunError, match="no member 5: give one from 0 to 4"):
        sweep.member(5)


def test_two_studies_with_the_same_names_are_compared(tmp_path):
    """Their arms get the names of their folders, and every arm says how it differs from the first one."""
    first = make_sweep(tmp_path / "first", RATES, seeds=2)
    long = make_sweep(tmp_path / "long", (*RATES, 1e-2), seeds=2, batch_size=8)
    joined = open_sweeps([first.path, long.path])
    arms = joined.read_record().sweep.arms
    assert [arm.name for arm in arms] == [
        "learning_rate=0.001 (first)",
        "learning_rate=0.0001 (first)",
        "learning_rate=0.001 (long)",
        "learning_rate=0.0001 (long)",
        "learning_rate=0.01",
    ]
    assert arms[0].settings == {}
    assert arms[2].settings == {"batch_size": "8"}
    assert arms[4].settings == {"batch_size": "8", "generator.learning_rate": "0.01"}
    rows = joined.read_members()
    assert [(row["member"], row["arm"]) for row in rows[:5]] == list(enumerate(arm.name for arm in arms))
    page = write_sweep_report(first.path, tmp_path / "both.html", more=[long.path]).read_text(encoding="utf-8")
    assert "5 arms, 2 seeds" in page
    assert "learning_rate=0.001 (long)" in page


def test_a_stored_study_is_read_like_the_sweep(tmp_path):
    """Without its training metrics, pictures and checkpoints; compressed."""
    made = make_sweep(tmp_path / "sweep", RATES, seeds=2)
    stored = tmp_path / "stored"
    store(made.path, stored)
    assert sorted(path.name for path in stored.iterdir()) == ["members.jsonl", "metrics.jsonl.gz", "sweep.json"]
    assert open_sweeps([stored]).read_members() == made.read_members()
    evaluations = [[row["evaluation"] for row in open_sweeps([path]).read_metrics()] for path in (stored, made.path)]
    assert evaluations[0] == evaluations[1]
    write_sweep_report(stored, tmp_path / "page.html")
    write_sweep_report(made.path)
    assert (stored / "statistics.json").read_text() == (made.path / "statistics.json").read_text()
    rows = made.read_members()
    made.write_members([*rows[:-1], rows[-1] | {"ended": False}])
    with pytest.raises(RunError, match="has not ended"):
        store(made.path, tmp_path / "other")


def test_a_stored_study_does_not_name_the_folder_of_the_data(tmp_path):
    made = make_sweep(tmp_path / "sweep", RATES, seeds=2)
    place = str(tmp_path / "data")
    command = f"gan-jax sweep tiny --data {place} --seeds 2"
    record = dataclasses.replace(made.read_record(), location=place, command=command)
    made.record_path.write_text(json.dumps(record.to_json()))
    store(made.path, tmp_path / "stored")
    stored = open_sweeps([tmp_path / "stored"]).read_record()
    assert (stored.location, stored.command) == (None, "gan-jax sweep tiny --data DIR --seeds 2")
    assert stored.sweep == record.sweep


def test_what_cannot_be_one_study_is_refused(tmp_path, capsys):
    one = make_sweep(tmp_path / "one", RATES, seeds=2)
    same = make_sweep(tmp_path / "same", RATES, seeds=[1, 2])
    with pytest.raises(RunError, match="both hold seed 1"):
        open_sweeps([one.path, same.path])
    assert main(["report", str(one.path), str(same.path)]) == 2
    assert "--out FILE" in capsys.readouterr().err
