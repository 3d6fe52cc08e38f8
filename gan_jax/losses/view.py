"""What a penalty is: a term of a player's loss, computed from a `View` of that loss.

A penalty is a component that is called with a `View` and returns a scalar, weight included. Those of
`discriminator.penalties` are added to D's loss, those of `generator.penalties` to G's. A penalty that has to remember
something (an average of scores, old parameters) also has `init` and `advance`, and is then a `StatefulPenalty`: its
memory is part of the run's state, so a resumed run is the uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array

PENALTY_WEIGHT = "factor of the penalty"


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
