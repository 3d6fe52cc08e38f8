"""A finished run: its folder and verdict, and the line that `gan-jax train` prints about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gan_jax.metrics.image_metrics import is_pixels_only
from gan_jax.runs.rows import watched


@dataclasses.dataclass(frozen=True)
class Done:
    """A finished run: its folder and verdict."""

    path: Path
    verdict: dict[str, Any]
    message: str | None

    def line(self) -> str:
        """The verdict and the main metrics with their ceilings, in one line."""
        numbers = headline(self.verdict)
        return f"{self.verdict['sentence']}{' | ' + numbers if numbers else ''} | {self.path}"

    def to_json(self) -> dict[str, Any]:
        return {"run": str(self.path), **self.verdict}


def headline(verdict: dict[str, Any]) -> str:
    """The two or three main metrics of a run, each with the value that real data get."""
    evaluation = watched(verdict["evaluation"])
    bounds = verdict["bounds"]

    def part(name: str, words: str, form: str = "{:.3g}") -> str | None:
        value = evaluation.get(name)
        if not isinstance(value, (int, float)):
            return None
        bound = bounds.get(name, {})
        known = [f"{k} {form.format(bound[k])}" for k in ("ceiling", "floor") if bound.get(k) is not None]
        shown = form.format(value).replace("-0.0%", "0.0%")  # a share that is 0 but for rounding
        return f"{words} {shown}" + (f" ({', '.join(known)})" if known else "")

    parts = [
        part("modes", "modes", "{:.0f}"),
        part("high_quality", "high quality", "{:.1%}"),
        part("effective_classes", "effective classes"),
        part("junk", "junk", "{:.1%}"),
        part("variance_ratio", "variance"),
        part("kl", "KL", "{:.3g}"),
    ]
    if is_pixels_only(evaluation):
        parts += [part("pairwise_ratio", "distance"), "pixels only: no validated classifier"]
    return ", ".join(p for p in parts if p)
