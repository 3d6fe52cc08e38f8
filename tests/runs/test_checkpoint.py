from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.runs import checkpoint
from gan_jax.runs.checkpoint import CheckpointError, Checkpoints, from_host, to_host, tree_hash
from gan_jax.runs.runner import state_template
from gan_jax.scaling.programs import compiled_init
from tests.helpers import leaves_equal


@pytest.fixture(scope="module")
def experiment():
    return override(tiny_ring(), "generator.average_decay", 0.9)


@pytest.fixture(scope="module")
def state(experiment):
    return compiled_init(experiment, jax.random.key(4))


def at(state, step):
    return state._replace(step=jnp.int32(step))


def data_files(directory, step):
    """The files that hold the arrays, largest first."""
    files = [p for p in (directory / str(step) / "state").rglob("*") if p.is_file() and p.stat().st_size > 0]
    return sorted(files, key=lambda p: -p.stat().st_size)


def test_round_trip_is_exact(tmp_path, experiment, state):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(at(state, 3))
    restored = checkpoints.restore(state_template(experiment), 3)
    assert leaves_equal(restored, at(state, 3))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert restored.key.dtype == state.key.dtype
    # Opened again, by another process say, without writing anything.
    again = Checkpoints(tmp_path / "c", read_only=True)
    assert again.steps() == [3]
    assert leaves_equal(again.restore(state_template(experiment), 3), at(state, 3))


def test_another_generator_of_random_numbers_is_named_with_the_remedy(tmp_path, experiment):
    trained = compiled_init(experiment, jax.random.key(4, impl="rbg"))
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(at(trained, 3))
    with pytest.raises(CheckpointError, match=r"generator rbg, .* uses threefry2x32: .* JAX_DEFAULT_PRNG_IMPL=rbg"):
        checkpoints.restore(state_template(experiment), 3)
    assert leaves_equal(checkpoints.restore(trained, 3), at(trained, 3))


def test_host_form_is_arrays_by_name(state):
    arrays = to_host(state)
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    assert "generator.variables.params.dense_0.kernel" in arrays
    assert leaves_equal(from_host(state, arrays), state)
    assert tree_hash(arrays) == tree_hash(to_host(state)) != tree_hash(to_host(at(state, 9)))


def test_retention_keeps_the_newest_and_the_branch_points(tmp_path, state):
    checkpoints = Checkpoints(tmp_path / "c", keep=2, keep_every_steps=4)
    for step in range(1, 8):
        checkpoints.save(at(state, step))
    assert checkpoints.steps() == [4, 6, 7]


# Where one of orbax's reads fails, another may come back to an event loop that is closed, which tensorstore says in a
# callback, sooner or later.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["truncated", "bit flipped", "missing", "metadata"])
def test_damaged_checkpoints_are_reported_and_the_one_before_is_used(tmp_path, experiment, state, damage):
    directory = tmp_path / "c"
    checkpoints = Checkpoints(directory)
    for step in (1, 2):
        checkpoints.save(at(state, step))
    checkpoints.close()
    # Every file with arrays: orbax keeps a second copy of some, and damage to an unused one is harmless.
    for file in data_files(directory, 2):
        content = bytearray(file.read_bytes())
        if damage == "truncated":
            file.write_bytes(content[: len(content) // 2])
        elif damage == "bit flipped" and len(content) > 1000:
            content[len(content) // 2] ^= 0x10
            file.write_bytes(content)
        elif damage == "missing":
            file.unlink()
    if damage == "metadata":
        (directory / "2" / "state" / "_METADATA").write_text("{")
    restored, problems = Checkpoints(directory).restore_latest(state_template(experiment))
    assert leaves_equal(restored, at(state, 1))
    assert len(problems) == 1
    assert "step 2" in problems[0]
    assert "\n" not in problems[0]


@pytest.mark.parametrize("part", range(12))
def test_a_flipped_bit_anywhere_in_the_arrays_is_noticed_or_harmless(tmp_path, experiment, state, part):
    directory = tmp_path / "c"
    Checkpoints(directory).save(at(state, 1))
    largest = data_files(directory, 1)[0]
    content = bytearray(largest.read_bytes())
    content[part * len(content) // 12 + 3] ^= 1 << (part % 8)
    largest.write_bytes(content)
    restored, problems = Checkpoints(directory).restore_latest(state_template(experiment))
    assert (restored is None and len(problems) == 1) or leaves_equal(restored, at(state, 1))


def test_an_empty_or_unfinished_step_is_never_picked_up(tmp_path, experiment, state):
    directory = tmp_path / "c"
    Checkpoints(directory).save(at(state, 1))
    (directory / "2").mkdir()
    (directory / "3.orbax-checkpoint-tmp").mkdir()
    restored, problems = Checkpoints(directory).restore_latest(state_template(experiment))
    assert int(restored.step) == 1
    assert len(problems) <= 1


def test_a_step_that_is_not_newer_is_an_error_and_not_silence(tmp_path, state):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(at(state, 5))
    with pytest.raises(CheckpointError, match="step 4 was not saved"):
        checkpoints.save(at(state, 4))
    checkpoints.drop_after(3)
    checkpoints.save(at(state, 4))
    assert checkpoints.steps() == [4]


def test_absent_steps_and_other_structures_are_explained(tmp_path, state):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(at(state, 5))
    with pytest.raises(CheckpointError, match=r"has no checkpoint of step 6: choose one of \[5\]"):
        checkpoints.restore(state, 6)
    wider = state_template(override(tiny_ring(), "generator.network.widths", (8, 8)))
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.restore(wider, 5)


def test_leaves_that_the_detector_did_not_keep_yet_are_as_before_any_evaluation(tmp_path, state, monkeypatch):
    def without(tree):
        return {name: leaf for name, leaf in to_host(tree).items() if ".early_" not in name and ".top_" not in name}

    seen = at(state, 3)._replace(detector=state.detector._replace(early_step=jnp.int32(2), formed_step=jnp.int32(1)))
    with monkeypatch.context() as former:
        former.setattr(checkpoint, "to_host", without)
        Checkpoints(tmp_path / "c").save(seen)
    restored = Checkpoints(tmp_path / "c").restore(state, 3)
    assert leaves_equal(restored, seen._replace(detector=seen.detector._replace(early_step=jnp.int32(-1))))
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "to_host", lambda tree: {k: v for k, v in to_host(tree).items() if k != "step"})
        Checkpoints(tmp_path / "d").save(seen)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoints(tmp_path / "d").restore(state, 3)
