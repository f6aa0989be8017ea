# SPDX-License-Identifier: Apache-2.0
"""Frames, ASDUs, elements, values and time tags: what is encoded comes back, what is wrong is named."""

import calendar
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serai.errors import BadTimes, SeraiError
from serai.telemetry.iec104.apci import LONGEST_ASDU, MODULO, Frame, Function, frame, i_frame, s_frame, split, u_frame
from serai.telemetry.iec104.asdu import Asdu, asdus, objects, octets, parse
from serai.telemetry.iec104.faults import Malformed, Violation
from serai.telemetry.iec104.points import decoded
from serai.telemetry.iec104.times import cp56, near, since_1970
from serai.telemetry.iec104.types import LAYOUTS, SIZES, Cause, Sizes, TypeId
from serai.telemetry.iec104.values import elements, range_of, values
from serai.telemetry.readings import Quality

BUSY = {"suppress_health_check": [HealthCheck.too_slow]}  # a machine beside other work makes long ASDUs slowly
NUMBER = st.integers(0, MODULO - 1)
TYPES = st.sampled_from(sorted(LAYOUTS))
ALL_SIZES = st.builds(Sizes, st.sampled_from([1, 2]), st.sampled_from([1, 2]), st.sampled_from([1, 2, 3]))
NOW = 1_795_372_200_123_000  # a time of whole milliseconds, 2026-11-22


# --------------------------------------------------------------------------------------------------------- frames


@given(NUMBER, NUMBER, st.binary(min_size=1, max_size=LONGEST_ASDU))
def test_frames_come_back(send, receive, asdu):
    stream = i_frame(send, receive, asdu) + s_frame(receive) + b"".join(u_frame(f) for f in Function)
    found, whole = split(stream + b"\x68")
    assert whole == len(stream)
    assert [frame(apdu) for apdu in found] == [
        Frame("I", send, receive, None, asdu),
        Frame("S", -1, receive),
        *(Frame("U", -1, -1, f) for f in Function),
    ]


@given(st.binary(max_size=80), st.integers(0, 80))
def test_a_stream_splits_the_same_wherever_it_is_cut(noise, at):
    stream = u_frame(Function.TESTFR_ACT) + s_frame(7) + b"\x68" + noise
    try:
        whole, _ = split(stream)
    except Malformed:
        return
    first, used = split(stream[:at])
    second, _ = split(stream[used:])
    assert first + second == whole


@pytest.mark.parametrize(
    ("stream", "violation"),
    [
        ("00", Violation.START),
        ("680443000000 69", Violation.START),
        ("6803", Violation.LENGTH),
        ("68fe", Violation.LENGTH),
    ],
)
def test_octets_that_begin_no_frame_are_named(stream, violation):
    with pytest.raises(Malformed) as fault:
        split(bytes.fromhex(stream))
    assert fault.value.violation == violation


@pytest.mark.parametrize(
    "apdu",
    [
        "680400000000",  # I without ASDU
        "68050000010064",  # I with an odd N(R)
        "680501000000 00",  # S with an octet to spare
        "680403000000",  # U without a function
        "6804c3000000",  # U with two
        "680407010000",
        "680407000200",
        "680401000100",  # S with an odd N(R)
        "680411000000",
    ],
)
def test_control_fields_of_no_format_are_named(apdu):
    with pytest.raises(Malformed) as fault:
        frame(bytes.fromhex(apdu))
    assert fault.value.violation == Violation.CONTROL


# ---------------------------------------------------------------------------------------------------------- ASDUs


@st.composite
def any_asdu(draw, sizes=ALL_SIZES, kinds=TYPES):
    """An ASDU of a known type with any octets in its elements."""
    size, number, sequence = draw(sizes), draw(kinds), draw(st.booleans())
    element = LAYOUTS[number].element.itemsize
    room = LONGEST_ASDU - size.header - (size.address if sequence else 0)
    count = draw(st.integers(0, min(127, room // max(1, element + (0 if sequence else size.address)))))
    first = draw(st.integers(0, (1 << 8 * size.address) - 1 - count))
    length = (size.address + count * element if count else 0) if sequence else count * (size.address + element)
    body = draw(st.binary(min_size=length, max_size=length))
    if sequence and count:
        body = first.to_bytes(size.address, "little") + body[size.address :]
    bits = draw(st.tuples(st.booleans(), st.booleans()))
    origin = draw(st.integers(0, 255)) if size.cause == 2 else 0
    common = draw(st.integers(0, (1 << 8 * size.common_address) - 1))
    return Asdu(number, draw(st.integers(0, 63)), common, body, count, sequence, *bits, origin), size


@given(any_asdu())
@settings(max_examples=250, **BUSY)
def test_every_type_survives_octet_for_octet(made):
    asdu, sizes = made
    assert parse(octets(asdu, sizes), sizes) == asdu
    addresses, found = objects([asdu], sizes)
    assert len(addresses) == len(found) == asdu.count
    again = list(asdus(asdu, addresses, found, sizes)) or [asdu]
    if not asdu.sequence or asdu.count:
        assert [octets(a, sizes) for a in again] == [octets(asdu, sizes)]


@pytest.mark.parametrize("number", sorted(LAYOUTS))
@given(data=st.data())
@settings(max_examples=12, **BUSY)
def test_each_type_on_its_own(number, data):
    asdu, sizes = data.draw(any_asdu(kinds=st.just(number)))
    assert parse(octets(asdu, sizes), sizes) == asdu
    if asdu.count:
        (again,) = asdus(asdu, *objects([asdu], sizes), sizes)
        assert again == asdu


@given(st.lists(any_asdu(st.just(SIZES), st.just(36)), min_size=1, max_size=6))
@settings(max_examples=60, **BUSY)
def test_many_at_once_are_the_same_as_one_by_one(made):
    every = [asdu for asdu, _ in made]
    addresses, found = objects(every)
    single = [objects([asdu]) for asdu in every]
    np.testing.assert_array_equal(addresses, np.concatenate([a for a, _ in single]))
    packed = LAYOUTS[36].element
    assert found.astype(packed).tobytes() == b"".join(e.astype(packed).tobytes() for _, e in single)


@given(st.binary(max_size=LONGEST_ASDU))
@example(bytes.fromhex("0180140000000000"))
@settings(max_examples=300)
def test_any_octets_are_an_asdu_or_malformed(noise):
    try:
        found = parse(noise)
    except Malformed:
        return
    assert octets(found) == noise
    if found.known and found.count:
        objects([found])


def test_unknown_types_keep_their_octets():
    whole = bytes.fromhex("7f0103002f00010000 c0ffee")
    found = parse(whole)
    assert not found.known
    assert found.body == bytes.fromhex("010000c0ffee")
    assert found.name == "type 127"
    assert octets(found) == whole


@given(any_asdu(st.just(SIZES)), st.integers(1, 5))
@settings(**BUSY)
def test_cut_and_long_asdus_are_named(made, by):
    asdu, _ = made
    whole = octets(asdu)
    for wrong in (whole[:-by], whole + bytes(by)):
        with pytest.raises(Malformed) as fault:
            parse(wrong)
        assert fault.value.violation in (Violation.SHORT, Violation.OBJECTS)


def test_a_sequence_may_not_run_over_the_last_address():
    body = (0xFFFFFF).to_bytes(3, "little") + b"\1\1"
    with pytest.raises(Malformed, match="last address"):
        parse(octets(Asdu(TypeId.M_SP_NA_1, Cause.SPONTANEOUS, 1, body, 2, sequence=True)))


@given(st.lists(st.integers(1, 400), unique=True, max_size=300), st.booleans())
def test_objects_are_packed_and_nothing_is_lost(addresses, sequence):
    wanted = np.array(sorted(addresses), np.int32)
    made = elements(TypeId.M_ME_NC_1, wanted * 0.5)
    every = list(asdus(Asdu(13, 3, 1, b"", 0, sequence=sequence), wanted, made))
    assert all(len(octets(a)) <= LONGEST_ASDU for a in every)
    if not every:
        assert not addresses
        return
    came, found = objects(every)
    np.testing.assert_array_equal(came, wanted)
    np.testing.assert_array_equal(values(13, found)[0], wanted * 0.5)
    if not sequence:
        assert [a.count for a in every[:-1]] == [30] * (len(every) - 1)  # 243 octets / 8


# --------------------------------------------------------------------------------------------------------- values


# bits of quality or qualifier beside the value, IEC 60870-5-101:2003, 7.2.6; the rest has none
FLAGS = dict.fromkeys(["single", "double"], 0xF0)
FLAGS |= dict.fromkeys(["step", "bits", "normalised", "scaled", "float", "packed"], 0xFF) | {"total": 0x80}
FLAGS |= dict.fromkeys(["protection", "start", "output"], 0xF8)
FLAGS |= dict.fromkeys([f"{kind} command" for kind in ("single", "double", "step")], 0xFC)
FLAGS |= {f"{kind} {use}": 0xFF for kind in ("normalised", "scaled", "float") for use in ("set-point", "parameter")}


@pytest.mark.parametrize("number", [n for n in sorted(LAYOUTS) if n not in (TypeId.C_RD_NA_1, TypeId.C_CS_NA_1)])
@given(data=st.data())
@settings(max_examples=25)
def test_values_in_range_come_back(number, data):
    low, high, step = range_of(number)
    if step:
        value = data.draw(st.integers(round(low / step), round(high / step))) * step
    else:
        value = data.draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    mask = FLAGS.get(LAYOUTS[number].content, 0)
    quality = data.draw(st.integers(0, 255)) & mask
    made = elements(number, [value], quality, np.array([NOW]))
    came, told = values(number, made)
    assert came.tolist() == [value]
    assert told.tolist() == [quality]


# octets of the information elements by hand, from IEC 60870-5-101:2003, 7.2.6
@pytest.mark.parametrize(
    ("number", "value", "quality", "octets_of_element"),
    [
        (TypeId.M_SP_NA_1, 1, 0x80, "81"),
        (TypeId.M_DP_NA_1, 2, 0x10, "12"),
        (TypeId.M_ST_NA_1, -1, 0x01, "7f01"),
        (TypeId.M_ST_NA_1, -64, 0, "4000"),
        (TypeId.M_BO_NA_1, 0x01020304, 0x40, "0403020140"),
        (TypeId.M_ME_NA_1, -1, 0, "008000"),
        (TypeId.M_ME_NA_1, 0.5, 0, "004000"),
        (TypeId.M_ME_NB_1, -2, 0x20, "feff20"),
        (TypeId.M_ME_NC_1, 1.0, 0, "0000803f00"),
        (TypeId.M_IT_NA_1, 258, 0x80, "0201000080"),
        (TypeId.C_SC_NA_1, 1, 0x80, "81"),
        (TypeId.C_DC_NA_1, 2, 0x04, "06"),
        (TypeId.C_SE_NB_1, 256, 0x80, "000180"),
        (TypeId.C_IC_NA_1, 20, 0, "14"),
    ],
)
def test_elements_have_the_octets_of_the_standard(number, value, quality, octets_of_element):
    assert elements(number, value, quality).tobytes() == bytes.fromhex(octets_of_element)


@pytest.mark.parametrize(
    ("number", "value", "sent", "quality"),
    [
        (TypeId.M_ME_NA_1, 1.5, 32767 / 32768, Quality.OVERFLOW),
        (TypeId.M_ME_NB_1, -40000, -32768, Quality.OVERFLOW),
        (TypeId.M_ST_NA_1, 64, 63, Quality.OVERFLOW),
        (TypeId.M_IT_NA_1, 3e9, 2**31 - 1, Quality.INVALID),
        (TypeId.M_ME_NC_1, np.nan, 0, Quality.INVALID),
        (TypeId.M_ME_NC_1, np.inf, float(np.finfo(np.float32).max), Quality.OVERFLOW),
        (TypeId.M_SP_NA_1, 2, 1, Quality.INVALID),
    ],
)
def test_values_out_of_range_are_sent_as_the_end_of_it_and_marked(number, value, sent, quality):
    came, told = values(number, elements(number, [value, 0]))
    assert came.tolist() == [sent, 0]
    assert told.tolist() == [quality, 0]


def test_commands_out_of_range_are_refused():
    for number, value in ((TypeId.C_SE_NA_1, 1.0), (TypeId.C_SC_NA_1, 2), (TypeId.C_SE_NC_1, np.nan)):
        with pytest.raises(SeraiError, match=TypeId(number).name):
            elements(number, value)
    with pytest.raises(SeraiError, match="give `time`"):
        elements(TypeId.M_ME_TF_1, 1.0)


# ---------------------------------------------------------------------------------------------------------- times


@given(st.lists(st.integers(946_684_800_000, 4_102_444_799_999), max_size=20), st.integers(-720, 840))
def test_times_come_back_to_the_millisecond(milliseconds, offset):
    time = np.array(milliseconds, np.int64) * 1000
    try:
        tags = cp56(time, offset)
    except BadTimes:
        assert offset
        return
    again, good = since_1970(tags, offset)
    np.testing.assert_array_equal(again, time)
    assert good.all()


@given(st.tuples(*(st.integers(0, 255) for _ in range(5))), st.integers(0, 65535))
def test_time_tags_agree_with_the_calendar(fields, ms):
    minute, hour, day, month, year = fields
    tag = np.array([(ms, *fields)], cp56(np.array([NOW])).dtype)
    time, good = since_1970(tag)
    day, month, year = day & 0x1F, month & 0x0F, 2000 + (year & 0x7F)
    exists = ms < 60000 and minute & 0x3F < 60 and hour & 0x1F < 24 and 1 <= month <= 12 and year < 2100
    exists = exists and 1 <= day <= calendar.monthrange(year, month)[1]
    assert good[0] == (exists and not minute & 0x80)
    if exists:
        clock = calendar.timegm((year, month, day, hour & 0x1F, minute & 0x3F, 0)) - 3600 * (hour >> 7)
        assert time[0] == clock * 1_000_000 + ms * 1000


def test_octets_of_a_time_tag():
    # 2013-07-04 08:23:04.145, a Thursday: the tag in the capture of the Zeek parser, whose day of week is set too
    assert cp56(np.array([1_372_926_184_145_999])).tobytes() == bytes.fromhex("3110170884070d")
    with pytest.raises(BadTimes, match="2000 to 2099"):
        cp56(np.array([1_372_926_184]))  # seconds


@given(st.integers(946_684_800_000, 4_102_444_799_999), st.integers(-29 * 60_000, 29 * 60_000))
def test_a_short_tag_is_the_time_near_its_arrival(sent, late):
    received = np.array([(sent + late) * 1000])
    tag = np.array([(sent % 60_000, sent // 60_000 % 60)], [("ms", "<u2"), ("minute", "u1")])
    time, good = near(tag, received)
    assert time[0] == sent * 1000
    assert good[0]
    tag["minute"] |= 0x80
    assert not near(tag, received)[1][0]


# --------------------------------------------------------------------------------------------------------- points


def told(number, common, addresses, value, *, cause=Cause.SPONTANEOUS, quality=0):
    made = elements(number, value, quality, np.full(len(addresses), NOW))
    return list(asdus(Asdu(number, cause, common, b"", 0), np.array(addresses, np.int32), made))


def test_points_keep_the_order_in_which_they_came():
    arrived = [
        *((a, 5) for a in told(TypeId.M_ME_TF_1, 7, [3, 1], [0.5, 1.5])),
        *((a, 6) for a in told(TypeId.M_SP_NA_1, 8, [3], [1], quality=0x20)),
        *((a, 9) for a in told(TypeId.M_ME_TF_1, 7, [3], [2.5], cause=Cause.PERIODIC)),
    ]
    points = decoded(arrived)
    assert points.address.tolist() == [3, 1, 3, 3]
    assert points.common_address.tolist() == [7, 7, 8, 7]
    assert points.type.tolist() == [36, 36, 1, 36]
    assert points.value.tolist() == [0.5, 1.5, 1.0, 2.5]
    assert points.cause.tolist() == [3, 3, 3, 1]
    assert points.quality.tolist() == [0, 0, 0x20, 0]
    assert points.time.tolist() == [NOW, NOW, 6, NOW]
    assert points.received.tolist() == [5, 5, 6, 9]


def test_times_and_values_that_cannot_be_trusted_are_marked():
    (asdu,) = told(TypeId.M_ME_TF_1, 1, [1, 2, 3], [1.0, 2.0, 3.0])
    body = bytearray(asdu.body)
    body[10] |= 0x80  # IV of the first tag
    body[15 + 13] = 0x02 | 13 << 0  # month 13 of the second
    body[30 + 3 : 30 + 7] = struct.pack("<f", np.nan)
    points = decoded([(Asdu(36, 3, 1, bytes(body), 3), 77)])
    assert points.quality.tolist() == [Quality.CLOCK_SKEW, Quality.CLOCK_SKEW, Quality.INVALID]
    assert points.time.tolist() == [77, 77, NOW]
    assert np.isnan(points.value[2])


def test_sizes_that_no_standard_knows_are_refused():
    with pytest.raises(SeraiError, match="octets"):
        Sizes(address=4)
