"""The report on a run: what it says and in which order, that it is one file, and what broken parts of a folder cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_jax.cli.main import main
from gan_jax.data.mixtures import PointMass, Temperatures
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.sweep import variations
from gan_jax.reports import (
    figures,
    landscape_plane,
    page,
    page_pictures,
    report_curves,
    sample_pictures,
    sweep_outcomes,
)
from gan_jax.reports.figures import new_figure
from gan_jax.reports.page_figures import figure_svg
from gan_jax.reports.report import write_report
from gan_jax.reports.report_curves import make_series
from gan_jax.reports.sample_pictures import picture_samples
from gan_jax.reports.sweep_report import write_sweep_report
from gan_jax.runs.folder_code import AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.runner import decorate
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord
from tests.reports.made_folders import end, ended_run, make_run, make_sweep, row, train

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """What a page holds; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def report(run) -> Page:
    return Page(write_report(run.path).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path):
    return ended_run(tmp_path / "run")


def test_the_verdict_comes_first_and_the_command_last(run):
    made = report(run)
    assert made.headings == [
        "Verdict",
        "The onset of the collapse",
        "Samples over training",
        "Curves",
        "All numbers",
        "Experiment",
        "How to reproduce it",
    ]
    assert "collapsed at step 30 (total: almost all samples alike; formed at step 20)." in made.text
    tiles = re.findall(r"<dt>(.*?)</dt><dd class=\"value\">(.*?)</dd><dd class=\"bound\">(.*?)</dd>", source(run))
    assert tiles == [("modes captured", "1", "ceiling 8"), ("high-quality share", "90 %", "ceiling 98.9 %")]
    assert "gan-jax train ring" in made.text
    assert "jax 0.10.2" in made.text


def source(run) -> str:
    return run.report_path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_loads_nothing(run):
    made = report(run)
    text = source(run)
    assert "http" not in text.replace("http://www.w3.org", "")
    assert not re.search(r"@import|url\((?!#)", text)
    for tag, attrs in made.tags:
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/", "data:text/csv")), (tag, attrs[name][:80])
    ids = [attrs["id"] for _, attrs in made.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in made.all("a"):
        assert attrs["href"][1:] in ids or attrs.get("download", "").endswith(".csv")
    for attrs in made.all("section"):
        assert attrs["aria-labelledby"] in ids
    assert all(attrs["alt"] for attrs in made.all("img"))
    assert all(attrs["aria-label"] for attrs in made.all("svg") + made.all("input"))
    assert [attrs["lang"] for attrs in made.all("html")] == ["en"]


def test_what_the_folder_says_is_text(tmp_path):
    run = ended_run(tmp_path / "run", command="gan-jax </code><script>alert(1)</script>")
    assert report(run).all("script") == [{}]
    assert "<script>alert(1)</script>" in report(run).text


# --- Samples ----------------------------------------------------------------------------------------------------------


def test_the_slider_has_a_frame_for_each_picture(run):
    made = report(run)
    assert [attrs["data-said"] for attrs in made.all("img")] == [
        "step 10: forming",
        "step 20: healthy",
        "step 30: total",
        "step 40: total",
    ]
    assert [("hidden" in attrs) for attrs in made.all("img")] == [True, True, True, False]
    (slider,) = made.all("input")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "3", "3")
    jumps = [attrs["data-frame"] for attrs in made.all("button") if "data-frame" in attrs]
    assert jumps == ["1", "2"]  # formed, collapsed


def test_a_heavy_run_stays_below_ten_megabytes(tmp_path):
    run = make_run(tmp_path / "run")
    train(run)
    noise = np.random.default_rng(0)
    for step in range(50, 80):
        pixels = noise.integers(0, 256, (512, 512, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(run.picture_path(step), compress_level=1)
    assert sum(path.stat().st_size for path in run.pictures()) > 20e6
    write_report(run.path)
    assert 1e6 < run.report_path.stat().st_size < 10e6
    said = [attrs["data-said"] for attrs in Page(source(run)).all("img")]
    assert said[0] == "step 10: forming"
    assert said[-1] == "step 79"
    assert len(said) >= 6


def test_a_picture_cut_short_is_left_out(run):
    whole = run.picture_path(20).read_bytes()
    run.picture_path(20).write_bytes(whole[:-9])
    assert "step 20: healthy" not in [attrs["data-said"] for attrs in report(run).all("img")]


def test_frames_are_thinned_evenly():
    assert page_pictures.spread(5, 9) == [0, 1, 2, 3, 4]
    assert page_pictures.spread(101, 5) == [0, 25, 50, 75, 100]
    assert page_pictures.spread(7, 1) == [6]


# --- Curves -----------------------------------------------------------------------------------------------------------


def test_a_long_curve_becomes_means_with_a_band():
    steps = np.arange(1000)
    series = make_series(((s, float(s), s - 1.0, s + 2.0) for s in steps), most=100)
    np.testing.assert_allclose(series.steps, np.arange(100) * 10 + 4.5)
    np.testing.assert_allclose(series.values, series.steps)
    np.testing.assert_allclose(series.low, np.arange(100) * 10 - 1)
    np.testing.assert_allclose(series.high, np.arange(100) * 10 + 9 + 2)


def test_values_that_are_not_finite_are_not_drawn():
    series = make_series([(2, 1.0, 1.0, 1.0), (1, float("nan"), 0.0, 0.0), (3, 5.0, 5.0, float("inf"))])
    assert series.steps.tolist() == [2]
    assert make_series([(1, float("inf"), 0.0, 0.0)]) is None


def drawn(monkeypatch, run) -> dict:
    """By title, the axes of the figures of a run's report."""
    found = {}

    def keep(figure, label, **options):
        (axes,) = figure.axes
        found[axes.get_title(loc="left")] = axes
        return figure_svg(figure, label, **options)

    monkeypatch.setattr(report_curves, "figure_svg", keep)
    write_report(run.path)
    return found


def test_curves_are_of_the_rows_with_ceilings_and_marks(monkeypatch, run):
    axes = drawn(monkeypatch, run)
    assert list(axes) == ["Losses", "Scores (raw)", "Modes captured", "High-quality share", "Spread inside modes"]
    line, *marks = axes["Modes captured"].lines
    assert line.get_xydata().tolist() == [[10, 8], [20, 8], [30, 1], [40, 1]]
    assert [mark.get_ydata()[0] for mark in marks[:1]] == [8]
    assert [mark.get_xdata()[0] for mark in marks[1:]] == [20, 30]
    assert not axes["Losses"].collections


def test_a_spread_of_the_rows_is_a_band(monkeypatch, tmp_path):
    run = make_run(tmp_path / "run")
    for step in (10, 20):
        run.append_metrics({**row(step, "forming"), "train_band": {"generator_loss": [0.5, 1.5]}})
    axes = drawn(monkeypatch, run)["Losses"]
    (band,) = axes.collections
    assert {y for path in band.get_paths() for _, y in path.vertices} == {0.5, 1.5}
    assert "middle 80 %" in source(run)


def test_signals_are_drawn_by_group(monkeypatch, run):
    for step in (5, 10, 15):
        signals = {
            "discriminator/gradient/hidden_0": 10.0 ** -(step // 5),
            "discriminator/gradient/output": 1.0,
            "discriminator/singular/output": 1.0 + step,
            "scores/fooled": None if step == 5 else 0.5,
        }
        run.append_signals([{"step": step, "signals": signals}])
    axes = drawn(monkeypatch, run)
    gradient, singular = axes["Discriminator: gradient"], axes["Discriminator: singular"]
    assert [line.get_label() for line in gradient.lines[:2]] == ["hidden 0", "output"]
    np.testing.assert_allclose(gradient.lines[0].get_ydata(), [0.1, 0.01, 0.001])
    assert gradient.get_yscale() == "log"
    assert singular.get_yscale() == "linear"
    assert axes["Scores"].lines[0].get_xdata().tolist() == [10, 15]
    assert "Probe values" in Page(source(run)).headings


# --- Diagnoses --------------------------------------------------------------------------------------------------------


def known(monkeypatch, kind: str, figure=None) -> None:
    def draw(result):
        made = new_figure(8, 3)
        made.add_subplot().plot(result["values"])
        return made

    module = SimpleNamespace(figure=figure or draw, table=lambda result: f"values <{result['values']}>")
    monkeypatch.setitem(sys.modules, f"gan_jax.reports.diagnosis_{kind}", module)


def keep(run, kind: str, text: str) -> None:
    (run.path / "diagnosis").mkdir(exist_ok=True)
    (run.path / "diagnosis" / f"{kind}.json").write_text(text)


def test_a_collapse_without_a_diagnosis_gets_the_command(run):
    assert f"gan-jax diagnose onset {run.path}" in report(run).text
    end(run, "healthy")
    assert "The onset of the collapse" not in report(run).headings


def test_the_story_of_the_onset(monkeypatch, run):
    known(monkeypatch, "onset")
    story = ["D's loss fell at step 26", "G's gradient vanished at step 28"]
    keep(run, "onset", json.dumps({"sentence": "D overshot.", "story": story, "values": [1, 2]}))
    made = report(run)
    assert made.headings.index("The onset of the collapse") == 1
    assert "<li>D&#39;s loss fell at step 26</li><li>G&#39;s gradient vanished at step 28</li>" in source(run)
    assert "diagnose onset" not in made.text


def test_diagnoses_come_in_the_order_of_their_kinds(monkeypatch, run):
    for kind in ("support", "game"):
        known(monkeypatch, kind)
        keep(run, kind, json.dumps({"sentence": f"of {kind} <this>.", "values": [3]}))
    made = report(run)
    assert made.headings[4:6] == ["Geometry of the game", "Support and nearest neighbours"]
    assert "Of game <this>." in made.text
    assert "values <[3]>" in made.text
    assert sum("Geometry" in attrs["aria-label"] for attrs in made.all("svg")) == 1


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("support", "{", "JSONDecodeError"),
        ("support", "{}", "KeyError: 'sentence'"),
        ("support", '{"sentence": "s"}', "KeyError: 'values'"),
        ("support", "[]", "TypeError"),
        ("states", "{}", "has an unknown kind; the kinds are onset, landscape"),
    ],
)
def test_a_broken_diagnosis_costs_its_own_part_only(monkeypatch, run, kind, text, said):
    known(monkeypatch, "support")
    keep(run, kind, text)
    made = report(run)
    assert f"{kind}.json" in made.text
    assert said in made.text
    assert made.headings[-1] == "How to reproduce it"


def test_a_figure_that_fails_costs_its_own_part_only(monkeypatch, run):
    def fail(result):
        raise ZeroDivisionError("no points")

    known(monkeypatch, "game", fail)
    keep(run, "game", '{"sentence": "s", "values": []}')
    assert "game.json cannot be shown (ZeroDivisionError: no points)" in report(run).text


def test_the_film_is_of_pictures_inside_the_folder(monkeypatch, run):
    known(monkeypatch, "landscape")
    Image.new("RGB", (8, 8)).save(run.path.parent / "step_00000001.png")
    names = []
    for step in (10, 20):
        name = f"diagnosis/landscape/step_{step:08d}.png"
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(run.path / name)
        names.append(name)
    frames = ["../step_00000001.png", *names, "diagnosis/none.png"]
    keep(run, "landscape", json.dumps({"sentence": "s", "values": [1], "frames": frames}))
    alts = [attrs["alt"] for attrs in report(run).all("img")]
    assert alts[-2:] == ["D's landscape at step 10", "D's landscape at step 20"]
    assert len(alts) == 4 + 2


# --- Sweeps -----------------------------------------------------------------------------------------------------------


def test_a_sweep_begins_with_its_arms(tmp_path):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), 32)
    text = write_sweep_report(made.path).read_text(encoding="utf-8")
    page = Page(text)
    assert page.headings == ["Arms", "Survival", "Curves", "Samples", "Experiment", "How to reproduce it"]
    assert "2 runs of 2 arms: 1 healthy, 1 collapsed; no trend over the learning rate (p = 0.32); " in page.text
    assert "; log-rank over the arms p = 0.32." in page.text
    head = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)
    assert head[:4] == ["arm", "runs", "healthy", "collapsed"]
    assert head[4:6] == ["arm", "modes captured"]
    assert [attrs["aria-label"] for attrs in page.all("svg")][3] == "discriminator loss by step, by arm"
    assert text.count("border-top: 3px solid var(--s1)") == 4  # the same line in all tables and over the curves


def test_the_first_line_has_the_answer_of_a_study_over_a_number(tmp_path):
    made = make_sweep(tmp_path / "sweep", (1e-4, 1e-3, 1e-2), seeds=6)
    rows = made.read_members()
    for member in rows:  # the larger the rate, the later the collapse
        rate = float(member["arm"].partition("=")[2])
        onset = {1e-4: 10, 1e-3: 20, 1e-2: 30}[rate]
        member["verdict"] |= {"outcome": "collapsed", "cause": "total", "onset_step": onset}
    made.write_members(rows)
    text = Page(write_sweep_report(made.path).read_text(encoding="utf-8")).text
    assert "18 collapsed; the larger the learning rate, the later a run fails (trend p = " in text


def test_a_heavy_sweep_stays_below_ten_megabytes(tmp_path):
    made = make_sweep(tmp_path / "sweep", tuple(1e-4 * (1 + i) for i in range(14)), 512)
    assert sum(path.stat().st_size for path in made.samples_path.iterdir()) > 10e6
    path = write_sweep_report(made.path)
    assert path.stat().st_size < 10e6
    assert len(Page(path.read_text(encoding="utf-8")).all("img")) == 14


def change(made: SweepDirectory, member: int, **changes) -> None:
    """Changes the row of a member in members.jsonl."""
    rows = made.read_members()
    rows[member].update(changes)
    made.write_members(rows)


@pytest.mark.parametrize("lacking", [0, 1])
def test_an_arm_without_a_metric_has_an_empty_cell(tmp_path, lacking):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), 32)
    change(made, 1 - lacking, last={"running": {"modes": 8, "kl": 0.25}})
    change(made, lacking, last={"running": {"modes": 8, "kl": None}})
    text = write_sweep_report(made.path).read_text(encoding="utf-8")
    head = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)
    assert head[:7] == ["arm", "runs", "healthy", "collapsed", "arm", "modes captured", "KL of modes (nats)"]
    rows = re.findall(r"</span>(learning_rate=\S+?)</th>((?:<td[^>]*>[^<]*</td>){2})</tr>", text)
    cells = [re.findall(r">([^<]*)</td>", row)[-1] for _, row in rows]
    assert cells == (["–", "0.25 (0.25 to 0.25)"] if lacking == 0 else ["0.25 (0.25 to 0.25)", "–"])
    change(made, lacking, last={})
    write_sweep_report(made.path)


def test_an_outcome_of_another_version_is_counted(tmp_path):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), 32)
    change(made, 0, verdict=made.read_members()[0]["verdict"] | {"outcome": "never formed"})
    rows = made.read_members()
    assert sweep_outcomes._outcomes([*rows, {"verdict": {"outcome": "another"}}]) == [
        "collapsed",
        "never formed",
        "another",
    ]


def test_collapses_while_forming_are_told_in_the_first_line(tmp_path):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), 32)
    early = {"outcome": "collapsed", "when": "while forming", "onset_step": 10, "formed_step": None, "cause": "class"}
    change(made, 0, verdict=made.read_members()[0]["verdict"] | early | {"sentence": "collapsed while forming"})
    text = write_sweep_report(made.path).read_text(encoding="utf-8")
    shown = Page(text)
    assert (
        "2 runs of 2 arms: 2 collapsed (1 of them while forming); no trend over the learning rate (p = 0.32); "
        in shown.text
    )
    head = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)
    assert head[:4] == ["arm", "runs", "collapsed", "collapsed while forming"]
    assert "1 collapse while forming" in shown.text
    labels = [attrs["aria-label"] for attrs in shown.all("svg")]
    assert labels[1:4] == [
        "cumulative incidence of collapse",
        "cumulative incidence of collapse after forming",
        "cumulative incidence of collapse while forming",
    ]
    change(made, 1, verdict=made.read_members()[0]["verdict"])
    shown = Page(write_sweep_report(made.path).read_text(encoding="utf-8"))
    assert "2 runs of 2 arms: 2 collapsed (while forming)" in shown.text


@pytest.mark.parametrize(
    "name",
    [r"$\lr$ up", "_hidden", "a\x07b", "<b>&amp;", "Größe ∞", "$$", r"a\$b$", "x^2_{", "50 % \\n", "a/../b", "😀 up"],
)
def test_any_name_of_an_arm_is_text(tmp_path, name):
    experiment = tiny_ring()
    sweep = variations(experiment, {"plain": {}, name: {"generator.learning_rate": 2e-3}}, seeds=1)
    made = SweepDirectory.create(tmp_path / "sweep", SweepRecord(sweep, config="ring"))
    members = make_sweep(tmp_path / "other", (1e-3, 1e-4), 8).read_members()
    made.write_members([row | {"arm": arm} for row, arm in zip(members, ("plain", name), strict=True)])
    made.append_metrics([{"member": member, **row(40, "healthy")} for member in (0, 1)])
    path = tmp_path / "picture.png"
    picture_samples(path, experiment.data.source(()), np.zeros((5, 2)), f"{name}, seed 0")
    with Image.open(path) as picture:
        assert picture.size == (460, 460)
    page = Page(write_sweep_report(made.path).read_text(encoding="utf-8"))
    assert name in page.text
    shown = "".join(character if character.isprintable() else " " for character in name)
    assert f"{shown} (1 of 1 failed)" in page.text  # in the legend of the survival curves, as it is


@pytest.mark.parametrize("text", ["x" * 4000, "$" * 999, "two\nlines $\\frac", "\ud800", "😀" * 50, ""], ids=range(6))
def test_any_title_is_drawn(tmp_path, text):
    path = tmp_path / "picture.png"
    picture_samples(path, tiny_ring().data.source(()), np.zeros((5, 2)), f"{text}, seed 0")
    with Image.open(path) as picture:
        assert picture.size == (460, 460)
    label = figures.plain_text(f"{text}, seed 0")
    assert label.endswith(", seed 0")
    assert len(label) < 200


def test_a_figure_that_cannot_be_drawn_is_a_sentence():
    figure = new_figure(3, 2)
    figure.add_subplot().set_title(r"$\frac$")
    shown = figure_svg(figure, "losses <by> step")
    assert shown.startswith("<p>A figure cannot be drawn (ValueError: ")
    assert shown.endswith(": losses &lt;by&gt; step</p>")


@pytest.mark.slow
@pytest.mark.parametrize("gone", [(0, 1), (2, 3), (0, 2)])
@pytest.mark.parametrize("how", ["no member", "non-finite at once"])
def test_arms_without_numbers(tmp_path, gone, how):
    made = make_sweep(tmp_path / "sweep", (1e-3, 1e-4), 8, seeds=2)
    rows = made.read_members()
    broken = {"outcome": "non-finite", "onset_step": 3, "onset_steps": {}, "sentence": "non-finite values at step 3"}
    if how == "no member":
        rows = [row for row in rows if row["member"] not in gone]
    else:
        rows = [r | {"verdict": r["verdict"] | broken, "last": {}} if r["member"] in gone else r for r in rows]
    made.write_members(rows)
    metrics = [row for row in made.read_metrics() if row["member"] not in gone]
    made.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in metrics), encoding="utf-8")
    shown = Page(write_sweep_report(made.path).read_text(encoding="utf-8"))
    assert f"{len(rows)} runs of 2 arms" in shown.text


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match=r"row 1 of a table has 1 cells \(\['b'\]\), and there are 2 columns"):
        page.html_table(["arm", "runs"], [["a", 1], ["b"]])
    with pytest.raises(ValueError, match="row 1 of a table has 3 cells"):
        page.html_table([], [["a", 1], ["b", 2, 3]])
    with pytest.raises(ValueError, match="1 keys for 2 rows"):
        page.html_table(["arm"], [["a"], ["b"]], keys=[page.Markup("<b></b>")])


def test_pictures_shrink_until_they_fit(tmp_path):
    path, missing = tmp_path / "noise.png", tmp_path / "missing.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(path)
    as_is, nothing = page_pictures.fit_all([path, missing], 1e6)
    assert as_is.startswith("data:image/png;base64,")
    assert nothing == ""
    (small,) = page_pictures.fit_all([path], 1e5)
    assert small.startswith("data:image/jpeg;base64,")
    assert len(small) < 1e5
    assert page_pictures.fit_all([path], 1e3) is None


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_report_is_utf8_whatever_the_locale(run):
    """Under a locale of ASCII; what Python would write there is neither the dash nor the sign of infinity."""
    run.report_path.unlink(missing_ok=True)
    code = f"import sys; from gan_jax.cli.main import main; sys.exit(main(['report', {str(run.path)!r}]))"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert "–" in Page(run.report_path.read_text(encoding="utf-8")).text


def test_a_report_that_fails_leaves_the_one_before(run, monkeypatch):
    before = write_report(run.path).read_bytes()

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RunError, match="No space left on device"):
        write_report(run.path)
    assert run.report_path.read_bytes() == before
    assert not list(run.path.glob("*.tmp*"))


def test_a_report_goes_through_a_link_and_into_a_pipe(run, tmp_path):
    link, target = tmp_path / "link.html", tmp_path / "page.html"
    link.symlink_to(target)
    write_report(run.path, link)
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"<!doctype html>")
    write_report(run.path, Path("/dev/null"))
    assert not Path("/dev/null").is_file()


def test_a_verdict_is_text_in_every_place(tmp_path):
    run = ended_run(tmp_path / "run")
    verdict = json.loads(run.verdict_path.read_text(encoding="utf-8"))
    verdict |= {"outcome": '"><i>', "sentence": "<b>bold", "message": "\udce9 & more"}
    run.verdict_path.write_text(json.dumps(verdict), encoding="utf-8")
    made = report(run)
    assert "<b>bold." in made.text
    assert "? & more" in made.text
    assert not made.all("i")
    assert not made.all("b")


def test_a_point_mass_is_a_line(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        sample_pictures, "new_figure", lambda *size: drawn.append(figures.new_figure(*size)) or drawn[-1]
    )
    draw, samples = sample_pictures.picture_samples, np.array([[0.1], [np.nan]])
    for data, label, unit in (
        (PointMass(), "real point", "value"),
        (Temperatures(), "real density", "degrees Celsius"),
    ):
        decorate(draw, tmp_path / "a.png", data.source(()), samples, "step 1", data)
        (axes,) = drawn[-1].axes
        assert label in axes.get_legend_handles_labels()[1]
        assert axes.get_xlabel() == unit


@pytest.mark.parametrize(
    ("changes", "label", "unit"),
    [
        ({"noisy": [0.0], "unit": ""}, "real point", "value"),
        ({"noisy": [1.0], "unit": "degrees Celsius"}, "real density", "degrees Celsius"),
        ({"noisy": [1.0], "unit": "$x$"}, "real density", r"\$x\$"),
        ({}, "real density", "value"),  # of an earlier version
    ],
)
def test_a_landscape_over_a_line_has_the_datas_unit_and_points(changes, label, unit):
    result = {"low": [-1.0], "high": [1.0], "decision_threshold": 0.0, "modes": [[0.0]], "std": [0.1], "weights": [1.0]}
    row = {"step": 5, "scores": [0.0, 1.0, 0.0], "fakes": [[0.1], [0.2]]}
    axes = new_figure(3, 2).add_subplot()
    landscape_plane.draw_line(axes, result | changes, row)
    assert axes.get_xlabel() == unit
    assert label in [text.get_text() for text in axes.get_legend().get_texts()]


# --- Experiment -------------------------------------------------------------------------------------------------------


def test_the_experiment_is_compared_with_its_config(tmp_path):
    config = tmp_path / "study.py"
    config.write_text(
        "from gan_jax.experiment.examples import tiny_ring\n\n\ndef experiment():\n    return tiny_ring()\n"
    )
    run = ended_run(tmp_path / "run", config=str(config))
    assert "a config file is executed only if you name it" in report(run).text
    text = write_report(run.path, allowed=AllowedCode(config=str(config))).read_text(encoding="utf-8")
    assert "One setting differs" in text
    assert '<th scope="row">num_steps</th><td>20</td><td>40</td>' in text


def test_a_config_that_is_gone_is_said(tmp_path):
    made = report(ended_run(tmp_path / "run", config="no_such_config"))
    assert "cannot be determined: no config 'no_such_config'" in made.text


# --- Figures and colours ----------------------------------------------------------------------------------------------


def test_a_figure_takes_the_pages_colours():
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.plot([0, 1], color=figures.SERIES[1])
    axes.axvline(0.5, color=figures.BAD)
    svg = figure_svg(figure, "a label")
    assert "var(--s1)" in svg
    assert "var(--bad)" in svg
    assert not re.search(r"#(e8590c|c92a2a|000000|ffffff)", svg)
    assert ">0.4</text>" in svg  # texts stay texts


def test_greys_turn_with_the_theme_unless_they_are_a_colour_map():
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    for grey in ("#333333", "#888888", "#dddddd"):
        axes.plot([0, 1], color=grey)
    svg = figure_svg(figure, "greys")
    assert {"currentColor", "var(--edge)", "var(--line)"} <= set(re.findall(r"stroke: ([^;\"]+)", svg))
    assert not re.search(r"#(333333|888888|dddddd)", svg)
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.pcolormesh(np.arange(12.0).reshape(3, 4), cmap="gray")
    assert len(set(re.findall(r"fill: #(\w{6})", figure_svg(figure, "a map")))) >= 11


def test_ids_of_two_figures_do_not_clash():
    svgs = []
    for label in ("one", "another"):
        figure = new_figure(4, 3)
        axes = figure.add_subplot()
        axes.plot([0, 1], marker="o")
        svgs.append(figure_svg(figure, label))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in svgs]
    assert ids[0]
    assert not ids[0] & ids[1]
    for own, svg in zip(ids, svgs, strict=True):
        assert set(re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {(i, "") for i in own} | {
            ("", i) for i in own
        }


def test_a_figure_of_many_points_becomes_a_picture():
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.plot(*np.random.default_rng(0).normal(size=(2, 8000)), ".")
    element = figure_svg(figure, "many points")
    assert "<svg" not in element
    assert 'alt="many points"' in element
    assert len(element) < 500_000


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 of two colours like #1b1f24."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_from_their_ground():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    css = Path(page.__file__).with_name("page.css").read_text(encoding="utf-8")
    pairs = {name: (light, dark) for name, light, dark in re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", css)}
    assert {f"s{index}" for index in range(len(figures.SERIES))} <= pairs.keys()
    for name in ("ink", "muted", "accent", "good", "bad", "warn"):
        for ground in ("paper", "soft"):
            for theme in (0, 1):
                assert contrast(pairs[name][theme], pairs[ground][theme]) >= 4.5, (name, ground, theme)
    for name in ("edge", *(f"s{index}" for index in range(len(figures.SERIES)))):
        for theme in (0, 1):
            assert contrast(pairs[name][theme], pairs["paper"][theme]) >= 3, (name, theme)


# --- Wrong input ------------------------------------------------------------------------------------------------------


def test_wrong_input_is_told_in_a_line(tmp_path, capsys, run):
    empty = make_run(tmp_path / "empty")
    for arguments, said in (
        ([str(tmp_path)], "is not a run folder"),
        ([str(empty.path)], "has no metrics yet"),
        ([str(run.path), "--out", str(tmp_path / "none" / "page.html")], "does not exist: make it first"),
    ):
        assert main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) == 1
