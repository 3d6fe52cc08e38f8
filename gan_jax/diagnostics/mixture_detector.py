"""The detector for mixtures: whether the generator has collapsed, by the modes that it captures."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from gan_jax.data.mixtures import HasModes
from gan_jax.diagnostics.detector import LABELS, Observation, top_modes
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.settings import to_json
from gan_jax.metrics.modes import ModeMetrics, Rule, mode_bounds, mode_metrics


@component
class MixtureDetector:
    """Labels an evaluation by the number M of K modes that are captured, and the share H of high-quality samples.

    The label is the first that applies:

    * `nonfinite`;
    * `junk`: H < `min_quality`; the run has diverged;
    * `total`: M <= max(1, `total_share` K) and M < `healthy_share` K;
    * `partial`: M <= `partial_share` K;
    * `healthy`: M >= `healthy_share` K and H >= `healthy_quality`;
    * `between` otherwise.

    Until the run has formed, `forming` or `collapsed while forming` replaces all labels but the first two.

    An onset is the first of `window` consecutive evaluations with M <= `partial_share` K, after `forming_window`
    consecutive ones with M >= `healthy_share` K. A collapse while forming is the first of `window` consecutive ones
    with M <= `partial_share` K and H >= `healthy_quality` before the run has formed: well-made samples of few modes.
    Modes have shrunk if the spread of their samples is below `shrunk_spread` times the true one; this has an onset of
    its own. The thresholds are this project's own; no other code that we know defines an onset.

    Example:
        >>> MixtureDetector(num_samples=500).describe()
        'l2<=3std; count>=0.1*n*weight; n=500'
        >>> MixtureDetector(partial_share=0.8)
        Traceback (most recent call last):
        ...
        ValueError: MixtureDetector: total_share (0.25) <= partial_share (0.8) < healthy_share (0.75) must hold
    """

    rule: Rule = setting(default=Rule(), doc="which samples are of high quality, and which modes are captured")
    num_samples: int = setting(default=2500, at_least=1, doc="samples per evaluation; 2,500 as in VEEGAN and PacGAN")
    healthy_share: float = setting(default=0.75, above=0, at_most=1, doc="least share of the modes in a healthy run")
    partial_share: float = setting(default=0.5, above=0, below=1, doc="largest share of the modes in a collapsed run")
    total_share: float = setting(default=0.25, above=0, below=1, doc="largest share of the modes in a total collapse")
    healthy_quality: float = setting(
        default=0.5, at_least=0, at_most=1, doc="least high-quality share of a healthy evaluation"
    )
    min_quality: float = setting(
        default=0.05, at_least=0, at_most=1, doc="high-quality share below which samples are junk"
    )
    shrunk_spread: float = setting(
        default=0.3, at_least=0, doc="relative spread inside the modes below which they have shrunk"
    )
    window: float = setting(default=5.0, at_least=1, doc="consecutive evaluations that count as an onset or a recovery")
    forming_window: float = setting(default=3.0, at_least=1, doc="consecutive healthy evaluations that count as formed")

    def validate(self) -> None:
        if not self.total_share <= self.partial_share < self.healthy_share:
            raise ValueError(
                f"MixtureDetector: total_share ({self.total_share}) <= partial_share ({self.partial_share}) < "
                f"healthy_share ({self.healthy_share}) must hold"
            )

    def reference(self, data: Any, dataset: Any) -> tuple[()]:
        """Empty: the source has the modes."""
        return ()

    def measure(self, source: HasModes, reference: tuple[()], samples: Array) -> ModeMetrics:
        return mode_metrics(source, samples, self.rule)

    def observe(self, source: HasModes, reference: tuple[()], metrics: ModeMetrics) -> Observation:
        num_modes = source.modes.shape[0]
        share = metrics.modes / num_modes
        credible = metrics.high_quality >= self.min_quality
        few = share <= self.partial_share
        healthy = share >= self.healthy_share
        total = (metrics.modes <= jnp.maximum(1.0, self.total_share * num_modes)) & ~healthy
        label = jnp.select(
            [
                ~metrics.finite,
                ~credible,
                total,
                few,
                healthy & (metrics.high_quality >= self.healthy_quality),
            ],
            [LABELS.index(name) for name in ("nonfinite", "junk", "total", "partial", "healthy")],
            LABELS.index("between"),
        )
        junk = ~credible | ~metrics.finite
        well_made = metrics.finite & (metrics.high_quality >= self.healthy_quality)
        modes, shares = top_modes(metrics.counts)
        shrunk = (metrics.modes >= 1) & (metrics.spread < self.shrunk_spread)
        return Observation(
            label=label,
            healthy=healthy & ~junk,
            recovered=healthy & ~junk,
            bad=jnp.stack([few | junk, few & ~junk, junk, shrunk]),
            concentrated=total,
            credible=well_made,
            dominant_mode=jnp.where(jnp.any(metrics.counts > 0), metrics.dominant_mode, -1),
            collapsed_early=well_made & few,
            top_modes=modes,
            top_shares=shares,
            mode_kind=0,
        )

    def describe(self) -> str:
        return self.rule.describe(self.num_samples)

    def definition(self, data: Any, reference: tuple[()]) -> dict[str, Any]:
        return {"rule": self.describe(), "detector": to_json(self)}

    def bounds(self, source: HasModes, reference: tuple[()]) -> dict[str, dict[str, float | None]]:
        return {name: b._asdict() for name, b in mode_bounds(source, self.rule, self.num_samples).items()}
