"""CollapseBench: the frozen games, and a remedy that is played in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gan_jax.data.found_set import DataError
from gan_jax.experiment.configs import ConfigError, load_sweep
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.metrics.prevention import remedy_scores
from gan_jax.reports.bench_table import bench_json, bench_table, chance
from gan_jax.runs import collapsebench
from gan_jax.runs.collapsebench import experiment_hash, is_collapse, known_collapses, play, read_scores
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord
from gan_jax.runs.sweep_plan import SweepOptions

GAMES = """
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.sweep import Arm, Sweep

def experiment():
    return tiny_ring()

def sweep():
    return Sweep((Arm("ring", tiny_ring(), {}), Arm("long", tiny_ring(num_steps=40), {})), (0, 1, 2))
"""
KNOWN = {
    "games": {
        "ring": {"experiment": "", "tried": 3, "collapses": {"0": 10, "2": 20}},
        "long": {"experiment": "", "tried": 2, "collapses": {"1": 10}},
    }
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The path of a small bench; sweeps are written as if they had ended healthy, and requests are kept."""
    path = tmp_path / "games.py"
    path.write_text(GAMES)
    requests = []

    def sweep(request, seeds, options, log):
        requests.append((request, seeds))
        (arm,) = [arm for arm in load_sweep(request.config).arms if arm.name in request.arms]
        made = SweepDirectory.create(tmp_path / "root" / str(len(requests)), SweepRecord(Sweep((arm,), tuple(seeds))))
        verdict = {"outcome": "healthy", "cause": None, "onset_step": None, "last_step": 20}
        verdict |= {"formed_step": 10, "sentence": "healthy"}
        last = {"batch": {"modes": 6.0, "high_quality": 0.9}}
        rows = [{"member": i, "arm": arm.name, "seed": s, "ended": True, "last_step": 20} for i, s in enumerate(seeds)]
        made.write_members([row | {"verdict": verdict, "last": last} for row in rows])
        made.append_metrics([{"member": 0, "step": 20, "train": {}, "evaluation": last, "steps_per_second": 50.0}])
        return made

    monkeypatch.setattr(collapsebench, "_sweep", sweep)
    return str(path), requests


def play_here(tmp_path, bench, remedy, lines=None):
    play(tmp_path / "root", remedy, KNOWN, None, SweepOptions(), "cmd", (lines or []).append, bench[0])
    return read_scores(tmp_path / "root")


def test_each_game_is_played_with_the_seeds_that_collapse_in_it(tmp_path, bench):
    rows = play_here(tmp_path, bench, "r1")
    assert [(row["game"], row["seed"]) for row in rows] == [("ring", 0), ("ring", 2), ("long", 1)]
    assert rows[0]["modes"] == 6 / 8
    assert rows[0]["quality"] == 0.9
    assert rows[0]["steps_per_second"] == 50.0
    assert [request.arms for request, _ in bench[1]] == [("ring",), ("long",)]


def test_a_game_that_has_ended_is_not_played_again(tmp_path, bench):
    assert play_here(tmp_path, bench, "r1") == play_here(tmp_path, bench, "r1")
    assert len(bench[1]) == 2


def test_a_remedy_of_the_users_own_is_scored_by_the_name_of_its_file_and_not_mixed_with_another(tmp_path, bench):
    mine = tmp_path / "calm.py"
    text = "import gan_jax as gj\ndef remedy(e):\n    return gj.replace(e, 'discriminator.learning_rate', {})\n"
    mine.write_text(text.format(1e-5))
    assert {row["remedy"] for row in play_here(tmp_path, bench, str(mine))} == {"calm"}
    mine.write_text(text.format(1e-6))
    with pytest.raises(RunError, match="games or scores of another calm, with other settings or code"):
        play_here(tmp_path, bench, str(mine))


def test_scores_are_of_the_code_that_made_them_also_where_no_setting_differs(tmp_path, bench):
    (tmp_path / "helping.py").write_text("RATE = 1e-5\n")
    mine = tmp_path / "calm.py"
    mine.write_text("import helping\n\ndef remedy(e):\n    return e\n")
    play_here(tmp_path, bench, str(mine))
    play_here(tmp_path, bench, str(mine))
    assert len(bench[1]) == 2
    (tmp_path / "helping.py").write_text("RATE = 1e-6\n")
    with pytest.raises(RunError, match="another calm"):
        play_here(tmp_path, bench, str(mine))


def test_games_without_their_data_are_left_out_and_the_others_are_played(tmp_path, bench, monkeypatch):
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    images = "Images(name='mnist', image_size=16)"
    text = GAMES.replace('Arm("ring", tiny_ring(), {})', f'Arm("ring", replace(tiny_dcgan(), data={images}), {{}})')
    more = "from dataclasses import replace\nfrom gan_jax.data.images import Images\n"
    text = more + text.replace("import tiny_ring", "import tiny_dcgan, tiny_ring")
    Path(bench[0]).write_text(text, encoding="utf-8")
    lines, nowhere = [], str(tmp_path)
    rest = (nowhere, SweepOptions(), "cmd", lines.append, bench[0])
    with pytest.raises(DataError, match="mnist"):
        play(tmp_path / "root", "r1", {"games": {"ring": KNOWN["games"]["ring"]}}, *rest)
    play(tmp_path / "root", "r1", KNOWN, *rest)
    assert {row["game"] for row in read_scores(tmp_path / "root")} == {"long"}
    assert any("game ring is left out" in line and "mnist" in line for line in lines)
    # Again, with nothing left but the game without data.
    lines.clear()
    play(tmp_path / "root", "r1", KNOWN, *rest)
    assert len(lines) == 1


def test_a_sweep_that_was_interrupted_is_not_continued_with_another_remedy_of_its_name(tmp_path, bench, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    mine = tmp_path / "calm.py"
    mine.write_text("def remedy(e):\n    return e\n")
    with monkeypatch.context() as patch:
        patch.setattr(collapsebench, "_sweep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            play_here(tmp_path, bench, str(mine))
    assert not read_scores(tmp_path / "root")
    mine.write_text("import math\n\ndef remedy(e):\n    return e\n")
    with pytest.raises(RunError, match="another calm"):
        play_here(tmp_path, bench, str(mine))


def test_a_remedy_that_is_unknown_or_fits_no_game_is_refused(tmp_path, bench):
    with pytest.raises(ConfigError, match="no remedy 'r11'; did you mean"):
        play_here(tmp_path, bench, "r11")
    assert not (tmp_path / "root").exists()


def test_the_table_has_an_interval_at_every_score_and_says_what_chance_does(tmp_path, bench):
    scores = remedy_scores(play_here(tmp_path, bench, "r1"))
    text = bench_table(scores, KNOWN)
    assert "100 % (" in text
    assert "2/2" in text
    assert "ring 2 of 3, long 1 of 2" in text
    assert chance(KNOWN) == pytest.approx((1 / 3 + 1 / 2) / 2)
    values = json.loads(json.dumps(bench_json(scores, KNOWN)))
    assert values["remedies"][0]["prevented"]["lower"] < 1.0


def test_a_processor_without_a_name_is_no_device(tmp_path):
    names = "cpu (cpu)", "AMD EPYC (cpu)"
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps({"device": name}) + "\n" for name in names))
    assert [row["device"] for row in read_scores(tmp_path)] == [None, "AMD EPYC (cpu)"]


def test_the_hash_differs_where_a_setting_does():
    assert experiment_hash(tiny_ring()) == experiment_hash(tiny_ring())
    assert experiment_hash(tiny_ring()) != experiment_hash(tiny_ring(num_steps=22))


def test_junk_is_no_known_collapse():
    assert is_collapse({"outcome": "collapsed", "cause": "total"})
    assert not is_collapse({"outcome": "collapsed", "cause": "junk"})
    assert not is_collapse({"outcome": "never formed", "cause": "total"})


def test_the_shipped_games_are_those_whose_collapses_are_frozen():
    known, sweep = known_collapses(), load_sweep("collapsebench")
    assert {arm.name: experiment_hash(arm.experiment) for arm in sweep.arms} == {
        name: game["experiment"] for name, game in known["games"].items()
    }
    assert len(known["games"]) >= 8
    assert all(len(game["collapses"]) >= 2 for game in known["games"].values())


def test_a_sweep_runs_the_arms_that_are_asked_for():
    from gan_jax.runs.request import own_arms

    own = Sweep((Arm("a", tiny_ring(), {}), Arm("b", tiny_ring(), {})), (0,))
    assert [arm.name for arm in own_arms(own, ["b"], "x").arms] == ["b"]
    with pytest.raises(RunError, match="x has no arm 'c'; there is a, b"):
        own_arms(own, ["c"], "x")
    with pytest.raises(RunError, match="has no arm"):
        own_arms(None, ["c"], "x")
