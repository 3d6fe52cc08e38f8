"""The first and the last samples of runs side by side, each with the classes or modes of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from gan_jax.reports.html_parts import render_template
from gan_jax.reports.page_pictures import fit_all
from gan_jax.runs.stored_shapes import is_number

_COUNTED = {"class": "class_share", "mode": "counts"}
"""What is counted: the metric with the shares, by the word for it."""
_MOST_NAMED = 5
_LEAST_SHARE = 0.02
"""Smallest share of the samples with which a class is named."""


class Pictured(NamedTuple):
    """The pictures of a run.

    Attributes:
        name: the name of the run, in alternative texts.
        sentence: text under its pictures.
        pictures: the files by step, in order; the first and the last are shown.
        evaluation: returns the metrics of the evaluation at a step, as in metrics.jsonl; {} if there is none.
    """

    name: str
    sentence: str
    pictures: Mapping[int, Path]
    evaluation: Callable[[int], Mapping[str, Any]]


def shares_words(evaluation: Mapping[str, Any]) -> str:
    """The classes or modes of samples in words, from the largest share down.

    Args:
        evaluation: metrics of one evaluation, by name.

    Returns:
        The words; "" if neither classes nor modes were counted.

    Example:
        >>> shares_words({"class_share": [0.0, 0.25, 0.75], "junk": 0.1})
        'junk 10 %; the others: class 2 75 %, 1 25 %'
        >>> shares_words({"counts": [90, 0, 10], "high_quality": 0.8})
        'not well made 20 %; the others: mode 0 90 %, 2 10 %'
    """
    kind, name = next((pair for pair in _COUNTED.items() if _are_numbers(evaluation.get(pair[1]))), ("", ""))
    if not kind:
        return ""
    shares, junk, quality = evaluation[name], evaluation.get("junk", ""), evaluation.get("high_quality", "")
    rest = ""
    if is_number(junk):
        rest = f"junk {100 * junk:.0f} %"
    elif is_number(quality):
        rest = f"not well made {100 * (1 - quality):.0f} %"
    total = sum(shares)
    if not total:
        return rest
    largest = sorted(range(len(shares)), key=lambda index: -shares[index])
    named = [index for index in largest if shares[index] / total >= _LEAST_SHARE]
    words = [f"{index} {100 * shares[index] / total:.0f} %" for index in named[:_MOST_NAMED]]
    if len(named) > _MOST_NAMED:
        words.append(f"{len(named) - _MOST_NAMED} more")
    return "; ".join(filter(None, [rest, f"{'the others: ' if rest else ''}{kind} {', '.join(words)}"]))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_number, value))


def sample_pairs(groups: Mapping[str, Sequence[Pictured]], room: float, note: str) -> Markup | None:
    """The first and the last picture of each run, in groups.

    Args:
        groups: runs by the heading of their group; no heading is shown for "".
        room: bytes of the page that the pictures may take.
        note: text above them.

    Returns:
        HTML; empty if no picture can be read, None if the pictures do not fit.
    """
    chosen = [
        (group, run, step)
        for group, runs in groups.items()
        for run in runs
        for step in dict.fromkeys([*run.pictures][:1] + [*run.pictures][-1:])
    ]
    addresses = fit_all([run.pictures[step] for _, run, step in chosen], room)
    if addresses is None:
        return None
    shown: dict[str, dict[int, tuple[Pictured, list[tuple[str, str, str]]]]] = {}
    for (group, run, step), address in zip(chosen, addresses, strict=True):
        if address:
            words = shares_words(run.evaluation(step))
            caption = (f"step {step:,}" + (f": {words}" if words else "")).replace(" %", "\N{NO-BREAK SPACE}%")
            _, pictures = shown.setdefault(group, {}).setdefault(id(run), (run, []))
            pictures.append((f"{run.name}, step {step:,}: {run.sentence}", address, caption))
    if not shown:
        return Markup()
    listed = [(group, [(run.sentence, pictures) for run, pictures in runs.values()]) for group, runs in shown.items()]
    return render_template("pairs", note=note, groups=listed)
