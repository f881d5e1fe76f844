"""How good the mattes of real photos are, by judges that know nothing of how a matte is made.

    PYTHONPATH=.:tests python -m mattes --photos IMAGES --products products.csv --out sheet.png

Each photo is cut out and judged four ways; a matte is good when all four say so:

- faithful: laid back on the photo's own ground (the median of its border's brightest half) it gives the photo again
  inside the product, by the mean difference in CIELAB;
- kind: a linear probe on EfficientNet-Lite1's features, that learnt the products' kinds from other photos, whole and
  cut out, reads the same kind off the cut-out laid on grey as off the photo, or the right one;
- outline: where the matte has its edge the photo has one, and no long stretch of it has none;
- rest: nothing else is left on the ground: what the matte leaves out looks like the border, or is soft as a shadow.

The sheet shows the worst 24: photo, on magenta, on dark blue.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from catalog_gen.photos import letterbox, open_photo
from catalog_gen.quality.lite1 import Lite1Features
from catalog_gen.quality.probes import fit_probe
from catalog_gen.style.matte import Cutout, cut_out

Floats = npt.NDArray[np.float32]

MOST_UNFAITHFUL = 1.0  # CIELAB units
LEAST_OUTLINE = 0.85  # of the outline's length on an edge of the photo
LONGEST_STRAY = 16  # px of outline in one piece where the photo has no edge
EDGE = 1.2  # CIELAB units a pixel: the slope of an edge
MOST_REST = 0.02  # of the picture's area left out though it is not ground
SEEN = 128  # px: what the probe is shown
GREY = (128, 128, 128)


@dataclass(frozen=True)
class Judged:
    name: str
    unfaithful: float
    outline: float
    stray: int
    rest: float
    kind_kept: bool
    fault: str
    doubt: str

    @property
    def badness(self) -> float:
        """How far the worst of the four is over its limit; up to 1 is good."""
        if self.fault:
            return 9.0
        outline = (1 - self.outline) / (1 - LEAST_OUTLINE)
        kind = 0.0 if self.kind_kept else 1.5
        return max(self.unfaithful / MOST_UNFAITHFUL, outline, self.stray / LONGEST_STRAY, self.rest / MOST_REST, kind)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def laid_on(cutout: Cutout, colour: tuple[int, int, int]) -> Image.Image:
    alpha = cutout.alpha[..., None]
    mixed = alpha * cutout.rgb * 255 + (1 - alpha) * np.array(colour, np.float32)
    return Image.fromarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))


def lab(rgb: Floats) -> Floats:
    """Return CIELAB (D65) of sRGB (..., 3) in [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(
        [[0.4124564, 0.2126729, 0.0193339], [0.3575761, 0.7151522, 0.1191920], [0.1804375, 0.0721750, 0.9503041]]
    )
    scaled = xyz / np.array([0.95047, 1.0, 1.08883])
    root = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    lightness, a, b = 116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])
    return np.stack([lightness, a, b], axis=-1).astype(np.float32)


def border_colour(rgb: Floats) -> Floats:
    border = np.concatenate([rgb[:3].reshape(-1, 3), rgb[-3:].reshape(-1, 3), rgb[:, :3].reshape(-1, 3),
                             rgb[:, -3:].reshape(-1, 3)])  # fmt: skip
    bright = border.mean(axis=1)
    return np.asarray(np.median(border[bright >= np.median(bright)], axis=0), np.float32)


def judge_pixels(photo: Image.Image, cutout: Cutout) -> tuple[float, float, int, float]:
    """Return unfaithful (CIELAB units), outline (share), stray (px) and rest (share of the picture)."""
    rgb = np.asarray(photo, dtype=np.float32) / 255
    ground = border_colour(rgb)
    alpha = cutout.alpha[..., None]
    seen, again = lab(rgb), lab(alpha * cutout.rgb + (1 - alpha) * ground)
    apart = np.sqrt(((seen - again) ** 2).sum(axis=-1))
    product = cutout.alpha > 0.02
    unfaithful = float(apart[product].mean()) if product.any() else 100.0
    solid = cutout.alpha > 0.5
    rim = solid & ~ndimage.binary_erosion(solid, border_value=1)
    slope = np.hypot(ndimage.sobel(seen[..., 0], 0), ndimage.sobel(seen[..., 0], 1)) / 8
    for channel in (1, 2):
        slope = np.maximum(slope, 0.5 * np.hypot(*(ndimage.sobel(seen[..., channel], axis) for axis in (0, 1))) / 8)
    found = ndimage.maximum_filter(slope, 3) > EDGE
    outline = float(found[rim].mean()) if rim.any() else 0.0
    pieces, count = ndimage.label(rim & ~found, np.ones((3, 3)))
    stray = int(np.bincount(pieces.ravel())[1:].max()) if count else 0
    different = np.sqrt(((seen - lab(ground[None, None])) ** 2).sum(axis=-1)) > 6
    hard = ndimage.maximum_filter(slope, 3) > 2.5
    near = ndimage.binary_dilation(solid, iterations=2)
    rest = float((different & hard & ~near).mean())
    return unfaithful, outline, stray, rest


def judge(photos: list[Path], kinds: list[str], probe_photos: list[Path], probe_kinds: list[str]) -> list[Judged]:
    network = Lite1Features()
    whole = [open_photo(path) for path in probe_photos]
    cut_up = [laid_on(cut_out(photo), GREY) for photo in whole]
    probe = fit_probe(network(np.concatenate([_seen(whole), _seen(cut_up)])), probe_kinds * 2)
    assert probe is not None, "too few photos of each kind"
    judged, spent = [], 0.0
    for start in range(0, len(photos), 256):
        opened = [open_photo(path) for path in photos[start : start + 256]]
        began = time.process_time()
        cut = [cut_out(photo) for photo in opened]
        spent += time.process_time() - began
        truth = kinds[start : start + 256]
        read = probe.model.predict(network(_seen(opened)))
        kept = probe.model.predict(network(_seen([laid_on(one, GREY) for one in cut])))
        for path, photo, one, real, before, after in zip(
            photos[start : start + 256], opened, cut, truth, read, kept, strict=True
        ):
            same = after in (before, real) or before != real  # what it cannot read off the photo, it is not asked
            judged.append(Judged(path.stem, *judge_pixels(photo, one), bool(same), one.fault, one.doubt))
    say(f"{1000 * spent / len(photos):.0f} ms of one core a photo")
    return judged


def _seen(photos: list[Image.Image]) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(letterbox(photo, SEEN, fill=GREY)) for photo in photos])


def draw_sheet(paths: list[Path], out: Path) -> None:
    rows = []
    for path in paths:
        photo = open_photo(path)
        photo.thumbnail((168, 224))
        cutout = cut_out(open_photo(path))
        shown = [photo, *(laid_on(cutout, colour).resize(photo.size) for colour in ((255, 0, 255), (10, 10, 60)))]
        tile = Image.new("RGB", (3 * 170, 226), (0, 160, 0))
        for index, picture in enumerate(shown):
            tile.paste(picture, (index * 170, 0))
        rows.append(tile)
    sheet = Image.new("RGB", (4 * 514, 226 * ((len(rows) + 3) // 4)))
    for index, tile in enumerate(rows):
        sheet.paste(tile, ((index % 4) * 514, (index // 4) * 226))
    sheet.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge the mattes of real photos.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--products", type=Path, required=True, help="CSV with the columns id and articleType")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=0, help="a sample of this many; 0 is all")
    parser.add_argument("--probe", type=int, default=2000, help="photos that the probe learns from")
    chosen = parser.parse_args()
    with chosen.products.open(encoding="utf-8", newline="") as file:
        kind_of = {row["id"]: row["articleType"] for row in csv.DictReader(file)}
    paths = sorted(path for path in chosen.photos.glob("*.jpg") if path.stem in kind_of)
    random.Random(0).shuffle(paths)
    learnt, asked = paths[: chosen.probe], paths[chosen.probe :][: chosen.count or None]
    folds = [(asked, learnt)] if chosen.count else [(asked, learnt), (learnt, asked[: chosen.probe])]
    judged = []
    for asked, learnt in folds:  # no probe is asked of a photo that it learnt from
        judged += judge(asked, [kind_of[path.stem] for path in asked], learnt, [kind_of[path.stem] for path in learnt])
    count = len(judged)
    say(f"good: {sum(one.badness <= 1 for one in judged) / count:.4f} of {count}")
    say(f"faithful {np.mean([one.unfaithful <= MOST_UNFAITHFUL for one in judged]):.4f}")
    say(f"outline {np.mean([one.outline >= LEAST_OUTLINE for one in judged]):.4f}")
    say(f"stray {np.mean([one.stray <= LONGEST_STRAY for one in judged]):.4f}")
    say(f"rest {np.mean([one.rest <= MOST_REST for one in judged]):.4f}")
    say(f"kind {np.mean([one.kind_kept for one in judged]):.4f}, faults {sum(bool(one.fault) for one in judged)}")
    doubted = [one for one in judged if one.doubt or one.fault]
    bad = sum(one.badness > 1 for one in judged)
    caught = sum(one.badness > 1 for one in doubted)
    say(f"doubted {len(doubted)}: {caught} of {bad} bad, {len(doubted) - caught} of {count - bad} good")
    worst = sorted(judged, key=lambda one: -one.badness)
    for one in worst[:24]:
        say(str(one))
    draw_sheet([chosen.photos / f"{one.name}.jpg" for one in worst[:24]], chosen.out)


if __name__ == "__main__":
    main()
