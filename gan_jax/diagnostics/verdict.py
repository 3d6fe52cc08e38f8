"""The verdict on a run: one outcome, when it happened and why, read from the detector's last state."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from gan_jax.diagnostics.detector import CAUSES, LABELS, DetectorState

Outcome = Literal["healthy", "never formed", "collapsed", "censored", "non-finite"]

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
        return {**dataclasses.asdict(self), "sentence": self.sentence()}


def judge(state: DetectorState, last_step: int, *, nonfinite_step: int = -1, credible_window: float = 5) -> Verdict:
    """Reads the verdict from a detector's state (of one run: unstacked arrays).

    Args:
        state: after the last evaluation.
        last_step: the step of that evaluation.
        nonfinite_step: first step with a value that was not finite; -1 if none.
        credible_window: evaluations in a row that must be credible for `from_start`.
    """
    onset = [int(step) for step in np.asarray(state.onset_step)]
    label = LABELS[int(state.label)]
    formed, from_start = int(state.formed_step) >= 0, False
    outcome: Outcome
    cause: str | None
    if nonfinite_step >= 0:
        outcome, cause, onset[0] = "non-finite", "nonfinite", nonfinite_step
    elif onset[0] >= 0:
        outcome, cause = "collapsed", LABELS[int(state.onset_label)]
        if onset[CAUSES.index("collapse")] < 0 <= onset[CAUSES.index("junk")]:
            cause = "junk"  # one picture that is no data is junk, though its label says that all samples are alike
    elif not formed:
        outcome, cause = "never formed", label if label != "forming" else None
        from_start = bool(state.concentrated_always) and int(state.credible_run) >= credible_window
    else:
        outcome, cause = ("healthy" if label == "healthy" else "censored"), None
    return Verdict(
        outcome=outcome,
        last_step=last_step,
        onset_step=_step(onset[0]),
        onset_steps={name: _step(step) for name, step in zip(CAUSES, onset, strict=True)},
        cause=cause,
        formed_step=_step(int(state.formed_step)),
        recovered_step=_step(int(state.recovered_step)),
        cycling_step=_step(int(state.cycling_step)),
        from_start=from_start,
    )


def _step(step: int) -> int | None:
    return step if step >= 0 else None
