# SPDX-License-Identifier: Apache-2.0
"""Each rule finds what it is for, is silent without cause, and is missed when it is switched off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import serai as sr
from serai.field import readings as field_readings
from serai.telemetry.points import points
from serai.telemetry.quality import DELAYS, RECENT, RULES, TIMES, WINDOW, Checks, Limits, step
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register, joined
from telemetry.wire import point

S = MICROSECONDS
START = 1_800_000_000 * S
MID, SIGMA = 50e5, 5e3  # of the transmitter in `wire.point`: 0..100 bar, sigma 0.05 bar
METER = point("P", "iec104", "1/1", scan=1.0)


def noise(n, seed=7, middle=MID):
    """Return what a healthy meter sends."""
    return middle + SIGMA * np.random.default_rng(seed).standard_normal(n)


def series(values, *, times=None, delay=0.05, quality=0, register=None, tag="P"):
    """Return readings of one tag, one a second, that arrive `delay` seconds after their time."""
    n = len(values)
    time = START + S * np.arange(n) if times is None else np.asarray(times, np.int64)
    register = register or Register([tag])
    said = np.broadcast_to(np.asarray(quality, np.uint16), n).copy()
    tags = np.full(n, register.number(tag), np.int32)
    return Readings(register, tags, time, np.asarray(values, float), said, time + np.int64(delay * S))


def found(batch, meter=METER, **limits):
    """Return the qualities that the checks give."""
    return Checks([meter], batch.register, Limits(**limits)).check(batch).quality


def healthy(n=60):
    return series(noise(n))


# ----------------------------------------------------- one case for every rule: what happens, which rows have it


def _stale():
    batch = healthy(20)
    late = batch.received.copy()
    late[12] += 30 * S  # three scans and ten seconds are allowed
    return Readings(batch.register, batch.tag, batch.time, batch.value, batch.quality, late), [12]


def _out_of_range():
    values = noise(20)
    values[5], values[9] = -2e5, 104e5  # more than 1.25 % below and 3.125 % above 0..100 bar
    return series(values), [5, 9]


def _frozen():
    values = noise(40)
    values[15:30] = values[15]
    return series(values), list(range(25, 30))  # after ten scans


def _duplicated():
    times = START + S * np.arange(20)
    times[10], times[15] = times[9], times[3]
    return series(noise(20), times=times), [10, 15]


def _out_of_order():
    times = START + S * np.arange(20)
    times[10] = times[8] + S // 2
    return series(noise(20), times=times), [10]


def _clock_ahead():
    times = START + S * np.arange(20)
    batch = series(noise(20), times=times)
    wrong = batch.time.copy()
    wrong[11:] += 3600 * S  # its clock steps by an hour
    return Readings(batch.register, batch.tag, wrong, batch.value, batch.quality, batch.received), list(range(11, 20))


def _clock_behind():
    batch = healthy(40)
    wrong = batch.time - 8 * S  # less than what is stale
    return Readings(batch.register, batch.tag, wrong, batch.value, batch.quality, batch.received), list(
        range(DELAYS - 1, 40)
    )


def _flatline():
    values = noise(60)
    values[20:45] = MID + 0.001 * SIGMA * np.random.default_rng(1).standard_normal(25)  # alive, yet without its noise
    return series(values), list(range(20 + WINDOW - 1, 45))


def _saturated():
    values = noise(60)
    values[20:45] = 100e5 + 1e5 * np.random.default_rng(1).random(25)  # noise above the upper end
    return series(values), list(range(20 + WINDOW - 1, 45))


def _spike():
    values = noise(60)
    values[30] += 100 * SIGMA
    return series(values), [30]


CASES = {
    "stale": (Quality.STALE, _stale),
    "out of range": (Quality.OUT_OF_RANGE, _out_of_range),
    "frozen": (Quality.FROZEN, _frozen),
    "duplicated": (Quality.DUPLICATED, _duplicated),
    "out of order": (Quality.OUT_OF_ORDER, _out_of_order),
    "clock ahead": (Quality.CLOCK_SKEW, _clock_ahead),
    "clock behind": (Quality.CLOCK_SKEW, _clock_behind),
    "flatline": (Quality.FLATLINE, _flatline),
    "saturated": (Quality.FLATLINE, _saturated),
    "spike": (Quality.SPIKE, _spike),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_it_is_for_and_is_missed_when_it_is_off(name):
    rule, case = CASES[name]
    batch, rows = case()
    assert np.flatnonzero(found(batch) & rule).tolist() == rows
    assert not (found(batch, off=rule) & rule).any()


def test_there_is_a_case_for_every_rule():
    assert {rule for rule, _ in CASES.values()} == set(RULES)


def test_a_healthy_meter_is_given_nothing():
    assert not found(series(noise(50_000))).any()


def test_what_the_station_said_is_carried_through_and_counted():
    said = np.zeros(60, np.uint16)
    said[10] = Quality.SUBSTITUTED
    said[20] = Quality.INVALID | Quality.BLOCKED
    checks = Checks([METER], (batch := series(noise(60), quality=said)).register)
    np.testing.assert_array_equal(checks.check(batch).quality, said)
    assert checks.counts["substituted"] == 1
    assert checks.counts["readings"] == 60


def test_what_the_station_said_itself_is_no_evidence():
    """A value that an operator holds is neither frozen nor flat, and no spike."""
    values = noise(60)
    values[20:50] = 80e5
    got = found(series(values, quality=np.where(values == 80e5, int(Quality.SUBSTITUTED), 0)))
    assert not (got & ~np.uint16(Quality.SUBSTITUTED)).any()


# ----------------------------------------------------- where a rule must not go off


def test_a_step_is_a_spike_on_its_first_reading_only():
    values = noise(60)
    values[30:] += 200 * SIGMA
    assert np.flatnonzero(found(series(values)) & Quality.SPIKE).tolist() == [30]


def test_a_ramp_is_no_spike():
    values = noise(200) + 5 * SIGMA * np.clip(np.arange(200) - 100, 0, 50)
    assert not (found(series(values)) & Quality.SPIKE).any()


def test_a_plant_at_rest_is_not_frozen_but_a_pressure_of_zero_is():
    rests = point("P", "iec104", "1/1", scan=1.0, quantity="flow", low=0.0, high=300.0, sigma=0.1)
    assert not found(series(np.zeros(60)), rests).any()
    nearly = np.zeros(60)
    nearly[::9] = 1e-4  # its noise, cut at zero
    assert not found(series(nearly), rests).any()
    assert (found(series(np.zeros(60))) & Quality.FROZEN).any()


def test_numbers_in_coarse_steps_repeat_by_themselves():
    coarse = point("P", "modbus", "1/0;type=int16;scale=0.5", scan=1.0)  # steps of 0.5 bar, sigma 0.05
    values = np.round(noise(60) / 0.5e5) * 0.5e5
    assert step(coarse) == 0.5e5
    assert len(set(values)) == 1
    assert not found(series(values), coarse).any()
    fine = point("P", "modbus", "1/0;type=int16;scale=0.01", scan=1.0)
    assert (found(series(values), fine) & Quality.FROZEN).any()


def test_flags_are_not_frozen():
    valve = point("P", "iec104", "1/1", scan=1.0, quantity="open", low=0.0, high=1.0, sigma=0.01, unit="", factor=1.0)
    values = np.ones(60)
    values[30:] = 0.0
    assert not found(series(values), valve).any()


def test_readings_that_catch_up_after_an_outage_are_old_but_their_clock_is_right():
    batch = healthy(120)
    received = batch.received.copy()
    received[20:100] = received[100]  # kept by the station while the link was down
    got = found(Readings(batch.register, batch.tag, batch.time, batch.value, batch.quality, received))
    assert (got[20:80] & Quality.STALE).all()
    assert not (got & Quality.CLOCK_SKEW).any()


def test_a_repeated_reading_changes_nothing_for_what_follows():
    values = noise(80)
    once = found(series(values))
    again = series(np.repeat(values, 2), times=START + S * np.repeat(np.arange(80), 2))
    got = found(again)
    assert (got[1::2] == Quality.DUPLICATED).all()
    np.testing.assert_array_equal(got[::2], once)


def test_the_memory_for_repeated_times_is_as_long_as_it_says():
    times = START + S * np.arange(100)
    for back, flag in ((TIMES - 1, Quality.DUPLICATED), (TIMES + 5, Quality.OUT_OF_ORDER)):
        wrong = times.copy()
        wrong[60] = times[60 - back]
        assert found(series(noise(100), times=wrong))[60] & (Quality.DUPLICATED | Quality.OUT_OF_ORDER) == flag


def test_what_has_no_number_is_passed_over():
    values = noise(60)
    values[[20, 21, 40]] = np.nan
    got = found(series(values, quality=np.where(np.isnan(values), int(Quality.INVALID), 0)))
    assert not (got & ~np.uint16(Quality.INVALID)).any()


def test_a_spike_needs_a_history():
    values = noise(20)
    values[RECENT - 1] += 100 * SIGMA
    assert not (found(series(values)) & Quality.SPIKE).any()


# ----------------------------------------------------- invariants

BATCHES = st.lists(
    st.tuples(
        st.integers(0, 3),  # tag; the last is in no table
        st.integers(-50, 50),  # time [s]
        st.one_of(st.floats(width=32), st.sampled_from([0.0, MID, 100e5])),
        st.integers(0, 0xFF),
        st.integers(-100, 100),  # delay [s]
    ),
    max_size=80,
)
METERS = [
    point("P0", "iec104", "1/1", scan=1.0),
    point("P1", "iec104", "1/2", scan=1.0, quantity="flow", low=0.0, high=float("nan"), sigma=0.0, share=0.01),
    point("P2", "iec104", "1/3", scan=1.0, quantity="open", low=float("nan"), high=float("nan"), sigma=0.01),
]


def drawn(rows, register):
    tags, times, values, quality, delays = zip(*rows, strict=True) if rows else ((),) * 5
    time = START + S * np.array(times, np.int64)
    return Readings(
        register, np.array(tags, np.int32), time, np.array(values, float), np.array(quality, np.uint16),
        time + S * np.array(delays, np.int64),
    )  # fmt: skip


@given(BATCHES, st.integers(0, 80))
def test_rows_are_kept_flags_only_added_and_batches_do_not_matter(rows, cut):
    register = Register(["P0", "P1", "P2", "unknown"])
    batch = drawn(rows, register)
    checks = Checks(METERS, register)
    got = checks.check(batch)
    for column in ("tag", "time", "received"):
        np.testing.assert_array_equal(getattr(got, column), getattr(batch, column))
    np.testing.assert_array_equal(got.value, batch.value)
    assert ((got.quality & batch.quality) == batch.quality).all()
    assert not ((got.quality ^ batch.quality) & 0xFF).any()  # the station's own bits are the station's
    assert checks.counts["readings"] == len(rows)
    for rule in RULES:
        assert checks.counts[str(rule.name).lower()] == np.count_nonzero(got.quality & rule)
    parts = Checks(METERS, register)
    index = np.arange(len(batch))
    split = [parts.check(batch.take(index[:cut])), parts.check(batch.take(index[cut:]))]
    np.testing.assert_array_equal(np.concatenate([p.quality for p in split]), got.quality)


@given(BATCHES)
def test_a_rule_that_is_off_changes_no_other(rows):
    register = Register(["P0", "P1", "P2", "unknown"])
    batch = drawn(rows, register)
    full = Checks(METERS, register).check(batch).quality
    for rule in RULES:
        without = Checks(METERS, register, Limits(off=rule)).check(batch).quality
        np.testing.assert_array_equal(without, np.where(batch.quality & rule, full, full & ~np.uint16(rule)))


def test_tags_that_appear_later_are_held_to_their_times():
    register = Register(["P0"])
    checks = Checks(METERS, register)
    checks.check(series(noise(5), register=register, tag="P0"))
    new = series(noise(5), register=register, tag="new", times=[START, START, START + S, START - S, START + 2 * S])
    assert checks.check(new).quality.tolist() == [0, Quality.DUPLICATED, 0, Quality.OUT_OF_ORDER, 0]
    before = checks.check(series([MID], register=register, tag="P0"))
    assert before.quality[0] & Quality.DUPLICATED  # what was known of the first tag is still known


def test_silent_tags_are_told():
    register = Register()
    checks = Checks(METERS, register)
    at = checks._begun + 60 * S
    assert set(checks.silent(at)) == {"P0", "P1", "P2"}
    late = Readings.of(register, [("P0", at / S - 1.0, MID, 0, at / S - 1.0)])
    checks.check(late)
    assert set(checks.silent(at)) == {"P1", "P2"}
    assert checks.silent(at + 30 * S)["P0"] == pytest.approx(31.0)
    assert checks.silent(checks._begun + 5 * S) == {}


def test_healthy_meters_of_a_whole_country_are_given_nothing():
    """Half an hour of the simulated field, class bias, jitter, dropouts and travel times included."""
    net = sr.read("turkmenistan")
    batch = joined(list(field_readings(net, hours=0.5)))
    got = Checks(points(net), batch.register).check(batch)
    assert len(batch) > 250_000
    np.testing.assert_array_equal(got.quality, batch.quality)
