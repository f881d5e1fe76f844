"""jobs/prometheus-rules.yml: well formed, and about metrics, labels and exit codes that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from catalog_gen.cli import app
from catalog_gen.notify.metrics import counters, exposition, last_known, last_run
from notify.conftest import make_news

FILE = Path(__file__).parents[2] / "jobs" / "prometheus-rules.yml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "telling.md"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert list(document) == ["groups"]
    [group] = document["groups"]
    assert set(group) == {"name", "rules"}
    return list(group["rules"])


def written() -> dict[str, set[str]]:
    """Return every metric that a run can write, with the labels that it can have."""
    unsent = {"webhook": True}
    text = ""
    for news in (make_news(exit_code=0), make_news(exit_code=0, task="restyle", style="winter")):
        text += exposition([*last_run(news, unsent), *last_known(news, {}), *counters(news, unsent, {})])
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_the_file_is_one_that_prometheus_takes() -> None:
    """By its shape, and by promtool itself on a machine that has it."""
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) == 6
    if tool := shutil.which("promtool"):
        done = subprocess.run([tool, "check", "rules", str(FILE)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_about_what_is_written(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"CatalogGen[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning") and set(rule["annotations"]) == {
        "summary",
        "description",
    }
    expression, metrics = rule["expr"], written()
    named = set(re.findall(r"catalog_gen_\w+", expression))
    assert named and named <= set(metrics)
    labels = set().union(*(metrics[name] for name in named))
    selected = re.findall(r"(\w+)=\"", expression)
    grouped = re.findall(r"\b(?:by|on|ignoring|without) \(([\w, ]+)\)", expression)
    assert {*selected, *(label.strip() for group in grouped for label in group.split(","))} <= labels
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= labels
    depth = 0
    for character in expression:
        depth += {"(": 1, ")": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_every_command_that_an_alert_names_is_one() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    named = set(re.findall(r"`catalog-gen ([a-z-]+)", FILE.read_text(encoding="utf-8")))
    assert named and named <= known


def test_silence_and_no_success_are_noticed_after_26_hours() -> None:
    by_name = {rule["alert"]: " ".join(rule["expr"].split()) for rule in rules()}
    for name, metric in (("CatalogGenSilent", "last_run"), ("CatalogGenNoSuccess", "last_success")):
        newest = f'max by (task) (catalog_gen_{metric}_timestamp_seconds{{task="fill-missing"}})'
        assert f"time() - {newest} > 26 * 3600" in by_name[name]


def test_the_document_lists_every_metric_and_no_other() -> None:
    listed = re.findall(r"^\| `(catalog_gen_\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(written())
