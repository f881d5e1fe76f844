"""Small trainings of a product CLIP on drawn balls and boxes, as several test modules run them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from catalog_gen.clip.config import ClipTrainConfig, LastStagesConfig
from catalog_gen.clip.train import ClipTrainResult, train_clip
from catalog_gen.training.history import read_history
from catalog_gen.training.settings import apply
from catalog_gen.training_data import TrainRow

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("ball", "box")
CONFIG = ClipTrainConfig(
    name="tiny",
    embed_dim=16,
    image_size=64,
    score_size=48,
    draft_size=32,
    context_length=16,
    epochs=3,
    batch_size=8,
    held_out=8,
    checkpoint_every=100,
    last_stages=LastStagesConfig(stages=0),
)


def train(
    rows: list[TrainRow],
    folder: Path,
    config: ClipTrainConfig = CONFIG,
    stop: Callable[[], bool] = lambda: False,
) -> ClipTrainResult:
    return train_clip(rows, out=folder / "out", work_dir=folder / "work", config=config, should_stop=stop)


def changed(**values: Any) -> ClipTrainConfig:
    """Return CONFIG with these settings; `watch__` stands for the section."""
    return apply(CONFIG, {name.replace("__", "."): value for name, value in values.items()})


def after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


def draw_rows(folder: Path) -> list[TrainRow]:
    """Draw 48 balls and boxes in four colours, and return their rows."""
    found = []
    for i in range(48):
        colour, shape = COLOURS[i % 4], SHAPES[i // 4 % 2]
        hue = {"red": 0.0, "yellow": 0.16, "green": 0.33, "blue": 0.66}[colour]
        ink = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 1, 0.5 + i / 96))
        image = Image.new("RGB", (48, 64), "white")
        draw = ImageDraw.Draw(image)
        (draw.ellipse if shape == "ball" else draw.rectangle)((8, 16, 38, 46), fill=ink)
        image.save(folder / f"{i}.png")
        found.append(TrainRow(f"s{i}", f"A {colour} {shape}, Toys, number {i}", shape, colour, folder / f"{i}.png"))
    return found


def measures(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_history(folder / "work" / "metrics.jsonl") if line["kind"] == "measure"]
