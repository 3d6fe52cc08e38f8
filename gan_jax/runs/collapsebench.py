"""CollapseBench: games whose collapses are known, and the share of these that a remedy prevents.

`configs/collapsebench.py` defines the games, and `configs/collapsebench.json` holds their collapses: by game and seed,
the step of the onset and the verdict, with the versions and the device that gave them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.experiment.configs import config_directory
from gan_jax.metrics.prevention import Share, mean_share, share_of
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.sweep_directory import SweepDirectory

BENCH = "collapsebench"
_SURVIVED = ("healthy", "censored", "never formed")
_COVERED = ("healthy", "censored")


@dataclasses.dataclass(frozen=True)
class GameScore:
    """One remedy in one game, over the seeds whose plain run collapses.

    Attributes:
        num: of these seeds.
        prevented: runs without any collapse, junk or value that is not finite to their end.
        covered: of these, runs that formed: they held most of the modes with well-made samples.
        quality: median over the prevented runs of the share of well-made samples at the end; None without any.
        modes: median over the prevented runs of the share of modes that they have at the end; None without any.
        steps_per_second: of all the game's runs together; None where it is not known.
    """

    num: int
    prevented: int
    covered: int
    quality: float | None
    modes: float | None
    steps_per_second: float | None

    @property
    def share(self) -> Share:
        """The share prevented, with its exact 95 % limits."""
        return share_of(self.prevented, self.num)


@dataclasses.dataclass(frozen=True)
class BenchScore:
    """One remedy over all games that it fits.

    Attributes:
        remedy: its name.
        games: by name.
        missing: games that it does not fit, or that have not ended.
    """

    remedy: str
    games: dict[str, GameScore]
    missing: tuple[str, ...]

    @property
    def share(self) -> Share:
        """The mean over the games of the share prevented, with its 95 % limits; see `metrics.prevention.mean_share`."""
        return mean_share([(game.prevented, game.num) for game in self.games.values()])

    @property
    def covered(self) -> Share:
        """The same of runs that hold the data at their end."""
        return mean_share([(game.covered, game.num) for game in self.games.values()])

    def cost(self, plain: BenchScore | None) -> float | None:
        """Time of a step, in that of the plain games on the same machine: the median over the games."""
        ratios = [
            other.steps_per_second / game.steps_per_second
            for name, game in self.games.items()
            if plain is not None and (other := plain.games.get(name)) is not None
            if other.steps_per_second and game.steps_per_second
        ]
        return float(np.median(ratios)) if ratios else None


def known_collapses() -> dict[str, Any]:
    """The frozen file: "games" by name with "collapses" by seed, "versions", "device", "command"."""
    return json.loads((config_directory() / f"{BENCH}.json").read_text(encoding="utf-8"))


def freeze(directory: SweepDirectory) -> dict[str, Any]:
    """What the frozen file holds, from a finished sweep of the plain games.

    Args:
        directory: of the sweep.

    Returns:
        Values for JSON.

    Raises:
        RunError: if the sweep has not ended.
    """
    record, rows = directory.read_record(), directory.read_members()
    if len(rows) < directory.num_members() or not all(row["ended"] for row in rows):
        raise RunError(f"{directory.path} has not ended: resume it first")
    games: dict[str, Any] = {}
    for arm in record.sweep.arms:
        own = sorted((row for row in rows if row["arm"] == arm.name), key=lambda row: row["seed"])
        games[arm.name] = {
            "collapses": {
                str(row["seed"]): {"step": row["verdict"]["onset_step"], "verdict": row["verdict"]["sentence"]}
                for row in own
                if _collapsed(row["verdict"])
            },
            "others": {str(row["seed"]): row["verdict"]["sentence"] for row in own if not _collapsed(row["verdict"])},
        }
    environment = {name: record.environment.get(name) for name in ("versions", "device")}
    return {"format": 1, **environment, "command": record.command, "games": games}


def _collapsed(verdict: Mapping[str, Any]) -> bool:
    return verdict["outcome"] == "collapsed" and verdict["cause"] != "junk"


def score(remedy: str, directory: SweepDirectory, known: Mapping[str, Any]) -> BenchScore:
    """The score of a remedy from its sweep over the games.

    Args:
        remedy: its name.
        directory: of the sweep.
        known: from `known_collapses`.

    Returns:
        The score over the games whose runs have ended.

    Raises:
        RunError: if there is no such game.
    """
    rows, record = directory.read_members(), directory.read_record()
    arms = {arm.name: arm.experiment for arm in record.sweep.arms}
    speeds = _speeds(directory)
    games, missing = {}, []
    for name, game in known["games"].items():
        own = [row for row in rows if row["arm"] == name and str(row["seed"]) in game["collapses"]]
        if len(own) < len(game["collapses"]) or not own or not all(row["ended"] for row in own):
            missing.append(name)
            continue
        games[name] = _game_score(own, arms[name], speeds.get(name))
    if not games:
        raise RunError(f"{directory.path} has no game that has ended: resume it")
    return BenchScore(remedy, games, tuple(missing))


def _game_score(rows: Sequence[Mapping[str, Any]], experiment: Any, speed: float | None) -> GameScore:
    survived = [row for row in rows if row["verdict"]["outcome"] in _SURVIVED and row["verdict"]["cause"] != "junk"]
    last = [row["last"].get("batch") or row["last"].get("running") or {} for row in survived]
    quality = [_quality(values) for values in last]
    modes = [_modes(values, experiment) for values in last]
    return GameScore(
        num=len(rows),
        prevented=len(survived),
        covered=sum(row["verdict"]["outcome"] in _COVERED for row in survived),
        quality=_median(quality),
        modes=_median(modes),
        steps_per_second=speed,
    )


def _quality(values: Mapping[str, Any]) -> float | None:
    """The share of samples that are data: of high quality, or of which the classifier is sure."""
    if values.get("high_quality") is not None:
        return float(values["high_quality"])
    return None if values.get("junk") is None else 1.0 - float(values["junk"])


def _modes(values: Mapping[str, Any], experiment: Any) -> float | None:
    held = values.get("modes_held", values.get("modes"))
    if held is None:
        return None
    if "modes_held" in values:
        return float(held) / 1000
    if "effective_classes" in values:
        return float(held) / 10
    return float(held) / experiment.data.source(()).modes.shape[0]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _speeds(directory: SweepDirectory) -> dict[str, float]:
    """Steps per second of all members of a game together, by game: the median over the evaluations."""
    arm_of = {row["member"]: row["arm"] for row in directory.read_members()}
    found: dict[str, list[float]] = {}
    for row in directory.read_metrics():
        if row["steps_per_second"]:
            found.setdefault(arm_of[row["member"]], []).append(row["steps_per_second"])
    return {arm: float(np.median(speeds)) for arm, speeds in found.items()}


def bench_path(root: Path, remedy: str) -> Path:
    """The folder of a remedy's sweep."""
    return root / remedy.removesuffix(".py").replace("/", "_").replace("+", "_")
