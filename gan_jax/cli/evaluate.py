"""`gan-jax evaluate`: measures the generator of a run again, or samples that any program made."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gan_jax.cli.code_options import add_cache_option, allowed_code
from gan_jax.cli.console import print_text
from gan_jax.cli.option_types import SEED, Number, Whole, path
from gan_jax.cli.parser import OK, Parser, Settings, UsageError

_EVALUATE = """Measures the generator of a run again, by the metrics of the detector, or by those that --metrics names.
With --samples it measures samples that any program made: images in a .npz file, a .npy file or a folder of pictures,
or points of a mixture.

  gan-jax evaluate runs/ring-seed0 --num-samples 51200 --seed 1
  gan-jax evaluate runs/digits-seed0 --metrics all --num-samples 1000
  gan-jax evaluate --samples samples.npz --data mnist
  gan-jax evaluate --samples points.npy --data ring --metrics modes,likelihood
docs/evaluation.md says what each metric means."""


def add_evaluate(commands: Any, run_help: str) -> Parser:
    """Adds the command's parser.

    Args:
        commands: the subparsers of all commands.
        run_help: help of the argument `run`.

    Returns:
        The parser.
    """
    parser = commands.add_parser(
        "evaluate", help="measure the generator of a run, or samples of any program", description=_EVALUATE
    )
    parser.add_argument("run", nargs="?", type=path, help=run_help)
    parser.option(
        "--samples", type=path, metavar="FILE", help="samples to measure instead of a run: .npz, .npy or a folder"
    )
    parser.option(
        "--metrics",
        metavar="all|NAME,..",
        help="modes, frechet, kid, prdc, vendi, memorisation, ... (default: all with --samples; else the detector's)",
    )
    parser.option(
        "--reference", type=path, metavar="train|test|FILE", help="real data to compare with (default: train)"
    )
    parser.option(
        "--features",
        metavar="auto|pixels|FILE.npz",
        help="features of the validated classifier where there is one, pixels, or Inception's by a file of weights",
    )
    parser.option("--step", type=Whole(), help="step of the checkpoint (default: the newest)")
    parser.option("--num-samples", type=Whole(1), metavar="N", help="number of samples (default: as in training)")
    parser.option(
        "--statistics",
        choices=("batch", "running"),
        help="with --metrics, those by which a G with batch norm normalises (default: batch)",
    )
    parser.option("--seed", type=SEED, help="seed of fresh latents (default: the run's own, as in its evaluations)")
    parser.option(
        "--truncation", type=Number(above=0), metavar="T", help="draw latents within [-T, T] (default: no truncation)"
    )
    parser.option(
        "--data",
        type=path,
        metavar="DIR|NAME",
        help="folder of the data set; with --samples, the data they imitate: a data set, or the config of a mixture",
    )
    parser.option(
        "--no-intervals", action="store_true", help="skip the confidence intervals, which take most of the time"
    )
    parser.option("--json", action="store_true", help="print the result as JSON")
    add_cache_option(parser)
    return parser


def evaluate_command(options: argparse.Namespace, settings: Settings) -> int:
    """Measures, and prints a table or JSON.

    Raises:
        UsageError: if the options do not go together.
    """
    from gan_jax.reports.sample_table import sample_table
    from gan_jax.reports.text_tables import evaluation_table
    from gan_jax.runs.evaluation import evaluate_run
    from gan_jax.runs.json_text import json_text

    if (options.run is None) == (options.samples is None):
        raise UsageError("evaluate measures either a run or --samples FILE: give exactly one of them")
    if options.samples is not None:
        result, shown = _of_samples(options), sample_table
    elif options.metrics is not None:
        result, shown = _of_run(options), sample_table
    else:
        for name in ("reference", "features", "no_intervals", "statistics"):
            if getattr(options, name):
                raise UsageError(f"--{name.replace('_', '-')} needs --metrics or --samples: add --metrics all")
        shown = evaluation_table
        result = evaluate_run(
            options.run,
            step=options.step,
            num_samples=options.num_samples,
            seed=options.seed,
            location=options.data,
            truncation=options.truncation,
            allowed=allowed_code(options),
        )
    print_text(json_text(result, indent=2) if options.json else shown(result))
    return OK


def _of_samples(options: argparse.Namespace) -> dict[str, Any]:
    from gan_jax.data.sample_files import read_samples
    from gan_jax.metrics.sample_evaluation import evaluate_samples

    for name in ("step", "truncation", "statistics", "code_config", "trust"):
        if getattr(options, name):
            raise UsageError(
                f"--{name.replace('code_', '')} is for runs, and has no meaning with --samples: leave it out"
            )
    if options.data is None:
        raise UsageError("--samples needs --data NAME, the data that the samples imitate (mnist, digits, ring, ...)")
    data, location = _named_data(options.data)
    samples = read_samples(Path(options.samples))
    if options.num_samples is not None:
        if options.num_samples > len(samples):
            raise UsageError(
                f"--num-samples is {options.num_samples:,}, but {options.samples} holds only {len(samples):,}: give at "
                "most that"
            )
        samples = samples[: options.num_samples]
    return evaluate_samples(
        samples, data, location=location, source=options.samples, **_common(options, options.metrics or "all")
    )


def _of_run(options: argparse.Namespace) -> dict[str, Any]:
    from gan_jax.runs.sample_evaluation import evaluate_run_samples

    if options.truncation is not None:
        raise UsageError(
            "--truncation works only with the metrics of the detector: leave out --metrics or --truncation"
        )
    return evaluate_run_samples(
        options.run,
        step=options.step,
        num_samples=options.num_samples,
        latent_seed=options.seed,
        statistics=options.statistics or "batch",
        location=options.data,
        allowed=allowed_code(options),
        **_common(options, options.metrics),
    )


def _common(options: argparse.Namespace, metrics: str) -> dict[str, Any]:
    from gan_jax.data.sample_files import read_samples

    reference: Any = options.reference or "train"
    if reference not in ("train", "test"):
        reference = read_samples(Path(reference))
    features = options.features or "auto"
    return {"metrics": metrics, "reference": reference, "features": features, "intervals": not options.no_intervals}


def _named_data(name: str) -> tuple[Any, str | None]:
    """(the data of a name, the folder where they lie): a data set, a folder or file of one, or a config's data."""
    from gan_jax.data.found_set import folder_name, set_name
    from gan_jax.data.standard_sets import STANDARD
    from gan_jax.experiment.configs import config_names, load

    place = Path(name)
    if place.exists():
        return folder_name(place) if place.is_dir() else set_name(place.stem), name
    if name in config_names() and name not in ("digits", *STANDARD):
        return load(name).data, None
    return name, None
