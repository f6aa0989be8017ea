# SPDX-License-Identifier: Apache-2.0
"""The twin as a desk in the same process: alarms, snapshots, trends and instants, on a grid of four buses."""

import asyncio
import json
from datetime import date

import numpy as np
import pytest

from serai.alarms.rationale import from_tables
from serai.telemetry import historian
from serai.twin.desk import ASKED, Desk, Refused
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from twin.desks import START, Meters, grid

COMMON = {
    "priority": "high", "cause": "c", "consequence": "q", "response": "r", "time_to_respond": "5min", "owner": "o",
    "date": date(2026, 11, 22),
}  # fmt: skip
BOOK = {
    "record": [
        {**COMMON, "key": "voltage.high", "source": "limit", "quantity": "magnitude", "side": "high",
         "kinds": ["buses"], "set_point": 1.08, "unit": "pu", "text": "{element} {value}"},
        {**COMMON, "key": "data.station", "source": "data", "text": "{element} silent"},
        {**COMMON, "key": "data.silent", "source": "data", "text": "{element} silent"},
        {**COMMON, "key": "health.estimate", "source": "solver", "text": "{element} late"},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def net():
    return grid()


@pytest.fixture(scope="module")
def meters(net):
    return Meters(net)


class Site:
    """A twin whose clock a test moves."""

    def __init__(self, net, meters, **around):
        self.now, self.meters = START, meters
        loop = Loop(net, meters.register, settings=Settings(inline=True))
        self.twin = Twin(loop, Around(now=lambda: self.now, **around), book=from_tables(BOOK))

    async def seconds(self, count, *, read=True, **given):
        for _ in range(count):
            self.now += 1.0
            if read:
                self.twin.loop.take(self.meters.scan(self.now, seed=int(self.now), **given))
            await self.twin.beat(self.now)


def test_it_is_a_desk_whose_every_answer_is_plain(net, meters):
    async def run():
        site = Site(net, meters)
        assert isinstance(site.twin, Desk)
        await site.seconds(6)
        for name in sorted(set(ASKED) & {"case", "network", "layout", "snapshot", "health", "readings", "alarms",
                                         "alarm_figures", "commands"}):  # fmt: skip
            answer = await getattr(site.twin, name)()
            assert json.loads(json.dumps(answer, allow_nan=False)) == answer, name
        layout, snapshot = await site.twin.layout(), await site.twin.snapshot()
        n = len(layout["values"])
        assert {len(snapshot[k]) for k in ("estimate", "sigma", "measured", "quality", "source")} == {n}
        await site.twin.close()

    asyncio.run(run())


def test_a_snapshot_shows_the_estimate_in_display_units(net, meters):
    async def run():
        site = Site(net, meters)
        await site.seconds(3)
        layout, snapshot = await site.twin.layout(), await site.twin.snapshot()
        seen = {
            (v["quantity"], v["where"]): (x, v) for v, x in zip(layout["values"], snapshot["estimate"], strict=True)
        }
        for name in net["generators"].names:
            shown, v = seen["active_power", name]
            assert v["unit"] == "mw"
            assert shown == pytest.approx(float(meters.truth.active_power[name]) / 1e6, abs=0.5)
        assert snapshot["key"]["electric_load"]["unit"] == "mw"
        assert "linepack" not in snapshot["key"]  # no gas here: absent, not zero
        await site.twin.close()

    asyncio.run(run())


def test_what_was_never_computed_is_not_ready_and_what_does_not_exist_is_unknown(net, meters):
    async def run():
        site = Site(net, meters)
        for name, reason in (("snapshot", "not-ready"), ("ahead", "not-ready"), ("plan", "not-ready"),
                             ("diagnosis", "not-ready")):  # fmt: skip
            with pytest.raises(Refused) as found:
                await getattr(site.twin, name)()
            assert found.value.reason == reason
        for question in (site.twin.readings(tag="no such"), site.twin.readings(where="buses/none"),
                         site.twin.alarm("no such")):  # fmt: skip
            with pytest.raises(Refused) as found:
                await question
            assert found.value.reason == "unknown"
        with pytest.raises(Refused) as found:
            await site.twin.trend(["magnitude:x"], "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
        assert found.value.reason == "unavailable"
        await site.twin.close()

    asyncio.run(run())


def test_a_limit_becomes_one_alarm_that_a_person_acknowledges(net, meters):
    async def run():
        site = Site(net, meters)
        stream = site.twin.subscribe()
        assert (await anext(stream)).kind == "hello"
        high = next(t for t in meters.tags if t.endswith(" UT"))
        bus = high.removesuffix(" UT")
        more = 1.2 - meters.values[meters.tags.index(high)]
        lifted = {t: more for t in meters.tags if t.endswith(" UT")}
        await site.seconds(3)
        assert await site.twin.alarms() == []
        site.twin.loop.grid_sight = None  # the estimate would not believe it: what is measured is held to limits
        site.twin.loop.grid = None
        await site.seconds(5, change=lifted)
        alarms = {a["element"]: a for a in await site.twin.alarms()}
        assert set(alarms) == {f"buses/{b}" for b in net["buses"].names}
        alarm = alarms[f"buses/{bus}"]
        assert (alarm["state"], alarm["priority"]) == ("unacknowledged", "high")
        taken = await site.twin.acknowledge(alarm["id"], "aman")
        assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", "aman")
        with pytest.raises(Refused) as found:
            await site.twin.acknowledge(alarm["id"], "aman")
        assert found.value.reason == "conflict"
        kinds = []
        while site.twin.events.behind:
            kinds.append((await anext(stream)).kind)
        assert kinds.count("alarm") == len(alarms) + 1
        assert "tally" in kinds
        await stream.aclose()
        await site.twin.close()

    asyncio.run(run())


def test_a_source_that_falls_silent_is_an_alarm_and_the_values_become_predictions(net, meters):
    async def run():
        site = Site(net, meters)
        await site.seconds(5)
        await site.seconds(20, read=False)
        snapshot, health = await site.twin.snapshot(), await site.twin.health()
        assert snapshot["health"]["power"]["status"] == "prediction"
        assert "e" not in snapshot["source"]
        assert health["quality"]["stale"] == health["quality"]["total"]
        assert {a["key"] for a in await site.twin.alarms()} >= {"health.estimate"}
        await site.seconds(8)
        assert (await site.twin.snapshot())["health"]["power"]["status"] == "estimate"
        await site.twin.close()

    asyncio.run(run())


def test_alarms_and_log_are_there_after_a_restart(net, meters, tmp_path):
    async def run():
        site = Site(net, meters, folder=tmp_path)
        await site.seconds(3)
        await site.seconds(30, read=False)
        before = await site.twin.alarms()
        await site.twin.write("lines are quiet", "aman")
        last = site.twin.events.sequence
        await site.twin.close()
        again = Site(net, meters, folder=tmp_path)
        again.now = site.now + 5.0
        again.twin.around.now = lambda: again.now
        assert before
        assert {a["id"] for a in await again.twin.alarms()} == {a["id"] for a in before}
        assert (await again.twin.log())[0]["text"] == "lines are quiet"
        restarted = Twin(again.twin.loop, Around(now=lambda: site.now + 60.0), book=from_tables(BOOK))
        assert restarted.events.sequence > last  # numbers go on rising
        await again.twin.close()

    asyncio.run(run())


def test_trends_and_instants_come_from_the_history(net, meters, tmp_path):
    async def run():
        with historian.open(tmp_path / "history") as store:
            site = Site(net, meters, store=store, archive=tmp_path / "history")
            for k in range(60):
                await site.seconds(1)
                store.append(f"r{k}", meters.scan(site.now, seed=int(site.now)))
            store.publish()
            bus = net["buses"].names[1]
            start, end = "2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z"  # START and a minute later
            found = (await site.twin.trend([f"magnitude:{bus}"], start, end, 12))["series"][0]
            truth = meters.values[meters.tags.index(f"{bus} UT")]
            measured = [v for v in found["measured"] if v is not None]
            assert len(measured) >= 10
            assert np.mean(measured) == pytest.approx(truth, abs=1e-3)
            estimate = [v for v in found["estimate"] if v is not None]
            assert estimate
            assert np.allclose(estimate, truth, atol=2e-3)
            assert all(s is None or 0.0 < s < 1e-3 for s in found["sigma"])
            then = await site.twin.instant("2027-01-15T08:00:45Z")
            k = site.twin.loop.layout.place["magnitude", bus]
            assert then["estimate"][k] == pytest.approx(truth, abs=2e-3)
            for time, said in (("2027-01-15T07:59:00Z", "the history begins at 2027-01-15T08:00:01.000Z"),
                               ("2027-01-15T08:20:00Z", "nothing was recorded in the 10 minutes before")):  # fmt: skip
                with pytest.raises(Refused, match=said) as refused:
                    await site.twin.instant(time)
                assert refused.value.reason == "unknown"
            for asked, reason in (((["magnitude:none"], start, end), "unknown"), ((["x"], end, start), "invalid"),
                                  (([f"magnitude:{bus}"], "noon", end), "invalid")):  # fmt: skip
                with pytest.raises(Refused) as refused:
                    await site.twin.trend(*asked)
                assert refused.value.reason == reason
            await site.twin.close()

    asyncio.run(run())
