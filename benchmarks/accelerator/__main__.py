"""Measures everything that is worth knowing of an accelerator, unattended, in order of value, within a time.

    python -m benchmarks.accelerator --out docs/results/accelerator [--minutes 8] [--data DIR] [--small]
    python -m benchmarks.accelerator --table docs/results/accelerator/rows.jsonl [--pictures DIR]

The stages, one after another: the machine; a smoke test of correctness; the label-noise study on digits to its end; the
device's ceilings; training steps; PyTorch beside them; unrolled steps; sweeps; settings of the compiler; CollapseBench;
the label-noise study at 64x64. Each row is on the disk as soon as it is known. A call that is cut off, or called again
with the same --out, goes on where it was. Nothing is fetched. docs/performance.md has the schema of the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.accelerator.supervisor import STAGES, run_stages


def make_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = ",".join(stage.name for stage in STAGES)
    parser.add_argument("--out", type=Path, default=Path("runs/accelerator"), help="folder of rows and stored studies")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/accelerator-work"), help="folder of checkpoints, caches"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="for all stages (8)")
    parser.add_argument("--data", type=Path, help="where MNIST lies, as IDX files; without, its games are left out")
    parser.add_argument("--stages", default=known, help=f"by commas; all: {known}")
    parser.add_argument("--small", action="store_true", help="sizes of a rehearsal, for a CPU")
    parser.add_argument("--table", type=Path, metavar="ROWS", help="measure nothing: print tables of these rows")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="with --table: folder for figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 if every stage ended by itself."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser()
    options = parser.parse_args(arguments)
    names = options.stages.split(",")
    if unknown := [name for name in names if name not in [stage.name for stage in STAGES]]:
        parser.error(f"--stages: no {', '.join(unknown)}; there are {', '.join(stage.name for stage in STAGES)}")
    if options.table is not None:
        from benchmarks.accelerator.tables import draw, tables

        print(tables(options.table))
        if options.pictures is not None:
            draw(options.table, options.pictures)
        return 0
    if options.worker:
        serve(options)
        return 0
    for folder in (options.out, options.work):
        folder.mkdir(parents=True, exist_ok=True)
    prepare_environment(options.work)
    command = [sys.executable, "-m", "benchmarks.accelerator", *arguments, "--worker"]
    failures = run_stages(command, options.minutes, options.out, names)
    return 1 if failures else 0


def prepare_environment(work: Path) -> None:
    """What JAX reads when the worker starts; what the caller has set stays.

    Compiled programs are kept in the work folder, and a GPU's memory is left to PyTorch in part.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str((work / "programs").resolve()))
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", ".70")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def serve(options: argparse.Namespace) -> None:
    """Runs the stages whose names come on standard input, and answers each with a line."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a stage prints does not mix with the answers
    for line in sys.stdin:
        asked = json.loads(line)
        error = None
        try:
            run_stage(asked["stage"], options, asked["seconds"])
        except Exception as failed:
            error = f"{type(failed).__name__}: {(str(failed).strip().splitlines() or [''])[0]}"
            traceback.print_exc()
        answers.write(json.dumps({"stage": asked["stage"], "error": error}) + "\n")
        answers.flush()


def end_with(parent: int) -> None:
    """Ends this process soon after its parent, so that a call that is killed leaves no stage behind on the device."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run_stage(name: str, options: argparse.Namespace, seconds: float) -> None:
    """Runs a stage in this process."""
    from benchmarks.accelerator import kit, stages

    function: Any = getattr(stages, name)
    deadline = time.monotonic() + seconds
    function(kit.Kit(options.out, options.work, options.data, options.small, deadline))


if __name__ == "__main__":
    sys.exit(main())
