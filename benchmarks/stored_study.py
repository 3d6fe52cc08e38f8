"""The part of a finished sweep that its report and `gan-jax thresholds` need, small enough to be stored with the code.

    python benchmarks/stored_study.py SWEEP FOLDER      sweep.json, members.jsonl and metrics.jsonl.gz

The rows of metrics keep their evaluations and lose the training metrics; pictures and checkpoints are left out. The
folder of the data set is not stored, and is DIR in the command.
`gan-jax report FOLDER [FOLDER ...] --out FILE` and `gan-jax thresholds FOLDER [FOLDER ...]` read the folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import shutil
from pathlib import Path

from gan_jax.runs.folders import RunError
from gan_jax.runs.json_text import json_text
from gan_jax.runs.sweep_directory import SweepDirectory

KEPT = ("member", "step", "label", "evaluation", "steps_per_second")


def store(sweep: Path, folder: Path, *, unfinished: bool = False) -> None:
    """Writes the folder.

    Args:
        sweep: folder of the sweep.
        folder: to write.
        unfinished: whether the rows so far are stored of a sweep that has not ended.

    Raises:
        RunError: if the sweep has not ended.
    """
    directory = SweepDirectory.open(sweep)
    rows = directory.read_members()
    if not unfinished and (len(rows) < directory.num_members() or not all(row["ended"] for row in rows)):
        raise RunError(f"{sweep} has not ended: resume it first")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(directory.members_path, folder / directory.members_path.name)
    record = directory.read_record()
    if record.location is None:
        shutil.copy(directory.record_path, folder / directory.record_path.name)
    else:
        command = record.command.replace(record.location, "DIR")
        public = dataclasses.replace(record, location=None, command=command)
        (folder / directory.record_path.name).write_text(json_text(public.to_json(), indent=2) + "\n", encoding="utf-8")
    metrics = ({**{name: row[name] for name in KEPT}, "train": {}} for row in directory.read_metrics())
    text = "".join(json.dumps(row) + "\n" for row in metrics)
    (folder / "metrics.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of a finished sweep")
    parser.add_argument("folder", type=Path, help="where to write")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    store(options.sweep, options.folder)


if __name__ == "__main__":
    main()
