# SPDX-License-Identifier: Apache-2.0
"""What elements mean: values, quality bits and qualifiers to and from the octets of information elements, in columns.

IEC 60870-5-101:2003, 7.2.6. A value is a float64: 0 and 1 of a single point, 0..3 of a double point (1 = off, 2 = on),
-64..63 of a step position, the number of a bit string, -1..1 - 2^-15 of a normalised value, the number of a scaled
value, a float, the count of an integrated total. Quality is the low byte of `readings.Quality`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from serai.errors import SeraiError
from serai.telemetry.iec104.times import cp56
from serai.telemetry.iec104.types import LAYOUTS, TypeId

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_OVERFLOW, _INVALID = 0x01, 0x80
SELECT = 0x80  # S/E, in every qualifier of a command
TRANSIENT = 0x80  # of a step position
COUNT_INVALID, COUNT_ADJUSTED, COUNT_CARRY = 0x80, 0x40, 0x20  # of an integrated total


class Range(NamedTuple):
    """What a content can hold: every multiple of `step` from `low` to `high`; step 0 = any float of 32 bits."""

    low: float
    high: float
    step: float


class _Place(NamedTuple):
    """Where value and quality (of a command: the qualifier) stand: names of fields and the bits there, 0 = all."""

    value: str
    range: Range
    bits: int = 0
    flags: str = ""
    flag_bits: int = 0xFF


_SHORT, _NORMALISED = Range(-32768, 32767, 1), Range(-1.0, 32767 / 32768, 1 / 32768)
_R32 = float(np.finfo(np.float32).max)
_BITS, _FLOAT, _OCTET = Range(0, 0xFFFFFFFF, 1), Range(-_R32, _R32, 0), Range(0, 0xFF, 1)
_PLACES: dict[str, _Place] = {
    "single": _Place("siq", Range(0, 1, 1), 0x01, "siq", 0xF0),
    "double": _Place("diq", Range(0, 3, 1), 0x03, "diq", 0xF0),
    "step": _Place("vti", Range(-64, 63, 1), 0x7F, "qds"),
    "bits": _Place("bsi", _BITS, 0, "qds"),
    "normalised": _Place("nva", _NORMALISED, 0, "qds"),
    "scaled": _Place("sva", _SHORT, 0, "qds"),
    "float": _Place("r32", _FLOAT, 0, "qds"),
    "total": _Place("bcr", Range(-(2**31), 2**31 - 1, 1), 0, "bcr_flags", COUNT_INVALID),
    "protection": _Place("sep", Range(0, 3, 1), 0x03, "sep", 0xF8),
    "start": _Place("spe", _OCTET, 0, "qdp", 0xF8),
    "output": _Place("oci", _OCTET, 0, "qdp", 0xF8),
    "packed": _Place("scd", Range(0, 0xFFFF, 1), 0xFFFF, "qds"),
    "bare normalised": _Place("nva", _NORMALISED),
    "single command": _Place("sco", Range(0, 1, 1), 0x01, "sco", 0xFC),
    "double command": _Place("dco", Range(0, 3, 1), 0x03, "dco", 0xFC),
    "step command": _Place("rco", Range(0, 3, 1), 0x03, "rco", 0xFC),
    "normalised set-point": _Place("nva", _NORMALISED, 0, "qos"),
    "scaled set-point": _Place("sva", _SHORT, 0, "qos"),
    "float set-point": _Place("r32", _FLOAT, 0, "qos"),
    "bits command": _Place("bsi", _BITS),
    "end of initialisation": _Place("coi", _OCTET),
    "interrogation": _Place("qoi", _OCTET),
    "counter interrogation": _Place("qcc", _OCTET),
    "test": _Place("fbp", Range(0, 0xFFFF, 1)),
    "reset": _Place("qrp", _OCTET),
    "delay": _Place("delay", Range(0, 0xFFFF, 1)),
    "timed test": _Place("tsc", Range(0, 0xFFFF, 1)),
    "normalised parameter": _Place("nva", _NORMALISED, 0, "qpm"),
    "scaled parameter": _Place("sva", _SHORT, 0, "qpm"),
    "float parameter": _Place("r32", _FLOAT, 0, "qpm"),
    "parameter activation": _Place("qpa", _OCTET),
}  # read and clock hold nothing but an address and a time


def values(number: int, elements: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return values (n,) and quality (n,) of elements of a type; of commands and parameters the qualifier.

    A qualifier is the whole octet without the value's bits: QU or QL, and `SELECT`.
    """
    place = _PLACES.get(LAYOUTS[number].content)
    if place is None:
        return np.zeros(len(elements)), np.zeros(len(elements), np.uint8)
    raw = elements[place.value] & place.bits if place.bits else elements[place.value]
    with np.errstate(invalid="ignore"):  # a signalling nan from the wire is a nan
        value = raw.astype(np.float64)
    if place.bits == 0x7F:  # two's complement of seven bits
        value[value > 63] -= 128
    if 0 < place.range.step < 1:
        value *= place.range.step
    flags = elements[place.flags] & np.uint8(place.flag_bits) if place.flags else np.zeros(len(elements), np.uint8)
    return value, flags


def flags_of(number: int, qualifier: int, *, select: bool = False) -> int:
    """Return the bits beside a command's value: QU (0..31) or QL (0..127) with S/E; of a parameter QPM as it is."""
    shift = 2 if LAYOUTS[number].content in _NARROW else 0
    return qualifier << shift | SELECT * select


def qualifier_of(number: int, flags: int) -> tuple[int, bool]:
    """Return the qualifier and whether the command selects, the inverse of `flags_of`."""
    if not LAYOUTS[number].commands:
        return flags, False
    return (flags & ~SELECT) >> (2 if LAYOUTS[number].content in _NARROW else 0), bool(flags & SELECT)


def range_of(number: int) -> Range:
    """Return what the values of a type can be; a value beyond is sent as the end of the range with OVERFLOW."""
    return _PLACES[LAYOUTS[number].content].range


def spread(column: ArrayLike, n: int) -> NDArray[Any]:
    """Return a column (n,) of a column (n,) or of one value; np.broadcast_to takes longer than the rest for few."""
    made = np.asarray(column)
    return made if made.shape == (n,) else np.full(n, made)


def elements(
    number: int, value: ArrayLike, quality: ArrayLike = 0, time: NDArray[np.int64] | None = None, offset: int = 0
) -> NDArray[np.void]:
    """Return elements (n,) of a type from values (n,), quality or qualifier (n,) or one, and times (n,) [µs].

    A value beyond the type's range becomes the end of the range, and its quality says OVERFLOW where the type has
    that bit (IEC 60870-5-101:2003, 7.2.6.3) or else INVALID; nan becomes 0 with INVALID. Commands and parameters
    are refused instead (SeraiError).
    """
    layout = LAYOUTS[number]
    wanted = np.atleast_1d(np.asarray(value, dtype=np.float64))
    made = np.zeros(len(wanted), layout.element)
    if layout.tag:
        if time is None:
            msg = f"{layout.type.name} carries a time: give `time`"
            raise SeraiError(msg)
        tags = cp56(spread(time, len(wanted)).astype(np.int64, copy=False), offset)
        for name in made["time"].dtype.names or ():
            made["time"][name] = tags[name]
    place = _PLACES.get(layout.content)
    if place is None:
        return made
    raw, flags = _fitted(layout.type, wanted, np.asarray(quality).astype(np.uint8, copy=False))
    made[place.value] = raw
    if place.flags == place.value:
        made[place.value] |= flags & place.flag_bits
    elif place.flags:
        made[place.flags] = flags & place.flag_bits
    return made


def _fitted(
    kind: TypeId, wanted: NDArray[np.float64], flags: NDArray[np.uint8]
) -> tuple[NDArray[np.float32] | NDArray[np.int64], NDArray[np.uint8]]:
    """Return what stands for the values on the wire, and the flags with what did not fit marked."""
    low, high, step = range_of(kind)
    marked = spread(flags, len(wanted)).copy()
    fitted = wanted
    if not ((wanted >= low) & (wanted <= high)).all():  # nan is neither
        bad = np.isnan(wanted)
        beyond = (wanted < low) | (wanted > high)
        if not LAYOUTS[kind].monitors:
            msg = f"{kind.name} holds {low:g} to {high:g}, got {wanted[bad | beyond][0]:g}"
            raise SeraiError(msg)
        marked[beyond] |= np.uint8(_OVERFLOW if LAYOUTS[kind].content in _CAN_OVERFLOW else _INVALID)
        marked[bad] |= np.uint8(_INVALID)
        fitted = np.clip(np.where(bad, 0.0, wanted), low, high)
    if step == 0:
        return fitted.astype(np.float32), marked
    raw = np.rint(fitted / step).astype(np.int64)
    return (raw & 0x7F if LAYOUTS[kind].content == "step" else raw), marked


_CAN_OVERFLOW = ("step", "bits", "normalised", "scaled", "float", "packed")
_NARROW = ("single command", "double command", "step command")  # the value shares the qualifier's octet
