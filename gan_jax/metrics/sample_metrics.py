"""The metrics of a set of samples against a set of real examples, as a table: definition, values, floors, meaning."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.stats import binom

from gan_jax.metrics.copying import authenticity, data_copying
from gan_jax.metrics.diversity import classifier_score, pair_similarity, vendi_score
from gan_jax.metrics.frechet import frechet_distance, frechet_floor
from gan_jax.metrics.kernel_distances import gaussian_mmd, kernel_distance
from gan_jax.metrics.manifolds import expected_coverage, prdc, precision_recall
from gan_jax.metrics.metric_kind import NUM_CELLS, Known, MetricValue, SampleMetric
from gan_jax.metrics.mixture_scores import mean_log_likelihood
from gan_jax.metrics.mode_grid import expected_total_variation, mode_counts, mode_grid
from gan_jax.metrics.sample_sets import SURE, SampleSet
from gan_jax.metrics.stacked_bounds import expected_divergence
from gan_jax.metrics.two_samples import classifier_two_sample, sliced_wasserstein

_NUM_SUBSETS, _SUBSET_SIZE = 50, 1_000
_NUM_PROJECTIONS = 200
_HELD_SHARE = 0.1


def _frechet(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"frechet": frechet_distance(samples.features, real.features)}


def _kid(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    first, second = samples.features, real.features
    size = min(_SUBSET_SIZE, first.shape[0], second.shape[0])
    whole = size == first.shape[0] == second.shape[0]
    number = 1 if whole else _NUM_SUBSETS
    return {"kid": kernel_distance(first, second, known.key, num_subsets=number, subset_size=size)}


def _mmd(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"mmd": gaussian_mmd(samples.features, real.features)}


def _precision_recall(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return precision_recall(samples.features, real.features)._asdict()


def _prdc(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    found = prdc(samples.features, real.features)
    return dict(zip(("precision_k5", "recall_k5", "density", "coverage"), found, strict=True))


def _vendi(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"vendi": vendi_score(samples.features)}


def _score(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"classifier_score": classifier_score(samples.probabilities)}


def _sliced(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    distance = sliced_wasserstein(samples.features, real.features, known.key, num_projections=_NUM_PROJECTIONS)
    return {"sliced_wasserstein": distance}


def _ssim(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"ssim": pair_similarity(samples.data)}


def _c2st(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"c2st": classifier_two_sample(samples.features, real.features, known.key)}


def _modes(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    weights, num = known.weights, samples.mode.shape[0]
    counts = mode_counts(samples.mode, samples.confidence, weights.shape[0], SURE)
    needed = jnp.maximum(_HELD_SHARE * num * weights, 1.0)
    once = (jnp.array([SURE]), jnp.ones(1))
    grid = mode_grid(samples.mode, samples.confidence, weights, *once)
    return {
        "modes": jnp.sum(counts >= needed),
        "high_quality": jnp.mean(samples.confidence >= SURE),
        **{name: value[0, 0] for name, value in grid._asdict().items() if name != "modes"},
    }


def _mode_floors(real: SampleSet, known: Known, num: int, num_real: int) -> dict[str, Any]:
    weights = np.asarray(known.weights, float)
    needed = np.ceil(np.maximum(_HELD_SHARE * num * weights, 1.0) - 1e-6)
    return {
        "modes": float(np.sum(binom.sf(needed - 1, num, weights))),
        "kl": expected_divergence(weights, weights, num),
        "total_variation": float(expected_total_variation(jnp.asarray(weights), num)),
    }


def _likelihood(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    return {"log_likelihood": mean_log_likelihood(known.mixture, samples.data)}


def _memorisation(samples: SampleSet, real: SampleSet, known: Known) -> dict[str, Array]:
    points, held = samples.copying, known.held_out
    assert points is not None
    assert held is not None
    return {
        "authenticity": authenticity(points),
        "nearest_ratio": jnp.median(points.distance) / jnp.maximum(jnp.median(held.distance), 1e-12),
        "copying": data_copying(points, held, NUM_CELLS),
    }


def _no_floors(real: SampleSet, known: Known, num: int, num_real: int) -> dict[str, Any]:
    return {}


_SHARE = (0.0, 1.0)

SAMPLE_METRICS: tuple[SampleMetric, ...] = (
    SampleMetric(
        "modes",
        ("mode", "confidence", "weights"),
        (
            MetricValue("modes", "high", "modes with at least a tenth of their expected samples", 0.0),
            MetricValue("high_quality", "real", "share of samples assigned to a mode with confidence", *_SHARE),
            MetricValue("kl", "low", "KL of mode shares from the true ones, nats; ignores samples between modes", 0.0),
            MetricValue("reverse_kl", "low", "KL of true from mode shares, nats; large if modes are missing", 0.0),
            MetricValue("total_variation", "low", "share of samples that are in the wrong mode", *_SHARE),
            MetricValue(
                "jensen_shannon",
                "low",
                "symmetric divergence of the mode shares and the true ones, nats, at most 0.69",
                0.0,
                math.log(2.0),
            ),
        ),
        f"mode = most probable class or nearest mode; a sample counts from p >= {SURE:g} (points: within 3 std), "
        f"a mode from {_HELD_SHARE:g} n w samples; KL(p || w) of counted samples; reverse: half a sample more per mode",
        _modes,
        _mode_floors,
    ),
    SampleMetric(
        "frechet",
        ("features",),
        (MetricValue("frechet", "low", "distance of the Gaussians with the features' moments", 0.0),),
        "|mu1 - mu2|^2 + Tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), covariances over n - 1",
        _frechet,
        lambda real, known, n, m: {"frechet": frechet_floor(real.features, n, m)},
        lambda dims: max(dims + 1, 50),
    ),
    SampleMetric(
        "kid",
        ("features",),
        (MetricValue("kid", "low", "kernel distance; unbiased, so below 0 by chance"),),
        f"unbiased MMD^2, kernel (<x,y>/d + 1)^3, {_NUM_SUBSETS} subsets of at most {_SUBSET_SIZE}",
        _kid,
        lambda real, known, n, m: {"kid": 0.0},
    ),
    SampleMetric(
        "mmd",
        ("features",),
        (MetricValue("mmd", "low", "kernel distance sensitive to all moments; unbiased, so below 0 by chance"),),
        "unbiased MMD^2, kernel exp(-|x-y|^2 / 2h^2), h = median distance of 1,000 reference examples",
        _mmd,
        lambda real, known, n, m: {"mmd": 0.0},
    ),
    SampleMetric(
        "precision_recall",
        ("features",),
        (
            MetricValue("precision", "high", "share of samples that lie among real examples", *_SHARE),
            MetricValue("recall", "high", "share of real examples that lie among samples", *_SHARE),
        ),
        "Kynkaanniemi et al. 2019: k = 3, radius inclusive",
        _precision_recall,
        _no_floors,
    ),
    SampleMetric(
        "prdc",
        ("features",),
        (
            MetricValue("precision_k5", "high", "share of samples that lie among real examples; k = 5", *_SHARE),
            MetricValue("recall_k5", "high", "share of real examples that lie among samples; k = 5", *_SHARE),
            MetricValue(
                "density", "real", "real examples around a sample; above 1 if samples crowd at modes' centres", 0.0
            ),
            MetricValue("coverage", "high", "share of real examples with a sample nearby", *_SHARE),
        ),
        "Naeem et al. 2020: k = 5, radius strict",
        _prdc,
        lambda real, known, n, m: {"density": 1.0, "coverage": expected_coverage(n, m)},
    ),
    SampleMetric(
        "vendi",
        ("features",),
        (MetricValue("vendi", "real", "effective number of different samples", 1.0),),
        "exp of the entropy of the eigenvalues of K/n, cosine kernel; it grows with n",
        _vendi,
        _no_floors,
    ),
    SampleMetric(
        "score",
        ("probabilities",),
        (
            MetricValue(
                "classifier_score", "real", "confident, balanced classes; ignores diversity inside a class", 1.0
            ),
        ),
        "exp E KL(p(y|x) || p(y)) of this project's classifier; at most the number of classes",
        _score,
        _no_floors,
    ),
    SampleMetric(
        "sliced_wasserstein",
        ("features",),
        (
            MetricValue(
                "sliced_wasserstein", "low", "transport distance along random lines, units of the features", 0.0
            ),
        ),
        f"root mean W2^2 over {_NUM_PROJECTIONS} directions",
        _sliced,
        _no_floors,
    ),
    SampleMetric(
        "ssim",
        ("data", "similarity"),
        (MetricValue("ssim", "real", "similarity of two random samples; above real: less diverse", -1.0, 1.0),),
        "mean SSIM of n/2 pairs, one scale, Gaussian window of 11 pixels (MS-SSIM takes 176 pixels)",
        _ssim,
        _no_floors,
    ),
    SampleMetric(
        "c2st",
        ("features",),
        (MetricValue("c2st", "low", "accuracy of a network that separates samples from real; 1/2 is chance", *_SHARE),),
        "held-out accuracy of a network with 20 hidden units, half of the data held out",
        _c2st,
        lambda real, known, n, m: {"c2st": 0.5},
        errors=lambda values, n, m: {"c2st": math.sqrt(values["c2st"] * (1 - values["c2st"]) / max(min(n, m), 1))},
    ),
    SampleMetric(
        "likelihood",
        ("mixture", "data"),
        (MetricValue("log_likelihood", "real", "mean log density, nats; above real: shrunk modes or few of them"),),
        "mean log p(x) under the true mixture",
        _likelihood,
        _no_floors,
    ),
    SampleMetric(
        "memorisation",
        ("copying", "held_out"),
        (
            MetricValue("authenticity", "real", "share of samples that are no copies of training examples", *_SHARE),
            MetricValue(
                "nearest_ratio",
                "real",
                "median distance to the nearest training example, over that of held-out ones",
                0.0,
            ),
            MetricValue(
                "copying",
                "real",
                "C_T: z score of that distance against held-out; below -3: copies",
                has_interval=False,
            ),
        ),
        f"AuthPct (Alaa et al. 2022); C_T (Meehan et al. 2020) in {NUM_CELLS} cells; distances to the training set",
        _memorisation,
        lambda real, known, n, m: {"copying": 0.0, "nearest_ratio": 1.0},
    ),
)
