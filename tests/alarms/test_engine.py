# SPDX-License-Identifier: Apache-2.0
"""The list of alarms: one cause one alarm, first-out, floods, chattering, figures, kill -9, a full disk."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from alarms.small_list import FINDING, HIGH, LOW, T0, book, listed, network
from serai.alarms import Alarms, Condition
from serai.errors import NotStored, Refused, UnknownName

NOW = {**HIGH, "key": "high", "priority": "high", "on_delay": 0, "off_delay": 0}
UNDER = {**LOW, "key": "low", "priority": "high", "on_delay": 0, "off_delay": 0, "explained_by": ["diagnosis.loss"]}


def leak(identity="1", members=("P1", "P2"), explains=("A", "B")):
    return Condition("diagnosis.loss", members[0], identity, members=frozenset(members), explains=frozenset(explains))


def told(alarms):
    return sorted((a.key, a.where) for a in alarms.standing(["unacknowledged"]))


def test_one_cause_makes_one_alarm():
    nodes = tuple(f"n{k}" for k in range(40))
    alarms = listed(UNDER, FINDING, nodes=nodes)
    alarms.report("diagnosis", T0, [leak(explains=nodes)])
    alarms.scan(T0 + 1, np.full(40, 30e5))
    assert told(alarms) == [("diagnosis.loss", "P1")]
    parent = alarms.standing(["unacknowledged"])[0]
    assert {n.text for n in parent.notes} == set(nodes)
    assert alarms.tally() == {"urgent": 1, "high": 0, "low": 0, "data": 0, "unacknowledged": 1, "held": 40}
    caused = alarms.report("diagnosis", T0 + 2, [])
    assert sum(t.event == "no longer explained" for t in caused) == 40  # still low: now an alarm each
    assert len(alarms.standing(["unacknowledged"])) == 40


def test_a_cause_that_is_placed_anew_is_the_same_alarm():
    alarms = listed(FINDING)
    alarms.report("diagnosis", T0, [leak("7", ("P1", "P2"))])
    mine = alarms.standing()[0].id
    alarms.acknowledge(mine, who="x", time=T0 + 1)
    assert [t.event for t in alarms.report("diagnosis", T0 + 2, [leak("8", ("P3", "P2"))])] == ["acknowledge"]
    assert [(a.id, a.state) for a in alarms.standing()] == [(mine, "acknowledged")]
    assert alarms.standing()[0].members == ("P2", "P3")
    alarms.report("diagnosis", T0 + 3, [leak("8", ("P3", "P2")), leak("9", ("P9",))])
    assert len(alarms.standing()) == 2  # another place, another alarm


def test_an_urgent_limit_is_never_explained_away():
    with pytest.raises(Exception, match="an urgent alarm is always told"):
        book({**UNDER, "priority": "urgent"}, FINDING)


def test_what_nobody_has_rationalised_is_counted_and_makes_no_alarm():
    alarms = listed(FINDING)
    alarms.report("diagnosis", T0, [Condition("diagnosis.ghost", "A"), Condition("high", "A")])
    assert alarms.standing() == []
    assert alarms.unrecorded == {"diagnosis.ghost": 1, "high": 1}


def test_first_out_of_a_group():
    record = {**NOW, "group": "element"}
    second = {**NOW, "key": "higher", "set_point": 90.0, "group": "element"}
    alarms = listed(record, second)
    alarms.scan(T0, np.array([85e5, 60e5]))
    alarms.scan(T0 + 1, np.array([95e5, 95e5]))
    first = {(a.where, a.key): a.first_out for a in alarms.standing()}
    assert first["A", "high"]
    assert not first["A", "higher"]
    assert first["B", "high"] != first["B", "higher"]  # one of two that came together


def test_dead_band_and_delays():
    alarms = listed({**NOW, "on_delay": 30, "off_delay": 60, "dead_band": 1.0})
    states = []
    steps = (
        (0, 81),
        (29, 81),
        (30, 81),
        (31, 79.5),
        (32, 79),
        (60, 79),
        (80, 80.5),
        (81, 79.5),
        (82, 78),
        (141, 78),
        (142, 78),
    )
    for seconds, bar in steps:
        alarms.scan(T0 + seconds, np.array([bar * 1e5, 60e5]))
        states.append(alarms.standing()[0].state.value if alarms.standing() else "normal")
    up, back = "unacknowledged", "returned"
    assert states == ["normal", "normal", up, up, up, up, up, up, up, up, back]


def test_a_clock_that_is_set_back_loses_no_alarm():
    alarms = listed({**NOW, "on_delay": 30})
    alarms.scan(T0, np.array([85e5, 60e5]))
    alarms.scan(T0 - 3600 + 20, np.array([85e5, 60e5]))
    assert alarms.standing() == []
    alarms.scan(T0 - 3600 + 51, np.array([85e5, 60e5]))
    assert len(alarms.standing()) == 1


def test_callers_a_little_apart_do_not_hasten_a_delay():
    alarms = listed({**NOW, "on_delay": 30})
    for k in range(29):
        alarms.scan(T0 + k, np.array([85e5, 60e5]))
        alarms.report("solver", T0 + k + 1.5, [])
    assert alarms.standing() == []
    alarms.scan(T0 + 30, np.array([85e5, 60e5]))
    assert len(alarms.standing()) == 1


def test_a_flood_goes_on_over_a_restart(tmp_path):
    nodes = tuple(f"n{k}" for k in range(12))
    alarms = listed(NOW, nodes=nodes, journal=tmp_path / "j.sqlite")
    alarms.scan(T0, np.full(12, 85e5))
    alarms.close()
    again = listed(NOW, nodes=nodes, journal=tmp_path / "j.sqlite")
    assert again.flood_since == T0
    again.step(T0 + 599)
    assert again.flood_since == T0
    again.step(T0 + 601)
    assert np.isnan(again.flood_since)
    events = [h["event"] for h in again.history(0, 1e12) if h["event"].startswith("flood")]
    assert events == ["flood begins", "flood ends"]
    again.close()


def test_flood_begins_above_ten_in_ten_minutes_and_ends_below_five():
    nodes = tuple(f"n{k}" for k in range(12))
    alarms = listed(NOW, nodes=nodes)
    values = np.full(12, 60e5)
    for k in range(11):
        values[k] = 85e5
        alarms.scan(T0 + 30 * k, values)
        assert np.isnan(alarms.flood_since) == (k < 10)
    assert alarms.flood_since == T0 + 300
    alarms.step(T0 + 180 + 600 - 1)  # the first six are past: five left
    assert alarms.flood_since == T0 + 300
    alarms.step(T0 + 180 + 600)  # four
    assert np.isnan(alarms.flood_since)
    events = [h["event"] for h in alarms.history(T0, T0 + 1000)]
    assert (events.count("flood begins"), events.count("flood ends")) == (1, 1)


def test_chattering_is_three_times_a_minute():
    alarms = listed(NOW)
    for k in range(6):
        alarms.scan(T0 + 10 * k, np.array([85e5 if k % 2 == 0 else 60e5, 60e5]))
        assert [a.chattering for a in alarms.standing()] == [k >= 4]
    alarms.step(T0 + 200)
    assert not alarms.standing()[0].chattering
    assert alarms.figures(T0, T0 + 200).chattering == (alarms.standing()[0].id,)


def test_figures_are_those_of_a_second_count():
    rng = random.Random(5)
    nodes = tuple(f"n{k}" for k in range(6))
    urgent = {**NOW, "key": "higher", "priority": "urgent", "set_point": 90.0}
    alarms = listed(NOW, urgent, nodes=nodes)
    told, waits, since = [], [], {}
    length = 6 * 3600.0
    at = 0.0
    while at < length - 300:
        at += rng.choice([3.0, 17.0, 61.0, 200.0])
        for t in alarms.scan(T0 + at, np.array([rng.choice([60e5, 85e5, 95e5]) for _ in nodes])):
            if t.after == "unacknowledged":
                told.append((at, t.alarm.record.priority.value))
                since[t.alarm.id] = at
        for a in alarms.standing(["unacknowledged"]):
            if rng.random() < 0.3:
                alarms.acknowledge(a.id, who="x", time=T0 + at + 1)
                waits.append(at + 1 - since[a.id])
        at += 1
    f = alarms.figures(T0, T0 + length)
    windows = [sum(600 * k <= t < 600 * (k + 1) for t, _ in told) for k in range(36)]
    assert f.alarms == len(told)
    assert f.rate == pytest.approx(len(told) / 36)
    assert f.peak == max(windows)
    assert f.flooded == pytest.approx(sum(n > 10 for n in windows) / 36)
    assert f.shares["urgent"] == pytest.approx(sum(p == "urgent" for _, p in told) / len(told))
    assert f.acknowledged[0] == pytest.approx(sorted(waits)[(len(waits) + 1) // 2 - 1])
    assert f.standing == len(alarms.standing(["unacknowledged", "acknowledged"]))
    kept = {x.name: x.kept for x in f.against}
    assert kept["rate"] == (len(told) / 36 <= 1.0)
    assert kept["share urgent"] == (f.shares["urgent"] <= 0.05)


def test_nothing_grows_while_findings_come_and_go():
    alarms = listed(NOW, FINDING)
    before = alarms.conditions()
    for k in range(300):
        alarms.report("diagnosis", T0 + 2 * k, [leak(str(k), (f"P{k}",))])
        for a in alarms.standing(["unacknowledged"]):
            alarms.acknowledge(a.id, who="x", time=T0 + 2 * k)
        alarms.report("diagnosis", T0 + 2 * k + 1, [])
    assert alarms.conditions() == before
    assert len(alarms._slots.named) < before + 5
    assert alarms.standing() == []
    assert not alarms._causes._at


def test_refusals_name_what_is_wrong():
    alarms = listed(NOW)
    with pytest.raises(UnknownName):
        alarms.acknowledge("nothing", who="x", time=T0)
    alarms.scan(T0, np.array([85e5, 60e5]))
    a = alarms.standing()[0]
    with pytest.raises(Refused, match="at most 60 minutes"):
        alarms.shelve(a.id, who="x", minutes=61, why="y", time=T0)
    with pytest.raises(Refused, match="reason"):
        alarms.shelve(a.id, who="x", minutes=5, why=" ", time=T0)
    with pytest.raises(Refused, match="who"):
        alarms.acknowledge(a.id, who="", time=T0)
    alarms.acknowledge(a.id, who="x", time=T0)
    with pytest.raises(Refused, match="it is acknowledged"):
        alarms.acknowledge(a.id, who="y", time=T0)
    with pytest.raises(Refused, match="are watched"):
        alarms.scan(T0, np.zeros(3))


def test_shown_is_what_the_room_reads():
    alarms = listed({**NOW, "text": "{element} at {value} {unit}, highest {limit}"})
    alarms.scan(T0, np.array([85e5, 60e5]))
    shown = alarms.standing()[0].shown()
    assert shown["text"] == "A at 85.0 bar, highest 80.0"
    assert shown["words"] == {
        "key": "alarm.high", "parameters": {"element": "A", "unit": "bara", "value": 85.0, "limit": 80.0},
    }  # fmt: skip
    assert (shown["element"], shown["kind"], shown["unit"]) == ("gas_nodes/A", "limit", "bara")
    assert shown["began"] == "2026-09-21T14:13:20.000Z"
    assert shown["shelved_until"] is None


def test_notes_and_history():
    alarms = listed(NOW)
    alarms.scan(T0, np.array([85e5, 60e5]))
    a = alarms.standing()[0]
    alarms.note(a.id, "called the station", who="x", time=T0 + 5)
    assert [n.text for n in alarms.alarm(a.id).notes] == ["called the station"]
    assert [(h["event"], h["who"]) for h in alarms.history(T0, T0 + 10, alarm=a.id)] == [("rises", ""), ("note", "x")]
    for k in range(60):
        alarms.note(a.id, str(k), who="x", time=T0 + 6)
    assert len(alarms.alarm(a.id).notes) == 50


# ---------------------------------------------------------------------------------------------------------- the journal

CHILD = """
import sys
import numpy as np
from alarms.small_list import HIGH, T0, listed
alarms = listed({**HIGH, "key": "high", "priority": "high", "on_delay": 0, "off_delay": 0}, journal=sys.argv[1])
k = 0
while True:
    k += 1
    for t in alarms.scan(T0 + k, np.array([85e5 if k % 2 else 60e5, 85e5])):
        print(t.number, t.after.value, flush=True)
    for a in alarms.standing(["returned"]):
        alarms.acknowledge(a.id, who="x", time=T0 + k)
"""


def test_kill_9_loses_nothing_that_was_told(tmp_path):
    journal = tmp_path / "journal.sqlite"
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(journal)], stdout=subprocess.PIPE, text=True, env=place
    )  # fmt: skip
    try:
        lines = [child.stdout.readline() for _ in range(40)]
        with pytest.raises(NotStored, match="close the other process"):
            listed(NOW, journal=journal)
    finally:
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        child.wait(timeout=20)
    last = [line.split() for line in lines if line.endswith("\n")]
    alarms = listed(NOW, journal=journal)
    rows = alarms.history(0.0, 1e12, 10**6)
    assert [r["number"] for r in rows] == list(range(1, len(rows) + 1))
    assert {(str(r["number"]), r["after"]) for r in rows} >= {tuple(x) for x in last}
    after = {r["alarm"]: r["after"] for r in rows if r["alarm"]}
    assert {a.id: a.state.value for a in alarms.standing()} == {i: s for i, s in after.items() if s != "normal"}
    alarms.close()


def test_a_full_disk_refuses_people_and_goes_on_telling(tmp_path):
    alarms = listed(NOW, journal=tmp_path / "journal.sqlite", nodes=tuple(f"n{k}" for k in range(500)))
    database = alarms._journal._database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    alarms.scan(T0, np.full(500, 85e5))
    assert len(alarms.standing()) == 500
    assert "disk is full" in alarms.fault
    assert alarms.unsaved == 501  # the flood too
    with pytest.raises(NotStored, match="acknowledge refused"):
        alarms.acknowledge(alarms.standing()[0].id, who="x", time=T0)
    assert alarms.tally()["unacknowledged"] == 500
    database.execute("PRAGMA max_page_count = 100000")
    alarms.step(T0 + 1)
    assert (alarms.fault, alarms.unsaved) == ("", 0)
    alarms.acknowledge(alarms.standing()[0].id, who="x", time=T0 + 2)
    assert [r["number"] for r in alarms.history(0, 1e12, 10**6)][-1] == 502
    alarms.close()


def test_a_limit_that_is_gone_clears_after_a_restart(tmp_path):
    path = tmp_path / "journal.sqlite"
    alarms = listed(NOW, journal=path)
    alarms.scan(T0, np.array([85e5, 60e5]))
    alarms.close()
    again = Alarms(book(NOW), network(high=120e5), path)
    again.watch([("pressure", "B")])
    assert [a.state.value for a in again.standing()] == ["unacknowledged"]
    again.step(T0 + 1)
    assert [a.state.value for a in again.standing()] == ["returned"]
    again.close()
    without = Alarms(book({**NOW, "key": "another"}), network(), path)
    assert without.withdrawn == ["A"]
    assert without.standing() == []
    without.close()


def test_history_can_be_forgotten_and_what_stands_stays(tmp_path):
    alarms = listed(NOW, journal=tmp_path / "j.sqlite")
    alarms.scan(T0, np.array([85e5, 60e5]))
    assert alarms.forget(T0 + 1) == 1
    alarms.close()
    again = listed(NOW, journal=tmp_path / "j.sqlite")
    assert [a.state.value for a in again.standing()] == ["unacknowledged"]
    again.close()


def test_a_journal_that_is_none(tmp_path):
    (tmp_path / "j.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(NotStored, match="takes nothing"):
        listed(NOW, journal=tmp_path / "j.sqlite")
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_a_condition_costs_the_same_however_many_there_are():
    """Time per condition of a scan in which one in a thousand changes: 20,000 against 2,000, and far below 5 us."""
    times = {}
    for n in (2_000, 20_000):
        nodes = tuple(f"n{k}" for k in range(n))
        alarms = listed(NOW, nodes=nodes, flood_begins=10**6)
        quiet, busy = np.full(n, 60e5), np.full(n, 60e5)
        busy[::1000] = 85e5
        alarms.scan(T0, quiet)
        took = []
        for k in range(20):
            begun = time.perf_counter()
            alarms.scan(T0 + k + 1, busy if k % 2 else quiet)
            took.append(time.perf_counter() - begun)
        times[n] = sorted(took)[10] / n
    assert times[20_000] < 5e-6
    assert times[20_000] < 3.0 * times[2_000]
