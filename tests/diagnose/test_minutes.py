# SPDX-License-Identifier: Apache-2.0
"""Every reading belongs to one scan by one rule, and every one that does not count is counted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from estimate.moving_line import case
from serai.diagnose.minutes import GRACE, SCAN, Minutes
from serai.estimate.given import Tags
from serai.telemetry.readings import Quality, Readings, Register

TAGS = Tags(case())
START = 1_800_000_000.0  # a full minute


def batch(*rows):
    return Readings.of(Register(), [(tag, t, v, int(q), r) for tag, t, v, q, r in rows])


def row(tag, t, value, quality=0, received=None):
    return tag, START + t, value, quality, START + t if received is None else received


def test_the_nearest_minute_takes_it_and_the_latest_counts():
    m = Minutes(TAGS)
    rows = [row("A PT", 1.0, 1.0), row("A PT", 29.0, 2.0), row("A PT", -29.0, 0.0), row("B PT", 31.0, 5.0)]
    assert list(m.add(batch(*rows))) == []
    (minute, values), *more = m.add(batch(row("A PT", 96.0, 9.0)))
    assert minute * SCAN == START
    assert values[TAGS.number["A PT"]] == 2.0
    assert np.isnan(values[TAGS.number["B PT"]])
    assert [k * SCAN for k, _ in more] == [START + 60.0]
    assert m.counts["superseded"] == 2
    assert [k * SCAN for k, _ in m.rest()] == [START + 120.0]


def test_a_scan_waits_for_its_grace():
    m = Minutes(TAGS)
    assert not list(m.add(batch(row("A PT", 0.0, 1.0), row("A PT", 30.0 + GRACE - 0.1, 1.0))))
    assert len(list(m.add(batch(row("A PT", 30.0 + GRACE + 0.1, 1.0))))) == 1


def test_what_does_not_count_is_counted():
    m = Minutes(TAGS)
    rows = [
        row("A PT", 0.0, 1.0), row("Nobody PT", 0.0, 1.0), row("B PT", 0.0, 1.0, Quality.INVALID),
        row("C PT", 0.0, float("nan")), row("D PT", 500.0, 1.0, received=START), row("E PT", 100.0, 1.0),
    ]  # fmt: skip
    assert len(list(m.add(batch(*rows)))) == 1
    list(m.add(batch(row("B PT", 3.0, 1.0))))
    got = {k: m.counts[k] for k in ("taken", "unknown tag", "useless", "from the future", "late")}
    assert got == {"taken": 2, "unknown tag": 1, "useless": 2, "from the future": 1, "late": 1}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["A PT", "CS FT", "?"]), st.floats(-600, 600), st.floats(width=32),
                  st.sampled_from([0, 1, 0x80])),
        min_size=1, max_size=30,
    ),
    st.integers(1, 6),
)  # fmt: skip
def test_every_reading_is_taken_or_counted_once(rows, parts):
    m = Minutes(TAGS)
    scans = []
    for part in np.array_split(np.arange(len(rows)), parts):
        if len(part):
            scans += m.add(batch(*(row(*rows[k]) for k in part)))
    scans += m.rest()
    counted = sum(m.counts[k] for k in ("taken", "unknown tag", "useless", "from the future", "late"))
    assert counted == len(rows)
    numbers = [k for k, _ in scans]
    assert numbers == sorted(set(numbers))
    assert sum(int(np.isfinite(v).sum()) for _, v in scans) == m.counts["taken"] - m.counts["superseded"]
