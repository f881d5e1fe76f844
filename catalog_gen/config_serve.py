"""Settings of `serve`: where the review desk listens, who may come, and how they prove who they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DeskToken(_Section):
    """Somebody who may log in at the review desk: by the token with this SHA-256, or the one in a variable."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Literal["reviewer", "reader"] = "reviewer"  # a reader sees everything and decides nothing
    token_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    env: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> DeskToken:
        if bool(self.token_sha256) == bool(self.env):
            raise ValueError("a token is named by token_sha256 or by env, one of the two")
        return self


class ServeConfig(_Section):
    """The review desk. Beyond loopback it starts only where people prove who they are: by token or through a proxy.

    `proxy_header` names the header in which a reverse proxy at one of `proxies` says who is asking.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8017  # 0: any free one
    tokens: tuple[DeskToken, ...] = ()
    proxy_header: str = ""
    proxies: tuple[str, ...] = ()  # addresses or networks
    reviewers: tuple[str, ...] = ()  # whom the proxy names and who may decide; empty: everybody it names
    hosts: tuple[str, ...] = ()  # names that browsers know the desk by, beside loopback's
    certificate: str = ""
    key: str = ""
    secret: str = ""  # signs sessions; empty: a new one at every start
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    cache_mb: Annotated[int, Field(ge=1, le=4_096)] = 64  # of pictures scaled for the page


def hide_desk_secrets(values: dict[str, Any]) -> None:
    """Replace in the section's plain values what lets people in: the secret, and all of a token but its name."""
    values["secret"] = "***" if values["secret"] else ""
    values["tokens"] = [token["name"] for token in values["tokens"]]
