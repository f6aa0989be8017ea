# SPDX-License-Identifier: Apache-2.0
"""Frames of IEC 60870-5-104 (APDU = APCI and, in I frames, an ASDU): octets to frames and back.

The control field is that of IEC 60870-5-104:2006, 5.1 (figures 5 to 8): I frames carry data and both sequence
numbers, S frames acknowledge, U frames start, stop and test. Numbers count modulo 2^15.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from serai.telemetry.iec104.faults import Malformed, Violation

START = 0x68
MODULO = 1 << 15
LONGEST = 253  # octets after the length octet: control field and ASDU
LONGEST_ASDU = LONGEST - 4

_I_FRAME = struct.Struct("<BBHH")


class Function(IntEnum):
    """What a U frame says: first octet of its control field."""

    STARTDT_ACT = 0x07
    STARTDT_CON = 0x0B
    STOPDT_ACT = 0x13
    STOPDT_CON = 0x23
    TESTFR_ACT = 0x43
    TESTFR_CON = 0x83


class Frame(NamedTuple):
    """One APDU: `format` is "I", "S" or "U"; numbers are -1 where the format has none."""

    format: str
    send: int = -1
    receive: int = -1
    function: Function | None = None
    asdu: bytes = b""


def i_frame(send: int, receive: int, asdu: bytes) -> bytes:
    """Return an I frame with N(S), N(R) and an ASDU."""
    return _I_FRAME.pack(START, len(asdu) + 4, send << 1, receive << 1) + asdu


def s_frame(receive: int) -> bytes:
    """Return an S frame with N(R)."""
    return _I_FRAME.pack(START, 4, 1, receive << 1)


def u_frame(function: Function) -> bytes:
    """Return a U frame."""
    return bytes((START, 4, function, 0, 0, 0))


def split(octets: bytes) -> tuple[list[bytes], int]:
    """Return the whole APDUs at the start of a stream, and how many octets they are; the rest is not yet complete.

    Malformed when a start or length octet is wrong: from there on the stream has no frames that could be trusted.
    """
    found: list[bytes] = []
    at, end = 0, len(octets)
    while at < end:
        if octets[at] != START:
            raise Malformed(Violation.START, f"got 0x{octets[at]:02x} after {len(found)} frames")
        if at + 1 == end:
            break
        length = octets[at + 1]
        if not 4 <= length <= LONGEST:
            raise Malformed(Violation.LENGTH, f"got {length}")
        stop = at + 2 + length
        if stop > end:
            break
        found.append(octets[at:stop])
        at = stop
    return found, at


def frame(apdu: bytes) -> Frame:
    """Return the frame of one APDU as `split` yields it; Malformed when its control field has no known format."""
    _, length, low, high = _I_FRAME.unpack_from(apdu)
    if not low & 1:
        if high & 1 or length == 4:
            raise Malformed(Violation.CONTROL, f"I frame {apdu[:6].hex(' ')}" + " without an ASDU" * (length == 4))
        return Frame("I", low >> 1, high >> 1, None, apdu[6:])
    if length != 4:
        raise Malformed(Violation.CONTROL, f"{length - 4} octets after a frame without ASDU, {apdu[:6].hex(' ')}")
    if low == 1 and not high & 1:
        return Frame("S", -1, high >> 1)
    if high or low > 0xFF or low not in _FUNCTIONS:
        raise Malformed(Violation.CONTROL, apdu.hex(" "))
    return Frame("U", -1, -1, _FUNCTIONS[low])


_FUNCTIONS = {int(f): f for f in Function}
