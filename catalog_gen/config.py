"""Settings: `catalog-gen.toml`, then environment variables, then flags; every default is stated here, once.

A variable's name is `CATALOG_GEN_` and the key's path joined by two underscores, in capitals:
`CATALOG_GEN_DATABASE__URL=postgresql://...` sets `url` in `[database]`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog_gen.config_export import ExportConfig
from catalog_gen.config_notify import MetricsConfig, NotifyConfig, hide_secrets
from catalog_gen.config_serve import ServeConfig, hide_desk_secrets
from catalog_gen.errors import ConfigError

DEFAULT_PATH = Path("catalog-gen.toml")
ENV_PREFIX = "CATALOG_GEN_"
MAX_RUNG_CANDIDATES = 4_096
SECRET_KEYS = frozenset({"password", "secret"})
SECRET_ADDRESSES = frozenset({"notify.webhook.url", "metrics.pushgateway"})


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DatabaseConfig(Section):
    """Where the job keeps its own tables."""

    url: str = "sqlite:///catalog-gen.sqlite3"


class ColumnsConfig(Section):
    """Names of the columns in an attached table."""

    sku: str = "sku"
    title: str = "title"
    category: str = ""
    image: str = ""
    attributes: tuple[str, ...] = ()


class CatalogConfig(Section):
    """The shop's own table, read in place. With an empty `table`, the imported rows are used."""

    url: str = ""  # empty: the job's own database
    table: str = ""
    db_schema: str = Field(default="", alias="schema")
    columns: ColumnsConfig = ColumnsConfig()
    writeback: bool = False

    @model_validator(mode="after")
    def _attached_needs_image_column(self) -> CatalogConfig:
        if self.writeback and not (self.table and self.columns.image):
            raise ValueError("writeback needs catalog.table and catalog.columns.image")
        return self


class ImportConfig(Section):
    """How a feed's columns map to a product's fields: `sku`, `title`, `category`, `image`."""

    columns: dict[str, str] = {}
    ignore: tuple[str, ...] = ()
    chunk_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000


class PromptConfig(Section):
    """The sentence that CLIP reads. An empty template means: title, then each attribute that the title lacks."""

    template: str = ""
    attributes: tuple[str, ...] = ()  # empty: all of the row's attributes, in their order
    exclude: tuple[str, ...] = ("year", "masterCategory", "subCategory")


class ClipConfig(Section):
    """A bundle's name or folder, or `open_clip:ARCHITECTURE` with a pretrained tag or a local file."""

    model: str = "product-clip"
    pretrained: str = ""


class GanConfig(Section):
    """The generator's bundle, by name or folder, and how it is run.

    The ladder draws rows again whose best similarity is below `ladder_below`; unset: below the gate's threshold.
    """

    model: str = "gan-128"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    batch: Annotated[int, Field(ge=0, le=65_536)] = 0  # 0: found by trying
    candidates: Annotated[int, Field(ge=1, le=64)] = 4
    truncation: Annotated[float, Field(ge=0, le=1)] = 1.0
    ladder: Annotated[int, Field(ge=0, le=8)] = 2  # rungs above the first draw
    ladder_truncation: Annotated[float, Field(gt=0, le=1)] = 0.85  # factor a rung
    ladder_candidates: Annotated[int, Field(ge=1, le=8)] = 2  # factor a rung
    ladder_below: Annotated[float, Field(ge=-1, le=1)] | None = None

    @model_validator(mode="after")
    def _rungs_are_payable(self) -> GanConfig:
        last = self.candidates * self.ladder_candidates**self.ladder
        if last > MAX_RUNG_CANDIDATES:
            raise ValueError(f"the last rung would draw {last} pictures a row, and {MAX_RUNG_CANDIDATES} is the most")
        return self


class UpscaleConfig(Section):
    """The upscaler's bundle, by name or folder, and how it is run; with an empty `model` pictures stay as drawn."""

    model: str = "upscale-4x"
    size: Annotated[int, Field(ge=64, le=4_096)] = 512  # px: the delivered picture's side
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    batch: Annotated[int, Field(ge=0, le=1_024)] = 0  # pictures enlarged at once; 0: as is fast on the device


class GateConfig(Section):
    """What sends a picture to review. `min_similarity` unset means the CLIP bundle's calibrated threshold.

    `min_photos`: of a category, that the generator must have seen for its pictures to pass unseen; 0: none.
    """

    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    min_photos: Annotated[int, Field(ge=0)] = 20
    duplicates: bool = True


class RestyleConfig(Section):
    """Putting pictures into brand templates. `templates`: a folder with the shop's own, beside those that ship.

    `photos` is the folder or URL that relative paths of the catalogue's images start from. `matte`: the bundle that
    completes what is cut out, a shipped one's name or a folder.
    """

    templates: str = ""
    photos: str = ""
    matte: str = "matte"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: Annotated[int, Field(ge=0, le=1_024)] = 0  # pictures of a size stylised at once; 0: as the device can take
    tile: Annotated[int, Field(ge=256, le=8_192, multiple_of=32)] = 2_048  # px: larger pictures are worked in tiles


class ReviewConfig(Section):
    """Decisions on pictures. `reviewer`: whose name they are recorded under; empty: the operating system's user."""

    reviewer: str = ""


class StorageConfig(Section):
    """Where pictures go: a folder or an fsspec URL such as `s3://bucket/prefix`, with its options."""

    url: str = "pictures"
    format: Literal["webp", "jpeg", "png"] = "webp"
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    options: dict[str, Any] = {}


class ReportConfig(Section):
    """The night's report. `out`: the folder it goes to; `sample`: pictures of the page; `thumbnail`: pixels of each.

    `cost_per_hour` is what the machine costs, in `currency`; unset: the report says that it is not known.
    """

    out: str = "reports"
    sample: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    thumbnail: Annotated[int, Field(ge=96, le=1_080)] = 512
    nights: Annotated[int, Field(ge=0, le=90)] = 14  # runs before that are shown beside it
    cost_per_hour: Annotated[float, Field(ge=0)] | None = None
    currency: Annotated[str, Field(max_length=12)] = ""


class JobConfig(Section):
    """The batch engine."""

    page_rows: Annotated[int, Field(ge=0, le=10_000)] = 0  # rows claimed at once; 0: what fills the device
    lease_seconds: Annotated[float, Field(gt=0)] = 600.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    retries: Annotated[int, Field(ge=0, le=20)] = 6
    retry_seconds: Annotated[float, Field(ge=0)] = 0.5
    encode_threads: Annotated[int, Field(ge=1, le=64)] = 2
    store_threads: Annotated[int, Field(ge=1, le=64)] = 2


class Settings(Section):
    """Everything a job needs to know, resolved and validated."""

    database: DatabaseConfig = DatabaseConfig()
    catalog: CatalogConfig = CatalogConfig()
    imports: ImportConfig = Field(default=ImportConfig(), alias="import")
    prompt: PromptConfig = PromptConfig()
    clip: ClipConfig = ClipConfig()
    gan: GanConfig = GanConfig()
    upscale: UpscaleConfig = UpscaleConfig()
    gate: GateConfig = GateConfig()
    restyle: RestyleConfig = RestyleConfig()
    review: ReviewConfig = ReviewConfig()
    storage: StorageConfig = StorageConfig()
    report: ReportConfig = ReportConfig()
    export: ExportConfig = ExportConfig()
    job: JobConfig = JobConfig()
    notify: NotifyConfig = NotifyConfig()
    metrics: MetricsConfig = MetricsConfig()
    serve: ServeConfig = ServeConfig()

    def public(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values with every secret hidden, for the run's ledger row."""
        values = self.model_dump(mode="json", by_alias=True)
        for section in ("database", "catalog"):
            values[section]["url"] = hide_password(values[section]["url"])
        hide_secrets(values)
        hide_desk_secrets(values["serve"])
        secrets = ("key", "secret", "token", "password")
        values["storage"]["options"] = {
            name: "***" if any(word in name.lower() for word in secrets) else _hide_nested(value, secrets)
            for name, value in values["storage"]["options"].items()
        }
        return values


def _hide_nested(value: Any, secrets: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: "***" if any(word in name.lower() for word in secrets) else _hide_nested(inner, secrets)
        for name, inner in value.items()
    }


def hide_password(url: str) -> str:
    """Return `url` with the password of its user-info part replaced by `***`."""
    head, separator, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    user_info, at, host = authority.rpartition("@")
    if not separator or not at or ":" not in user_info:
        return url
    return f"{head}://{user_info.split(':', 1)[0]}:***@{host}{slash}{tail}"


def load_settings(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    use_default_file: bool = True,
) -> Settings:
    """Return the settings from `path` (or `./catalog-gen.toml` if there is one), environment and flags.

    `flags` maps dotted keys (`gan.candidates`) to values; None means "not given".
    Raises ConfigError naming the file or variable, the key and the reason; an unknown key names the nearest known one.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = path or (DEFAULT_PATH if use_default_file and DEFAULT_PATH.exists() else None)
    if file is not None:
        values = _read_toml(file)
    for key, raw in sorted((os.environ if env is None else env).items()):
        if key.startswith(ENV_PREFIX) and "__" in key:
            dotted = ".".join(key.removeprefix(ENV_PREFIX).lower().split("__"))
            _set(values, dotted, raw if _is_secret(dotted) else _parse_scalar(raw), origins, key)
    for dotted, value in (flags or {}).items():
        if value is not None:
            _set(values, dotted, value, origins, f"flag for {dotted}")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, origins, str(file or "settings")) from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(file)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid TOML: {error}", where=str(file)) from error


def _parse_scalar(raw: str) -> Any:
    """A variable's text as a TOML value where it is one (`4`, `true`, `["a"]`), else as the text itself."""
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _is_secret(dotted: str) -> bool:
    """Whether a key holds a secret: it is never shown, and 0123 or true in a variable is its text as it stands."""
    return dotted.rsplit(".", 1)[-1] in SECRET_KEYS or dotted in SECRET_ADDRESSES


def _set(values: dict[str, Any], dotted: str, value: Any, origins: dict[str, str], origin: str) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{parent} is a value, not a section", where=origin)
    values[leaf] = value
    origins[dotted] = origin


def _explain(error: ValidationError, origins: Mapping[str, str], file: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    dotted = ".".join(str(part) for part in first["loc"])
    where = origins.get(dotted, file)
    if first["type"] == "extra_forbidden":
        known = _known_keys()
        near = difflib.get_close_matches(dotted, known, n=1, cutoff=0.5)
        leaf = dotted.rsplit(".", 1)[-1]
        near = near or [key for key in known if difflib.get_close_matches(leaf, [key.rsplit(".", 1)[-1]])][:1]
        hint = f"Did you mean {near[0]}?" if near else "docs/configuration.md lists the keys."
        return ConfigError(f"unknown key {dotted}", where=where, hint=hint)
    shown = dotted and not isinstance(first["input"], dict) and not _is_secret(dotted)
    given = f" (got {first['input']!r})" if shown else ""
    return ConfigError(f"{dotted or 'settings'}: {first['msg']}{given}", where=where)


def _known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        keys.append(key)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, key + ".")
    return keys
