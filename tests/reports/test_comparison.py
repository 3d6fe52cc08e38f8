"""The report on several runs, and what it shares with that on a sweep: pairs of samples, sentences of arms, CSV."""

from __future__ import annotations

import base64
import csv
import io
import re

import pytest

from gan_jax.cli.main import main
from gan_jax.metrics.onsets import onset_summary
from gan_jax.reports.arm_sentences import arm_sentences
from gan_jax.reports.comparison import MAX_RUNS
from gan_jax.reports.sample_pairs import shares_words
from tests.reports.made_folders import end, make_run, make_sweep, train


def finished(path, seed=0, outcome="collapsed"):
    run = make_run(path, seed=seed)
    train(run)
    end(run, outcome)
    return run


def saved_rows(text):
    """The rows of the CSV file inside a page."""
    (address,) = re.findall(r'href="data:text/csv;base64,([^"]+)"', text)
    return list(csv.DictReader(io.StringIO(base64.b64decode(address).decode())))


def verdict(onset, *, last=1000, cause="collapse"):
    steps = {"any": onset, "collapse": onset if cause == "collapse" else None, "junk": None, "intra": None}
    if cause == "junk":
        steps["junk"] = onset
    outcome = "healthy" if onset is None else "collapsed"
    when = None if onset is None or cause != "collapse" else "after forming"
    return {
        "outcome": outcome,
        "last_step": last,
        "onset_step": onset,
        "onset_steps": steps,
        "cause": cause,
        "when": when,
    }


def test_two_runs_beside_each_other(tmp_path, capsys):
    finished(tmp_path / "first", seed=0)
    finished(tmp_path / "second", seed=4, outcome="healthy")
    out = tmp_path / "both.html"
    assert main(["report", str(tmp_path / "first"), str(tmp_path / "second"), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    order = ["first: collapsed at step 30", "second: healthy", "What differs</h2>", "Samples</h2>", "Curves</h2>"]
    assert sorted(order, key=text.index) == order
    differences = text[text.index("What differs</h2>") : text.index("Samples</h2>")]
    assert re.findall(r"<t[hd][^>]*>([^<]*)<", differences)[-4:] == ["second", "seed", "0", "4"]
    assert text.count("step 10") >= 2
    assert text.count("data:image/png") == 4
    rows = saved_rows(text)
    assert [row["run"] for row in rows] == ["first"] * 4 + ["second"] * 4
    assert [row["step"] for row in rows] == ["10", "20", "30", "40"] * 2


@pytest.mark.parametrize(
    ("folders", "options", "words"),
    [
        (["first", "second"], [], "say where it should be written"),
        (["first", "first"], ["--out", "x.html"], "is given twice"),
        (["first", "sweep"], ["--out", "x.html"], "a run and a sweep"),
        (["first", "second"], ["--out", "x.html", "--baseline", "first"], "--baseline is for sweeps"),
        (["first", "empty"], ["--out", "x.html"], "has no metrics yet"),
        (["first"] * (MAX_RUNS + 1), ["--out", "x.html"], "too many to compare"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(folders, options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("first", "second")):
        finished(tmp_path / name, seed=seed)
    make_run(tmp_path / "empty")
    make_sweep(tmp_path / "sweep", (1e-3, 1e-4))
    assert main(["report", *folders, *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "x.html").exists()


def test_the_sentence_of_a_study():
    arms = {
        "plain": [verdict(3000 + step, last=20000) for step in range(31)] + [verdict(None, last=20000)] * 2,
        "10 %": [verdict(None, last=20000)] * 33,
    }
    (sentence,) = arm_sentences(onset_summary(arms), "step", 1)
    assert sentence == "10 %: 0 of 33 collapsed; plain: 31 of 33, median at 3,016 steps; log-rank p < 1e-9"


def test_of_several_arms_the_clearest_comes_first_and_junk_is_no_collapse():
    arms = {
        "plain": [verdict(200 + seed) for seed in range(8)],
        "same": [verdict(200 + seed) for seed in range(8)],
        "junk": [verdict(None)] * 6 + [verdict(300, cause="junk")] * 2,
    }
    first, second = arm_sentences(onset_summary(arms), "epoch", 100.0)
    assert first.startswith("junk: 0 of 8 collapsed (and 2 junk); plain: 8 of 8, median at 2.0 epochs; log-rank p = ")
    assert first.endswith("(Holm's correction for 2 arms)")
    assert second.startswith("same: 8 of 8 collapsed, median at 2.0 epochs; plain: 8 of 8")
    (alone,) = arm_sentences(onset_summary({"plain": arms["plain"]}), "step", 1)
    assert alone == "plain: 8 of 8 collapsed, median at 203 steps"


def test_an_arm_that_never_formed_is_not_shown_as_the_best():
    noise = {**verdict(None), "outcome": "never formed", "cause": "junk"}
    arms = {
        "plain": [verdict(200 + seed) for seed in range(8)],
        "noise": [noise] * 8,
        "fallen": [verdict(900, cause="junk")] * 8,
        "half": [verdict(None)] * 4 + [verdict(400)] * 4,
    }
    first, *others = arm_sentences(onset_summary(arms), "step", 1)
    assert first.startswith("half: 4 of 8 collapsed")
    assert any(sentence.startswith("fallen: 0 of 8 collapsed (and 8 junk); plain") for sentence in others)
    second = next(sentence for sentence in others if sentence.startswith("noise"))
    assert second.startswith("noise: 0 of 8 collapsed (and 8 never formed); plain: 8 of 8, median")


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        ({}, ""),
        ({"class_share": [0.0, 0.0], "junk": 1.0}, "junk 100 %"),
        ({"class_share": [0.5, None], "junk": 0.0}, ""),
        ({"counts": [1] * 8}, "mode 0 12 %, 1 12 %, 2 12 %, 3 12 %, 4 12 %, 3 more"),
    ],
)
def test_shares_in_words(evaluation, words):
    assert shares_words(evaluation) == words


def test_a_sweep_has_pairs_of_samples_and_its_rows(tmp_path):
    directory = make_sweep(tmp_path / "sweep", (1e-3, 1e-4))
    assert main(["report", str(directory.path)]) == 0
    text = (directory.path / "report.html").read_text(encoding="utf-8")
    rows = saved_rows(text)
    assert len(rows) == len(directory.read_members())
    assert [row["verdict.outcome"] for row in rows] == [row["verdict"]["outcome"] for row in directory.read_members()]


@pytest.mark.parametrize("wrong", [[], "text", None, True, float("nan")])
def test_a_damaged_share_is_left_out(wrong):
    assert shares_words({"class_share": [0.5, 0.5], "junk": wrong, "high_quality": wrong}) == "class 0 50 %, 1 50 %"
    assert shares_words({"class_share": [0.5, wrong], "junk": 0.1}) == ""
