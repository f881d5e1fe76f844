"""The Pushgateway, for machines that no Prometheus scrapes: https://github.com/prometheus/pushgateway.

Each task has a group of its own. A POST replaces the metrics that it names and leaves the others of the group: the
time of the last success stays when a failed run does not name it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

from catalog_gen.notify.metrics import MEDIA_TYPE, Labels, exposition, last_known, last_run, task_labels
from catalog_gen.notify.news import News
from catalog_gen.notify.web import WebRequest

JOB = "catalog-gen"  # the group's `job`, as the Pushgateway demands one


def push_request(url: str, news: News, unsent: Mapping[str, bool]) -> WebRequest:
    """Return the request that leaves the run's numbers at the gateway."""
    body = exposition([*last_run(news, unsent), *last_known(news, {})]).encode()
    return WebRequest("POST", _group(url, task_labels(news)), body, {"Content-Type": MEDIA_TYPE})


def check_requests(url: str) -> list[WebRequest]:
    """Return the requests that prove that the gateway takes our numbers, and leave nothing behind."""
    group = _group(url, (("task", "test"),))
    body = b"# TYPE catalog_gen_test gauge\ncatalog_gen_test 1\n"
    return [WebRequest("PUT", group, body, {"Content-Type": MEDIA_TYPE}), WebRequest("DELETE", group)]


def _group(url: str, labels: Labels) -> str:
    ordered = sorted(labels, key=lambda label: label[0] != "task")
    return "/".join([url.rstrip("/"), "metrics/job", JOB, *(_label(name, value) for name, value in ordered)])


def _label(name: str, value: str) -> str:
    """A label in the group's path; one with a slash, or that a path would swallow, goes as URL-safe base64."""
    if "/" in value or re.fullmatch(r"\.{1,2}", value):
        coded = base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")
        return f"{name}@base64/{coded}"
    return f"{name}/{quote(value, safe='')}"
