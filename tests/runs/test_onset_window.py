"""The flight recorder: what a run keeps around its onset, also after a kill and a resume."""

from __future__ import annotations

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.examples import tiny_ring
from gan_jax.metrics.modes import Rule
from gan_jax.runs import onset_window, runner
from gan_jax.runs.onset_window import MARGIN, FlightRecorder, read_signals
from gan_jax.runs.resuming import resume
from gan_jax.runs.run_directory import RunDirectory, RunRecord, read_lines
from gan_jax.runs.run_states import open_states
from gan_jax.runs.runner import HostOptions, train_run
from gan_jax.runs.window_replay import agrees, restored_nearest
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.evaluations import load_data

# Every sample is of high quality, and the modes are those that are nearest to one: G's cloud around 0 is nearest to all
# of them, and to few once it has moved to one side. A run that forms and collapses within 100 steps.
DETECTOR = MixtureDetector(
    num_samples=256,
    rule=Rule(radius=200.0),
    window=2.0,
    forming_window=1.0,
    healthy_share=0.6,
    partial_share=0.5,
    healthy_quality=0.0,
    min_quality=0.0,
)


def falling(**changes):
    settings = {"num_steps": 80, "eval_every_steps": 5, "detector": DETECTOR, **changes}
    return tiny_ring(**settings)


def trained(path, experiment, seed=0, **host):
    run = RunDirectory.create(path, RunRecord(experiment=experiment, seed=seed))
    resources = load_data(experiment)
    train_run(
        run,
        run.read_record(),
        resources,
        compiled_init(experiment, jax.random.key(seed)),
        HostOptions(progress=False, **host),
    )
    return run, resources


def test_a_window_that_forming_undoes_is_dropped(tmp_path):
    flight = FlightRecorder(tmp_path / "onset", window=1.0)
    flight.note(0, {"loss": np.arange(10.0)}, evaluates=True)
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    flight.forget()
    flight.keep(tmp_path / "checkpoints")
    assert flight.has_fired
    flight.forget()
    assert not flight.has_fired
    assert not flight.folder.exists()


def test_only_the_last_evaluations_are_held(tmp_path):
    flight = FlightRecorder(tmp_path / "onset", window=1.0)
    for start in range(0, 100, 10):
        flight.note(start, {"loss": np.arange(start, start + 10.0)}, evaluates=True)
    (tmp_path / "checkpoints").mkdir()
    assert not flight.has_fired
    flight.keep(tmp_path / "checkpoints")
    assert flight.has_fired
    kept = read_signals(tmp_path / "onset")
    np.testing.assert_array_equal(kept["step"], np.arange(100 - 10 * (1 + MARGIN), 100))
    np.testing.assert_array_equal(kept["loss"], kept["step"])
    assert read_signals(tmp_path) == {}


def test_chunks_without_evaluations_count_to_the_next_one(tmp_path):
    flight = FlightRecorder(tmp_path, window=1.0)
    for start in range(0, 60, 2):
        flight.note(start, {"loss": np.zeros(2)}, evaluates=start % 6 == 4)
    (tmp_path / "checkpoints").mkdir()
    flight.keep(tmp_path / "checkpoints")
    assert read_signals(tmp_path)["step"][0] == 60 - 6 * (1 + MARGIN)


@pytest.fixture(scope="module")
def fallen(tmp_path_factory):
    """A run with an onset, found by its own detector among a few seeds."""
    for seed in (3, 2, 1, 0):
        run, _ = trained(tmp_path_factory.mktemp("runs") / f"seed{seed}", falling(), seed=seed)
        if run.onset_path.is_dir():
            return run
    pytest.fail("no run of four collapsed: the setting no longer does what the tests need")


def test_the_window_around_an_onset_is_kept(fallen):
    states = open_states(fallen.path)
    onset = states.verdict["onset_step"]
    kept = sorted(int(path.name) for path in (fallen.onset_path / "checkpoints").iterdir())
    assert kept[0] < onset < kept[-1]
    assert set(kept) <= set(states.steps)
    signals = read_signals(fallen.onset_path)
    assert signals["step"][0] < onset < signals["step"][-1]
    np.testing.assert_array_equal(np.diff(signals["step"]), 1)
    assert {"discriminator_loss", "generator_grad_norm", "real_score"} <= set(signals)
    assert int(states.restore(kept[0]).step) == kept[0]


def test_a_run_that_is_rewound_forgets_an_onset_that_it_has_not_reached(tmp_path, fallen):
    copy = RunDirectory(tmp_path / "copy")
    shutil.copytree(fallen.path, copy.path)
    kept = sorted(int(path.name) for path in (copy.onset_path / "checkpoints").iterdir())
    copy.forget_after(kept[-1])
    assert copy.onset_path.is_dir()
    copy.forget_after(kept[-1] - 1)
    assert not copy.onset_path.is_dir()


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", ["before the checkpoint", "before the window is kept", "while it is copied"])
def test_a_kill_around_the_onset_loses_nothing_of_it(tmp_path, fallen, moment, monkeypatch):
    record = fallen.read_record()
    experiment, seed = record.experiment, record.seed
    fired = max(int(path.name) for path in (fallen.onset_path / "checkpoints").iterdir())
    run, resources = RunDirectory.create(tmp_path / "run", record), load_data(experiment)
    with monkeypatch.context() as patch:
        if moment == "before the checkpoint":
            save = runner.Checkpoints.save
            patch.setattr(runner.Checkpoints, "save", lambda self, state: killed_at(state, fired) or save(self, state))
        elif moment == "before the window is kept":
            patch.setattr(FlightRecorder, "keep", lambda *args: killed())
        else:
            patch.setattr(onset_window, "_link", lambda *args: killed())
        start = compiled_init(experiment, jax.random.key(seed))
        with pytest.raises(Killed):
            train_run(run, record, resources, start, HostOptions(progress=False))
    assert not (run.onset_path / "signals.npz").exists()
    state, problems = resume(run, record)
    train_run(run, record, resources, state, HostOptions(progress=False))
    assert problems == []
    found, expected = read_signals(run.onset_path), read_signals(fallen.onset_path)
    assert set(found) == set(expected)
    for name, series in expected.items():
        np.testing.assert_array_equal(found[name], series, err_msg=name)
    kept = {path.name for path in (run.onset_path / "checkpoints").iterdir()}
    assert kept == {path.name for path in (fallen.onset_path / "checkpoints").iterdir()}
    assert open_states(run.path).restore(min(map(int, kept))) is not None


def killed():
    raise Killed


def killed_at(state, step):
    if int(state.step) == step:
        raise Killed


def test_lost_or_damaged_metrics_of_steps_are_told(tmp_path, caplog):
    recent, onset = tmp_path / "recent", tmp_path / "onset"
    flight = FlightRecorder(onset, 1.0, recent)
    for start in range(0, 100, 10):
        flight.note(start, {"loss": np.arange(start, start + 10.0)}, evaluates=True)
        flight.store(start + 10)
    assert sorted(int(path.stem) for path in recent.iterdir()) == [70, 80, 90, 100]
    (recent / "80.npz").write_bytes(b"PK")
    (tmp_path / "checkpoints").mkdir()
    again = FlightRecorder(onset, 1.0, recent)
    again.load(90)
    assert sorted(int(path.stem) for path in recent.iterdir()) == [70, 80, 90]
    assert "80.npz is damaged" in caplog.text
    again.keep(tmp_path / "checkpoints", onset=75)
    np.testing.assert_array_equal(read_signals(onset)["step"], [*range(60, 70), *range(80, 90)])
    assert "begins at step" not in caplog.text
    late = FlightRecorder(tmp_path / "late", 1.0, recent)
    late.note(90, {"loss": np.zeros(10)}, evaluates=True)
    late.keep(tmp_path / "checkpoints", onset=75)
    assert "begins at step 90, after the onset at step 75" in caplog.text
    (onset / "signals.npz").write_bytes(b"PK")
    assert read_signals(onset) == {}


def test_a_disk_without_space_for_the_window_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    flight = FlightRecorder(tmp_path / "onset", 1.0, tmp_path / "recent")
    (tmp_path / "checkpoints").mkdir()
    flight.note(0, {"loss": np.zeros(10)}, evaluates=True)
    flight.store(10)
    flight.keep(tmp_path / "checkpoints")
    assert caplog.text.count("No space left on device") == 2


def test_a_half_copied_checkpoint_of_the_window_is_not_needed(tmp_path, fallen, caplog):
    shutil.copytree(fallen.path, tmp_path / "copy")
    copy = open_states(tmp_path / "copy")
    kept = sorted(int(path.name) for path in (copy.run.onset_path / "checkpoints").iterdir())
    own = copy.run.checkpoints_path / str(kept[1])
    shutil.copytree(copy.run.onset_path / "checkpoints" / str(kept[1]), own, dirs_exist_ok=True)
    shutil.rmtree(copy.run.onset_path / "checkpoints" / str(kept[1]) / "state" / "d")
    assert int(copy.restore(kept[1]).step) == kept[1]
    shutil.rmtree(own / "state" / "d")
    step, state = restored_nearest(copy, kept[1])
    assert kept[0] <= step == int(state.step) < kept[1]
    assert f"checkpoint of step {kept[1]} cannot be read" in caplog.text
    assert agrees(copy, step, state) is True
    assert agrees(copy, kept[1], state) is None


def test_looks_become_rows_and_a_resumed_run_writes_them_anew(tmp_path):
    experiment = tiny_ring(num_steps=20, eval_every_steps=10, recorder=Recorder(every_steps=5, num_examples=8))
    run, resources = trained(tmp_path / "run", experiment)
    rows = read_lines(run.signals_path)
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    assert rows[0]["signals"]["forgetting/cosine"] is None  # no look before: JSON has no NaN
    longer = dataclasses.replace(experiment, num_steps=30)
    other = RunDirectory.create(tmp_path / "longer", RunRecord(experiment=longer, seed=0))

    def kill(state):
        if int(state.step) == 20:
            raise Killed

    start = compiled_init(longer, jax.random.key(0))
    with pytest.raises(Killed):
        train_run(other, other.read_record(), resources, start, HostOptions(progress=False), on_chunk=kill)
    other.append_signals([{"step": 25, "signals": {}}])  # as if it had been killed after its next looks
    state, _ = resume(other, other.read_record())
    train_run(other, other.read_record(), resources, state, HostOptions(progress=False))
    again = read_lines(other.signals_path)
    assert again[:4] == rows
    assert [row["step"] for row in again] == [5, 10, 15, 20, 25, 30]
    assert again[4]["signals"]
