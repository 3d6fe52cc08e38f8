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
