# SPDX-License-Identifier: Apache-2.0
"""What the diagnosis remembers survives the process, and a broken file only costs the memory."""

import pytest

from serai.errors import SeraiError
from serai.twin.memory import keep, take_up


class Kept:
    def __init__(self, value=0):
        self.value = value

    def save(self):
        return {"value": self.value, "of": [1.5, float("nan")]}

    def restore(self, saved):
        if saved["value"] < 0:
            raise SeraiError("of other meters")
        self.value = saved["value"]


def test_it_is_taken_up_again(tmp_path):
    assert keep(Kept(7), tmp_path / "m.json")
    fresh = Kept()
    assert take_up(fresh, tmp_path / "m.json") == ""
    assert fresh.value == 7
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"value": "x"}', '{"value": -1}'])
def test_what_cannot_be_taken_up_is_said(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    fresh = Kept()
    assert take_up(fresh, tmp_path / "m.json")
    assert fresh.value == 0


def test_nothing_saved_is_said_and_a_disk_that_takes_nothing_is_no_end(tmp_path):
    assert take_up(Kept(), tmp_path / "none.json") == "nothing was saved"
    assert not keep(Kept(), tmp_path / "no folder" / "m.json")
