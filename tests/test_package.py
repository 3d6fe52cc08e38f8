"""The sdist and the wheel: accepted by a package index, and whole without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """(wheel, sdist), built in an environment of their own."""
    pytest.importorskip("build", reason="needs the extra package")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def test_the_packages_pass_the_check_of_an_index(packages):
    pytest.importorskip("twine", reason="needs the extra package")
    assert run(sys.executable, "-m", "twine", "check", "--strict", *packages).count("PASSED") == 2


def test_the_packages_hold_everything_that_is_read_at_run_time(packages):
    wheel, sdist = packages
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gan_jax").rglob("*") if path.is_file()}
    here = {name for name in here if "__pycache__" not in name}
    configs = {f"gan_jax/configs/{path.name}" for path in (ROOT / "configs").iterdir() if path.is_file()}
    assert here | configs <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert here | {"pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "configs/ring.py"} <= names
    assert not [name for name in names if name.startswith(("build/", "site/", "runs/"))]


def test_the_wheel_works_without_the_checkout(packages, tmp_path):
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, packages[0])
    environment = os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu"}
    at_work = {"cwd": tmp_path, "env": environment}
    place = run(sys.executable, "-c", "import gan_jax; print(gan_jax.__file__)", **at_work)
    assert place.startswith(str(site))
    # The digits need a config and weights; a report needs templates, CSS and scripts.
    run(sys.executable, "-m", "gan_jax", "train", "digits", "--num-steps", "2", "--eval-every-steps", "1", **at_work)
    report = run(sys.executable, "-m", "gan_jax", "report", "runs/digits-seed0", **at_work)
    assert (tmp_path / report.strip()).stat().st_size > 10_000
