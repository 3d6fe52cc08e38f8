"""CollapseBench: trains games whose collapses are known with a remedy.

`configs/collapsebench.py` defines the games, and `configs/collapsebench.json` holds their collapses: for each game and
seed the step of the onset, with the versions and the device that gave it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.data.found_set import DataError
from gan_jax.data.stacked import NUM_MODES, ImageData, StackedImages
from gan_jax.experiment.component import is_component
from gan_jax.experiment.config_code import source_files
from gan_jax.experiment.configs import config_directory, config_label, load_sweep, split_remedies
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import component_name
from gan_jax.metrics.image_metrics import NUM_CLASSES
from gan_jax.runs.files import write_json
from gan_jax.runs.machine import UNNAMED
from gan_jax.runs.request import Request
from gan_jax.runs.rows import watched
from gan_jax.runs.run_directory import RunError, read_lines
from gan_jax.runs.sweep_directory import SweepDirectory
from gan_jax.runs.sweep_plan import SweepOptions
from gan_jax.runs.sweep_session import resume_sweep, start_sweep

BENCH = "collapsebench"
SCORES = "scores.jsonl"
BEGUN = "begun.json"
"""In the folder of a remedy: the hash of each game that was begun, see `experiment_hash`."""


def known_collapses() -> dict[str, Any]:
    """The known collapses, which are frozen in a file.

    Returns:
        "games": for each game "collapses" (the step of the onset by seed), "tried" (number of seeds), "experiment"
        (hash of the game's settings), "versions" and "device".
    """
    return json.loads((config_directory() / f"{BENCH}.json").read_text(encoding="utf-8"))


def experiment_hash(experiment: Experiment, remedy: str = "plain") -> str:
    """A hash of the settings of an experiment, and of the code of a remedy of one's own.

    Settings at their defaults are left out, so that a new setting of a component changes no hash.

    Args:
        experiment: the game, with the remedy applied.
        remedy: as for `play`. The text of its files, and of the modules beside them that they import, is hashed too.

    Returns:
        12 hexadecimal digits.
    """
    parts = [json.dumps(_stated(experiment), sort_keys=True).encode()]
    for name in split_remedies(f"{BENCH}+{remedy}")[1]:
        if name.endswith(".py"):
            parts += [part for file, text in sorted(source_files(Path(name)).items()) for part in (file.encode(), text)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _stated(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_stated(part) for part in value]
    if not is_component(value):
        return value
    fields = {field.name: (getattr(value, field.name), field.default) for field in dataclasses.fields(value)}
    stated = {name: _stated(own) for name, (own, default) in fields.items() if own is not default and own != default}
    return {"component": component_name(type(value)), **stated}


def freeze(directories: Sequence[SweepDirectory]) -> dict[str, Any]:
    """The content of the frozen file, from sweeps of the plain games that have ended.

    Args:
        directories: the folders of the sweeps, each with some of the games.

    Returns:
        The same as `known_collapses`.

    Raises:
        RunError: if a sweep has not ended.
    """
    games: dict[str, Any] = {}
    for directory in directories:
        record, rows = directory.read_record(), directory.read_members()
        if len(rows) < directory.num_members() or not all(row["ended"] for row in rows):
            raise RunError(f"{directory.path} has not ended: continue it with gan-jax sweep --resume {directory.path}")
        for arm in record.sweep.arms:
            own = sorted((row for row in rows if row["arm"] == arm.name), key=lambda row: row["seed"])
            games[arm.name] = {
                "experiment": experiment_hash(arm.experiment),
                "tried": len(own),
                "collapses": {
                    str(row["seed"]): row["verdict"]["onset_step"] for row in own if is_collapse(row["verdict"])
                },
                **{name: record.environment.get(name) for name in ("versions", "device")},
            }
    return {"format": 1, "games": games}


def is_collapse(verdict: Mapping[str, Any]) -> bool:
    """Whether a verdict, as JSON, is a collapse onto few modes; a fall to junk does not count."""
    return verdict["outcome"] == "collapsed" and verdict["cause"] != "junk"


def play(
    root: Path,
    remedy: str,
    known: Mapping[str, Any],
    location: str | None,
    options: SweepOptions,
    command: str,
    log: Callable[[str], None],
    bench: str = BENCH,
) -> None:
    """Trains all games with a remedy, and adds one row per run to the scores. Games with rows are not trained again.

    A game is left out, with a line in the log, if the remedy does not fit it or its data set is not found.

    Args:
        root: folder of the scores and of the sweeps.
        remedy: a name of `REMEDIES`, several joined by "+", or a Python file that defines `remedy(experiment)`.
        known: the result of `known_collapses`.
        location: the folder of the data sets that are not embedded.
        options: the options of the host.
        command: the command line, for the records.
        log: called with each line of progress.
        bench: the config that defines the games, as arms of its sweep.

    Raises:
        ConfigError: if the remedy is unknown or fits no game.
        DataError: if no game can be played, because the data sets are not found.
        RunError: if the folder has rows of another remedy of this name, or of other code of this one.
    """
    config = f"{bench}+{remedy}"
    sweep, name = load_sweep(config), config_label(config).partition("+")[2]
    assert sweep is not None
    experiments = {arm.name: arm.experiment for arm in sweep.arms}
    for game in known["games"]:
        if game not in experiments:
            log(f"gan-jax: game {game} is left out, since {name} cannot be applied to it")
    hashes = {game: experiment_hash(experiment, remedy) for game, experiment in experiments.items()}
    done = {row["game"]: row["experiment"] for row in read_scores(root) if row["remedy"] == name}
    _refuse_others(root, name, hashes, {**_begun(root, name), **done})
    waiting = {game: experiments[game] for game in known["games"] if game in experiments and game not in done}
    for game in _playable(waiting, location, log, refuse=not done):
        request = Request(
            config=config,
            arms=(game,),
            location=location if _has_files(experiments[game]) else None,
            run_dir=str(root / name / game),
            command=command,
        )
        seeds = [int(seed) for seed in known["games"][game]["collapses"]]
        (root / name).mkdir(parents=True, exist_ok=True)
        write_json(root / name / BEGUN, {**_begun(root, name), game: hashes[game]})
        directory = _sweep(request, seeds, options, log)
        rows = _score_rows(name, game, experiments[game], hashes[game], directory)
        with (root / SCORES).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def _begun(root: Path, name: str) -> dict[str, str]:
    """The hashes of the games that a remedy has begun in this folder, by name; a sweep may have been interrupted."""
    path = root / name / BEGUN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _refuse_others(root: Path, name: str, hashes: Mapping[str, str], stored: Mapping[str, str]) -> None:
    """Refuses a remedy whose name another one has in this folder.

    Raises:
        RunError: if the hash of a game differs from the stored one.
    """
    if any(hashes.get(game, of_game) != of_game for game, of_game in stored.items()):
        raise RunError(
            f"{root} has games or scores of another {name}, with other settings or code: rename yours, or choose "
            "another --run-dir"
        )


def _has_files(experiment: Experiment) -> bool:
    """Whether the data are neither made from settings nor embedded."""
    return isinstance(experiment.data, ImageData) and experiment.data.name != "digits"


def _playable(
    experiments: Mapping[str, Experiment], location: str | None, log: Callable[[str], None], *, refuse: bool
) -> list[str]:
    """The games whose data are found; the others are logged.

    Raises:
        DataError: if `refuse`, there are games, and none of them has its data.
    """
    missing = {}
    for game, experiment in experiments.items():
        if _has_files(experiment):
            try:
                experiment.data.load(location)
            except DataError as error:
                missing[game] = error
    if refuse and missing and len(missing) == len(experiments):
        raise next(iter(missing.values()))
    for game, reason in missing.items():
        log(f"gan-jax: game {game} is left out: {reason}")
    return [game for game in experiments if game not in missing]


def _sweep(request: Request, seeds: Sequence[int], options: SweepOptions, log: Callable[[str], None]) -> SweepDirectory:
    """Starts or resumes a sweep, unless it has ended, and returns its folder."""
    assert request.run_dir is not None
    path = Path(request.run_dir)
    if (path / "sweep.json").is_file():
        resume_sweep(path, request, options, log)
    else:
        start_sweep(request, {}, seeds, options, log)
    return SweepDirectory(path)


def read_scores(root: Path) -> list[dict[str, Any]]:
    """The rows of the scores, one row per run; [] if there is no file.

    The device is None in rows of earlier versions, which do not name their processor.
    """
    path = root / SCORES
    rows = read_lines(path) if path.is_file() else []
    return [{**row, "device": None} if row["device"] == UNNAMED else row for row in rows]


def _score_rows(
    remedy: str, game: str, experiment: Experiment, hash_of_row: str, directory: SweepDirectory
) -> list[dict[str, Any]]:
    speeds = [row["steps_per_second"] for row in directory.read_metrics() if row["steps_per_second"]]
    device = directory.read_record().environment.get("device")
    rows = []
    for row in directory.read_members():
        last = watched(row["last"])
        rows.append(
            {
                "remedy": remedy,
                "game": game,
                "seed": row["seed"],
                "outcome": row["verdict"]["outcome"],
                "cause": row["verdict"]["cause"],
                "onset_step": row["verdict"]["onset_step"],
                "last_step": row["last_step"],
                "quality": _quality(last),
                "modes": _modes(experiment, last),
                "steps_per_second": float(np.median(speeds)) if speeds else None,
                "device": device,
                "experiment": hash_of_row,
            }
        )
    return rows


def _quality(values: Mapping[str, Any]) -> float | None:
    """The share of well-made samples: those of high quality, or those of which the classifier is sure."""
    if values.get("high_quality") is not None:
        return float(values["high_quality"])
    return None if values.get("junk") is None else 1.0 - float(values["junk"])


def _modes(experiment: Experiment, values: Mapping[str, Any]) -> float | None:
    """The share of the modes that the samples cover."""
    if isinstance(experiment.data, StackedImages):
        held, num = values.get("modes_held"), NUM_MODES
    elif isinstance(experiment.data, ImageData):
        held, num = values.get("modes"), NUM_CLASSES
    else:
        held, num = values.get("modes"), experiment.data.source(()).modes.shape[0]
    return None if held is None else float(held) / num
