"""A run's numbers for Prometheus, in its text format (version 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats. Names follow https://prometheus.io/docs/practices/naming:
base units, `_total` for counters. The job is the label `task`: `job` is Prometheus's own, and a scrape of node_exporter
would rename ours. What belongs to one run is a gauge named `..._last_run_...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from catalog_gen.errors import EXIT_OK
from catalog_gen.notify.news import OUTCOMES, News

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]
"""Values by (name, labels in the order of their names)."""

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SUCCESS = "catalog_gen_last_success_timestamp_seconds"
LACKING = "catalog_gen_rows_lacking_picture"
RUNS, UNSENT_TOTAL = "catalog_gen_runs_total", "catalog_gen_unsent_messages_total"
FIRST_STAGE = "claim"

_SAMPLE = re.compile(r"([a-z_]+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True)
class Family:
    """A metric with its samples."""

    name: str
    kind: Literal["gauge", "counter"]
    about: str
    samples: tuple[tuple[Labels, float], ...]


def task_labels(news: News) -> Labels:
    """Return the labels of a run. One that could not start has no style: what was asked for may be no template."""
    style = (("style", news.style),) if news.style and news.run_id else ()
    return (*style, ("task", news.task))


def last_run(news: News, unsent: Mapping[str, bool]) -> list[Family]:
    """Return what the run that has just ended was; every value is there, whatever became of it.

    `unsent` says of each channel of messages whether it failed.
    """
    own = task_labels(news)
    rows = {name: 0 for name in OUTCOMES if name != ("generated" if news.task == "restyle" else "restyled")} | news.rows
    stages = news.timings or {FIRST_STAGE: 0.0}  # never none: the Pushgateway would keep those of the run before
    prefix = "catalog_gen_last_run_"

    def by(label: str, values: Mapping[str, float]) -> tuple[tuple[Labels, float], ...]:
        return tuple((_sorted((*own, (label, name))), value) for name, value in values.items())

    def gauge(name: str, about: str, samples: tuple[tuple[Labels, float], ...]) -> Family:
        return Family(name, "gauge", about, samples)

    ended = news.ended_at.timestamp()
    code = -1 if news.exit_code is None else news.exit_code
    families = [
        gauge(f"{prefix}timestamp_seconds", "When the last run ended, however it did.", ((own, ended),)),
        gauge(f"{prefix}exit_code", "The exit code of the last run; 0 is a success.", ((own, code),)),
        gauge(f"{prefix}duration_seconds", "How long the last run took.", ((own, news.seconds),)),
        gauge(f"{prefix}rows", "Rows of the last run, by what came of them.", by("outcome", rows)),
        gauge(f"{prefix}stage_seconds", "Busy seconds of the last run by stage, all threads.", by("stage", stages)),
        gauge(f"{prefix}images_per_second", "Pictures a second in the last run.", ((own, news.images_per_second),)),
    ]
    if unsent:
        about = "1 where the last run's message could not be sent."
        families.append(gauge(f"{prefix}unsent_messages", about, by("channel", unsent)))
    return families


def last_known(news: News, before: Samples) -> list[Family]:
    """Return what stands until another run says it anew: when one last succeeded, and what the catalogue lacks.

    What this run does not know is as it was `before`, and missing as long as no run has known it.
    """
    own = task_labels(news)
    success = news.ended_at.timestamp() if news.exit_code == EXIT_OK else before.get((SUCCESS, own))
    lacking = before.get((LACKING, own)) if news.lacking is None else news.lacking
    known = [
        (SUCCESS, "When a run last ended with exit code 0.", success),
        (LACKING, "Rows of the catalogue without a picture, when last counted.", lacking),
    ]
    return [Family(name, "gauge", about, ((own, value),)) for name, about, value in known if value is not None]


def counters(news: News, unsent: Mapping[str, bool], before: Samples) -> list[Family]:
    """Return what is counted over all runs, this one added to what was counted `before`."""
    own = task_labels(news)
    code = "unknown" if news.exit_code is None else str(news.exit_code)
    more: dict[tuple[str, Labels], float] = {(RUNS, _sorted((*own, ("exit_code", code)))): 1}
    more |= {(UNSENT_TOTAL, _sorted((*own, ("channel", name)))): failed for name, failed in unsent.items()}
    about = {RUNS: "Runs that ended, by exit code.", UNSENT_TOTAL: "Messages about runs that could not be sent."}
    families = []
    for name, text in about.items():
        keys = sorted({key for key in (*before, *more) if key[0] == name})
        samples = tuple((labels, before.get((name, labels), 0) + more.get((name, labels), 0)) for _, labels in keys)
        if samples:
            families.append(Family(name, "counter", text, samples))
    return families


def exposition(families: Iterable[Family]) -> str:
    """Return the families as text."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            lines.append(f"{family.name}{{{shown}}} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def read_samples(text: str) -> dict[tuple[str, Labels], float]:
    """Return the samples of a text that `exposition` wrote; lines of any other kind count for nothing."""
    found = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match is not None:
            labels = tuple((name, _unescaped(value)) for name, value in _LABEL.findall(match[2]))
            try:
                found[match[1], _sorted(labels)] = float(match[3])
            except ValueError:
                continue
    return found


def _sorted(labels: Labels) -> Labels:
    return tuple(sorted(labels))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r'\\[\\"n]', lambda match: _ESCAPES[match[0]], text)
