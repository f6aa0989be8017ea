# SPDX-License-Identifier: Apache-2.0
"""Network captures: the frames of IEC 60870-5-104 in a pcap file, put together from their TCP segments.

Reads the classic pcap format (libpcap, "pcap-savefile(5)") with Ethernet, Linux cooked or raw IP packets. Segments are
put in order by their sequence numbers and repeated octets left out. In a capture, unlike on a link, one must go on
after octets that are no frame: they are skipped up to the next start octet, and reported.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from serai.errors import SeraiError
from serai.telemetry.iec104.apci import LONGEST, START, Frame, frame
from serai.telemetry.iec104.asdu import Asdu, parse
from serai.telemetry.iec104.faults import Malformed, Violation
from serai.telemetry.iec104.types import SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 2404
_ORDERS = {0xA1B2C3D4: 1_000_000, 0xA1B23C4D: 1_000_000_000}  # magic number: fractions of a second
_ETHERNET, _RAW, _COOKED = 1, 101, 113
_TCP = 6


class Segment(NamedTuple):
    """One TCP segment with data: time [µs since 1970 UTC], who sends to whom (address, port), number, octets."""

    packet: int
    time: int
    sender: tuple[str, int]
    receiver: tuple[str, int]
    number: int
    begins: bool
    octets: bytes


@dataclass(frozen=True, slots=True)
class Captured:
    """One APDU of a capture, or octets that are none: then `violation` says why; `frame`, `asdu`: what could be read.

    packet   number of the packet that completed it, from 1;  time   of that packet [µs since 1970 UTC]
    """

    packet: int
    time: int
    sender: tuple[str, int]
    receiver: tuple[str, int]
    octets: bytes
    frame: Frame | None = None
    asdu: Asdu | None = None
    violation: Violation | None = None


def frames(path: Path, port: int = PORT, sizes: Sizes = SIZES) -> Iterator[Captured]:
    """Yield what a capture holds on a TCP port, in the order of the packets that completed it; SeraiError: no pcap."""
    streams: dict[tuple[tuple[str, int], tuple[str, int]], _Stream] = defaultdict(_Stream)
    for segment in segments(path):
        if port not in (segment.sender[1], segment.receiver[1]):
            continue
        stream = streams[segment.sender, segment.receiver]
        for octets, violation in stream.take(segment):
            place = segment.packet, segment.time, segment.sender, segment.receiver, octets
            yield Captured(*place, violation=violation) if violation else _decoded(place, sizes)


def _decoded(place: tuple[int, int, tuple[str, int], tuple[str, int], bytes], sizes: Sizes) -> Captured:
    found: Frame | None = None
    try:
        found = frame(place[-1])
        asdu = parse(found.asdu, sizes) if found.format == "I" else None
    except Malformed as fault:
        return Captured(*place, frame=found, violation=fault.violation)
    return Captured(*place, frame=found, asdu=asdu)


class _Stream:
    """One direction of one connection: what has come, in order, and what came too early."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._rest = b""
        self._early: dict[int, bytes] = {}

    def take(self, segment: Segment) -> Iterator[tuple[bytes, Violation | None]]:
        """Yield the octets of APDUs that a segment completes, and of what lies between them with its violation."""
        if segment.begins or self._next is None:
            self._next, self._rest, self._early = segment.number, b"", {}
        self._early[segment.number] = max(segment.octets, self._early.get(segment.number, b""), key=len)
        while ready := [n for n in self._early if (n - self._next) % 2**32 == 0 or (self._next - n) % 2**32 < 2**31]:
            number = ready[0]
            octets = self._early.pop(number)[(self._next - number) % 2**32 :]
            self._rest += octets
            self._next = (self._next + len(octets)) % 2**32
        yield from self._split()

    def _split(self) -> Iterator[tuple[bytes, Violation | None]]:
        while self._rest:
            if self._rest[0] != START:
                skipped = self._rest.find(bytes((START,)))
                skipped = len(self._rest) if skipped < 0 else skipped
                yield self._cut(skipped), Violation.START
                continue
            if len(self._rest) < 2:
                return
            length = self._rest[1]
            if not 4 <= length <= LONGEST:
                yield self._cut(2), Violation.LENGTH
            elif len(self._rest) < 2 + length:
                return
            else:
                yield self._cut(2 + length), None

    def _cut(self, count: int) -> bytes:
        found, self._rest = self._rest[:count], self._rest[count:]
        return found


def segments(path: Path) -> Iterator[Segment]:
    """Yield the TCP segments of a capture that carry data; SeraiError when the file is no pcap or is cut."""
    content = path.read_bytes()
    for order in "<>":
        if len(content) >= 24 and struct.unpack_from(f"{order}I", content)[0] in _ORDERS:
            break
    else:
        raise SeraiError(f"{path}: is no pcap file (pcapng: convert it, `editcap -F pcap`)")
    fraction = _ORDERS[struct.unpack_from(f"{order}I", content)[0]]
    link = struct.unpack_from(f"{order}I", content, 20)[0] & 0xFFFF
    at, packet = 24, 0
    while at < len(content):
        packet += 1
        if at + 16 > len(content):
            raise SeraiError(f"{path}: is cut in the head of packet {packet}")
        second, part, kept, _ = struct.unpack_from(f"{order}IIII", content, at)
        octets = content[at + 16 : at + 16 + kept]
        if len(octets) < kept:
            raise SeraiError(f"{path}: is cut in packet {packet}")
        at += 16 + kept
        time = second * 1_000_000 + part * 1_000_000 // fraction
        found = _tcp(_ip(octets, link))
        if found is not None:
            yield Segment(packet, time, *found)


def _ip(octets: bytes, link: int) -> bytes:
    """Return the IP packet in a packet of a link, b"" where there is none."""
    if link == _RAW:
        return octets
    at = {_ETHERNET: 12, _COOKED: 14}.get(link, len(octets))
    kind = octets[at : at + 2]
    while kind in (b"\x81\x00", b"\x88\xa8"):  # VLAN tags
        at += 4
        kind = octets[at : at + 2]
    return octets[at + 2 :] if kind in (b"\x08\x00", b"\x86\xdd") else b""


def _tcp(packet: bytes) -> tuple[tuple[str, int], tuple[str, int], int, bool, bytes] | None:
    """Return sender, receiver, number, whether it begins the stream, and data; None where there is no data."""
    if len(packet) < 20:
        return None
    if packet[0] >> 4 == 4 and packet[9] == _TCP and not int.from_bytes(packet[6:8], "big") & 0x3FFF:
        ends = [".".join(map(str, packet[k : k + 4])) for k in (12, 16)]
        body = packet[4 * (packet[0] & 15) : int.from_bytes(packet[2:4], "big")]
    elif packet[0] >> 4 == 6 and packet[6] == _TCP and len(packet) >= 40:
        ends = [packet[k : k + 16].hex(":", 2) for k in (8, 24)]
        body = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    else:  # other protocols, fragments
        return None
    if len(body) < 20:
        return None
    sender, receiver, number, _, offset, flags = struct.unpack_from(">HHIIBB", body)
    data = body[4 * (offset >> 4) :]
    begins = bool(flags & 2)
    if not data and not begins:
        return None
    return (ends[0], sender), (ends[1], receiver), (number + begins) % 2**32, begins, data
