"""`gan-jax collapsebench`: scores remedies on games that are known to collapse."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from gan_jax.cli.console import log, print_text
from gan_jax.cli.parser import OK, Settings, UsageError


def collapsebench_command(options: argparse.Namespace, settings: Settings) -> int:
    """Trains the games with each remedy, and prints the table of all scores in the folder."""
    from gan_jax.experiment.component import unknown_name
    from gan_jax.metrics.prevention import remedy_scores
    from gan_jax.reports.bench_table import bench_json, bench_table
    from gan_jax.runs.collapsebench import known_collapses, play, read_scores
    from gan_jax.runs.json_text import json_text
    from gan_jax.runs.sweep_plan import SweepOptions

    root, known = Path(options.run_dir), known_collapses()
    for name in options.game or ():
        if name not in known["games"]:
            raise UsageError(unknown_name("--game: no game", name, known["games"]))
    played = {**known, "games": {k: v for k, v in known["games"].items() if k in (options.game or known["games"])}}
    host = SweepOptions(strategy=options.strategy, num_pictures=1, progress=not options.quiet)
    command = shlex.join(["gan-jax", *options.typed])
    for remedy in options.remedy:
        play(root, remedy, played, options.data, host, command, log)
    scores = remedy_scores(read_scores(root))
    if not scores:
        raise UsageError(f"{root} has no scores yet: name a remedy, such as label_noise, or a Python file")
    print_text(json_text(bench_json(scores, known), indent=2) if options.json else bench_table(scores, known))
    return OK
