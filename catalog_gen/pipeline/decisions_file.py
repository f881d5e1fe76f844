"""`catalog-gen review apply FILE`: decisions that were made in a report, without a server, carried out.

The file is read whole and checked before the first decision, so that a damaged one changes nothing. Each decision has
an id of its own, so that the same file may be applied again, after a crash or by mistake.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Decided, Decision, Wish, decide
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.approval import retry_of, reviewer_name, write_back

FORMAT = "catalog-gen-decisions"
VERSION = 1
MAX_BYTES = 100_000_000  # a decision takes about 300
_HINT = "Download it from the report again."
_DID = {"approve": "approved", "reject": "rejected", "again": "to be made again"}


class FileDecision(BaseModel):
    """A decision as the file has it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=100)
    asset: str = Field(min_length=1, max_length=100)
    version: int
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    action: Literal["approve", "reject", "again"]
    reason: str = ""
    words: str = ""
    candidates: int | None = None

    def decision(self) -> Decision:
        wish = Wish(self.words, self.candidates)
        return Decision(self.id, self.asset, self.action, self.version, self.reason, self.sha256, wish)


class DecisionsFile(BaseModel):
    """The whole file. `run`: of the report that it was made in."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal["catalog-gen-decisions"]
    version: Literal[1]
    run: str = ""
    reviewer: str = ""
    decisions: tuple[FileDecision, ...] = Field(strict=False)


@dataclass
class Applied:
    """What came of a file's decisions, in its order; `written` are the skus whose URLs the shop's table was told."""

    file: Path
    decided: Sequence[Decided]
    written: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Decided]:
        """The decisions that did not come to be."""
        return [one for one in self.decided if one.result not in ("done", "already")]

    def describe(self) -> str:
        """Return the counts, and a line for each decision that did not come to be."""
        done: Counter[str] = Counter(one.decision.action for one in self.decided if one.result == "done")
        parts = [f"{done[action]} {did}" for action, did in _DID.items() if done[action]]
        before = sum(one.result == "already" for one in self.decided)
        parts += [f"{before} as before"] if before else []
        parts += [f"{len(self.failed)} not carried out"] if self.failed else []
        lines = [f"{len(self.decided)} decisions: {', '.join(parts) or 'nothing to do'}"]
        if self.written:
            lines.append(f"  {len(self.written)} URLs written to the shop's table")
        return "\n".join([*lines, *(f"  {one.told}" for one in self.failed)])


def apply_file(settings: Settings, database: Database, path: Path) -> Applied:
    """Carry out the decisions of the file, those that can be, in its order; return what came of each.

    They are recorded under the name in the file, or where it has none, under that of the settings.
    Raises UsageError for a file that cannot be used, before anything is changed.
    """
    content = read_file(path)
    database.check_schema()
    retry = retry_of(settings)
    reviewer = content.reviewer.strip() or reviewer_name(settings)

    def one(wanted: FileDecision) -> Decided:
        return retry("deciding", lambda: decide(database, [wanted.decision()], reviewer=reviewer, source="file")[0])

    decided = [one(wanted) for wanted in content.decisions]
    return Applied(path, decided, write_back(settings, database, decided))


def read_file(path: Path) -> DecisionsFile:
    """Return the file's content, checked. Raises UsageError that says what is wrong, and where."""
    content = _parse(path, _read(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        what = f"its format is {_shown(found)}" if found is not None else "it names no format"
        raise UsageError(f"no file of decisions: {what}", where=str(path), hint=f"One begins with {FORMAT!r}.")
    if type(content.get("version")) is not int or content["version"] != VERSION:
        raise UsageError(
            f"its format has the version {_shown(content.get('version'))}, this program reads version {VERSION}",
            where=str(path),
            hint="Use the version of the program that wrote the report.",
        )
    try:
        return DecisionsFile.model_validate(content)
    except ValidationError as error:
        raise UsageError(_explained(error), where=str(path), hint=_HINT) from error


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"over {MAX_BYTES // 1_000_000} MB", where=str(path), hint=_HINT)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 (byte {error.start})", where=str(path), hint=_HINT) from error


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_key_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"is damaged: {error.msg} ({where})", where=str(path), hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is damaged: {error}", where=str(path), hint=_HINT) from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"an object has a key twice: {', '.join(_shown(key) for key in found)}")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    given = f" (got {_shown(first['input'])})" if first["type"] != "missing" else ""
    more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return f"is damaged: {place}: {first['msg'].lower()}{given}{more}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
