"""The settings of telling: what is refused at once, and what is never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog_gen.config import Settings, load_settings
from catalog_gen.config_notify import EmailConfig, origin_of
from catalog_gen.errors import ConfigError

MAIL = {"notify.email.host": "mail.example", "notify.email.sender": "a@b.example", "notify.email.to": ["c@d.example"]}


def settings(flags: dict[str, Any], env: dict[str, str] | None = None) -> Settings:
    return load_settings(None, env=env or {}, flags=flags, use_default_file=False)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"notify.on": "never"}, "notify.on"),
        ({"notify.webhook.url": "hooks.example/x"}, "notify.webhook.url: Value error, is not http://"),
        ({"notify.webhook.url": "file:///etc/passwd"}, "is not http://"),
        ({"notify.webhook.url": "https://"}, "is not http://"),
        ({"notify.webhook.url": "https://h/a b"}, "is not http://"),
        ({"notify.webhook.url": "https://h:port/"}, "notify.webhook.url"),
        ({"notify.webhook.secret": "x"}, "a secret needs notify.webhook.url"),
        ({"metrics.pushgateway": "pushgateway:9091"}, "metrics.pushgateway: Value error, is not http://"),
        ({"notify.email.host": "mail.example"}, "a host needs notify.email.sender and notify.email.to"),
        ({"notify.email.to": ["a@b.example"]}, "sender and to need notify.email.host"),
        (MAIL | {"notify.email.sender": "nobody"}, "notify.email.sender: Value error, is not one e-mail address"),
        (MAIL | {"notify.email.to": ["a@b.example, c@d.example"]}, "is not one e-mail address"),
        (MAIL | {"notify.email.to": ["a@b.example\r\nBcc: x@y.example"]}, "is not one e-mail address"),
        (MAIL | {"notify.email.user": "job"}, "user and password go together"),
        (
            MAIL | {"notify.email.user": "u", "notify.email.password": "p", "notify.email.security": "none"},
            "a password is sent through starttls or tls only",
        ),
    ],
)
def test_what_would_never_work_is_said_at_once(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(flags)
    assert said in str(caught.value)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(security: Any, port: int) -> None:
    chosen = EmailConfig(host="h", sender="a@b", to=("c@d",), security=security)
    assert chosen.server == ("h", port)
    assert chosen.model_copy(update={"port": 2525}).server == ("h", 2525)


SECRETS = {
    "CATALOG_GEN_NOTIFY__WEBHOOK__URL": "https://hooks.example:8443/services/T0KEN?key=K3Y",
    "CATALOG_GEN_NOTIFY__WEBHOOK__SECRET": "0123",  # would be a number that TOML does not know
    "CATALOG_GEN_NOTIFY__EMAIL__USER": "job",
    "CATALOG_GEN_NOTIFY__EMAIL__PASSWORD": "1234567",
    "CATALOG_GEN_METRICS__PUSHGATEWAY": "http://job:hunter2@push.example:9091/team",
}


def test_a_secret_in_a_variable_is_its_text_and_is_never_shown() -> None:
    chosen = settings(MAIL, SECRETS)
    assert (chosen.notify.webhook.secret, chosen.notify.email.password) == ("0123", "1234567")
    public = chosen.public()
    assert public["notify"]["webhook"] == {"url": "https://hooks.example:8443/***", "secret": "***", "format": "json"}
    assert public["notify"]["email"]["password"] == "***" and public["notify"]["email"]["user"] == "job"
    assert public["metrics"]["pushgateway"] == "http://push.example:9091"
    for secret in ("T0KEN", "K3Y", "0123", "1234567", "hunter2"):
        assert secret not in json.dumps(public) and secret not in repr(chosen)


def test_nothing_is_hidden_where_there_is_nothing() -> None:
    public = settings({}).public()
    assert public["notify"]["webhook"]["url"] == public["notify"]["webhook"]["secret"] == ""
    assert public["notify"]["email"]["password"] == public["metrics"]["pushgateway"] == ""


def test_a_mistake_in_a_secret_does_not_show_it() -> None:
    with pytest.raises(ConfigError) as caught:
        settings({}, {"CATALOG_GEN_NOTIFY__WEBHOOK__URL": "htps://hooks.example/T0KEN"})
    assert "CATALOG_GEN_NOTIFY__WEBHOOK__URL" in str(caught.value) and "T0KEN" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        settings({"notify.email.password": 1234567})
    assert "notify.email.password" in str(caught.value) and "1234567" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("https://h", "https://h"),
        ("https://u:p@h:1/x?y#z", "https://h:1"),
        ("http://[::1]:9091/x", "http://[::1]:9091"),
    ],
)
def test_origin_of(url: str, shown: str) -> None:
    assert origin_of(url) == shown
