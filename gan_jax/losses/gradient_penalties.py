"""Gradient penalties, which bound the gradient of D's score in its input; one class for each paper or variant."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule, value_at
from gan_jax.losses.view import PENALTY_WEIGHT, View


def score_gradients(view: View, samples: Float[Array, "n *shape"]) -> Float[Array, "scores values"]:
    """The gradient of every score in the samples that it belongs to, flattened: [scores, values of those samples].

    D must score each example (or each pack) on its own. If D sees the whole batch, as with batch norm, the result for
    an example is the gradient of the sum of all scores in that example, as in published code.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: x @ jnp.array([3.0, 4.0]))
        >>> score_gradients(view, view.real)[0].tolist()
        [3.0, 4.0]
    """
    scores, pullback = jax.vjp(view.score, samples)
    if view.num_heads == 1:
        (slopes,) = pullback(jnp.ones_like(scores))
        return slopes.reshape(scores.shape[0], -1)
    heads = jnp.tile(jnp.eye(view.num_heads, dtype=scores.dtype), (1, scores.shape[0] // view.num_heads))
    (slopes,) = jax.vmap(pullback)(heads)  # [heads, n, *shape]
    return slopes.reshape(scores.shape[0], -1)


def _norms(slopes: Array) -> Array:
    # The root's derivative at 0 is infinite.
    return jnp.sqrt(jnp.sum(slopes**2, axis=-1) + 1e-12)


def _interpolates(view: View) -> Array:
    """A uniform random point on the line between each real example and a fake."""
    shape = (view.batch_size,) + (1,) * (view.real.ndim - 1)
    share = view.shard(jax.random.uniform(view.key, shape, view.real.dtype))
    return share * view.real + (1 - share) * view.fake


@component
class R1:
    """Penalty on D's gradient at real examples: (weight / 2) E |grad_x D(x)|^2.

    Published code differs by the factor 1/2: the authors' code multiplies by `weight` itself, which is `factor="one"`.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: x @ jnp.array([3.0, 4.0]))
        >>> float(R1(weight=2.0)(view)), float(R1(weight=2.0, factor="one")(view))  # |grad D|^2 is 9 + 16
        (25.0, 50.0)

    References:
        L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018,
            equation 9.
    """

    weight: float | Schedule = setting(default=10.0, at_least=0, choices=SCHEDULES, doc=PENALTY_WEIGHT + "; gamma")
    factor: Literal["half", "one"] = setting(default="half", doc="factor of the weight: 1/2 as in the paper, or 1")

    def __call__(self, view: View) -> Array:
        return _squared(self, view, score_gradients(view, view.real))


@component
class R2:
    """(weight / 2) E |grad_x D(x)|^2 over fakes; see `R1`.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: jnp.sum(x**2, axis=1) / 2, fake=jnp.array([[3.0, 4.0]]))
        >>> float(R2(weight=2.0)(view))  # D(x) = |x|^2 / 2 has the gradient x
        25.0
    """

    weight: float | Schedule = setting(default=10.0, at_least=0, choices=SCHEDULES, doc=PENALTY_WEIGHT + "; gamma")
    factor: Literal["half", "one"] = setting(default="half", doc="factor of the weight: 1/2 as in the paper, or 1")

    def __call__(self, view: View) -> Array:
        return _squared(self, view, score_gradients(view, view.fake))


def _squared(penalty: R1 | R2, view: View, slopes: Array) -> Array:
    factor = 0.5 if penalty.factor == "half" else 1.0
    return factor * value_at(penalty.weight, view.step) * jnp.mean(jnp.sum(slopes**2, axis=-1))


@component
class WGANGP:
    """weight E (|grad_x D(x)| - 1)^2 at random points between real examples and fakes.

    The norm is taken over all values of an example together, and every example has its own point on its line. Published
    code has errors in both.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: x @ jnp.array([3.0, 4.0]))
        >>> round(float(WGANGP(weight=10.0)(view)), 2)  # 10 (5 - 1)^2, at every point
        160.0

    References:
        I. Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3. Its toys use a weight of
            0.1, its images 10.
    """

    weight: float = setting(default=10.0, at_least=0, doc=PENALTY_WEIGHT + "; lambda")
    one_sided: bool = setting(default=False, doc="penalise only norms above 1")

    def __call__(self, view: View) -> Array:
        excess = _norms(score_gradients(view, _interpolates(view))) - 1.0
        return self.weight * jnp.mean((jnp.maximum(excess, 0.0) if self.one_sided else excess) ** 2)


@component
class ZeroCenteredGP:
    """weight E |grad_x D(x)|^2 at random points between real examples and fakes.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: x @ jnp.array([3.0, 4.0]))
        >>> float(ZeroCenteredGP(weight=10.0)(view))  # 10 * 5^2, at every point
        250.0

    References:
        H. Thanh-Tung, T. Tran, S. Venkatesh, "Improving Generalization and Stability of Generative Adversarial
            Networks", ICLR 2019, section 5.
    """

    weight: float = setting(default=10.0, at_least=0, doc=PENALTY_WEIGHT + "; lambda")

    def __call__(self, view: View) -> Array:
        return self.weight * jnp.mean(jnp.sum(score_gradients(view, _interpolates(view)) ** 2, axis=-1))


@component
class DRAGAN:
    """weight E (|grad_x D(x + d)| - target)^2 at perturbed real examples x + d.

    Three public codes perturb differently under the name DRAGAN. With s the standard deviation of the batch, over all
    of its values:

        compare_gan   d = s u,           u uniform on [-1/2, 1/2] for each value
        studiogan     d = a s u / 2,     u uniform on [0, 1] for each value, a uniform on [0, 1] for each example
        torchgan      d = `scale` n,     n normal: the noise is a setting

    compare_gan clips x + d to the range of its data, [0, 1]. Data in another range need their own `low` and `high`.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: x @ jnp.array([3.0, 4.0]))
        >>> round(float(DRAGAN(variant="torchgan", weight=10.0)(view)), 2)  # 10 (5 - 1)^2, at every point
        160.0

    References:
        N. Kodali et al., "On Convergence and Stability of GANs", arXiv 1705.07215, algorithm 1.
    """

    variant: Literal["compare_gan", "studiogan", "torchgan"] = setting(
        default="studiogan", doc="code whose perturbation is used"
    )
    weight: float = setting(default=10.0, at_least=0, doc=PENALTY_WEIGHT + "; lambda")
    target: float = setting(default=1.0, at_least=0, doc="norm of the gradient at which the penalty is 0; k")
    scale: float = setting(default=0.1, above=0, doc="standard deviation of torchgan's noise, in data units")
    low: float | None = setting(
        default=None, doc="least value of the data, at which points are clipped; None disables it"
    )
    high: float | None = setting(
        default=None, doc="greatest value of the data, at which points are clipped; None disables it"
    )

    def __call__(self, view: View) -> Array:
        excess = _norms(score_gradients(view, self.perturbed(view))) - self.target
        return self.weight * jnp.mean(excess**2)

    def perturbed(self, view: View) -> Array:
        """The points [n, *shape] at which the gradient is taken."""
        key_value, key_example = jax.random.split(view.key)
        shape, dtype = (view.batch_size, *view.real.shape[1:]), view.real.dtype
        if self.variant == "torchgan":
            moved = view.real + self.scale * view.shard(jax.random.normal(key_value, shape, dtype))
        else:
            mean, square = view.mean((jnp.mean(view.real), jnp.mean(view.real**2)))
            deviation = jnp.sqrt(jnp.maximum(square - mean**2, 0.0))
            noise = view.shard(jax.random.uniform(key_value, shape, dtype))
            if self.variant == "studiogan":
                each = jax.random.uniform(key_example, (view.batch_size,) + (1,) * (view.real.ndim - 1), dtype)
                moved = view.real + 0.5 * view.shard(each) * deviation * noise
            else:
                moved = view.real + deviation * (noise - 0.5)
        if self.low is None and self.high is None:
            return moved
        return jnp.clip(moved, self.low, self.high)
