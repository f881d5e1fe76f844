"""The webhook: one POST of JSON, signed where a secret is set.

The signature is that of GitHub's webhooks: `sha256=` and the hexadecimal HMAC-SHA256 (RFC 2104) of the body's bytes
under the secret. Every try of a message carries the same delivery id, so that a receiver can drop a repeated one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

from catalog_gen.config_notify import WebhookConfig
from catalog_gen.notify.news import News
from catalog_gen.notify.web import WebRequest

SIGNATURE = "X-Catalog-Gen-Signature-256"
DELIVERY = "X-Catalog-Gen-Delivery"


def webhook_request(config: WebhookConfig, news: News) -> WebRequest:
    """Return the request that tells `news`, ready to be sent as often as it takes."""
    body = json.dumps(_payload(config, news), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", DELIVERY: uuid4().hex}
    if config.secret:
        headers[SIGNATURE] = "sha256=" + hmac.new(config.secret.encode(), body, hashlib.sha256).hexdigest()
    return WebRequest("POST", config.url, body, headers)


def _payload(config: WebhookConfig, news: News) -> dict[str, Any]:
    if config.format == "slack":
        return {"text": _slack_text(news)}
    return _teams_card(news) if config.format == "teams" else news.payload()


def _slack_text(news: News) -> str:
    """Title in bold, facts as a block that keeps its columns, link.

    https://docs.slack.dev/messaging/formatting-message-text
    """
    body = _slack_escaped(news.body()).replace("```", "`")
    return f"*{_slack_escaped(news.title())}*\n```{body}```" + (f"\n{_slack_escaped(news.link)}" if news.link else "")


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams_card(news: News) -> dict[str, Any]:
    """The message that a Teams workflow ("when a webhook request is received") posts: one Adaptive Card, version 1.4.

    https://adaptivecards.io/explorer/FactSet.html
    """
    facts = [{"title": label, "value": value} for label, value in news.facts()]
    facts += [{"title": f"{count:,} failed", "value": reason} for reason, count in news.reasons]
    colour = "Attention" if news.trouble else "Default"
    title = {"type": "TextBlock", "text": news.title(), "weight": "Bolder", "wrap": True, "color": colour}
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, {"type": "FactSet", "facts": facts}],
    }
    if news.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": news.link}]
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
