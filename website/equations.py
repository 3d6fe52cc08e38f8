"""Equations as MathML, which browsers draw without a script and without a network.

```math blocks and $...$ in running text, as GitHub reads them too.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert, convert_to_element
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor

_INLINE = r"(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])"
"""A dollar, an equation without spaces at its ends, a dollar."""


def block(source: str, language: str, css_class: str, options: Any, md: Markdown, **kwargs: Any) -> str:
    """A ```math block as a displayed equation, in the form that pymdownx.superfences asks for."""
    return f'<div class="equation">{convert(source.strip(), display="block")}</div>'


class _Inline(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:
        return convert_to_element(m[1]), m.start(0), m.end(0)


class Equations(Extension):
    """Matches $...$ in running text; code spans are matched before, and keep their dollars."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.inlinePatterns.register(_Inline(_INLINE), "equation", 175)  # below backticks (190) and escapes (180)


def makeExtension(**kwargs: Any) -> Equations:
    """The extension, by the name that Markdown looks for."""
    return Equations(**kwargs)
