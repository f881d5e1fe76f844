"""The sentence that CLIP reads, made from a product's own words.

Shop texts come with HTML, entities, invisible characters and the same word in three columns; what is left here is the
title and whatever the other columns add to it, in the shop's own language.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from catalog_gen.errors import ConfigError

MAX_CHARACTERS = 300  # about what the text tower reads; the rest of a description is rarely about looks
_EMPTY = frozenset({"", "nan", "n/a", "na", "none", "null", "-", "--", "nil", "unknown"})
_UNSEEN = frozenset({"Cf", "Cs", "Co"})  # zero-width and direction marks, broken surrogates, private use
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|</?[a-z][^<>]*>|<![^<>]*>", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(r"\{([^{}]*)\}")


def build_prompt(
    fields: Mapping[str, str],
    template: str | None = None,
    *,
    attributes: Sequence[str] | None = None,
    exclude: Collection[str] = (),
) -> str:
    """Return the prompt for a product, or "" when its fields hold nothing to draw from (no letter at all).

    fields: column name to text, `title` first among them; the others follow in the mapping's order, or in that of
    `attributes`, which also selects, unless it is empty; names in `exclude` are left out, whatever their case. A value
    whose words the prompt already holds is not repeated. template, where it is not empty: for example "{title},
    {colour}, studio photo"; an empty field leaves nothing behind.
    The prompt is NFC, one line, at most 300 characters, and never transliterated.
    Raises ConfigError for a template with a name that is not a field, or without any.
    """
    clean = {name: clean_text(value) for name, value in fields.items()}
    clean = {name: "" if value.casefold() in _EMPTY else value for name, value in clean.items()}
    if template:
        return _finish(_fill(template, clean))
    names = [name for name in (attributes or clean) if name != "title"]
    left_out = {name.casefold() for name in exclude}
    prompt = clean.get("title", "")
    for name in names:
        value = clean.get(name, "")
        if value and name.casefold() not in left_out and not _says(prompt, value):
            prompt = f"{prompt}, {value}" if prompt else value
    return _finish(prompt)


def clean_text(value: str) -> str:
    """Return `value` as one line of plain NFC text: no markup, entities, control or invisible characters."""
    text, before = str(value), None
    while text != before:  # an entity may hold markup, and the other way round
        before = text
        text = _MARKUP.sub(" ", html.unescape(text))
        text = "".join(_visible(character) for character in text)
        text = " ".join(unicodedata.normalize("NFC", text).split())
    return text


def check_template(template: str, names: Collection[str]) -> None:
    """Raise ConfigError unless every {name} in the template is one of `names`, and there is at least one."""
    used = _FIELD.findall(template)
    if not used or re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigError(f"the prompt template {template!r} holds no {{field}}, or a stray brace")
    for name in used:
        if name.strip() not in names:
            known = ", ".join(sorted(names))
            raise ConfigError(f"the prompt template names {name!r}, which is no field", hint=f"Known: {known}.")


def _fill(template: str, clean: Mapping[str, str]) -> str:
    check_template(template, clean.keys())
    if not any(clean[name.strip()] for name in _FIELD.findall(template)):
        return ""  # only the template's own words are left, and they describe no product
    filled = clean_text(_FIELD.sub(lambda match: clean[match[1].strip()], template))
    filled = re.sub(r"\s+([,;])", r"\1", filled)
    filled = re.sub(r"[,;](?:\s*[,;])+", ",", filled)
    return filled.strip(" ,;")


def _finish(prompt: str) -> str:
    prompt = cap(prompt)
    return prompt if any(character.isalpha() for character in prompt) else ""


def cap(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return `text` cut to `limit` characters, between words where it has any, never before a combining mark."""
    if len(text) <= limit:
        return text
    cut = limit
    while cut > 0 and unicodedata.combining(text[cut]):
        cut -= 1
    space = text.rfind(" ", 0, cut + 1)
    return text[: space if space > limit // 2 else cut or limit].rstrip(" ,;")


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category in _UNSEEN else character


def _says(prompt: str, value: str) -> bool:
    """Whether the value's words stand in the prompt already, in a row, whatever their case."""
    words = re.escape(value.casefold())
    return re.search(rf"(?<!\w){words}(?!\w)", prompt.casefold()) is not None
