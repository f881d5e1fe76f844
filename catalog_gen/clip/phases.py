"""The two phases of a CLIP's training, each ready for its first step.

First a small head on the frozen image trunk and the whole text tower learn together; then the text tower rests, and the
image tower's last stages learn with the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import data_key, photo_features, reword, training_views
from catalog_gen.clip.last_stages import LastStages, StageLessons
from catalog_gen.clip.learner import Learner
from catalog_gen.clip.maps import MapPlan, map_views, photo_maps, trunk_hash
from catalog_gen.clip.products import Products
from catalog_gen.clip.text_identity import text_hash
from catalog_gen.clip.text_tower import TextTower, in_half
from catalog_gen.clip.towers import Towers
from catalog_gen.clip.trainer import JOINT_FILES, STAGES_FILES, Exam, Phase, Trainer

PHOTO_VIEWS = 4  # of `photo_views`: what held-out photos are embedded by


@dataclass(frozen=True)
class Subject:
    """What is trained, on what, and where its files go."""

    towers: Towers
    products: Products
    config: ClipTrainConfig
    work_dir: Path

    @property
    def text(self) -> TextTower:
        config, towers = self.config, self.towers
        half = in_half(config.precision)
        return TextTower(towers.model.text, towers.tokenizer.tokenizer, config.context_length, half)

    def exam(self, views: Sequence[npt.NDArray[np.float16]]) -> Exam:
        """Return the held-out products with what the image tower's frozen part makes of all the photos, a view each."""
        places = self.products.places(held_out=True)
        held = [view[places] for view in views[:PHOTO_VIEWS]]
        return Exam(self.products.side(held_out=True), held, lambda position: self.products.photos[places[position]])


def joint_phase(subject: Subject) -> Trainer[Learner]:
    """Return the training of both towers together; photos' features are computed where they are not on disk."""
    config, products, towers = subject.config, subject.products, subject.towers
    views = training_views(config.image_size, config.score_size, config.draft_size)
    key = data_key(products.rows, towers.model_config["model_cfg"]["vision_cfg"]["timm_model_name"])
    trunk = towers.model.visual.trunk
    features = photo_features(trunk, products.photos, views, subject.work_dir, key, config.seed)
    rows = products.side(held_out=False)
    seen = features[:, products.places(held_out=False)]
    learner = Learner(towers.model, subject.text, seen, [row.prompt for row in rows], config)
    of_phase = config.model_dump_json(exclude={"watch", "checkpoint_every", "last_stages"})
    phase = Phase(JOINT_FILES, key=of_phase + data_key(rows))
    return Trainer(learner, rows, subject.exam(list(features)), subject.work_dir, config, phase)


def stage_maps(subject: Subject) -> list[npt.NDArray[np.float16]]:
    """Return the maps before the last stages, of every photo, a view each; computed where they are not on disk."""
    config, trunk = subject.config, subject.towers.model.visual.trunk
    stages = config.last_stages.stages
    views = map_views(config.image_size, config.score_size, config.draft_size)
    key = data_key(subject.products.rows, trunk_hash(trunk, stages))
    plan = MapPlan(views, stages, subject.work_dir, key, config.seed)
    return photo_maps(trunk, subject.products.photos, plan)


def stages_phase(
    subject: Subject, maps: Sequence[npt.NDArray[np.float16]], should_stop: Callable[[], bool]
) -> Trainer[LastStages] | None:
    """Return the training of the last stages with the text tower as it is now; None when it was asked to stop."""
    config, products, towers = subject.config, subject.products, subject.towers
    rows = products.side(held_out=False)
    texts = _wordings(subject, [row.prompt for row in rows], should_stop)
    if texts is None:
        return None
    names = [view.name for view in map_views(config.image_size, config.score_size, config.draft_size)]
    lessons = StageLessons(
        maps=maps,
        places=products.places(held_out=False),
        photo_views=[i for i, name in enumerate(names) if name.startswith("photo")],
        score_views=[i for i, name in enumerate(names) if name.startswith("score")],
        texts=texts,
        twins=torch.from_numpy(np.unique([row.prompt for row in rows], return_inverse=True)[1]),
    )
    learner = LastStages(towers.model, subject.text, lessons, config.last_stages, config.seed)
    of_phase = config.model_dump_json(exclude={"watch", "checkpoint_every"}) + data_key(rows)
    if towers.start is not None:
        phase = Phase(STAGES_FILES, key=of_phase + towers.start.hash, goes_on=True)
    else:
        steps = len(rows) // config.batch_size * config.epochs
        phase = Phase(STAGES_FILES, of_phase, images=steps * config.batch_size, epochs=config.epochs, goes_on=True)
    return Trainer(learner, rows, subject.exam(maps), subject.work_dir, config, phase)


def _wordings(subject: Subject, prompts: Sequence[str], should_stop: Callable[[], bool]) -> Tensor | None:
    """Return embeddings (1 + R, N, D) of the prompts as they are and in R other wordings; None when asked to stop.

    What is on disk is not computed again: the text tower rests, and every start embeds the same words.
    """
    config, towers = subject.config, subject.towers
    identity = text_hash(towers.model.state_dict(), towers.model_config, towers.text_folder)
    rewordings = config.last_stages.rewordings
    key = data_key(subject.products.side(held_out=False), ("words 1", identity, rewordings, config.seed))
    file = subject.work_dir / f"words-{key}.npy"
    if not file.exists():
        chance = np.random.default_rng((config.seed, 3))
        parts = []
        for wording in range(1 + rewordings):
            if should_stop():
                return None
            said = [reword(prompt, chance) for prompt in prompts] if wording else prompts
            parts.append(subject.text.embed(said).numpy())
        part = file.with_suffix(".part.npy")
        np.save(part, np.stack(parts))
        part.replace(file)
    return torch.from_numpy(np.load(file))
