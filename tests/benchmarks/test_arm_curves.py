"""Series of metrics by arm."""

from types import SimpleNamespace

import numpy as np

from benchmarks import arm_curves


def test_series_and_picture(monkeypatch, tmp_path):
    members = [{"member": 1, "arm": "r1"}, {"member": 0, "arm": "plain"}, {"member": 2, "arm": "plain"}]
    metrics = [
        {"member": member, "step": step, "evaluation": {"running": {"modes": member + step, "kl": None}}}
        for step in (20, 10)
        for member in (0, 1, 2)
    ]
    directory = SimpleNamespace(read_members=lambda: members, read_metrics=lambda: metrics)
    monkeypatch.setattr(arm_curves.SweepDirectory, "open", lambda path: directory)
    found = arm_curves.arm_series(tmp_path, "modes")
    assert list(found) == ["plain", "r1"]
    steps, values = found["plain"]
    np.testing.assert_array_equal(steps, [10, 20])
    np.testing.assert_array_equal(values, [[10, 20], [12, 22]])
    assert np.isnan(arm_curves.arm_series(tmp_path, "kl")["r1"][1]).all()
    arm_curves.draw(tmp_path, ["modes", "kl"], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
