"""What does splitting one run over devices cost, beside the work itself?

    python benchmarks/scaling.py [--cases ring,dcgan] [--devices 1,2,4,8] [--rounds 5]

Weak scaling: n times the batch on n devices. On real accelerators the seconds of a step should stay as they are. The
simulated devices of a CPU share its cores, so the seconds grow n-fold, and what they grow beyond that is the program's
own: gathering scores, averaging gradients and batch statistics, drawing the whole batch on each device. The baseline is
one device on the whole batch, timed in turns. A row a case and number of devices: seconds a step of both, examples a
second, and the overhead, which is the ratio of both times less 1.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax

from benchmarks.harness import arguments, emit, picked, rounds, spread
from benchmarks.programs import random_images, start
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.scaling.data_parallel import make_parallel_chunk, replicate
from gan_jax.scaling.programs import compiled_chunk
from gan_jax.training.chunks import Advance, ChunkSpec
from gan_jax.training.evaluations import LoadedData

CASES = {"ring": 50, "dcgan": 4}
"""By case, the steps of a round."""


def make_case(name: str, batch_size: int, image_size: int, width: int) -> tuple[Experiment, LoadedData]:
    """(the experiment, its data) of a case.

    Args:
        name: of the case.
        batch_size: over all devices.
        image_size: of the DCGAN, in pixels.
        width: of the DCGAN.
    """
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
    return made, random_images(image_size)


class Timed:
    """A way to train; each call of `round` returns the seconds of a chunk of it."""

    def __init__(self, advance: Advance, experiment: Experiment, resources: LoadedData, num_steps: int) -> None:
        self._advance, self._experiment, self._resources = advance, experiment, resources
        self._spec = ChunkSpec(num_steps, evaluates=False)
        self._state = start(experiment, 0)

    def round(self) -> float:
        """Seconds of a chunk."""
        began = time.perf_counter()
        result = self._advance(self._experiment, self._resources, self._state, self._spec)
        self._state = jax.block_until_ready(result.state)
        return time.perf_counter() - began


def measure(case: str, num: int, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a case on so many devices."""
    batch_size, num_steps, devices = options.each * num, CASES[case], jax.devices()[:num]
    experiment, resources = make_case(case, batch_size, options.image_size, options.width)
    parallel = Timed(make_parallel_chunk(devices), experiment, replicate(resources, devices), num_steps)
    whole = Timed(compiled_chunk, experiment, jax.device_put(resources), num_steps)
    seconds = rounds({"parallel": parallel.round, "one device": whole.round}, options.rounds)
    return {
        "devices": num,
        "batch_size": batch_size,
        **spread("seconds_a_step", seconds["parallel"] / num_steps),
        **spread("examples_per_second", batch_size * num_steps / seconds["parallel"]),
        **spread("one_device_whole_batch_seconds", seconds["one device"] / num_steps),
        **spread("overhead", seconds["parallel"] / seconds["one device"] - 1),
        "rounds": len(seconds["parallel"]),
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=5, cases="cases")
    parser.add_argument("--devices", default="1,2,4,8")
    parser.add_argument("--each", type=int, default=64, help="examples of a batch on each device")
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--width", type=int, default=16)
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    counts = [int(word) for word in options.devices.split(",")]
    jax.config.update("jax_num_cpu_devices", max(counts))
    for case in picked(parser, options.cases, CASES):
        for num in counts:
            emit("scaling", case, measure(case, num, options), options.out)


if __name__ == "__main__":
    main()
