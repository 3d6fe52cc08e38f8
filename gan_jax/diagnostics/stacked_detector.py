"""The detector for stacked images: whether the generator has collapsed, by how many of the 1,000 modes it captures."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import ImageDataset
from gan_jax.data.stacked import NUM_CHANNELS, NUM_MODES, StackedImages, StackedSource
from gan_jax.diagnostics.detector import LABELS, Observation, top_modes
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.settings import to_json
from gan_jax.metrics.classifier import Classifier, UnvalidatedClassifier, classifier_hash, validated_classifier
from gan_jax.metrics.image_metrics import PIXELS_ONLY
from gan_jax.metrics.stacked_bounds import stacked_bounds
from gan_jax.metrics.stacked_metrics import (
    StackedMetrics,
    StackedReference,
    StackedRule,
    make_stacked_reference,
    stacked_metrics,
)


class StackedReferenceSet(NamedTuple):
    """What a measurement of stacked images needs besides the samples.

    Attributes:
        classifier: None for a data set without a validated one.
        statistics: of real images.
        accuracy: of the classifier on held-out single images; 0 without one.

    Example:
        >>> pixels, labels = jnp.zeros((8, 16, 16, 1), jnp.uint8), jnp.zeros(8, jnp.int32)
        >>> dataset = ImageDataset(pixels, labels, pixels, labels)
        >>> reference = StackedDetector().reference(StackedImages("my_digits"), dataset)
        >>> reference.classifier is None, float(reference.accuracy)  # no classifier knows this data set
        (True, 0.0)
    """

    classifier: Classifier | None
    statistics: StackedReference
    accuracy: Array


@component
class StackedDetector:
    """Labels an evaluation by the share M of the 1,000 modes that are held, and the share H of high-quality samples.

    H is relative to that of real images. The scheme is that of `MixtureDetector`; the label is the first that applies:

    * `nonfinite`;
    * `junk`: H < `min_quality`; samples that the classifier is unsure of occupy modes too;
    * `total`: M <= `total_share`;
    * `partial`: M <= `partial_share`;
    * `intra`: M >= `healthy_share`, and the variance inside the classes is at most `intra_variance` times the real
      one; each class is a single picture;
    * `healthy`: M >= `healthy_share` and H >= `healthy_quality`;
    * `between` otherwise.

    An onset is the first of `window` consecutive bad evaluations after `forming_window` ones with M >= `healthy_share`;
    a collapse while forming is the first of `window` ones with M <= `partial_share` and H >= `healthy_quality`. Without
    a validated classifier only a collapse to one picture is detected, by P, the pairwise pixel distance relative to
    real images. The thresholds are this project's own; no other code that we know defines an onset.

    Example:
        >>> StackedDetector(num_samples=2560).window
        5.0
        >>> StackedDetector(partial_share=0.1)
        Traceback (most recent call last):
        ...
        ValueError: StackedDetector: total_share (0.25) <= partial_share (0.1) < healthy_share (0.75) must hold
    """

    rule: StackedRule = setting(default=StackedRule(), doc="which samples count, and which modes are captured")
    num_samples: int = setting(default=25_600, at_least=2, doc="samples per evaluation; 25,600 as in PacGAN")
    healthy_share: float = setting(default=0.75, above=0, at_most=1, doc="least share of the modes in a healthy run")
    partial_share: float = setting(default=0.5, above=0, below=1, doc="largest share of the modes in a collapsed run")
    total_share: float = setting(default=0.25, above=0, below=1, doc="largest share of the modes in a total collapse")
    healthy_quality: float = setting(default=0.2, at_least=0, at_most=1, doc="least H of a healthy evaluation")
    min_quality: float = setting(default=0.05, at_least=0, at_most=1, doc="H below which samples are junk")
    intra_variance: float = setting(
        default=0.25, at_least=0, doc="relative variance inside the classes up to which each is one picture"
    )
    total_distance: float = setting(
        default=0.4, at_least=0, doc="P up to which all samples are alike; used without a classifier"
    )
    healthy_distance: float = setting(
        default=0.6, at_least=0, doc="least P of a healthy run; used without a classifier"
    )
    window: float = setting(default=5.0, at_least=1, doc="consecutive evaluations that count as an onset or a recovery")
    forming_window: float = setting(default=3.0, at_least=1, doc="consecutive healthy evaluations that count as formed")

    def validate(self) -> None:
        if not self.total_share <= self.partial_share < self.healthy_share:
            raise ValueError(
                f"StackedDetector: total_share ({self.total_share}) <= partial_share ({self.partial_share}) < "
                f"healthy_share ({self.healthy_share}) must hold"
            )

    def reference(self, data: StackedImages, dataset: ImageDataset) -> StackedReferenceSet:
        """The classifier of the data set, validated on its held-out single images, and their statistics."""
        classifier: Classifier | None
        try:
            classifier, accuracy = validated_classifier(data.name, dataset.test_images, dataset.test_labels)
        except UnvalidatedClassifier:
            classifier, accuracy = None, 0.0
        statistics = make_stacked_reference(classifier, dataset.labels, dataset.test_images, quality=self.rule.quality)
        return StackedReferenceSet(classifier, statistics, jnp.asarray(accuracy))

    def measure(self, source: StackedSource, reference: StackedReferenceSet, samples: Array) -> StackedMetrics:
        return stacked_metrics(reference.classifier, reference.statistics, samples, self.rule)

    def observe(self, source: StackedSource, reference: StackedReferenceSet, metrics: StackedMetrics) -> Observation:
        if reference.classifier is None:
            return self._observe_pixels(metrics)
        share = metrics.modes_held / NUM_MODES
        real_quality = jnp.mean(reference.statistics.test_confidence >= self.rule.quality) ** NUM_CHANNELS
        quality = metrics.high_quality / jnp.maximum(real_quality, 1e-6)
        junk = ~metrics.finite | (quality < self.min_quality)
        total, few = share <= self.total_share, share <= self.partial_share
        many, credible = share >= self.healthy_share, quality >= self.healthy_quality
        intra = many & ~junk & (metrics.intra_class_ratio <= self.intra_variance)
        label = _first(
            nonfinite=~metrics.finite, junk=junk, total=total, partial=few, intra=intra, healthy=many & credible
        )
        modes, shares = top_modes(metrics.counts)
        return Observation(
            label=label,
            healthy=many & ~junk,
            recovered=many & ~junk,
            bad=jnp.stack([few | junk, few & ~junk, junk, intra]),
            concentrated=total,
            credible=metrics.finite & credible,
            dominant_mode=metrics.dominant_mode,
            collapsed_early=metrics.finite & credible & few,
            top_modes=modes,
            top_shares=shares,
            mode_kind=2,
        )

    def _observe_pixels(self, metrics: StackedMetrics) -> Observation:
        alike = metrics.finite & (metrics.pairwise_ratio <= self.total_distance)
        healthy = metrics.finite & (metrics.pairwise_ratio >= self.healthy_distance)
        return Observation(
            label=_first(nonfinite=~metrics.finite, total=alike, healthy=healthy),
            healthy=healthy,
            recovered=healthy,
            bad=jnp.stack([alike | ~metrics.finite, alike, ~metrics.finite, jnp.array(False)]),
            concentrated=alike,
            credible=metrics.finite,
            dominant_mode=jnp.int32(-1),
            collapsed_early=alike,
            mode_kind=2,
        )

    def describe(self) -> str:
        return self.rule.describe(self.num_samples)

    def definition(self, data: StackedImages, reference: StackedReferenceSet) -> dict[str, Any]:
        stamp: dict[str, Any] = {"num_samples": self.num_samples, "classifier": None}
        pixel_rule = "P = mean pixel distance of samples i and i + n/2 / that of real stacked images"
        stamp["rule"] = f"{PIXELS_ONLY}; {pixel_rule}"
        if reference.classifier is not None:
            stamp["rule"] = (
                f"{self.describe()}; KL in nats of the counted modes to uniform (kl) and to the data's class shares "
                f"(kl_data); {pixel_rule}"
            )
            accuracy = float(reference.accuracy)
            identity = {"name": data.name, "hash": classifier_hash(reference.classifier), "accuracy": accuracy}
            stamp["classifier"] = identity
        return {**stamp, "detector": to_json(self)}

    def bounds(self, source: StackedSource, reference: StackedReferenceSet) -> dict[str, dict[str, float | None]]:
        bounds = stacked_bounds(reference.statistics, self.rule, self.num_samples)
        known = bounds if reference.classifier is not None else ("pairwise_ratio", "pixel_std")
        return {name: bounds[name]._asdict() for name in known}


def _first(**cases: Array) -> Array:
    """The label of the first case that holds, else `between`: an index into `LABELS`."""
    return jnp.select(list(cases.values()), [LABELS.index(name) for name in cases], LABELS.index("between"))
