# SPDX-License-Identifier: Apache-2.0
"""What an alarm says: a value that is past the limit it names, in units as people write them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.small_list import HIGH, LOW, T0, WHY, listed
from serai.alarms import Condition
from serai.alarms.rationale import rationale
from serai.units import UNITS, written

RECORD = {**HIGH, "key": "high", "priority": "high", "text": "{element}: {value} {unit}, above {limit}"}
UNDER = {**LOW, "key": "low", "priority": "high", "text": "{element}: {value} {unit}, below {limit}"}


def numbers(text):
    return [float(x) for x in re.findall(r"\d+(?:\.\d+)?", text.removeprefix("A: "))]


def test_within_the_dead_band_the_text_tells_the_value_that_was_past_the_limit():
    alarms = listed(RECORD)
    for seconds, bar in ((0, 81.5), (10, 80.4), (20, 79.3), (30, 79.3)):  # 30 s of delay, a dead band of 1 bar
        alarms.scan(T0 + seconds, np.array([bar * 1e5, 60e5]))
    (alarm,) = alarms.standing()
    assert alarm.text == "A: 80.4 bar, above 80.0"
    assert alarm.shown()["value"] == 79.3  # now
    assert alarm.words["parameters"]["value"] == 80.4


def test_the_value_it_was_raised_by_outlives_the_process(tmp_path):
    alarms = listed(RECORD, journal=tmp_path / "journal")
    for seconds, bar in ((0, 81.5), (30, 79.3)):
        alarms.scan(T0 + seconds, np.array([bar * 1e5, 60e5]))
    alarms.close()
    again = listed(RECORD, journal=tmp_path / "journal")
    assert again.standing()[0].text == "A: 81.5 bar, above 80.0"
    again.scan(T0 + 31, np.array([79.2e5, 60e5]))
    assert again.standing()[0].text == "A: 81.5 bar, above 80.0"
    again.close()


@given(st.lists(st.sampled_from([79.5, 80.0, 80.000_01, 80.001, 82.0, np.nan]), min_size=4, max_size=30))
def test_no_text_contradicts_its_limit(bars):
    high, low = listed(RECORD), listed(UNDER)
    for k, bar in enumerate(bars):
        high.scan(T0 + 10 * k, np.array([bar * 1e5, 60e5]))
        low.scan(T0 + 10 * k, np.array([(120.0 - bar) * 1e5, 60e5]))  # mirrored at the lower limit of 40 bar
        for alarm in high.standing():
            value, limit = numbers(alarm.text)
            assert value > limit
        for alarm in low.standing():
            value, limit = numbers(alarm.text)
            assert value < limit


def test_units_are_written_as_people_write_them():
    record = {**WHY, "key": "diagnosis.loss", "source": "diagnosis", "priority": "urgent",
              "text": "{kind} near {element}: about {size} {unit_of_size}"}  # fmt: skip
    alarms = listed(record)
    size = {"kind": "leak or theft", "size": 0.4, "unit_of_size": "million_m3_per_day"}
    alarms.report("diagnosis", T0, [Condition("diagnosis.loss", "A", parameters=size)])
    alarm = alarms.standing()[0]
    assert alarm.text == "Leak or theft near A: about 0.4 Mm³/d"
    assert alarm.words["parameters"]["unit_of_size"] == "million_m3_per_day"  # what other languages translate


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_no_unit_is_written_as_a_column_is(unit):
    assert "_" not in written(unit)
    assert written(unit) != "bara"


def from_record(record):
    """Return a record of the country as a table, told at once."""
    return {**WHY, "key": record.key, "source": record.source, "priority": record.priority.value, "text": record.text}


def test_no_alarm_of_the_country_tells_a_raw_unit():
    told = {"size": 1.0, "quantity": "outlet_pressure", "unit": "million_m3_per_day", "hours": 1, "kind": "leak",
              "unit_of_size": "million_m3_per_day", "count": 1, "of": 2, "flags": "stale", "age": 3, "reason": "none",
              "behind": 2, "limit": 3.0}  # fmt: skip
    for record in rationale("turkmenistan").records.values():
        if record.source != "limit":
            alarms = listed(from_record(record))
            alarms.report(record.source, T0, [Condition(record.key, "A", parameters=told)])
            text = alarms.standing()[0].text
            assert not re.search(r"_|bara\b|\?", text), text
