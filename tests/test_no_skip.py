"""The root conftest's promise: a skip is named, and where `CATALOG_GEN_NO_SKIP` is set it fails the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("variable", "body", "code"), [("", "skip", 0), ("1", "skip", 1), ("1", "pass", 0)])
def test_a_skip_is_said_and_fails_where_it_must(tmp_path: Path, variable: str, body: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    line = 'pytest.skip("no PostgreSQL here")' if body == "skip" else "pass"
    (tmp_path / "test_it.py").write_text(f"import pytest\n\ndef test_it():\n    {line}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "CATALOG_GEN_NO_SKIP": variable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("1 test: no PostgreSQL here" in done.stdout) == (body == "skip")
    assert ("so this run fails" in done.stdout) == (code == 1)
