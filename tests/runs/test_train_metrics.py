"""Sample metrics that are measured during training."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.data.mixtures import Ring
from gan_jax.metrics.sample_evaluation import SampleError, evaluate_samples, make_measure
from gan_jax.reports.report import write_report
from gan_jax.reports.sweep_report import write_sweep_report
from gan_jax.runs.request import Request
from gan_jax.runs.run import SweepRun
from gan_jax.runs.sweep_plan import StoppedSweepError, SweepOptions
from gan_jax.runs.sweep_session import start_sweep
from tests.reports import made_folders


def test_values_are_those_of_an_evaluation_without_intervals():
    points = Ring().source(()).sample(jax.random.key(3), 200)
    measure = make_measure(Ring(), (), "modes,sliced_wasserstein", 200)
    expected = evaluate_samples(points, Ring(), metrics="modes,sliced_wasserstein", intervals=False)["values"]
    assert measure(points) == {name: row["value"] for name, row in expected.items()}
    broken = np.array(points)
    broken[7, 0] = np.nan
    assert measure(broken) == dict.fromkeys(expected)


@pytest.mark.parametrize(("metrics", "said"), [("kidd", "no metric 'kidd'"), ("score", "validated classifier")])
def test_what_cannot_be_measured_is_refused_before_training(metrics, said):
    with pytest.raises(SampleError, match=said):
        make_measure(Ring(), (), metrics, 200)


def test_the_report_draws_them(tmp_path):
    run = made_folders.make_run(tmp_path / "run")
    for step, value in zip(made_folders.STEPS, (0.5, 0.25, None, 0.125), strict=True):
        run.append_metrics(made_folders.row(step, "forming") | {"samples": {"kid": value, "nothing": None}})
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "kid of the samples by step; at the end 0.125" in page
    assert "nothing of the samples" not in page


def test_a_run_measures_them_at_each_evaluation(tmp_path, capsys):
    small = ["--generator.network.widths", "(4,)", "--discriminator.network.widths", "(4,)"]
    length = ["--num-steps", "4", "--eval-every-steps", "2", "--detector.num-samples", "100", "--pictures", "0"]
    place = ["--run-dir", str(tmp_path / "run"), "--quiet"]
    assert main(["train", "ring", *small, *length, *place, "--metrics", "modes,prdc"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert {"modes", "coverage", "density"} <= set(rows[0]["samples"])
    assert rows[1]["samples"]["modes"] == rows[1]["evaluation"]["running"]["modes"]
    assert main(["train", "ring", *length, "--run-dir", str(tmp_path / "other"), "--metrics", "kidd"]) == 2
    assert not (tmp_path / "other").exists()


def test_a_sweep_measures_them_for_every_member(tmp_path, capsys):
    small = ["--generator.network.widths", "(4,)", "--discriminator.network.widths", "(4,)"]
    length = ["--num-steps", "4", "--eval-every-steps", "2", "--detector.num-samples", "1600", "--pictures", "1"]
    command = ["sweep", "ring", *small, *length, "--seeds", "2", "--strategy", "map", "--quiet"]
    sweep = tmp_path / "sweep"
    assert main([*command, "--run-dir", str(sweep), "--metrics", "modes,sliced_wasserstein"]) == 0
    stored = SweepRun(sweep)
    for number in (0, 1):
        series = stored.member(number).metrics
        assert series["samples/modes"].shape == series["step"].shape == (2,)
        # They see all samples of the evaluation, as the detector does, and not only those of the picture.
        np.testing.assert_array_equal(series["samples/modes"], series["running/modes"])
        assert stored.rows[number]["samples"]["sliced_wasserstein"] == series["samples/sliced_wasserstein"][-1]
    assert "samples.sliced_wasserstein" in (sweep / "members.csv").read_text(encoding="utf-8").partition("\n")[0]
    page = write_sweep_report(sweep).read_text(encoding="utf-8")
    assert "Chosen metrics of the last samples" in page
    assert "sliced wasserstein of the samples by step, by arm" in page
    assert main([*command, "--run-dir", str(tmp_path / "other"), "--metrics", "kidd"]) == 2
    assert "no metric 'kidd'" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_resumed_sweep_measures_what_it_is_told_to(tmp_path):
    small = (("generator.network.widths", "(4,)"), ("discriminator.network.widths", "(4,)"))
    length = (("num_steps", "6"), ("eval_every_steps", "2"), ("detector.num_samples", "100"))
    sweep = tmp_path / "sweep"
    request = Request(config="ring", settings=(*small, *length), run_dir=str(sweep))
    options = SweepOptions(strategy="map", num_pictures=0, progress=False, stops=lambda step: step == 4)
    with pytest.raises(StoppedSweepError):
        start_sweep(request, {}, 1, options, lambda line: None)
    assert "samples" not in SweepRun(sweep).rows[0]
    assert main(["sweep", "--resume", str(sweep), "--metrics", "modes", "--quiet", "--pictures", "1"]) == 0
    series = SweepRun(sweep).member(0).metrics["samples/modes"]
    assert np.isnan(series[:2]).all()
    assert series[2] == SweepRun(sweep).rows[0]["samples"]["modes"]


def test_each_member_is_measured_against_its_own_data(tmp_path):
    small = ["--generator.network.widths", "(4,)", "--discriminator.network.widths", "(4,)"]
    length = ["--num-steps", "2", "--eval-every-steps", "2", "--detector.num-samples", "200", "--pictures", "1"]
    sweep = tmp_path / "sweep"
    grid = ["--grid", "data.radius", "1.0,3.0", "--seeds", "1", "--strategy", "map"]  # one program for both
    chosen = ["--metrics", "sliced_wasserstein", "--run-dir", str(sweep)]
    assert main(["sweep", "ring", *small, *length, *grid, *chosen, "--quiet"]) == 0
    near, far = (row["samples"]["sliced_wasserstein"] for row in SweepRun(sweep).rows)
    assert far > 1.5 * near  # samples of the first steps are around 0
