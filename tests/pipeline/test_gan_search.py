"""What a search tries, and the flags it advises at its end, as the command line reads them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.cli import run
from catalog_gen.errors import UsageError
from catalog_gen.gan.space import SPACE, Choices
from catalog_gen.pipeline.gan_request import GanRequest, Trained
from catalog_gen.pipeline.gan_search import longer, searched

PATHS = {"out": Path("bundle"), "work_dir": Path("work")}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[GanRequest]:
    """The requests that reach the training, in a folder with an empty catalogue."""
    seen: list[GanRequest] = []

    def note(settings: Any, database: Any, request: GanRequest, data: Any) -> Trained:
        seen.append(request)
        return Trained("")

    monkeypatch.setattr("catalog_gen.pipeline.gan_training.train_gan_on_rows", note)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog-gen.toml").write_text("[database]\nurl = 'sqlite:///d.sqlite3'\n", encoding="utf-8")
    assert run(["db", "upgrade"]) == 0
    return seen


def test_the_advice_reads_back_as_what_was_given_and_what_was_best(requests: list[GanRequest]) -> None:
    train = ["train", "gan", "--out", "bundle", "--work-dir", "work"]
    own = ["--batch", "8", "--seed", "-3", "--fit", "crop", "--wandb", "a shop's", "--set", "text_noise=0.1"]
    own += ["--set", "optimiser.betas=[0.5, 0.9]", "--set", "device=cpu", "--set", "generator.norm=adaptive"]
    assert run([*train, *own, "--images", "16", "--minutes", "3", "--search", "2"]) == 0
    best = {"losses.layout": 4.0, "losses.adversarial": "hinge", "optimiser.g_lr": 1.25e-05, "augment.flip": True}
    assert run([*train, *shlex.split(longer(requests[0].given, best))]) == 0
    assert requests[1].given == {
        "batch_size": 8,
        "seed": -3,
        "fit": "crop",
        "watch.wandb": "a shop's",
        "text_noise": 0.1,
        "optimiser.betas": (0.5, 0.9),
        "device": "cpu",
        "generator.norm": "adaptive",
        **best,
    }
    assert not requests[1].trials


@pytest.mark.parametrize(
    ("flag", "setting"),
    [
        ("--images 100", "images=200"),
        ("--minutes 2.0", "minutes=3.0"),
        ("--batch 4", "batch_size=8"),
        ("--seed 1", "seed=2"),
        ("--fit crop", 'fit="letterbox"'),
        ("--wandb mine", 'watch.wandb="other"'),
    ],
)
def test_a_flag_and_its_setting_are_one_too_many(
    requests: list[GanRequest], capsys: pytest.CaptureFixture[str], flag: str, setting: str
) -> None:
    arguments = ["train", "gan", "--out", "bundle", "--work-dir", "work", *flag.split(), "--set", setting]
    assert run(arguments) == 64
    assert f"catalog-gen: {flag} and --set {setting} set the same thing" in capsys.readouterr().err
    assert not requests


def test_what_a_person_set_is_not_tried() -> None:
    given = {"losses.layout": 4.0, "text_noise": 0.1, "images": 100}
    assert searched(GanRequest(**PATHS, trials=2, given=given)) == {
        key: axis for key, axis in SPACE.items() if key not in ("losses.layout", "text_noise")
    }
    with pytest.raises(UsageError, match="every setting that it tries is set"):
        searched(GanRequest(**PATHS, trials=2, given=dict.fromkeys(SPACE, 0.5)))


def test_a_space_of_one_s_own_leaves_out_what_is_set(tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text("losses.layout = [0, 8]\n", encoding="utf-8")
    request = GanRequest(**PATHS, trials=2, space=space, given={"text_noise": 0.1})
    assert searched(request) == {"losses.layout": Choices((0.0, 8.0))}
    said = f"{re.escape(str(space))}: losses.layout is set, and cannot be tried"
    with pytest.raises(UsageError) as caught:
        searched(GanRequest(**PATHS, trials=2, space=space, given={"losses.layout": 4.0}))
    assert re.match(said, str(caught.value))


def test_how_often_a_trial_is_measured_is_the_search_s() -> None:
    with pytest.raises(UsageError, match="a search measures each trial 4 times") as caught:
        searched(GanRequest(**PATHS, trials=2, given={"watch.measure_every": 8}))
    assert str(caught.value).startswith("--search: watch.measure_every cannot be set")
