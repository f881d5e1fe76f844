"""Values of a product that a channel takes in a form of its own: prices, GTINs, words from a fixed list.

By Google's product data specification (Merchant Center Help, answer 7052112).
"""

from __future__ import annotations

import re
from decimal import Decimal

WORDS = {
    "availability": ("in_stock", "out_of_stock", "preorder", "backorder"),
    "condition": ("new", "refurbished", "used"),
    "gender": ("male", "female", "unisex"),
    "age_group": ("newborn", "infant", "toddler", "kids", "adult"),
    "identifier_exists": ("yes", "no"),
}
# What catalogues say for the words above.
ALIASES = {
    "gender": {"men": "male", "man": "male", "boys": "male", "women": "female", "woman": "female", "girls": "female"},
    "identifier_exists": {"true": "yes", "false": "no"},
    "age_group": {"adults": "adult", "kid": "kids", "child": "kids", "children": "kids", "toddlers": "toddler"},
}
LENGTHS = {
    "color": 100, "size": 100, "material": 200, "pattern": 100, "item_group_id": 50, "brand": 70, "mpn": 70,
    "product_type": 750,
}  # fmt: skip
_PRICE = re.compile(r"(?P<before>[A-Z]{3})?\s*(?P<number>\d[\d.,' ]*?)\s*(?P<after>[A-Z]{3})?")
_NUMBER = re.compile(r"(?P<whole>\d{1,3}(?P<mark>[.,' ])\d{3}(?:(?P=mark)\d{3})*|\d+)(?:[.,](?P<part>\d{1,2}))?")


def checked(name: str, text: str, currency: str) -> str:
    """Return the value of a Google attribute as its specification writes it. Raises ValueError with the reason."""
    if name in WORDS:
        return word(name, text)
    if name in ("price", "sale_price"):
        number, given = price(text)
        if not (given or currency):
            raise ValueError(f"{text!r} names no currency, and export.currency is empty")
        return f"{number} {given or currency}"
    if name == "gtin":
        return gtin(text)
    if name in LENGTHS and len(text) > LENGTHS[name]:
        raise ValueError(f"has {len(text):,} characters, over {LENGTHS[name]}")
    return text


def word(name: str, text: str) -> str:
    """Return one of the attribute's words. Raises ValueError."""
    folded = re.sub(r"[\s_-]+", "_", text.strip().casefold())
    folded = ALIASES.get(name, {}).get(folded, folded)
    if folded not in WORDS[name]:
        raise ValueError(f"{text!r} is none of {', '.join(WORDS[name])}")
    return folded


def price(text: str) -> tuple[Decimal, str]:
    """Return amount and currency ("" if it names none) of a price like `1,234.50 EUR` or `12,99`. Raises ValueError."""
    found = _PRICE.fullmatch(text.strip())
    if not found or (found["before"] and found["after"]):
        raise ValueError(f"{text!r} is no price like 12.34 EUR")
    number = _NUMBER.fullmatch(found["number"])
    if not number:
        raise ValueError(f"{text!r} is no price like 12.34 EUR")
    if number["part"] is None and number["mark"] in (",", ".") and number["whole"].count(number["mark"]) == 1:
        raise ValueError(f"{text!r} may be thousands or a fraction")
    amount = Decimal(f"{re.sub(r'[^0-9]', '', number['whole'])}.{number['part'] or 0}").quantize(Decimal("0.01"))
    if amount <= 0:
        raise ValueError(f"{text!r} is no price above 0")
    return amount, found["before"] or found["after"] or ""


def gtin(text: str) -> str:
    """Return a GTIN-8, -12, -13 or -14 without spaces and dashes. Raises ValueError when its check digit is wrong.

    GS1 General Specifications, 7.9: digits weigh 3 and 1 in turn from the one before the check digit.
    """
    digits = re.sub(r"[\s-]", "", text)
    if not (digits.isascii() and digits.isdigit() and len(digits) in (8, 12, 13, 14)):
        raise ValueError(f"{text!r} is no GTIN of 8, 12, 13 or 14 digits")
    weighed = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits[:-1])))
    if (10 - weighed % 10) % 10 != int(digits[-1]):
        raise ValueError(f"the check digit of {text!r} is wrong")
    return digits
