"""Penalties: terms that are added to a player's loss; one class for each paper or variant.

This module has the penalties that are not gradient penalties, `Lazy`, and the table of D's penalties. The gradient
penalties are in `gan_jax.losses.gradient_penalties`, the interface is in `gan_jax.losses.view`.

Weight clipping is a projection, not a penalty: `gan_jax.training.optimizers.WeightClipping`.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.losses.gradient_penalties import DRAGAN, R1, R2, WGANGP, ZeroCenteredGP, score_gradients
from gan_jax.losses.view import PENALTY_WEIGHT, Penalty, StatefulPenalty, View

__all__ = [
    "DISCRIMINATOR_PENALTIES",
    "DRAGAN",
    "R1",
    "R2",
    "WGANGP",
    "Consistency",
    "Drift",
    "ElasticWeights",
    "Equilibrium",
    "HistoricalAveraging",
    "Lazy",
    "LeCam",
    "Orthogonality",
    "Penalty",
    "StatefulPenalty",
    "View",
    "ZeroCenteredGP",
    "score_gradients",
]


@component
class LeCam:
    """weight (E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2), with a_R, a_F moving averages of the real and fake scores.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(real_scores=jnp.ones(4), fake_scores=-jnp.ones(4), memory=LeCam().init(()))
        >>> round(float(LeCam(weight=0.3)(view)), 4)  # 0.3 (1^2 + (-1)^2): both averages start at 0
        0.6
        >>> round(float(LeCam(decay=0.99).advance(view)["real"]), 4)
        0.01

    References:
        H.-Y. Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", CVPR 2021, equation 3.
    """

    weight: float = setting(default=0.3, at_least=0, doc=PENALTY_WEIGHT + "; lambda")
    decay: float = setting(default=0.99, at_least=0, below=1, doc="decay of the moving averages")

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
    """weight E |D(x) - D(T(x))|^2, with T a random change to which D should be invariant.

    T adds normal noise to vectors, and shifts images by up to `shift` pixels in each direction; edges are repeated.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(score=lambda x: 2 * x[:, 0], real=jnp.zeros((1_000, 1)))
        >>> round(float(Consistency(weight=10.0, noise=0.1)(view)), 1)  # in expectation 10 (2 * 0.1)^2
        0.4

    References:
        H. Zhang et al., "Consistency Regularization for Generative Adversarial Networks", ICLR 2020, equation 2 (real
            examples); Z. Zhao et al., "Improved Consistency Regularization for GANs", AAAI 2021 (`side="both"`).
    """

    weight: float = setting(default=10.0, at_least=0, doc=PENALTY_WEIGHT + "; lambda")
    side: Literal["real", "both"] = setting(
        default="real", doc="examples whose scores should not change: real ones, or both sides"
    )
    noise: float = setting(default=0.1, at_least=0, doc="for vectors: standard deviation of the noise, in data units")
    shift: int = setting(default=2, at_least=0, doc="for images: greatest shift, in pixels")

    def __call__(self, view: View) -> Array:
        keys = jax.random.split(view.key)
        sides = (view.real, view.fake) if self.side == "both" else (view.real,)
        gaps = [view.score(x) - view.score(self._changed(view, x, k)) for x, k in zip(sides, keys, strict=False)]
        return self.weight * sum((jnp.mean(gap**2) for gap in gaps), start=jnp.zeros(()))

    def _changed(self, view: View, samples: Array, key: Array) -> Array:
        if samples.ndim != 4:
            drawn = jax.random.normal(key, (view.batch_size, *samples.shape[1:]), samples.dtype)
            return samples + self.noise * view.shard(drawn)
        by = view.shard(jax.random.randint(key, (view.batch_size, 2), 0, 2 * self.shift + 1))
        edges = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        padded = jnp.pad(samples, edges, mode="edge")
        return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), samples.shape[1:]))(
            padded, by
        )


@component
class ElasticWeights:
    """(weight / 2) sum_i F_i (theta_i - theta*_i)^2: elastic weight consolidation, so that D keeps its earlier scores.

    F is the diagonal of the Fisher information of D as a classifier. Every `every_steps` steps theta* becomes the
    present parameters, and F is multiplied by `decay` and gains the squared gradient of D's log loss on the batch. That
    is the square of the batch's mean gradient times the batch size; single examples would need a gradient each.

    Example:
        >>> from gan_jax.losses import example_view
        >>> memory = {"anchor": {"w": jnp.zeros(1)}, "information": {"w": jnp.array([2.0])}}
        >>> view = example_view(params={"w": jnp.array([3.0])}, memory=memory)
        >>> float(ElasticWeights(weight=10.0)(view))  # (10 / 2) * 2 * (3 - 0)^2
        90.0

    References:
        J. Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, equation 3.
        K. J. Liang et al., "Generative Adversarial Network Training is a Continual Learning Problem", arXiv 1811.11083.
    """

    weight: float = setting(default=10.0, at_least=0, doc=PENALTY_WEIGHT + "; lambda")
    every_steps: int = setting(
        default=200, at_least=1, doc="length of a task, in steps; its last parameters become the anchor theta*"
    )
    decay: float = setting(
        default=0.9, at_least=0, at_most=1, doc="factor of the Fisher information of earlier tasks; gamma"
    )

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

        # Once in a step, however many updates the step has.
        now = (view.step % self.every_steps == self.every_steps - 1) & (view.step != view.memory["last_step"])
        return jax.lax.cond(now, next_task, lambda: view.memory)


@component
class HistoricalAveraging:
    """weight |theta - (1/t) sum_i theta_i|^2, where theta_i are the parameters after update i.

    Example:
        >>> from gan_jax.losses import example_view
        >>> memory = HistoricalAveraging().init({"w": jnp.zeros(2)})
        >>> float(HistoricalAveraging(weight=1.0)(example_view(params={"w": jnp.array([3.0, 4.0])}, memory=memory)))
        25.0

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.3.
    """

    weight: float = setting(default=1e-2, at_least=0, doc=PENALTY_WEIGHT)

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
    """weight sum_W |W^T W (1 - I)|^2: the columns of every kernel should be orthogonal, of any length.

    Example:
        >>> from gan_jax.losses import example_view
        >>> def value(kernel):
        ...     return float(Orthogonality(weight=1.0)(example_view(params={"kernel": jnp.array(kernel)})))
        >>> value([[2.0, 0.0], [0.0, 3.0]]), value([[1.0, 1.0], [0.0, 0.0]])  # orthogonal columns, and equal ones
        (0.0, 2.0)

    References:
        A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR
            2019, equation 3.
    """

    weight: float = setting(default=1e-4, at_least=0, doc=PENALTY_WEIGHT + "; beta")

    def __call__(self, view: View) -> Array:
        def off_diagonal(kernel: Array) -> Array:
            matrix = kernel.reshape(-1, kernel.shape[-1])
            products = matrix.T @ matrix
            return jnp.sum(products**2) - jnp.sum(jnp.diagonal(products) ** 2)

        kernels = [leaf for leaf in jax.tree.leaves(view.params) if leaf.ndim >= 2]
        return self.weight * sum((off_diagonal(kernel) for kernel in kernels), start=jnp.zeros(()))


@component
class Drift:
    """weight E D(x)^2 over real x: keeps the scores of a critic near 0, which its loss does not fix.

    Example:
        >>> from gan_jax.losses import example_view
        >>> round(float(Drift(weight=1e-3)(example_view(real_scores=jnp.array([10.0, -10.0])))), 4)
        0.1

    References:
        T. Karras et al., "Progressive Growing of GANs", ICLR 2018, appendix A.1.
    """

    weight: float = setting(default=1e-3, at_least=0, doc=PENALTY_WEIGHT + "; epsilon_drift")

    def __call__(self, view: View) -> Array:
        return self.weight * jnp.mean(view.real_scores**2)


@component
class Equilibrium:
    """BEGAN's balance: -k_t E L(G(z)), with the energy L = -score and k_t+1 = k_t + rate (gamma L(x) - L(G(z))).

    k starts at 0 and is clipped to [0, 1]. The penalty belongs to the objective `BoundaryEquilibrium`.

    Example:
        >>> from gan_jax.losses import example_view
        >>> view = example_view(real_scores=jnp.array([-1.0]), fake_scores=jnp.array([-0.2]), memory=jnp.zeros(()))
        >>> round(float(Equilibrium(diversity=0.5, rate=0.1).advance(view)), 4)  # k = 0 + 0.1 (0.5 * 1 - 0.2)
        0.03

    References:
        D. Berthelot, T. Schumm, L. Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv
            1703.10717, section 3.4.
    """

    diversity: float = setting(
        default=0.5, at_least=0, at_most=1, doc="target ratio of the energies of fakes and of real examples; gamma"
    )
    rate: float = setting(default=1e-3, above=0, doc="step size of k; lambda_k")

    def init(self, params: Any) -> Any:
        return jnp.zeros(())

    def __call__(self, view: View) -> Array:
        return view.memory * jnp.mean(view.fake_scores)

    def advance(self, view: View) -> Any:
        gap = jnp.mean(view.fake_scores) - self.diversity * jnp.mean(view.real_scores)
        return jnp.clip(view.memory + self.rate * gap, 0.0, 1.0)


@component
class Lazy:
    """Applies another penalty in every `every_updates`-th update, multiplied by `every_updates`: the mean is the same.

    Its state counts updates; a step may have several, and an unroll has more. Under `vmap` it saves no time, because
    all members compute both branches.

    Example:
        >>> from gan_jax.losses import example_view
        >>> lazy = Lazy(penalty=Drift(weight=1.0), every_updates=2)
        >>> [float(lazy(example_view(memory=jnp.int32(n)))) for n in range(4)]  # D(x) is 2
        [8.0, 0.0, 8.0, 0.0]

    References:
        T. Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, appendix B.
    """

    penalty: Penalty = setting(
        default=R1(),
        choices=(R1, R2, WGANGP, ZeroCenteredGP, DRAGAN, Consistency, Orthogonality, Drift),
        doc="the penalty that is applied",
    )
    every_updates: int = setting(default=16, at_least=1, doc="number of updates from one application to the next")

    def validate(self) -> None:
        if isinstance(self.penalty, StatefulPenalty):
            raise ValueError(
                f"Lazy.penalty is {type(self.penalty).__name__}, whose state advances in every update: use it without "
                "Lazy"
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
