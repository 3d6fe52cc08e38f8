"""The PyTorch peers of the unrolled GAN's benchmark: the same step of the notebook's ring, by five means.

Each peer plays one simultaneous step, whose mathematics is this: D takes K Adam updates on one batch, with the state of
D's own Adam carried into them; G descends -log D_K(G(z)) through all K of them; D keeps the first. With K = 0 it is the
plain GAN, one pass of the fakes serving both players. All share what makes PyTorch fast here, measured on two cores: a
player's parameters as one vector (fewer operations an update), real and fake scored apart (the first inner update of
the real ones does not depend on G), gradients of nothing that is not used, no `.item()`.

    eager        `torch.autograd.grad` with `create_graph=True`
    compile      that step, both Adams included, as one graph under `torch.compile`; batches are drawn outside, since
                 inductor's random numbers alone took longer than the step
    torchopt     TorchOpt's functional Adam as the inner update
    higher       higher's differentiable Adam as the inner update
    first_order  NOT THE SAME MATHS: D_K is a constant for G, as where the inner updates are not differentiated

    python benchmarks/unroll_torch.py PEER K STEPS           serves benchmarks: see `serve`
    python benchmarks/unroll_torch.py --check                float64, against central differences: see `check`
    python benchmarks/unroll_torch.py --gradient FILE.npz K  the gradient for given numbers: see `write_gradient`

Higher's Adam has no eps_root: where a second moment is exactly 0 it masks the derivative instead.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017; setting: configs/ring_notebook.py.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

GENERATOR_SIZES, DISCRIMINATOR_SIZES = (256, 128, 128, 2), (2, 128, 128, 1)
BATCH_SIZE, STD = 512, 0.01
GENERATOR_RATE, DISCRIMINATOR_RATE = 1e-3, 1e-4
B1, B2, EPS, EPS_ROOT = 0.5, 0.999, 1e-8, 1e-30
# The notebook's linspace(0, 2 pi, 8) has both ends: 7 distinct modes, the first with twice the weight of the others.
ANGLES = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 7)
MODES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


class Player(NamedTuple):
    """A network and its Adam: vectors of the same length, kernels [in, out] and biases in layer order."""

    params: Tensor
    mean: Tensor
    square: Tensor

    def detach(self) -> Player:
        return Player(*(vector.detach() for vector in self))


class Result(NamedTuple):
    """What a step leaves: the next players, G's loss and G's gradient."""

    generator: Player
    discriminator: Player
    loss: Tensor
    gradient: Tensor


Count: TypeAlias = int | Tensor
"""Updates done so far, by either player: an int, or where it is traced a float64 scalar (lest it be a constant)."""
Update = Callable[[Player, Tensor, Count, bool], Player]
"""(player, loss of its params, updates before this one, differentiable) -> the player after D's Adam update."""


def layers(params: Tensor, sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Kernels and biases as views. One split, since its derivative is one concatenation."""
    shapes = list(itertools.pairwise(sizes))
    parts = params.split([length for fan_in, fan_out in shapes for length in (fan_in * fan_out, fan_out)])
    return [(parts[2 * i].view(shape), parts[2 * i + 1]) for i, shape in enumerate(shapes)]


def mlp(params: Tensor, inputs: Tensor, sizes: tuple[int, ...]) -> Tensor:
    *hidden, (kernel, bias) = layers(params, sizes)
    for hidden_kernel, hidden_bias in hidden:
        inputs = torch.addmm(hidden_bias, inputs, hidden_kernel).tanh()
    return torch.addmm(bias, inputs, kernel)


def score(params: Tensor, samples: Tensor) -> Tensor:
    return mlp(params, samples, DISCRIMINATOR_SIZES)


def adam(player: Player, gradient: Tensor, count: Count, rate: float) -> Player:
    """Adam out of place, with both bias corrections moved to scalars, which are exact in float64."""
    correction = 1 - B2 ** (count + 1)
    rate = rate * correction**0.5 / (1 - B1 ** (count + 1))
    mean = torch.lerp(player.mean, gradient, 1 - B1)
    square = torch.addcmul(player.square * B2, gradient, gradient, value=1 - B2)
    root = torch.sqrt(square + EPS_ROOT * correction) + EPS * correction**0.5
    return Player(torch.addcdiv(player.params, mean * -rate, root), mean, square)


def eager_update() -> Update:
    def update(player: Player, loss: Tensor, count: Count, differentiable: bool) -> Player:
        (gradient,) = torch.autograd.grad(loss, player.params, create_graph=differentiable)
        return adam(player, gradient, count, DISCRIMINATOR_RATE)

    return update


def torchopt_update() -> Update:
    import torchopt

    # Not with `use_accelerated_op`: it saved no time here, and its derivative was 1e-6 off in float64 at K = 5.
    optimizer = torchopt.adam(DISCRIMINATOR_RATE, (B1, B2), EPS, eps_root=EPS_ROOT)
    states = optimizer.init((torch.zeros(()),))
    (position,) = (i for i, state in enumerate(states) if hasattr(state, "mu"))

    def update(player: Player, loss: Tensor, count: Count, differentiable: bool) -> Player:
        gradients = torch.autograd.grad(loss, (player.params,), create_graph=differentiable)
        # With TorchOpt's own int64 count, the bias corrections are made in float32, and the gradient is 1e-6 off.
        counts = (torch.tensor(count, dtype=torch.float64),)
        moments = states[position]._replace(mu=(player.mean,), nu=(player.square,), count=counts)
        carried = (*states[:position], moments, *states[position + 1 :])
        updates, carried = optimizer.update(gradients, carried, inplace=False)
        (params,) = torchopt.apply_updates((player.params,), updates, inplace=False)
        return Player(params, carried[position].mu[0], carried[position].nu[0])

    return update


def higher_update() -> Update:
    import higher

    reference = torch.zeros((), requires_grad=True)
    plain = torch.optim.Adam([reference], lr=DISCRIMINATOR_RATE, betas=(B1, B2), eps=EPS)
    optimizers = {
        differentiable: higher.get_diff_optim(plain, [reference], track_higher_grads=differentiable)
        for differentiable in (False, True)
    }

    def update(player: Player, loss: Tensor, count: Count, differentiable: bool) -> Player:
        optimizer = optimizers[differentiable]
        optimizer.state[0][0] = {"step": count, "exp_avg": player.mean, "exp_avg_sq": player.square}
        # Its eps is added before the bias correction of the root, where the published Adam and ours add it after.
        eps = EPS * (1 - B2 ** (count + 1)) ** 0.5
        (params,) = optimizer.step(loss, params=[player.params], override={"eps": [eps]})
        return Player(params, optimizer.state[0][0]["exp_avg"], optimizer.state[0][0]["exp_avg_sq"])

    return update


def step(
    update: Update,
    exact: bool,
    num_inner: int,
    generator: Player,
    discriminator: Player,
    count: Count,
    real: Tensor,
    latent: Tensor,
) -> Result:
    """One simultaneous step of both players; `exact`: G's gradient goes through D's inner updates."""
    params = generator.params.detach().requires_grad_()
    fake = mlp(params, latent, GENERATOR_SIZES)
    inner = discriminator._replace(params=discriminator.params.detach().requires_grad_())
    if num_inner == 0:
        fake_score = score(inner.params, fake)
        inner_loss = softplus(-score(inner.params, real)).mean() + softplus(fake_score).mean()
        loss = softplus(-fake_score).mean()
        (gradient,) = torch.autograd.grad(loss, params, retain_graph=True)
        first = update(inner, inner_loss, count, False).detach()
    else:
        inner_fake = fake if exact else fake.detach()
        for index in range(num_inner):
            inner_loss = softplus(-score(inner.params, real)).mean() + softplus(score(inner.params, inner_fake)).mean()
            inner = update(inner, inner_loss, count + index, exact)
            if index == 0:
                first = inner.detach()
            if not exact:
                inner = inner.detach()
                inner.params.requires_grad_(index < num_inner - 1)
        loss = softplus(-score(inner.params, fake)).mean()
        (gradient,) = torch.autograd.grad(loss, params)
    generator = adam(generator, gradient, count, GENERATOR_RATE)
    return Result(generator, first, loss.detach(), gradient)


def sample(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A fresh batch of the ring and of latents."""
    noise = torch.randn(BATCH_SIZE, 2, dtype=dtype)
    real = MODES.to(noise)[torch.randint(0, len(MODES), (BATCH_SIZE,))] + STD * noise
    return real, torch.randn(BATCH_SIZE, GENERATOR_SIZES[0], dtype=dtype)


def init(sizes: tuple[int, ...], dtype: torch.dtype) -> Player:
    """Orthogonal kernels of gain 1.4, zero biases, an Adam that has seen nothing."""
    kernels = [torch.nn.init.orthogonal_(torch.empty(shape, dtype=dtype), 1.4) for shape in itertools.pairwise(sizes)]
    params = torch.cat([part.flatten() for kernel in kernels for part in (kernel, torch.zeros_like(kernel[0]))])
    return Player(params, torch.zeros_like(params), torch.zeros_like(params))


Step = Callable[[Player, Player, int, Tensor, Tensor], Result]
"""(generator, discriminator, count, real, latent) -> Result."""
DISTRIBUTIONS = {
    "eager": "torch",
    "compile": "torch",
    "torchopt": "torchopt",
    "higher": "higher",
    "first_order": "torch",
}
"""Every peer, and what has to be installed for it."""


def make_step(peer: str, num_inner: int) -> Step:
    """The step of a peer.

    Raises:
        ImportError: if its package is missing, or is broken under this PyTorch.
    """
    if peer == "torchopt":
        return functools.partial(step, torchopt_update(), True, num_inner)
    if peer == "higher":
        return functools.partial(step, higher_update(), True, num_inner)
    if peer != "compile":
        return functools.partial(step, eager_update(), peer == "eager", num_inner)
    torch._dynamo.config.trace_autograd_ops = True  # lets one graph hold the calls of `torch.autograd.grad`
    compiled = torch.compile(functools.partial(step, eager_update(), True, num_inner), fullgraph=True)

    def compiled_step(generator: Player, discriminator: Player, count: int, real: Tensor, latent: Tensor) -> Result:
        return compiled(generator, discriminator, torch.tensor(count, dtype=torch.float64), real, latent)

    return compiled_step


def serve(peer: str, num_inner: int, num_steps: int) -> None:
    """Plays the first step, tells what it cost, then times `num_steps` more for every line of standard input.

    Prints one JSON line, {"torch", "peer", "peer_version", "compile_seconds"}: the last is the time of the first step,
    imports left out. Then the seconds of each round. A peer that can't be imported prints "peer_version": null and
    the reason as "skipped", and ends.
    """
    row = {"torch": torch.__version__, "peer": peer}
    try:
        play = make_step(peer, num_inner)
        version = importlib.metadata.version(DISTRIBUTIONS[peer])
    except ImportError as error:
        print(json.dumps({**row, "peer_version": None, "skipped": str(error)}), flush=True)
        return
    generator, discriminator = (init(sizes, torch.float32) for sizes in (GENERATOR_SIZES, DISCRIMINATOR_SIZES))
    began = time.perf_counter()
    generator, discriminator, _, _ = play(generator, discriminator, 0, *sample(torch.float32))
    synchronize()
    seconds = time.perf_counter() - began
    print(json.dumps({**row, "peer_version": version, "compile_seconds": round(seconds, 3)}), flush=True)
    count = 1
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(num_steps):
            generator, discriminator, _, _ = play(generator, discriminator, count, *sample(torch.float32))
            count += 1
        synchronize()
        print(time.perf_counter() - began, flush=True)


def synchronize() -> None:
    """Waits until the default device has done what it was given."""
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()


def objective(
    params: Tensor, discriminator: Player, count: int, real: Tensor, latent: Tensor, num_inner: int
) -> tuple[Tensor, Tensor]:
    """G's loss after the inner updates, by the textbook's Adam and first-order gradients only; and D_K."""
    fake = mlp(params, latent, GENERATOR_SIZES).detach()
    inner, mean, square = discriminator
    for index in range(1, num_inner + 1):
        inner = inner.detach().requires_grad_()
        loss = softplus(-score(inner, real)).mean() + softplus(score(inner, fake)).mean()
        (gradient,) = torch.autograd.grad(loss, inner)
        mean, square = B1 * mean + (1 - B1) * gradient, B2 * square + (1 - B2) * gradient**2
        mean_hat, square_hat = mean / (1 - B1 ** (count + index)), square / (1 - B2 ** (count + index))
        inner = inner.detach() - DISCRIMINATOR_RATE * mean_hat / (torch.sqrt(square_hat + EPS_ROOT) + EPS)
    return softplus(-score(inner, fake)).mean().detach(), inner.detach()


def check(peers: list[str], num_inners: list[int], num_directions: int = 10, num_warm: int = 20) -> bool:
    """Prints a JSON row a peer and K, in float64: how far G's gradient is from central differences of G's loss.

    The slopes are along random directions, after some steps, so that Adam carries a state. The error is of the vector
    of slopes, relative to its length; at most 1e-6 passes. `first_order` is held to the differences that it claims,
    those with D_K constant; its error as a gradient of the unrolled loss is printed beside.
    """
    torch.manual_seed(0)
    generator, discriminator = (init(sizes, torch.float64) for sizes in (GENERATOR_SIZES, DISCRIMINATOR_SIZES))
    warm = make_step("eager", 1)
    for count in range(num_warm):
        generator, discriminator, _, _ = warm(generator, discriminator, count, *sample(torch.float64))
    real, latent = sample(torch.float64)
    directions = torch.randn(num_directions, len(generator.params), dtype=torch.float64)
    passed = True
    for num_inner in num_inners:
        at = (discriminator, num_warm, real, latent, num_inner)
        _, opponent = objective(generator.params, *at)
        frozen = (discriminator._replace(params=opponent), num_warm, real, latent, 0)
        slopes, frozen_slopes = (
            torch.stack([central_difference(generator.params, direction, arguments) for direction in directions])
            for arguments in (at, frozen)
        )
        for peer in peers:
            row: dict[str, Any] = {"peer": peer, "num_inner": num_inner}
            try:
                result = make_step(peer, num_inner)(generator, discriminator, num_warm, real, latent)
            except ImportError as missing:
                print(json.dumps({**row, "skipped": str(missing)}), flush=True)
                continue
            along = directions @ result.gradient
            error, frozen_error = (
                ((along - wanted).norm() / wanted.norm()).item() for wanted in (slopes, frozen_slopes)
            )
            row["relative_error"] = error
            if peer == "first_order":
                row["relative_error_with_constant_opponent"] = frozen_error
            row["passed"] = (frozen_error if peer == "first_order" else error) < 1e-6
            passed &= row["passed"]
            print(json.dumps(row), flush=True)
    return passed


def central_difference(params: Tensor, direction: Tensor, arguments: tuple, size: float = 1e-6) -> Tensor:
    """Slope of `objective` along a direction, whose entries are of order 1."""
    ahead, behind = (objective(params + sign * size * direction, *arguments)[0] for sign in (1, -1))
    return (ahead - behind) / (2 * size)


def write_gradient(peer: str, path: Path, num_inner: int) -> None:
    """Plays one step from an npz file, and writes what comes of it beside it: NAME.npz -> NAME_unroll{K}_{PEER}.npz.

    Arrays of the file, all of one dtype, which is the dtype of the work (float32 or float64):
        real [batch, 2], latent [batch, 256].
        {generator,discriminator}_{kernel,bias}_{0,1,2}: parameters, kernels as [in, out].
        {generator,discriminator}_{mean,square}_{kernel,bias}_{0,1,2}: Adam's moments before bias correction; those of
            a player may be left out, and are 0 then.
        count: updates that both have done, whole number (optional, 0).

    Arrays written: loss (G's, after K inner updates); gradient_{kernel,bias}_{0,1,2} (G's); and under the names above
    both players after the step, with count one more.
    """
    given = np.load(path)
    players = []
    for name, sizes in (("generator", GENERATOR_SIZES), ("discriminator", DISCRIMINATOR_SIZES)):
        vectors = []
        for prefix in (name, f"{name}_mean", f"{name}_square"):
            keys = [f"{prefix}_{part}_{i}" for i in range(len(sizes) - 1) for part in ("kernel", "bias")]
            if prefix == name or keys[0] in given:
                vectors.append(torch.cat([torch.from_numpy(given[key]).flatten() for key in keys]))
            else:
                vectors.append(torch.zeros_like(vectors[0]))
        players.append(Player(*vectors))
    count = int(given["count"]) if "count" in given else 0
    real, latent = (torch.from_numpy(given[name]) for name in ("real", "latent"))
    generator, discriminator = players
    result = make_step(peer, num_inner)(generator, discriminator, count, real, latent)
    written = {"loss": result.loss.numpy(), "count": np.array(count + 1)}
    vectors = [("gradient", result.gradient, GENERATOR_SIZES)]
    for name, sizes in (("generator", GENERATOR_SIZES), ("discriminator", DISCRIMINATOR_SIZES)):
        player = getattr(result, name)
        vectors += [(name, player.params, sizes), (f"{name}_mean", player.mean, sizes)]
        vectors.append((f"{name}_square", player.square, sizes))
    for prefix, vector, sizes in vectors:
        for index, (kernel, bias) in enumerate(layers(vector, sizes)):
            written |= {f"{prefix}_kernel_{index}": kernel.numpy(), f"{prefix}_bias_{index}": bias.numpy()}
    output = path.with_name(f"{path.stem}_unroll{num_inner}_{peer}.npz")
    np.savez(output, **written)
    print(json.dumps({"torch": torch.__version__, "peer": peer, "loss": result.loss.item(), "file": str(output)}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", nargs="?", choices=DISTRIBUTIONS, default="eager")
    parser.add_argument("num_inner", nargs="?", type=int, metavar="K")
    parser.add_argument("num_steps", nargs="?", type=int, metavar="STEPS")
    parser.add_argument("--check", action="store_true", help="compare every peer with central differences, in float64")
    parser.add_argument("--peers", default=",".join(DISTRIBUTIONS), help="those of --check, comma-separated")
    parser.add_argument("--inner", default="1,5", help="the K of --check, comma-separated")
    parser.add_argument("--gradient", nargs=2, metavar=("FILE.npz", "K"), help="one step of PEER on given numbers")
    parser.add_argument("--threads", type=int, default=2, help="as many as there are free cores: more is very slow")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of the steps that are served")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # compiling is timed cold
        if options.check:
            return 0 if check(options.peers.split(","), [int(num) for num in options.inner.split(",")]) else 1
        if options.gradient:
            write_gradient(options.peer, Path(options.gradient[0]), int(options.gradient[1]))
            return 0
        if options.num_steps is None:
            parser.error("give PEER K STEPS, or --check, or --gradient FILE.npz K")
        torch.manual_seed(0)
        serve(options.peer, options.num_inner, options.num_steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
