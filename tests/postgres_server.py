"""A real PostgreSQL server for the tests: a temporary folder, a free loopback port, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

SUPERUSER = "postgres"


def find_binaries() -> Path | None:
    """The folder with initdb and postgres: the newest of Debian's, or whatever PATH has."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """Starts, stops, kills and restarts one server. Without fsync: tests kill processes, not machines."""

    def __init__(self, binaries: Path, *, settings: dict[str, str] | None = None) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="catalog-gen-pg-"))
        self.data = self.folder / "data"
        self.port = _free_port()
        self.settings = settings or {}
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as_user = ["runuser", "-u", SUPERUSER, "--"]
            shutil.chown(self.folder, SUPERUSER)
        self.folder.chmod(0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--auth=trust", f"--username={SUPERUSER}", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "80",
            "autovacuum": "off",
        } | self.settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, str(self.binaries / "postgres"), "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self._wait()

    def stop(self) -> None:
        """Stop at once but in good order (SIGINT: "fast shutdown")."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: the postmaster is gone at once, and its children follow."""
        self._signal(signal.SIGKILL)

    def remove(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, number)
        self._process.wait(timeout=30)
        self._process = None
        deadline = time.monotonic() + 10
        while number == signal.SIGKILL and _answers(self.port):
            assert time.monotonic() < deadline, "PostgreSQL survived SIGKILL"
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self.binaries / program), "-D", str(self.data), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                log = (self.folder / "log").read_text(errors="replace")
                assert self._process is not None and self._process.poll() is None, log
                assert time.monotonic() < deadline, f"{error}\n{log}"
                time.sleep(0.05)


def emptied(server: PostgresServer) -> str:
    """Empty the server's `catalog` database and return its URL.

    Emptying takes milliseconds where copying a template takes a second of disk. What a test left running is cut off,
    what it left behind is dropped, so that each one starts from the same state.
    """
    with psycopg.connect(server.url("catalog"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            if not table.startswith("cg_"):
                connection.execute(f'DROP TABLE "{table}" CASCADE')
            elif table != "cg_alembic_version":
                connection.execute(f'DELETE FROM "{table}"')
    return server.url("catalog")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
