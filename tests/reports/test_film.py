"""Films of checkpoints."""

from __future__ import annotations

import pytest

from gan_jax.reports import film


def test_a_film_needs_a_frame(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        film.write_film(tmp_path / "film.gif", [])
