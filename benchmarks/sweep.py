"""How fast are many runs together?

    python benchmarks/sweep.py study [--torch-python PATH --peers eager,compiled,...] [--rounds 5]
    python benchmarks/sweep.py strategies --cases ring,dcgan28,dcgan32,dcgan64 --members 1,4,16,30

study       A label-noise study of 6 rates x 5 seeds of 2,000 steps each, on the ring of the unrolled-GAN notebook (two
            128-unit tanh layers a player, latent 256, batch 512): as one program on each strategy, one run after
            another, and by each way of PyTorch that is asked for. All take turns. A row a way: steps of members a
            second, seconds to compile, `wall_seconds` for both, and ratios to the fastest way of PyTorch.
strategies  Members x strategy of a case. A row each: steps of members a second, seconds to compile, and the memory that
            the program needs on a device.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.harness import arguments, emit, picked, rounds, spread
from benchmarks.peer import Peer
from benchmarks.programs import Training, analyse, random_images, start
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Member, grid
from gan_jax.losses.objectives import NonSaturating
from gan_jax.losses.transforms import ExactFlips
from gan_jax.scaling.strategies import STRATEGIES, Strategy
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.dynamics import Alternating
from gan_jax.training.evaluations import LoadedData

RATE = "discriminator.transforms.0.rate"
RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)
STEPS = 2_000


def ring() -> tuple[Experiment, LoadedData]:
    """The ring of the study, without flips."""
    settings = {
        "dynamics": Alternating(),
        "objective": NonSaturating(),
        "data.closed": False,
        "num_steps": STEPS,
        "eval_every_steps": STEPS,
        "discriminator.transforms": (ExactFlips(rate=0.0),),
    }
    return changed("ring_notebook", settings), LoadedData((), ())


def dcgan(size: int, width: int) -> tuple[Experiment, LoadedData]:
    """The DCGAN of the label-noise study at another size, on random pixels."""
    settings = {
        "data.image_size": size,
        "data.last_batch": "wrap",
        "generator.network.width": width,
        "discriminator.network.width": width,
    }
    return changed("label_noise_mnist", settings), random_images(size)


def changed(config: str, settings: dict[str, Any]) -> Experiment:
    """A config with some settings replaced, by dotted path."""
    made = load(config)
    for path, value in settings.items():
        made = override(made, path, value)
    return made


CASES: dict[str, tuple[Callable[[], tuple[Experiment, LoadedData]], int]] = {
    "ring": (ring, 50),
    "dcgan28": (lambda: dcgan(28, 16), 4),
    "dcgan32": (lambda: dcgan(32, 32), 2),
    "dcgan64": (lambda: dcgan(64, 64), 1),
}
"""By case, what makes it, and the steps of each member in a round."""


class Together:
    """Some members on a strategy; each call of `round` trains all of them on."""

    def __init__(self, name: str, members: list[Member], resources: LoadedData, num_steps: int) -> None:
        strategy = Strategy(name)
        experiments = [member.arm.experiment for member in members]
        states = [start(member.arm.experiment, member.seed) for member in members]
        stack, self._resources = strategy.place(experiments, states), strategy.place_resources(resources)
        began = time.perf_counter()
        self._program = strategy.compile(stack, self._resources, ChunkSpec(num_steps, None, evaluates=False))
        self.compile_seconds = time.perf_counter() - began
        self.megabytes = (analyse(self._program).peak_bytes or 0) / 1e6
        self._experiments, self._states = stack.experiments, stack.states

    def round(self) -> float:
        """Seconds of a chunk of all members."""
        began = time.perf_counter()
        self._states = jax.block_until_ready(self._program(self._experiments, self._resources, self._states)).state
        return time.perf_counter() - began


class OneByOne:
    """The same members by one program, one after another."""

    def __init__(self, members: list[Member], resources: LoadedData, num_steps: int) -> None:
        self._experiments = [member.arm.experiment for member in members]
        self._states = [start(member.arm.experiment, member.seed) for member in members]
        self._training = Training(self._experiments[0], resources, num_steps)
        self.compile_seconds = self._training.compiled.compile_seconds

    def round(self) -> float:
        """Seconds of a chunk of each member."""
        began = time.perf_counter()
        pairs = zip(self._experiments, self._states, strict=True)
        self._states = [self._training.advance(experiment, state) for experiment, state in pairs]
        return time.perf_counter() - began


def study(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Emits the rows of the study, after all rounds."""
    experiment, resources = ring()
    members, num_steps = grid(experiment, {RATE: RATES}, seeds=5).members(), options.round_steps
    ways: dict[str, Any] = {name: Together(name, members, resources, num_steps) for name in STRATEGIES}
    ways["one by one"] = OneByOne(members, resources, num_steps)
    peers: dict[str, Peer] = {}
    for mode in options.peers.split(",") if options.torch_python else []:
        served = ("--members", len(members), "--round-steps", num_steps, "--serve")
        peers[f"torch {mode}"] = Peer(options.torch_python, "sweep_torch.py", mode, *served)
    seconds = rounds({name: way.round for name, way in (ways | peers).items()}, options.rounds)
    compiling = {name: way.compile_seconds for name, way in ways.items()}
    compiling |= {name: float(peer.about["compile_seconds"]) for name, peer in peers.items()}
    walls = {name: compiling[name] + np.median(spent) * STEPS / num_steps for name, spent in seconds.items()}
    for name, spent in seconds.items():
        figures = {
            "way": name,
            "members": len(members),
            "steps": STEPS,
            **spread("member_steps_per_second", len(members) * num_steps / spent),
            "compile_seconds": round(compiling[name], 1),
            "wall_seconds": round(walls[name], 1),
            "rounds": len(spent),
        }
        if peers:
            fastest = min(peers, key=lambda peer: np.median(seconds[peer]))
            figures |= spread("ratio_to_fastest_torch", seconds[fastest] / spent)
            figures["wall_ratio_to_fastest_torch"] = round(min(walls[peer] for peer in peers) / walls[name], 3)
        if name in peers:
            figures["torch"] = peers[name].about["torch"]
            peers[name].close()
        emit("study", name, figures, options.out)


def strategies(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Emits a row for each case, number of members and strategy."""
    for case in picked(parser, options.cases, CASES):
        make, num_steps = CASES[case]
        experiment, resources = make()
        for num in map(int, options.members.split(",")):
            members = grid(experiment, {RATE: (0.0,)}, seeds=num).members()
            names = STRATEGIES if num > 1 and len(jax.devices()) > 1 else ("map", "vmap")
            ways = {name: Together(name, members, resources, num_steps) for name in names}
            seconds = rounds({name: way.round for name, way in ways.items()}, options.rounds)
            for name, way in ways.items():
                figures = {
                    "members": num,
                    "strategy": name,
                    **spread("member_steps_per_second", num * num_steps / seconds[name]),
                    "compile_seconds": round(way.compile_seconds, 1),
                    "device_megabytes": round(way.megabytes, 1),
                    "convolution": getattr(experiment.generator.network, "convolution", None),
                    "rounds": len(seconds[name]),
                }
                emit("strategies", case, figures, options.out)


QUESTIONS = {"study": study, "strategies": strategies}


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=5, cases="cases of strategies", peers=True)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--round-steps", type=int, default=20, help="of every member, in a round of the study")
    parser.add_argument("--peers", default="eager,compiled,vmap,vmap-compiled,processes:compiled")
    parser.add_argument("--members", default="1,4,16,30")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="of a CPU")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    QUESTIONS[options.question](parser, options)


if __name__ == "__main__":
    main()
