"""The scores of remedies on CollapseBench as a table and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan_jax.metrics.prevention import RemedyScore, Share
from gan_jax.reports.text_tables import text_table

_COLUMNS = """prevented: share of known collapses in place of which there is no collapse, no junk, no non-finite value,
  and more than half of the modes at the end; mean over games
healthy: share of known collapses in place of which the run ends healthy, with well-made samples of most modes; mean
  over games
quality, modes: share of well-made samples, and of the modes, at the end of the prevented runs
time: time of a step relative to the plain games, if `plain` was played here on the same device
cell of a game: prevented / known"""


def bench_rows(scores: Sequence[RemedyScore], games: Sequence[str]) -> list[list[str]]:
    """A head row, and one row per remedy.

    Args:
        scores: the scores, in the order of `remedy_scores`.
        games: the names of all games, in order.

    Returns:
        The cells of each row.
    """
    head = ["remedy", "prevented (95 %)", "healthy (95 %)", "quality", "modes", "time", *games]
    return [head, *(_row(one, scores, games) for one in scores)]


def _row(one: RemedyScore, scores: Sequence[RemedyScore], games: Sequence[str]) -> list[str]:
    cost = one.cost(_plain(scores))
    cells = [one.games.get(name) for name in games]
    return [
        one.remedy,
        _share(one.prevented),
        _share(one.healthy),
        _mean([game.quality for game in one.games.values()]),
        _mean([game.modes for game in one.games.values()]),
        "–" if cost is None else f"{cost:.2g}",
        *("–" if game is None else f"{game.prevented}/{game.num}" for game in cells),
    ]


def _plain(scores: Sequence[RemedyScore]) -> RemedyScore | None:
    return next((one for one in scores if one.remedy == "plain"), None)


def _share(share: Share) -> str:
    return f"{share.share:.0%} ({share.lower:.0%} to {share.upper:.0%})".replace("%", " %")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.0%}".replace("%", " %") if known else "–"


def bench_table(scores: Sequence[RemedyScore], known: Mapping[str, Any]) -> str:
    """The table for the terminal.

    Args:
        scores: the scores, in the order of `remedy_scores`.
        known: the result of `known_collapses`.

    Returns:
        The table, the meaning of its columns, and the share that chance alone would prevent.
    """
    games = list(known["games"])
    rates = [f"{name} {len(game['collapses'])} of {game['tried']}" for name, game in known["games"].items()]
    lines = [
        text_table(bench_rows(scores, games)),
        _COLUMNS,
        f"other random numbers alone would prevent at most {chance(known):.0%}: ".replace("%", " %")
        + f"the plain games collapse with {', '.join(rates)} seeds",
    ]
    missing = {one.remedy: [name for name in games if name not in one.games] for one in scores}
    lines += [f"{remedy} has no scores yet in {', '.join(names)}" for remedy, names in missing.items() if names]
    return "\n".join(lines)


def chance(known: Mapping[str, Any]) -> float:
    """The mean over games of the share of seeds that do not collapse without a remedy.

    That other random numbers prevent a collapse is at most as likely: a seed without a collapse may also end as junk,
    or with few modes.
    """
    return float(np.mean([1 - len(game["collapses"]) / game["tried"] for game in known["games"].values()]))


def bench_json(scores: Sequence[RemedyScore], known: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as values for JSON."""
    return {
        "chance": chance(known),
        "remedies": [
            {
                "remedy": one.remedy,
                "prevented": one.prevented._asdict(),
                "healthy": one.healthy._asdict(),
                "time": one.cost(_plain(scores)),
                "games": {name: dataclasses.asdict(game) for name, game in one.games.items()},
            }
            for one in scores
        ],
    }
