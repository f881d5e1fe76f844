"""A training's settings by dotted key (`losses.layout`).

They are read from `KEY=VALUE`, checked, applied to a config, and written as a command line's flags.
"""

from __future__ import annotations

import difflib
import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from catalog_gen.errors import UsageError

Config = TypeVar("Config", bound=BaseModel)


def parse_settings(pairs: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """Return {key: value} of `KEY=VALUE` texts for the config `model`.

    A value is TOML's (`4`, `true`, `[0.0, 0.9]`), else a plain word.

    Raises UsageError for a text without `=`, a key given twice or not known, or a value that the key cannot take.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, raw = (part.strip() for part in pair.partition("="))
        if not equals or not key:
            raise UsageError(f"{pair!r} is no setting", hint="Write KEY=VALUE, such as seed=4.")
        if key in found:
            raise UsageError(f"{key} is set twice")
        found[key] = check_value(key, _scalar(raw), model)
    return found


def merge(
    flags: Mapping[str, Any], pairs: Sequence[str], model: type[BaseModel], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return the settings given by flags of their own ({key: value}; None: not given) with those of `KEY=VALUE` texts.

    names: what each key's flag is called, such as {"seed": "--seed"}.
    Raises UsageError as `parse_settings` does, and for a key that is given both ways, even to one value.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    named = parse_settings(pairs, model)
    for key in (key for key in given if key in named):
        both = f"{names[key]} {given[key]} and --set {key}={_as_toml(named[key])}"
        raise UsageError(f"{both} set the same thing", hint="Leave one out.")
    return given | named


def as_flags(values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return `values` as a command line takes them, quoted for a shell: by the flag that `names` knows, or by --set."""
    words = []
    for key, value in values.items():
        words += [names[key], str(value)] if key in names else ["--set", f"{key}={_as_toml(value)}"]
    return shlex.join(words)


def apply(config: Config, values: Mapping[str, Any]) -> Config:
    """Return `config` with the dotted keys of `values` set.

    Raises UsageError as `check_value` does, and when values do not fit each other.
    """
    changed = config.model_dump()
    for key, value in values.items():
        check_value(key, value, type(config))
        *sections, leaf = key.split(".")
        place = changed
        for section in sections:
            place = place[section]
        place[leaf] = value
    try:
        return type(config).model_validate(changed)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        given = ", ".join(f"{key} = {value!r}" for key, value in values.items())
        raise UsageError(f"{where or 'settings'}: {_reason(first['msg'])} (with {given})") from error


def check_value(key: str, value: Any, model: type[BaseModel]) -> Any:
    """Return `value` as the setting `key` of `model` takes it: a list as a tuple, a whole number as a float where apt.

    Raises UsageError naming the key and the reason; an unknown key names the nearest known one.
    """
    field = _field(key, model)
    try:
        checked: Any = TypeAdapter(field.rebuild_annotation()).validate_python(value)
    except ValidationError as error:
        reason = _reason(error.errors(include_url=False)[0]["msg"])
        raise UsageError(f"{key} cannot be {value!r}: {reason}") from error
    if isinstance(value, bool) != isinstance(checked, bool):  # pydantic would take true for 1, and 1 for true
        raise UsageError(
            f"{key} cannot be {value!r}: {'a number' if isinstance(value, bool) else 'true or false'} is meant"
        )
    return checked


def known_keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Return every key that takes a value, sections opened, with its field."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= known_keys(field.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


def _field(key: str, model: type[BaseModel]) -> FieldInfo:
    known = known_keys(model)
    if key in known:
        return known[key]
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside:
        raise UsageError(f"{key} is a section, not a setting", hint=f"Its settings: {', '.join(inside)}.")
    leaf = key.rsplit(".", 1)[-1]
    near = [name for name in known if name.rsplit(".", 1)[-1] == leaf]  # right name, wrong or no section
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    near = near or [name for name in known if difflib.get_close_matches(leaf, [name.rsplit(".", 1)[-1]], cutoff=0.7)]
    sections = dict.fromkeys(name.partition(".")[0] for name in known)
    hint = f"Did you mean {near[0]}?" if near else f"Settings begin with: {', '.join(sections)}."
    raise UsageError(f"unknown setting {key}", hint=hint)


def _scalar(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _as_toml(value: Any) -> str:
    # JSON writes texts, numbers, true and false, and their lists as TOML does.
    return json.dumps(value, ensure_ascii=False)


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "it should be")
