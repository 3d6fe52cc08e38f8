"""A small part of the table of `python -m tests.reliability.table`."""

from __future__ import annotations

import pytest

from tests.reliability.table import make_table


@pytest.mark.slow
@pytest.mark.parametrize("case", ["kills", "damages", "signals", "writers", "disks"])
def test_what_happens_to_a_run_is_undone_or_told(case, tmp_path):
    rows = make_table(tmp_path, kills=4, cases=[case], seed=7)
    assert [row for row in rows if not row.well] == []
