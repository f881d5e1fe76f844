"""What the CPU can do, asked in the way that the installed torch answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch


def has_fast_bf16() -> bool:
    """Return whether the CPU multiplies bf16 natively (AVX512-BF16); False where torch cannot tell."""
    ask: Callable[[], Mapping[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        return bool(ask().get("avx512_bf16", False))
    older: Callable[[], bool] | None = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # before torch 2.11
    return older is not None and bool(older())
