"""How fast are the metrics of samples, and how much memory do they take?

    python benchmarks/sample_metrics.py [--cases frechet,prdc] [--num 10000] [--dims 128] [--rounds 3]

A row a metric: seconds of a call on two sets of N(0, I) features, without compilation, in rounds in which the metrics
take turns; seconds of all processors in the last of them, which other load lengthens less; seconds of the first call;
the program's temporary memory as XLA plans it, and the process's peak so far. `kid_50_runs` is the KID of 50 runs of
1,000 samples each, in 10 subsets of 1,000, as one vmapped program.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.harness import arguments, emit, picked, rounds, spread
from gan_jax.metrics.diversity import vendi_score
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.kernel_distances import gaussian_mmd, kernel_distance
from gan_jax.metrics.manifolds import prdc
from gan_jax.metrics.two_samples import classifier_two_sample, sliced_wasserstein

NUM_RUNS = 50


def kid_of_runs(samples: Array, real: Array, key: Array) -> Array:
    """The KID of 50 runs, [50], whose samples are shifted by 0 to 1."""
    runs = samples[None] + jnp.linspace(0.0, 1.0, NUM_RUNS)[:, None, None]
    return jax.vmap(lambda run: kernel_distance(run, real, key, num_subsets=10))(runs)


CASES: dict[str, Callable[[Array, Array, Array], Any]] = {
    "frechet": lambda a, b, key: frechet_distance(a, b),
    "prdc": lambda a, b, key: prdc(a, b),
    "kid": lambda a, b, key: kernel_distance(a, b, key),
    "kid_50_runs": lambda a, b, key: kid_of_runs(a[:1_000], b, key),
    "mmd": lambda a, b, key: gaussian_mmd(a, b),
    "vendi": lambda a, b, key: vendi_score(a),
    "sliced_wasserstein": lambda a, b, key: sliced_wasserstein(a, b, key, num_projections=200),
    "c2st": classifier_two_sample,
}


def make_parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__, rounds=3, cases="metrics")
    parser.add_argument("--num", type=int, default=10_000, help="samples of each set (10000)")
    parser.add_argument("--dims", type=int, default=128, help="features (128)")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    names = picked(parser, options.cases, CASES)
    samples, real = (jax.random.normal(jax.random.key(i), (options.num, options.dims)) for i in range(2))
    key = jax.random.key(2)
    programs, first = {}, {}
    for name in names:
        began = time.perf_counter()
        programs[name] = jax.jit(CASES[name]).lower(samples, real, key).compile()
        jax.block_until_ready(programs[name](samples, real, key))
        first[name] = time.perf_counter() - began

    used: dict[str, float] = {}

    def timed(name: str) -> Callable[[], float]:
        def way() -> float:
            began, worked = time.perf_counter(), time.process_time()
            jax.block_until_ready(programs[name](samples, real, key))
            used[name] = time.process_time() - worked
            return time.perf_counter() - began

        return way

    seconds = rounds({name: timed(name) for name in names}, options.rounds)
    for name in names:
        memory = programs[name].memory_analysis()
        figures = {
            "num": options.num,
            "dims": options.dims,
            **spread("seconds", seconds[name]),
            "processor_seconds": round(used[name], 2),
            "first_call_seconds": round(first[name], 2),
            "temporary_mib": round(memory.temp_size_in_bytes / 2**20, 1) if memory is not None else None,
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        emit("sample_metrics", name, figures, options.out)


if __name__ == "__main__":
    main()
