"""Dynamics: rules that combine the players' gradients into the directions that their optimisers are given.

With x the generator's parameters, y the discriminator's, and the losses f = L_G(x, y) and g = L_D(x, y), the field of
the game is F = (df/dx, dg/dy): each player's own gradient. Its Jacobian J, with the blocks D_xx f, D_xy f, D_yx g and
D_yy g, is never formed: there are only products with it (forward mode) and with its transpose (reverse mode).

Averaging. `average` (such as the mean over devices) is applied to every gradient and to every product with J or its
transpose, outside the derivative that makes it. All are linear in the loss, so that a rule on n devices equals the rule
on the joined batch, although it is not linear in the gradients itself.

Cost. The unit is one evaluation of F: both players' gradients, once. A product of J or of its transpose with a vector
counts 2 beyond the evaluation that it is linearised at: the tangent of a matrix product is two matrix products, and
transposing keeps the count (forward mode costs 2 to 2.5 evaluations of the function, itself included, and reverse mode
3 to 4: A. Griewank and A. Walther, "Evaluating Derivatives", 2nd edition, SIAM 2008, chapters 3 and 4). A product with
one of the off-diagonal blocks alone, one player's half, counts 1.

Optimistic descent needs the last step's gradient, which is an optimiser's state: it is `Simultaneous` with
`OptimisticSGD` or `OptimisticAdam`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.scipy.sparse.linalg import bicgstab, cg, gmres

from gan_jax.experiment.component import component, setting


class Pair(NamedTuple):
    """A value for each player: a pytree of parameters, gradients or directions, or a number."""

    generator: Any
    discriminator: Any


Losses = Callable[[Pair], tuple[Pair, Any]]
"""params -> (a Pair of scalar losses, aux)."""
Move = Callable[[Pair], Pair]
"""direction -> the params after the optimisers' updates by it; the optimisers' states are not advanced."""
Average = Callable[[Any], Any]
"""A pytree of gradients -> its mean over devices."""


def _itself(tree: Any) -> Any:
    return tree


@runtime_checkable
class Dynamics(Protocol):
    """A rule that combines the players' gradients."""

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        """The directions that the players' optimisers are given instead of their own gradients.

        Args:
            losses: the game.
            params: the players' parameters.
            move: the parameters after the optimisers' updates by a direction.
            rates: the players' learning rates, two scalars.
            average: applied to every raw gradient, before it is used nonlinearly.

        Returns:
            The directions, in the gradients' shapes and units, and the aux of the losses at `params`.
        """
        ...

    @property
    def gradient_evaluations(self) -> int:
        """Cost of one step in evaluations of the pair of gradients; an upper bound where a solver may stop early."""
        ...


def gradient(losses: Losses, params: Pair, player: Literal["generator", "discriminator"]) -> tuple[Any, Any]:
    """(the gradient of a player's loss in its own parameters, aux).

    Args:
        losses: the game.
        params: the players' parameters.
        player: whose loss is differentiated, in its own parameters.

    Returns:
        (a tree of that player's parameters, aux).
    """

    def loss(own: Any) -> tuple[Array, Any]:
        values, aux = losses(params._replace(**{player: own}))
        return getattr(values, player), aux

    return jax.grad(loss, has_aux=True)(getattr(params, player))


def field(losses: Losses, params: Pair) -> tuple[Pair, Any]:
    """(F, aux). One reverse pass for each player, in its own parameters only; jit merges the two forward passes.

    Example:
        >>> def losses(w):
        ...     return Pair(-w.generator * w.discriminator, w.generator * w.discriminator), ()
        >>> [float(part) for part in field(losses, Pair(2.0, 3.0))[0]]
        [-3.0, 2.0]
    """
    generator, _ = gradient(losses, params, "generator")
    discriminator, aux = gradient(losses, params, "discriminator")
    return Pair(generator, discriminator), aux


@component
class Simultaneous:
    """Both players descend their own losses from the same point: direction F(w).

    References:
        I. Goodfellow, "NIPS 2016 Tutorial: Generative Adversarial Networks", arXiv:1701.00160, section 3.2.
    """

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        own, aux = field(losses, params)
        return average(own), aux

    @property
    def gradient_evaluations(self) -> int:
        return 1


@component
class Alternating:
    """D moves first, and G descends against the D that has moved: (df/dx at (x, y'), dg/dy at (x, y)).

    The aux come from D's evaluation: both losses at `params`, before D moves.

    References:
        I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, algorithm 1.
        G. Gidel et al., "Negative Momentum for Improved Game Dynamics", AISTATS 2019, section 4.
    """

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        discriminator, aux = gradient(losses, params, "discriminator")
        discriminator = average(discriminator)
        still = jax.tree.map(jnp.zeros_like, params.generator)
        moved = params._replace(discriminator=move(Pair(still, discriminator)).discriminator)
        generator, _ = gradient(losses, moved, "generator")
        return Pair(average(generator), discriminator), aux

    @property
    def gradient_evaluations(self) -> int:
        return 1


@component
class Extragradient:
    """Both players take a trial step, and then descend by the gradients at its end: F(move(F(w))).

    The optimisers also make the trial step; their states advance once, by the second gradient. (ExtraAdam of Gidel et
    al. advances the moments at both.)

    References:
        G. M. Korpelevich, "The extragradient method for finding saddle points and other problems", Matecon 12, 1976.
        G. Gidel et al., "A Variational Inequality Perspective on Generative Adversarial Networks", ICLR 2019.
    """

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        here, aux = field(losses, params)
        ahead, _ = field(losses, move(average(here)))
        return average(ahead), aux

    @property
    def gradient_evaluations(self) -> int:
        return 2


@component
class Consensus:
    """Both players also descend the squared norm of the field: F + weight * grad |F|^2 / 2 = F + weight * J^T F.

    References:
        L. Mescheder, S. Nowozin, A. Geiger, "The Numerics of GANs", NeurIPS 2017, equation 10 and algorithm 2.
    """

    weight: float = setting(
        default=10.0, at_least=0, doc="weight of the gradient of |F|^2 / 2; 10 in the paper's experiments"
    )

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        own, pull, aux = jax.vjp(lambda w: field(losses, w), params, has_aux=True)
        own = average(own)
        (descent,) = pull(own)
        return _plus(own, self.weight, average(descent)), aux

    @property
    def gradient_evaluations(self) -> int:
        return 3


@component
class SymplecticAdjustment:
    """The field with an adjustment for its rotation: F + weight * sign * A^T F, where A = (J - J^T) / 2.

    With h = grad |F|^2 / 2 = J^T F, the sign is that of <F, h> <A^T F, h> / d + `alignment_bias`, with d the number of
    parameters: the adjustment then attracts to stable fixed points and repels from unstable ones. Without `aligned` it
    is 1.

    References:
        D. Balduzzi et al., "The Mechanics of n-Player Differentiable Games", ICML 2018, algorithm 1.
    """

    weight: float = setting(default=1.0, at_least=0, doc="weight of the adjustment; 1 in the paper")
    aligned: bool = setting(default=True, doc="whether the sign of the adjustment follows the alignment criterion")
    alignment_bias: float = setting(default=0.1, at_least=0, doc="bias towards the sign 1; 1/10 in the paper")

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        own, push, aux = jax.linearize(lambda w: field(losses, w), params, has_aux=True)
        own = average(own)
        (pulled,) = jax.linear_transpose(push, params)(own)
        descent = average(pulled)
        adjustment = jax.tree.map(lambda up, along: (up - along) / 2, descent, average(push(own)))
        weight: Array | float = self.weight
        if self.aligned:
            num_params = sum(leaf.size for leaf in jax.tree.leaves(own))
            along = optax.tree.vdot(own, descent) * optax.tree.vdot(adjustment, descent)
            weight = self.weight * jnp.sign(along / num_params + self.alignment_bias)
        return _plus(own, weight, adjustment), aux

    @property
    def gradient_evaluations(self) -> int:
        return 5


@component
class Competitive:
    """Competitive gradient descent: each player's best response to the other in the local bilinear game.

    The moves (dx, dy) are the Nash equilibrium of the losses with their mixed second derivatives, plus
    |dx|^2 / (2 a) for G and |dy|^2 / (2 b) for D, with a and b the learning rates:

        dx = -a (df/dx + D_xy f dy),    dy = -b (dg/dy + D_yx g dx).

    Eliminating dy gives (1 - a b D_xy f D_yx g) u = df/dx - b D_xy f dg/dy for the direction u = -dx / a of G. It is
    solved matrix-free; D's direction is its exact response to this u, dg/dy - a D_yx g u. The published update is
    obtained with plain `SGD` only: another optimiser treats the direction as a gradient and rescales it.

    `cg` needs D_yx g = -(D_xy f)^T, which makes the operator symmetric and positive definite: a zero-sum game, up to
    terms in one player's parameters alone. It does not detect other games. The other solvers take any game: `gmres`
    keeps `num_iterations` + 1 copies of G's parameters, `bicgstab` has two products an iteration and may break down.

    References:
        F. Schaefer, A. Anandkumar, "Competitive Gradient Descent", NeurIPS 2019, theorem 2.2 and algorithm 1.
    """

    num_iterations: int = setting(default=5, at_least=1, doc="greatest number of iterations of the solver")
    solver: Literal["cg", "bicgstab", "gmres"] = setting(default="gmres", doc="cg: zero-sum games only")
    tolerance: float = setting(default=1e-6, above=0, doc="relative residual at which the solver stops")

    def direction(
        self, losses: Losses, params: Pair, move: Move, rates: Pair, average: Average = _itself
    ) -> tuple[Pair, Any]:
        gen, mixed_gen, aux = jax.linearize(
            lambda y: gradient(losses, params._replace(discriminator=y), "generator"),
            params.discriminator,
            has_aux=True,
        )
        disc, mixed_disc, _ = jax.linearize(
            lambda x: gradient(losses, params._replace(generator=x), "discriminator"), params.generator, has_aux=True
        )
        gen, disc = average(gen), average(disc)

        def answer(start: Any, step: Any) -> Any:
            """D's direction if G's is `step`."""
            return _plus(start, -rates.generator, average(mixed_disc(step)))

        def operator(step: Any) -> Any:
            nothing = jax.tree.map(jnp.zeros_like, disc)
            return _plus(step, rates.discriminator, average(mixed_gen(answer(nothing, step))))

        constant = _plus(gen, -rates.discriminator, average(mixed_gen(disc)))
        step = self._solve(operator, constant)
        return Pair(step, answer(disc, step)), aux

    def _solve(self, operator: Any, constant: Any) -> Any:
        if self.solver == "gmres":
            sizes = {"restart": self.num_iterations, "maxiter": 1}
            return gmres(operator, constant, tol=self.tolerance, solve_method="incremental", **sizes)[0]
        solve = cg if self.solver == "cg" else bicgstab
        return solve(operator, constant, tol=self.tolerance, maxiter=self.num_iterations)[0]

    @property
    def gradient_evaluations(self) -> int:
        """F, one mixed block for the right side and one for D's response, and two for each product with the operator.

        jax's solvers also apply the operator to their start; gmres applies it once more, for its residual.
        """
        products = {"cg": self.num_iterations + 1, "bicgstab": 2 * self.num_iterations + 1}
        return 1 + 2 + 2 * products.get(self.solver, self.num_iterations + 2)


def _plus(start: Any, scale: Array | float, step: Any) -> Any:
    """The sum start + scale * step, in the dtype of each leaf."""
    return jax.tree.map(lambda at, by: at + jnp.asarray(scale, by.dtype) * by, start, step)


DYNAMICS = (Simultaneous, Alternating, Extragradient, Consensus, SymplecticAdjustment, Competitive)
