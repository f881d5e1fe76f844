"""Settings: three sources in order, and one clear line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog_gen.config import Settings, hide_password, load_settings
from catalog_gen.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "catalog-gen.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[gan]\ncandidates = 2\nbatch = 8\n[job]\npage_rows = 5\n")
    env = {"CATALOG_GEN_GAN__CANDIDATES": "3", "CATALOG_GEN_GAN__BATCH": "16", "UNRELATED": "x"}
    settings = load_settings(file, env=env, flags={"gan.candidates": 4, "gan.batch": None})
    assert (settings.gan.candidates, settings.gan.batch, settings.job.page_rows) == (4, 16, 5)


def test_a_password_in_the_environment_is_text_even_if_it_looks_like_toml() -> None:
    env = {"CATALOG_GEN_DATABASE__URL": "postgresql://u:p=1@h/d"}
    assert load_settings(None, env=env, use_default_file=False).database.url == "postgresql://u:p=1@h/d"


@pytest.mark.parametrize(
    "text, flags, expected",
    [
        ("[gan]\ncandidats = 4", {}, ["catalog-gen.toml", "gan.candidats", "gan.candidates"]),
        ("[gna]\nmodel = 'x'", {}, ["unknown key gna", "gan"]),
        ("[gan]\ncandidates = 'many'", {}, ["gan.candidates", "'many'"]),
        ("[gan]\ncandidates = 0", {}, ["gan.candidates", "greater than or equal to 1"]),
        ("[gan]\ntruncation = 1.5", {}, ["gan.truncation", "less than or equal to 1"]),
        ("[gan]\ncandidates = 64\nladder = 7", {}, ["gan", "8192 pictures a row", "4096"]),
        ("[gan\n", {}, ["catalog-gen.toml", "TOML"]),
        ("gan = 3", {}, ["gan"]),
        ("[catalog]\nwriteback = true", {}, ["writeback needs catalog.table"]),
        ("", {"storage.format": "bmp"}, ["flag for storage.format", "webp"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_reason(
    tmp_path: Path, text: str, flags: dict[str, Any], expected: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), env={}, flags=flags)
    line = str(caught.value)
    assert "\n" not in line
    assert all(part in line for part in expected), line


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="CATALOG_GEN_GAN__CANDIDATES"):
        load_settings(None, env={"CATALOG_GEN_GAN__CANDIDATES": "none"}, use_default_file=False)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load_settings(tmp_path / "nowhere.toml", env={})


def test_what_the_ledger_keeps_holds_no_secret() -> None:
    settings = Settings.model_validate(
        {
            "database": {"url": "postgresql://job:hunter2@db.example/shop"},
            "storage": {"url": "s3://b", "options": {"key": "AK", "client_kwargs": {"aws_secret": "hunter2", "r": 1}}},
        }
    )
    public = str(settings.public())
    assert "hunter2" not in public and "AK" not in public
    assert "job:***@db.example/shop" in public


@pytest.mark.parametrize(
    "url, shown",
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_hide_password(url: str, shown: str) -> None:
    assert hide_password(url) == shown
