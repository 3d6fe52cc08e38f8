"""No file and no output holds NaN, which is no JSON."""

from __future__ import annotations

import json
import math

from gan_jax.runs.run_directory import write_json
from tests.reports.made_folders import make_run


def strict(text):
    return json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))


def test_what_is_not_finite_is_null_in_every_file(tmp_path):
    run = make_run(tmp_path / "run")
    run.append_metrics({"step": 1, "train": {"loss": math.nan}, "counts": (1, -math.inf)})
    run.append_signals([{"step": 1, "signals": {"a": math.inf}}])
    write_json(run.verdict_path, {"bounds": {"kl": {"floor": math.nan}}, "message": "NaN"})
    assert strict(run.metrics_path.read_text()) == {"step": 1, "train": {"loss": None}, "counts": [1, None]}
    assert strict(run.signals_path.read_text()) == {"step": 1, "signals": {"a": None}}
    assert strict(run.verdict_path.read_text()) == {"bounds": {"kl": {"floor": None}}, "message": "NaN"}
