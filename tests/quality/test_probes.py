"""Probes and words: what is read off pictures, and how well pictures find their own words."""

from __future__ import annotations

import numpy as np
import pytest

from catalog_gen.quality.probes import fit_probe, with_colours
from catalog_gen.quality.words import clip_similarity, r_precision


def clusters(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Two kinds as two clouds ten deviations apart."""
    labels = ["shoe" if index % 2 else "bag" for index in range(count)]
    centres = np.array([[5.0, 0, 0] if label == "shoe" else [-5.0, 0, 0] for label in labels])
    return (centres + np.random.default_rng(seed).normal(size=(count, 3))).astype(np.float32), labels


def test_a_probe_reads_what_it_learnt_and_nothing_else() -> None:
    features, labels = clusters(60, 0)
    rare = labels[:50] + ["hat"] * 3 + [""] * 7  # too few hats, and photos without a kind
    probe = fit_probe(features, rare, fewest=20)
    assert probe is not None and probe.classes == {"shoe", "bag"}
    fresh, asked = clusters(20, 1)
    assert probe.reads(fresh, asked).all()
    assert not probe.reads(fresh, [{"shoe": "bag", "bag": "shoe"}[label] for label in asked]).any()
    assert probe.knows(["hat", "shoe", ""]).tolist() == [False, True, False]
    assert probe.reads(fresh[:3], ["hat", asked[1], ""]).tolist() == [True]
    assert len(probe.reads(fresh[:1], ["hat"])) == 0


def test_no_probe_of_one_class() -> None:
    features, labels = clusters(40, 0)
    assert fit_probe(features, labels, fewest=21) is None
    assert fit_probe(features, ["shoe"] * 40, fewest=5) is None


def test_the_colour_histogram_counts_pixels() -> None:
    picture = np.full((1, 4, 4, 3), 255, np.uint8)
    picture[0, :2] = (200, 10, 70)  # bins 6, 0, 2 of 8
    found = with_colours(np.array([[7.0]], np.float32), picture)
    assert found.shape == (1, 513) and found[0, 0] == 7
    filled = {int(index): float(found[0, 1 + index]) for index in np.flatnonzero(found[0, 1:])}
    half = pytest.approx(np.sqrt(0.5))
    assert filled == {6 * 64 + 0 * 8 + 2: half, 511: half}


def test_similarity_is_the_cosine() -> None:
    pictures = np.array([[1, 0], [0.6, 0.8]], np.float32)
    texts = np.array([[0, 1], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(clip_similarity(pictures, texts), [0, 1], atol=1e-6)


def test_r_precision_of_own_others_and_no_words() -> None:
    texts = np.eye(6, dtype=np.float32)
    prompts = [f"prompt {index}" for index in range(6)]
    assert r_precision(texts, texts, prompts).all()
    assert not r_precision(np.roll(texts, 1, 0), texts, prompts).any()
    ties = np.full((6, 6), 6**-0.5, np.float32)
    assert not r_precision(ties, texts, prompts).any(), "a picture that fits all words alike finds none"
    assert r_precision(texts, texts, prompts, choices=2).all()
    with pytest.raises(ValueError, match="all prompts are the same"):
        r_precision(texts, texts, ["one"] * 6)


def test_r_precision_never_asks_a_picture_to_beat_its_own_words() -> None:
    """Rows with the same prompt are no competition; the one other prompt always is."""
    texts = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert r_precision(texts, texts, ["red", "red", "blue"]).all()


def test_r_precision_of_random_pictures_is_chance() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 800, 16)).astype(np.float32)
    hits = r_precision(vectors[0], vectors[1], [str(index) for index in range(800)], choices=10)
    assert 0.06 < hits.mean() < 0.14
