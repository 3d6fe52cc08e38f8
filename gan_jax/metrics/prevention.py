"""The share of known collapses that a remedy prevents, with intervals, over several games."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta

_WITHOUT_ONSET = ("healthy", "censored", "never formed")
_FEW_MODES = 0.5  # the largest share of the modes that detectors call few


class Share(NamedTuple):
    """A share with its confidence limits."""

    share: float
    lower: float
    upper: float


def share_of(count: int, num: int, confidence: float = 0.95) -> Share:
    """A share of independent cases, with the exact limits of Clopper and Pearson.

    Args:
        count: cases that have the property.
        num: all cases, at least 1.
        confidence: level of the limits.

    Returns:
        The share and its limits.

    Raises:
        ValueError: if the counts are impossible.

    References:
        C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
            binomial", Biometrika 26, 1934.

    Example:
        >>> share = share_of(8, 8)
        >>> share.share, round(share.lower, 3), share.upper
        (1.0, 0.631, 1.0)
    """
    if num < 1 or not 0 <= count <= num:
        raise ValueError(
            f"{count} of {num} is not a share: give at least one case, and a count from 0 to the number of cases"
        )
    tail = (1 - confidence) / 2
    lower = 0.0 if count == 0 else float(beta.ppf(tail, count, num - count + 1))
    upper = 1.0 if count == num else float(beta.ppf(1 - tail, count + 1, num - count))
    return Share(count / num, lower, upper)


def mean_share(counts: Sequence[tuple[int, int]], confidence: float = 0.95) -> Share:
    """The mean over games of the share in each; all games have the same weight, whatever their numbers of cases.

    The limits combine those of `share_of`: the lower one is m - sqrt(sum over games of (p - l)^2) / G, where m is the
    mean, G the number of games, and p and l are a game's share and its lower limit. The upper one is the mirror image.
    The limits for 95 % cover the true mean in 90 % of cases or more for equal rates from .005 to .99 in two to nine
    games of five to eight seeds, and mostly in more than 92 % (tests).

    Args:
        counts: (cases that have the property, all cases) of each game.
        confidence: level of the limits.

    Returns:
        The mean of the shares, and its limits.

    Raises:
        ValueError: if there are no games, or a count is impossible.

    References:
        G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: A general approach", Statistics
            in Medicine 27, 2008.

    Example:
        >>> mean_share([(8, 8), (0, 8)]).share
        0.5
    """
    if not counts:
        raise ValueError("a mean over games needs at least one game")
    shares = np.array([share_of(count, num, confidence) for count, num in counts])
    share, lower, upper = shares.T
    mean = float(share.mean())
    below, above = np.linalg.norm(share - lower) / len(shares), np.linalg.norm(upper - share) / len(shares)
    return Share(mean, max(0.0, mean - float(below)), min(1.0, mean + float(above)))


@dataclasses.dataclass(frozen=True)
class GameScore:
    """One remedy in one game, over the seeds whose plain run collapses.

    Attributes:
        num: number of these seeds.
        prevented: number of runs without collapse, junk or non-finite values that end with more than half of the modes.
        healthy: number of prevented runs with the outcome "healthy": formed, no onset, and healthy at the end.
        quality: median over the prevented runs of the share of high-quality samples at the end; None if there are none.
        modes: median over the prevented runs of the share of modes that they have at the end; None if there are none.
        steps_per_second: median speed of the game's runs, which advance together: steps of each run per second; None if
            it is unknown.
        device: on which the runs were trained; None if it is unknown.
    """

    num: int
    prevented: int
    healthy: int
    quality: float | None
    modes: float | None
    steps_per_second: float | None
    device: str | None


@dataclasses.dataclass(frozen=True)
class RemedyScore:
    """One remedy over the games that it was tested in.

    Attributes:
        remedy: its name.
        games: its score in each game, by the game's name.
    """

    remedy: str
    games: Mapping[str, GameScore]

    @property
    def prevented(self) -> Share:
        """The mean over the games of the share of collapses prevented, with its 95 % limits; see `mean_share`."""
        return mean_share([(game.prevented, game.num) for game in self.games.values()])

    @property
    def healthy(self) -> Share:
        """The same for runs that are healthy at their end."""
        return mean_share([(game.healthy, game.num) for game in self.games.values()])

    def cost(self, plain: RemedyScore | None) -> float | None:
        """The time of a step relative to the plain run's: the median over the games played on one device by both.

        None if there is no such game. Runs whose device is unknown do not count.
        """
        ratios = [
            other.steps_per_second / game.steps_per_second
            for name, game in self.games.items()
            if plain is not None and (other := plain.games.get(name)) is not None
            if other.steps_per_second and game.steps_per_second and other.device == game.device is not None
        ]
        return float(np.median(ratios)) if ratios else None


def remedy_scores(rows: Sequence[Mapping[str, Any]]) -> list[RemedyScore]:
    """The scores of remedies, from one row for each run.

    Args:
        rows: each with "remedy", "game", "outcome", "cause", "quality", "modes" and "steps_per_second"; and "device",
            without which the row has no part in `cost`.

    Returns:
        One score for each remedy: "plain" first, then by the share prevented, the largest first.

    Example:
        >>> row = {"remedy": "r1", "game": "ring", "outcome": "healthy", "cause": None}
        >>> rows = [row | {"quality": 0.9, "modes": 1.0, "steps_per_second": 100.0}]
        >>> remedy_scores(rows)[0].games["ring"].healthy
        1
    """
    scores = []
    for remedy in dict.fromkeys(row["remedy"] for row in rows):
        own = [row for row in rows if row["remedy"] == remedy]
        games = dict.fromkeys(row["game"] for row in own)
        scores.append(RemedyScore(remedy, {game: _game([row for row in own if row["game"] == game]) for game in games}))
    return sorted(scores, key=lambda one: (one.remedy != "plain", -one.prevented.share, -one.healthy.share))


def _game(rows: Sequence[Mapping[str, Any]]) -> GameScore:
    prevented = [row for row in rows if _is_prevented(row)]
    return GameScore(
        num=len(rows),
        prevented=len(prevented),
        healthy=sum(row["outcome"] == "healthy" for row in prevented),
        quality=_median([row["quality"] for row in prevented]),
        modes=_median([row["modes"] for row in prevented]),
        steps_per_second=rows[0]["steps_per_second"],
        device=rows[0].get("device"),
    )


def _is_prevented(row: Mapping[str, Any]) -> bool:
    return (
        row["outcome"] in _WITHOUT_ONSET
        and row["cause"] != "junk"
        and row["modes"] is not None
        and row["modes"] > _FEW_MODES
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
