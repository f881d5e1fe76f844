"""`make recipes`: the same photos, the same number of images, one thing changed at a time; trained, scored, tabled.

Each recipe is trained and scored by the program's own commands, several at once on a thread each, and is kept: what was
interrupted goes on where it stopped. The table goes to docs/recipes.md, and beside it one picture of what each drew.

    python tests/recipes.py --config catalog-gen.toml --work work/recipes --images 20000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

CONV = "discriminator.kind=conv"
SMALL = [
    "generator.image_size=32",
    "generator.channels=[256, 256, 128, 64]",
    "discriminator.channels=[32, 64, 128, 256]",
]
ALONE = ["watch.on_alarm=log", "watch.measure_every=0"]  # the last step counts, whatever it is
RECIPES: dict[str, list[str]] = {
    "default": [],
    "non-saturating": ["losses.adversarial=non_saturating"],
    "wasserstein": ["losses.adversarial=wasserstein"],
    "relativistic": ["losses.adversarial=relativistic"],
    "conv, hinge": [CONV],
    "conv, non-saturating, R1": [CONV, "losses.adversarial=non_saturating", "losses.r1=0.1", "losses.penalty_every=4"],
    "conv, wasserstein, WGAN-GP": [
        CONV,
        "losses.adversarial=wasserstein",
        "losses.wgan_gp=10",
        "losses.penalty_every=4",
    ],
    "conv, relativistic, R1 + R2": [
        CONV,
        "losses.adversarial=relativistic",
        "losses.r1=0.5",
        "losses.r2=0.5",
        "losses.penalty_every=4",
    ],
    "conv, hinge, MA-GP": [CONV, "losses.ma_gp=2", "losses.penalty_every=4"],
    "no layout": ["losses.layout=0"],
    "no perceptual": ["losses.perceptual=0"],
    "+ Laplacian": ["losses.laplacian=1"],
    "+ CLIP": ["losses.clip=0.2"],
    "no mismatched words": ["losses.mismatched=0"],
    "mismatched words for G too": ["losses.mismatched_g=0.5"],
    "adaptive norm": ["generator.norm=adaptive"],
    "GLU": ["generator.activation=glu"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="names a catalogue with photos")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--small", action="store_true", help="at 32 px, where an image takes a third of the time")
    parser.add_argument("--rows", type=int, default=1_000, help="held-out rows to score on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--table", type=Path, default=Path("docs/recipes.md"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        failed = [name for name, fault in pool.map(lambda name: work(name, given), given.only) if fault]
    rows = {name: json.loads(score_file(given.work, name).read_text("utf-8")) for name in RECIPES if done(given, name)}
    given.table.write_text(table(rows, given), encoding="utf-8")
    picture(ranking(rows), given)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def folder_of(work: Path, name: str) -> Path:
    return work / "".join(letter if letter.isalnum() else "-" for letter in name)


def score_file(work: Path, name: str) -> Path:
    return folder_of(work, name) / "scores" / "evaluation.json"


def done(given: argparse.Namespace, name: str) -> bool:
    return score_file(given.work, name).exists()


def work(name: str, given: argparse.Namespace) -> tuple[str, bool]:
    """Train and score one recipe, unless that is done; return its name and whether it failed."""
    if done(given, name):
        return name, False
    folder = folder_of(given.work, name)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [*RECIPES[name], *(SMALL if given.small else []), *ALONE]
    settings = [part for text in wanted for part in ("--set", text)]
    common = ["--config", str(given.config)]
    bundle, scores = str(folder / "bundle"), str(score_file(given.work, name).parent)
    train = [
        "train",
        "gan",
        *common,
        "--out",
        bundle,
        "--work-dir",
        str(folder),
        "--images",
        str(given.images),
        *settings,
    ]
    score = ["evaluate", *common, "--gan", bundle, "--rows", str(given.rows), "--out", scores]
    score += ["--work-dir", str(given.work / "cache")]
    started = time.time()
    for command in (train, score):
        code = run(command, folder / "log")
        if code:
            say(f"{name}: {command[0]} ended with {code}, see {folder / 'log'}\n")
            return name, True
    say(f"{name}: {(time.time() - started) / 60:.1f} minutes\n")
    return name, False


def run(arguments: list[str], log: Path) -> int:
    """Run the program on one thread; what it says goes to the log."""
    with log.open("a", encoding="utf-8") as said:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "catalog_gen", *arguments]
        return subprocess.run(command, stdout=said, stderr=said, env=env, check=False).returncode


COLUMNS = ("kid", "precision", "recall", "coverage", "kind", "colour", "variety")


def table(rows: dict[str, Any], given: argparse.Namespace) -> str:
    """Return the page: a line a recipe, best KID first, below it the same figures of real photos."""
    metrics = {name: metrics_of(scores) for name, scores in rows.items()}
    ranked = ranking(rows)
    titles = [metrics[ranked[0]][key]["title"] for key in COLUMNS]
    lines = [
        "# Recipes",
        "",
        HEAD.format(images=given.images, size=rows[ranked[0]]["view"], rows=rows[ranked[0]]["rows"]),
        "",
        f"| recipe | {' | '.join(titles)} | `--set` |",
        f"| --- | {' | '.join('---:' for _ in titles)} | --- |",
    ]
    for name in ranked:
        lines.append(f"| {name} | {' | '.join(figures(metrics[name], 'pictures'))} | {flags(name)} |")
    lines.append(f"| *real photos* | {' | '.join(figures(metrics[ranked[0]], 'real'))} | |")
    return "\n".join([*lines, "", SHOWN.format(picture=given.table.with_suffix(".png").name), ""])


def metrics_of(scores: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in scores["metrics"]}


def ranking(rows: dict[str, Any]) -> list[str]:
    """Return the recipes' names, the lowest KID first."""
    return sorted(rows, key=lambda name: float(metrics_of(rows[name])["kid"]["pictures"]["value"]))


LINE, LABEL = 16, 190  # pictures shown of a recipe: one of each of the sheet's sixteen kinds; px of its name


def picture(names: list[str], given: argparse.Namespace) -> None:
    """Write what each recipe drew, a line each: the same words and noise, from the last sheet of its training."""
    lines = []
    for name in names:
        sheet = Image.open(max((folder_of(given.work, name) / "sheets").glob("*.png"))).convert("RGB")
        step = sheet.width // 8  # a sheet has eight columns, four pictures a kind
        line = Image.new("RGB", (LABEL + LINE * step, step), "white")
        ImageDraw.Draw(line).text((4, step // 2 - 6), name, fill="black")
        for place in range(LINE):
            x, y = place % 2 * 4 * step, place // 2 * step
            line.paste(sheet.crop((x, y, x + step, y + step)), (LABEL + place * step, 0))
        lines.append(line)
    whole = Image.new("RGB", (lines[0].width, sum(line.height for line in lines)), "white")
    for number, line in enumerate(lines):
        whole.paste(line, (0, number * line.height))
    whole.save(given.table.with_suffix(".png"), optimize=True)


HEAD = """Written by `make recipes`: the same photos, {images:,} images each at {size} px, one change each; scored by
`catalog-gen evaluate` on {rows:,} held-out products. It tells beginnings apart, not ends: a recipe that starts slowly
may win later."""
SHOWN = """The same words and noise drawn by each, best KID first (the last sheet of each training):

![What each recipe drew]({picture})"""


def figures(metrics: dict[str, Any], side: str) -> list[str]:
    found = []
    for key in COLUMNS:
        row = metrics[key]
        value = row[side]["value"]
        text = f"{value * row['scale']:.{row['digits']}f}"
        error = row[side].get("error")
        found.append(f"{text} ± {1.96 * error * row['scale']:.{row['digits']}f}" if key == "kid" and error else text)
    return found


def flags(name: str) -> str:
    return ", ".join(f"`{text}`" for text in RECIPES[name]) or "none"


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
