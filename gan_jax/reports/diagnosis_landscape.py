"""The result of `gan-jax diagnose landscape` in words and figures, for a plane, a line or scans."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from gan_jax.reports import landscape_plane, landscape_scans

_FORMS: dict[str, ModuleType] = {"plane": landscape_plane, "lines": landscape_scans}


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence."""
    return _FORMS[result["form"]].sentence(result)


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint, and details of the last one."""
    return _FORMS[result["form"]].table(result)


def figure(result: dict[str, Any]) -> Any:
    """The last checkpoint, and numbers over training."""
    return _FORMS[result["form"]].figure(result)
