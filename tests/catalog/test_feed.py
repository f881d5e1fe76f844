"""Reading feeds, good and bad, with no database: what comes out, on which line, and how it is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from catalog_gen.catalog import csv_feed
from catalog_gen.catalog.feed import BadRow, open_feed
from catalog_gen.catalog.feed_columns import map_columns
from catalog_gen.errors import UsageError


def write(tmp_path: Path, content: bytes | str, name: str = "feed.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


Lines = list[tuple[int, list[str]]]


def read(path: Path, rows: int = 1000, encoding: str = "") -> tuple[list[str], Lines, list[BadRow]]:
    feed = open_feed(path, encoding)
    good: Lines = []
    bad: list[BadRow] = []
    for chunk in feed.chunks(rows):
        assert len(chunk.frame) + len(chunk.bad) <= rows
        good += [(line, list(cells)) for line, *cells in chunk.frame.itertuples(name=None)]
        bad += chunk.bad
    feed.close()
    return feed.columns, good, bad


BAD_ROWS = {
    "too few cells": ("sku,title\na,A\nb\nc,C\n", [2, 4], [(3, "has 1 cell, the header has 2")]),
    "too many cells": ("sku,title\na,A\nb,B,x\nc,C\n", [2, 4], [(3, "has 3 cells, the header has 2")]),
    "padding is no cell": ("sku,title\na,A,,\nb,B\n", [2, 3], []),
    "blank lines count as lines": ("sku,title\n\na,A\n\n\nb,B\n", [3, 6], []),
    "a quoted line break": ('sku,title\na,"A\nA"\nb\nc,C\n', [2, 5], [(4, "has 1 cell")]),
    "an open quote at the end": (
        'sku,title\na,A\nb,"B\nc,C\nd,D\n',
        [2, 4, 5],
        [(3, "a quote opens here and never closes")],
    ),
    "an open quote, a later quote": (
        'sku,title\na,A\nb,"B\nc,C\nd,"D"\ne,E\n',
        [2, 4, 5, 6],
        [(3, "does not end a cell (the next one is in line 5)")],
    ),
    "a quote inside a quoted cell": ('sku,title\na,"A "x" A"\nb,B\n', [3], [(2, "a quote opens a cell here")]),
    "a quote joins rows": (
        'sku,title,c\na,"A,x\nb,B,x\nc,C",x,y\nd,D,x\n',
        [3, 5],
        [(2, "stray quote"), (4, "4 cells")],
    ),
    "inches": ('sku,title\na,5" heel\nb,7" heel\n', [2, 3], []),
    "carriage returns": ("sku,title\ra,A\rb\rc,C\r", [2, 4], [(3, "has 1 cell")]),
    "windows line ends": ("sku,title\r\na,A\r\nb\r\nc,C", [2, 4], [(3, "has 1 cell")]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_costs_itself_only(tmp_path: Path, case: str) -> None:
    text, good_lines, expected = BAD_ROWS[case]
    _, good, bad = read(write(tmp_path, text))
    assert [line for line, _ in good] == good_lines
    assert [row.line for row in bad] == [line for line, _ in expected]
    for row, (_, reason) in zip(bad, expected, strict=True):
        assert reason in row.reason
        assert row.raw.strip() in text


def test_one_row_at_a_time_gives_the_same_rows(tmp_path: Path) -> None:
    for text, _, _ in BAD_ROWS.values():
        path = write(tmp_path, text)
        assert read(path, rows=1) == read(path, rows=1000)


def test_bytes_of_another_encoding_reject_their_row(tmp_path: Path) -> None:
    content = "sku,title\na,A\nb,B\xe9b\xe9\nc,Ça va\n".encode("cp1252").replace(b"\xc7a", "Ça".encode())
    _, good, bad = read(write(tmp_path, content))
    assert good == [(2, ["a", "A"]), (4, ["c", "Ça va"])]
    assert [(row.line, row.undecodable) for row in bad] == [(3, True)]
    assert "column 2 is not UTF-8 text (byte 0xE9)" in bad[0].reason
    assert "--encoding cp1252" in bad[0].reason
    assert read(write(tmp_path, "sku,title\nb,Bébé\n".encode("cp1252")), encoding="cp1252")[1] == [(2, ["b", "Bébé"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_marked_encodings_are_found(tmp_path: Path, encoding: str, packed: bool) -> None:
    content = "sku,title\na,Größe 🧦\n".encode(encoding)
    path = write(tmp_path, gzip.compress(content) if packed else content, "feed.csv.gz" if packed else "feed.csv")
    columns, good, bad = read(path)
    assert (columns, good, bad) == (["sku", "title"], [(2, ["a", "Größe 🧦"])], [])


def test_half_a_utf16_character_rejects_its_row(tmp_path: Path) -> None:
    content = "sku,title\na,A\nb,X\nc,C\n".encode("utf-16").replace("X".encode("utf-16-le"), b"\x00\xd8")
    _, good, bad = read(write(tmp_path, content))
    assert [line for line, _ in good] == [2, 4]
    assert [(row.line, row.undecodable) for row in bad] == [(3, True)]
    assert "half a character" in bad[0].reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("feed.tsv", "sku\ttitle\na\tA, B; C\n"),
        ("feed.csv", "sku;title\na;A, B, C\n"),
        ("feed.csv", "sku|title\na|A, B, C\n"),
        ("feed.csv", 'sku,"title"\na,"A, B, C"\n'),
        ("feed.csv", "sep=;\nsku;title\na;A, B, C\n"),
        ("feed.txt", '"sku"\t"title, with, commas"\na\tA, B, C\n'),
    ],
)
def test_delimiters(tmp_path: Path, name: str, text: str) -> None:
    columns, good, bad = read(write(tmp_path, text, name))
    assert len(columns) == 2
    assert not bad
    assert good[0][1][1].startswith("A, B")


def test_columns_without_a_name_are_left_out_and_repeated_ones_numbered(tmp_path: Path) -> None:
    columns, good, _ = read(write(tmp_path, ",sku,image, image ,title,\n0,a,x,y,A,\n"))
    assert columns == ["sku", "image", "image 2", "title"]
    assert good == [(2, ["a", "x", "y", "A"])]


REFUSED = {
    "missing": (None, "", "cannot be read (No such file"),
    "empty": (b"", "", "the file is empty"),
    "empty in gzip": (gzip.compress(b""), "", "the file is empty"),
    "blank": (b"\n \n\n", "", "holds no header"),
    "a mark only": (b"\xef\xbb\xbf", "", "holds no header"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00" + bytes(range(256)) * 4, "", "not a text file"),
    "utf-16 without a mark": ("sku,title\na,A\n".encode("utf-16-le"), "", "--encoding utf-16-le"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00" + bytes(60), "", "an .xlsx workbook"),
    "a database": (b"SQLite format 3\x00" + bytes(100), "", "a SQLite database"),
    "an unknown encoding": (b"sku,title\n", "klingon", "unknown encoding 'klingon'"),
    "a codec that is no encoding": (b"sku,title\n", "base64", "unknown encoding 'base64'"),
    "a header in another encoding": (
        "sku,titré\n".encode("cp1252"),
        "",
        "the header (line 1) is not UTF-8 text (byte 0xE9)",
    ),
    "a header with an open quote": (b'sku,"title\na,b\n', "", "the header (line 1) is damaged: a quote opens here"),
    "broken gzip": (b"\x1f\x8b" + bytes(30), "", "is damaged"),
    "broken parquet": (b"PAR1" + bytes(30), "", "is no readable Parquet file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_feed_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    content, encoding, message = REFUSED[case]
    path = tmp_path / "feed.csv" if content is None else write(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        open_feed(path, encoding)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 64


def test_a_folder_is_no_feed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a feed"):
        open_feed(tmp_path)


@pytest.mark.parametrize("cut", ["gzip", "utf-16"])
def test_a_file_cut_short_says_after_which_line(tmp_path: Path, cut: str) -> None:
    text = "sku,title\n" + "".join(f"{i},{hash((i, 'x')):x}\n" for i in range(50_000))
    content = gzip.compress(text.encode())[:-200_000] if cut == "gzip" else text.encode("utf-16")[:-1]
    feed = open_feed(write(tmp_path, content))
    seen = 0
    with pytest.raises(UsageError, match=r"is damaged after line \d+") as caught:
        for chunk in feed.chunks(100):
            seen += len(chunk.frame)
    assert seen > 100
    assert "fetch the file again" in str(caught.value)


def test_a_cell_without_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_feed, "MAX_LINE", 1000)
    monkeypatch.setattr(csv_feed, "MAX_RECORD", 1000)
    text = "sku,title\na,A\nb," + "x" * 5000 + '\nc,C\nd,"D\n' + "".join(f"{i},{i}\n" for i in range(400)) + "z,Z\n"
    _, good, bad = read(write(tmp_path, text))
    assert [(row.line, row.raw[:2]) for row in bad] == [(3, "b,"), (5, "d,")]
    assert "longer than 1,000 characters" in bad[0].reason
    assert all(len(row.raw) <= csv_feed.MAX_RAW for row in bad)
    assert [line for line, _ in good] == [2, 4, *range(6, 407)]


def test_a_line_too_long_inside_an_open_quote_is_rejected_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_feed, "MAX_LINE", 1000)
    monkeypatch.setattr(csv_feed, "MAX_RECORD", 1000)
    _, good, bad = read(write(tmp_path, 'sku,title\na,"A\nb,' + "x" * 5000 + "\nc,C\n"))
    assert [row.line for row in bad] == [2, 3]
    assert good == [(4, ["c", "C"])]


def test_chunks_end_early_when_rows_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_feed, "CHUNK_CHARACTERS", 1000)
    path = write(tmp_path, "sku,title\n" + "".join(f"{i},{'x' * 300}\n" for i in range(10)))
    assert [len(chunk.frame) for chunk in open_feed(path).chunks(1000)] == [4, 4, 2]


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters='\n\r\t\0"'), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    rows=st.integers(2, 5).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8)),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_csv_writes_comes_back(
    tmp_path: Path, rows: list[list[str]], delimiter: str, quoting: int, line_end: str, encoding: str
) -> None:
    # Python's own writer leaves a lone carriage return unquoted; no reader can tell it from a line's end.
    assume(quoting == csv.QUOTE_ALL or not any("\r" in cell for row in rows for cell in row))
    width = len(rows[0]) if rows else 2
    header = [f"column {i}" for i in range(width)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    writer.writerow(header)
    lines = []
    for row in rows:
        lines.append(1 + len(text.getvalue().replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1)
        writer.writerow(row)
    columns, good, bad = read(write(tmp_path, text.getvalue().encode(encoding)))
    assert (columns, bad) == (header, [])
    assert good == list(zip(lines, rows, strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(body=st.text(st.sampled_from('abc,"\n\r;é\0\ud800'), max_size=60), rows=st.integers(1, 4))
def test_any_text_after_a_header_is_read_to_its_end(tmp_path: Path, body: str, rows: int) -> None:
    """No input makes the reader raise, stop early, repeat a line or lose the healthy row that comes last."""
    content = f"sku,title\n{body}\n".encode("utf-8", "surrogatepass") + b"last,row\n"
    _, good, bad = read(write(tmp_path, content), rows)
    lines = sorted([line for line, _ in good] + [row.line for row in bad])
    assert len(set(lines)) == len(lines)
    ends = [*(cells[-1] for _, cells in good), *(row.raw for row in bad)]
    assert any("row" in end for end in ends)


def test_parquet_cells_are_text(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    table = pa.table(
        {
            "id": pa.array([1.0, 2.0, None]),  # what pandas makes of whole numbers beside a gap
            "title": ["Red", None, "Blå 🧦"],
            "year": pa.array([2011, 2012, 2013], pa.int16()),
            "day": [date(2024, 1, 2), None, None],
            "sizes": [["S", "M"], [], None],
            "colour": pa.array(["red", "red", "blue"]).dictionary_encode(),
            "photo": [{"bytes": b"\xff\xd8", "path": "x"}] * 3,
            "": ["0", "1", "2"],
        }
    )
    pq.write_table(table, path, row_group_size=2)
    columns, good, bad = read(path, rows=2)
    assert columns == ["id", "title", "year", "day", "sizes", "colour"]
    assert good == [
        (1, ["1", "Red", "2011", "2024-01-02", '["S", "M"]', "red"]),
        (2, ["2", "", "2012", "", "[]", "red"]),
        (3, ["", "Blå 🧦", "2013", "", "", "blue"]),
    ]
    assert not bad


def test_damage_inside_a_parquet_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"sku": [str(i) for i in range(5000)], "title": ["x"] * 5000}), path, row_group_size=1000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no readable Parquet file"):
        read(path, rows=500)


COMMON_HEADERS = {
    "this project's fashion set": (
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName",
        ("id", "productDisplayName", "articleType", None),
    ),
    "a Shopify export": (
        "Handle,Title,Body (HTML),Vendor,Type,Variant SKU,Image Src,Image Position",
        ("Handle", "Title", "Type", "Image Src"),
    ),
    "a Google feed": (
        "g:id,g:title,g:product_type,g:image_link,g:price",
        ("g:id", "g:title", "g:product_type", "g:image_link"),
    ),
    "capitals and spaces": (
        "SKU,Product Name,Product Type,Image URL",
        ("SKU", "Product Name", "Product Type", "Image URL"),
    ),
    "no category": ("Item-ID,Name,Colour", ("Item-ID", "Name", None, None)),
}


@pytest.mark.parametrize("case", COMMON_HEADERS)
def test_common_column_names_are_known(case: str) -> None:
    header, expected = COMMON_HEADERS[case]
    columns = map_columns(header.split(","), {})
    assert (columns.sku, columns.title, columns.category, columns.image) == expected
    assert set(columns.used) == set(header.split(","))


def test_a_named_column_wins_and_the_rest_are_attributes() -> None:
    columns = map_columns(["sku", "ean", "title", "category", "colour", "price"], {"sku": "ean"}, ["Price", "gone"])
    assert (columns.sku, columns.attributes) == ("ean", ("sku", "colour"))


@pytest.mark.parametrize(
    ("header", "wanted", "parts"),
    [
        ("artikel_nummer,titel", {}, ["no column holds the sku", "--map sku=COLUMN", "artikel_nummer, titel"]),
        ("sku,titel", {}, ["no column holds the title", "--map title=COLUMN", "Nearest: titel."]),
        ("sku,title", {"sku": "skuu"}, ["--map sku=skuu: the feed has no such column", "Nearest: sku."]),
        ("sku,title", {"colour": "title"}, ["--map colour=title: no such field", "sku, title, category, image"]),
    ],
)
def test_missing_columns_are_named_with_what_to_do(header: str, wanted: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        map_columns(header.split(","), wanted)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_json_in_a_cell_is_only_text(tmp_path: Path) -> None:
    value = json.dumps({"a": ['"', ","]})
    text = io.StringIO()
    csv.writer(text).writerows([["sku", "title"], ["a", value]])
    assert read(write(tmp_path, text.getvalue()))[1] == [(2, ["a", value])]
