"""Does unrolling keep G on the modes, and does the second-order term matter? The ring, arms by seeds, equal steps.

    python benchmarks/unroll_study.py run --config ring_unrolled --cases 0,1,5,10,10:first-order --seeds 8 --out ROWS
    python benchmarks/unroll_study.py table ROWS [--plot FILE.png] [--step N]

Every arm of a seed has the same initial weights, batches and latents, and the same program for D; only G's gradient
differs. A row a run: the verdict, and step, modes, high-quality share and dominant mode of every evaluation. A study
that was stopped goes on where it was; the seeds go round the arms, so that a study that is cut short is balanced.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import arguments, emit, read_rows
from benchmarks.programs import evaluations
from gan_jax.diagnostics.verdict import verdict_on
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.training.evaluations import load_data


def make_arm(experiment: Experiment, arm: str) -> Experiment:
    """The experiment of an arm: "K", or "K:gradient" with first-order, truncated or implicit."""
    num_steps, _, gradient = arm.partition(":")
    unroll = experiment.generator.unroll or Unroll()
    experiment = override(experiment, "generator.unroll", unroll if int(num_steps) else None)
    if int(num_steps):
        experiment = override(experiment, "generator.unroll.num_steps", int(num_steps))
        if gradient:
            experiment = override(experiment, "generator.unroll.gradient", gradient)
    return experiment


def train(experiment: Experiment, seed: int) -> dict[str, Any]:
    """The figures of a run."""
    resources = load_data(experiment)
    began, curve = time.perf_counter(), []
    for state, evaluation in evaluations(experiment, resources, seed):
        seen = evaluation.metrics["running"]
        curve.append([int(state.step), int(seen.modes), round(float(seen.high_quality), 4), int(seen.dominant_mode)])
    verdict = verdict_on(state.detector, last_step=int(state.step), nonfinite_step=int(state.nonfinite_step))
    return {"verdict": verdict.to_json(), "curve": curve, "seconds": round(time.perf_counter() - began, 1)}


def run_study(options: argparse.Namespace) -> None:
    """Emits a row for each arm and seed that the file lacks."""
    base = load(options.config)
    for name, value in (("num_steps", options.num_steps), ("eval_every_steps", options.eval_every_steps)):
        base = base if value is None else override(base, name, value)
    rows = read_rows(options.out) if options.out else []
    if any((row["config"], row["num_steps"]) != (options.config, base.num_steps) for row in rows):
        raise SystemExit(f"{options.out} holds rows of another config or length: give another file")
    done = {(row["arm"], row["seed"]) for row in rows}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed, arm in itertools.product(seeds, options.cases.split(",")):
        if (arm, seed) in done:
            continue
        row = {"config": options.config, "arm": arm, "seed": seed, "num_steps": base.num_steps}
        emit("unroll study", arm, row | train(make_arm(base, arm), seed), options.out)


def late(row: dict[str, Any], column: int, step: int | None, last: int = 10) -> float:
    """Mean of a column of the curve over the last evaluations, up to a step."""
    kept = [point for point in row["curve"] if step is None or point[0] <= step]
    return statistics.fmean(point[column] for point in kept[-last:])


def with_error(values: list[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.fmean(values):.2f} ± {error:.2f}"


def sign_flip(gaps: list[float]) -> float:
    """Two-sided p of the mean of paired differences under all 2^n changes of their signs."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(gaps))))
    return float(np.mean(np.abs(signs @ np.array(gaps)) >= abs(sum(gaps)) - 1e-9))


def table(options: argparse.Namespace) -> None:
    """Prints the arms side by side, each K against 0, and first order against exact, by seed."""
    from scipy import stats

    rows = read_rows(Path(options.rows))
    arms = {
        arm: {row["seed"]: row for row in rows if row["arm"] == arm} for arm in dict.fromkeys(r["arm"] for r in rows)
    }
    print("means of the last 10 evaluations of each run, ± standard error over seeds")
    print("| arm | seeds | modes | high quality, % | formed | collapsed | median formed, steps |\n" + "|---" * 7 + "|")
    for arm, runs in arms.items():
        modes = [late(row, 1, options.step) for row in runs.values()]
        quality = [100 * late(row, 2, options.step) for row in runs.values()]
        verdicts = [row["verdict"] for row in runs.values()]
        end = options.step or max(row["num_steps"] for row in runs.values())
        formed, onsets = (
            sorted(v[name] for v in verdicts if v[name] is not None and v[name] <= end)
            for name in ("formed_step", "onset_step")
        )
        # A run that never formed is later than all that did.
        half = len(verdicts) // 2
        median = formed[half] if len(formed) > half else "never"
        print(
            f"| K={arm} | {len(runs)} | {with_error(modes)} | {with_error(quality)} | {len(formed)} | "
            f"{len(onsets)} {onsets or ''} | {median} |"
        )
    # Stated before the study: every K against the plain GAN, and first order against exact at the same K.
    pairs = [("0", arm) for arm in arms if arm != "0" and ":" not in arm and "0" in arms]
    pairs += [(arm.partition(":")[0], arm) for arm in arms if ":" in arm and arm.partition(":")[0] in arms]
    print("\npaired by seed: difference, its 95 % interval by t, and p of the exact sign-flip test (not corrected)")
    for (first, second), (name, column, scale) in itertools.product(pairs, (("modes", 1, 1), ("quality, %", 2, 100))):
        seeds = sorted(arms[first].keys() & arms[second].keys())
        gaps = [
            scale * (late(arms[second][s], column, options.step) - late(arms[first][s], column, options.step))
            for s in seeds
        ]
        if len(gaps) < 2:
            continue
        width = stats.t.ppf(0.975, len(gaps) - 1) * statistics.stdev(gaps) / len(gaps) ** 0.5
        mean = statistics.fmean(gaps)
        interval = f"[{mean - width:+.2f}, {mean + width:+.2f}]"
        print(f"K={second} - K={first}, {name}: {mean:+.2f} {interval}, p = {sign_flip(gaps):.3g}, n = {len(gaps)}")
    if options.plot:
        plot(arms, Path(options.plot))


def plot(arms: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for arm, runs in arms.items():
        length = min(len(row["curve"]) for row in runs.values())
        curves = np.array([row["curve"][:length] for row in runs.values()], float)
        for axis, column, scale in ((axes[0], 1, 1), (axes[1], 2, 100)):
            values = scale * curves[:, :, column]
            mean, error = values.mean(0), values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
            (line,) = axis.plot(curves[0, :, 0], mean, label=f"K = {arm.replace(':', ', ')} (n = {len(runs)})")
            axis.fill_between(curves[0, :, 0], mean - error, mean + error, alpha=0.2, color=line.get_color(), lw=0)
    for axis, label in zip(axes, ("modes captured", "high-quality samples, %"), strict=True):
        axis.set(xlabel="training step", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.suptitle("mean and standard error over seeds")
    figure.savefig(path, dpi=110)


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    common = arguments("", seeds=8, cases="arms, K or K:gradient")
    study = commands.add_parser("run", parents=[common], add_help=False, help="train the arms that the file lacks")
    study.add_argument("--config", default="ring_unrolled")
    study.add_argument("--first-seed", type=int, default=0)
    study.add_argument("--num-steps", type=int)
    study.add_argument("--eval-every-steps", type=int)
    study.set_defaults(do=run_study, cases="0,1,5,10,10:first-order")
    shown = commands.add_parser("table", help="the arms side by side, and tests of their differences")
    shown.add_argument("rows")
    shown.add_argument("--plot")
    shown.add_argument("--step", type=int, help="use evaluations up to this step only")
    shown.set_defaults(do=table)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
