"""What the recorder costs: training steps with it and without, in turns.

    python -m benchmarks.recorder [--every 100] [--rounds 7] [--out FILE]

The ring of the config `ring`, and a DCGAN of width 16 on 16x16 digits. Chunks of the same steps with all in-chunk
diagnostics on and off take turns; medians over the rounds. Prints a JSON row a game: milliseconds a step, the ratio,
and whether both players end bit for bit where they end without a recorder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import time
from pathlib import Path

import jax

from gan_jax.data.images import Images
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.window_replay import players_hash
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.evaluations import load_data


def games() -> dict[str, tuple[Experiment, int]]:
    """By name, an experiment and the steps of a chunk."""
    dcgan = load("remedies_mnist")
    dcgan = dataclasses.replace(dcgan, data=Images(name="digits", image_size=16))
    return {"ring": (load("ring"), 1000), "dcgan16": (dcgan, 100)}


def measure(experiment: Experiment, steps: int, every: int, rounds: int) -> dict[str, object]:
    """Milliseconds a step with a recorder and without."""
    resources = load_data(experiment)
    arms = {"off": experiment, "on": dataclasses.replace(experiment, recorder=Recorder(every_steps=every))}
    states = {name: compiled_init(arm, jax.random.key(0)) for name, arm in arms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, arm in arms.items():
            start = time.perf_counter()
            result = compiled_chunk(arm, resources, states[name], num_steps=steps, evaluates=False)
            states[name] = jax.block_until_ready(result.state)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    per_step = {name: 1e3 * statistics.median(spent) / steps for name, spent in seconds.items()}
    ratios = [on / off for on, off in zip(seconds["on"], seconds["off"], strict=True)]
    return {
        "milliseconds_off": round(per_step["off"], 4),
        "milliseconds_on": round(per_step["on"], 4),
        "ratio": round(statistics.median(ratios), 4),
        "same_players": players_hash(states["on"]) == players_hash(states["off"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name, (experiment, steps) in games().items():
        row = {
            "game": name,
            "every_steps": options.every,
            **measure(experiment, steps, options.every, options.rounds),
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "python": platform.python_version(),
        }
        print(json.dumps(row), flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
