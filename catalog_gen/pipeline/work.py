"""A row on its way through the stages, and the numbers that follow from it alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from catalog_gen.catalog.model import AssetState, Claimed, ReasonKind
from catalog_gen.catalog.wishes import PendingWish
from catalog_gen.storage import Stored

DrawnWith = dict[str, str | int | float]  # device, dtype, chunk, truncation: what replay needs beside the seed


@dataclass(slots=True)
class Row:
    """One claimed row. `outcome` stays empty while the row is on its way; a stage that gives it up sets it."""

    claimed: Claimed
    state: AssetState = field(default="draft", kw_only=True)
    reason: str = field(default="", kw_only=True)
    reason_kind: ReasonKind = field(default="", kw_only=True)
    outcome: str = field(default="", kw_only=True)
    retry: bool = field(default=True, kw_only=True)

    @property
    def sku(self) -> str:
        return self.claimed.product.sku

    def doubted(self, reason: str, kind: ReasonKind) -> None:
        """A person must look at the picture, for this reason as well; the first reason's kind stays."""
        self.state = "needs_review"
        self.reason = f"{self.reason}; {reason}" if self.reason else reason
        self.reason_kind = self.reason_kind or kind

    def fail(self, reason: str, *, retry: bool = True) -> None:
        """Give the row up with its reason; `retry=False` when another night cannot go better."""
        self.outcome, self.reason, self.retry = "failed", reason, retry
        self.drop()

    def give_back(self) -> None:
        """Return the row to the queue untouched: the run is stopping before the row was drawn."""
        self.outcome = "released"
        self.drop()

    def drop(self) -> None:
        """Let go of the pixels; what is left is small."""
        raise NotImplementedError


@dataclass(slots=True)
class Work(Row):
    """A row that gets a picture drawn."""

    prompt: str
    prompt_hash: str
    wish: PendingWish | None = None  # what a person asked this drawing to be
    seeds: tuple[int, ...] = ()  # of every candidate drawn so far
    embedding: npt.NDArray[np.float32] | None = None  # (D,) unit norm, dropped after the last draw
    candidates: npt.NDArray[np.uint8] | None = None  # (N, 3, S, S), dropped once they are scored
    candidates_with: DrawnWith = field(default_factory=dict)
    similarities: list[float] = field(default_factory=list)  # of every candidate scored so far
    picture: npt.NDArray[np.uint8] | None = None  # (S, S, 3), the chosen one
    drawn_with: DrawnWith = field(default_factory=dict)
    upscaled_with: dict[str, str | int] = field(default_factory=dict)  # name, hash, device, ...; empty: not at all
    chosen: int = 0  # its place in `seeds`
    similarity: float = 0.0
    fault: str = ""
    duplicate: bool = False
    unlearnt: bool = False  # of a category that the generator has hardly seen
    phash: str = ""
    colours: str = ""
    data: bytes = b""
    stored: Stored | None = None
    scores: dict[str, float] = field(default_factory=dict)

    def count(self, configured: int) -> int:
        """Return how many candidates the first draw has: as the wish says, else as configured."""
        wished = self.wish.candidates if self.wish else None
        return configured if wished is None else wished

    def add_seeds(self, count: int, gan_hash: str) -> tuple[int, ...]:
        """Give the row `count` more seeds and return them; every candidate of a row has a number of its own."""
        numbers = range(len(self.seeds), len(self.seeds) + count)
        attempt = self.claimed.attempt
        fresh = tuple(derive_seed(self.sku, self.prompt_hash, gan_hash, attempt, number) for number in numbers)
        self.seeds += fresh
        return fresh

    def drop(self) -> None:
        self.candidates = self.picture = self.embedding = None
        self.data = b""


def text_hash(text: str) -> str:
    """Return the hex SHA-256 of a prompt: half of an embedding's key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def input_hash(words: str, models: tuple[str, str], upscaled_by: str, wish: PendingWish | None) -> str:
    """Return what a row's picture follows from: other words, other models or a new wish make it new work.

    models: the hashes of CLIP and of the generator. upscaled_by: as `Models.upscaled_by` says; empty: not at all.
    """
    more = [f"upscale {upscaled_by}"] if upscaled_by else []
    asked = [wish.decision_id] if wish else []
    return text_hash("\x1f".join((words, *models, *more, *asked)))


def derive_seed(sku: str, prompt_hash: str, gan_hash: str, attempt: int, candidate: int) -> int:
    """Return the latent's seed, in [0, 2**63): a function of the row and the model, never of its batch or position."""
    key = "\x1f".join((sku, prompt_hash, gan_hash, str(attempt), str(candidate)))
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
