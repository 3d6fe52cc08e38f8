"""Does the objective matter for mode collapse? A grouped test of `gan-jax sweep objectives`.

    python benchmarks/objectives.py SWEEP [SWEEP ...]        tables and the answer
    python benchmarks/objectives.py SWEEP --rows FILE        a row per run, as JSON lines
    python benchmarks/objectives.py docs/results/objectives.jsonl      the same from such rows
    python benchmarks/objectives.py SWEEP --only hinge --only minimax      of these and the non-saturating loss alone

Every objective meets the same games with the same seeds: the same first weights, latents and batches. So the outcomes
of a game are a table of objectives by seeds. Three questions are asked of it:

- Do objectives differ at all? Within every seed of every game the outcomes are permuted over the objectives. The
  statistic is the variance of the objectives' shares of failures, summed over the games.
- How much? A two-way analysis of variance without replication gives the variance between objectives, between seeds, and
  what is left, which is chance: how one objective meets one seed. Shares of their sum; negative estimates are 0.
- Which? Each objective is paired with the non-saturating loss over all games and seeds: the exact binomial test of the
  pairs in which only one of the two fails, p by Holm's method over the objectives.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gan_jax.metrics.hazards import holm
from gan_jax.runs.run import SweepRun

BASELINE = "non-saturating"
OTHERS = ("Wasserstein with gradient penalty", "10 % Bernoulli flips")
"""Arms that change more than the objective; they are shown, and no test counts them."""
OUTCOMES = {
    "collapsed": lambda outcome: outcome == "collapsed",
    "failed": lambda outcome: outcome != "healthy",
}
"""What is counted: collapses; or every run that does not cover the data at its end."""
PERMUTATIONS = 9_999


class Shares(NamedTuple):
    """Shares of the variance of an outcome; they sum to 1, or are all NaN if the outcome does not vary."""

    objective: float
    seed: float
    chance: float


def outcome_tables(rows: Sequence[Mapping[str, Any]], counted: str) -> dict[str, dict[str, np.ndarray]]:
    """The outcomes of a sweep's members.

    Args:
        rows: rows of members.jsonl, with the settings "game" and "objective".
        counted: one of `OUTCOMES`.

    Returns:
        Flags [seeds] by game and objective, in the order of the seeds.

    Raises:
        ValueError: if an arm is no objective of a game, an objective lacks a seed, or a game an objective.
    """
    found: dict[str, dict[str, dict[int, bool]]] = {}
    for row in rows:
        settings = row["settings"]
        if not {"game", "objective"} <= settings.keys():
            raise ValueError("the arms have no game and objective: give folders of `gan-jax sweep objectives`")
        at = found.setdefault(settings["game"], {}).setdefault(settings["objective"], {})
        at[row["seed"]] = OUTCOMES[counted](row["verdict"]["outcome"])
    if len({(*objectives,) for objectives in found.values()}) > 1:
        raise ValueError("the games do not have the same objectives: run all arms of a game")
    for game, objectives in found.items():
        if len({(*sorted(seeds),) for seeds in objectives.values()}) > 1:
            raise ValueError(f"the objectives of {game!r} do not have the same seeds: wait until all runs have ended")
    return {
        game: {name: np.array([seeds[seed] for seed in sorted(seeds)]) for name, seeds in objectives.items()}
        for game, objectives in found.items()
    }


def matrix(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """The flags of the tested objectives as numbers [objectives, seeds]."""
    return np.array([flags for name, flags in table.items() if name not in OTHERS], float)


def variance_shares(tables: Sequence[np.ndarray]) -> Shares:
    """Components of variance, estimated from mean squares and averaged over games.

    Args:
        tables: outcomes [objectives, seeds] of each game.
    """
    totals = np.zeros(3)
    for table in tables:
        objectives, seeds = table.shape
        mean, of_objective, of_seed = table.mean(), table.mean(1, keepdims=True), table.mean(0, keepdims=True)
        rest = ((table - of_objective - of_seed + mean) ** 2).sum() / ((objectives - 1) * (seeds - 1))
        between = seeds * ((of_objective - mean) ** 2).sum() / (objectives - 1)
        across = objectives * ((of_seed - mean) ** 2).sum() / (seeds - 1)
        totals += max(between - rest, 0) / seeds, max(across - rest, 0) / objectives, rest
    return Shares(*(totals / totals.sum())) if totals.sum() > 0 else Shares(math.nan, math.nan, math.nan)


def shares_interval(tables: Sequence[np.ndarray]) -> tuple[float, float]:
    """95 % interval of the objectives' share, by a jackknife that leaves out one seed of one game at a time.

    Bootstrap samples of seeds would repeat seeds, so that chance looks smaller than it is.
    """
    variance, num_seeds = 0.0, sum(table.shape[1] for table in tables)
    for index, table in enumerate(tables):
        num = table.shape[1]
        without = [
            variance_shares([*tables[:index], np.delete(table, seed, axis=1), *tables[index + 1 :]]).objective
            for seed in range(num)
        ]
        variance += (num - 1) / num * float(np.sum((np.array(without) - np.mean(without)) ** 2))
    half = float(stats.t.ppf(0.975, num_seeds - len(tables))) * math.sqrt(variance)
    share = variance_shares(tables).objective
    return max(share - half, 0.0), min(share + half, 1.0)


def permutation_p(tables: Sequence[np.ndarray], num: int = PERMUTATIONS, seed: int = 0) -> float:
    """The p value of "the objectives do not differ": outcomes are permuted over objectives within each seed."""
    rng = np.random.default_rng(seed)

    def statistic(these: Sequence[np.ndarray]) -> Any:
        return sum(table.mean(-1).var(-1) for table in these)

    observed = statistic(tables)
    permuted = statistic([rng.permuted(np.broadcast_to(table, (num, *table.shape)), axis=1) for table in tables])
    return float((1 + np.sum(permuted >= observed - 1e-12)) / (1 + num))


def paired_p(own: np.ndarray, baseline: np.ndarray) -> float:
    """The exact two-sided p of two paired series of flags: a binomial test of the pairs that differ."""
    more, fewer = int((own & ~baseline).sum()), int((~own & baseline).sum())
    return float(stats.binomtest(more, more + fewer).pvalue) if more + fewer else 1.0


def answer(tables: Mapping[str, Mapping[str, np.ndarray]], counted: str) -> str:
    """The test's result in two sentences: over the games where the baseline fails, and over the others."""
    fails = {game for game, table in tables.items() if table[BASELINE].mean() >= 0.5}
    sentences = []
    for these, words in ((fails, "where the non-saturating loss fails"), (set(tables) - fails, "where it does not")):
        if not these:
            continue
        chosen = [matrix(tables[game]) for game in tables if game in these]
        shares, (low, high) = variance_shares(chosen), shares_interval(chosen)
        named = " and ".join(game for game in tables if game in these)
        if math.isnan(shares.objective):
            sentences.append(f"On the games {words} ({named}), no outcome differs")
            continue
        sentences.append(
            f"On the games {words} ({named}), the objective explains {100 * shares.objective:.0f} % of the variance of "
            f"'{counted}' (95 % {100 * low:.0f} to {100 * high:.0f}), the seed {100 * shares.seed:.0f} %, chance "
            f"{100 * shares.chance:.0f} %; permutation p = {permutation_p(chosen):.2g}"
        )
    return ". ".join(sentences) + "."


def table_text(tables: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A Markdown table: for each objective the failures by game, and how it compares with the baseline."""
    first = next(iter(tables.values()))
    joined = {name: np.concatenate([table[name] for table in tables.values()]) for name in first}
    compared = {
        name: paired_p(flags, joined[BASELINE]) for name, flags in joined.items() if name not in (*OTHERS, BASELINE)
    }
    adjusted = holm(compared)
    lines = [f"| objective | {' | '.join(tables)} | all | p (Holm) |", "|---" * (len(tables) + 3) + "|"]
    for name, flags in joined.items():
        counts = [f"{int(table[name].sum())} of {len(table[name])}" for table in tables.values()]
        p = f"{adjusted[name]:.2g}" if name in adjusted else "–"
        lines.append(f"| {name} | {' | '.join(counts)} | {int(flags.sum())} of {len(flags)} | {p} |")
    return "\n".join(lines)


def run_rows(sweep: SweepRun) -> list[dict[str, Any]]:
    """A row per run: game, objective, seed, outcome, onset, last metrics of the detector."""
    rows = []
    for row in sweep.rows:
        verdict, last = row["verdict"], row["last"]
        rows.append(
            {
                **row["settings"],
                "seed": row["seed"],
                "outcome": verdict["outcome"],
                "when": verdict.get("when"),
                "onset_step": verdict["onset_step"],
                "formed_step": verdict["formed_step"],
                "last_step": row["last_step"],
                "evaluation": last.get("running") or last.get("batch"),
            }
        )
    return rows


def stored_members(path: Path) -> list[dict[str, Any]]:
    """The members of a sweep from a file that --rows wrote, as far as the tests need them."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        {
            "settings": {"game": row["game"], "objective": row["objective"]},
            "seed": row["seed"],
            "verdict": {"outcome": row["outcome"]},
        }
        for row in rows
    ]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, nargs="+", help="folder of `gan-jax sweep objectives`")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="also write a row per run, as JSON lines")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this objective; may be repeated")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    chosen = {BASELINE, *(options.only or ())}
    try:
        stored = [stored_members(Path(name)) for name in options.sweep if Path(name).is_file()]
        if stored and (options.rows is not None or len(options.sweep) > 1):
            parser.error(
                "a file of rows is read alone, and --rows makes one from a sweep: give one file, without --rows"
            )
        sweep = None if stored else SweepRun(*options.sweep)
        members = stored[0] if sweep is None else sweep.rows
        known = {row["settings"].get("objective") for row in members}
        if options.only and (unknown := chosen - known):
            parser.error(f"--only: no objective {min(unknown)!r} in these folders")
        rows = [row for row in members if not options.only or row["settings"]["objective"] in chosen]
        found = {counted: outcome_tables(rows, counted) for counted in OUTCOMES}
    except ValueError as error:
        parser.error(str(error))
    for counted, tables in found.items():
        print(f"{counted}\n\n{table_text(tables)}\n\n{answer(tables, counted)}\n")
    if options.rows is not None and sweep is not None:
        options.rows.write_text("".join(json.dumps(row) + "\n" for row in run_rows(sweep)), encoding="utf-8")


if __name__ == "__main__":
    main()
