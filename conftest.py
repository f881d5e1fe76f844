"""For every test run: long files come first, and what was skipped is said plainly; in CI, a skip is a failure."""

from __future__ import annotations

import os
from collections import Counter

import pytest

NO_SKIP = "CATALOG_GEN_NO_SKIP"


def _skips(config: pytest.Config) -> Counter[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr) for report in reports
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take minutes first, so that no worker is left with one when the others are done."""
    items.sort(key=lambda item: "tests/integration/" not in item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get(NO_SKIP) and _skips(session.config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skips = _skips(config)
    if not skips:
        return
    must_not = bool(os.environ.get(NO_SKIP))
    terminalreporter.section("not run", red=must_not, yellow=not must_not)
    for reason, count in skips.most_common():
        terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason.removeprefix('Skipped: ')}")
    if must_not:
        terminalreporter.write_line(f"{NO_SKIP} is set: nothing may be left out here, so this run fails.", red=True)
