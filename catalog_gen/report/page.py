"""What the self-contained pages share: files replaced whole, hostile text made harmless, and a policy by hashes.

A page runs only the style and the script that this package wrote (Content Security Policy level 3, hash sources), and
fetches nothing. Text from feeds is hostile: it is escaped in HTML, and in a data block nothing can end the block.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape as escape_html
from pathlib import Path
from typing import Any, BinaryIO

from catalog_gen.errors import Unavailable

_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@contextmanager
def replacing(out: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `out` when the block ends well; raise Unavailable when it cannot be written.

    An older file stays as it is until the new one is whole.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            try:
                yield file
            except BaseException:
                temporary.unlink()
                raise
        temporary.replace(out)
    except OSError as error:
        raise Unavailable(f"cannot be written ({error.strerror or error})", where=str(out)) from error


def printable(text: str) -> str:
    """Return `text` with every character that shows nothing or turns the line (controls, bidi marks) as a space."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def escape(text: str) -> str:
    """Return `text` for an HTML element or a quoted attribute."""
    return escape_html(printable(text), quote=True)


def json_block(value: Any) -> str:
    """Return `value` as JSON that can stand in a `<script type="application/json">`, whatever its strings hold."""
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return said.translate(_IN_SCRIPT).encode("utf-8", "replace").decode()


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page with exactly this style and this script, and pictures inline."""
    return (
        f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """Return the hash source (https://www.w3.org/TR/CSP3/#grammardef-hash-source) of an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def own_file(name: str) -> str:
    """Return the text of a style or script that lies beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
