"""The names of processors and devices in the records of runs."""

from __future__ import annotations

import platform

import jax

from gan_jax.runs.machine import device_name, is_same_device, processor_name

CPUINFO = "processor\t: 0\nmodel name\t: Some Processor 9000 \nflags\t: fpu\n\nprocessor\t: 1\nmodel name\t: another\n"


def test_a_processor_is_named_by_its_model_or_its_architecture(tmp_path):
    listed = tmp_path / "cpuinfo"
    listed.write_text(CPUINFO)
    assert processor_name(listed) == "Some Processor 9000"
    listed.write_text("model name\t:\nflags\t: fpu\n")
    assert processor_name(listed) == (platform.processor() or platform.machine())
    assert processor_name(tmp_path / "none") == (platform.processor() or platform.machine()) != ""


def test_a_device_is_named_with_its_platform(monkeypatch):
    class Card:
        platform, device_kind = "gpu", "Card 5"

    if jax.devices()[0].platform == "cpu":
        assert device_name() == f"{processor_name()} (cpu)"
    monkeypatch.setattr(jax, "devices", lambda: [Card()])
    assert device_name() == "Card 5 (gpu)"


def test_records_without_the_name_of_the_processor_fit_any_of_them():
    assert is_same_device("cpu (cpu)", "Some Processor (cpu)")
    assert is_same_device("Card 5 (gpu)", "Card 5 (gpu)")
    assert not is_same_device("cpu (cpu)", "Card 5 (gpu)")
    assert not is_same_device("Some Processor (cpu)", "Other Processor (cpu)")
    assert not is_same_device(None, "Card 5 (gpu)")
