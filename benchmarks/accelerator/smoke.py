"""Is what the device computes right? Each check is a row: an error, its tolerance, and whether it passed.

Steps are held against float64 on the host's CPU, from the same state and the same draws, with plain SGD, whose update
is the gradient: Adam's first update is its sign, which a rounding error can turn. The error is that of the update of
all parameters, relative to its length.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.kit import Kit
from gan_jax.bench.cases import make_case, unrolled
from gan_jax.bench.programs import start
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override_all
from gan_jax.runs.checkpoint import Checkpoints, to_host
from gan_jax.scaling.data_parallel import make_parallel_chunk, replicate
from gan_jax.scaling.programs import compiled_chunk
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.context import step_context
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.precision import in_precision
from gan_jax.training.state import TrainState, init
from gan_jax.training.steps import discriminator_step, generator_step, make_draws, unrolled_step

TOLERANCES = {"float32": 1e-3, "tensorfloat32": 3e-2, "bfloat16": 1e-1}
"""By precision, of the relative error of an update: roundings of 24, 11 and 8 bits through a dozen layers and back."""


def smoke(kit: Kit) -> None:
    """A row a check."""
    size, num = (8, 2) if kit.small else (16, 5)
    checks: list[tuple[str, Callable[[], float], float]] = [
        ("step ring float32", functools.partial(_step_error, "ring", size, "float32"), 1e-3),
        (f"unrolled step K={num} float32", functools.partial(_unrolled_error, num, size), 1e-3),
        ("sweep: vmap is map", _sweep_error, 1e-3),
        ("data parallel: all devices are one", _parallel_error, 1e-3),
        ("resume is the uninterrupted run, bit for bit", _resume_error, 0.0),
    ]
    for name in () if kit.small else ("dcgan28", "mlp", "dcgan64"):
        for way in ("native", "matmul", "winograd") if name.startswith("dcgan") else ("auto",):
            for precision, tolerance in TOLERANCES.items():
                if way == "winograd" and (name == "dcgan28" or precision == "bfloat16"):
                    continue  # the same program as "matmul": the maps are odd, or have too few bits
                label = f"step {name}{'' if way == 'auto' else ' ' + way} {precision}"
                checks.append((label, functools.partial(_step_error, name, size, precision, way), tolerance))
    for label, check, tolerance in checks:
        kit.measure("accelerator smoke", label, functools.partial(_checked, check, tolerance), needs=6.0)


def _checked(check: Callable[[], float], tolerance: float) -> dict[str, Any]:
    error = float(check())
    return {"relative_error": error, "tolerance": tolerance, "passed": error <= tolerance}


def _plain_descent(experiment: Experiment) -> Experiment:
    players = ("generator", "discriminator")
    settings = [(f"{player}.optimizer", "sgd") for player in players]
    return override_all(experiment, [*settings, *((f"{player}.learning_rate", 0.1) for player in players)])


def _step_error(name: str, batch_size: int, precision: str, convolution: str = "auto") -> float:
    case = functools.partial(make_case, name, batch_size=batch_size)
    experiment, wide = case(precision=precision, convolution=convolution)[0], case(convolution="matmul")[0]

    @in_precision
    def step(experiment: Experiment, state: TrainState, real: Any, latent: Any) -> Any:
        context = step_context(experiment, None, state.step, draws=False)
        draws = make_draws(real, latent, state.key)
        after, _ = discriminator_step(context, state, draws)
        after, _ = generator_step(context, after, draws)
        return _params(after)

    return _against_float64(step, _plain_descent(experiment), _plain_descent(wide), name)


def _unrolled_error(num: int, batch_size: int) -> float:
    experiment, _ = unrolled(num)

    @in_precision
    def step(experiment: Experiment, state: TrainState, real: Any, latent: Any) -> Any:
        context = step_context(experiment, None, state.step, draws=False)
        after, _ = unrolled_step(context, state, make_draws(real, latent, state.key), state.key)
        return _params(after)

    made = _plain_descent(override_all(experiment, [("batch_size", batch_size)]))
    return _against_float64(step, made, made, f"unrolled {num}")


def _params(state: TrainState) -> Any:
    return state.generator.variables.params, state.discriminator.variables.params


_REFERENCES: dict[str, Any] = {}
"""By game, the parameters after a step in float64, which all precisions are held against."""


def _against_float64(step: Callable[..., Any], experiment: Experiment, wide: Experiment, name: str) -> float:
    """The relative error of the update of one step on the device, against the same in float64 on the CPU."""
    state = start(experiment, 0)
    rng = np.random.default_rng(0)
    real = np.tanh(rng.normal(size=(experiment.batch_size, *experiment.data.shape)))
    latent = rng.normal(size=(experiment.batch_size, experiment.generator.latent_dim))
    before = jax.device_get(_params(state))
    found = jax.device_get(jax.jit(step)(experiment, state, real.astype(np.float32), latent.astype(np.float32)))
    if name not in _REFERENCES:
        with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
            # Python floats of the experiment are traced as float64 here; only arrays have to be widened.
            _REFERENCES[name] = jax.device_get(jax.jit(step)(wide, jax.tree.map(_widened, state), real, latent))
    wanted = _REFERENCES[name]
    change, error = 0.0, 0.0
    for old, new, exact in zip(*map(jax.tree.leaves, (before, found, wanted)), strict=True):
        change += float(np.sum((exact - old) ** 2))
        error += float(np.sum((exact - new) ** 2))
    return (error / change) ** 0.5


def _widened(leaf: Any) -> Any:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(np.asarray(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    leaf = np.asarray(leaf)
    return jnp.asarray(leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf)


def _sweep_error() -> float:
    experiments = [tiny_ring(num_steps=4, eval_every_steps=4) for _ in range(3)]
    found = []
    for name in ("vmap", "map"):
        strategy = Strategy(name)
        states = [start(experiment, seed) for seed, experiment in enumerate(experiments)]
        stack = strategy.place(experiments, states)
        resources, spec = strategy.place_resources(LoadedData()), ChunkSpec(4, evaluates=False)
        result = strategy.compile(stack, resources, spec)(stack.experiments, resources, stack.states)
        found.append(strategy.gather(_params(result.state), stack.num))
    return _difference(*found)


def _parallel_error() -> float:
    num = jax.local_device_count()
    experiment = tiny_ring(batch_size=32 * num, num_steps=4, eval_every_steps=4)
    state, spec = start(experiment, 0), ChunkSpec(4, evaluates=False)
    parallel = make_parallel_chunk()(experiment, replicate(LoadedData()), replicate(state), spec)
    one = compiled_chunk(experiment, LoadedData(), start(experiment, 0), spec)
    return _difference(jax.device_get(_params(parallel.state)), jax.device_get(_params(one.state)))


def _resume_error() -> float:
    """The largest difference of any number of the state; 0 is bit for bit."""
    experiment = tiny_ring(num_steps=20, eval_every_steps=10)
    whole = compiled_chunk(experiment, LoadedData(), start(experiment, 0), ChunkSpec(10, evaluates=False)).state
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        checkpoints.save(whole)
        key = jax.random.key(0)
        restored = checkpoints.restore(jax.eval_shape(init, experiment, key)._replace(key=key), 10)
        checkpoints.close()
    ends = [
        compiled_chunk(experiment, LoadedData(), state, ChunkSpec(10, evaluates=False)).state
        for state in (restored, whole)
    ]
    one, other = map(to_host, ends)
    return max(float(np.max(np.abs(one[name].astype(float) - other[name].astype(float)), initial=0)) for name in one)


def _difference(found: Any, wanted: Any) -> float:
    """The largest difference of two trees, divided by the largest number of the second."""
    pairs = list(zip(*map(jax.tree.leaves, (found, wanted)), strict=True))
    error = max(float(np.max(np.abs(a - b))) for a, b in pairs)
    return error / max(float(np.max(np.abs(b))) for _, b in pairs)
