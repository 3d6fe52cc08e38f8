"""The verdict on a run: one outcome, when it happened and why, read from the detector's last state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics.detector import CAUSES, LABELS, DetectorState

Outcome = Literal["healthy", "never formed", "collapsed", "censored", "non-finite"]
OUTCOMES: tuple[Outcome, ...] = ("healthy", "never formed", "collapsed", "censored", "non-finite")

WORDS = {
    "partial": "half the modes or fewer",
    "total": "almost all samples alike",
    "class": "few classes",
    "intra": "one picture a class",
    "junk": "samples are no data",
    "nonfinite": "not finite",
}
"""What the labels of a failure mean, for people."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a run.

    Attributes:
        outcome: `healthy`: formed, no onset, and healthy at the last evaluation; `censored`: formed, no onset by the
            end, but not healthy there (between, or bad for fewer evaluations than the window); `collapsed`: an onset;
            `never formed`: no healthy run of evaluations ever (not a collapse time); `non-finite`: losses or samples
            stopped being numbers. For survival statistics `healthy` and `censored` are both censored at `last_step`.
        last_step: the step of the last evaluation.
        onset_step: of failure of any cause; None without one.
        onset_steps: by cause, as in `CAUSES`; None where there is none.
        cause: label at the onset; for a run that never formed, its last label where that says more than `forming`.
        formed_step, recovered_step, cycling_step: None where it did not happen.
        from_start: whether a run that never formed had very few modes in every evaluation, and credible samples in the
            last ones.
    """

    outcome: Outcome
    last_step: int
    onset_step: int | None
    onset_steps: dict[str, int | None]
    cause: str | None
    formed_step: int | None
    recovered_step: int | None
    cycling_step: int | None
    from_start: bool

    def sentence(self) -> str:
        """One line for people: "collapsed at step 4,200 (total: almost all samples alike; formed at step 900)"."""
        formed = f"formed at step {self.formed_step:,}" if self.formed_step is not None else ""
        if self.outcome == "collapsed":
            extra = f"; recovered at step {self.recovered_step:,}" if self.recovered_step is not None else ""
            extra += f"; cycling from step {self.cycling_step:,}" if self.cycling_step is not None else ""
            words = WORDS.get(self.cause or "", "")
            return f"collapsed at step {self.onset_step:,} ({self.cause}: {words}; {formed}{extra})"
        intra = self.onset_steps.get("intra")
        inside = f"; shrunk inside the modes from step {intra:,}" if intra is not None else ""
        if self.outcome == "healthy":
            return f"healthy at step {self.last_step:,} ({formed}, no collapse seen{inside})"
        if self.outcome == "censored":
            return f"censored at step {self.last_step:,} ({formed}, no onset yet, but not healthy at the end{inside})"
        if self.outcome == "never formed":
            why = "few modes from the start" if self.from_start else WORDS.get(self.cause or "", "")
            return f"never formed in {self.last_step:,} steps" + (f" ({why})" if why else "")
        return f"non-finite values at step {self.onset_step:,}"

    def to_json(self) -> dict[str, Any]:
        """The verdict's fields, and its sentence."""
        return {**dataclasses.asdict(self), "sentence": self.sentence()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """The verdict that `to_json` wrote, whatever else stands beside it."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: part for name, part in value.items() if name in names})


class VerdictArrays(NamedTuple):
    """The verdict as arrays, made inside a trace; leading axes of runs are kept. -1 is "did not happen".

    Attributes:
        outcome: int32, index into `OUTCOMES`.
        cause: int32, index into `LABELS`; -1 without one.
        last_step: int32, the step of the last evaluation.
        onset_steps: int32 [..., causes], as in `CAUSES`; the first is failure of any cause.
        formed_step, recovered_step, cycling_step: int32.
        from_start: bool, see `Verdict`.
    """

    outcome: Array
    cause: Array
    last_step: Array
    onset_steps: Array
    formed_step: Array
    recovered_step: Array
    cycling_step: Array
    from_start: Array

    def sentence(self) -> str:
        """The verdict on one run in a line.

        Raises:
            ValueError: for the verdicts on several runs, which `sentences` gives.
        """
        if np.ndim(self.outcome):
            raise ValueError(f"these are verdicts on {np.size(self.outcome)} runs: use sentences()")
        return self.verdict().sentence()

    def sentences(self) -> list[str]:
        """A line a run, over all leading axes, the last one fastest."""
        return [verdict.sentence() for verdict in self.verdicts()]

    def verdicts(self) -> Iterator[Verdict]:
        """The `Verdict` on each run, over all leading axes, the last one fastest."""
        shape = np.shape(self.outcome)
        flat = [np.asarray(leaf).reshape(-1, *np.shape(leaf)[len(shape) :]) for leaf in self]
        for index in range(int(np.prod(shape, dtype=int))):
            yield VerdictArrays(*(leaf[index] for leaf in flat)).verdict()

    def verdict(self) -> Verdict:
        """The verdict on one run, for the host."""
        onset = [int(step) for step in np.asarray(self.onset_steps)]
        cause = int(self.cause)
        return Verdict(
            outcome=OUTCOMES[int(self.outcome)],
            last_step=int(self.last_step),
            onset_step=_step(onset[0]),
            onset_steps={name: _step(step) for name, step in zip(CAUSES, onset, strict=True)},
            cause=LABELS[cause] if cause >= 0 else None,
            formed_step=_step(int(self.formed_step)),
            recovered_step=_step(int(self.recovered_step)),
            cycling_step=_step(int(self.cycling_step)),
            from_start=bool(self.from_start),
        )


def verdict_arrays(
    state: DetectorState, last_step: Array | int, nonfinite_step: Array | int = -1, credible_window: Array | float = 5.0
) -> VerdictArrays:
    """The verdict on a run from its detector's state. Traceable; maps over runs.

    Args:
        state: after the last evaluation, of one run.
        last_step: the step of that evaluation.
        nonfinite_step: first step with a value that was not finite; -1 if none.
        credible_window: evaluations in a row that must be credible for `from_start`.

    Returns:
        Scalars, and [causes] of onset steps.
    """
    nonfinite, formed = jnp.asarray(nonfinite_step) >= 0, state.formed_step >= 0
    onset = state.onset_step.at[0].set(jnp.where(nonfinite, nonfinite_step, state.onset_step[0]))
    # One picture that is no data is junk, though its label is that of samples which are all alike.
    collapse, junk = (state.onset_step[CAUSES.index(name)] for name in ("collapse", "junk"))
    onset_cause = jnp.where((collapse < 0) & (junk >= 0), LABELS.index("junk"), state.onset_label)
    healthy = state.label == LABELS.index("healthy")
    early_cause = jnp.where(state.label == LABELS.index("forming"), -1, state.label)
    cases = [nonfinite, state.onset_step[0] >= 0, ~formed]
    outcomes = [jnp.int32(OUTCOMES.index(name)) for name in ("non-finite", "collapsed", "never formed")]
    otherwise = jnp.where(healthy, OUTCOMES.index("healthy"), OUTCOMES.index("censored"))
    causes = [jnp.int32(LABELS.index("nonfinite")), onset_cause, early_cause]
    few = ~nonfinite & (state.onset_step[0] < 0) & ~formed & state.concentrated_always
    return VerdictArrays(
        outcome=jnp.select(cases, outcomes, otherwise).astype(jnp.int32),
        cause=jnp.select(cases, causes, -1).astype(jnp.int32),
        last_step=jnp.asarray(last_step, jnp.int32),
        onset_steps=onset,
        formed_step=state.formed_step,
        recovered_step=state.recovered_step,
        cycling_step=state.cycling_step,
        from_start=few & (state.credible_run >= credible_window),
    )


def verdict_on(state: Any, *, last_step: int, nonfinite_step: int = -1, credible_window: float = 5.0) -> Verdict:
    """`verdict_arrays` of one run for the host: a detector's state of NumPy or device arrays to a `Verdict`.

    Args:
        state: the detector's state after the last evaluation.
        last_step: the step of that evaluation.
        nonfinite_step: first step with a value that was not finite; -1 if none.
        credible_window: as in `verdict_arrays`.

    Returns:
        The verdict.
    """
    state = jax.tree.map(jnp.asarray, DetectorState(*state))
    return jax.device_get(_arrays(state, last_step, nonfinite_step, credible_window)).verdict()


_arrays = jax.jit(verdict_arrays)


def _step(step: int) -> int | None:
    return step if step >= 0 else None
