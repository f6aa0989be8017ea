# SPDX-License-Identifier: Apache-2.0
"""From stations over four protocols into history: nothing lost, every trouble named, the rest goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import serai as sr
from serai.cli import app
from serai.field.live import Field
from serai.telemetry import collect, historian
from serai.telemetry.collect import Collector, losses, source_of
from serai.telemetry.endpoints import Endpoint, write_endpoints
from serai.telemetry.historian.ingest import Pace
from serai.telemetry.points import Answer, commands
from serai.telemetry.quality import Limits
from serai.telemetry.readings import Counts, Quality, Readings, Register
from telemetry.certificates import Authority
from telemetry.wire import free_port, point, until

RETRY = (0.05, 0.3)
QUICK = Pace(seconds=0.05, publish=0.3)
STATIONS = {
    "Malay CS": "opcua", "Tejen Gate": "modbus", "Kaka Gate": "modbus", "Serdar Gate": "mqtt", "Bereket Gate": "mqtt",
    "Galkynysh": "iec104", "Lebap substation": "iec104",
}  # fmt: skip
LEAST = {"Tejen Gate": 4}  # its registers are read once a minute, however fast the field runs


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


@pytest.fixture(autouse=True)
def _quiet():
    names = ("asyncua", "pymodbus.logging", "amqtt", "mqtt", "transitions")
    before = {n: logging.getLogger(n).level for n in names}
    for n in names:
        logging.getLogger(n).setLevel(logging.CRITICAL + 1)
    yield
    for n, level in before.items():
        logging.getLogger(n).setLevel(level)


# -------------------------------------------------------------------------------------- the whole way


def test_all_protocols_into_history_while_some_links_fail(country, tmp_path):
    strange = Authority(tmp_path, "stranger")

    async def run():
        async with Field(country, speed=60.0, only=STATIONS, allow_commands=True) as field:
            running = asyncio.create_task(field.run())
            good = {e.station: e for e in field.endpoints}
            # two links cannot work: nobody listens, and a station that speaks no TLS
            wrong = [
                Endpoint("Kerki Gate", "iec104", "127.0.0.1", free_port(), "none"),
                replace(good.pop("Kaka Gate"), security="tls", authority=strange.file),
                Endpoint("Derweze Gate", "iec104", "h", 1, "tls", "no such file", "no such file", "no such file"),
            ]
            with historian.open(tmp_path / "history") as store:
                made = Collector(country, [*good.values(), *wrong], store, retry=RETRY, pace=QUICK)
                task = asyncio.create_task(made.run())
                answers = await told(made, country)
                await until(lambda: all(came(made, name) >= LEAST.get(name, 6) for name in good), within=30.0)
                await until(lambda: losses(made.sources()["Kaka Gate"]))
                seen = made.look()
                made.end()
                await task
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                return made, seen, answers, store.read(), field.log

    made, seen, answers, kept, log = asyncio.run(run())
    links = {s: link for link in seen.links for s in link.stations}
    for name in ("Malay CS", "Tejen Gate", "Serdar Gate", "Bereket Gate", "Galkynysh", "Lebap substation"):
        assert links[name].up, name
        assert links[name].protocol == STATIONS[name]
    assert links["Serdar Gate"] is links["Bereket Gate"]  # one broker, one link
    assert links["Serdar Gate"].name == "Bereket Gate and 1 more"
    assert not links["Kerki Gate"].up
    assert links["Kerki Gate"].lost >= 1
    assert "refused" in links["Kerki Gate"].reason or "connecting" in links["Kerki Gate"].reason
    assert links["Kaka Gate"].lost >= 1
    assert links["Derweze Gate"].reason.startswith("Derweze Gate: the certificates cannot be used")
    assert made.counts["readings"] == made.stored == len(kept)
    assert made.counts["not stored at the end"] == 0
    assert {a.accepted for a in answers.values()} == {True}, answers
    assert {entry.command.station for entry in log} == set(answers)


def came(made, station):
    return next(link for link in made.look().links if station in link.stations).readings


async def told(made, country):
    """Send one command through every protocol, as soon as its link is up."""
    values = {"Malay CS": 85e5, "Tejen Gate": 1.0, "Serdar Gate": 1.0, "Galkynysh": 78e5}
    first = {}
    for c in commands(country):
        wanted = c.quantity in ("outlet_pressure", "withdrawal", "pressure")
        if c.station in values and wanted:
            first.setdefault(c.station, c)
    answers = {}
    for station, c in first.items():
        await until(lambda station=station: made.sources()[station].up, within=20.0)
        answers[station] = await made.command(c, values[station])
    nobody = replace(c, station="Zeagli")
    assert await made.command(nobody, 1.0) == Answer(accepted=False, reason="Zeagli: it has no endpoint")
    return answers


def test_endpoints_that_do_not_fit_the_case_are_named(country, tmp_path):
    wrong = [Endpoint("Atlantis", "iec104", "h", 1, "none"), Endpoint("Malay CS", "modbus", "h", 1, "none")]
    with historian.open(tmp_path / "history") as store, pytest.raises(sr.SeraiError) as caught:
        Collector(country, wrong, store)
    assert "Atlantis: the case has no such station" in str(caught.value)
    assert "Malay CS: its points are opcua, the endpoint is modbus" in str(caught.value)


def test_every_protocol_has_its_source():
    for protocol, address in (("iec104", "1/1"), ("opcua", "ns=2;s=A"), ("modbus", "1/0"), ("mqtt", "a")):
        endpoint = Endpoint("S", protocol, "h", 1, "none")
        source = source_of(endpoint, [point("A", protocol, address)], Register())
        assert (source.name, source.up, list(source.register)) == ("S", False, ["A"])


# -------------------------------------------------------------------------------------- stages that fall behind


class Flood:
    """A source that yields as fast as it is taken from."""

    name, up, reason = "Galkynysh", True, ""

    def __init__(self, tag, register):
        self.register, self.counts, self.sent, self.closed = register, Counts("flood"), 0, False
        self.tag = register.number(tag)

    async def readings(self):
        while not self.closed:
            n = 500
            taken = 1_800_000_000_000_000 + 1000 * np.arange(self.sent, self.sent + n)
            self.sent += n
            tag = np.full(n, self.tag, np.int32)
            yield Readings(self.register, tag, taken, 50e5 + taken % 7.0, np.zeros(n, np.uint16), taken + 1)
            await asyncio.sleep(0)

    async def close(self):
        self.closed = True


def flooded(monkeypatch):
    made = []

    def make(_endpoint, listed, register, **_more):
        made.append(Flood(listed[0].tag, register))
        return made[-1]

    monkeypatch.setattr(collect, "source_of", make)
    return made


def test_a_flood_waits_for_the_history_and_is_stored_whole(country, tmp_path, monkeypatch):
    made = flooded(monkeypatch)

    async def run():
        with historian.open(tmp_path / "history") as store:
            slow = store.append_all

            def slowly(batches):
                time.sleep(0.05)
                return slow(batches)

            monkeypatch.setattr(store, "append_all", slowly)
            collector = Collector(country, [Endpoint("Galkynysh", "iec104", "h", 1, "none")], store, pace=QUICK)
            task = asyncio.create_task(collector.run())
            await asyncio.sleep(1.0)
            collector.end()
            await task
            return collector, len(store.read())

    collector, kept = asyncio.run(run())
    assert made[0].sent == collector.counts["readings"] == collector.stored == kept
    assert collector.checks.counts["readings"] == kept
    assert collector.counts["not stored at the end"] == 0


def test_a_history_that_fails_ends_in_time_and_counts_what_is_not_stored(country, tmp_path, monkeypatch):
    flooded(monkeypatch)
    monkeypatch.setattr(collect, "LAST", 0.5)

    async def run():
        with historian.open(tmp_path / "history") as store:

            def fails(_):
                raise sr.errors.NotStored("the disk is full", "disk full")

            monkeypatch.setattr(store, "append_all", fails)
            collector = Collector(country, [Endpoint("Galkynysh", "iec104", "h", 1, "none")], store, pace=QUICK)
            task = asyncio.create_task(collector.run())
            await asyncio.sleep(0.5)
            collector.end()
            await asyncio.wait_for(task, 5.0)
            return collector

    collector = asyncio.run(run())
    assert collector.counts["not stored at the end"] == collector.counts["readings"] > 0
    stage = next(counts for counts in collector.tallies() if counts.of == "ingest")
    assert stage["tried again: disk full"] > 0


def test_limits_reach_the_checks(country, tmp_path, monkeypatch):
    flooded(monkeypatch)

    async def run(off):
        with historian.open(tmp_path / f"history {int(off)}") as store:
            endpoints = [Endpoint("Galkynysh", "iec104", "h", 1, "none")]
            collector = Collector(country, endpoints, store, limits=Limits(off=off), pace=QUICK)
            task = asyncio.create_task(collector.run())
            await until(lambda: collector.checks.counts["readings"] > 0)
            collector.end()
            await task
            return collector.look().flags

    assert asyncio.run(run(Quality.GOOD))["flatline"] > 0  # the flood has less scatter than the meter's noise
    assert "flatline" not in asyncio.run(run(Quality.FLATLINE))


# -------------------------------------------------------------------------------------- command line


def test_collect_on_the_command_line(country, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flooded(monkeypatch)
    path = tmp_path / "endpoints.csv"
    write_endpoints(path, [Endpoint("Galkynysh", "iec104", "h", 1, "none")])
    given = ["collect", "turkmenistan", "--endpoints", str(path), "--seconds", "0.6", "--every", "0.2"]
    lines = CliRunner().invoke(app, [*given, "--json"])
    assert lines.exit_code == 0, lines.output
    *looks, last = [json.loads(line) for line in lines.output.splitlines()]
    assert len(looks) >= 2
    assert last["end"]
    assert last["readings"] == last["stored"] == last["links"][0]["readings"] > 0
    assert last["counts"]["ingest"]["readings: stored"] == last["counts"]["bus"]["published readings"] == last["stored"]
    with historian.open(tmp_path / "out" / "turkmenistan" / "history", read_only=True) as kept:
        assert len(kept.read()) == last["stored"]
    plain = CliRunner().invoke(app, [*given, "--history", str(tmp_path / "other")])
    assert plain.exit_code == 0, plain.output
    assert "readings/s" in plain.output
    assert "stored in" in plain.output
    missing = CliRunner().invoke(app, ["collect", "turkmenistan", "--endpoints", "none.csv"])
    assert missing.exit_code == 2
    assert "serai field" in missing.output


def test_collect_says_when_nothing_came(country, tmp_path):
    path = tmp_path / "endpoints.csv"
    write_endpoints(path, [Endpoint("Galkynysh", "iec104", "127.0.0.1", free_port(), "none")])
    given = ["--endpoints", str(path), "--history", str(tmp_path / "history"), "--seconds", "0.5"]
    came = CliRunner().invoke(app, ["collect", "turkmenistan", *given])
    assert came.exit_code == 1
    assert "connection refused" in came.output
