"""The detector: windows on hand-written labels, injected collapses at known times, healthy streams that never fire."""

from __future__ import annotations

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Grid, PointMass, Ring, Temperatures
from gan_jax.diagnostics.detector import LABELS, Observation, init_detector, update_detector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.verdict import Verdict, verdict_on

EVERY = 100


def observe(letter: str, dominant_mode: int = 0) -> Observation:
    """h healthy, b between, p partial, t total, j junk; few modes are well made."""
    name = {"h": "healthy", "b": "between", "p": "partial", "t": "total", "j": "junk"}[letter]
    few, junk = letter in "pt", letter == "j"
    return Observation(
        label=jnp.int32(LABELS.index(name)),
        healthy=jnp.array(letter == "h"),
        recovered=jnp.array(letter == "h"),
        bad=jnp.array([few or junk, few, junk, False]),
        concentrated=jnp.array(letter == "t"),
        credible=jnp.array(not junk),
        dominant_mode=jnp.int32(dominant_mode),
        collapsed_early=jnp.array(few),
    )


_update = jax.jit(update_detector)


def play(letters: str, dominant_mode: list[int] | None = None, **windows: float):
    detector = MixtureDetector(**windows)
    state = init_detector()
    for index, letter in enumerate(letters):
        mode = dominant_mode[index] if dominant_mode else 0
        state = _update(detector, state, observe(letter, mode), (index + 1) * EVERY)
    return verdict_on(state, last_step=len(letters) * EVERY)


@pytest.mark.parametrize(
    ("letters", "outcome", "formed", "onset"),
    [
        ("hhh" + "h" * 7, "healthy", 100, None),
        ("bbhhh", "healthy", 300, None),
        ("hhbhhb", "never formed", None, None),
        ("hhhttttt", "collapsed", 100, 400),
        ("hhhtttthttttt", "collapsed", 100, 900),  # four are not a window of five
        ("hhhtttt", "censored", 100, None),
        ("hhhb", "censored", 100, None),
        ("ttttttt", "collapsed", None, 100),
        ("bbptptp", "collapsed", None, 300),
        ("bbtttthttttt", "collapsed", None, 800),  # four are not a window of five
        ("btttttjj", "collapsed", None, 200),
        ("jjjjjjj", "never formed", None, None),
        ("bttttb", "never formed", None, None),
        ("ppppphhhppppp", "collapsed", 600, 900),  # a run that forms clears what was before
        ("ppppphhhh", "healthy", 600, None),
        ("hhhjjjjj", "collapsed", 100, 400),
        ("hhhptptp", "collapsed", 100, 400),
    ],
)
def test_windows(letters, outcome, formed, onset):
    verdict = play(letters)
    assert (verdict.outcome, verdict.formed_step, verdict.onset_step) == (outcome, formed, onset)


def test_causes_are_told_apart():
    collapse = play("hhhttttt")
    assert collapse.cause == "total"
    assert collapse.onset_steps == {"any": 400, "collapse": 400, "junk": None, "intra": None}
    junk = play("hhhjjjjj")
    assert junk.cause == "junk"
    assert junk.onset_steps == {"any": 400, "collapse": None, "junk": 400, "intra": None}
    both = play("hhhtttjjjjj")
    assert both.onset_steps == {"any": 400, "collapse": None, "junk": 700, "intra": None}
    # One evaluation in transit between modes does not name the cause.
    transit = play("hhhjtttttt")
    assert (transit.cause, transit.onset_step, transit.onset_steps["collapse"]) == ("total", 400, 500)


def test_recovery_needs_its_own_window_after_the_onset():
    assert play("hhhttttthhhhh").recovered_step == 900
    assert play("hhhttttthhhh").recovered_step is None
    assert play("hhhhhhttttt").recovered_step is None


def test_both_kinds_of_collapse_are_told_apart():
    early, late = play("btttttt"), play("hhhttttt")
    assert (early.when, late.when) == ("while forming", "after forming")
    assert early.onset_steps == {"any": 200, "collapse": 200, "junk": None, "intra": None}
    assert early.sentence() == (
        "collapsed while forming at step 200 (total: almost all samples alike; never covered the data before)"
    )
    assert play("hhhh").when is play("jjjjjj").when is None
    assert play("jjjjjj").onset_steps["any"] is None
    # The cause is the label when the window was full, and forming clears it for good.
    assert play("tttppbb").cause == "partial"
    cleared = play("ttttthhhttttt")
    assert (cleared.when, cleared.onset_step, cleared.formed_step) == ("after forming", 900, 600)


def test_few_modes_from_the_start_are_told():
    verdict = play("ttttttt")
    assert verdict.from_start
    assert "few modes from the start" in verdict.sentence()
    assert not play("jttttjj").from_start


def test_a_collapse_while_forming_that_does_not_last_is_told():
    assert play("tttttt").persists
    left = play("tttttbb")
    assert (left.outcome, left.onset_step, left.persists, left.onto) == ("collapsed", 100, False, ())
    assert "no longer at the end" in left.sentence()


def test_labels_of_a_run_that_collapses_while_forming():
    state, labels = init_detector(), []
    for index, letter in enumerate("jbtttttjtbhhh"):
        state = _update(MixtureDetector(), state, observe(letter), (index + 1) * EVERY)
        labels.append(LABELS[int(state.label)])
    few = ["collapsed while forming", "junk", "collapsed while forming"]
    assert labels == ["junk", *["forming"] * 5, *few, *["forming"] * 3, "healthy"]
    assert (int(state.early_step), int(state.early_label), int(state.early_run)) == (-1, -1, 0)


def test_values_that_stop_being_finite_after_a_collapse_while_forming():
    state = init_detector()
    for index in range(6):
        state = _update(MixtureDetector(), state, observe("t"), (index + 1) * EVERY)
    verdict = verdict_on(state, last_step=650, nonfinite_step=640)
    assert (verdict.outcome, verdict.onset_step, verdict.when) == ("non-finite", 640, "while forming")
    assert verdict.onset_steps["collapse"] == EVERY


def test_verdicts_of_earlier_versions_are_read():
    known = play("hhhttttt")
    stored = {name: value for name, value in known.to_json().items() if name not in ("when", "persists", "onto")}
    read = Verdict.from_json(stored)
    assert (read.when, read.persists, read.onto) == ("after forming", None, ())
    assert read.sentence() == known.sentence()
    never = play("jjjjjj")
    assert Verdict.from_json(json.loads(json.dumps(never.to_json()))) == never
    ring = stream_verdict(Ring(), [[3]] * 6)
    assert Verdict.from_json(json.loads(json.dumps(ring.to_json()))) == ring


def test_the_modes_that_are_left_are_named():
    def words(*onto):
        return dataclasses.replace(play("tttttt"), onto=onto).onto_words()

    assert words(("1", 0.994), ("7", 0.004), ("2", 0.002)) == "1 (99 %)"
    assert words(("mode 3", 0.5), ("mode 4", 0.3), ("mode 0", 0.1)) == (
        "mode 3 (50 %), mode 4 (30 %), mode 0 (10 %), others (10 %)"
    )
    assert words() == words(("123", 0.004)) == ""


def test_cycling_is_a_heaviest_mode_that_keeps_changing_while_concentrated():
    assert play("hhh" + "t" * 10, [0, 0, 0, *[1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]).cycling_step == 1300
    assert play("hhh" + "t" * 10, [0] * 13).cycling_step is None
    # In transit between two modes a generator is nowhere: -1 keeps the last mode it had.
    assert play("hhh" + "t" * 10, [0, 0, 0, 1, 1, -1, 2, 2, -1, 3, 3, -1, 4]).cycling_step == 1300
    assert play("hhh" + "t" * 10, [0, 0, 0, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1]).cycling_step is None


def test_windows_are_traced_and_one_program_serves_a_grid_of_them():
    windows = jnp.array([1.0, 2.0, 5.0])
    detectors = dataclasses.replace(MixtureDetector(), window=windows)
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, detectors)

    def run(detector):
        state = init_detector()
        for index, letter in enumerate("hhhtbttbttttt"):
            state = update_detector(detector, state, observe(letter), (index + 1) * EVERY)
        return state.onset_step[0]

    assert jax.vmap(run, in_axes=(axes,))(detectors).tolist() == [400, 600, 900]


@functools.partial(jax.jit, static_argnames=("data", "num_evals"))
def watch(data, key, left, num_evals: int):
    """A stream of true samples, of which only the modes with `left[t] = True` are sampled from evaluation t on."""
    source, detector = data.source(()), MixtureDetector()

    def evaluate(state, scanned):
        index, modes_left = scanned
        weights = jnp.where(modes_left, source.weights, 0.0)
        # Without any mode: points that belong to none.
        away = jnp.where(jnp.any(modes_left), 0.0, 100.0)
        generator = source._replace(weights=jnp.where(away > 0, source.weights, weights / weights.sum()))
        samples = away + generator.sample(jax.random.fold_in(key, index), 2500)
        seen = detector.observe(source, (), detector.measure(source, (), samples))
        return update_detector(detector, state, seen, (index + 1) * EVERY), None

    return jax.lax.scan(evaluate, init_detector(), (jnp.arange(num_evals), left))[0]


@pytest.mark.parametrize("data", [Ring(), Grid(), Temperatures()], ids=lambda d: type(d).__name__)
def test_injected_collapses_are_detected_at_their_step(data):
    num_modes = data.source(()).modes.shape[0]
    for trial in range(12):
        rng = np.random.default_rng(trial)
        onset = int(rng.integers(4, 12))
        num_left = int(rng.integers(1, num_modes // 2 + 1))
        survivors = rng.choice(num_modes, num_left, replace=False)
        left = np.ones((20, num_modes), bool)
        left[onset:] = np.isin(np.arange(num_modes), survivors)
        state = watch(data, jax.random.key(trial), jnp.asarray(left), 20)
        verdict = verdict_on(state, last_step=20 * EVERY)
        assert verdict.onset_step == (onset + 1) * EVERY
        assert verdict.onset_steps["collapse"] == verdict.onset_step
        assert verdict.cause == ("total" if num_left <= max(1, num_modes / 4) else "partial")


def test_data_of_one_mode_are_healthy_when_it_is_captured_and_not_shrunk(key):
    detector, source = MixtureDetector(), PointMass().source(())
    seen = detector.observe(source, (), detector.measure(source, (), source.sample(key, 50)))
    assert LABELS[int(seen.label)] == "healthy"
    assert not bool(seen.concentrated)
    assert not np.any(seen.bad)


def test_points_instead_of_modes_have_an_onset_of_their_own(key):
    detector, source, state = MixtureDetector(), Ring().source(()), init_detector()
    for index in range(10):
        generator = source._replace(std=source.std * (0.1 if index >= 4 else 1.0))
        samples = generator.sample(jax.random.fold_in(key, index), 2500)
        seen = detector.observe(source, (), detector.measure(source, (), samples))
        state = _update(detector, state, seen, (index + 1) * EVERY)
    verdict = verdict_on(state, last_step=10 * EVERY)
    assert verdict.onset_steps == {"any": None, "collapse": None, "junk": None, "intra": 5 * EVERY}
    assert "no collapse seen; shrunk inside the modes from step 500" in verdict.sentence()


def stream_verdict(data, modes, num_repeats=1):
    """The verdict on a stream of true samples of some modes at each stage; of junk where there are none."""
    num_modes = data.source(()).modes.shape[0]
    left = np.repeat([np.isin(np.arange(num_modes), own) for own in modes], num_repeats, axis=0)
    return verdict_on(watch(data, jax.random.key(3), jnp.asarray(left), len(left)), last_step=len(left) * EVERY)


ALL, SIX, THREE, ONE, JUNK = list(range(8)), [0, 1, 2, 3, 4, 5], [1, 2, 6], [2], []


@pytest.mark.parametrize(
    ("stages", "outcome", "when", "formed", "onset", "onto"),
    [
        ([ONE] * 3, "collapsed", "while forming", None, 1, "mode 2 (100 %)"),
        ([[*range(5)], THREE, ONE], "collapsed", "while forming", None, 7, "mode 2 (100 %)"),
        ([JUNK, ONE, ONE], "collapsed", "while forming", None, 7, "mode 2 (100 %)"),
        ([ONE, THREE, ALL], "healthy", None, 13, None, ""),
        ([ALL, ONE, ALL], "collapsed", "after forming", 1, 7, ""),
        ([ALL, ALL, ONE], "collapsed", "after forming", 1, 13, "mode 2 (100 %)"),
        ([JUNK] * 3, "never formed", None, None, None, ""),
        ([SIX] * 3, "healthy", None, 1, None, ""),
    ],
)
def test_streams_with_known_answers(stages, outcome, when, formed, onset, onto):
    verdict = stream_verdict(Ring(), stages, 6)
    assert (verdict.outcome, verdict.when) == (outcome, when)
    assert (verdict.formed_step, verdict.onset_step) == tuple(n and n * EVERY for n in (formed, onset))
    assert verdict.onto_words() == onto
    assert (verdict.recovered_step is not None) == (stages == [ALL, ONE, ALL])


def test_one_point_that_is_no_data_is_no_collapse(key):
    detector, source, state = MixtureDetector(), Ring().source(()), init_detector()
    for index in range(8):
        seen = detector.observe(source, (), detector.measure(source, (), jnp.full((2500, 2), 0.1)))
        state = _update(detector, state, seen, (index + 1) * EVERY)
    assert verdict_on(state, last_step=800).outcome == "never formed"


@pytest.mark.parametrize("data", [Ring(), Grid()], ids=lambda d: type(d).__name__)
def test_healthy_streams_never_fire(data, key):
    num_modes = data.source(()).modes.shape[0]
    state = watch(data, key, jnp.ones((1000, num_modes), bool), 1000)
    verdict = verdict_on(state, last_step=1000 * EVERY)
    assert verdict.outcome == "healthy"
    assert verdict.formed_step == EVERY
    assert int(state.bad_run.max()) == 0
    assert (int(state.early_step), int(state.early_run)) == (-1, 0)


def test_sentences_name_the_step_and_the_cause():
    assert play("hhhttttt").sentence() == (
        "collapsed at step 400 (total: almost all samples alike; formed at step 100)"
    )
    assert play("hhhh").sentence() == "healthy at step 400 (formed at step 100, no collapse seen)"
    assert "censored at step 400" in play("hhhb").sentence()
    assert verdict_on(init_detector(), last_step=7, nonfinite_step=5).sentence() == "non-finite values at step 5"
