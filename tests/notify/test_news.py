"""What people read of a run's end: the subject, the lines, the JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog_gen.notify.news import TITLE_LIMIT
from notify.conftest import make_news

NOTHING = {"claimed": 0, "generated": 0, "needs_review": 0, "failed": 0, "lost": 0, "released": 0}
RESTYLED = {"claimed": 60, "restyled": 52, "needs_review": 8, "failed": 0, "pictures": 180}


@pytest.mark.parametrize(
    ("changes", "title", "trouble"),
    [
        (
            {"exit_code": 0, "line": ""},
            "fill-missing: 1,250 pictures stored, 70 of them for review",
            False,
        ),
        ({}, "fill-missing: 1,250 pictures stored, 70 of them for review; 3 rows failed", True),
        ({"exit_code": 0, "line": "", "counts": NOTHING}, "fill-missing: nothing to do", False),
        (
            {"state": "partial", "exit_code": 4, "line": "stopped by deadline, 9 rows left"},
            "fill-missing: stopped by deadline, 9 rows left; 1,250 pictures stored, 70 of them for review",
            False,
        ),
        (
            {"state": "partial", "exit_code": 4, "line": "stopped by deadline, 9 rows left", "counts": NOTHING},
            "fill-missing: stopped by deadline, 9 rows left",
            False,
        ),
        (
            {"state": "failed", "exit_code": 69, "line": "s3://b: may not be written"},
            "fill-missing failed: s3://b: may not be written",
            True,
        ),
        (
            {
                "state": "not started",
                "exit_code": 75,
                "line": "another run\nholds the lock",
                "counts": {},
                "run_id": "",
            },
            "fill-missing could not start: another run holds the lock",
            True,
        ),
        ({"state": "died", "exit_code": None, "line": "", "counts": {}}, "fill-missing died", True),
        (
            {"task": "restyle", "style": "winter", "exit_code": 0, "line": "", "counts": RESTYLED},
            "restyle winter: 60 products restyled, 8 of them for review",
            False,
        ),
        ({"state": "test", "exit_code": 0, "line": ""}, "a test message of catalog-gen; nothing has happened", False),
    ],
)
def test_the_title_says_what_happened(changes: dict[str, Any], title: str, trouble: bool) -> None:
    news = make_news(**changes)
    assert (news.title(), news.trouble) == (title, trouble)


def test_a_title_is_short_and_one_line() -> None:
    title = make_news(state="failed", line="a\r\nb " * 200).title()
    assert len(title) == TITLE_LIMIT and title.isprintable()
    assert title.startswith("fill-missing failed: a b a b") and title.endswith("…")


def test_the_text_is_aligned_and_whole() -> None:
    lines = make_news().text().splitlines()
    assert lines == [
        "fill-missing: 1,250 pictures stored, 70 of them for review; 3 rows failed",
        "",
        "state                   finished",
        "exit code               3",
        "why                     3 rows failed",
        "pictures stored         1,250",
        "for review              70",
        "failed                  3",
        "rows without a picture  30,504",
        "took                    1 h 12 min",
        "pictures a second       55.2",
        "run                     20260131T011500.123-9f3a1c",
        "ended                   2026-01-31 02:27 UTC",
        "machine                 db1",
        "catalog-gen             0.1.0",
        "",
        "Why rows failed:",
        "2 x storing: timed out",
        "1 x <b>odd</b> & bad",
        "",
        "https://desk.example/runs?run=20260131&x=1",
    ]


def test_a_run_that_did_not_start_claims_no_numbers() -> None:
    text = make_news(state="not started", exit_code=75, line="locked", counts={}, run_id="", lacking=None).text()
    assert "stored" not in text and "took" not in text and "without a picture" not in text


def test_restyling_counts_products_and_pictures() -> None:
    facts = dict(make_news(task="restyle", style="winter", counts=RESTYLED | {"skipped": 2}).facts())
    assert facts["products restyled"] == "60" and facts["pictures stored"] == "180"
    assert facts["for review"] == "8" and facts["skipped"] == "2"


def test_the_payload_holds_everything_as_json() -> None:
    payload = json.loads(json.dumps(make_news().payload()))
    assert payload["format"] == "catalog-gen-run" and payload["version"] == 1 and payload["event"] == "run"
    assert (payload["job"], payload["style"], payload["run"]) == ("fill-missing", "", "20260131T011500.123-9f3a1c")
    assert (payload["state"], payload["exit_code"], payload["trouble"]) == ("finished", 3, True)
    assert payload["counts"]["needs_review"] == 70 and payload["planned"] == {"planned": 1253, "has_asset": 40}
    assert payload["seconds"] == 4350.0 and payload["stage_seconds"] == {"claim": 0.5, "draw": 61.25}
    assert payload["ended_at"] == "2026-01-31T02:27:30.000+00:00"
    assert payload["rows_lacking_picture"] == 30504
    assert payload["failed_because"][0] == {"reason": "storing: timed out", "rows": 2}
    assert payload["text"].startswith(payload["title"])
