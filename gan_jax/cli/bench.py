"""`gan-jax bench`: remedies scored on the known collapses of CollapseBench."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from gan_jax.cli.arguments import OK, Settings, UsageError, log


def bench_command(options: argparse.Namespace, settings: Settings) -> int:
    """Runs or resumes the games with each remedy, and prints the table of all that are in the folder."""
    from gan_jax.reports.bench_table import bench_json, bench_table
    from gan_jax.runs.collapsebench import BENCH, bench_path, known_collapses, score
    from gan_jax.runs.request import Request
    from gan_jax.runs.sweep_directory import SweepDirectory
    from gan_jax.runs.sweep_session import SweepOptions, resume_sweep, start_sweep

    root, known = Path(options.run_dir), known_collapses()
    if not options.remedy and not root.is_dir():
        raise UsageError(f"{root} has no scores yet: name a remedy, such as label_noise, or a Python file")
    seeds = sorted({int(seed) for game in known["games"].values() for seed in game["collapses"]})
    host = SweepOptions(strategy=options.strategy, num_pictures=1, progress=not options.quiet)
    for remedy in options.remedy:
        path = bench_path(root, remedy)
        if (path / "sweep.json").is_file():
            resume_sweep(path, options.data, host, say=log)
            continue
        request = Request(
            config=f"{BENCH}+{remedy}",
            location=options.data,
            run_dir=str(path),
            command=shlex.join(["gan-jax", *sys.argv[1:]]),
        )
        start_sweep(request, {}, seeds, host, say=log)
    named = {bench_path(root, remedy).name: remedy for remedy in options.remedy}
    folders = sorted(path.parent for path in root.glob("*/sweep.json"))
    scores = [score(named.get(path.name, path.name), SweepDirectory(path), known) for path in folders]
    print(json.dumps(bench_json(scores), indent=2) if options.json else bench_table(scores))
    return OK
