"""The survey of scans, with a discriminator of known width."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.state import scan_survey
from gan_jax.diagnostics.state.scores import examples
from gan_jax.experiment.examples import tiny_dcgan
from gan_jax.losses.objectives import Wasserstein
from gan_jax.reports.landscape_scans import scan_row
from gan_jax.scaling.programs import compiled_init


def test_scans_by_a_known_discriminator_have_its_width(monkeypatch, key):
    """The whole survey, with bumps at the training examples for D: peaks at all of these, of known width."""
    experiment = dataclasses.replace(tiny_dcgan(), objective=Wasserstein())
    state = compiled_init(experiment, key)
    dataset = experiment.data.load()
    seen = examples(experiment, dataset, 0, 8)
    seen = seen._replace(groups={"training": seen.real, "held-out": seen.real + 40.0})
    centres = np.asarray(seen.real).reshape(1, 8, -1)
    width = 0.5

    def score(x):
        apart = x.reshape(x.shape[0], 1, -1) - centres
        return jnp.sum(jnp.exp(-0.5 * jnp.sum(apart**2, axis=-1) / width**2), axis=1)

    monkeypatch.setattr(scan_survey, "score_at", lambda experiment, state: score)
    jax.clear_caches()
    ks = jnp.arange(-30, 31) / 10.0
    found = scan_survey.scan_summary(
        jax.device_get(scan_survey.scan_survey(experiment, state, seen, ks)), ["training", "held-out", "fake"]
    )
    jax.clear_caches()
    row = scan_row(found, "training", "random")
    assert row["peak_share"] == row["highest_share"] == 1
    for name in ("lower", "median", "upper"):
        assert row["half_width"][name] == pytest.approx(np.sqrt(2 * np.log(2)) * width, rel=0.02)
    assert scan_row(found, "held-out", "random")["peak_share"] == 0
    # Gradients: 0 at the tops and far away, so that all are below a tenth of a median of ... 0: none is.
    assert found["slopes"]["score"]["training"]["median"] < 1e-4
