"""The table of captured modes by weight."""

from types import SimpleNamespace

import numpy as np

from benchmarks import remedies
from gan_jax.experiment.configs import load


def test_modes_are_listed_by_weight(monkeypatch, tmp_path):
    experiment = load("random_ring")
    weights = np.asarray(experiment.data.source(()).weights)
    heavy = weights >= np.sort(weights)[-3]
    enough = np.where(heavy, np.ceil(0.1 * 2500 * weights), 0)
    final = {0: enough, 1: np.full(8, 2500.0), 2: np.maximum(enough - 1, 0), 3: np.zeros(8)}
    members = [{"member": i, "arm": "plain, weights 0" if i < 2 else "r1, weights 0"} for i in final]
    metrics = [
        {"member": i, "step": step, "evaluation": {"running": {"counts": (counts if step else 0 * counts).tolist()}}}
        for step in (0, 200)
        for i, counts in final.items()
    ]
    arms = [
        SimpleNamespace(name=f"{name}, weights 0", experiment=experiment, settings={"remedy": name})
        for name in ("plain", "r1")
    ]
    record = SimpleNamespace(sweep=SimpleNamespace(arms=arms))
    directory = SimpleNamespace(
        read_record=lambda: record, read_members=lambda: members, read_metrics=lambda: metrics[::-1]
    )
    monkeypatch.setattr(remedies.SweepDirectory, "open", lambda path: directory)
    head, _, plain, r1 = remedies.captured_by_weight(tmp_path).splitlines()
    shares = [float(cell.split()[0]) for cell in head.split("|")[4:-2]]
    assert shares == sorted(shares, reverse=True)
    assert abs(sum(shares) - 100) < 0.5
    assert [cell.strip() for cell in plain.split("|")[2:12]] == ["2", "5.5", *["100 %"] * 3, *["50 %"] * 5]
    assert 0.3 < float(plain.split("|")[-2]) < 1
    assert [cell.strip() for cell in r1.split("|")[2:-1]] == ["2", "0.0", *["0 %"] * 8, "–"]
