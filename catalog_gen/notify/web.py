"""One HTTP request, with errors that say whether trying again may help. Standard library only."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from catalog_gen import __version__
from catalog_gen.config_notify import origin_of
from catalog_gen.errors import CatalogGenError, TransientError, Unavailable

TRY_AGAIN = frozenset({408, 425, 429})  # beside every 5xx
ANSWER_BYTES = 2_000
SHOWN = 200


@dataclass(frozen=True)
class WebRequest:
    """What is sent where. A user and password in the address are sent as HTTP's basic authentication."""

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def send(request: WebRequest, timeout: float) -> None:
    """Send it; return when the answer is 2xx. `timeout` is in seconds, for each wait on the network.

    Raises TransientError for 5xx, 408, 425, 429, a timeout or a lost connection, and Unavailable for anything else:
    other answers, redirects (a POST would arrive as a GET), certificates that are not trusted. Messages name the host
    and never the path, which may be a secret.
    """
    url, authorisation = _without_user(request.url)
    headers = {"User-Agent": f"catalog-gen/{__version__}", **authorisation, **request.headers}
    call = urllib.request.Request(url, data=request.body or None, headers=headers, method=request.method)
    try:
        with urllib.request.build_opener(_NoRedirects).open(call, timeout=timeout):
            return
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, origin_of(url)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _not_reached(error, origin_of(url), timeout) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    user_info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    pair = ":".join(unquote(part) for part in user_info.partition(":")[::2])
    coded = base64.b64encode(pair.encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {coded}"}


def _refused(error: urllib.error.HTTPError, where: str) -> CatalogGenError:
    try:
        said = " ".join(error.read(ANSWER_BYTES).decode("utf-8", "replace").split())[:SHOWN]
    except (OSError, HTTPException):  # the status stands, whatever became of the words
        said = ""
    what = f"answers {error.code} {error.reason}" + (f": {said}" if said else "")
    if error.code >= 500 or error.code in TRY_AGAIN:
        return TransientError(what, where=where)
    hint = "Name the address that it leads to." if 300 <= error.code < 400 else ""
    return Unavailable(what, where=where, hint=hint)


def _not_reached(error: Exception, where: str, timeout: float) -> CatalogGenError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "SSL_CERT_FILE names a file of certificates to trust."
        return Unavailable(f"its certificate is not trusted ({reason.verify_message})", where=where, hint=hint)
    if isinstance(reason, TimeoutError):
        return TransientError(f"no answer within {timeout:g} s", where=where)
    what = f"cannot be reached ({' '.join(str(reason).split()) or type(reason).__name__})"
    return Unavailable(what, where=where) if isinstance(reason, ValueError) else TransientError(what, where=where)
