"""The table of sample metrics: numbers that are not defined, small, large and whole; notes and what was left out."""

from __future__ import annotations

import math

from gan_jax.reports.sample_table import sample_table


def row(value, interval=None, real=1.0, floor=None):
    return {
        "metric": "m",
        "value": value,
        "interval": interval,
        "real": real,
        "floor": floor,
        "better": "low",
        "meaning": "says it",
        "definition": "defined",
    }


def test_every_number_has_a_cell():
    result = {
        "samples": "a.npy",
        "num_samples": 1200,
        "shape": [28, 28, 1],
        "reference": "1,200 training images of mnist",
        "real": "1,200 test images",
        "features": {"name": "pixels", "dims": 784, "accuracy": None},
        "notes": ["channels first"],
        "left_out": {"x": "x takes more"},
        "values": {
            "not_defined": row(math.nan, [math.nan, math.nan], math.inf),
            "small": row(2.5e-6, [0.0, 1e-5], 0.12345, 0.0),
            "large": row(1234567.0, None, 1200.0, 3.0),
        },
        "grid": None,
    }
    lines = sample_table(result).splitlines()
    assert lines[0] == "a.npy: 1,200 samples (28x28x1) against 1,200 training images of mnist"
    assert "note: channels first" in lines
    cells = {line.split()[1]: line.split()[2:] for line in lines if line.startswith("↓  ")}
    assert cells["not"][1:6] == ["-", "-", "to", "-", "inf"]
    assert cells["small"][:7] == ["2.5e-06", "0", "to", "1e-05", "0.1235", "0", "says"]
    assert cells["large"][:5] == ["1.235e+06", "-", "1,200", "3", "says"]
    assert lines[-1] == "left out: x takes more"
