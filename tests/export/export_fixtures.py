"""Items and pictures as a channel meets them, whole until a test says otherwise."""

from __future__ import annotations

from typing import Any

from catalog_gen.config_export import ExportConfig
from catalog_gen.export.items import Item, Picture

CDN = "https://cdn.example.com/p"


def picture(role: str = "photo", name: str = "a", **changes: Any) -> Picture:
    drawn = {"photo": "", "generated": "trainedAlgorithmicMedia", "restyled": "compositeWithTrainedAlgorithmicMedia"}
    values: dict[str, Any] = {
        "role": role,
        "uri": f"file:///pictures/{name}.jpg",
        "url": f"{CDN}/{name}.jpg",
        "width": 1080,
        "height": 1080,
        "format": "jpeg",
        "size": 300_000,
        "sha256": "0" * 64,
        "source_type": drawn[role],
        "white": 1.0,
    }
    if role == "restyled":
        values |= {"style": "studio", "output": "square"}
    return Picture(**values | changes)


def item(*pictures: Picture, sku: str = "1164", title: str = "Blue Cricket Jersey", **attributes: str) -> Item:
    return Item(sku, title, "Tshirts", attributes, pictures)


def config(**values: Any) -> ExportConfig:
    return ExportConfig.model_validate(values)
