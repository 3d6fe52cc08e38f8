"""What the reports are made of: one page without anything from outside, figures inside it, tables of settings."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path
from typing import Any

from gan_jax.component import is_component
from gan_jax.settings import walk

COLOURS = ("#2a78d6", "#e8590c", "#2f9e44", "#9c36b5", "#c2255c", "#868e96", "#f08c00", "#0b7285")


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure (inches) and its axes, to be drawn without any window."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def figure_svg(figure: Any, label: str) -> str:
    """A figure as an element of the page, in the page's colours; `label` is its text for those who do not see it."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor").replace("stroke: #000", "stroke: currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Ids would clash between the figures of one page.
    prefix = re.sub(r"\W", "", label)
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', lambda match: match.group(1) + prefix, svg)
    return f'<figure role="img" aria-label="{html.escape(label)}">{svg}</figure>'


def data_uri(picture: Path) -> str:
    """A PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def table(head: list[str], rows: list[list[str]], caption: str = "") -> str:
    """A table of texts, which are escaped."""
    lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>"]
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        lines.append(f"<tr><th>{html.escape(first)}</th>{cells}</tr>")
    return f"<table><caption>{html.escape(caption)}</caption>{''.join(lines)}</table>"


def settings_table(experiment: Any) -> str:
    """All settings of an experiment with their values and meanings, folded away."""
    rows = []
    for setting in walk(experiment):
        value = setting.value
        if isinstance(value, tuple):
            value = ", ".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
        shown = type(value).__name__ if is_component(value) else value
        doc = html.escape(setting.field.metadata.get("doc", ""))
        rows.append(f"<tr><th>{html.escape(setting.path)}</th><td>{html.escape(str(shown))}</td><td>{doc}</td></tr>")
    return f"<details><summary>{len(rows)} settings</summary><table>{''.join(rows)}</table></details>"


def show(value: Any) -> str:
    """A cell of a table: four digits of a number, a dash for none."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d9dee4; --soft: #f4f6f8; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e8ea; --paper: #16191d; --line: #363c43; --soft: #20252b; }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; margin: 0 0 .5rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
.verdict {{ font-size: 1.25rem; padding: .8rem 1rem; border-left: .4rem solid #868e96; background: var(--soft); }}
.verdict.healthy {{ border-color: #2f9e44; }} .verdict.collapsed, .verdict.non-finite {{ border-color: #c92a2a; }}
.verdict.never-formed, .verdict.censored {{ border-color: #e67700; }}
table {{ border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }}
caption {{ text-align: left; padding: .3rem 0; }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); font-weight: normal;
  vertical-align: top; overflow-wrap: anywhere; }} td {{ font-variant-numeric: tabular-nums; }}
th {{ overflow-wrap: normal; }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }}
figure {{ margin: 0; }} figure svg {{ width: 100%; height: auto; fill: currentColor; }}
.sample img {{ width: 100%; background: #fff; }} figcaption {{ font-size: .8rem; }} h3 {{ font-size: 1rem; }}
.frames img {{ max-width: 100%; width: 30rem; background: #fff; display: block; }}
.frames img[hidden] {{ display: none; }}
.frames label {{ display: flex; gap: .6rem; align-items: center; max-width: 30rem; margin-top: .5rem; }}
.frames input {{ flex: 1; }} output {{ min-width: 5em; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
<script>
for (const frames of document.querySelectorAll('.frames')) {{
  const steps = frames.dataset.steps.split(',').map(Number), images = frames.querySelectorAll('img');
  frames.querySelector('input').addEventListener('input', event => {{
    images.forEach((image, index) => {{ image.hidden = index !== Number(event.target.value); }});
    frames.querySelector('output').textContent = steps[event.target.value].toLocaleString('en');
  }});
}}
</script>
</body>
</html>
"""
