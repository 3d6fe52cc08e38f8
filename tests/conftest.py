"""Strictness for the whole suite: fake devices, no implicit rank promotion; warnings are errors (pyproject.toml)."""

from __future__ import annotations

import os

# Before jax is imported: several devices on one CPU, code that is compiled fast rather than fast code (most of the time
# of small tests is compilation), and a matplotlib that draws to files.
_FLAGS = "--xla_force_host_platform_device_count=8"
if not os.environ.get("GAN_JAX_TEST_OPTIMISED"):
    _FLAGS += " --xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["MPLBACKEND"] = "agg"

from pathlib import Path

import jax
import pytest

from gan_jax.scaling.program_memory import forget_programs

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def forget_the_module():
    """Compiled programs of a whole suite in one process are more memory maps than the system allows it."""
    yield
    forget_programs(0)


@pytest.fixture(autouse=True)
def forget_many_programs():
    """The same within a module that compiles a lot: Linux allows 65,530 maps."""
    yield
    forget_programs()


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with mnist/ and fashion_mnist/ as IDX files."""
    given = os.environ.get("GAN_JAX_TEST_DATA")
    path = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not (path / "mnist").is_dir():
        pytest.skip("no real data: set GAN_JAX_TEST_DATA to a folder with mnist/ and fashion_mnist/ as IDX files")
    return path
