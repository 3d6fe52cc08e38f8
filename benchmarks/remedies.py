"""The remedies side by side: what a study found, and what each costs.

    python benchmarks/remedies.py found SWEEP [--out FILE]     rows of a finished `gan-jax sweep remedies_ring`
    python benchmarks/remedies.py cost CONFIG [--rounds 5]     parameters, time and memory beside the plain GAN
    python benchmarks/remedies.py weights SWEEP                modes that runs keep, by weight, of a random ring
    python benchmarks/remedies.py table ROWS [ROWS ...]        such rows as one table in Markdown, a line a remedy

found   A row an arm. Mixtures: modes, high-quality share and KL at the last evaluation; images: classes captured,
        effective classes, junk, variance and KL. Means over seeds with standard errors; outcomes and onsets.
weights A Markdown table: for every remedy the share of runs that capture the heaviest mode at the last evaluation, the
        second, and so on (the head has their mean weights), and the correlation of weight and capture.
cost    A row a remedy: milliseconds a step in turns with the plain GAN's, and the ratio; parameters of both players;
        bytes of the state that a run carries; bytes that the program needs beside its arguments (XLA's analysis).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.harness import arguments, emit, picked, read_rows, rounds, significant, spread
from benchmarks.programs import Training
from gan_jax.experiment.configs import load
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.runs.rows import watched
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.training.evaluations import load_data

_MIXTURES = ("modes", "high_quality", "kl")
_IMAGES = ("modes", "effective_classes", "junk", "variance_ratio", "kl")


def found(sweep: Path) -> list[dict]:
    """The rows, one for each arm.

    Args:
        sweep: folder of a finished sweep, or the part of it that `benchmarks/stored_study.py` keeps.
    """
    directory = SweepDirectory.open(sweep)
    latest = {row["member"]: row for row in directory.read_members()}
    series: dict[int, list[dict]] = {}
    for row in directory.read_metrics():
        values = watched(row["evaluation"])
        series.setdefault(row["member"], []).append({"step": row["step"], **values})
    rows = []
    for arm in dict.fromkeys(row["arm"] for row in sorted(latest.values(), key=lambda row: row["member"])):
        own = [row for row in latest.values() if row["arm"] == arm]
        curves = [sorted(series[row["member"]], key=lambda point: point["step"]) for row in own]
        outcomes = [row["verdict"]["outcome"] for row in own]
        row = {"arm": arm, "seeds": len(own), "ended": all(row["ended"] for row in own)}
        for name in _IMAGES if "effective_classes" in curves[0][-1] else _MIXTURES:
            last = np.array([_number(curve[-1].get(name)) for curve in curves])
            known = last[np.isfinite(last)]
            # A KL is of high-quality samples: a mean over the seeds that have some would flatter those arms.
            whole = name != "kl" or len(known) == len(last)
            row[name] = _rounded(np.mean(known)) if whole and len(known) else None
            row[f"{name}_se"] = (
                _rounded(np.std(known, ddof=1) / np.sqrt(len(known))) if whole and len(known) > 1 else None
            )
        row["modes_each"] = [_number(curve[-1].get("modes")) for curve in curves]
        row["modes_best"] = _rounded(np.mean([max(point["modes"] for point in curve) for curve in curves]))
        tail = [np.mean([point["modes"] for point in curve[-len(curve) // 3 :]]) for curve in curves]
        row["modes_last_third"] = _rounded(np.mean(tail))
        row["outcomes"] = {name: outcomes.count(name) for name in dict.fromkeys(outcomes)}
        row["onsets"] = [
            row["verdict"].get("onset_step") for row in own if row["verdict"].get("onset_step") is not None
        ]
        rows.append(row)
    return rows


def captured_by_weight(sweep: Path) -> str:
    """A Markdown table of how often each mode of a mixture is captured, a line a remedy, the heaviest mode first.

    Args:
        sweep: folder of a finished sweep over mixtures, or the part of it that `benchmarks/stored_study.py` keeps. Arms
            with the same setting `remedy` are joined, whatever the weights of their modes.

    Returns:
        The table. A mode is captured if it has the share of its expected samples that the detector's rule names.
    """
    directory = SweepDirectory.open(sweep)
    arms = {arm.name: arm for arm in directory.read_record().sweep.arms}
    last: dict[int, dict] = {}
    for row in directory.read_metrics():
        if row["step"] >= last.get(row["member"], row)["step"]:
            last[row["member"]] = row
    kept: dict[str, list[np.ndarray]] = {}
    shares: dict[str, list[np.ndarray]] = {}
    for member in sorted(directory.read_members(), key=lambda row: row["member"]):
        experiment: Any = arms[member["arm"]].experiment
        weights = np.asarray(experiment.data.source(()).weights, float)
        least = np.maximum(experiment.detector.rule.min_share * experiment.detector.num_samples * weights, 1)
        values = last[member["member"]]["evaluation"]
        counts = np.asarray((values.get("running") or values["batch"])["counts"])
        order, name = np.argsort(-weights), str(arms[member["arm"]].settings.get("remedy", member["arm"]))
        kept.setdefault(name, []).append((counts >= least)[order])
        shares.setdefault(name, []).append(weights[order])
    mean = np.mean([each for own in shares.values() for each in own], axis=0)
    lines = [["remedy", "runs", "modes", *(f"{100 * weight:.1f} %" for weight in mean), "correlation"]]
    lines.append(["---"] * len(lines[0]))
    for name, runs in kept.items():
        found, weights = np.array(runs), np.array(shares[name])
        constant = found.all() or not found.any()
        correlation = "–" if constant else f"{np.corrcoef(weights.flat, found.flat)[0, 1]:.2f}"
        percents = [f"{100 * share:.0f} %" for share in found.mean(axis=0)]
        lines.append([f"`{name}`", str(len(runs)), f"{found.sum(axis=1).mean():.1f}", *percents, correlation])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cost(name: str, plain: Training, training: Training, num_rounds: int, num_steps: int) -> dict[str, Any]:
    """The figures of a remedy, timed in turns with the plain GAN.

    Args:
        name: of the remedy.
        plain: the plain GAN.
        training: the GAN with the remedy.
        num_rounds: timed.
        num_steps: of a round.
    """
    seconds = rounds({"plain": plain.round, "own": training.round}, num_rounds)
    state = training.state
    params = (state.generator.variables.params, state.discriminator.variables.params)
    return {
        "arm": name,
        **spread("milliseconds", 1e3 * seconds["own"] / num_steps),
        **spread("plain_milliseconds", 1e3 * seconds["plain"] / num_steps),
        **spread("ratio", seconds["own"] / seconds["plain"]),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "state_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes")),
        "program_bytes": training.compiled.temporary_bytes,
        **training.compiled.figures(),
        "rounds": len(seconds["own"]),
    }


def table(files: list[list[dict]]) -> str:
    """A Markdown table, an arm a line; the columns of each file next to each other."""
    arms = list(dict.fromkeys(row["arm"] for rows in files for row in rows))
    head, lines = ["remedy"], {arm: [f"`{arm}`"] for arm in arms}
    for rows in files:
        by_arm = {row["arm"]: row for row in rows}
        costs = "ratio" in rows[0]
        images = "effective_classes" in rows[0]
        head += (
            ["time", "parameters", "state", "program"]
            if costs
            else ["classes", "effective", "junk", "variance"]
            if images
            else ["modes", "quality", "KL", "ended"]
        )
        for arm in arms:
            row = by_arm.get(arm)
            if row is None:
                lines[arm] += ["–"] * 4
            elif costs:
                sizes = (row["state_bytes"], row["program_bytes"])
                lines[arm] += [f"{row['ratio']:.2f}", f"{row['parameters']:,}"]
                lines[arm] += ["–" if size is None else f"{size / 2**20:.1f} MB" for size in sizes]
            elif images:
                lines[arm] += [f"{row['modes']:.1f}", f"{row['effective_classes']:.1f}"]
                lines[arm] += [f"{100 * row['junk']:.0f} %", f"{row['variance_ratio']:.2f}"]
            else:
                ended = ", ".join(f"{count} {name}" for name, count in row["outcomes"].items())
                onsets = f"; onset {', '.join(map(str, row['onsets']))}" if row["onsets"] else ""
                lines[arm] += [f"{row['modes']:.1f} ± {row['modes_se']:.1f}", f"{100 * row['high_quality']:.0f} %"]
                lines[arm] += ["–" if row["kl"] is None else f"{row['kl']:.2f}", ended + onsets]
    rule = "|".join("---" for _ in head)
    body = [" | ".join(line) for line in (head, *lines.values())]
    return "\n".join(f"| {line} |" for line in (body[0], rule, *body[1:]))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _rounded(value: Any) -> float | None:
    return significant(value, 3)


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=5, cases="remedies of cost")
    parser.add_argument("what", choices=("found", "cost", "weights", "table"))
    parser.add_argument("which", nargs="+", help="a sweep's folder, a config, or files of rows")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=200, help="of a round")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    if options.what == "table":
        print(table([read_rows(Path(name)) for name in options.which]))
    elif options.what == "weights":
        print(captured_by_weight(Path(options.which[0])))
    elif options.what == "found":
        for figures in found(Path(options.which[0])):
            emit("remedies found", figures["arm"], figures, options.out)
    else:
        base = load(options.which[0])
        resources = load_data(base, options.data)
        plain = Training(apply_remedy(base, "plain"), resources, options.steps)
        for name in picked(parser, options.cases, REMEDIES):
            training = Training(apply_remedy(base, name), resources, options.steps)
            figures = cost(name, plain, training, options.rounds, options.steps)
            emit("remedies cost", name, figures, options.out)


if __name__ == "__main__":
    main()
