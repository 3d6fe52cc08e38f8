"""Stored diagnoses: those of earlier versions are read with the keys of this one, and can be shown."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from gan_jax.reports.diagnosis_kinds import RUN_KINDS, read_diagnosis, with_present_keys

FORMER = Path(__file__).parent / "former_diagnoses"
"""Diagnoses that commit 1bc3e11 wrote; of the landscape every eighth point of the grid, and few examples."""


@pytest.mark.parametrize("kind", ["forgetting", "landscape"])
def test_a_diagnosis_of_an_earlier_version_is_shown(tmp_path, kind):
    result = read_diagnosis(kind, FORMER / f"{kind}.json")
    module = importlib.import_module(f"gan_jax.reports.diagnosis_{kind}")
    assert module.sentence(result).startswith({"forgetting": "From one checkpoint", "landscape": "At step 100"}[kind])
    assert "100" in module.table(result)
    module.figure(result).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_former_keys_become_the_present_ones_and_others_stay():
    former = {"boundary": 0.0, "checkpoints": [{"attention": {"seen": [True]}, "step": 1}], "judges": 1}
    assert with_present_keys("landscape", former) == {
        "decision_threshold": 0.0,
        "checkpoints": [{"local_maxima": {"seen": [True]}, "step": 1}],
        "judges": 1,
    }
    assert with_present_keys("forgetting", {"turning": {}, "judges": True}) == {
        "gradient_cosines": {},
        "has_decision_threshold": True,
    }
    present = {"gradient_cosines": {}, "checkpoints": "none"}
    assert with_present_keys("forgetting", present) == present
    assert former["checkpoints"][0].keys() == {"attention", "step"}


def test_a_file_without_an_object_is_refused(tmp_path):
    path = tmp_path / "game.json"
    path.write_text(json.dumps([1]))
    with pytest.raises(TypeError, match="a diagnosis is a JSON object, and this is a list"):
        read_diagnosis("game", path)


@pytest.mark.parametrize("kind", [*RUN_KINDS, "unroll"])
def test_each_kind_has_a_command_and_its_words_and_pictures(kind):
    assert callable(importlib.import_module(f"gan_jax.cli.diagnose_{kind}").diagnose)
    report = importlib.import_module(f"gan_jax.reports.diagnosis_{kind}")
    assert all(callable(getattr(report, name)) for name in ("sentence", "table", "figure"))
