"""The reports in a browser: a laptop and a phone, both themes, with keys; and the page that is served, as it changes.

Chromium is driven by playwright. It is the one named by GAN_JAX_TEST_BROWSER, the system's, or playwright's own.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from gan_jax.cli.main import main
from gan_jax.reports import watch
from gan_jax.reports.figures import new_figure
from tests.reports.made_folders import end, make_run, train

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'gan-jax[test]'")

pytestmark = pytest.mark.browser

CONFIG = """from gan_jax.experiment.sweep import grid
from gan_jax.experiment.examples import tiny_ring


def experiment():
    return tiny_ring(num_steps=6, eval_every_steps=2)


def sweep():
    return grid(experiment(), {"generator.learning_rate": (1e-3, 1e-4)}, seeds=2)
"""
SIZES = {"laptop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        path = os.environ.get("GAN_JAX_TEST_BROWSER")
        if path is None:
            names = ("chromium", "chromium-browser", "google-chrome")
            found = [*map(shutil.which, names), playwright.chromium.executable_path]
            path = next((path for path in found if path and Path(path).is_file()), None)
        if path is None:
            pytest.skip("no Chromium: install the package chromium, or set GAN_JAX_TEST_BROWSER to its program")
        # Without its sandbox, which a container does not offer it: the pages are our own.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Opens an address; the page collects in `told` whatever it complains about or asks of the network."""
    contexts = []

    def opened(address, size="laptop", theme="light"):
        width, height = SIZES[size]
        phone = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if size == "phone" else {}
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **phone)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.told = []
        page.on("console", lambda message: page.told.append(message.text))
        page.on("pageerror", lambda error: page.told.append(str(error)))
        page.on("request", lambda request: page.told.append(request.url) if foreign(request.url, address) else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()


def foreign(url: str, address: str) -> bool:
    return not url.startswith(("data:", address))


def problems(page) -> list[str]:
    """What is wrong with a page: what it told, and what is wider than the screen, boxes that scroll left aside."""
    # Not innerWidth: on a phone it grows with a page that is too wide.
    wide = page.evaluate(
        """screen => {
            const found = [], root = document.documentElement;
            if (root.scrollWidth > screen) found.push(`the page is ${root.scrollWidth} wide, of ${screen}`);
            for (const part of document.body.querySelectorAll('*:not(.skip)')) {
                const box = part.getBoundingClientRect();
                if (box.width && box.right > screen + 0.5 && !part.closest('.scroll, pre')) {
                    found.push(`${part.tagName}.${part.className} ends at ${box.right}`);
                }
            }
            return found;
        }""",
        page.viewport_size["width"],
    )
    return page.told + wide


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Addresses of the reports of a run and of a sweep that were trained here; the run has a wide figure and a film."""
    folder = tmp_path_factory.mktemp("reports")
    config = folder / "study.py"
    config.write_text(CONFIG)
    run, sweep = folder / "run", folder / "sweep"
    assert main(["train", str(config), "--run-dir", str(run), "--quiet"]) == 0
    assert main(["sweep", str(config), "--strategy", "map", "--run-dir", str(sweep), "--quiet"]) == 0
    result = {
        "sentence": "D has a peak at 6 of 8 modes.",
        "frames": [f"samples/step_{step:08d}.png" for step in (2, 4)],
    }
    (run / "diagnosis").mkdir()
    (run / "diagnosis" / "landscape.json").write_text(json.dumps(result))

    def figure(result):
        made = new_figure(12, 4)
        made.add_subplot().plot([0, 1])
        return made

    with pytest.MonkeyPatch.context() as patch:
        module = SimpleNamespace(figure=figure, table=lambda result: "a wide table " * 20)
        patch.setitem(sys.modules, "gan_jax.reports.diagnosis_landscape", module)
        assert main(["report", str(run)]) == 0
    assert main(["report", str(sweep)]) == 0
    member, both = folder / "other", folder / "both.html"
    assert main(["train", str(config), "--seed", "1", "--run-dir", str(member), "--quiet"]) == 0
    assert main(["report", str(run), str(member), "--out", str(both)]) == 0
    made = {"run": run / "report.html", "sweep": sweep / "report.html", "comparison": both}
    return {kind: path.as_uri() for kind, path in made.items()}


WIDE_TABLES = "[...document.querySelectorAll('.keyed .scroll')].filter(box => box.scrollWidth > box.clientWidth).length"

# --- Looks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["run", "sweep", "comparison"])
def test_nothing_overflows_and_nothing_complains(visit, reports, kind, size, theme):
    page = visit(reports[kind], size, theme)
    assert problems(page) == []
    for part in page.locator("details").all():
        part.evaluate("part => { part.open = true; }")
    assert problems(page) == []
    light = sum(map(int, page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"))) > 600
    assert light == (theme == "light")
    if size == "laptop":
        assert page.evaluate(WIDE_TABLES) == 0
    # Figures are as wide as a phone's page, or scroll.
    assert page.evaluate("[...document.querySelectorAll('.plot svg')].every(svg => svg.clientWidth > 250)")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<main", '<div style="width: 2000px">wide</div><main', "the page is"),
        ("<main", '<p style="position: fixed; left: 90vw; width: 50vw">aside</p><main', "P. ends at"),
        ("</main>", "<script>console.error('a message')</script></main>", "a message"),
        ("</main>", "<script>undefined.field</script></main>", "Cannot read properties"),
        ("</main>", '<img alt="" src="other.png"></main>', "other.png"),
        (".scroll { overflow-x: auto;", ".scroll { overflow-x: visible;", "the page is"),
    ],
)
def test_a_broken_page_is_noticed(visit, reports, tmp_path, old, new, said):
    text = Path(reports["run"].removeprefix("file://")).read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace(old, new, 1))
    assert any(said in line for line in problems(visit(broken.as_uri(), "phone")))


def test_on_paper_there_are_no_controls(visit, reports):
    page = visit(reports["run"], theme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 720, "height": 1000})  # about A4
    assert problems(page) == []
    for part in ("nav", "#theme", ".controls"):
        assert not page.locator(part).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert page.locator("img:visible").count() == 4  # first and last samples, the curves, the picture of the data


# --- Keys -------------------------------------------------------------------------------------------------------------


def active(page) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.className")


def tab_to(page, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if active(page) == name:
            return
    pytest.fail(f"Tab does not reach {name}")


def shown(page) -> list[str]:
    return page.locator("#samples-film img:visible").evaluate_all("parts => parts.map(part => part.dataset.said)")


@pytest.mark.parametrize("size", SIZES)
def test_the_slider_moves_by_keys(visit, reports, size):
    page = visit(reports["run"], size)
    frames = page.locator("#samples-film img").evaluate_all("parts => parts.map(part => part.dataset.said)")
    assert [frame.split(":")[0] for frame in frames] == ["step 2", "step 4", "step 6"]
    assert shown(page) == [frames[2]]
    tab_to(page, "samples-film-range")
    for key, index in (("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowRight", 1), ("End", 2), ("Home", 0), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert shown(page) == [frames[index]]
        assert page.locator("#samples-film output").text_content() == frames[index]
        assert page.locator("#samples-film-range").get_attribute("aria-valuetext") == frames[index]
    # The film of the landscape is another slider.
    assert page.locator("#landscape-film img:visible").get_attribute("alt") == "D's landscape at step 4"


def test_play_goes_to_the_last_frame_and_stops(visit, reports):
    page = visit(reports["run"])
    # Paused: an installed clock goes on with real time, of which a loaded machine takes any amount between two lines.
    page.clock.install(time=datetime.datetime(2026, 1, 1))
    page.clock.pause_at(datetime.datetime(2026, 1, 2))
    tab_to(page, "play")
    page.keyboard.press("Enter")
    assert active(page) == "play"
    assert page.locator(".play").first.text_content() == "Pause"
    assert shown(page)[0].startswith("step 2")
    page.clock.run_for(450)
    assert shown(page)[0].startswith("step 4")
    page.clock.run_for(5000)
    assert shown(page)[0].startswith("step 6")
    assert page.locator(".play").first.text_content() == "Play"


def test_the_theme_is_chosen_by_key_and_not_kept(visit, reports):
    page = visit(reports["run"])
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    tab_to(page, "theme")
    assert page.locator("#theme").text_content() == "Dark theme"
    page.keyboard.press("Enter")
    assert page.evaluate(ground) != light
    assert page.locator("#theme").text_content() == "Light theme"
    page.keyboard.press("Space")
    assert page.evaluate(ground) == light
    page.keyboard.press("Enter")
    page.reload()
    assert page.evaluate(ground) == light


def test_the_skip_link_is_first_and_sections_are_linked(visit, reports):
    page = visit(reports["run"], "phone")
    page.keyboard.press("Tab")
    assert active(page) == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert active(page) == "main"
    page.get_by_role("link", name="Experiment").click()
    page.wait_for_function("document.getElementById('experiment').getBoundingClientRect().top < 200")


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_all_that_acts_has_a_focus_that_shows(visit, reports, kind):
    page = visit(reports[kind], "phone")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    acting = "a, button, input, summary"
    wanted = page.evaluate(
        f"""[...document.querySelectorAll('*')].map((part, index) =>
            part.checkVisibility() && (part.matches('{acting}')
            || part.matches('.scroll, pre') && part.scrollWidth > part.clientWidth) ? index : -1)
            .filter(index => index >= 0)"""
    )
    assert len(wanted) > 8
    assert set(wanted) <= reached


# --- Served -----------------------------------------------------------------------------------------------------------


def test_the_served_page_changes_under_the_reader(visit, tmp_path):
    run = make_run(tmp_path / "run")
    with watch.make_server(0) as server:
        server.drawing = watch.draw_page(run.path, watch.Drawing(), 0.05)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = visit(f"http://127.0.0.1:{server.server_port}/", "phone")
        assert page.locator("#live").text_content() == "No metrics yet: waiting for the first evaluation"

        train(run, 3)
        server.drawing = watch.draw_page(run.path, server.drawing, 0.05)
        page.get_by_role("heading", name="Verdict").wait_for()
        assert page.locator("#live").text_content() == "Not finished: step 30 of 40 (75%), total"
        page.evaluate("window.stayed = true")
        page.locator("#theme").click()
        page.locator("summary").click()
        page.locator("#samples-film-range").focus()
        page.keyboard.press("Home")
        page.evaluate("scrollTo({ top: 400, behavior: 'instant' })")
        height = page.locator("#samples-over-training").bounding_box()["y"]

        train(run)
        end(run)
        server.drawing = watch.draw_page(run.path, server.drawing, 0.05)
        page.get_by_text("Collapsed at step 30").wait_for()
        assert page.locator("#live").text_content() == "The run has ended"
        assert shown(page) == ["step 10: forming"]
        assert page.locator("#samples-film-range").get_attribute("max") == "3"
        assert active(page) == "samples-film-range"
        assert "The onset of the collapse" in page.locator("main").text_content()  # new, above what is being read
        assert page.locator("#samples-over-training").bounding_box()["y"] == pytest.approx(height, abs=1)
        assert page.locator("details").get_attribute("open") is not None
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("window.stayed") is True
        assert problems(page) == []

        # It has ended: a page that is drawn later is seen by those who load it, and nobody asks for it.
        server.drawing = server.drawing._replace(version=99)
        page.wait_for_timeout(300)
        assert page.locator("body").get_attribute("data-version") == "3"
        server.shutdown()
