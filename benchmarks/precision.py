"""Does a run in bfloat16 reach the verdict of the same run in float32?

    python benchmarks/precision.py [--cases ring,digits_collapse] [--seeds 8] [--steps N]

Each seed is played in both precisions, from the same weights and with the same batches. A row a config: outcomes and
onsets of each pair, in how many the outcomes agree, and how far the losses are apart over the first steps, where both
are still the same game. `python benchmarks/precision.py --precision tensorfloat32` compares that with float32.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import numpy as np

from benchmarks.harness import arguments, emit, picked
from gan_jax.diagnostics.verdict import OUTCOMES
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.training.evaluations import load_data
from gan_jax.training.train import Result, train

CONFIGS = ("ring", "digits_collapse")
FIRST_STEPS = 20


def play(experiment: Experiment, precision: str, seeds: int) -> Result:
    """All seeds in one precision, one after another in one program."""
    made = override(experiment, "precision", precision)
    keys = jax.vmap(jax.random.key)(np.arange(seeds))
    data = load_data(made)
    return jax.device_get(jax.jit(lambda keys: jax.lax.map(lambda key: train(made, data, key), keys))(keys))


def measure(config: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a config."""
    experiment = load(config)
    if options.steps is not None:
        experiment = override(experiment, "num_steps", options.steps)
    exact, other = (play(experiment, name, options.seeds) for name in ("float32", options.precision))
    outcomes = [[OUTCOMES[int(index)] for index in result.verdict.outcome] for result in (exact, other)]
    deviations = {
        f"first_{name}_deviation": np.max(np.abs(exact.metrics[name] - other.metrics[name])[:, :FIRST_STEPS], axis=0)
        for name in ("discriminator_loss", "generator_loss")
    }
    return {
        "compared": options.precision,
        "steps": experiment.num_steps,
        "seeds": options.seeds,
        "outcomes_float32": outcomes[0],
        "outcomes": outcomes[1],
        "onsets_float32": exact.verdict.onset_steps[:, 0],
        "onsets": other.verdict.onset_steps[:, 0],
        "agreeing": sum(a == b for a, b in zip(*outcomes, strict=True)),
        **deviations,
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=8, cases="configs")
    parser.add_argument("--steps", type=int, help="of each run; the config's own if not given")
    parser.add_argument("--precision", default="bfloat16", help="that is held against float32")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    for config in picked(parser, options.cases, CONFIGS):
        emit("precision", config, measure(config, options), options.out)


if __name__ == "__main__":
    main()
