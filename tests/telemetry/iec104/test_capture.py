# SPDX-License-Identifier: Apache-2.0
"""Captures decode as tshark decodes them, field by field; segments are put together in whatever order they came."""

import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from serai.errors import SeraiError
from serai.telemetry.iec104.asdu import objects
from serai.telemetry.iec104.capture import Captured, frames, segments
from serai.telemetry.iec104.faults import Violation
from serai.telemetry.iec104.times import since_1970
from serai.telemetry.iec104.types import LAYOUTS

EXPECTED = Path(__file__).parents[2] / "cases" / "iec104"
TYPES = {"I": 0, "S": 1, "U": 3}
QDS = {"ov": 0x01, "bl": 0x10, "sb": 0x20, "nt": 0x40, "iv": 0x80}
BITS = {  # of octets that tshark opens: name of a part, its bits, how far they are shifted
    "siq": {"spi": (1, 0), "bl": (0x10, 4), "sb": (0x20, 5), "nt": (0x40, 6), "iv": (0x80, 7)},
    "diq": {"dpi": (3, 0), "bl": (0x10, 4), "sb": (0x20, 5), "nt": (0x40, 6), "iv": (0x80, 7)},
    "qds": {"ov": (1, 0), "bl": (0x10, 4), "sb": (0x20, 5), "nt": (0x40, 6), "iv": (0x80, 7)},
    "sco": {"on": (1, 0), "qu": (0x7C, 2), "se": (0x80, 7)},
    "dco": {"on": (3, 0), "qu": (0x7C, 2), "se": (0x80, 7)},
    "rco": {"up": (3, 0), "qu": (0x7C, 2), "se": (0x80, 7)},
    "qos": {"ql": (0x7F, 0), "se": (0x80, 7)},
}


def element(name, value):
    """Our element as the [name, show] that tshark gives it."""
    prefix = f"iec60870_asdu.{name}"
    if name in BITS:
        parts = [(f"{prefix}.{part}", (int(value) & mask) >> shift) for part, (mask, shift) in BITS[name].items()]
        return [(prefix, int(value)), *parts]
    if name == "vti":
        low = int(value) & 0x7F
        return [(prefix, int(value)), (f"{prefix}.v", low - 128 * (low > 63)), (f"{prefix}.t", int(value) >> 7)]
    if name == "coi":
        return [(prefix, int(value)), (f"{prefix}_r", int(value) & 0x7F), (f"{prefix}_i", int(value) >> 7)]
    renamed = {
        "bsi": ("bitstring", int.from_bytes(int(value).to_bytes(4, "little"), "big")) if name == "bsi" else None,
        "r32": ("float", np.float32(value)),
        "nva": ("normval", np.float32(value / 32768)),
        "sva": ("scalval", int(value)),
    }
    if name in renamed:
        return [(f"iec60870_asdu.{renamed[name][0]}", renamed[name][1])]
    return [(prefix, int(value))]


def clock(tag):
    time, good = since_1970(tag.reshape(1))
    text = datetime.fromtimestamp(time[0] / 1e6, UTC)
    name = "iec60870_asdu.cp56time"
    return [
        (name, f"{text:%b} {text.day:2d}, {text:%Y %H:%M:%S.%f}000 UTC" if good[0] else None),
        (f"{name}.ms", int(tag["ms"])),
        (f"{name}.min", int(tag["minute"]) & 0x3F),
        (f"{name}.gen", int(tag["minute"]) >> 6 & 1),
        (f"{name}.iv", int(tag["minute"]) >> 7),
        (f"{name}.hour", int(tag["hour"]) & 0x1F),
        (f"{name}.su", int(tag["hour"]) >> 7),
        (f"{name}.day", int(tag["day"]) & 0x1F),
        (f"{name}.dow", int(tag["day"]) >> 5),
        (f"{name}.month", int(tag["month"]) & 0x0F),
        (f"{name}.year", int(tag["year"]) & 0x7F),
    ]


def fields(found: Captured):
    """All that was decoded, in the order and under the names of tshark."""
    frame = found.frame
    shown = [("iec60870_asdu.start", found.octets[0]), ("iec60870_104.apdulen", found.octets[1])]
    shown.append(("iec60870_104.type", TYPES[frame.format]))
    if frame.format == "U":
        return [*shown, ("iec60870_104.utype", frame.function >> 2)]
    if frame.format == "S":
        return [*shown, ("iec60870_104.rx", frame.receive)]
    a = found.asdu
    head = {"typeid": a.type, "sq": a.sequence, "numix": a.count, "causetx": a.cause, "nega": a.negative}
    head |= {"test": a.test, "oa": a.originator, "addr": a.common_address}
    shown += [("iec60870_104.tx", frame.send), ("iec60870_104.rx", frame.receive)]
    shown += [(f"iec60870_asdu.{name}", int(value)) for name, value in head.items()]
    addresses, elements = objects([a])
    for address, values in zip(addresses.tolist(), elements, strict=True):
        shown.append(("iec60870_asdu.ioa", address))
        for name in LAYOUTS[a.type].element.names or ():
            shown += clock(values["time"]) if name == "time" else element(name, values[name])
    return shown


def theirs(line):
    """Tshark's fields with numbers for numbers."""
    read = []
    for name, show in line["fields"]:
        if name.endswith((".float", ".normval")):
            read.append((name, np.float32(show)))
        elif name.endswith("cp56time"):
            read.append((name, show))
        elif name != "iec60870_104.data":  # octets that it passed over
            read.append((name, int(show, 0)))
    return read


def expected(name):
    return [json.loads(line) for line in (EXPECTED / f"{name}.jsonl").read_text().splitlines()]


def where(found):
    return found.packet, found.sender[1]


def test_every_field_of_a_normal_session_is_as_tshark_says(data):
    lines = expected("iec104_zeek")
    found = list(frames(data / "telemetry" / "iec104_zeek.pcap"))
    assert len(found) == len(lines) == 115
    for ours, line in zip(found, lines, strict=True):
        assert ours.violation is None
        assert where(ours) == (line["packet"], line["from"])
        assert fields(ours) == theirs(line)
    assert {f.asdu.type for f in found if f.asdu} >= {1, 3, 5, 7, 9, 11, 13, 30, 31, 32, 33, 34, 35, 36, 45, 46, 47, 51}


def test_a_session_full_of_garbage_decodes_as_tshark_says(data):
    lines = [line for line in expected("iec104_dissect") if ["iec104.apdu_min_len", ""] not in line["fields"]]
    every = list(frames(data / "telemetry" / "iec104_dissect.pcap"))
    found = [f for f in every if f.violation not in (Violation.START, Violation.LENGTH)]
    assert [where(f) for f in found] == [(line["packet"], line["from"]) for line in lines]
    whole = 0
    for ours, line in zip(found, lines, strict=True):
        if ours.violation is None:
            assert "malformed" not in line
            assert fields(ours) == theirs(line)
            whole += 1
        else:  # the control field is all that both can read
            told = dict(theirs(line)) if "malformed" not in line else {n: int(s, 0) for n, s in line["fields"][1:6]}
            low, high = struct.unpack_from("<HH", ours.octets, 2)
            assert told["iec60870_104.apdulen"] == len(ours.octets) - 2
            assert told.get("iec60870_104.tx", low >> 1) == low >> 1
            assert told.get("iec60870_104.rx", high >> 1) == high >> 1
    assert whole == 57
    refused = [where(f) for f in found if f.violation is not None]
    tolerated = [(line["packet"], line["from"]) for line in lines if line["fields"][-1][0].endswith((".utype", ".rx"))]
    malformed = [(line["packet"], line["from"]) for line in lines if "malformed" in line]
    assert set(refused) == {*malformed, *(w for w in tolerated if w in refused)}
    assert [w for w in refused if w not in malformed] == [(36, 1570), (71, 1572), (75, 1572)]


def test_garbage_of_a_session_is_reported_octet_for_octet(data):
    path = data / "telemetry" / "iec104_dissect.pcap"
    for line in expected("iec104_dissect"):
        if ["iec104.apdu_min_len", ""] in line["fields"]:
            length = int(dict(line["fields"])["iec60870_104.apdulen"])
            short = [f for f in frames(path) if f.packet == line["packet"] and f.violation == Violation.LENGTH]
            assert length in [f.octets[1] for f in short]
    # nothing is left out: what comes back is what was captured
    sent, came = {}, {}
    for segment in segments(path):
        sent[segment.sender] = sent.get(segment.sender, b"") + segment.octets
    for found in frames(path):
        came[found.sender] = came.get(found.sender, b"") + found.octets
    assert {w: o for w, o in came.items() if o} == {w: o for w, o in sent.items() if o}


# ------------------------------------------------------------------------------------- captures made here

TESTFR, STARTDT = bytes.fromhex("680443000000"), bytes.fromhex("680407000000")


def pcap(tcp_segments, *, order="<", nano=False, link=1, vlan=False):
    """A capture with segments (number, flags, data) from 10.0.0.1:5000 to 10.0.0.2:2404."""
    content = struct.pack(f"{order}IHHIIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for k, (number, flags, data) in enumerate(tcp_segments):
        tcp = struct.pack(">HHIIBBHHH", 5000, 2404, number, 0, 5 << 4, flags, 1000, 0, 0) + data
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + tcp
        tag = b"\x81\x00\x00\x07" * vlan
        packet = {1: bytes(12) + tag + b"\x08\x00" + ip, 101: ip, 113: bytes(14) + b"\x08\x00" + ip}[link]
        content += (
            struct.pack(f"{order}IIII", 1_700_000_000 + k, 5000 if nano else 5, len(packet), len(packet)) + packet
        )
    return content


@pytest.mark.parametrize("shape", [{}, {"order": ">"}, {"nano": True}, {"link": 101}, {"link": 113}, {"vlan": True}])
def test_segments_out_of_order_repeated_and_cut_come_together(tmp_path, shape):
    stream = STARTDT + TESTFR * 3
    start = 2**32 - 5  # the numbers run over
    cut = [(0, 4), (10, 24), (4, 12), (4, 10), (6, 10)]
    parts = [((start + a) % 2**32, 0x18, stream[a:b]) for a, b in cut]
    path = tmp_path / "made.pcap"
    path.write_bytes(pcap([((start - 1) % 2**32, 0x02, b""), *parts], **shape))
    found = list(frames(path))
    assert [f.octets for f in found] == [STARTDT, TESTFR, TESTFR, TESTFR]
    assert [f.packet for f in found] == [4] * 4
    assert found[0].time == 1_700_000_003_000_005
    assert found[0].sender == ("10.0.0.1", 5000)


def test_a_new_connection_of_the_same_ends_begins_anew(tmp_path):
    path = tmp_path / "made.pcap"
    path.write_bytes(pcap([(100, 0x02, b""), (101, 0x18, TESTFR[:3]), (900, 0x02, b""), (901, 0x18, STARTDT)]))
    assert [f.octets for f in frames(path)] == [STARTDT]


def test_what_is_no_capture_is_named(tmp_path):
    path = tmp_path / "made.pcap"
    whole = pcap([(101, 0x18, TESTFR)])
    for content, text in ((b"", "no pcap"), (b"\n\r\r\n" + bytes(40), "pcapng"), (whole[:-1], "cut in packet 1")):
        path.write_bytes(content)
        with pytest.raises(SeraiError, match=text):
            list(frames(path))
    path.write_bytes(whole[:30])
    with pytest.raises(SeraiError, match="head of packet 1"):
        list(frames(path))
