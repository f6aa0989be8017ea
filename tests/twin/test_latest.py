# SPDX-License-Identifier: Apache-2.0
"""The newest reading of every tag."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.network.instruments import Instrument
from serai.telemetry.readings import Quality, Readings, Register
from serai.twin.latest import Latest

TAGS = ("a", "b", "c")
MICRO = 1_000_000


def latest(scan=4.0):
    listed = [Instrument(t, "pressure", t, "bara", 0.0, 1e7, 1e3, 0.001, scan, "s", "", "") for t in TAGS]
    return Latest(listed, Register(["x", *TAGS]))


@given(st.lists(st.lists(st.tuples(st.sampled_from((*TAGS, "x")), st.integers(0, 50), st.floats(-9, 9)), max_size=20)))
def test_it_holds_what_a_loop_over_all_readings_would_hold(batches):
    held, truth = latest(), {}
    for rows in batches:
        for tag, time, value in rows:
            if tag in TAGS and time >= truth.get(tag, (-1, 0))[0]:
                truth[tag] = (time, value)
        if rows:
            held.take(Readings.of(held.register, [(t, float(s), v, 0, float(s)) for t, s, v in rows]))
    for k, tag in enumerate(TAGS):
        if tag in truth:
            assert (held.time[k] / MICRO, held.value[k]) == truth[tag]
        else:
            assert np.isnan(held.value[k])


def test_what_comes_late_is_counted_and_not_shown():
    held = latest()
    held.take(Readings.of(held.register, [("a", 10.0, 1.0, 0, 10.0)]))
    held.take(Readings.of(held.register, [("a", 5.0, 2.0, 0, 11.0)]))
    assert held.value[0] == 1.0
    assert (held.taken, held.late) == (2, 1)


def test_a_tag_is_stale_after_three_scans_and_one_that_never_came_when_it_would_have_come():
    held = latest(scan=10.0)
    held.take(Readings.of(held.register, [("a", 100.0, 1.0, 0, 100.0)]))
    assert not held.quality_at(100 * MICRO).any()
    assert not held.quality_at(130 * MICRO).any()
    assert (held.quality_at(131 * MICRO) & Quality.STALE).astype(bool).tolist() == [True, True, True]


@pytest.mark.parametrize(
    ("flags", "called"),
    [(Quality.INVALID, "bad"), (Quality.SPIKE, "suspect"), (Quality.DUPLICATED, "good"), (Quality.STALE, "stale")],
)
def test_the_tally_calls_them_by_what_is_said_of_them(flags, called):
    held = latest()
    rows = [(t, 100.0, 1.0, int(flags) if t == "b" else 0, 100.0) for t in TAGS]
    held.take(Readings.of(held.register, rows))
    tally = held.tally(held.quality_at(100 * MICRO))
    assert tally["total"] == 3
    assert tally[called] == (3 if called == "good" else 1)


def test_sigma_grows_with_the_reading():
    held = latest()
    held.take(Readings.of(held.register, [("a", 1.0, 2e6, 0, 1.0)]))
    assert held.sigma_of(np.array([0]))[0] == pytest.approx(np.hypot(1e3, 2e3))
