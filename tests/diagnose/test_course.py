# SPDX-License-Identifier: Apache-2.0
"""Diagnosis over time on a metered line whose pipes, gas and clocks are not those of its tables."""

import json
from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from estimate.moving_line import case, meters, read, truth
from serai.diagnose import History, diagnose, learn
from serai.diagnose.course import Course, over_time
from serai.diagnose.lesson import read_lesson
from serai.errors import SeraiError
from serai.telemetry.readings import Quality, Readings, Register, joined

TAGS = [m.tag for m in meters()]
START = 1_800_000_000.0
CLEAN, BEGIN = 420, 480  # scans: of the lesson, from which on 8 kg/s of 200 leak in the middle of CD


def batches(z, first=0, quality=0):
    """Readings (n_scan, n_meter) as batches of a minute each."""
    register = Register(TAGS)
    out = []
    for k, row in enumerate(z, start=first):
        t = START + 60.0 * k
        rows = [(tag, t, float(v), quality, t + 0.1) for tag, v in zip(TAGS, row, strict=True) if np.isfinite(v)]
        out.append(Readings.of(register, rows))
    return out


@pytest.fixture(scope="module")
def readings():
    return read(truth(BEGIN / 60.0 + 1.0, 5, leak=("CD [10/20]", 8.0, BEGIN / 60.0)), 6)


@pytest.fixture(scope="module")
def lesson(readings):
    return learn(case(), batches(readings[:CLEAN]))


@pytest.fixture(scope="module")
def followed(readings, lesson):
    """The course that has seen everything after the lesson, and what it said at every scan."""
    course = Course(case(), lesson=lesson, settled=30)
    return course, [course.scan(b) for b in batches(readings[CLEAN:], CLEAN)]


def test_a_leak_becomes_one_incident_with_place_size_and_onset(followed):
    course, said = followed
    first = next(k for k, now in enumerate(said) if now)
    assert BEGIN - CLEAN < first <= BEGIN - CLEAN + 30
    (leak,) = course.incidents
    assert not course.closed  # one alarm from its first scan on, not a flood
    assert leak.kind == "leak"
    assert leak.pipe == "CD"
    assert abs(leak.share - 0.5) < 4.0 * leak.share_sigma + 0.05
    assert abs(leak.size - 8.0) < 4.0 * leak.sigma
    assert abs(leak.onset - (START + 60.0 * BEGIN)) < 600.0
    assert leak.score > leak.limit
    assert 0.0 < leak.smallest < 8.0
    assert "CD" in str(leak)
    assert course.counts["scans"] == len(said) - 1  # the last one is not closed yet


def test_it_is_taken_up_again_through_json(readings, lesson):
    rest = batches(readings[CLEAN:], CLEAN)
    one, other = Course(case(), lesson=lesson, settled=30), Course(case(), lesson=lesson, settled=30)
    for b in rest[:75]:
        one.scan(b)
    other.restore(json.loads(json.dumps(one.save())))
    for b in rest[75:100]:
        assert repr(one.scan(b)) == repr(other.scan(b))
    assert one.incidents
    assert other.counts.counted == one.counts.counted
    with pytest.raises(SeraiError, match="of another case"):
        Course(sr.read("two_pipes")).restore(one.save())


def test_a_lesson_is_a_file(lesson, tmp_path):
    again = read_lesson(lesson.write(tmp_path / "lesson.json"))
    assert again.case == "metered line"
    assert again.days == pytest.approx(CLEAN / 1440.0, abs=0.01)
    assert again.gas.mu == lesson.gas.mu
    assert all(np.allclose(again.gas.spread[n], lesson.gas.spread[n], atol=1e-6) for n in lesson.gas.spread)
    (tmp_path / "other.json").write_text('{"form": "?"}')
    for file in (tmp_path / "other.json", tmp_path / "none.json"):
        with pytest.raises(SeraiError, match="no lesson"):
            read_lesson(file)
    with pytest.raises(SeraiError, match="not of two_pipes"):
        Course(sr.read("two_pipes"), lesson=lesson)


def test_too_little_is_no_lesson(readings):
    with pytest.raises(SeraiError, match="teach too little"):
        learn(case(), batches(readings[:60]))


def test_what_was_sent_before_is_forged_and_no_leak(readings, lesson):
    """The export's meter plays an earlier hour again: told as forged within minutes, and set aside."""
    z = readings[CLEAN:BEGIN].copy()
    k = TAGS.index("export FT")
    z[40:, k] = z[5:25, k]
    course = Course(case(), lesson=lesson, settled=30)
    for b in batches(z, CLEAN):
        course.scan(b)
    (forged,) = course.incidents
    assert forged.kind == "forged"
    assert forged.where == ("export FT",)
    assert forged.source == "sequence"
    assert forged.false_alarm < 0.1
    assert forged.onset == pytest.approx(START + 60.0 * (CLEAN + 40), abs=1.0)


def test_serai_diagnose_takes_a_series(readings, lesson, tmp_path):
    """One batch of many scans, a list of batches and a file say the same."""
    rest = batches(readings[BEGIN - 20 : BEGIN + 25], BEGIN - 20)
    whole = joined(rest)
    found = diagnose(case(), whole, lesson=lesson, settled=0)
    assert isinstance(found, History)
    lines = ["time,tag,value,unit"]
    for t, tag, v in zip(whole.time, whole.tag, whole.value, strict=True):
        unit = ("bara", v / 1e5) if TAGS[tag].endswith("PT") else ("kg_per_s", v)
        lines.append(f"{t / 1e6:.0f},{TAGS[tag]},{unit[1]:.12g},{unit[0]}")
    (tmp_path / "readings.csv").write_text("\n".join(lines))
    for other in (over_time(case(), rest, lesson=lesson, settled=0),
                  diagnose(case(), tmp_path / "readings.csv", lesson=lesson, settled=0)):  # fmt: skip
        assert [x.kind for x in other] == [x.kind for x in found]
        assert other.course.counts["scans"] == found.course.counts["scans"] == 45
    assert "0.8 h" in str(found).splitlines()[0]


def test_bad_readings_are_counted_and_harm_nothing(readings, lesson):
    course = Course(case(), lesson=lesson, settled=30)
    good = batches(readings[CLEAN : CLEAN + 4], CLEAN)
    register = good[0].register
    nonsense = Readings.of(register, [
        ("nobody", START, 1.0, 0, START), ("A PT", START + 60.0 * CLEAN, np.nan, 0, 0.0),
        ("A PT", START + 60.0 * CLEAN, 1.0, int(Quality.OVERFLOW), 0.0), ("B PT", START + 9e6, 1.0, 0, START),
    ])  # fmt: skip
    for b in (nonsense, *good, nonsense):
        assert course.scan(b) == ()
    assert course.counts["unknown tag"] == 2
    assert course.counts["useless"] == 4
    assert course.counts["from the future"] == 2
    assert course.counts["scans"] == 3


def test_a_long_silence_begins_the_watch_anew(readings, lesson):
    course = Course(case(), lesson=lesson, settled=30)
    for b in batches(readings[CLEAN : CLEAN + 5], CLEAN):
        course.scan(b)
    assert course.watch.memory.count > 30
    for b in batches(readings[BEGIN + 10 : BEGIN + 14], BEGIN + 10):
        assert course.scan(b) == ()
    assert course.counts["gap"] == 1
    assert course.watch.memory.count < 10


def test_a_pressure_that_comes_in_another_unit_is_set_aside(readings, lesson):
    z = readings[CLEAN : CLEAN + 12].copy()
    z[5:, TAGS.index("C PT")] /= 1e5
    course = Course(case(), lesson=lesson, settled=30)
    for b in batches(z, CLEAN):
        course.scan(b)
    (unit,) = course.incidents
    assert (unit.kind, unit.where, unit.unit) == ("unit", ("C PT",), "bar where Pa is meant")


def test_what_starts_from_zero_is_not_in_another_unit(readings, lesson):
    """A fuel meter at rest reads its noise; a thousand times as much is then a start."""
    course = Course(case(), lesson=lesson, settled=30)
    k = next(i for i, m in enumerate(course.tags.meters) if m.name.endswith("FT"))
    for noise, expected in ((0.5, []), (50.0, ["unit"])):  # of the meter's sigma at zero
        kept = np.full(len(course.tags.meters), np.nan)
        kept[k] = noise * float(course.tags.sigmas(np.array([k]), np.zeros(1))[0])
        course.accounts.kept = kept
        values = np.full(len(kept), np.nan)
        values[k] = 1000.0 * kept[k]
        assert [i.kind for i in course._units(START, values)] == expected


def test_what_stops_is_not_in_another_unit(readings, lesson):
    """A meter of flow that reads its noise, a thousandth of what it read before: it stands."""
    course = Course(case(), lesson=lesson, settled=30)
    k = next(i for i, m in enumerate(course.tags.meters) if m.name.endswith("FT"))
    floor = float(course.tags.sigmas(np.array([k]), np.zeros(1))[0])
    for noise, expected in ((2.0, []), (50.0, ["unit"])):
        course.accounts.kept, values = np.full((2, len(course.tags.meters)), np.nan)
        values[k] = noise * floor
        course.accounts.kept[k] = 1000.0 * values[k]
        assert [i.kind for i in course._units(START, values)] == expected


def test_a_network_without_gas_is_watched_scan_by_scan():
    net = sr.read("four_buses")
    course = Course(net)
    assert course.watch is None
    assert any("not watched" in n for n in course.notes)
    assert course.scan(Readings.of(Register(), [("x", 0.0, 1.0, 0, 0.0)])) == ()


def test_the_sheets_of_a_day_close(followed):
    """All terms of every zone, and the country; 8 kg/s of an hour are told as leaked or left unaccounted for."""
    course, _ = followed
    (sheet,) = course.sheets
    assert sheet.scans == course.counts["scans"]
    assert [set(z.nodes) for z in sheet.gas] == [{"A", "B"}, {"C", "D", "E"}]
    assert abs(sheet.gap("gas")) < 1e-12
    for z in sheet.gas:
        parts = z.given_out + z.fuel + z.stored + z.technical + z.leaks + z.unaccounted
        assert z.taken_in == pytest.approx(parts, rel=1e-12)
    before, behind = sheet.gas
    lost = 8.0 * 60.0 * (course.counts["scans"] - (BEGIN - CLEAN))
    assert before.leaks == 0.0
    assert not before.sure
    assert behind.leaks + behind.unaccounted == pytest.approx(lost, abs=3.0 * behind.sigma)
    rows = sheet.csv().splitlines()
    assert rows[0].startswith("day_begin_utc,network,unit,zone,in,out,fuel,linepack_change")
    assert len(rows) == 3


def test_a_sheet_by_hand(followed):
    """In less out of the zone before the station, from the readings themselves."""
    course, _ = followed
    (sheet,) = course.sheets
    kept = course.accounts.day
    k = {m.tag: n for n, m in enumerate(course.tags.meters)}
    z = sheet.gas[0]
    assert z.taken_in == pytest.approx(float(kept.mass[k["field FT"]]))
    assert z.given_out == pytest.approx(float(kept.mass[k["CS FT"]]))
    assert sheet.total("gas")["taken_in"] == pytest.approx(float(kept.mass[k["field FT"]]))
    fixed, share = 0.05 * 60.0 * sheet.scans, 0.0025 * float(kept.mass[k["field FT"]])
    assert z.sigma >= np.hypot(fixed, share)


def test_a_day_ends_at_the_hour_of_the_gas_day(readings):
    """Scans over the beginning of a gas day: two sheets, the linepack of the second begins where the first ended."""
    net = replace(case(), gas_day_start=(START % 86400.0) / 3600.0 + 0.05, utc_offset=0.0)
    course = Course(net)
    for b in batches(readings[:7]):
        course.scan(b)
    course.rest()
    first, second = course.sheets
    assert first.scans + second.scans == 7
    assert first.end == second.begin
    assert course.accounts.day.first is not None
