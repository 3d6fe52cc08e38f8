"""Penalties: what a player pays beside its objective, one entry a paper, named by its exact variant.

A penalty is a component that is called with a `View` of the loss at hand and gives a scalar, weight included. Those of
`discriminator.penalties` are added to D's loss, those of `generator.penalties` to G's. One that has to remember
something (an average of scores, old parameters) also has `init` and `advance`, and is then a `StatefulPenalty`: its
memory is part of the run's state, so that a resumed run is the uninterrupted one.

Weight clipping is no penalty but a projection: `gan_jax.training.optimizers.WeightClipping`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting

_WEIGHT = "factor of the penalty"


class View(NamedTuple):
    """What a penalty sees of the loss that it is added to.

    Under data parallelism examples are a device's share, scores those of the whole batch. A penalty that is a mean over
    examples is right as it is, since gradients are averaged; one that is a nonlinear function of a mean over examples
    takes that mean with `mean`, and one that draws random numbers an example takes its part of them with `share`.

    Attributes:
        params: of the player that pays.
        memory: of this penalty; () if it remembers nothing.
        score: samples [n, *shape] -> D's raw scores, in training mode, with the D of this loss.
        score_at: the same for other parameters: (params, samples) -> scores.
        features: samples -> D's activations by layer.
        real: [n, *shape], real examples as D sees them.
        fake: [n, *shape], fakes as D sees them.
        latent: [n, latent_dim] of the fakes; for D's penalties of those that G made for this batch.
        real_scores: [batch], of the loss itself.
        fake_scores: [batch], of the loss itself.
        key: of this penalty in this loss.
        step: of the run.
        batch_size: examples on all devices.
        num_heads: scores that D gives an example, next to each other; 1 but for committees.
        share: a batch drawn whole -> the part of this device.
        mean: a value (or a pytree of them) -> its mean over devices.
        fresh: [n, *shape], the fakes of this batch as D sees them, before replay and noise changed any.
        sample: [n, *data.shape], the same as G made them; `fresh` is those beside their latents where D sees both.
        encode: samples -> latents, by G's encoder; None if it has none.
    """

    params: Any
    memory: Any
    score: Callable[[Array], Array]
    score_at: Callable[[Any, Array], Array]
    features: Callable[[Array], dict[str, Array]]
    real: Array
    fake: Array
    latent: Array
    real_scores: Array
    fake_scores: Array
    key: Array
    step: Array
    batch_size: int
    num_heads: int
    share: Callable[[Array], Array]
    mean: Callable[[Any], Any]
    fresh: Array
    sample: Array
    encode: Callable[[Array], Array] | None = None


@runtime_checkable
class Penalty(Protocol):
    """A term of a player's loss."""

    def __call__(self, view: View) -> Array: ...


@runtime_checkable
class StatefulPenalty(Protocol):
    """A penalty with a memory: arrays only, advanced once for every loss that the player descends."""

    def __call__(self, view: View) -> Array: ...

    def init(self, params: Any) -> Any:
        """The memory before the first step, for a player of these parameters."""
        ...

    def advance(self, view: View) -> Any:
        """The memory after this loss; nothing is differentiated through it."""
        ...


def score_gradients(view: View, samples: Array) -> Array:
    """The gradient of every score in the samples behind it, flattened: [scores, values of those samples].

    D must score each example (or each pack of them) apart. Where it looks at the whole batch, as with batch norm, the
    gradient of an example's score and what that example does to the others' scores add up, as in published code.

    Example:
        For a linear D all gradients are its direction: a WGAN-GP of exactly (|w| - 1)^2; see tests/test_penalties.py.
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
    """A point on the line between each real example and a fake; a draw an example."""
    shape = (view.batch_size,) + (1,) * (view.real.ndim - 1)
    share = view.share(jax.random.uniform(view.key, shape, view.real.dtype))
    return share * view.real + (1 - share) * view.fake


@component
class R1:
    """(weight / 2) E |grad_x D(x)|^2 over real x.

    Published code differs by the factor 1/2: the authors' multiplies by `weight` itself, which is `factor="one"`.

    References:
        L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018,
            equation 9.
    """

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; gamma")
    factor: Literal["half", "one"] = setting(default="half", doc="of the weight: 1/2 as in the paper, or 1")

    def __call__(self, view: View) -> Array:
        return _squared(self, score_gradients(view, view.real))


@component
class R2:
    """(weight / 2) E |grad_x D(x)|^2 over fakes; see `R1`."""

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; gamma")
    factor: Literal["half", "one"] = setting(default="half", doc="of the weight: 1/2 as in the paper, or 1")

    def __call__(self, view: View) -> Array:
        return _squared(self, score_gradients(view, view.fake))


def _squared(penalty: R1 | R2, slopes: Array) -> Array:
    factor = 0.5 if penalty.factor == "half" else 1.0
    return factor * penalty.weight * jnp.mean(jnp.sum(slopes**2, axis=-1))


@component
class WGANGP:
    """weight E (|grad_x D(x)| - 1)^2 at random points between real examples and fakes.

    The norm is over all values of an example together, and every example has a point of its own on its line; published
    code has got both wrong.

    References:
        I. Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3. Its toys use a weight of
            0.1, its images 10.
    """

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; lambda")
    one_sided: bool = setting(default=False, doc="only slopes above 1 cost")

    def __call__(self, view: View) -> Array:
        excess = _norms(score_gradients(view, _interpolates(view))) - 1.0
        return self.weight * jnp.mean((jnp.maximum(excess, 0.0) if self.one_sided else excess) ** 2)


@component
class ZeroCenteredGP:
    """weight E |grad_x D(x)|^2 at random points between real examples and fakes.

    References:
        H. Thanh-Tung, T. Tran, S. Venkatesh, "Improving Generalization and Stability of Generative Adversarial
            Networks", ICLR 2019, section 5.
    """

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; lambda")

    def __call__(self, view: View) -> Array:
        return self.weight * jnp.mean(jnp.sum(score_gradients(view, _interpolates(view)) ** 2, axis=-1))


@component
class DRAGAN:
    """weight E (|grad_x D(x + d)| - target)^2 at perturbed real examples x + d.

    Three public codes perturb differently, and call all of it DRAGAN. With s the standard deviation of the batch, over
    all of its values:

        compare_gan   d = s u,           u uniform on [-1/2, 1/2] for each value
        studiogan     d = a s u / 2,     u uniform on [0, 1] for each value, a the same for each example: one-sided
        torchgan      d = `scale` n,     n normal: the user's own noise

    compare_gan clips x + d to the range of its data, [0, 1]. Data elsewhere need their own `low` and `high`.

    References:
        N. Kodali et al., "On Convergence and Stability of GANs", arXiv 1705.07215, algorithm 1.
    """

    variant: Literal["compare_gan", "studiogan", "torchgan"] = setting(default="studiogan", doc="whose perturbation")
    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; lambda")
    target: float = setting(default=1.0, at_least=0, doc="norm of the gradient that costs nothing; k")
    scale: float = setting(default=0.1, above=0, doc="of torchgan's noise, in data units")
    low: float | None = setting(default=None, doc="least value of the data, where points are clipped; none: not")
    high: float | None = setting(default=None, doc="greatest value of the data, where points are clipped; none: not")

    def __call__(self, view: View) -> Array:
        excess = _norms(score_gradients(view, self.perturbed(view))) - self.target
        return self.weight * jnp.mean(excess**2)

    def perturbed(self, view: View) -> Array:
        """The points where the gradient is taken, [n, *shape]."""
        key_value, key_example = jax.random.split(view.key)
        shape, dtype = (view.batch_size, *view.real.shape[1:]), view.real.dtype
        if self.variant == "torchgan":
            moved = view.real + self.scale * view.share(jax.random.normal(key_value, shape, dtype))
        else:
            mean, square = view.mean((jnp.mean(view.real), jnp.mean(view.real**2)))
            deviation = jnp.sqrt(jnp.maximum(square - mean**2, 0.0))
            noise = view.share(jax.random.uniform(key_value, shape, dtype))
            if self.variant == "studiogan":
                each = jax.random.uniform(key_example, (view.batch_size,) + (1,) * (view.real.ndim - 1), dtype)
                moved = view.real + 0.5 * view.share(each) * deviation * noise
            else:
                moved = view.real + deviation * (noise - 0.5)
        if self.low is None and self.high is None:
            return moved
        return jnp.clip(moved, self.low, self.high)


@component
class LeCam:
    """weight (E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2), with a_R, a_F moving averages of the real and fake scores.

    References:
        H.-Y. Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", CVPR 2021, equation 3.
    """

    weight: float = setting(default=0.3, at_least=0, doc=_WEIGHT + "; lambda")
    decay: float = setting(default=0.99, at_least=0, below=1, doc="of the moving averages")

    def init(self, params: Any) -> Any:
        return {"real": jnp.zeros(()), "fake": jnp.zeros(())}

    def __call__(self, view: View) -> Array:
        real = jnp.mean((view.real_scores - view.memory["fake"]) ** 2)
        return self.weight * (real + jnp.mean((view.fake_scores - view.memory["real"]) ** 2))

    def advance(self, view: View) -> Any:
        seen = {"real": jnp.mean(view.real_scores), "fake": jnp.mean(view.fake_scores)}
        return jax.tree.map(lambda old, new: self.decay * old + (1 - self.decay) * new, view.memory, seen)


@component
class Consistency:
    """weight E |D(x) - D(T(x))|^2, with T a random change that should not matter.

    T adds normal noise to vectors, and shifts images by up to `shift` pixels in each direction, edges repeated.

    References:
        H. Zhang et al., "Consistency Regularization for Generative Adversarial Networks", ICLR 2020, equation 2 (real
            examples); Z. Zhao et al., "Improved Consistency Regularization for GANs", AAAI 2021 (`side="both"`).
    """

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; lambda")
    side: Literal["real", "both"] = setting(default="real", doc="whose scores should not change")
    noise: float = setting(default=0.1, at_least=0, doc="of vectors: standard deviation, in data units")
    shift: int = setting(default=2, at_least=0, doc="of images: greatest shift, in pixels")

    def __call__(self, view: View) -> Array:
        keys = jax.random.split(view.key)
        sides = (view.real, view.fake) if self.side == "both" else (view.real,)
        gaps = [view.score(x) - view.score(self._changed(view, x, k)) for x, k in zip(sides, keys, strict=False)]
        return self.weight * sum((jnp.mean(gap**2) for gap in gaps), start=jnp.zeros(()))

    def _changed(self, view: View, samples: Array, key: Array) -> Array:
        if samples.ndim != 4:
            drawn = jax.random.normal(key, (view.batch_size, *samples.shape[1:]), samples.dtype)
            return samples + self.noise * view.share(drawn)
        by = view.share(jax.random.randint(key, (view.batch_size, 2), 0, 2 * self.shift + 1))
        edges = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        padded = jnp.pad(samples, edges, mode="edge")
        return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), samples.shape[1:]))(
            padded, by
        )


@component
class ElasticWeights:
    """(weight / 2) sum_i F_i (theta_i - theta*_i)^2: D should not forget how it judged the fakes of some time ago.

    Every `every_steps` steps theta* becomes the present parameters, and F, the diagonal of the Fisher information of D
    as a classifier, decays and gains the squares of the gradient of its log loss on the batch. F is of the batch's
    mean gradient times its size; that of single examples would cost a gradient each.

    References:
        J. Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, equation 3.
        K. J. Liang et al., "Generative Adversarial Network Training is a Continual Learning Problem", arXiv 1811.11083.
    """

    weight: float = setting(default=10.0, at_least=0, doc=_WEIGHT + "; lambda")
    every_steps: int = setting(default=200, at_least=1, doc="steps of a task: after them the parameters are an anchor")
    decay: float = setting(default=0.9, at_least=0, at_most=1, doc="of the information of former tasks; gamma")

    def init(self, params: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return {"anchor": params, "information": zeros, "last_step": jnp.int32(-1)}

    def __call__(self, view: View) -> Array:
        anchor, information = view.memory["anchor"], view.memory["information"]
        terms = jax.tree.map(lambda p, a, f: jnp.sum(f * (p - a) ** 2), view.params, anchor, information)
        return 0.5 * self.weight * sum(jax.tree.leaves(terms), start=jnp.zeros(()))

    def advance(self, view: View) -> Any:
        def log_loss(params: Any) -> Array:
            real, fake = view.score_at(params, view.real), view.score_at(params, view.fake)
            return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))

        def next_task() -> Any:
            slopes = view.mean(jax.grad(log_loss)(view.params))
            information = jax.tree.map(
                lambda f, g: self.decay * f + view.batch_size * g**2, view.memory["information"], slopes
            )
            return {"anchor": view.params, "information": information, "last_step": jnp.asarray(view.step, jnp.int32)}

        # Once in a step, however many updates it has.
        now = (view.step % self.every_steps == self.every_steps - 1) & (view.step != view.memory["last_step"])
        return jax.lax.cond(now, next_task, lambda: view.memory)


@component
class HistoricalAveraging:
    """weight |theta - (1/t) sum_i theta_i|^2, the mean over the parameters of all former updates.

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.3.
    """

    weight: float = setting(default=1e-2, at_least=0, doc=_WEIGHT)

    def init(self, params: Any) -> Any:
        return {"mean": params, "count": jnp.zeros(())}

    def __call__(self, view: View) -> Array:
        terms = jax.tree.map(lambda p, m: jnp.sum((p - m) ** 2), view.params, view.memory["mean"])
        return self.weight * sum(jax.tree.leaves(terms), start=jnp.zeros(()))

    def advance(self, view: View) -> Any:
        count = view.memory["count"] + 1
        mean = jax.tree.map(lambda m, p: m + (p - m) / count.astype(m.dtype), view.memory["mean"], view.params)
        return {"mean": mean, "count": count}


@component
class Orthogonality:
    """weight sum_W |W^T W (1 - I)|^2: the columns of every kernel should be orthogonal, whatever their length.

    References:
        A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR
            2019, equation 3.
    """

    weight: float = setting(default=1e-4, at_least=0, doc=_WEIGHT + "; beta")

    def __call__(self, view: View) -> Array:
        def off_diagonal(kernel: Array) -> Array:
            matrix = kernel.reshape(-1, kernel.shape[-1])
            products = matrix.T @ matrix
            return jnp.sum(products**2) - jnp.sum(jnp.diagonal(products) ** 2)

        kernels = [leaf for leaf in jax.tree.leaves(view.params) if leaf.ndim >= 2]
        return self.weight * sum((off_diagonal(kernel) for kernel in kernels), start=jnp.zeros(()))


@component
class Drift:
    """weight E D(x)^2 over real x: keeps an unanchored critic near 0.

    References:
        T. Karras et al., "Progressive Growing of GANs", ICLR 2018, appendix A.1.
    """

    weight: float = setting(default=1e-3, at_least=0, doc=_WEIGHT + "; epsilon_drift")

    def __call__(self, view: View) -> Array:
        return self.weight * jnp.mean(view.real_scores**2)


@component
class Equilibrium:
    """BEGAN's balance: -k_t E L(G(z)), with the energy L = -score and k_t+1 = k_t + rate (gamma L(x) - L(G(z))).

    k starts at 0 and stays in [0, 1]. It goes with the objective `BoundaryEquilibrium`.

    References:
        D. Berthelot, T. Schumm, L. Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv
            1703.10717, section 3.4.
    """

    diversity: float = setting(default=0.5, at_least=0, at_most=1, doc="energy of fakes per energy of reals; gamma")
    rate: float = setting(default=1e-3, above=0, doc="of k; lambda_k")

    def init(self, params: Any) -> Any:
        return jnp.zeros(())

    def __call__(self, view: View) -> Array:
        return view.memory * jnp.mean(view.fake_scores)

    def advance(self, view: View) -> Any:
        gap = jnp.mean(view.fake_scores) - self.diversity * jnp.mean(view.real_scores)
        return jnp.clip(view.memory + self.rate * gap, 0.0, 1.0)


@component
class Lazy:
    """Another penalty in every `every_updates`-th update only, and then that many times as heavy: the mean is the same.

    Its memory counts updates, of which a step may have several, and an unroll more. Side by side (`vmap`) it saves
    nothing: there all members compute both branches.

    Example:
        >>> Lazy(penalty=R1(weight=10.0), every_updates=16).every_updates
        16

    References:
        T. Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, appendix B.
    """

    penalty: Penalty = setting(
        default=R1(),
        choices=(R1, R2, WGANGP, ZeroCenteredGP, DRAGAN, Consistency, Orthogonality, Drift),
        doc="what is computed now and then",
    )
    every_updates: int = setting(default=16, at_least=1, doc="updates from one computation to the next")

    def validate(self) -> None:
        if isinstance(self.penalty, StatefulPenalty):
            raise ValueError(
                f"Lazy.penalty is {type(self.penalty).__name__}, whose memory advances in every update: use it as it is"
            )

    def init(self, params: Any) -> Any:
        return jnp.int32(0)

    def __call__(self, view: View) -> Array:
        now = view.memory % self.every_updates == 0
        return jax.lax.cond(now, lambda: self.every_updates * self.penalty(view), lambda: jnp.zeros(()))

    def advance(self, view: View) -> Any:
        return view.memory + 1


DISCRIMINATOR_PENALTIES = (
    R1,
    R2,
    WGANGP,
    ZeroCenteredGP,
    DRAGAN,
    LeCam,
    Consistency,
    ElasticWeights,
    HistoricalAveraging,
    Orthogonality,
    Drift,
    Equilibrium,
    Lazy,
)
