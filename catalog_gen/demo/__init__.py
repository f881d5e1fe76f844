"""The demo catalogue: a small shop's rows, written for this project; no picture, no brand, no real product."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def catalogue_path() -> Path:
    """Return the path of the demo feed (CSV, UTF-8), in a checkout and in an installed package alike."""
    return Path(str(resources.files(__name__) / "catalogue.csv"))
