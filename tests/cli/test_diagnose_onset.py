"""gan-jax diagnose onset: a real fall replayed bit for bit, its story, and branches from before it."""

from __future__ import annotations

import json
from collections import Counter

import chex
import jax
import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.reports.diagnosis_onset import figure, table
from gan_jax.runs.branches import _start, _strategy, branch, chosen_variations, judgement, without_onset
from gan_jax.runs.files import read_lines
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import open_states
from gan_jax.runs.window_replay import (
    advance,
    players_hash,
    replay_window,
    without_recorder,
    without_recorder_state,
)
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import load_data
from tests.runs.test_onset_window import falling, trained


@pytest.fixture(scope="module")
def fallen(tmp_path_factory):
    run, _ = trained(tmp_path_factory.mktemp("onset") / "run", falling(), seed=3)
    assert run.onset_path.is_dir(), "the run of test_onset_window no longer falls: choose another seed there and here"
    return run


@pytest.mark.parametrize("make", [tiny_ring, tiny_dcgan])
def test_single_steps_are_those_of_a_chunk_bit_for_bit(make):
    experiment = make()
    resources = load_data(experiment)
    whole = compiled_chunk(experiment, resources, compiled_init(experiment, jax.random.key(1)), ChunkSpec(6))
    state, means = compiled_init(experiment, jax.random.key(1)), []
    for count in (1, 1, 1, 3):
        result = advance(experiment, resources, state, ChunkSpec(count, evaluates=False))
        state = result.state
        means.append({name: series[0] for name, series in result.metrics.items()})
    assert players_hash(state) == players_hash(whole.state)
    for name, series in whole.metrics.items():
        np.testing.assert_allclose(means[0][name], series[0], rtol=1e-6)
        np.testing.assert_allclose(means[3][name], np.mean(series[3:]), rtol=1e-5)


def test_the_collapse_is_replayed_and_told(fallen, capsys, tmp_path):
    picture = tmp_path / "onset.png"
    arguments = ["--branch", "same,key,unroll", "--branches", "2", "--plot", str(picture)]
    assert main(["diagnose", "onset", str(fallen.path), *arguments]) == 0
    shown = capsys.readouterr().out
    result = json.loads((fallen.path / "diagnosis" / "onset.json").read_text())
    verdict = json.loads(fallen.verdict_path.read_text())
    assert result["step"] == verdict["onset_step"]
    # Every checkpoint on the way is met exactly, and the unchanged branch is the run.
    states, seen = open_states(fallen.path), result["replay"]["steps"]
    inside = [step for step in states.steps if seen[0] < step <= seen[-1]]
    assert len(inside) >= 3
    assert set(map(str, inside)) <= set(result["bit_for_bit"])
    assert all(result["bit_for_bit"].values())
    same, other, unrolled = result["branches"]
    assert same["checked"]
    assert all(same["checked"].values())
    assert same["onset_steps"] == [verdict["onset_step"]]
    assert (other["num"], unrolled["num"], len(other["labels"])) == (2, 2, 2)
    assert other["collapsed"] == sum(step is not None for step in other["onset_steps"])
    # The event is where the modes captured pass the middle, and lies between the evaluations that saw it.
    event, every = result["event"], 5
    assert verdict["onset_step"] - every < event["step"] <= verdict["onset_step"]
    modes = dict(zip(result["replay"]["steps"], result["replay"]["metrics"]["modes"], strict=True))
    middle = 0.5 * (event["before"] + event["after"])
    assert modes[event["step"]] <= middle < modes[event["step"] - 1]
    assert len(result["story"]) == 6
    assert result["sentence"] in shown
    lines = table(result).splitlines()
    told = next(line for line in lines if line.startswith("another key"))
    counts = Counter(labels[-1] for labels in other["labels"]).most_common()
    assert ", ".join(f"{num} {label}" for label, num in counts) in told
    assert told.endswith(
        f"modes captured {np.median([end['modes'] for end in other['ends']]):.3g}, high-quality share "
        f"{np.median([end['high_quality'] for end in other['ends']]):.3g}"
    )
    assert len(other["ends"]) == 2
    assert "medians" not in table({**result, "branches": [{k: v for k, v in other.items() if k != "ends"}]})
    stored = next(row for row in read_lines(fallen.metrics_path) if row["step"] == same["steps"][-1])
    assert same["ends"][0]["modes"] == stored["evaluation"]["running"]["modes"]
    assert picture.stat().st_size > 10_000
    assert len(figure(result).axes) == 6


def test_a_wide_window_is_looked_at_step_by_step_in_its_middle(fallen, monkeypatch):
    answers = []
    for most in (400, 12):
        monkeypatch.setattr("gan_jax.cli.diagnose_onset._MAX_PROBES", {False: most, True: most})
        assert main(["diagnose", "onset", str(fallen.path)]) == 0
        answers.append(json.loads((fallen.path / "diagnosis" / "onset.json").read_text()))
    fine, coarse = answers
    assert fine["close"] is None
    assert np.all(np.diff(coarse["close"]["steps"]) == 1)
    assert coarse["replay"]["steps"][1] - coarse["replay"]["steps"][0] > 1
    # The passage of the middle that the wide window only brackets.
    modes = dict(zip(fine["replay"]["steps"], fine["replay"]["metrics"]["modes"], strict=True))
    event = coarse["event"]
    middle = 0.5 * (event["before"] + event["after"])
    assert modes[event["step"]] <= middle < modes[event["step"] - 1]
    assert event["begins"] < event["step"] <= event["ends"]
    assert coarse["story"][-1].startswith("Step by step: ")
    # Checkpoints between two looks are compared as well, and cuts at them change no mean.
    assert set(fine["bit_for_bit"]) <= set(coarse["bit_for_bit"])
    assert len(figure(coarse).axes) == 2 * len(figure(fine).axes)


def test_looks_do_not_depend_on_the_cuts(fallen):
    states = open_states(fallen.path)
    fine, coarse = (replay_window(states, 30, 50, stride) for stride in (1, 5))
    index = np.searchsorted(fine.steps, coarse.steps)
    np.testing.assert_array_equal(fine.steps[index], coarse.steps)
    for name in ("scores/fake_mean", "discriminator/gradient/output"):
        np.testing.assert_array_equal(fine.signals[name][index], coarse.signals[name])
    np.testing.assert_array_equal(fine.metrics["modes"][index], coarse.metrics["modes"])
    np.testing.assert_allclose(
        fine.signals["training/discriminator_loss"].reshape(-1, 5).mean(1),
        coarse.signals["training/discriminator_loss"],
        rtol=1e-5,
    )


def test_a_run_without_an_onset_takes_a_step(tmp_path, capsys):
    run, _ = trained(tmp_path / "run", tiny_ring())
    assert main(["diagnose", "onset", str(run.path)]) == 2
    assert "has no onset" in capsys.readouterr().err
    assert main(["diagnose", "onset", str(run.path), "--step", "15", "--before", "4", "--after", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["replay"]["steps"] == list(range(11, 20))
    for arguments, words in (
        (["--step", "500"], "--step is 500"),
        (["--step", "15", "--before", "0"], "--before is 0, and must be at least 1"),
        (["--step", "15", "--branch", "luck"], "no variation 'luck'"),
    ):
        assert main(["diagnose", "onset", str(run.path), *arguments]) == 2
        assert words in capsys.readouterr().err


def test_a_replay_needs_a_state_before_it(fallen):
    with pytest.raises(RunError, match="no checkpoint at or before step 1; its first one is step"):
        replay_window(open_states(fallen.path), 1, 20, 1)


def test_branches_are_judged_by_those_with_another_key():
    def row(collapsed):
        return [{"name": "same"}, {"name": "key", "collapsed": collapsed, "num": 8}]

    assert judgement(row(8), 2000) == (
        "The collapse follows mostly from the state: 8 of 8 branches with another key also collapse within 2,000 steps."
    )
    assert judgement(row(1), 2000).startswith("The collapse was mostly chance")
    assert judgement(row(4), 2000).startswith("The collapse came partly from the state")
    assert judgement([{"name": "unroll", "collapsed": 0, "num": 8}], 2000) == ""
    assert judgement([{"name": "key", "collapsed": 3, "num": 3}], 2000) == ""  # three say nothing
    assert chosen_variations("all")[0] == "same"
    assert chosen_variations("label-noise") == ["label_noise"]


@pytest.mark.parametrize("name", ["packing_2", "new_d", "r1", "replay_fifo", "past_discriminators", "spectral_norm"])
def test_a_run_branches_into_remedies_that_leave_its_generator_as_it_is(fallen, name):
    states = open_states(fallen.path)
    row = branch(states, states.steps[0], states.steps[0] + 20, name, 2, lambda line: None)
    assert row["num"] == len(row["labels"]) == len(row["onset_steps"]) == 2
    assert row["words"]
    assert "refused" not in row


def test_branches_are_divided_over_devices_and_stay_the_same(fallen, monkeypatch):
    states = open_states(fallen.path)

    def strategy_and_row():
        row = branch(states, states.steps[0], states.steps[0] + 20, "key", 3, lambda line: None)
        return _strategy(states.experiment, 3).name, _strategy(tiny_dcgan(), 3).name, row

    *several, row = strategy_and_row()
    assert several == ["pmap-vmap", "pmap-map"]
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    assert strategy_and_row() == ("vmap", "map", row)


def test_only_what_a_remedy_changes_begins_anew(fallen):
    states = open_states(fallen.path)
    state = without_recorder_state(states.restore(states.steps[0]))
    keys = jax.random.split(jax.random.key(7), 2)

    def starts(name):
        make = _start(apply_remedy(without_recorder(states.experiment), name), state, new_discriminator=False)
        return [make(key) for key in keys]

    for kept in starts("r1") + starts("replay_fifo"):
        chex.assert_trees_all_equal(kept.generator, state.generator)
        chex.assert_trees_all_equal(kept.discriminator.variables.params, state.discriminator.variables.params)
        chex.assert_trees_all_equal(kept.discriminator.opt_state, state.discriminator.opt_state)
    first, second = starts("packing_2")
    chex.assert_trees_all_equal(first.generator, state.generator)
    kernels = [at.discriminator.variables.params["dense_0"]["kernel"] for at in (first, second, state)]
    assert kernels[0].shape[0] == 2 * kernels[2].shape[0]
    assert not np.allclose(kernels[0], kernels[1])


def test_a_remedy_that_changes_the_generator_is_no_branch(fallen):
    states = open_states(fallen.path)
    row = branch(states, states.steps[0], states.steps[0] + 20, "mgan", 2, lambda line: None)
    assert "changes G's parameters" in row["refused"]


def test_branches_have_seen_no_onset_before_their_own(fallen):
    states = open_states(fallen.path)
    late = states.restore(states.steps[-1])
    assert int(late.detector.onset_step[0]) >= 0
    begin = without_onset(late.detector)
    assert np.all(np.asarray(begin.onset_step) == -1)
    assert np.all(np.asarray(begin.bad_run) == 0)
    assert int(begin.formed_step) == int(late.detector.formed_step) >= 0


def test_branches_start_where_they_are_told_to(fallen, capsys):
    states, verdict = open_states(fallen.path), json.loads(fallen.verdict_path.read_text())
    earlier = [step for step in states.steps if step < verdict["onset_step"]][-2]
    arguments = ["diagnose", "onset", str(fallen.path), "--branch", "same", "--branch-at", str(earlier + 1), "--json"]
    assert main([*arguments, "--horizon", "60"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["branched_from"], result["horizon"]) == (earlier, 60)
    assert all(result["branches"][0]["checked"].values())
    for options, words in (
        (["--branch-at", str(verdict["onset_step"])], "must be below"),
        (["--branch-at", "0"], "no checkpoint at or before step 0"),
        (["--horizon", "2"], "--horizon is 2, and must be at least"),
        (["--branch", ","], "--branch is ',', and must be one of same, key"),
    ):
        assert main(["diagnose", "onset", str(fallen.path), "--branch", "same", *options]) == 2
        assert words in capsys.readouterr().err
