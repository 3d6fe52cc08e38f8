"""The result of `gan-jax diagnose forgetting` in words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_jax.reports.figures import FAKE, REAL, new_figure
from gan_jax.reports.text_tables import text_table


def successive(result: dict[str, Any], kind: str, what: str) -> list[float | None]:
    """Entries of the cosine matrix between each checkpoint and the one before it.

    Args:
        result: the result of the diagnosis.
        kind: the kind of the points, "real" or "fake".
        what: "mean" or "reversed_share".

    Returns:
        One number for each checkpoint but the first.
    """
    matrix = result["gradient_cosines"][kind][what]
    return [matrix[i + 1][i] for i in range(len(matrix) - 1)]


def sentence(result: dict[str, Any]) -> str:
    """The result over the whole run in a sentence."""
    gap = np.mean(np.diff(result["steps"]))
    reversed_share, cosine = (
        {kind: _mean(successive(result, kind, what)) for kind in result["gradient_cosines"]}
        for what in ("reversed_share", "mean")
    )
    text = f"From one checkpoint to the next ({gap:,.0f} steps on average) D's gradient "
    if None in reversed_share.values():
        text += "has no cosine: it is 0 at all points of a kind"
    else:
        text += (
            f"reverses at {reversed_share['real']:.0%} of the real and {reversed_share['fake']:.0%} of the fake "
            f"points (mean cosine {cosine['real']:.2f} and {cosine['fake']:.2f})"
        )
    if result["has_decision_threshold"]:
        ages, by_age = result["age_steps"], result["accuracy_by_age"]
        text += (
            f"; D rejects {by_age[0]:.0%} of the current fakes and {by_age[-1]:.0%} of the fakes from "
            f"{ages[-1]:,.0f} steps before, and accepts {_mean(result['real_accuracy']):.0%} of the real examples"
        )
    if "modes_seen" in result:
        text += f"; at the end it has a peak at {result['modes_seen'][-1]} of {result['num_modes']} modes"
    return text + "."


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint, and one for each start and lag."""
    steps = result["steps"]
    head = ["step", "cosine real", "fake", "reversed real", "fake", "rejects own fakes", "the oldest", "accepts real"]
    rows = [[*head, f"modes seen of {result['num_modes']}"] if "modes_seen" in result else head]
    for index, step in enumerate(steps):
        cosines = [
            _cell(successive(result, kind, what)[index - 1] if index else None, form)
            for what, form in (("mean", "{:+.2f}"), ("reversed_share", "{:.0%}"))
            for kind in ("real", "fake")
        ]
        accuracy = result["accuracy"][index]
        cells = [accuracy[index], accuracy[0] if index else None, result["real_accuracy"][index]]
        row = [f"{step:,}", *cosines, *(_cell(cell, "{:.0%}") for cell in cells)]
        rows.append([*row, str(result["modes_seen"][index])] if "modes_seen" in result else row)
    lags = [["from step", "steps on", "cosine real", "fake", "reversed real", "fake"]]
    lags += [
        [
            f"{row['step']:,}",
            f"{row['lag']:,}",
            *(_cell(row[kind]["mean"], "{:+.2f}") for kind in ("real", "fake")),
            *(_cell(row[kind]["reversed_share"], "{:.0%}") for kind in ("real", "fake")),
        ]
        for row in result["lags"]
    ]
    notes = [
        f"{result['score']}; {result['num_probes']} points; each row against the checkpoint before it",
        "unrelated directions have cosine 0 and are reversed half of the time",
    ]
    return "\n".join([text_table(rows), "", "from step to step", text_table(lags), *notes])


def figure(result: dict[str, Any]) -> Any:
    """Cosines between all checkpoints at real and fake points, reversed shares, accuracy by the age of fakes."""
    made = new_figure(13.0, 3.9)
    panels = made.subplots(1, 4, width_ratios=(1, 1, 1.15, 1.15))
    steps = result["steps"]
    ticks = range(0, len(steps), max(1, len(steps) // 5))
    for axes, kind in zip(panels, ("real", "fake"), strict=False):
        values = np.array(result["gradient_cosines"][kind]["mean"], float)
        shading = axes.imshow(values, vmin=-1, vmax=1, cmap="RdBu", origin="lower")
        axes.set_xticks(ticks, [f"{steps[i]:,}" for i in ticks], rotation=45, fontsize=7)
        axes.set_yticks(ticks, [f"{steps[i]:,}" for i in ticks], fontsize=7)
        axes.set_title(f"cosine of dD/dx, {kind} points", fontsize=9)
    made.colorbar(shading, ax=list(panels[:2]), shrink=0.7, pad=0.02)
    _draw_reversals(panels[2], result)
    _draw_accuracies(panels[3], result)
    for axes in panels[2:]:
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    return made


def _draw_reversals(axes: Any, result: dict[str, Any]) -> None:
    steps = result["steps"]
    for kind, colour in (("real", REAL), ("fake", FAKE)):
        shares = np.array(successive(result, kind, "reversed_share"), float)
        axes.plot(steps[1:], shares, "o-", color=colour, markersize=3.5, label=f"{kind} points")
    axes.axhline(0.5, color="gray", linestyle=":", linewidth=1, label="unrelated gradients")
    if "modes_seen" in result:
        share = [seen / result["num_modes"] for seen in result["modes_seen"]]
        axes.plot(steps, share, "^--", color="#868e96", markersize=3.5, label="share of modes seen")
    axes.set(ylim=(-0.03, 1.03), xlabel="step")
    axes.set_title("gradient reversed since the checkpoint before", fontsize=9)
    axes.legend(frameon=False, fontsize=7)


def _draw_accuracies(axes: Any, result: dict[str, Any]) -> None:
    axes.set_title("D's accuracy", fontsize=9)
    if not result["has_decision_threshold"]:
        axes.text(0.5, 0.5, "the objective has no\ndecision threshold", ha="center", va="center")
        axes.set_axis_off()
        return
    axes.plot(result["age_steps"], result["accuracy_by_age"], "o-", color=FAKE, label="fakes of that age")
    axes.axhline(_mean(result["real_accuracy"]), color=REAL, linestyle=":", label="real examples accepted")
    axes.set(ylim=(-0.03, 1.03), xlabel="age of the fakes, steps")
    axes.legend(frameon=False, fontsize=7)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
