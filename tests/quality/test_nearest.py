from __future__ import annotations

import secrets

from catalog_gen.quality.nearest import Shapes


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_nearest_is_the_one_with_the_fewest_different_bits() -> None:
    hashes = [secrets.token_hex(8) for _ in range(700)]  # more than a block
    names = [f"p{place}" for place in range(len(hashes))]
    found = Shapes(names, hashes).nearest(names, hashes)
    for place, own in enumerate(hashes):
        others = [
            (distance(own, other), other_place) for other_place, other in enumerate(hashes) if other_place != place
        ]
        bits, best = min(others)
        assert found[place] == (names[best], bits)


def test_a_twin_is_nearest_and_a_picture_is_never_its_own() -> None:
    shapes = Shapes(["a", "b", "c"], ["00" * 8, "00" * 8, "ff" * 8])
    assert shapes.nearest(["a", "c", "new"], ["00" * 8, "ff" * 8, "ff" * 7 + "fe"]) == [("b", 0), ("a", 64), ("c", 1)]


def test_alone_there_is_no_nearest() -> None:
    assert Shapes(["a"], ["00" * 8]).nearest(["a"], ["00" * 8]) == [None]
    assert Shapes([], []).nearest(["a"], ["00" * 8]) == [None]
    assert Shapes(["a"], ["00" * 8]).nearest([], []) == []
