"""What the world gets from a picture's public address: the file that was approved, or another one."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from http.client import HTTPException

from catalog_gen import __version__
from catalog_gen.errors import PhotoError, TemporaryFailure, TransientError
from catalog_gen.export.items import Picture
from catalog_gen.photos import MAX_BYTES
from catalog_gen.pipeline.export_addresses import WEB
from catalog_gen.pipeline.retry import Retry
from catalog_gen.provenance import read_provenance

TIMEOUT = 20.0  # seconds
_AGENT = {"User-Agent": f"catalog-gen/{__version__}"}
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


def address_fault(picture: Picture, retry: Retry) -> tuple[str, str] | None:
    """Return why the picture's public address does not do, as (rule, reason); None if it does.

    A server may send another file, scaled or of another format; but one of ours must keep its mark of AI media, which
    image servers like to strip.
    """
    try:
        data = retry("opening a public address", lambda: _fetch(picture.url))
    except (PhotoError, TemporaryFailure) as error:
        return "address", error.what
    if not picture.asset_id or hashlib.sha256(data).hexdigest() == picture.sha256:
        return None
    try:
        said = read_provenance(data).get("source_type", "")
    except PhotoError as error:
        return "address", f"its public address sends {error.what}"
    if said == picture.source_type:
        return None
    return "marking", "its public address sends another file, without the mark of AI media (IPTC DigitalSourceType)"


def _fetch(url: str) -> bytes:
    if not url.startswith(WEB):
        raise PhotoError(f"its public address {url!r} is none of the web")
    request = urllib.request.Request(url, headers=_AGENT)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        answered = f"its public address answers {error.code} {error.reason}"
        raise (TransientError(answered) if error.code in _LATER else PhotoError(answered)) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TransientError(f"its public address cannot be opened ({reason})") from error
    if len(data) > MAX_BYTES:
        raise PhotoError(f"its public address sends over {MAX_BYTES // 1_000_000} MB")
    return data
