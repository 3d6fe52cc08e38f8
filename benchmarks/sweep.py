"""How fast are many runs together? A label-noise study on the ring beside PyTorch; strategies by members and net.

study    6 rates x 5 seeds of the notebook's ring (2x128 tanh, latent 256, batch 512) with flipped labels, 2,000 steps
         each: as one program on each strategy, one run after another, and each way of PyTorch that is asked for. Rounds
         in turn, medians; `wall` is compilation and 2,000 steps at the median rate, `ratio` of the steps/s.
strategies  members x strategy of a case: member-steps/s, seconds to compile, what the program needs of a device.

    python benchmarks/sweep.py study [--torch-python PATH --peers eager,compiled,...] [--rounds 5]
    python benchmarks/sweep.py strategies --cases ring,dcgan28,dcgan32,dcgan64 --members 1,4,16,30
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Member, grid
from gan_jax.losses.objectives import NonSaturating
from gan_jax.losses.transforms import ExactFlips
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.scaling.strategies import STRATEGIES, Strategy, program_bytes
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.dynamics import Alternating
from gan_jax.training.evaluations import LoadedData

RATE = "discriminator.transforms.0.rate"
RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)
STEPS = 2_000


def ring() -> Experiment:
    made = load("ring_notebook")
    for path, value in {
        "dynamics": Alternating(),
        "objective": NonSaturating(),
        "data.closed": False,
        "num_steps": STEPS,
        "eval_every_steps": STEPS,
        "discriminator.transforms": (ExactFlips(rate=0.0),),
    }.items():
        made = override(made, path, value)
    return made


def dcgan(size: int, width: int) -> tuple[Experiment, LoadedData]:
    made = load("label_noise_mnist")
    for path, value in {
        "data.image_size": size,
        "data.last_batch": "wrap",
        "generator.network.width": width,
        "discriminator.network.width": width,
    }.items():
        made = override(made, path, value)
    pixels = np.random.default_rng(0).integers(0, 256, (2048, size, size, 1), dtype=np.uint8)
    labels = np.zeros(2048, np.int32)
    return made, LoadedData(ImageDataset(pixels, labels, pixels[:10], labels[:10]), ())


CASES: dict[str, tuple[Callable[[], tuple[Experiment, LoadedData]], int]] = {
    "ring": (lambda: (ring(), LoadedData((), ())), 50),
    "dcgan28": (lambda: dcgan(28, 16), 4),
    "dcgan32": (lambda: dcgan(32, 32), 2),
    "dcgan64": (lambda: dcgan(64, 64), 1),
}


def device() -> str:
    return f"{jax.devices()[0].device_kind} x{jax.device_count()}, {platform.processor() or platform.machine()}"


class Together:
    """Some members on an strategy; each call of `round` trains all of them on."""

    def __init__(self, name: str, members: list[Member], resources: LoadedData, num_steps: int) -> None:
        strategy = Strategy(name)
        experiments = [member.arm.experiment for member in members]
        states = [compiled_init(member.arm.experiment, jax.random.key(member.seed)) for member in members]
        stack, self._resources = strategy.place(experiments, states), strategy.place_resources(resources)
        began = time.perf_counter()
        self._program = strategy.compile(stack, self._resources, ChunkSpec(num_steps, None, evaluates=False))
        self.compile_seconds = time.perf_counter() - began
        self.megabytes = program_bytes(self._program) / 1e6
        self._experiments, self._states = stack.experiments, stack.states

    def round(self) -> float:
        began = time.perf_counter()
        self._states = jax.block_until_ready(self._program(self._experiments, self._resources, self._states)).state
        return time.perf_counter() - began


class OneByOne:
    """The same members, each by itself, one after another."""

    def __init__(self, members: list[Member], resources: LoadedData, num_steps: int) -> None:
        self._members, self._resources, self._num_steps = members, resources, num_steps
        self._states = [compiled_init(member.arm.experiment, jax.random.key(member.seed)) for member in members]
        began = time.perf_counter()
        self._step(0)
        self.compile_seconds = time.perf_counter() - began

    def _step(self, index: int) -> None:
        part = ChunkSpec(self._num_steps, None, evaluates=False)
        result = compiled_chunk(
            self._members[index].arm.experiment, self._resources, self._states[index], **part._asdict()
        )
        self._states[index] = jax.block_until_ready(result.state)

    def round(self) -> float:
        began = time.perf_counter()
        for index in range(len(self._members)):
            self._step(index)
        return time.perf_counter() - began


class Torch:
    """A way of PyTorch in its own process, which trains all members on whenever it is told to."""

    def __init__(self, python: str, mode: str, num_members: int, num_steps: int) -> None:
        script = str(Path(__file__).with_name("sweep_torch.py"))
        command = [python, script, mode, "--members", str(num_members), "--round-steps", str(num_steps), "--serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.version, self.compile_seconds = ready["torch"], float(ready["compile_seconds"])

    def round(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def study(options: argparse.Namespace) -> None:
    members = grid(ring(), {RATE: RATES}, seeds=5).members()
    resources, num_steps = LoadedData((), ()), options.round_steps
    ways: dict[str, Any] = {name: Together(name, members, resources, num_steps) for name in STRATEGIES}
    ways["one by one"] = OneByOne(members, resources, num_steps)
    for mode in options.peers.split(",") if options.torch_python else []:
        ways[f"torch {mode}"] = Torch(options.torch_python, mode, len(members), num_steps)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(options.rounds + 1):
        for name, way in ways.items():
            spent = way.round()
            if index:  # the first round warms caches
                seconds[name].append(spent)
    rates = {name: len(members) * num_steps / statistics.median(spent) for name, spent in seconds.items()}
    walls = {name: way.compile_seconds + len(members) * STEPS / rates[name] for name, way in ways.items()}
    peers = [name for name in ways if name.startswith("torch")]
    for name, way in ways.items():
        row = {
            "question": "study",
            "way": name,
            "members": len(members),
            "steps": STEPS,
            "member_steps_per_second": round(rates[name], 1),
            "compile_seconds": round(way.compile_seconds, 1),
            "wall_seconds": round(walls[name], 1),
            "rounds": options.rounds,
            "device": device(),
            "jax": jax.__version__,
        }
        if peers:
            row["ratio_to_fastest_torch"] = round(rates[name] / max(rates[peer] for peer in peers), 3)
            row["wall_ratio_to_fastest_torch"] = round(min(walls[peer] for peer in peers) / walls[name], 3)
        if isinstance(way, Torch):
            row["torch"] = way.version
            way.close()
        print(json.dumps(row), flush=True)


def strategies(options: argparse.Namespace) -> None:
    for case in options.cases.split(","):
        make, num_steps = CASES[case]
        experiment, resources = make()
        for num in map(int, options.members.split(",")):
            members = grid(experiment, {RATE: (0.0,)}, seeds=num).members()
            names = STRATEGIES if num > 1 and len(jax.devices()) > 1 else ("map", "vmap")
            ways = {name: Together(name, members, resources, num_steps) for name in names}
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for index in range(options.rounds + 1):
                for name, way in ways.items():
                    spent = way.round()
                    if index:
                        seconds[name].append(spent)
            for name, way in ways.items():
                row = {
                    "question": "strategies",
                    "case": case,
                    "members": num,
                    "strategy": name,
                    "member_steps_per_second": round(num * num_steps / statistics.median(seconds[name]), 2),
                    "compile_seconds": round(way.compile_seconds, 1),
                    "device_megabytes": round(way.megabytes, 1),
                    "convolution": getattr(experiment.generator.network, "convolution", None),
                    "rounds": options.rounds,
                    "device": device(),
                    "jax": jax.__version__,
                }
                print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=("study", "strategies"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-steps", type=int, default=20, help="of every member, in a round of the study")
    parser.add_argument("--torch-python", help="a Python that can import torch; leave out for no peer")
    parser.add_argument("--peers", default="eager,compiled,vmap,vmap-compiled,processes:compiled")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--members", default="1,4,16,30")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="of a CPU")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    {"study": study, "strategies": strategies}[options.question](options)


if __name__ == "__main__":
    sys.exit(main())
