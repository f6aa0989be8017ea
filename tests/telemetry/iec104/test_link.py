# SPDX-License-Identifier: Apache-2.0
"""The link: numbers, windows, timers, and what a station does with a peer that breaks the rules."""

import asyncio
import tracemalloc

import numpy as np
import pytest

from serai.errors import SeraiError
from serai.telemetry.iec104 import (
    Cause,
    ControlledStation,
    ControllingStation,
    InformationObject,
    LinkLost,
    Peer,
    Settings,
    TypeId,
    Violation,
)
from serai.telemetry.iec104.apci import Function, i_frame, s_frame, u_frame
from serai.telemetry.iec104.asdu import parse
from telemetry.iec104.rawpeer import STARTDT, STOPDT, TESTFR, interrogation, raw

QUICK = Settings(t0=2.0, t1=0.4, t2=0.1, t3=0.3)
STEADY = Settings(t0=2.0, t1=20.0, t2=10.0, t3=20.0)
POINTS = [InformationObject(a, TypeId.M_ME_TF_1) for a in range(1, 1001)]
ALL = np.arange(1, 1001)


def station(settings=STEADY, **options):
    return ControlledStation("field", {1: POINTS}, settings=settings, **options)


async def happens(condition, wait=5.0):
    async with asyncio.timeout(wait):
        while not condition():  # noqa: ASYNC110 - waits for sockets
            await asyncio.sleep(0.005)


async def healthy(field):
    """Whether another controlling station is served as ever."""
    async with ControllingStation("other", "127.0.0.1", field.port, common_addresses=()) as other:
        drain = asyncio.create_task(anext(other.points()))
        await other.interrogate(1)
        assert len(await drain) > 0


# --------------------------------------------------------------------------------------------- breaking the rules


@pytest.mark.parametrize(
    ("octets", "violation"),
    [
        (b"\x00", Violation.START),
        (TESTFR + b"GET / HTTP/1.1\r\n", Violation.START),
        (b"\x68\x03", Violation.LENGTH),
        (b"\x68\xff", Violation.LENGTH),
        (bytes.fromhex("680403000000"), Violation.CONTROL),
        (bytes.fromhex("6805010000000 0".replace(" ", "")), Violation.CONTROL),
        (i_frame(0, 0, interrogation()), Violation.NOT_STARTED),
        (STARTDT + i_frame(1, 0, interrogation()), Violation.SEND_NUMBER),
        (STARTDT + i_frame(0, 0, interrogation()) * 2, Violation.SEND_NUMBER),
        (STARTDT + i_frame(0, 9, interrogation()), Violation.RECEIVE_NUMBER),
        (s_frame(1), Violation.RECEIVE_NUMBER),
        (s_frame(32767), Violation.RECEIVE_NUMBER),
        (u_frame(Function.TESTFR_CON), Violation.UNASKED),
        (u_frame(Function.STARTDT_CON), Violation.UNASKED),
    ],
)
def test_a_frame_that_breaks_the_rules_ends_its_connection_alone(octets, violation):
    async def main():
        seen = []
        async with station(watch=seen.append) as field, raw(field.port) as good, raw(field.port) as bad:
            good.polite = True
            await good.start()
            bad.write(octets)
            assert await bad.ended()
            assert field.counts[f"violation: {violation}"] == 1
            assert field.counts[f"lost: {violation}"] == 1
            (wrong,) = [s for s in seen if s.violation]
            assert wrong.violation == violation
            assert wrong.octets in octets
            good.send(interrogation())
            await good.until(lambda f: f.format == "I" and parse(f.asdu).cause == Cause.TERMINATION)

    asyncio.run(main())


def test_a_broken_asdu_in_a_whole_frame_is_counted_and_the_connection_goes_on():
    async def main():
        seen = []
        async with station(watch=seen.append) as field, raw(field.port) as peer:
            peer.polite = True
            await peer.start()
            peer.send(b"\x64\x01", interrogation()[:-1], interrogation() + b"\0", interrogation())
            await peer.until(lambda f: f.format == "I" and parse(f.asdu).cause == Cause.TERMINATION)
            assert field.counts[f"violation: {Violation.SHORT}"] == 1
            assert field.counts[f"violation: {Violation.OBJECTS}"] == 2
            refused = [s for s in seen if s.violation]
            assert refused[0].octets.endswith(b"\x64\x01")  # kept as they came

    asyncio.run(main())


@pytest.mark.parametrize(
    ("unit", "cause", "violation"),
    [
        (bytes.fromhex("7f0106000100 000000 00"), Cause.UNKNOWN_TYPE, Violation.UNKNOWN_TYPE),
        (bytes.fromhex("010106000100 010000 01"), Cause.UNKNOWN_TYPE, Violation.DIRECTION),
        (interrogation(cause=Cause.SPONTANEOUS), Cause.UNKNOWN_CAUSE, Violation.UNKNOWN_CAUSE),
        (interrogation(common=2), Cause.UNKNOWN_COMMON_ADDRESS, Violation.UNKNOWN_COMMON_ADDRESS),
        (bytes.fromhex("2d0106000100 631700 01"), Cause.UNKNOWN_OBJECT, Violation.UNKNOWN_OBJECT),
        (bytes.fromhex("660105000100 631700"), Cause.UNKNOWN_OBJECT, Violation.UNKNOWN_OBJECT),
        (bytes.fromhex("2d0206000100 631700 01 641700 01"), Cause.ACTIVATION_CON, Violation.OBJECTS),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_negative_confirmation(unit, cause, violation):
    async def main():
        async with station() as field, raw(field.port) as peer:
            await peer.start()
            peer.send(unit)
            answer, _ = await peer.until(lambda f: f.format == "I" and f.asdu[0] != TypeId.M_EI_NA_1)
            told = parse(answer.asdu)
            assert (told.type, told.cause, told.negative, told.body) == (unit[0], cause, True, unit[6:])
            assert field.counts[f"violation: {violation}"] == 1

    asyncio.run(main())


def test_a_station_that_plays_the_control_room_is_refused():
    async def main():
        async def serve(reader, writer):
            await reader.readexactly(6)
            writer.write(u_frame(Function.STARTDT_CON) + STARTDT)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ControllingStation("room", "127.0.0.1", port) as control:
            await happens(lambda: control.counts[f"violation: {Violation.WRONG_ROLE}"])
        server.close()

    asyncio.run(main())


def test_too_many_connections_at_once_are_refused():
    async def main():
        async with station() as field:
            ends = [await asyncio.open_connection("127.0.0.1", field.port) for _ in range(33)]
            await happens(lambda: field.counts[f"violation: {Violation.CROWD}"] == 1)
            for _, writer in ends:
                writer.close()
            await happens(lambda: not field.sessions)
            await healthy(field)

    asyncio.run(main())


# --------------------------------------------------------------------------------------------- windows and numbers


def test_at_most_k_frames_are_open_and_an_acknowledgement_lets_more_go():
    async def main():
        async with station() as field, raw(field.port) as peer:
            await peer.start()
            update = asyncio.create_task(field.update(1, ALL, np.ones(1000)))
            await peer.until(lambda f: f.send == 11)
            with pytest.raises(TimeoutError):
                await peer.frame(0.1)
            peer.write(s_frame(5))
            await peer.until(lambda f: f.send == 16)
            with pytest.raises(TimeoutError):
                await peer.frame(0.1)
            peer.acknowledge()
            await peer.until(lambda f: f.send == 28)
            await update

    asyncio.run(main())


def test_w_frames_are_acknowledged_at_once_and_fewer_after_t2():
    async def main():
        async with station(QUICK) as field, raw(field.port) as peer:
            await peer.start()
            unit = bytes.fromhex("2d0103000100 631700 01")  # refused with a negative confirmation each
            for _ in range(7):
                peer.send(unit, receive=0)
            await happens(lambda: field.counts["I frames received"] == 7)
            other = field.sessions.copy().pop().link
            assert other._acknowledged_in == 7  # by the I frames that answer

            assert field.counts["S frames sent"] == 0

        room = {"settings": QUICK, "common_addresses": ()}
        async with station() as field, ControllingStation("room", "127.0.0.1", field.port, **room) as control:
            drain = asyncio.create_task(drained(control, 10 * 16))
            await happens(lambda: field.sessions and next(iter(field.sessions)).link.active)
            await happens(lambda: control.counts["S frames sent"] == 1)  # end of initialisation, after t2
            await field.update(1, ALL[: 2 * 16], np.ones(2 * 16))
            await happens(lambda: control.counts["points received"] == 32)
            assert field.counts["points acknowledged"] == 0
            await happens(lambda: field.counts["points acknowledged"] == 32)  # after t2
            await field.update(1, ALL[: 8 * 16], np.ones(8 * 16))
            await happens(lambda: control.counts["S frames sent"] == 3)  # after w frames
            await drain

    asyncio.run(main())


async def drained(control, count):
    """All points until `count` have come."""
    values = []
    async for points in control.points():
        values += points.value.tolist()
        if len(values) >= count:
            return values
    return values


def test_numbers_run_over_and_begin_anew():
    async def main():
        async with station() as field:
            room = ControllingStation("room", "127.0.0.1", field.port, common_addresses=())
            async with room as control:
                await happens(lambda: field.sessions)
                await control.interrogate(1)
                near, far = next(iter(field.sessions)).link, control._link
                await happens(lambda: not near._sent_at)
                far._acknowledge()
                for link in (near, far):
                    link._next_out, link._next_in, link._acknowledged_in = 32760, 32760, 32760
                before = sum(len(p) for p in [await anext(control.points())])
                assert before == 1000
                for value in (1.0, 2.0):
                    drain = asyncio.create_task(drained(control, 1000))
                    await field.update(1, ALL, np.full(1000, value))
                    assert await drain == [value] * 1000
                assert near._next_out < 200

    asyncio.run(main())


# --------------------------------------------------------------------------------------------------------- timers


def test_without_an_acknowledgement_the_connection_ends_after_t1():
    async def main():
        async with station(QUICK) as field, raw(field.port) as peer:
            await peer.start()
            begun = asyncio.get_running_loop().time()
            await field.update(1, [1], [2.0])
            assert await peer.ended()
            assert 0.3 < asyncio.get_running_loop().time() - begun < 3.0
            assert field.counts[f"violation: {Violation.NO_ACKNOWLEDGEMENT}"] == 1
            await happens(lambda: field.counts["points dropped: peer away, buffer full"] == 1)  # told, not silent

    asyncio.run(main())


def test_silence_is_tested_and_a_dead_peer_is_given_up():
    async def main():
        async with station(QUICK) as field, raw(field.port) as peer:
            await peer.start()
            await peer.until(lambda f: f.format == "I")
            peer.acknowledge()
            for _ in range(2):  # as long as it answers it stays
                await peer.until(lambda f: f.function == Function.TESTFR_ACT)
                peer.write(u_frame(Function.TESTFR_CON))
            assert await peer.ended()
            assert field.counts["tests sent"] == 3
            assert field.counts[f"violation: {Violation.NO_CONFIRMATION}"] == 1

    asyncio.run(main())


def test_a_station_that_never_starts_is_given_up_and_tried_again():
    async def main():
        came = []

        async def serve(reader, writer):
            came.append(await reader.read(6))
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        control = ControllingStation("room", "127.0.0.1", port, settings=QUICK, retry=(0.05, 0.1))
        with pytest.raises(LinkLost, match="room: not connected"):
            await control.connected(1.5)
        assert len(came) >= 2
        assert set(came) == {STARTDT}
        assert control.counts[f"violation: {Violation.NO_CONFIRMATION}"] >= 1
        await control.close()
        server.close()

    asyncio.run(main())


def test_both_test_the_link_and_stay_connected_in_silence():
    async def main():
        async with (
            station(QUICK) as field,
            ControllingStation("room", "127.0.0.1", field.port, settings=QUICK) as control,
        ):
            await asyncio.sleep(1.2)
            assert control.up
            assert control.counts["connected"] == 1
            assert field.counts["tests sent"] + control.counts["tests sent"] >= 2

    asyncio.run(main())


# ------------------------------------------------------------------------------------------------ start and stop


def test_nothing_is_sent_between_stop_and_start_and_nothing_is_lost():
    async def main():
        async with station(peers=[Peer("room")]) as field, raw(field.port) as peer:
            await peer.start()
            await peer.until(lambda f: f.format == "I")  # end of initialisation
            await field.update(1, [1], [1.0])
            await peer.until(lambda f: f.format == "I")
            peer.acknowledge()
            peer.write(STOPDT)
            await peer.until(lambda f: f.function == Function.STOPDT_CON)
            await field.update(1, [2], [2.0])
            peer.write(TESTFR)
            _, before = await peer.until(lambda f: f.function == Function.TESTFR_CON)
            assert [f.format for f in before] == ["U"]
            await peer.start()
            found, _ = await peer.until(lambda f: f.format == "I")
            assert parse(found.asdu).body[:3] == b"\2\0\0"

    asyncio.run(main())


def test_a_control_room_may_stop_and_start_the_transfer():
    async def main():
        async with station() as field, ControllingStation("room", "127.0.0.1", field.port) as control:
            await control._link.stop()
            assert not control.up
            with pytest.raises(LinkLost, match="transfer stopped"):
                await control.interrogate(1)
            await control._link.start()
            await control.test(1)

    asyncio.run(main())


# -------------------------------------------------------------------------------------- floods, slow readers, memory


def test_a_reader_that_does_not_read_is_felt_by_the_sender_and_memory_stays_bounded():
    async def main():
        settings = Settings(k=32000, w=8, t1=20.0)
        async with station(settings, buffer=50) as field, raw(field.port, buffer=4096) as peer:
            await peer.start()
            tracemalloc.start()

            async def publish():
                for value in range(1000):
                    await field.update(1, ALL, np.full(1000, float(value)))

            task = asyncio.create_task(publish())
            sent = -1
            async with asyncio.timeout(20):  # until the buffers of the operating system are full
                while sent != field.counts["points sent"]:
                    sent = field.counts["points sent"]
                    await asyncio.sleep(0.3)
            assert field.counts["waited for room"] > 0
            assert not task.done()  # it waits; it does not overwrite
            session = next(iter(field.sessions))
            assert len(session.outbox) <= 50
            assert session.link._transport.get_write_buffer_size() < 200_000
            assert tracemalloc.get_traced_memory()[1] < 60e6
            tracemalloc.stop()
            reading = asyncio.create_task(peer.ended(60))  # it reads again, and the sender goes on
            await happens(lambda: field.counts["points sent"] > sent + 100_000, 20)
            reading.cancel()
            task.cancel()

    asyncio.run(main())


def test_a_slow_consumer_holds_the_station_back_and_loses_nothing():
    async def main():
        few = Settings(inbox=20, t1=20.0)
        async with (
            station(buffer=50) as field,
            ControllingStation("room", "127.0.0.1", field.port, settings=few, common_addresses=()) as control,
        ):
            await happens(lambda: field.sessions and next(iter(field.sessions)).link.active)

            async def publish():
                for value in range(60):
                    await field.update(1, ALL, np.full(1000, float(value)))

            task = asyncio.create_task(publish())
            await happens(lambda: control.counts["held back"] and field.counts["waited for room"])
            assert len(control._arrived) < 20 + 2000  # one read of the socket beyond its bound at most
            assert not task.done()
            values = []
            async for points in control.points():
                values.append(points.value)
                await asyncio.sleep(0.002)
                if sum(len(v) for v in values) == 60_000:
                    break
            await task
            assert np.concatenate(values).tolist() == np.repeat(np.arange(60.0), 1000).tolist()

    asyncio.run(main())


def test_a_flood_of_requests_is_held_back_and_others_are_served():
    async def main():
        settings = Settings(inbox=100, t1=2.0, t2=1.0)
        async with station(settings) as field, raw(field.port) as peer:
            await peer.start()
            flood = b"".join(i_frame(n % 32768, 0, interrogation(common=9)) for n in range(50_000))
            peer.write(flood)
            await happens(lambda: field.counts["held back"] > 0)
            session = next(iter(field.sessions))
            await healthy(field)
            assert len(session._asked) < 100 + 20_000  # one read of the socket at most
            assert len(session.outbox) <= 100
            assert await peer.ended(20)  # it never acknowledged
            assert field.counts[f"lost: {Violation.NO_ACKNOWLEDGEMENT}"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [{"k": 0}, {"w": 13}, {"t2": 15.0}, {"t3": 0.0}, {"inbox": 0}, {"k": 32768}])
def test_settings_that_no_link_can_run_with_are_refused(wrong):
    with pytest.raises(SeraiError, match="must be"):
        Settings(**wrong)
