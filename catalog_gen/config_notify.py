"""Settings of `[notify]` and `[metrics]`: who is told how a run ended. Part of `config.Settings`."""

from __future__ import annotations

from email.utils import getaddresses
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

HIDDEN = "***"
PORTS = {"starttls": 587, "tls": 465, "none": 25}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _web_address(url: str) -> str:
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or url.split() != [url]:
            raise ValueError("is not http://... or https://...")
        _ = parts.port  # raises ValueError for one that is no number
    return url


def _mail_address(text: str) -> str:
    found = getaddresses([text])
    name, _, domain = found[0][1].rpartition("@") if len(found) == 1 else ("", "", "")
    if text and not (name and domain and text.isprintable()):
        raise ValueError("is not one e-mail address")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]


class WebhookConfig(_Section):
    """Where the summary goes as JSON. `secret` signs it; the address itself is often a secret too."""

    url: WebAddress = Field("", repr=False)
    secret: str = Field("", repr=False)
    format: Literal["json", "slack", "teams"] = "json"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.secret and not self.url:
            raise ValueError("a secret needs notify.webhook.url")
        return self


class EmailConfig(_Section):
    """The mail server, and between whom it carries the summary."""

    host: str = ""  # empty: no e-mail
    port: Annotated[int, Field(ge=0, le=65_535)] = 0  # 0: the usual one of `security`
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = Field("", repr=False)
    sender: MailAddress = ""
    to: tuple[MailAddress, ...] = ()
    attach_report: bool = False
    attach_mb: Annotated[float, Field(gt=0, le=100)] = 10.0  # a larger report stays at home

    @property
    def server(self) -> tuple[str, int]:
        return self.host, self.port or PORTS[self.security]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.host and not (self.sender and any(self.to)):
            raise ValueError("a host needs notify.email.sender and notify.email.to")
        if not self.host and (self.sender or self.to):
            raise ValueError("sender and to need notify.email.host, or nothing is ever sent")
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password go together")
        if self.user and self.security == "none":
            raise ValueError("a password is sent through starttls or tls only")
        return self


class NotifyConfig(_Section):
    """Who is told of a run's end, and how patiently. `trouble`: every exit code but 0 and 4."""

    on: Literal["always", "trouble"] = "always"
    link: str = ""  # for messages; {run} in it is the run's id
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    give_up_seconds: Annotated[float, Field(gt=0, le=3_600)] = 60.0  # with a message, all its tries together
    webhook: WebhookConfig = WebhookConfig()
    email: EmailConfig = EmailConfig()


class MetricsConfig(_Section):
    """Where Prometheus finds a run's numbers: the folder of node_exporter's textfile collector, a Pushgateway."""

    textfile: str = ""
    pushgateway: WebAddress = Field("", repr=False)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a web address: what may be shown of one whose path or user is a secret."""
    if not url:
        return ""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def hide_secrets(values: dict[str, Any]) -> None:
    """Hide in the dumped settings `values` what `[notify]` and `[metrics]` hold of secrets."""
    webhook, email, metrics = values["notify"]["webhook"], values["notify"]["email"], values["metrics"]
    webhook["url"] = f"{origin_of(webhook['url'])}/{HIDDEN}" if webhook["url"] else ""
    webhook["secret"] = HIDDEN if webhook["secret"] else ""
    email["password"] = HIDDEN if email["password"] else ""
    metrics["pushgateway"] = origin_of(metrics["pushgateway"])
