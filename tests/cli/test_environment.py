"""What JAX's environment does to a command: no device, checks for NaN, and a second command in one process."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import pytest

from gan_jax.cli.environment import prepare_devices, without_nan_checks
from gan_jax.cli.main import main
from gan_jax.cli.parser import UsageError

TINY = ("--num-steps", "4", "--eval-every-steps", "2", "--batch-size", "16", "--detector.num-samples", "64")
TINY += ("--generator.network.widths", "8,8", "--discriminator.network.widths", "8,8", "--quiet", "--pictures", "1")


@pytest.mark.parametrize("command", [["train", "ring"], ["sweep", "ring"], ["evaluate", "run"], ["sample", "run"]])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError(), "no plugin of jax for it is installed"),
        (RuntimeError("Unable to initialize backend 'x': not known. (set JAX_PLATFORMS='' to choose)\nmore"), "known)"),
    ],
)
def test_no_device_is_one_line_and_no_folder(command, error, said, monkeypatch, tmp_path, capsys):
    def fail():
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax, "devices", fail)
    assert main([*command, *(["--out", "a.npz"] if command[0] == "sample" else [])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "set JAX_PLATFORMS=cpu" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [jax.debug_nans, jax.debug_infs])
def test_a_command_may_compute_what_is_not_finite(check, capsys):
    def measure(x):
        return jnp.stack([x / 0.0, 0.0 * x / 0.0])

    with check(True):
        with pytest.raises(FloatingPointError):
            jax.jit(measure)(jnp.ones(()))
        capsys.readouterr()
        with without_nan_checks():
            jax.jit(measure)(jnp.ones(()))
        (line,) = capsys.readouterr().err.splitlines()
        assert "is off in this command" in line
        with pytest.raises(FloatingPointError):  # and on again for the rest of a notebook
            jax.jit(measure)(jnp.ones(()))
    with without_nan_checks():
        pass
    assert capsys.readouterr().err == ""


def sweep_on(devices):
    host = {"coordinator": None, "num_processes": None, "process_id": None, "distributed": False}
    return argparse.Namespace(command="sweep", strategy="auto", devices=devices, data_parallel=False, **host)


@pytest.mark.parametrize("devices", [None, 2])
def test_a_second_command_in_a_process_keeps_the_devices(devices, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    there = jax.devices()  # as after a first command
    prepare_devices(sweep_on(devices))
    assert jax.devices() == there


def test_a_second_command_gets_no_more_devices_than_the_first(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    with pytest.raises(
        UsageError, match=f"--devices is 99, but JAX has started with {jax.device_count()} in this process"
    ):
        prepare_devices(sweep_on(99))


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["jax_debug_nans", "jax_debug_infs", "jax_enable_x64", "jax_disable_jit"])
def test_a_run_under_a_flag_of_jax(setting, monkeypatch, tmp_path):
    before = getattr(jax.config, setting)
    jax.config.update(setting, True)
    try:
        # A latent of one number and a batch of one give samples of no mode, whose KL is NaN.
        assert main(["train", "ring", *TINY, "--generator.latent-dim", "1", "--run-dir", str(tmp_path / "run")]) == 0
        assert main(["evaluate", str(tmp_path / "run"), "--num-samples", "64"]) == 0
    finally:
        jax.config.update(setting, before)


@pytest.mark.slow
def test_more_devices_than_the_first_command_had(tmp_path, capsys):
    assert jax.device_count() == 8  # as after a first command
    path = str(tmp_path / "run")
    assert main(["train", "ring", *TINY, "--devices", "99", "--run-dir", path]) == 2
    assert "--devices is 99, but JAX has started with 8 in this process: give at most 8" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(["train", "ring", *TINY, "--devices", "2", "--run-dir", path]) == 0
