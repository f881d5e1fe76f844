"""A real S3 server on loopback and a storage that fails on demand, for the tests of storage and of the whole job.

The server is moto's, over real HTTP, so that a command in another process can talk to it. Its faults are real
answers of the S3 protocol, sent by a thin layer in front of moto.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

from catalog_gen.errors import CatalogGenError, TransientError
from catalog_gen.storage import Storage, Stored

STATUS = {"SlowDown": "503 Slow Down", "InternalError": "500 Internal Server Error", "AccessDenied": "403 Forbidden",
          "ServiceUnavailable": "503 Service Unavailable", "InvalidAccessKeyId": "403 Forbidden"}  # fmt: skip


class S3Server:
    """`endpoint` and `options()` reach it; `read_only`, `fail_next`, `stop` and `start` break and mend it."""

    def __init__(self) -> None:
        self.read_only = False
        self.requests = 0
        self._faults: list[str] = []
        self._lock = threading.Lock()
        self._port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def options(self) -> dict[str, Any]:
        """Return what `open_storage` and `[storage.options]` need to reach this server."""
        return {"endpoint_url": self.endpoint, "key": "testing", "secret": "testing",
                "client_kwargs": {"region_name": "us-east-1"}}  # fmt: skip

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket and return its URL."""
        import boto3

        client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def fail_next(self, times: int, code: str = "SlowDown") -> None:
        """Answer the next `times` requests that write an object with the S3 error `code`."""
        with self._lock:
            self._faults = [code] * times

    def start(self) -> None:
        """Listen, on the same port as before if there was one; the buckets are still there."""
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        class Quiet(MotoRequestHandler):  # type: ignore[misc]
            def log(self, type: str, message: str, *args: object) -> None:
                """A line for each request would bury a failing test's own output."""

        application = DomainDispatcherApplication(create_backend_app)
        answer = self._with_faults(application)
        self._server = make_server("127.0.0.1", self._port, answer, threaded=True, request_handler=Quiet)
        self._port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening: connections are refused until `start`."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _with_faults(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            code = self._fault(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            if not code:
                return application(environ, start_response)
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(length)
            body = f"<?xml version='1.0'?><Error><Code>{escape(code)}</Code><Message>asked for</Message></Error>"
            start_response(STATUS[code], [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body.encode()]

        return answer

    def _fault(self, method: str, path: str) -> str:
        with self._lock:
            self.requests += 1
            if method not in ("PUT", "POST", "DELETE") or path.count("/") < 2:  # not an object
                return ""
            if self._faults:
                return self._faults.pop()
            return "AccessDenied" if self.read_only else ""


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running S3 server on a free loopback port; stopped and emptied at the end."""
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()
        from moto.s3.models import s3_backends

        for backend in s3_backends.values():
            for each in backend.values():
                each.reset()


class FaultyStorage:
    """A storage in front of a real one, with knobs: `fail_puts` errors to come, and a `before_put` hook."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.root = inner.root
        self.fail_puts: list[CatalogGenError] = []
        self.before_put: Callable[[], None] = lambda: None
        self.puts = 0

    def fail_next(self, times: int, error: CatalogGenError | None = None) -> None:
        self.fail_puts = [error or TransientError("asked to fail", where=self.root)] * times

    def put(self, data: bytes, suffix: str) -> Stored:
        return self.put_many([(data, suffix)])[0]

    def put_many(self, pictures: Sequence[tuple[bytes, str]]) -> list[Stored]:
        self.before_put()
        if self.fail_puts:
            raise self.fail_puts.pop()
        self.puts += len(pictures)
        return self.inner.put_many(pictures)

    def get(self, uri: str) -> bytes:
        return self.inner.get(uri)

    def exists(self, uri: str) -> bool:
        return self.inner.exists(uri)

    def probe(self) -> None:
        self.inner.probe()
