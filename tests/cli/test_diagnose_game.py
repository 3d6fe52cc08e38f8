"""gan-jax diagnose game: runs of games whose Jacobian is known, and of a ring."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax.cli.diagnose_game import Position, figure, fixed_batches, game_field
from gan_jax.cli.main import main
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import compiled_init

SHORT = ["--num-steps", "2", "--eval-every-steps", "1", "--quiet"]
AT_REST = ["--generator.network.start", "0", "--discriminator.network.start", "0"]


def diagnosed(tmp_path, capsys, *train):
    path = str(tmp_path / "run")
    assert main(["train", *train, "--run-dir", path, *SHORT]) == 0
    capsys.readouterr()
    assert main(["diagnose", "game", path, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_dirac_gan_turns_about_its_equilibrium(tmp_path, capsys):
    result = diagnosed(tmp_path, capsys, "dirac", *AT_REST)
    assert len(result["rows"]) == 2
    for row in result["rows"]:
        np.testing.assert_allclose(sorted(row["values"]), [[0, -0.5], [0, 0.5]], atol=1e-6)
        assert (row["complete"], row["speed"], row["rotation"], row["largest_step"]) == (True, 0, 1, None)
        np.testing.assert_allclose(row["blocks"]["norms"], [[0, 0.5], [0.5, 0]], atol=1e-6)
        assert row["blocks"]["rotation"] == pytest.approx(1)
    assert "100% of all 2 eigenvalues are complex, and 100% of their length is rotation" in result["sentence"]
    figure(result)


def test_the_bilinear_game_is_the_same_everywhere(tmp_path, capsys):
    (first, second) = diagnosed(tmp_path, capsys, "bilinear")["rows"]
    for row in (first, second):
        np.testing.assert_allclose(sorted(row["values"]), [[0, -1], [0, 1]], atol=1e-6)
    assert second["speed"] > first["speed"] > 1  # it leaves: the field is as long as the way to the equilibrium


def test_a_penalty_is_part_of_the_game(tmp_path, capsys):
    config = tmp_path / "damped.py"
    config.write_text(
        "from gan_jax.experiment.configs import load_config\n"
        "from gan_jax.losses.penalties import R1\n"
        "from gan_jax.experiment.settings import override\n"
        "def experiment():\n"
        "    return override(load_config('dirac'), 'discriminator.penalties', (R1(weight=1.5),))\n"
    )
    (row, _) = diagnosed(tmp_path, capsys, str(config), *AT_REST)["rows"]
    root = np.sqrt(1.5**2 / 4 - 0.25)
    np.testing.assert_allclose(sorted(row["values"]), [[-0.75 - root, 0], [-0.75 + root, 0]], rtol=1e-5, atol=1e-6)
    assert row["attraction"] == pytest.approx(1)
    assert row["largest_step"] == pytest.approx(2 / (0.75 + root), rel=1e-5)


@pytest.fixture(scope="module")
def position():
    experiment = tiny_ring()
    state = compiled_init(experiment, jax.random.key(0))
    batches = fixed_batches(experiment, (), jax.random.key(1), jnp.float32)
    at = ravel_pytree((state.generator.variables.params, state.discriminator.variables.params))[0]
    return at, Position(experiment, (), state, batches)


def test_the_field_is_what_plain_simultaneous_descent_follows(position):
    """A batch of it: one step of SGD on that batch moves both players by the learning rate times the field."""
    at, data = position
    real, latent, keys = data.batches
    assert real.shape == (1024 // 32, 32, 2)
    one = data._replace(batches=(real[:1], latent[:1], keys[:1]))
    field = jax.jit(game_field)(at, one)
    experiment, state = data.experiment, data.state

    def losses(gen_params, disc_params):
        gen = experiment.generator.network.apply(
            state.generator.variables._replace(params=gen_params), latent[0], (2,), train=True
        )[0]
        disc = state.discriminator.variables._replace(params=disc_params)
        scores = [experiment.discriminator.network.apply(disc, x, train=True)[0] for x in (real[0], gen)]
        return (
            jnp.mean(jax.nn.softplus(-scores[1])),
            jnp.mean(jax.nn.softplus(-scores[0])) + jnp.mean(jax.nn.softplus(scores[1])),
        )

    params = state.generator.variables.params, state.discriminator.variables.params
    wanted = ravel_pytree(
        (jax.grad(lambda p: losses(p, params[1])[0])(params[0]), jax.grad(lambda p: losses(params[0], p)[1])(params[1]))
    )[0]
    np.testing.assert_allclose(field, -wanted, atol=1e-6)
    every = jax.jit(game_field)(at, data)
    assert float(jnp.linalg.norm(every - field)) > 1e-3


def test_unrolling_changes_the_generators_part_alone(position):
    at, data = position
    unrolled = override(data.experiment, "generator.unroll", Unroll(num_steps=1))
    num_gen = ravel_pytree(data.state.generator.variables.params)[0].shape[0]
    plain, other = (jax.jit(game_field)(at, data._replace(experiment=e)) for e in (data.experiment, unrolled))
    np.testing.assert_allclose(plain[num_gen:], other[num_gen:], atol=1e-6)
    assert float(jnp.max(jnp.abs(plain[:num_gen] - other[:num_gen]))) > 1e-5


def test_a_ring(tmp_path, capsys):
    path = str(tmp_path / "run")
    small = ["--generator.network.widths", "32,32", "--discriminator.network.widths", "32,32"]
    assert main(["train", "ring", "--run-dir", path, *SHORT, *small, "--batch-size", "512"]) == 0
    plot = tmp_path / "game.png"
    asked = ["diagnose", "game", path, "--step", "2", "--values", "8", "--plot", str(plot)]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "At step 2" in said
    assert plot.stat().st_size > 5000
    (row,) = json.loads((tmp_path / "run" / "diagnosis" / "game.json").read_text())["rows"]
    assert not row["complete"]
    assert row["num_products"] < 100
    assert row["missing"] == 0
    values = np.array(row["values"])
    assert np.array_equal(np.sort(values[:, 1]), -np.sort(values[:, 1])[::-1])  # conjugates, both


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--values", "2"], "--values is 2, and must be at least 4"),
        (["--step", "9"], "no checkpoint of step 9"),
        (["--data", "here"], "reads no files: leave out --data"),
    ],
)
def test_wrong_inputs(tmp_path, capsys, arguments, said):
    path = str(tmp_path / "run")
    assert main(["train", "dirac", "--run-dir", path, *SHORT]) == 0
    assert main(["diagnose", "game", path, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_run_that_is_none(tmp_path, capsys):
    assert main(["diagnose", "game", str(tmp_path / "nothing")]) == 2
    assert "Traceback" not in capsys.readouterr().err
