"""The detector for images: whether the generator has collapsed, by a validated classifier and by the pixels alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import ImageDataset, Images, ImageSource
from gan_jax.diagnostics.detector import LABELS, Observation, top_modes
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.settings import to_json
from gan_jax.metrics.classifier import Classifier, UnvalidatedClassifier, validated_classifier
from gan_jax.metrics.image_metrics import (
    ImageMetrics,
    ImageReference,
    definition,
    image_ceilings,
    image_metrics,
    kl_floor,
    make_reference,
)


class ImageReferenceSet(NamedTuple):
    """What a measurement of images needs besides the samples.

    Attributes:
        classifier: None for a data set without a validated one.
        statistics: of the real held-out images.
        accuracy: of the classifier on them; 0 without one.
        ceilings: the metrics of real images.

    Example:
        The classifier of handwritten digits on their held-out images at 16x16::

            data = Images("digits", image_size=16)
            reference = ImageDetector().reference(data, data.load())
            round(float(reference.accuracy), 3)  # 0.994
            float(reference.ceilings.modes)  # 10.0 classes
    """

    classifier: Classifier | None
    statistics: ImageReference
    accuracy: Array
    ceilings: ImageMetrics


@component
class ImageDetector:
    """Labels an evaluation by classes, junk and spread.

    Let E be the effective number of classes, M the number of classes present, and J the share of samples that the
    classifier is unsure of, corrected for the share of real images of which it is unsure (20 % for Fashion-MNIST at 64
    pixels). Relative to real images, V and V_c are the feature variances over all samples and within classes, and P is
    the mean pairwise pixel distance. The label is the first that applies:

    * `nonfinite`;
    * `total`: P <= `total_distance`, or V <= `total_variance` and J < `junk_share`; all samples are alike. V says
      nothing about junk: to the classifier all noisy digits look the same;
    * `junk`: J >= `junk_share`; the samples differ and do not resemble the data;
    * `class`: E <= `few_classes`, or the largest class has a share >= `large_class`;
    * `intra`: E >= `many_classes` and V_c <= `intra_variance`; each class is a single picture;
    * `healthy`: M >= `healthy_modes` of the classes, J <= `healthy_junk` and V >= `healthy_variance`;
    * `between` otherwise.

    `total` with J >= `junk_share`, such as one blurred picture, counts as junk. An onset is the first of `window`
    consecutive bad evaluations (`nonfinite`, `total`, `junk` or `class`; `intra` has an onset of its own) after
    `forming_window` healthy ones; recovery needs E >= `many_classes`, V >= `healthy_variance`, J <= `healthy_junk`.
    A collapse while forming is the first of `window` consecutive evaluations with J <= `healthy_junk` whose samples are
    all alike or of few classes. Without a validated classifier only P is known: only `total` is detected, before and
    after forming, whether or not its one picture is well made. The thresholds are this project's own; no other code
    that we know defines an onset.

    Example:
        >>> ImageDetector(num_samples=640).describe()
        'class probability>=0.6; n=640'
    """

    num_samples: int = setting(default=2560, at_least=64, doc="samples per evaluation; 40 batches of 64")
    confidence: float = setting(
        default=0.6, above=0, below=1, doc="class probability below which a sample is junk", measures=True
    )
    total_variance: float = setting(default=0.25, at_least=0, doc="V up to which all samples are alike")
    total_distance: float = setting(default=0.4, at_least=0, doc="P up to which all samples are alike")
    junk_share: float = setting(default=0.5, above=0, at_most=1, doc="J at and above which samples are junk")
    few_classes: float = setting(default=5.0, at_least=1, doc="E up to which classes have collapsed")
    large_class: float = setting(
        default=0.6, above=0, at_most=1, doc="share of one class at and above which classes have collapsed"
    )
    many_classes: float = setting(
        default=7.0, at_least=1, doc="E at and above which a collapse inside the classes is detected"
    )
    intra_variance: float = setting(default=0.25, at_least=0, doc="V_c up to which each class is a single picture")
    healthy_modes: float = setting(default=0.8, above=0, at_most=1, doc="least share of the classes in a healthy run")
    healthy_junk: float = setting(default=0.2, at_least=0, at_most=1, doc="largest J of a healthy run")
    healthy_variance: float = setting(default=0.5, at_least=0, doc="least V of a healthy run")
    healthy_distance: float = setting(
        default=0.6, at_least=0, doc="least P of a healthy run; used without a classifier"
    )
    window: float = setting(default=2.0, at_least=1, doc="consecutive evaluations that count as an onset or a recovery")
    forming_window: float = setting(default=2.0, at_least=1, doc="consecutive healthy evaluations that count as formed")

    def reference(self, data: Images, dataset: ImageDataset) -> ImageReferenceSet:
        """The classifier of the data set, validated on its held-out images, and their statistics.

        There is no classifier for an unknown data set, or where its accuracy is below the required one.
        """
        classifier, accuracy = None, 0.0
        try:
            classifier, accuracy = validated_classifier(data.name, dataset.test_images, dataset.test_labels)
        except UnvalidatedClassifier:
            classifier = None
        statistics = make_reference(classifier, dataset.test_images, confidence=self.confidence)
        num = min(self.num_samples, dataset.test_images.shape[0])
        ceilings = image_ceilings(classifier, statistics, dataset.test_images, num, confidence=self.confidence)
        return ImageReferenceSet(classifier, statistics, jnp.asarray(accuracy), ceilings)

    def measure(self, source: ImageSource, reference: ImageReferenceSet, samples: Array) -> ImageMetrics:
        return image_metrics(reference.classifier, reference.statistics, samples, confidence=self.confidence)

    def observe(self, source: ImageSource, reference: ImageReferenceSet, metrics: ImageMetrics) -> Observation:
        num_classes = metrics.class_share.shape[0]
        known = ~jnp.isnan(metrics.variance_ratio)
        real_junk = reference.statistics.ceilings.junk
        excess = (metrics.junk - real_junk) / (1.0 - real_junk)
        junk = excess >= self.junk_share
        alike_to_classifier = (metrics.variance_ratio <= self.total_variance) & ~junk
        alike = alike_to_classifier | (metrics.pairwise_ratio <= self.total_distance)
        few = (metrics.effective_classes <= self.few_classes) | (metrics.max_share >= self.large_class)
        many = metrics.effective_classes >= self.many_classes
        intra = many & (metrics.intra_class_ratio <= self.intra_variance)
        clean = (excess <= self.healthy_junk) & (metrics.variance_ratio >= self.healthy_variance)
        apart = metrics.pairwise_ratio >= self.healthy_distance
        healthy = jnp.where(known, clean & (metrics.modes >= self.healthy_modes * num_classes), apart)
        label = jnp.select(
            [~metrics.finite, alike, junk, few, intra, healthy],
            [LABELS.index(name) for name in ("nonfinite", "total", "junk", "class", "intra", "healthy")],
            LABELS.index("between"),
        )

        def labelled(*names: str) -> Array:
            return jnp.any(label == jnp.array([LABELS.index(name) for name in names]))

        collapsed = labelled("total", "class") & ~junk
        nothing = labelled("junk", "nonfinite") | (labelled("total") & junk)
        well_made = jnp.where(known, excess <= self.healthy_junk, True)
        modes, shares = top_modes(jax.lax.stop_gradient(metrics.class_share))
        return Observation(
            label=label,
            healthy=labelled("healthy"),
            recovered=jnp.where(known, clean & many, apart),
            bad=jnp.stack([collapsed | nothing, collapsed, nothing, labelled("intra")]),
            concentrated=collapsed,
            credible=metrics.finite & ~junk,
            dominant_mode=jnp.argmax(jax.lax.stop_gradient(metrics.class_share)),
            collapsed_early=metrics.finite & well_made & (alike | few),
            top_modes=modes,
            top_shares=shares,
            mode_kind=1,
        )

    def describe(self) -> str:
        return f"class probability>={self.confidence:g}; n={self.num_samples}"

    def definition(self, data: Images, reference: ImageReferenceSet) -> dict[str, Any]:
        stamp = definition(
            confidence=self.confidence,
            num_samples=self.num_samples,
            name=data.name,
            classifier=reference.classifier,
            accuracy=float(reference.accuracy),
        )
        return {**stamp, "detector": to_json(self)}

    def bounds(self, source: ImageSource, reference: ImageReferenceSet) -> dict[str, dict[str, float | None]]:
        floor = {"kl": kl_floor(self.num_samples)}
        return {
            name: {"ceiling": float(value), "floor": floor.get(name)}
            for name, value in reference.ceilings._asdict().items()
            if jnp.ndim(value) == 0 and name != "finite" and not jnp.isnan(value)
        }
