"""The layout of docs: imports run one way, and the command line stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "catalog_gen"
PARTS = {"catalog", "clip", "gan", "quality", "storage", "object_store", "encode", "provenance", "report", "style"}
PARTS |= {"notify", "export", "desk", "upscale"}
GROUND = {"config", "cpu", "errors", "photos", "photo_cache", "bundles", "training", "training_data"}
GROUND |= {"__init__", "demo", "weights", "config_notify", "config_export", "config_serve"}
ALLOWED_BETWEEN_PARTS = {
    ("gan", "clip"),
    ("quality", "clip"),
    ("style", "clip"),
    ("style", "encode"),
    ("upscale", "clip"),
    ("upscale", "gan"),
    ("storage", "object_store"),
    ("object_store", "storage"),
}


def imported_names(file: Path) -> set[str]:
    """Return the dotted names that `file` imports, at its top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def own_parts(names: set[str]) -> set[str]:
    """Return the parts of the package that `names` reach, the bare package itself left out."""
    tails = {name.removeprefix("catalog_gen.").split(".")[0] for name in names if name.startswith("catalog_gen.")}
    known = {part_of(file) for file in PACKAGE.rglob("*.py")}
    return tails & known


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    part, used = part_of(file), own_parts(imported_names(file))
    used.discard(part)
    if part in ("cli", "__main__"):
        return
    assert "cli" not in used, "nothing imports the command line"
    if part == "pipeline":
        return
    assert "pipeline" not in used, f"{part} must not know the pipeline"
    between = {other for other in used if other not in GROUND}
    if part in GROUND:
        assert not between, f"{part} is ground for {between}"
    else:
        assert part in PARTS, f"{part} has no place in the layout"
        assert {(part, other) for other in between} <= ALLOWED_BETWEEN_PARTS


@pytest.mark.parametrize("library, home", [("sqlalchemy", "catalog"), ("alembic", "catalog"), ("typer", "cli")])
def test_a_library_stays_in_its_part(library: str, home: str) -> None:
    users = {part_of(file) for file in FILES if any(n.split(".")[0] == library for n in imported_names(file))}
    assert users == {home}


@pytest.mark.parametrize("arguments", [["--help"], ["fill-missing", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = (
        "import sys; from catalog_gen.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'pandas', 'sqlalchemy', 'open_clip', 'numpy', 'transformers', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "catalog-gen" in done.stdout
