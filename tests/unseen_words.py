"""How a product CLIP copes with words that it hardly saw in training: synonyms, misspellings, other languages.

In the prompts of held-out products the words for their kind and colour (`unseen_words.toml`) are replaced, and the
prompt looks for its photo among all held-out ones, as in training's own figures. Each line is of the products whose
prompt has changed, with the figures of their plain words in brackets. Left out altogether is the floor: what is found
by brand, title, season and use alone. Kinds and colours that a language has no other word for stay as they are.

    PYTHONPATH=tests python -m unseen_words --database sqlite:///catalog-gen.sqlite3 --work work/words

`--into-card` writes the table into the bundle's card as well; the bundle's hash stays.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import CARD, MANIFEST, WEIGHTS, Bundle, load_bundle, read_weights, save_bundle
from catalog_gen.catalog.database import open_database
from catalog_gen.clip.model import DEFAULT_CLIP, ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.pipeline.held_out import evaluated_rule
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.training_data import TrainRow, load_photos, split_by

WORDS = Path(__file__).with_suffix(".toml")
LANGUAGES = ("german", "french", "spanish", "hindi")
TITLE = "## Words that it hardly saw"
INTRODUCTION = """In the prompts of held-out products the words for their kind and colour are replaced. Figures are
of the products whose prompt has changed, in brackets with their plain words. Right kind and colour: of the photo that
comes first. Hindi is in Latin letters; what a language has no other word for stays."""
LONG = 4  # letters: shorter words are not misspelt


@dataclass(frozen=True)
class Entry:
    """A kind or colour: how prompts say it, and other words for it by `synonyms` and language."""

    forms: re.Pattern[str]
    others: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, entry: Mapping[str, str | list[str]]) -> Entry:
        others = {name: [said] if isinstance(said, str) else said for name, said in entry.items() if name != "forms"}
        return cls(re.compile(rf"\b(?:{entry['forms']})\b", re.IGNORECASE), others)


def vocabulary() -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return the entries of kinds and of colours, by their names in the catalogue."""
    with WORDS.open("rb") as file:
        read = tomllib.load(file)
    kinds, colours = ({name: Entry.read(entry) for name, entry in read[part].items()} for part in ("kinds", "colours"))
    return kinds, colours


@dataclass
class Variant:
    """A way of saying prompts: what becomes of each word for the kind, and for the colour; None: it stays."""

    name: str
    kind: str | None
    colour: str | None
    used: Counter[str] = field(default_factory=Counter)  # the other words, and in how many prompts each is

    def say(self, row: TrainRow, kinds: Mapping[str, Entry], colours: Mapping[str, Entry], seed: int) -> str:
        """Return the row's prompt in this way. Every choice follows from the sku, the variant and the seed."""
        chance = np.random.default_rng([seed, *f"{self.name} {row.sku}".encode()])
        prompt = row.prompt
        if self.kind == "once":
            places = [found.span() for found in re.finditer(rf"[^\W\d_]{{{LONG},}}", prompt)]
            start, end = places[int(chance.integers(len(places)))] if places else (0, 0)
            prompt = (
                prompt[:start] + misspell(prompt[start:end], str(chance.choice(list(MISSPELT))), chance) + prompt[end:]
            )
            return " ".join(prompt.split())
        for way, entry in ((self.kind, kinds.get(row.category)), (self.colour, colours.get(row.colour))):
            if way is not None and entry is not None:
                prompt = self._replace(prompt, entry, way, chance)
        return " ".join(prompt.split())

    def _replace(self, prompt: str, entry: Entry, way: str, chance: np.random.Generator) -> str:
        if way in MISSPELT:
            return entry.forms.sub(lambda found: self._note(misspell(found[0], way, chance), found[0]), prompt)
        if way == "nothing":
            return entry.forms.sub("", prompt)
        if way not in entry.others:
            return prompt
        word = str(chance.choice(entry.others[way]))
        return entry.forms.sub(lambda found: self._note(word, found[0]), prompt)

    def _note(self, word: str, plain: str) -> str:
        if word.lower() != plain.lower():
            self.used[word.lower()] += 1
        return word


def swap(word: str, at: int) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def drop(word: str, at: int) -> str:
    return word[:at] + word[at + 1 :]


def double(word: str, at: int) -> str:
    return word[: at + 1] + word[at:]


MISSPELT: Mapping[str, Callable[[str, int], str]] = {"swap": swap, "drop": drop, "double": double}


def misspell(said: str, way: str, chance: np.random.Generator) -> str:
    """Return the words with one wrong letter in each that is long enough, never its first or its last."""

    def one(found: re.Match[str]) -> str:
        word = found[0]
        places = [at for at in range(1, len(word) - 2) if way != "swap" or word[at] != word[at + 1]]
        return MISSPELT[way](word, int(chance.choice(places))) if len(word) >= LONG and places else word

    return re.sub(r"[^\W\d_]+", one, said)


def variants() -> list[Variant]:
    said = [
        Variant("synonyms for the kind", "synonyms", None),
        Variant("synonyms for the colour", None, "synonyms"),
        Variant("synonyms for both", "synonyms", "synonyms"),
    ]
    said += [Variant("one letter wrong in one word of the prompt", "once", None)]
    said += [Variant(f"kind and colour misspelt: {way} a letter of each word", way, way) for way in MISSPELT]
    said += [Variant(f"{name.title()} for both", name, name) for name in LANGUAGES]
    return [*said, Variant("kind and colour left out", "nothing", "nothing")]


@dataclass(frozen=True)
class Held:
    """Held-out products, and the unit-norm embeddings (N, D) of their photos and plain prompts."""

    rows: Sequence[TrainRow]
    photos: npt.NDArray[np.float32]
    plain: npt.NDArray[np.float32]

    def figures(self, texts: npt.NDArray[np.float32], asked: npt.NDArray[np.int64]) -> list[float]:
        """Return R@1, R@10, and how often the first photo shows the right kind and colour, of the rows asked (M,)."""
        similarity = texts @ self.photos.T  # (M, N)
        ranks = 1 + (similarity > similarity[np.arange(len(asked)), asked][:, None]).sum(1)
        first = [self.rows[int(at)] for at in similarity.argmax(1)]
        kind = np.mean([one.category == self.rows[at].category for one, at in zip(first, asked, strict=True)])
        colour = np.mean([one.colour == self.rows[at].colour for one, at in zip(first, asked, strict=True)])
        return [float(figure) for figure in ((ranks <= 1).mean(), (ranks <= 10).mean(), kind, colour)]


def table(clip: ClipModel, held: Held, ways: Iterable[Variant], known: Counter[str], seed: int) -> list[str]:
    """Return the lines of a table in markdown, one for each way of saying it."""
    kinds, colours = vocabulary()
    lines = ["| words | products | R@1 | R@10 | right kind first | right colour first | of them in training |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    every = held.figures(held.plain, np.arange(len(held.rows)))
    lines.append(f"| plain | {len(held.rows)} | {' | '.join(f'{figure:.3f}' for figure in every)} | all |")
    for way in ways:
        said = [way.say(row, kinds, colours, seed) for row in held.rows]
        changed = [text != " ".join(row.prompt.split()) for text, row in zip(said, held.rows, strict=True)]
        asked = np.flatnonzero(changed)
        texts = clip.embed_texts([said[at] for at in asked])
        seen = sum(is_known(word, known) for word in way.used)
        pairs = zip(held.figures(texts, asked), held.figures(held.plain[asked], asked), strict=True)
        figures = " | ".join(f"{figure:.3f} ({plain:.3f})" for figure, plain in pairs)
        known_of = f"{seen} of {len(way.used)}" if way.used else ""
        lines.append(f"| {way.name} | {len(asked)} | {figures} | {known_of} |")
    return lines


def is_known(said: str, known: Counter[str]) -> bool:
    """Return whether every word of `said` was in a prompt to learn from."""
    return all(known[word] for word in words_of(said))


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def seen_and_unseen(ways: Iterable[Variant], known: Counter[str]) -> list[str]:
    """Return for each way, in a line, the words that training saw (in how many prompts), and those that it did not."""
    lines = []
    for way in ways:
        if not way.used or way.kind == way.colour == "synonyms" or way.kind in MISSPELT:
            continue
        seen = [f"{word} ({min(known[part] for part in words_of(word))})" for word in sorted(way.used)]
        split = [[shown for shown in seen if shown.endswith("(0)") == unseen] for unseen in (False, True)]
        lines.append(f"- {way.name}. In training prompts: {', '.join(split[0]) or 'none'}.")
        lines.append(f"  Never: {', '.join(shown.removesuffix(' (0)') for shown in split[1]) or 'none'}.")
    return lines


def write_into_card(bundle: Bundle, lines: Sequence[str]) -> None:
    """Write the lines into the bundle's card, in the place of those of before. Its weights, config and hash stay."""
    before = (bundle.path / CARD).read_text("utf-8").partition(TITLE)
    rest = before[2].partition("\n## ")
    said = f"{before[0].rstrip()}\n\n{TITLE}\n\n" + "\n".join(lines) + "\n"
    kept = (bundle.path / name for name in json.loads((bundle.path / MANIFEST).read_text("utf-8"))["files"])
    extra = {str(file.relative_to(bundle.path)): file.read_bytes() for file in kept if file.name not in (CARD, WEIGHTS)}
    written = save_bundle(
        bundle.path,
        kind=bundle.kind,
        name=bundle.name,
        config=bundle.config,
        weights=read_weights(bundle),
        card=said + "".join(rest[1:]),
        extra=extra,
    )
    if written.hash != bundle.hash:
        raise AssertionError(f"{bundle.path} has become another model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True)
    parser.add_argument("--work", type=Path, required=True, help="Folder for the decoded photos.")
    parser.add_argument("--clip", default=DEFAULT_CLIP)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into-card", action="store_true")
    given = parser.parse_args()
    settings = Settings.model_validate({"database": {"url": given.database}})
    rows = training_rows(settings, open_database(given.database), ())
    bundle = load_bundle(given.clip, "clip")
    train, left_out = split_by(rows, evaluated_rule(bundle, rows))
    clip = load_clip(given.clip)
    photos, _, kept = load_photos(left_out, clip.image_size, given.work)
    shown = torch.from_numpy(np.array(photos)).permute(0, 3, 1, 2)  # (N, 3, S, S) uint8
    plain = clip.embed_texts([row.prompt for row in kept])
    held = Held(kept, clip.embed_images(shown, view="photo"), plain)
    known = Counter(word for row in train for word in set(words_of(row.prompt)))
    ways = variants()
    lines = table(clip, held, ways, known, given.seed)
    about = f"{clip.name} {clip.hash[:12]}, {len(kept)} held-out products, {len(train):,} to learn from"
    sys.stdout.write("\n".join([about, "", *lines, "", *seen_and_unseen(ways, known), ""]))
    if given.into_card:
        write_into_card(bundle, [INTRODUCTION, "", *lines])


if __name__ == "__main__":
    main()
