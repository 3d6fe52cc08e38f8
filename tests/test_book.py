"""The results book is what its rows give, and its one-word judgements follow their rule."""

import json

import pytest

from website import book
from website.book import NOT_REPRODUCED, NOT_YET, PARTLY, REPRODUCED, Estimate, estimate, judged, shown


def test_the_page_is_what_its_rows_give():
    assert book.BOOK.read_text(encoding="utf-8") == book.book(), "run `python -m website.book`"


def test_student_s_interval_of_known_values():
    found = estimate(
        [1.0, 2.0, 3.0, 4.0, 5.0]
    )  # standard error sqrt(2.5 / 5), quantile 2.776 with four degrees of freedom
    assert found.mean == 3.0
    assert found.low == pytest.approx(3 - 2.7764 * 0.70711, abs=1e-3)
    assert found.high == pytest.approx(3 + 2.7764 * 0.70711, abs=1e-3)
    assert estimate([1.0, 2.0]).low is None
    assert estimate([9.0] * 5, censored=True) == Estimate(9.0, None, None, 5, censored=True)


@pytest.mark.parametrize(
    ("published", "ours", "word"),
    [
        ((7.9, 0.1), Estimate(7.8, 7.6, 8.0, 8), REPRODUCED),
        ((7.9, 0.1), Estimate(7.5, 7.3, 7.69, 8), PARTLY),  # below the published interval, above our baseline
        ((7.9, 0.1), Estimate(6.5, 5.5, 7.5, 8), NOT_REPRODUCED),  # overlaps our baseline
        ((5.0, 0.1), Estimate(7.5, 7.3, 7.7, 8), NOT_REPRODUCED),  # published as worse than the baseline
        ((7.9, None), Estimate(7.87, 7.87, 7.87, 1), REPRODUCED),  # half a percent
        ((7.9, 0.1), Estimate(7.9, None, None, 5, censored=True), NOT_YET),
        ((7.9, 0.1), None, NOT_YET),
    ],
)
def test_a_judgement_follows_the_intervals(published, ours, word):
    baseline = (6.3, Estimate(5.0, 4.0, 6.0, 8))
    assert judged(published, ours, full_size=True, baseline=baseline) == word
    assert judged(published, ours, full_size=False, baseline=baseline) == NOT_YET


def test_an_interval_ends_where_the_metric_does():
    assert shown(Estimate(94.0, 70.0, 118.0, 3), (0, 100)) == "94 (70 to 100)"
    assert shown(Estimate(9.0, None, None, 5, censored=True)) == "over 9"
    assert shown(Estimate(9.0, None, None, 5, censored=True, num_events=1)) == "over 9 (1 of 5 failed)"


def test_every_study_is_complete():
    studies = json.loads((book.RESULTS / "studies.json").read_text(encoding="utf-8"))
    named = {section["study"] for section in json.loads((book.RESULTS / "published.json").read_text(encoding="utf-8"))}
    assert named - {None} == set(studies)
    for study in studies.values():
        assert {"file", "full_size", "command"} <= set(study)
        if study["file"] is not None:
            assert {"format", "machine", "versions"} <= set(study)
            assert study["full_size"] or study["differs"]
            assert book.estimates(study)
