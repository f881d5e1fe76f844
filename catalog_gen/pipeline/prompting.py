"""From a product to its prompt, as configured: the one place where the two meet."""

from __future__ import annotations

import re
from collections.abc import Mapping

from catalog_gen.catalog.model import Product, Wish
from catalog_gen.catalog.prompts import build_prompt
from catalog_gen.config import PromptConfig
from catalog_gen.errors import RowError

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


def drawn_words(product: Product, config: PromptConfig, wish: Wish | None) -> str:
    """Return the words that a row is drawn from: those that a person asked for, else the product's own.

    Raises RowError for a row without words; it is then recorded as skipped.
    """
    words = (wish.words if wish else "") or product_prompt(product, config)
    if not words:
        raise RowError("no words to draw from: the title and every attribute are empty")
    return words


def _selected(config: PromptConfig, fields: Mapping[str, str]) -> list[str] | None:
    if not config.attributes:
        return None
    return ["category", *(name for name in config.attributes if name != "category" and name in fields)]
