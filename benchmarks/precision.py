"""Does a run in bfloat16 reach the verdict of the same run in float32?

    python benchmarks/precision.py [--cases ring,ring_small_g,...] [--seeds 8] [--steps N] [--precision NAME]

Each seed is played in float32 and in another precision, from the same weights and with the same batches. GANs are
chaotic: a change of the last bit makes another run of the same seed after some thousand steps. So each seed is played a
third time, the control: in float32 with learning rates that are larger by one millionth. A row per case: outcomes and
onsets of all runs, and in how many seeds the outcome is that of float32. For the first 20 steps, where all are still
the same game, it has the largest differences of the losses, and of D's scores of 256 real examples.

The seeds are divided over the devices (`--devices`, of a CPU).
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import arguments, emit, picked, significant
from gan_jax.diagnostics.state.scores import score_at
from gan_jax.diagnostics.verdict import OUTCOMES, VerdictArrays
from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override_all
from gan_jax.losses.transforms import ExactFlips
from gan_jax.scaling import mapping
from gan_jax.training.chunks import ChunkSpec, chunk
from gan_jax.training.evaluations import load_data
from gan_jax.training.state import init
from gan_jax.training.train import train

FIRST_STEPS = 20
CONTROL = 1 + 1e-6
"""Factor of the control's learning rates."""


def digits(rate: float, num_steps: int) -> Experiment:
    """The collapse of digits_collapse with a share of the labels flipped."""
    flips = (ExactFlips(rate=rate),) if rate else ()
    return override_all(load("digits_collapse"), [("discriminator.transforms", flips), ("num_steps", num_steps)])


def of_collapsebench(game: str) -> Experiment:
    """A game of CollapseBench, without a remedy."""
    sweep = load_sweep("collapsebench")
    assert sweep is not None
    return next(arm.experiment for arm in sweep.arms if arm.name == game)


CASES: dict[str, Callable[[], Experiment]] = {
    "ring": lambda: override_all(load("ring"), [("num_steps", 6_000)]),
    "ring_small_g": lambda: of_collapsebench("ring_small_g"),
    "digits": lambda: digits(0.0, 6_000),
    "digits_flips": lambda: digits(0.15, 12_000),
}
"""A ring that covers its modes, one that collapses with some seeds, digits that collapse with all, and the same digits
with 15 % flips, which do not."""


def over_devices(function: Callable[[Any], Any], seeds: int) -> Any:
    """A function of a key, for all seeds: divided over the devices, one after another on each. Leaves [seeds, ...]."""
    num = max(n for n in range(1, jax.local_device_count() + 1) if seeds % n == 0)
    keys = jax.vmap(jax.random.key)(np.arange(seeds)).reshape(num, seeds // num)
    devices = jax.local_devices()[:num]
    one_by_one = mapping.over_devices(
        functools.partial(jax.lax.map, function), "seeds", in_axes=(0,), out_axes=0, devices=devices
    )
    found = one_by_one(keys)
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(seeds, *leaf.shape[2:]), found)


def play(experiment: Experiment, seeds: int) -> tuple[VerdictArrays, dict[str, np.ndarray]]:
    """The verdicts of all seeds, and their training metrics [seeds, steps] over the first steps."""
    data = load_data(experiment)

    def shown(key: Any) -> Any:
        result = train(experiment, data, key)
        return result.verdict, {name: result.metrics[name][:FIRST_STEPS] for name in result.metrics}

    return over_devices(shown, seeds)


def first_scores(experiment: Experiment, seeds: int) -> np.ndarray:
    """D's scores [seeds, steps, 256] of the same real examples after each of the first steps."""
    data = load_data(experiment)
    real = experiment.data.source(data.dataset).batch(jax.random.key(0), 0, 256)

    def scores(key: Any) -> Any:
        def probe(experiment: Experiment, data: Any, state: Any) -> Any:
            return jnp.asarray(score_at(experiment, state)(real), jnp.float32)

        spec = ChunkSpec(FIRST_STEPS, evaluates=False)
        return chunk(experiment, data, init(experiment, key), spec, probe=probe, probe_every=1).probes

    return over_devices(scores, seeds)


def measure(case: str, precision: str, seeds: int, num_steps: int | None) -> dict[str, Any]:
    """The figures of a case."""
    exact = CASES[case]() if num_steps is None else override_all(CASES[case](), [("num_steps", num_steps)])
    players = ("generator", "discriminator")
    rates = [(f"{name}.learning_rate", CONTROL * getattr(exact, name).learning_rate) for name in players]
    ways = {
        "float32": exact,
        precision: override_all(exact, [("precision", precision)]),
        "control": override_all(exact, rates),
    }
    verdicts, metrics = {}, {}
    for name, experiment in ways.items():
        verdicts[name], metrics[name] = play(experiment, seeds)
    scores = {name: first_scores(ways[name], seeds) for name in ("float32", precision)}
    outcomes = {name: [OUTCOMES[int(index)] for index in found.outcome] for name, found in verdicts.items()}
    apart = {
        f"first_{name}_deviation": np.max(np.abs(metrics["float32"][name] - metrics[precision][name]), axis=0)
        for name in ("discriminator_loss", "generator_loss")
    }
    difference = np.max(np.abs(scores["float32"] - scores[precision]), axis=(0, 2))
    return {
        "compared": precision,
        "steps": exact.num_steps,
        "seeds": seeds,
        "outcomes": outcomes,
        "onsets": {name: found.onset_steps[:, 0].tolist() for name, found in verdicts.items()},
        "agreeing": {
            name: sum(map(str.__eq__, outcomes["float32"], found))
            for name, found in outcomes.items()
            if name != "float32"
        },
        **{name: rounded(found) for name, found in apart.items()},
        "first_score_deviation": rounded(difference),
        "first_score_size": rounded(np.max(np.abs(scores["float32"]), axis=(0, 2))),
    }


def rounded(values: np.ndarray) -> list[float | None]:
    return [significant(value, 3) for value in values]


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=8, cases="cases")
    parser.add_argument("--steps", type=int, help="of each run; the case's own if not given")
    parser.add_argument("--precision", default="bfloat16", help="compared with float32 (%(default)s)")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="of a CPU")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    for case in picked(parser, options.cases, CASES):
        emit("precision", case, measure(case, options.precision, options.seeds, options.steps), options.out)


if __name__ == "__main__":
    main()
