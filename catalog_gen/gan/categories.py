"""Which kinds of product a generator has learnt to draw: how many photos of each category its training saw."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catalog_gen.bundles import Bundle
from catalog_gen.errors import BundleError

KEY = "categories"  # of a bundle's config: {name: photos}


@dataclass(frozen=True)
class LearntCategories:
    """The categories that a bundle states, and how many training photos it saw of each."""

    photos: Mapping[str, int]  # by `category_key`

    def of(self, category: str) -> int:
        """Return how many photos of this category were seen; 0 for one that the training never met."""
        return self.photos.get(category_key(category), 0)


def category_key(name: str) -> str:
    """Return what is the same for two spellings of a category: without case, spaces and forms of the same character."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def count_categories(names: Iterable[str]) -> dict[str, int]:
    """Return how often each category is among `names`, by its most frequent spelling; empty names are not counted."""
    spellings: dict[str, Counter[str]] = {}
    for name in names:
        if key := category_key(name):
            spellings.setdefault(key, Counter())[" ".join(unicodedata.normalize("NFC", name).split())] += 1
    return {_usual(counts): counts.total() for _, counts in sorted(spellings.items())}


def stated_categories(bundle: Bundle) -> LearntCategories | None:
    """Return the categories that the bundle states, None when it states none.

    Raises BundleError when what it states are not names with counts.
    """
    stated = bundle.config.get(KEY)
    if stated is None:
        return None
    counts = stated.values() if isinstance(stated, dict) else [None]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise BundleError(
            f"its {KEY} are not names with numbers of photos", where=str(bundle.path), hint="Copy the bundle again."
        )
    photos: Counter[str] = Counter()
    for name, count in stated.items():
        photos[category_key(name)] += count
    return LearntCategories(dict(photos))


def with_earlier(now: Mapping[str, int], start: Bundle | None) -> dict[str, int]:
    """Return the counts of a training that went on from `start`: of each category the larger one of both.

    A bundle that states no counts adds nothing, as the two trainings may have seen the same photos.
    """
    found = dict(now)
    if start is None or stated_categories(start) is None:
        return found
    spelt = {category_key(name): name for name in found}
    for name, count in start.config[KEY].items():
        name = spelt.setdefault(category_key(name), name)
        found[name] = max(found.get(name, 0), count)
    return dict(sorted(found.items(), key=lambda each: category_key(each[0])))


def _usual(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name))
