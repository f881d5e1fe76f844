"""Prices, GTINs and fixed words, as Google's product data specification writes them."""

from __future__ import annotations

import pytest

from catalog_gen.export.values import checked, gtin, price


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("12.34 EUR", "12.34", "EUR"),
        ("EUR 12.5", "12.50", "EUR"),
        ("1299", "1299.00", ""),
        ("1,234.50", "1234.50", ""),
        ("1.234,50", "1234.50", ""),
        ("1 234 567", "1234567.00", ""),
        ("1,234,567 USD", "1234567.00", "USD"),
        ("12,99", "12.99", ""),
    ],
)
def test_a_price_is_understood(text: str, amount: str, currency: str) -> None:
    found = price(text)
    assert (str(found[0]), found[1]) == (amount, currency)


@pytest.mark.parametrize("text", ["", "free", "0", "-3", "1,234", "12.345", "1.23.45", "EUR 3 EUR", "12.34 €", "1e5"])
def test_what_is_no_clear_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|thousands"):
        price(text)


@pytest.mark.parametrize("text", ["3234567890126", "0 12345 67890 5", "96385074", "10012345678902"])
def test_a_gtin_with_its_check_digit(text: str) -> None:
    # GS1's own examples: EAN-13, UPC-A, EAN-8, ITF-14.
    assert gtin(text) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["3234567890127", "12345", "32345678901x6", "٣٢٣٤٥٦٧٨"])
def test_a_wrong_gtin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"GTIN|check digit"):
        gtin(text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("availability", "In stock", "in_stock"),
        ("availability", "out-of-stock", "out_of_stock"),
        ("condition", "NEW", "new"),
        ("gender", "Men", "male"),
        ("gender", "Girls", "female"),
        ("identifier_exists", "false", "no"),
        ("price", "12.5", "12.50 EUR"),
        ("price", "12.5 USD", "12.50 USD"),
        ("color", "Navy Blue", "Navy Blue"),
    ],
)
def test_a_value_takes_the_channel_s_form(name: str, text: str, expected: str) -> None:
    assert checked(name, text, "EUR") == expected


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("availability", "maybe", "in_stock"),
        ("gender", "Ladies", "female"),
        ("price", "12.5", "no currency"),
        ("color", "x" * 101, "101 characters"),
    ],
)
def test_a_wrong_value_says_why(name: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked(name, text, "")
