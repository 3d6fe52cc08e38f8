"""Printing to the terminal. Text may come from a stranger's folder, so control characters are escaped."""

from __future__ import annotations

import sys
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    r"""The text with control and other invisible characters written as escapes; line breaks and tabs are kept.

    Example:
        >>> visible("never \x1b[2Jformed")
        'never \\x1b[2Jformed'
    """
    return "".join(
        c.encode("unicode_escape").decode() if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c
        for c in text
    )


def print_text(text: object) -> None:
    """Prints a text to standard output and flushes it, so that a failed write (a full disk) raises here.

    Raises:
        OSError: if the text cannot be written; its file name is "standard output".
    """
    try:
        print(visible(str(text)), flush=True)
    except OSError as error:
        error.filename = "standard output"
        raise


def log(message: str) -> None:
    """Prints a line to standard error."""
    print(visible(message), file=sys.stderr, flush=True)
