"""The result of `gan-jax diagnose memorisation` in words and figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_jax.diagnostics.memorisation import gap_interval
from gan_jax.reports.figures import BAD, FAKE, HELD_OUT, REAL, new_figure
from gan_jax.reports.text_tables import text_table

_COLOURS = {"train": REAL, "held-out": HELD_OUT, "fake": FAKE}
_LEAST_GAP = 0.02
"""A gap below this is not called memorisation, even if it is significant."""


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence, and the largest gap if another checkpoint has it."""
    last = result["rows"][-1]
    seen = last["modes"][result["shown"]]["plain"]
    if seen["train"] is None:
        return (
            f"At step {last['step']:,} D's mean score is {seen['train_score']:.3g} for training examples, "
            f"{seen['held_out_score']:.3g} for held-out ones and {seen['fake_score']:.3g} for fakes; its objective has "
            "no decision threshold, so accuracies are not defined."
        )
    width = gap_interval(seen["train"], seen["held_out"], result["num"])
    text = (
        f"At step {last['step']:,} D classifies {seen['train']:.1%} of the training examples as real, "
        f"{seen['held_out']:.1%} of the held-out ones, and {1 - seen['fake']:.1%} of the fakes: a gap of "
        f"{_points(seen['gap'])} ± {100 * width:.1f} points"
    )
    if not result["known"]:
        return f"{text}; its training data are fresh draws, so there is nothing to memorise."
    known = seen["gap"] > max(width, _LEAST_GAP)
    text += ": D memorises training examples" if known else ": there is no sign of memorisation"
    gaps = [row["modes"][result["shown"]]["plain"]["gap"] for row in result["rows"]]
    most = int(np.argmax(gaps))
    if known and most != len(gaps) - 1:
        text += f" (most at step {result['rows'][most]['step']:,}: {_points(gaps[most])} points)"
    noisy, floor = last["modes"][result["shown"]].get("noisy"), last["floor"]
    if noisy and floor and None not in floor.values():
        fake = noisy["fake_loss"]
        text += (
            f"; its loss on fresh labels is {noisy['train_loss'] + fake:.3f} with training and "
            f"{noisy['held_out_loss'] + fake:.3f} with held-out examples, and the floor is {sum(floor.values()):.3f}"
        )
    return f"{text}."


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint and mode of D's statistics."""
    noisy = any(row["floor"] for row in result["rows"])
    head = ["step", "statistics", "train", "held-out", "fake", "gap", "overfitting", "loss train", "held-out", "fake"]
    rows = [head + (["fresh labels: train", "held-out", "floor"] if noisy else [])]
    for row in result["rows"]:
        for mode, by in row["modes"].items():
            plain = by["plain"]
            line = [f"{row['step']:,}" if mode == next(iter(row["modes"])) else "", mode]
            line += ["-" if plain[name] is None else f"{plain[name]:.1%}" for name in ("train", "held_out", "fake")]
            width = "" if plain["gap"] is None else gap_interval(plain["train"], plain["held_out"], result["num"])
            line.append("-" if plain["gap"] is None else f"{_points(plain['gap'])} ± {100 * width:.1f}")
            line.append("-" if plain["overfitting"] is None else f"{plain['overfitting']:.2f}")
            line += [_number(plain[f"{name}_loss"]) for name in ("train", "held_out", "fake")]
            if noisy:
                fake, floor = by["noisy"]["fake_loss"], row["floor"]
                line += [_sum(by["noisy"][f"{name}_loss"], fake) for name in ("train", "held_out")]
                line.append(_sum(*floor.values()))
            rows.append(line)
    notes = [
        f"{result['examples']}; {result['num']:,} examples of each kind, and as many fakes",
        "train, held-out: share classified as real; fake: share classified as fake; gap in points, 95 % interval",
        "overfitting: (mean score of train - held-out) / (train - fake) (Karras et al. 2020)",
    ]
    if noisy:
        names = ", ".join(result["transforms"])
        notes.append(
            f"fresh labels: D's loss on both sides under {names}, averaged over fresh flips; floor: least loss of any D"
        )
    return "\n".join([text_table(rows), *notes])


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _sum(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else f"{a + b:.4g}"


def figure(result: dict[str, Any]) -> Any:
    """Accuracies, the gap and losses over the checkpoints."""
    noisy = any(row["floor"] for row in result["rows"])
    made = new_figure(4.2 * (3 + noisy), 3.5)
    axes = made.subplots(1, 3 + noisy)
    steps = [row["step"] for row in result["rows"]]
    for mode in result["rows"][0]["modes"]:
        shown = mode == result["shown"]
        style: dict[str, Any] = {"linestyle": "-" if shown else ":", "marker": "o", "markersize": 3 if shown else 0}
        plain = [row["modes"][mode]["plain"] for row in result["rows"]]
        label = f", {mode} statistics" if len(result["rows"][0]["modes"]) > 1 else ""
        if plain[0]["train"] is not None:
            for name, colour in _COLOURS.items():
                values = [row[name.replace("-", "_")] for row in plain]
                # The share of fakes classified as real, on the scale of the others.
                values = [1 - value for value in values] if name == "fake" else values
                axes[0].plot(steps, values, color=colour, label=name + label if shown else None, **style)
            gap = np.array([row["gap"] for row in plain])
            axes[1].plot(steps, 100 * gap, color="0.2", label=f"{mode} statistics", **style)
            if shown:
                width = np.array([gap_interval(row["train"], row["held_out"], result["num"]) for row in plain])
                axes[1].fill_between(
                    steps, 100 * (gap - width), 100 * (gap + width), color="0.2", alpha=0.15, linewidth=0
                )
        if shown:
            for name, colour in _COLOURS.items():
                axes[2].plot(
                    steps, [row[f"{name.replace('-', '_')}_loss"] for row in plain], color=colour, label=name, **style
                )
            if noisy:
                _draw_noisy(axes[3], steps, [row["modes"][mode]["noisy"] for row in result["rows"]], result, style)
    axes[0].set(ylim=(-0.03, 1.03), title="share that D classifies as real")
    axes[1].set(title="gap train - held-out, points")
    axes[2].set(title="D's loss")
    for panel in axes:
        panel.set_xlabel("step", fontsize=8)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=7)
        panel.title.set_fontsize(9)
        if result["onset"] is not None:
            panel.axvline(result["onset"], color=BAD, linewidth=1, linestyle="--", label="onset of the failure")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=7)
    axes[1].axhline(0, color="gray", linewidth=0.8)
    return made


def _draw_noisy(axes: Any, steps: list[int], noisy: list[Any], result: dict[str, Any], style: dict[str, Any]) -> None:
    for name in ("train", "held-out"):
        values = [row[f"{name.replace('-', '_')}_loss"] + row["fake_loss"] for row in noisy]
        axes.plot(steps, values, color=_COLOURS[name], label=f"with {name} examples", **style)
    floor = [row["floor"] for row in result["rows"]]
    if all(None not in both.values() for both in floor):
        axes.plot(steps, [sum(both.values()) for both in floor], color="gray", linestyle="--", label="floor")
    axes.set(title="D's loss on fresh labels, both sides")
