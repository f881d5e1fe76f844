"""The night's facts: reasons, scores, counts and money, against values worked out by hand; JSON and CSV; thumbnails."""

from __future__ import annotations

import base64
import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_gen.encode import encode_image
from catalog_gen.errors import PhotoError, Unavailable
from catalog_gen.provenance import Provenance, build_xmp, read_provenance
from catalog_gen.report.charts import Chart, Series, bar, histogram, lines, stacked_bars
from catalog_gen.report.night_facts import MAX_LISTED, Price, Tally, headline, night_facts
from catalog_gen.report.night_head import duration, head
from catalog_gen.report.night_panels import panels
from catalog_gen.report.night_rows import Row, duplicate_of, reason_groups
from catalog_gen.report.night_scores import Scores, score_facts
from catalog_gen.report.night_tables import COLUMNS, NightTables
from catalog_gen.report.thumbnails import Thumbnails
from report.night_fixtures import RUN, picture, restyled, write_page

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("reason", "groups"),
    [
        ("", []),
        ("similarity 0.312 below 0.375", ["similarity below 0.375"]),
        ("near-duplicate of 12 428", ["near-duplicate of another product"]),
        ("similarity 0.1 below 0.3; noise: no shapes", ["similarity below 0.3", "noise: no shapes"]),
        ("colour difference of the worst 5 % 9.12 above 8", ["colour difference of the worst 5 % above 8"]),
        ("file:///a/b.webp: is missing. Was the folder moved?", ["… is missing. Was the folder moved?"]),
        ("told apart along 14% of its outline", ["told apart along …% of its outline"]),
        ("storing: the disk is full after 3 tries", ["storing: the disk is full after … tries"]),
        ("encoding: ValueError: 'x' is no name", ["encoding: ValueError: … is no name"]),
        ('of its kind, "6", the generator saw too few photos: 7 of 20',
         ["of its kind, …, the generator saw too few photos: … of …"]),
        ("noise: no shapes; noise: no shapes", ["noise: no shapes"]),
    ],
)  # fmt: skip
def test_reasons_are_counted_by_what_they_have_in_common(reason: str, groups: list[str]) -> None:
    assert reason_groups(reason) == groups


def test_the_duplicate_is_named() -> None:
    assert duplicate_of("similarity 0.1 below 0.3; near-duplicate of A 1") == "A 1"
    assert duplicate_of("similarity 0.1 below 0.3") == ""


def test_histograms_of_two_nights_share_their_bins() -> None:
    now = Scores().add_all([{"similarity": 0.1}, {"similarity": 0.3}, {"similarity": 0.9}, {"similarity": "no number"}])
    before = Scores().add_all([{"similarity": 0.5}, {"similarity": float("nan")}])
    (facts,) = score_facts(now, before, {"similarity": 0.4})
    # 0.8 wide / 32 is 0.025: bins from 0.1, the last begins at 0.9.
    assert (facts["start"], facts["step"], facts["limit"]) == (0.1, 0.025, 0.4)
    counts = facts["now"]["histogram"]
    assert len(counts) == 33 and sum(counts) == 3
    assert (counts[0], counts[8], counts[32]) == (1, 1, 1)
    assert facts["before"]["histogram"][16] == 1 and facts["before"]["pictures"] == 1
    assert (facts["now"]["mean"], facts["now"]["low"], facts["now"]["high"]) == (0.4333, 0.1, 0.9)
    assert (facts["now"]["p10"], facts["now"]["p50"], facts["now"]["p90"]) == (0.14, 0.3, 0.78)


def test_a_histogram_counts_as_numpy_does() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 5000).round(4)
    (facts,) = score_facts(Scores().add_all({"similarity": float(v)} for v in values), Scores(), {})
    counts = facts["now"]["histogram"]
    edges = facts["start"] + facts["step"] * np.arange(len(counts) + 1)
    expected, _ = np.histogram(values, edges + 1e-9 * (np.arange(len(edges)) - len(edges)))
    assert sum(counts) == 5000
    assert np.abs(np.array(counts) - expected).sum() <= 4  # values that stand exactly on an edge


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-9])
def test_one_value_is_a_distribution_too(value: float) -> None:
    (facts,) = score_facts(Scores().add_all([{"ssim": value}] * 3), Scores(), {})
    assert sum(facts["now"]["histogram"]) == 3
    assert facts["start"] <= value <= facts["start"] + facts["step"] * len(facts["now"]["histogram"])


def tallied() -> Tally:
    """Ten rows: six drafts, two for review, one failed, one skipped."""
    tally = Tally()
    for number in range(10):
        sku = f"S{number}"
        if number < 6:
            tally.add(Row(sku, "", "Shoes", "generated", "", (picture(number, scores={"similarity": 0.5}),)))
        elif number < 8:
            reason = "similarity 0.1 below 0.3; near-duplicate of S1"
            doubtful = picture(number, state="needs_review", scores={"similarity": 0.1})
            tally.add(Row(sku, "", "Bags", "needs_review", reason, (doubtful,)))
        else:
            tally.add(Row(sku, "", "Bags", "failed" if number == 8 else "skipped", "no words"))
    return tally


def test_the_facts_of_a_night() -> None:
    first = replace(
        RUN, id="1", counts={"claimed": 100, "generated": 80, "needs_review": 20, "failed": 0}, seconds=100.0
    )
    second = replace(
        RUN, id="2", counts={"claimed": 50, "generated": 20, "needs_review": 20, "failed": 10}, seconds=300.0
    )
    idle = replace(RUN, id="3", counts={"claimed": 0}, seconds=1.0)
    reasons = [("needs_review", "similarity 0.2 below 0.3", 12), ("needs_review", "similarity 0.1 below 0.3", 3)]
    facts = night_facts(
        RUN,
        tallied(),
        nights=[(first, 0.4), (second, 0.5), (idle, None)],
        earlier=(Scores(), reasons),
        price=Price(6.0, "EUR"),
    )
    assert facts["rows"] == 10 == sum(facts["outcomes"].values())
    assert (facts["made"], facts["pictures"], facts["score"]) == (8, 8, "similarity")
    assert headline(facts) == ("10 rows asked for, 8 made: 6 drafts, 2 for a person to look at; 1 failed, 1 skipped.")
    assert [(each["outcome"], each["reason"], each["rows"], each["before"]) for each in facts["reasons"]] == [
        ("needs_review", "near-duplicate of another product", 2, 0),
        ("needs_review", "similarity below 0.3", 2, 15),
        ("failed", "no words", 1, 0),
        ("skipped", "no words", 1, 0),
    ]
    # 600 s at 6 EUR an hour is 1 EUR, of which draw has 300 of 400 busy seconds.
    assert facts["cost"] == {"per_hour": 6.0, "currency": "EUR", "total": 1.0, "per_thousand_pictures": 125.0}
    assert [(stage["stage"], stage["share"], stage["cost"]) for stage in facts["stages"]] == [
        ("draw", 0.75, 0.75),
        ("record", 0.25, 0.25),
    ]
    assert [(night["run"], night["drafts"], night["score"], night["this"]) for night in facts["nights"]] == [
        ("1", 80, 0.4, False),
        ("2", 20, 0.5, False),
        ("3", 0, None, False),
        (RUN.id, 6, 0.4, True),
    ]
    usual = facts["usual"]
    assert (usual["nights"], usual["claimed"], usual["seconds"], usual["review_share"]) == (2, 75.0, 200.0, 0.3)
    assert [(each["category"], each["rows"]) for each in facts["categories"]] == [("Shoes", 6), ("Bags", 4)]
    assert facts["categories"][1]["scores"]["similarity"] == {"p10": 0.1, "p50": 0.1, "p90": 0.1}
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_without_a_price_the_report_says_so() -> None:
    nothing: tuple[Scores, list[tuple[str, str, int]]] = (Scores(), [])
    facts = night_facts(RUN, tallied(), nights=[], earlier=nothing, price=Price(None, ""))
    assert facts["cost"]["total"] is None and facts["stages"][0]["cost"] is None and facts["usual"] is None
    page = head(facts) + panels(facts, [])
    assert page.count("report.cost_per_hour is not set") == 2
    assert "This is the first run of its job" in page


def test_a_night_without_rows_is_told() -> None:
    nothing: tuple[Scores, list[tuple[str, str, int]]] = (Scores(), [])
    broken = replace(
        RUN, state="failed", exit_code=69, message="the <bucket> is away", counts={}, timings={}, seconds=None
    )
    facts = night_facts(broken, Tally(), nights=[], earlier=nothing, price=Price(1.0, "EUR"))
    page = head(facts) + panels(facts, [])
    assert headline(facts) == "No row was asked for."
    assert "the &lt;bucket&gt; is away" in page and ">failed<" in page


def test_only_the_first_refused_rows_are_held() -> None:
    tally = Tally()
    for number in range(MAX_LISTED + 7):
        tally.add(Row(f"S{number}", "", "", "failed", "why"))
    assert len(tally.refused) == MAX_LISTED and tally.outcomes["failed"] == MAX_LISTED + 7


def test_durations_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (0.4, 55, 840, 4_800, 7_260)] == [
        "0 s",
        "55 s",
        "14 min",
        "80 min",
        "2 h 1 min",
    ]


def test_tables_hold_every_row_and_no_formula(tmp_path: Path) -> None:
    first = picture(1, prompt="+1", scores={"similarity": -0.5, "new": 2})
    rows = [
        Row("1", "=HYPERLINK(1)", "Shoes", "generated", "", (first,)),
        Row("2", 'Two, "quoted"\nlines', "", "failed", "@why"),
        Row("3", "", "", "", "", (restyled(1, sku="3"), restyled(2, sku="3", variant="wide"))),
    ]
    with NightTables(tmp_path / "n.json", tmp_path / "n.csv") as tables:
        for row in rows:
            tables.add(row)
        tables.write({"format": "x"})
    document = json.loads((tmp_path / "n.json").read_text(encoding="utf-8"))
    assert document["format"] == "x"
    items = document["items"]
    assert [(item["sku"], item["title"], item["outcome"], len(item["pictures"])) for item in items] == [
        ("1", "=HYPERLINK(1)", "generated", 1),
        ("2", 'Two, "quoted"\nlines', "failed", 0),
        ("3", "", None, 2),
    ]
    assert items[0]["pictures"][0]["seed"] == "9223372036854775806"  # text: JavaScript's numbers end before
    with (tmp_path / "n.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 4 and set(read[0]) == set(COLUMNS)
    assert (read[0]["title"], read[0]["words"], read[0]["similarity"]) == ("'=HYPERLINK(1)", "'+1", "-0.5")
    assert read[0]["other_scores"] == '{"new": 2}'
    assert (read[1]["title"], read[1]["reason"], read[1]["asset"]) == ('Two, "quoted"\nlines', "'@why", "")
    assert [line["output"] for line in read[2:]] == ["square", "wide"]


def test_tables_of_no_row_are_whole(tmp_path: Path) -> None:
    with NightTables(tmp_path / "n.json", tmp_path / "n.csv") as tables:
        tables.write({"rows": 0})
    assert json.loads((tmp_path / "n.json").read_text(encoding="utf-8")) == {"rows": 0, "items": []}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        NightTables(tmp_path / "file" / "n.json", tmp_path / "n.csv") as tables,
        pytest.raises(Unavailable, match="file"),
    ):
        tables.write({})


def test_bars_are_as_high_as_their_numbers() -> None:
    chart = Chart("c", "Rows <b>", "about")
    series = [Series("draft", "drafts", [10, 5]), Series("failed", "failed", [0, 5])]
    figure = stacked_bars(chart, ["1 Jan, 02:00", "2 Jan, 02:00"], series, now=1)
    drawing = svg_of(figure)
    bars = [(rect.get("class"), float(rect.get("height", 0))) for rect in drawing.iter(f"{SVG}rect")]
    # The axis ends at 10, and 154 of the drawing's 190 are the axis; a hair is left between stacked bars.
    assert bars == [("draft", 153.4), ("draft", 76.4), ("failed", 76.4)]
    assert "Rows &lt;b&gt;" in figure
    assert "<td>10</td><td>0</td>" in figure and '<th scope="row">1 Jan, 02:00</th>' in figure


def test_a_night_without_a_value_is_a_gap() -> None:
    figure = lines(
        Chart("c", "t", "a", 1), ["a", "b", "c", "d"], [Series("now", "mean", [1.0, None, 2.0, 3.0])], limit=1.5
    )
    (path,) = [path for path in svg_of(figure).iter(f"{SVG}path") if "line" in (path.get("class") or "").split()]
    assert [path.get("d", "").count(letter) for letter in "ML"] == [2, 1]
    assert "<td>–</td>" in figure and "threshold 1.5" in figure


def test_a_histogram_shows_shares() -> None:
    series = [Series("now", "this night", [1, 3]), Series("before", "before", [100, 300])]
    drawing = svg_of(histogram(Chart("c", "t", "a", 2), 0.0, 0.5, series, limit=0.25))
    heights = [float(rect.get("height", 0)) for rect in drawing.iter(f"{SVG}rect")]
    assert heights == [48.12, 144.38]  # 25 and 75 of 80 per cent of 154
    (limit,) = [path for path in drawing.iter(f"{SVG}path") if path.get("class") == "limit"]
    assert limit.get("d", "").startswith("M133.0 ")  # a quarter of the way from 40 to 412


def test_a_bar_stays_in_its_cell() -> None:
    assert 'width="100.0%"' in bar(7.0) and 'width="0.0%"' in bar(-1.0) and 'width="12.5%"' in bar(0.125)


def svg_of(figure: str) -> ElementTree.Element:
    start, end = figure.index("<svg"), figure.index("</svg>") + 6
    return ElementTree.fromstring(figure[start:end].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def stored(size: int, seed: int) -> bytes:
    """A picture that compresses badly, as it is stored: with its provenance."""
    rgb = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    return encode_image(rgb, "webp", 90, build_xmp(Provenance("s", "p", "gan-64@1", "clip@2", seed)))


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def test_a_small_picture_goes_in_as_it_is() -> None:
    data = stored(48, 1)
    uri = Thumbnails(512, 10).make(data)
    assert uri.startswith("data:image/webp;base64,") and decoded(uri) == data


def test_thumbnails_stay_within_the_budget_and_say_what_they_are() -> None:
    pictures = [stored(240, seed) for seed in range(12)]
    thumbnails = Thumbnails(200, len(pictures), budget=180_000)
    uris = [thumbnails.make(data) for data in pictures]
    assert sum(map(len, uris)) - 12 * len("data:image/webp;base64,") == thumbnails.used <= 180_000
    sizes = [Image.open(io.BytesIO(decoded(uri))).size for uri in uris]
    assert all(96 <= width <= 200 for width, _ in sizes) and min(sizes) < (200, 200)
    assert {read_provenance(decoded(uri))["source_type"] for uri in uris} == {"trainedAlgorithmicMedia"}


def test_a_page_of_two_thousand_large_pictures_is_below_25_megabytes(tmp_path: Path) -> None:
    """Whatever the pictures: their share of the budget is kept, and all the rest of the page is what it is."""
    share = Thumbnails(1080, 2000)._share()
    assert 2000 * share * 4 / 3 <= 22_000_000
    bare = write_page(tmp_path / "n.html", [picture(n, prompt="words " * 30) for n in range(2000)])
    assert bare.stat().st_size + 22_000_000 < 25_000_000


def test_a_damaged_picture_is_an_error_of_its_own() -> None:
    with pytest.raises(PhotoError):
        Thumbnails(200, 1).make(b"RIFF not a picture")
