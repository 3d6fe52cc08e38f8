"""The remedies side by side: what a study found, and what each costs.

    python -m benchmarks.remedies found SWEEP [--out FILE]     rows of a finished `gan-jax sweep remedies_ring`
    python -m benchmarks.remedies cost CONFIG [--rounds 5]     parameters, seconds a step, memory, beside the plain GAN
    python -m benchmarks.remedies table ROWS [ROWS ...]        such rows as one table in Markdown, an arm a line

`found` prints a JSON row an arm: modes, high-quality share and KL at the last evaluation, of images classes captured,
effective classes, junk, variance and KL (mean and standard error over seeds; the most modes over the run too),
outcomes, onsets. `cost` times every arm's compiled chunk in turns with the plain GAN's, in one process, and prints the
median of the ratios; parameters are those of both players, state is everything that a run carries, and memory what the
compiled program needs beside its arguments (XLA's count).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import jax
import numpy as np

from gan_jax.experiment.configs import load
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.scaling.programs import chunk_program, compiled_init
from gan_jax.training.evaluations import load_data

_MIXTURES = ("modes", "high_quality", "kl")
_IMAGES = ("modes", "effective_classes", "junk", "variance_ratio", "kl")


def found(sweep: Path) -> list[dict]:
    """A row an arm."""
    members = [json.loads(line) for line in (sweep / "members.jsonl").read_text().splitlines()]
    latest = {row["member"]: row for row in members}
    series: dict[int, list[dict]] = {}
    for row in map(json.loads, (sweep / "metrics.jsonl").read_text().splitlines()):
        values = row["evaluation"].get("batch") or row["evaluation"].get("running")
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
            row[name] = _round(np.mean(known)) if whole and len(known) else None
            row[f"{name}_se"] = (
                _round(np.std(known, ddof=1) / np.sqrt(len(known))) if whole and len(known) > 1 else None
            )
        row["modes_each"] = [_number(curve[-1].get("modes")) for curve in curves]
        row["modes_best"] = _round(np.mean([max(point["modes"] for point in curve) for curve in curves]))
        tail = [np.mean([point["modes"] for point in curve[-len(curve) // 3 :]]) for curve in curves]
        row["modes_last_third"] = _round(np.mean(tail))
        row["outcomes"] = {name: outcomes.count(name) for name in dict.fromkeys(outcomes)}
        row["onsets"] = [
            row["verdict"].get("onset_step") for row in own if row["verdict"].get("onset_step") is not None
        ]
        rows.append(row)
    return rows


def cost(config: str, location: Path | None, rounds: int, num_steps: int) -> list[dict]:
    """A row an arm, timed in turns with the plain GAN."""
    base = load(config)
    resources = load_data(base, location)
    small = len(base.data.shape) == 1

    def prepare(name: str):
        experiment = apply_remedy(base, name)
        state = compiled_init(experiment, jax.random.key(0))
        start = time.perf_counter()
        lowered = chunk_program(small=small).lower(experiment, resources, state, num_steps=num_steps, evaluates=False)
        program = lowered.compile()
        seconds = time.perf_counter() - start
        params = sum(
            leaf.size for p in (state.generator, state.discriminator) for leaf in jax.tree.leaves(p.variables.params)
        )
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes"))
        memory = program.memory_analysis()
        facts = {
            "parameters": params,
            "state_bytes": size,
            "program_bytes": None if memory is None else memory.temp_size_in_bytes,
            "compile_seconds": round(seconds, 1),
        }
        return {"program": program, "experiment": experiment, "state": state, "facts": facts}

    def timed(arm) -> float:
        start = time.perf_counter()
        arm["state"] = jax.block_until_ready(arm["program"](arm["experiment"], resources, arm["state"]).state)
        return (time.perf_counter() - start) / num_steps

    plain, rows = prepare("plain"), []
    timed(plain)
    for name in REMEDIES:
        arm = prepare(name)
        timed(arm)
        pairs = [(timed(plain), timed(arm)) for _ in range(rounds)]
        rows.append(
            {
                "arm": name,
                "milliseconds": _round(1e3 * statistics.median(own for _, own in pairs)),
                "plain_milliseconds": _round(1e3 * statistics.median(other for other, _ in pairs)),
                "ratio": _round(statistics.median(own / other for other, own in pairs)),
                **arm["facts"],
                "device": jax.devices()[0].device_kind,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


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


def _number(value) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _round(value) -> float:
    return float(f"{float(value):.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("found", "cost", "table"))
    parser.add_argument("which", nargs="+", help="a sweep's folder, a config, or files of rows")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "found":
        rows = found(Path(options.which[0]))
        print("\n".join(json.dumps(row) for row in rows))
    elif options.what == "table":
        print(table([[json.loads(line) for line in Path(name).read_text().splitlines()] for name in options.which]))
        return
    else:
        rows = cost(options.which[0], options.data, options.rounds, options.steps)
    if options.out:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
