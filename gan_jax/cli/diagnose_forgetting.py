"""`gan-jax diagnose forgetting RUN`: does D's gradient turn round, does D still know old fakes, does it see the modes?

Over evenly spaced checkpoints: the cosine of dD/dx at fixed probes (half real examples, half fakes of the last state)
between every two of them; D's accuracy on the fakes of earlier ones, by age; and for mixtures in one or two dimensions
the modes that D sees (`gan_jax.diagnostics.landscape`). From some of them the run is trained on for a few steps, to see
whether the gradient turns round from step to step.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.cli import diagnose_turning as turning
from gan_jax.diagnostics import forgetting
from gan_jax.diagnostics.state.scores import check_scored, describe_score, examples, mixture_of, staged
from gan_jax.reports.drawing import aligned, new_figure, rounded
from gan_jax.runs.run_states import open_states

NUM_PROBES = 256
COLOURS = {"real": "#2a78d6", "fake": "#e8590c"}


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """What D forgets between checkpoints, up to `--step` where it is given.

    Raises:
        RunError: if there are fewer than two checkpoints, or D has no score of a single sample.
    """
    states = open_states(Path(options.run), options.data)
    experiment, dataset = states.experiment, states.resources.dataset
    check_scored(experiment, "forgetting")
    steps = turning.spaced_steps(states, options.step)
    seen = examples(experiment, dataset, options.seed, NUM_PROBES // 2)
    real = seen.real
    restored = {step: states.restore(step) for step in steps}
    fakes = [turning.fakes_of(staged(experiment, step), restored[step], seen.latent) for step in steps]
    looks = []
    for step in steps:
        say(f"step {step:,}")
        looks.append(turning.judge(staged(experiment, step), restored[step], real, fakes[-1], jnp.stack(fakes)))
    gradients, accuracies, real_accuracies = jax.tree.map(lambda *parts: jnp.stack(parts), *looks)
    ages = jnp.subtract.outer(jnp.array(steps, float), jnp.array(steps, float))
    turned = jax.device_get({kind: forgetting.turning_matrix(slopes) for kind, slopes in gradients.items()})
    result = {
        "score": describe_score(experiment),
        "steps": steps,
        "num_probes": NUM_PROBES,
        "turning": {
            kind: {name: _json(getattr(turn, name)) for name in ("mean", "reversed_share")}
            for kind, turn in turned.items()
        },
        "judges": experiment.objective.criterion().decision_threshold is not None,
        "accuracy": _json(accuracies),
        "accuracy_by_age": _json(forgetting.by_age(accuracies)),
        "age_steps": _json(forgetting.by_age(ages)),
        "real_accuracy": _json(real_accuracies),
        "lags": turning.followed(experiment, dataset, restored, real, fakes[-1], say),
    }
    if experiment.data.shape in ((1,), (2,)):
        mixture = mixture_of(experiment.data.source(dataset))
        result["modes_seen"] = [int(turning.modes_seen(experiment, dataset, restored[step])) for step in steps]
        result["num_modes"] = mixture.modes.shape[0]
    return {**result, "sentence": sentence(result)}


def neighbours(result: dict[str, Any], kind: str, what: str) -> list[float | None]:
    """An entry of the turning matrix for each checkpoint but the first: against the one before it."""
    matrix = result["turning"][kind][what]
    return [matrix[i + 1][i] for i in range(len(matrix) - 1)]


def sentence(result: dict[str, Any]) -> str:
    """What was found, over the run."""
    gap = np.mean(np.diff(result["steps"]))
    reversed_share, cosine = (
        {kind: _mean(neighbours(result, kind, what)) for kind in result["turning"]}
        for what in ("reversed_share", "mean")
    )
    words = f"From a checkpoint to the next ({gap:,.0f} steps on average) D's gradient "
    if None in reversed_share.values():
        words += "is no gradient to compare: it is 0 at all probes of a kind"
    else:
        words += (
            f"turns round at {reversed_share['real']:.0%} of the real and {reversed_share['fake']:.0%} of the fake "
            f"probes (mean cosine {cosine['real']:.2f} and {cosine['fake']:.2f})"
        )
    if result["judges"]:
        ages, by_age = result["age_steps"], result["accuracy_by_age"]
        words += (
            f"; D rejects {by_age[0]:.0%} of the fakes of its own time and {by_age[-1]:.0%} of those of "
            f"{ages[-1]:,.0f} steps before, and accepts {_mean(result['real_accuracy']):.0%} of the real examples"
        )
    if "modes_seen" in result:
        words += f"; at the end it has a peak at {result['modes_seen'][-1]} of {result['num_modes']} modes"
    return words + "."


def table(result: dict[str, Any]) -> str:
    steps = result["steps"]
    head = ["step", "cosine real", "fake", "reversed real", "fake", "rejects own fakes", "the oldest", "accepts real"]
    rows = [[*head, f"modes seen of {result['num_modes']}"] if "modes_seen" in result else head]
    for index, step in enumerate(steps):
        turned = [
            _number(neighbours(result, kind, what)[index - 1] if index else None, form)
            for what, form in (("mean", "{:+.2f}"), ("reversed_share", "{:.0%}"))
            for kind in ("real", "fake")
        ]
        accuracy = result["accuracy"][index]
        cells = [accuracy[index], accuracy[0] if index else None, result["real_accuracy"][index]]
        row = [f"{step:,}", *turned, *(_number(cell, "{:.0%}") for cell in cells)]
        rows.append([*row, str(result["modes_seen"][index])] if "modes_seen" in result else row)
    lags = [["from step", "steps on", "cosine real", "fake", "reversed real", "fake"]]
    lags += [
        [
            f"{row['step']:,}",
            f"{row['lag']:,}",
            *(_number(row[kind]["mean"], "{:+.2f}") for kind in ("real", "fake")),
            *(_number(row[kind]["reversed_share"], "{:.0%}") for kind in ("real", "fake")),
        ]
        for row in result["lags"]
    ]
    notes = [
        f"{result['score']}; {result['num_probes']} probes; a row against the checkpoint before it",
        "unrelated directions have cosine 0 and are reversed half of the time",
    ]
    return "\n".join([*aligned(rows), "", "from step to step", *aligned(lags), *notes])


def figure(result: dict[str, Any]) -> Any:
    """Cosines between all checkpoints at the real and the fake probes; reversals; accuracy on old fakes."""
    made = new_figure(13.0, 3.9)
    matrices = made.subplots(1, 4, width_ratios=(1, 1, 1.15, 1.15))
    steps = result["steps"]
    ticks = range(0, len(steps), max(1, len(steps) // 5))
    for axes, kind in zip(matrices, ("real", "fake"), strict=False):
        values = np.array(result["turning"][kind]["mean"], float)
        shading = axes.imshow(values, vmin=-1, vmax=1, cmap="RdBu", origin="lower")
        axes.set_xticks(ticks, [f"{steps[i]:,}" for i in ticks], rotation=45, fontsize=7)
        axes.set_yticks(ticks, [f"{steps[i]:,}" for i in ticks], fontsize=7)
        axes.set_title(f"cosine of dD/dx, {kind} probes", fontsize=9)
    made.colorbar(shading, ax=list(matrices[:2]), shrink=0.7, pad=0.02)
    turned, remembered = matrices[2:]
    for kind, colour in COLOURS.items():
        shares = np.array(neighbours(result, kind, "reversed_share"), float)
        turned.plot(steps[1:], shares, "o-", color=colour, markersize=3.5, label=f"{kind} probes")
    turned.axhline(0.5, color="gray", linestyle=":", linewidth=1, label="unrelated gradients")
    if "modes_seen" in result:
        share = [seen / result["num_modes"] for seen in result["modes_seen"]]
        turned.plot(steps, share, "^--", color="#868e96", markersize=3.5, label="share of modes seen")
    turned.set(ylim=(-0.03, 1.03), xlabel="step")
    turned.set_title("gradient reversed since the checkpoint before", fontsize=9)
    if result["judges"]:
        remembered.plot(
            result["age_steps"], result["accuracy_by_age"], "o-", color="#e8590c", label="fakes of that age"
        )
        accepted = _mean(result["real_accuracy"])
        remembered.axhline(accepted, color="#2a78d6", linestyle=":", label="real examples accepted")
        remembered.set(ylim=(-0.03, 1.03), xlabel="age of the fakes, steps")
        remembered.legend(frameon=False, fontsize=7)
    else:
        remembered.text(0.5, 0.5, "the objective has no\nboundary between real and fake", ha="center", va="center")
        remembered.set_axis_off()
    remembered.set_title("D's accuracy", fontsize=9)
    turned.legend(frameon=False, fontsize=7)
    for axes in (turned, remembered):
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    return made


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


_json = functools.partial(rounded, digits=4)
