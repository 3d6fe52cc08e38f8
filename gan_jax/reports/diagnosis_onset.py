"""The result of `gan-jax diagnose onset` in words and figures; the account of the collapse is in `onset_story`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from gan_jax.reports.figures import BAD, HELD_OUT, new_figure
from gan_jax.reports.onset_story import headline_of_onset
from gan_jax.reports.report import METRICS
from gan_jax.reports.text_tables import text_table
from gan_jax.runs.branches import judgement


def sentence(result: dict[str, Any]) -> str:
    """Which quantity fell and when, which signals left their bands before, and what branches with another key did."""
    return " ".join(filter(None, [headline_of_onset(result), judgement(result["branches"], result["horizon"] or 0)]))


def table(result: dict[str, Any]) -> str:
    """The account of the collapse, the signals in the order in which they left their bands, and the branches."""
    lines = [f"- {line}" for line in result["story"]]
    moment = result["event"]["step"] if result["event"] else result["step"]
    if result["departures"]:
        rows = [["signal", "left its band at", "steps from the event", "usual value", "extreme", "factor"]]
        for found in result["departures"][:24]:
            factor = "-" if found["factor"] is None else f"{found['factor']:.3g}"
            rows.append(
                [
                    found["name"],
                    f"{found['step']:,} {found['direction']}",
                    f"{found['step'] - moment:+,}",
                    f"{found['level']:.3g}",
                    f"{found['extreme']:.3g}",
                    factor,
                ]
            )
        lines += ["", text_table(rows)]
    if result["branches"]:
        where = f"branches from step {result['branched_from']:,}, of {result['horizon']:,} steps"
        rows = [[where, "collapsed", "at the end"]]
        for row in result["branches"]:
            if "refused" in row:
                rows.append([row["words"], f"refused: {row['refused']}", ""])
                continue
            last = Counter(labels[-1] for labels in row["labels"]).most_common()
            at_end = "; ".join(filter(None, [", ".join(f"{num} {label}" for label, num in last), _medians(row)]))
            rows.append([row["words"], f"{row['collapsed']} of {row['num']}", at_end])
        lines += ["", text_table(rows)]
    bits = result["bit_for_bit"]
    if bits:
        lines += ["", f"replayed bit for bit at {sum(bits.values())} of {len(bits)} checkpoints on the way"]
    return "\n".join(lines)


def _medians(row: dict[str, Any]) -> str:
    """The medians of the branches' last metrics, such as "medians: modes 9, junk 18 %"; "" for an older result."""
    ends = row.get("ends") or [{}]
    found = {name: np.median([one[name] for one in ends]) for name in METRICS if name in ends[0]}
    return "medians: " + ", ".join(f"{METRICS[name]} {value:.3g}" for name, value in found.items()) if found else ""


def figure(result: dict[str, Any]) -> Any:
    """The window, and its middle step by step: the quantity that fell, losses, scores, norms, with the event marked."""
    moment = result["event"]["step"] if result["event"] else result["step"]
    windows = [window for window in (result["replay"], result["close"]) if window is not None]
    num = len(_panels(windows[0], result["quantity"]))
    picture = new_figure(9.6 if len(windows) == 1 else 13.0, 1.75 * num + 0.4)
    grid = picture.subplots(
        num, len(windows), sharex="col", sharey="row", squeeze=False, width_ratios=(5, 3)[: len(windows)]
    )
    for column, window in zip(grid.T, windows, strict=True):
        _draw_window(column, window, result["quantity"], moment)
    for axes in grid[:, -1]:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes, (title, *_) in zip(grid[:, 0], _panels(windows[0], result["quantity"]), strict=True):
        axes.set_ylabel(title, fontsize=8)
    grid[-1, 0].set_xlabel(f"step; the line is the event, step {moment:,}", fontsize=8)
    if len(windows) > 1:
        grid[-1, 1].set_xlabel("the same, step by step", fontsize=8)
    return picture


def _draw_window(column: Any, window: dict[str, Any], quantity: str, moment: int) -> None:
    colours = ("#2a78d6", "#e8590c", HELD_OUT, "#9c36b5", "#868e96", "#0b7285")
    for axes, (_, series, logarithmic) in zip(column, _panels(window, quantity), strict=True):
        for (name, values), colour in zip(series.items(), colours, strict=False):
            axes.plot(window["steps"], np.array(values, float), color=colour, linewidth=1.1, label=name)
        axes.axvline(moment, color=BAD, linewidth=0.9)
        if logarithmic:
            axes.set_yscale("log")
        axes.tick_params(which="both", labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _panels(window: dict[str, Any], quantity: str) -> list[tuple[str, dict[str, Any], bool]]:
    signals = window["signals"]

    def chosen(**names: str) -> dict[str, Any]:
        return {label.replace("_", " "): signals[name] for label, name in names.items() if name in signals}

    activations = {
        "G, last layer": max((n for n in signals if n.startswith("generator/activation/")), default=""),
        "D, last layer, fakes": max((n for n in signals if n.startswith("discriminator/activation_fake/")), default=""),
        "D, last layer, real": max((n for n in signals if n.startswith("discriminator/activation_real/")), default=""),
    }
    panels = [
        (quantity.replace("_", " "), {quantity.replace("_", " "): window["metrics"][quantity]}, False),
        ("losses", chosen(D="training/discriminator_loss", G="training/generator_loss"), False),
        ("scores", chosen(real="scores/real_mean", fake="scores/fake_mean"), False),
        (
            "gradient norms",
            chosen(
                D="training/discriminator_grad_norm",
                G="training/generator_grad_norm",
                dD_dx_at_fakes="input_gradient/fake",
            ),
            True,
        ),
        ("activations", {label: signals[name] for label, name in activations.items() if name in signals}, True),
        (
            "D forgets",
            chosen(
                gradient_reversed="forgetting/reversed",
                right_on_last_fakes="forgetting/old_fakes_1",
                fooled="scores/fooled",
            ),
            False,
        ),
    ]
    return [panel for panel in panels if panel[1]]
