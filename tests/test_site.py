"""The site: pages that are made from the code, equations; in the slow suite the strict build, seen in a browser."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import gan_jax as gj
from gan_jax.cli.arguments import build_parser
from gan_jax.experiment.configs import config_names
from gan_jax.reports.diagnosis_kinds import RUN_KINDS
from website import reference, tables, tutorials

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages():
    return {**reference.pages(), **tables.pages()}


def test_every_public_name_has_one_section(pages):
    sections = re.findall(r"^## `(gj\.[\w.]+)`", "\n".join(pages.values()), flags=re.MULTILINE)
    assert len(sections) == len(set(sections))
    top = {f"gj.{name}" for name in gj.__all__ if name.startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))}
    assert top <= set(sections)
    assert {"gj.train", "gj.losses.R1", "gj.metrics.log_rank", "gj.unroll.unroll", "gj.plot.survival"} <= set(sections)
    assert {public.name for public in reference.public_names()} == set(sections)


@pytest.mark.parametrize("public", reference.public_names(), ids=lambda public: public.name)
def test_a_public_name_has_a_docstring_or_is_a_constant(public):
    assert public.value.__doc__ or not callable(public.value)


def test_a_component_shows_its_settings_and_bounds(pages):
    (section,) = re.findall(r"^## `gj.losses.ExactFlips`.*?(?=^## )", pages["reference/losses.md"], flags=re.M | re.S)
    assert re.search(r"\| `rate` \|.*at least 0 and at most 1", section)


def test_the_generated_tables_are_complete(pages):
    assert all(f"## `{name}`" in pages["reference/configs.md"] for name in config_names())
    assert all(f"| `{name}` |" in pages["reference/remedies.md"] for name in gj.REMEDIES)
    assert all(f"## `{kind}`" in pages["reference/diagnoses.md"] for kind in RUN_KINDS)
    commands = tables.commands_of(build_parser("gan-jax")[0])
    assert all(f"## `gan-jax {name}`" in pages["reference/command-line.md"] for name in commands)


def test_nothing_generated_is_in_the_checkout(pages):
    assert not [path for path in pages if (ROOT / "docs" / path).exists()]


@pytest.mark.parametrize("source", tutorials.NOTEBOOKS, ids=lambda source: source.stem)
def test_a_notebook_has_a_title_and_code_that_compiles(source):
    page = tutorials.plain(source.read_text(encoding="utf-8"))
    assert page.startswith("# ")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 2
    for block in blocks:
        compile(block, source.name, "exec")


def test_equations_become_mathml():
    markdown = pytest.importorskip("markdown", reason="needs the extra docs")
    pytest.importorskip("latex2mathml")
    made = markdown.markdown("with $x^2$, `$HOME`, 5 $ and 6 $", extensions=["website.equations"])
    assert made.count("<math") == 1
    assert "<msup>" in made
    assert "$HOME" in made
    assert made.endswith("5 $ and 6 $</p>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(https?:[^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]*\shref=[\"']?(https?:[^\"' >]+)", text)
        assert loaded == [], page.name
    assert {"index.html", "results.html", "reference/losses.html", "tutorials/02_unroll.html"} <= {
        path.relative_to(site).as_posix() for path in site.rglob("*.html")
    }
    assert "<math" in (site / "tutorials" / "02_unroll.html").read_text(encoding="utf-8")
    # Doctests are code, not quotations.
    assert not [page.name for page in (site / "reference").glob("*.html") if "<blockquote" in page.read_text("utf-8")]


@pytest.mark.browser
def test_the_site_in_a_browser_fits_the_screen_and_search_finds(site):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("GAN_JAX_TEST_BROWSER") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium: install the package chromium, or set GAN_JAX_TEST_BROWSER to its program")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for width, theme in ((1280, "light"), (390, "dark")):
                page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
                asked = []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                for name in ("index", "reference/losses", "reference/configs", "unrolling", "tutorials/02_unroll"):
                    page.goto(f"{address}{name}.html")
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                assert [url for url in asked if not url.startswith((address, "data:"))] == []
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{address}index.html")
            page.locator("input.md-search__input").fill("ExactFlips")
            page.locator(".md-search-result__item a").first.wait_for(timeout=20_000)
            assert page.locator("a.md-search-result__link[href*='reference/losses']").count() > 0
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
