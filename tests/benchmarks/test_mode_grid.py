"""The grid of modes by confidence and count."""

from benchmarks.mode_grid import cells, table


def test_cells_and_means():
    result = {"grid": {"confidences": [0.0, 0.9], "min_counts": [1, 10], "product_modes": [[8, 4], [2, 1]]}}
    rows = [{"arm": "plain", **cell} for cell in cells(result)]
    assert [(row["confidence"], row["count"], row["modes"]) for row in rows] == [
        (0.0, 1, 8),
        (0.0, 10, 4),
        (0.9, 1, 2),
        (0.9, 10, 1),
    ]
    twice = rows + [row | {"modes": row["modes"] + 1} for row in rows] + [row | {"arm": "other"} for row in rows]
    plain, other = table(twice).split("\n\n")
    assert plain.splitlines()[-2:] == ["| p >= 0 | 8.5 | 4.5 |", "| p >= 0.9 | 2.5 | 1.5 |"]
    assert other.splitlines()[0] == "| other | count >= 1 | count >= 10 |"
