"""The verdict on a run, from the detector's last state: one outcome, its step and its cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.diagnostics.detector import CAUSES, LABELS, MODE_NAMES, DetectorState

Outcome = Literal["healthy", "never formed", "collapsed", "censored", "non-finite"]
OUTCOMES: tuple[Outcome, ...] = ("healthy", "never formed", "collapsed", "censored", "non-finite")

When = Literal["after forming", "while forming"]
WHEN: tuple[When, ...] = ("after forming", "while forming")

_LEAST_SHARE = 0.05
"""Smallest share of the samples that belong to a mode for which a sentence names it."""

WORDS = {
    "partial": "half the modes or fewer",
    "total": "almost all samples alike",
    "class": "few classes",
    "intra": "one picture per class",
    "junk": "samples unlike the data",
    "nonfinite": "not finite",
}
"""Explanations of the labels of a failure, for sentences."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of a run.

    Attributes:
        outcome: `healthy`: formed, no onset, and healthy at the last evaluation; `censored`: formed, no onset, but not
            healthy at the last evaluation (between, or bad for fewer evaluations than the window); `collapsed`: an
            onset after forming, or a collapse while forming, see `when`; `never formed`: never healthy or collapsed for
            a whole window (no collapse time); `non-finite`: losses or samples overflowed or became NaN. For survival
            statistics `healthy`, `censored` and `never formed` are censored at `last_step`.
        last_step: the step of the last evaluation.
        onset_step: of failure of any cause, and of a collapse while forming; None without one.
        onset_steps: by cause, as in `CAUSES`; None where a cause has no onset.
        cause: label at the onset; for a run that never formed, its last label unless that is `forming`.
        formed_step, recovered_step, cycling_step: None where it did not happen.
        from_start: whether a run that has not formed had very few modes in every evaluation, and credible samples in
            the last ones.
        when: whether the run collapsed after it had covered the data, or before; None without a collapse.
        persists: whether the last evaluation still shows few modes; None without a collapse.
        onto: the modes that are left, as (name, share of the samples that belong to a mode), at the last evaluation; at
            most three, in decreasing order; empty without a collapse, where it does not persist, and where modes are
            not known.

    Example:
        >>> steps = {"any": 30, "collapse": 30, "junk": None, "intra": None}
        >>> Verdict("collapsed", 40, 30, steps, "total", 20, None, None, False, when="after forming").sentence()
        'collapsed at step 30 (total: almost all samples alike; formed at step 20)'
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
    when: When | None = None
    persists: bool | None = None
    onto: tuple[tuple[str, float], ...] = ()

    def sentence(self) -> str:
        """The verdict in one line: "collapsed at step 4,200 (total: almost all samples alike; formed at step 900)"."""
        if self.outcome == "collapsed" and self.when == "while forming":
            return f"collapsed while forming at step {self.onset_step:,} ({self._cause()}; {self._uncovered()})"
        formed = f"formed at step {self.formed_step:,}" if self.formed_step is not None else ""
        if self.outcome == "collapsed":
            extra = f"; recovered at step {self.recovered_step:,}" if self.recovered_step is not None else ""
            extra += f"; cycling from step {self.cycling_step:,}" if self.cycling_step is not None else ""
            return f"collapsed at step {self.onset_step:,} ({self._cause()}; {formed}{extra})"
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

    def _cause(self) -> str:
        onto = self.onto_words()
        return f"{self.cause}: {WORDS.get(self.cause or '', '')}" + (f"; onto {onto}" if onto else "")

    def _uncovered(self) -> str:
        before = "few modes from the start" if self.from_start else "never covered the data before"
        return before + ("; no longer at the end" if self.persists is False else "")

    def onto_words(self) -> str:
        """The modes that are left, such as "mode 3 (60 %), mode 4 (30 %), others (10 %)"; "" where `onto` is empty."""
        return _mode_words(self.onto)

    def to_json(self) -> dict[str, Any]:
        """The verdict's fields, and its sentence."""
        return {**dataclasses.asdict(self), "sentence": self.sentence()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """The verdict that `to_json` wrote, in this version or an earlier one with fewer fields.

        Args:
            value: JSON. Other entries are ignored. Only `outcome` and `last_step` are required; an event without an
                entry did not happen.

        Raises:
            ValueError: if it is not a verdict.
        """
        if not isinstance(value, dict) or value.get("outcome") not in OUTCOMES or "last_step" not in value:
            raise ValueError("it is not a verdict: it needs an outcome and a last_step, as Verdict.to_json writes them")
        names = {field.name for field in dataclasses.fields(cls)}
        absent: dict[str, Any] = {**dict.fromkeys(names), "onset_steps": {}, "from_start": False}
        known = absent | {name: part for name, part in value.items() if name in names}
        onto = tuple((str(name), float(share)) for name, share in known.pop("onto") or ())
        return cls(**{**known, "when": when_collapsed(value), "onto": onto})


def label_words(state: DetectorState) -> str:
    """The label of the last evaluation and, if it says that few modes are left, which ones.

    Args:
        state: the detector's state of one run, on the host.

    Returns:
        Words such as "healthy", or "collapsed while forming onto 3 (98 %)".

    Example:
        >>> from gan_jax.diagnostics import init_detector
        >>> modes, shares = np.array([3, 8, -1]), np.array([0.9, 0.1, 0.0])
        >>> few = {"label": LABELS.index("class"), "mode_kind": 1, "top_modes": modes, "top_shares": shares}
        >>> label_words(init_detector()), label_words(init_detector()._replace(**few))
        ('forming', 'class onto 3 (90 %), 8 (10 %)')
    """
    label = LABELS[int(state.label)]
    onto = _mode_words(_named_modes(state)) if label in (*_FEW, "collapsed while forming") else ""
    return f"{label} onto {onto}" if onto else label


def _named_modes(of: DetectorState | VerdictArrays) -> tuple[tuple[str, float], ...]:
    """The modes with most samples at the last evaluation, by name, with their shares."""
    modes, shares = np.asarray(of.top_modes).tolist(), np.asarray(of.top_shares).tolist()
    name = MODE_NAMES[int(of.mode_kind)]
    return tuple((name.format(mode), round(share, 4)) for mode, share in zip(modes, shares, strict=True) if mode >= 0)


def _mode_words(modes: tuple[tuple[str, float], ...]) -> str:
    named = [(name, share) for name, share in modes if share >= _LEAST_SHARE]
    others = 1.0 - sum(share for _, share in named)
    if named and others >= _LEAST_SHARE:
        named.append(("others", others))
    return ", ".join(f"{name} ({share:.0%})".replace("%", " %") for name, share in named)


def when_collapsed(verdict: Mapping[str, Any]) -> When | None:
    """`Verdict.when` of a stored verdict. The first versions recorded collapses after forming only."""
    return verdict.get("when") or ("after forming" if verdict["outcome"] == "collapsed" else None)


class VerdictArrays(NamedTuple):
    """The verdict as arrays, made inside a trace; leading axes of runs are kept. A step of -1 means "did not happen".

    Attributes:
        outcome: int32, index into `OUTCOMES`.
        cause: int32, index into `LABELS`; -1 without one.
        last_step: int32, the step of the last evaluation.
        onset_steps: int32 [..., causes], as in `CAUSES`; the first is failure of any cause.
        formed_step, recovered_step, cycling_step: int32.
        from_start: bool, see `Verdict`.
        when: int32, index into `WHEN`; -1 without a collapse.
        persists: bool, see `Verdict`.
        top_modes, top_shares, mode_kind: [..., 3], [..., 3] and scalar, of the last evaluation; see `DetectorState`.

    Example:
        >>> from gan_jax.diagnostics import init_detector
        >>> two_runs = jax.tree.map(lambda x: jnp.stack([x, x]), init_detector())
        >>> jax.jit(jax.vmap(verdict_arrays))(two_runs, jnp.array([20, 30])).sentences()
        ['never formed in 20 steps', 'never formed in 30 steps']
    """

    outcome: Array
    cause: Array
    last_step: Array
    onset_steps: Array
    formed_step: Array
    recovered_step: Array
    cycling_step: Array
    from_start: Array
    when: Array
    persists: Array
    top_modes: Array
    top_shares: Array
    mode_kind: Array

    def sentence(self) -> str:
        """The verdict on one run in one line.

        Raises:
            ValueError: for several runs: their verdicts are in `sentences`.
        """
        if np.ndim(self.outcome):
            raise ValueError(f"these are verdicts on {np.size(self.outcome)} runs: use sentences()")
        return self.verdict().sentence()

    def sentences(self) -> list[str]:
        """A sentence for each run; leading axes are flattened, and the last one varies fastest."""
        return [verdict.sentence() for verdict in self.verdicts()]

    def verdicts(self) -> Iterator[Verdict]:
        """The `Verdict` on each run; leading axes are flattened, and the last one varies fastest."""
        shape = np.shape(self.outcome)
        flat = [np.asarray(leaf).reshape(-1, *np.shape(leaf)[len(shape) :]) for leaf in self]
        for index in range(int(np.prod(shape, dtype=int))):
            yield VerdictArrays(*(leaf[index] for leaf in flat)).verdict()

    def verdict(self) -> Verdict:
        """The verdict on one run, for the host."""
        onset = [int(step) for step in np.asarray(self.onset_steps)]
        cause, when, persists = int(self.cause), int(self.when), bool(self.persists)
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
            when=WHEN[when] if when >= 0 else None,
            persists=persists if when >= 0 else None,
            onto=_named_modes(self) if when >= 0 and persists else (),
        )


def verdict_arrays(
    state: DetectorState,
    last_step: int | Int[Array, ""],
    nonfinite_step: int | Int[Array, ""] = -1,
    credible_window: float | Float[Array, ""] = 5.0,
) -> VerdictArrays:
    """The verdict on a run from its detector's state. Traceable; maps over runs.

    Args:
        state: after the last evaluation, of one run.
        last_step: the step of that evaluation.
        nonfinite_step: first step with a value that was not finite; -1 if all were.
        credible_window: consecutive credible evaluations that `from_start` needs.

    Returns:
        Scalars, and [causes] of onset steps.

    Example:
        >>> from gan_jax.diagnostics import init_detector
        >>> verdict = jax.jit(verdict_arrays)(init_detector(), last_step=20, nonfinite_step=5)
        >>> OUTCOMES[int(verdict.outcome)], verdict.onset_steps.tolist()
        ('non-finite', [5, -1, -1, -1])
    """
    nonfinite, formed = jnp.asarray(nonfinite_step) >= 0, state.formed_step >= 0
    after, early = state.onset_step[0] >= 0, ~formed & (state.early_step >= 0)
    onset = jnp.where(early & _OF_EARLY, state.early_step, state.onset_step)
    onset = onset.at[0].set(jnp.where(nonfinite, nonfinite_step, onset[0]))
    # A single picture that does not resemble the data is junk, though its label says that all samples are alike.
    collapse, junk = (state.onset_step[CAUSES.index(name)] for name in ("collapse", "junk"))
    onset_cause = jnp.where((collapse < 0) & (junk >= 0), LABELS.index("junk"), state.onset_label)
    healthy = state.label == LABELS.index("healthy")
    early_cause = jnp.where(state.label == LABELS.index("forming"), -1, state.label)
    few_now = jnp.any(state.label == jnp.array([LABELS.index(name) for name in _FEW]))
    cases = [nonfinite, after, early, ~formed]
    outcomes = [jnp.int32(OUTCOMES.index(name)) for name in ("non-finite", "collapsed", "collapsed", "never formed")]
    otherwise = jnp.where(healthy, OUTCOMES.index("healthy"), OUTCOMES.index("censored"))
    causes = [jnp.int32(LABELS.index("nonfinite")), onset_cause, state.early_label, early_cause]
    when = jnp.where(after, WHEN.index("after forming"), jnp.where(early, WHEN.index("while forming"), -1))
    few = ~nonfinite & ~after & ~formed & state.concentrated_always
    return VerdictArrays(
        outcome=jnp.select(cases, outcomes, otherwise).astype(jnp.int32),
        cause=jnp.select(cases, causes, -1).astype(jnp.int32),
        last_step=jnp.asarray(last_step, jnp.int32),
        onset_steps=onset,
        formed_step=state.formed_step,
        recovered_step=state.recovered_step,
        cycling_step=state.cycling_step,
        from_start=few & (state.credible_run >= credible_window),
        when=when.astype(jnp.int32),
        persists=jnp.where(early, state.early_run > 0, few_now),
        top_modes=state.top_modes,
        top_shares=state.top_shares,
        mode_kind=state.mode_kind,
    )


def verdict_on(state: Any, *, last_step: int, nonfinite_step: int = -1, credible_window: float = 5.0) -> Verdict:
    """The `Verdict` on one run, on the host, from a detector's state of NumPy or device arrays; see `verdict_arrays`.

    Args:
        state: the detector's state after the last evaluation.
        last_step: the step of that evaluation.
        nonfinite_step: first step with a value that was not finite; -1 if all were.
        credible_window: as in `verdict_arrays`.

    Returns:
        The verdict.

    Example:
        >>> from gan_jax.diagnostics import init_detector
        >>> onsets, label = np.array([300, -1, 300, -1]), np.int32(LABELS.index("junk"))  # of any cause, and of junk
        >>> state = init_detector()._replace(formed_step=np.int32(100), onset_step=onsets, onset_label=label)
        >>> verdict_on(state, last_step=500).sentence()
        'collapsed at step 300 (junk: samples unlike the data; formed at step 100)'
    """
    state = jax.tree.map(jnp.asarray, DetectorState(*state))
    return jax.device_get(_arrays(state, last_step, nonfinite_step, credible_window)).verdict()


_arrays = jax.jit(verdict_arrays)
_OF_EARLY = np.array([cause in ("any", "collapse") for cause in CAUSES])
_FEW = ("partial", "total", "class")


def _step(step: int) -> int | None:
    return step if step >= 0 else None
