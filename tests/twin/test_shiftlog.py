# SPDX-License-Identifier: Apache-2.0
"""The shift log."""

import pytest

from serai.twin.desk import Refused
from serai.twin.shiftlog import LONGEST, ShiftLog


def test_entries_are_there_after_a_restart_newest_first(tmp_path):
    log = ShiftLog(tmp_path / "log.sqlite")
    log.write(100.0, "aman", "shift begins")
    log.write(200.0, "aman", "  station called  ", "pipes/A")
    log.close()
    log = ShiftLog(tmp_path / "log.sqlite")
    assert [(e["text"], e["subject"]) for e in log.entries(0.0, 1e3, 10)] == [
        ("station called", "pipes/A"), ("shift begins", None),
    ]  # fmt: skip
    assert [e["text"] for e in log.entries(150.0, 1e3, 10)] == ["station called"]
    assert len(log.entries(0.0, 1e3, 1)) == 1
    log.close()


@pytest.mark.parametrize(("text", "who"), [("", "aman"), ("   ", "aman"), ("x" * (LONGEST + 1), "aman"), ("fine", "")])
def test_what_is_no_entry_is_refused(text, who):
    log = ShiftLog()
    with pytest.raises(Refused):
        log.write(1.0, who, text)
    assert log.entries(0.0, 10.0, 10) == []
    log.close()
