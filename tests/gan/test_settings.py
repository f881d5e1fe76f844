"""Settings by dotted key, and the spaces that a search reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.settings import apply, known_keys, parse_settings
from catalog_gen.gan.space import SPACE, Choices, Range, read_space


def test_texts_become_values_of_the_setting_s_own_type() -> None:
    texts = [
        "losses.layout=4",
        "augment.flip=false",
        "optimiser.betas=[0.5, 0.999]",
        "losses.adversarial = relativistic",
    ]
    values = parse_settings(texts)
    assert values == {
        "losses.layout": 4.0,
        "augment.flip": False,
        "optimiser.betas": (0.5, 0.999),
        "losses.adversarial": "relativistic",
    }
    config = apply(GanTrainConfig(), values)
    assert config.losses.layout == 4.0 and config.losses.adversarial == "relativistic"
    assert config.optimiser.betas == (0.5, 0.999) and not config.augment.flip
    assert config.losses.perceptual == GanTrainConfig().losses.perceptual, "the rest stays"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("losses.layout", "is no setting"),
        ("losses.layuot=3", "unknown setting losses.layuot. Did you mean losses.layout?"),
        ("layout=3", "Did you mean losses.layout?"),
        ("losses=3", "losses is a section, not a setting"),
        ("losses.layout=-1", "losses.layout cannot be -1"),
        ("losses.layout=true", "a number is meant"),
        ("augment.flip=1", "true or false is meant"),
        ("losses.adversarial=adversary", "'hinge', 'non_saturating'"),
    ],
)
def test_what_cannot_be_set_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings([text])
    assert said in str(caught.value)


def test_twice_and_values_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="seed is set twice"):
        parse_settings(["seed=1", "seed=2"])
    with pytest.raises(UsageError, match="generator: 5 channel counts reach 64 px, not 32"):
        apply(GanTrainConfig(), {"generator.image_size": 32})


def test_every_setting_can_be_set_to_its_default() -> None:
    config = GanTrainConfig()
    for key in known_keys():
        value = config
        for name in key.split("."):
            value = getattr(value, name)
        if value is not None:
            assert apply(config, {key: value}) == config


def test_the_default_space_is_made_of_settings() -> None:
    for key, axis in SPACE.items():
        for value in axis.grid:
            apply(GanTrainConfig(), {key: value})


def test_a_space_is_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'losses.layout = [0, 8]\n"text_noise" = {low = 0, high = 0.5}\n'
        "[optimiser]\ng_lr = {low = 1e-4, high = 1e-3, log = true, grid = [1e-4, 1e-3]}\n"
        "betas = [[0, 0.99], [0.5, 0.999]]\n",
        encoding="utf-8",
    )
    assert read_space(file) == {
        "losses.layout": Choices((0.0, 8.0)),
        "text_noise": Range(0.0, 0.5),
        "optimiser.g_lr": Range(1e-4, 1e-3, True, (1e-4, 1e-3)),
        "optimiser.betas": Choices(((0.0, 0.99), (0.5, 0.999))),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the space is empty"),
        ("losses.layout = 4", "has one value and not a list"),
        ("losses.layout = [4, 4]", "has a choice twice"),
        ("losses.layuot = [4]", "losses.layout"),
        ("text_noise = {low = 1, high = 0}", "low must be below high"),
        ("text_noise = {low = 0, high = 1, log = true}", "above 0 where log"),
        ("text_noise = {low = 0, high = 1, grid = [2]}", "lie between low and high"),
        ("text_noise = {low = 0}", "where a range is meant"),
        ("text_noise = [", "no TOML"),
    ],
)
def test_a_space_that_cannot_be_searched_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "space.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_space(file)
    assert str(file) in str(caught.value) and said in str(caught.value)
