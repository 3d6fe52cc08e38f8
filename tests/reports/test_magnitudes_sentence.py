"""What is said of magnitudes before an onset."""

from __future__ import annotations

import pytest

from gan_jax.reports.diagnosis_magnitudes import sentence


@pytest.mark.parametrize(
    ("num", "words"),
    [
        (5, "too few probes before the onset at step 400"),
        (11, "No signal left its band before the onset at step 1,000"),
    ],
)
def test_without_a_band_nothing_is_said_to_have_stayed_in_it(num, words):
    steps = list(range(0, 100 * num, 100))
    signals = {"generator/singular/output": [1.0 + 0.1 * index for index in range(num)]}
    result = {"steps": steps, "signals": signals, "onset_step": steps[-1], "departures": []}
    said = sentence(result)
    assert words in said
    assert f"G's largest singular value grew most in output, {1 + 0.1 * (num - 1):.3g} times" in said
