"""Views, rewording and batches: what training sees."""

from __future__ import annotations

import numpy as np
import torch

from catalog_gen.clip.data import View, batches, resize, reword, show, training_views


def test_every_view_has_its_size_and_range() -> None:
    photos = torch.rand(3, 3, 64, 64)
    for view in training_views(64, 48, 32):
        shown = show(photos, view, torch.Generator().manual_seed(0))
        assert shown.shape == (3, 3, view.size, view.size)
        assert float(shown.min()) >= 0 and float(shown.max()) <= 1


def test_a_score_view_has_no_more_detail_than_a_draft() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    assert float(show(stripes, View("score", 64, 16), torch.Generator()).std()) < 0.1 < float(stripes.std())


def test_moving_is_decided_by_the_generator() -> None:
    photos = torch.rand(2, 3, 32, 32)
    view = View("moved", 32, shift=0.1)
    first = show(photos, view, torch.Generator().manual_seed(1))
    assert torch.equal(first, show(photos, view, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, show(photos, view, torch.Generator().manual_seed(2)))


def test_resizing_to_the_same_size_changes_nothing() -> None:
    photos = torch.rand(1, 3, 16, 16)
    assert resize(photos, 16) is photos


def test_rewording_keeps_words_and_always_a_title() -> None:
    chance = np.random.default_rng(0)
    prompt = "Puma Men Blue Tee, Tshirts, Sports, Fall"
    seen = {reword(prompt, chance) for _ in range(300)}
    words = set(prompt.replace(",", "").split())
    assert len(seen) > 50
    assert all(text and set(text.replace(",", "").split()) <= words for text in seen)
    assert {reword("Bag", chance) for _ in range(50)} == {"Bag"}


def test_batches_follow_from_seed_and_epoch() -> None:
    first = np.stack(list(batches(25, 8, 0, 0)))
    assert first.shape == (3, 8) and len(set(first.ravel().tolist())) == 24
    assert np.array_equal(first, np.stack(list(batches(25, 8, 0, 0))))
    assert not np.array_equal(first, np.stack(list(batches(25, 8, 0, 1))))
    assert not np.array_equal(first, np.stack(list(batches(25, 8, 1, 0))))
