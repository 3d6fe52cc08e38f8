"""The frozen file of CollapseBench, from sweeps of its plain games.

    gan-jax sweep collapsebench --data DIR --run-dir SWEEP        (or in parts, with --arm GAME)
    python benchmarks/freeze_collapses.py SWEEP [SWEEP ...]       writes configs/collapsebench.json

The file has a game for each arm: the seeds that collapse, with the steps of their onsets, in the order of the config.
Games that are in none of the sweeps stay as they are in the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gan_jax.experiment.configs import config_directory, load_sweep
from gan_jax.runs.collapsebench import BENCH, freeze
from gan_jax.runs.run_directory import write_json
from gan_jax.runs.sweep_directory import SweepDirectory


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="SWEEP", help="folder of a finished sweep")
    parser.add_argument("--out", type=Path, default=config_directory() / f"{BENCH}.json", help="the file to write")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    known = freeze([SweepDirectory.open(path) for path in options.sweeps])
    sweep = load_sweep(BENCH)
    assert sweep is not None
    kept = json.loads(options.out.read_text(encoding="utf-8"))["games"] if options.out.is_file() else {}
    games = {**kept, **known["games"]}
    if missing := [arm.name for arm in sweep.arms if arm.name not in games]:
        parser.error(f"neither the sweeps nor {options.out} have the games {', '.join(missing)}")
    games = {arm.name: games[arm.name] for arm in sweep.arms}
    write_json(options.out, {**known, "games": games})
    print(json.dumps({name: game["collapses"] for name, game in games.items()}, indent=1))


if __name__ == "__main__":
    main()
