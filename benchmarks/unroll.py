"""How fast is an unrolled GAN step, by K, and what do PyTorch's ways of doing the same take?

The notebook's ring (batch 512, two 128-unit tanh layers a player, latent 256), both players at once, the gradient of G
through all K updates of D's own Adam. Prints a JSON row for each K and peer: steps/s (median of rounds), ours and the
peer's in turn, and the seconds to compile. The peers, in `unroll_torch.py`, share D's first update and G's samples as
we do; each is skipped where it cannot be imported.

    python benchmarks/unroll.py [--steps 0,1,5,10] [--rounds 5] [--torch-python PATH] [--peers eager,compile,...]
    python benchmarks/unroll.py --library       ours only, with XLA's default library for products and the older one
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

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import chunk_program, compiled_init
from gan_jax.training.evaluations import LoadedData

PEERS = "eager,compile,torchopt,higher,first_order"


class Ours:
    """The package's own chunk of training steps, compiled."""

    def __init__(self, experiment: Experiment, num_steps: int, small: bool) -> None:
        self._arguments = experiment, LoadedData((), ())
        self._state = compiled_init(experiment, jax.random.key(0))
        began = time.perf_counter()
        lowered = chunk_program(small=small).lower(*self._arguments, self._state, num_steps=num_steps, evaluates=False)
        self._program = lowered.compile()
        self.compile_seconds = time.perf_counter() - began
        self.temporary_mb = self._program.memory_analysis().temp_size_in_bytes / 1e6

    def round(self) -> float:
        began = time.perf_counter()
        self._state = jax.block_until_ready(self._program(*self._arguments, self._state)).state
        return time.perf_counter() - began


class Peer:
    """A way of doing it in PyTorch, in its own process, which times a round whenever it is told to."""

    def __init__(self, python: str, name: str, num_inner: int, num_steps: int) -> None:
        script = str(Path(__file__).with_name("unroll_torch.py"))
        command = [python, script, name, str(num_inner), str(num_steps)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.about: dict[str, Any] = json.loads(line) if line else {}

    @property
    def runs(self) -> bool:
        return "compile_seconds" in self.about

    def round(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def make_experiment(num_inner: int) -> Experiment:
    """The notebook's ring with the peers' loss for G, which leaves out the real term."""
    experiment = override(load("ring_unrolled_notebook"), "num_steps", 10**6)
    experiment = override(experiment, "objective", "non-saturating")
    return override(experiment, "generator.unroll", Unroll(num_steps=num_inner) if num_inner else None)


def measure(num_inner: int, options: argparse.Namespace) -> None:
    num_steps = max(10, 60 // (1 + num_inner))
    ours = Ours(make_experiment(num_inner), num_steps, small=True)
    ours.round()
    row = {
        "steps": num_inner,
        "compile_seconds": round(ours.compile_seconds, 1),
        "temporary_mb": round(ours.temporary_mb, 1),
        "rounds": options.rounds,
        "device": f"{jax.devices()[0].device_kind} x{jax.device_count()}, {platform.processor() or platform.machine()}",
        "jax": jax.__version__,
    }
    if options.library:
        other = Ours(make_experiment(num_inner), num_steps, small=False)
        other.round()
        pairs = [(ours.round(), other.round()) for _ in range(options.rounds)]
        rates = [round(num_steps / statistics.median(seconds), 1) for seconds in zip(*pairs, strict=True)]
        print(json.dumps({**row, "steps_per_second": rates[0], "default_library": rates[1]}), flush=True)
        return
    names = options.peers.split(",") if options.torch_python else [None]
    for name in names:
        peer = Peer(options.torch_python, name, num_inner, num_steps) if name else None
        if peer is not None and not peer.runs:
            print(
                json.dumps({"steps": num_inner, "peer": name, "skipped": peer.about or "it does not start"}), flush=True
            )
            peer.close()
            continue
        mine, theirs = [], []
        for index in range(options.rounds + 1):
            seconds = ours.round(), peer.round() if peer is not None else float("nan")
            if index:  # the first warms caches
                mine.append(seconds[0])
                theirs.append(seconds[1])
        shown = row | {"steps_per_second": round(num_steps / statistics.median(mine), 1)}
        if peer is not None:
            shown |= {
                **{f"peer_{key.removeprefix('peer_')}": value for key, value in peer.about.items() if key != "peer"},
                "peer": name,
                "peer_steps_per_second": round(num_steps / statistics.median(theirs), 1),
                "ratio": round(statistics.median(theirs) / statistics.median(mine), 2),
            }
            peer.close()
        print(json.dumps(shown), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="0,1,5,10", help="K, comma-separated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch-python", help="a Python that can import torch; leave out for no peers")
    parser.add_argument("--peers", default=PEERS, help="comma-separated")
    parser.add_argument("--library", action="store_true", help="compare XLA's two libraries for products instead")
    options = parser.parse_args()
    for num_inner in options.steps.split(","):
        measure(int(num_inner), options)


if __name__ == "__main__":
    sys.exit(main())
