"""What does the recorder cost? Training steps with it and without, in turns.

    python benchmarks/recorder.py [--cases ring,dcgan16] [--every 100] [--rounds 7] [--out FILE]

The ring of the config `ring`, and a DCGAN of width 16 on 16x16 digits. A row a game: milliseconds a step with all
in-chunk diagnostics and without, the ratio, and whether both runs end with the same players bit for bit.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from benchmarks.harness import arguments, emit, picked, rounds, spread
from benchmarks.programs import Training
from gan_jax.data.images import Images
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.window_replay import players_hash
from gan_jax.training.evaluations import load_data


def games() -> dict[str, tuple[Experiment, int]]:
    """By name, an experiment and the steps of a chunk."""
    dcgan = load("remedies_mnist")
    dcgan = dataclasses.replace(dcgan, data=Images(name="digits", image_size=16))
    return {"ring": (load("ring"), 1000), "dcgan16": (dcgan, 100)}


def measure(experiment: Experiment, num_steps: int, every: int, num_rounds: int) -> dict[str, Any]:
    """The figures of a game.

    Args:
        experiment: without a recorder.
        num_steps: of a chunk.
        every: steps from one probe of the recorder to the next.
        num_rounds: timed.
    """
    resources = load_data(experiment)
    arms = {"off": experiment, "on": dataclasses.replace(experiment, recorder=Recorder(every_steps=every))}
    trainings = {name: Training(arm, resources, num_steps) for name, arm in arms.items()}
    seconds = rounds({name: training.round for name, training in trainings.items()}, num_rounds)
    hashes = {players_hash(training.state) for training in trainings.values()}
    return {
        "every_steps": every,
        **spread("milliseconds_off", 1e3 * seconds["off"] / num_steps),
        **spread("milliseconds_on", 1e3 * seconds["on"] / num_steps),
        **spread("ratio", seconds["on"] / seconds["off"]),
        "same_players": len(hashes) == 1,
        "rounds": len(seconds["on"]),
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=7, cases="games")
    parser.add_argument("--every", type=int, default=100, help="steps from one probe of the recorder to the next")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    known = games()
    for name in picked(parser, options.cases, known):
        experiment, num_steps = known[name]
        figures = {"game": name, **measure(experiment, num_steps, options.every, options.rounds)}
        emit("recorder", name, figures, options.out)


if __name__ == "__main__":
    main()
