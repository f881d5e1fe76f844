from __future__ import annotations

import base64
import gc
import hashlib
import io
import re
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_gen.encode import ImageFormat, encode_image
from catalog_gen.errors import Unavailable
from catalog_gen.provenance import Provenance, build_xmp, read_provenance
from catalog_gen.report.contact_sheet import THUMBNAIL, SheetItem, write_contact_sheet
from catalog_gen.report.montage import write_montage


def image(value: int = 90, image_format: ImageFormat = "webp", size: int = 64) -> bytes:
    rgb = np.full((size, size, 3), 255, np.uint8)
    rgb[size // 4 : -size // 4, size // 4 : -size // 4] = (value, 60, 90)
    return encode_image(rgb, image_format, 90, build_xmp(Provenance("s", "p", "gan-64@1", "clip@2", value)))


def item(number: int = 0, **changes: object) -> SheetItem:
    values: dict[str, object] = {
        "image": image(number % 256), "sku": f"SKU-{number}", "caption": f"Red shoe {number}", "score": 0.25,
        "state": "draft", "reason": "", "category": f"Kind {number // 10}",
    }  # fmt: skip
    return SheetItem(**(values | changes))  # type: ignore[arg-type]


class Page(HTMLParser):
    """The page as a browser would take it: tags with their attributes, text, and what would be run."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.blocks: dict[str, str] = {}
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.blocks[self._open[-1]] = data
        else:
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def pictures(self) -> list[bytes]:
        sources = [attributes["src"] for attributes in self.named("img") if "src" in attributes]
        return [base64.b64decode(source.partition(",")[2]) for source in sources]


def test_a_run_on_one_page(tmp_path: Path) -> None:
    facts = [("Planned", "30"), ("Generated", "28"), ("Failed", "2")]
    out = tmp_path / "deep" / "sheet.html"
    assert write_contact_sheet([item(n) for n in range(30)], out, title="Night", facts=facts) == out
    page = Page(out)
    assert len(page.named("li")) == 30
    assert [section["data-category"] for section in page.named("section")] == ["Kind 0", "Kind 1", "Kind 2"]
    assert {"Planned", "28", "Red shoe 7", "SKU-29", "0.250", "draft"} <= set(page.texts)
    assert page.pictures() == [image(n) for n in range(30)]
    assert [path.name for path in out.parent.iterdir()] == ["sheet.html"]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></script><svg onload=alert(1)>",
    "<!-- ]]> &lt;b&gt; &#60;",
    "\x00\x1b[31m\ud800\u202egpj.exe",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(tmp_path: Path, text: str) -> None:
    hostile = item(caption=text, sku=text, state=text, reason=text, category=text)
    plain = Page(write_contact_sheet([item(reason="r")], tmp_path / "plain.html", title="t", facts=[("a", "b")]))
    page = Page(write_contact_sheet([hostile], tmp_path / "hostile.html", title=text, facts=[(text, text)]))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    for (_, attributes), (_, expected) in zip(page.tags, plain.tags, strict=True):
        assert set(attributes) == set(expected)
    assert page.blocks == plain.blocks
    assert "\x00" not in page.source
    assert "\x1b" not in page.source
    if text.isprintable():
        assert page.texts.count(text) >= 4


def test_the_policy_runs_this_modules_script_and_nothing_else(tmp_path: Path) -> None:
    page = Page(write_contact_sheet([item()], tmp_path / "sheet.html", title="t"))
    policy = next(meta["content"] for meta in page.named("meta") if "http-equiv" in meta)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for block, rule in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(page.blocks[block].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert len(page.named("script")) == len(page.named("style")) == 1
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    outside = [value for _, attributes in page.tags for value in attributes.values() if value.startswith("http")]
    assert outside == []


def test_a_picture_that_cannot_be_read_is_missing_and_the_rest_goes_on(tmp_path: Path) -> None:
    damaged = image()[:200]
    items = [item(0), item(1, image=b""), item(2, image=b"text"), item(3, image=damaged, score=None), item(4)]
    page = Page(write_contact_sheet(items, tmp_path / "sheet.html", title="t"))
    assert len(page.named("li")) == 5
    assert len(page.pictures()) == 2
    assert page.texts.count("No picture") == 3


@pytest.mark.parametrize("image_format", ["webp", "jpeg", "png"])
def test_every_format_is_shown_as_it_is(tmp_path: Path, image_format: ImageFormat) -> None:
    original = image(image_format=image_format)
    page = Page(write_contact_sheet([item(image=original)], tmp_path / "sheet.html", title="t"))
    assert page.named("img")[0]["src"].startswith(f"data:image/{image_format};base64,")
    assert page.pictures() == [original]


def test_a_large_picture_is_scaled_down_and_still_says_what_it_is(tmp_path: Path) -> None:
    original = image(size=1_024)
    page = Page(write_contact_sheet([item(image=original)], tmp_path / "sheet.html", title="t"))
    (small,) = page.pictures()
    with Image.open(io.BytesIO(small)) as opened:
        assert max(opened.size) == THUMBNAIL
    assert read_provenance(small) == read_provenance(original)


def test_a_thousand_pictures_fit_a_mail(tmp_path: Path) -> None:
    out = write_contact_sheet((item(n) for n in range(1_000)), tmp_path / "sheet.html", title="t")
    assert out.stat().st_size < 10_000_000


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    picture = image(5)

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        items: Iterator[SheetItem] = (item(n, image=picture) for n in range(count))
        write_contact_sheet(items, tmp_path / "sheet.html", title="t")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(2_000) < peak(50) + 200_000


def test_a_page_without_pictures(tmp_path: Path) -> None:
    page = Page(write_contact_sheet([], tmp_path / "sheet.html", title="Nothing to do"))
    assert page.named("li") == []
    assert "Nothing to do" in page.texts


def test_an_old_page_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "sheet.html"
    out.write_text("yesterday")

    def broken() -> Iterator[SheetItem]:
        yield item()
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_contact_sheet(broken(), out, title="t")
    assert out.read_text() == "yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.html"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        write_contact_sheet([item()], tmp_path / "file" / "sheet.html", title="t")


def test_the_script_and_the_page_agree(tmp_path: Path) -> None:
    """Every class, tag and button value that the script looks for is on the page."""
    page = Page(write_contact_sheet([item(reason="r")], tmp_path / "sheet.html", title="t"))
    wanted = re.findall(r"querySelector(?:All)?\(\"([^\"]+)\"\)", page.blocks["script"])
    assert len(wanted) > 10
    classes = {name for _, attributes in page.tags for name in attributes.get("class", "").split()}
    tags = {tag for tag, _ in page.tags}
    for selector in " ".join(wanted).split():
        assert selector.removeprefix(".") in (classes if selector.startswith(".") else tags), selector
    values = {button.get("value") for button in page.named("button")}
    assert {"next", "previous", "close"} <= values


def test_a_montage(tmp_path: Path) -> None:
    items = [item(n, state="needs_review" if n == 1 else "draft") for n in range(25)] + [item(25, image=b"")]
    out = write_montage(items, tmp_path / "sheet.png", columns=5, limit=20, cell=32)
    with Image.open(out) as sheet:
        assert sheet.size == (5 * 38 + 6, 4 * 38 + 6)
        pixels = sheet.convert("RGB")
        assert pixels.getpixel((6 + 16, 6 + 16)) != (255, 255, 255)
        assert pixels.getpixel((6 + 38 - 2, 6 + 5)) == (214, 138, 20)  # the edge of the second
        assert pixels.getpixel((3, 6 + 5)) == (236, 236, 232)


def test_a_montage_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_montage([], tmp_path / "sheet.png")
