# SPDX-License-Identifier: Apache-2.0
"""The application service data unit (ASDU): a header and objects of one type, octet for octet.

IEC 60870-5-101:2003, 7.1 and 7.2.1 to 7.2.5. `parse` reads the header and holds the objects to the length that it
promises; `objects` shows them as columns without changing a bit, so encoding gives back the same octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.telemetry.iec104.apci import LONGEST_ASDU
from serai.telemetry.iec104.faults import Malformed, Violation
from serai.telemetry.iec104.types import LAYOUTS, SIZES, Sizes, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MOST = 127  # objects in one ASDU
_NEGATIVE, _TEST, _CAUSE, _SEQUENCE = 0x40, 0x80, 0x3F, 0x80


@dataclass(frozen=True, slots=True)
class Asdu:
    """One ASDU, its objects still as octets.

    type            type identification, 0..255; `known` where this codec has its layout
    cause           cause of transmission, 0..63
    common_address  of the station; 0xFFFF = all
    body            the objects as on the wire
    count           how many objects
    sequence        SQ: one address, then elements of the addresses that follow it
    negative, test  P/N and T bits of the cause;  originator  number of the controlling station, 0 = not used
    """

    type: int
    cause: int
    common_address: int
    body: bytes
    count: int
    sequence: bool = False
    negative: bool = False
    test: bool = False
    originator: int = 0

    @property
    def known(self) -> bool:
        """Whether the objects can be decoded; else `body` is all there is."""
        return self.type in LAYOUTS

    @property
    def name(self) -> str:
        """The type's name, as M_ME_TF_1."""
        return LAYOUTS[self.type].type.name if self.type in LAYOUTS else f"type {self.type}"


def parse(octets: bytes, sizes: Sizes = SIZES) -> Asdu:
    """Return the ASDU of the octets of an I frame; Malformed when header or objects are cut or too long."""
    if len(octets) < sizes.header:
        raise Malformed(Violation.SHORT, f"{len(octets)} octets: {octets.hex(' ')}")
    kind, variable, cause = octets[0], octets[1], octets[2]
    at = 2 + sizes.cause
    found = Asdu(
        kind,
        cause & _CAUSE,
        int.from_bytes(octets[at : sizes.header], "little"),
        octets[sizes.header :],
        variable & 0x7F,
        variable & _SEQUENCE != 0,
        cause & _NEGATIVE != 0,
        cause & _TEST != 0,
        octets[3] if sizes.cause == 2 else 0,
    )
    if kind in LAYOUTS:
        _hold(found, sizes)
    return found


def _hold(asdu: Asdu, sizes: Sizes) -> None:
    """Refuse objects that are not as many and as long as the header says, or whose addresses run over the end."""
    element = LAYOUTS[asdu.type].element.itemsize
    n = asdu.count
    wanted = sizes.address + n * element if asdu.sequence and n else n * (sizes.address + element)
    if len(asdu.body) != wanted:
        text = f"{asdu.name} with {n} objects{' in sequence' * asdu.sequence} takes {wanted} octets"
        raise Malformed(Violation.OBJECTS, f"{text}, got {len(asdu.body)}")
    if asdu.sequence and n and int.from_bytes(asdu.body[: sizes.address], "little") + n > 1 << 8 * sizes.address:
        raise Malformed(Violation.OBJECTS, f"{asdu.name} in sequence runs over the last address")


def octets(asdu: Asdu, sizes: Sizes = SIZES) -> bytes:
    """Return an ASDU as octets, the inverse of `parse`."""
    cause = asdu.cause | _NEGATIVE * asdu.negative | _TEST * asdu.test
    head = bytes((asdu.type, asdu.count | _SEQUENCE * asdu.sequence, cause))
    origin = bytes((asdu.originator,)) if sizes.cause == 2 else b""
    return head + origin + asdu.common_address.to_bytes(sizes.common_address, "little") + asdu.body


def objects(asdus: Sequence[Asdu], sizes: Sizes = SIZES) -> tuple[NDArray[np.int32], NDArray[np.void]]:
    """Return addresses (n,) and elements (n,) of ASDUs of one known type, all their objects one after another.

    The elements' fields are those of the type's `Layout`, a view of the octets where no ASDU is a sequence.
    """
    number = asdus[0].type
    if not any(a.sequence for a in asdus):
        whole = np.frombuffer(b"".join([a.body for a in asdus]), wire(number, sizes.address))
        fields = list(whole.dtype.names or ())[1:]
        none = np.zeros(len(whole), LAYOUTS[number].element)  # a read: numpy takes an empty list of fields for rows
        return _joined(whole["address"]), whole[fields] if fields else none
    parts = [_sequence(a, sizes) if a.sequence else objects([a], sizes) for a in asdus]
    return np.concatenate([a for a, _ in parts]), np.concatenate([_packed(e, number) for _, e in parts])


def _sequence(asdu: Asdu, sizes: Sizes) -> tuple[NDArray[np.int32], NDArray[np.void]]:
    first = int.from_bytes(asdu.body[: sizes.address], "little")
    elements = np.frombuffer(asdu.body[sizes.address :], LAYOUTS[asdu.type].element, count=asdu.count)
    return np.arange(first, first + asdu.count, dtype=np.int32), elements


def _packed(elements: NDArray[np.void], number: int) -> NDArray[np.void]:
    """Return elements without gaps between them: a view of some fields keeps the octets of the others."""
    return elements.astype(LAYOUTS[number].element, copy=False)


def _joined(octets_of_address: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return addresses (n,) of their octets (n, size), the lowest first."""
    found = octets_of_address[:, 0].astype(np.int32)
    for k in range(1, octets_of_address.shape[1]):
        found |= octets_of_address[:, k].astype(np.int32) << 8 * k
    return found


def asdus(
    header: Asdu, addresses: NDArray[np.int32], elements: NDArray[np.void], sizes: Sizes = SIZES
) -> Iterator[Asdu]:
    """Yield ASDUs with the header's type, cause, addresses and bits that hold objects (n,), as few as possible.

    Where `header.sequence` is set, runs of neighbouring addresses share one address; body and count of it are ignored.
    """
    number = header.type
    room = LONGEST_ASDU - sizes.header
    size = LAYOUTS[number].element.itemsize
    if header.sequence:
        most = min(MOST, (room - sizes.address) // size) if size else MOST  # a read holds nothing but addresses
        data = elements.astype(LAYOUTS[number].element, copy=False)
        for start, stop in _runs(addresses, most):
            body = int(addresses[start]).to_bytes(sizes.address, "little") + data[start:stop].tobytes()
            yield _with(header, body, stop - start)
        return
    most = min(MOST, room // (sizes.address + size))
    whole = np.empty(len(addresses), wire(number, sizes.address))
    for k in range(sizes.address):
        whole["address"][:, k] = addresses >> 8 * k & 0xFF
    for name in LAYOUTS[number].element.names or ():
        whole[name] = elements[name]
    every, step = whole.tobytes(), whole.itemsize
    for start in range(0, len(addresses), most):
        stop = min(start + most, len(addresses))
        yield _with(header, every[start * step : stop * step], stop - start)


def _runs(addresses: NDArray[np.int32], most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of addresses that follow each other, at most `most` long."""
    ends = [*(np.flatnonzero(np.diff(addresses) != 1) + 1).tolist(), len(addresses)]
    start = 0
    for end in ends:
        while start < end:
            stop = min(start + most, end)
            yield start, stop
            start = stop


def _with(header: Asdu, body: bytes, count: int) -> Asdu:
    return Asdu(
        header.type, header.cause, header.common_address, body, count,
        header.sequence, header.negative, header.test, header.originator,
    )  # fmt: skip
