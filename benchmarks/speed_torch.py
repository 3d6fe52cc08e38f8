"""The peer of speed.py: the same GAN steps in PyTorch, timing a round for every line of standard input.

    python benchmarks/speed_torch.py CASE STEPS [--mode MODE] [--device cpu|cuda] [--batch-size N]

    eager          as one writes it
    channels-last  eager, images and weights in that layout (DCGANs)
    compile        channels-last where there are images, both networks under `torch.compile`
    amp            compile, with bfloat16 autocast in the networks; losses and Adam in float32
    graphs         eager, the whole step captured once as a CUDA graph and replayed

On CUDA, float32 convolutions and products may use TF32, and Adam is the fused one.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

MODES = ("eager", "channels-last", "compile", "amp", "graphs")


def mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(fan_in, fan_out))
        if index < len(sizes) - 2:
            layers.append(nn.Tanh())
    return nn.Sequential(*layers)


def dcgan(multiples: list[int], width: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of the DCGAN family: `multiples` of `width` from the smallest map to the image."""
    gen: list[nn.Module] = []
    channels = [100, *(m * width for m in multiples)]
    for index, (a, b) in enumerate(itertools.pairwise(channels)):
        stride, padding = (1, 0) if index == 0 else (2, 1)
        gen += [nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    gen += [nn.ConvTranspose2d(channels[-1], 1, 4, 2, 1, bias=False), nn.Tanh()]
    disc: list[nn.Module] = []
    channels = [1, *(m * width for m in reversed(multiples))]
    for index, (a, b) in enumerate(itertools.pairwise(channels)):
        disc.append(nn.Conv2d(a, b, 4, 2, 1, bias=False))
        if index:
            disc.append(nn.BatchNorm2d(b))
        disc.append(nn.LeakyReLU(0.2, True))
    disc.append(nn.Conv2d(channels[-1], 1, 4, 1, 0, bias=False))
    return nn.Sequential(*gen), nn.Sequential(*disc)


def make_step(case: str, mode: str, device: str, batch: int) -> Callable[[], None]:
    """A step of both players, in the published order, without redundant work: one batch of fakes serves both."""
    if case == "ring":
        gen, disc = mlp([256, 128, 128, 2]), mlp([2, 128, 128, 1])
        latent_shape: tuple[int, ...] = (batch, 256)
        pixels = torch.empty(0)
    else:
        multiples, width, size = ([8, 4, 2, 1], 64, 64) if case == "dcgan64" else ([4, 2, 1], 32, 32)
        gen, disc = dcgan(multiples, width)
        latent_shape = (batch, 100, 1, 1)
        pixels = torch.randint(0, 256, (max(2048, batch), 1, size, size)).float() / 127.5 - 1
    gen, disc, pixels = gen.to(device), disc.to(device), pixels.to(device)
    if mode in ("channels-last", "compile", "amp") and case != "ring":
        gen, disc = (net.to(memory_format=torch.channels_last) for net in (gen, disc))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    parameters = list(disc.parameters())
    settings = {"lr": 2e-4, "betas": (0.5, 0.999), "capturable": mode == "graphs"}
    settings |= {"fused": True} if device == "cuda" else {}
    gen_adam, disc_adam = (torch.optim.Adam(net.parameters(), **settings) for net in (gen, disc))
    if mode in ("compile", "amp"):
        gen, disc = torch.compile(gen), torch.compile(disc)
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(batch, device=device), torch.zeros(batch, device=device)

    def networks() -> contextlib.AbstractContextManager[object]:
        return torch.autocast(device, torch.bfloat16) if mode == "amp" else contextlib.nullcontext()

    def real_batch() -> torch.Tensor:
        if case == "ring":
            angle = torch.randint(0, 8, (batch,), device=device) * (torch.pi / 4)
            return torch.stack([angle.cos(), angle.sin()], 1) + 0.01 * torch.randn(batch, 2, device=device)
        return pixels[torch.randint(0, len(pixels), (batch,), device=device)]

    def loss(samples: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with networks():
            scores = disc(samples)
        return criterion(scores.flatten().float(), labels)

    def step() -> None:
        disc_adam.zero_grad(set_to_none=True)
        with networks():
            fake = gen(torch.randn(latent_shape, device=device))
        (loss(real_batch(), ones) + loss(fake.detach(), zeros)).backward()
        disc_adam.step()
        gen_adam.zero_grad(set_to_none=True)
        for parameter in parameters:
            parameter.requires_grad_(False)
        loss(fake, ones).backward()
        for parameter in parameters:
            parameter.requires_grad_(True)
        gen_adam.step()

    return captured(step) if mode == "graphs" else step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step as a CUDA graph, which replays its kernels without the host."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("ring", "dcgan32", "dcgan64"))
    parser.add_argument("num_steps", type=int)
    parser.add_argument("--mode", default="eager", choices=MODES)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch-size", type=int)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    if options.mode == "graphs" and options.device != "cuda":
        print(json.dumps({"torch": torch.__version__, "skipped": "graphs need CUDA"}), flush=True)
        return
    batch = options.batch_size or (512 if options.case == "ring" else 64)
    began = time.perf_counter()
    step = make_step(options.case, options.mode, options.device, batch)
    synchronize = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    step()
    synchronize()
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({"torch": torch.__version__, "first_step_seconds": seconds}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(options.num_steps):
            step()
        synchronize()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
