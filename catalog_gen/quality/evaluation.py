"""All metrics of one set of pictures, as estimates; and what can be said of them beside the same of real photos.

The same function measures the drawn pictures, held-out photos (the floor of distances, the ceiling of readings) and the
mean picture (what a generator that heard no words and had no noise could do), so that bounds and figures are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog_gen.quality.distances import enough_for_covariance, frechet_distance, kernel_distance
from catalog_gen.quality.estimate import Estimate, average, share, told_apart
from catalog_gen.quality.neighbours import (
    DENSITY_K,
    MANIFOLD_K,
    copy_distance,
    coverage,
    density,
    nearest,
    precision,
    recall,
    unit,
    within_kind,
    within_prompt,
)
from catalog_gen.quality.probes import FEWEST, Probe, fit_probe, with_colours
from catalog_gen.quality.readings import Readings
from catalog_gen.quality.words import CHOICES, clip_similarity, r_precision

Floats = npt.NDArray[np.float32]

# Of a document, for its figures to compare:
ALIKE = ("rows", "view", "candidates", "truncation", "upscaler", "held_out_rule", "training_photos", "features")
UNSAID = "unsaid"  # by an earlier version's document
NO_UPSCALER = "none"
_ONCE = {"upscaler": NO_UPSCALER}  # what documents of before did not need to say
FEWEST_PICTURES = 2 * DENSITY_K + 2  # below, not even the neighbourhoods mean anything


@dataclass(frozen=True)
class Column:
    """One metric's place in the table. `better`: "up", "down", or "one" for a ratio that is best near 1."""

    name: str
    title: str
    better: str
    scale: float = 1.0
    digits: int = 3


COLUMNS = (
    Column("fd", "FD", "down", digits=1),
    Column("kid", "KID x1000", "down", 1000.0, 1),
    Column("inception_fid", "Inception FID", "down", digits=1),
    Column("precision", f"precision (k={MANIFOLD_K})", "up"),
    Column("recall", f"recall (k={MANIFOLD_K})", "up"),
    Column("density", f"density (k={DENSITY_K})", "up"),
    Column("coverage", f"coverage (k={DENSITY_K})", "up"),
    Column("kind", "kind read off it", "up"),
    Column("kind_share", "kind / photos", "up"),
    Column("colour", "colour read off it", "up"),
    Column("colour_share", "colour / photos", "up"),
    Column("clip", "CLIP similarity *", "up"),
    Column("r_precision", "R-precision *", "up"),
    Column("variety", "variety within a prompt", "up"),
    Column("copy_ratio", "distance to nearest photo", "one"),
    Column("memorised", "copies of a photo", "down"),
)


@dataclass(frozen=True)
class Judged:
    """A set of pictures as the judges see it: pixels (N, S, S, 3), features (N, D), CLIP vectors (N, E)."""

    pixels: npt.NDArray[np.uint8]
    features: Floats
    vectors: Floats


@dataclass(frozen=True)
class Asked:
    """What the N pictures should show: prompts and their CLIP vectors (N, E), kinds, colours."""

    prompts: Sequence[str]
    texts: Floats
    kinds: Sequence[str]
    colours: Sequence[str]


@dataclass(frozen=True)
class Reference:
    """The training photos, and what was learnt from them.

    sample: features (n, D) of as many photos as there are pictures. train: of all, at unit length. unseen: (N,) the
    distances of held-out photos to their nearest training photo.
    """

    sample: Floats
    train: Floats
    unseen: npt.NDArray[np.float64]
    kind: Probe | None
    colour: Probe | None


def learn(train: Judged, kinds: Sequence[str], colours: Sequence[str], held_out: Floats, count: int) -> Reference:
    """Return the reference for `count` pictures: the probes fitted, the sample drawn (seed 0), distances measured."""
    chosen = np.sort(np.random.default_rng(0).choice(len(train.features), min(count, len(train.features)), False))
    directions = unit(train.features)
    return Reference(
        sample=train.features[chosen],
        train=directions,
        unseen=nearest(unit(held_out), directions),
        kind=fit_probe(train.features, kinds),
        colour=fit_probe(with_colours(train.features, train.pixels), colours),
    )


def measure(pictures: Judged, reference: Reference, asked: Asked | None) -> dict[str, Estimate]:
    """Return every metric of `pictures` by name; those about words only when it is known what was `asked`."""
    features, photos = pictures.features, reference.sample
    directions, photo_directions = unit(features), unit(photos)
    away = nearest(directions, reference.train)
    found = {
        "fd": Estimate(frechet_distance(features, photos), len(features)),
        "kid": kernel_distance(features, photos),
        "precision": share(precision(directions, photo_directions)),
        "recall": share(recall(directions, photo_directions)),
        "density": average(density(directions, photo_directions)),
        "coverage": share(coverage(directions, photo_directions)),
        "memorised": share(away <= copy_distance(reference.unseen)),
    }
    usual = float(np.median(reference.unseen))
    if usual > 0:
        found["copy_ratio"] = average(away / usual, of="median")
    if asked is not None:
        found |= _words(pictures, reference, asked)
    return found


def read_off(pictures: Judged, reference: Reference, asked: Asked) -> Readings:
    """Return for "kind" and "colour" (N,): 1 where the probe reads it off the picture, 0 where not.

    NaN where the probe does not know what was asked for; without a probe the name is left out.
    """
    found: Readings = {}
    if reference.kind is not None:
        found["kind"] = _hits(reference.kind, pictures.features, asked.kinds)
    if reference.colour is not None:
        coloured = with_colours(pictures.features, pictures.pixels)
        found["colour"] = _hits(reference.colour, coloured, asked.colours)
    return found


def _hits(probe: Probe, features: Floats, labels: Sequence[str]) -> npt.NDArray[np.float64]:
    found = np.full(len(labels), np.nan)
    found[probe.knows(labels)] = probe.reads(features, labels)
    return found


def variety(draws: Floats, kinds: Sequence[str], photos: Floats, photo_kinds: Sequence[str]) -> Estimate | None:
    """Return how unlike the draws of one prompt are, as a share of how unlike two real photos of its kind are.

    draws: features (V, M, D) of M draws for each of V prompts; photos: (N, D); all at unit length. None when no
    prompt's kind has two photos.
    """
    usual = within_kind(photos, photo_kinds)
    pairs = zip(within_prompt(draws), kinds, strict=True)
    ratios = [apart / usual[kind] for apart, kind in pairs if usual.get(kind, 0.0) > 0]
    return average(ratios) if ratios else None


def table_rows(
    pictures: dict[str, Estimate], real: dict[str, Estimate], mean: dict[str, Estimate], dim: int
) -> list[dict[str, Any]]:
    """Return the metrics as JSON-ready rows: title, pictures, real, mean_picture, verdict; those nobody has left out.

    dim: of the features, below which the covariances of FD are not of full rank.
    """
    rows = []
    for column in COLUMNS:
        sides = [side.get(column.name) for side in (pictures, real, mean)]
        if sides == [None] * 3:
            continue
        drawn, photos, _ = sides
        rows.append(
            asdict(column)
            | dict(zip(("pictures", "real", "mean_picture"), (side and asdict(side) for side in sides), strict=True))
            | {"verdict": verdict(column, drawn, photos, dim) if drawn and photos else ""}
        )
    return rows


def verdict(column: Column, one: Estimate, other: Estimate, dim: int = 0) -> str:
    """Return how `one` stands to `other`: "better", "worse", "nearer", "further", or why that cannot be told."""
    apart = told_apart(one, other)
    if apart is None:
        return "" if enough_for_covariance(one.count, dim) else "biased: few pictures"
    if not apart:
        return "too small to tell"
    above = one.value > other.value
    if column.better == "one":
        return "further" if above else "nearer"
    return "better" if above == (column.better == "up") else "worse"


def notes(reference: Reference, asked: Asked | None, count: int, dim: int) -> list[str]:
    """Return what a reader must know about the figures, a line each."""
    lines = []
    if not enough_for_covariance(count, dim):
        lines.append(
            f"FD: {count:,} pictures are too few for a covariance of {dim:,} dimensions; it is biased upwards and only"
            " comparable with the same number of pictures. KID is not."
        )
    if asked is None:
        lines.append("The pictures are not named by held-out skus, so nothing is said of words, kinds and colours.")
        return lines
    for name, probe, labels in (("kind", reference.kind, asked.kinds), ("colour", reference.colour, asked.colours)):
        if probe is None:
            lines.append(f"{name}: fewer than two of them have {FEWEST} training photos, so none can be read.")
        else:
            known = float(probe.knows(labels).mean())
            lines.append(
                f"{name}: a linear probe of {len(probe.classes)} of them ({FEWEST} training photos each at least)"
                f" that cover {known:.0%} of the rows."
            )
    choices = min(CHOICES, len(set(asked.prompts)))
    lines.append(f"R-precision: how often a picture finds its own words first among those of {choices} rows.")
    lines.append("* Not independent: candidates are chosen by this CLIP, and it embeds the words that were drawn from.")
    return lines


def set_beside(document: dict[str, Any], earlier: dict[str, Any], dim: int) -> None:
    """Add to each metric of `document` its value in an `earlier` one, and what can be said of the change.

    A note says in what the two were not measured alike.
    """
    before = {row["name"]: row for row in earlier["metrics"]}
    columns = {column.name: column for column in COLUMNS}
    for row in document["metrics"]:
        then = (before.get(row["name"]) or {}).get("pictures")
        row["earlier"] = then
        row["change"] = ""
        if row["pictures"] and then:
            row["change"] = verdict(columns[row["name"]], Estimate(**row["pictures"]), Estimate(**then), dim)
    document["earlier"] = {"name": earlier["name"], "hash": earlier["hash"]}
    unlike = [(name, document[name], earlier.get(name, _ONCE.get(name, UNSAID))) for name in ALIKE]
    unlike = [(name, here, there) for name, here, there in unlike if here != there]
    if unlike:
        said = ", ".join(f"{name} {here} here and {there} there" for name, here, there in unlike)
        document["notes"].append(f"Earlier figures were not measured alike: {said}.")


def _words(pictures: Judged, reference: Reference, asked: Asked) -> dict[str, Estimate]:
    found = {"clip": average(clip_similarity(pictures.vectors, asked.texts))}
    if len(set(asked.prompts)) > 1:
        found["r_precision"] = share(r_precision(pictures.vectors, asked.texts, asked.prompts))
    known = {name: hits[~np.isnan(hits)] for name, hits in read_off(pictures, reference, asked).items()}
    return found | {name: share(hits) for name, hits in known.items() if len(hits)}
