"""From a product to its prompt, as configured: the one place where the two meet."""

from __future__ import annotations

import re
from collections.abc import Mapping

from catalog_gen.catalog.model import Product
from catalog_gen.catalog.prompts import build_prompt
from catalog_gen.config import PromptConfig

_NAME = re.compile(r"\{\s*([^{}]*?)\s*\}")


def product_prompt(product: Product, config: PromptConfig) -> str:
    """Return the sentence that CLIP reads for `product`, or "" when it has no words.

    A field that the template names and this row lacks is empty: feeds are uneven.
    """
    fields: Mapping[str, str] = {"title": product.title, "category": product.category, **product.attributes}
    if config.template:
        named = dict.fromkeys(_NAME.findall(config.template), "")
        return build_prompt(named | dict(fields), config.template)
    return build_prompt(fields, attributes=_selected(config, fields), exclude=config.exclude)


def _selected(config: PromptConfig, fields: Mapping[str, str]) -> list[str] | None:
    if not config.attributes:
        return None
    return ["category", *(name for name in config.attributes if name != "category" and name in fields)]
