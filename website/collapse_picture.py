r"""The README's picture: samples of a collapse on real digits, and the survival curves of the label-noise study.

gan-jax train digits_collapse
python -m website.collapse_picture runs/digits_collapse-seed0 docs/collapse.png docs/results/digits_label_noise/*

The arm of 1 % is left out: it is the program of 0 %, since int(64 * 0.01) labels of a batch are none.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import gan_jax as gj
from gan_jax.metrics.survival import Onset, kaplan_meier
from gan_jax.reports.figures import draw_survival, new_figure

STEPS = (2_250, 5_250, 20_000)
"""Steps of the samples; the picture of the run that is nearest to each is shown."""
SAME_AS_ZERO = 0.01


def picture_of(run: Path, step: int) -> tuple[int, Path]:
    """The step and the file of the run's picture that is nearest to a step."""
    found = {int(path.stem.removeprefix("step_")): path for path in (run / "samples").glob("step_*.png")}
    nearest = min(found, key=lambda other: abs(other - step))
    return nearest, found[nearest]


def draw(run: Path, out: Path, studies: Sequence[Path]) -> None:
    """Writes the picture.

    Args:
        run: folder of a run of digits_collapse.
        out: the PNG file.
        studies: folders of sweeps of digits_label_noise.
    """
    figure = new_figure(9.6, 4.4)
    samples, curves = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    for axes, step in zip(samples.subplots(1, 3), STEPS, strict=True):
        nearest, path = picture_of(run, step)
        pixels = np.asarray(Image.open(path).convert("L"))
        axes.imshow(pixels[: len(pixels) // 2], cmap="gray")
        axes.set_title(f"step {nearest:,}", fontsize=9)
        axes.axis("off")
    axes = curves.subplots()
    rows = gj.SweepRun(*studies).rows
    rates = {row["arm"]: float(row["arm"].rpartition("=")[2]) for row in rows}
    for index, arm in enumerate(arm for arm, rate in rates.items() if rate != SAME_AS_ZERO):
        verdicts = [row["verdict"] for row in rows if row["arm"] == arm]
        onsets = [
            Onset(v["last_step"], None) if v["onset_step"] is None else Onset(v["onset_step"], "collapse")
            for v in verdicts
        ]
        failed = sum(onset.cause is not None for onset in onsets)
        label = f"{rates[arm]:.0%} of D's labels flipped: {failed} of {len(onsets)} collapsed"
        draw_survival(axes, kaplan_meier(onsets), index=index, label=label)
    axes.set_title("Share of runs without a collapse, by step (95 % bands)", loc="left", fontsize=9)
    axes.set(ylim=(-0.04, 1.04), xlim=(0, None))
    axes.tick_params(labelsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    figure.savefig(out, dpi=100)
    Image.open(out).convert("RGB").save(out, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of digits_collapse")
    parser.add_argument("out", type=Path, help="the PNG file")
    parser.add_argument("studies", type=Path, nargs="+", help="folders of sweeps of digits_label_noise")
    draw(**vars(parser.parse_args()))
