"""What a public address sends, from a real server: the picture, another file, or nothing."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from catalog_gen.encode import encode_image
from catalog_gen.export.items import Picture
from catalog_gen.pipeline.export_check import address_fault
from catalog_gen.pipeline.retry import Retry
from integration.export_shop import box, marked

DATA = encode_image(box(64, 1), "webp", 90, marked("1"))
Answer = Callable[[int], tuple[int, bytes]]  # the how manieth request it is, to status and body


def stripped() -> bytes:
    """What an image server makes of a picture: another format, and nothing but pixels."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(DATA)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        count = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nonlocal count
                count += 1
                status, body = answer(count)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """A line for each request would bury a failing test's own output."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/1.webp"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fault(url: str, **changes: Any) -> tuple[str, str] | None:
    values = {"asset_id": "a1", "sha256": hashlib.sha256(DATA).hexdigest(), "source_type": "trainedAlgorithmicMedia"}
    return address_fault(Picture("generated", "file:///1.webp", url, **values | changes), Retry(1, 0.0))


def test_the_picture_itself_is_right(serve: Callable[[Answer], str]) -> None:
    assert fault(serve(lambda _: (200, DATA))) is None


def test_another_file_is_right_where_it_keeps_the_mark(serve: Callable[[Answer], str]) -> None:
    smaller = encode_image(box(32, 1), "jpeg", 80, marked("1"))
    assert fault(serve(lambda _: (200, smaller))) is None
    assert fault(serve(lambda _: (200, stripped()))) == (
        "marking",
        "its public address sends another file, without the mark of AI media (IPTC DigitalSourceType)",
    )


def test_a_photo_has_no_mark_to_lose(serve: Callable[[Answer], str]) -> None:
    assert fault(serve(lambda _: (200, stripped())), asset_id="", source_type="") is None


def test_what_is_no_picture_is_told(serve: Callable[[Answer], str]) -> None:
    assert fault(serve(lambda _: (404, b""))) == ("address", "its public address answers 404 Not Found")
    page = serve(lambda _: (200, b"<html>please log in</html>"))
    assert fault(page) == ("address", "its public address sends not an image of a known format")


def test_a_server_that_stumbles_is_asked_again(serve: Callable[[Answer], str]) -> None:
    assert fault(serve(lambda count: (503, b"") if count == 1 else (200, DATA))) is None
    rule, reason = fault(serve(lambda _: (503, b""))) or ("", "")
    assert rule == "address" and "still fails after 2 tries: its public address answers 503" in reason


def test_an_address_without_a_server_is_told() -> None:
    rule, reason = fault("http://127.0.0.1:9/1.webp") or ("", "")
    assert rule == "address" and "cannot be opened" in reason
    assert fault("file:///etc/passwd") == ("address", "its public address 'file:///etc/passwd' is none of the web")
