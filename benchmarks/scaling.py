"""What does splitting one run over devices cost, beside the work itself?

The same examples on every device (weak scaling: n times the batch on n devices). On real accelerators the seconds of a
step should stay as they are; on a CPU's simulated devices, which share its cores, they grow n-fold, and what they grow
beyond n is the program's own: gathering scores, averaging gradients and batch statistics, drawing the whole batch on
each device. The baseline of that overhead is one device on the whole batch, timed in turn.

    python benchmarks/scaling.py [--cases ring,dcgan] [--devices 1,2,4,8] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from typing import Any

import jax
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.scaling.data_parallel import make_parallel_chunk, replicate
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.evaluations import LoadedData


def make_case(name: str, batch_size: int, image_size: int, width: int) -> tuple[Experiment, LoadedData]:
    if name == "ring":
        return override(load("ring"), "batch_size", batch_size), LoadedData((), ())
    made = load("scaling")
    for path, value in {
        "batch_size": batch_size,
        "detector.num_samples": batch_size * -(-2560 // batch_size),
        "data.image_size": image_size,
        "generator.network.width": width,
        "discriminator.network.width": width,
    }.items():
        made = override(made, path, value)
    pixels = np.random.default_rng(0).integers(0, 256, (2048, image_size, image_size, 1), dtype=np.uint8)
    labels = np.zeros(2048, np.int32)
    return made, LoadedData(ImageDataset(pixels, labels, pixels[:10], labels[:10]), ())


class Timed:
    """A way to train; each round is a chunk of it."""

    def __init__(self, advance: Any, experiment: Experiment, resources: LoadedData, num_steps: int) -> None:
        self._advance, self._experiment, self._resources, self._num_steps = advance, experiment, resources, num_steps
        self._state = compiled_init(experiment, jax.random.key(0))

    def round(self) -> float:
        began = time.perf_counter()
        result = self._advance(
            self._experiment, self._resources, self._state, num_steps=self._num_steps, evaluates=False
        )
        self._state = jax.block_until_ready(result.state)
        return (time.perf_counter() - began) / self._num_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="ring,dcgan")
    parser.add_argument("--devices", default="1,2,4,8")
    parser.add_argument("--each", type=int, default=64, help="examples of a batch on each device")
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    counts = [int(word) for word in options.devices.split(",")]
    jax.config.update("jax_num_cpu_devices", max(counts))
    for case in options.cases.split(","):
        for num in counts:
            batch_size = options.each * num
            experiment, resources = make_case(case, batch_size, options.image_size, options.width)
            num_steps = 50 if case == "ring" else 4
            devices = jax.devices()[:num]
            ways = {
                "parallel": Timed(make_parallel_chunk(devices), experiment, replicate(resources, devices), num_steps),
                "one device": Timed(chunk, experiment, jax.device_put(resources), num_steps),
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for index in range(options.rounds + 1):
                for name, way in ways.items():
                    spent = way.round()
                    if index:
                        seconds[name].append(spent)
            step, whole = (statistics.median(seconds[name]) for name in ways)
            row = {
                "case": case,
                "devices": num,
                "batch_size": batch_size,
                "seconds_a_step": round(step, 5),
                "examples_per_second": round(batch_size / step, 1),
                "one_device_whole_batch_seconds": round(whole, 5),
                "overhead": round(step / whole - 1, 3),
                "rounds": options.rounds,
                "device": f"{jax.devices()[0].device_kind}, {platform.processor() or platform.machine()}",
                "jax": jax.__version__,
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
