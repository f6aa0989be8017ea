# SPDX-License-Identifier: Apache-2.0
"""Both stations together: interrogation, counters, commands and their refusals, several control rooms, reconnecting."""

import asyncio

import numpy as np
import pytest

from serai.errors import BadTimes, SeraiError
from serai.telemetry.iec104 import (
    BROADCAST,
    Cause,
    ControlledStation,
    ControllingStation,
    InformationObject,
    LinkLost,
    NoAnswer,
    Peer,
    Refused,
    Request,
    Settings,
    TypeId,
    Violation,
)
from serai.telemetry.iec104.apci import Function
from serai.telemetry.iec104.asdu import parse
from serai.telemetry.iec104.points import decoded
from serai.telemetry.readings import Quality, now
from telemetry.iec104.rawpeer import raw, single

POINTS = [
    InformationObject(1, TypeId.M_SP_TB_1, group=1),
    InformationObject(2, TypeId.M_DP_NA_1, group=2),
    InformationObject(3, TypeId.M_ME_TF_1, group=1),
    InformationObject(4, TypeId.M_ME_TF_1),
    InformationObject(8, TypeId.M_IT_TB_1, group=1),
    InformationObject(9, TypeId.M_IT_NA_1, group=2),
    InformationObject(10, TypeId.M_EP_TD_1),
    InformationObject(100, TypeId.C_SC_NA_1),
    InformationObject(101, TypeId.C_DC_NA_1, select=True),
    InformationObject(102, TypeId.C_SE_NC_1, select=True, low=0.0, high=80.0),
    InformationObject(103, TypeId.C_SE_NC_1),
    InformationObject(104, TypeId.C_BO_NA_1),
]
ROOM = {"common_addresses": (), "retry": (0.02, 0.1), "answer": 3.0}


async def happens(condition, wait=5.0):
    async with asyncio.timeout(wait):
        while not condition():  # noqa: ASYNC110 - waits for sockets
            await asyncio.sleep(0.005)


class Field:
    """A station, and the requests that its handler was given."""

    def __init__(self, **options):
        self.requests: list[Request] = []
        self.selects: list[Request] = []
        self.answer = True
        options = {"act": self.act, **options}
        self.station = ControlledStation("field", {7: POINTS, 8: POINTS[:2]}, **options)

    async def act(self, request):
        (self.selects if request.select else self.requests).append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def __aenter__(self):
        await self.station.start()
        await self.station.update(7, [1, 2, 3, 4, 8, 9], [1, 2, 3.5, 4.5, 80, 90], send=False)
        await self.station.update(8, [1, 2], [0, 1], quality=[0x10, 0x80], send=False)
        return self

    async def __aexit__(self, *_):
        await self.station.close()

    def room(self, **options):
        return ControllingStation("room", "127.0.0.1", self.station.port, **(ROOM | options))


def run(main):
    asyncio.run(main())


async def all_of(control, count, wait=5.0):
    """The next `count` points or more, as [(common address, address, value, quality, cause), ...]."""
    rows = []
    async with asyncio.timeout(wait):
        async for p in control.points():
            columns = (p.common_address, p.address, p.value, p.quality, p.cause)
            rows += zip(*(c.tolist() for c in columns), strict=True)
            if len(rows) >= count:
                return rows
    return rows


# --------------------------------------------------------------------------------------------------------- questions


def test_interrogation_of_station_groups_and_all_stations():
    async def main():
        async with Field() as field, field.room() as control:
            await control.interrogate(7)
            points = {(a, v, q, c) for _, a, v, q, c in await all_of(control, 4)}
            assert points == {(1, 1.0, 0, 20), (2, 2.0, 0, 20), (3, 3.5, 0, 20), (4, 4.5, 0, 20)}
            await control.interrogate(7, group=1)
            assert {(a, c) for _, a, _, _, c in await all_of(control, 2)} == {(1, 21), (3, 21)}
            await control.interrogate(8)
            assert {(ca, a, q) for ca, a, _, q, _ in await all_of(control, 2)} == {(8, 1, 0x10), (8, 2, 0x80)}
            await control.interrogate(BROADCAST)
            assert {ca for ca, *_ in await all_of(control, 6)} == {7, 8}
            with pytest.raises(Refused, match="unknown common address"):
                await control.interrogate(9)
            with pytest.raises(Refused, match="negative"):
                await control.interrogate(7, group=17)

    run(main)


def test_a_control_room_asks_for_everything_when_it_connects():
    async def main():
        async with Field() as field, field.room(common_addresses=(7, 8)) as control:
            rows = await all_of(control, 6)
            assert {(ca, a) for ca, a, *_ in rows} == {(7, 1), (7, 2), (7, 3), (7, 4), (8, 1), (8, 2)}

    run(main)


def test_a_point_says_invalid_until_its_first_value():
    async def main():
        fresh = ControlledStation("field", {1: POINTS})
        async with fresh, ControllingStation("room", "127.0.0.1", fresh.port, **ROOM) as control:
            await control.interrogate(1)
            assert {q for *_, q, _ in await all_of(control, 4)} == {Quality.INVALID | Quality.NOT_TOPICAL}

    run(main)


def test_counters_are_read_frozen_and_reset():
    async def main():
        async with Field() as field, field.room() as control:

            async def counts(group=0):
                await control.counters(7, group)
                return {a: (v, c) for _, a, v, _, c in await all_of(control, 1 if group else 2)}

            assert await counts() == {8: (80, 37), 9: (90, 37)}
            await control.counters(7, freeze=1)
            await field.station.update(7, [8, 9], [81, 91], send=False)
            assert await counts() == {8: (80, 37), 9: (90, 37)}  # as frozen
            await control.counters(7, group=1, freeze=2)
            assert await counts(1) == {8: (81, 38)}
            assert field.station.image(7).value[4] == 0.0  # counts anew
            await control.counters(7, group=2, freeze=3)
            assert field.station.image(7).value[5] == 0.0
            with pytest.raises(Refused):
                await control.counters(7, group=6)

    run(main)


def test_read_test_clock_and_what_a_station_does_not_know():
    async def main():
        async with Field() as field, field.room() as control:
            (value,) = (await control.read(7, 3)).value.tolist()
            assert value == 3.5
            with pytest.raises(Refused, match="unknown information object"):
                await control.read(7, 55)
            await control.test(7)
            await control.test(7)
            ahead = 3_600_000_000
            await control.synchronise(7, now() + ahead)
            assert abs(field.station.clock - ahead) < 1_000_000
            await field.station.update(7, [4], [1.0])  # the station's own clock now
            time = int((await control.read(7, 4)).time[0])
            assert abs(time - now() - ahead) < 2_000_000
            assert field.station.counts["clock set"] == 1

    run(main)


def test_the_end_of_initialisation_is_told_once_and_makes_the_room_ask():
    async def main():
        async with Field() as field, field.room(common_addresses=(7,)) as control:
            await happens(lambda: control.counts["station initialised"] == 2)  # two common addresses
            await field.station.close()
            await happens(lambda: not control.up)
            await field.station.start()
            await happens(lambda: control.counts["station initialised"] == 4)
            await control.test(7)
            field.station.sessions.copy().pop().link.close("for the test")
            await happens(lambda: control.counts["connected"] == 3)
            await control.connected(2)
            await control.test(7)
            assert control.counts["station initialised"] == 4  # the station did not restart

    run(main)


# --------------------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(
    ("address", "kind", "value", "select"),
    [
        (100, TypeId.C_SC_NA_1, 1, False),
        (100, TypeId.C_SC_TA_1, 0, True),  # with a time tag; may be selected, need not
        (101, TypeId.C_DC_NA_1, 2, True),
        (102, TypeId.C_SE_NC_1, 55.25, True),
        (102, TypeId.C_SE_TC_1, 55.25, True),
        (104, TypeId.C_BO_NA_1, 0xFFFFFFFF, False),
        (104, TypeId.C_BO_TA_1, 1, True),  # a bit string has no select bit: it is executed at once
    ],
)
def test_commands_reach_the_handler_once_and_are_confirmed_and_ended(address, kind, value, select):
    async def main():
        async with Field() as field, field.room(originator=5) as control:
            await control.command(7, address, kind, value, select=select, qualifier=2, end=True)
            (request,) = field.requests
            assert (request.common_address, request.address, request.type) == (7, address, kind)
            assert (request.value, request.qualifier, request.select) == (value, 0 if address == 104 else 2, False)
            assert (request.peer, request.originator, request.test) == ("127.0.0.1", 5, False)
            assert (request.time is None) == (kind < TypeId.C_SC_TA_1)
            assert field.station.counts["commands selected"] == (select and address != 104)
            assert not [n for n in control.counts.counted if n.startswith("violation")]

    run(main)


def test_a_refusal_a_failing_handler_and_no_handler_are_negative_confirmations():
    async def main():
        seen = []
        async with Field(watch=seen.append) as field, field.room() as control:
            field.answer = False
            with pytest.raises(Refused, match="C_SC_NA_1 to 7/100: negative confirmation") as refused:
                await control.command(7, 100, TypeId.C_SC_NA_1, 1)
            assert refused.value.cause == Cause.ACTIVATION_CON
            field.answer = RuntimeError("valve stuck")
            with pytest.raises(Refused):
                await control.command(7, 100, TypeId.C_SC_NA_1, 1)
            assert field.station.counts["commands refused"] == 2
            field.answer = False
            with pytest.raises(Refused):
                await control.select(7, 102, TypeId.C_SE_NC_1, 5.0)
            field.answer = True
            with pytest.raises(Refused):  # what was refused is not selected
                await control.command(7, 102, TypeId.C_SE_NC_1, 5.0)
            assert [(r.address, r.value) for r in field.selects] == [(102, 5.0)]
            assert len(field.requests) == 2
            (failed,) = [s for s in seen if s.violation == Violation.COMMAND_FAILED]
            assert "valve stuck" in failed.text
            await control.test(7)  # the station goes on
        async with Field(act=None) as field, field.room() as control:
            for select in (False, True):
                with pytest.raises(Refused):
                    await control.command(7, 100, TypeId.C_SC_NA_1, 1, select=select)
            with pytest.raises(Refused):
                await control.reset(7)

    run(main)


@pytest.mark.parametrize(
    ("address", "kind", "value", "violation"),
    [
        (55, TypeId.C_SC_NA_1, 1, Violation.UNKNOWN_OBJECT),
        (3, TypeId.C_SC_NA_1, 1, Violation.UNKNOWN_OBJECT),  # a point, no command
        (100, TypeId.C_DC_NA_1, 1, Violation.UNKNOWN_OBJECT),  # another type
        (101, TypeId.C_DC_NA_1, 1, Violation.NO_SELECT),
        (102, TypeId.C_SE_NC_1, 80.5, Violation.BEYOND),
        (102, TypeId.C_SE_NC_1, -0.5, Violation.BEYOND),
    ],
)
def test_commands_that_do_not_fit_are_refused_before_the_handler(address, kind, value, violation):
    async def main():
        async with Field() as field, field.room() as control:
            with pytest.raises(Refused):
                await control.command(7, address, kind, value)
            assert field.station.counts[f"violation: {violation}"] == 1
            assert not field.requests

    run(main)


def test_execute_must_follow_its_own_select_in_time():
    async def main():
        async with Field(select_timeout=0.2) as field, field.room() as one, field.room() as other:
            counts = field.station.counts
            place = 7, 101, TypeId.C_DC_NA_1
            await one.select(*place, 2)
            with pytest.raises(Refused):
                await one.command(*place, 1)  # another value
            assert counts[f"violation: {Violation.SELECT_DIFFERS}"] == 1
            with pytest.raises(Refused):
                await one.command(*place, 2)  # the selection is gone with it
            assert counts[f"violation: {Violation.NO_SELECT}"] == 1

            await one.select(*place, 2)
            with pytest.raises(Refused):
                await other.command(*place, 2)
            with pytest.raises(Refused):
                await other.select(*place, 2)
            assert counts[f"violation: {Violation.SELECTED_BY_OTHER}"] == 2
            await asyncio.sleep(0.25)
            with pytest.raises(Refused):
                await one.command(*place, 2)
            assert counts[f"violation: {Violation.SELECT_LATE}"] == 1
            await other.select(*place, 2)  # free again
            await other.deactivate(*place, 2)
            with pytest.raises(Refused):
                await other.deactivate(*place, 2)
            with pytest.raises(Refused):
                await other.command(*place, 2)
            assert not field.requests
            await one.select(*place, 2)
            await one.close()
            await happens(lambda: len(field.station.sessions) == 1)
            await other.command(*place, 2, select=True)  # who has gone holds nothing
            assert len(field.requests) == 1

    run(main)


@pytest.mark.parametrize("ahead", [-60, 60])
def test_commands_with_an_old_or_future_time_tag_are_refused(ahead):
    async def main():
        async with Field(command_age=10.0) as field, raw(field.station.port) as peer:
            await peer.start()
            peer.send(single(TypeId.C_SC_TA_1, 7, 100, 1, time=now() + ahead * 1_000_000))
            found, _ = await peer.until(lambda f: f.format == "I" and f.asdu[0] == TypeId.C_SC_TA_1)
            assert parse(found.asdu).negative
            assert field.station.counts[f"violation: {Violation.COMMAND_AGE}"] == 1
            assert not field.requests

    run(main)


def test_parameters_and_resets_reach_the_handler():
    async def main():
        async with Field() as field, field.room() as control:
            await control.parameter(7, 3, TypeId.P_ME_NC_1, 1.5, qualifier=1)
            await control.parameter(7, 3, TypeId.P_AC_NA_1, 3)
            await control.reset(7, 2)
            kinds = [(r.type, r.address, r.value, r.qualifier) for r in field.requests]
            assert kinds == [
                (TypeId.P_ME_NC_1, 3, 1.5, 1),
                (TypeId.P_AC_NA_1, 3, 3.0, 0),
                (TypeId.C_RP_NA_1, 0, 2.0, 0),
            ]

    run(main)


def test_the_test_bit_reaches_the_handler():
    async def main():
        async with Field() as field, field.room() as control:
            await control.command(7, 100, TypeId.C_SC_NA_1, 1, test=True)
            assert field.requests[0].test

    run(main)


def test_a_question_is_not_asked_twice_at_once_and_a_silent_station_is_named():
    async def main():
        async def serve(reader, writer):
            await reader.read(6)
            writer.write(bytes((0x68, 4, Function.STARTDT_CON, 0, 0, 0)))
            await reader.read(-1)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ControllingStation("room", "127.0.0.1", port, **(ROOM | {"answer": 0.2})) as control:
            first = asyncio.create_task(control.interrogate(7))
            await asyncio.sleep(0)
            with pytest.raises(Refused, match="already under way"):
                await control.interrogate(7)
            with pytest.raises(NoAnswer, match=r"room: C_IC_NA_1 to 7/0: no confirmation within 0.2 s"):
                await first
            with pytest.raises(NoAnswer, match="read of 7/3"):
                await control.read(7, 3)
            lost = asyncio.create_task(control.command(7, 100, TypeId.C_SC_NA_1, 1))
            await asyncio.sleep(0.05)
            control._link.close("for the test")
            with pytest.raises(LinkLost, match="whether the station acted is unknown"):
                await lost
        with pytest.raises(LinkLost):
            await control.interrogate(7)
        server.close()

    run(main)


# ------------------------------------------------------------------------------------- several rooms, lost connections


def test_control_rooms_have_buffers_of_their_own():
    async def main():
        peers = [Peer("one", ("127.0.0.1",)), Peer("two", ("127.0.0.2/32",))]
        async with Field(peers=peers, buffer=2) as field:
            update = field.station.update
            async with field.room(local="127.0.0.1") as one:
                await update(7, [3], [1.0])
                assert (await all_of(one, 1))[0][2] == 1.0
                for value in range(50):  # the other one is away: the newest two ASDUs are kept for it, 16 points each
                    await update(7, [3], [float(value)])
                    assert [row[2] for row in await all_of(one, 1)] == [value]
                lost = field.station.counts["points dropped: peer away, buffer full"]
                assert lost == 32
                assert field.station.kept["two"].counts["points dropped: peer away, buffer full"] == lost
                assert field.station.kept["one"].counts["points acknowledged"] <= 51
                async with field.room(local="127.0.0.2") as two:
                    assert [row[2] for row in await all_of(two, 19)] == list(range(31, 50))
                    await update(7, [3], [99.0])
                    assert (await all_of(two, 1))[0][2] == 99.0
                    assert (await all_of(one, 1))[0][2] == 99.0
            async with raw(field.station.port, local="127.0.0.3") as stranger:
                assert await stranger.ended()
            assert field.station.counts[f"violation: {Violation.PEER_ADDRESS}"] == 1

    run(main)


def test_points_that_wait_share_asdus_in_their_order():
    async def main():
        async with Field(peers=[Peer("room")], buffer=2) as field, raw(field.station.port) as peer:
            await peer.start()
            for value in range(40):  # the window takes 12 frames, the other 28 points wait in two ASDUs
                await field.station.update(7, [3], [float(value)])
            assert field.station.counts["waited for room"] == 0
            peer.polite = True
            values = []
            while len(values) < 40:
                found = await peer.frame()
                asdu = parse(found.asdu) if found.format == "I" else None
                if asdu and asdu.type == TypeId.M_ME_TF_1:
                    values += decoded([(asdu, 0)]).value.tolist()
            assert values == list(range(40))
            sent = field.station.counts["I frames sent"]
            assert sent == 2 + 10 + 2  # two ends of initialisation, ten points one by one, thirty in two ASDUs
            await happens(lambda: field.station.counts["points acknowledged"] == 40)
            assert field.station.counts["points sent"] == 40

    run(main)


def test_a_second_connection_of_a_peer_takes_over_from_the_first():
    async def main():
        async with Field(peers=[Peer("room")]) as field, raw(field.station.port) as old, raw(field.station.port) as new:
            await old.start()
            await old.until(lambda f: f.format == "I")
            await field.station.update(7, [3], [1.0])  # not acknowledged
            await old.until(lambda f: f.format == "I" and f.asdu[0] == TypeId.M_ME_TF_1)
            await new.start()
            assert await old.ended()
            found, _ = await new.until(lambda f: f.format == "I" and f.asdu[0] == TypeId.M_ME_TF_1)
            assert parse(found.asdu).common_address == 7  # it comes again: at least once

    run(main)


def test_nothing_is_lost_over_broken_connections_and_restarts():
    async def main():
        async with Field(peers=[Peer("room")], buffer=5000) as field:
            control = field.room()
            came = []

            async def listen():
                async for points in control.points():
                    came.extend(points.value.tolist())

            listener = asyncio.create_task(listen())
            for value in range(1000):
                await field.station.update(7, [3], [float(value)])
                if value % 100 == 50:
                    for session in list(field.station.sessions):
                        session.link._transport.abort()
                if value == 500:
                    await field.station.close()
                    await field.station.start()
                await asyncio.sleep(0.001)
            await happens(lambda: came and came[-1] == 999.0)
            first = list(dict.fromkeys(came))  # what came again came at least once before
            assert first == list(range(1000))
            assert control.counts["connected"] >= 5
            assert not [n for n in field.station.counts.counted if n.startswith("points dropped")]
            await control.close()
            await asyncio.wait_for(listener, 5)  # `points` ends with the station

    run(main)


def test_reconnecting_waits_longer_each_time_and_says_why():
    async def main():
        control = ControllingStation("room", "127.0.0.1", 1, retry=(0.02, 0.2))
        with pytest.raises(LinkLost, match=r"room: not connected to 127.0.0.1:1: connection refused"):
            await control.connected(1.0)
        assert 4 <= control.counts["not connected: connection refused"] <= 14  # not 50
        await control.close()

    run(main)


def test_points_end_with_close_after_what_has_come():
    async def main():
        async with Field() as field:
            control = field.room()
            await control.connected()
            await control.interrogate(7)
            await control.close()
            batches = [len(p) async for p in control.points()]
            assert sum(batches) >= 4

    run(main)


# ------------------------------------------------------------------------------------------------ the station itself


def test_a_station_refuses_what_it_cannot_hold():
    for points, text in (
        ({0: POINTS}, "common address 0"),
        ({65535: POINTS}, "common address 65535"),
        ({1: [POINTS[0], POINTS[0]]}, "object 1: is given twice"),
        ({1: [InformationObject(1 << 24, TypeId.M_SP_NA_1)]}, "must be 1..16777215"),
    ):
        with pytest.raises(SeraiError, match=text):
            ControlledStation("field", points)
    with pytest.raises(SeraiError, match="object 3: a bit string"):
        InformationObject(3, TypeId.C_BO_NA_1, select=True)
    with pytest.raises(SeraiError, match=r"anyone on 0\.0\.0\.0: give it peers or tls"):
        ControlledStation("field", {1: POINTS}, host="0.0.0.0")  # noqa: S104 - that is what is refused


def test_updates_name_what_the_station_does_not_have():
    async def main():
        async with Field() as field:
            with pytest.raises(SeraiError, match="common address 7 has no point 5"):
                await field.station.update(7, [3, 5], [1.0, 2.0])
            with pytest.raises(SeraiError, match=r"no common address 9, only \[7, 8\]"):
                await field.station.update(9, [3], [1.0])
            with pytest.raises(BadTimes):
                await field.station.update(7, [3], [1.0], time=5)
            assert field.station.image(7).value[2] == 3.5  # nothing was changed

    run(main)


def test_many_values_of_several_types_in_one_update():
    async def main():
        async with Field() as field, field.room() as control:
            times = now() - np.array([3, 2, 1]) * 1_000_000
            await happens(lambda: control.counts["I frames received"] >= 2)
            await field.station.update(7, [3, 1, 2], [1.5, 1, 2], quality=[0, 0x20, 0x40], time=times)
            rows = await all_of(control, 3)
            assert {(a, v, q) for _, a, v, q, _ in rows} == {(3, 1.5, 0), (1, 1.0, 0x20), (2, 2.0, 0x40)}

    run(main)


def test_a_point_may_have_several_values_in_one_update():
    async def main():
        async with Field() as field, field.room() as control:
            await happens(lambda: control.counts["station initialised"] == 2)
            times = now() // 1000 * 1000 - np.array([2, 1, 0]) * 1_000_000
            await field.station.update(7, [3, 3, 3], [1.0, 2.0, 3.0], [0, 0x20, 0], times)
            points = await anext(control.points())
            assert points.value.tolist() == [1.0, 2.0, 3.0]
            assert points.time.tolist() == times.tolist()
            assert points.quality.tolist() == [0, 0x20, 0]
            assert (await control.read(7, 3)).value.tolist() == [3.0]

    run(main)


def test_an_interrogation_never_tells_an_older_value_after_a_newer_one():
    async def main():
        points = [InformationObject(a, TypeId.M_ME_NC_1) for a in range(1, 5001)]
        field = ControlledStation("field", {1: points}, buffer=5)  # it must wait for room all the time
        async with field, ControllingStation("room", "127.0.0.1", field.port, **ROOM) as control:
            every = np.arange(1, 5001)
            latest = np.zeros(5001)
            done = asyncio.Event()

            async def listen():
                async for p in control.points():
                    for address, value in zip(p.address.tolist(), p.value.tolist(), strict=True):
                        assert value >= latest[address]
                        latest[address] = value
                    if latest[1:].min() == 30.0:
                        done.set()

            listening = asyncio.create_task(listen())
            asking = asyncio.create_task(control.interrogate(1))
            for value in range(1, 31):
                await field.update(1, every, np.full(5000, float(value)))
                if asking.done():
                    asking = asyncio.create_task(control.interrogate(1))
            await asyncio.wait_for(done.wait(), 20)
            assert not listening.done()
            await asking

    run(main)


def test_a_command_under_way_is_not_stopped_by_a_lost_connection():
    async def main():
        finished = asyncio.Event()

        async def act(request):
            await asyncio.sleep(0.2)
            finished.set()
            return True

        async with Field(act=act) as field, raw(field.station.port) as peer:
            await peer.start()
            peer.send(single(TypeId.C_SC_NA_1, 7, 100, 1))
            await happens(lambda: field.station.counts["I frames received"] == 1)
            peer.writer.transport.abort()
            await happens(lambda: not field.station.sessions)
            assert not finished.is_set()
            await asyncio.wait_for(finished.wait(), 2)
            assert field.station.counts["commands whose connection was lost under way"] == 1

    run(main)


def test_unknown_types_from_a_station_are_kept_and_counted():
    async def main():
        unit = bytes.fromhex("7d0103000700 010000 c0ffee")
        confirmation = bytes.fromhex("2d0107000700 640000 01")
        end = bytes.fromhex("2d010a000700 640000 01")
        activation = bytes.fromhex("2d0106000700 640000 01")

        async def serve(reader, writer):
            await reader.read(6)
            frames = [
                bytes((0x68, 4 + len(u), 2 * k, 0, 0, 0)) + u
                for k, u in enumerate((unit, confirmation, end, activation))
            ]
            writer.write(bytes((0x68, 4, Function.STARTDT_CON, 0, 0, 0)) + b"".join(frames))
            await reader.read(-1)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ControllingStation("room", "127.0.0.1", port, **ROOM) as control:
            await happens(lambda: control.counts["I frames received"] == 4)
            (kept,) = control.unknown
            assert kept.body == bytes.fromhex("010000c0ffee")
            assert control.counts[f"violation: {Violation.UNKNOWN_TYPE}"] == 1
            assert control.counts[f"violation: {Violation.UNASKED_ANSWER}"] == 2
            assert control.counts[f"violation: {Violation.DIRECTION}"] == 1
            assert control.up
        server.close()

    run(main)


def test_a_watch_sees_every_frame_both_ways():
    async def main():
        seen = []
        async with Field(watch=seen.append) as field, field.room() as control:
            await control.command(7, 102, TypeId.C_SE_NC_1, 12.5, select=True)
            await control.interrogate(7)
        outward = [s.asdu.name for s in seen if s.outward and s.asdu]
        inward = [s.asdu.name for s in seen if not s.outward and s.asdu]
        assert inward == ["C_SE_NC_1", "C_SE_NC_1", "C_IC_NA_1"]
        assert outward.count("C_SE_NC_1") == 3  # two confirmations, one termination
        assert {"M_SP_NA_1", "M_ME_NC_1", "C_IC_NA_1"} <= set(outward)
        assert all(s.link == "field <- 127.0.0.1" and s.octets and s.frame for s in seen)
        assert [s.frame.function for s in seen if s.frame.function][:2] == [Function.STARTDT_ACT, Function.STARTDT_CON]

    run(main)


def test_sizes_of_fields_can_be_those_of_60870_5_101():
    async def main():
        from serai.telemetry.iec104 import Sizes

        settings = Settings(sizes=Sizes(cause=1, common_address=1, address=2))
        async with Field(settings=settings) as field, field.room(settings=settings) as control:
            await control.interrogate(7)
            assert len(await all_of(control, 4)) == 4
            await control.command(7, 102, TypeId.C_SE_NC_1, 12.5, select=True)

    run(main)
