"""Auxiliary losses of G that do not depend on scores alone: feature matching, reconstruction, classification.

They have the form of penalties (`gan_jax.losses.view.View` -> scalar) and belong in `generator.penalties`. With
`replaces=True` a loss replaces the objective's loss of G.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting, unknown_name
from gan_jax.losses.penalties import HistoricalAveraging, Orthogonality
from gan_jax.losses.view import View

LOGITS = "class_logits"
"""The name of the feature that holds the logits of D's classifier."""


@component
class FeatureMatching:
    """The distance between the means of D's features f on real examples and on fakes.

        L2   |E f(x) - E f(G(z))|^2, summed over features, as published
        L1   mean over features of |E f(x) - E f(G(z))|, as in StudioGAN

    With `covariance`, the same distance between the covariance matrices of the features is added; for L2 it is divided
    by their number of rows. `replaces=True` is the published method; False adds the term to the objective: the hybrid.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(features=lambda x: {"hidden": x}, fake=jnp.full((4, 2), 3.0))
        >>> [float(FeatureMatching(norm=norm)(view)) for norm in ("l2", "l1")]  # two features, whose means differ by 2
        [8.0, 2.0]

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.1.
        Y. Mroueh, T. Sercu, V. Goel, "McGan: Mean and Covariance Feature Matching GAN", ICML 2017.
    """

    weight: float = setting(default=1.0, at_least=0, doc="factor of the distance")
    norm: Literal["l1", "l2"] = setting(default="l2", doc="norm of the difference of means")
    layer: str | None = setting(default=None, doc="name of D's layer; None takes the last one before the score")
    covariance: bool = setting(default=False, doc="match the covariances too")
    replaces: bool = setting(default=False, doc="replaces G's own loss (True), or is added to it (False)")

    def __call__(self, view: View) -> Array:
        real, fake = (self._features(view, x) for x in (view.real, view.fake))
        gap = view.mean(jnp.mean(real, axis=0)) - view.mean(jnp.mean(fake, axis=0))
        distance = self._distance(gap)
        if self.covariance:
            gaps = _covariance(view, real) - _covariance(view, fake)
            distance += self._distance(gaps.ravel()) / (gaps.shape[0] if self.norm == "l2" else 1)
        return self.weight * distance

    def _distance(self, gap: Array) -> Array:
        return jnp.mean(jnp.abs(gap)) if self.norm == "l1" else jnp.sum(gap**2)

    def _features(self, view: View, samples: Array) -> Array:
        features = {name: value for name, value in view.features(samples).items() if name != LOGITS}
        if not features:
            raise ValueError("FeatureMatching needs a discriminator with hidden layers, and this one has none")
        name = list(features)[-1] if self.layer is None else self.layer
        if name not in features:
            raise ValueError(unknown_name("FeatureMatching.layer: D has no layer", name, list(features)))
        return features[name].reshape(features[name].shape[0], -1)


def _covariance(view: View, features: Array) -> Array:
    mean = view.mean(jnp.mean(features, axis=0))
    return view.mean(features.T @ features / features.shape[0]) - mean[:, None] * mean[None, :]


@component
class Reconstruction:
    """weight E |z - F(G(z))|^2, with F the encoder of G: VEEGAN's l2 loss of the latent.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(latent=jnp.ones((4, 2)), encode=lambda samples: jnp.zeros((4, 2)))
        >>> float(Reconstruction()(view))  # |(1, 1) - (0, 0)|^2
        2.0

    References:
        A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS
            2017, equation 3 and algorithm 1.
    """

    weight: float = setting(default=1.0, at_least=0, doc="factor of the squared error")

    def __call__(self, view: View) -> Array:
        if view.encode is None:
            raise ValueError("Reconstruction needs an encoder: set generator.network to Bidirectional(...)")
        return self.weight * jnp.mean(jnp.sum((view.latent - view.encode(view.sample)) ** 2, axis=-1))


@component
class Classification:
    """weight E -log C_k(G_k(z)): a classifier on D's features predicts which generator of a mixture made a sample.

    D's classifier and G both minimise it, so it belongs in both players' penalties. Generator i mod n makes sample i.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(features=lambda samples: {"class_logits": jnp.zeros((4, 2))})
        >>> round(float(Classification()(view)), 4)  # a classifier that guesses between two generators: log 2
        0.6931

    References:
        Q. Hoang et al., "MGAN: Training Generative Adversarial Nets with Multiple Generators", ICLR 2018, equation 4.
    """

    weight: float = setting(default=1.0, at_least=0, doc="factor of the cross-entropy; beta for G")

    def __call__(self, view: View) -> Array:
        features = view.features(view.fresh)
        if LOGITS not in features:
            raise ValueError(
                "Classification needs a discriminator with a classifier: set discriminator.network=ClassifierHead(...)"
            )
        logits = features[LOGITS]
        made_by = jnp.arange(logits.shape[0]) % logits.shape[1]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), made_by[:, None], axis=1)
        return -self.weight * jnp.mean(chosen)


GENERATOR_PENALTIES = (FeatureMatching, Reconstruction, Classification, HistoricalAveraging, Orthogonality)
