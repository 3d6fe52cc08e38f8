"""How fast: training steps, PyTorch beside them, settings of the compiler, unrolled steps, sweeps."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks.accelerator.kit import Kit
from benchmarks.peer import Peer
from gan_jax.bench import cases
from gan_jax.bench.cases import make_case
from gan_jax.bench.ceilings import measured_ceilings
from gan_jax.bench.comparison import STEPS as SERVED_STEPS
from gan_jax.bench.comparison import checkout_environment, served_step
from gan_jax.bench.measures import measure_step, measure_sweep, timed
from gan_jax.bench.programs import Training
from gan_jax.bench.rounds import compare, take_turns
from gan_jax.experiment.settings import override
from gan_jax.losses.transforms import ExactFlips

# (case, batch, precision, convolution), in order of value.
STEPS = (
    ("dcgan64", 1024, "bfloat16", "native"),
    ("dcgan64", 64, "tensorfloat32", "native"),
    ("ring", 512, "float32", "auto"),
    ("mlp", 64, "float32", "auto"),
    ("dcgan64", 1024, "bfloat16", "matmul"),
    ("dcgan64", 1024, "tensorfloat32", "native"),
    ("dcgan64", 64, "bfloat16", "native"),
    ("dcgan32", 1024, "bfloat16", "native"),
    ("dcgan28", 64, "float32", "native"),
    ("dcgan28", 64, "float32", "matmul"),
    ("dcgan64", 64, "float32", "native"),
    ("dcgan64", 64, "float32", "winograd"),
    ("dcgan32", 64, "tensorfloat32", "native"),
    ("ring", 8192, "tensorfloat32", "auto"),
    ("ring", 8192, "bfloat16", "auto"),
    ("mlp", 1024, "bfloat16", "auto"),
    ("dcgan28", 1024, "bfloat16", "native"),
    ("dcgan64", 256, "bfloat16", "native"),
    ("dcgan64", 1024, "float32", "native"),
)
SMALL_STEPS = (
    ("ring", 32, "float32", "auto"),
    ("dcgan28", 4, "bfloat16", "matmul"),
    ("dcgan32", 4, "float32", "winograd"),
)

# (case, batch, mode of speed_torch.py, our precision and convolution beside it)
PEERS = (
    ("dcgan64", 1024, "amp", "bfloat16", "native"),
    ("dcgan64", 64, "eager", "tensorfloat32", "native"),
    ("ring", 512, "graphs", "tensorfloat32", "auto"),
    ("dcgan64", 64, "channels-last", "tensorfloat32", "native"),
    ("dcgan64", 64, "graphs", "tensorfloat32", "native"),
    ("ring", 512, "eager", "tensorfloat32", "auto"),
    ("dcgan64", 64, "compile", "tensorfloat32", "native"),
    ("ring", 512, "compile", "tensorfloat32", "auto"),
)
SMALL_PEERS = (("ring", 32, "eager", "float32", "auto"),)

ROOT = Path(__file__).parents[2]


class Setting(NamedTuple):
    """A way to compile or to draw random numbers that may be faster than the default.

    Attributes:
        name: in the row.
        cases: on which it is measured.
        environment: variables of its process.
        steps_per_iteration: as in `ChunkSpec`.
        gpu_only: whether it is a setting of GPUs, and is left out on other devices.
    """

    name: str
    cases: tuple[str, ...]
    environment: dict[str, str]
    steps_per_iteration: int = 1
    gpu_only: bool = True


_BUFFERS = "--xla_gpu_enable_command_buffer="
SETTINGS = (
    Setting("loops in command buffers", ("ring", "mlp"), {"XLA_FLAGS": f"{_BUFFERS}+WHILE"}),
    Setting("loops and convolutions in command buffers", ("dcgan28",), {"XLA_FLAGS": f"{_BUFFERS}+WHILE,+CONVOLUTION"}),
    Setting("8 steps per iteration", ("ring", "mlp"), {}, steps_per_iteration=8, gpu_only=False),
    Setting("generator rbg", ("ring", "mlp"), {"JAX_DEFAULT_PRNG_IMPL": "rbg"}, gpu_only=False),
    Setting("no command buffers", ("ring", "mlp", "dcgan28"), {"XLA_FLAGS": _BUFFERS}),
)
"""In order of value."""

UNROLLED = (10, 0, 1, 5, 50, 100)
MEMORY = ("step", "all", "sqrt", "offload")


def steps(kit: Kit) -> None:
    """A row a case, batch size, precision and implementation of convolutions."""
    for case, batch_size, precision, convolution in SMALL_STEPS if kit.small else STEPS:
        label = _label(case, batch_size, precision, convolution)
        found = functools.partial(_step, kit, case, batch_size, precision, convolution)
        kit.measure("accelerator steps", label, found, needs=25.0)


def _step(kit: Kit, case: str, batch_size: int, precision: str, convolution: str) -> dict[str, Any]:
    experiment, resources = make_case(case, batch_size=batch_size, precision=precision, convolution=convolution)
    num_steps = 2 if kit.small else _num_steps(case)
    ceilings = measured_ceilings(kit.rows())
    figures = measure_step(experiment, resources, num_steps, min_seconds=0.0 if kit.small else 1.0, ceilings=ceilings)
    return {"convolution": convolution, **figures}


def _num_steps(case: str) -> int:
    return 20 if case.startswith("dcgan") else 500


def peers(kit: Kit) -> None:
    """A row a mode of PyTorch, in turns with ours; one row where torch cannot be imported."""
    if importlib.util.find_spec("torch") is None:
        reason = {"skipped": f"torch cannot be imported by {sys.executable}"}
        kit.measure("accelerator peers", "torch", lambda: reason)
        return
    for case, batch_size, mode, precision, convolution in SMALL_PEERS if kit.small else PEERS:
        label = f"{_label(case, batch_size, precision, convolution)}, torch {mode}"
        found = functools.partial(_beside, kit, case, batch_size, mode, precision, convolution)
        kit.measure("accelerator peers", label, found, needs=60.0 if mode in ("amp", "compile") else 30.0)


def _beside(
    kit: Kit, case: str, batch_size: int, mode: str, precision: str, convolution: str, num_rounds: int = 6
) -> dict[str, Any]:
    num_steps = 2 if kit.small else _num_steps(case) // 2
    experiment, resources = make_case(case, batch_size=batch_size, precision=precision, convolution=convolution)
    ours = Training(experiment, resources, num_steps)
    options = ("--mode", mode, "--device", _torch_device(), "--batch-size", batch_size)
    return _in_turns(ours, num_steps, "speed_torch.py", (case, num_steps, *options), num_rounds) | {"mode": mode}


def _in_turns(ours: Training, num_steps: int, script: str, arguments: Any, num_rounds: int) -> dict[str, Any]:
    peer = Peer(sys.executable, script, *arguments)
    try:
        if "skipped" in peer.about:
            return {"skipped": peer.about["skipped"]}
        seconds = take_turns({"ours": ours.round, "torch": peer.round}, num_rounds)
    finally:
        peer.close()
    compared = compare(seconds["ours"], seconds["torch"])
    return {
        "batch_size": ours.experiment.batch_size,
        "arithmetic": ours.experiment.precision,
        **timed(seconds["ours"], num_steps),
        **{f"torch_{name}": value for name, value in timed(seconds["torch"], num_steps).items() if name != "steps"},
        "torch": peer.about["torch"],
        **{f"torch_over_ours_{name}": value for name, value in compared.items() if name != "rounds"},
    }


def settings(kit: Kit) -> None:
    """A row a setting and case: steps in turns with those of the default settings, in processes of their own."""
    if jax.default_backend() == "tpu":
        kit.measure("accelerator settings", "settings", lambda: {"skipped": "a TPU serves one process at a time"})
        return
    for setting in SETTINGS:
        if setting.gpu_only and not (kit.small or jax.default_backend() == "gpu"):
            continue
        for case in setting.cases[:1] if kit.small else setting.cases:
            found = functools.partial(_setting, kit, case, setting)
            kit.measure("accelerator settings", f"{case}, {setting.name}", found, needs=30.0)


def _setting(kit: Kit, case: str, setting: Setting) -> dict[str, Any]:
    common = checkout_environment(ROOT)
    flags = " ".join(filter(None, (common.get("XLA_FLAGS"), setting.environment.get("XLA_FLAGS"))))
    changed = {**common, **setting.environment, **({"XLA_FLAGS": flags} if flags else {})}
    # On an accelerator, where a step takes microseconds, a round has more steps.
    num_steps = SERVED_STEPS[case] if jax.default_backend() == "cpu" else 20 * SERVED_STEPS[case]
    num_steps = setting.steps_per_iteration if kit.small else num_steps // 8 * 8
    with (
        served_step(case, num_steps, environment=common) as default,
        served_step(case, num_steps, setting.steps_per_iteration, environment=changed) as other,
    ):
        seconds = take_turns({"default": default.round, "changed": other.round}, 6)
    return {
        "environment": setting.environment,
        "steps_per_iteration": setting.steps_per_iteration,
        **timed(seconds["changed"], num_steps),
        "default_steps_per_second": timed(seconds["default"], num_steps)["steps_per_second"],
        **{
            f"default_over_changed_{name}": value
            for name, value in compare(seconds["changed"], seconds["default"]).items()
        },
    }


def unrolled_cases(kit: Kit) -> list[tuple[int, str]]:
    """(K, what is stored), in order of value."""
    if kit.small:
        return [(0, "step"), (2, "step"), (2, "all")]
    first = [(num, "step") for num in UNROLLED]
    return [*first, *((num, memory) for num in (10, 100, 50) for memory in MEMORY[1:])]


def unrolled(kit: Kit) -> None:
    """A row a K and memory policy, and for the default policy one beside PyTorch."""
    torch = importlib.util.find_spec("torch") is not None and not kit.small
    for num, memory in unrolled_cases(kit):
        found = functools.partial(_unrolled, kit, num, memory)
        kit.measure("accelerator unrolled", f"K={num}, memory {memory}", found, needs=20.0)
        if torch and memory == "step" and num in (10, 1):
            beside = functools.partial(_unrolled_beside, num)
            kit.measure("accelerator peers", f"ring K={num}, torch eager", beside, needs=30.0)


def _unrolled(kit: Kit, num: int, memory: str) -> dict[str, Any]:
    experiment, resources = cases.unrolled(num, memory)
    num_steps = 2 if kit.small else max(5, 200 // (1 + num))
    figures = measure_step(experiment, resources, num_steps, counted=num == 0)
    return {"inner_steps": num, "memory": memory, **figures}


def _unrolled_beside(num: int) -> dict[str, Any]:
    num_steps = max(5, 100 // (1 + num))
    ours = Training(*cases.unrolled(num), num_steps)
    return _in_turns(ours, num_steps, "unroll_torch.py", ("eager", num, num_steps, "--device", _torch_device()), 6)


def sweeps(kit: Kit) -> None:
    """A row a case, number of members and strategy."""
    counts = (1, 2) if kit.small else (30, 300, 10, 1, 3000)
    names = ["vmap", "map"] if jax.local_device_count() == 1 else ["pmap-vmap", "pmap-map", "vmap"]
    for case in ("ring",) if kit.small else ("mlp", "ring"):
        for num in counts:
            for name in names:
                if name.endswith("map") and not name.endswith("vmap") and num > 300:
                    continue  # one after another: the time of 300 says it
                found = functools.partial(_sweep, kit, case, num, name)
                kit.measure("accelerator sweeps", f"{case}, {num} members, {name}", found, needs=25.0)


def _sweep(kit: Kit, case: str, num: int, name: str) -> dict[str, Any]:
    experiment, resources = make_case(case, batch_size=16 if kit.small else None)
    rates = [0.2 * index / num for index in range(num)]
    arms = [override(experiment, "discriminator.transforms", (ExactFlips(rate=rate),)) for rate in rates]
    serial = not name.endswith("vmap")
    num_steps = 2 if kit.small else max(2, (400 // num if serial else 50))
    return measure_sweep(arms, resources, name, num_steps)


def _torch_device() -> str:
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def _label(case: str, batch_size: int, precision: str, convolution: str) -> str:
    return f"{case} batch {batch_size} {precision}{'' if convolution == 'auto' else ' ' + convolution}"
