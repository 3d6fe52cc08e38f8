"""benchmarks/freeze_collapses.py: games that were not played again stay in the file."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import freeze_collapses
from gan_jax.runs.collapsebench import known_collapses


def test_games_that_are_in_no_sweep_stay_as_they_are(tmp_path, monkeypatch, capsys):
    known, out = known_collapses(), tmp_path / "frozen.json"
    names = list(known["games"])
    again = {**known["games"][names[1]], "collapses": {"5": 100}}
    out.write_text(json.dumps({**known, "games": dict(reversed(known["games"].items()))}))
    monkeypatch.setattr(freeze_collapses, "freeze", lambda sweeps: {"format": 1, "games": {names[1]: again}})
    monkeypatch.setattr(freeze_collapses.SweepDirectory, "open", lambda path: path)
    monkeypatch.setattr(sys, "argv", ["freeze_collapses.py", "SWEEP", "--out", str(out)])
    freeze_collapses.main()
    assert json.loads(out.read_text())["games"] == {**known["games"], names[1]: again}
    assert list(json.loads(out.read_text())["games"]) == names
    assert json.loads(capsys.readouterr().out)[names[1]] == {"5": 100}


def test_a_game_that_was_never_played_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(freeze_collapses, "freeze", lambda sweeps: {"format": 1, "games": {}})
    monkeypatch.setattr(freeze_collapses.SweepDirectory, "open", lambda path: path)
    monkeypatch.setattr(sys, "argv", ["freeze_collapses.py", "SWEEP", "--out", str(tmp_path / "frozen.json")])
    with pytest.raises(SystemExit):
        freeze_collapses.main()
    assert "have the games ring_small_g, ring_momentum" in capsys.readouterr().err
