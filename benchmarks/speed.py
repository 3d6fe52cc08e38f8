"""How fast is a training step: ring (batch 512), DCGAN at 32 and 64 pixels (batch 64), on this machine?

Prints a JSON row a case: steps/s and images/s (median over rounds of a compiled chunk), seconds to compile, and the
program's peak memory (arguments, outputs and temporaries, from XLA's own analysis). Where PyTorch can be imported, the
same work in eager PyTorch is timed in turn with ours, round by round, and the row has its figure and the ratio.

    python benchmarks/speed.py [--cases ring,dcgan32,dcgan64] [--rounds 5] [--torch-python PATH]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import chunk_program, compiled_init
from gan_jax.training.dynamics import Alternating
from gan_jax.training.evaluations import LoadedData

CASES = {
    "ring": ("ring_notebook", 200),
    "dcgan32": ("label_noise_mnist_small", 20),
    "dcgan64": ("label_noise_mnist", 3),
}


def make_case(name: str, implementation: str) -> tuple[Experiment, LoadedData, int]:
    config, num_steps = CASES[name]
    experiment = override(load(config), "num_steps", 10**6)
    if not name.startswith("dcgan"):
        return override(experiment, "dynamics", Alternating()), LoadedData((), ()), num_steps
    experiment = override(override(experiment, "data.last_batch", "wrap"), "discriminator.transforms", ())
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.network.convolution", implementation)
    size = experiment.data.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (2048, size, size, 1), dtype=np.uint8)
    labels = np.zeros(2048, np.int32)
    return experiment, LoadedData(ImageDataset(pixels, labels, pixels[:10], labels[:10]), ()), num_steps


class Peer:
    """Eager PyTorch in its own process, which times a round whenever it is told to."""

    def __init__(self, python: str, case: str, num_steps: int) -> None:
        script = Path(__file__).with_name("speed_torch.py")
        self._process = subprocess.Popen(
            [python, str(script), case, str(num_steps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.version = json.loads(line)["torch"] if line else None

    def round(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def measure(case: str, rounds: int, implementation: str, torch_python: str | None) -> dict[str, Any]:
    experiment, resources, num_steps = make_case(case, implementation)
    state = compiled_init(experiment, jax.random.key(0))
    resources = jax.device_put(resources)
    began = time.perf_counter()
    jitted = chunk_program(small=not case.startswith("dcgan"))
    program = jitted.lower(experiment, resources, state, num_steps=num_steps, evaluates=False).compile()
    compile_seconds = time.perf_counter() - began
    memory = program.memory_analysis()
    peer = Peer(torch_python, case, num_steps) if torch_python else None
    ours, theirs = [], []
    for index in range(rounds + 1):
        began = time.perf_counter()
        state = jax.block_until_ready(program(experiment, resources, state)).state
        ours.append(time.perf_counter() - began)
        if peer is not None and peer.version:
            theirs.append(peer.round())
        if index == 0:  # warms caches
            ours, theirs = [], []
    seconds = statistics.median(ours) / num_steps
    row: dict[str, Any] = {
        "case": case,
        "batch_size": experiment.batch_size,
        "implementation": implementation if case.startswith("dcgan") else None,
        "steps_per_second": round(1 / seconds, 3),
        "examples_per_second": round(experiment.batch_size / seconds, 1),
        "compile_seconds": round(compile_seconds, 1),
        "temporary_mb": round(memory.temp_size_in_bytes / 1e6, 1),
        "argument_mb": round(memory.argument_size_in_bytes / 1e6, 1),
        "rounds": rounds,
        "device": f"{jax.devices()[0].device_kind} x{jax.device_count()}, {platform.processor() or platform.machine()}",
        "jax": jax.__version__,
    }
    if peer is not None and peer.version:
        theirs_seconds = statistics.median(theirs) / num_steps
        row |= {
            "torch": peer.version,
            "torch_examples_per_second": round(experiment.batch_size / theirs_seconds, 1),
            "ratio": round(theirs_seconds / seconds, 3),
        }
        peer.close()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--implementation", default="auto", help="of the convolutions: auto, matmul, native")
    parser.add_argument("--torch-python", help="a Python that can import torch; leave out for no peer")
    options = parser.parse_args()
    for case in options.cases.split(","):
        print(json.dumps(measure(case, options.rounds, options.implementation, options.torch_python)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
