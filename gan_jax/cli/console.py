"""What is printed: names and messages may come from a folder of a stranger, and must not steer the terminal."""

from __future__ import annotations

import sys
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    r"""A text with its control characters, and others that are not seen, as escapes; line breaks and tabs are kept.

    Example:
        >>> visible("never \x1b[2Jformed")
        'never \\x1b[2Jformed'
    """
    return "".join(
        c.encode("unicode_escape").decode() if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c
        for c in text
    )


def print_text(text: object) -> None:
    """A text on standard output, at once, so that one that is not taken (a full disk) is no success.

    Raises:
        OSError: naming standard output.
    """
    try:
        print(visible(str(text)), flush=True)
    except OSError as error:
        error.filename = "standard output"
        raise


def log(message: str) -> None:
    """A line on standard error."""
    print(visible(message), file=sys.stderr, flush=True)
