"""One sentence per arm: how many of its runs collapsed, when, and the test of its difference from the baseline."""

from __future__ import annotations

from typing import Any

from gan_jax.metrics.survival import COLLAPSES

_SMALLEST_P = 1e-9
"""A smaller p is written as "p < 1e-9"."""


def arm_sentences(statistics: dict[str, Any], unit: str, per_unit: float) -> list[str]:
    """A sentence for each arm against the baseline, ordered by p and number of collapses; for a single arm, its own.

    Arms in which most runs never formed, fell to junk or became non-finite come last: they did not collapse either, and
    are no better for it.

    Args:
        statistics: the result of `sweep_statistics`.
        unit: the unit of the times: "step" or "epoch".
        per_unit: steps of one unit.

    Returns:
        Sentences such as "rate=0.1: 0 of 33 collapsed; rate=0.0: 31 of 33, median at 3,000 steps; log-rank p < 1e-9".
    """
    arms, baseline = statistics["arms"], statistics["pairwise"]["baseline"]
    against = {name: other for name, other in statistics["pairwise"]["against"].items() if name in arms}
    of_baseline = f"{baseline}: {_counted(arms[baseline], unit, per_unit, 'collapsed')}"
    if not against:
        return [of_baseline]
    short = f"{baseline}: {_counted(arms[baseline], unit, per_unit, '')}"
    made: list[tuple[tuple[bool, float, int], str]] = []
    for name, other in against.items():
        p, several = other["p_holm"], len(against) > 1
        correction = f" (Holm's correction for {len(against)} arms)" if several else ""
        test = "" if p is None else f"; log-rank {_p_words(p)}{correction}"
        sentence = f"{name}: {_counted(arms[name], unit, per_unit, 'collapsed')}; {short}{test}"
        useless = 2 * sum(_other_ends(arms[name]).values()) > arms[name]["num_runs"]
        made.append(((useless, 1.0 if p is None else p, _num_collapsed(arms[name])), sentence))
    return [sentence for _, sentence in sorted(made, key=lambda pair: pair[0])]


def _counted(arm: dict[str, Any], unit: str, per_unit: float, verb: str) -> str:
    words = " ".join(filter(None, [f"{_num_collapsed(arm)} of {arm['num_runs']}", verb]))
    others = _other_ends(arm)
    named = ", ".join(f"{num} {kind}" for kind, num in others.items() if num)
    median = arm["median"]
    if median is not None and _num_collapsed(arm):
        words += f", median at {median / per_unit:,.{0 if per_unit == 1 else 1}f} {unit}s"
    return words + (f" (and {named})" if named else "")


def _other_ends(arm: dict[str, Any]) -> dict[str, int]:
    """The numbers of runs that neither collapsed nor learned, by what became of them."""
    failures = {kind: num for kind, num in arm["num_events"].items() if kind not in COLLAPSES}
    return {**failures, "never formed": arm["num_never_formed"]}


def _num_collapsed(arm: dict[str, Any]) -> int:
    return sum(arm["num_events"].get(kind, 0) for kind in COLLAPSES)


def _p_words(p: float) -> str:
    return f"p < {_SMALLEST_P:.0e}".replace("e-0", "e-") if p < _SMALLEST_P else f"p = {p:.2g}"
