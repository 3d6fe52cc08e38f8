"""The commands that read stored runs, `diagnose`, `thresholds`, `report` and `watch`; and the command `data`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from gan_jax.cli.code_options import allowed_code
from gan_jax.cli.console import log, print_text
from gan_jax.cli.option_types import Number, Several
from gan_jax.cli.parser import OK, Settings, UsageError


def diagnose_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.runs.files import replacing, write_text
    from gan_jax.runs.json_text import json_text

    say = (lambda line: None) if options.json else log
    kind = importlib.import_module(f"gan_jax.cli.diagnose_{options.kind}")
    shown = importlib.import_module(f"gan_jax.reports.diagnosis_{options.kind}")
    options.settings = settings
    result, kept = kind.diagnose(options, say), None
    if options.kind != "unroll":  # its subject is a config, which has no folder to keep the result in
        from gan_jax.runs.run_states import keep_diagnosis
        from gan_jax.runs.stored_run import open_run

        result = {"kind": options.kind, "run": options.run, **result}
        kept = keep_diagnosis(open_run(options.run).directory, options.kind, result)
    if options.json:
        print_text(json_text(result, indent=2))
    else:
        print_text("\n".join(str(part) for part in (shown.table(result), result["sentence"], kept) if part))
    if options.out:
        write_text(Path(options.out), json_text(result, indent=2) + "\n")
    if options.plot:
        with replacing(Path(options.plot)) as unfinished:
            shown.figure(result).savefig(unfinished)
    return OK


def thresholds_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.threshold_table import threshold_summary, threshold_table
    from gan_jax.runs.json_text import json_text
    from gan_jax.runs.thresholds import readings, stored_series, threshold_grid

    asked = {name: _numbers(name, values) for name, values in options.vary} if options.vary else None
    series = stored_series([Path(name) for name in options.run], allowed_code(options))
    changes = threshold_grid(series[0].experiment.detector, asked)
    found = threshold_summary(series, readings(series, changes, Path(options.data) if options.data else None))
    print_text(json_text(found, indent=2) if options.json else threshold_table(found))
    return OK


def _numbers(name: str, values: str) -> list[float]:
    try:
        return Several(Number())(values)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--vary {name} {error}") from None


def report_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.comparison import write_comparison
    from gan_jax.reports.report import write_report
    from gan_jax.reports.sweep_report import write_sweep_report

    (path, *more), out = (Path(name) for name in options.run), Path(options.out) if options.out else None
    are_sweeps = [(folder / "sweep.json").is_file() for folder in (path, *more)]
    if more and not any(are_sweeps):
        if options.baseline is not None:
            raise UsageError("--baseline is for sweeps: leave it out; runs are compared with the first one given")
        print_text(write_comparison([path, *more], out, allowed_code(options)))
    elif more or are_sweeps[0]:
        if not all(are_sweeps):
            raise UsageError("a run and a sweep cannot share a report: give only runs, or only sweeps")
        print_text(write_sweep_report(path, out, options.baseline, more, allowed_code(options)))
    elif options.baseline is not None:
        raise UsageError(f"--baseline is for sweeps, and {path} is not a sweep: leave it out")
    else:
        print_text(write_report(path, out, allowed_code(options)))
    return OK


def watch_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.watch import watch as serve

    serve(Path(options.run), port=options.port, every=options.every, log=log, allowed=allowed_code(options))
    return OK


def data_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.data.image_files import load_arrays
    from gan_jax.data.images import Images, to_device
    from gan_jax.data.listing import LISTED_COLUMNS, listed_row, listing, show_grid
    from gan_jax.data.prepared import prepare
    from gan_jax.reports.text_tables import text_table

    place = Path(options.data) if options.data else None
    if options.action == "list":
        print_text(text_table([list(LISTED_COLUMNS), *(listed_row(row) for row in listing(place))]))
    elif options.action == "prepare":
        source = Path(options.source) if options.source else None
        print_text(f"{options.name} is ready in {prepare(options.name, source=source, data_dir=place)}")
    else:
        out = Path(options.out or f"{options.name}.png")
        asked = Images(name=options.name, image_size=options.size)
        show_grid(to_device(load_arrays(asked.name, place), asked.image_size), out)
        print_text(out)
    return OK
