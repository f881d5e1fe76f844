"""Who is asking, and what they may do: tokens, a reverse proxy's header, or (on loopback only) whoever sits here.

A session is a signed cookie; its role is looked up anew at every request, so that a token taken out of the
configuration ends what it began. A CSRF token belongs to one session and follows from it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from catalog_gen.config_serve import DeskToken, ServeConfig
from catalog_gen.desk.model import Role
from catalog_gen.desk.security import Peers, is_loopback
from catalog_gen.errors import ConfigError

MIN_TOKEN = 16  # characters; shorter ones can be guessed
MAX_NAME = 100
FAILURES, FAILURE_SECONDS = 5, 300.0  # wrong tokens that one address may send, and in what time
ALL_FAILURES = 100  # that all addresses together may send, in the same time
_MAX_SEEN = 10_000


@dataclass(frozen=True)
class Viewer:
    """Somebody at the desk. `session` is the session's id, `csrf` what their forms must carry."""

    name: str
    role: Role
    session: str
    csrf: str

    @property
    def can_decide(self) -> bool:
        return self.role == "reviewer"


@dataclass(frozen=True)
class Session:
    """What a cookie says: `key` names the way in that its holder came by; empty before a log-in."""

    id: str
    name: str = ""
    key: str = ""


class Keeper:
    """Knows the ways in. `local`: there are none but loopback, and who can reach it may review, as `local_name`."""

    def __init__(self, config: ServeConfig, local_name: str, env: Mapping[str, str] | None = None) -> None:
        """Raises ConfigError, naming what to set, where the desk would be open to others than this machine's users."""
        self.config, self.local_name = config, local_name
        self.tokens = {_hash_of(token, os.environ if env is None else env): token for token in config.tokens}
        self.proxies = _peers(config)
        self.local = not config.tokens and not config.proxy_header
        self._secret = (config.secret or secrets.token_hex(32)).encode()
        self._serializer = URLSafeTimedSerializer(self._secret, salt="catalog-gen desk session")
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()
        _check(config, self.local, len(self.tokens))

    @property
    def has_log_in(self) -> bool:
        return bool(self.tokens)

    def enter(self, token: str) -> Session | None:
        """Return a new session for a token, None where it is nobody's. Takes as long for every token."""
        given = hashlib.sha256(token.strip().encode("utf-8", "replace")).hexdigest()
        found = [known for known in self.tokens if hmac.compare_digest(known, given)]
        return Session(secrets.token_hex(16), self.tokens[found[0]].name, found[0][:16]) if found else None

    def viewer(self, session: Session, proxied: str) -> Viewer | None:
        """Return who holds the session, None where they must log in first. `proxied`: whom a trusted proxy names."""
        if self._has_ended(session.id):
            return None
        if self.local:
            return self._viewer(session, self.local_name, "reviewer")
        if proxied:
            chosen = self.config.reviewers
            return self._viewer(session, proxied, "reviewer" if not chosen or proxied in chosen else "reader")
        token = next((token for known, token in self.tokens.items() if session.key and known[:16] == session.key), None)
        return None if token is None else self._viewer(session, token.name, token.role)

    def end(self, session: Session) -> None:
        """End a session before its time; its cookie is worth nothing from now on."""
        now = time.time()
        with self._lock:
            self._ended = {known: until for known, until in self._ended.items() if until > now}
            self._ended[session.id] = now + self.config.session_hours * 3600

    def csrf(self, session: Session) -> str:
        return hmac.new(self._secret, f"csrf {session.id}".encode(), hashlib.sha256).hexdigest()

    def seal(self, session: Session) -> str:
        """Return the session as a cookie's value, signed and dated."""
        return str(self._serializer.dumps([session.id, session.name, session.key]))

    def unseal(self, value: str) -> Session | None:
        """Return the session of a cookie's value; None where it is none of ours, or too old."""
        try:
            parts = self._serializer.loads(value, max_age=int(self.config.session_hours * 3600))
        except BadData:
            return None
        return Session(*parts)

    def _viewer(self, session: Session, name: str, role: Role) -> Viewer:
        return Viewer(name[:MAX_NAME], role, session.id, self.csrf(session))

    def _has_ended(self, session_id: str) -> bool:
        with self._lock:
            return session_id in self._ended


class LoginLimit:
    """Counts wrong tokens: by address, and all of them, because an attacker may have many addresses."""

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """Return how many seconds this address must wait before its next try; 0 when it need not."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            own = self._failures.get(address, [])
            every = sorted(when for times in self._failures.values() for when in times)
            for times, most in ((own, FAILURES), (every, ALL_FAILURES)):
                if len(times) >= most:
                    return int(times[-most] + FAILURE_SECONDS - now) + 1
        return 0

    def failed(self, address: str) -> None:
        with self._lock:
            if len(self._failures) < _MAX_SEEN:
                self._failures.setdefault(address, []).append(time.monotonic())

    def _forget(self, now: float) -> None:
        old = now - FAILURE_SECONDS
        kept = {address: [when for when in times if when > old] for address, times in self._failures.items()}
        self._failures = {address: times for address, times in kept.items() if times}


def new_token(name: str, role: Role) -> tuple[str, str]:
    """Return a new random token, and the lines of the configuration that let its holder in."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return token, f'[[serve.tokens]]\nname = "{quoted}"\nrole = "{role}"\ntoken_sha256 = "{digest}"\n'


def _hash_of(token: DeskToken, env: Mapping[str, str]) -> str:
    if not token.env:
        return token.token_sha256
    value = env.get(token.env, "").strip()
    if len(value) < MIN_TOKEN:
        what = f"the variable {token.env} holds {len(value)} characters, and a token has {MIN_TOKEN} at least"
        hint = f"Make one: catalog-gen serve --new-token {token.name}"
        raise ConfigError(what, where=f"serve.tokens of {token.name}", hint=hint)
    return hashlib.sha256(value.encode()).hexdigest()


def _peers(config: ServeConfig) -> Peers:
    try:
        return Peers(config.proxies)
    except ValueError as error:
        raise ConfigError(str(error), where="serve.proxies", hint='Example: proxies = ["10.0.0.5"]') from error


def _check(config: ServeConfig, local: bool, tokens: int) -> None:
    if tokens < len(config.tokens):
        raise ConfigError("two people have the same token", where="serve.tokens", hint="Give each their own.")
    if bool(config.proxy_header) != bool(config.proxies):
        raise ConfigError(
            "proxy_header and proxies belong together: the header is believed only from these addresses",
            where="serve",
            hint='Example: proxy_header = "X-Forwarded-User", proxies = ["10.0.0.5"]',
        )
    if bool(config.certificate) != bool(config.key):
        raise ConfigError("certificate and key belong together", where="serve")
    if local and (config.hosts or not is_loopback(config.host)):
        raise ConfigError(
            f"others than this machine could reach {config.host}, and nothing would ask them who they are",
            where="serve.host" if not config.hosts else "serve.hosts",
            hint="Give reviewers tokens (catalog-gen serve --new-token NAME), or name a proxy that logs them in.",
        )
    if not is_loopback(config.host) and not config.proxy_header and not config.certificate:
        raise ConfigError(
            "tokens and pictures would cross the network unencrypted",
            where="serve.host",
            hint="Set certificate and key, or stay on loopback behind a proxy that speaks HTTPS.",
        )
