"""bf16 is taken where the CPU has it, by every torch that the package installs with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from catalog_gen.cpu import has_fast_bf16


@pytest.mark.parametrize(
    ("cpu", "found"),
    [
        ({"get_capabilities": lambda: {"avx512_bf16": True}}, True),
        ({"get_capabilities": lambda: {"avx512_bf16": False}}, False),
        ({"get_capabilities": lambda: {"architecture": "arm64"}}, False),
        ({"_is_avx512_bf16_supported": lambda: True}, True),
        ({"_is_avx512_bf16_supported": lambda: False}, False),
        ({}, False),
    ],
)
def test_every_torch_answers(monkeypatch: pytest.MonkeyPatch, cpu: dict[str, Any], found: bool) -> None:
    monkeypatch.setattr(torch, "cpu", SimpleNamespace(**cpu))
    assert has_fast_bf16() is found


def test_the_installed_torch_answers_as_the_system_does() -> None:
    said = Path("/proc/cpuinfo")
    if said.exists():  # Linux
        assert has_fast_bf16() == (" avx512_bf16" in said.read_text("utf-8"))
