# SPDX-License-Identifier: Apache-2.0
"""Seeded scenarios through the whole twin, without sockets and faster than the clock.

The truth is that of the field: what leaks where, since when, which tags are forged. It is not the model: finer cells,
other pipes, another gas, biased meters, customers who wander. Only the meters of gas take part, to be quick; days with
all of them are in benchmarks/clean_week.py.
"""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from serai import field
from serai.alarms import rationale
from serai.diagnose.course import Course
from serai.field import read_scenario
from serai.network.instruments import instruments
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from serai.units import DAY
from twin.desks import instrumented


@pytest.fixture(scope="module")
def net():
    country = sr.read("turkmenistan")
    t = country["instruments"]
    gas = np.array([i.scan == 60.0 for i in instruments(country)])  # the grid is scanned every 2 or 4 s
    return country.with_tables(instruments=t.where(gas))


def told(net, scenario, settled):
    """Run a scenario; return every alarm that a person was told, as (hour, alarm), and the twin."""
    recording = field.readings(net, scenario, step="60s" if len(net["pipes"]) < 10 else "5min")
    course = Course(recording.network, hour=scenario.start_hour, settled=settled)
    loop = Loop(recording.network, recording.meters().register, course, settings=Settings(60.0, inline=True))
    loop.shown = lambda now: recording.shown(now - recording.start)
    now, found = [recording.start], []
    twin = Twin(loop, Around(now=lambda: now[0]), book=rationale("turkmenistan"))
    tell = twin.tell

    def heard(kind, data):
        if kind == "alarm" and data["state"] == "unacknowledged":
            found.append(((now[0] - recording.start) / 3600.0, data))
        tell(kind, data)

    twin.tell = heard

    async def run():
        for k, batch in enumerate(recording, start=1):
            loop.take(batch)
            now[0] = recording.start + 60.0 * k
            await twin.beat(now[0])
        await twin.close()

    asyncio.run(run())
    return found, twin, recording


def of_diagnosis(found):
    return [(hour, a) for hour, a in found if a["key"].startswith("diagnosis.") and a["priority"] != "low"]


def test_a_leak_of_two_percent_is_one_alarm_with_place_size_and_confidence():
    """On two pipes, where a day of scans is quick; `leak_2_percent` of the country is in benchmarks/clean_week.py."""
    meters = [(f"{n} PT", "pressure", n, "bara", 3e3, 60.0) for n in ("Field", "Town A", "Town B")]
    meters += [("Field FT", "supply", "Field supply", "kg_per_s", 0.1, 60.0)]
    meters += [(f"Town {x} FT", "withdrawal", f"Town {x} gas", "kg_per_s", 0.06, 60.0) for x in "AB"]
    line = instrumented("two_pipes", meters)
    leak = field.Leak("Pipe 1", 0.6, begin=14.0 * 3600.0, rate=1.4)  # of 70 kg/s
    scenario = field.Scenario("leak", seed=3, hours=16.5, truth=field.Truth(cell=5e3, wander=0.002), leaks=(leak,))
    found, twin, _ = told(line, scenario, settled=600)
    alarms = of_diagnosis(found)
    assert [a["key"] for _, a in alarms] == ["diagnosis.loss"]  # one, and nothing else before or after
    hour, alarm = alarms[0]
    assert 14.0 < hour <= 15.0
    assert leak.pipe in alarm["set"]
    (finding,) = (f for f in twin._diagnosis(twin.around.now())["findings"] if f["kind"].startswith("leak"))
    size = leak.rate * DAY / line.gas.standard_density / 1e6
    assert abs(finding["size"] - size) < 3.0 * finding["sigma"]
    assert finding["sigma"] < 0.3 * size
    assert finding["place"]["element"] == "pipes/Pipe 1"
    assert finding["place"]["low"] <= leak.fraction <= finding["place"]["high"]
    assert finding["probability"] > 90.0
    assert finding["false_alarm_per_month"] < 0.1


def test_readings_that_are_played_again_are_told_as_forged_and_not_as_a_leak(net):
    scenario = read_scenario("forged_replay", net)
    (forgery,) = scenario.forgeries
    mine = tuple(t for t in forgery.tags if t in set(net["instruments"].names))
    forgery = replace(forgery, tags=mine, begin=7200.0, ago=3600.0)
    theft = tuple(replace(t, begin=7800.0) for t in scenario.thefts)
    scenario = replace(scenario, hours=2.75, forgeries=(forgery,), thefts=theft, operations=())
    found, *_ = told(net, scenario, settled=1440)
    alarms = of_diagnosis(found)
    assert {a["key"] for _, a in alarms} == {"diagnosis.forged"}
    hour, alarm = alarms[0]
    assert 2.0 < hour < 2.25
    assert set(alarm["set"]) <= set(mine)
    assert len(alarms) == 1
