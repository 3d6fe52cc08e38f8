"""Floating-point operations of a training step, counted from the matrix products in its trace."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override


def matmul_flops(function: Any, *args: Any, having: int | None = None) -> int:
    """Floating-point operations of all matrix products in a function's jaxpr, with scans multiplied out.

    Args:
        function: to be traced, not run.
        *args: its arguments, or their shapes.
        having: counts only products with an operand that has an axis of this size.

    Returns:
        Multiplications and additions: 2 m n k for a product of [m, k] and [k, n].
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr, having)


def _flops(jaxpr: Any, having: int | None) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, right = (v.aval.shape for v in equation.invars)
            if having is None or having in (*left, *right):
                depth = np.prod([left[axis] for axis in contracted], dtype=int)
                total += 2 * int(depth) * int(np.prod(equation.outvars[0].aval.shape, dtype=int))
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        inner = jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        )
        for part in inner:
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                total += repeats * _flops(part, having)
    return total


def step_flops(experiment: Experiment) -> int:
    """Operations that a step of the plain game needs if none is done twice: the numerator of the MFU.

    With g and d the multiplications and additions of a forward pass of one sample through G and through D, and n_D
    updates of D and n_G of G on batches of b:

        n_D (2 * 3 d + g) b + n_G (2 d + 2 g) b + (n_G - 1) g b

    An update of D takes a forward pass, and a backward pass at twice its cost, on real and fake examples. An update of
    G takes D's forward pass, its derivative in the input, and G's backward pass. G's first update uses the fakes of D's
    last one.
    Products and convolutions are counted; unrolling, penalties and other remedies are not. Convolutions are counted by
    their definition: Winograd's method does fewer operations, so that its MFU can exceed 1.

    Args:
        experiment: the settings.

    Returns:
        Operations of a step.
    """
    for player in ("generator", "discriminator"):  # which has the products of a convolution, without those with zeros
        if hasattr(getattr(experiment, player).network, "convolution"):
            experiment = override(experiment, f"{player}.network.convolution", "matmul")
    gen, disc, shape = experiment.generator, experiment.discriminator, experiment.data.shape
    key, batch = jax.random.key(0), experiment.batch_size
    latent = jax.ShapeDtypeStruct((batch, gen.latent_dim), np.dtype("float32"))
    samples = jax.ShapeDtypeStruct((batch, *shape), np.dtype("float32"))
    gen_variables = jax.eval_shape(lambda: gen.network.init(key, gen.latent_dim, shape))
    disc_variables = jax.eval_shape(lambda: disc.network.init(key, shape))
    of_gen = matmul_flops(lambda v, z: gen.network.apply(v, z, shape, train=True)[0], gen_variables, latent)
    of_disc = matmul_flops(lambda v, x: disc.network.apply(v, x, train=True)[0], disc_variables, samples)
    num_disc, num_gen = disc.updates_per_step, gen.updates_per_step
    return num_disc * (6 * of_disc + of_gen) + num_gen * (2 * of_disc + 2 * of_gen) + (num_gen - 1) * of_gen
