"""The results book, docs/results.md: every published number beside ours, from the rows in docs/results.

    python -m website.book              writes docs/results.md
    python -m website.book --check      fails if the file is not what would be written

`docs/results/published.json` holds the published numbers, section by section. `docs/results/studies.json` says of each
of our studies which file has its rows and in which format, its command, commit, machine and versions, whether it has
the published size, and if not, what differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import t  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
BOOK = ROOT / "docs" / "results.md"

REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_YET = "reproduced", "partly", "not reproduced", "not yet at full size"


MIN_RUNS = 3
"""Fewer runs get no interval: Student's factor for two is 12.7."""


class Estimate(NamedTuple):
    """A mean over runs, in the unit of its column.

    Attributes:
        mean: over the runs.
        low: lower end of the 95 % interval; None if there are too few runs.
        high: upper end.
        num_runs: number of runs.
        censored: whether the mean is a lower bound, since runs ended before the event.
        num_events: number of runs that had the event; None for other metrics.
    """

    mean: float
    low: float | None
    high: float | None
    num_runs: int
    censored: bool = False
    num_events: int | None = None


Found = dict[tuple[str | None, str], Estimate]
"""Our numbers, by (arm, metric)."""


def estimate(values: list[float], *, censored: bool = False) -> Estimate:
    """The mean of independent runs with Student's 95 % interval.

    Args:
        values: one for each run; at least one.
        censored: whether a value is only a lower bound.
    """
    num = len(values)
    mean = math.fsum(values) / num
    if num < MIN_RUNS or censored:
        return Estimate(mean, None, None, num, censored)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (num - 1) / num)
    half = float(t.ppf(0.975, num - 1)) * error
    return Estimate(mean, mean - half, mean + half, num)


def from_error(mean: float, standard_error: float | None, num: int) -> Estimate:
    """An estimate of which only the mean and its standard error were stored."""
    if standard_error is None or num < MIN_RUNS:
        return Estimate(mean, None, None, num)
    half = float(t.ppf(0.975, num - 1)) * standard_error
    return Estimate(mean, mean - half, mean + half, num)


def estimates(study: dict[str, Any]) -> Found:
    """Our numbers of a study, by (arm, metric); none if it has no rows yet."""
    if study.get("file") is None:
        return {}
    return _FORMATS[study["format"]](study)


def _members(study: dict[str, Any]) -> Found:
    """Rows of a sweep's members.csv: the epoch of the first failure, or the length of a run without one."""
    epochs: dict[str, list[tuple[float, bool]]] = {}
    with (RESULTS / study["file"]).open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            onset = row["verdict.onset_step"]
            step = float(onset or row["last_step"])
            epochs.setdefault(row["arm"], []).append((step / study["steps_per_epoch"], not onset))
    return {
        (arm, "onset_epoch"): estimate(
            [value for value, _ in seen], censored=any(open_end for _, open_end in seen)
        )._replace(num_events=sum(not open_end for _, open_end in seen))
        for arm, seen in epochs.items()
    }


def _sweep(study: dict[str, Any]) -> Found:
    """Stored sweeps: members.jsonl has the last evaluation of each run, grid.jsonl its modes by other rules."""
    values: dict[tuple[str | None, str], list[float]] = {}
    for folder in (RESULTS / name for name in files_of(study)):
        latest = {row["member"]: row for row in _lines(folder / "members.jsonl")}
        for row in latest.values():
            seen = row["last"].get("running") or row["last"]["batch"]
            for metric, unit in (("modes", 1), ("modes_any", 1), ("high_quality", 100), ("kl", 1)):
                if seen.get(metric) is not None:
                    values.setdefault((row["arm"], metric), []).append(unit * seen[metric])
        if (folder / "grid.jsonl").exists():
            cells = {
                (row["arm"], row["seed"], row["confidence"], row["count"]): row for row in _lines(folder / "grid.jsonl")
            }
            for row in cells.values():
                metric = f"modes, p >= {row['confidence']:g}, count >= {row['count']}"
                values.setdefault((row["arm"], metric), []).append(row["modes"])
    return {(arm, metric): estimate(found) for (arm, metric), found in values.items()}


def _arms(study: dict[str, Any]) -> Found:
    """Rows of one arm each, with means and standard errors."""
    found: Found = {}
    for row in _rows(study):
        for metric, name, unit in (("modes_any", "modes", 1), ("high_quality", "high_quality", 100)):
            if row[name] is not None:
                error = row[f"{name}_se"]
                scaled = None if error is None else unit * error
                found[row["arm"], metric] = from_error(unit * row[name], scaled, row["seeds"])
    return found


def _evaluations(study: dict[str, Any]) -> Found:
    """Rows of one arm each, with the last evaluation of each seed."""
    found: Found = {}
    for row in _rows(study):
        for metric, unit in (("modes_any", 1), ("high_quality", 100), ("kl", 1)):
            values = [unit * seen["batch"][metric] for seen in row["evaluation"]]
            found[row["arm"], metric] = estimate(values)
    return found


def _means(study: dict[str, Any]) -> Found:
    """Rows of one arm each, with pairs of mean and standard error of D's accuracies."""
    return {
        (row["arm"], metric): from_error(100 * pair[0], None if pair[1] is None else 100 * pair[1], row["seeds"])
        for row in _rows(study)
        for metric, pair in (("train", row["end"]["train_batch"]), ("held_out", row["end"]["held_out_batch"]))
    }


def _rates(study: dict[str, Any]) -> Found:
    """Rows of one rule each on the bilinear game, which has no chance in it."""
    rows = (row for row in _rows(study) if row.get("game") == "bilinear" and row["learning_rate"] == 0.1)
    return {(row["rule"], "rate"): Estimate(row["rate"], row["rate"], row["rate"], 1) for row in rows}


_FORMATS: dict[str, Callable[[dict[str, Any]], Found]] = {
    "members": _members,
    "arms": _arms,
    "sweep": _sweep,
    "evaluations": _evaluations,
    "means": _means,
    "rates": _rates,
}


def files_of(study: dict[str, Any]) -> list[str]:
    """The files or folders of a study's rows, relative to docs/results; several for a study of several sweeps."""
    names = study["file"] or []
    return names if isinstance(names, list) else [names]


def _rows(study: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return _lines(RESULTS / study["file"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def judged(
    published: tuple[float, float | None],
    ours: Estimate | None,
    *,
    full_size: bool,
    baseline: tuple[float, Estimate] | None = None,
    tolerance: float = 0.005,
) -> str:
    """One word on a published number.

    Args:
        published: the number and its standard error, if it is known.
        ours: our estimate.
        full_size: whether our runs have the published size.
        baseline: the published number and our estimate of the section's first row.
        tolerance: by which two numbers without an error may differ, as a share of the published one.

    Returns:
        `reproduced` if the 95 % intervals overlap; `partly` if not, but our number differs from the baseline's in the
        same direction and the two intervals of ours do not overlap; `not reproduced` otherwise; `not yet at full size`
        if there are fewer than three runs of the published size.
    """
    if ours is None or not full_size or ours.censored or ours.low is None or ours.high is None:
        return NOT_YET
    value, error = published
    margin = 1.96 * error if error is not None else tolerance * abs(value)
    low, high = ours.low, ours.high
    if low <= value + margin and high >= value - margin:
        return REPRODUCED
    if baseline is not None:
        there, here = baseline
        apart = here.low is not None and here.high is not None and (low > here.high or high < here.low)
        if apart and (value - there) * (ours.mean - here.mean) > 0:
            return PARTLY
    return NOT_REPRODUCED


def number(value: float) -> str:
    """A number of ours with four significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def book() -> str:
    """The whole text of docs/results.md."""
    sections = json.loads((RESULTS / "published.json").read_text(encoding="utf-8"))
    studies = json.loads((RESULTS / "studies.json").read_text(encoding="utf-8"))
    made = [_section(section, studies.get(section["study"] or "")) for section in sections]
    words = [word for _, of_section in made for word in of_section]
    tally = ", ".join(f"{words.count(word)} {word}" for word in (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_YET))
    head = (
        (Path(__file__).parent / "book_head.md")
        .read_text(encoding="utf-8")
        .replace("TALLY", f"{len(words)} numbers: {tally}")
    )
    return "\n\n".join([head.rstrip("\n"), *(text for text, _ in made)]) + "\n"


def _section(section: dict[str, Any], study: dict[str, Any] | None) -> tuple[str, list[str]]:
    ours = {} if study is None else estimates(study)
    full_size = study is not None and study["full_size"]
    heads = [part for _, label, _ in section["columns"] for part in (f"{label}: published", "here (95 %)")]
    rows = [["", *heads, "judgement"], ["---"] * (len(heads) + 2)]
    words: list[str] = []
    for method, arm, *published in section["rows"]:
        cells, of_row = [method], []
        for column, (metric, _, bounds) in enumerate(section["columns"]):
            mine = ours.get((arm, metric))
            of_row.append(_word(section, column, arm, published[column], ours, full_size=full_size))
            cells += [_published(*published[column]), "–" if mine is None else shown(mine, bounds)]
        rows.append([*cells, of_row[0] if len(set(of_row)) == 1 else ", ".join(of_row)])
        words += of_row
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    about = f" {section['about']}" if section["about"] else ""
    own = {key: found for key, found in ours.items() if key[1] in {metric for metric, _, _ in section["columns"]}}
    text = f"## {section['title']}\n\nPublished: {section['source']}.{about}\n\n{table}\n\n{_origin(study, own)}"
    return text, words


def _word(
    section: dict[str, Any],
    column: int,
    arm: str | None,
    published: tuple[float | str, float | None],
    ours: Found,
    *,
    full_size: bool,
) -> str:
    value, error = published
    if isinstance(value, str):  # "70+", "diverges": there is nothing to compare a mean with
        return NOT_YET
    metric = section["columns"][column][0]
    _, first_arm, *first = section["rows"][0]
    there, here = first[column][0], ours.get((first_arm, metric))
    baseline = None if here is None or isinstance(there, str) or first_arm == arm else (there, here)
    tolerance = section.get("tolerance", 0.005)
    return judged((value, error), ours.get((arm, metric)), full_size=full_size, baseline=baseline, tolerance=tolerance)


def _published(value: float | str, error: float | None) -> str:
    return str(value) if error is None else f"{value} ± {error}"


def shown(ours: Estimate, bounds: tuple[float | None, float | None] | None = None) -> str:
    """An estimate as the book prints it.

    Args:
        ours: the estimate.
        bounds: smallest and largest possible value of the metric; the interval is cut off there.
    """
    text = f"over {number(ours.mean)}" if ours.censored else number(ours.mean)
    if ours.censored and ours.num_events is not None:
        text += f" ({ours.num_events} of {ours.num_runs} failed)"
    if ours.low is None or ours.high is None or ours.low == ours.high:
        return text
    low, high = ours.low, ours.high
    if bounds is not None:
        smallest, largest = bounds
        low = low if smallest is None else max(low, smallest)
        high = high if largest is None else min(high, largest)
    return f"{text} ({number(low)} to {number(high)})"


def _origin(study: dict[str, Any] | None, ours: Found) -> str:
    if study is None:
        return "Here: no config of this size yet."
    if not ours:
        return f"Here: not run yet. `{study['command']}`"
    counts = sorted({found.num_runs for found in ours.values()})
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    plural = "run" if counts == [1] else "runs"
    where = f"commit {study['commit']}, " if "commit" in study else ""
    text = (
        f"Here: {runs} {plural} per row, `{study['command']}` ({where}{study['machine']}, {study['versions']}); "
        f"rows in {', '.join(f'[{name}](results/{name})' for name in files_of(study))}."
    )
    return text if study["full_size"] else f"{text} Not the published size: {study['differs']}."


def main() -> None:
    """Writes or checks docs/results.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file differs")
    text = book()
    if parser.parse_args().check:
        if BOOK.read_text(encoding="utf-8") != text:
            sys.exit("docs/results.md is not what its rows give: run `python -m website.book`")
        return
    BOOK.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
