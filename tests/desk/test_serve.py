"""`catalog-gen serve` as a command: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from desk_fixtures import Shop

from catalog_gen.catalog.database import open_database
from catalog_gen.config import load_settings
from catalog_gen.config_serve import ServeConfig
from catalog_gen.desk.auth import Keeper

READY = "The review desk is at "


def run(*arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    code = f"import sys; {before}; from catalog_gen.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def place(shop: Shop) -> list[str]:
    return ["--database", shop.settings.database.url, "--storage", shop.settings.storage.url]


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "catalog_gen", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), process.communicate()
        yield process, line.removeprefix(READY).split()[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_stop(small: Shop, number: signal.Signals) -> None:
    small.add("a")
    with serving(place(small)) as (process, address):
        assert httpx.get(f"{address}health").text == "ok\n"
        assert httpx.get(f"{address}api/queue").json()["total"] == 1
        process.send_signal(number)
        assert process.wait(30) == 0


@pytest.mark.parametrize("package", ["starlette", "jinja2", "uvicorn", "python_multipart", "itsdangerous"])
def test_a_missing_package_is_named_with_its_extra(small: Shop, package: str) -> None:
    done = run(*place(small), before=f"sys.modules['{package}'] = None")
    assert done.returncode == 69
    assert "catalog-gen[serve]" in done.stderr and package in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken(small: Shop) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(*place(small), "--port", port)
    assert done.returncode == 69 and f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr


def test_an_open_desk_does_not_start(small: Shop) -> None:
    done = run(*place(small), "--host", "0.0.0.0")
    assert done.returncode == 78 and "--new-token" in done.stderr and READY not in done.stdout


def test_tables_of_another_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    open_database(url).dispose()
    done = run("--database", url, "--storage", str(tmp_path))
    assert done.returncode == 78 and "db upgrade" in done.stderr


def test_a_certificate_that_is_none(small: Shop, tmp_path: Path) -> None:
    config = tmp_path / "catalog-gen.toml"
    (tmp_path / "c.pem").write_text("not a certificate", encoding="utf-8")
    config.write_text(
        f'[serve]\nport = 0\ncertificate = "{tmp_path}/c.pem"\nkey = "{tmp_path}/c.pem"\n', encoding="utf-8"
    )
    done = run(*place(small), "--config", str(config))
    assert done.returncode == 78 and "serve.certificate" in done.stderr


@pytest.mark.parametrize(("flags", "role"), [([], "reviewer"), (["--reader"], "reader")])
def test_a_new_token_lets_its_holder_in(flags: list[str], role: str, tmp_path: Path) -> None:
    done = run("--new-token", 'Ann "A" Lee', *flags)
    assert done.returncode == 0
    token = done.stdout.splitlines()[2].strip()
    lines = done.stdout[done.stdout.index("[[serve.tokens]]") :]
    (tmp_path / "c.toml").write_text(lines, encoding="utf-8")
    assert token not in lines and tomllib.loads(lines)["serve"]["tokens"][0]["name"] == 'Ann "A" Lee'
    keeper = Keeper(load_settings(tmp_path / "c.toml", env={}).serve, "nobody")
    session = keeper.enter(token)
    assert session is not None and keeper.enter(token[:-1]) is None
    viewer = keeper.viewer(session, "")
    assert viewer is not None and (viewer.name, viewer.role) == ('Ann "A" Lee', role)


def test_the_ledger_keeps_no_secret_of_the_desk() -> None:
    tokens = [{"name": "Ann", "token_sha256": "ab" * 32}, {"name": "Bea", "env": "BEA_TOKEN"}]
    flags = {"serve.secret": "sign with this", "serve.tokens": tokens}
    public = load_settings(None, env={}, use_default_file=False, flags=flags).public()
    assert public["serve"]["tokens"] == ["Ann", "Bea"] and public["serve"]["secret"] == "***"
    assert "ab" * 32 not in str(public) and "sign with this" not in str(public)


def test_a_secret_may_come_from_the_environment() -> None:
    serve = load_settings(None, env={"CATALOG_GEN_SERVE__SECRET": "s3cret, long"}, use_default_file=False).serve
    assert isinstance(serve, ServeConfig) and serve.secret == "s3cret, long"
