"""Which channel writes which file: its columns, its rows as bytes, and where a file must be cut in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from catalog_gen.config_export import ExportConfig
from catalog_gen.errors import UsageError
from catalog_gen.export.channel import Channel, Row, cells
from catalog_gen.export.files import Output, csv_lines
from catalog_gen.export.google import RSS_TAIL, GoogleFeed, rss_head, rss_item
from catalog_gen.export.items import Held
from catalog_gen.export.plain import ParquetRows, PlainFile, WrittenList
from catalog_gen.export.shopify import MAX_FILE, ShopifyFile

SUFFIXES = {
    "shopify": (".csv",),
    "google": (".tsv", ".txt", ".xml"),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "shop": (".csv",),
}


class Rows(Protocol):
    """Takes products' rows on their way into a file."""

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of one product."""

    def close(self) -> None:
        """Write what is not yet written."""


class TextRows:
    """Rows as text: all of a product's in one write, so that no part of a file ends within a product."""

    def __init__(self, output: Output, encode: Callable[[Sequence[Row]], bytes]) -> None:
        self._output, self._encode = output, encode

    def add(self, rows: Sequence[Row]) -> None:
        self._output.write(self._encode(rows))

    def close(self) -> None:
        pass


class ExportFile:
    """An export under way: its file, and the list of what is held back. Without an output, nothing is written.

    Used as a context: left without `commit`, nothing has changed on the disk.
    """

    def __init__(self, output: Output | None, rows: Rows | None) -> None:
        self._output, self._rows = output, rows
        self._is_empty = True

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of one product."""
        if self._rows is not None:
            self._rows.add(rows)
            self._is_empty = False

    def hold(self, held: Sequence[Held]) -> None:
        """List what is held back."""
        if self._output is not None:
            self._output.held.add(held)

    def commit(self) -> None:
        """Put everything in its place, durably; the export's own file last.

        An export without a product leaves an earlier file as it is: a channel that fetched an empty one would take
        everything off its shelves.
        """
        if self._output is None or self._rows is None:
            return
        self._rows.close()
        if self._is_empty:
            self._output.held.commit()
        else:
            self._output.commit()

    @property
    def paths(self) -> list[Path]:
        """Where the export is: one file, or several where the channel takes no larger one; none without a product."""
        return [] if self._output is None or self._is_empty else self._output.paths

    @property
    def held_path(self) -> Path | None:
        """Where the list of what was held back is, if anything was."""
        return self._output.held.path if self._output and self._output.held.count else None

    def __enter__(self) -> ExportFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._output is not None:
            self._output.discard()


def check_suffix(channel: str, path: Path) -> None:
    """Raise UsageError unless the file's name says that it is one of this channel's."""
    if path.suffix.lower() not in SUFFIXES[channel]:
        raise UsageError(f"an export for {channel} is a {' or '.join(SUFFIXES[channel])} file", where=f"--out {path}")


def open_channel(name: str, config: ExportConfig, path: Path) -> Channel:
    """Return the channel for a file of this name. Raises ConfigError where it needs more of the configuration."""
    if name == "google":
        return GoogleFeed(config, in_cells=path.suffix.lower() != ".xml")
    if name == "shopify":
        return ShopifyFile(config)
    return WrittenList() if name == "shop" else PlainFile(config, in_cells=name == "csv")


def open_file(name: str, channel: Channel, config: ExportConfig, path: Path, *, dry_run: bool = False) -> ExportFile:
    """Return the export's file, to be filled and committed. Raises UsageError when it cannot be written."""
    if dry_run:
        return ExportFile(None, None)
    if name == "parquet":
        output = Output(path)
        return ExportFile(output, ParquetRows(output))
    columns = channel.columns
    if path.suffix.lower() == ".xml":
        output = Output(path, rss_head(config.product_url.partition("{")[0] or config.public_url), RSS_TAIL)
        return ExportFile(output, TextRows(output, lambda rows: b"".join(rss_item(row, columns) for row in rows)))
    delimiter = "\t" if name == "google" else ","
    end = "\n" if name in ("google", "shopify") else "\r\n"  # what these two ask for; RFC 4180 has the other

    def encode(rows: Sequence[Row]) -> bytes:
        return csv_lines([cells(row, columns, escape=config.escape_formulas) for row in rows], delimiter, end)

    output = Output(path, csv_lines([columns], delimiter, end), max_bytes=MAX_FILE if name == "shopify" else 0)
    return ExportFile(output, TextRows(output, encode))
