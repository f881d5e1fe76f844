"""From how many training photos on a generator knows a kind of product: what `gate.min_photos` is set by.

Up to eight training products of each category get a picture, the best of four by CLIP, seen at 64 px. A picture (or a
photo) is recognised when the mean photo of its own category is the nearest of all categories', in the features of a
network that no training used. The mean leaves out the product's own photo; a product that has no other of its category
is asked with its photo in the mean, and its photo is not asked.

    PYTHONPATH=tests python -m rare_kinds --database sqlite:///catalog-gen.sqlite3 --work work/rare
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import load_bundle
from catalog_gen.catalog.database import open_database
from catalog_gen.clip.model import load_clip
from catalog_gen.config import Settings
from catalog_gen.gan.sampling import load_drawer
from catalog_gen.pipeline.evaluated import Drawing, SplitRequest, delivered, draw_rows, load_sides
from catalog_gen.pipeline.models import configured_upscaler
from catalog_gen.quality.lite1 import Lite1Features, cached_features
from catalog_gen.quality.neighbours import unit
from catalog_gen.quality.words import clip_similarity
from catalog_gen.training_data import TrainRow

STEPS = (1, 5, 10, 20, 40, 80, 160)  # photos of a category: where each line of the table begins
EACH, CANDIDATES, VIEW = 8, 4, 64

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """What came of one product. photo: None where the category has no other."""

    photos: int
    picture: bool
    photo: bool | None
    held_back: bool


class Means:
    """The mean photo of each category, from unit-norm features (N, D) of its photos."""

    def __init__(self, features: Floats, categories: Sequence[str]) -> None:
        self.names = sorted(set(categories))
        self.place = {name: at for at, name in enumerate(self.names)}
        self.owners = np.array([self.place[name] for name in categories])
        self.counts = np.bincount(self.owners)
        self.sums = np.zeros((len(self.names), features.shape[1]), np.float32)
        np.add.at(self.sums, self.owners, features)

    def knows(self, seen: Floats, category: str, own: Floats | None) -> bool:
        """Return whether the category's mean is the nearest to `seen` (D,). own: a photo that its mean leaves out."""
        at, sums = self.place[category], self.sums
        if own is not None:
            sums = sums.copy()
            sums[at] -= own
        return int((unit(sums) @ seen).argmax()) == at


def choose(rows: Sequence[TrainRow], seed: int) -> list[int]:
    """Return the places of up to `EACH` rows of every category that has a name."""
    places = defaultdict(list)
    for at in np.random.default_rng(seed).permutation(len(rows)):
        if rows[at].category and len(places[rows[at].category]) < EACH:
            places[rows[at].category].append(int(at))
    return sorted(at for some in places.values() for at in some)


def lines(asked: Sequence[Asked], counts: Sequence[int]) -> list[str]:
    """Return the table in markdown. counts: photos of each category."""
    found = ["| training photos | categories | pictures | real photos | held back by CLIP |"]
    found.append("| --- | ---: | ---: | ---: | ---: |")
    for low, high in zip(STEPS, (*STEPS[1:], sys.maxsize), strict=True):
        some = [one for one in asked if low <= one.photos < high]
        if not some:
            continue
        said = f"{low} and more" if high == sys.maxsize else f"{low} to {high - 1}"
        kinds = sum(low <= count < high for count in counts)
        photos = [one.photo for one in some if one.photo is not None]
        figures = (_share(few) for few in ([one.picture for one in some], photos, [one.held_back for one in some]))
        found.append(f"| {said} | {kinds} | {' | '.join(figures)} |")
    return found


def _share(of: Sequence[bool]) -> str:
    return f"{np.mean(of):.2f}" if of else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True)
    parser.add_argument("--work", type=Path, required=True, help="Folder for photos and features.")
    parser.add_argument("--gan", default=Settings().gan.model)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = Settings.model_validate({"database": {"url": given.database}, "gan": {"model": given.gan}})
    network, clip = Lite1Features(), load_clip(settings.clip.model)
    wanted = SplitRequest((), None, VIEW, given.work)
    train, _, _ = load_sides(settings, open_database(given.database), load_bundle(given.gan, "gan"), wanted)
    features = unit(cached_features(network, train.photos, given.work))
    means = Means(features, [row.category for row in train.rows])
    places = choose(train.rows, given.seed)
    rows = [train.rows[at] for at in places]
    drawer = load_drawer(given.gan, clip.text, "cpu", settings.gan.precision)
    drawn = draw_rows(drawer, clip, rows, len(rows), Drawing(CANDIDATES))
    seen = unit(network(delivered(drawn.pixels, configured_upscaler(settings.upscale), VIEW)))
    vectors = clip.embed_images(torch.from_numpy(drawn.pixels.transpose(0, 3, 1, 2)))
    likeness = clip_similarity(vectors, clip.embed_texts([row.prompt for row in rows]))
    assert clip.threshold is not None, "a calibrated CLIP"
    asked = []
    for row, at, picture, similarity in zip(rows, places, seen, likeness, strict=True):
        count = int(means.counts[means.place[row.category]])
        own = features[at] if count > 1 else None
        photo = means.knows(features[at], row.category, own) if own is not None else None
        known = means.knows(picture, row.category, own)
        asked.append(Asked(count, known, photo, bool(similarity < clip.threshold)))
    about = f"{given.gan}, {clip.name}, {len(rows)} products of {len(means.names)} categories"
    sys.stdout.write("\n".join([about, "", *lines(asked, means.counts.tolist()), ""]))


if __name__ == "__main__":
    main()
