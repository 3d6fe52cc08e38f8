"""Commands on what has been trained: evaluate, sample, diagnose, report, watch; and data."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from gan_jax.cli.arguments import OK, Settings, UsageError, log


def evaluate_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.text_tables import evaluation_table
    from gan_jax.runs.evaluation import evaluate_run

    result = evaluate_run(
        options.run,
        step=options.step,
        num_samples=options.num_samples,
        seed=options.seed,
        location=options.data,
        truncation=options.truncation,
    )
    print(json.dumps(result, indent=2) if options.json else evaluation_table(result))
    return OK


def diagnose_command(options: argparse.Namespace, settings: Settings) -> int:
    for name in (options.out, options.plot):
        if name and not Path(name).absolute().parent.is_dir():
            raise UsageError(f"the folder of {name} does not exist: make it first")
    from gan_jax.runs.files import replacing, write_text

    say = (lambda line: None) if options.json else log
    kind = importlib.import_module(f"gan_jax.cli.diagnose_{options.kind}")
    shown = importlib.import_module(f"gan_jax.reports.diagnosis_{options.kind}")
    options.settings = settings
    result, kept = kind.diagnose(options, say), None
    if options.kind != "unroll":  # which is of a config, and has no folder of a run
        from gan_jax.runs.run_states import keep_diagnosis
        from gan_jax.runs.stored_run import open_run

        result = {"kind": options.kind, "run": options.run, **result}
        kept = keep_diagnosis(open_run(options.run).directory, options.kind, result)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(*filter(None, (shown.table(result), result["sentence"], kept)), sep="\n")
    if options.out:
        write_text(Path(options.out), json.dumps(result, indent=2) + "\n")
    if options.plot:
        with replacing(Path(options.plot)) as unfinished:
            shown.figure(result).savefig(unfinished)
    return OK


def thresholds_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.threshold_table import threshold_summary, threshold_table
    from gan_jax.runs.thresholds import readings, stored_series, threshold_grid

    asked = {name: _numbers(name, values) for name, values in options.vary} if options.vary else None
    series = stored_series([Path(name) for name in options.run])
    changes = threshold_grid(series[0].experiment.detector, asked)
    found = threshold_summary(series, readings(series, changes, Path(options.data) if options.data else None))
    print(json.dumps(found, indent=2) if options.json else threshold_table(found))
    return OK


def _numbers(name: str, values: str) -> list[float]:
    try:
        return [float(word) for word in values.split(",") if word]
    except ValueError:
        raise UsageError(f"--vary {name} takes numbers with commas, and got {values!r}") from None


def report_command(options: argparse.Namespace, settings: Settings) -> int:
    import jax

    jax.config.update("jax_platforms", "cpu")  # it draws, and takes no memory from a run on an accelerator
    from gan_jax.reports.report import write_report
    from gan_jax.reports.sweep_report import write_sweep_report

    (path, *more), out = (Path(name) for name in options.run), Path(options.out) if options.out else None
    if more or (path / "sweep.json").is_file():
        print(write_sweep_report(path, out, options.baseline, more))
    elif options.baseline is not None:
        raise UsageError(f"--baseline is for sweeps, and {path} is none")
    else:
        print(write_report(path, out))
    return OK


def watch_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.reports.watch import watch as serve

    if not 0.2 <= options.every <= 3600:
        raise UsageError(f"--every is {options.every}, and must be between 0.2 and 3600 seconds")
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port is {options.port}, and must be between 0 (any that is free) and 65535")
    serve(Path(options.run), port=options.port, every=options.every, log=log)
    return OK


def data_command(options: argparse.Namespace, settings: Settings) -> int:
    from gan_jax.data.images import Images
    from gan_jax.data.listing import listing, show_grid
    from gan_jax.data.prepared import prepare
    from gan_jax.reports.text_tables import text_table

    place = Path(options.data) if options.data else None
    if options.action == "list":
        rows = [
            {key: "-" if value is None else str(value) for key, value in row._asdict().items()}
            for row in listing(place)
        ]
        print(text_table([list(rows[0]), *(list(row.values()) for row in rows)]))
    elif options.action == "prepare":
        source = Path(options.source) if options.source else None
        print(f"{options.name} is ready in {prepare(options.name, source=source, data_dir=place)}")
    else:
        out = Path(options.out or f"{options.name}.png")
        show_grid(Images(name=options.name, image_size=options.size).load(place), out)
        print(out)
    return OK
