"""Differentiable rollouts: K updates of an optimiser as one function that is differentiable in all its inputs.

    theta_{k+1}, s_{k+1} = update(grad_theta loss(theta_k, batch_k), s_k, theta_k),    k = 0 .. K-1

`unroll` runs the updates in one `lax.scan`. Its result is differentiable in the parameters, the optimiser's state, the
batches, and everything that the loss and the optimiser close over: the learning rate, a label-noise rate, the
parameters of another network. Two options do not change the forward values: how the derivative is taken (`Exact`,
`FirstOrder`, `Truncated`, `Implicit`), and what is stored for it (`memory`).

Vocabulary: the rollout minimises the *inner* loss over the parameters theta. The *outer* objective is a function of the
rollout's result, and its gradient in the outer parameters is the *hypergradient*.

References:
    D. Maclaurin, D. Duvenaud and R. Adams, "Gradient-based Hyperparameter Optimization through Reversible Learning",
        ICML 2015: reverse mode through an optimiser.
    L. Franceschi et al., "Forward and Reverse Gradient-Based Hyperparameter Optimization", ICML 2017.
    A. Shaban et al., "Truncated Back-propagation for Bilevel Optimization", AISTATS 2019.
    J. Lorraine, P. Vicol and D. Duvenaud, "Optimizing Millions of Hyperparameters by Implicit Differentiation",
        AISTATS 2020: equation 3 and the Neumann series of section 3.
    T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174: the square-root blocks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.ad_checkpoint import checkpoint_name
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from gan_jax.experiment.component import component, setting, unknown_name

_CARRY, _GRADIENT = "unroll_carry", "unroll_gradient"
MemoryPolicy = Literal["all", "step", "sqrt", "offload", "dots_saveable", "dots_with_no_batch_dims_saveable"]
"""What is stored of a rollout for the reverse pass; see `unroll`."""


class Rollout(NamedTuple):
    """The result of a rollout.

    Attributes:
        params, opt_state: the parameters and the optimiser's state after K updates.
        model_state: the state that the loss carries from step to step (running statistics); None if it has none.
        losses: [K] the inner loss before each update.
    """

    params: Any
    opt_state: Any
    model_state: Any
    losses: Array


@runtime_checkable
class Gradient(Protocol):
    """How a rollout is differentiated."""

    def last_steps(self, num_steps: int) -> int:
        """How many of the last of `num_steps` updates are differentiated through."""
        ...

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        """The final parameters, with another derivative where the rule needs one; the values are unchanged.

        Args:
            loss: the last inner loss, as a function of the parameters alone.
            params: the parameters after the last update.
            average: a pytree -> its mean over devices; the identity on one device.

        Returns:
            A pytree with the values of `params`.
        """
        ...


@component
class Exact:
    """The derivative of the computation: through all K updates."""

    def last_steps(self, num_steps: int) -> int:
        return num_steps

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        return params


@component
class FirstOrder:
    """No derivative: the result of the rollout is a constant, as in most public code that is called unrolled."""

    def last_steps(self, num_steps: int) -> int:
        return 0

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        return params


@component
class Truncated:
    """The derivative through the last `num_steps` of the K updates; earlier updates count as constants."""

    num_steps: int = setting(default=1, at_least=0, doc="number of last updates that are differentiated through")

    def last_steps(self, num_steps: int) -> int:
        return min(self.num_steps, num_steps)

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        return params


@component
class Implicit:
    """The derivative by the implicit function theorem, as if the rollout had ended at a minimum of the last inner loss.

    d theta / d phi = -(H + damping)^-1  d^2 loss / (d theta d phi),    H = d^2 loss / d theta^2

    The inverse is applied by conjugate gradients, or by the Neumann series sum_i step (1 - step (H + damping))^i, whose
    i-th partial sum equals i + 1 steps of gradient descent of that step size. Far from a minimum the derivative is
    biased. Where H + damping is not positive definite it may be useless: the class is meant for comparisons.
    """

    solver: Literal["cg", "neumann"] = setting(default="cg", doc="how the inverse Hessian is applied")
    num_iterations: int = setting(
        default=10, at_least=1, doc="iterations of the solver, or terms of the Neumann series"
    )
    damping: float = setting(default=1e-3, at_least=0, doc="added to the Hessian's diagonal")
    neumann_step: float = setting(
        default=0.1, above=0, doc="step size of the Neumann series; it converges below 2 / |H|"
    )

    def last_steps(self, num_steps: int) -> int:
        return 0

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        # theta - (H + damping)^-1 (g - stop(g)) has theta's value and the theorem's derivative. JAX differentiates
        # everything that the loss closes over, in either mode. Gradients are averaged outside of the derivative that
        # makes them. So is the solution, whose cotangents differ between devices.
        def gradient(at: Any) -> Any:
            return average(jax.grad(loss)(at))

        change = jax.tree.map(lambda g: g - jax.lax.stop_gradient(g), gradient(params))

        def hessian(vector: Any) -> Any:
            product = jax.jvp(gradient, (params,), (vector,))[1]
            return jax.tree.map(lambda h, v: h + self.damping * v, product, vector)

        def solve(matvec: Callable[[Any], Any], b: Any) -> Any:
            if self.solver == "cg":
                return jax.scipy.sparse.linalg.cg(matvec, b, maxiter=self.num_iterations, tol=0.0)[0]

            def term(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
                total, power = carry
                power = jax.tree.map(lambda p, h: p - self.neumann_step * h, power, matvec(power))
                return (jax.tree.map(jnp.add, total, power), power), None

            (total, _), _ = jax.lax.scan(term, (b, b), length=self.num_iterations - 1)
            return jax.tree.map(lambda t: self.neumann_step * t, total)

        step = jax.lax.custom_linear_solve(hessian, change, solve, symmetric=True)
        return jax.tree.map(jnp.subtract, params, average(step))


ROLLOUT_GRADIENTS = (Exact, FirstOrder, Truncated, Implicit)


def unroll(
    loss_fn: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    params: Any,
    opt_state: Any,
    batches: Any = None,
    *,
    num_steps: int | None = None,
    model_state: Any = None,
    gradient: Gradient = Exact(),  # noqa: B008
    memory: MemoryPolicy = "all",
    axis_name: str | None = None,
) -> Rollout:
    """K updates of an optimiser, differentiable in all inputs. K = 0 is the identity.

    Adam and its variants need a positive `eps_root`: with optax's 0 the derivative of an update is NaN wherever a
    gradient is exactly 0. With 1e-30 it is finite, and float32 updates change by at most 2.4e-7 relative.

    Args:
        loss_fn: `loss_fn(params, batch) -> loss`, a scalar; with a `model_state`,
            `loss_fn(params, batch, model_state) -> (loss, model_state)`. It may close over anything.
        optimizer: any optax transformation; one made from a traced learning rate is differentiable in it.
        params: the initial parameters.
        opt_state: the initial state of the optimiser: the player's own, or `optimizer.init(params)`.
        batches: a pytree whose leaves have a leading axis of K: one slice for each step. Close over a batch that is the
            same at each step; make a batch that comes from keys inside the loss.
        num_steps: K, if there are no batches; `loss_fn` then gets None.
        model_state: the initial state that the loss carries from step to step; None for a loss without state.
        gradient: how the result is differentiated.
        memory: what is stored for the reverse pass. "all": everything, linear in K. "step": the state before each
            update and its gradient; the rest is recomputed. "sqrt": the state before each of about sqrt(K) blocks.
            "offload": as "step", in the host's memory. The others are the `jax.checkpoint` policies of these names.
        axis_name: a mapped axis over which gradients and losses are averaged; None without one.

    Returns:
        The state after K updates and the K losses. The values are the same for every `gradient` and `memory`.

    Raises:
        ValueError: if the batches do not agree with each other or with `num_steps`, or if `memory` is unknown or not
            available on this device.

    Example:
        >>> import jax, optax
        >>> def after_three_steps(learning_rate, x):
        ...     optimizer = optax.sgd(learning_rate)
        ...     return unroll(lambda x, _: x**2 / 2, optimizer, x, optimizer.init(x), num_steps=3).params
        >>> round(float(after_three_steps(0.5, 1.0)), 4)  # (1 - rate)^3
        0.125
        >>> round(float(jax.grad(after_three_steps)(0.5, 1.0)), 4)  # -3 (1 - rate)^2
        -0.75
    """
    num_steps = _num_steps(batches, num_steps)
    check_memory(memory)
    if num_steps == 0:
        return Rollout(params, opt_state, model_state, jnp.zeros(0))

    def loss(params: Any, batch: Any, model_state: Any) -> tuple[Array, Any]:
        return (loss_fn(params, batch), None) if model_state is None else loss_fn(params, batch, model_state)

    def step(carry: tuple[Any, Any, Any], batch: Any) -> tuple[tuple[Any, Any, Any], Array]:
        params, opt_state, model_state = carry
        (value, model_state), grads = jax.value_and_grad(loss, has_aux=True)(params, batch, model_state)
        if axis_name is not None:
            value, grads = jax.lax.pmean((value, grads), axis_name)
        grads = checkpoint_name(grads, _GRADIENT)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, model_state), value

    last = gradient.last_steps(num_steps)
    first = num_steps - last
    carry = (params, opt_state, model_state)
    losses = []
    if first:
        begin = jax.tree.map(lambda leaf: leaf[:first], batches)
        carry, values = jax.lax.stop_gradient(_scan(step, jax.lax.stop_gradient(carry), begin, first, "all"))
        losses.append(values)
    if last:
        carry, values = _scan(step, carry, jax.tree.map(lambda leaf: leaf[first:], batches), last, memory)
        losses.append(values)
    params, opt_state, model_state = carry
    final = jax.tree.map(lambda leaf: leaf[-1], batches)
    average = (lambda tree: tree) if axis_name is None else functools.partial(jax.lax.pmean, axis_name=axis_name)
    params = gradient.finish(lambda at: loss(at, final, model_state)[0], params, average)
    return Rollout(params, opt_state, model_state, jnp.concatenate(losses))


def value_and_hypergradient(
    objective: Callable[[Any], tuple[Array, Any]],
    params: PyTree[Float[Array, "..."] | float],
    *,
    mode: Literal["reverse", "forward"] = "reverse",
) -> tuple[tuple[Float[Array, ""], Any], PyTree[Float[Array, "..."]]]:
    """An objective's value and its gradient in the outer parameters.

    Args:
        objective: outer parameters -> (scalar, aux); it may hold any number of rollouts.
        params: the outer parameters, a pytree of floating-point arrays.
        mode: "reverse": one backward pass, whose memory grows with K. "forward": one forward pass for each outer
            parameter, one after another, whose memory does not grow with K; for a handful of outer parameters.

    Returns:
        ((value, aux), gradient); the gradient has the shape of `params`.

    Example:
        >>> value_and_hypergradient(lambda x: (x**2, "aux"), jnp.float32(3.0), mode="forward")[1]
        Array(6., dtype=float32)
    """
    if mode == "reverse":
        return jax.value_and_grad(objective, has_aux=True)(params)
    flat, unravel = ravel_pytree(params)

    def directional(index: Array) -> Array:
        direction = jnp.zeros_like(flat).at[index].set(1)
        return jax.jvp(lambda at: objective(unravel(at))[0], (flat,), (direction,))[1]

    gradient = jax.lax.map(directional, jnp.arange(flat.size))
    return objective(params), unravel(gradient)


def check_memory(memory: str) -> None:
    """Checks a memory policy.

    Raises:
        ValueError: if the policy is unknown or not available on this device.
    """
    if memory not in get_args(MemoryPolicy):
        raise ValueError(unknown_name("no memory policy", memory, get_args(MemoryPolicy)))
    if memory == "offload" and "pinned_host" not in {m.kind for m in jax.devices()[0].addressable_memories()}:
        raise ValueError(
            f"memory='offload' needs pinned host memory, which {jax.devices()[0].device_kind} does not have: use "
            "'sqrt', which needs the least memory on the device"
        )


def block_size(num_steps: int) -> int:
    """Steps in a block of `memory="sqrt"`: about sqrt(K)."""
    return max(1, math.isqrt(num_steps))


def _num_steps(batches: Any, num_steps: int | None) -> int:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(batches)]
    if () in shapes:
        raise ValueError("every leaf of unroll's batches needs a leading axis of K, and one is a scalar: close over it")
    lengths = {shape[0] for shape in shapes}
    lengths |= set() if num_steps is None else {num_steps}
    if len(lengths) != 1 or min(lengths) < 0:
        got = ", ".join(str(length) for length in sorted(lengths)) or "neither batches nor num_steps"
        raise ValueError(
            f"unroll needs one number of steps, 0 or more, and got {got}: give batches whose leaves have a "
            "leading axis of that length, or num_steps"
        )
    return lengths.pop()


def _scan(step: Any, carry: Any, batches: Any, num_steps: int, memory: MemoryPolicy) -> tuple[Any, Array]:
    """Runs `num_steps` steps; `memory` decides what is stored for the reverse pass."""
    if memory == "sqrt":
        return _scan_blocks(step, carry, batches, num_steps)
    if memory != "all":
        step = _checkpointed(step, memory)
    if num_steps == 1:
        carry, value = step(carry, jax.tree.map(lambda leaf: leaf[0], batches))
        return carry, value[None]
    return jax.lax.scan(step, carry, batches, length=num_steps)


def _scan_blocks(step: Any, carry: Any, batches: Any, num_steps: int) -> tuple[Any, Array]:
    """Runs blocks of about sqrt(K) steps and stores the state before each block; the last block may be shorter."""
    size = block_size(num_steps)
    num_blocks, rest = divmod(num_steps, size)
    inside = _checkpointed(step, "step")

    def block(length: int) -> Any:
        return jax.checkpoint(lambda c, b: jax.lax.scan(inside, c, b, length=length), prevent_cse=False)

    whole = jax.tree.map(lambda leaf: leaf[: num_blocks * size].reshape(num_blocks, size, *leaf.shape[1:]), batches)
    carry, values = jax.lax.scan(block(size), carry, whole, length=num_blocks)
    values = values.reshape(-1)
    if rest:
        carry, last = block(rest)(carry, jax.tree.map(lambda leaf: leaf[-rest:], batches))
        values = jnp.concatenate([values, last])
    return carry, values


def _checkpointed(step: Any, memory: MemoryPolicy) -> Any:
    # prevent_cse keeps XLA from merging the recomputation with the first computation. Inside a scan XLA cannot merge
    # them, and the guard costs memory. A single step outside a scan may be merged, which stores what one step stores.
    policies = jax.checkpoint_policies
    if memory == "offload":
        policy = policies.save_and_offload_only_these_names(
            names_which_can_be_saved=[],
            names_which_can_be_offloaded=[_CARRY, _GRADIENT],
            offload_src="device",
            offload_dst="pinned_host",
        )
        return jax.checkpoint(lambda c, b: step(checkpoint_name(c, _CARRY), b), prevent_cse=False, policy=policy)
    # Storing the gradient takes no more memory than the parameters, and saves a third of the recomputation.
    policy = policies.save_only_these_names(_GRADIENT) if memory == "step" else getattr(policies, memory)
    return jax.checkpoint(step, prevent_cse=False, policy=policy)
