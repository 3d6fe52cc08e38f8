"""Strictness for the whole suite: fake devices, no implicit rank promotion; warnings are errors (pyproject.toml)."""

from __future__ import annotations

import os

# Before jax is imported: several devices on one CPU, code that is compiled fast rather than fast code (most of the time
# of small tests is compilation), and a matplotlib that draws to files.
_FLAGS = "--xla_force_host_platform_device_count=8"
if not os.environ.get("GAN_JAX_TEST_OPTIMISED"):
    _FLAGS += " --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    _FLAGS += " --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["MPLBACKEND"] = "agg"

from pathlib import Path

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-jax" / "tests"
# Compiled programs are kept from one session to the next. Processes that tests start, and may kill, only read them.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(24 * 60 * 60)

import jax
import pytest
from jax._src.lru_cache import LRUCache

from gan_jax.scaling.program_memory import forget_programs

jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _put(self: LRUCache, key: str, value: bytes) -> None:
    """Writes an entry at once: jax's own way lets another process read half of it."""
    path = Path(str(self.path)) / f"{key}-cache"
    if not path.exists():
        unfinished = path.with_name(f"{key[-64:]}-{os.getpid()}")
        unfinished.write_bytes(value)
        unfinished.replace(path)


LRUCache.put = _put

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def forget_many_programs():
    """Linux allows a process 65,530 memory maps, and the compiled programs of a whole suite are more."""
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
