"""What the tests of telling share: settings, the summary of a run, and the textfile as it was left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalog_gen.config import Settings, load_settings
from catalog_gen.notify.metrics import read_samples
from catalog_gen.pipeline.summary import RunSummary

LADDER = {"ladder_rows": 0, "ladder_pictures": 0, "ladder_saved": 0}


def configured(flags: dict[str, Any]) -> Settings:
    return load_settings(None, env={}, use_default_file=False, flags=flags)


def changed(settings: Settings, **flags: Any) -> Settings:
    """Return the settings with some of [notify] changed."""
    return settings.model_copy(update={"notify": settings.notify.model_copy(update=flags)})


def summary(exit_code: int = 0, run_id: str = "run-1", **changes: Any) -> RunSummary:
    counts = {"claimed": 5, "generated": 4, "needs_review": 1, "failed": 0, "lost": 0, "released": 0} | LADDER
    values: dict[str, Any] = {
        "run_id": run_id,
        "state": "finished",
        "exit_code": exit_code,
        "counts": counts,
        "planned": {"planned": 5},
        "timings": {"claim": 0.5, "draw": 2.0},
        "seconds": 3.0,
        "images_per_second": 10.0,
        "message": "",
    }
    return RunSummary(**(values | changes))


def metrics(settings: Settings, name: str = "fill-missing") -> dict[str, float]:
    """Return the textfile's samples, named by metric and the values of their labels but the task."""
    text = (Path(settings.metrics.textfile) / f"catalog_gen_{name}.prom").read_text(encoding="utf-8")
    found = read_samples(text)
    return {
        " ".join((metric.removeprefix("catalog_gen_"), *(value for key, value in labels if key != "task"))): value
        for (metric, labels), value in found.items()
    }
