"""The processor's name tells machines apart, also where a cloud hides the model."""

from __future__ import annotations

import platform

import pytest

from unetzoo.machine import device


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("AMD EPYC", "AMD EPYC (family 25, model 17)"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel(R) Xeon(R) CPU @ 2.20GHz (family 25, model 17)"),
        ("AMD EPYC-v4 Processor", "AMD EPYC-v4 Processor (family 25, model 17)"),
        ("QEMU Virtual CPU version 2.5+", "QEMU Virtual CPU version 2.5+ (family 25, model 17)"),
        ("Virtual CPU 714389bda930", "Virtual CPU 714389bda930 (family 25, model 17)"),
        ("AMD EPYC 9654 96-Core Processor", "AMD EPYC 9654 96-Core Processor"),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"),
    ],
)
def test_a_name_of_many_processors_has_family_and_model(name: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ["processor\t: 0", "cpu family\t: 25", "model\t\t: 17", f"model name\t: {name}", "flags\t\t: avx2"]
    monkeypatch.setattr(device, "_cpuinfo", lambda: [*first, "", "processor\t: 1", "model\t\t: 99"])
    assert device.cpu_name() == named


def test_a_name_without_family_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpuinfo", lambda: ["model name\t: Virtual"])
    assert device.cpu_name() == "Virtual"
    monkeypatch.setattr(device, "_cpuinfo", lambda: ["cpu family\t: 6", "model\t: 85", "model name\t: "])
    assert device.cpu_name() == (platform.processor() or platform.machine())
    monkeypatch.setattr(device, "_cpuinfo", list)
    assert device.cpu_name() == (platform.processor() or platform.machine())
