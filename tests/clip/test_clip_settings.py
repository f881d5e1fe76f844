"""The flags of `train clip`: each is a setting's, and a setting is given in one way."""

from __future__ import annotations

import pytest

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.settings import FLAGS, merge
from catalog_gen.errors import UsageError
from catalog_gen.training.settings import as_flags, known_keys


def test_a_setting_is_given_in_one_way() -> None:
    assert set(FLAGS) < set(known_keys(ClipTrainConfig))
    flags = {"epochs": 3, "held_out": None}
    assert merge(flags, ["held_out=40", "head_lr=0.01"]) == {"epochs": 3, "held_out": 40, "head_lr": 0.01}
    with pytest.raises(UsageError) as caught:
        merge(flags, ["epochs=3"])
    assert str(caught.value) == "--epochs 3 and --set epochs=3 set the same thing. Leave one out."


def test_settings_are_written_as_the_flags_that_set_them() -> None:
    assert as_flags({"batch_size": 8, "watch.on_alarm": "log"}, FLAGS) == "--batch 8 --set 'watch.on_alarm=\"log\"'"
