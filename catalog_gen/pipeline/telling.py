"""Telling how a run ended, whoever started it and however it ended: messages, then metrics.

Read `Telling` from top to bottom. Nothing here changes what the run did or its exit code: what cannot be told is
logged, one line each, and counted in the metrics. Every wait has an end, and a signal ends it at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from types import TracebackType
from typing import Any

from catalog_gen.catalog import runs
from catalog_gen.catalog.database import Database
from catalog_gen.config import Settings
from catalog_gen.config_notify import origin_of
from catalog_gen.errors import CatalogGenError, ConfigError
from catalog_gen.notify.mail import Attachment, compose, deliver
from catalog_gen.notify.news import TEST, News
from catalog_gen.notify.pushgateway import check_requests, push_request
from catalog_gen.notify.textfile import check_textfile, write_textfile
from catalog_gen.notify.web import WebRequest, send
from catalog_gen.notify.webhook import webhook_request
from catalog_gen.pipeline.news import (
    FILL,
    Beginning,
    failure_reasons,
    news_of_no_run,
    news_of_record,
    news_of_run,
    report_of,
    rows_lacking_picture,
)
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest, Wording, stop_on_signals
from catalog_gen.pipeline.summary import RunSummary
from catalog_gen.pipeline.within import call_within

log = logging.getLogger(__name__)

WORDING = Wording("sending no more messages", "what the run recorded stays")
WEBHOOK, EMAIL, PUSHGATEWAY, TEXTFILE = "webhook", "e-mail", "pushgateway", "textfile"
KEYS = "notify.webhook.url, notify.email.host, metrics.textfile and metrics.pushgateway"
PARTS = {"lacking": "rows that lack a picture", "reasons": "reasons of the failed rows", "report": "report"}

Channels = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Told:
    """What became of one channel; `problem` is empty when it took what it was given."""

    channel: str
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.channel} ({self.where}): {self.problem or 'sent'}"


class Telling:
    """Around a job's command: hears what came of the run, and tells it at the end, an error that ended it as well.

    `task` and `style` are what was asked for, in case the run does not begin. A silent one tells nothing.
    """

    def __init__(self, settings: Settings, task: str, style: str = "", *, silent: bool = False) -> None:
        self.settings, self.silent = settings, silent or not channels_of(settings)
        self.begun = Beginning(task, style)
        self.ended: tuple[str, RunSummary] | None = None

    def heard(self, job: str, summary: RunSummary) -> None:
        """Note what came of the run, before its ledger row is closed."""
        self.ended = job, summary

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.silent or (error is None and self.ended is None):
            return
        try:
            tell(self.settings, self._news(error))
        except Exception as problem:  # the run is over, and its exit code stands
            log.error("how the run ended could not be told: %s: %s", type(problem).__name__, problem)

    def _news(self, error: BaseException | None) -> News:
        if self.ended is not None:
            return news_of_run(self.begun, *self.ended, error)
        assert error is not None, "a command that neither ran nor failed has no news"
        return news_of_no_run(self.begun, error)


def tell(settings: Settings, news: News) -> list[Told]:
    """Tell `news` through everything that is configured; log and return what became of each channel."""
    stop = StopRequest()
    with stop_on_signals(stop, wording=WORDING):
        speaking = settings.notify.on == "always" or news.trouble
        news, attachment = _completed(settings, news, speaking, stop)
        told = _through(settings, _messages(settings, news, attachment) if speaking else {}, stop)
        told += _measured(settings, news, told)
    for each in told:
        if each.problem:
            log.warning("not told by %s", each)
        else:
            log.info("told by %s", each)
    return told


def _measured(settings: Settings, news: News, messages: list[Told]) -> list[Told]:
    """Write the metrics, with what became of the messages in them; a signal that ended those does not end these."""
    told: list[Told] = []
    unsent = {name: False for name in channels_of(settings) if name in (WEBHOOK, EMAIL)}
    unsent |= {each.channel: bool(each.problem) for each in messages}
    if settings.metrics.pushgateway:
        push = push_request(settings.metrics.pushgateway, news, unsent)
        told += _through(settings, {PUSHGATEWAY: lambda: _send(settings, push)}, StopRequest())
        unsent = unsent | {PUSHGATEWAY: bool(told[-1].problem)}
    if settings.metrics.textfile:
        folder = Path(settings.metrics.textfile)
        told += _through(settings, {TEXTFILE: lambda: write_textfile(folder, news, unsent)}, StopRequest())
    return told


def tell_again(settings: Settings, database: Database, run_id: str) -> list[Told]:
    """Send the messages about a run of the ledger again, whatever `notify.on` is; metrics stay as they are.

    Raises UsageError for an unknown run or one under way, and ConfigError when no message is configured.
    """
    news = news_of_record(runs.get_run(database, run_id))
    if not {WEBHOOK, EMAIL} & set(channels_of(settings)):
        raise ConfigError("no message is sent anywhere: notify.webhook.url and notify.email.host are empty")
    stop = StopRequest()
    with stop_on_signals(stop, wording=WORDING):
        news, attachment = _completed(settings, news, True, stop, now=False)
        return _through(settings, _messages(settings, news, attachment), stop)


def try_out(settings: Settings) -> list[Told]:
    """Send a test message through everything configured; metrics are written and taken away again.

    Raises ConfigError when nothing is configured.
    """
    if not channels_of(settings):
        raise ConfigError(f"nothing is told anywhere: {KEYS} are empty", hint="docs/telling.md shows how.")
    now = datetime.now(UTC)
    news = News(task=TEST, state=TEST, exit_code=0, started_at=now, ended_at=now, host=gethostname())
    calls = _messages(settings, news, None)
    if settings.metrics.pushgateway:
        calls[PUSHGATEWAY] = lambda: _check_gateway(settings)
    if settings.metrics.textfile:
        calls[TEXTFILE] = lambda: check_textfile(Path(settings.metrics.textfile))
    stop = StopRequest()
    with stop_on_signals(stop, wording=WORDING):
        return _through(settings, calls, stop)


def channels_of(settings: Settings) -> dict[str, str]:
    """Return what is configured, and where each leads; no secret is in it."""
    host, port = settings.notify.email.server
    places = {
        WEBHOOK: origin_of(settings.notify.webhook.url),
        EMAIL: f"{host}:{port}" if host else "",
        PUSHGATEWAY: origin_of(settings.metrics.pushgateway),
        TEXTFILE: settings.metrics.textfile,
    }
    return {name: where for name, where in places.items() if where}


def _completed(
    settings: Settings, news: News, speaking: bool, stop: StopRequest, *, now: bool = True
) -> tuple[News, Attachment | None]:
    """Return the news with what the database and the storage add, and the report to attach; without what they cannot.

    `now`: the run has just ended, so that the catalogue is as it left it.
    """
    wanted: dict[str, Callable[[], Any]] = {}
    run_id, email, metrics = news.run_id, settings.notify.email, settings.metrics
    if run_id and now and news.task == FILL and (speaking or metrics.textfile or metrics.pushgateway):
        wanted["lacking"] = lambda: rows_lacking_picture(settings)
    if speaking and news.counts.get("failed"):
        wanted["reasons"] = lambda: failure_reasons(settings, run_id)
    if speaking and news.stored and email.host and email.attach_report:
        wanted["report"] = lambda: report_of(settings, run_id)
    calls = call_within(settings.notify.give_up_seconds, wanted, stop)
    for name, call in calls.items():
        if call.problem:
            log.warning("told without the %s: %s", PARTS[name], call.problem)
    found: dict[str, Any] = {name: call.result for name, call in calls.items() if call.problem is None}
    report: Attachment | None = found.pop("report", None)
    link = settings.notify.link.replace("{run}", run_id)
    if report is not None and len(report.data) > email.attach_mb * 1e6:
        size = f"The report is too large to attach ({len(report.data) / 1e6:.1f} MB)."
        return replace(news, link=link, remark=size, **found), None
    return replace(news, link=link, **found), report


def _messages(settings: Settings, news: News, attachment: Attachment | None) -> Channels:
    """Return what sends each message. Every try sends the same one, so that nobody takes a repeated one for another."""
    notify = settings.notify

    def mail() -> None:
        message = compose(notify.email, news, attachment)
        _retry(settings)("sending", lambda: deliver(notify.email, message, notify.timeout_seconds))

    calls: Channels = {}
    if notify.webhook.url:
        calls[WEBHOOK] = lambda: _send(settings, webhook_request(notify.webhook, news))
    if notify.email.host:
        calls[EMAIL] = mail
    return calls


def _send(settings: Settings, request: WebRequest) -> None:
    _retry(settings)("sending", lambda: send(request, settings.notify.timeout_seconds))


def _check_gateway(settings: Settings) -> None:
    for request in check_requests(settings.metrics.pushgateway):
        _send(settings, request)


def _retry(settings: Settings) -> Retry:
    return Retry(settings.notify.retries, settings.job.retry_seconds)


def _through(settings: Settings, calls: Mapping[str, Callable[[], object]], stop: StopRequest) -> list[Told]:
    places = channels_of(settings)
    done = call_within(settings.notify.give_up_seconds, calls, stop)
    return [Told(name, places[name], _line(call.problem) if call.problem else "") for name, call in done.items()]


def _line(problem: Exception) -> str:
    """What went wrong, without the place, which the channel names."""
    if not isinstance(problem, CatalogGenError):
        return str(problem) if isinstance(problem, TimeoutError) else f"{type(problem).__name__}: {problem}"
    # The words of the retry helper are for a whole job; what went wrong at last is its cause.
    last = problem.__cause__ if isinstance(problem.__cause__, CatalogGenError) else problem
    return f"{last.what}. {last.hint}" if last.hint else last.what
