"""Settings by dotted key: what is read, what is refused, and in which words."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.settings import FLAGS, apply, as_flags, known_keys, merge, parse_settings
from catalog_gen.gan.space import SPACE, Choices, Range, read_space


def test_values_are_read_as_the_setting_takes_them() -> None:
    pairs = [
        "losses.layout=4",
        " precision = fp32",
        'device="cuda:0"',
        "optimiser.betas=[0.5, 0.999]",
        "augment.flip=false",
    ]
    assert parse_settings(pairs) == {
        "losses.layout": 4.0,
        "precision": "fp32",
        "device": "cuda:0",
        "optimiser.betas": (0.5, 0.999),
        "augment.flip": False,
    }


def test_a_setting_is_given_in_one_way() -> None:
    flags = {"images": 100, "seed": None, "watch.wandb": "shop"}
    assert merge(flags, ["seed=3", "text_noise=0"]) == {
        "images": 100,
        "watch.wandb": "shop",
        "seed": 3,
        "text_noise": 0.0,
    }
    assert set(FLAGS) < set(known_keys())
    with pytest.raises(UsageError) as caught:
        merge(flags, ["text_noise=0", "watch.wandb=other"])
    assert str(caught.value) == '--wandb shop and --set watch.wandb="other" set the same thing. Leave one out.'
    with pytest.raises(UsageError, match="--images 100 and --set images=100"):
        merge(flags, ["images=100"])


def test_settings_become_flags_that_a_shell_takes_apart_again() -> None:
    values = {
        "batch_size": 16,
        "watch.wandb": "a shop's",
        "optimiser.betas": (0.5, 0.999),
        "optimiser.g_lr": 1e-05,
        "augment.flip": False,
        "precision": "fp32",
    }
    text = as_flags(values)
    assert text == (
        "--batch 16 --wandb 'a shop'\"'\"'s' --set 'optimiser.betas=[0.5, 0.999]' --set optimiser.g_lr=1e-05 "
        "--set augment.flip=false --set 'precision=\"fp32\"'"
    )
    words = shlex.split(text)
    assert words[:4] == ["--batch", "16", "--wandb", "a shop's"]
    assert parse_settings(words[5::2]) == {key: values[key] for key in list(values)[2:]}


@pytest.mark.parametrize(
    "pairs, said",
    [
        (["losses.layuot=4"], "unknown setting losses.layuot. Did you mean losses.layout?"),
        (["layout=4"], "Did you mean losses.layout?"),
        (["optimizer.g_lr=4"], "Did you mean optimiser.g_lr?"),
        (["qqq=4"], "Settings begin with: generator, discriminator, losses"),
        (["losses=4"], "losses is a section, not a setting. Its settings: losses.adversarial,"),
        (["losses.layout"], "Write KEY=VALUE"),
        (["=4"], "Write KEY=VALUE"),
        (["seed=1", "seed=2"], "seed is set twice"),
        (["images=many"], "images cannot be 'many'"),
        (["losses.layout=-1"], "losses.layout cannot be -1: it should be greater than or equal to 0"),
        (["losses.layout=true"], "losses.layout cannot be True: a number is meant"),
        (["augment.flip=1"], "augment.flip cannot be 1: true or false is meant"),
        (["losses.adversarial=hing"], "'hinge', 'non_saturating', 'wasserstein' or 'relativistic'"),
    ],
)
def test_what_cannot_be_set_is_said(pairs: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(pairs)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_apply_changes_what_is_named_and_nothing_else() -> None:
    before = GanTrainConfig(seed=7)
    after = apply(before, {"losses.layout": 2, "optimiser.betas": [0.5, 0.9], "minutes": 3})
    assert (after.losses.layout, after.optimiser.betas, after.minutes) == (2.0, (0.5, 0.9), 3.0)
    undone = apply(after, {"losses.layout": 8.0, "optimiser.betas": (0.0, 0.99), "minutes": None})
    assert undone == before and before.losses.layout == 8.0


def test_settings_that_do_not_fit_each_other() -> None:
    with pytest.raises(UsageError, match=r"generator: 2 channel counts reach 8 px, not 64"):
        apply(GanTrainConfig(), {"generator.channels": (8, 8)})
    fitting = apply(GanTrainConfig(), {"generator.channels": (8, 8), "generator.image_size": 8})
    assert fitting.generator.image_size == 8


def test_every_key_of_the_config_can_be_set_to_its_own_default() -> None:
    config = GanTrainConfig()
    for key in known_keys():
        value = config
        for part in key.split("."):
            value = getattr(value, part)
        assert apply(config, {key: value}) == config, key


def test_the_default_space_fits_the_config() -> None:
    for key, axis in SPACE.items():
        for value in axis.grid + ((axis.low, axis.high) if isinstance(axis, Range) else ()):
            apply(GanTrainConfig(), {key: value})


def space_of(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "space.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_space_is_read(tmp_path: Path) -> None:
    file = space_of(
        tmp_path,
        """
        batch_size = {low = 8, high = 64}
        optimiser.betas = [[0.0, 0.99], [0.5, 0.999]]
        [losses]
        layout = [0, 8]
        """,
    )
    assert read_space(file) == {
        "batch_size": Range(8, 64),
        "optimiser.betas": Choices(((0.0, 0.99), (0.5, 0.999))),
        "losses.layout": Choices((0.0, 8.0)),
    }
    rate = space_of(tmp_path, "optimiser.g_lr = {low = 1e-4, high = 1e-3, log = true, grid = [1e-4, 3e-4]}")
    assert read_space(rate) == {"optimiser.g_lr": Range(1e-4, 1e-3, log=True, grid=(1e-4, 3e-4))}


@pytest.mark.parametrize(
    "text, said",
    [
        ("losses.layuot = [1]", "Did you mean losses.layout?"),
        ("nonsense = {low = 1, high = 2}", "unknown setting nonsense"),
        ("losses.layout = 4", "losses.layout has one value and not a list"),
        ("losses.layout = []", "no choices"),
        ("losses.layout = [4, 4.0]", "a choice twice"),
        ("losses.layout = [4, -1]", "losses.layout cannot be -1"),
        ("losses.layout = {low = 1}", "where a range is meant"),
        ("losses.layout = {low = 1, high = 2, step = 1}", "where a range is meant"),
        ("losses.layout = {low = 2, high = 1}", "low must be below high"),
        ("losses.layout = {low = 0, high = 1, log = true}", "above 0"),
        ("losses.layout = {low = 0, high = inf}", "needs numbers"),
        ("losses.layout = {low = 0, high = 1, grid = [2]}", "between low and high"),
        ("losses.mismatched = {low = 0.0, high = 2.0}", "losses.mismatched cannot be 2.0"),
        ("precision = {low = 1, high = 2}", "precision cannot be 1"),
        ("", "the space is empty"),
        ("losses.layout = ", "this is no TOML"),
    ],
)
def test_what_is_no_space_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(space_of(tmp_path, text))
    assert said in str(caught.value) and "space.toml" in str(caught.value)


def test_a_space_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: the space cannot be read"):
        read_space(tmp_path / "none.toml")
