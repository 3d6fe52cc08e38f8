"""Tables as text: alignment, no wrapping, and the tables of evaluations and sweeps."""

from __future__ import annotations

import pytest

from gan_jax.reports.text_tables import arms_table, evaluation_table, text_table


def padded(rows):
    """The same table by string methods."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


@pytest.mark.parametrize(
    "rows",
    [
        [["step", "loss"], ["1,000", "0.5"]],
        [["", "peak at 0", ""], ["step", "training", "held-out"], ["1", "", ""]],
        [["[bold]name[/bold] :smile:", "1 ± 2"], ["a" * 300, "b" * 500]],
        [["only"]],
        [[f"column {i}" for i in range(40)]],
    ],
)
def test_columns_are_aligned_and_nothing_is_wrapped_or_interpreted(monkeypatch, rows):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert text_table(rows) == padded(rows)


def test_an_evaluation_has_a_row_a_metric_with_its_bounds():
    result = {
        "run": "runs/ring",
        "step": 1000,
        "problems": ["the data differ"],
        "definition": {"rule": "l2<=3std"},
        "latents": "the run's own bank",
        "bounds": {"modes": {"ceiling": 8.0, "floor": None}},
        "metrics": {
            "G": {"modes": 7, "high_quality": 0.91234567, "counts": [1, 2], "finite": True},
            "average of G": {"modes": 8, "high_quality": None, "counts": [1, 2], "finite": True},
        },
    }
    assert evaluation_table(result).splitlines() == [
        "note: the data differ",
        "runs/ring at step 1,000; l2<=3std; latents: the run's own bank",
        "metric        G       average of G  ceiling  floor",
        "modes         7       8             8        -",
        "high_quality  0.9123  -             -        -",
    ]


def test_a_sweep_has_a_row_an_arm():
    def member(arm, outcome, onset=None):
        return {"arm": arm, "verdict": {"outcome": outcome, "onset_step": onset}}

    members = [member("a", "collapsed", 2000), member("b", "healthy"), member("a", "collapsed", 150)]
    assert arms_table(members).splitlines() == [
        "arm  runs  healthy  censored  never formed  non-finite  collapsed  onsets (steps)",
        "a    2     0        0         0             0           2          150, 2,000",
        "b    1     1        0         0             0           0          -",
    ]


def test_collapses_while_forming_have_a_column_of_their_own():
    collapsed = {"outcome": "collapsed", "onset_step": 150}
    early = {"arm": "a", "verdict": {**collapsed, "when": "while forming"}}
    members = [
        early,
        {"arm": "a", "verdict": {**collapsed, "when": "after forming"}},
        {"arm": "b", "verdict": collapsed},
    ]
    assert arms_table(members).splitlines() == [
        "arm  runs  healthy  censored  never formed  non-finite  collapsed  of these while forming  onsets (steps)",
        "a    2     0        0         0             0           2          1                       150, 150",
        "b    1     0        0         0             0           1          0                       150",
    ]


def test_the_modes_that_are_left_are_named_with_their_numbers_of_runs():
    collapsed = {"outcome": "collapsed", "onset_step": 150, "when": "after forming"}
    members = [{"arm": "a", "verdict": {**collapsed, "onto": [[str(mode), 0.9]]}} for mode in (3, 8, 8, 1, 2, 5)]
    members.append({"arm": "b", "verdict": {"outcome": "healthy", "onset_step": None, "onto": []}})
    lines = arms_table(members).splitlines()
    assert "onto (runs)" in lines[0]
    assert "8 (2), 3 (1), 1 (1), 2 (1), others (1)" in lines[1]
    assert lines[2].split()[-2:] == ["-", "-"]
