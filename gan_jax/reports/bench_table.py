"""The scores of remedies on CollapseBench as text and Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gan_jax.metrics.prevention import Share
from gan_jax.reports.text_tables import text_table
from gan_jax.runs.collapsebench import BenchScore


def bench_rows(scores: Sequence[BenchScore]) -> list[list[str]]:
    """A head, then a row a remedy, from the largest share prevented down; the plain games first.

    Args:
        scores: of the remedies; that named "plain" gives the cost of the others.

    Returns:
        Cells.
    """
    plain = next((one for one in scores if one.remedy == "plain"), None)
    games = list(dict.fromkeys(name for one in scores for name in (*one.games, *one.missing)))
    ordered = sorted(scores, key=lambda one: (one is not plain, -one.share.share, -one.covered.share))
    head = ["remedy", "prevented (95 %)", "holds the data (95 %)", "quality", "modes", "time a step", *games]
    return [head, *(_row(one, plain, games) for one in ordered)]


def _row(one: BenchScore, plain: BenchScore | None, games: Sequence[str]) -> list[str]:
    cost = one.cost(plain)
    cells = []
    for name in games:
        game = one.games.get(name)
        cells.append("–" if game is None else f"{game.prevented}/{game.num}")
    return [
        one.remedy,
        _share(one.share),
        _share(one.covered),
        _mean([game.quality for game in one.games.values()]),
        _mean([game.modes for game in one.games.values()]),
        "–" if cost is None else f"{cost:.2g}",
        *cells,
    ]


def _share(share: Share) -> str:
    return f"{share.share:.0%} ({share.lower:.0%} to {share.upper:.0%})".replace("%", " %")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.0%}".replace("%", " %") if known else "–"


def bench_table(scores: Sequence[BenchScore]) -> str:
    """The rows as lines for the terminal, with what the columns mean."""
    lines = [
        text_table(bench_rows(scores)),
        "prevented: known collapses without any collapse, junk or value that is not finite; the mean over the games",
        "holds the data: of all known collapses, runs that formed and kept the data; quality and modes: of the prevented runs",
        "time a step: in that of the plain games, if `gan-jax bench plain` ran here; a game's cell: prevented / known",
    ]
    lines += [f"{one.remedy} is missing in {', '.join(one.missing)}" for one in scores if one.missing]
    return "\n".join(lines)


def bench_json(scores: Sequence[BenchScore]) -> list[dict[str, Any]]:
    """The scores for JSON."""
    plain = next((one for one in scores if one.remedy == "plain"), None)
    return [
        {
            "remedy": one.remedy,
            "prevented": one.share._asdict(),
            "holds_data": one.covered._asdict(),
            "cost": one.cost(plain),
            "missing": list(one.missing),
            "games": {
                name: {**dataclasses.asdict(game), "share": game.share._asdict()} for name, game in one.games.items()
            },
        }
        for one in scores
    ]
