"""Times the training steps of a case with the checkout of gan_jax on the path: a peer of `gan-jax bench compare`.

Only names that earlier commits have are imported, so that a commit can be compared with those before it.

    PYTHONPATH=CHECKOUT python served_step.py CASE STEPS [STEPS_PER_ITERATION]
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override_all
from gan_jax.scaling.programs import chunk_program, compiled_init, has_small_networks
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData

CONFIGS = {
    "ring": "ring_notebook",
    "unrolled": "ring_notebook",
    "mlp": "digits_collapse",
    "dcgan28": "label_noise_mnist",
}
SETTINGS: dict[str, list[tuple[str, Any]]] = {
    "ring": [("dynamics", "alternating")],
    "unrolled": [
        ("dynamics", "simultaneous"),
        ("generator.unroll", "unroll"),
        ("generator.unroll.num_steps", 5),
        ("generator.unroll.memory", "step"),
    ],
    "mlp": [],
    "dcgan28": [
        ("data.image_size", 28),
        ("data.last_batch", "wrap"),
        ("generator.network.width", 16),
        ("discriminator.network.width", 16),
        ("discriminator.transforms", ()),
    ],
}


def make_experiment(case: str) -> Experiment:
    """The experiment of a case of `CONFIGS`."""
    return override_all(load(CONFIGS[case]), [*SETTINGS[case], ("num_steps", 10**6)])


def serve_step() -> None:
    case, num_steps = sys.argv[1], int(sys.argv[2])
    spec = ChunkSpec(num_steps, evaluates=False)
    if len(sys.argv) > 3:
        spec = spec._replace(steps_per_iteration=int(sys.argv[3]))
    experiment = make_experiment(case)
    resources = LoadedData((), ())
    if len(experiment.data.shape) == 3:
        size = experiment.data.shape[0]
        pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2048, size, size, 1), dtype=np.uint8))
        resources = LoadedData(ImageDataset(pixels, jnp.zeros(2048, jnp.int32), pixels[:10], jnp.zeros(10)), ())
    state = compiled_init(experiment, jax.random.key(0))
    program = chunk_program(small=has_small_networks(experiment))
    compiled = program.lower(experiment, resources, state, spec).compile()
    import gan_jax

    print(json.dumps({"package": gan_jax.__file__, "jax": jax.__version__}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        state = jax.block_until_ready(compiled(experiment, resources, state).state)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    serve_step()
