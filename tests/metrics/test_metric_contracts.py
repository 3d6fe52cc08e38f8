"""Every metric of two sets of features: a scalar under jit, one trace for two calls, and a loop under vmap."""

from __future__ import annotations

import chex
import jax
import numpy as np
import pytest

from gan_jax.metrics.diversity import vendi_score
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.kernel_distances import gaussian_mmd, kernel_distance
from gan_jax.metrics.manifolds import prdc, precision_recall
from gan_jax.metrics.two_samples import classifier_two_sample, sliced_wasserstein

KEY = jax.random.key(0)
CASES = {
    "frechet": frechet_distance,
    "kid": lambda a, b: kernel_distance(a, b, KEY, num_subsets=2, subset_size=20),
    "mmd": gaussian_mmd,
    "prdc": prdc,
    "precision_recall": precision_recall,
    "vendi": lambda a, b: vendi_score(a),
    "sliced_wasserstein": lambda a, b: sliced_wasserstein(a, b, KEY, num_projections=4),
    "c2st": lambda a, b: classifier_two_sample(a, b, KEY),
}


@pytest.mark.parametrize("name", CASES)
def test_scalars_one_trace_and_vmap_is_the_loop(name):
    chex.clear_trace_counter()
    metric = jax.jit(chex.assert_max_traces(CASES[name], n=1))
    runs = jax.random.normal(jax.random.key(1), (3, 30, 4)) * 0.7
    real = jax.random.normal(jax.random.key(2), (40, 4))
    one_by_one = [jax.tree.leaves(metric(run, real)) for run in runs]
    many = jax.tree.leaves(jax.jit(jax.vmap(CASES[name], in_axes=(0, None)))(runs, real))
    chex.assert_shape(many, (3,))
    np.testing.assert_allclose(np.asarray(many).T, one_by_one, rtol=1e-3, atol=1e-4)
    assert np.all(np.isfinite(one_by_one))
