"""What a person asks for again is made, as they asked, and once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from catalog_gen.catalog.assets import assets_of
from catalog_gen.catalog.decisions import Decision, Wish, audit, decide
from catalog_gen.catalog.wishes import pending_wishes
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK
from catalog_gen.pipeline import restyle as job
from catalog_gen.pipeline.approval import Ask, decide_skus
from catalog_gen.pipeline.dry_run import estimate
from catalog_gen.pipeline.fill_missing import FillRequest
from catalog_gen.pipeline.replay import replay
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import open_storage
from integration.restyle_shop import RestyleShop, make_parts, settings_for
from integration.shop import Shop

SKU = "sku-00000"


def changed(settings: Settings, section: str, **values: Any) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})


@pytest.fixture
def few(settings: Settings, database: object) -> Shop:
    """Three products without a picture."""
    shop = Shop(settings)
    shop.add(3)
    return shop


def test_other_words_and_more_candidates_are_drawn_once_and_can_be_replayed(few: Shop) -> None:
    few.fill()
    database = few.database()
    [before] = assets_of(database, SKU)
    asked = Ask([SKU], "again", "too dark", wish=Wish("a bright green boot", 5))
    assert not decide_skus(few.settings, database, asked).failed
    wish = pending_wishes(database)[SKU]
    planned = estimate(few.settings, database, FillRequest())
    assert planned.plan.planned == 1 and planned.examples == ((SKU, "a bright green boot"),)
    summary = few.fill()
    assert summary.counts["claimed"] == 1
    _, drawn = assets_of(database, SKU)
    assert (drawn.prompt, drawn.candidates, drawn.attempt) == ("a bright green boot", 5, 1)
    assert drawn.settings["wish"] == {"words": wish.words, "candidates": 5, "decision": wish.decision_id}
    assert drawn.sha256 != before.sha256 and drawn.category == "shirt"
    said = read_provenance(open_storage(few.settings.storage.url).get(drawn.uri))
    assert (said["prompt"], said["candidates"]) == ("a bright green boot", "5")
    again = replay(few.settings, database, SKU)
    assert again.exit_code == EXIT_OK and again.sha256 == drawn.sha256
    assert pending_wishes(database) == {} and few.fill().planned["planned"] == 0
    decide_skus(few.settings, database, Ask([SKU], "reject", "still too dark"))
    few.fill()
    assert assets_of(database, SKU)[-1].prompt == before.prompt, "a wish holds for one drawing"
    database.dispose()


def test_rows_with_and_without_a_wish_are_drawn_side_by_side(few: Shop) -> None:
    few.fill()
    database = few.database()
    for sku, wish in ((SKU, Wish()), ("sku-00001", Wish(candidates=3)), ("sku-00002", Wish("a blue sock"))):
        decide_skus(few.settings, database, Ask([sku], "again", wish=wish))
    summary = few.fill()
    assert summary.counts["claimed"] == 3
    live = few.live()
    assert [live[f"sku-0000{index}"].candidates for index in range(3)] == [2, 3, 2]
    assert live["sku-00002"].prompt == "a blue sock" and live["sku-00001"].prompt.startswith("navy blue running shoe")
    for sku, first in ((sku, assets_of(database, sku)[0]) for sku in live):
        assert live[sku].seed != first.seed and live[sku].attempt == 1
    few.check_promises(3)
    database.dispose()


def test_a_row_without_words_is_drawn_from_those_that_a_person_gave(few: Shop) -> None:
    few.fill(skus=(SKU,))
    database = few.database()
    decide_skus(few.settings, database, Ask([SKU], "again", wish=Wish("a green boot")))
    few.settings = changed(few.settings, "prompt", template="{x}")
    summary = few.fill()
    assert (summary.planned["planned"], summary.planned["skipped"]) == (1, 2)
    assert few.live()[SKU].prompt == "a green boot"
    database.dispose()


def test_the_doubt_and_its_kind_are_recorded(few: Shop) -> None:
    few.settings = changed(few.settings, "gate", min_similarity=0.9)
    few.fill()
    for asset in few.live().values():
        assert asset.version == 1 and asset.state == "needs_review"
        if asset.reason_kind == "fault":
            assert asset.doubt == 1
        elif "near-duplicate" not in asset.reason:
            similarity = asset.scores["similarity"]
            assert asset.reason_kind == "similarity"
            assert asset.doubt == pytest.approx(0.5 + (0.9 - similarity) / 3.8, abs=1e-3)


@pytest.fixture
def winter(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RestyleShop:
    shop = RestyleShop(settings_for(database_url, tmp_path / "pictures"), tmp_path)
    monkeypatch.setattr(
        job, "load_parts", lambda settings, style, outputs, candidates: make_parts(shop.knobs, outputs, candidates)
    )
    return shop


def test_a_restyled_picture_that_is_asked_for_again_has_another_seed(winter: RestyleShop) -> None:
    winter.add_approved(2)
    winter.knobs.stochastic, winter.knobs.limit = True, 100.0
    winter.restyle(candidates=2)
    first = winter.live()
    database = winter.database()
    rejected, asked = first["made-0000", "square"], first["made-0001", "square"]
    for action, asset in (("reject", rejected), ("again", asked)):
        decision = Decision(uuid4().hex, asset.id, cast(Any, action), reason="pale")
        decide(database, [decision], reviewer="ann", source="desk")
    assert winter.restyle(candidates=2).counts["pictures"] == 1
    made = winter.live()["made-0001", "square"]
    assert made.input_hash == asked.input_hash
    assert (made.settings["candidate"], made.settings["engine_hash"]) == (2, "engine-1-2")  # 0 and 1 were made before
    said = read_provenance(open_storage(winter.settings.storage.url).get(made.uri))
    assert said["engine"] == "stand-in@engine-1-2"
    assert ("made-0000", "square") not in winter.live()
    assert winter.restyle(candidates=2).planned["planned"] == 0
    database.dispose()


def test_the_doubt_of_restyled_pictures(winter: RestyleShop) -> None:
    winter.add_approved(1)
    winter.knobs.doubt, winter.knobs.limit, winter.knobs.product_strength = "its outline fades", 100.0, 0.1
    winter.restyle()
    for asset in winter.live().values():
        nearness = asset.scores["delta_e"] / 100
        assert 0.05 < nearness < 0.2
        assert asset.doubt == pytest.approx(0.75 + nearness / 8, abs=1e-4)
        assert (asset.reason_kind, asset.state) == ("cut-out", "needs_review")


def test_the_command_decides_on_every_output_of_a_style(winter: RestyleShop) -> None:
    winter.add_approved(2)
    winter.restyle()
    database = winter.database()
    settings = changed(winter.settings, "review", reviewer="Ann")
    done = decide_skus(settings, database, Ask(["made-0000", "nobody"], "approve", style="winter"))
    assert done.describe() == "2 decided\n  nobody: no live picture" and done.failed
    assert {asset.state for (sku, _), asset in winter.live().items() if sku == "made-0000"} == {"approved"}
    assert [(row.reviewer, row.source, row.action) for row in audit(database)] == [("Ann", "command", "approve")] * 2
    again = decide_skus(settings, database, Ask(["made-0000"], "approve", style="winter"))
    assert again.describe() == "0 decided, 2 were already" and not again.failed
    refused = decide_skus(settings, database, Ask(["made-0000"], "again", style="winter", wish=Wish("red")))
    assert refused.failed and refused.describe().count("drawn from its source") == 2
    database.dispose()
