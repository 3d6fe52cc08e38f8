"""The peer of speed.py: the same GAN steps in eager PyTorch, timing a round for every line of standard input."""

from __future__ import annotations

import itertools
import json
import sys
import time

import torch
from torch import nn


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


def main() -> None:
    case, num_steps = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(0)
    latent_shape: tuple[int, ...]
    if case == "ring":
        batch, latent_shape = 512, (512, 256)
        gen, disc = mlp([256, 128, 128, 2]), mlp([2, 128, 128, 1])
    else:
        batch, latent_shape = 64, (64, 100, 1, 1)
        multiples, width, size = ([8, 4, 2, 1], 64, 64) if case == "dcgan64" else ([4, 2, 1], 32, 32)
        gen, disc = dcgan(multiples, width)
        pixels = torch.randint(0, 256, (2048, 1, size, size)).float() / 127.5 - 1
    criterion = nn.BCEWithLogitsLoss()
    gen_adam = torch.optim.Adam(gen.parameters(), lr=2e-4, betas=(0.5, 0.999))
    disc_adam = torch.optim.Adam(disc.parameters(), lr=2e-4, betas=(0.5, 0.999))
    ones, zeros = torch.ones(batch), torch.zeros(batch)

    def real_batch() -> torch.Tensor:
        if case == "ring":
            angle = torch.randint(0, 8, (batch,)) * (torch.pi / 4)
            return torch.stack([angle.cos(), angle.sin()], 1) + 0.01 * torch.randn(batch, 2)
        return pixels[torch.randint(0, 2048, (batch,))]

    def step() -> None:
        # The published order, without redundant work: one batch of fakes serves both players.
        disc_adam.zero_grad(set_to_none=True)
        fake = gen(torch.randn(latent_shape))
        loss = criterion(disc(real_batch()).flatten(), ones) + criterion(disc(fake.detach()).flatten(), zeros)
        loss.backward()
        disc_adam.step()
        gen_adam.zero_grad(set_to_none=True)
        for parameter in disc.parameters():
            parameter.requires_grad_(False)
        criterion(disc(fake).flatten(), ones).backward()
        for parameter in disc.parameters():
            parameter.requires_grad_(True)
        gen_adam.step()

    print(json.dumps({"torch": torch.__version__}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(num_steps):
            step()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
