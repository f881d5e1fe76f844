"""What came of an export, for the terminal and the exit code; and what it sent, for what follows the file."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from catalog_gen.errors import EXIT_OK, EXIT_SOME_FAILED
from catalog_gen.export.items import Held


@dataclass
class ExportSummary:
    """Counts of an export. published: newly. changed: exported, and not published as they changed meanwhile.

    written: addresses written to the shop's table. taken: its rows that got another image meanwhile.
    """

    channel: str
    is_dry: bool = False
    paths: list[Path] = field(default_factory=list)
    held_path: Path | None = None
    products: int = 0
    pictures: int = 0
    held: Counter[tuple[str, str]] = field(default_factory=Counter)  # by what and rule
    examples: dict[tuple[str, str], Held] = field(default_factory=dict)
    published: int = 0
    changed: int = 0
    written: int = 0
    taken: int = 0

    def add_held(self, held: Sequence[Held]) -> None:
        for each in held:
            key = (each.what, each.rule)
            self.held[key] += 1
            self.examples.setdefault(key, each)

    @property
    def exit_code(self) -> int:
        went_well = self.products and not (self.held or self.changed or self.taken)
        return EXIT_OK if went_well else EXIT_SOME_FAILED

    def describe(self) -> str:
        """Return what a person wants to know, in a few lines."""
        verb = "would be exported" if self.is_dry else "exported"
        lines = [f"{self.products} products with {self.pictures} pictures {verb} for {self.channel}"]
        lines += [f"  {path}" for path in self.paths]
        if not (self.products or self.is_dry):
            lines.append("  no file was written: an empty one would take everything off a channel's shelves")
        for what in ("product", "picture", "value"):
            lines += self._held_lines(what)
        if self.held_path is not None:
            lines.append(f"  each with its reason: {self.held_path}")
        told = {
            "addresses written to the shop's table": self.written,
            "rows of the shop's table got another image meanwhile": self.taken,
            "pictures published": self.published,
            "pictures changed meanwhile, and were not published": self.changed,
        }
        return "\n".join([*lines, *(f"  {count} {text}" for text, count in told.items() if count)])

    def _held_lines(self, what: str) -> list[str]:
        rules = sorted((-count, rule) for (kind, rule), count in self.held.items() if kind == what)
        if not rules:
            return []
        lines = [f"  {-sum(count for count, _ in rules)} {what}s held back:"]
        for count, rule in rules:
            one = self.examples[what, rule]
            name = f"{one.sku}, {one.picture.name}" if one.picture else one.sku
            lines.append(f"    {-count} {rule}; {name}: {one.reason}")
        return lines


@dataclass(frozen=True)
class Sent:
    """A product that is in the file. url: to be written to the shop's row, if any. assets: (id, version as seen)."""

    sku: str
    url: str
    assets: Sequence[tuple[str, int]]


class SentList:
    """What the file holds, kept on the disk until the file is durable: an export may be larger than memory."""

    def __enter__(self) -> SentList:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, sent: Sent) -> None:
        self._file.write(json.dumps([sent.sku, sent.url, list(sent.assets)]) + "\n")

    def __iter__(self) -> Iterator[Sent]:
        self._file.seek(0)
        for line in self._file:
            sku, url, assets = json.loads(line)
            yield Sent(sku, url, [(asset_id, version) for asset_id, version in assets])
