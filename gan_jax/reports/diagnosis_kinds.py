"""The kinds of `gan-jax diagnose KIND RUN`, and functions that read their stored results.

Each kind has a module `diagnosis_KIND` in this package with three functions of the result: `sentence`, `table` and
`figure`; and a module `gan_jax.cli.diagnose_KIND`, whose `diagnose` makes the result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RUN_KINDS = {
    "onset": "replay the collapse of a run step by step: which quantities changed before it, which after; and branch "
    "from before it",
    "landscape": "measure D's surface: contours and the field that moves the fakes (2-D data), or scans D(x + k u) "
    "(images)",
    "forgetting": "measure cosines of D's gradient over training, its accuracy on earlier fakes, and its local maxima "
    "at real modes",
    "memorisation": "measure D's accuracy on training, held-out and fake examples through training, and on flipped "
    "labels",
    "magnitudes": "measure activations, gradients and singular values per layer of both players, logits and update "
    "ratios",
    "game": "compute eigenvalues of the game's Jacobian: rotation against attraction",
    "support": "estimate how many different samples G can make (birthday paradox), and how close they are to the data",
}
"""A line of help, by kind."""

_FORMER_KEYS = {
    "forgetting": {"turning": "gradient_cosines", "judges": "has_decision_threshold"},
    "landscape": {"boundary": "decision_threshold", "attention": "local_maxima"},
}
"""Keys in files of earlier versions -> their present names, by kind."""


def read_diagnosis(kind: str, path: Path) -> dict[str, Any]:
    """A stored result, RUN/diagnosis/KIND.json, with the keys of this version.

    Raises:
        TypeError: if the file does not hold a JSON object.
    """
    return with_present_keys(kind, json.loads(path.read_text(encoding="utf-8")))


def with_present_keys(kind: str, result: Any) -> dict[str, Any]:
    """A result that may be from an earlier version, with the keys of this version.

    Raises:
        TypeError: if it is not a JSON object.
    """
    if not isinstance(result, dict):
        raise TypeError(f"a diagnosis is a JSON object, and this is a {type(result).__name__}")
    former = _FORMER_KEYS.get(kind, {})

    def renamed(part: Any) -> Any:
        return {former.get(name, name): value for name, value in part.items()} if isinstance(part, dict) else part

    made = renamed(result)
    if isinstance(made.get("checkpoints"), list):
        made["checkpoints"] = [renamed(row) for row in made["checkpoints"]]
    return made
