"""PyTorch's side of the sweep benchmark: a label-noise study on a ring of Gaussians, by five means.

Six flip rates and five seeds make 30 GANs of 2,000 steps each. One step of one member: a fresh batch of the ring and
of latents; exactly floor(512 rate) labels of the real batch and as many of the fakes are flipped, by a random
permutation each; D's update on the cross-entropy of both batches, scored apart; then G's non-saturating update through
the new D, on the same fakes. No derivative of anything that is not updated.

    eager          one member after another
    compiled       one after another; the step, both Adams included, is one graph under `torch.compile`
    vmap           members side by side, `--group` of them in one batched step, eager
    vmap-compiled  the same batched step under `torch.compile`
    processes:MODE two processes of one thread, each with half of the members, by any mode above

What makes them fast on two cores, beside a step without redundant work (all of it was measured; times are of a thread):
batched products by hand, with less overhead than `torch.func.vmap`; Adam's fused kernel where the step is eager; memory
that the allocator keeps, lest every temporary be paged in anew; inductor's C++ wrapper; in what is compiled tanh by exp
(30 us a layer, where inductor's own takes 110), Adam's bias corrections from outside, and latents of NumPy's bits.

    python benchmarks/sweep_torch.py MODE --members 30 --steps 2000 [--steps-timed N]    runs a study: see `run`
    python benchmarks/sweep_torch.py MODE --members 30 --round-steps 20 --serve          serves benchmarks: see `serve`
    python benchmarks/sweep_torch.py [MODE] --check                                      float64: see `check`

`--threads`, `--group` and `--device` override what a mode takes by itself.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

GENERATOR_SIZES, DISCRIMINATOR_SIZES = (256, 128, 128, 2), (2, 128, 128, 1)
BATCH_SIZE, STD, NUM_MODES = 512, 0.01, 8
GENERATOR_RATE, DISCRIMINATOR_RATE = 1e-3, 1e-4
B1, B2, EPS = 0.5, 0.999, 1e-8
FLIP_RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)
NUM_PROCESSES = 2
NUM_DRAWN = 20
"""Steps whose real batches and flips are drawn at once."""
GROUP_PER_THREAD = 3
"""Most members that vmap's modes step side by side on a CPU: few enough for their activations to stay in the cache."""
LOCAL_MODES = ("eager", "compiled", "vmap", "vmap-compiled")
MODES = (*LOCAL_MODES, *(f"processes:{mode}" for mode in LOCAL_MODES))


class Player(NamedTuple):
    """A network and its Adam. Kernels [in, out] and biases [1, out], in turn; side by side, with an axis of members."""

    params: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]


class Batch(NamedTuple):
    """What one step takes, after any axis of members: [batch, 2], [batch, 256] or its bits, and twice [batch]."""

    real: Tensor
    latent: Tensor
    real_target: Tensor
    fake_target: Tensor


Update = Callable[[Player, Sequence[Tensor], float], Player]
"""(player, gradients, learning rate) -> the player after Adam's update, which may be the same one, updated in place."""
Program = Callable[[Player, Player, int, Batch], None]
"""(generator, discriminator, steps with this one, batch): one step, in place."""
Advance = Callable[[int], None]
"""Advances all members by so many steps, and returns when they are done."""


def num_flips(member: int) -> int:
    return math.floor(BATCH_SIZE * FLIP_RATES[member % len(FLIP_RATES)])


def mlp(tanh: Callable[[Tensor], Tensor], params: Sequence[Tensor], inputs: Tensor) -> Tensor:
    affine = torch.addmm if inputs.ndim == 2 else torch.baddbmm
    *hidden, (kernel, bias) = zip(params[::2], params[1::2], strict=True)
    for hidden_kernel, hidden_bias in hidden:
        inputs = tanh(affine(hidden_bias, inputs, hidden_kernel))
    return affine(bias, inputs, kernel)


class ExpTanh(torch.autograd.Function):
    """The hyperbolic tangent for inductor, to 2e-7 in float32, with a derivative that doesn't overflow."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, inputs: Tensor) -> Tensor:
        outputs = 1 - 2 / ((2 * inputs).exp() + 1)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        return gradient * (1 - outputs * outputs)


def fused_adam(count: Tensor, player: Player, gradients: Sequence[Tensor], rate: float) -> Player:
    """The kernel of `torch.optim.Adam(fused=True)`, without the optimizer's own time."""
    moments: tuple[list[Tensor], ...] = (player.means, player.squares, [], [count] * len(player.params))
    settings = {"lr": rate, "beta1": B1, "beta2": B2, "weight_decay": 0.0, "eps": EPS}
    torch._fused_adam_(player.params, list(gradients), *moments, **settings, amsgrad=False, maximize=False)
    return player


def functional_adam(scale: Tensor, eps: Tensor, player: Player, gradients: Sequence[Tensor], rate: float) -> Player:
    """Adam out of place, with both bias corrections moved to scalars, see `make_program`."""
    means = [B1 * mean + (1 - B1) * gradient for mean, gradient in zip(player.means, gradients, strict=True)]
    pairs = zip(player.squares, gradients, strict=True)
    squares = [B2 * square + (1 - B2) * gradient * gradient for square, gradient in pairs]
    triples = zip(player.params, means, squares, strict=True)
    params = [param - rate * scale * mean / (square.sqrt() + eps) for param, mean, square in triples]
    return Player(params, means, squares)


def box_muller(bits: Tensor, dtype: torch.dtype) -> Tensor:
    """Standard normal numbers from 64 random bits a pair, [..., n] -> [..., 2 n]."""
    uniform, angle = ((bits & 0xFFFFFFFF) + 1).to(dtype) * 2**-32, (bits >> 32).to(dtype) * (2 * math.pi * 2**-32)
    radius = (-2 * uniform.log()).sqrt()
    return torch.cat([radius * angle.cos(), radius * angle.sin()], -1)


def step(
    tanh: Callable[[Tensor], Tensor], update: Update, generator: Player, discriminator: Player, batch: Batch
) -> tuple[Player, Player]:
    """D's update, then G's on the same fakes. Losses are means over a batch, summed over members."""
    gen, disc = ([param.detach().requires_grad_() for param in player.params] for player in (generator, discriminator))
    latent = batch.latent if batch.latent.is_floating_point() else box_muller(batch.latent, batch.real.dtype)
    fake = mlp(tanh, gen, latent)
    samples = fake.detach()
    real_score, fake_score = mlp(tanh, disc, batch.real)[..., 0], mlp(tanh, disc, samples)[..., 0]
    # Cross-entropy with target t is -t log sigmoid(s) - (1 - t) log sigmoid(-s) = softplus(s) - t s.
    real_loss = (softplus(real_score) - batch.real_target * real_score).mean(-1)
    fake_loss = (softplus(fake_score) - batch.fake_target * fake_score).mean(-1)
    discriminator = update(discriminator, torch.autograd.grad((real_loss + fake_loss).sum(), disc), DISCRIMINATOR_RATE)
    samples = samples.requires_grad_()
    loss = softplus(-mlp(tanh, discriminator.params, samples)[..., 0]).mean(-1).sum()
    (slope,) = torch.autograd.grad(loss, samples)
    generator = update(generator, torch.autograd.grad(fake, gen, slope), GENERATOR_RATE)
    return generator, discriminator


def make_program(mode: str, device: torch.device) -> Program:
    """The step of a mode that is not of processes."""

    def eager_program(generator: Player, discriminator: Player, count: int, batch: Batch) -> None:
        update = functools.partial(fused_adam, torch.full((), float(count), device=device))
        step(torch.tanh, update, generator, discriminator, batch)

    if not mode.endswith("compiled"):
        return eager_program
    torch._dynamo.config.trace_autograd_ops = True  # lets one graph hold the calls of `torch.autograd.grad`
    on_cpu = device.type == "cpu"
    tanh = ExpTanh.apply if on_cpu else torch.tanh

    @functools.partial(torch.compile, fullgraph=True, dynamic=False, options={"cpp_wrapper": on_cpu})
    def compiled_step(generator: Player, discriminator: Player, scale: Tensor, eps: Tensor, batch: Batch) -> None:
        update = functools.partial(functional_adam, scale, eps)
        after = step(tanh, update, generator, discriminator, batch)
        for old, new in zip((generator, discriminator), after, strict=True):
            for old_tensor, new_tensor in zip(itertools.chain(*old), itertools.chain(*new), strict=True):
                old_tensor.copy_(new_tensor)

    def compiled_program(generator: Player, discriminator: Player, count: int, batch: Batch) -> None:
        # Not in the graph, where inductor takes the powers anew for every few elements.
        root = math.sqrt(1 - B2**count)
        scale, eps = (
            torch.full((), value, dtype=batch.real.dtype, device=device)
            for value in (root / (1 - B1**count), EPS * root)
        )
        compiled_step(generator, discriminator, scale, eps, batch)

    return compiled_program


def init(sizes: tuple[int, ...], num_members: int, rng: torch.Generator, dtype: torch.dtype) -> Player:
    """Orthogonal kernels of gain 1.4, zero biases, an Adam that has seen nothing; one member has no axis of members."""
    params = []
    for shape in itertools.pairwise(sizes):
        kernels = torch.empty((num_members, *shape), dtype=dtype, device=rng.device)
        for kernel in kernels:
            nn.init.orthogonal_(kernel, 1.4, generator=rng)
        params += [kernels, torch.zeros_like(kernels[:, :1])]
    if num_members == 1:
        params = [param[0] for param in params]
    zeros = [[torch.zeros_like(param) for param in params] for _ in range(2)]
    return Player(params, *zeros)


def permutations(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Independent random permutations of the places of a batch, [*shape, batch]."""
    if rng.device.type != "cpu":
        return torch.rand((*shape, BATCH_SIZE), device=rng.device, generator=rng).argsort(-1)
    orders = torch.empty((math.prod(shape), BATCH_SIZE), dtype=torch.int64)
    for order in orders:  # a fifth of the time of a sort
        torch.randperm(BATCH_SIZE, generator=rng, out=order)
    return orders.view(*shape, BATCH_SIZE)


def draw(members: Sequence[int], num_steps: int, rng: torch.Generator, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
    """Real batches and the targets of both sides, of `num_steps` steps."""
    shape = (num_steps, len(members), BATCH_SIZE)
    angles = torch.randint(0, NUM_MODES, shape, device=rng.device, generator=rng) * (2 * math.pi / NUM_MODES)
    real = torch.randn((*shape, 2), dtype=dtype, device=rng.device, generator=rng).mul_(STD)
    real += torch.stack([angles.cos(), angles.sin()], -1)
    flips = torch.tensor([[num_flips(member)] for member in members], device=rng.device)
    flipped = permutations((2, num_steps, len(members)), rng) < flips
    drawn = (real, (~flipped[0]).to(dtype), flipped[1].to(dtype))
    if len(members) == 1:
        drawn = tuple(part[:, 0] for part in drawn)
    return list(zip(*(part.unbind() for part in drawn), strict=True))


def make_latents(mode: str, members: Sequence[int], rng: torch.Generator, dtype: torch.dtype) -> Callable[[], Tensor]:
    """A function that draws the latents of a step; for a compiled one, on a CPU, the bits that it makes them of.

    PyTorch's normal numbers are of one thread, and take 310 us a step of a member; NumPy's bits take 75.
    """
    axes = (BATCH_SIZE,) if len(members) == 1 else (len(members), BATCH_SIZE)
    if mode.endswith("compiled") and rng.device.type == "cpu":
        generator = np.random.Generator(np.random.SFC64(members[0]))
        shape = (*axes, GENERATOR_SIZES[0] // 2)
        return lambda: torch.from_numpy(generator.integers(-(2**63), 2**63, shape))
    latent = torch.empty((*axes, GENERATOR_SIZES[0]), dtype=dtype, device=rng.device)
    return lambda: latent.normal_(generator=rng)


def make_group(
    mode: str, program: Program, members: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Advance:
    """Members that are stepped side by side, from their first step on."""
    rng = torch.Generator(device).manual_seed(members[0])
    generator, discriminator = (
        init(sizes, len(members), rng, dtype) for sizes in (GENERATOR_SIZES, DISCRIMINATOR_SIZES)
    )
    draw_latent = make_latents(mode, members, rng, dtype)
    counter = itertools.count(1)

    def advance(num_steps: int) -> None:
        for begin in range(0, num_steps, NUM_DRAWN):
            for real, real_target, fake_target in draw(members, min(NUM_DRAWN, num_steps - begin), rng, dtype):
                program(generator, discriminator, next(counter), Batch(real, draw_latent(), real_target, fake_target))

    return advance


def group_size(mode: str, num_members: int, options: argparse.Namespace) -> int:
    """The largest size up to the best one that leaves groups of one size: another size would be compiled anew."""
    if options.group:
        return options.group
    best = GROUP_PER_THREAD * options.threads if options.device == "cpu" else num_members
    return max(size for size in range(1, best + 1) if num_members % size == 0) if mode.startswith("vmap") else 1


def make_sweep(mode: str, members: Sequence[int], options: argparse.Namespace) -> tuple[Advance, float]:
    """The members' first states, and the seconds that it took to compile and warm their program."""
    keep_memory()
    torch.set_num_threads(options.threads)
    device, dtype = torch.device(options.device), torch.float32
    program = make_program(mode, device)
    size = group_size(mode, len(members), options)
    parts = [members[begin : begin + size] for begin in range(0, len(members), size)]

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    began = time.perf_counter()
    for part in {len(part): part for part in parts}.values():
        make_group(mode, program, part, device, dtype)(3)
    finish()
    compile_seconds = time.perf_counter() - began
    groups = [make_group(mode, program, part, device, dtype) for part in parts]

    def advance(num_steps: int) -> None:
        for group in groups:
            group(num_steps)
        finish()

    return advance, compile_seconds


def keep_memory() -> None:
    """Has glibc keep what is freed: by default a layer's temporaries go back to the system, and are paged in each time.

    PyTorch's tuning guide advises jemalloc or TCMalloc to the same end. It saves a tenth of an eager step.
    """
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, 2**31 - 1)


def work(
    pipe: Connection, inherited: Sequence[Connection], mode: str, members: Sequence[int], options: argparse.Namespace
) -> None:
    """A process of a sweep: tells the seconds to compile, then advances whenever it gets a number of steps."""
    for other_end in inherited:  # else the death of the parent would go unnoticed
        other_end.close()
    advance, compile_seconds = make_sweep(mode, members, options)
    pipe.send(compile_seconds)
    try:
        while True:
            pipe.send(advance(pipe.recv()))
    except EOFError:
        return


def make_processes(mode: str, members: Sequence[int], options: argparse.Namespace) -> tuple[Advance, float]:
    """`make_sweep` by NUM_PROCESSES processes, which end with this one."""
    # A fork saves the import of PyTorch; this process has no threads yet, and computes nothing itself.
    context: Any = multiprocessing.get_context("spawn" if options.device == "cuda" else "fork")
    pipes: list[Connection] = []
    for rank in range(NUM_PROCESSES):
        pipe, other_end = context.Pipe()
        pipes.append(pipe)
        arguments = (other_end, list(pipes), mode, members[rank::NUM_PROCESSES], options)
        context.Process(target=work, args=arguments, daemon=True).start()
        other_end.close()  # else the death of the process would go unnoticed
    compile_seconds = max(pipe.recv() for pipe in pipes)

    def advance(num_steps: int) -> None:
        for pipe in pipes:
            pipe.send(num_steps)
        for pipe in pipes:
            pipe.recv()

    return advance, compile_seconds


def make(options: argparse.Namespace) -> tuple[Advance, float, dict[str, object]]:
    """A mode's sweep, its seconds to compile, and what its JSON line says about it."""
    kind, _, mode = options.mode.rpartition(":")
    num_processes = NUM_PROCESSES if kind else 1
    options.threads = options.threads or (1 if kind else 2)
    make_mode = make_processes if kind else make_sweep
    advance, compile_seconds = make_mode(mode, range(options.members), options)
    per_process = -(-options.members // num_processes)
    row = {
        "mode": options.mode,
        "torch": torch.__version__,
        "device": options.device,
        "processes": num_processes,
        "threads": options.threads,
        "members": options.members,
        "group": group_size(mode, per_process, options),
    }
    return advance, compile_seconds, row


def run(options: argparse.Namespace) -> None:
    """Runs the study, and prints a JSON line.

    Its keys: mode, torch (version), device, processes, threads (of each process), members, group (members side by
    side), steps, compile_seconds, run_seconds (of all steps of all members), member_steps_per_second, wall_seconds
    (set-up, compilation, where there are processes their start, and the run; imports left out). With `--steps-timed`
    run_seconds is that of fewer steps, times steps / steps_timed, and the line says "extrapolated": true.
    """
    began = time.perf_counter()
    advance, compile_seconds, row = make(options)
    set_up_seconds = time.perf_counter() - began
    num_timed = min(options.steps_timed or options.steps, options.steps)
    began = time.perf_counter()
    advance(num_timed)
    run_seconds = (time.perf_counter() - began) * options.steps / num_timed
    row |= {
        "steps": options.steps,
        "compile_seconds": round(compile_seconds, 3),
        "run_seconds": round(run_seconds, 3),
        "member_steps_per_second": round(options.members * options.steps / run_seconds, 2),
        "wall_seconds": round(set_up_seconds + run_seconds, 3),
    }
    if num_timed < options.steps:
        row |= {"steps_timed": num_timed, "extrapolated": True}
    print(json.dumps(row), flush=True)


def serve(options: argparse.Namespace) -> None:
    """Prints a JSON line when compiled and warm; then the seconds of a round of all members for every line of input."""
    advance, compile_seconds, row = make(options)
    print(
        json.dumps({**row, "round_steps": options.round_steps, "compile_seconds": round(compile_seconds, 3)}),
        flush=True,
    )
    for _ in sys.stdin:
        began = time.perf_counter()
        advance(options.round_steps)
        print(time.perf_counter() - began, flush=True)


def reference(players: Sequence[Player], batches: Sequence[Batch]) -> list[Tensor]:
    """Parameters of one member's players after the batches: modules, targets and `torch.optim.Adam`, as published."""
    modules, adams = [], []
    for player, rate in zip(players, (GENERATOR_RATE, DISCRIMINATOR_RATE), strict=True):
        layers: list[nn.Module] = []
        for kernel, bias in zip(player.params[::2], player.params[1::2], strict=True):
            linear = nn.Linear(*kernel.shape, dtype=kernel.dtype)
            linear.weight.data, linear.bias.data = kernel.t().clone(), bias[0].clone()
            layers += [linear, nn.Tanh()]
        modules.append(nn.Sequential(*layers[:-1]))
        adams.append(torch.optim.Adam(modules[-1].parameters(), lr=rate, betas=(B1, B2), eps=EPS, foreach=False))
    (gen, disc), criterion = modules, nn.BCEWithLogitsLoss()
    for batch in batches:
        latent = batch.latent if batch.latent.is_floating_point() else box_muller(batch.latent, torch.float64)
        fake = gen(latent)
        loss = criterion(disc(batch.real)[:, 0], batch.real_target)
        loss = loss + criterion(disc(fake.detach())[:, 0], batch.fake_target)
        adams[1].zero_grad()
        loss.backward()
        adams[1].step()
        adams[0].zero_grad()
        criterion(disc(fake)[:, 0], torch.ones_like(batch.fake_target)).backward()
        adams[0].step()
    parameters = [parameter.detach() for module in modules for parameter in module.parameters()]
    return [parameter.t() if parameter.ndim == 2 else parameter[None] for parameter in parameters]


def check_steps(mode: str, threads: int, num_members: int = 6, num_steps: int = 3) -> bool:
    """Prints how far a mode's parameters are from the reference's after some steps, in float64; 1e-10 passes."""
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    rng, size = torch.Generator().manual_seed(0), 3 if mode.startswith("vmap") else 1
    program, error = make_program(mode, torch.device("cpu")), 0.0
    for begin in range(0, num_members, size):
        members = range(begin, begin + size)
        players = [init(sizes, size, rng, torch.float64) for sizes in (GENERATOR_SIZES, DISCRIMINATOR_SIZES)]
        draw_latent = make_latents(mode, members, rng, torch.float64)
        batches = []
        for real, real_target, fake_target in draw(members, num_steps, rng, torch.float64):
            batches.append(Batch(real, draw_latent().clone(), real_target, fake_target))
        wanted = []
        for index in range(size):
            pick = functools.partial(torch.select, dim=0, index=index) if size > 1 else torch.clone
            one = [player._replace(params=[pick(param) for param in player.params]) for player in players]
            wanted.append(reference(one, [Batch(*map(pick, batch)) for batch in batches]))
        for count, batch in enumerate(batches, 1):
            program(players[0], players[1], count, batch)
        params = [param.view(size, *param.shape[-2:]) for player in players for param in player.params]
        for index, of_member in enumerate(wanted):
            differences = [(a[index] - b).abs().max().item() for a, b in zip(params, of_member, strict=True)]
            error = max(error, *differences)
    row = {"check": "steps", "mode": mode, "threads": threads, "members": num_members, "steps": num_steps}
    print(json.dumps({**row, "largest_error": error, "passed": error < 1e-10}), flush=True)
    return error < 1e-10


def check_data(num_steps: int = 200) -> bool:
    """Prints whether all members have their number of flips at every step, anew each time, and samples of the ring."""
    rng, members = torch.Generator().manual_seed(0), range(len(FLIP_RATES))
    drawn = draw(members, num_steps, rng, torch.float64)
    real, real_target, fake_target = (torch.stack(part) for part in zip(*drawn, strict=True))
    wanted = torch.tensor([num_flips(member) for member in members], dtype=torch.float64)
    flipped = torch.stack([1 - real_target, fake_target])
    exact = bool((flipped.sum(-1) == wanted).all()) and bool(((flipped == 0) | (flipped == 1)).all())
    # Over all draws, each place is flipped as often as any other, and two draws share what two random subsets share.
    num_draws = 2 * num_steps
    share = wanted / BATCH_SIZE
    deviations = (flipped.mean((0, 1)) - share[:, None])[1:] / (share * (1 - share) / num_draws).sqrt()[1:, None]
    overlaps = (flipped[0] * flipped[1]).sum(-1).mean(0) - wanted**2 / BATCH_SIZE
    overlap_error = BATCH_SIZE**0.5 * share * (1 - share) / num_steps**0.5
    angles = torch.atan2(real[..., 1], real[..., 0]) * (NUM_MODES / (2 * math.pi))
    modes = angles.round()
    centres = torch.stack([(modes * (2 * math.pi / NUM_MODES)).cos(), (modes * (2 * math.pi / NUM_MODES)).sin()], -1)
    std = (real - centres).std().item()
    shares = torch.bincount(modes.long().flatten() % NUM_MODES, minlength=NUM_MODES) / modes.numel()
    row = {
        "check": "data",
        "flips": [int(num) for num in wanted],
        "flips_exact": exact,
        "largest_deviation_of_a_place": round(deviations.abs().max().item(), 2),  # in standard errors
        "largest_deviation_of_overlaps": round((overlaps.abs()[1:] / overlap_error[1:]).max().item(), 2),
        "std": round(std, 5),
        "mode_shares": [round(share, 4) for share in shares.tolist()],
    }
    passed = exact and row["largest_deviation_of_a_place"] < 5 and row["largest_deviation_of_overlaps"] < 4
    passed = passed and abs(std - STD) < 1e-4 and (shares - 1 / NUM_MODES).abs().max().item() < 0.003
    print(json.dumps({**row, "passed": passed}), flush=True)
    return passed


def check_latents(num_draws: int = 20) -> bool:
    """Prints how far the latents made of bits are from standard normal numbers, in standard errors; 4 of them pass.

    Moments 1 to 4, and the two numbers of a pair, whose product and product of squares have means 0 and 1.
    """
    rng, members = torch.Generator().manual_seed(0), range(1)
    draw_latent = make_latents("compiled", members, rng, torch.float32)
    latents = torch.stack([box_muller(draw_latent(), torch.float32) for _ in range(num_draws)]).double()
    first, second = latents.chunk(2, -1)
    powers = {"1": (latents, 0, 1), "2": (latents**2, 1, 2), "3": (latents**3, 0, 15), "4": (latents**4, 3, 96)}
    products = {"product": (first * second, 0, 1), "product_of_squares": ((first * second) ** 2, 1, 8)}
    deviations = {
        name: round((values.mean().item() - mean) / math.sqrt(variance / values.numel()), 2)
        for name, (values, mean, variance) in {**powers, **products}.items()
    }
    passed = max(map(abs, deviations.values())) < 4
    print(json.dumps({"check": "latents", "deviations": deviations, "passed": passed}), flush=True)
    return passed


def check(modes: Sequence[str]) -> bool:
    """Prints rows: the data, the latents, and every mode's steps, with its number of threads, against the reference.

    A mode of processes is checked by the program that each of them runs, on one thread.
    """
    passed = [check_data(), check_latents()]
    passed += [check_steps(mode.rpartition(":")[2], 1 if ":" in mode else 2) for mode in modes]
    return all(passed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", nargs="?", choices=MODES)
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--steps-timed", type=int, help="time only so many of them, and extrapolate")
    parser.add_argument("--serve", action="store_true", help="time a round for every line of standard input")
    parser.add_argument("--round-steps", type=int, default=20, help="those of each member in a round of --serve")
    parser.add_argument("--check", action="store_true", help="compare the modes with a plain step, in float64")
    parser.add_argument(
        "--threads", type=int, help="of each process; as many as there are free cores: more is very slow"
    )
    parser.add_argument("--group", type=int, help="members side by side (at once, in vmap's modes)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # compiling is timed cold
        if options.check:
            return 0 if check([options.mode] if options.mode else MODES) else 1
        if options.mode is None:
            parser.error("give MODE, or --check")
        (serve if options.serve else run)(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
