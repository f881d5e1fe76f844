"""Text and JSON values that both databases accept: PostgreSQL takes no NUL, UTF-8 no lone surrogates, JSON no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_REASON = 1_000


def clean(text: str) -> str:
    """Return `text` without NULs, and with what UTF-8 cannot hold replaced by `?`."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def clean_reason(reason: str) -> str:
    """Return `reason` as one line of at most 1,000 characters."""
    line = " ".join(clean(reason[: MAX_REASON * 4]).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"


def clean_json(value: Any) -> Any:
    """Return `value` as JSON that both databases take: string keys, finite numbers (others become null)."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): clean_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_json(inner) for inner in value]
    if isinstance(value, bool | int) or value is None:
        return value
    if hasattr(value, "item"):  # a numpy scalar
        return clean_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return clean(str(value))
