"""Outlines of pictures drawn by hand."""

from __future__ import annotations

import pytest
import torch

from catalog_gen.style.edges import agreement, edges, outline


def _square(low: int = 8, high: int = 24, value: float = 0.0) -> torch.Tensor:
    picture = torch.ones(1, 3, 32, 32)
    picture[..., low:high, low:high] = value
    return picture


def test_nothing_has_no_edges() -> None:
    assert not edges(torch.full((2, 3, 16, 16), 0.4)).any()


def test_a_square_has_a_closed_outline_one_pixel_wide() -> None:
    found = edges(_square())[0, 0]
    # A pixel is on the outline only where the border of the square (between 7 and 8, and 23 and 24) is next to it.
    near = torch.zeros(32, 32)
    near[7:25, 7:25] = 1
    near[9:23, 9:23] = 0
    assert float((found * (1 - near)).sum()) == 0
    assert [int(found[row].sum()) for row in (12, 16, 20)] == [2, 2, 2]
    assert [int(found[:, column].sum()) for column in (12, 16, 20)] == [2, 2, 2]
    # Closed: walled in, the inside is not reached from the outside.
    reached = torch.zeros(1, 1, 32, 32)
    reached[..., 0, 0] = 1
    for _ in range(100):
        plus = reached.clone()
        plus[..., 1:, :] += reached[..., :-1, :]
        plus[..., :-1, :] += reached[..., 1:, :]
        plus[..., 1:] += reached[..., :-1]
        plus[..., :-1] += reached[..., 1:]
        reached = (plus > 0).float() * (1 - found)
    assert float(reached[0, 0, 16, 16]) == 0 and float(reached[0, 0, 31, 31]) == 1


def test_a_weak_edge_counts_only_beside_a_strong_one() -> None:
    step = torch.ones(1, 3, 32, 32)
    step[..., 16:] = 0.9  # a change of 0.1, half of it over each pixel of the gradient
    assert not edges(step, low=0.03, high=0.2).any()
    assert int(edges(step, low=0.03, high=0.05).sum()) == 32
    # The same line, from strong at its upper end to weak at its lower one: all of it counts.
    fading = torch.ones(1, 3, 32, 32)
    fading[..., 16:] = 1 - torch.linspace(0.5, 0.1, 32).view(32, 1)
    assert int((edges(fading, low=0.2, high=0.2)).sum()) < 32
    assert edges(fading, low=0.03, high=0.2)[0, 0, :, 14:18].sum(1).tolist() == [1.0] * 32


def test_pictures_of_a_batch_are_alone() -> None:
    both = edges(torch.cat([_square(), _square(4, 12, 0.5)]))
    assert torch.equal(both[:1], edges(_square())) and torch.equal(both[1:], edges(_square(4, 12, 0.5)))


@pytest.mark.parametrize("size", (17, 32, 64))
def test_rounding_does_not_depend_on_the_batch_or_the_memory_layout(size: int) -> None:
    # Hard steps of one strength everywhere: which of two equal pixels is the edge hangs on the last bit.
    blocks = (torch.rand(8, 3, size, size, generator=torch.Generator().manual_seed(size)) > 0.5).float() * 0.7
    found = edges(blocks)
    assert torch.equal(edges(blocks.contiguous(memory_format=torch.channels_last)), found)
    for number in range(8):
        assert torch.equal(edges(blocks[number : number + 1]), found[number : number + 1])


def test_outline_is_black_on_white() -> None:
    drawn = outline(_square())
    assert drawn.shape == (1, 3, 32, 32) and torch.equal(drawn[:, :1], 1 - edges(_square()))


def test_agreement_by_hand() -> None:
    line, near, far = (torch.zeros(1, 1, 16, 16) for _ in range(3))
    line[..., 4], near[..., 5], far[..., 8] = 1, 1, 1
    assert agreement(line, line) == 1 and agreement(near, line) == 1
    assert agreement(far, line) == 0 and agreement(torch.zeros_like(line), line) == 0
    both = line + far
    assert agreement(both, line) == 2 * 0.5 * 1 / 1.5  # half of what is found is right, all that is wanted is found
    assert agreement(near, line, tolerance=0) == 0
