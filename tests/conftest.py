"""Strictness for the whole suite: fake devices, no implicit rank promotion; warnings are errors (pyproject.toml)."""

from __future__ import annotations

import fnmatch
import gc
import hashlib
import importlib.metadata
import itertools
import os

# Before jax is imported: several devices on one CPU, code that is compiled fast rather than fast code (most of the time
# of small tests is compilation), and a matplotlib that draws to files.
_FLAGS = "--xla_force_host_platform_device_count=8"
if not os.environ.get("GAN_JAX_TEST_OPTIMISED"):
    _FLAGS += " --xla_backend_optimization_level=0"
    if importlib.metadata.version("jaxlib").startswith("0.10."):  # a flag that is unknown ends the process
        _FLAGS += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["MPLBACKEND"] = "agg"

from pathlib import Path

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_jax" / "tests"
# Compiled programs are kept from one session to the next. Processes that tests start, and may kill, only read them.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(24 * 60 * 60)

import jax
import pytest
from jax._src.lru_cache import LRUCache

from tests.shapes import check_shapes

check_shapes("gan_jax")

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

LONG_FILES = (
    "tests/runs/test_sweep_runner.py",
    "tests/training/test_composition.py",
    "tests/test_unroll.py",
    "tests/scaling/test_strategies.py",
    "tests/training/test_rollout.py",
    "tests/networks/test_wrappers.py",
    "tests/scaling/test_data_parallel.py",
    "tests/scaling/test_parallel_remedies.py",
    "tests/runs/test_resume.py",
    "tests/scaling/test_hosts.py",
    "tests/training/test_probes.py",
)
"""From the longest down; others follow in the order of their names."""

jax.config.update("jax_numpy_rank_promotion", "raise")

# Tracing makes many objects and few cycles: with Python's own threshold a tenth of the suite is garbage collection.
gc.set_threshold(200_000, 100, 100)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-slice",
        metavar="K/N",
        help="run the K-th (from 0) of N parts of the slow tests and nothing else: with -m slow",
    )


SLOW_PATTERNS = [
    line.strip()
    for line in Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
"""Which tests are marked slow beside those that say so themselves; see tests/slow.txt."""


def listed_as_slow(nodeid: str) -> bool:
    """Whether tests/slow.txt lists a test: the last pattern that matches its name decides."""
    slow = False
    for pattern in SLOW_PATTERNS:
        kept = pattern.startswith("! ")
        if fnmatch.fnmatchcase(nodeid, pattern.removeprefix("! ")):
            slow = not kept
    return slow


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests are marked; the longest files come first, so that no worker ends long after the other; the slice."""
    for item in items:
        if listed_as_slow(item.nodeid):
            item.add_marker(pytest.mark.slow)
    order = {name: index for index, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
    if (given := config.getoption("--slow-slice")) is None:
        return
    index, num = (int(part) for part in given.split("/"))
    if not 0 <= index < num:
        raise pytest.UsageError(f"--slow-slice is {given}, but K must be from 0 to N - 1")
    kept = [item for item in items if item.get_closest_marker("slow") and in_slice(item.nodeid, index, num)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def in_slice(nodeid: str, index: int, num: int) -> bool:
    """Whether a test belongs to one of `num` parts, by a hash of its name that is the same in every process."""
    return int(hashlib.sha256(nodeid.encode()).hexdigest(), 16) % num == index


@pytest.fixture(scope="module", autouse=True)
def forget_programs_of_modules():
    """Programs and traces of a whole suite are several GB; 6,000 memory maps are about 2 GB of them."""
    yield
    forget_programs(6_000)


_TESTS_BETWEEN_COUNTS = 16
_done = itertools.count(1)


@pytest.fixture(autouse=True)
def forget_many_programs():
    """Linux allows a process 65,530 memory maps, and the compiled programs of a whole suite are more.

    To count them takes tens of milliseconds, so it is not done after every test.
    """
    yield
    if next(_done) % _TESTS_BETWEEN_COUNTS == 0:
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
