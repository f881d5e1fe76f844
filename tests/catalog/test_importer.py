"""Importing feeds into a real database, SQLite and PostgreSQL alike."""

from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feed_fixtures import counts, feed, photo, rejects, stored

from catalog_gen.catalog import importer
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.importer import ImportRequest, ImportResult, import_file
from catalog_gen.errors import ConfigError, TemporaryFailure, TransientError, UsageError
from catalog_gen.pipeline.retry import Retry


def test_rows_become_products(database: Database, tmp_path: Path) -> None:
    path = feed(
        tmp_path,
        "id,zweck,title,articleType,colour,year,empty,gap\n"
        " a , Alltag ,Red &amp; <b>blue</b> shirt,Shirts,Blå,2011.0,,nan\n"
        "b/c.d 🧦,,nan,,,,,\n",
    )
    assert counts(import_file(database, path)) == (2, 0, 0, 0)
    rows = stored(database)
    a = rows["a"]
    assert (a.title, a.category, a.image) == ("Red &amp; <b>blue</b> shirt", "Shirts", None)
    assert list(a.attributes.items()) == [("zweck", "Alltag"), ("colour", "Blå"), ("year", "2011.0")]
    assert (rows["b/c.d 🧦"].title, rows["b/c.d 🧦"].attributes) == ("", {})
    assert not path.with_name("feed.csv.rejects.csv").exists()


def test_the_same_feed_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,title,colour\n" + "".join(f"s{i},Shirt {i},red\n" for i in range(25)))
    request = ImportRequest(chunk_rows=10)
    first = import_file(database, path, request)
    before = stored(database)
    again = import_file(database, path, request)
    assert (counts(first), counts(again)) == ((25, 0, 0, 0), (0, 0, 25, 0))
    assert stored(database) == before


def test_changed_rows_are_updated_and_only_they(database: Database, tmp_path: Path) -> None:
    import_file(database, feed(tmp_path, "sku,title,colour\na,A,red\nb,B,red\nc,C,red\n"))
    before = stored(database)
    result = import_file(database, feed(tmp_path, "sku,title,colour\na,A,red\nb,B,blue\nc,See,red\nd,D,\n"))
    after = stored(database)
    assert counts(result) == (1, 2, 1, 0)
    assert after["a"] == before["a"]
    assert (after["b"].attributes, after["c"].title) == ({"colour": "blue"}, "See")
    assert after["b"].created_at == before["b"].created_at
    assert after["b"].updated_at >= before["b"].updated_at
    assert after["b"].row_hash != before["b"].row_hash


def test_ignored_and_mapped_columns(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,ean,title,Titel,price\na,400,Shirt,Hemd,9.99\n")
    import_file(database, path, ImportRequest(columns={"sku": "ean", "title": "Titel"}, ignore=("price",)))
    row = stored(database)["400"]
    assert (row.title, row.attributes) == ("Hemd", {"sku": "a", "title": "Shirt"})


def test_parquet_and_csv_of_the_same_rows_are_the_same_products(database: Database, tmp_path: Path) -> None:
    frame = pd.DataFrame({"sku": ["1", "2"], "title": ["A", "B, C"], "colour": ["röd", None]})
    frame.to_parquet(tmp_path / "feed.parquet")
    frame.to_csv(tmp_path / "feed.csv")
    assert counts(import_file(database, tmp_path / "feed.parquet")) == (2, 0, 0, 0)
    assert counts(import_file(database, tmp_path / "feed.csv")) == (0, 0, 2, 0)


# name -> (row, reason); the row stands between two good ones, on line 3
BAD_ROWS: dict[str, tuple[list[str], str]] = {
    "empty sku": (["", "T", "x"], "the sku is empty"),
    "blank sku": (["  \u00a0\ufeff ", "T", "x"], "the sku is empty"),
    "a missing sku as exports write it": (["nan", "T", "x"], "the sku is empty"),
    "repeated sku": (["first", "T", "x"], "the sku is in line 2 already"),
    "repeated sku in other spaces": ([" first ", "T", "x"], "the sku is in line 2 already"),
    "long sku": (["s" * 201, "T", "x"], "the sku is longer than 200 characters"),
    "line break in the sku": (["a\nb", "T", "x"], "the sku holds control characters"),
    "NUL in the sku": (["a\0b", "T", "x"], "the sku holds control characters"),
    "reversed text in the sku": (["a\u202eb", "T", "x"], "the sku holds control characters"),
    "NUL in the title": (["s", "T\0T", "x"], "column title: the cell holds NUL"),
    "NUL in an attribute": (["s", "T", "\0"], "column colour: the cell holds NUL"),
    "a megabyte": (["s", "T", "x" * (1 << 20)], "column colour: the cell is longer than 65,536 characters"),
    "a megabyte in lines": (["s", "x,y\n" * 2000 + "x" * 66_000, "x"], "column title: the cell is longer than 65,536"),
    "too many cells": (["s", "T", "x", "y"], "has 4 cells, the header has 3"),
    "too few cells": (["s", "T"], "has 2 cells, the header has 3"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_rejected_and_the_rest_goes_on(database: Database, tmp_path: Path, case: str) -> None:
    row, reason = BAD_ROWS[case]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [["sku", "title", "colour"], ["first", "A", "x"], row, ["last", "Z", "x"]]
    )
    result = import_file(database, feed(tmp_path, text.getvalue()))
    assert counts(result) == (2, 0, 0, 1)
    assert set(stored(database)) == {"first", "last"}
    [reject] = rejects(result)
    assert (reject["line"], reject["kind"]) == ("3", "row")
    assert reason in reject["reason"]
    assert reject["raw"]


GOOD_SKUS = [
    "a/b/../c",
    "..",
    ".hidden",
    "👩‍👩‍👧 socks",
    "ключ-1",
    "-rf",
    "%2e%2e",
    "a b",
    "s" * 200,
    "'; DROP TABLE cg_product; --",
]


def test_every_printable_sku_is_kept(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photo(folder / "%2e%2e.jpg")
    photo(tmp_path / "c.jpg")
    text = io.StringIO()
    csv.writer(text).writerows([["sku", "title"], *([sku, "T"] for sku in GOOD_SKUS)])
    result = import_file(database, feed(tmp_path, text.getvalue()), ImportRequest(images=folder))
    rows = stored(database)
    assert set(rows) == set(GOOD_SKUS)
    assert {sku for sku, row in rows.items() if row.image} == {"%2e%2e"}
    assert counts(result) == (len(GOOD_SKUS), 0, 0, 0)


def test_duplicates_far_apart_are_found_in_other_chunks(database: Database, tmp_path: Path) -> None:
    lines = [f"s{i},Title {i}" for i in range(50)] + ["s3,Another"]
    result = import_file(database, feed(tmp_path, "sku,title\n" + "\n".join(lines)), ImportRequest(chunk_rows=7))
    assert counts(result) == (50, 0, 0, 1)
    assert stored(database)["s3"].title == "Title 3"
    assert rejects(result) == [
        {"line": "52", "sku": "s3", "kind": "row", "reason": "the sku is in line 5 already", "raw": "s3,Another"}
    ]


def test_rows_in_another_encoding_are_counted_with_what_to_do(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,title\na,A\nb,Bébé\nc,Cœur\n".encode("cp1252"))
    result = import_file(database, path)
    assert counts(result) == (1, 0, 0, 2)
    assert (result.undecodable, result.first_undecodable) == (2, 3)
    assert "the first in line 3; if the whole feed is in another: --encoding cp1252" in result.summary()
    assert counts(import_file(database, path, ImportRequest(encoding="cp1252"))) == (2, 0, 1, 0)
    assert stored(database)["c"].title == "Cœur"


def test_a_feed_of_a_header_alone_is_no_rows(database: Database, tmp_path: Path) -> None:
    assert counts(import_file(database, feed(tmp_path, "sku,title\n"))) == (0, 0, 0, 0)


def test_missing_columns_stop_before_anything_is_touched(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--map sku=COLUMN"):
        import_file(database, feed(tmp_path, "artikel,titel\na,A\n"))
    assert stored(database) == {}


def test_rows_before_the_damage_are_imported(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, ("sku,title\n" + "".join(f"s{i},T\n" for i in range(50))).encode("utf-16")[:-1])
    with pytest.raises(UsageError, match="is damaged after line"):
        import_file(database, path, ImportRequest(chunk_rows=10))
    assert len(stored(database)) >= 10


def test_a_database_without_the_tables_is_refused(tmp_path: Path) -> None:
    bare = open_database(f"sqlite:///{tmp_path / 'bare.sqlite3'}")
    with pytest.raises(ConfigError, match="catalog-gen db upgrade"):
        import_file(bare, feed(tmp_path, "sku,title\na,A\n"))
    bare.dispose()


def test_progress_counts_every_row_and_ends_at_the_whole(database: Database, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    path = feed(tmp_path, "sku,title\n" + "".join(f"s{i},T\n" for i in range(25)))
    import_file(database, path, ImportRequest(chunk_rows=10), lambda rows, share: seen.append((rows, share)))
    assert [rows for rows, _ in seen] == [10, 20, 25]
    assert seen[-1][1] == 1.0


# --- rejects file ---------------------------------------------------------------------------------------------------


def test_rejects_of_an_earlier_import_do_not_linger(database: Database, tmp_path: Path) -> None:
    result = import_file(database, feed(tmp_path, "sku,title\na\n"))
    assert result.rejects_path == tmp_path / "feed.csv.rejects.csv"
    assert import_file(database, feed(tmp_path, "sku,title\na,A\n")).rejects_path is None
    assert not (tmp_path / "feed.csv.rejects.csv").exists()


def test_a_file_that_holds_no_rejects_is_never_overwritten(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,title\na\n")
    with pytest.raises(UsageError, match="exists and is no rejects file"):
        import_file(database, path, ImportRequest(rejects=path))
    assert path.read_text() == "sku,title\na\n"


def test_rejects_that_cannot_be_written_stop_with_the_flag_to_use(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,title\na\n")
    with pytest.raises(UsageError, match="--rejects FILE"):
        import_file(database, path, ImportRequest(rejects=tmp_path / "missing" / "r.csv"))


def test_rejects_of_a_feed_on_a_read_only_share_land_in_the_working_folder(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, here = tmp_path / "share", tmp_path / "here"
    share.mkdir()
    here.mkdir()
    path = feed(share, "sku,title\na\n")
    monkeypatch.chdir(here)
    # A superuser, as CI often is, may write anywhere; what the system says about a read-only mount is given here.
    monkeypatch.setattr("catalog_gen.catalog.rejects.os.access", lambda folder, mode: Path(folder) != share)
    result = import_file(database, path)
    assert result.rejects_path == Path("feed.csv.rejects.csv")
    assert (here / "feed.csv.rejects.csv").exists()
    assert not (share / "feed.csv.rejects.csv").exists()


# --- failures of the database, and company --------------------------------------------------------------------------


class FlakyDatabase:
    """A real database whose next transactions fail, before or after their commit."""

    def __init__(self, database: Database, failures: list[str]) -> None:
        self._database, self._failures = database, failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def transaction(self) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def flaky() -> Any:
            fault = self._failures.pop(0) if self._failures else ""
            with self._database.transaction() as connection:
                if fault == "before":
                    raise TransientError("the server restarts")
                yield connection
            if fault == "after":
                raise TransientError("the connection was lost while committing")

        return flaky()


@pytest.mark.parametrize("failures", [["before"], ["after"], ["before", "", "after", "before", "before"]])
def test_transient_failures_are_tried_again_and_lose_nothing(
    database: Database, tmp_path: Path, failures: list[str]
) -> None:
    flaky = FlakyDatabase(database, list(failures))
    path = feed(tmp_path, "sku,title\n" + "".join(f"s{i},T{i}\n" for i in range(30)))
    retry = Retry(4, 0.0, sleep=lambda _: None)
    result = import_file(flaky, path, ImportRequest(chunk_rows=10), retry=retry)  # type: ignore[arg-type]
    assert counts(result) == (30, 0, 0, 0)
    assert len(stored(database)) == 30


def test_a_database_that_stays_away_ends_the_import(database: Database, tmp_path: Path) -> None:
    flaky = FlakyDatabase(database, ["before"] * 9)
    with pytest.raises(TemporaryFailure, match="importing rows still fails after 3 tries"):
        import_file(flaky, feed(tmp_path, "sku,title\na,A\n"), retry=Retry(2, 0.0))  # type: ignore[arg-type]


def test_two_imports_at_once_end_with_every_row_once(database: Database, tmp_path: Path) -> None:
    down = [f"s{i:03d},Title,{i}" for i in range(300)]
    results: list[ImportResult] = []

    def work(lines: list[str], name: str) -> None:
        path = feed(tmp_path, "sku,title,n\n" + "\n".join(lines), name)
        results.append(import_file(database, path, ImportRequest(chunk_rows=50), retry=Retry(5, 0.01)))

    threads = [threading.Thread(target=work, args=(lines, f"{i}.csv")) for i, lines in enumerate([down, down[::-1]])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.read for result in results] == [300, 300]
    assert len(stored(database)) == 300


def test_more_rows_in_a_chunk_than_a_statement_has_parameters(database: Database, tmp_path: Path) -> None:
    path = feed(tmp_path, "sku,title\n" + "".join(f"s{i},T\n" for i in range(33_000)))
    assert counts(import_file(database, path, ImportRequest(chunk_rows=33_000))) == (33_000, 0, 0, 0)


def test_the_order_of_attributes_is_kept(database: Database, tmp_path: Path) -> None:
    names = ["z", "a", "ü", "10", "2"]
    import_file(database, feed(tmp_path, f"sku,title,{','.join(names)}\ns,T,1,2,3,4,5\n"))
    assert list(stored(database)["s"].attributes) == names
    assert json.dumps(stored(database)["s"].attributes)


def test_counts_that_do_not_add_up_are_a_bug_and_say_so(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer._Import, "_count", lambda self, *_: setattr(self.result, "read", 1))
    with pytest.raises(importer.InternalError, match="lost count"):
        import_file(database, feed(tmp_path, "sku,title\na,A\n"))
