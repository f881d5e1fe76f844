"""`catalog-gen train clip` on rows with photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data
from catalog_gen.pipeline.training_source import training_rows

AS_IT_IS = DataChoices()


def train_clip_on_catalogue(
    settings: Settings,
    database: Database,
    where: Where,
    out: Path,
    work_dir: Path,
    options: dict[str, Any],
    data: DataChoices = AS_IT_IS,
) -> tuple[str, int]:
    """Train a product CLIP and write its bundle to `out`; return what came of it in a line, and the exit code.

    With `data.check_only`, nothing is trained and the report on the data is returned.
    """
    from catalog_gen.clip.train import ClipTrainConfig, train_clip

    given = {name: value for name, value in options.items() if value is not None}
    config = ClipTrainConfig(name=out.name, **given)
    plan = DataPlan(config.image_size, work_dir, work_dir, config.held_out, config.seed)
    found = prepare_data(training_rows(settings, database, where), plan, data)
    if data.check_only:
        return found.report.describe(), EXIT_OK
    rows = [*found.train, *found.held_out]
    stop = StopRequest()
    with stop_on_signals(stop):
        result = train_clip(rows, out=out, work_dir=work_dir, config=config, should_stop=stop.asked, rule=found.rule)
    if not result.finished:
        return f"stopped after {result.steps} steps; the same command goes on from {work_dir}", EXIT_PARTIAL
    measured = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    return f"{out}: trained in {result.seconds / 60:.1f} minutes on {len(found.train)} products ({measured})", EXIT_OK
