"""The ladder: who climbs, what is drawn on each rung, which picture stays, and what is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from catalog_gen.catalog.model import Claimed, Product
from catalog_gen.config import GanConfig
from catalog_gen.gan.categories import LearntCategories
from catalog_gen.pipeline.candidates import draw_candidates, keep_best
from catalog_gen.pipeline.ladder import Ladder, Rung, rungs
from catalog_gen.pipeline.models import Models
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.summary import OUTCOMES, RunSummary
from catalog_gen.pipeline.work import Work, derive_seed

FAULTY = 7.0  # added to a similarity in a script: the picture shows nothing


@dataclass
class ScriptedModels:
    """A drawer and a CLIP in one: row `i`'s candidate `n` has the similarity `script[i][n]`, as written down.

    A picture carries its seed in its first pixels, which is how it is known again.
    """

    script: list[list[float]]
    chunk: int = 32
    hash: str = "g"
    categories: LearntCategories | None = None
    embed_dim: int = 2
    on_draw: Callable[[], None] = lambda: None
    calls: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.by_seed = {
            derive_seed(f"sku-{row}", "p", "g", 0, number): value
            for row, values in enumerate(self.script)
            for number, value in enumerate(values)
        }

    @property
    def settings(self) -> dict[str, str | int]:
        return {"device": "cpu", "dtype": "fp32", "chunk": self.chunk}

    def draw(self, text: npt.NDArray[np.float32], seeds: npt.NDArray[np.int64], truncation: float) -> Tensor:
        assert len(text) == len(seeds)
        self.calls.append((len(seeds), truncation))
        slope = np.broadcast_to(np.arange(16, dtype=np.uint8) * 12, (len(seeds), 3, 16, 16)).copy()
        for picture, seed in zip(slope, seeds, strict=True):
            if self.by_seed[int(seed)] > 2:
                picture[:] = 255
            picture.reshape(-1)[:8] = np.frombuffer(seed.tobytes(), np.uint8)
        self.on_draw()
        return torch.from_numpy(slope)

    def embed_images(self, pictures: Tensor, view: str) -> npt.NDArray[np.float32]:
        seeds = np.ascontiguousarray(pictures.numpy().reshape(len(pictures), -1)[:, :8]).view(np.int64)[:, 0]
        cosines = [self.by_seed[int(seed)] - FAULTY * (self.by_seed[int(seed)] > 2) for seed in seeds]
        return np.array([[cosine, 0.0] for cosine in cosines], np.float32)

    def models(self) -> Models:
        return Models(clip=cast(Any, self), drawer=cast(Any, self), threshold=0.5)


def first_draw(scripted: ScriptedModels, config: GanConfig) -> list[Work]:
    """Rows after `choose`, one for each line of the script."""
    claims = [Claimed(Product(f"sku-{row}", "t", "", {}), 0, "h") for row in range(len(scripted.script))]
    batch = [Work(claim, "words", "p", embedding=np.array([1, 0], np.float32)) for claim in claims]
    draw_candidates(scripted.models(), batch, config.candidates, config.truncation)
    keep_best(scripted.models(), batch)
    scripted.calls.clear()
    return batch


def numbers(work: Work) -> list[int]:
    return [derive_seed(work.sku, "p", "g", 0, number) for number in range(len(work.seeds))]


def test_the_rungs_have_less_noise_and_more_candidates() -> None:
    assert rungs(GanConfig()) == [Rung(8, 0.85), Rung(16, 0.7225)]
    assert rungs(GanConfig(ladder=0)) == []
    assert rungs(GanConfig(candidates=3, ladder=1, truncation=0.5, ladder_truncation=1.0, ladder_candidates=1)) == [
        Rung(3, 0.5)
    ]


def test_rows_climb_until_clip_is_satisfied() -> None:
    config = GanConfig(candidates=2)  # then 4, then 8
    scripted = ScriptedModels(
        [
            [0.1, 0.5],  # good enough at once: the bar itself is
            [0.1, 0.2, 0.3, 0.6, 0.1, 0.1],  # on the first rung
            [0.1, 0.2] + [0.1] * 4 + [0.1] * 7 + [0.9],  # on the second
            [0.1, 0.4] + [0.2] * 4 + [0.3] * 8,  # never, and the first draw was best
        ]
    )
    batch = first_draw(scripted, config)
    ladder = Ladder(config, scripted.models(), StopRequest())
    assert ladder.climb(batch) == batch
    assert [len(work.seeds) for work in batch] == [2, 6, 14, 14]
    assert all(list(work.seeds) == numbers(work) for work in batch), "no seed is drawn twice"
    assert [work.chosen for work in batch] == [1, 3, 13, 1]
    assert [round(work.similarity, 6) for work in batch] == [0.5, 0.6, 0.9, 0.4]
    assert [work.state for work in batch] == ["draft"] * 3 + ["needs_review"]
    assert batch[3].reason == "similarity 0.400 below 0.500" and not batch[1].reason
    assert [work.drawn_with["truncation"] for work in batch] == pytest.approx([1.0, 0.85, 0.7225, 1.0])
    assert batch[1].scores == {"similarity": 0.6, "similarity_mean": 0.2333, "similarity_worst": 0.1}
    assert scripted.calls == [(12, 0.85), (16, 0.7225)]
    assert ladder.counts == {"ladder_rows": 3, "ladder_pictures": 4 + 12 + 12, "ladder_saved": 2}
    for work in batch:
        assert work.picture is not None
        carried = np.ascontiguousarray(work.picture.transpose(2, 0, 1)).reshape(-1)[:8].view(np.int64)[0]
        assert carried == work.seeds[work.chosen], "the picture is the chosen one"
        assert work.candidates is None and work.embedding is None, "what is not needed any more is dropped"


def test_the_bar_can_be_another_than_the_gate_s() -> None:
    config = GanConfig(candidates=1, ladder=1, ladder_below=0.8)
    scripted = ScriptedModels([[0.6, 0.7, 0.1], [0.8, 0, 0], [0.2, 0.9, 0.1]])
    batch = first_draw(scripted, config)
    ladder = Ladder(config, scripted.models(), StopRequest())
    ladder.climb(batch)
    assert [len(work.seeds) for work in batch] == [3, 1, 3]
    assert [work.state for work in batch] == ["draft"] * 3, "the gate judges by its own"
    assert ladder.counts["ladder_saved"] == 1


def test_a_sound_picture_is_better_than_a_faulty_one() -> None:
    config = GanConfig(candidates=2, ladder=1)
    scripted = ScriptedModels([[FAULTY + 0.9, FAULTY + 0.8, 0.1, 0.3, FAULTY + 0.95, 0.2]])
    (work,) = first_draw(scripted, config)
    assert work.chosen == 0 and work.fault and work.state == "needs_review"
    ladder = Ladder(config, scripted.models(), StopRequest())
    ladder.climb([work])
    assert (work.chosen, work.fault, round(work.similarity, 6)) == (3, "", 0.3)
    assert ladder.counts["ladder_saved"] == 0, "sound, and still below the bar"


def test_a_similarity_that_is_not_a_number_climbs_and_is_beaten_by_any() -> None:
    config = GanConfig(candidates=1, ladder=1)
    scripted = ScriptedModels([[math.nan, math.nan, -0.2], [0.1, math.nan, math.nan]])
    batch = first_draw(scripted, config)
    Ladder(config, scripted.models(), StopRequest()).climb(batch)
    assert [work.chosen for work in batch] == [2, 0]


def test_a_stop_in_a_hurry_keeps_what_is_drawn_and_climbs_no_further() -> None:
    config = GanConfig(candidates=2)
    scripted = ScriptedModels([[0.1, 0.2] + [0.4] * 12] * 3, chunk=4)  # one row at a time
    batch = first_draw(scripted, config)
    stop = StopRequest()
    scripted.on_draw = lambda: stop.ask("signal") if len(scripted.calls) == 2 else None
    ladder = Ladder(config, scripted.models(), stop)
    ladder.climb(batch)
    assert [len(work.seeds) for work in batch] == [6, 6, 2]
    assert [round(work.similarity, 6) for work in batch] == [0.4, 0.4, 0.2]
    assert not any(work.outcome for work in batch) and all(work.picture is not None for work in batch)
    assert ladder.counts == {"ladder_rows": 2, "ladder_pictures": 8, "ladder_saved": 0}


def test_a_deadline_finishes_the_climb() -> None:
    config = GanConfig(candidates=1, ladder=1)
    scripted = ScriptedModels([[0.1, 0.2, 0.3]])
    batch = first_draw(scripted, config)
    stop = StopRequest()
    stop.ask("deadline", hurry=False)
    Ladder(config, scripted.models(), stop).climb(batch)
    assert batch[0].chosen == 2


@pytest.mark.parametrize(("later", "chunk", "truncation"), [(0.9, 16, 0.85), (0.1, 32, 1.0)])
def test_a_picture_keeps_the_chunk_that_it_was_drawn_with(later: float, chunk: int, truncation: float) -> None:
    config = GanConfig(candidates=1, ladder=1)
    scripted = ScriptedModels([[0.3, later, later]])
    batch = first_draw(scripted, config)
    scripted.on_draw = lambda: setattr(scripted, "chunk", 16)  # memory ran out while drawing
    Ladder(config, scripted.models(), StopRequest()).climb(batch)
    assert batch[0].drawn_with == {"device": "cpu", "dtype": "fp32", "chunk": chunk, "truncation": truncation}


def test_rows_that_are_given_up_or_given_back_do_not_climb() -> None:
    config = GanConfig(candidates=1)
    scripted = ScriptedModels([[0.1], [0.1]])
    batch = first_draw(scripted, config)
    batch[0].give_back()
    batch[1].fail("no")
    ladder = Ladder(config, scripted.models(), StopRequest())
    assert ladder.climb(batch) == batch
    assert scripted.calls == [] and not +ladder.counts


def test_the_summary_says_what_the_ladder_cost() -> None:
    counts = dict.fromkeys(("claimed", *OUTCOMES), 5) | {"ladder_rows": 3, "ladder_pictures": 28, "ladder_saved": 2}
    summary = RunSummary("r", "finished", 0, counts, {"planned": 5}, {"climb": 12.4}, 60.0, 9.0, "")
    assert "  the ladder: 3 rows drawn again (28 more pictures, 12 s), 2 of them good enough then" in summary.describe()
    summary.counts["ladder_rows"] = 0
    assert "ladder" not in summary.describe()
