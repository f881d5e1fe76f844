"""Text from feeds made harmless: one line, no controls, a length, no formula, ASCII addresses."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

# Bidirectional controls turn the text around them; a feed has no use for them (Unicode Technical Report 36).
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")
_JOINERS = "\u200d\ufe0f"
_KEPT_IN_URLS = ":/?#[]@!$&'()*+;=%~-._"  # RFC 3986 but for the comma, which separates addresses in a feed


def one_line(text: str) -> str:
    """Return `text` on one line: breaks, tabs and runs of space as one space; controls and half characters gone."""
    if not text.isprintable() or not _TURNING.isdisjoint(text):
        text = "".join(map(_plain, text))
    return " ".join(text.split())


def _plain(character: str) -> str:
    if character in _TURNING:
        return ""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zs", "Zl", "Zp"):
        return " "
    code = ord(character)
    is_none = kind == "Cs" or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # surrogates, noncharacters
    return "" if is_none else character


def cut(text: str, limit: int) -> str:
    """Return `text` of at most `limit` characters, cut between words where that costs less than a third of it."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    space = head.rfind(" ") if text[limit] != " " else limit
    return (head[:space] if space > 2 * limit / 3 else head).rstrip(" " + _JOINERS)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet that opens a file with this cell would reckon it (OWASP, CSV Injection)."""
    return _FORMULA.match(text) is not None and not _NUMBER.fullmatch(text)


def defused(text: str) -> str:
    """Return `text` as a cell that no spreadsheet takes for a formula: an apostrophe before one, as OWASP advises."""
    return f"'{text}" if is_formula(text) else text


def fitted(text: str, limit: int) -> str:
    """Return `text` cut so that it has at most `limit` characters after `defused` too."""
    return cut(text, limit - is_formula(text))


def ascii_url(url: str) -> str:
    """Return `url` in the characters of RFC 3986; what is percent-encoded stays so, and commas become it."""
    return quote(url.strip(), safe=_KEPT_IN_URLS)
