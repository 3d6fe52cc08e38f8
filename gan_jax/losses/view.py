"""The interface of penalties: a penalty is a term of a player's loss, computed from a `View` of that loss.

A penalty is a component that is called with a `View` and returns a scalar, weight included. Those of
`discriminator.penalties` are added to D's loss, those of `generator.penalties` to G's. A `StatefulPenalty` also has
`init` and `advance` for its state (an average of scores, earlier parameters), which belongs to the run's state: a
resumed run equals the uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

PENALTY_WEIGHT = "factor of the penalty"


class View(NamedTuple):
    """Inputs of a penalty: the loss that it is added to, its batch and its player.

    Under data parallelism the examples are this device's shard, and the scores are those of the whole batch. Gradients
    are averaged over devices, so a penalty that is a mean over examples needs nothing else. A nonlinear function of a
    mean over examples takes that mean with `mean`. A penalty that draws a random number for each example takes its
    shard of the draws with `shard`.

    Attributes:
        params: the parameters of the player whose loss this is.
        memory: the state of this penalty; () if it has none.
        score: samples [n, *shape] -> raw scores of the D of this loss, in training mode.
        score_at: the same for other parameters: (params, samples) -> scores.
        features: samples -> D's activations by layer name.
        real: [n, *shape] real examples as D sees them.
        fake: [n, *shape] fakes as D sees them.
        latent: [n, latent_dim] latents of the fakes; for D's penalties, of the fakes that G made for this batch.
        real_scores: [batch] D's scores of the real examples in this loss.
        fake_scores: [batch] D's scores of the fakes in this loss.
        key: typed PRNG key of this penalty in this loss.
        step: the run's step.
        batch_size: examples on all devices together.
        num_heads: scores for each example, next to each other; 1 unless D is a committee.
        shard: values drawn for the whole batch -> this device's shard.
        mean: a value (or a pytree of them) -> its mean over devices.
        fresh: [n, *shape] the fakes of this batch as D sees them, before replay and noise.
        sample: [n, *data.shape] the same fakes as G made them. With inference, `fresh` joins them with their latents.
        encode: samples -> latents, by G's encoder; None if G has no encoder.

    Example:
        >>> def spread(view):  # a penalty: D's scores of the fakes should vary
        ...     return -jnp.std(view.fake_scores)
        >>> float(spread(example_view(fake_scores=jnp.array([1.0, 3.0]))))
        -1.0
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
    shard: Callable[[Array], Array]
    mean: Callable[[Any], Any]
    fresh: Array
    sample: Array
    encode: Callable[[Array], Array] | None = None


def example_view(**fields: Any) -> View:
    """A view for examples and for tests of a penalty: D's loss on one device, for a D that adds an example's numbers.

    Args:
        fields: those of the view that matter. By default there are four real examples (1, 1) and four fakes (0, 0), the
            latents are the fakes, and D has no parameters and no features. Scores follow from `score`.

    Returns:
        The view.

    Example:
        >>> view = example_view(fake=jnp.full((4, 2), 3.0))
        >>> view.real_scores.tolist(), view.fake_scores.tolist()
        ([2.0, 2.0, 2.0, 2.0], [6.0, 6.0, 6.0, 6.0])
    """
    score = fields.get("score", lambda samples: jnp.sum(samples.reshape(samples.shape[0], -1), axis=1))
    real, fake = fields.get("real", jnp.ones((4, 2))), fields.get("fake", jnp.zeros((4, 2)))
    view = View(
        params={},
        memory=(),
        score=score,
        score_at=lambda params, samples: score(samples),
        features=lambda samples: {},
        real=real,
        fake=fake,
        latent=fake,
        real_scores=score(real),
        fake_scores=score(fake),
        key=jax.random.key(0),
        step=jnp.int32(0),
        batch_size=real.shape[0],
        num_heads=1,
        shard=lambda drawn: drawn,
        mean=lambda value: value,
        fresh=fake,
        sample=fake,
    )
    return view._replace(**fields)


@runtime_checkable
class Penalty(Protocol):
    """A term of a player's loss."""

    def __call__(self, view: View) -> Array:
        """The term, a scalar, weight included."""
        ...


@runtime_checkable
class StatefulPenalty(Protocol):
    """A penalty with state: a pytree of arrays that advances once for every loss that the player minimises."""

    def __call__(self, view: View) -> Array: ...

    def init(self, params: Any) -> Any:
        """The state before the first step, for a player of these parameters."""
        ...

    def advance(self, view: View) -> Any:
        """The state after this loss; it is not differentiated."""
        ...
