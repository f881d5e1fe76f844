"""Decisions against a model of them in plain Python, through any order of decisions, undos and new pictures."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from catalog_fixtures import add_pictures, insert_products, make_products, rows_of
from decision_fixtures import Standing, assert_places_hold_one, replayed, standing_pictures
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catalog_gen.catalog import tables
from catalog_gen.catalog.assets import assets_of
from catalog_gen.catalog.database import open_database
from catalog_gen.catalog.decisions import Decision, decide, undo
from postgres_server import PostgresServer, emptied

SKUS = ("sku-00000", "sku-00001")
REVIEWERS = ("ann", "bob")


@dataclass
class Picture:
    """What the model knows of a picture. `place`: its sku and output, which is empty for a generated one."""

    id: str
    place: tuple[str, str]
    source: str = ""
    state: str = "needs_review"
    live: bool = True
    version: int = 1
    went_with_source: bool = False

    def become(self, state: str, *, live: bool) -> None:
        self.state, self.live, self.version = state, live, self.version + 1


@dataclass
class Made:
    """A decision that changed something: what it changed, and what it left."""

    id: str
    reviewer: str
    picture: Picture
    before: str
    version: int
    went: list[tuple[Picture, str, int]] = field(default_factory=list)
    wish: bool = False
    wished_before: bool = False
    undone: bool = False


class DecisionModel:
    """Two products, two reviewers; each product's pictures, and pictures restyled from them."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        insert_products(self.database, make_products(len(SKUS)))
        self.pictures: list[Picture] = []
        self.recorded: dict[str, Standing] = {}  # as each picture was when it was recorded
        self.made: list[Made] = []
        self.wishes: set[str] = set()  # of which product something is asked
        for sku in SKUS:
            self.draw(sku)

    def step(self, action: str, number: int, reviewer: str, *, stale: bool) -> None:
        """Take one step of a walk; `number` chooses what it is taken with."""
        match action:
            case "draw":
                self.draw(SKUS[number % len(SKUS)])
            case "restyle":
                self.restyle(SKUS[number % len(SKUS)], ("square", "wide")[number // 2 % 2])
            case "restyle a photo":
                self.restyle_photo(SKUS[number % len(SKUS)], ("square", "wide")[number // 2 % 2])
            case "undo":
                self.undo(reviewer, None)
            case "undo named":
                self.undo(reviewer, self.made[number % len(self.made)] if self.made else None)
            case _:
                self.decide(action, self.pictures[number % len(self.pictures)], reviewer, stale=stale)
        self.agrees()

    def standing_at(self, place: tuple[str, str]) -> Picture | None:
        return next((one for one in self.pictures if one.place == place and one.live), None)

    def draw(self, sku: str) -> None:
        if self.standing_at((sku, "")) is None:
            self._add(sku, "", kind="generated")

    def restyle(self, sku: str, output: str) -> None:
        source = self.standing_at((sku, ""))
        if source is not None and self.standing_at((sku, output)) is None:
            self._add(sku, output, kind="restyled", style="winter", source_asset_id=source.id)

    def restyle_photo(self, sku: str, output: str) -> None:
        if self.standing_at((sku, output)) is None:
            self._add(sku, output, kind="restyled", style="winter")

    def _add(self, sku: str, output: str, **changes: Any) -> None:
        picture = Picture(uuid4().hex, (sku, output), changes.get("source_asset_id", ""))
        add_pictures(self.database, [sku], id=picture.id, variant=output, state=picture.state, **changes)
        self.pictures.append(picture)
        self.recorded[picture.id] = Standing(picture.state, True, 1)

    def decide(self, action: Any, picture: Picture, reviewer: str, *, stale: bool) -> None:
        version = picture.version - stale
        decision = Decision(uuid4().hex, picture.id, action, version=version, reason="no")
        [found] = decide(self.database, [decision], reviewer=reviewer, source="desk")
        assert found.result == self._expected(action, picture, stale)
        if found.result != "done":
            return
        made = Made(decision.id, reviewer, picture, picture.state, picture.version + 1)
        if action == "approve":
            picture.become("approved", live=True)
        else:
            picture.become("rejected", live=False)
            for one in self.pictures:
                if one.source == picture.id and one.live:
                    made.went.append((one, one.state, one.version + 1))
                    one.become("rejected", live=False)
                    one.went_with_source = True
        if action == "again" and not picture.place[1]:
            made.wish, made.wished_before = True, picture.place[0] in self.wishes
            self.wishes.add(picture.place[0])
        self.made.append(made)

    @staticmethod
    def _expected(action: str, picture: Picture, stale: bool) -> str:
        if picture.went_with_source and action != "approve":
            return "already"
        if stale or not picture.live:
            return "changed"
        return "already" if action == "approve" and picture.state == "approved" else "done"

    def undo(self, reviewer: str, named: Made | None) -> None:
        if named is None:
            named = next((one for one in reversed(self.made) if one.reviewer == reviewer and not one.undone), None)
            found = undo(self.database, reviewer=reviewer, source="desk")
        else:
            found = undo(self.database, reviewer=reviewer, source="desk", decision_id=named.id)
        if named is None:
            assert found.result == "unknown"
            return
        picture = named.picture
        taken = not picture.live and self.standing_at(picture.place) is not None
        possible = picture.version == named.version and not taken
        assert found.result == ("already" if named.undone else "done" if possible else "changed")
        if found.result != "done":
            return
        named.undone = True
        picture.become(named.before, live=True)
        for one, state, version in named.went:
            if one.version == version and self.standing_at(one.place) is None:
                one.become(state, live=True)
                one.went_with_source = False
        if named.wish and not named.wished_before:
            self.wishes.discard(picture.place[0])

    def agrees(self) -> None:
        now = standing_pictures(self.database)
        assert now == {one.id: Standing(one.state, one.live, one.version) for one in self.pictures}
        assert replayed(self.database, self.recorded) == now
        assert_places_hold_one(self.database)
        assert {sku for (sku,) in rows_of(self.database, tables.wish, "sku")} == self.wishes
        for sku in SKUS:
            by_id = {asset.id: asset for asset in assets_of(self.database, sku)}
            orphans = [one for one in by_id.values() if one.live and one.source_asset_id]
            assert all(by_id[one.source_asset_id or ""].live for one in orphans)


ACTIONS = ["approve", "reject", "reject", "again", "undo", "undo", "undo named", "draw", "draw", "restyle", "restyle"]
ACTIONS += ["restyle a photo"]
STEPS = st.tuples(
    st.sampled_from(ACTIONS), st.integers(0, 63), st.sampled_from(REVIEWERS), st.sampled_from([False] * 5 + [True])
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_decisions_behave_as_their_model(kind: str, request: pytest.FixtureRequest) -> None:
    numbers = count()

    # Not shrunk: a failing walk is printed whole, and shrinking on a real database takes minutes.
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(st.lists(STEPS, min_size=30, max_size=30))
    def walk(steps: list[tuple[str, int, str, bool]]) -> None:
        model = DecisionModel(fresh_url(next(numbers)))
        try:
            for action, number, reviewer, stale in steps:
                model.step(action, number, reviewer, stale=stale)
        finally:
            model.database.dispose()

    with TemporaryDirectory() as folder:
        if kind == "sqlite":
            template: Path = request.getfixturevalue("sqlite_template")

            def fresh_url(number: int) -> str:
                file = Path(folder) / f"{number}.sqlite3"
                shutil.copy(template, file)
                return f"sqlite:///{file}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")

            def fresh_url(number: int) -> str:
                return emptied(server)

        walk()
