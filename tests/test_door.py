"""The front door: `gan_jax.train` is a pure function under every transformation, and what `gan-jax train` computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gan_jax as gj
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training import train as train_module
from gan_jax.training.chunks import chunks, plan

ROOT = Path(gj.__file__).parents[1]
TINY = tiny_ring(num_steps=6, eval_every_steps=3)


@pytest.fixture(scope="module")
def alone():
    """One run of the tiny ring."""
    return jax.jit(gj.train)(TINY, (), jax.random.key(0))


@pytest.fixture
def double(monkeypatch):
    """`init` with float64 weights, which `train` then starts from; the weights of flax's layers are float32."""

    def init(experiment, key):
        state = gj.init(experiment, key)
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, state)

    monkeypatch.setattr(train_module, "init", init)
    return jax.jit(init)


def test_importing_is_cheap_and_starts_no_backend():
    code = (
        "import sys, gan_jax; assert 'jax' not in sys.modules, 'imports jax'\n"
        "gan_jax.load('ring'); from jax._src import xla_bridge; assert not xla_bridge.backends_are_initialized()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


WITHOUT_DOCTEST = {
    "Chunk",
    "Evaluation",
    "LoadedData",
    "Result",
    "Run",
    "SweepRun",
    "TrainState",
    "TrainedGenerator",
    "Verdict",
    "RunError",
    "Remedy",
}
"""Public classes that functions return, or that need a run on a disk: no short doctest constructs them."""


def test_every_public_name_exists_and_is_documented():
    assert 40 <= len(gj.__all__) <= 80
    assert set(gj.__all__) >= WITHOUT_DOCTEST
    for name in gj.__all__:
        value = getattr(gj, name)
        assert name == "REMEDIES" or value.__doc__, name
        if callable(value) and name not in WITHOUT_DOCTEST:
            assert ">>>" in value.__doc__, f"the docstring of {name} has no doctest"
    assert gj.__version__.count(".") == 2


def test_the_script_of_the_readme(tmp_path, monkeypatch, capsys):
    script = (ROOT / "examples" / "sixteen_seeds.py").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 12
    small = script.replace('gj.load("ring"), "num_steps", 3000', 'gj.load("ring"), {"num_steps": 4, "batch_size": 16}')
    assert small != script
    monkeypatch.chdir(tmp_path)
    exec(compile(small, "sixteen_seeds.py", "exec"), {"__name__": "__main__"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert all(line.startswith(("never formed", "collapsed", "healthy", "censored")) for line in lines)
    assert (tmp_path / "sixteen_seeds.png").stat().st_size > 10_000


def test_a_result_has_series_samples_and_a_verdict(alone):
    chex.assert_shape(alone.metrics["generator_loss"], (6,))
    assert alone.evaluations.step.tolist() == [3, 6]
    chex.assert_shape(alone.evaluations.metrics["running"].high_quality, (2,))
    chex.assert_shape([alone.samples, alone.real], (256, 2))
    assert int(alone.state.step) == 6
    assert alone.verdict.sentence().startswith("never formed in 6 steps")
    with pytest.raises(ValueError, match="use sentences"):
        jax.tree.map(lambda leaf: leaf[None], alone.verdict).sentence()


def test_train_is_the_chunks_of_the_command_line(alone):
    """In float32 to rounding: XLA fuses a chunk inside a scan otherwise than a chunk alone."""
    state = compiled_init(TINY, jax.random.key(0))
    losses = [result.metrics["generator_loss"] for _, result in chunks(compiled_chunk, TINY, (), state, plan(TINY, ()))]
    np.testing.assert_allclose(np.concatenate(losses), alone.metrics["generator_loss"], rtol=2e-5)


def test_train_is_the_chunks_in_float64(double):
    with jax.enable_x64(True):
        many, state = jax.jit(gj.train)(TINY, (), jax.random.key(0)), double(TINY, jax.random.key(0))
        advance = jax.jit(gj.chunk, static_argnums=3)
        losses = [result.metrics["generator_loss"] for _, result in chunks(advance, TINY, (), state, plan(TINY, ()))]
        assert losses[0].dtype == np.float64
        np.testing.assert_allclose(np.concatenate(losses), many.metrics["generator_loss"], rtol=1e-10)


def test_under_vmap_over_keys_and_over_stacked_experiments(alone):
    rates = gj.stack([gj.replace(TINY, "generator.learning_rate", rate) for rate in (1e-3, 1e-2)])
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    both = jax.jit(jax.vmap(jax.vmap(gj.train, in_axes=(None, None, 0)), in_axes=(0, None, None)))(rates, (), keys)
    chex.assert_shape(both.metrics["generator_loss"], (2, 2, 6))
    assert len(both.verdict.sentences()) == 4
    np.testing.assert_allclose(both.metrics["generator_loss"][0, 0], alone.metrics["generator_loss"], rtol=1e-4)
    assert not np.allclose(both.metrics["generator_loss"][1, 0], alone.metrics["generator_loss"], rtol=1e-4)


def test_inside_another_jit_and_traced_once(alone):
    @jax.jit
    @chex.assert_max_traces(1)
    def last_loss(rate, key):
        return gj.train(gj.replace(TINY, "generator.learning_rate", rate), (), key).metrics["generator_loss"][-1]

    np.testing.assert_allclose(last_loss(1e-3, jax.random.key(0)), alone.metrics["generator_loss"][-1], rtol=1e-4)
    assert np.isfinite(last_loss(1e-2, jax.random.key(1)))
    chex.clear_trace_counter()


@pytest.mark.parametrize("num", [2, 8])
def test_under_pmap(num, alone):
    keys = jax.random.split(jax.random.key(3), num).at[0].set(jax.random.key(0))
    many = jax.pmap(gj.train, in_axes=(None, None, 0), devices=jax.devices()[:num])(TINY, (), keys)
    chex.assert_shape(many.metrics["generator_loss"], (num, 6))
    np.testing.assert_allclose(many.metrics["generator_loss"][0], alone.metrics["generator_loss"], rtol=1e-4)


@pytest.mark.parametrize("make", [tiny_ring, tiny_dcgan])
def test_exports_for_accelerators(make):
    experiment = make(num_steps=4, eval_every_steps=2)
    data = () if make is tiny_ring else gj.load_data(experiment)
    exported = jax.export.export(jax.jit(gj.train), platforms=("cuda", "tpu"))(experiment, data, jax.random.key(0))
    assert exported.platforms == ("cuda", "tpu")
    assert "f64" not in exported.mlir_module()


def test_the_gradient_in_a_learning_rate_against_central_differences(double):
    """Of the last loss in G's learning rate, through five steps, in float64."""
    experiment = tiny_ring(num_steps=5, eval_every_steps=5)
    with jax.enable_x64(True):

        @jax.jit
        def last_loss(rate):
            changed = gj.replace(experiment, "generator.learning_rate", rate)
            return gj.train(changed, (), jax.random.key(0)).metrics["generator_loss"][-1]

        rate, size = jnp.float64(1e-3), 1e-6
        gradient = jax.jit(jax.grad(last_loss))(rate)
        difference = (last_loss(rate + size) - last_loss(rate - size)) / (2 * size)
        assert abs(float(difference)) > 1e-3
        np.testing.assert_allclose(gradient, difference, rtol=1e-5)


def test_a_probe_is_called_inside_the_program_and_changes_nothing(alone):
    def probe(experiment, data, state):
        weights = state.discriminator.variables.params["output"]["kernel"]
        return {"step": state.step, "norm": jnp.linalg.norm(weights)}

    run = jax.jit(gj.train, static_argnames=("probe", "probe_every"))
    probed = run(TINY, (), jax.random.key(0), probe=probe, probe_every=1)
    assert probed.probes["step"].tolist() == [1, 2, 3, 4, 5, 6]
    last = alone.state.discriminator.variables.params["output"]["kernel"]
    np.testing.assert_allclose(probed.probes["norm"][-1], np.linalg.norm(last), rtol=1e-4)
    np.testing.assert_allclose(probed.metrics["generator_loss"], alone.metrics["generator_loss"], rtol=1e-4)
    with pytest.raises(ValueError, match="probe_every is 2, and must divide the 3 steps"):
        run(TINY, (), jax.random.key(0), probe=probe, probe_every=2)


def test_a_recorder_and_a_probe_together():
    experiment = gj.replace(TINY, "recorder", gj.Recorder(every_steps=3, num_examples=8))
    run = jax.jit(gj.train, static_argnames=("probe", "probe_every"))
    result = run(experiment, (), jax.random.key(0), probe=lambda e, d, s: s.step, probe_every=1)
    assert result.probes.tolist() == [1, 2, 3, 4, 5, 6]
    chex.assert_shape(result.recorded["forgetting/cosine"], (2,))


def test_short_last_batches_are_trained_on_and_too_many_kinds_of_chunks_are_refused():
    short = gj.replace(tiny_dcgan(num_steps=6, eval_every_steps=3), "data.last_batch", "short")
    data = gj.load_data(short)._replace(dataset=tiny_images(40))
    result = jax.jit(gj.train)(short, data, jax.random.key(0))
    chex.assert_shape(result.metrics["generator_loss"], (6,))
    assert result.evaluations.step.tolist() == [3, 6]
    chex.assert_shape(result.evaluations.metrics["batch"].junk, (2,))
    odd = gj.replace(
        short, {"num_steps": 10_000, "eval_every_steps": 7}
    )  # epochs of 90 steps, the last one of 8 images
    data = data._replace(dataset=tiny_images(16 * 89 + 8))
    with pytest.raises(ValueError, match="last_batch='wrap'"):
        jax.eval_shape(gj.train, odd, data, jax.random.key(0))


def test_a_run_that_breaks_stays_where_it_broke():
    wild = gj.replace(TINY, {"generator.optimizer": gj.SGD(), "generator.learning_rate": 1e38})
    result = jax.jit(gj.train)(wild, (), jax.random.key(0))
    assert result.verdict.sentence().startswith("non-finite values at step")
    assert 0 < int(result.state.step) <= 3


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
