"""How fast is a training step: the ring at batch 512, and DCGANs of 32 and 64 pixels at batch 64?

    python benchmarks/speed.py [--cases ring,dcgan32,dcgan64] [--rounds 5] [--torch-python PATH [--peers MODES]]
                               [--implementation NAME]

A row per case: steps and examples per second, the seconds to compile the steps, and the memory that the program needs.
With a Python that can import torch, PyTorch does the same work in turns with ours, in each of the modes of
`speed_torch.py` that `--peers` names. For each mode, `peers` has its examples per second, the seconds of its first step
(compilation included), and the ratio of its time to ours. `ratio` is that to the fastest mode in float32; above 1, ours
is faster.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import numpy as np

from benchmarks.harness import arguments, emit, picked, rounds, spread
from benchmarks.peer import Peer
from benchmarks.programs import Training, random_images
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.networks.convolution import IMPLEMENTATIONS
from gan_jax.training.dynamics import Alternating
from gan_jax.training.evaluations import LoadedData

CASES = {
    "ring": ("ring_notebook", 200),
    "dcgan32": ("label_noise_mnist_small", 20),
    "dcgan64": ("label_noise_mnist", 3),
}
"""By case, a config and the steps of a round."""
MODES = ("eager", "channels-last", "compile", "amp", "graphs")
"""Those of `speed_torch.py`."""
ROUNDED = ("amp",)
"""PyTorch's modes in less than float32, which are not compared with our float32 in `ratio`."""

Figures = dict[str, Any]


def make_case(name: str, implementation: str) -> tuple[Experiment, LoadedData, int]:
    """(the experiment, its data, steps of a round) of a case."""
    config, num_steps = CASES[name]
    experiment = override(load(config), "num_steps", 10**6)
    if not name.startswith("dcgan"):
        return override(experiment, "dynamics", Alternating()), LoadedData((), ()), num_steps
    experiment = override(override(experiment, "data.last_batch", "wrap"), "discriminator.transforms", ())
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.network.convolution", implementation)
    return experiment, random_images(experiment.data.shape[0]), num_steps


def measure(case: str, num_rounds: int, implementation: str, torch_python: str | None, modes: list[str]) -> Figures:
    """The figures of a case."""
    experiment, resources, num_steps = make_case(case, implementation)
    training = Training(experiment, resources, num_steps)
    with contextlib.ExitStack() as stack:
        peers: dict[str, Peer] = {}
        for mode in modes if torch_python is not None else []:
            peer = stack.enter_context(Peer(str(torch_python), "speed_torch.py", case, num_steps, "--mode", mode))
            if "skipped" not in peer.about:
                peers[mode] = peer
        seconds = rounds({"ours": training.round} | {mode: peer.round for mode, peer in peers.items()}, num_rounds)
    figures: Figures = {
        "batch_size": experiment.batch_size,
        "implementation": implementation if case.startswith("dcgan") else None,
        **spread("steps_per_second", num_steps / seconds["ours"]),
        **spread("examples_per_second", experiment.batch_size * num_steps / seconds["ours"]),
        **training.compiled.figures(),
        "rounds": len(seconds["ours"]),
    }
    if exact := [mode for mode in peers if mode not in ROUNDED]:
        fastest = min(exact, key=lambda mode: np.median(seconds[mode]))
        figures |= {
            "torch": peers[fastest].about["torch"],
            "fastest_peer": fastest,
            **spread("ratio", seconds[fastest] / seconds["ours"]),
        }
    figures["peers"] = {
        mode: {
            **spread("examples_per_second", experiment.batch_size * num_steps / seconds[mode]),
            **spread("ratio", seconds[mode] / seconds["ours"]),
            "first_step_seconds": peer.about["first_step_seconds"],
        }
        for mode, peer in peers.items()
    }
    return figures


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=5, cases="cases", peers=True)
    parser.add_argument("--peers", default="eager,channels-last,compile", help="PyTorch's modes (%(default)s)")
    parser.add_argument(
        "--implementation", choices=IMPLEMENTATIONS, default="auto", help="of the convolutions (%(default)s)"
    )
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    if unknown := [mode for mode in options.peers.split(",") if mode not in MODES]:
        parser.error(f"--peers: no {', '.join(unknown)}; there are {', '.join(MODES)}")
    for case in picked(parser, options.cases, CASES):
        figures = measure(case, options.rounds, options.implementation, options.torch_python, options.peers.split(","))
        emit("speed", case, figures, options.out)


if __name__ == "__main__":
    main()
