"""`gan-jax thresholds`: stored evaluations read again by other thresholds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gan_jax.cli.main import main
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.verdict import Verdict
from gan_jax.metrics.hazards import hazard_ratio_per_unit, log_rank_trend
from gan_jax.metrics.survival import onset_of
from gan_jax.reports.threshold_table import threshold_summary, threshold_table
from gan_jax.runs.thresholds import Reading, StoredSeries, readings, stored_series, threshold_grid
from tests.reports.made_folders import make_sweep
from tests.runs.test_stop_at_collapse import SMALL

FORMER = Path(__file__).parent / "former" / "sweep"


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--run-dir", str(path)]) == 0
    return path


def test_the_thresholds_of_training_give_the_stored_verdict(collapsed):
    for path in (collapsed, FORMER):
        series = stored_series([path])
        (reading,) = readings(series, [{}])
        stored = [Verdict.from_json(one.verdict) for one in series]
        assert [verdict.sentence() for verdict in reading.verdicts] == [verdict.sentence() for verdict in stored]


def test_other_thresholds_are_those_of_a_run_that_had_them(collapsed, tmp_path, capsys):
    path = tmp_path / "patient"
    assert main(["train", *SMALL, "--detector.window", "100", "--run-dir", str(path)]) == 0
    capsys.readouterr()
    assert main(["thresholds", str(collapsed), "--vary", "window", "100,2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    sentences = [line["verdicts"][0] for line in result["readings"]]
    stored = [json.loads((run / "verdict.json").read_text())["sentence"] for run in (collapsed, path, collapsed)]
    assert sentences == stored
    assert sentences[0] != sentences[1]
    assert result["sentence"] == "the run depends on a threshold: its number of failures changes under window=100"


def test_runs_of_different_lengths_are_read_to_their_own_ends(tmp_path, capsys):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), seeds=1)
    for step in (50, 60, 70):
        rows = [row | {"step": step} for row in made.read_metrics() if row["member"] == 1 and row["step"] == 40]
        full = {"dominant_mode": 0, "center_distance": 0.1, "mean_spread": 1.0}
        made.append_metrics([row | {"evaluation": {"running": row["evaluation"]["running"] | full}} for row in rows])
    assert main(["thresholds", str(made.path)]) == 2
    assert "an older version wrote them" in capsys.readouterr().err


def test_the_tests_over_a_numeric_setting_are_made_for_each_set_of_thresholds():
    def verdict(step):
        outcome = {"outcome": "healthy"} if step is None else {"outcome": "collapsed", "cause": "total"}
        return Verdict.from_json({**outcome, "onset_step": step, "last_step": 900, "onset_steps": {"collapse": step}})

    steps = {"rate=0.0": (100, 200, 400), "rate=0.1": (300, 500, None)}
    series = [
        StoredSeries(arm, arm, None, [], verdict(step).to_json(), {"rate": arm.partition("=")[2]})
        for arm, listed in steps.items()
        for step in listed
    ]
    as_trained = Reading({}, [verdict(step) for listed in steps.values() for step in listed])
    none = Reading({"window": 9.0}, [verdict(None)] * 6)
    found = threshold_summary(series, [as_trained, none])
    first, second = found["readings"]
    onsets, rates = [onset_of(one.verdict) for one in series], [0.0] * 3 + [0.1] * 3
    assert first["trend_z"] == log_rank_trend(onsets, rates).z < 0
    assert found["unit"] == 0.005
    assert first["hazard_ratio"] == hazard_ratio_per_unit(onsets, rates, unit=0.005)._asdict()
    assert (second["trend_z"], second["hazard_ratio"]["ratio"]) == (None, None)
    head, line, empty = threshold_table(found).splitlines()[1:4]
    assert "trend z" in head
    assert "hazard ratio for 0.005" in head
    assert f"{first['hazard_ratio']['ratio']:.2f} (" in line
    assert empty.split()[-2:] == ["-", "-"]
    unnamed = threshold_summary([dataclasses.replace(one, settings={}) for one in series], [as_trained])
    assert unnamed["unit"] is None
    assert "trend" not in threshold_table(unnamed)


def test_one_threshold_is_changed_at_a_time():
    found = threshold_grid(ImageDetector())
    assert found[0] == {}
    assert all(len(changes) == 1 for changes in found[1:])
    names = {name for changes in found for name in changes}
    assert names == {
        *("total_variance", "total_distance", "junk_share", "few_classes", "large_class", "many_classes"),
        *("intra_variance", "healthy_modes", "healthy_junk", "healthy_variance", "healthy_distance"),
        *("window", "forming_window"),
    }
    assert {"total_share": 0.1667} in threshold_grid(MixtureDetector())
    assert {"partial_share": 0.75} not in threshold_grid(MixtureDetector())  # it would not be below healthy_share


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary", "confidence", "0.5"], "is not a threshold that can be varied"),
        (["--vary", "healthy-junk", "x"], "--vary healthy-junk is 'x', and must be a number"),
        (["--vary", "healthy-junk", "2"], "must be at most 1"),
    ],
)
def test_wrong_input_is_told_in_a_line(collapsed, capsys, arguments, said):
    assert main(["thresholds", str(collapsed), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) <= 2


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert main(["thresholds", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
